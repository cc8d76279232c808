"""Sweeps as they run: each point as it was checked, in a directory of its own."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import HydraException

import gpt2hydra
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.launch.jobs import PointSweeper
from gpt2hydra.launch.programs import output_dir
from gpt2hydra.runs import record
from gpt2hydra.runs.comparison import Comparison
from gpt2hydra.runs.record import record_run
from tests.command_line import CommandLine
from tests.run_directories import make_run, save


def test_references_are_those_of_each_point(run: CommandLine) -> None:
    outcome = run("-m", "model.n_layer=2,4", "model.n_head=${model.n_layer}", "training.seed=${hydra:job.num}")
    shapes = [(config.model.n_layer, config.model.n_head, config.training.seed) for config in outcome.configs]
    assert (outcome.code, shapes) == (0, [(2, 2, 0), (4, 4, 1)])


def test_a_value_from_the_environment_is_not_reported(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize(
    ("override", "message"),
    [
        pytest.param("model=glob(z*)", "has no values to sweep over", id="no options"),
        pytest.param("training.seed=range(5,5)", "has no values to sweep over", id="no numbers"),
        pytest.param("training.seed=interval(1,5)", "is not a list of values: Hydra's basic sweeper needs", id="interval"),
        pytest.param("hydra.sweep.dir=${nope}", "cannot be resolved", id="directory"),
        pytest.param("hydra.sweep.subdir=${nope}", "cannot be resolved", id="directories"),
        pytest.param("hydra.sweep.subdir=${model.n_layer}", "gives points #0 and #1 the same directory", id="one directory"),
        pytest.param(f"hydra.sweep.subdir={'a' * 300}", "", id="long name"),
    ],
)
def test_an_impossible_sweep_is_refused_before_anything_is_made(run: CommandLine, override: str, message: str) -> None:
    outcome = run("-m", "model.n_head=4,6", override)
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert outcome.err.startswith("1 problem in the configuration") and message in outcome.err


def test_points_are_compared_with_one_clock(run: CommandLine) -> None:
    """Two jobs that would write into one folder are refused, however long it takes to look at them."""
    outcome = run("-m", "training.seed=1,2", "hydra.sweep.dir=out/${now:%f}", "hydra.sweep.subdir=x")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert "gives points #0 and #1 the same directory" in outcome.err


def test_points_run_in_the_directories_that_were_compared(run: CommandLine) -> None:
    outcome = run("-m", "training.seed=1,2", "hydra.sweep.dir=out/${now:%f}", "hydra.sweep.subdir=x${training.seed}")
    assert outcome.code == 0
    assert [path.name for path in sorted(run.folder.glob("out/*/x*"))] == ["x1", "x2"]
    assert len(list((run.folder / "out").iterdir())) == 1


def test_a_directory_for_each_point_may_be_named(run: CommandLine) -> None:
    assert run("-m", "model.n_head=4,6", "hydra.sweep.dir=out", "hydra.sweep.subdir=heads-${model.n_head}").code == 0
    assert {"heads-4", "heads-6"} < {path.name for path in (run.folder / "out").iterdir()}


def test_a_sweep_does_not_overwrite_a_finished_run(run: CommandLine) -> None:
    (run.folder / "out/1/checkpoints/step-000010").mkdir(parents=True)
    outcome = run("-m", "model.n_head=4,6", "hydra.sweep.dir=out")
    assert (outcome.code, outcome.configs) == (1, [])
    assert "try: hydra.sweep.dir=out-2\n" in outcome.err


# ------------------------------------------------------------------------------------------------------ sweeps that go on

POINTS = ("-m", "model.n_head=4,6,8,12", "training.max_steps=50", "training.warmup_steps=5", "hydra.sweep.dir=s")


def job(*, broken: tuple[int, ...] = (), killed: tuple[int, ...] = ()) -> Callable[[Any], float]:
    """Trains nothing, and records it. With so many heads a point is ``broken`` after a checkpoint, or all is ``killed``."""

    def train(config: Any) -> float:
        folder, heads = output_dir(), int(config.model.n_head)
        with record_run(config, folder, None, resumed_from=20 if config.resume else None) as recorder:
            if heads in broken:
                save(folder, 20, 3.0)
                recorder.step = 20
                raise RuntimeError("the node went away")
            if heads in killed:
                raise KeyboardInterrupt
            recorder.step = config.training.max_steps
            save(folder, recorder.step, 1 / heads)
            recorder.finish(1 / heads, seconds=1.0)
        return 1 / heads

    return train


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Path → time of change and content of every file."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_a_sweep_that_was_killed_continues_where_it_was(run: CommandLine) -> None:
    assert run(*POINTS, job=job(broken=(6,), killed=(8,))).code == 130
    before = {name: everything(run.folder / "s" / name) for name in "0123"}
    assert [bool(files) for files in before.values()] == [True, True, True, False]

    outcome = run(*POINTS, "resume=auto", "training.eval_interval=7", job=job())
    resumed = [(config.model.n_head, config.resume) for config in outcome.configs]
    assert (outcome.code, resumed) == (0, [(6, str(run.folder / "s/1")), (8, None), (12, None)])
    assert "resume=auto: finished: #0; continuing: #1; beginning: #2, #3.\n" in outcome.err
    assert everything(run.folder / "s/0") == before["0"]
    assert everything(run.folder / "s/1")[".hydra/config.yaml"] == before["1"][".hydra/config.yaml"]
    assert [line.split() for line in outcome.out.splitlines()[-5:]] == [
        ["run", "n_head", "eval_interval", "state", "validation", "loss"],
        ["3", "12", "7", "finished", "0.0833"],
        ["2", "8", "7", "finished", "0.1250"],
        ["1", "6", "7", "finished", "0.1667"],
        ["0", "4", "100", "finished", "0.2500"],
    ]

    whole = everything(run.folder / "s")
    again = run(*POINTS, "resume=auto", job=job())
    assert (again.code, again.configs) == (0, [])
    del whole["multirun.yaml"]
    assert whole.items() <= everything(run.folder / "s").items()


def test_a_sweep_whose_points_have_directories_of_their_own_changes_no_finished_run(run: CommandLine) -> None:
    points = ("-m", "model.n_head=4,6", "training.max_steps=50", "training.warmup_steps=5", "hydra.sweep.dir=s/${model.n_head}")
    assert run(*points, job=job()).code == 0
    before = everything(run.folder)
    again = run(*points, job=job())
    assert (again.code, again.configs, everything(run.folder)) == (1, [], before)
    assert "try: 'hydra.sweep.dir=s/${model.n_head}-2'\n" in again.err and "output_dir" not in again.err
    resumed = run(*points, "resume=auto", job=job())
    after = {name: file for name, file in everything(run.folder).items() if "multirun.yaml" not in name}
    assert (resumed.code, resumed.configs) == (0, []) and after.items() <= before.items()


def test_a_point_that_is_another_run_now_is_refused(run: CommandLine) -> None:
    assert run(*POINTS, job=job(broken=(6,), killed=(8,))).code == 130
    before = everything(run.folder)
    outcome = run(*POINTS, "resume=auto", "training.seed=1", job=job())
    assert (outcome.code, outcome.configs, everything(run.folder)) == (1, [], before)
    assert outcome.err.startswith("3 of 4 points are invalid; nothing was started.\n")
    reported = "training.seed = 1 cannot change in a run that is continued; s/0 was started with 1337; try: training.seed=1337 "
    assert reported in " ".join(outcome.err.split())


def test_without_resume_a_sweep_into_the_same_directory_is_refused(run: CommandLine) -> None:
    run(*POINTS, job=job(broken=(6,), killed=(8,)))
    outcome = run(*POINTS, job=job())
    assert (outcome.code, outcome.configs) == (1, [])
    assert "holds the checkpoints of an earlier run, which resume= would continue" in outcome.err


@pytest.mark.parametrize("preflight", ["strict", "off"])
def test_points_cannot_all_continue_in_one_directory(run: CommandLine, preflight: str) -> None:
    make_run(run.folder / "run", gpt2hydra.compose("train", ["training.max_steps=50", "training.warmup_steps=5"]), step=20)
    outcome = run("-m", "training.log_interval=4,6", "resume=run", f"preflight={preflight}", job=job())
    assert (outcome.code, outcome.configs) == (1, [])
    assert "with -m, auto continues each point in its own" in " ".join(outcome.err.split())


def test_points_continue_without_preflight_and_in_any_directory(run: CommandLine) -> None:
    points = (*POINTS, "hydra.sweep.subdir=heads-${model.n_head}")
    assert run(*points, job=job(broken=(6,), killed=(8,))).code == 130
    outcome = run(*points, "resume=auto", "preflight=off", job=job())
    assert [config.model.n_head for config in outcome.configs] == [6, 8, 12]
    assert (outcome.code, "s/heads-4 has finished: validation loss 0.2500\n" in outcome.out) == (0, True)


def test_a_point_that_runs_elsewhere_stops_the_sweep_before_it_begins(run: CommandLine) -> None:
    own = gpt2hydra.compose("train", ["training.max_steps=50", "training.warmup_steps=5", "model.n_head=6"])
    with record_run(own, run.folder / "s/1", None):
        outcome = run(*POINTS, "resume=auto", job=job())
    assert (outcome.code, outcome.configs) == (1, [])
    assert "resume = s/1 is still running (process " in outcome.err


@pytest.mark.parametrize(
    ("launcher", "module"),
    [
        pytest.param(["hydra/launcher=joblib", "hydra.launcher.n_jobs=1"], "hydra_joblib_launcher", id="joblib"),
        pytest.param(
            ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"],
            "hydra_submitit_launcher",
            id="submitit",
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_launchers_that_start_all_points_at_once_leave_finished_ones_as_they_are(
    run: CommandLine, launcher: list[str], module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(f"hydra_plugins.{module}")
    monkeypatch.setenv("PYTHONPATH", str(CONF_DIR.parent))  # where another process finds the function below
    run(*POINTS, *launcher, job=job(broken=(6,)))
    assert [row.state for row in Comparison.read_below(run.folder / "s").runs] == ["finished"] * 3 + ["failed at 20"]
    before = everything(run.folder / "s/0")
    outcome = run(*POINTS, *launcher, "resume=auto", job=job())
    changed = [name for name, file in everything(run.folder / "s/0").items() if file != before.get(name)]
    assert (outcome.code, changed) == (0, []), outcome.err
    assert [row.state for row in Comparison.read_below(run.folder / "s").runs] == ["finished"] * 4
    assert len(record.read(run.folder / "s/1").content["resumed"]) == 1


def test_an_optuna_sweep_visits_the_same_points_again_and_takes_their_loss(run: CommandLine) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    sweeper = ["hydra/sweeper=optuna", "hydra.sweeper.sampler.seed=1", "hydra.sweeper.n_jobs=1", "resume=auto"]
    space = ["-m", "model.n_head=choice(4,6,8,12)", "training.max_steps=50", "training.warmup_steps=5", "hydra.sweep.dir=s"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # optuna's own
        first = run(*space, *sweeper, "hydra.sweeper.n_trials=2", job=job())
        outcome = run(*space, *sweeper, "hydra.sweeper.n_trials=4", job=job())
    assert (first.code, outcome.code, len(first.configs), len(outcome.configs)) == (0, 0, 2, 2)
    assert len(Comparison.read_below(run.folder / "s").runs) == 4


# ------------------------------------------------------------------------------------------------------ what ends a sweep


def test_an_error_that_ends_a_sweep_is_reported_in_a_line(run: CommandLine) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # optuna's own
        outcome = run(
            *("-m", "training.seed=1,2", "hydra/sweeper=optuna", "hydra.sweeper.storage=nope://x", "hydra.sweep.dir=s")
        )
    assert (outcome.code, outcome.configs) == (1, [])
    assert outcome.err == "OptunaSweeper stopped the sweep: Can't load plugin: sqlalchemy.dialects:nope\n"


@pytest.mark.parametrize("refused", [False, True])
def test_an_error_that_ends_a_sweep_in_another_process_has_no_traceback(
    run: CommandLine, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    executor = pytest.importorskip("joblib.externals.loky.process_executor")

    def sweep(*arguments: Any, **options: Any) -> None:
        error = HydraException("the job has no directory") if refused else OSError("the job has no directory")
        raise error from executor._RemoteTraceback("Traceback (most recent call last): ...")

    monkeypatch.setattr(PointSweeper, "sweep", sweep)
    outcome = run("-m", "training.seed=1,2")
    assert (outcome.code, outcome.err) == (1, "PointSweeper stopped the sweep: the job has no directory\n")


def test_a_job_that_fails_under_optuna_is_reported_once(run: CommandLine) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # optuna's own
        outcome = run(
            *("-m", "model.n_head=6", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", "hydra.sweeper.n_jobs=1"),
            *("hydra.sweep.dir=s", "training.max_steps=50", "training.warmup_steps=5"),
            job=job(broken=(6,)),
        )
    assert outcome.code == 1
    assert outcome.err.count("RuntimeError: the node went away\n") == 2 and "stopped the sweep" not in outcome.err


def test_a_sweep_that_cannot_be_written_is_refused(run: CommandLine) -> None:
    if not Path("/proc").is_dir():
        pytest.skip("needs /proc")
    outcome = run("-m", "training.seed=1,2", "hydra.sweep.dir=/proc/nope")
    assert (outcome.code, outcome.configs) == (1, [])
    assert "hydra.sweep.dir = /proc/nope\n    must be a folder that can be written" in outcome.err


# ------------------------------------------------------------------------------------------------- one report of all stages


def test_values_to_sweep_over_are_tried_with_what_is_wrong_already(run: CommandLine) -> None:
    outcome = run("-m", "model=huge,small", "model.n_head=7,12", "tokenizer=foo", "hydra.job_logging.version=7")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    keys = ["tokenizer = foo", "model = huge", "model.n_head = 7", "hydra.job_logging"]
    assert [line.strip() for line in outcome.err.splitlines() if line[:3].strip() and line.startswith("  ")] == keys
    assert "    set by the command line: model=huge,small\n" in outcome.err and "try: model" not in outcome.err


def test_launcher_mistakes_are_reported_with_a_file_that_hydra_refuses(run: CommandLine) -> None:
    (run.folder / "conf/experiment").mkdir(parents=True)
    (run.folder / "conf/experiment/unfit.yaml").write_text("# @package _global_\nmodel: {n_head: [7]}\n")
    outcome = run("--config-dir", "conf", "-m", "experiment=unfit", "training.seed=1,2", "hydra.launcher._target_=nope.X")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], ["conf"])
    assert outcome.err.startswith("2 problems") and "  model.n_head" in outcome.err and "nope.X\n" in outcome.err


def test_the_sweep_itself_is_reported_with_its_points(run: CommandLine) -> None:
    (run.folder / "file").touch()
    broken = ["+hydra.callbacks.x._target_=nosuch.T", "hydra.sweep.dir=file/s"]
    outcome = run("-m", "model.n_head=4,7", *broken, "preflight=skip_invalid")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], ["file"])
    own, points = outcome.err.split("\n\n1 of 2 points is invalid; nothing was started.\n\n")
    assert own.startswith("2 problems in the configuration; nothing was started.\n\n  hydra.callbacks.x._target_ = nosuch.T\n")
    assert all(f"    set by the command line: {each}" in own for each in broken)
    assert points.startswith("  #1  model.n_head=7 preflight=skip_invalid\n      model.n_head = 7 must divide")


def test_mistakes_of_all_points_are_reported_with_an_invalid_search_space(run: CommandLine) -> None:
    outcome = run("-m", "training.seed=range(5,5)", "model=glob(z*)", "model.n_head=7", "hydra.launcher._target_=nope.X")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert outcome.err.startswith("4 problems")
    for override in ("training.seed=range(5,5)", "model=glob(z*)", "model.n_head=7", "hydra.launcher._target_=nope.X"):
        assert f"    set by the command line: {override}" in outcome.err


def test_the_sweep_itself_is_reported_for_programs_too(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPT2HYDRA_ERRORS", "json")
    outcome = run("-m", "model.n_head=4,7", "hydra.launcher._target_=nope.X")
    facts = json.loads(outcome.err)
    assert [each["point"] for each in facts["invalid"]] == [1]
    assert [each["key"] for each in facts["violations"]] == ["hydra.launcher._target_"]


def test_a_plan_of_a_sweep_is_for_any_machine(run: CommandLine) -> None:
    outcome = run("-m", "model.n_head=4,6", "dry_run=true", "+hydra.callbacks.x._target_=nosuch.T")
    assert (outcome.code, outcome.out.count("124,439,808")) == (0, 2)
