"""``gpt2hydra evaluate``."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from gpt2hydra.commands.main import main
from tests.models import save_tiny


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("run") / "checkpoint")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text("It was a dark and stormy night. " * 20, encoding="utf-8")
    return tmp_path / "text.txt"


def test_evaluate_prints_loss_perplexity_and_bits_per_byte(saved: Path, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["evaluate", f"checkpoint={saved}", f"data.path={text}"])
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()[2:6]] == ["loss", "perplexity", "bits", "predicted"]
    assert "640 tokens, 640 bytes, each once, in windows of 16\n                 tokens; the first 8 are context" in out
    assert err == ""


def test_json_has_the_same_content(saved: Path, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["evaluate", f"checkpoint={saved}", f"data.path={text}", "--json", "--context", "0", "--batch-size", "7"])
    found = json.loads(capsys.readouterr().out)
    measured = {key: found.pop(key) for key in ("loss", "perplexity", "bits_per_byte")}
    assert found == {"checkpoint": str(saved), "text": str(text), "window": 16, "context": 0, "tokens": 640, "bytes": 640}
    assert measured["bits_per_byte"] == pytest.approx(measured["loss"] / 0.6931471805599453)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["checkpoint={saved}"], "data.path\n    must be given: the text to predict"),
        (["data.path={text}"], "checkpoint\n    must be given: run directory"),
        (
            ["checkpoint={saved}", "data.path={text}", "prompt=x"],
            "prompt = x\n    unknown key; known: checkpoint, device, data.path",
        ),
        (["checkpoint={saved}", "data.path=nowhere.txt"], "data.path = nowhere.txt\n    there is no such file"),
        (["checkpoint=nowhere", "data.path={text}"], "checkpoint = nowhere\n    there is no such folder"),
        (["checkpoint={saved}", "data.path={text}", "--context", "16"], "--context = 16\n    must be ≥ 0 and < 16"),
        (["checkpoint={saved}", "data.path={text}", "--batch-size", "0"], "--batch-size = 0\n    must be ≥ 1"),
    ],
)
def test_what_cannot_be_used_is_refused(
    arguments: list[str], message: str, saved: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", *(each.format(saved=saved, text=text) for each in arguments)])
    out, err = capsys.readouterr()
    assert (stopped.value.code, out) == (1, "")
    assert message in err
