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
from gpt2hydra.runs.directory import check_directory, check_space, max_checkpoints_on_disk


def test_a_directory_with_checkpoints_is_refused(tmp_path: Path) -> None:
    run_checkpoints.checkpoint_dir(tmp_path / "run", 10).mkdir(parents=True)
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
        pytest.param({"save_interval": 400}, CHECKPOINT, 3, id="saved at steps 400, 800 and 1000"),
        pytest.param({"save_interval": 400, "keep_every": 300}, CHECKPOINT, 6, id="and at 300, 600 and 900, which stay"),
        pytest.param({"keep_every": 400}, CHECKPOINT, 6, id="two that stay for ever besides"),
        pytest.param({"max_steps": 101, "save_minutes": 5}, CHECKPOINT, 4, id="a short run that saves by the clock"),
        pytest.param({"precision": "bf16_pure"}, CHECKPOINT // 2, 4, id="in bf16"),
    ],
)
def test_a_directory_needs_space_for_all_checkpoints_that_are_there_at_once(
    settings: dict[str, Any], size: int, count: int, tmp_path: Path, free: Callable[[int], None]
) -> None:
    config = with_training(**settings)
    free(count * size)
    check_space(config, tmp_path / "a/run", "output_dir")
    free(count * size - 1)
    with pytest.raises(ConfigError, match=rf" free; {count} checkpoints take "):
        check_space(config, tmp_path / "a/run", "output_dir")


def test_a_full_disk_names_how_many_checkpoints_fit(tmp_path: Path, free: Callable[[int], None]) -> None:
    free(5 * CHECKPOINT)
    with pytest.raises(ConfigError) as refused:
        check_space(with_training(keep_checkpoints=4), tmp_path, "output_dir")
    assert refused.value.violations[0].remedy == {"training.keep_checkpoints": 3}
    check_space(with_training(keep_checkpoints=3), tmp_path, "output_dir")


def test_milestones_that_find_no_room_are_given_up(tmp_path: Path, free: Callable[[int], None]) -> None:
    free(5 * CHECKPOINT)
    with pytest.raises(ConfigError, match="free; 14 checkpoints take") as refused:
        check_space(with_training(keep_every=100, eval_interval=50), tmp_path, "output_dir")
    assert refused.value.violations[0].remedy == {"training.keep_every": 0}
    check_space(with_training(eval_interval=50), tmp_path, "output_dir")


@pytest.mark.parametrize("interval", [1, 7, 10])
@pytest.mark.parametrize("every", [0, 1, 4, 10])
@pytest.mark.parametrize("first_step", [0, 3, 20])
def test_no_more_checkpoints_are_reckoned_with_than_are_saved(interval: int, every: int, first_step: int) -> None:
    settings = TrainingConfig(max_steps=25, warmup_steps=0, save_interval=interval, keep_every=every, keep_checkpoints=100)
    saved = [step for step in range(first_step + 1, 26) if settings.saves_at(step)]
    assert max_checkpoints_on_disk(settings, first_step) == len(saved)


def test_the_checkpoints_that_are_there_need_no_more_space(
    tmp_path: Path, free: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_checkpoints, "list_complete", lambda run: [None] * 3)
    free(CHECKPOINT)
    check_space(with_training(), tmp_path, "output_dir")
    free(CHECKPOINT - 1)
    with pytest.raises(ConfigError, match="free; a checkpoint takes"):
        check_space(with_training(), tmp_path, "output_dir")
