"""An application of somebody's own passes the same gate, with the same care, as train.py."""

import importlib
import os
import pickle
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

import gpt2hydra
from gpt2hydra import ConfigError, GPT2Config
from gpt2hydra.commands import main
from gpt2hydra.composition.schema import schema_of
from gpt2hydra.config.gpt2 import CONF_DIR
from tests.command_line import CommandLine, Outcome
from tests.own_application import FINETUNE, PRIMARY, write_application


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("an application")
    sys.path.insert(0, str(folder))
    yield write_application(folder)
    sys.path.remove(str(folder))
    for name in [each for each in sys.modules if each.partition(".")[0] == "own_app"]:
        del sys.modules[name]


@pytest.fixture
def finetune(package: Path) -> ModuleType:
    return importlib.import_module("own_app.finetune")


@pytest.fixture
def probe(package: Path) -> ModuleType:
    return importlib.import_module("own_app.probe")


def run_program(run: CommandLine, module: ModuleType, *arguments: str) -> Outcome:
    return run.program(module.main, *arguments)


def test_the_values_are_typed_and_computed(run: CommandLine, finetune: ModuleType) -> None:
    outcome = run_program(run, finetune, "lora.rank=4", "lora.alpha=2", "model=large")
    assert (outcome.code, outcome.out) == (0, "rank 4 of 1280, scale 0.5\n")


def test_a_users_program_has_its_own_groups_and_the_inherited_ones(run: CommandLine, finetune: ModuleType) -> None:
    outcome = run_program(run, finetune, "experiment=quickstart", "lora=wide")
    assert outcome.out == "rank 64 of 128, scale 0.25\n"


def test_all_that_is_wrong_is_reported_at_once_with_file_and_line(
    run: CommandLine, finetune: ModuleType, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(package)
    outcome = run_program(run, finetune, "lora=wrong", "model.n_head=7", "lora.alhpa=3")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == (
        "3 problems in the configuration; nothing was started.\n\n"
        "  model.n_head = 7\n"
        "    must divide model.n_embd = 768 (nearest: 6, 8; or n_embd for 7 heads: 763, 770)\n"
        f"    set by the command line: model.n_head=7   (was 12, {CONF_DIR}/model/small.yaml:3)\n"
        "    try: model.n_head=6\n\n"
        "  lora.rank = 0\n"
        "    must be ≥ 1 and ≤ 1,024\n"
        "    set by conf/lora/wrong.yaml:1   (was 8, the default)\n"
        "    try: lora.rank=8\n\n"
        "  lora.alhpa = 3\n"
        "    unknown key; did you mean lora.alpha?\n"
        "    set by the command line: lora.alhpa=3\n"
        "    try: lora.alpha=3\n"
    )


def test_the_rules_and_files_of_a_users_program_are_checked(run: CommandLine, finetune: ModuleType) -> None:
    shape = ("model.n_embd=32", "model.n_head=4")
    assert "  lora.rank = 64\n    must be < model.n_embd = 32\n" in run_program(run, finetune, *shape).err
    outcome = run_program(run, finetune, "lora=typo")
    assert "  lora.rnk = 4\n    unknown key; did you mean lora.rank?\n" in outcome.err
    assert "typo.yaml:1" in outcome.err
    assert "must be one of typo, wide, wrong" in run_program(run, finetune, "lora=huge").err


def test_every_point_of_its_sweep_is_checked_first(run: CommandLine, finetune: ModuleType) -> None:
    refused = run_program(run, finetune, "-m", "lora.rank=4,0")
    assert (refused.code, refused.out, run.left_behind()) == (1, "", [])
    assert "  #1  lora.rank=0\n      lora.rank = 0 must be ≥ 1 and ≤ 1,024" in refused.err
    outcome = run_program(run, finetune, "-m", "lora.rank=4,8", "hydra.sweep.dir=out")
    assert [line for line in outcome.out.splitlines() if "HYDRA" not in line] == [
        "rank 4 of 768, scale 4.0",
        "rank 8 of 768, scale 2.0",
    ]


def test_help_tells_its_keys(run: CommandLine, finetune: ModuleType, probe: ModuleType) -> None:
    outcome = run_program(run, finetune, "--help")
    assert outcome.out.startswith("Fine-tune GPT-2 with low-rank adapters.\n")
    assert "lora: typo, wide, wrong\n" in outcome.out
    assert "  data.path=null" in outcome.out and "  lora.alpha=16.0               strength of the update\n" in outcome.out
    outcome = run_program(run, finetune, "--help", "all")
    assert "  lora.rank=64                                rank of the update; an integer ≥ 1 and ≤ 1,024\n" in outcome.out
    assert "  lora.scale=0.25                             alpha / rank; computed, cannot be set\n" in outcome.out
    assert run_program(run, probe, "--help").out.startswith("Compare two shapes.\n")


def test_a_dry_run_shows_the_plan_or_what_is_not_the_default(run: CommandLine, finetune: ModuleType, probe: ModuleType) -> None:
    outcome = run_program(run, finetune, "dry_run=true", "lora.rank=4")
    assert outcome.out.startswith("GPT-2 of 12 layers, 768 wide")
    assert "  lora.rank = 4  the command line\n" in outcome.out
    outcome = run_program(run, probe, "dry_run=true", "label=x", "other.n_layer=2")
    assert "other.n_layer = 2   (set by the command line: other.n_layer=2)\n" in outcome.out
    assert run.left_behind() == []


def test_any_section_takes_a_size_of_ours(run: CommandLine, probe: ModuleType) -> None:
    assert run_program(run, probe, "label=two").out == "two: 3072 5120\n"
    assert run_program(run, probe, "label=two", "gpt2/model@one=xl").out == "two: 6400 5120\n"
    outcome = run_program(run, probe, "one.n_head=7")
    assert [line for line in outcome.err.splitlines() if line[2:3].strip()] == [
        "2 problems in the configuration; nothing was started.",
        "  one.n_head = 7",
        "  label",
    ]


def test_an_option_of_ours_is_traced_to_its_file(run: CommandLine, probe: ModuleType, package: Path) -> None:
    outcome = run_program(run, probe, "label=two", "other.n_head=7", "one=xl")
    assert f"(was 20, {CONF_DIR}/model/large.yaml:3)\n    try: other.n_head=8\n" in outcome.err
    assert "  one = xl\n    is a section, chosen by gpt2/model@one\n" in outcome.err
    assert "    try: gpt2/model@one=xl\n" in outcome.err


def test_explain_tells_who_set_its_values(run: CommandLine, finetune: ModuleType, package: Path) -> None:
    main.main(["explain", "--app", "own_app.finetune:main", "lora.rank=7", "lora.rank"])
    file = package / "conf/lora/wide.yaml"
    assert run.capfd.readouterr().out == (
        f"lora.rank = 7   the command line: lora.rank=7\n    was 64   {file}:1\n    was 8   the default\n"
    )


def test_a_shell_completes_its_keys_and_options(
    run: CommandLine, finetune: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for typed, completed in {
        "lora.s": [],
        "lora.r": ["lora.rank="],
        "lora=wi": ["lora=wide"],
        "model=l": ["model=large"],
    }.items():
        monkeypatch.setenv("COMP_LINE", f"finetune.py {typed}")
        assert run_program(run, finetune, "--shell-completion", "query=bash").out.split() == completed


def test_a_value_that_follows_from_others_cannot_be_set(run: CommandLine, finetune: ModuleType) -> None:
    outcome = run_program(run, finetune, "lora.scale=3")
    assert "  lora.scale = 3\n    is computed (alpha / rank)" in outcome.err


def test_a_primary_config_must_list_its_schema(run: CommandLine, finetune: ModuleType, package: Path) -> None:
    (package / "conf/plain.yaml").write_text("defaults: [model: small, _self_]\n")
    for more in ([], ["lora.rank=3"], ["--help"]):
        outcome = run_program(run, finetune, "--config-name", "plain", *more)
        assert outcome.err == (
            "1 problem in the configuration; nothing was started.\n\n"
            "  plain.yaml\n    must list finetune_schema, the schema of Finetune, first in its defaults\n"
        )


def test_a_users_program_is_composed_from_python(finetune: ModuleType, package: Path) -> None:
    config = gpt2hydra.compose("finetune", ["lora.rank=4"], config_dir=package / "conf", config_class=finetune.Finetune)
    assert (config.lora.scale, config.model) == (4.0, GPT2Config())
    assert gpt2hydra.compose("finetune", ["lora.rank=4"], config_dir=package / "conf") == config
    with pytest.raises(ConfigError, match=r"config_dir = .*nowhere\n    is not a folder"):
        gpt2hydra.compose("finetune", config_dir=package / "nowhere")


def test_two_programs_may_have_one_name(package: Path, finetune: ModuleType) -> None:
    (package / "conf/train.yaml").write_text("defaults: [train_schema, model: small, _self_]\nlora: {rank: 2}\n")
    own = gpt2hydra.compose("train", config_dir=package / "conf", config_class=finetune.Finetune)
    assert (type(own), own.lora.rank) == (finetune.Finetune, 2)
    assert type(gpt2hydra.compose("train")) is gpt2hydra.TrainConfig
    assert gpt2hydra.compose("train", config_dir=package / "conf", config_class=finetune.Finetune) == own


def test_the_schema_can_be_pickled_by_launchers(finetune: ModuleType) -> None:
    assert pickle.loads(pickle.dumps(schema_of(finetune.Finetune))) is schema_of(finetune.Finetune)


PAGE = (CONF_DIR.parent / "docs/own-application.md").read_text(encoding="utf-8")


def test_the_program_is_the_one_in_the_documentation() -> None:
    assert f"```python{FINETUNE}```" in PAGE and f"```yaml\n{PRIMARY}```" in PAGE


def test_the_first_section_of_the_documents_is_checked_as_they_show(run: CommandLine) -> None:
    section = PAGE.partition("## One section")[2].partition("A key further down")[0]
    for path, content in re.findall(r"`([\w/]+\.(?:py|yaml))`:\n\n```\w+\n(.*?)```", section, re.DOTALL):
        file = run.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    program = runpy.run_path(str(run.folder / "train.py"))["main"]
    shown = re.findall(r"```text\n\$ python train\.py (.*?)\n(.*?)```", section, re.DOTALL)
    assert len(shown) == 2
    for words, printed in shown:
        outcome = run.program(program, *words.split())
        assert outcome.out + outcome.err == printed


# ---------------------------------------------------------------------------------------------------------- processes


def python(package: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python that finds the application as it would an installed one, in another folder."""
    path = os.pathsep.join([str(package.parent), str(CONF_DIR.parent)])
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "120"}
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_program_runs_as_a_module_from_anywhere(package: Path, tmp_path: Path) -> None:
    done = python(package, tmp_path, "-m", "own_app.finetune", "lora.rank=4", "model.n_head=7")
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (1, "", [])
    assert "try: model.n_head=6" in done.stderr
    done = python(package, tmp_path, "-m", "own_app.finetune", "lora.rank=4")
    assert (done.returncode, done.stdout) == (0, "rank 4 of 768, scale 4.0\n")


@pytest.mark.skipif(find_spec("joblib") is None, reason="needs the Hydra plugin hydra_joblib_launcher")
def test_other_processes_get_a_class_of_the_main_program(package: Path, tmp_path: Path) -> None:
    options = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=out"]
    done = python(package, tmp_path, "-m", "own_app.finetune", "-m", "lora.rank=4,8", *options)
    assert done.returncode == 0, done.stderr
    assert "rank 4 of 768, scale 4.0\n" in done.stdout
    assert "rank 8 of 768, scale 2.0\n" in done.stdout


def test_a_mistake_in_its_classes_is_reported_at_import(tmp_path: Path) -> None:
    wrong = FINETUNE.replace('@validator("lora.rank"', '@validator("lora.rnk"')
    (tmp_path / "finetune.py").write_text(wrong, encoding="utf-8")
    done = python(tmp_path, tmp_path, "-c", "import finetune")
    assert done.stderr.splitlines()[-1] == (
        "TypeError: finetune.Finetune: the validator _narrower_than_the_model names lora.rnk, which is no field; "
        "did you mean lora.rank?"
    )


@pytest.mark.thorough  # mypy reads PyTorch's types too
def test_mypy_agrees(package: Path) -> None:
    pytest.importorskip("mypy")
    done = python(package, package.parent, "-m", "mypy", "--strict", "--no-incremental", "own_app")
    assert done.returncode == 0, done.stdout
