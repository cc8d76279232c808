"""What the command line asks for, and that nothing is left behind where it is refused."""

import os
import re
import sys
from types import SimpleNamespace

import hydra
import pytest

import gpt2hydra
from gpt2hydra import TrainConfig
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.keys import keys_of
from gpt2hydra.utils.verbosity import print_note
from tests.command_line import CommandLine

BROKEN = ("model=large", "model.n_head=7", "+model.n_hed=3")


def test_output_of_cfg_shows_what_is_composed(run: CommandLine) -> None:
    outcome = run("model=large", "model.n_embd=640", "--cfg", "job", "--resolve", "--package", "model")
    assert (outcome.code, outcome.configs) == (0, [])
    assert "n_embd: 640\n" in outcome.out and "n_inner: 2560\n" in outcome.out
    assert run.left_behind() == []


def test_help_tells_the_command_the_groups_and_every_key_with_its_value_and_meaning(run: CommandLine) -> None:
    outcome = run("--help", "all", "model=large", "hardware.name=${model.n_head}")
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


def test_completion_knows_the_sizes(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_LINE", "train.py model=")
    monkeypatch.setenv("COMP_POINT", "15")
    assert run("-sc", "query=bash").out.split() == ["model=large", "model=medium", "model=small", "model=xl"]


PROMPTS = ["To be, or not", "a=b", "'quoted'", "{x: 1}", "[1,2]", "${model}", "$ \\ ' \"", " x ", "007", "é"]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_prompt_means_what_was_typed(run: CommandLine, prompt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpt2hydra.checkpoint.folder.check_checkpoint", lambda path: [])
    outcome = run("checkpoint=there", f"prompt={prompt}", config_name="generate")
    assert (outcome.err, [config.prompt for config in outcome.configs]) == ("", ["quoted" if prompt == "'quoted'" else prompt])


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
    ],
)
def test_a_wrong_option_is_no_problem_of_the_configuration(run: CommandLine, arguments: list[str], key: str) -> None:
    outcome = run(*arguments)
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert outcome.err.startswith(f"1 problem in the command line.\n\n  {key}")


def test_bytes_that_are_no_text_are_named(run: CommandLine) -> None:
    outcome = run("model=large", os.fsdecode(b"data.path=caf\xe9.txt"), "model.n_head=7")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert outcome.err == "1 problem in the command line.\n\n  data.path=caf\\xe9.txt\n    has bytes that are not UTF-8\n"
    assert run("model=large", "data.path=café.txt").err.startswith("1 problem in the configuration")


def test_a_primary_config_may_be_named_with_its_ending(run: CommandLine) -> None:
    assert len(run("--config-name", "train.yaml", "model=large").configs) == 1
    assert len(run("model=large", config_name="train.yaml").configs) == 1


def test_the_version_is_ours_and_hydras(run: CommandLine) -> None:
    assert run("--version").out == f"gpt2hydra {gpt2hydra.__version__}, Hydra {hydra.__version__}\n"


def test_verbose_lists_what_is_set(run: CommandLine) -> None:
    outcome = run("-v", "model.n_layer=5")
    assert (outcome.code, len(outcome.configs)) == (0, 1)
    assert "model.n_layer = 5   (set by the command line: model.n_layer=5)\n" in outcome.err
    assert run("-v", "-q").code == 2


def test_a_sweep_may_be_verbose(run: CommandLine) -> None:
    assert len(run("-v", "-m", "model.n_layer=5,6").configs) == 2


def test_quiet_leaves_out_notes(run: CommandLine) -> None:
    def job(config: TrainConfig) -> None:
        print_note("importing PyTorch ...")

    assert run("-q", job=job).err == ""
    assert run(job=job).err == "importing PyTorch ...\n"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param(
            "hydra: {run: {dri: x}}", "hydra.run.dri = x\n    is not accepted by Hydra: Key 'dri' not in 'RunDir'", id="key"
        ),
        pytest.param("hydra: null", "hydra = null\n    is Hydra's own section; set its keys", id="section"),
    ],
)
def test_hydras_own_keys_in_a_file_are_reported_with_their_line(run: CommandLine, written: str, expected: str) -> None:
    (run.folder / "experiment").mkdir()
    (run.folder / "experiment/x.yaml").write_text(f"# @package _global_\n{written}\n")
    outcome = run("experiment=x", "--config-dir", ".")
    assert (outcome.code, outcome.configs) == (1, [])
    assert expected in outcome.err and "\n    set by experiment/x.yaml:2\n" in outcome.err


def test_an_override_of_hydras_own_that_is_no_grammar(run: CommandLine) -> None:
    outcome = run("hydra.run.dir=x(")
    assert (outcome.code, outcome.configs) == (1, [])
    assert outcome.err.startswith("1 problem in the configuration; nothing was started.\n\n  hydra.run.dir = x(\n")


def test_a_directory_that_refers_to_nothing_is_reported_with_the_rest(run: CommandLine) -> None:
    outcome = run("hydra.run.dir=${nope}", "model.n_head=7")
    assert (outcome.code, outcome.configs) == (1, [])
    assert outcome.err.startswith("2 problems") and "hydra.run.dir = ${nope}\n    cannot be resolved" in outcome.err


def test_wrong_usage_exits_with_2(run: CommandLine) -> None:
    assert run("--no-such-option").code == 2


def test_options_may_be_between_overrides(run: CommandLine) -> None:
    outcome = run("model=large", "--cfg", "job", "model.n_head=5", "--package", "model")
    assert (outcome.code, outcome.err) == (0, "")
    assert "n_layer: 36\nn_head: 5\n" in outcome.out


def test_an_option_is_spelt_out(run: CommandLine) -> None:
    outcome = run("--multi", "model=small,large")
    assert (outcome.code, outcome.configs) == (2, [])
    assert outcome.err.endswith(": error: there is no option --multi; did you mean --multirun?\n")


KERNEL, TERMINAL = SimpleNamespace(kernel=object()), SimpleNamespace()
LAUNCHER = ["python", "-m", "ipykernel_launcher"]


@pytest.mark.parametrize(
    ("shell", "process", "words", "layers"),
    [
        pytest.param(KERNEL, [*LAUNCHER, "-f", "kernel-1a.json"], ["-f", "kernel-1a.json"], 12, id="Jupyter, Colab"),
        pytest.param(KERNEL, [*LAUNCHER, "--f=kernel-1a.json"], ["--f=kernel-1a.json"], 12, id="an editor"),
        pytest.param(KERNEL, [*LAUNCHER, "-f", "kernel-1a.json"], ["model=large"], 36, id="%run in a notebook"),
        pytest.param(TERMINAL, ["ipython", "train.py", "model=large"], ["model=large"], 36, id="IPython in a terminal"),
        pytest.param(None, ["python", "train.py", "model=large"], ["model=large"], 36, id="a script that imports IPython"),
    ],
)
def test_the_words_of_a_notebooks_kernel_are_not_the_programs(
    run: CommandLine, monkeypatch: pytest.MonkeyPatch, shell: object, process: list[str], words: list[str], layers: int
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(sys, "orig_argv", process)
    outcome = run(*words)
    assert (outcome.code, [config.model.n_layer for config in outcome.configs]) == (0, [layers])
