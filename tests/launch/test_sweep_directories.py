"""Each point of a sweep has a directory of its own, looked at before the first job."""

import pytest

from tests.command_line import CommandLine, Outcome


def one_problem(outcome: Outcome) -> str:
    """The only problem of a sweep that started nothing."""
    assert (outcome.code, outcome.configs) == (1, []), outcome.err
    assert outcome.err.startswith("1 problem in the configuration; nothing was started.\n")
    return outcome.err


def test_a_directory_that_refers_to_a_swept_key_is_looked_at_for_each_point(run: CommandLine) -> None:
    (run.folder / "runs/2/1/checkpoints/step-1").mkdir(parents=True)
    err = one_problem(run("-m", "training.seed=1,2", "hydra.sweep.dir=runs/${training.seed}"))
    assert "runs/2/1\n    holds the checkpoints of an earlier run" in err
    assert err.endswith("try: 'hydra.sweep.dir=runs/${training.seed}-2'\n")
    assert not (run.folder / "runs/1").exists()


def test_a_file_in_place_of_a_points_directory_stops_the_sweep_before_its_first_job(run: CommandLine) -> None:
    (run.folder / "2").touch()
    assert "2 is a file" in one_problem(run("-m", "training.seed=1,2", "hydra.sweep.dir=${training.seed}"))


def test_a_file_in_place_of_hydras_folder_stops_the_sweep_before_its_first_job(run: CommandLine) -> None:
    (run.folder / "s/1").mkdir(parents=True)
    (run.folder / "s/1/.hydra").touch()
    assert "s/1/.hydra is a file" in one_problem(run("-m", "training.seed=1,2", "hydra.sweep.dir=s"))


def test_a_name_that_is_too_long_for_a_folder_stops_the_sweep(run: CommandLine) -> None:
    values = ",".join(letter * 300 for letter in "ab")
    overrides = ("-m", f"data.path={values}", "preflight=off", "hydra.sweep.subdir=${hydra:job.override_dirname}")
    assert "try: 'hydra.sweep.subdir=${hydra.job.num}'" in one_problem(run(*overrides))


def test_two_points_do_not_share_a_directory_by_way_of_a_link(run: CommandLine) -> None:
    (run.folder / "s/1").mkdir(parents=True)
    (run.folder / "s/2").symlink_to("1")
    err = one_problem(run("-m", "training.seed=1,2", "hydra.sweep.dir=s", "hydra.sweep.subdir=${training.seed}"))
    assert "gives points #0 and #1 the same directory" in err


@pytest.mark.parametrize("subdir", ["${training.seed}", "x"])
def test_trials_of_an_adaptive_sweeper_have_a_directory_each(run: CommandLine, subdir: str) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    optuna = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=6", "training.seed=choice(1,2)")
    err = one_problem(run(*optuna, f"hydra.sweep.subdir={subdir}"))
    assert "may give two trials the same directory" in err
    assert err.endswith(f"try: 'hydra.sweep.subdir={subdir}/${{hydra.job.num}}'\n")


@pytest.mark.parametrize("part", ["launcher", "sweeper"])
def test_a_sweep_without_a_launcher_or_a_sweeper_is_refused(run: CommandLine, part: str) -> None:
    err = one_problem(run("-m", "training.seed=1,2", f"hydra.{part}=null"))
    assert f"hydra.{part} = null\n    must be chosen as a group: hydra/{part}=basic\n    set by the command line" in err
