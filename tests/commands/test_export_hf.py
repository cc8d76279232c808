"""``gpt2hydra export-hf``: transformers builds the model that was meant from what is printed."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from gpt2hydra import GPT2Config, sizing
from gpt2hydra.commands.main import main


def exported(capsys: pytest.CaptureFixture[str], *overrides: str) -> dict[str, Any]:
    main(["export-hf", *overrides])
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


def random_shape(seed: int) -> list[str]:
    draw = random.Random(seed)
    heads = draw.randint(1, 20)
    shape = {
        "vocab_size": draw.randint(257, 60_000),
        "n_positions": draw.randint(1, 4096),
        "n_embd": heads * draw.randint(1, 80),
        "n_layer": draw.randint(1, 40),
        "n_head": heads,
        "resid_pdrop": draw.random(),
        "layer_norm_epsilon": 10 ** draw.uniform(-12, -1),
    }
    return [f"model.{key}={value}" for key, value in shape.items()]


SHAPES = [[f"model={name}"] for name in ("small", "medium", "large", "xl")] + [random_shape(seed) for seed in range(20)]


@pytest.mark.parametrize("overrides", SHAPES, ids=lambda overrides: overrides[0])
def test_transformers_counts_the_same_parameters(
    overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    content = exported(capsys, *overrides)
    (tmp_path / "config.json").write_text(json.dumps(content))
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(tmp_path))
    shape = {key: value for key, value in content.items() if key in GPT2Config().to_dict() and key != "n_inner"}
    assert model.num_parameters() == sizing.parameters(GPT2Config.from_dict(shape)).total
    assert model.config.n_ctx == content["n_positions"] and model.lm_head.weight is model.transformer.wte.weight


def test_the_end_of_text_is_the_hubs_or_the_last_token(capsys: pytest.CaptureFixture[str]) -> None:
    assert exported(capsys, "model=xl")["eos_token_id"] == 50256
    assert exported(capsys, "experiment=quickstart", "--json")["eos_token_id"] == 256


def test_a_shape_that_is_refused_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["export-hf", "model=large", "model.n_head=7"])
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (1, "") and "try: model.n_head=8" in err
