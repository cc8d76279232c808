"""The checkpoints of a run in training."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from gpt2hydra import TrainConfig
from gpt2hydra.checkpoint import atomic_directory, run_checkpoints, state
from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.data.tokenizer import bytes_tokenizer
from gpt2hydra.training.checkpointing import Checkpointer
from gpt2hydra.training.fabric import setup_fabric
from tests.models import TINY, tiny_model


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpointer:
    training = TrainingConfig(seq_len=16, keep_checkpoints=1, keep_every=4)
    config = TrainConfig(model=TINY, training=training)
    return Checkpointer(config, tmp_path, setup_fabric(training, torch.device("cpu")), bytes_tokenizer(), None)


STATE: dict[str, Any] = {"model": state.gather_weights(tiny_model()), "optimizer": {}, "loop": {"step": 1}}


def steps(run: Path) -> list[int]:
    return [each.step for each in run_checkpoints.list_complete(run)]


def test_a_checkpoint_gets_its_validation_loss_afterwards_and_stays_complete(checkpoints: Checkpointer, tmp_path: Path) -> None:
    checkpoints.save(3, STATE)
    assert checkpoints.has(3) and not checkpoints.has(2)
    checkpoints.set_validation_loss(1.25)
    (kept,) = run_checkpoints.list_complete(tmp_path)
    assert kept == checkpoints.last
    assert (kept.validation_loss, atomic_directory.find_damage(kept.folder)) == (1.25, None)


def test_the_last_the_best_and_the_milestones_are_kept(checkpoints: Checkpointer, tmp_path: Path) -> None:
    for step, loss in ((3, 1.0), (4, 3.0), (5, 2.0), (6, 2.5)):
        checkpoints.save(step, STATE)
        checkpoints.set_validation_loss(loss)
        checkpoints.prune()
    assert steps(tmp_path) == [3, 4, 6]


def test_a_checkpoint_that_diverged_is_removed_and_the_one_before_is_the_last_again(
    checkpoints: Checkpointer, tmp_path: Path
) -> None:
    checkpoints.save(3, STATE)
    checkpoints.save(4, STATE)
    checkpoints.discard()
    assert (steps(tmp_path), checkpoints.has(3)) == ([3], True)


def test_the_checkpoint_of_another_run_is_not_this_runs(checkpoints: Checkpointer, tmp_path: Path) -> None:
    checkpoints.save(3, STATE)
    fork = Checkpointer(checkpoints.config, tmp_path / "fork", checkpoints.fabric, checkpoints.tokenizer, checkpoints.last)
    assert (fork.has(3), fork.last_folder) == (False, run_checkpoints.checkpoint_dir(tmp_path, 3))
