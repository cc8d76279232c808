"""Training, from a config to checkpoints, and what it says on the way."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

import gpt2hydra
from gpt2hydra import TrainConfig
from gpt2hydra.checkpoint import model_files, run_checkpoints
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.data import corpus_tokens
from gpt2hydra.data.batches import complete_text_batches, validation_batches
from gpt2hydra.launch.programs import output_dir
from gpt2hydra.runs import loss_plot
from gpt2hydra.runs.metrics_csv import COLUMNS
from gpt2hydra.training import evaluation as evaluation_module
from gpt2hydra.training.evaluation import mean_loss
from gpt2hydra.training.fabric import setup_fabric
from gpt2hydra.training.model import GPT2WithLoss
from gpt2hydra.training.run import Diverged, Interrupted, Result, train
from gpt2hydra.training.summary import resuming_command
from gpt2hydra.training.trainer import Trainer
from tests.checkpoints import write_bpe
from tests.command_line import CommandLine
from tests.processes import Forked, run_script
from tests.training.tiny import TINY, WITHOUT_DROPOUT, curve, outcome, table, tiny

torch.set_num_threads(1)  # what is computed here is too small to share


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture takes as long as the run. That of :func:`result` is drawn."""
    monkeypatch.setattr(loss_plot, "draw", lambda _, __, file: file.touch())


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return train(tiny(), tmp_path_factory.mktemp("run"))


def folder_of(result: Result) -> Path:
    return result.checkpoint.parent.parent


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())  # type: ignore[no-any-return]


def test_fine_tuning_begins_with_the_weights_of_the_folder(result: Result, tmp_path: Path) -> None:
    begun = train(tiny(f"init_from='{result.checkpoint}'", "training.max_steps=1", "training.warmup_steps=0"), tmp_path / "run")
    before = float(table(folder_of(result))[-1]["validation_loss"])
    assert float(table(folder_of(begun))[0]["validation_loss"]) == pytest.approx(before, rel=1e-5)


def test_another_shape_than_the_folders_is_refused_from_python_too(result: Result, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.n_layer = 2\n    must be 1, as in init_from = "):
        train(tiny(f"init_from='{result.checkpoint}'", "model.n_layer=2"), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------------------------------- what it leaves


def test_the_loss_falls(result: Result) -> None:
    assert result.initial_loss is not None
    assert result.validation_loss < result.initial_loss - 1
    assert 5 < result.initial_loss < 6


def test_a_run_leaves_checkpoints_and_the_losses(result: Result) -> None:
    run = folder_of(result)
    assert sorted(path.name for path in run.iterdir()) == [".lock", "checkpoints", "loss.csv", "loss.png", "run.json"]
    assert [path.name for path in sorted((run / "checkpoints").iterdir())] == ["step-000010", "step-000020"]
    assert sorted(path.relative_to(result.checkpoint).as_posix() for path in result.checkpoint.rglob("*")) == [
        "config.json",
        "generation_config.json",
        "gpt2hydra.json",
        "manifest.json",
        "merges.txt",
        "model.safetensors",
        "resume",
        "resume/optimizer.safetensors",
        "resume/state.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
    ]
    assert (run / "loss.png").read_bytes()[:4] == b"\x89PNG"


def test_the_table_has_a_row_for_each_measurement(result: Result) -> None:
    rows = table(folder_of(result))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["step"], row["tokens"]) for row in rows] == [(str(step), str(step * 128)) for step in (0, 5, 10, 15, 20)]
    assert [bool(row["validation_loss"]) for row in rows] == [True, False, True, False, True]
    assert [bool(row["training_loss"]) and bool(row["gradient_norm"]) for row in rows] == [False, True, True, True, True]
    assert float(rows[-1]["learning_rate"]) == pytest.approx(0.001)


def test_the_record_tells_the_result(result: Result) -> None:
    saved = record(folder_of(result))
    assert saved["sample"] == result.sample
    assert (saved["state"], saved["device"], saved["processes"], saved["step"], saved["resumed"]) == (
        "finished",
        "cpu",
        1,
        20,
        [],
    )
    assert saved["result"]["validation_loss"] == result.validation_loss
    assert {key: saved["result"][key] for key in ("steps", "tokens", "best_step")} == {
        "steps": 20,
        "tokens": 2560,
        "best_step": 20,
    }
    assert saved["result"]["tokens_per_second"] > 0 and saved["result"]["predicted_memory_bytes"] > 0


def test_the_checkpoint_carries_the_run(result: Result) -> None:
    saved = json.loads((result.checkpoint / "gpt2hydra.json").read_text())
    assert (saved["version"], saved["step"]) == (gpt2hydra.__version__, 20)
    assert str(saved["validation_loss"]) == table(folder_of(result))[-1]["validation_loss"]
    assert TrainConfig.from_dict(saved["config"]) == tiny()


def test_the_result_is_the_loss_of_the_saved_model_on_the_complete_validation_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train(tiny("training.final_eval_sequences=1000000"), tmp_path)
    assert f" {result.validation_loss:.3f} on the complete validation text\n" in capsys.readouterr().out
    gpt2, tokenizer = model_files.load_model(str(folder_of(result)))
    _, validation = corpus_tokens.load_tokens(tiny())
    fabric = setup_fabric(tiny().training, torch.device("cpu"))
    batches = list(complete_text_batches(validation, 16, 8))
    assert sum(batch.counted for batch in batches) == len(validation) - 1
    measured = mean_loss(fabric, fabric.setup_module(GPT2WithLoss(gpt2)), iter(batches), 8, 16)
    assert measured == pytest.approx(result.validation_loss)
    assert tokenizer.end_of_text == 256


def test_the_measurement_at_the_end_is_as_long_as_the_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = train(tiny("training.max_steps=3"), tmp_path)
    gpt2, _ = model_files.load_model(str(tmp_path))
    _, validation = corpus_tokens.load_tokens(tiny())
    settings = tiny().training
    sequences = 3 * settings.sequences_per_step
    fabric = setup_fabric(settings, torch.device("cpu"))
    batches = validation_batches(validation, 16, sequences, settings.batch_size)
    measured = mean_loss(fabric, fabric.setup_module(GPT2WithLoss(gpt2)), batches, settings.batch_size, 16)
    assert measured == pytest.approx(result.validation_loss)
    assert f" {result.validation_loss:.3f} on {sequences} sequences of the validation text\n" in capsys.readouterr().out


def test_others_may_read_the_weights_as_they_may_the_config(result: Result) -> None:
    modes = {(result.checkpoint / name).stat().st_mode for name in ("model.safetensors", "config.json")}
    assert len(modes) == 1


def test_the_last_checkpoints_and_the_best_stay(tmp_path: Path) -> None:
    train(tiny("training.eval_interval=4", "training.keep_checkpoints=1", "training.schedule=constant"), tmp_path)
    found = run_checkpoints.list_complete(tmp_path)
    best = run_checkpoints.find_best(tmp_path)
    assert best is not None
    assert {each.step for each in found} == {best.step, 20}
    losses = [float(row["validation_loss"]) for row in table(tmp_path)[1:] if row["validation_loss"]]
    assert best.validation_loss == min(losses)


# --------------------------------------------------------------------------------------------------------- the same again


def test_the_same_seed_gives_the_same_losses(result: Result, tmp_path: Path) -> None:
    again = train(tiny(), tmp_path / "again")
    other = train(tiny("training.seed=1"), tmp_path / "other")
    assert again.validation_loss == result.validation_loss != other.validation_loss
    assert outcome(tmp_path / "again", 20) == outcome(folder_of(result), 20)
    assert again.sample == result.sample


def test_neither_the_interval_of_evaluations_nor_that_of_samples_changes_a_run(result: Result, tmp_path: Path) -> None:
    other = ("training.eval_interval=3", "training.sample_interval=1", "training.log_interval=7", "training.sample_tokens=5")
    train(tiny(*other), tmp_path)
    assert (tmp_path / "checkpoints/step-000020/model.safetensors").read_bytes() == (
        result.checkpoint / "model.safetensors"
    ).read_bytes()


def test_validation_is_the_same_whatever_the_batch(tmp_path: Path) -> None:
    losses = []
    for batch, passes in ((8, 1), (2, 4)):
        sizes = (f"training.batch_size={batch}", f"training.gradient_accumulation_steps={passes}")
        losses.append(train(tiny(*WITHOUT_DROPOUT, *sizes), tmp_path / str(batch)).initial_loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    rows = [[float(row["training_loss"]) for row in table(tmp_path / each)[1:]] for each in ("8", "2")]
    assert rows[0] == pytest.approx(rows[1], rel=1e-5)  # a step is a step


@pytest.mark.parametrize(
    ("overrides", "near"),
    [
        (["training.attention=eager"], 0.02),
        (["training.gradient_checkpointing=true"], 0.02),
        (["training.precision=bf16"], 0.1),
        (["training.precision=bf16_pure"], 0.3),
        (["training.max_grad_norm=0"], 0.3),
    ],
)
def test_other_ways_to_compute_learn_the_same(overrides: list[str], near: float, tmp_path: Path) -> None:
    plain = train(tiny(*WITHOUT_DROPOUT), tmp_path / "plain")
    other = train(tiny(*WITHOUT_DROPOUT, *overrides), tmp_path / "other")
    assert other.validation_loss == pytest.approx(plain.validation_loss, abs=near)
    assert all(row["gradient_norm"] for row in table(tmp_path / "other")[1:])


@pytest.mark.thorough
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a compiler")
def test_a_compiled_model_learns_the_same(tmp_path: Path) -> None:
    plain = train(tiny(*WITHOUT_DROPOUT), tmp_path / "plain")
    script = (
        "import sys; from pathlib import Path; from tests.training.tiny import *; from gpt2hydra.training.run import train\n"
    )
    script += "train(tiny(*WITHOUT_DROPOUT, 'training.compile=true'), Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "compiled")], cwd=CONF_DIR.parent, check=True)
    assert record(tmp_path / "compiled")["result"]["validation_loss"] == pytest.approx(plain.validation_loss, abs=1e-4)


def test_bpe_and_several_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("the cat sat on the mat\n" * 50)
    folder = write_bpe(tmp_path / "bpe", "t h", "th e", "Ġ the", "a t")
    overrides = ("tokenizer=gpt2", f"tokenizer.path='{folder}'", f"data.path='{tmp_path}/*.txt'", "model.vocab_size=50257")
    result = train(tiny(*overrides, "training.max_steps=10"), tmp_path / "run")
    assert result.initial_loss is not None and result.validation_loss < result.initial_loss
    _, tokenizer = model_files.load_model(str(tmp_path / "run"))
    assert tokenizer.encode(" the cat") == [258, 32, 99, 259]


# ------------------------------------------------------------------------------------------------------------ what it says


def test_no_sample_without_sample_tokens(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert train(tiny("training.sample_tokens=0", "training.max_steps=2"), tmp_path).sample == ""
    assert "A sample" not in capfd.readouterr().out


def test_samples_come_at_the_evaluations_that_the_interval_asks_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(tiny("training.eval_interval=3", "training.sample_interval=6", "training.sample_tokens=5"), tmp_path)
    assert re.findall(r"A sample at step (\d+), 5 tokens:", capfd.readouterr().err) == ["6", "12", "18"]


def test_a_tracker_gets_rows_samples_and_the_configuration(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    train(tiny("training.tracker=tensorboard", "training.max_steps=10"), tmp_path)
    (events,) = (tmp_path / "tensorboard").iterdir()
    content = events.read_bytes()
    assert all(name in content for name in (b"validation_loss", b"gradient_norm", b"sample", b'"max_steps": 10'))


# -------------------------------------------------------------------------------------------------------------- continuing


def test_a_finished_run_continues_to_more_steps_as_if_it_had_been_longer(tmp_path: Path) -> None:
    constant = "training.schedule=constant"
    train(tiny(constant), tmp_path / "run")
    train(tiny(constant, "training.max_steps=30"), resume_from=tmp_path / "run")
    train(tiny(constant, "training.max_steps=30"), tmp_path / "whole")
    assert outcome(tmp_path / "run", 30) == outcome(tmp_path / "whole", 30)
    saved = record(tmp_path / "run")
    assert [(each["step"], each["changed"]["training.max_steps"]["now"]) for each in saved["resumed"]] == [(20, 30)]


def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_taken(
    result: Result, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder_of(result), tmp_path / "run")
    weights = tmp_path / "run/checkpoints/step-000020/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    train(tiny(), resume_from=tmp_path / "run")
    err = capfd.readouterr().err
    assert f"note: {weights.parent} has a model.safetensors that is not what was written: its SHA-256 differs; " in err
    assert "continues after step 10 of 20" in err
    assert outcome(tmp_path / "run", 20) == outcome(folder_of(result), 20)


def test_a_run_killed_before_its_first_checkpoint_begins_again(result: Result, tmp_path: Path) -> None:
    shutil.copytree(folder_of(result), tmp_path / "run")
    shutil.rmtree(tmp_path / "run/checkpoints")
    train(tiny(), resume_from=tmp_path / "run")
    assert outcome(tmp_path / "run", 20) == outcome(folder_of(result), 20)


def test_lost_rows_are_measured_again(result: Result, tmp_path: Path) -> None:
    shutil.copytree(folder_of(result), tmp_path / "run")
    shutil.rmtree(tmp_path / "run/checkpoints/step-000020")
    lines = (tmp_path / "run/loss.csv").read_text().splitlines(keepends=True)
    (tmp_path / "run/loss.csv").write_text("".join(lines[:3]))  # up to step 5; the checkpoint is of step 10
    train(tiny(), resume_from=tmp_path / "run")
    assert curve(tmp_path / "run") == curve(folder_of(result))


# ------------------------------------------------------------------------------------------------------- asked to stop


@pytest.fixture
def signal_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """``signal_at(7, signal.SIGTERM)``: this process gets the signal in the middle of step 7."""
    forward = Trainer._forward_and_backward

    def tell(step: int, signum: signal.Signals) -> None:
        def interrupted(self: Trainer) -> torch.Tensor:
            if self.step == step - 1:
                os.kill(os.getpid(), signum)
            return forward(self)

        monkeypatch.setattr(Trainer, "_forward_and_backward", interrupted)

    yield tell
    monkeypatch.setattr(Trainer, "_forward_and_backward", forward)


@pytest.mark.parametrize(
    ("step", "signum"),
    [
        pytest.param(7, signal.SIGINT, id="between two rows, SIGINT"),
        pytest.param(7, signal.SIGHUP, id="between two rows, SIGHUP"),
        pytest.param(10, signal.SIGTERM, id="at an evaluation, SIGTERM"),
        pytest.param(10, signal.SIGUSR1, id="at an evaluation, SIGUSR1"),
    ],
)
def test_a_run_that_is_asked_to_stop_saves_and_continues_exactly(
    step: int, signum: signal.Signals, result: Result, signal_at: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    signal_at(step, signum)
    with pytest.raises(Interrupted) as stopped:
        train(tiny(), tmp_path)
    assert stopped.value.exit_code == 128 + signum
    err = capfd.readouterr().err
    where = f"the checkpoint of step {step} is in {tmp_path}/checkpoints/step-{step:06d}"
    message = rf"Stopped after step {step} of 20, \d+ s after the start; {re.escape(where)}\.\n  continue: (.*)\n"
    assert re.search(message + r"\Z", err), err
    assert f"  continue: {resuming_command(tmp_path)}\n" in err
    assert record(tmp_path)["state"] == "interrupted"
    train(tiny(), resume_from=tmp_path)
    assert outcome(tmp_path, 20) == outcome(folder_of(result), 20)
    assert record(tmp_path)["state"] == "finished"


def test_an_interrupted_evaluation_is_repeated_when_the_run_continues(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = Trainer.evaluate

    def interrupted(self: Trainer) -> float:
        if self.step == 10:
            os.kill(os.getpid(), signal.SIGINT)
        return measure(self)

    monkeypatch.setattr(Trainer, "evaluate", interrupted)
    with pytest.raises(Interrupted):
        train(tiny(), tmp_path)
    assert [row["step"] for row in table(tmp_path)] == ["0", "5"]
    monkeypatch.undo()
    train(tiny(), resume_from=tmp_path)
    assert outcome(tmp_path, 20) == outcome(folder_of(result), 20)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_the_command_exits_as_a_shell_expects(run: CommandLine, signal_at: Any, signum: signal.Signals, code: int) -> None:
    signal_at(3, signum)
    outcome = run(*TINY, "hydra.run.dir=here", job=lambda config: train(config, output_dir()))
    assert outcome.code == code
    assert outcome.err.count("finishing the step, then saving") == 1
    assert outcome.err.endswith("continue: gpt2hydra-train resume=here\n") or "resume=here\n" in outcome.err


def test_a_second_ctrl_c_ends_the_program_at_once(tmp_path: Path) -> None:
    endless = ("training.gradient_accumulation_steps=100000", "training.eval_sequences=1", f"hydra.run.dir={tmp_path}/run")
    process = Forked(run_script, "train.py", *TINY, *endless)
    for line in ("(before training)", "finishing the step, then saving; Ctrl-C again ends immediately"):
        while line not in process.stderr:
            assert process.is_running(), process.stderr
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
    done = process.wait()
    assert (done.returncode, "Traceback" in done.stderr) == (130, False)


# ------------------------------------------------------------------------------------------------------- when it goes wrong


def lose(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    """From step ``first`` on, the loss is NaN."""
    computed = GPT2WithLoss.forward
    passes = 0

    def loses(self: GPT2WithLoss, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        nonlocal passes
        passes += self.training
        return computed(self, inputs, targets) * (torch.nan if self.training and passes >= first else 1)

    monkeypatch.setattr(GPT2WithLoss, "forward", loses)


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, first=13)
    with pytest.raises(Diverged) as stopped:
        train(tiny(), tmp_path)
    assert str(stopped.value) == (
        "Training diverged and was stopped.\n\n"
        "training.learning_rate = 0.01\n"
        f"  made the loss NaN at step 13 of 20; the checkpoint of step 10 is in {tmp_path}/checkpoints/step-000010\n"
        f"  try: fork_from={tmp_path}/checkpoints/step-000010 training.learning_rate=0.003"
    )
    assert [each.step for each in run_checkpoints.list_complete(tmp_path)] == [10]
    assert record(tmp_path)["state"] == "failed"


def test_broken_weights_are_not_saved_when_the_run_is_asked_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal_at: Any
) -> None:
    lose(monkeypatch, first=12)
    signal_at(13, signal.SIGTERM)
    with pytest.raises(Diverged, match="made the loss NaN at step 12"):
        train(tiny(), tmp_path)
    assert [each.step for each in run_checkpoints.list_complete(tmp_path)] == [10]


def test_a_run_that_broke_its_weights_does_not_save_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([5.0, 4.0, float("inf")])
    monkeypatch.setattr(evaluation_module, "mean_loss", lambda *_: next(losses))
    with pytest.raises(Diverged, match="made the loss infinite at step 20 of 20; the checkpoint of step 10 is in"):
        train(tiny(), tmp_path)


def test_a_checkpoint_whose_weights_give_no_loss_is_no_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, first=15)  # by the weights after step 14
    with pytest.raises(Diverged, match=r"at step 15 of 20; the checkpoint of step 12 .*\n  try: fork_from=.*/step-000012"):
        train(tiny("training.save_interval=2", "training.keep_checkpoints=1"), tmp_path)
    assert [each.step for each in run_checkpoints.list_complete(tmp_path)] == [10, 12]


def test_weights_that_give_no_loss_are_not_blamed_on_the_learning_rate(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_module, "mean_loss", lambda *_: float("nan"))
    with pytest.raises(Diverged) as stopped:
        train(tiny(f"fork_from={result.checkpoint}", "training.max_steps=30"), tmp_path)
    assert str(stopped.value) == (
        "Training diverged and was stopped.\n\n"
        f"fork_from = {result.checkpoint}\n  holds weights whose loss is NaN, before the first step"
    )


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_picture_that_cannot_be_written_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loss_plot, "draw", full)
    train(tiny(), tmp_path)
    assert "note: loss.png could not be written (No space left on device); the run continues\n" in capfd.readouterr().err
    assert record(tmp_path)["state"] == "finished"


def test_a_finished_run_is_not_overwritten_from_python_either(result: Result) -> None:
    with pytest.raises(ConfigError, match="holds the checkpoints of an earlier run"):
        train(tiny(), folder_of(result))


def test_no_directory_is_made_if_the_text_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        train(tiny("data.path=nowhere.txt"), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_fsdp_with_one_process_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.strategy = fsdp\n    shards a model among processes"):
        train(tiny("training.strategy=fsdp"), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_trains(run: CommandLine) -> None:
    outcome = run(*TINY, "hydra.run.dir=here", job=lambda config: train(config, output_dir()))
    assert outcome.code == 0
    assert "sample from it" in outcome.out
    assert {path.name for path in (run.folder / "here").iterdir()} >= {".hydra", "checkpoints", "loss.csv", "loss.png"}
    log = (run.folder / "here/train.log").read_text()
    assert "step 20 of 20   validation loss" in log and "Trained 20 steps" in log
    assert "][gpt2hydra]" not in outcome.out + outcome.err  # the terminal has each line once


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_an_absent_device_is_refused_before_a_directory_is_made(run: CommandLine) -> None:
    outcome = run("training.device=cuda", extra="train")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], [])
    assert "training.device = cuda" in outcome.err and "try: training.device=auto" in outcome.err


# --------------------------------------------------------------------------------------------------- saves and early ends


def steps_saved(folder: Path) -> list[int]:
    return [each.step for each in run_checkpoints.list_complete(folder)]


def test_saving_is_a_setting_of_its_own(result: Result, tmp_path: Path) -> None:
    saving = ("training.save_interval=7", "training.keep_every=8", "training.keep_checkpoints=1")
    train(tiny(*saving), tmp_path / "own")
    assert steps_saved(tmp_path / "own") == [8, 16, 20]
    train(tiny("training.save_minutes=1e-9", "training.keep_checkpoints=30"), tmp_path / "minutes")
    assert steps_saved(tmp_path / "minutes") == list(range(1, 21))
    for folder in ("own", "minutes"):
        assert outcome(tmp_path / folder, 20) == outcome(folder_of(result), 20)


def test_a_checkpoint_between_two_rows_continues_exactly(result: Result, tmp_path: Path) -> None:
    train(tiny("training.save_interval=7", "training.keep_checkpoints=30"), tmp_path)
    for later in ("step-000014", "step-000020"):
        shutil.rmtree(tmp_path / "checkpoints" / later)
    train(tiny(), resume_from=tmp_path)
    assert outcome(tmp_path, 20) == outcome(folder_of(result), 20)


def test_without_final_evaluation_the_last_one_is_the_result(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = train(tiny("training.final_eval_sequences=0"), tmp_path)
    assert str(result.validation_loss) == table(tmp_path)[-1]["validation_loss"]
    assert "of the validation text" not in capfd.readouterr().out


def test_a_run_whose_validation_loss_no_longer_falls_ends_early(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    patient = ("training.early_stopping_patience=2", "training.eval_interval=2", "training.save_interval=100")
    result = train(tiny(*patient, "training.learning_rate=10", "training.max_grad_norm=0"), tmp_path)
    losses = [float(row["validation_loss"]) for row in table(tmp_path) if row["validation_loss"]]
    assert len(losses) - 1 - losses.index(min(losses)) == 2
    saved = record(tmp_path)
    steps = int(table(tmp_path)[-1]["step"])
    assert (saved["state"], saved["step"], saved["result"]["stopped_early"], result.finished) == ("finished", steps, True, True)
    assert steps_saved(tmp_path) == [steps] and steps < 20
    assert (
        f"Stopped early, after step {steps} of 20: the validation loss has not fallen in 2 evaluations."
        in capfd.readouterr().out
    )


def test_a_spike_changes_nothing_and_is_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    everything = train(tiny("training.skip_spike_norm=1e-9"), tmp_path / "all")
    assert sum(int(row["skipped_steps"]) for row in table(tmp_path / "all")) == 20
    assert float(table(tmp_path / "all")[-1]["validation_loss"]) == everything.initial_loss
    assert "  skipped steps    20, gradient norm above 1e-09\n" in capfd.readouterr().out
    train(tiny(), tmp_path / "none")
    train(tiny("training.skip_spike_norm=1e6"), tmp_path / "high")
    assert outcome(tmp_path / "high", 20) == outcome(tmp_path / "none", 20)


def test_skipped_steps_are_the_same_after_an_interruption(
    tmp_path: Path, signal_at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "_is_spike", lambda self, norm: self.step in (2, 6, 7, 12))
    train(tiny("training.log_interval=10"), tmp_path / "complete")
    assert record(tmp_path / "complete")["result"]["skipped_steps"] == 4
    signal_at(7, signal.SIGTERM)
    with pytest.raises(Interrupted):
        train(tiny("training.log_interval=10"), tmp_path / "run")
    train(tiny("training.log_interval=10"), resume_from=tmp_path / "run")
    assert outcome(tmp_path / "run", 20) == outcome(tmp_path / "complete", 20)


def test_a_run_that_reaches_its_limit_of_time_saves_and_continues(
    result: Result, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train_step = Trainer.train_step

    def long_ago(self: Trainer) -> None:
        self.requests._began -= 3600 * (self.step == 6)
        train_step(self)

    monkeypatch.setattr(Trainer, "train_step", long_ago)
    ended = train(tiny("training.max_hours=0.9"), tmp_path)
    monkeypatch.undo()
    assert (ended.finished, record(tmp_path)["state"]) == (False, "interrupted")
    err = capfd.readouterr().err
    assert "Stopped after step 7 of 20, " in err and ", because of training.max_hours; the checkpoint of step 7 is in " in err
    assert f"  continue: {resuming_command(tmp_path)}\n" in err
    train(tiny(), resume_from=tmp_path)
    assert outcome(tmp_path, 20) == outcome(folder_of(result), 20)


# ------------------------------------------------------------------------------------------------------------------ forks


def test_a_fork_starts_from_weights_optimizer_and_step_and_does_not_change_its_parent(result: Result, tmp_path: Path) -> None:
    shutil.copytree(folder_of(result), tmp_path / "parent")
    parent = tmp_path / "parent/checkpoints/step-000010"
    before = {path: path.read_bytes() for path in (tmp_path / "parent").rglob("*") if path.is_file()}
    train(tiny(f"fork_from='{parent}'"), tmp_path / "same")
    assert outcome(tmp_path / "same", 20)[1] == outcome(folder_of(result), 20)[1]
    assert [row["step"] for row in table(tmp_path / "same")] == ["10", "15", "20"]
    assert curve(tmp_path / "same")[1:] == curve(folder_of(result))[3:]
    other = train(tiny(f"fork_from='{parent}'", "training.learning_rate=0.001", "training.seed=7"), tmp_path / "other")
    assert other.validation_loss != result.validation_loss
    assert record(tmp_path / "other")["forked_from"] == {"checkpoint": str(parent), "step": 10}
    assert before == {path: path.read_bytes() for path in (tmp_path / "parent").rglob("*") if path.is_file()}


def test_a_fork_that_is_interrupted_continues_exactly(result: Result, tmp_path: Path, signal_at: Any) -> None:
    config = tiny(f"fork_from='{folder_of(result)}/checkpoints/step-000010'", "training.seed=7")
    train(config, tmp_path / "complete")
    signal_at(13, signal.SIGTERM)
    with pytest.raises(Interrupted):
        train(config, tmp_path / "run")
    train(config, resume_from=tmp_path / "run")
    assert outcome(tmp_path / "run", 20) == outcome(tmp_path / "complete", 20)


def test_a_fork_needs_only_the_values_that_differ(run: CommandLine, result: Result) -> None:
    (run.folder / "more/experiment").mkdir(parents=True)
    (run.folder / "more/experiment/slow.yaml").write_text("# @package _global_\ntraining:\n  learning_rate: 0.001\n")
    parent = f"fork_from='{folder_of(result)}/checkpoints/step-000010'"
    done = run(
        parent, "--config-dir", "more", "experiment=slow", "hydra.run.dir=fork", job=lambda config: train(config, output_dir())
    )
    assert done.code == 0, done.err
    saved = record(run.folder / "fork")
    assert saved["config"]["training"] == tiny("training.learning_rate=0.001").to_dict()["training"]
    assert "a fork of " in done.err and "then 10 steps of 128 tokens\n" in done.err


# ------------------------------------------------------------------------------------------------------ what goes wrong


def test_a_run_whose_checkpoints_are_all_damaged_is_refused_and_not_changed(result: Result, tmp_path: Path) -> None:
    shutil.copytree(folder_of(result), tmp_path / "run")
    for weights in (tmp_path / "run/checkpoints").glob("*/model.safetensors"):
        weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    before = (tmp_path / "run/loss.csv").read_text()
    with pytest.raises(ConfigError, match=r"has no undamaged checkpoint left: .*step-000020 has a model\.safetensors that"):
        train(tiny(), resume_from=tmp_path / "run")
    assert (tmp_path / "run/loss.csv").read_text() == before


@pytest.mark.parametrize(
    ("garble", "message"), [(True, "has lines that cannot be read: 3"), (False, "cannot be read: No such file")]
)
def test_a_garbled_or_missing_table_is_reported(
    garble: bool, message: str, result: Result, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder_of(result), tmp_path / "run")
    file = tmp_path / "run/loss.csv"
    lines = file.read_text().splitlines(keepends=True)
    lines[2] = "garbled\n"
    file.write_text("".join(lines))
    if not garble:
        file.unlink()
    train(tiny("training.max_steps=30"), resume_from=tmp_path / "run")
    assert f"note: {file} {message}" in capfd.readouterr().err


def test_a_divergence_is_no_problem_in_the_configuration(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, first=13)
    done = run(*TINY, "hydra.run.dir=here", job=lambda config: train(config, output_dir()))
    assert done.code == 1
    assert "Training diverged and was stopped." in done.err and "nothing was started" not in done.err
    assert done.err.endswith("  try: fork_from=here/checkpoints/step-000010 training.learning_rate=0.003\n")


def test_a_signal_while_the_text_is_tokenized_ends_the_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tokens = corpus_tokens.load_tokens

    def interrupted(config: TrainConfig) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
        return tokens(config)

    monkeypatch.setattr(corpus_tokens, "load_tokens", interrupted)
    with pytest.raises(Interrupted) as stopped:
        train(tiny(), tmp_path / "run")
    assert stopped.value.exit_code == 143
    assert capfd.readouterr().err == "\nSIGTERM: stopped before the first step; there is nothing to save\n"
    assert list(tmp_path.iterdir()) == []


def test_a_longer_schedule_that_raises_the_learning_rate_says_so(
    result: Result, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder_of(result), tmp_path / "run")
    train(tiny("training.max_steps=60"), resume_from=tmp_path / "run")
    message = r"note: the learning rate rises from 0\.001 to 0\.00\d+: training\.max_steps, which was 20, stretches the cosine"
    assert re.search(message, capfd.readouterr().err)
