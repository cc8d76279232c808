"""Callbacks, launchers, sweepers and logs that Hydra could not make are refused before anything is started."""

import logging
from pathlib import Path

import pytest

from gpt2hydra.composition.composer import Composer
from gpt2hydra.config.errors import Violation
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.launch.hydra_components import add_source
from tests.command_line import CommandLine


@pytest.mark.parametrize(
    ("override", "message"),
    [
        pytest.param(
            "+hydra.callbacks.x._target_=nosuch.T",
            "hydra.callbacks.x._target_ = nosuch.T\n    cannot be imported: No module named 'nosuch'",
            id="callback",
        ),
        pytest.param(
            "+hydra.callbacks.x._target_=json.nosuch",
            "hydra.callbacks.x._target_ = json.nosuch\n    cannot be imported: module 'json' has no attribute 'nosuch'",
            id="class of a callback",
        ),
        pytest.param("hydra.verbose=5", "hydra.verbose = 5\n    must be true, false, or the names of loggers", id="verbose"),
        pytest.param(
            "hydra.job_logging.version=7", "hydra.job_logging\n    cannot be set up: Unsupported version: 7", id="log"
        ),
        pytest.param(
            "hydra.job_logging.root.level=LOUD",
            "hydra.job_logging\n    cannot be set up: Unknown level: 'LOUD'",
            id="level of a log",
        ),
    ],
)
@pytest.mark.parametrize("multirun", [[], ["-m", "training.seed=1,2"]], ids=["run", "sweep"])
def test_invalid_values_of_hydras_own_keys_are_refused(
    run: CommandLine, override: str, message: str, multirun: list[str]
) -> None:
    (run.folder / "empty").mkdir()
    outcome = run(*multirun, override, "hydra.run.dir=empty/new/run", "hydra.sweep.dir=empty/new/run")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], ["empty"])
    assert list((run.folder / "empty").iterdir()) == []
    assert outcome.err == (
        f"1 problem in the configuration; nothing was started.\n\n  {message}\n    set by the command line: {override}\n"
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        pytest.param(["hydra.launcher._target_=nope.X"], "hydra.launcher._target_ = nope.X\n    cannot be", id="launcher"),
        pytest.param(
            ["hydra.sweeper.max_batch_size=0"], "_size = 0\n    must be ≥ 1, or null for one batch", id="size of a batch"
        ),
        pytest.param(["hydra/sweeper=optuna", "hydra.sweeper.n_trials=0"], "n_trials = 0\n    must be ≥ 1", id="no trials"),
        pytest.param(["hydra/sweeper=optuna", "hydra.sweeper.n_jobs=0"], "n_jobs = 0\n    must be ≥ 1", id="no jobs"),
        pytest.param(
            ["hydra/sweeper=optuna", "hydra.sweeper.direction=up"],
            "direction = up\n    must be minimize or maximize",
            id="direction",
        ),
        pytest.param(
            ["hydra/sweeper=optuna", "hydra.sweeper.direction=[minimize,up]"],
            "must be minimize or maximize",
            id="directions",
        ),
        pytest.param(["hydra.hydra_logging.version=7"], "hydra.hydra_logging\n    cannot be set up", id="log"),
    ],
)
def test_the_launcher_of_a_sweep_is_instantiated_first(run: CommandLine, overrides: list[str], message: str) -> None:
    if "optuna" in overrides[0]:
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    outcome = run("-m", "training.seed=1,2", *overrides)
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert outcome.err.startswith("1 problem") and message in outcome.err
    assert f"    set by the command line: {overrides[-1]}\n" in outcome.err


def test_a_log_is_tried_without_its_file_and_does_not_change_the_logs_of_the_process(run: CommandLine) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    outcome = run("hydra.job_logging.handlers.file.filename=new.log", "hydra.verbose=5")
    assert (outcome.code, run.left_behind(), (root.handlers, root.level)) == (1, [], before)


@pytest.mark.parametrize("override", ["hydra=null", "~hydra"])
def test_hydras_section_itself_is_neither_replaced_nor_deleted(run: CommandLine, override: str) -> None:
    outcome = run(override)
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert "is Hydra's own section, which cannot be replaced or deleted" in outcome.err
    assert (
        f"    set by the command line: {override}\n" in outcome.err or f"deleted by the command line: {override}" in outcome.err
    )


def test_a_users_log_and_callback_are_accepted(run: CommandLine) -> None:
    outcome = run(
        "hydra.job_logging.handlers.file.filename=new.log",
        "hydra.job_logging.root.level=WARNING",
        "+hydra.callbacks.x._target_=hydra.experimental.callback.Callback",
    )
    assert (outcome.code, len(outcome.configs)) == (0, 1)
    assert Path("new.log").exists()


@pytest.mark.parametrize(
    ("override", "message", "remedy"),
    [
        pytest.param("hydra.output_subdir=train.log", "is also the name of the log", "hydra.output_subdir=.hydra", id="log"),
        pytest.param(
            "hydra.job.name=x/y", "is in the name of a file, the log x/y.log", "hydra.job.name=y", id="a folder for the log"
        ),
    ],
)
def test_files_that_hydra_could_not_write_are_reported_with_what_else_is_wrong(
    run: CommandLine, override: str, message: str, remedy: str
) -> None:
    outcome = run(override, "model.n_head=7")
    assert (outcome.code, run.left_behind()) == (1, [])
    assert outcome.err.startswith("2 problems") and message in outcome.err and f"try: {remedy}\n" in outcome.err


@pytest.mark.parametrize(
    "key",
    ["hydra.job.name", "hydra.job.chdir", "hydra.verbose", "hydra.output_subdir", "hydra.callbacks", "+hydra.callbacks.x"],
)
@pytest.mark.parametrize("multirun", [[], ["-m", "training.seed=1,2"]], ids=["run", "sweep"])
def test_a_reference_of_hydras_own_that_leads_nowhere_is_refused(run: CommandLine, key: str, multirun: list[str]) -> None:
    outcome = run(*multirun, f"{key}=${{nope}}")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert outcome.err.startswith("1 problem ") and f"  {key.lstrip('+')} = ${{nope}}\n    cannot be resolved" in outcome.err
    assert f"    set by the command line: {key}=${{nope}}\n" in outcome.err


@pytest.mark.parametrize("key", ["hydra.launcher", "hydra.sweeper.max_batch_size", "hydra.sweeper.params"])
def test_a_reference_of_a_sweep_that_leads_nowhere_is_refused(run: CommandLine, key: str) -> None:
    outcome = run("-m", "training.seed=1,2", f"{key}=${{nope}}")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert f"  {key} = ${{nope}}\n    cannot be resolved" in outcome.err


def test_a_reference_leads_nowhere_next_to_another_mistake(run: CommandLine) -> None:
    outcome = run("hydra.job.name=${nope}", "model.n_head=7")
    assert (outcome.code, run.left_behind()) == (1, [])
    assert outcome.err.startswith("2 problems ") and "  hydra.job.name = ${nope}\n" in outcome.err


@pytest.mark.parametrize(
    ("overrides", "blamed"),
    [
        pytest.param(["hydra.job.name=x", "hydra.verbose=5"], ": hydra.verbose=5", id="its key"),
        pytest.param(
            ["+hydra.callbacks={x: {_target_: nosuch.T}}"], ": +hydra.callbacks={x: {_target_: nosuch.T}}", id="above"
        ),
        pytest.param(["hydra.job.name=x", "~hydra.job_logging.root"], ": ~hydra.job_logging.root", id="below"),
        pytest.param(
            ["hydra.job_logging.root.level=INFO", "hydra.job_logging.version=7"], "", id="one of two, nobody knows which"
        ),
    ],
)
def test_only_a_file_that_can_be_the_cause_is_named(run: CommandLine, overrides: list[str], blamed: str) -> None:
    assert f"    set by the command line{blamed}\n" in run(*overrides).err


@pytest.mark.parametrize(
    ("section", "line"),
    [
        pytest.param("  run:\n    dir: ${nope}\n", 5, id="directory"),
        pytest.param("  verbose: 5\n", 4, id="verbose"),
        pytest.param("  job:\n    name: x/y\n", 5, id="name of the log"),
        pytest.param("  job_logging: {version: 7}\n", 4, id="log"),
        pytest.param("  callbacks:\n    x: {_target_: nosuch.T}\n", 5, id="callback"),
    ],
)
def test_a_file_is_blamed_with_its_line(run: CommandLine, section: str, line: int) -> None:
    primary = "defaults: [train, _self_]\n\nhydra:\n"
    (run.folder / "mine.yaml").write_text(f"{primary}{section}")
    outcome = run("--config-dir", ".", "--config-name", "mine")
    assert (outcome.code, outcome.configs) == (1, [])
    assert f"    set by mine.yaml:{line}\n" in outcome.err and outcome.err.startswith("1 problem ")


@pytest.mark.parametrize(
    ("section", "line"),
    [
        pytest.param("  sweep: {dir: '${nope}'}\n", 4, id="directory"),
        pytest.param("  sweep:\n    subdir: x\n", 5, id="directories of the points"),
        pytest.param("  sweeper:\n    max_batch_size: -1\n", 5, id="sweeper"),
    ],
)
def test_a_setting_of_a_sweep_is_reported_with_its_file(run: CommandLine, section: str, line: int) -> None:
    (run.folder / "mine.yaml").write_text(f"defaults: [train, _self_]\n\nhydra:\n{section}")
    outcome = run("-m", "--config-dir", ".", "--config-name", "mine", "training.seed=1,2")
    assert (outcome.code, outcome.configs) == (1, [])
    assert f"    set by mine.yaml:{line}\n" in outcome.err


def test_a_violation_without_a_source_stays_unchanged() -> None:
    violation = Violation("hydra", rule="names a callback that cannot be made")
    assert add_source(violation, ["model=xl"], lambda: Composer("train", CONF_DIR)) == violation
