"""Violations: facts that travel between processes, and the words they become."""

import copy
import json
import pickle
from collections.abc import Callable

import pytest

import gpt2hydra
from gpt2hydra.config.errors import ABSENT, DEFAULT, DELETED, ConfigError, Setting, Source, Violation, command_line
from gpt2hydra.utils.quoting import Placeholder, RawOverride

LARGE = Source("file", "conf/model/large.yaml", 3)
BEFORE = Setting("model.n_head", 20, LARGE)
HEADS = Violation(
    "model.n_head",
    7,
    "must divide model.n_embd = 1280",
    command_line("model.n_head=7"),
    {"model.n_head": 8},
    replaced=BEFORE,
    others={"model.n_embd": LARGE},
)
MISSING = Violation("checkpoint", rule="must be given: a folder", remedy={"checkpoint": Placeholder("...")})


def repickled(error: ConfigError) -> ConfigError:
    again: ConfigError = pickle.loads(pickle.dumps(error))
    return again


@pytest.mark.parametrize("copied", [repickled, copy.copy, copy.deepcopy])
def test_an_error_is_copied_completely(copied: Callable[[ConfigError], ConfigError]) -> None:
    error = ConfigError([HEADS, MISSING])
    again = copied(error)
    assert type(again) is ConfigError
    assert again.violations == error.violations
    assert again.violations[1].value is ABSENT
    assert str(again) == str(error)


def test_an_error_comes_back_from_another_process() -> None:
    with pytest.raises(ConfigError) as refused:
        gpt2hydra.compose("generate", ["checkpint=x"])
    sent = repickled(refused.value)  # as a pool of processes sends it
    assert (type(sent), str(sent), sent.violations) == (ConfigError, str(refused.value), refused.value.violations)
    assert sent.violations[0].value is ABSENT


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (DEFAULT, "the default"),
        (LARGE, "set by conf/model/large.yaml:3"),
        (Source("file", "config.json"), "set by config.json"),
        (Source("ConfigStore", "db/plain"), "set by the ConfigStore: db/plain"),
        (command_line("model.n_head=7"), "set by the command line: model.n_head=7"),
        (command_line(), "set by the command line"),
        (Source("untraced"), "could not be traced exactly"),
    ],
)
def test_a_source_is_named_in_words(source: Source, words: str) -> None:
    assert source.describe() == words
    assert Source(**source.to_dict()) == source


@pytest.mark.parametrize(
    ("violation", "origin"),
    [
        pytest.param(Violation("a"), "", id="plain Python"),
        pytest.param(HEADS, "set by the command line: model.n_head=7   (was 20, conf/model/large.yaml:3)", id="replaced"),
        pytest.param(
            Violation("a", source=LARGE, others={"b": DEFAULT, "c": command_line("c=1"), "d": command_line("d=1")}),
            "set by conf/model/large.yaml:3; c is set by the command line: c=1",
            id="another key was typed",
        ),
        pytest.param(
            Violation("a", source=command_line("~a"), action="deleted"), "deleted by the command line: ~a", id="deleted"
        ),
        pytest.param(Violation("a", source=command_line("b=c"), action="chose"), "chosen by the command line: b=c", id="chose"),
        pytest.param(Violation("a", source=command_line(), action="word"), "on the command line", id="word"),
    ],
)
def test_sources_are_formatted(violation: Violation, origin: str) -> None:
    assert violation.origin == origin


@pytest.mark.parametrize(
    ("remedy", "multirun", "suggestion"),
    [
        pytest.param({}, False, "", id="none"),
        pytest.param({"a": 1, "b": None, "c": True, "d": 1e-5}, False, "a=1 b=null c=true d=1e-05", id="several values"),
        pytest.param({"model": RawOverride("small,large")}, True, "-m model=small,large", id="sweep"),
        pytest.param({"experiment": ABSENT}, False, '"~experiment"', id="deletion"),
        pytest.param({"checkpoint": Placeholder("...")}, False, "checkpoint=...", id="to be filled in"),
        pytest.param({"a": RawOverride("${b.c}")}, False, "'a=${b.c}'", id="typed, for the shell"),
    ],
)
def test_a_remedy_is_reported_as_it_is_pasted(remedy: dict[str, object], multirun: bool, suggestion: str) -> None:
    assert Violation("a", remedy=remedy, multirun=multirun).suggestion == suggestion


def test_a_part_of_a_larger_config_is_reported_with_the_complete_keys() -> None:
    violation = Violation("n_head", 7, "must divide", remedy={"n_head": 8, "n_layer": 2}, others={"n_embd": None})
    assert violation.below("encoder") == Violation(
        "encoder.n_head",
        7,
        "must divide",
        remedy={"encoder.n_head": 8, "encoder.n_layer": 2},
        others={"encoder.n_embd": None},
    )


def test_a_program_gets_the_same_facts() -> None:
    error = ConfigError([HEADS, MISSING, Violation("a", float("nan"), "must be finite", remedy={"a": ABSENT})])
    large = {"kind": "file", "file": "conf/model/large.yaml", "line": 3}
    assert json.loads(json.dumps(error.to_dict())) == {
        "violations": [
            {
                "key": "model.n_head",
                "value": 7,
                "rule": "must divide model.n_embd = 1280",
                "source": {"kind": "command line", "override": "model.n_head=7"},
                "action": "set",
                "origin": "set by the command line: model.n_head=7   (was 20, conf/model/large.yaml:3)",
                "replaced": {"value": 20, "source": large},
                "others": {"model.n_embd": large},
                "remedy": {"model.n_head": 8},
                "multirun": False,
                "suggestion": "model.n_head=8",
            },
            {
                "key": "checkpoint",
                "rule": "must be given: a folder",
                "remedy": {"checkpoint": "..."},
                "multirun": False,
                "suggestion": "checkpoint=...",
            },
            {
                "key": "a",
                "value": "nan",
                "rule": "must be finite",
                "remedy": {"a": {"deleted": True}},
                "multirun": False,
                "suggestion": '"~a"',
            },
        ]
    }


def test_a_setting_tells_a_deletion_from_a_value() -> None:
    assert BEFORE.to_dict() == {"value": 20, "source": LARGE.to_dict()}
    assert Setting("a", DELETED, command_line("~a")).to_dict() == {
        "deleted": True,
        "source": {"kind": "command line", "override": "~a"},
    }


def test_the_report_reads_as_designed() -> None:
    assert str(ConfigError([HEADS, MISSING])) == (
        "2 problems in the configuration.\n\n"
        "  model.n_head = 7\n"
        "    must divide model.n_embd = 1280\n"
        "    set by the command line: model.n_head=7   (was 20, conf/model/large.yaml:3)\n"
        "    try: model.n_head=8\n\n"
        "  checkpoint\n"
        "    must be given: a folder\n"
        "    try: checkpoint=..."
    )


def test_unprintable_characters_are_escaped_so_that_no_name_can_forge_a_line() -> None:
    forged = Violation("n_head\n  try: rm", rule="has \x1b[2J\nin it")
    assert str(forged).splitlines() == ["n_head\\n  try: rm", "  has \\x1b[2J\\nin it"]
