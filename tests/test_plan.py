"""What a run costs, in words; what would fit; and the commands that print it."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import gpt2hydra
from gpt2hydra import TrainConfig, plan
from gpt2hydra.__main__ import main
from gpt2hydra.config import CONF_DIR
from gpt2hydra.plan import Device, Plan, largest_batch, memory_warning, step_memory

DEVICES = sorted(file.stem for file in (CONF_DIR / "hardware").glob("*.yaml") if file.stem != "this_machine")


def compose(*overrides: str) -> TrainConfig:
    config: TrainConfig = gpt2hydra.compose("train", list(overrides))
    return config


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = 0
    try:
        main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_the_plan_in_words() -> None:
    text = str(Plan.of(compose("model=large", "hardware=h100_80gb", "training.precision=bf16")))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "GPT-2 of 36 layers, 1280 wide, 20 heads of 64; 50,257 tokens, sequences of 1,024"
    assert "parameters 774,030,080 exact" in lines
    assert "tokens a step 8,192 exact 8 sequences x 1,024" in lines
    assert "checkpoint 3.10 GB exact float32 weights" in lines
    assert "time 107.6 s predicted at 40% of 989.4 TFLOP/s (bf16)" in lines
    assert any(line.startswith("memory of a step 31.04 GB predicted of 85.90 GB on NVIDIA H100 SXM 80GB") for line in lines)


def test_every_figure_says_whether_it_is_exact() -> None:
    _title, _, *lines = str(Plan.of(compose("hardware=l4"))).splitlines()
    figures = lines[: lines.index(next(line for line in lines if line.startswith("GB are")))]
    assert all((" exact" in line) != (" predicted" in line) for line in figures if line)


def test_the_parts_of_the_memory_add_up_to_the_peak() -> None:
    numbers = Plan.of(compose("model=xl", "hardware=a100_80gb")).to_dict()
    assert sum(numbers["predicted_memory_bytes"].values()) == numbers["predicted_peak_bytes"]
    assert json.loads(json.dumps(numbers)) == numbers


@pytest.mark.parametrize("changes", [{}, {"precision": "bf16"}, {"gradient_checkpointing": True}, {"attention": "eager"}])
def test_the_largest_batch_fits_and_the_next_does_not(changes: dict[str, Any]) -> None:
    config = compose("model=xl", "hardware=a100_80gb")
    config = replace(config, training=replace(config.training, **changes))
    device = Device.of(config.hardware, config.training)
    batch = largest_batch(config, device)
    assert batch and device.memory

    def peak(batch: int) -> int:
        return step_memory(replace(config, training=replace(config.training, batch_size=batch)), device).total

    assert peak(batch) <= device.memory < peak(batch + 1)


def test_what_does_not_fit_is_told_with_changes_that_do() -> None:
    overrides = ["model=xl", "hardware=a100_40gb"]
    warning = memory_warning(compose(*overrides))
    head, _, *remedies = warning.splitlines()
    assert head == "warning: the predicted peak, 66.97 GB, exceeds the 42.90 GB of NVIDIA A100 40GB."
    assert len(remedies) == 4
    for remedy in remedies:
        changed, _, _ = remedy.strip().partition("   ")
        assert memory_warning(compose(*overrides, *changed.split())) == ""


def test_what_can_never_fit_is_told_so() -> None:
    assert "smaller model" in memory_warning(compose("model=xl", "hardware=l4", "hardware.memory_gb=1"))


@pytest.mark.parametrize("name", DEVICES)
def test_every_device_has_its_figures_and_their_source(name: str) -> None:
    hardware = compose(f"hardware={name}").hardware
    assert hardware.memory_gb and hardware.fp32_tflops and hardware.bf16_tflops and hardware.source
    assert hardware.fp32_tflops < hardware.bf16_tflops


def test_a_gpu_of_this_machine_is_asked_of_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 24576\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    config = compose()
    assert Device.of(config.hardware, config.training).memory == 24 * 2**30
    driver.write_text("#!/bin/sh\nexit 9\n")
    assert Device.of(config.hardware, config.training).kind == "cpu"


def test_an_unknown_memory_is_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_machine_memory", lambda: None)
    monkeypatch.setattr(plan, "_gpu_memory", lambda: None)
    assert memory_warning(compose("model=xl")) == ""
    assert "whose memory is not known" in str(Plan.of(compose("model=xl")))


# ------------------------------------------------------------------------------------------------------- gpt2hydra


def test_size_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "size", "model=medium", "hardware=l4", "--json")
    assert (code, json.loads(out)["parameters"]["total"]) == (0, 354_823_168)


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        pytest.param(["size", "model=xll"], 1, "try: model=xl\n", id="unknown size"),
        pytest.param(["size", "hardware=a100"], 1, "must be one of a100_40gb", id="unknown device"),
        pytest.param(["size", "training.precision=fp8"], 1, "must be one of fp32, bf16, bf16_pure", id="unknown precision"),
        pytest.param(["size", "training.batch_size=0"], 1, "training.batch_size = 0", id="no batch"),
        pytest.param(["size", "training.seq_len=2048"], 1, "must be ≤ model.n_positions = 1024", id="long sequence"),
        pytest.param(["size", "--plot", "sizes.jpeg"], 1, "must end in one of .png", id="picture format"),
        pytest.param(["size", "--plot", "no/such/folder/x.png"], 1, "in a folder that exists", id="picture folder"),
        pytest.param(["explain", "model.n_hed"], 1, "did you mean model.n_head?", id="unknown key"),
        pytest.param(["explain", "model=xll"], 1, "try: model=xl\n", id="explain what is refused"),
        pytest.param(["sise"], 2, "invalid choice: 'sise'", id="unknown command"),
        pytest.param([], 2, "COMMAND", id="no command"),
    ],
)
def test_a_wrong_command(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, expected: str) -> None:
    actual, out, err = said(capsys, *arguments)
    assert (actual, out) == (code, "") and expected in err and "Traceback" not in err


def test_explain_tells_the_chain(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONF_DIR.parent)
    _, out, _ = said(capsys, "explain", "model=large", "model.n_head=10", "model.n_head", "model.n_inner")
    assert (
        out
        == """\
model.n_head = 10   the command line: model.n_head=10
    was 20   conf/model/large.yaml:3
    was 12   the default
model.n_inner = ${gpt2.n_inner:${.n_embd}} = 5120   the default
"""
    )


def test_explain_knows_the_other_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert "temperature = 0.8   the default\n" in said(capsys, "explain", "generate")[1]


def test_the_picture_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "sizes.png"
    assert said(capsys, "size", "--plot", str(file), "hardware=a100_40gb")[0] == 0
    assert file.read_bytes().startswith(b"\x89PNG")
