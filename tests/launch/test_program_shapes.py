"""The gate before programs that exist, over small trees in the shapes of four public ones: at most 30 lines each.

The shapes are those of ashleve/lightning-hydra-template, donglinkang2021/learnGPT, HazyResearch/based and
kuleshov-group/mdlm.
"""

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from gpt2hydra.commands import main as commands
from tests.command_line import CommandLine

MODULES_WITH_TARGETS = """
from dataclasses import dataclass
from typing import Any
from omegaconf import DictConfig
import gpt2hydra
from gpt2hydra.fields import Checked, anything, items, number, section

@dataclass(frozen=True)
class Optimizer(Checked):
    lr: float = number(doc="learning rate", above=0, at_most=1)
    weight_decay: float = number(0.0, "weight decay", at_least=0, at_most=1)
    betas: tuple[float, ...] = items(number(at_least=0, at_most=1), "betas", default=(0.9, 0.999), at_least=2, at_most=2)

@dataclass(frozen=True)
class Model(Checked):
    optimizer: Optimizer = section(Optimizer, "the optimizer", target=True)
    net: Any = anything("the network")

@gpt2hydra.main(config_name="train.yaml", config_path="configs")
def main(cfg: DictConfig, model: Model) -> None:
    print(cfg.model._target_, model.optimizer.lr)
"""

MODELS_BY_TARGET = """
from dataclasses import dataclass
from omegaconf import DictConfig
import gpt2hydra
from gpt2hydra.fields import Checked, Failure, choice, integer, number, validator

@dataclass(frozen=True)
class GPT(Checked):
    vocab_size: int = integer(doc="tokens", at_most=1_000_000)
    n_embd: int = integer(doc="width", at_most=10_000)
    n_head: int = integer(doc="heads", at_most=100)
    dropout: float = number(0.0, "dropout", at_least=0, at_most=0.9)
    @validator("n_head")
    def _divides(self) -> Failure | None:
        return Failure("must divide {n_embd}") if self.n_embd % self.n_head else None

@dataclass(frozen=True)
class Training(Checked, extra="allow"):
    learning_rate: float = number(doc="learning rate", above=0, at_most=1)
    device: str = choice(doc="device", choices=("cpu", "cuda"))

@gpt2hydra.main(config_name="config", config_path="configs")
def main(cfg: DictConfig, model: GPT, training: Training) -> None:
    print(cfg.model._target_, training.learning_rate)
"""

SECTIONS_FURTHER_DOWN = """
from dataclasses import dataclass
from omegaconf import DictConfig
import gpt2hydra
from gpt2hydra.fields import Checked, integer, items, number

@dataclass(frozen=True)
class Optimizer(Checked):
    lr: float = number(doc="learning rate", above=0, at_most=1)
    betas: tuple[float, ...] = items(number(at_least=0, at_most=1), "betas", default=(0.9, 0.999), at_least=2, at_most=2)

@dataclass(frozen=True)
class Net(gpt2hydra.GPT2Config, extra="allow"):
    'What GPT-2 has, and more.'

SECTIONS = {"model.config": Net, "train.optimizer": Optimizer}

@gpt2hydra.main(config_name="config.yaml", config_path="configs", sections=SECTIONS)
def main(cfg: DictConfig, config: Net, optimizer: Optimizer) -> None:
    print(cfg.model._target_, optimizer.lr)
"""

DISCRIMINATORS = """
from dataclasses import dataclass
from typing import Any
from omegaconf import DictConfig
import gpt2hydra
from gpt2hydra.fields import Checked, Failure, choice, flag, integer, number, validator

@dataclass(frozen=True)
class Model(Checked, extra="allow"):
    type: str = choice(doc="backbone", choices=("ddit", "dimamba"))
    hidden_size: int = integer(doc="width", at_most=10_000)
    n_heads: int = integer(doc="heads", at_most=100)
    tie_word_embeddings: bool = flag(doc="one matrix for both ends")
    @validator("n_heads")
    def _divides(self) -> Failure | None:
        return Failure("must divide {hidden_size}") if self.hidden_size % self.n_heads else None

@dataclass(frozen=True)
class Optim(Checked):
    lr: float = number(doc="learning rate", above=0, at_most=1)
    beta1: float = number(0.9, "beta 1", at_least=0, at_most=1)
    beta2: float = number(0.999, "beta 2", at_least=0, at_most=1)

@gpt2hydra.main(config_name="config", config_path="configs")
def main(cfg: DictConfig, model: Model, optim: Optim) -> None:
    print(cfg.trainer._target_, optim.lr)
"""


@dataclass(frozen=True)
class Shape:
    """A program and its tree; what it prints; the overrides with five mistakes, and the beginning of what each report is."""

    gate: str
    tree: dict[str, str]
    printed: str
    wrong: tuple[str, ...]
    reports: dict[str, tuple[str, str]]


SHAPES = {
    "lightning": Shape(
        MODULES_WITH_TARGETS,
        {
            "train.yaml": (
                "defaults: [_self_, model: net, callbacks: default, paths: default, hydra: default, experiment: null, "
                "optional local: x]\nseed: null\n"
            ),
            "model/net.yaml": (
                "_target_: src.Module\noptimizer:\n  _target_: torch.optim.Adam\n  _partial_: true\n  lr: 0.001\n"
                "net: {_target_: src.Net, sizes: [64, 128]}\n"
            ),
            "model/wrong.yaml": (
                "defaults: [net, _self_]\noptimizer:\n  lr: 2\n  betas:\n    - 0.9\n    - 1.5\n  weigth_decay: 0.1\nnte: 3\n"
            ),
            "callbacks/default.yaml": "early_stopping: null\ncheckpoint: {_target_: lightning.Checkpoint, monitor: val/acc}\n",
            "paths/default.yaml": "root: ${oc.env:HOME}\noutput_dir: ${hydra:runtime.output_dir}\n",
            "hydra/default.yaml": "run:\n  dir: ${seed}/run\n",
            "experiment/sub/a.yaml": "# @package _global_\ndefaults: [override /model: net]\nmodel: {optimizer: {lr: 0.1}}\n",
        },
        "src.Module 0.001\n",
        ("model=wrong", "model.optimizer.weight_decay=-1"),
        {
            "model.optimizer.lr = 2.0": ("must be > 0 and ≤ 1", "configs/model/wrong.yaml:3   (was 0.001, configs/model/net"),
            "model.optimizer.betas[1] = 1.5": ("must be ≥ 0 and ≤ 1", "configs/model/wrong.yaml:6"),
            "model.optimizer.weigth_decay = 0.1": ("unknown key; did you mean", "configs/model/wrong.yaml:7"),
            "model.nte = 3": ("unknown key; did you mean model.net?", "configs/model/wrong.yaml:8"),
            "model.optimizer.weight_decay = -1": ("is in no file", "the command line: model.optimizer.weight_decay=-1"),
        },
    ),
    "based": Shape(
        SECTIONS_FURTHER_DOWN,
        {
            "config.yaml": (
                "# @package _global_\ndefaults: [_self_, optimizer: adamw, model: gpt2, datamodule: text, experiment: null]\n"
                "train:\n  optimizer:\n    lr: 0.001\n"
            ),
            "model/gpt2.yaml": (
                "defaults: [_self_, gpt2model: small]\n_target_: flash_attn.GPT\nconfig:\n  _target_: transformers.GPT2Config\n"
                "  n_positions: ${datamodule.max_length}\n"
            ),
            "model/gpt2model/small.yaml": "# @package model\nconfig: {n_embd: 768}\n",
            "optimizer/adamw.yaml": "# @package train.optimizer\n_target_: torch.optim.AdamW\n",
            "datamodule/text.yaml": "max_length: 1024\n",
            "experiment/pile/base.yaml": (
                "# @package _global_\nmodel:\n  config:\n    n_layer: 0\n    n_embd: 768.5\n"
                "train:\n  optimizer:\n    lr: 6\n    betas: [0.9]\n    wd: 0.1\n"
            ),
        },
        "flash_attn.GPT 0.001\n",
        ("experiment=pile/base",),
        {
            "model.config.n_layer = 0": ("must be ≥ 1 and ≤ ", "configs/experiment/pile/base.yaml:4"),
            "model.config.n_embd = 768.5": ("must be an integer", "configs/experiment/pile/base.yaml:5   (was 768, "),
            "train.optimizer.lr = 6.0": ("must be > 0 and ≤ 1", "configs/experiment/pile/base.yaml:8   (was 0.001, "),
            "train.optimizer.betas = [0.9]": ("must be a list of 2 values", "configs/experiment/pile/base.yaml:9"),
            "train.optimizer.wd = 0.1": ("unknown key", "configs/experiment/pile/base.yaml:10"),
        },
    ),
    "learnGPT": Shape(
        MODELS_BY_TARGET,
        {
            "config.yaml": (
                "defaults: [{data: chars}, {model: gpt}, {training: default}, {logger: null}, {hydra: default}, _self_]\n"
            ),
            "data/chars.yaml": "path: ${data_dir:chars}\n",
            "model/gpt.yaml": (
                "_target_: src.models.GPT\nn_embd: 64\nn_head: 8\ndropout: 0.2\nvocab_size: ${training.vocab_size}\n"
            ),
            "model/wrong.yaml": "_target_: src.models.GPT\nn_embd: 65\nn_head: 8\nvocab_size: 0\nbias: true\n",
            "training/default.yaml": "learning_rate: 0.0003\ndevice: cpu\nvocab_size: 65\n",
            "hydra/default.yaml": "job:\n  name: learn\n",
        },
        "src.models.GPT 0.0003\n",
        ("model=wrong", "training.device=gpu", "training.learning_rate=0"),
        {
            "model.n_head = 8": ("must divide model.n_embd = 65", "configs/model/wrong.yaml:3"),
            "model.vocab_size = 0": ("must be ≥ 1 and ≤ 1,000,000", "configs/model/wrong.yaml:4"),
            "model.bias = true": ("unknown key", "configs/model/wrong.yaml:5"),
            "training.device = gpu": (
                "must be one of cpu, cuda",
                "=gpu   (was cpu, configs/training/default.yaml:2)",
            ),
            "training.learning_rate = 0.0": ("must be > 0 and ≤ 1", "training.learning_rate=0   (was 0.0003, "),
        },
    ),
    "mdlm": Shape(
        DISCRIMINATORS,
        {
            "config.yaml": (
                "defaults: [_self_, /model: small, /noise: loglinear]\noptim: {lr: 3e-4}\n"
                "trainer: {_target_: lightning.Trainer, devices: '${device_count:}', steps: '${div_up:${optim.lr}, 3}'}\n"
            ),
            "model/small.yaml": "name: small\ntype: ddit\nhidden_size: 768\nn_heads: 12\ntie_word_embeddings: False\n",
            "model/wrong.yaml": "name: odd\ntype: dit\nhidden_size: 01400\nn_heads: 12\ntie_word_embeddings: nope\n",
            "noise/loglinear.yaml": "type: loglinear\nsigma_min: 1e-4\n",
        },
        "lightning.Trainer 0.0003\n",
        ("model=wrong", "optim.lr=-1", "+optim.beta3=0"),
        {
            "model.type = dit": ("must be one of ddit, dimamba", "configs/model/wrong.yaml:2"),
            "model.hidden_size = 01400": ("YAML reads it as 768; in the file, write 1400", "configs/model/wrong.yaml:3"),
            "model.tie_word_embeddings = nope": ("must be true or false", "configs/model/wrong.yaml:5"),
            "optim.lr = -1.0": ("must be > 0 and ≤ 1", "the command line: optim.lr=-1   (was 0.0003, configs/config.yaml:2)"),
            "optim.beta3 = 0": ("unknown key; did you mean optim.beta", "the command line: +optim.beta3=0"),
        },
    ),
}


@pytest.fixture
def shape(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shape:
    """A shape whose program, of a name of its own, can be imported from the current directory."""
    name, found = request.param, SHAPES[request.param]
    for path, content in {
        f"shape_{name}.py": found.gate,
        **{f"configs/{path}": text for path, text in found.tree.items()},
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, f"shape_{name}", raising=False)
    return found


every_shape = pytest.mark.parametrize("shape", SHAPES, indirect=True)


@every_shape
def test_five_typical_mistakes_are_refused_with_file_and_line(
    shape: Shape, run: CommandLine, request: pytest.FixtureRequest
) -> None:
    assert len([line for line in shape.gate.splitlines() if line]) <= 30
    program = importlib.import_module(f"shape_{request.node.callspec.params['shape']}").main
    outcome = run.program(program)
    assert (outcome.code, outcome.out) == (0, shape.printed), outcome.err
    outcome = run.program(program, *shape.wrong)
    assert (outcome.code, outcome.out) == (1, ""), outcome.out
    reports = [[line.strip() for line in each.splitlines()] for each in outcome.err.split("\n\n")[1:]]
    by_head = {each[0]: each[1:] for each in reports}
    for head, (rule, origin) in shape.reports.items():
        assert head in by_head, outcome.err
        assert by_head[head][0].startswith(rule) and origin in by_head[head][1], by_head[head]


@every_shape
def test_check_finds_exactly_the_mistakes_of_the_tree(
    shape: Shape, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [each for each in shape.tree if "wrong" in each or "pile" in each]:
        Path("configs", name).unlink()
    for words in ([], ["--app", f"shape_{request.node.callspec.params['shape']}:main"]):
        commands.main(["check", "configs", *words])
        assert capsys.readouterr().out.endswith("files in configs, nothing is wrong\n")
