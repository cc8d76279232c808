"""The record of a run: what it ran with, and who set it."""

import json
from pathlib import Path
from typing import Any

import pytest

import gpt2hydra
from gpt2hydra import TrainConfig
from gpt2hydra.composition.job import set_by
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.training import record
from tests.command_line import CommandLine


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / record.FILE).read_text())  # type: ignore[no-any-return]


def keep(folder: Path) -> Any:
    return lambda config: record.write(config, folder / str(config.model.n_head), set_by(config))


def test_a_run_keeps_its_config_and_who_set_each_value(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    (run.folder / "10").mkdir()
    outcome = run("model=large", "model.n_head=10", job=keep(run.folder))
    kept = read(run.folder / "10")
    config = outcome.configs[0]
    assert TrainConfig.from_dict(kept["config"]) == config
    assert kept["config"]["model"]["n_inner"] == 5120
    assert kept["fingerprints"] == {"model": config.model.fingerprint(), "run": config.fingerprint()}
    assert kept["command"] == ["train.py", "model=large", "model.n_head=10"]
    assert kept["set_by"]["model.n_head"] == [
        {"value": 10, "source": "the command line: model.n_head=10"},
        {"value": 20, "source": f"{CONF_DIR}/model/large.yaml:3"},
        {"value": 12, "source": "the default"},
    ]


def test_each_job_of_a_sweep_keeps_its_own(run: CommandLine) -> None:
    for heads in ("4", "6"):
        (run.folder / heads).mkdir()
    run("-m", "model.n_head=4,6", job=keep(run.folder))
    for number in (4, 6):
        kept = read(run.folder / str(number))
        assert kept["set_by"]["model.n_head"][0] == {"value": number, "source": f"the command line: model.n_head={number}"}


def test_a_config_that_hydra_did_not_compose_is_kept_without_origins(run: CommandLine) -> None:
    def job(config: Any) -> None:
        another = gpt2hydra.compose("train", ["model=xl"])
        record.write(another, run.folder, set_by(another))

    run(job=job)
    kept = read(run.folder)
    assert (kept["config"]["model"]["n_layer"], kept["set_by"]) == (48, None)
