"""What is computed in training, held against plain PyTorch."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, TrainerCallback
from transformers import GPT2Config as HFConfig

from gpt2hydra import GPT2Config
from gpt2hydra.checkpoint.huggingface import to_hf
from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.data import corpus as data
from gpt2hydra.data.tokens import Tokens
from gpt2hydra.training.loop import GPT2Trainer, arguments, build_model, evaluate, learning_rate, parameter_groups, token_loss
from tests.models import TINY, tiny_model

CPU = torch.device("cpu")


# ------------------------------------------------------------------------------------------------------------- the model


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("small", 124_439_808), ("medium", 354_823_168), ("large", 774_030_080), ("xl", 1_557_611_200)],
)
def test_the_model_that_training_builds_has_gpt2s_parameters(name: str, parameters: int) -> None:
    with torch.device("meta"):
        model = build_model(GPT2Config.preset(name), TrainingConfig())
    assert sum(each.numel() for each in model.parameters()) == parameters


def test_transformers_understands_what_we_write() -> None:
    config = HFConfig.from_dict(to_hf(TINY, 256))
    ours = AutoConfig.for_model(**to_hf(TINY, 256)).to_dict()
    assert config.to_dict() == ours
    assert {key: ours[key] for key in TINY.to_dict() if key != "n_inner"} == {
        key: value for key, value in TINY.to_dict().items() if key != "n_inner"
    }


def test_weights_begin_as_gpt2s() -> None:
    torch.manual_seed(0)
    model = build_model(GPT2Config(vocab_size=500, n_embd=256, n_head=4, n_layer=8), TrainingConfig())
    block = {name.removeprefix("transformer.h.0."): each for name, each in model.state_dict().items()}
    assert block["attn.c_attn.weight"].std().item() == pytest.approx(0.02, rel=0.02)
    assert block["mlp.c_proj.weight"].std().item() == pytest.approx(0.02 / 4, rel=0.02)  # sqrt(2 * 8 layers)
    assert block["attn.c_attn.bias"].abs().max() == 0
    assert model.lm_head.weight is model.transformer.wte.weight


def test_matrices_decay_and_nothing_else() -> None:
    model = tiny_model()
    decaying, others = parameter_groups(model, 0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert all("ln_" in names[id(each)] or names[id(each)].endswith(".bias") for each in others["params"])
    assert len(decaying["params"]) == 2 + 2 * 4  # two embeddings, four matrices a block
    assert len(decaying["params"]) + len(others["params"]) == len(names)


def test_the_loss_is_of_the_next_token() -> None:
    inputs = torch.randint(0, 257, (3, 16), generator=torch.Generator().manual_seed(0))
    loss = token_loss(tiny_model(), {"inputs": inputs[:, :-1], "targets": inputs[:, 1:]})
    assert loss.item() == pytest.approx(tiny_model()(inputs, labels=inputs).loss.item(), rel=1e-5)


def test_an_evaluation_weighs_sequences_alike_and_leaves_dropout_on() -> None:
    model = tiny_model().train()
    batches = [
        {"inputs": torch.full((rows, 8), 1), "targets": torch.full((rows, 8), target)} for rows, target in ((3, 5), (1, 9))
    ]
    losses = [token_loss(model, batch).item() for batch in batches]
    assert evaluate(model, batches) == pytest.approx((3 * losses[0] + losses[1]) / 4, rel=1e-6)
    assert model.training


# ---------------------------------------------------------------------------------------------------------- the schedule


HALF_WAY_DOWN = 0.1 + 0.9 * (1 + 0.5**0.5) / 2
"""The cosine at 45 degrees, between 1 and 0.1."""


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("cosine", [0.5, 1.0, HALF_WAY_DOWN, 0.55, 1.1 - HALF_WAY_DOWN, 0.1]),
        ("linear", [0.5, 1.0, 0.775, 0.55, 0.325, 0.1]),
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_the_learning_rate_rises_then_falls(schedule: str, rates: list[float]) -> None:
    config = TrainingConfig(learning_rate=1, min_learning_rate_ratio=0.1, warmup_steps=1, max_steps=6, schedule=schedule)
    assert [learning_rate(config, step) for step in range(6)] == pytest.approx(rates)


def test_without_warm_up_the_first_step_is_at_the_peak() -> None:
    assert learning_rate(TrainingConfig(warmup_steps=0, learning_rate=1e-3), 0) == 1e-3


def test_a_run_of_warm_up_alone_divides_by_nothing() -> None:
    assert learning_rate(TrainingConfig(warmup_steps=1, max_steps=1, learning_rate=1e-3), 0) == 5e-4


# -------------------------------------------------------------------------------------------------------------- the steps

SETTINGS = TrainingConfig(
    seq_len=8,
    batch_size=3,
    gradient_accumulation_steps=2,
    max_steps=4,
    warmup_steps=1,
    learning_rate=1e-2,
    min_learning_rate_ratio=0.1,
    max_grad_norm=0.5,
    weight_decay=0.3,
)


@pytest.fixture
def batches() -> data.TrainingBatches:
    import numpy as np

    return data.TrainingBatches(Tokens.of(np.arange(1000, dtype=np.uint16) * 7 % 257), SETTINGS)


def by_hand(batches: data.TrainingBatches) -> tuple[torch.nn.Module, list[float]]:
    """Accumulation, clipping, schedule and AdamW in a plain loop."""
    model, losses = tiny_model(), []
    decaying = [each for each in model.parameters() if each.ndim == 2]
    others = [each for each in model.parameters() if each.ndim == 1]
    groups = [{"params": decaying, "weight_decay": 0.3}, {"params": others, "weight_decay": 0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-8)
    for step in range(4):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(SETTINGS, step)
        for batch in (batches[2 * step], batches[2 * step + 1]):
            loss = cross_entropy(model(batch["inputs"]).logits.flatten(0, 1), batch["targets"].flatten())
            torch.autograd.backward(loss / 2)
            losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
    return model, losses


def test_the_trainer_does_what_a_plain_loop_does(batches: data.TrainingBatches, tmp_path: Path) -> None:
    model = tiny_model()
    trainer = GPT2Trainer(SETTINGS, model, arguments(SETTINGS, CPU, tmp_path), batches, TrainerCallback())
    trainer.train()
    expected, losses = by_hand(batches)
    assert [loss.item() for loss in trainer.losses] == pytest.approx(losses, rel=1e-5)
    after = [token_loss(each, batches[0]).item() for each in (model, expected)]
    assert after[0] == pytest.approx(after[1], rel=1e-5)
    assert list(tmp_path.iterdir()) == []
