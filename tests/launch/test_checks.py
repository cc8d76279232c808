"""What could stop a run whose configuration is valid: one list of checks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import gpt2hydra
from gpt2hydra.composition.composer import Composer
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.launch.checks import Context, build_from_valid_values, run_checks
from gpt2hydra.training.processes import Process
from tests.command_line import CommandLine


def keys(config: object) -> list[str]:
    return [each.key for each in run_checks(Context(config))]


def test_files_that_a_valid_config_names_are_looked_for(run: CommandLine) -> None:
    (problem,) = run_checks(Context(gpt2hydra.compose("train", ["data.path=nowhere.txt"])))
    assert (problem.key, problem.rule) == ("data.path", f"there is no such file in {run.folder}")
    assert keys(gpt2hydra.compose("train", ["model=xl"])) == []


def test_a_folder_to_start_from_does_not_hide_an_absent_text(run: CommandLine) -> None:
    assert keys(gpt2hydra.compose("train", ["init_from=nowhere", "data.path=nowhere.txt"])) == ["init_from", "data.path"]


def test_a_checkpoint_is_looked_for(run: CommandLine) -> None:
    assert keys(gpt2hydra.compose("generate", ["checkpoint=nowhere"])) == ["checkpoint"]


def test_a_ready_configuration_is_checked_before_the_function_is_called(run: CommandLine) -> None:
    config = gpt2hydra.compose("train", ["data.path=nowhere.txt"])
    called: list[object] = []
    with pytest.raises(gpt2hydra.ConfigError, match="there is no such file"):
        gpt2hydra.main()(called.append)(config)
    assert called == []


# --------------------------------------------------------------------------------------- what is not valid hides nothing


def composed(*overrides: str) -> tuple[TrainConfig, frozenset[str]]:
    config, replaced_keys = build_from_valid_values(Composer("train", CONF_DIR).fold(overrides))
    assert isinstance(config, TrainConfig)
    return config, replaced_keys


def test_a_broken_rule_leaves_the_other_keys_valid() -> None:
    config, replaced_keys = composed(
        "training.warmup_steps=500", "training.max_steps=10", "training.batch_size=7", "data.path=a.txt"
    )
    assert replaced_keys == {"training.warmup_steps", "training.max_steps"}
    assert (config.training.batch_size, config.data.path) == (7, "a.txt")


def test_a_reference_to_nothing_leaves_the_other_keys_readable() -> None:
    config, replaced_keys = composed("data.path=${nope}", "training.seed=7")
    assert replaced_keys == {"data.path"} and config.training.seed == 7


def test_without_a_key_that_must_be_given_there_is_no_configuration() -> None:
    assert build_from_valid_values(Composer("generate", CONF_DIR).fold([]))[0] is None


def test_a_check_is_left_out_where_a_key_that_it_reads_is_wrong() -> None:
    config = gpt2hydra.compose("train", ["training.batch_size=7"])
    found = run_checks(Context(config, process=Process(world_size=2)))
    assert [each.key for each in found] == ["training.batch_size"]
    assert run_checks(Context(config, frozenset({"training.batch_size"}), process=Process(world_size=2))) == []


def test_a_broken_rule_does_not_hide_a_missing_file(run: CommandLine) -> None:
    outcome = run("tokenizer=gpt2", "experiment=quickstart", "data.path=nope.txt")
    assert (outcome.code, outcome.configs) == (1, [])
    assert outcome.err.startswith("2 problems") and "  model.vocab_size = 257\n" in outcome.err
    assert f"  data.path = nope.txt\n    there is no such file in {run.folder}\n" in outcome.err


def test_a_broken_rule_does_not_hide_a_batch_that_two_processes_cannot_share(
    run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpt2hydra.launch.arguments.this_process", lambda: Process(0, 0, 2))
    outcome = run("training.batch_size=7", "training.warmup_steps=500", "training.max_steps=10")
    assert (outcome.code, outcome.configs) == (1, [])
    assert "  training.warmup_steps = 500\n" in outcome.err and "  training.batch_size = 7\n" in outcome.err


def test_a_dry_run_skips_the_checks_that_only_a_start_needs(run: CommandLine, tmp_path: Path) -> None:
    config = gpt2hydra.compose("train", ["dry_run=true", "training.tracker=wandb"])
    assert run_checks(Context(config, extra="train", locate=lambda: 1 / 0)) == []


def test_any_device_will_do_without_a_look_by_torch() -> None:
    pytest.importorskip("torch")
    code = (
        "import json, sys, gpt2hydra; from gpt2hydra.launch.checks import Context, run_checks; "
        "found = run_checks(Context(gpt2hydra.compose('train'), extra='train')); "
        "print(json.dumps([len(found), 'torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [0, False]
