"""A sweep is checked completely before its first job."""

import json
from importlib.util import find_spec

import pytest
from hydra.types import RunMode

import gpt2hydra
from gpt2hydra import ConfigError, Violation
from gpt2hydra.composition.composer import Composer
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.launch import extras
from gpt2hydra.launch.points import expand_points
from gpt2hydra.launch.preflight import Preflight
from tests.command_line import CommandLine


def plugin(name: str) -> pytest.MarkDecorator:
    try:
        there = find_spec(f"hydra_plugins.{name}") is not None
    except ModuleNotFoundError:
        there = False
    return pytest.mark.skipif(not there, reason=f"needs the Hydra plugin {name}")


def test_bad_points_are_a_table_and_nothing_starts(run: CommandLine) -> None:
    outcome = run("-m", "model=small,medium,large", "model.n_head=1,2,4,7")
    assert (outcome.code, outcome.out, outcome.configs, run.left_behind()) == (1, "", [], [])
    assert [line.split()[0] for line in outcome.err.splitlines() if line.startswith("  #")] == ["#3", "#7", "#11"]
    assert outcome.err.endswith("preflight=skip_invalid.\n")


def test_points_with_the_same_problems_are_one_block(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = ["model.n_head=4,7", "training.seed=1,2,3", "training.learning_rate=0.01,0.02"]
    outcome = run("-m", *sweep)
    assert (outcome.code, outcome.configs) == (1, [])
    assert (
        outcome.err
        == """\
6 of 12 points are invalid; nothing was started.

  #6-#11  model.n_head=7 training.seed=1,2,3 training.learning_rate=0.01,0.02
      model.n_head = 7 must divide model.n_embd = 768 (nearest: 6, 8; or n_embd
      for 7 heads: 763, 770); try: model.n_head=6

Correct them, or run the other 6 with preflight=skip_invalid.
"""
    )
    monkeypatch.setenv("GPT2HYDRA_ERRORS", "json")
    assert [each["point"] for each in json.loads(run("-m", *sweep).err)["invalid"]] == [*range(6, 12)]


def test_a_block_names_the_numbers_and_the_first_values_of_many_points() -> None:
    found = Preflight([[f"a={number % 2}", f"b={number}"] for number in range(24)])
    found.invalid = dict.fromkeys([*range(1, 24, 2), 2], (Violation("a", 1, "must be 0"),))
    assert found.format("nothing was started") == (
        "13 of 24 points are invalid; nothing was started.\n\n"
        "  #1-#3, #5, #7, #9, #11, #13, #15, #17, #19, #21, #23  a=1,0\n  b=1,2,3,5,7,9,11,13,...\n      a = 1 must be 0"
    )


def test_a_valid_sweep_runs_every_point_in_order(run: CommandLine) -> None:
    outcome = run("-m", "model=small,medium", "model.n_head=4,8", "hydra.sweep.dir=out")
    assert outcome.code == 0
    shapes = [(config.model.n_embd, config.model.n_head) for config in outcome.configs]
    assert shapes == [(768, 4), (768, 8), (1024, 4), (1024, 8)]
    assert sorted(path.name for path in (run.folder / "out").iterdir()) == ["0", "1", "2", "3", "multirun.yaml"]


def test_invalid_points_can_be_skipped(run: CommandLine) -> None:
    outcome = run("-m", "model.n_head=4,7,8", "preflight=skip_invalid")
    assert (outcome.code, [config.model.n_head for config in outcome.configs]) == (0, [4, 8])
    assert outcome.err.startswith("1 of 3 points is invalid; the other 2 run.\n\n  #1  model.n_head=7")


def test_nothing_runs_if_all_points_are_invalid(run: CommandLine) -> None:
    outcome = run("-m", "model.n_head=5,7", "preflight=skip_invalid")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(["model.n_hed=1,2"], id="unknown key"),
        pytest.param(["modle=small,large"], id="unknown group"),
        pytest.param(["model=small,lrage"], id="unknown option"),
        pytest.param(["model.n_layer=2,abc"], id="wrong type"),
        pytest.param(["model.n_layer=range(1,3", "model=small"], id="no grammar"),
        pytest.param(["+model.n_hed=choice(1,2)"], id="added key"),
        pytest.param(["model=small,large", "hydra.sweep.dri=x"], id="Hydra's own key"),
        pytest.param(["model=small,large", "preflight=skip"], id="preflight itself"),
        pytest.param(["model=small,large", "hydra.launcher.nope=1"], id="launcher's key"),
        pytest.param(["model=small,large", "hydra/launcher=nope"], id="unknown launcher"),
    ],
)
def test_every_kind_of_mistake_stops_a_sweep_before_it_starts(run: CommandLine, overrides: list[str]) -> None:
    outcome = run("-m", *overrides)
    assert (outcome.code, outcome.out, outcome.configs, run.left_behind()) == (1, "", [], [])
    assert "nothing was started." in outcome.err and "Traceback" not in outcome.err


def test_a_sweep_in_a_file_is_checked_too(run: CommandLine) -> None:
    (run.folder / "mine.yaml").write_text(
        f"""\
defaults: [train_schema, {{model: small}}, _self_]
hydra:
  mode: MULTIRUN
  searchpath: [file://{CONF_DIR}]
  sweeper: {{params: {{model.n_head: "4,7"}}}}
"""
    )
    outcome = run(config_path=run.folder, config_name="mine")
    assert (outcome.code, outcome.configs) == (1, [])
    assert "1 of 2 points is invalid" in outcome.err
    assert len(run("model.n_head=4,6", config_path=run.folder, config_name="mine").configs) == 2


def test_deleting_a_swept_key_is_not_suggested_for_one_point(run: CommandLine) -> None:
    outcome = run("-m", "experiment=null,shakespeare_char")
    assert (outcome.code, outcome.configs) == (1, [])
    assert "#0  experiment=null\n" in outcome.err and "try: " not in outcome.err
    assert 'try: "~experiment"\n' in run("-m", "experiment=null", "training.seed=1,2").err


def test_missing_files_are_found_before_the_first_job(run: CommandLine) -> None:
    outcome = run("-m", "data.path=null,nowhere.txt")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert "data.path = nowhere.txt there is no such file" in outcome.err


def test_a_dry_run_of_a_sweep_is_a_table_and_starts_nothing(run: CommandLine) -> None:
    outcome = run("-m", "model=small,xl", "dry_run=true")
    assert (outcome.code, outcome.configs, run.left_behind()) == (0, [], [])
    assert "124,439,808" in outcome.out and "1,557,611,200" in outcome.out


def test_a_dry_run_with_bad_points_names_them(run: CommandLine) -> None:
    outcome = run("-m", "model.n_head=4,7", "dry_run=true")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert "1 of 2 points is invalid" in outcome.err


def test_a_point_with_an_absent_device_stops_the_sweep_before_its_first_job(
    run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")

    def select_training_device(settings: TrainingConfig) -> None:
        if settings.device == "cuda":
            raise ConfigError([Violation("training.device", "cuda", "is not available", remedy={"training.device": "auto"})])

    monkeypatch.setitem(extras.EXTRAS, "train", ())
    monkeypatch.setattr("gpt2hydra.inference.device.select_training_device", select_training_device)
    outcome = run("-m", "training.device=cpu,cuda", extra="train")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert "#1  training.device=cuda\n      training.device = cuda is not available; try: training.device=auto\n" in outcome.err
    outcome = run("-m", "training.device=cpu,cuda", "preflight=skip_invalid", extra="train")
    assert [config.training.device for config in outcome.configs] == ["cpu"]


def test_a_point_that_a_file_makes_invalid_says_which(run: CommandLine) -> None:
    (run.folder / "experiment").mkdir()
    (run.folder / "experiment/mine.yaml").write_text("# @package _global_\nmodel: {n_head: 7}\n")
    outcome = run("-m", "model=small,large", "experiment=mine", "--config-dir", ".")
    assert "(set by experiment/mine.yaml:2 (was 12, " in " ".join(outcome.err.split())


def test_points_that_exceed_the_memory_are_warned_of(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.EXTRAS, "train", ())
    monkeypatch.setattr("gpt2hydra.sizing.device.machine_memory", lambda: 24 * 10**9)
    outcome = run("-m", "model=small,xl", "hardware=h200", extra="train")  # which is not here
    assert outcome.err.startswith("warning: by prediction 1 of 2 points exceeds the memory: #1; dry_run=true shows")
    assert len(outcome.configs) == 2


# ----------------------------------------------------------------------------------------------------- other launchers


@plugin("hydra_joblib_launcher")
@pytest.mark.parametrize("heads", ["4,7", "4,6"])
def test_the_joblib_launcher(run: CommandLine, heads: str) -> None:
    outcome = run("-m", f"model.n_head={heads}", "hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "hydra.sweep.dir=out")
    if "7" in heads:
        assert (outcome.code, run.left_behind()) == (1, [])
    else:
        assert outcome.code == 0


@plugin("hydra_optuna_sweeper")
def test_the_optuna_sweepers_space_is_checked_as_far_as_it_is_known(run: CommandLine) -> None:
    space = ["hydra/sweeper=optuna", "model.n_head=choice(4,7)", "training.learning_rate=interval(0.0001,20)"]
    outcome = run("-m", *space)
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert "5 of 6 points are invalid" in outcome.err
    assert (
        "preflight: training.learning_rate=interval(0.0001,20): only its ends and one value between them were checked"
        in outcome.err
    )


# ------------------------------------------------------------------------------------------------------ the inside


def space(*overrides: str) -> tuple[Composer, list[list[str]]]:
    composer = Composer("train", CONF_DIR, once=True)
    return composer, expand_points(composer.compose_by_hydra([*overrides, "hydra.mode=MULTIRUN"], RunMode.MULTIRUN), composer)[
        0
    ]


def test_every_point_of_a_large_sweep_equals_its_own_composition() -> None:
    composer, points = space("model=small,large", "model.n_embd=640,1280,1920", "model.n_head=10,20")
    found = Preflight(points)
    found.compose(composer)
    assert {number: gpt2hydra.compose("train", points[number]) for number in found.valid} == found.valid
    assert len(found.valid) == 12
