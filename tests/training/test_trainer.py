"""The loop: what it computes, and that nothing which stops it changes that."""

import os
from pathlib import Path

import pytest

pytest.importorskip("torch")

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from gpt2hydra import TrainConfig
from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.data.batches import SequenceSampler
from gpt2hydra.data.tokenizer import bytes_tokenizer
from gpt2hydra.data.tokens import Tokens
from gpt2hydra.runs.metrics_csv import LossTable
from gpt2hydra.training.fabric import setup_fabric
from gpt2hydra.training.progress import Progress
from gpt2hydra.training.shared_requests import SharedRequests
from gpt2hydra.training.signals import Signals
from gpt2hydra.training.tracker import SafeTracker
from gpt2hydra.training.trainer import Data, Trainer
from tests.models import TINY, tiny_model
from tests.processes import Forked
from tests.training.tiny import curve, outcome
from tools import killed

SETTINGS = TrainingConfig(
    seq_len=8,
    batch_size=3,
    gradient_accumulation_steps=2,
    max_steps=4,
    warmup_steps=1,
    learning_rate=1e-2,
    max_grad_norm=0.5,
    weight_decay=0.3,
    log_interval=1,
    eval_interval=2,
)
TOKENS = Tokens.of(np.arange(1000, dtype=np.uint16) * 7 % 257)


def by_hand() -> tuple[torch.nn.Module, list[float], list[float]]:
    """Accumulation, clipping, schedule and AdamW in a plain loop: the model, the losses, the norms."""
    model, losses, norms = tiny_model(), [], []
    decaying = [each for each in model.parameters() if each.ndim == 2]
    others = [each for each in model.parameters() if each.ndim == 1]
    groups = [{"params": decaying, "weight_decay": 0.3}, {"params": others, "weight_decay": 0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-8)
    order = SequenceSampler(TOKENS, 8, 6, SETTINGS.seed)
    for step in range(4):
        for group in optimizer.param_groups:
            group["lr"] = SETTINGS.learning_rate_at(step)
        of_passes = []
        for batch in order.micro_batches(step, 3):
            loss = cross_entropy(model(batch.inputs).logits.flatten(0, 1), batch.targets.flatten())
            torch.autograd.backward(loss / 2)
            of_passes.append(loss.item())
        losses.append(sum(of_passes) / 2)
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5).item())
        optimizer.step()
        optimizer.zero_grad()
    return model, losses, norms


def test_the_loop_does_what_a_plain_loop_does(tmp_path: Path) -> None:
    gpt2, table, fabric = tiny_model(), LossTable(tmp_path), setup_fabric(SETTINGS, torch.device("cpu"))
    trainer = Trainer(
        *(TrainConfig(model=TINY, training=SETTINGS), tmp_path, fabric, gpt2),
        *(Data(bytes_tokenizer(), TOKENS, TOKENS), Progress(SETTINGS, table), SafeTracker(None, print)),
        SharedRequests(fabric, SETTINGS, Signals(), began=0),
    )
    trainer.train()
    rows = table.rows
    model, losses, norms = by_hand()
    assert [row.step for row in rows] == [0, 1, 2, 3, 4]
    assert [row.training_loss for row in rows[1:]] == pytest.approx(losses, rel=1e-5)
    assert [row.gradient_norm for row in rows[1:]] == pytest.approx(norms, rel=1e-5)
    assert [row.learning_rate for row in rows[1:]] == [SETTINGS.learning_rate_at(step) for step in range(4)]
    assert [row.validation_loss is not None for row in rows] == [True, False, True, False, True]
    assert [each.step for each in run_checkpoints.list_complete(tmp_path)] == [2, 4]
    text = torch.arange(8).reshape(1, 8)
    torch.testing.assert_close(gpt2(text).logits, model(text).logits, rtol=1e-4, atol=1e-4)


# ------------------------------------------------------------------------------------------------------- after SIGKILLs


def trains_through(folder: Path, kills: int, seed: int) -> None:
    """A run that was left in peace, and runs that were killed so often all together, have one curve and one model."""
    done = Forked(killed.main, folder, kills, seed).wait(600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n").count("killed") == kills, done.stdout
    whole, *resumed = sorted(folder.iterdir(), reverse=True)
    assert whole.name == "whole" and resumed
    assert [row["step"] for row in curve(whole)] == [str(step) for step in range(25)]
    for run in resumed:
        assert outcome(run, 24) == outcome(whole, 24)
        assert [path.name for path in (run / run_checkpoints.CHECKPOINTS_DIR).iterdir() if path.name.startswith(".")] == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kills_do_not_change_a_run(tmp_path: Path) -> None:
    trains_through(tmp_path, kills=3, seed=1)


@pytest.mark.thorough
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("seed", [2, 3])
def test_many_kills_do_not_change_a_run(seed: int, tmp_path: Path) -> None:
    trains_through(tmp_path, kills=20, seed=seed)
