"""The mean loss of a model."""

import pytest

pytest.importorskip("torch")

import torch
from torch.nn.functional import cross_entropy

from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.data.batches import IGNORE_INDEX, Batch
from gpt2hydra.training.evaluation import mean_loss
from gpt2hydra.training.fabric import setup_fabric
from gpt2hydra.training.model import GPT2WithLoss
from tests.models import tiny_model

SETTINGS = TrainingConfig(seq_len=8, device="cpu")


def test_a_mean_weighs_targets_alike_and_leaves_dropout_on() -> None:
    gpt2 = tiny_model()
    fabric = setup_fabric(SETTINGS, torch.device("cpu"))
    model = fabric.setup_module(GPT2WithLoss(gpt2)).train()
    first = Batch(torch.full((3, 8), 1), torch.full((3, 8), 5))
    second = Batch(torch.full((1, 8), 1), torch.tensor([[IGNORE_INDEX] * 5 + [9] * 3]))
    passes: list[None] = []
    loss = mean_loss(fabric, model, iter([first, second]), 3, 8, lambda: passes.append(None))
    with torch.no_grad():
        losses = [cross_entropy(gpt2(each.inputs).logits.flatten(0, 1), each.targets.flatten()) for each in (first, second)]
    assert loss == pytest.approx((24 * losses[0].item() + 3 * losses[1].item()) / 27, rel=1e-6)
    assert (model.training, len(passes)) == (True, 2)
