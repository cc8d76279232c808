"""A tree without a class: what is certainly wrong is reported with its line, and nothing else is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gpt2hydra.composition.conf_tree import ConfTree
from gpt2hydra.composition.lint import check_tree

GLOBAL = "# @package _global_\n"

TREE = {
    "app.yaml": (
        "defaults: [_self_, {db: one}, {model: null}, {hydra: default}, {experiment: null}, optional local: default]\n"
        "x: 3\nsame: ${x}\nwidth: ${model.width}\nfrom_experiment: ${train.lr}\nurl: ${db.url}/${.x}\n"
        "second: ${names.1}\nnames: [a, b]\nhere: ${hydra:runtime.cwd}\ncomputed: ${my_resolver:${x}}\nlog_level: 0o7\n"
    ),
    "db/one.yaml": "url: here\nport: 1\n",
    "db/two.yaml": "url: there\nnested: {key: 1}\n",
    "model/small.yaml": "width: 3\n",
    "hydra/default.yaml": "run:\n  dir: out/${x}\n",
    "experiment/sub/a.yaml": GLOBAL + "defaults: [override /db: two]\ntrain: {lr: 0.1}\n",
    "extra/added.yaml": "x: 1\n",
}
"""Nothing is wrong with it."""

MISTAKES = {
    "db/list.yaml": ("- url\n", {1: "must be a YAML file of key: value lines, not a list"}),
    "db/nothing.yaml": (
        "url: here\nprot: ${.prt}\nport: 1\n",
        {2: "refers to a key that does not exist: db.prt; did you mean port?"},
    ),
    "db/octal.yaml": ("url: here\nport: 010\nports: [1, 1:30]\n", {2: "write 10", 3: "YAML reads it as 90"}),
    "db/twice.yaml": ("url: here\nport: 010\nurl: 2\n", {2: "write 10", 3: "has the key url twice"}),
    "db/open.yaml": ("url: here\nports: [1, 'a${x}/${x']\n", {2: "has a ${...} that is not closed: a${x}/${x"}),
    "db/empty.yaml": ("url: ${}\n", {1: "has a ${...} that cannot be read: ${}"}),
    "db/hydras.yaml": ("# @package hydra\nrun: {dir: x}\nswep: {dir: x}\n", {3: "is not accepted by Hydra"}),
    "db/of_hydra.yaml": ("url: ${hydra.run.dir}\n", {1: "write ${hydra:run.dir}"}),
    "experiment/sub/list.yaml": (GLOBAL + "names: {a: 1}\n", {2: "is a section over a list (conf/app.yaml:8)"}),
    "experiment/sub/option.yaml": (GLOBAL + "defaults:\n- override /db: tow\n", {3: "did you mean two?"}),
    "experiment/sub/own.yaml": (GLOBAL + "defaults:\n- db: two\n", {3: "no such group; did you mean 'override /db'?"}),
    "experiment/sub/there.yaml": (GLOBAL + "defaults:\n- override db: two\n", {3: "did you mean /db?"}),
    "experiment/search.yaml": (GLOBAL + "hydra: {searchpath: [x]}\n", {2: "is read only in the primary config"}),
    "experiment/hydra.yaml": (GLOBAL + "hydra: [1]\n", {2: "is Hydra's own section"}),
    "experiment/run.yaml": (GLOBAL + "hydra:\n  run: {dir: '${nowhere}'}\n", {3: "does not exist: nowhere"}),
}
"""File → its text, and line → what is reported of it."""


PRIMARIES = [
    pytest.param("[one]", {}, [("app", "there is no such config; did you mean 'db: one'?")], id="an option for a config"),
    pytest.param("[bd: one]", {}, [("app", "there is no such group; known: db, experiment, extra, model")], id="group"),
    pytest.param("[db: [one, tow]]", {}, [("app", "tow must be one of one, two; did you mean two?")], id="one of several"),
    pytest.param(
        "[db: one]",
        {"db/one.yaml": "url: here\nport: 010\nurl: 3\n"},
        [("db/one", "YAML reads it as 8; in the file, write 10"), ("db/one", "has the key url twice")],
        id="a file that the primary config takes in",
    ),
]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[str, str]]]:
    """What is reported, with its place, of the tree with more files."""
    monkeypatch.chdir(tmp_path)

    def check(**files: str) -> list[tuple[str, str]]:
        for name, text in {**TREE, **files}.items():
            file = Path("conf", name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return [(str(each.where), each.violation.rule) for each in check_tree(ConfTree(Path("conf"))).problems]

    return check


def test_nothing_is_guessed(check: Callable[..., list[tuple[str, str]]]) -> None:
    assert check() == []


def test_every_mistake_is_found_with_its_line(check: Callable[..., list[tuple[str, str]]]) -> None:
    found = dict(check(**{name: text for name, (text, _) in MISTAKES.items()}))
    expected = {f"conf/{name}:{line}": message for name, (_, lines) in MISTAKES.items() for line, message in lines.items()}
    assert found.keys() == expected.keys()
    assert all(message in found[where] for where, message in expected.items()), found


@pytest.mark.parametrize(("defaults", "files", "expected"), PRIMARIES)
def test_mistakes_of_a_primary_config_are_reported_with_their_line(
    check: Callable[..., list[tuple[str, str]]], defaults: str, files: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    found = check(**{"app.yaml": f"defaults: {defaults}\n", **files})
    assert [(where.removeprefix("conf/").partition(".")[0], rule) for where, rule in found] == expected


def test_the_defaults_of_a_file_that_nothing_takes_in_are_checked(check: Callable[..., list[tuple[str, str]]]) -> None:
    found = check(**{"other/alone.yaml": "defaults: [nothing]\n", "other/wrong.yaml": "x: {a: 1}\n"})
    assert found == [("conf/other/alone.yaml:1", "there is no such config")]


def test_a_reference_is_reported_once_however_many_options_lack_its_key(check: Callable[..., list[tuple[str, str]]]) -> None:
    app = TREE["app.yaml"] + "port: ${db.port}, ${db.nested.key}\n"
    assert check(**{"app.yaml": app, "experiment/sub/a.yaml": GLOBAL + "train: {lr: 0.1}\n"}) == [
        ("conf/app.yaml:12", "refers to a key that does not exist: db.nested.key")  # as db=one, the usual option, has it
    ]


MISSING_PLUGIN = "must be one of default, disabled, none, stdout; is the plugin with colourful installed?"


def test_a_plugin_that_is_not_installed_hides_nothing(check: Callable[..., list[tuple[str, str]]]) -> None:
    app = "defaults: [db: one, nobody: null, override hydra/job_logging: colourful]\nx: ${y}\n"
    files = {"db/two.yaml": "url: ${z}\n", "db/three.yaml": "defaults: [xyz, override layer: one]\n"}
    found = check(**{"app.yaml": app, **files})
    assert found == [
        ("conf/app.yaml:1", MISSING_PLUGIN),
        ("conf/app.yaml:2", "refers to a key that does not exist: y"),
        ("conf/db/three.yaml:1", "there is no such config"),
        ("conf/db/three.yaml:1", "overrides a group that is in no defaults list"),
        ("conf/db/two.yaml:1", "refers to a key that does not exist: z"),
    ]


def test_a_key_twice_in_the_primary_config_blames_no_other_file(check: Callable[..., list[tuple[str, str]]]) -> None:
    assert check(**{"app.yaml": TREE["app.yaml"] + "x: 4\nx: 5\n"}) == [
        ("conf/app.yaml:12", "has the key x twice"),
        ("conf/app.yaml:13", "has the key x twice"),
    ]
