"""The record of a run: what it ran with, who set it, and how far it came."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import gpt2hydra
from gpt2hydra import TrainConfig
from gpt2hydra.composition.job import set_by
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.runs import record
from gpt2hydra.runs.record import FAILED, FINISHED, INTERRUPTED, RUNNING, record_run
from tests.command_line import CommandLine


def content(folder: Path) -> dict[str, Any]:
    return json.loads((folder / record.FILE).read_text())  # type: ignore[no-any-return]


def keep(folder: Path) -> Any:
    def job(config: Any) -> None:
        with record_run(config, folder / str(config.model.n_head), set_by(config)):
            pass

    return job


# --------------------------------------------------------------------------------------------- configuration and origins


def test_a_run_keeps_its_config_and_who_set_each_value(run: CommandLine) -> None:
    outcome = run("model=large", "model.n_head=10", job=keep(run.folder))
    kept = content(run.folder / "10")
    config = outcome.configs[0]
    assert TrainConfig.from_dict(kept["config"]) == config
    assert kept["config"]["model"]["n_inner"] == 5120
    assert kept["fingerprints"] == {"model": config.model.fingerprint(), "run": config.fingerprint()}
    assert kept["command"] == ["train.py", "model=large", "model.n_head=10"]
    assert kept["set_by"]["model.n_head"] == [
        {"value": 10, "source": {"kind": "command line", "override": "model.n_head=10"}},
        {"value": 20, "source": {"kind": "file", "file": f"{CONF_DIR}/model/large.yaml", "line": 3}},
        {"value": 12, "source": {"kind": "default"}},
    ]


def test_each_job_of_a_sweep_keeps_its_own(run: CommandLine) -> None:
    run("-m", "model.n_head=4,6", job=keep(run.folder))
    for number in (4, 6):
        kept = content(run.folder / str(number))
        typed = {"kind": "command line", "override": f"model.n_head={number}"}
        assert kept["set_by"]["model.n_head"][0] == {"value": number, "source": typed}


def test_a_config_that_hydra_did_not_compose_is_kept_without_origins(run: CommandLine) -> None:
    def job(config: Any) -> None:
        another = gpt2hydra.compose("train", ["model=xl"])
        with record_run(another, run.folder, set_by(another)):
            pass

    run(job=job)
    kept = content(run.folder)
    assert (kept["config"]["model"]["n_layer"], kept["set_by"]) == (48, None)


def test_a_record_says_where_it_ran_and_what_on(tmp_path: Path) -> None:
    with record_run(TrainConfig(), tmp_path, None, device="cpu", processes=2):
        pass
    kept = content(tmp_path)
    assert (kept["device"], kept["processes"], kept["gpt2hydra"]) == ("cpu", 2, gpt2hydra.__version__)
    assert {"hydra-core", "omegaconf"} <= kept["packages"].keys()
    assert [each["file"] for each in kept["data"]] == ["the Python language reference"]
    assert len(kept["data"][0]["digest"]) == 32


# ---------------------------------------------------------------------------------------------------------------- states


def test_a_run_that_continues_is_distinguished_from_one_that_ended(tmp_path: Path) -> None:
    with record_run(TrainConfig(), tmp_path, None) as recorder:
        assert (record.read(tmp_path).state, content(tmp_path)["state"]) == (RUNNING, RUNNING)
        recorder.step = 1000
        recorder.finish(1.5, seconds=60.0)
    finished = record.read(tmp_path)
    assert (finished.state, finished.step, finished.result) == (FINISHED, 1000, {"validation_loss": 1.5, "seconds": 60.0})
    assert finished.config(TrainConfig) == TrainConfig()


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        pytest.param(KeyboardInterrupt(), INTERRUPTED, None, id="Ctrl-C"),
        pytest.param(SystemExit(143), INTERRUPTED, None, id="SIGTERM"),
        pytest.param(ZeroDivisionError("division by zero"), FAILED, "ZeroDivisionError: division by zero", id="error"),
    ],
)
def test_how_a_run_ended_is_reported(tmp_path: Path, error: BaseException, state: str, reason: str | None) -> None:
    with pytest.raises(type(error)), record_run(TrainConfig(), tmp_path, None) as recorder:
        recorder.step = 7
        raise error
    kept = record.read(tmp_path)
    assert (kept.state, kept.step, kept.content.get("reason")) == (state, 7, reason)


def test_a_killed_run_is_interrupted(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from gpt2hydra import TrainConfig\n"
        "from gpt2hydra.runs.record import record_run\n"
        "with record_run(TrainConfig(), Path(sys.argv[1]), None): print('here', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "here\n"
    alive = record.read(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (alive.state, alive.lock_holder is not None) == (RUNNING, True)
    assert (content(tmp_path)["state"], record.read(tmp_path).state) == (RUNNING, INTERRUPTED)


def test_a_directory_is_not_shared_with_a_run_that_continues(tmp_path: Path) -> None:
    with record_run(TrainConfig(), tmp_path, None):
        before = content(tmp_path)
        with pytest.raises(ConfigError, match="is still running \\(process"), record_run(TrainConfig(), tmp_path, None):
            pytest.fail("two runs share a directory")
        assert content(tmp_path) == before


def test_a_resumed_run_keeps_what_was_and_says_what_changed(tmp_path: Path) -> None:
    first = TrainConfig()
    with pytest.raises(KeyboardInterrupt), record_run(first, tmp_path, {"dry_run": []}):
        raise KeyboardInterrupt
    began = content(tmp_path)
    longer = replace(first, training=replace(first.training, max_steps=2000))
    settings = [{"value": 2000, "source": "the command line: training.max_steps=2000"}]
    with record_run(longer, tmp_path, {"training.max_steps": settings}, resumed_from=500) as recorder:
        recorder.step = 2000
        recorder.finish(1.25, seconds=9.0)
    kept = content(tmp_path)
    (resumed,) = kept["resumed"]
    assert (kept["started"], kept["set_by"], kept["state"]) == (began["started"], began["set_by"], FINISHED)
    assert resumed["step"] == 500
    assert resumed["changed"] == {"training.max_steps": {"was": 1000, "now": 2000, "set_by": settings}}
    assert record.read(tmp_path).config(TrainConfig) == longer


# --------------------------------------------------------------------------------------------------------- what is read


def test_run_directories_are_found_below_a_folder(tmp_path: Path) -> None:
    for name in ("b/2", "a/1"):
        with record_run(TrainConfig(), tmp_path / name, None):
            pass
    assert list(record.find_runs(tmp_path)) == [tmp_path / "a/1", tmp_path / "b/2"]
    assert list(record.find_runs(tmp_path / "a/1")) == [tmp_path / "a/1"]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        pytest.param(None, "there is no such file", id="nothing"),
        pytest.param("{", "is not JSON", id="cut in the middle"),
        pytest.param('{"config": {}}', "is no record of a training run", id="without a state"),
        pytest.param('{"state": "finished"}', "is no record of a training run", id="without a config"),
    ],
)
def test_an_invalid_record_is_refused_by_name(tmp_path: Path, written: str | None, message: str) -> None:
    if written is not None:
        (tmp_path / record.FILE).write_text(written)
    with pytest.raises(ConfigError, match=message) as refused:
        record.read(tmp_path)
    assert refused.value.violations[0].key == str(tmp_path / record.FILE)


def test_a_config_of_another_version_is_refused_with_both_versions(tmp_path: Path) -> None:
    with record_run(TrainConfig(), tmp_path, None):
        pass
    old = content(tmp_path)
    old["gpt2hydra"], old["config"]["training"]["momentum"] = "0.1", 0.9
    (tmp_path / record.FILE).write_text(json.dumps(old))
    with pytest.raises(ConfigError, match=f"written by gpt2hydra 0.1, this is {gpt2hydra.__version__}") as refused:
        record.read(tmp_path).config(TrainConfig)
    assert "training.momentum: unknown key" in refused.value.violations[0].rule
