"""From the command line to the validated config, and nothing left behind where it is refused."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

import gpt2hydra
from gpt2hydra import GPT2Config, TrainConfig
from gpt2hydra.cli import extras
from gpt2hydra.cli import main as app
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.keys import keys_of
from tests.command_line import CommandLine

ROOT = CONF_DIR.parent
BROKEN = ("model=large", "model.n_head=7", "+model.n_hed=3")


# ------------------------------------------------------------------------------------------------------------ valid runs


def test_the_function_gets_the_validated_dataclass(run: CommandLine) -> None:
    outcome = run("model=large", "model.n_embd=640", "model.n_head=10")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.configs == [gpt2hydra.compose("train", ["model=large", "model.n_embd=640", "model.n_head=10"])]
    assert outcome.configs[0].model.n_inner == 2560


def test_the_job_runs_in_hydras_directory(run: CommandLine) -> None:
    seen: list[Path] = []
    run("hydra.run.dir=here", job=lambda config: seen.append(app.output_dir()))
    assert seen == [run.folder / "here"]
    recorded = sorted(path.name for path in (run.folder / "here/.hydra").iterdir())
    assert recorded == ["config.yaml", "hydra.yaml", "overrides.yaml"]


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


def test_output_of_cfg_shows_what_is_composed(run: CommandLine) -> None:
    outcome = run("model=large", "model.n_embd=640", "--cfg", "job", "--resolve", "--package", "model")
    assert (outcome.code, outcome.configs) == (0, [])
    assert "n_embd: 640\n" in outcome.out and "n_inner: 2560\n" in outcome.out
    assert run.left_behind() == []


def test_help_tells_the_command_the_groups_and_every_key_with_its_value_and_meaning(run: CommandLine) -> None:
    outcome = run("--help", "model=large", "hardware.name=${model.n_head}")
    assert (outcome.code, outcome.err, outcome.configs, run.left_behind()) == (0, "", [], [])
    assert "python train.py model=large" in outcome.out and "model: large, medium, small, xl\n" in outcome.out
    assert "  hardware.name=20  " in outcome.out
    assert re.search(r"^  model.n_layer=36 +transformer blocks; an integer ≥ 1 and ≤ 10,000$", outcome.out, re.MULTILINE)
    assert [key for key in keys_of(TrainConfig) if f"  {key}=" not in outcome.out] == []


def test_help_of_generate_lists_no_groups_that_it_does_not_have(run: CommandLine) -> None:
    outcome = run("--help", config_name="generate")
    assert outcome.out.startswith("Continue a prompt") and "  checkpoint=???  " in outcome.out
    assert "tokenizer:" not in outcome.out


def test_a_config_that_breaks_a_rule_is_shown_with_the_report(run: CommandLine) -> None:
    outcome = run("--cfg", "job", "model.n_head=7")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert "n_head: 7\n" in outcome.out and "must divide model.n_embd = 768" in outcome.err


def test_a_sweep_cannot_be_shown_as_one_config(run: CommandLine) -> None:
    outcome = run("-m", "--cfg", "job", "model.n_head=4,6")
    assert outcome.code == 2 and "exclude each other" in outcome.err


def test_a_device_that_is_not_here_is_told_with_who_asked_for_it(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.EXTRAS, "train", ())
    monkeypatch.setattr(app, "device_problems", lambda config: [Violation("training.device", "cuda", "must be here")])
    outcome = run("training.device=cuda", extra="train")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert "  set by the command line: training.device=cuda   (was auto, the default)\n" in outcome.err.replace("    ", "  ")


def test_completion_knows_the_sizes(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_LINE", "train.py model=")
    monkeypatch.setenv("COMP_POINT", "15")
    assert run("-sc", "query=bash").out.split() == ["model=large", "model=medium", "model=small", "model=xl"]


PROMPTS = ["To be, or not", "a=b", "'quoted'", "{x: 1}", "[1,2]", "${model}", "$ \\ ' \"", " x ", "007", "é"]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_prompt_means_what_was_typed(run: CommandLine, prompt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "machine_problems", lambda config: [])
    outcome = run("checkpoint=there", f"prompt={prompt}", config_name="generate")
    assert (outcome.err, [config.prompt for config in outcome.configs]) == ("", ["quoted" if prompt == "'quoted'" else prompt])


# -------------------------------------------------------------------------------------------------------------- refusals


def test_a_refusal_reports_everything_and_leaves_nothing_behind(run: CommandLine) -> None:
    outcome = run(*BROKEN)
    assert (outcome.code, outcome.out, outcome.configs) == (1, "", [])
    assert outcome.err.startswith("2 problems in the configuration; nothing was started.\n\n  model.n_head = 7\n")
    assert run.left_behind() == []


@pytest.mark.parametrize("option", [["--help"], ["--info"], ["--cfg", "job"], ["--cfg", "all", "--resolve"]])
@pytest.mark.parametrize("broken", ["model=lrage", "model.n_hed=3", "model.n_layer=abc", "model.n_layer=(", "~nope", "="])
def test_hydras_own_options_report_a_broken_config(run: CommandLine, option: list[str], broken: str) -> None:
    outcome = run(broken, *option)
    assert (outcome.code, outcome.configs) == (1, [])
    assert outcome.err.startswith("1 problem in the configuration; nothing was started.\n\n")
    assert run.left_behind() == []


def test_the_full_error_comes_back_on_request(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ConfigError, match="must divide"):
        run(*BROKEN)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        pytest.param(["--config-name", "trian"], "--config-name = trian", id="primary config"),
        pytest.param(["--config-path", "nowhere"], "--config-path = ", id="config path"),
        pytest.param(["--config-dir", "nowhere"], "--config-dir = nowhere", id="config dir"),
        pytest.param(["--experimental-rerun", "job.pickle"], "--experimental-rerun = job.pickle", id="pickled rerun"),
        pytest.param(["data.path=nowhere.txt"], "data.path = nowhere.txt", id="text file"),
    ],
)
def test_a_wrong_option_or_file_is_one_clear_problem(run: CommandLine, arguments: list[str], key: str) -> None:
    outcome = run(*arguments)
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert outcome.err.startswith(f"1 problem in the configuration; nothing was started.\n\n  {key}")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param(
            "hydra: {run: {dri: x}}", "hydra.run.dri = x\n    is refused by Hydra: Key 'dri' not in 'RunDir'", id="key"
        ),
        pytest.param("hydra: null", "hydra = null\n    is Hydra's own section; set its keys", id="section"),
    ],
)
def test_hydras_own_keys_in_a_file_are_told_with_their_line(run: CommandLine, written: str, expected: str) -> None:
    (run.folder / "experiment").mkdir()
    (run.folder / "experiment/x.yaml").write_text(f"# @package _global_\n{written}\n")
    outcome = run("experiment=x", "--config-dir", ".")
    assert (outcome.code, outcome.configs) == (1, [])
    assert expected in outcome.err and "\n    set by experiment/x.yaml:2\n" in outcome.err


def test_an_override_of_hydras_own_that_is_no_grammar(run: CommandLine) -> None:
    outcome = run("hydra.run.dir=x(")
    assert (outcome.code, outcome.configs) == (1, [])
    assert outcome.err.startswith("1 problem in the configuration; nothing was started.\n\n  hydra.run.dir = x(\n")


def test_a_directory_that_refers_to_nothing_is_told_beside_the_rest(run: CommandLine) -> None:
    outcome = run("hydra.run.dir=${nope}", "model.n_head=7")
    assert (outcome.code, outcome.configs) == (1, [])
    assert outcome.err.startswith("2 problems") and "hydra.run.dir = ${nope}\n    cannot be resolved" in outcome.err


def test_wrong_usage_exits_with_2(run: CommandLine) -> None:
    assert run("--no-such-option").code == 2


def test_a_finished_run_is_not_overwritten(run: CommandLine) -> None:
    (run.folder / "done/checkpoint").mkdir(parents=True)
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
    assert "no permission to write" in run("hydra.run.dir=locked/here").err


def test_an_absent_extra_is_told_after_validation(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.EXTRAS, "train", ("no_such_module",))
    outcome = run(extra="train")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert outcome.err == (
        "The configuration is valid, but no_such_module cannot be imported; nothing was started.\n"
        f"  try: pip install -e '{ROOT}[train]'\n"
    )
    assert "2 problems" in run(*BROKEN, extra="train").err


@pytest.mark.parametrize("mode", [[], ["-m"]])
def test_a_choice_that_an_experiment_replaced_is_told(run: CommandLine, mode: list[str]) -> None:
    outcome = run(*mode, "experiment=quickstart", "model=large", "training.seed=3")
    note = "sets model.n_embd, model.n_layer, model.n_head\n"
    assert outcome.code == 0
    assert outcome.err.startswith("note: model=large has no effect: ") and outcome.err.endswith(note)
    assert run(*mode, "experiment=shakespeare_char", "hardware=l4").err == ""


# ------------------------------------------------------------------------------------------------------------ in the job


def test_a_refusal_inside_the_job_is_a_report_too(run: CommandLine) -> None:
    def job(config: Any) -> None:
        raise ConfigError([Violation("training.device", "cuda", "is not here")])

    outcome = run(job=job)
    assert (outcome.code, outcome.err.splitlines()[2]) == (1, "  training.device = cuda")


def test_a_mistake_of_the_program_keeps_its_traceback(run: CommandLine) -> None:
    outcome = run(job=lambda config: 1 / 0)
    assert outcome.code == 1 and "ZeroDivisionError" in outcome.err


def test_an_interrupted_job_exits_with_130(run: CommandLine) -> None:
    def job(config: Any) -> None:
        raise KeyboardInterrupt

    outcome = run(job=job)
    assert (outcome.code, outcome.err) == (130, "\ninterrupted\n")


@pytest.mark.parametrize(
    ("reader", "encoding"),
    [
        pytest.param("true", "utf-8", id="nobody reads"),
        pytest.param("cat", "ascii", id="an encoding without our signs"),
    ],
)
def test_what_becomes_of_the_output_is_no_traceback(tmp_path: Path, reader: str, encoding: str) -> None:
    program = f"'{sys.executable}' '{ROOT}/train.py' dry_run=true hardware=l4 hardware.name=→"
    command = f"{program} | {reader}; exit ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_behind_the_output_is_told(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    command = [sys.executable, str(ROOT / "train.py"), "dry_run=true", "hardware=h200"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "standard output: no space left on the device\n")


# ----------------------------------------------------------------------------------------------------------- dry runs


def test_a_dry_run_prints_the_plan_and_starts_nothing(run: CommandLine) -> None:
    outcome = run("model=large", "dry_run=true", "training.batch_size=2")
    assert (outcome.code, outcome.configs, run.left_behind()) == (0, [], [])
    assert "774,030,080" in outcome.out and "training.batch_size = 2  the command line" in outcome.out


# ------------------------------------------------------------------------------------------------- the programs themselves

WATCHED = """
import json, runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as stop:
    code = stop.code
else:
    code = 0
print(json.dumps([code, sorted({"torch", "transformers", "matplotlib", "numpy"} & sys.modules.keys())]))
"""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["train.py", *BROKEN], 1, "2 problems in the configuration", id="wrong values"),
        pytest.param(["train.py", "data.path=nowhere.txt"], 1, "data.path = nowhere.txt", id="missing file"),
        pytest.param(["train.py", "-m", "model=small,xl", "model.n_head=7,12"], 1, "3 of 4 points are invalid", id="sweep"),
        pytest.param(["train.py", "model=xl", "dry_run=true"], 0, "", id="dry run"),
        pytest.param(["generate.py", "checkpoint=nowhere"], 1, "checkpoint = nowhere", id="missing checkpoint"),
        pytest.param(["generate.py"], 1, "must be given", id="no checkpoint"),
    ],
)
def test_what_starts_nothing_imports_nothing_heavy(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    program, *rest = arguments
    command = [sys.executable, "-c", WATCHED, str(ROOT / program), *rest]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [code, []]
    assert said in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
