"""The job that runs: its config, and who set each value of it."""

from typing import Any

from gpt2hydra import TrainConfig
from gpt2hydra.composition.job import JOB, job, set_by
from tests.command_line import CommandLine


def test_the_running_job_knows_who_set_its_values(run: CommandLine) -> None:
    reported: list[Any] = []
    run("model.n_head=6", job=lambda config: reported.append(set_by(config)))
    in_force = reported[0]["model.n_head"][0]
    assert (in_force["value"], in_force["source"]) == (6, {"kind": "command line", "override": "model.n_head=6"})


def test_any_other_config_has_no_sources(run: CommandLine) -> None:
    reported: list[Any] = []
    run(job=lambda config: reported.append(set_by(TrainConfig())))
    assert reported == [None]


def test_a_job_is_known_only_inside_its_context() -> None:
    config = TrainConfig()
    with job(config) as known:
        assert known is config is JOB.get()[0]
    assert JOB.get() == (None, None)
