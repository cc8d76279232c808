"""Every planted mistake of a conf tree is found, with its file and line."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt2hydra.commands.common_options import load_application
from gpt2hydra.composition.conf_tree import ConfTree
from gpt2hydra.composition.lint import check_tree
from gpt2hydra.composition.report import Report
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import TrainConfig
from tests.own_application import write_application

GLOBAL = "# @package _global_\n"

MISTAKES = {
    "model/range.yaml": ("n_layer: 2\nn_embd: 0\n", {2: "must be ≥ 1 and ≤ 1,000,000"}),
    "model/kind.yaml": ("n_layer: twelve\nn_hed: 3\n", {1: "must be an integer", 2: "unknown key; did you mean model.n_head?"}),
    "model/computed.yaml": ("n_layer: 2\nn_inner: 5\n", {2: "is computed"}),
    "model/twice.yaml": ("n_layer: 2\nn_head: 4\nn_layer: 3\n", {3: "has the key n_layer twice"}),
    "model/syntax.yaml": ("n_layer: 2\n  n_head: 4\n", {2: "is not YAML"}),
    "model/octal.yaml": ("\n\nn_layer: 014\n", {3: "in the file, write 14"}),
    "model/list.yaml": ("- n_layer\n", {1: "must be a YAML file of key: value lines, not a list"}),
    "model/latin.yaml": ("n_layer: 2\n# gr\udcfcn\n", {2: "is not UTF-8"}),
    "model/other.yml": ("n_layer: 2\n", {1: "Hydra takes .yaml files only"}),
    "hardware/text.yaml": ("memory_gb: 3\nname: no\n", {2: "YAML reads it as false"}),
    "experiment/relation.yaml": (GLOBAL + "model:\n  n_embd: 770\n  n_layer: 3\n", {3: "must divide model.n_embd = 770"}),
    "experiment/option.yaml": (
        GLOBAL + "defaults:\n- override /tokenizer: gpt3\ntraining:\n  seed: -1\n  sed: 3\n",
        {3: "did you mean gpt2?", 5: "must be ≥ 0", 6: "unknown key; did you mean training.seed?"},
    ),
    "experiment/group.yaml": (GLOBAL + "defaults:\n  - override /modle: small\n", {3: "did you mean /model?"}),
    "experiment/again.yaml": (GLOBAL + "defaults:\n  - /model: large\n", {3: "write 'override /model'"}),
    "experiment/config.yaml": (GLOBAL + "defaults: [quikstart]\n", {2: "did you mean quickstart?"}),
    "experiment/entry.yaml": (GLOBAL + "defaults: {model: xl}\n", {2: "must be a list"}),
    "experiment/dotted.yaml": (GLOBAL + "training.seed: 3\n", {2: "must be nested in YAML"}),
    "experiment/nothing.yaml": (GLOBAL + "training:\n  seq_len: ${model.n_pos}\n", {3: "refers to a key that does not exist"}),
    "experiment/hydra.yaml": (GLOBAL + "hydra:\n  swep: {dir: x}\n", {3: "is not accepted by Hydra"}),
    "experiment/package.yaml": ("training:\n  seed: 3\n", {1: "whose first line must be: # @package _global_"}),
    "debug/alone.yaml": ("x: 1\n", {1: "no defaults list has the group debug"}),
}
"""File → its text, and line → what is reported of it."""

RIGHT = {
    "model/open.yaml": "n_layer: ???\nn_head: ${.n_layer}\n",
    "experiment/on_another.yaml": GLOBAL + "defaults:\n  - quickstart\n  - override /model: large\n  - _self_\n",
    "experiment/part/shared.yaml": "seed: 3\n",
    "experiment/takes_in.yaml": GLOBAL + "defaults:\n  - part/shared@training\n  - _self_\ndata:\n  path: ???\n",
    "extra/added.yaml": GLOBAL + "training:\n  seed: 3\n",
    "hydra/job_logging/mine.yaml": "version: 1\n",
    "train_long.yaml": "defaults:\n  - train\n  - _self_\n  - override model: ???\ntraining:\n  max_steps: 9000\n",
}
"""Nothing is wrong with these."""


LEFT_OUT = ("*00*", "rtx*", "l4*", "gpt2_124m*", "shakespeare*", "medium*", "xl*", "generate*")
"""Options that would take time to check and tell nothing new."""


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ConfTree]:
    """A copy of our own tree, but for some options, with more files, in the current directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(CONF_DIR, "conf", ignore=shutil.ignore_patterns(*LEFT_OUT))

    def files(**texts: str) -> ConfTree:
        for name, text in texts.items():
            file = Path("conf", name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode("utf-8", "surrogateescape"))
        return ConfTree(Path("conf"))

    return files


def found(report: Report) -> list[tuple[str, int]]:
    return [(str(each.where.file), each.where.line or 0) for each in report.problems]


def test_every_mistake_is_found_with_its_line(plant: Callable[..., ConfTree]) -> None:
    report = check_tree(plant(**{name: text for name, (text, _) in MISTAKES.items()}))
    assert found(report) == sorted((f"conf/{name}", line) for name, (_, lines) in MISTAKES.items() for line in lines)
    for problem in report.problems:
        message = MISTAKES[str(problem.where.file).removeprefix("conf/")][1][problem.where.line or 0]
        assert message in problem.violation.rule
        assert problem.found_with == ""


def test_correct_files_are_not_reported(plant: Callable[..., ConfTree]) -> None:
    assert check_tree(plant(**RIGHT)).problems == []


def test_a_mistake_of_a_primary_config_is_reported_once(plant: Callable[..., ConfTree]) -> None:
    text = (CONF_DIR / "train.yaml").read_text(encoding="utf-8").replace("seq_len: ${model.n_positions}", "seq_len: 0")
    line = text.splitlines().index("  seq_len: 0") + 1
    assert found(check_tree(plant(**{"train.yaml": text}))) == [("conf/train.yaml", line)]


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        pytest.param("- train_schema", "- train_shema", "there is no such config; did you mean train_schema?", id="schema"),
        pytest.param("- tokenizer: bytes", "- tokenizer: byte", "must be one of bytes, gpt2; did you mean bytes?", id="option"),
        pytest.param("- hardware: this", "- hardwar: this", "there is no such group; did you mean hardware?", id="group"),
    ],
)
def test_a_wrong_defaults_list_of_a_primary_config_has_its_line(
    plant: Callable[..., ConfTree], before: str, after: str, rule: str
) -> None:
    text = (CONF_DIR / "train.yaml").read_text(encoding="utf-8").replace(before, after)
    line = next(number for number, each in enumerate(text.splitlines(), 1) if after in each)
    report = check_tree(plant(**{"train.yaml": text}))
    assert ("conf/train.yaml", line) in found(report)
    assert rule in report.problems[found(report).index(("conf/train.yaml", line))].violation.rule


def test_a_file_behind_another_of_its_name_is_reported(plant: Callable[..., ConfTree]) -> None:
    tree = plant()
    Path("mine/model").mkdir(parents=True)
    Path("mine/model/small.yaml").write_text("n_layer: 3\n")
    tree = ConfTree(Path("conf"), extra_dir="mine")
    (hidden,) = check_tree(tree).problems
    assert (str(hidden.where), hidden.violation.rule) == (
        "mine/model/small.yaml:1",
        "is never read: conf/model/small.yaml comes before it in the search path",
    )


def test_a_folder_of_the_search_path_is_checked_too(plant: Callable[..., ConfTree]) -> None:
    Path("more/model").mkdir(parents=True)
    Path("more/model/tiny.yaml").write_text("n_layer: 0\n")
    train = (CONF_DIR / "train.yaml").read_text(encoding="utf-8").replace("hydra:\n", "hydra:\n  searchpath: [file://more]\n")
    assert found(check_tree(plant(**{"train.yaml": train}))) == [("more/model/tiny.yaml", 1)]


def test_an_option_that_does_not_go_with_the_primary_config_is_reported(plant: Callable[..., ConfTree]) -> None:
    train = "defaults: [train_schema, model: small, _self_]\nmodel:\n  n_head: 6\n"
    tree = plant(**{"train.yaml": train, "model/odd.yaml": "n_layer: 2\nn_embd: 770\n"})
    found_in = [
        (str(each.where), each.found_with) for each in check_tree(tree).problems if "must divide" in each.violation.rule
    ]
    assert found_in == [(f"conf/model/{name}.yaml:2", "") for name in ("large", "odd")]


# --------------------------------------------------------------------------------------- an application of one's own

OWN_MISTAKES = {
    "lora/kind.yaml": ("rank: eight\nalhpa: 3\n", {1: "must be an integer", 2: "unknown key; did you mean lora.alpha?"}),
    "lora/sign.yaml": ("rank: 4\nalpha: 0\n", {2: "must be > 0"}),
    "lora/computed.yaml": ("scale: 3\n", {1: "is computed (alpha / rank)"}),
    "lora/twice.yaml": ("rank: 4\nrank: 8\n", {2: "has the key rank twice"}),
    "lora/syntax.yaml": ("rank: [4\n", {2: "is not YAML"}),
    "lora/octal.yaml": ("alpha: 2\nrank: 010\n", {2: "in the file, write 10"}),
    "lora/latin.yaml": ("# \udcfc\n", {1: "is not UTF-8"}),
    "lora/old.yml": ("rank: 4\n", {1: "Hydra takes .yaml files only"}),
    "lora/nothing.yaml": ("rank: ${model.n_hed}\n", {1: "refers to a key that does not exist"}),
    "experiment/rule.yaml": (GLOBAL + "model: {n_embd: 60, n_head: 4}\n", {2: "must be < model.n_embd = 60"}),
    "experiment/option.yaml": (GLOBAL + "defaults:\n- override /lora: wider\n", {3: "did you mean wide?"}),
    "experiment/group.yaml": (GLOBAL + "defaults:\n- override /loras: wide\n", {3: "did you mean /lora?"}),
    "experiment/dotted.yaml": (GLOBAL + "lora.rank: 3\n", {2: "must be nested in YAML"}),
    "notes/alone.yaml": ("x: 1\n", {1: "no defaults list has the group notes"}),
}


def test_every_mistake_of_another_application_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    conf = write_application(Path(), "checked_app") / "conf"
    for name in ("lora/wrong.yaml", "lora/typo.yaml"):
        (conf / name).unlink()
    for name, (text, _) in OWN_MISTAKES.items():
        (conf / name).parent.mkdir(exist_ok=True)
        (conf / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    programs = [load_application(f"checked_app.{name}:main") for name in ("finetune", "probe")]
    report = check_tree(ConfTree(conf, {each.config_name: each.config_class for each in programs if each.config_class}))
    expected = {
        (f"checked_app/conf/{name}", line): message
        for name, (_, lines) in OWN_MISTAKES.items()
        for line, message in lines.items()
    }
    assert found(report) == sorted(expected)
    for problem in report.problems:
        assert expected[str(problem.where.file), problem.where.line or 0] in problem.violation.rule


@pytest.mark.parametrize(
    ("name", "schema"),
    [pytest.param("mine", "unheard_of_schema", id="of any name"), pytest.param("train2", "train2_schema", id="like ours")],
)
def test_a_program_that_nobody_named_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, schema: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("conf").mkdir()
    Path(f"conf/{name}.yaml").write_text(f"defaults:\n  - {schema}\n  - model: small\n  - _self_\n")
    (problem,) = check_tree(ConfTree(Path("conf"))).problems
    assert (str(problem.where), problem.violation.rule) == (
        f"conf/{name}.yaml:2",
        "no known program has this schema; name yours: --app module:function",
    )


def test_a_tree_without_a_schema_is_composed_and_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("conf/db").mkdir(parents=True)
    Path("conf/app.yaml").write_text("defaults:\n  - db: one\n  - _self_\nx: 3\n")
    Path("conf/db/one.yaml").write_text("url: here\n")
    report = check_tree(ConfTree(Path("conf")))
    assert (report.problems, report.notes) == ([], ["conf/app.yaml lists no schema, so its values are not checked"])


@pytest.mark.parametrize(
    ("defaults", "rule"),
    [
        pytest.param("[train_schema, model, _self_]", "includes this file itself", id="lists itself"),
        pytest.param("[train_schema, _self_, _self_]", "is a duplicate", id="_self_ twice"),
        pytest.param("[train_schema", "is not YAML", id="not YAML"),
    ],
)
def test_a_primary_whose_defaults_hydra_refuses_is_reported_whatever_its_name(tmp_path: Path, defaults: str, rule: str) -> None:
    """The config has the name of one of its keys."""
    (tmp_path / "model.yaml").write_text(f"defaults: {defaults}\n")
    report = check_tree(ConfTree(tmp_path, {"model": TrainConfig}))
    assert [rule in each.violation.rule for each in report.problems] == [True]


def test_choices_of_an_unreadable_defaults_list_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/small.yaml").write_text("n_layer: 2\n")
    (tmp_path / "train.yaml").write_text("defaults: 5\n")
    assert [each.violation.key for each in check_tree(ConfTree(tmp_path, {"train": TrainConfig})).problems] == ["defaults"]


def test_null_yaml_is_not_read_for_the_option_null(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/none.yaml").write_text("null\n")
    (tmp_path / "train.yaml").write_text("defaults: [train_schema, {model: none}, _self_]\n")
    assert check_tree(ConfTree(tmp_path, {"train": TrainConfig})).files != []


def test_a_folder_within_a_group_that_two_sections_choose_from_is_looked_into(tmp_path: Path) -> None:
    write = {"probe.yaml": "defaults: [{a: x}, {a@b: x}, _self_]\n", "a/x.yaml": "n: 1\n", "a/more/y.yaml": "n: 2\n"}
    for name, text in write.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert check_tree(ConfTree(tmp_path)).problems == []


def test_an_option_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name in ("small", "7", "true", "null", "1e3", "é", "a,b", "it's"):
        (tmp_path / f"model/{name}.yaml").write_text("n_layer: 2\n")
    (tmp_path / "train.yaml").write_text("defaults: [train_schema, {model: small}, _self_]\n")
    assert check_tree(ConfTree(tmp_path, {"train": TrainConfig})).problems == []
