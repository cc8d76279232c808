"""One run: what is looked at before it starts, where it writes, and how it ends."""

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest

import gpt2hydra
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.launch import extras
from gpt2hydra.launch.programs import output_dir
from gpt2hydra.runs.lock import hold_lock
from tests.command_line import CommandLine, Outcome
from tests.run_directories import make_run


def test_the_job_runs_in_hydras_directory(run: CommandLine) -> None:
    seen: list[Path] = []
    run("hydra.run.dir=here", job=lambda config: seen.append(output_dir()))
    assert seen == [run.folder / "here"]
    recorded = sorted(path.name for path in (run.folder / "here/.hydra").iterdir())
    assert recorded == ["config.yaml", "hydra.yaml", "overrides.yaml"]


def no_device_but_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if PyTorch found none."""
    pytest.importorskip("torch")

    def select_training_device(settings: Any) -> None:
        raise ConfigError([Violation("training.device", settings.device, "is not available")])

    monkeypatch.setitem(extras.EXTRAS, "train", ())
    monkeypatch.setattr("gpt2hydra.inference.device.select_training_device", select_training_device)


def test_a_device_that_is_not_here_is_reported_with_who_asked_for_it(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    no_device_but_the_cpu(monkeypatch)
    outcome = run("training.device=cuda", extra="train")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert "  set by the command line: training.device=cuda   (was auto, the default)\n" in outcome.err.replace("    ", "  ")


def test_a_finished_run_is_not_overwritten(run: CommandLine) -> None:
    (run.folder / "done/checkpoints/step-000010").mkdir(parents=True)
    outcome = run("hydra.run.dir=done")
    assert (outcome.code, outcome.configs) == (1, [])
    assert "holds the checkpoints of an earlier run" in outcome.err and "try: hydra.run.dir=" in outcome.err
    assert "    set by the command line: hydra.run.dir=done\n" in outcome.err


@pytest.mark.parametrize("directory", ["file", "file/below"])
def test_an_output_folder_that_cannot_be_made_is_refused(run: CommandLine, directory: str) -> None:
    (run.folder / "file").write_text("")
    outcome = run(f"hydra.run.dir={directory}")
    assert (outcome.code, outcome.configs) == (1, [])
    assert "must be a folder that can be written" in outcome.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_without_permission_is_refused(run: CommandLine) -> None:
    (run.folder / "locked").mkdir(mode=0o500)
    assert "locked: Permission denied" in run("hydra.run.dir=locked/here").err


def test_an_absent_extra_is_reported_after_validation(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.EXTRAS, "train", ("no_such_module",))
    outcome = run(extra="train")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert outcome.err == (
        "1 problem in the installation; nothing was started.\n\n"
        f"  no_such_module\n    is not installed; type: pip install -e '{CONF_DIR.parent}[train]'\n"
    )
    assert run("model.n_head=7", "+model.n_hed=3", extra="train").err.startswith("3 problems in the configuration")


@pytest.mark.parametrize("mode", [[], ["-m"]])
def test_a_choice_that_an_experiment_replaced_is_reported(run: CommandLine, mode: list[str]) -> None:
    outcome = run(*mode, "experiment=quickstart", "model=large", "training.seed=3")
    note = "sets model.n_embd, model.n_layer, model.n_head\n"
    assert outcome.code == 0
    assert outcome.err.startswith("note: model=large has no effect: ") and outcome.err.endswith(note)
    assert run(*mode, "experiment=shakespeare_char", "hardware=l4").err == ""
    assert run(*mode, "-q", "experiment=quickstart", "model=large").err == ""


def test_a_refusal_inside_the_job_is_a_report_too(run: CommandLine) -> None:
    def job(config: Any) -> None:
        raise ConfigError([Violation("training.device", "cuda", "is not here")])

    outcome = run(job=job)
    assert (outcome.code, outcome.err.splitlines()[2]) == (1, "  training.device = cuda")


def test_a_mistake_of_the_program_keeps_its_traceback(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hydra._internal.utils.is_under_debugger", lambda: False)  # coverage traces as a debugger does
    outcome = run(job=lambda config: 1 / 0)
    assert outcome.code == 1 and "ZeroDivisionError" in outcome.err


def test_an_interrupted_job_exits_with_130(run: CommandLine) -> None:
    def job(config: Any) -> None:
        raise KeyboardInterrupt

    outcome = run(job=job)
    assert (outcome.code, outcome.err) == (130, "\nInterrupted by Ctrl-C.\n")


def test_a_dry_run_prints_the_plan_and_starts_nothing(run: CommandLine) -> None:
    outcome = run("model=large", "dry_run=true", "training.batch_size=2")
    assert (outcome.code, outcome.configs, run.left_behind()) == (0, [], [])
    assert "774,030,080" in outcome.out and "training.batch_size = 2  the command line" in outcome.out


def test_a_dry_run_tells_a_finished_run_with_the_same_fingerprint(run: CommandLine) -> None:
    config = gpt2hydra.compose("train", ["model=large", "training.max_steps=200"])
    for name, step, loss in (("a", 200, 3.25), ("b", 200, 3.125), ("cut", 40, None)):
        make_run(run.folder / "outputs/2026-01-31" / name, config, step, loss)
    outcome = run("model=large", "training.max_steps=200", "training.log_interval=7", "dry_run=true")
    reported = "Finished already: outputs/2026-01-31/b, validation loss 3.1250; its fingerprint is the same"
    assert f"{reported} ({config.fingerprint()}), so a new run" in outcome.out
    assert "Finished already" not in run("model=large", "training.max_steps=201", "dry_run=true").out


# ------------------------------------------------------------------------------------------------- one report of all stages


def keys(outcome: Outcome) -> list[str]:
    """Of the violations in a report, which stand alone, without what follows them."""
    return re.findall(r"^  (\S+)(?: =.*)?$", outcome.err, re.MULTILINE)


BROKEN_PARTS = ["+hydra.callbacks.x._target_=nosuch.T", "hydra.job_logging.version=7", "hydra.run.dir=file/run"]
PARTS = ["hydra.callbacks.x._target_", "hydra.job_logging", "hydra.run.dir"]


@pytest.mark.parametrize(
    ("override", "key"),
    [
        pytest.param("model=huge", "model", id="choice"),
        pytest.param("model.n_head=abc", "model.n_head", id="type"),
        pytest.param("model.n_head=7", "model.n_head", id="rule"),
        pytest.param("model.n_hed=7", "model.n_hed", id="key"),
        pytest.param("large", "large", id="word"),
        pytest.param("data.path=nowhere.txt", "data.path", id="file"),
        pytest.param("training.seq_len=${nope}", "training.seq_len", id="reference"),
        pytest.param("hydra.run.dri=x", "hydra.run.dri", id="Hydra's key"),
        pytest.param("experiment=wrong", "model.n_head", id="a file that breaks a rule"),
        pytest.param("experiment=unfit", "model.n_head", id="a file that Hydra refuses"),
    ],
)
def test_later_checks_are_reported_together_with_violations(run: CommandLine, override: str, key: str) -> None:
    (run.folder / "file").touch()
    (run.folder / "conf/experiment").mkdir(parents=True)
    for name, value in (("wrong", "7"), ("unfit", "[7]")):
        (run.folder / f"conf/experiment/{name}.yaml").write_text(f"# @package _global_\nmodel: {{n_head: {value}}}\n")
    outcome = run("--config-dir", "conf", override, *BROKEN_PARTS)
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], ["conf", "file"])
    assert sorted(keys(outcome)) == sorted([key, *PARTS]), outcome.err
    for part in BROKEN_PARTS:
        assert f"    set by the command line: {part}\n" in outcome.err


def test_a_device_is_looked_for_with_a_broken_rule(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    no_device_but_the_cpu(monkeypatch)
    outcome = run("model.n_head=7", "training.device=cuda", extra="train")
    assert keys(outcome) == ["model.n_head", "training.device"]
    assert "    set by the command line: training.device=cuda   (was auto, the default)\n" in outcome.err


def test_a_run_that_cannot_continue_is_reported_with_hydras_parts(run: CommandLine) -> None:
    assert keys(run("resume=nowhere", "hydra.verbose=5")) == ["resume", "hydra.verbose"]


def test_a_plan_is_for_any_machine(run: CommandLine) -> None:
    (run.folder / "file").touch()
    outcome = run("model.n_head=7", "dry_run=true", *BROKEN_PARTS)
    assert keys(outcome) == ["model.n_head"]


def test_files_that_a_file_names_are_reported_with_a_broken_rule(run: CommandLine) -> None:
    (run.folder / "experiment").mkdir()
    (run.folder / "experiment/mine.yaml").write_text("# @package _global_\ndata: {path: nowhere.txt}\n")
    outcome = run("--config-dir", ".", "experiment=mine", "model.n_head=7")
    assert keys(outcome) == ["model.n_head", "data.path"]
    assert "    set by experiment/mine.yaml:2" in outcome.err


def test_the_directory_may_refer_to_the_job(run: CommandLine) -> None:
    outcome = run("hydra.run.dir=${hydra:runtime.cwd}/runs/${hydra:job.config_name}")
    assert (outcome.code, outcome.err) == (0, "")
    assert (run.folder / "runs/train/.hydra").is_dir()


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
def test_nothing_is_left_if_hydras_files_cannot_be_written(run: CommandLine, kind: str) -> None:
    (run.folder / "r").mkdir()
    if kind == "folder":
        (run.folder / "r/.hydra/config.yaml").mkdir(parents=True)
    else:
        (run.folder / "r/.hydra").symlink_to("nowhere")
    before = sorted(run.folder.rglob("*"))
    outcome = run("hydra.run.dir=r")
    assert (outcome.code, outcome.configs, sorted(run.folder.rglob("*"))) == (1, [], before)
    assert "try: hydra.run.dir=outputs/mine" in outcome.err


@pytest.mark.parametrize("kind", ["a link to nothing", "a file"])
def test_a_remedy_of_a_directory_can_be_written(run: CommandLine, kind: str) -> None:
    outputs = run.folder / "outputs"
    outputs.touch() if kind == "a file" else outputs.symlink_to("nowhere")
    outcome = run("hydra.run.dir=outputs/mine")
    assert (outcome.code, outcome.configs) == (1, [])
    assert f"is {kind})" in outcome.err and outcome.err.endswith("try: hydra.run.dir=runs/mine\n")


def test_a_directory_that_another_run_writes_to_is_refused_by_its_own_key(run: CommandLine) -> None:
    (run.folder / "busy").mkdir()
    with hold_lock(run.folder / "busy"):
        outcome = run("hydra.run.dir=busy")
    assert (outcome.code, outcome.configs) == (1, [])
    assert (
        "  hydra.run.dir = busy\n" in outcome.err
        and "try: hydra.run.dir=busy-2\n" in outcome.err
        and "is in use: another run writes there (process " in outcome.err
    )
    assert "resume" not in outcome.err


def test_a_disk_that_is_full_before_the_function_leaves_nothing(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("hydra.core.utils._save_config", no_space)
    outcome = run("hydra.run.dir=new/run")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert "must be a folder that can be written (No space left on device)" in outcome.err
