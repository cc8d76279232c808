"""``resume=``: the run's own configuration in the run's own directory, and what may be set with it."""

import json
from pathlib import Path
from typing import Any

import pytest

import gpt2hydra
from gpt2hydra import TrainConfig
from gpt2hydra.checkpoint import atomic_directory, run_checkpoints
from gpt2hydra.composition.job import set_by
from gpt2hydra.launch.programs import output_dir
from gpt2hydra.runs import record
from gpt2hydra.runs.record import record_run
from gpt2hydra.utils.formatting import format_value
from tests.command_line import CommandLine
from tests.run_directories import make_run, save

OWN = ("model.n_layer=2", "training.max_steps=50", "training.warmup_steps=5", "training.batch_size=8")


def own(*overrides: str) -> TrainConfig:
    config: TrainConfig = gpt2hydra.compose("train", [*OWN, *overrides])
    return config


@pytest.fixture
def cut(run: CommandLine) -> Path:
    """A run that was cut after step 20 of 50."""
    return make_run(run.folder / "outputs/day/time", own(), step=20)


# -------------------------------------------------------------------------------------------------------- resume=RUN_DIR


def test_a_resumed_run_uses_its_recorded_configuration_and_directory(run: CommandLine, cut: Path) -> None:
    seen: list[Path] = []
    outcome = run(f"resume={cut}", job=lambda config: seen.append(output_dir()))
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.configs == [own(f"resume={cut}")]
    assert seen == [cut]
    assert list(run.folder.glob("outputs/*/*")) == [cut]
    assert not (cut / ".hydra").exists()


def test_a_relative_path_will_do(run: CommandLine, cut: Path) -> None:
    assert run("resume=outputs/day/time").configs == [own(f"resume={cut}")]


@pytest.mark.parametrize(
    "override",
    ["training.max_steps=60", "training.eval_interval=7", "training.device=cpu", "hardware=l4", "hardware.name=mine"],
)
def test_max_steps_and_keys_that_do_not_affect_the_result_may_change(run: CommandLine, cut: Path, override: str) -> None:
    outcome = run(f"resume={cut}", override)
    assert (outcome.code, outcome.configs) == (0, [own(f"resume={cut}", override)])


@pytest.mark.parametrize(
    ("override", "origin", "remedy"),
    [
        pytest.param("training.seed=1", "(was 1337, outputs/day/time/run.json)", "training.seed=1337", id="typed"),
        pytest.param("training.warmup_steps=99", "(was 5, outputs/day/time/run.json)", "training.warmup_steps=5", id="a rule"),
        pytest.param(
            "training.max_steps=4", "set by outputs/day/time/run.json; training.max_steps is set by", "", id="the run's"
        ),
    ],
)
def test_a_value_of_the_run_is_set_by_its_record(run: CommandLine, cut: Path, override: str, origin: str, remedy: str) -> None:
    outcome = run(f"resume={cut}", override)
    assert (outcome.code, outcome.configs) == (1, [])
    assert outcome.err.startswith("1 problem ") and origin in outcome.err
    assert outcome.err.partition("try: ")[2].strip() == remedy


def test_a_text_of_the_run_that_is_gone_is_set_by_its_record(run: CommandLine) -> None:
    (run.folder / "a.txt").write_text("A text that is there.\n" * 3000)
    make_run(run.folder / "r", own("data.path=a.txt"), step=20)
    (run.folder / "a.txt").unlink()
    assert "  data.path = a.txt\n    there is no such file" in (err := run("resume=r").err)
    assert "    set by r/run.json\n" in err


def test_a_reference_means_the_runs_own_value(run: CommandLine, cut: Path) -> None:
    outcome = run(f"resume={cut}", "training.eval_interval=${training.batch_size}")
    assert outcome.configs == [own(f"resume={cut}", "training.eval_interval=8")]


def test_passes_may_change_if_a_step_stays_a_step(run: CommandLine, cut: Path) -> None:
    outcome = run(f"resume={cut}", "training.batch_size=4", "training.gradient_accumulation_steps=2")
    assert outcome.configs[0].training.sequences_per_step == 8
    outcome = run(f"resume={cut}", "training.batch_size=4")
    assert outcome.code == 1 and "training.batch_size = 4\n    cannot change" in outcome.err


@pytest.mark.parametrize(
    ("override", "key", "value", "was"),
    [
        pytest.param("model.n_layer=3", "model.n_layer", "3", "2", id="model"),
        pytest.param("training.seed=1", "training.seed", "1", "1337", id="seed"),
        pytest.param("training.learning_rate=1e-3", "training.learning_rate", "0.001", "0.0006", id="optimizer"),
        pytest.param("data.validation_fraction=0.2", "data.validation_fraction", "0.2", "0.1", id="data"),
    ],
)
def test_a_changed_key_that_affects_the_result_is_refused_with_both_values(
    run: CommandLine, cut: Path, override: str, key: str, value: str, was: str
) -> None:
    outcome = run(f"resume={cut}", override)
    assert (outcome.code, outcome.configs) == (1, [])
    assert (
        f"\n  {key} = {value}\n    cannot change in a run that is continued; outputs/day/time was started with {was}\n"
        in outcome.err
    )
    assert f"    set by the command line: {override}" in outcome.err
    assert f"    try: {key}={was}\n" in outcome.err


def test_an_option_that_is_chosen_is_compared_completely(run: CommandLine, cut: Path) -> None:
    outcome = run(f"resume={cut}", "model=small")
    assert outcome.code == 1
    assert outcome.err.startswith("1 problem") and "  model.n_layer = 12\n    cannot change" in outcome.err
    large = run(f"resume={cut}", "model=large")
    assert large.err.startswith("3 problems")
    assert run(f"resume={cut}", "tokenizer=bytes").code == 0


def test_a_value_that_breaks_a_rule_of_the_runs_own_is_refused(run: CommandLine, cut: Path) -> None:
    outcome = run(f"resume={cut}", "training.eval_interval=0")
    assert (outcome.code, outcome.configs) == (1, [])
    assert "  training.eval_interval = 0\n    must be ≥ 1" in outcome.err


def test_another_directory_is_refused(run: CommandLine, cut: Path) -> None:
    outcome = run(f"resume={cut}", "hydra.run.dir=elsewhere")
    assert (outcome.code, outcome.configs) == (1, [])
    assert (
        "the run continues in its own directory, outputs/day/time\n    set by the command line: hydra.run.dir=elsewhere"
        in outcome.err
    )


def test_a_dry_run_shows_the_runs_own_plan_and_who_set_it(run: CommandLine, cut: Path) -> None:
    outcome = run(f"resume={cut}", "training.eval_interval=7", "dry_run=true")
    assert (outcome.code, outcome.configs, outcome.err) == (0, [], "outputs/day/time continues after step 20 of 50.\n\n")
    origins = [line.split() for line in outcome.out.partition("Not the default:\n")[2].splitlines()]
    assert ["model.n_layer", "=", "2", "outputs/day/time/run.json"] in origins
    assert ["training.eval_interval", "=", "7", "the", "command", "line"] in origins
    assert f"{gpt2hydra.sizing.parameters(own().model).total:,}" in outcome.out


def test_the_record_says_what_was_set_with_it_and_by_whom(run: CommandLine, cut: Path) -> None:
    def job(config: Any) -> None:
        with record_run(config, output_dir(), set_by(config), resumed_from=20):
            pass

    run(f"resume={cut}", "training.max_steps=60", job=job)
    kept = json.loads((cut / record.FILE).read_text())
    (resumed,) = kept["resumed"]
    assert (resumed["step"], list(resumed["changed"])) == (20, ["training.max_steps"])
    change = resumed["changed"]["training.max_steps"]
    assert (change["was"], change["now"]) == (50, 60)
    assert "training.max_steps=60" in json.dumps(change["set_by"][0])


# --------------------------------------------------------------------------------------------- what cannot be resumed


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        pytest.param("nowhere", "there is no such folder", id="nothing"),
        pytest.param("a" * 300, "cannot be read: File name too long", id="long name"),
        pytest.param("file", "is a file; must be a run directory", id="file"),
        pytest.param("foreign", "holds no run.json, so it is no run directory", id="foreign folder"),
        pytest.param("sweep", "is a sweep of 2 runs; continue it with -m", id="sweep"),
        pytest.param("outputs", "holds 1 runs; name one of them", id="folder of runs"),
        pytest.param("outputs/day/time/checkpoints/step-000020", "is a part of the run in", id="checkpoint"),
    ],
)
def test_a_folder_that_is_no_run_is_refused(run: CommandLine, cut: Path, path: str, rule: str) -> None:
    (run.folder / "file").write_text("")
    (run.folder / "foreign").mkdir()
    for number in "01":
        make_run(run.folder / "sweep" / number, own())
    (run.folder / "sweep/multirun.yaml").write_text("")
    outcome = run(f"resume={path}")
    assert (outcome.code, outcome.configs) == (1, [])
    assert outcome.err.startswith(
        f"1 problem in the configuration; nothing was started.\n\n  resume = {format_value(path)}\n    {rule}"
    )
    assert f"    set by the command line: resume={path[:50]}" in outcome.err


def test_a_run_that_is_not_there_hides_no_other_mistake(run: CommandLine) -> None:
    outcome = run("resume=nowhere", "training.eval_interval=0", "model.n_hed=3")
    assert (outcome.code, outcome.configs) == (1, [])
    assert outcome.err.startswith("3 problems") and "  resume = nowhere\n    there is no such folder\n" in outcome.err


def test_a_wrong_option_is_reported_once(run: CommandLine, cut: Path) -> None:
    (run.folder / "more/experiment").mkdir(parents=True)
    (run.folder / "more/experiment/bad.yaml").write_text("# @package _global_\ndefaults:\n  - nope\n")
    outcome = run("--config-dir", "more", f"resume={cut}", "experiment=bad")
    assert (outcome.code, outcome.configs) == (1, [])
    assert outcome.err.startswith("1 problem ") and outcome.err.count("  defaults: nope\n    there is no such config\n") == 1


def test_the_run_of_a_checkpoint_is_named(run: CommandLine, cut: Path) -> None:
    remedy = run("resume=outputs/day/time/checkpoints/step-000020").err.partition("try: ")[2].strip()
    assert run(remedy).code == 0


def test_a_run_without_a_key_is_understood(run: CommandLine, cut: Path) -> None:
    outcome = run("outputs/day/time")
    assert (outcome.code, outcome.configs) == (1, [])
    assert "is a run directory, but no override" in outcome.err and outcome.err.endswith("    try: resume=outputs/day/time\n")
    assert run("outputs/day/time", config_name="generate").err.endswith("    try: checkpoint=outputs/day/time\n")


def test_a_run_that_continues_elsewhere_is_refused(run: CommandLine) -> None:
    with record_run(own(), run.folder / "busy", None):
        outcome = run("resume=busy")
    assert (outcome.code, outcome.configs) == (1, [])
    assert "is still running (process " in outcome.err


def test_a_finished_run_continues_only_if_it_gets_longer(run: CommandLine) -> None:
    done = make_run(run.folder / "done", own(), step=50, loss=1.5)
    outcome = run(f"resume={done}")
    assert (outcome.code, outcome.configs) == (1, [])
    assert "is finished and has done 50 steps; to continue, training.max_steps = 50 must be larger" in outcome.err
    remedy = outcome.err.partition("try: ")[2].strip()
    assert run(f"resume={done}", remedy).configs[0].training.max_steps == 100


def test_steps_that_are_done_already_are_refused(run: CommandLine, cut: Path) -> None:
    outcome = run(f"resume={cut}", "training.max_steps=10")
    assert (
        outcome.code == 1
        and "was interrupted and has done 20 steps; to continue, training.max_steps = 10 must be larger" in outcome.err
    )


def test_data_that_changed_since_is_refused(run: CommandLine) -> None:
    text = run.folder / "text.txt"
    text.write_text("To be, or not to be. " * 10_000)
    folder = make_run(run.folder / "run", own(f"data.path={text}"), step=20)
    assert run(f"resume={folder}").code == 0
    text.write_text("To be, or nut to be. " * 10_000)
    outcome = run(f"resume={folder}")
    assert (outcome.code, outcome.configs) == (1, [])
    assert (
        f"is not what the run in run was trained on: {text} has the same size as then, but different content\n" in outcome.err
    )
    text.write_text("To be. " * 10_000)
    assert f"{text} had 210,000 bytes and has 70,000\n" in run(f"resume={folder}").err


def test_a_run_of_another_version_is_refused(run: CommandLine, cut: Path) -> None:
    content = json.loads((cut / record.FILE).read_text())
    content["gpt2hydra"], content["config"]["training"]["momentum"] = "0.0", 0.9
    (cut / record.FILE).write_text(json.dumps(content))
    outcome = run(f"resume={cut}")
    assert (outcome.code, outcome.configs) == (1, [])
    assert f"was written by gpt2hydra 0.0, this is {gpt2hydra.__version__}" in outcome.err


def test_a_run_without_a_checkpoint_begins_anew_in_its_directory(run: CommandLine) -> None:
    folder = make_run(run.folder / "young", own())
    outcome = run(f"resume={folder}", job=lambda config: output_dir())
    assert (outcome.code, outcome.configs) == (0, [own()])
    assert outcome.err == "young was interrupted before its first checkpoint; it starts again.\n"


def test_a_run_whose_checkpoints_are_all_damaged_is_refused(run: CommandLine) -> None:
    folder = make_run(run.folder / "damaged", own(), step=20)
    (folder / "checkpoints/step-000020/gpt2hydra.json").write_text("{}")
    outcome = run(f"resume={folder}")
    assert (outcome.code, outcome.configs) == (1, [])
    assert "has no complete checkpoint left in damaged/checkpoints" in outcome.err


# ----------------------------------------------------------------------------------------------------------- resume=auto


def test_auto_takes_the_newest_run_of_the_same_fingerprint(run: CommandLine) -> None:
    make_run(run.folder / "outputs/day/4", own(), step=50, loss=1.5)
    for name in ("1", "2"):
        make_run(run.folder / "outputs/day" / name, own(), step=20)
    make_run(run.folder / "outputs/day/3", own("training.seed=1"), step=20)
    outcome = run(*OWN, "resume=auto", "training.eval_interval=5")
    found = run.folder / "outputs/day/2"
    assert (outcome.code, outcome.configs) == (0, [own(f"resume={found}", "training.eval_interval=5")])


def test_auto_starts_nothing_once_the_newest_run_of_the_same_fingerprint_has_finished(run: CommandLine) -> None:
    make_run(run.folder / "outputs/day/1", own(), step=20)
    make_run(run.folder / "outputs/day/2", own(), step=50, loss=1.5)
    outcome = run(*OWN, "resume=auto")
    assert (outcome.code, outcome.configs, outcome.out) == (0, [], "outputs/day/2 has finished: validation loss 1.5000\n")


def test_a_fork_does_not_continue_another_run(run: CommandLine, cut: Path) -> None:
    outcome = run(f"resume={cut}", f"fork_from={cut}")
    assert (outcome.code, outcome.configs) == (1, [])
    assert "fork_from = " in outcome.err and outcome.err.count("cannot change in a run that is continued") == 1


def test_a_run_that_was_stopped_early_continues_only_with_another_patience(run: CommandLine) -> None:
    config = own("training.early_stopping_patience=2", "training.eval_interval=10")
    with record_run(config, run.folder / "early", None) as recorder:
        save(run.folder / "early", 30, 2.0)
        recorder.step = 30
        recorder.finish(2.0, seconds=1.0, stopped_early=True)
    refused = run("resume=early")
    assert (refused.code, refused.configs) == (1, [])
    assert "was stopped early because of training.early_stopping_patience = 2" in refused.err
    assert run("resume=early", refused.err.partition("try: ")[2].strip()).code == 0


def test_a_truncated_record_names_the_way_out(run: CommandLine, cut: Path) -> None:
    (cut / "run.json").write_text('{"state": "runn')
    refused = run(f"resume={cut}")
    assert refused.code == 1
    assert "; fork_from=outputs/day/time/checkpoints/step-000020 continues from step 20, " in refused.err


def test_auto_starts_a_new_run_if_there_is_none(run: CommandLine) -> None:
    outcome = run(*OWN, "resume=auto", job=lambda config: None)
    assert (outcome.code, outcome.configs) == (0, [own()])
    assert outcome.err == f"resume=auto: no run has the fingerprint {own().fingerprint()}; a new run starts.\n"
    assert (run.folder / "outputs").is_dir()


def test_auto_looks_into_the_directory_that_is_named(run: CommandLine) -> None:
    arguments = (*OWN, "resume=auto", "hydra.run.dir=mine")
    assert run(*arguments).configs == [own()]
    folder = make_run(run.folder / "mine", own(), step=20)
    assert run(*arguments).configs == [own(f"resume={folder}")]
    make_run(folder, own(), step=50, loss=1.5)
    outcome = run(*arguments)
    assert (outcome.code, outcome.configs, outcome.out) == (0, [], "mine has finished: validation loss 1.5000\n")


def test_auto_refuses_another_configuration_in_the_directory_that_is_named(run: CommandLine) -> None:
    make_run(run.folder / "mine", own(), step=20)
    outcome = run(*OWN, "training.seed=1", "resume=auto", "hydra.run.dir=mine")
    assert (outcome.code, outcome.configs) == (1, [])
    assert "  training.seed = 1\n    cannot change in a run that is continued" in outcome.err
    assert "set by the command line: training.seed=1" in outcome.err


def test_an_interrupted_save_is_recovered_before_a_run_continues(run: CommandLine, cut: Path) -> None:
    save(cut, 30)
    (cut / "checkpoints/step-000030").rename(cut / "checkpoints/.step-000030-unfinished")
    assert run(f"resume={cut}", "dry_run=true").err == "outputs/day/time continues after step 30 of 50.\n\n"


def test_values_taken_over_by_a_fork_have_its_checkpoint_as_source(run: CommandLine) -> None:
    with atomic_directory.write_directory(run_checkpoints.checkpoint_dir(run.folder / "r", 20)) as folder:
        (folder / run_checkpoints.RESUME_DIR).mkdir()
        atomic_directory.write_json(folder / run_checkpoints.RUN_JSON, {"step": 20, "config": own().to_dict()})
    outcome = run("fork_from=r", "training.max_steps=4")
    assert outcome.code == 1 and "  training.warmup_steps = 5\n" in outcome.err
    assert "    set by r/checkpoints/step-000020/gpt2hydra.json   (was 100, the default); training.max_steps is" in outcome.err
    outcome = run("fork_from=r", "training.max_steps=60", "dry_run=true")
    origins = [line.split() for line in outcome.out.partition("Not the default:\n")[2].splitlines()]
    assert ["model.n_layer", "=", "2", "r/checkpoints/step-000020/gpt2hydra.json"] in origins
