"""Sweeps as they run: each point as it was checked, in a directory of its own."""

import pytest

from tests.command_line import CommandLine


def test_references_are_those_of_each_point(run: CommandLine) -> None:
    outcome = run("-m", "model.n_layer=2,4", "model.n_head=${model.n_layer}", "training.seed=${hydra:job.num}")
    shapes = [(config.model.n_layer, config.model.n_head, config.training.seed) for config in outcome.configs]
    assert (outcome.code, shapes) == (0, [(2, 2, 0), (4, 4, 1)])


def test_a_value_from_the_environment_is_not_told(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPT2HYDRA_SECRET", "hunter2")
    outcome = run("-m", "model.n_head=2,4", "hardware.name=${oc.env:GPT2HYDRA_SECRET}")
    assert [config.hardware.name for config in outcome.configs] == ["hunter2", "hunter2"]
    files = [file.read_text() for file in run.folder.rglob("*") if file.is_file()]
    assert not any("hunter2" in text for text in (outcome.out, outcome.err, *files))


def test_a_point_with_a_dry_run_is_shown_and_not_started(run: CommandLine) -> None:
    outcome = run("-m", "model.n_head=4,6", "dry_run=true,false")
    assert [(config.model.n_head, config.dry_run) for config in outcome.configs] == [(4, False), (6, False)]
    assert outcome.out.count("124,439,808") == 2
    outcome = run("-m", "model.n_head=4,6", "dry_run=true,false", "preflight=off")
    assert [config.dry_run for config in outcome.configs] == [False, False]
    assert "job #0 was not started: dry_run=true\n" in outcome.out


@pytest.mark.parametrize("override", ["~tokenizer", "model=[small,large]"])
def test_without_preflight_the_gate_is_the_same(run: CommandLine, override: str) -> None:
    outcome = run("-m", "training.seed=1,2", override, "preflight=off")
    assert (outcome.code, outcome.configs) == (1, [])
    assert "must be one of" in outcome.err


@pytest.mark.parametrize(
    ("override", "message"),
    [
        pytest.param("hydra.sweeper.max_batch_size=0", "must be ≥ 1, or null for all at once", id="batch size"),
        pytest.param("model=glob(z*)", "has no values to sweep over", id="no options"),
        pytest.param("training.seed=range(5,5)", "has no values to sweep over", id="no numbers"),
        pytest.param("training.seed=interval(1,5)", "is not a list of values: Hydra's basic sweeper needs", id="interval"),
        pytest.param("hydra.sweep.dir=${nope}", "cannot be resolved", id="directory"),
        pytest.param("hydra.sweep.subdir=${nope}", "cannot be resolved", id="directories"),
        pytest.param("hydra.sweep.subdir=${model.n_layer}", "gives points #0 and #1 one directory", id="one directory"),
        pytest.param(f"hydra.sweep.subdir={'a' * 300}", "", id="long name"),
        pytest.param("hydra.launcher._target_=nope.X", "launcher, sweeper or callback that cannot be made", id="launcher"),
    ],
)
def test_what_cannot_be_swept_is_refused_before_anything_is_made(run: CommandLine, override: str, message: str) -> None:
    outcome = run("-m", "model.n_head=4,6", override)
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert outcome.err.startswith("1 problem in the configuration") and message in outcome.err


def test_a_directory_for_each_point_may_be_named(run: CommandLine) -> None:
    assert run("-m", "model.n_head=4,6", "hydra.sweep.dir=out", "hydra.sweep.subdir=heads-${model.n_head}").code == 0
    assert {"heads-4", "heads-6"} < {path.name for path in (run.folder / "out").iterdir()}


def test_a_sweep_does_not_overwrite_a_finished_run(run: CommandLine) -> None:
    (run.folder / "out/1/checkpoint").mkdir(parents=True)
    outcome = run("-m", "model.n_head=4,6", "hydra.sweep.dir=out")
    assert (outcome.code, outcome.configs) == (1, [])
    assert f"try: hydra.sweep.dir={run.folder}/out-2\n" in outcome.err
