"""Checkpoints: complete or not at all, and refused before anything is loaded where they will not do."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt2hydra.checkpoint import atomic_directory, run_checkpoints
from gpt2hydra.checkpoint import folder as checkpoint
from gpt2hydra.config.gpt2 import CONF_DIR
from tests.checkpoints import safetensors, tiny_shapes, write_checkpoint
from tests.command_line import CommandLine


def problems(path: Path) -> list[str]:
    return [violation.rule for violation in checkpoint.check_checkpoint(str(path))]


def run_with_checkpoint(run: Path, step: int, loss: float | None = None) -> Path:
    """A run directory that holds a checkpoint of a step: the checkpoint's folder."""
    place = run_checkpoints.checkpoint_dir(run, step)
    with atomic_directory.write_directory(place) as folder:
        write_checkpoint(folder)
        (folder / run_checkpoints.RUN_JSON).write_text(json.dumps({"step": step, "validation_loss": loss}))
    return place


# ------------------------------------------------------------------------------------------------------------- refusals


def test_a_complete_checkpoint_and_the_run_around_it_have_no_problem(tmp_path: Path) -> None:
    checkpoint_folder = run_with_checkpoint(tmp_path / "run", 10)
    assert problems(checkpoint_folder) == problems(tmp_path / "run") == []


def test_a_checkpoint_that_is_not_there_suggests_the_newest_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_with_checkpoint(tmp_path / "outputs/2026-01-31/12-00-00", 10)
    (violation,) = checkpoint.check_checkpoint("nowhere")
    assert (violation.key, violation.rule) == ("checkpoint", "there is no such folder")
    assert violation.suggestion == "checkpoint=outputs/2026-01-31/12-00-00"


def test_a_misspelt_folder_suggests_the_one_next_to_it_that_has_a_checkpoint(tmp_path: Path) -> None:
    run_with_checkpoint(tmp_path / "outputs/2026-01-31/12-00-00", 10)
    run_with_checkpoint(tmp_path / "runs/first", 10)
    (tmp_path / "runs/firs").mkdir()
    (violation,) = checkpoint.check_checkpoint(str(tmp_path / "runs/frst"))
    assert violation.remedy == {"checkpoint": str(tmp_path / "runs/first")}


def test_of_a_run_the_best_checkpoint_is_taken_and_named(tmp_path: Path) -> None:
    for step, loss in ((10, 2.5), (20, 2.25), (30, 2.75)):
        run_with_checkpoint(tmp_path / "run", step, loss)
    best = tmp_path / "run/checkpoints/step-000020"
    assert checkpoint.find_checkpoint(str(tmp_path / "run")) == best
    message = f"the checkpoint of step 20, validation loss 2.2500, is the best of 3 in {tmp_path}/run"
    assert (checkpoint.describe_choice(str(tmp_path / "run")), checkpoint.describe_choice(str(best))) == (message, "")
    assert problems(tmp_path / "run") == []


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def write(name: str, content: str | bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(remove("config.json"), "holds no checkpoint; there is no config.json", id="no config"),
        pytest.param(write("config.json", "{"), "cannot be used: {folder}/config.json is not JSON", id="no JSON"),
        pytest.param(remove("model.safetensors"), "must hold model.safetensors; there are no weights", id="no weights"),
        pytest.param(write("model.safetensors", b"?"), "model.safetensors is damaged", id="damaged weights"),
        pytest.param(remove("merges.txt"), "has no tokenizer: must hold tokenizer.json, or vocab.json", id="no tokenizer"),
        pytest.param(write("tokenizer.json", "{"), "cannot be used: {folder}/tokenizer.json is", id="tokenizer"),
        pytest.param(
            write("tokenizer.json", '{"decoder": null}'),
            "cannot be used: {folder}/tokenizer.json must be a byte-level BPE",
            id="another tokenizer",
        ),
    ],
)
def test_missing_and_damaged_checkpoint_files(damage: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    damage(write_checkpoint(tmp_path))
    (only,) = problems(tmp_path)
    assert only.startswith(message.format(folder=tmp_path))


def test_a_config_that_is_no_gpt2(tmp_path: Path) -> None:
    assert problems(write_checkpoint(tmp_path, model_type="llama", n_head=3)) == [
        "cannot be used: n_head = 3 must divide n_embd = 8 (nearest: 2, 4; or n_embd for 3 heads: 6, 9)",
        "cannot be used: model_type = llama must be gpt2",
    ]


def test_a_file_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    assert problems(tmp_path / "model.bin") == ["is a file; must be a run directory or a Hugging Face folder"]


def test_a_run_that_saved_nothing_says_so(tmp_path: Path) -> None:
    (tmp_path / "loss.csv").touch()
    assert problems(tmp_path) == ["holds no checkpoint; the run saved none; it saves one at each evaluation"]


def test_pickles_with_the_weights_are_passed_over(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    for name in ("pytorch_model.bin", "optimizer.pt", "training_args.bin", "rng_state.pth"):
        (tmp_path / name).write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    assert problems(tmp_path) == []


def test_the_command_line_refuses_before_torch_is_imported(run: CommandLine, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "run")
    (tmp_path / "run/model.safetensors").write_bytes(safetensors(tiny_shapes())[:-1])
    before = run.left_behind(), "torch" in sys.modules
    outcome = run("checkpoint=run", config_name="generate")
    assert (outcome.code, outcome.out, outcome.configs) == (1, "", [])
    assert "checkpoint = run\n    model.safetensors is damaged" in outcome.err
    assert (run.left_behind(), "torch" in sys.modules) == before


def test_nothing_of_this_module_needs_torch() -> None:
    code = "import sys, gpt2hydra.checkpoint, gpt2hydra.data; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=CONF_DIR.parent, check=False).returncode == 0
