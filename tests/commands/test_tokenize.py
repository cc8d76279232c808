"""``gpt2hydra tokenize``."""

import json
import shlex
from pathlib import Path

import pytest

pytest.importorskip("torch")

import gpt2hydra
from gpt2hydra.commands.main import main
from gpt2hydra.data import corpus_tokens
from tests.checkpoints import write_bpe


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b/one.txt", "b/two.txt", "a/one.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"This is {name}. " * 30)
    return tmp_path


def read_all(overrides: list[str]) -> list[list[int]]:
    import numpy as np

    parts = corpus_tokens.load_tokens(gpt2hydra.compose("train", ["training.seq_len=8", *overrides]))
    return [part.windows(np.array([0]), len(part))[0].tolist() for part in parts]


def test_the_token_files_have_the_tokens_of_the_text(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["tokenize", "data.path='*/*.txt'", "--output", "tokens"])
    out, err = capsys.readouterr()
    assert sorted(path.name for path in (texts / "tokens").iterdir()) == ["00000-one.bin", "00001-one.bin", "two.bin"]
    assert out.startswith("tokens/00000-one.bin              571 tokens\n")
    assert err.startswith("tokenizing 0.0 MB of text once into tokens\n")
    reported = shlex.split(out.rpartition("train on them: ")[2])
    assert reported == ["data.path='tokens/*.bin'"]
    assert read_all(reported) == read_all(["data.path='*/*.txt'"])


def test_json_has_files_and_counts(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_bpe(texts / "bpe", "i s")
    main(["tokenize", "data.path=b/two.txt", "tokenizer=gpt2", f"tokenizer.path='{folder}'", "--output", "t", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found == {"files": {"t/two.bin": 511}, "tokens": 511, "bytes_of_a_token": 2}


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["tokenize", *arguments])
    out, err = capsys.readouterr()
    assert (stopped.value.code, out) == (1, "")
    return err.partition("\n\n")[2]


def test_what_cannot_be_used_is_refused(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(["data.path=nowhere.txt", "--output", "t"], capsys).startswith(
        f"  data.path = nowhere.txt\n    there is no such file in {texts}\n"
    )
    assert refused(["training.seed=1", "--output", "t"], capsys) == "  data.path\n    must be given: the text to tokenize\n"
    assert not (texts / "t").exists()
    message = refused(["data.path=b/two.txt", "--output", "b/one.txt"], capsys)
    assert message == "  --output = b/one.txt\n    is a file; must be a folder\n"


def test_nothing_is_overwritten_and_nothing_tokenized_twice(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["tokenize", "data.path=b/two.txt", "--output", "t"])
    before = (texts / "t/two.bin").read_bytes()
    capsys.readouterr()
    message = refused(["data.path=b/two.txt", "--output", "t"], capsys)
    assert message == "  --output = t\n    has tokens of two already; choose another folder\n"
    assert (texts / "t/two.bin").read_bytes() == before
    assert "t/two.bin has tokens already" in refused(["data.path=t/two.bin", "--output", "u"], capsys)


def test_a_text_that_is_no_utf8_to_its_end_leaves_nothing(
    texts: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpt2hydra.data.text.CHECKED_BYTES", 0)
    (texts / "bad.txt").write_bytes(b"good" * 10 + b"\xff")
    assert "must be UTF-8; byte 40 is not" in refused(["data.path=bad.txt", "--output", "t"], capsys)
    assert list((texts / "t").iterdir()) == []
