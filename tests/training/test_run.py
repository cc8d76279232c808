"""Training, from a config to a checkpoint, and what it says on the way."""

import csv
import errno
import json
import pickle
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

import gpt2hydra
from gpt2hydra import TrainConfig
from gpt2hydra.checkpoint import folder as checkpoint
from gpt2hydra.cli.main import output_dir
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.data import corpus as data
from gpt2hydra.training.run import Diverged, Result, Stopped, sampling_command, train
from tests.checkpoints import write_bpe
from tests.command_line import CommandLine

torch.set_num_threads(1)  # what is computed here is too small to share

TINY = (
    *("model.vocab_size=257", "model.n_positions=16", "model.n_embd=16", "model.n_layer=1", "model.n_head=2"),
    *("model.resid_pdrop=0.1", "training.batch_size=8", "training.learning_rate=0.01", "training.warmup_steps=2"),
    *("training.max_steps=20", "training.eval_interval=10", "training.log_interval=5", "training.eval_batches=2"),
    *("training.sample_tokens=30", "training.device=cpu"),
)


def tiny(*overrides: str) -> TrainConfig:
    return gpt2hydra.compose("train", [*TINY, *overrides])  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return train(tiny(), tmp_path_factory.mktemp("run"))


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "loss.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# ---------------------------------------------------------------------------------------------------------- what it leaves


def test_it_learns(result: Result) -> None:
    assert result.validation_loss < result.untrained_loss - 1
    assert 5 < result.untrained_loss < 6


def test_a_run_leaves_a_checkpoint_and_the_losses(result: Result) -> None:
    run = result.checkpoint.parent.parent
    assert sorted(path.name for path in run.iterdir()) == [".lock", "checkpoints", "loss.csv", "loss.png", "run.json"]
    assert sorted(path.name for path in result.checkpoint.iterdir()) == [
        "config.json",
        "generation_config.json",
        "gpt2hydra.json",
        "manifest.json",
        "merges.txt",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
    ]
    assert (run / "loss.png").read_bytes()[:4] == b"\x89PNG"


def test_the_table_has_a_row_for_each_measurement(result: Result) -> None:
    rows = table(result.checkpoint.parent.parent)
    assert [(row["step"], row["tokens"]) for row in rows] == [(str(step), str(step * 128)) for step in (0, 5, 10, 15, 20)]
    assert [bool(row["validation_loss"]) for row in rows] == [True, False, True, False, True]
    assert [bool(row["training_loss"]) for row in rows] == [False, True, True, True, True]
    assert float(rows[-1]["validation_loss"]) == result.validation_loss
    assert float(rows[-1]["learning_rate"]) == 6e-5


def test_the_checkpoint_carries_the_run(result: Result) -> None:
    record = json.loads((result.checkpoint / "gpt2hydra.json").read_text())
    assert (record["version"], record["step"]) == (gpt2hydra.__version__, 20)
    assert TrainConfig.from_dict(record["config"]) == tiny()


def test_the_checkpoint_is_the_trained_model(result: Result) -> None:
    model, tokenizer = checkpoint.load(str(result.checkpoint.parent.parent))
    from gpt2hydra.training.loop import evaluate

    _, validation = data.tokens(tiny())
    assert evaluate(model, data.validation_batches(validation, tiny().training)) == pytest.approx(result.validation_loss)
    assert tokenizer.end_of_text == 256


def test_others_may_read_the_weights_as_they_may_the_config(result: Result) -> None:
    modes = {(result.checkpoint / name).stat().st_mode for name in ("model.safetensors", "config.json")}
    assert len(modes) == 1


# --------------------------------------------------------------------------------------------------------- the same again


def test_the_same_seed_gives_the_same_losses(result: Result, tmp_path: Path) -> None:
    again = train(tiny(), tmp_path / "again")
    other = train(tiny("training.seed=1"), tmp_path / "other")
    assert again.validation_loss == result.validation_loss != other.validation_loss
    columns = ("step", "training_loss", "validation_loss", "learning_rate")
    runs = (result.checkpoint.parent.parent, tmp_path / "again")
    first, second = ([[row[column] for column in columns] for row in table(run)] for run in runs)
    assert first == second
    assert again.sample == result.sample


@pytest.mark.parametrize(
    ("overrides", "near"),
    [
        (["training.attention=eager"], 0.02),
        (["training.gradient_checkpointing=true"], 0.02),
        (["training.precision=bf16"], 0.1),
        (["training.precision=bf16_pure"], 0.3),
    ],
)
def test_other_ways_to_compute_learn_the_same(overrides: list[str], near: float, tmp_path: Path) -> None:
    plain = train(tiny("model.resid_pdrop=0", "model.attn_pdrop=0", "model.embd_pdrop=0"), tmp_path / "plain")
    other = train(tiny("model.resid_pdrop=0", "model.attn_pdrop=0", "model.embd_pdrop=0", *overrides), tmp_path / "other")
    assert other.validation_loss == pytest.approx(plain.validation_loss, abs=near)


def test_bpe_and_several_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("the cat sat on the mat\n" * 50)
    folder = write_bpe(tmp_path / "bpe", "t h", "th e", "Ġ the", "a t")
    overrides = ("tokenizer=gpt2", f"tokenizer.path='{folder}'", f"data.path='{tmp_path}/*.txt'", "model.vocab_size=50257")
    result = train(tiny(*overrides, "training.max_steps=10"), tmp_path / "run")
    assert result.validation_loss < result.untrained_loss
    _, tokenizer = checkpoint.load(str(tmp_path / "run"))
    assert tokenizer.encode(" the cat") == [258, 32, 99, 259]


# ------------------------------------------------------------------------------------------------------------ what it says


def test_the_report_and_a_quiet_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(tiny(), tmp_path / "run")
    out, err = capfd.readouterr()
    losses = [float(row["validation_loss"]) for row in table(tmp_path / "run") if row["validation_loss"]]
    assert re.match(r"\nTrained 20 steps on 2,560 tokens in \d+ s\.\n\n", out)
    assert f"  validation loss  {losses[0]:.3f} untrained → {losses[-1]:.3f} trained (nats per token)\n" in out
    assert f"  checkpoint       {tmp_path}/run/checkpoints/step-000020\n" in out
    assert f"  losses           {tmp_path}/run/loss.png, loss.csv beside it\n" in out
    assert f"  sample from it   {sampling_command(tmp_path / 'run')}\n\nA sample of 30 tokens:\n" in out
    training, validation = map(len, data.tokens(tiny()))
    assert [line.split("   ")[0] for line in err.splitlines()] == [
        "GPT-2, 7,680 parameters, fp32 on cpu",
        f"the Python language reference: {training:,} tokens for training, {validation:,} for validation",
        "",
        "step  0 of 20",
        "step 10 of 20",
        "step 20 of 20",
    ]
    assert "\r" not in err


def test_no_sample_where_none_is_wanted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert train(tiny("training.sample_tokens=0", "training.max_steps=2"), tmp_path).sample == ""
    assert "A sample" not in capfd.readouterr().out


@pytest.mark.parametrize("name", ["run", "my runs/1", "it's (a) run", "a=b", "100%", "tab\there"])
def test_the_command_to_sample_works_when_it_is_pasted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/gpt2hydra-train"])
    program, *overrides = shlex.split(sampling_command(tmp_path / name))
    config = gpt2hydra.compose("generate", overrides)
    assert (program, config.checkpoint, config.prompt) == ("gpt2hydra-generate", name, "The ")


def test_the_command_to_sample_names_the_script_beside_the_one_that_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "generate.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    assert sampling_command(Path("outputs/x")) == 'python3 generate.py checkpoint=outputs/x prompt="The "'


# ------------------------------------------------------------------------------------------------------- when it goes wrong


def stop_at(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    item = data.TrainingBatches.__getitem__

    def stops(self: data.TrainingBatches, index: int) -> dict[str, torch.Tensor]:
        if index == batch:
            raise KeyboardInterrupt
        return item(self, index)

    monkeypatch.setattr(data.TrainingBatches, "__getitem__", stops)


@pytest.mark.parametrize(("batch", "step", "saved"), [(14, 10, True), (3, 0, False)])
def test_an_interrupted_run_says_what_was_saved(
    batch: int, step: int, saved: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    stop_at(monkeypatch, batch)
    with pytest.raises(KeyboardInterrupt):
        train(tiny(), tmp_path)
    where = f"the checkpoint of step 10 is in {tmp_path}/checkpoints/step-000010" if saved else "there is no checkpoint yet"
    assert re.search(rf"Stopped after step \d+ of 20; {re.escape(where)}\.\n$", capfd.readouterr().err)
    assert checkpoint.locate(str(tmp_path)).joinpath("config.json").exists() == saved


def test_an_interrupted_command_exits_with_130(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at(monkeypatch, 3)
    outcome = run(*TINY, "hydra.run.dir=here", job=lambda config: train(config, output_dir()))
    assert outcome.code == 130
    assert "Stopped after step" in outcome.err


def lose(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    """From pass ``first`` on, the loss is NaN."""
    import gpt2hydra.training.loop as trainer

    computed, passes = trainer.token_loss, 0

    def loses(model: torch.nn.Module, batch: Any) -> torch.Tensor:
        nonlocal passes
        passes += model.training
        return computed(model, batch) * (torch.nan if model.training and passes >= first else 1)

    monkeypatch.setattr(trainer, "token_loss", loses)


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, first=13)
    with pytest.raises(Diverged) as stopped:
        train(tiny(), tmp_path)
    assert str(stopped.value) == (
        "Training diverged and was stopped.\n\n"
        "training.learning_rate = 0.01\n"
        f"  made the loss nan at step 13 of 20; the checkpoint of step 10 is in {tmp_path}/checkpoints/step-000010\n"
        "  try: training.learning_rate=0.003"
    )
    assert json.loads((tmp_path / "checkpoints/step-000010/gpt2hydra.json").read_text())["step"] == 10


def test_a_divergence_survives_the_way_between_processes() -> None:
    error = Diverged.at(tiny().training, 3, float("nan"), "there is no checkpoint yet")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_full_disk_ends_a_run_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(Stopped) as stopped:
        train(tiny(), tmp_path)
    assert str(stopped.value) == (
        f"Training was stopped.\n\nthe run directory = {tmp_path}\n"
        "  could not be written at step 10 of 20 (No space left on device); there is no checkpoint yet"
    )


def test_a_finished_run_is_not_overwritten_from_python_either(result: Result) -> None:
    with pytest.raises(ConfigError, match="holds the checkpoints of an earlier run"):
        train(tiny(), result.checkpoint.parent.parent)


def test_a_run_that_broke_its_weights_does_not_save_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpt2hydra.training.run as train_module

    losses = iter([5.0, 4.0, float("inf")])
    monkeypatch.setattr(train_module, "evaluate", lambda model, batches: next(losses))
    with pytest.raises(Diverged, match="made the loss inf at step 20 of 20; the checkpoint of step 10 is in"):
        train(tiny(), tmp_path)


def test_a_run_that_only_made_things_worse_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(tiny("training.learning_rate=10", "training.max_grad_norm=0"), tmp_path)
    assert "note: the model is no better than an untrained one; try: training.learning_rate=3\n" in capfd.readouterr().err


def test_nothing_is_made_where_the_text_will_not_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        train(tiny("data.path=nowhere.txt"), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_the_command_line(run: CommandLine) -> None:
    outcome = run(*TINY, "hydra.run.dir=here", job=lambda config: train(config, output_dir()))
    assert outcome.code == 0
    assert "sample from it" in outcome.out
    assert {path.name for path in (run.folder / "here").iterdir()} >= {".hydra", "checkpoints", "loss.csv", "loss.png"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_an_absent_device_is_refused_before_a_directory_is_made(run: CommandLine) -> None:
    outcome = run("training.device=cuda", extra="train")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert "training.device = cuda" in outcome.err and "try: training.device=auto" in outcome.err
