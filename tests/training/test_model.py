"""The model that is trained, held against plain PyTorch and transformers."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from transformers import AutoConfig
from transformers import GPT2Config as HFConfig

from gpt2hydra import GPT2Config
from gpt2hydra.checkpoint.huggingface import to_hf
from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.training.model import GPT2WithLoss, build_model
from tests.models import TINY, save_tiny, tiny_model


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


def test_weights_can_be_those_of_a_folder(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = build_model(TINY, TrainingConfig(seq_len=16), start_from=save_tiny(tmp_path / "theirs"))
    theirs = tiny_model().state_dict()
    assert all(torch.equal(each, theirs[name]) for name, each in model.state_dict().items())
    assert model.lm_head.weight is model.transformer.wte.weight


def test_the_loss_is_of_the_next_token() -> None:
    inputs = torch.randint(0, 257, (3, 16), generator=torch.Generator().manual_seed(0))
    loss = GPT2WithLoss(tiny_model())(inputs[:, :-1], inputs[:, 1:])
    assert loss.item() == pytest.approx(tiny_model()(inputs, labels=inputs).loss.item(), rel=1e-5)
