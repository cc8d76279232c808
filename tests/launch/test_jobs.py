"""The jobs of a sweep: each passes the gate, tells its failure at once, and leaves the others alone."""

import io
import sys
from typing import Any

import pytest

from gpt2hydra.launch.jobs import NumberedLines, number_lines
from tests.command_line import CommandLine


def test_a_failing_job_is_reported_when_it_fails(run: CommandLine) -> None:
    reported: list[str] = []

    def job(config: Any) -> None:
        reported.append(run.capfd.readouterr().err)
        if config.model.n_head == 4:
            raise RuntimeError("out of paper")

    outcome = run("-m", "model.n_head=4,6", job=job)
    assert "job #0 failed (model.n_head=4): RuntimeError: out of paper\nTraceback" in reported[1]
    assert (outcome.code, outcome.err) == (1, "1 of 2 jobs failed: #0\n")


def test_without_preflight_the_bad_point_fails_when_its_turn_comes(run: CommandLine) -> None:
    outcome = run("-m", "model.n_head=4,7,8", "preflight=off")
    assert (outcome.code, [config.model.n_head for config in outcome.configs]) == (1, [4, 8])
    assert "job #1 failed (model.n_head=7 preflight=off): model.n_head = 7 must divide model.n_embd = 768" in outcome.err
    assert outcome.err.endswith("\n1 of 3 jobs failed: #1\n")


@pytest.mark.parametrize("override", ["~tokenizer", "model=[small,large]"])
def test_without_preflight_points_are_still_validated(run: CommandLine, override: str) -> None:
    outcome = run("-m", "training.seed=1,2", override, "preflight=off")
    assert (outcome.code, outcome.configs) == (1, [])
    assert "must be one of" in outcome.err


def test_batches_keep_the_numbers_of_the_points(run: CommandLine) -> None:
    outcome = run(
        "-m", "model.n_head=4,7,8,12", "preflight=skip_invalid", "hydra.sweeper.max_batch_size=1", "hydra.sweep.dir=s"
    )
    assert (outcome.code, [config.model.n_head for config in outcome.configs]) == (0, [4, 8, 12])
    assert sorted(each.name for each in (run.folder / "s").iterdir()) == ["0", "2", "3", "multirun.yaml"]


def test_lines_of_parallel_jobs_have_the_number_of_their_job(run: CommandLine) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "hydra.sweep.dir=s"]
    outcome = run("-m", "training.seed=1,2", *launcher, job=lambda config: print("seed", config.training.seed))
    assert "\n#0  seed 1\n" in outcome.out and "\n#1  seed 2\n" in outcome.out
    outcome = run("-m", "training.seed=1,2", "hydra.sweep.dir=t", job=lambda config: print("seed", config.training.seed))
    assert "#0  seed" not in outcome.out and "seed 1\n" in outcome.out


def test_complete_lines_are_written_with_their_number() -> None:
    stream = io.StringIO()
    first, second = NumberedLines(stream, 0), NumberedLines(stream, 1)
    for word, other in zip(("step 1", "\nstep", " 2\n", "\n"), ("a", "b\n", "c\nd", "e"), strict=True):
        first.write(word)
        second.write(other)
    first.write_incomplete()
    second.write_incomplete()
    assert stream.getvalue() == "#0  step 1\n#1  ab\n#0  step 2\n#1  c\n#0\n#1  de\n"


def test_both_outputs_are_numbered_and_a_mistake_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="oops"), number_lines(12):
        print("one", end="")
        sys.stderr.write("two\n")
        assert not sys.stderr.isatty()
        raise ValueError("oops")
    assert capsys.readouterr() == ("#12  one\n", "#12  two\n")
