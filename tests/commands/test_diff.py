"""``gpt2hydra diff``: what differs between runs, checkpoints and override lists."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

import gpt2hydra
from gpt2hydra import GPT2Config, TrainConfig, huggingface
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.runs import record
from tests.commands.test_main import run_command
from tests.own_application import write_application


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def run_of(folder: str, overrides: Sequence[str], loss: float | None = None) -> TrainConfig:
    """A run directory as training leaves it, cut at step 40 or finished with a loss."""
    config: TrainConfig = gpt2hydra.compose("train", overrides)
    set_by = {
        key: [{"value": value, "source": {"kind": "command line", "override": f"{key}={value}"}}]
        for key, _, value in (each.partition("=") for each in overrides)
    }
    with record.record_run(config, Path(folder), set_by) as recorder:
        recorder.step = 40
        if loss is not None:
            recorder.step = config.training.max_steps
            recorder.finish(loss, seconds=7.5)
    return config


def test_two_override_lists(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONF_DIR.parent)
    code, out, err = run_command(capsys, "diff", "model=medium training.device=cpu", "training.seed=1 data.path='a b.txt'")
    a, b = (gpt2hydra.compose("train", each) for each in (["model=medium"], ["training.seed=1", "data.path='a b.txt'"]))
    assert (code, err) == (1, "")
    assert (
        out
        == f"""\
A  overrides of train: model=medium training.device=cpu
   model {a.model.fingerprint()}, run {a.fingerprint()}
B  overrides of train: training.seed=1 data.path='a b.txt'
   model {b.model.fingerprint()}, run {b.fingerprint()}

the model
  model.n_embd     A  1024     conf/model/medium.yaml:2
                   B  768      conf/model/small.yaml:2
  model.n_layer    A  24       conf/model/medium.yaml:1
                   B  12       conf/model/small.yaml:1
  model.n_head     A  16       conf/model/medium.yaml:3
                   B  12       conf/model/small.yaml:3

the run
  data.path        A  null     the default
                   B  a b.txt  the command line: data.path=a b.txt
  training.seed    A  1337     the default
                   B  1        the command line: training.seed=1

does not affect the result
  training.device  A  cpu      the command line: training.device=cpu
                   B  auto     the default
"""
    )


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param("", "model=small", id="a choice that is the usual one"),
        pytest.param("training.seed=3 model=xl", "model=xl training.seed=3", id="another order"),
        pytest.param("generate checkpoint=x", "generate checkpoint='x'", id="the other program"),
    ],
)
def test_equal_values_are_not_reported(capsys: pytest.CaptureFixture[str], a: str, b: str) -> None:
    code, out, err = run_command(capsys, "diff", a, b)
    assert (code, err) == (0, "") and out.endswith("\n\nno key differs\n") and out.count("\n") == 6


def test_two_runs_and_their_results(capsys: pytest.CaptureFixture[str]) -> None:
    run_of("one", ["training.seed=1", "training.log_interval=5"], loss=1.5)
    run_of("other", ["training.seed=2"])
    code, out, _ = run_command(capsys, "diff", "one", "other/run.json")
    assert code == 1
    assert "A  finished run: one\n" in out and "B  interrupted run: other/run.json\n" in out
    assert out.endswith(
        """
the run
  training.seed          A  1   the command line: training.seed=1
                         B  2   the command line: training.seed=2

does not affect the result
  training.log_interval  A  5   the command line: training.log_interval=5
                         B  10

results
  state            A  finished
                   B  interrupted
  step             A  1,000
                   B  40
  validation loss  A  1.5000
                   B  (none)
  seconds          A  7.5000
                   B  (none)
"""
    )


def test_a_run_and_overrides_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    config = run_of("one", ["training.seed=1"], loss=1.5)
    code, out, _ = run_command(capsys, "diff", "one", "training.seed=2", "--json")
    reported = json.loads(out)
    assert (code, reported["same"]) == (1, False)
    assert reported["a"] == {
        "name": "one",
        "what": "finished run",
        "fingerprints": {"model": config.model.fingerprint(), "run": config.fingerprint()},
        "results": {"state": "finished", "step": 1000, "validation_loss": 1.5, "seconds": 7.5},
    }
    assert reported["differences"] == [
        {
            "key": "training.seed",
            "part": "run",
            "a": {"value": 1, "source": {"kind": "command line", "override": "training.seed=1"}},
            "b": {"value": 2, "source": {"kind": "command line", "override": "training.seed=2"}},
        }
    ]


def test_a_foreign_checkpoint_is_compared_by_its_model(capsys: pytest.CaptureFixture[str]) -> None:
    Path("hf").mkdir()
    Path("hf/config.json").write_text(json.dumps(huggingface.to_hf(GPT2Config(n_head=6))))
    code, out, _ = run_command(capsys, "diff", "hf", "training.seed=2")
    assert code == 1 and "only the models are compared" in out and "training.seed " not in out
    assert "  model.n_head  A  6\n                B  12  " in out
    assert run_command(capsys, "diff", "hf", "model.n_head=6 training.seed=2")[0] == 0


def test_a_key_of_another_version_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    run_of("one", [])
    content = json.loads(Path("one/run.json").read_text())
    content["config"]["training"]["momentum"] = 0.9
    del content["config"]["training"]["seed"], content["fingerprints"], content["set_by"]
    Path("one/run.json").write_text(json.dumps(content))
    code, out, _ = run_command(capsys, "diff", "one", "")
    assert code == 1
    assert "training.momentum  A  0.9\n                     B  (not there)\n" in out
    assert "training.seed      A  (not there)\n                     B  1337         the default\n" in out


def test_a_users_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write_application(tmp_path, "diff_app")
    code, out, err = run_command(capsys, "diff", "--app", "diff_app.finetune:main", "lora.rank=4", "lora.rank=8")
    assert (code, err) == (1, "") and "A  overrides of finetune: lora.rank=4\n" in out
    assert "\nthe run\n  lora.rank  A  4  the command line: lora.rank=4\n" in out and "lora.scale" not in out
