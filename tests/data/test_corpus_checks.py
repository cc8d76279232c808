"""What can be wrong with text and tokenizer."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import gpt2hydra
from gpt2hydra import TrainConfig
from gpt2hydra.data.corpus_checks import check_corpus
from tests.checkpoints import write_bpe
from tests.command_line import CommandLine
from tests.texts import bpe, configured, write_tokens


def problems(config: TrainConfig) -> list[tuple[str, str, str]]:
    return [(violation.key, violation.rule, violation.suggestion) for violation in check_corpus(config)]


def damaged(content: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (write_bpe(folder) / "vocab.json").write_text(content)
        return folder

    return write


def test_a_text_that_will_do_has_no_problem(text: Path) -> None:
    assert problems(configured(text)) == problems(configured(None)) == []


def test_a_missing_file_suggests_the_one_that_was_meant(text: Path) -> None:
    missing = text.with_name("txet.txt")
    assert problems(configured(missing)) == [("data.path", "there is no such file", f"data.path={text}")]
    assert problems(configured("/no/such/folder/at.all")) == [("data.path", "there is no such file", "")]


def test_a_glob_that_matches_nothing(tmp_path: Path) -> None:
    assert problems(configured(f"{tmp_path}/*.txt")) == [("data.path", "matches no file", "")]


def test_a_folder(tmp_path: Path) -> None:
    message = "is a folder; must be a file or a glob"
    assert problems(configured(tmp_path)) == [("data.path", message, f"\"data.path='{tmp_path}/*.txt'\"")]


def test_empty_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    assert problems(configured(tmp_path / "a.txt")) == [("data.path", "is empty", "")]
    (tmp_path / "b.txt").touch()
    assert problems(configured(f"{tmp_path}/*.txt")) == [("data.path", "matches empty files only", "")]


def test_a_file_that_cannot_be_read(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    config = configured(text)
    monkeypatch.setattr(Path, "open", denied)
    assert problems(config) == [("data.path", "cannot be read: Permission denied", "")]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")
def test_a_file_that_is_no_regular_one() -> None:
    assert problems(configured("/dev/null")) == [("data.path", "must be a regular file", "")]


@pytest.mark.parametrize(
    ("content", "where"),
    [
        pytest.param(b"caf\xe9 " * 100, "3", id="latin-1"),
        pytest.param("Grüße ".encode() * 100 + "ü".encode()[:1], "800", id="cut short"),
        pytest.param(b"a" * (2**20 - 1) + "ü".encode() + b"\xff", "1,048,577", id="behind a character on a boundary"),
        pytest.param(b"a" * (2**20 - 1) + b"\xc3a", "1,048,575", id="a character begun before a boundary"),
    ],
)
def test_a_file_that_is_not_utf8_says_where(content: bytes, where: str, tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(content)
    message = f"must be UTF-8; byte {where} is not (if it is Latin-1, convert it: iconv -f LATIN1 -t UTF-8)"
    assert problems(configured(tmp_path / "latin.txt")) == [("data.path", message, "")]


def test_one_bad_file_of_many_is_named(text: Path) -> None:
    (text.parent / "z.txt").write_bytes(b"\xff")
    (violation,) = problems(configured(f"{text.parent}/*.txt"))
    assert violation[1].startswith(f"{text.parent}/z.txt: must be UTF-8; byte 0 is not")


@pytest.mark.parametrize(
    ("characters", "fraction", "message", "suggestion"),
    [
        (89, 0.1, "of its 89 tokens 8 are for validation", "training.seq_len=7"),
        (17, 0.5, "of its 17 tokens 8 are for validation", "training.seq_len=7"),
        (2, 0.1, "of its 2 tokens 0 are for validation", ""),
    ],
)
def test_a_text_shorter_than_a_sequence(
    characters: int, fraction: float, message: str, suggestion: str, tmp_path: Path
) -> None:
    (tmp_path / "short.txt").write_text("a" * (characters - 1))
    config = configured(tmp_path / "short.txt", f"data.validation_fraction={fraction}")
    rule = f"is too short: {message} (data.validation_fraction = {fraction}), and training.seq_len + 1 = 9 are needed"
    assert problems(config) == [("data.path", rule, suggestion)]


def test_the_shortest_text_that_will_do(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("a" * 89)
    assert problems(configured(tmp_path / "short.txt")) == []


def test_the_command_line_refuses_before_torch_is_imported_and_leaves_nothing(run: CommandLine) -> None:
    before = "torch" in sys.modules
    outcome = run("data.path=nowhere.txt")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert outcome.err == (
        "1 problem in the configuration; nothing was started.\n\n"
        "  data.path = nowhere.txt\n"
        f"    there is no such file in {run.folder}\n"
        "    set by the command line: data.path=nowhere.txt   (was null, the default)\n"
    )
    assert ("torch" in sys.modules) == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda folder: folder,
            "must hold vocab.json and merges.txt, or tokenizer.json; there is no vocab.json and no merges.txt",
        ),
        (
            lambda folder: folder / "absent",
            "there is no such folder; it must hold vocab.json and merges.txt, or tokenizer.json",
        ),
        (damaged("{"), "vocab.json is not JSON"),
        (damaged('{"a": 0}'), "vocab.json must map text to ids, <|endoftext|> included"),
        (damaged('{"a": "b", "<|endoftext|>": 1}'), "vocab.json must map text to ids, <|endoftext|> included"),
    ],
)
def test_tokenizer_files_that_cannot_be_used(make: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    (only,) = problems(bpe(make(tmp_path)))
    assert only[0] == "tokenizer.path"
    assert only[1].startswith(message)


def test_a_tokenizer_larger_than_the_vocabulary(tmp_path: Path) -> None:
    file = write_bpe(tmp_path) / "vocab.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"more": 50_300}))
    message = f"must be ≥ 50,301, the symbols of tokenizer.path = {tmp_path}"
    assert problems(bpe(tmp_path)) == [("model.vocab_size", message, "model.vocab_size=50301")]


def test_symbols_that_are_no_bytes_are_refused(tmp_path: Path) -> None:
    file = write_bpe(tmp_path) / "vocab.json"
    symbols = json.loads(file.read_text())
    file.write_text(json.dumps(symbols | {"日本": 257}))
    assert problems(bpe(tmp_path)) == [("tokenizer.path", "vocab.json must have only symbols made of bytes; 日本 is not", "")]
    del symbols["A"]
    file.write_text(json.dumps(symbols))
    message = "vocab.json must have a symbol for each byte; 1 of 256 are missing, the first is A"
    assert problems(bpe(tmp_path)) == [("tokenizer.path", message, "")]


def test_merges_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    write_bpe(tmp_path, "t h")
    (tmp_path / "merges.txt").write_text("#version: 0.2\nt h\nth e\n")
    ((key, message, _),) = problems(bpe(tmp_path))
    assert (key, message.startswith("merges.txt:3 must be two symbols of vocab.json")) == ("tokenizer.path", True)


def test_a_path_that_the_system_refuses_is_a_problem() -> None:
    path = "a" * 300
    ((key, message, _),) = problems(configured(path))
    assert key == "data.path" and message.startswith("cannot be looked at: ")
    ((key, message, _),) = problems(configured(None, "tokenizer=gpt2", f"tokenizer.path='{path}'", "model.vocab_size=50257"))
    assert key == "tokenizer.path" and message.startswith("cannot be looked at: ")


def test_an_empty_path_is_no_folder() -> None:
    assert problems(configured("")) == [("data.path", "must not be empty", "data.path=null")]


def test_a_name_on_the_hub_is_not_asked_for_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (only,) = problems(gpt2hydra.compose("train", ["tokenizer=gpt2", "tokenizer.path=nobody/nothing-of-the-kind"]))
    assert only[1].startswith(
        "cannot be fetched from the Hugging Face hub (HF_HUB_OFFLINE is set, and the files were not fetched"
    )


def test_a_text_too_short_under_bpe_is_counted(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    folder = write_bpe(tmp_path / "bpe", "a a", "aa aa")
    (tmp_path / "text.txt").write_text("a" * 100)
    config = bpe(folder, "model.n_positions=8", f"data.path='{tmp_path}/text.txt'")
    assert problems(config)[0][1].startswith("is too short: of its 26 tokens 2 are for validation")


@pytest.mark.parametrize(
    ("path", "message", "suggestion"),
    [
        ("nowhere.txt", "there is no such file", ""),
        ("short.bin", "is too short: it has 8 tokens, and training.seq_len + 1 = 9 are needed", "training.seq_len=7"),
        ("odd.bin", "has 3 bytes and no header, but tokens have two bytes; is it truncated?", ""),
    ],
)
def test_a_validation_text_that_cannot_be_used(path: str, message: str, suggestion: str, text: Path) -> None:
    write_tokens(text.parent / "short.bin", list(range(8)))
    (text.parent / "odd.bin").write_bytes(b"abc")
    config = configured(text, f"data.validation_path='{text.parent / path}'")
    assert problems(config) == [("data.validation_path", message, suggestion)]


def test_tokens_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    write_tokens(tmp_path / "a.bin", [*range(100), 257])
    message = "holds token 257; the tokenizer has only 257 symbols"
    assert problems(configured(tmp_path / "a.bin")) == [("data.path", message, "")]
    write_tokens(tmp_path / "a.bin", [*range(100), 50256])
    message = "holds token 50,256; the tokenizer has only 257 symbols; GPT-2's tokens need tokenizer=gpt2"
    assert problems(configured(tmp_path / "a.bin")) == [("data.path", message, "")]
    write_tokens(tmp_path / "a.bin", [*range(100), 256])
    assert problems(configured(tmp_path / "a.bin")) == []


@pytest.mark.usefixtures("small_memory")
def test_a_cache_that_cannot_be_written_is_refused_beforehand(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ((key, message, _),) = problems(configured(text, f"data.cache_dir='{text}'"))
    assert key == "data.cache_dir" and message.endswith(f"for the tokens of a large text ({text} is a file)")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1000, 990, 10))
    ((key, message, _),) = problems(configured(text, f"data.cache_dir='{text.parent}/cache'"))
    assert key == "data.cache_dir" and message.endswith("(0.0 GB are needed and 0.0 are free)")
