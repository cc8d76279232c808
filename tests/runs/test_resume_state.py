"""What may change in a run that is continued follows from what decides its result."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

import gpt2hydra
from gpt2hydra import TrainConfig
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.fingerprint import result_values
from gpt2hydra.runs import record
from gpt2hydra.runs.resume_state import Change, check_resumable, find_runs_with_fingerprint, forbidden_changes, open_run
from tests.run_directories import fail_run, make_run


def config(*overrides: str) -> TrainConfig:
    built: TrainConfig = gpt2hydra.compose("train", ["training.max_steps=50", "training.warmup_steps=5", *overrides])
    return built


def test_only_keys_that_do_not_affect_the_result_may_change() -> None:
    before = config()
    free = {"training.max_steps", "training.eval_interval", "training.device", "training.log_interval"}
    fixed = {"model.n_layer": 2, "training.seed": 1, "training.learning_rate": 1e-3, "training.schedule": "linear"}
    for key, value in fixed.items():
        assert list(forbidden_changes(before, config(f"{key}={value}"))) == [Change(key, result_values(before)[key], value)]
    for key in free:
        value = "cpu" if key == "training.device" else 60
        assert list(forbidden_changes(before, config(f"{key}={value}"))) == []


@pytest.mark.parametrize(("batch", "passes", "allowed"), [(2, 2, True), (1, 4, True), (4, 2, False), (2, 1, False)])
def test_a_step_may_be_split_into_other_micro_batches(batch: int, passes: int, allowed: bool) -> None:
    after = config(f"training.batch_size={batch}", f"training.gradient_accumulation_steps={passes}")
    assert (list(forbidden_changes(config(), after)) == []) is allowed


def test_no_two_configurations_that_differ_in_a_fingerprint_continue_as_one_unless_longer() -> None:
    before = config()
    for field in fields(before.training):
        other: Any = {"int": 7, "float": 0.5}.get(str(field.type))
        if other is None or field.name in ("max_steps", "warmup_steps", "early_stopping_patience"):
            continue
        after = replace(before, training=replace(before.training, **{field.name: other}))
        assert bool(list(forbidden_changes(before, after))) is (before.fingerprint() != after.fingerprint()), field.name


def test_an_interrupted_run_can_continue(tmp_path: Path) -> None:
    run = record.read(make_run(tmp_path / "run", config(), step=20))
    assert check_resumable(run, config()) == []
    assert check_resumable(run, config("training.max_steps=60")) == []


def test_a_failed_run_can_continue(tmp_path: Path) -> None:
    assert check_resumable(record.read(fail_run(tmp_path / "run", config(), step=3)), config()) == []


def test_a_text_that_is_gone_is_left_to_the_check_of_the_data(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("To be")
    settings = config(f"data.path={text}")
    run = record.read(make_run(tmp_path / "run", settings, step=20))
    text.unlink()
    assert check_resumable(run, settings) == []


def test_a_file_more_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("To be")
    settings = config(f"data.path={tmp_path}/*.txt")
    run = record.read(make_run(tmp_path / "run", settings, step=20))
    (tmp_path / "b.txt").write_text("or not")
    (violation,) = check_resumable(run, settings)
    assert violation.key == "data.path" and violation.rule.endswith(f"was trained on: {tmp_path}/b.txt is new")


def test_the_newest_run_of_a_fingerprint_is_the_one_that_wrote_last(tmp_path: Path) -> None:
    make_run(tmp_path / "done", config(), step=50, loss=1.0)
    folders = [make_run(tmp_path / name, config(), step=20) for name in ("b", "a")]
    make_run(tmp_path / "longer", config("training.max_steps=60"), step=20)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/run.json").write_text("{}")
    found, *_ = find_runs_with_fingerprint(record.find_runs(tmp_path), config().fingerprint())
    assert found is not None and found.folder == folders[1]
    assert find_runs_with_fingerprint(record.find_runs(tmp_path), "0" * 16) == []


def test_a_misspelt_run_suggests_the_one_next_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "runs/first", config())
    (tmp_path / "runs/firs").mkdir()
    with pytest.raises(ConfigError, match="there is no such folder") as refused:
        open_run("runs/frst")
    assert refused.value.violations[0].suggestion == "resume=runs/first"


def test_a_home_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    make_run(tmp_path / "run", config())
    assert open_run("~/run").folder == tmp_path / "run"
    with pytest.raises(ConfigError, match="there is no such folder"):
        open_run("~/nowhere")
