"""A decorated function gets the validated config, as a complete process and in this one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import gpt2hydra
from gpt2hydra import GPT2Config, TrainConfig
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.gpt2 import CONF_DIR
from tests.command_line import CommandLine

ROOT = CONF_DIR.parent
BROKEN = ("model=large", "model.n_head=7", "+model.n_hed=3")


def test_the_function_gets_the_validated_dataclass(run: CommandLine) -> None:
    outcome = run("model=large", "model.n_embd=640", "model.n_head=10")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.configs == [gpt2hydra.compose("train", ["model=large", "model.n_embd=640", "model.n_head=10"])]
    assert outcome.configs[0].model.n_inner == 2560


def test_main_takes_a_ready_config_too() -> None:
    main = gpt2hydra.main(config_name="train")(lambda config: config)
    config = gpt2hydra.compose("train", ["model=medium"])
    assert main(config) is config
    assert main(OmegaConf.create({"model": {"n_layer": 2}})) == TrainConfig(model=GPT2Config(n_layer=2))
    with pytest.raises(ConfigError, match="n_layer = 0"):
        main(OmegaConf.create({"model": {"n_layer": 0}}))


def test_a_users_own_primary_config_and_folder(run: CommandLine) -> None:
    (run.folder / "mine.yaml").write_text("defaults:\n  - train_schema\n  - _self_\nmodel: {n_layer: 2}\n")
    (run.folder / "more/experiment").mkdir(parents=True)
    (run.folder / "more/experiment/tiny.yaml").write_text("# @package _global_\nmodel: {n_embd: 48}\n")
    assert run(config_path=run.folder, config_name="mine").configs[0].model == GPT2Config(n_layer=2)
    assert run("--config-dir=more", "experiment=tiny").configs[0].model == GPT2Config(n_embd=48)


@pytest.mark.parametrize(
    ("reader", "encoding"),
    [
        pytest.param("true", "utf-8", id="nobody reads"),
        pytest.param("cat", "ascii", id="an encoding without our signs"),
    ],
)
def test_closed_and_full_outputs_give_no_traceback(tmp_path: Path, reader: str, encoding: str) -> None:
    program = f"'{sys.executable}' '{ROOT}/train.py' dry_run=true hardware=l4 hardware.name=→"
    command = f"{program} | {reader}; exit ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_behind_the_output_is_reported(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    command = [sys.executable, str(ROOT / "train.py"), "dry_run=true", "hardware=h200"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "standard output: no space left on the device\n")


STARTS_NOTHING = [
    (["train.py", *BROKEN], 1, " problems in the configuration"),
    (["train.py", "data.path=nowhere.txt"], 1, "data.path = nowhere.txt"),
    (["train.py", "-m", "model=small,xl", "model.n_head=7,12"], 1, "3 of 4 points are invalid"),
    (["train.py", "model=xl", "hardware=l4", "dry_run=true"], 0, ""),
    (["generate.py", "checkpoint=nowhere"], 1, "checkpoint = nowhere"),
    (["generate.py"], 1, "must be given"),
]
"""Arguments, exit code, what is printed on standard error."""

WATCHED = """
import contextlib, io, json, runpy, sys
for arguments in json.loads(sys.argv[1]):
    sys.argv, code = arguments, 0
    with contextlib.redirect_stderr(io.StringIO()) as err, contextlib.redirect_stdout(io.StringIO()):
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as stop:
            code = stop.code
    print(json.dumps([code, err.getvalue(), sorted({"torch", "transformers", "matplotlib", "numpy"} & sys.modules.keys())]))
"""


def test_commands_that_start_nothing_import_nothing_heavy(tmp_path: Path) -> None:
    commands = json.dumps([[str(ROOT / program), *rest] for (program, *rest), _, _ in STARTS_NOTHING])
    done = subprocess.run([sys.executable, "-c", WATCHED, commands], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    for (arguments, code, message), line in zip(STARTS_NOTHING, done.stdout.splitlines(), strict=True):
        found, err, heavy = json.loads(line)
        assert (found, heavy) == (code, []), arguments
        assert message in err and "Traceback" not in err, arguments
    assert list(tmp_path.iterdir()) == []
