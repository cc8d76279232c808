"""What the plan knows of a device: the shipped ones, and this machine's."""

import os
from pathlib import Path

import pytest

import gpt2hydra
from gpt2hydra import ConfigError, TrainConfig
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import HardwareConfig
from gpt2hydra.sizing import device as this_machine
from gpt2hydra.sizing.device import Device, count_devices

SHIPPED = sorted(file.stem for file in (CONF_DIR / "hardware").glob("*.yaml") if file.stem != "this_machine")


def compose(*overrides: str) -> TrainConfig:
    config: TrainConfig = gpt2hydra.compose("train", list(overrides))
    return config


@pytest.mark.parametrize("name", SHIPPED)
def test_every_device_has_its_figures_and_their_source(name: str) -> None:
    hardware = compose(f"hardware={name}").hardware
    assert hardware.memory_gb and hardware.fp32_tflops and hardware.bf16_tflops and hardware.source
    assert hardware.fp32_tflops < hardware.bf16_tflops
    assert "PyTorch sees" in hardware.source


@pytest.mark.parametrize(
    ("answer", "kind", "bytes_of_memory"),
    [
        pytest.param("echo 24576", "cuda", 24 * 2**30, id="all that it has"),
        pytest.param("echo 81559, 551", "cuda", 81008 * 2**20, id="less what the driver keeps"),
        pytest.param("case $1 in *reserved*) exit 2;; esac; echo 24576", "cuda", 24 * 2**30, id="an old driver"),
        pytest.param("exit 9", "cpu", 7 * 2**30, id="no GPU: the machine's memory"),
    ],
)
def test_a_gpu_of_this_machine_is_asked_of_its_driver(
    answer: str, kind: str, bytes_of_memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text(f"#!/bin/sh\n{answer}\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(this_machine, "machine_memory", lambda: 7 * 2**30)
    config = compose()
    this_machine.gpu_memory.cache_clear()
    device = Device.of(config.hardware, config.training)
    this_machine.gpu_memory.cache_clear()
    assert (device.kind, device.memory) == (kind, bytes_of_memory)


def test_memory_used_by_other_programs_is_not_available(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = {"/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   4096 kB\n", "/sys/fs/cgroup/memory.max": "max\n"}
    monkeypatch.setattr(Path, "read_text", lambda file: reported[str(file)])
    assert this_machine.machine_memory() == 4 * 2**20
    reported["/sys/fs/cgroup/memory.max"] = "1048576\n"
    assert this_machine.machine_memory() == 2**20


@pytest.mark.parametrize(
    ("cpuinfo", "has_bf16"),
    [
        pytest.param("processor : 0\nflags\t\t: fpu avx2 avx512_bf16 amx_bf16\n", True, id="x86 with it"),
        pytest.param("processor : 0\nflags\t\t: fpu avx2 avx512f\n", False, id="x86 without it"),
        pytest.param("processor : 0\nFeatures\t: fp asimd sve bf16\n", True, id="Arm with it"),
        pytest.param("processor : 0\nFeatures\t: fp asimd\n", False, id="Arm without it"),
        pytest.param("", None, id="not told"),
    ],
)
def test_the_processor_is_asked_for_bf16(cpuinfo: str, has_bf16: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda file: cpuinfo)
    this_machine.has_bf16_instructions.cache_clear()
    assert this_machine.has_bf16_instructions() is has_bf16
    this_machine.has_bf16_instructions.cache_clear()


def test_this_processors_speed_is_measured_unless_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this_machine, "gpu_memory", lambda: None)
    config = compose()
    assert Device.of(config.hardware, config.training).is_timed
    given = Device.of(HardwareConfig(fp32_tflops=2), config.training)
    assert (given.is_timed, given.published_flops) == (False, 2e12)


def test_processes_that_share_a_processor_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this_machine, "gpu_memory", lambda: None)
    monkeypatch.setattr(this_machine, "machine_memory", lambda: 8 * 10**9)
    config = compose("hardware.devices=4")
    device = Device.of(config.hardware, config.training)
    assert (device.count, device.memory, device.local_processes) == (4, 2 * 10**9, 4)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert Device.of(config.hardware, config.training).memory == 4 * 10**9


@pytest.mark.parametrize(("message", "count"), [("", 1), ("8", 8), ("0", 1), ("many", 1), ("-2", 1), ("9" * 40, 1)])
def test_as_many_devices_share_a_step_as_torchrun_starts_processes(
    message: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", message)
    assert count_devices(HardwareConfig()) == count
    assert count_devices(HardwareConfig(devices=3)) == 3


def test_devices_that_cannot_share_a_step_equally_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        compose("hardware.devices=7", "training.batch_size=12", "training.gradient_accumulation_steps=2")
    (violation,) = caught.value.violations
    assert (violation.key, violation.rule) == ("hardware.devices", "must divide the 24 sequences of a step")
    assert violation.suggestion == "hardware.devices=6"
