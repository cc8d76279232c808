"""What the package offers, and what using it imports."""

import json
import subprocess
import sys

import pytest

import gpt2hydra

NAMES = [
    "ConfigError",
    "GPT2Config",
    "GenerateConfig",
    "TrainConfig",
    "Violation",
    "compose",
    "huggingface",
    "instantiate",
    "main",
    "register_configs",
    "sizing",
]


def test_the_public_names_are_these() -> None:
    assert gpt2hydra.__all__ == NAMES
    assert all(hasattr(gpt2hydra, name) for name in NAMES) and set(NAMES) <= set(dir(gpt2hydra))
    with pytest.raises(AttributeError, match="no_such_name"):
        gpt2hydra.no_such_name  # noqa: B018


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        pytest.param("gpt2hydra.GPT2Config.gpt2_xl()", ["hydra", "omegaconf", "torch"], id="a preset"),
        pytest.param("gpt2hydra.sizing.parameters(gpt2hydra.GPT2Config())", ["hydra", "omegaconf", "torch"], id="sizing"),
        pytest.param("gpt2hydra.huggingface.to_hf(gpt2hydra.GPT2Config())", ["hydra", "omegaconf", "torch"], id="huggingface"),
        pytest.param("gpt2hydra.compose('train', ['model=xl'])", ["torch", "transformers", "numpy"], id="compose"),
    ],
)
def test_a_name_imports_no_more_than_it_needs(code: str, absent: list[str]) -> None:
    watch = f"import json, sys, gpt2hydra; {code}; print(json.dumps([m for m in {absent!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
