"""Where a fork begins: the checkpoint, and the configuration that comes with it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import gpt2hydra
from gpt2hydra import TrainConfig
from gpt2hydra.checkpoint import atomic_directory, run_checkpoints
from gpt2hydra.checkpoint.fork_from import check_fork_from, implied_overrides, parent_checkpoint

PARENT: TrainConfig = gpt2hydra.compose(
    "train", ["experiment=quickstart", "training.learning_rate=0.01", "training.seed=7", "data.path='a, b.txt'"]
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory with checkpoints of steps 10 and 20, without weights."""
    for step in (10, 20):
        with atomic_directory.write_directory(run_checkpoints.checkpoint_dir(tmp_path / "run", step)) as folder:
            (folder / run_checkpoints.RESUME_DIR).mkdir()
            atomic_directory.write_json(folder / run_checkpoints.RUN_JSON, {"step": step, "config": PARENT.to_dict()})
    return tmp_path / "run"


def test_a_run_is_forked_from_its_newest_checkpoint_and_a_checkpoint_from_itself(run: Path) -> None:
    earlier = run_checkpoints.checkpoint_dir(run, 10)
    assert [
        each and each.step
        for each in (parent_checkpoint(str(run)), parent_checkpoint(str(earlier)), parent_checkpoint("nowhere"))
    ] == [20, 10, None]


def test_a_fork_has_its_parents_configuration_and_what_is_typed(run: Path) -> None:
    typed = [f"fork_from='{run}'", "training.learning_rate=0.003", "hardware=h100_80gb"]
    fork = gpt2hydra.compose("train", [*implied_overrides(typed), *typed])
    assert fork == replace(
        PARENT,
        fork_from=str(run),
        hardware=fork.hardware,
        training=replace(PARENT.training, learning_rate=0.003),
    )
    assert fork.hardware.name != PARENT.hardware.name
    assert check_fork_from(fork) == []


@pytest.mark.parametrize("overrides", [["model=large"], ["fork_from=nowhere"], ["fork_from=a,b"], ["=", "x"]])
def test_without_a_parent_nothing_is_implied(overrides: list[str]) -> None:
    assert implied_overrides(overrides) == {}


def test_a_chosen_option_is_not_mixed_with_the_parents(run: Path) -> None:
    keys = [text.partition("=")[0] for text in implied_overrides([f"fork_from='{run}'", "model=large"])]
    assert not any(key.startswith("model.") for key in keys) and "training.seed" in keys


def fork(run: Path, *overrides: str) -> TrainConfig:
    typed = [f"fork_from='{run}'", *overrides]
    built: TrainConfig = gpt2hydra.compose("train", [*implied_overrides(typed), *typed])
    return built


@pytest.mark.parametrize(
    ("overrides", "key", "rule"),
    [
        pytest.param(["model.n_layer=3"], "model.n_layer", "must be 4, as in fork_from = ", id="another shape"),
        pytest.param(
            ["training.max_steps=20", "training.warmup_steps=2"],
            "training.max_steps",
            "must be > 20, the step after which the fork begins",
            id="too few steps",
        ),
    ],
)
def test_a_wrong_fork_is_refused_with_a_remedy(run: Path, overrides: list[str], key: str, rule: str) -> None:
    (violation,) = check_fork_from(fork(run, *overrides))
    assert violation.key == key and violation.rule.startswith(rule)
    assert check_fork_from(fork(run, *overrides, violation.suggestion)) == []


def test_a_checkpoint_that_cannot_be_continued_is_refused(run: Path, tmp_path: Path) -> None:
    assert [each.rule for each in check_fork_from(replace(PARENT, fork_from=str(tmp_path / "absent")))] == [
        "there is no such folder"
    ]
    (tmp_path / "empty").mkdir()
    (violation,) = check_fork_from(replace(PARENT, fork_from=str(tmp_path / "empty")))
    assert "holds no complete checkpoint of a run" in violation.rule
    folder = run_checkpoints.checkpoint_dir(run, 20)
    (folder / run_checkpoints.RESUME_DIR).rmdir()
    (violation,) = check_fork_from(replace(PARENT, fork_from=str(folder)))
    assert violation.remedy == {"fork_from": None, "init_from": str(folder)}
    (folder / run_checkpoints.RESUME_DIR).mkdir()
    (folder / run_checkpoints.RUN_JSON).write_text(json.dumps({"step": 20}))
    (violation,) = check_fork_from(replace(PARENT, fork_from=str(folder)))
    assert "has a gpt2hydra.json that cannot be used" in violation.rule


def test_the_configuration_of_a_run_that_continues_is_its_own(run: Path) -> None:
    typed = [f"fork_from='{run}'", "resume=there"]
    assert implied_overrides(typed) == {}


def test_a_run_begins_with_the_weights_of_one_folder(run: Path) -> None:
    with pytest.raises(gpt2hydra.ConfigError) as refused:
        fork(run, "init_from=x")
    assert [(each.key, each.remedy) for each in refused.value.violations] == [("fork_from", {"fork_from": None})]
