"""The files of a tokenizer, and what can be wrong with them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.run import TokenizerConfig
from gpt2hydra.data import tokenizer_files
from gpt2hydra.data.tokenizer_files import (
    END_OF_TEXT,
    TOKENIZER_JSON,
    char_to_byte,
    check_tokenizer,
    read_tokenizer_json,
    vocabulary_stats,
)
from tests.checkpoints import write_bpe

MERGES = ("t h", "th e")


def rules_of(folder: Path) -> list[str]:
    return [violation.rule for violation in check_tokenizer(TokenizerConfig("gpt2", str(folder)), 50257)]


def write_whole(folder: Path, **changes: Any) -> Path:
    """``tokenizer.json`` as the tokenizers library writes it, alone."""
    vocab = dict(char_to_byte()) | {"th": 256}
    content: dict[str, Any] = {
        "added_tokens": [{"id": 257, "content": END_OF_TEXT}],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": vocab, "merges": [["t", "h"]]},
    }
    (folder / TOKENIZER_JSON).write_text(json.dumps(content | changes))
    return folder


def test_every_byte_has_its_character() -> None:
    assert sorted(char_to_byte().values()) == list(range(256))
    assert (char_to_byte()["Ġ"], char_to_byte()["Ċ"], char_to_byte()["A"]) == (32, 10, 65)


def test_a_vocabulary_says_how_much_it_holds(tmp_path: Path) -> None:
    assert vocabulary_stats(write_bpe(tmp_path, *MERGES)) == (259, len(END_OF_TEXT))


def test_the_complete_tokenizer_may_be_in_one_file(tmp_path: Path) -> None:
    assert vocabulary_stats(write_whole(tmp_path)) == (258, len(END_OF_TEXT))
    assert rules_of(tmp_path) == []


SPLIT = {"type": "Split", "pattern": {"Regex": "^(a|aa)+$"}, "behavior": "Isolated", "invert": False}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"pre_tokenizer": SPLIT}, id="pre-tokenizer"),
        pytest.param(
            {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [SPLIT, {"type": "ByteLevel"}]}}, id="in a sequence"
        ),
        pytest.param({"normalizer": {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}}, id="normalizer"),
    ],
)
def test_a_regular_expression_from_strangers_is_not_run(changes: dict[str, Any], tmp_path: Path) -> None:
    rule = "must not have a regular expression of its own, like GPT-2's tokenizer"
    with pytest.raises(ConfigError, match=rule):
        read_tokenizer_json(write_whole(tmp_path, **changes))
    assert rules_of(tmp_path) == [f"tokenizer.json {rule}"]


def sparse(name: str) -> Callable[[Path], None]:
    """A file of 6 GB that takes no room on the disk."""

    def write(folder: Path) -> None:
        with (folder / name).open("r+b") as stream:
            stream.truncate(6 * 10**9)

    return write


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        pytest.param(sparse("merges.txt"), "merges.txt is larger than 100,000,000 bytes", id="huge merges"),
        pytest.param(sparse("vocab.json"), "vocab.json is larger than 100,000,000 bytes", id="huge vocabulary"),
        pytest.param(lambda folder: (folder / "merges.txt").write_bytes(b"\xff"), "merges.txt is not UTF-8", id="no UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_refusal(damage: Callable[[Path], None], rule: str, tmp_path: Path) -> None:
    damage(write_bpe(tmp_path, *MERGES))
    assert rules_of(tmp_path) == [rule]


def test_merges_are_read_with_the_numbers_of_their_lines(tmp_path: Path) -> None:
    write_bpe(tmp_path, *MERGES)
    assert tokenizer_files.read_merges(tmp_path / "merges.txt") == [(2, "t h"), (3, "th e")]


ON_THE_HUB = TokenizerConfig("gpt2", "nobody/gpt2")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """What was fetched before: name → file. Nothing can be fetched now, or asked for."""
    client = pytest.importorskip("huggingface_hub")
    fetched: dict[str, str] = {}

    def not_reached(*_: Any) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(client, "try_to_load_from_cache", lambda path, name: fetched.get(name))
    monkeypatch.setattr(client, "hf_hub_download", None)
    monkeypatch.setattr("socket.create_connection", not_reached)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    return fetched


@pytest.mark.usefixtures("hub")
def test_a_hub_out_of_reach_is_one_refusal_at_once() -> None:
    with pytest.raises(ConfigError, match=r"cannot be fetched from the Hugging Face hub \(Name or service not known\)"):
        tokenizer_files.fetch_files(str(ON_THE_HUB.path))


def test_downloaded_files_need_no_network(hub: dict[str, str]) -> None:
    hub.update({"vocab.json": "a/vocab.json", "merges.txt": "a/merges.txt"})
    assert tokenizer_files.fetch_files(str(ON_THE_HUB.path)) == (Path("a/vocab.json"), Path("a/merges.txt"))
    assert not tokenizer_files.is_downloaded_by_run(ON_THE_HUB)


def test_a_run_says_whether_it_downloads(hub: dict[str, str], tmp_path: Path) -> None:
    assert tokenizer_files.is_downloaded_by_run(ON_THE_HUB)
    hub["vocab.json"] = "a/vocab.json"
    assert tokenizer_files.is_downloaded_by_run(ON_THE_HUB)
    assert not tokenizer_files.is_downloaded_by_run(TokenizerConfig())
    assert not tokenizer_files.is_downloaded_by_run(TokenizerConfig("gpt2", str(tmp_path)))
