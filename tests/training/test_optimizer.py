"""AdamW's groups, and the learning rate."""

import pytest

pytest.importorskip("torch")

from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.training.optimizer import adamw, parameter_groups, set_learning_rate
from tests.models import tiny_model


def test_matrices_decay_and_nothing_else() -> None:
    model = tiny_model()
    decaying, others = parameter_groups(model, 0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert all("ln_" in names[id(each)] or names[id(each)].endswith(".bias") for each in others["params"])
    assert len(decaying["params"]) == 2 + 2 * 4  # two embeddings, four matrices a block
    assert len(decaying["params"]) + len(others["params"]) == len(names)


def test_the_optimizer_has_the_settings() -> None:
    optimizer = adamw(tiny_model(), TrainingConfig(adam_beta1=0.8, adam_beta2=0.9, adam_epsilon=1e-6, weight_decay=0.3))
    set_learning_rate(optimizer, 0.25)
    wanted = {"betas": (0.8, 0.9), "eps": 1e-6, "lr": 0.25, "fused": True}
    assert [{name: group[name] for name in wanted} for group in optimizer.param_groups] == [wanted, wanted]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0]
