"""instantiate() for sections of different classes, and within a job of somebody's own hydra.main."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from gpt2hydra import ConfigError, GPT2Config, instantiate
from gpt2hydra.composition.hydra_compat import HYDRA
from gpt2hydra.config.gpt2 import CONF_DIR


@dataclass
class Optim:
    lr: float
    steps: int = 3


def test_each_section_may_be_followed_by_its_class() -> None:
    config = OmegaConf.create({"optim": {"lr": 0.5, "steps": "${base}"}, "model": {"n_layer": 2}, "base": 4})
    optim, model = instantiate(config.optim, Optim, config.model, GPT2Config)
    assert (optim, model) == (Optim(0.5, 4), GPT2Config(n_layer=2))
    config.optim.lr, config.model.n_head = "fast", 7
    with pytest.raises(ConfigError) as caught:
        instantiate(config.optim, Optim, config.model, GPT2Config)
    lr, heads = caught.value.violations
    assert (lr.head, heads.head) == ("optim.lr = fast", "model.n_head = 7")
    assert heads.rule.startswith("must divide model.n_embd = 768 ")
    with pytest.raises(TypeError, match="int is no section"):
        instantiate(config.optim, int)


@dataclass
class Narrow:
    width: int = 3

    def __post_init__(self) -> None:
        if self.width > 10:
            raise ValueError("too wide")


def test_the_own_check_of_a_plain_class_blames_the_section() -> None:
    config = OmegaConf.create({"nets": {"first": {"width": 11}}})
    with pytest.raises(ConfigError) as caught:
        instantiate(config.nets.first, Narrow)
    assert [(each.head, each.rule) for each in caught.value.violations] == [("nets.first", "is refused by Narrow: too wide")]
    with pytest.raises(ConfigError) as caught:
        instantiate(OmegaConf.create({"width": 11}), Narrow)
    assert [each.head for each in caught.value.violations] == ["Narrow"]


def test_a_section_may_have_a_target() -> None:
    config = OmegaConf.create({"model": {"_target_": "transformers.GPT2Config", "_convert_": "all", "n_layer": 2}})
    assert instantiate(config.model, GPT2Config) == GPT2Config(n_layer=2)


PROGRAM = """
import hydra
import gpt2hydra

gpt2hydra.register_configs()

@hydra.main(config_name="train", config_path="configs", version_base="1.3")
def main(cfg):
    print(gpt2hydra.instantiate(cfg.model.config, gpt2hydra.GPT2Config).n_head)

if __name__ == "__main__":
    main()
"""


def test_in_a_job_of_hydra_it_reports_sources_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "configs/train.yaml").write_text(
        "defaults: [gpt2/model@model.config: medium, _self_]\nmodel:\n  config:\n    _target_: GPT2Config\n    n_layer: 0\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(CONF_DIR.parent)}
    command = [sys.executable, "program.py", "model.config.n_head=7"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert HYDRA >= (1, 4) or "Traceback" not in done.stderr  # 1.4 shows the line of every job that fails
    assert "  model.config.n_layer = 0\n    must be ≥ 1 and ≤ 10,000\n    set by configs/train.yaml:5" in done.stderr, (
        done.stderr
    )
    assert "    set by the command line: model.config.n_head=7   (was 16, " in done.stderr
