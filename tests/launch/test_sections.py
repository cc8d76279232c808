"""One section at a time: the gate before programs that exist, over small trees in the shapes of public ones."""

import contextlib
import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

import gpt2hydra
from gpt2hydra import ConfigError, GPT2Config
from gpt2hydra.commands import main as commands
from gpt2hydra.composition.hydra_state import hydra_state
from gpt2hydra.fields import Checked, anything, choice, either, integer, items, mapping, number, section, union
from gpt2hydra.launch.application import APPLICATION_ATTRIBUTE
from gpt2hydra.sizing.counts import parameters
from tests.command_line import CommandLine

TEMPLATE = """
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

import gpt2hydra
from gpt2hydra.fields import Checked, anything, integer, items, number, section, text


@dataclass(frozen=True)
class Optimizer(Checked):
    lr: float = number(doc="learning rate", above=0, at_most=1)
    weight_decay: float = number(0.0, "weight decay", at_least=0, at_most=1)
    betas: tuple[float, ...] = items(number(at_least=0, at_most=1), "betas", default=(0.9, 0.999), at_least=2, at_most=2)


@dataclass(frozen=True)
class Model(Checked):
    optimizer: Optimizer = section(Optimizer, "the optimizer", target=True)
    net: Any = anything("the network")
    compile: Any = anything("whether to compile", default=False)


@dataclass(frozen=True)
class Trainer(Checked, extra="allow"):
    max_epochs: int = integer(10, "epochs", at_most=1000)


@gpt2hydra.main(config_name="train.yaml", config_path="configs")
def main(cfg: DictConfig, model: Model, trainer: Trainer) -> None:
    'Train a network.'
    print(cfg.callbacks.checkpoint._target_, cfg.model._target_, model.optimizer.lr, trainer.extra["devices"])
"""
"""A program in the shape of lightning-hydra-template: ``_target_`` nodes, callbacks and loggers in mappings, experiments."""

TREE = {
    "program.py": TEMPLATE,
    "configs/train.yaml": """\
defaults:
  - _self_
  - data: mnist
  - model: mnist
  - callbacks: default
  - trainer: default
  - paths: default
  - experiment: null
  - optional local: default

task_name: train
tags: [dev]
seed: null
ckpt_path: ${paths.root}/x
""",
    "configs/data/mnist.yaml": "_target_: src.data.MNIST\nbatch_size: 128\nsplit: [55_000, 5_000]\n",
    "configs/model/mnist.yaml": """\
_target_: src.models.Module
optimizer:
  _target_: torch.optim.Adam
  _partial_: true
  lr: 0.001
  betas:
    - 0.9
    - 0.99
net:
  _target_: src.models.Net
  sizes: [64, 128]
compile: false
""",
    "configs/model/wrong.yaml": "defaults: [mnist]\noptimizer:\n  lr: 2\n  betas:\n    - 0.9\n    - 1.5\n  weigth_decay: 0.1\n",
    "configs/callbacks/default.yaml": "checkpoint: {_target_: lightning.Checkpoint, monitor: val/acc}\nearly_stopping: null\n",
    "configs/trainer/default.yaml": "_target_: lightning.Trainer\nmax_epochs: 10\ndevices: 1\n",
    "configs/paths/default.yaml": "root: ${oc.env:HOME}\noutput_dir: ${hydra:runtime.output_dir}\n",
    "configs/experiment/sub/a.yaml": "# @package _global_\ndefaults:\n  - override /model: mnist\ntrainer:\n  max_epochs: 20\n",
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    folder = tmp_path_factory.mktemp("existing") / "existing"
    for path, content in TREE.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    (folder / "__init__.py").write_text("")
    sys.path.insert(0, str(folder.parent))
    yield importlib.import_module("existing.program")
    sys.path.remove(str(folder.parent))
    for name in [each for each in sys.modules if each.partition(".")[0] == "existing"]:
        del sys.modules[name]


def problems(run: CommandLine, program: ModuleType, *arguments: str) -> list[list[str]]:
    """The lines of each problem, of a run that was refused."""
    outcome = run.program(program.main, *arguments)
    assert (outcome.code, outcome.out) == (1, ""), outcome.out + outcome.err
    return [[line.strip() for line in each.splitlines()] for each in outcome.err.split("\n\n")[1:]]


def test_a_valid_config_passes_with_all_that_hydra_composed(run: CommandLine, program: ModuleType) -> None:
    outcome = run.program(program.main, "model.optimizer.lr=0.5", "experiment=sub/a", "+trainer.accelerator=cpu")
    assert (outcome.code, outcome.out) == (0, "lightning.Checkpoint src.models.Module 0.5 1\n"), outcome.err


def test_five_typical_mistakes_are_refused_with_file_and_line(
    run: CommandLine, program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(str(program.__file__)).parent
    monkeypatch.chdir(folder)
    found = problems(run, program, "model=wrong", "trainer.max_epochs=0", "data.batch_sise=3")
    by_head = {each[0]: each[1:] for each in found}
    assert by_head["model.optimizer.lr = 2.0"][:2] == [
        "must be > 0 and ≤ 1",
        "set by configs/model/wrong.yaml:3   (was 0.001, configs/model/mnist.yaml:5)",
    ]
    assert by_head["model.optimizer.betas[1] = 1.5"][:2] == [
        "must be ≥ 0 and ≤ 1",
        "set by configs/model/wrong.yaml:6   (was [0.9, 0.99], configs/model/mnist.yaml:6)",
    ]
    assert by_head["model.optimizer.weigth_decay = 0.1"][0] == "unknown key; did you mean model.optimizer.weight_decay?"
    assert by_head["trainer.max_epochs = 0"][1].startswith("set by the command line: trainer.max_epochs=0   (was 10,")
    assert "did you mean data.batch_size?" in by_head["data.batch_sise = 3"][0]


def test_a_key_that_no_file_has_needs_a_plus(run: CommandLine, program: ModuleType) -> None:
    assert problems(run, program, "model.optimizer.weight_decay=0.1") == [
        [
            "model.optimizer.weight_decay = 0.1",
            "is in no file; add it with a plus",
            "set by the command line: model.optimizer.weight_decay=0.1",
            "try: +model.optimizer.weight_decay=0.1",
        ]
    ]
    assert run.program(program.main, "+model.optimizer.weight_decay=0.1").code == 0


def test_every_point_of_a_sweep_is_checked_first(run: CommandLine, program: ModuleType) -> None:
    outcome = run.program(program.main, "-m", "model.optimizer.lr=0.1,2,0.3")
    assert (outcome.code, outcome.out) == (1, "")
    assert "1 of 3 points is invalid" in outcome.err and "skip_invalid" not in outcome.err
    outcome = run.program(program.main, "-m", "model.optimizer.lr=0.1,0.3")
    assert outcome.out.count("lightning.Checkpoint") == 2, outcome.err


def test_help_explain_and_check_work_as_for_a_complete_class(run: CommandLine, program: ModuleType) -> None:
    folder = Path(str(program.__file__)).parent
    outcome = run.program(program.main, "--help")
    assert outcome.out.startswith("Train a network.\n") and "group=option; the files are in configs/:" in outcome.out
    assert "  model.optimizer.lr=0.001 " in outcome.out and "dry_run" not in outcome.out, outcome.err
    commands.main(["explain", "--app", "existing.program:main", "trainer.max_epochs=3", "trainer.max_epochs"])
    assert run.capfd.readouterr().out.startswith("trainer.max_epochs = 3   the command line: trainer.max_epochs=3\n    was 10 ")
    with pytest.raises(SystemExit) as caught:
        commands.main(["check", "--app", "existing.program:main", str(folder / "configs")])
    reported = run.capfd.readouterr().err
    assert caught.value.code == 1 and reported.startswith("3 problems in 1 of the 8 files"), reported


@dataclass(frozen=True)
class Net(Checked):
    width: int = integer(8, "width", at_most=64)


def test_a_section_that_is_not_there_is_one_clear_refusal(tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_text("model: {width: 3}\n")

    @gpt2hydra.main(config_name="train", config_path=tmp_path)
    def program(cfg: DictConfig, modle: Net) -> None: ...

    with pytest.raises(ConfigError) as caught:
        program(OmegaConf.load(tmp_path / "train.yaml"))
    assert [(each.key, each.rule) for each in caught.value.violations] == [
        ("modle", "must be a section of the config, but is missing; did you mean model?")
    ]


def test_wrong_parameters_are_refused_at_import() -> None:
    def wrong(cfg: DictConfig, model: int) -> None: ...
    def few(cfg: DictConfig) -> None: ...

    with pytest.raises(TypeError, match=r"wrong\(model: int\): must be annotated with a class that derives from Checked"):
        gpt2hydra.main(config_name="train")(wrong)
    with pytest.raises(TypeError, match=r"few\(cfg\): must take \(cfg: DictConfig and\) model"):
        gpt2hydra.main(config_name="train", sections={"model": Net})(few)
    with pytest.raises(TypeError, match=r"model\.config is inside model, which has its own class"):
        gpt2hydra.main(config_name="train", sections={"model": Net, "model.config": Net})(lambda model, config: None)


def test_a_nested_section_is_checked_under_its_key() -> None:
    @gpt2hydra.main(config_name="train", sections={"model.config": GPT2Config})
    def program(cfg, config):  # type: ignore[no-untyped-def]  # as programs that exist have it
        return cfg.model._target_, config

    node = {"model": {"_target_": "GPT", "config": {"_target_": "transformers.GPT2Config", "n_embd": 64, "n_head": 4}}}
    assert program(OmegaConf.create(node)) == ("GPT", GPT2Config(n_embd=64, n_head=4))
    node["model"]["config"]["n_head"] = 5  # type: ignore[index]
    with pytest.raises(ConfigError, match=r"model\.config\.n_head = 5\n    must divide model\.config\.n_embd = 64"):
        program(OmegaConf.create(node))


# ---------------------------------------------------------------------------------------------- trees of other shapes


@dataclass(frozen=True)
class AdamW(Checked):
    """Of a union that ``name`` tells apart, as in trees with an ``optimizer`` group."""

    lr: float = number(doc="learning rate", above=0, at_most=1)
    betas: tuple[float, ...] = items(number(at_least=0, at_most=1), "betas", at_least=2, at_most=2)


@dataclass(frozen=True)
class Muon(Checked):
    lr: float = number(doc="learning rate", above=0, at_most=10)
    momentum: float = number(0.95, "momentum", at_least=0, at_most=1)


@dataclass(frozen=True)
class Mixer(Checked):
    name: str = choice(doc="kind", choices=("mha", "linear", "conv"))
    window: int | None = integer(None, "window", optional=True)


@dataclass(frozen=True)
class Hybrid(Checked):
    """Mixers in a list, an optional section, a size by number or name."""

    d_model: int = integer(doc="width", at_most=10_000)
    mixers: Any = items(section(Mixer, "a mixer"), "one for each layer", at_least=1)
    rotary: Mixer | None = section(Mixer, "rotary embedding", optional=True)
    length: Any = either(integer(), choice(choices=("auto",)), doc="length", default="auto")


@dataclass(frozen=True)
class Noise(Checked, extra="allow"):
    type: str = choice(doc="schedule", choices=("loglinear", "cosine"))
    sigma_min: float = number(1e-4, "smallest", above=0)


@dataclass(frozen=True)
class Program(Checked):
    """A complete class over such a tree."""

    model: Hybrid = section(Hybrid, "the model", target=True)
    optim: Any = union("name", {"adamw": AdamW, "muon": Muon}, "the optimizer")
    noise: Noise = section(Noise, "the noise")
    callbacks: Any = mapping(anything(), "callbacks", default={})
    loader: Any = anything("the data loader", default=None)


PROGRAM = {
    "train.yaml": (
        "defaults: [train_schema, model: hybrid, optim: adamw, noise: loglinear, _self_]\ncallbacks:\n  ema: {decay: 0.9}\n"
    ),
    "model/hybrid.yaml": "_target_: src.Hybrid\nd_model: 64\nmixers:\n  - name: mha\n  - {name: linear, window: 8}\n",
    "optim/adamw.yaml": "name: adamw\nlr: 1e-3\nbetas: [0.9, 0.95]\n",
    "optim/muon.yaml": "name: muon\nlr: 0.02\n",
    "optim/wrong.yaml": "name: adam\nlr: 1\n",
    "noise/loglinear.yaml": "type: loglinear\nkind: anything\n",
}


@pytest.fixture
def compose(tmp_path: Path) -> Any:
    for path, content in PROGRAM.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content)
    return lambda *overrides: gpt2hydra.compose("train", overrides, config_dir=tmp_path, config_class=Program)


def test_every_kind_of_field_is_composed(compose: Any) -> None:
    config = compose("optim=muon", "optim.momentum=0.5", "model.length=128", "callbacks.ema.decay=0.5", "+callbacks.lr=1")
    assert (config.optim.lr, config.optim.momentum, config.model.length) == (0.02, 0.5, 128)
    assert config.model.mixers == (Mixer(name="mha"), Mixer(name="linear", window=8))
    assert config.callbacks == {"ema": {"decay": 0.5}, "lr": 1}
    assert config.noise.extra == {"kind": "anything"} and config.model.rotary is None
    assert config.model.to_dict()["_target_"] == "src.Hybrid"
    for override in ("model.rotary={name: mha}", "+model.rotary.name=mha"):
        assert compose(override).model.rotary == Mixer(name="mha")


@pytest.mark.parametrize(
    ("override", "head", "rule", "origin"),
    [
        pytest.param("optim.lr=2.5", "optim.lr = 2.5", "must be > 0 and ≤ 1", "(was 0.001, ", id="in a union"),
        pytest.param("optim.momentum=1.5", "optim.momentum = 1.5", "unknown key", "command line", id="of another class"),
        pytest.param("optim=wrong", "optim.name = adam", "must be one of adamw, muon", "wrong.yaml:1", id="discriminator"),
        pytest.param("optim.betas=[0.9,2]", "optim.betas[1] = 2", "must be ≥ 0 and ≤ 1", "command line", id="element"),
        pytest.param(
            "model.mixers=[{name: x}]", "model.mixers[0].name = x", "must be one of mha", "command line", id="list of sections"
        ),
        pytest.param("model.length=outo", "model.length = outo", "must be an integer ≥ 1, or one of auto", "", id="either"),
        pytest.param("model.d_modle=3", "model.d_modle = 3", "did you mean model.d_model?", "", id="misspelt"),
        pytest.param("callbacks=3", "callbacks = 3", "must be a mapping", "command line", id="no mapping"),
        pytest.param("noise=3", "noise = 3", "must be one of loglinear", "command line", id="no section"),
        pytest.param(
            "model.rotary.name=mha",
            "model.rotary.name = mha",
            "model.rotary is null; add the key with a plus",
            "",
            id="below null",
        ),
    ],
)
def test_every_kind_of_field_is_refused_with_its_source(compose: Any, override: str, head: str, rule: str, origin: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(override)
    found = {each.head: each for each in caught.value.violations}
    assert head in found, found.keys()
    assert rule in found[head].rule and origin in found[head].origin, found[head]


class Altered(GPT2Config):
    """A GPT-2 of somebody's own."""


@dataclass(frozen=True)
class AlteredProgram(Checked):
    encoder: Altered = section(Altered, "the encoder", target=True)


def test_a_size_of_ours_may_be_chosen_for_a_class_that_derives_from_gpt2config(tmp_path: Path) -> None:
    lines = "defaults: [train_schema, gpt2/model@encoder: medium, _self_]\nencoder: {_target_: transformers.GPT2Config}\n"
    (tmp_path / "train.yaml").write_text(lines)
    config = gpt2hydra.compose("train", ["encoder.n_layer=2"], config_dir=tmp_path, config_class=AlteredProgram)
    assert isinstance(config.encoder, Altered)
    assert (config.encoder.n_embd, config.encoder.n_layer, config.encoder.n_inner) == (1024, 2, 4096)
    with pytest.raises(ConfigError, match=r"encoder\.n_head = 7\n    must divide encoder\.n_embd = 1024"):
        gpt2hydra.compose("train", ["encoder.n_head=7"], config_dir=tmp_path, config_class=AlteredProgram)


def test_a_size_of_ours_in_another_kind_of_section_hides_no_other_mistake(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Program(Checked):
        encoder: Net = section(Net, "another network")
        steps: int = integer(3, "steps")

    (tmp_path / "train.yaml").write_text("defaults: [train_schema, gpt2/model@encoder: small, _self_]\nsteps: 0\n")
    with pytest.raises(ConfigError) as caught:
        gpt2hydra.compose("train", config_dir=tmp_path, config_class=Program)
    heads = {each.head: each.rule for each in caught.value.violations}
    assert heads.keys() >= {"encoder.n_head = 12", "steps = 0"} and "unknown key" in heads["encoder.n_head = 12"]


# ------------------------------------------------------------------------------------------- commands with --app

CHECKED_BYTES = """
from dataclasses import dataclass
from omegaconf import DictConfig
import gpt2hydra
from gpt2hydra.fields import Checked, items, number, section, text

class Net(gpt2hydra.GPT2Config): ...

@dataclass(frozen=True)
class Config(Checked):
    model: Net = section(Net, "the network", target=True)
    output: str = text("x", "where to write")
    betas: tuple[float, ...] = items(number(), "betas", default=())
    names: tuple[str, ...] = items(text(), "names", default=())

@gpt2hydra.main(config_name="complete", config_path="conf")
def complete(config: Config) -> None: ...

@gpt2hydra.main(config_name="by_section", config_path="conf")
def by_section(cfg: DictConfig, model: Net) -> None: ...
"""

CONF = {
    "complete.yaml": "defaults: [complete_schema, model: tiny, _self_, note: null]\noutput: ${hydra:runtime.output_dir}\n",
    "by_section.yaml": "defaults: [model: tiny, _self_]\noutput: ${hydra:runtime.output_dir}\n",
    "model/tiny.yaml": "n_embd: 64\nn_head: 4\nn_layer: 2\n",
}


@pytest.fixture
def looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "looked_at.py").write_text(CHECKED_BYTES)
    for name, content in CONF.items():
        (tmp_path / "conf" / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "looked_at", raising=False)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)  # that of a program which another test ran
    return tmp_path / "conf"


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command prints that finds nothing wrong, or a difference."""
    with contextlib.suppress(SystemExit):
        commands.main([*words])
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize("program", ["complete", "by_section"])
def test_a_reference_to_the_output_directory_is_right_for_every_command(
    program: str, looked_at: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = ("--app", f"looked_at:{program}")
    both = ("--app", "looked_at:complete", "--app", "looked_at:by_section")
    assert printed(capsys, "check", *both).endswith("nothing is wrong\n")
    assert "output = ${hydra:runtime.output_dir}" in printed(capsys, "explain", *app, "output")
    assert "  model.n_head  A  4  conf/model/tiny.yaml:2\n" in printed(capsys, "diff", *app, "", "model.n_head=8")
    assert printed(capsys, "size", *app, "model.n_embd=128").startswith("model\n  parameters            6.96M\n")
    assert json.loads(printed(capsys, "size", *app, "--json"))["model"]["parameters"] == SIZE
    schemas = json.loads(printed(capsys, "schema", *app, "--json"))
    assert program in schemas and "n_embd" in json.dumps(schemas["model"])


def test_values_that_yaml_misreads_in_a_list_have_their_line(looked_at: Path) -> None:
    (looked_at / "complete.yaml").write_text(
        "defaults: [complete_schema, model: tiny, _self_]\nbetas:\n  - 0.9\n  - 012\nnames: [yes, '010', 010]\n"
    )
    program = importlib.import_module("looked_at")
    with pytest.raises(ConfigError) as caught:
        gpt2hydra.compose("complete", config_dir=looked_at, config_class=program.Config)
    assert [(each.head, each.rule, str(each.source), each.suggestion) for each in caught.value.violations] == [
        ("betas[1] = 012", "YAML reads it as 10; in the file, write 12", "conf/complete.yaml:4", '"betas=[0.9,12]"'),
        ("names[0] = yes", TEXT.format("true", "yes"), "conf/complete.yaml:5", "\"names=[yes,'010','010']\""),
        ("names[2] = 010", TEXT.format("8", "010"), "conf/complete.yaml:5", "\"names=[yes,'010','010']\""),
    ]


SIZE = parameters(GPT2Config(n_embd=64, n_head=4, n_layer=2)).total
TEXT = "is text, but YAML reads it as {}; in the file, put it in quotes: '{}'"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        pytest.param("output: here\n", "whose first line must be: # @package _global_", id="keys of the top"),
        pytest.param("author: me\n", "whose keys belong to a section note, and Config has no such section", id="other keys"),
    ],
)
def test_a_file_of_a_group_without_a_section_is_reported_where_its_keys_belong(looked_at: Path, text: str, rule: str) -> None:
    (looked_at / "note").mkdir()
    (looked_at / "note/mine.yaml").write_text(text)
    program = importlib.import_module("looked_at")
    with pytest.raises(ConfigError, match=rule):
        gpt2hydra.compose("complete", ["note=mine"], config_dir=looked_at, config_class=program.Config)


def test_a_foreign_key_is_not_taken_for_another(looked_at: Path) -> None:
    program = importlib.import_module("looked_at")
    with pytest.raises(ConfigError) as caught:
        gpt2hydra.compose("complete", ["+model.pad_vocab_size_multiple=16"], config_dir=looked_at, config_class=program.Config)
    (problem,) = caught.value.violations
    assert "did you mean" not in problem.rule and problem.remedy == {}


def test_a_size_gives_its_keys_by_reference(tmp_path: Path) -> None:
    """The pattern of the docs: a model with keys of its own, which ``shape`` feeds."""

    @dataclass(frozen=True)
    class Own(Checked, extra="allow"):
        n_embd: int = integer(doc="width")
        n_layer: int = integer(doc="depth")

    @gpt2hydra.main(config_name="train", config_path=tmp_path)
    def program(cfg: DictConfig, model: Own) -> Any:
        return cfg.model._target_, model.n_embd, model.n_layer

    (tmp_path / "model").mkdir()
    (tmp_path / "model/own.yaml").write_text(
        "# @package _global_\ndefaults: [/gpt2/model@_global_.shape: small]\n"
        "model:\n  _target_: src.Own\n  n_embd: ${shape.n_embd}\n  n_layer: ${shape.n_layer}\n"
    )
    (tmp_path / "train.yaml").write_text("defaults: [model: own, _self_]\n")
    composer = getattr(program, APPLICATION_ATTRIBUTE).composer()
    with hydra_state():
        assert program(composer.compose_by_hydra([])) == ("src.Own", 768, 12)
        assert program(composer.compose_by_hydra(["gpt2/model@shape=large"])) == ("src.Own", 1280, 36)
