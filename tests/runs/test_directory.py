"""The directory of a run."""

import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gpt2hydra import GPT2Config, TrainConfig
from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.runs.directory import check_directory, check_space


def test_a_directory_with_checkpoints_is_refused(tmp_path: Path) -> None:
    run_checkpoints.place(tmp_path / "run", 10).mkdir(parents=True)
    with pytest.raises(ConfigError, match="holds the checkpoints of an earlier run") as refused:
        check_directory(tmp_path / "run", "output_dir")
    assert refused.value.violations[0].remedy == {"output_dir": f"{tmp_path}/run-2"}


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file is a file"):
        check_directory(tmp_path / "file/run", "output_dir")


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Sets the bytes that the disk has left."""
    usage = namedtuple("usage", "total used free")  # as shutil's
    yield lambda count: monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(count, 0, count))


def with_training(**settings: Any) -> TrainConfig:
    return TrainConfig(model=GPT2Config(n_layer=1), training=TrainingConfig(**settings))


CHECKPOINT = 3 * 4 * (50257 * 768 + 1024 * 768 + 12 * 768**2 + 13 * 768 + 2 * 768)
"""Bytes of weights and AdamW's two means, in fp32."""


@pytest.mark.parametrize(
    ("settings", "size", "count"),
    [
        pytest.param({}, CHECKPOINT, 4, id="the last two, the best, and the one being written"),
        pytest.param({"keep_checkpoints": 5}, CHECKPOINT, 7, id="the last five"),
        pytest.param({"keep_checkpoints": 10**6}, CHECKPOINT, 10, id="never more than are saved"),
        pytest.param({"max_steps": 101}, CHECKPOINT, 2, id="a short run"),
        pytest.param({"precision": "bf16_pure"}, CHECKPOINT // 2, 4, id="in bf16"),
    ],
)
def test_a_directory_needs_room_for_all_checkpoints_that_are_there_at_once(
    settings: dict[str, Any], size: int, count: int, tmp_path: Path, free: Callable[[int], None]
) -> None:
    config = with_training(**settings)
    free(count * size)
    check_space(config, tmp_path / "a/run", "output_dir")
    free(count * size - 1)
    with pytest.raises(ConfigError, match=rf" free; {count} checkpoints take "):
        check_space(config, tmp_path / "a/run", "output_dir")


def test_a_full_disk_names_how_many_checkpoints_find_room(tmp_path: Path, free: Callable[[int], None]) -> None:
    free(5 * CHECKPOINT)
    with pytest.raises(ConfigError) as refused:
        check_space(with_training(keep_checkpoints=4), tmp_path, "output_dir")
    assert refused.value.violations[0].remedy == {"training.keep_checkpoints": 3}
    check_space(with_training(keep_checkpoints=3), tmp_path, "output_dir")


def test_the_checkpoints_that_are_there_need_no_more_room(
    tmp_path: Path, free: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_checkpoints, "checkpoints", lambda run: [None] * 3)
    free(CHECKPOINT)
    check_space(with_training(), tmp_path, "output_dir")
    free(CHECKPOINT - 1)
    with pytest.raises(ConfigError, match="free; a checkpoint takes"):
        check_space(with_training(), tmp_path, "output_dir")
