"""``gpt2hydra explain``: for people and for programs."""

import json
from pathlib import Path

import pytest

from gpt2hydra import compose
from gpt2hydra.commands.explain import History
from gpt2hydra.commands.main import main
from gpt2hydra.config.errors import DEFAULT, DELETED, Setting, Source, command_line
from gpt2hydra.config.gpt2 import CONF_DIR
from tests.run_directories import make_run

HISTORY = History(
    "model.n_head",
    [
        Setting("model.n_head", 10, command_line("model.n_head=10")),
        Setting("model.n_head", 20, Source("file", "conf/model/large.yaml", 3)),
        Setting("model.n_head", 12, DEFAULT),
    ],
)


def test_a_history_in_words() -> None:
    assert str(HISTORY) == (
        "model.n_head = 10   the command line: model.n_head=10\n    was 20   conf/model/large.yaml:3\n    was 12   the default"
    )


def test_a_history_that_could_not_be_traced_says_so() -> None:
    history = History("a", [Setting("a", DELETED, Source("untraced")), Setting("a", 1, DEFAULT)])
    assert str(history) == "a = (deleted)   could not be traced exactly\n    was 1   the default"
    assert history.to_dict() == {
        "deleted": True,
        "set_by": [
            {"deleted": True, "source": {"kind": "untraced"}},
            {"value": 1, "source": {"kind": "default"}},
        ],
        "exact": False,
    }


def test_a_program_gets_the_same_facts(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONF_DIR.parent)
    main(["explain", "--json", "model=large", "model.n_head=10", "model.n_head", "model.n_inner"])
    assert json.loads(capsys.readouterr().out) == {
        "model.n_head": HISTORY.to_dict(),
        "model.n_inner": {
            "value": 5120,
            "set_by": [{"value": "${gpt2.n_inner:${.n_embd}}", "source": {"kind": "default"}}],
            "exact": True,
        },
    }


def test_an_override_is_shown_as_it_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["explain", "data.path=007", "data.path"])
    assert capsys.readouterr().out == "data.path = 007   the command line: data.path=007\n    was null   the default\n"


def test_a_value_from_the_environment_is_shown_as_its_reference(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPT2HYDRA_SECRET", "hunter2")
    main(["explain", "--json", "hardware.name=${oc.env:GPT2HYDRA_SECRET}", "hardware.name"])
    out = capsys.readouterr().out
    assert json.loads(out)["hardware.name"]["value"] == "${oc.env:GPT2HYDRA_SECRET}"
    assert "hunter2" not in out


def test_a_run_that_continues_has_its_own_values(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "r", compose("train", ["model.n_layer=2", "model.vocab_size=300", "training.eval_interval=7"]), step=20)
    main(["explain", "resume=r", "training.eval_interval=9", "model.n_layer", "training.eval_interval", "model.vocab_size"])
    assert capsys.readouterr().out == (
        "model.n_layer = 2   r/run.json\n"
        "training.eval_interval = 9   the command line: training.eval_interval=9\n    was 7   r/run.json\n"
        "model.vocab_size = 300   r/run.json\n"
    )
    main(["size", "resume=r"])
    assert capsys.readouterr().out.startswith("GPT-2 of 2 layers, ")
