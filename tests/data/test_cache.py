"""Large texts, tokenized once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("filelock")
pytest.importorskip("numpy")

from gpt2hydra import TrainConfig
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.run import DataConfig, TokenizerConfig
from gpt2hydra.data import cache, file_digest, token_files
from gpt2hydra.data.encoding import Encoder
from gpt2hydra.data.token_files import TokenFile

SENTENCE = "It was a dark and stormy night; the rain fell in torrents.\n"


def configured(folder: Path) -> TrainConfig:
    return TrainConfig(data=DataConfig(cache_dir=str(folder / "cache")))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text(SENTENCE * 1000)
    settle(tmp_path / "text.txt")
    return tmp_path / "text.txt"


def settle(file: Path) -> None:
    """Last changed long enough ago for its time of change to tell it from its next content."""
    os.utime(file, ns=(0, time.time_ns() - 10 * file_digest.MIN_AGE_NANOSECONDS))


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "cache/tokens").iterdir())


def content(parts: list[TokenFile]) -> list[int]:
    found: list[int] = []
    for token_file in parts:
        with token_file.open() as tokens:
            found += tokens.tolist()
    return found


def test_a_text_is_tokenized_once(text: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    config = configured(text.parent)
    assert cache.find_cached(text, config) is None
    (first,) = cache.tokenize_files([text], config)
    assert content(first) == [256, *(SENTENCE * 1000).encode()]
    assert capfd.readouterr().err.startswith(f"tokenizing 0.1 MB of text once into {text.parent}/cache\ntokenized in ")
    monkeypatch.setattr(Encoder, "tokens", None)
    assert cache.tokenize_files([text], config) == [first]
    assert cache.find_cached(text, config) == first
    assert capfd.readouterr().err == ""


def test_the_same_content_under_another_name_is_the_same_entry(text: Path) -> None:
    config = configured(text.parent)
    cache.tokenize_files([text], config)
    text.rename(text.with_name("moved.txt"))
    cache.tokenize_files([text.with_name("moved.txt")], config)
    assert len(entries(text.parent)) == 1


def test_another_content_is_another_entry(text: Path) -> None:
    config = configured(text.parent)
    cache.tokenize_files([text], config)
    stat = text.stat()
    text.write_text(SENTENCE.replace("rain", "snow") * 1000)
    assert text.stat().st_size == stat.st_size
    (second,) = cache.tokenize_files([text], config)
    assert content(second)[1:] == list(text.read_bytes())
    assert len(entries(text.parent)) == 2


def test_a_damaged_entry_is_made_again(text: Path) -> None:
    config = configured(text.parent)
    ((token_file,),) = cache.tokenize_files([text], config)
    os.truncate(token_file.file, 5000)
    assert cache.tokenize_files([text], config) == [[token_file]]
    assert content([token_file]) == [256, *text.read_bytes()]


def test_a_text_of_very_many_tokens_becomes_several_files(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_files, "MAX_TOKENS", 10_000)
    (parts,) = cache.tokenize_files([text], configured(text.parent))
    assert [token_file.count for token_file in parts] == [10_000] * 5 + [len(SENTENCE) * 1000 + 1 - 50_000]
    assert [token_file.file.name for token_file in parts] == [f"tokens-{number:04}.bin" for number in range(1, 7)]
    assert content(parts) == [256, *text.read_bytes()]


def test_a_full_disk_is_reported_and_leaves_nothing(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match=r"for the tokens of a large text \(No space left on device\)"):
        cache.tokenize_files([text], configured(text.parent))
    assert entries(text.parent) == []


def test_an_interruption_leaves_nothing(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.tokenize_files([text], configured(text.parent))
    assert entries(text.parent) == []


RUN = """
import os, sys
from pathlib import Path
from gpt2hydra import TrainConfig
from gpt2hydra.config.run import DataConfig
from gpt2hydra.data import cache
file, folder, stop = sys.argv[1:]
if stop == "killed":
    os.fsync = lambda descriptor: os.kill(os.getpid(), 9)
((token_file,),) = cache.tokenize_files([Path(file)], TrainConfig(data=DataConfig(cache_dir=folder)))
print(token_file.count)
"""


def start(text: Path, stop: str = "") -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", RUN, str(text), str(text.parent / "cache"), stop]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_runs_that_start_at_once_and_one_that_was_killed_agree(text: Path) -> None:
    killed = start(text, "killed")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert [name.startswith(".unfinished-") for name in entries(text.parent)] == [True]
    running = [start(text) for _ in range(3)]
    outputs = [process.communicate() for process in running]
    assert [out for out, _ in outputs] == [f"{len(SENTENCE) * 1000 + 1}\n"] * 3
    assert sum("tokenized in" in err for _, err in outputs) == 1
    assert [name.startswith(".") for name in entries(text.parent)] == [False]


def test_the_default_is_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert file_digest.cache_folder(DataConfig()) == tmp_path / "gpt2hydra"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert file_digest.cache_folder(DataConfig()) == tmp_path / "me/.cache/gpt2hydra"
    assert file_digest.cache_folder(DataConfig(cache_dir="~/mine")) == tmp_path / "me/mine"


def test_a_file_without_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    encoder = Encoder(TokenizerConfig())
    with pytest.raises(ConfigError, match="holds no text"):
        cache.write_token_files(encoder, tmp_path / "empty.txt", tmp_path / "out", lambda count: None)
