"""What a device holds, and what would make a run fit."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import gpt2hydra
from gpt2hydra import TrainConfig
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.sizing import fit
from gpt2hydra.sizing.fit import Device, largest_batch, memory_warning, step_memory
from gpt2hydra.sizing.plan import Plan

DEVICES = sorted(file.stem for file in (CONF_DIR / "hardware").glob("*.yaml") if file.stem != "this_machine")


def compose(*overrides: str) -> TrainConfig:
    config: TrainConfig = gpt2hydra.compose("train", list(overrides))
    return config


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
    overrides = ["model=xl", "hardware=a100_40gb", "training.batch_size=8"]
    warning = memory_warning(compose(*overrides))
    head, _, *remedies = warning.splitlines()
    assert head == "warning: the predicted peak, 66.97 GB, exceeds the 42.90 GB of NVIDIA A100 40GB."
    assert len(remedies) == 4
    for remedy in remedies:
        changed, _, _ = remedy.strip().partition("   ")
        assert memory_warning(compose(*overrides, *changed.split())) == ""


def test_no_remedy_repeats_what_is_set_or_costs_more() -> None:
    set_already = ["training.precision=bf16_pure", "training.gradient_checkpointing=true", "training.batch_size=512"]
    warning = memory_warning(compose("model=xl", "hardware=a100_40gb", *set_already))
    assert warning.count("    training.") == 1 and "    training.batch_size=" in warning


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
    fit._gpu_memory.cache_clear()
    assert Device.of(config.hardware, config.training).memory == 24 * 2**30
    driver.write_text("#!/bin/sh\nexit 9\n")
    fit._gpu_memory.cache_clear()
    assert Device.of(config.hardware, config.training).kind == "cpu"
    fit._gpu_memory.cache_clear()


def test_an_unknown_memory_is_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "_machine_memory", lambda: None)
    monkeypatch.setattr(fit, "_gpu_memory", lambda: None)
    assert memory_warning(compose("model=xl")) == ""
    assert "whose memory is not known" in str(Plan(compose("model=xl")))


def test_what_other_programs_use_of_this_machine_is_not_counted_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   4096 kB\n", "/sys/fs/cgroup/memory.max": "max\n"}
    monkeypatch.setattr(Path, "read_text", lambda file: told[str(file)])
    assert fit._machine_memory() == 4 * 2**20
    told["/sys/fs/cgroup/memory.max"] = "1048576\n"
    assert fit._machine_memory() == 2**20
