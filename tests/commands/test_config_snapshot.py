"""What ``gpt2hydra diff`` takes: a run, a checkpoint, overrides; and what it refuses."""

from pathlib import Path

import pytest

from gpt2hydra import GenerateConfig, TrainConfig
from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.commands.config_snapshot import read_snapshot
from tests.commands.test_main import run_command
from tests.run_directories import make_run


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_overrides_of_either_program() -> None:
    train, generate = read_snapshot("training.seed=3"), read_snapshot("generate checkpoint=x")
    assert (train.description, train.config_class, train.values["training.seed"]) == ("overrides of train", TrainConfig, 3)
    assert str(train.set_by["training.seed"]) == "the command line: training.seed=3"
    assert (generate.description, generate.config_class, generate.values["checkpoint"]) == (
        "overrides of generate",
        GenerateConfig,
        "x",
    )
    assert "model.n_inner" not in train.values  # it follows from others


def test_a_run_and_a_checkpoint_in_it() -> None:
    folder = make_run(Path("run"), TrainConfig(), step=500, loss=2.5)
    run, checkpoint = read_snapshot("run"), read_snapshot(str(write_config(run_checkpoints.checkpoint_dir(folder, 500))))
    assert (run.description, run.results["step"]) == ("interrupted run", 500)
    assert run.fingerprints == checkpoint.fingerprints
    assert run.values == checkpoint.values


def write_config(folder: Path) -> Path:
    """What makes a folder one of Hugging Face, and the run in it."""
    import json

    from gpt2hydra import huggingface
    from gpt2hydra.config.fingerprint import fingerprints

    config = TrainConfig()
    (folder / "config.json").write_text(json.dumps(huggingface.to_hf(config.model)))
    content = {"step": 500, "validation_loss": 2.5, "config": config.to_dict(), "fingerprints": fingerprints(config)}
    (folder / run_checkpoints.RUN_JSON).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param("nowhere", "", "nowhere\n    there is no such run directory or checkpoint", id="nothing there"),
        pytest.param("empty", "", "empty\n    holds no run (run.json) and no checkpoint (config.json)", id="empty folder"),
        pytest.param("notes.txt", "", "notes.txt\n    is a file; must be a run directory", id="a file"),
        pytest.param("sweep", "", "holds several runs; name one of them: 0, 1", id="a sweep"),
        pytest.param("old", "", "old/run.json\n    is no record of a training run of this version", id="an older version"),
        pytest.param("broken", "", "broken/run.json\n    is not JSON", id="a broken record"),
        pytest.param("model=huge", "training.sed=1", "2 problems", id="both refused"),
        pytest.param("model=huge", "model=huge", "1 problem ", id="the same refused"),
        pytest.param("model='x", "", "cannot be read as overrides: No closing quotation", id="a quote"),
        pytest.param(
            "",
            "generate checkpoint=x",
            "none, and overrides of generate: generate checkpoint=x\n",
            id="unlike",
        ),
    ],
)
def test_what_cannot_be_compared_is_reported(capsys: pytest.CaptureFixture[str], a: str, b: str, expected: str) -> None:
    for folder in ("empty", "sweep/0", "sweep/1", "old", "broken"):
        Path(folder).mkdir(parents=True)
    Path("notes.txt").touch()
    for point in ("sweep/0", "sweep/1"):
        Path(point, "run.json").touch()
    Path("old/run.json").write_text('{"model": {}}')
    Path("broken/run.json").write_text("{")
    code, out, err = run_command(capsys, "diff", a, b)
    assert (code, out) == (1, "") and expected in err and "Traceback" not in err
