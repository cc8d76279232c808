"""Losses are kept in one tensor, however many there are."""

import pytest

pytest.importorskip("torch")

import torch

from gpt2hydra.training.step_metrics import LossBuffer


def test_losses_come_back_in_their_order_and_only_once() -> None:
    losses = LossBuffer(torch.device("cpu"))
    expected = [each / 7 for each in range(200)]
    for each in expected:
        losses.append(torch.tensor(each, requires_grad=True))
    assert len(losses) == 200
    taken = losses.take()
    torch.testing.assert_close(taken, torch.tensor(expected), rtol=0, atol=0)
    losses.append(torch.tensor(9.0))
    assert (losses.take().tolist(), len(losses), losses.take().tolist()) == ([9.0], 0, [])
    assert taken[0] == 0 and not taken.requires_grad


def test_no_tensor_is_kept_for_each() -> None:
    losses = LossBuffer(torch.device("cpu"))
    before = torch.zeros(())
    losses.append(before)
    before += 1
    assert losses.take().tolist() == [0]
