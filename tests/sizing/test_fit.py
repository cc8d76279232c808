"""Whether a run fits, and what would make it."""

from dataclasses import replace
from typing import Any

import pytest

import gpt2hydra
from gpt2hydra import TrainConfig
from gpt2hydra.config.run import HardwareConfig
from gpt2hydra.sizing import device as this_machine
from gpt2hydra.sizing import fit
from gpt2hydra.sizing.device import Device
from gpt2hydra.sizing.fit import DeviceShare, largest_batch, peak_of_batch, plan_warnings, step_memory
from gpt2hydra.utils.formatting import format_bytes


def compose(*overrides: str) -> TrainConfig:
    config: TrainConfig = gpt2hydra.compose("train", list(overrides))
    return config


def reckoned(config: TrainConfig) -> Device:
    return Device.of(config.hardware, config.training)


@pytest.mark.parametrize("changes", [{}, {"precision": "bf16"}, {"gradient_checkpointing": True}, {"attention": "eager"}])
def test_the_largest_batch_fits_and_the_next_does_not(changes: dict[str, Any]) -> None:
    config = compose("model=xl", "hardware=a100_80gb")
    config = replace(config, training=replace(config.training, **changes))
    device = reckoned(config)
    batch = largest_batch(config, device)
    assert batch and device.memory and device.usable
    assert peak_of_batch(config, device, batch) <= device.usable < peak_of_batch(config, device, batch + 1)
    assert device.usable < device.memory


@pytest.mark.parametrize("passes", [1, 2, 3])
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_the_largest_batch_of_several_devices_divides_among_them(passes: int, strategy: str) -> None:
    overrides = [f"training.gradient_accumulation_steps={passes}", f"training.strategy={strategy}", "training.batch_size=12"]
    config = compose("model=large", "hardware=a100_40gb", "hardware.devices=6", *overrides)
    device = reckoned(config)
    batch = largest_batch(config, device)
    assert batch and device.usable and batch * passes % 6 == 0
    more = next(each for each in range(batch + 1, batch + 7) if each * passes % 6 == 0)
    assert peak_of_batch(config, device, batch) <= device.usable < peak_of_batch(config, device, more)


@pytest.mark.parametrize(
    ("batch", "passes", "devices", "share"),
    [
        pytest.param(8, 1, 1, DeviceShare(8, 8), id="alone"),
        pytest.param(8, 4, 1, DeviceShare(32, 8), id="alone, in passes"),
        pytest.param(8, 1, 4, DeviceShare(2, 2), id="a part of one pass"),
        pytest.param(8, 4, 2, DeviceShare(16, 8), id="half of the passes"),
        pytest.param(8, 3, 4, DeviceShare(6, 6), id="less than a pass"),
    ],
)
def test_a_step_is_shared_in_passes_of_at_most_the_batch(batch: int, passes: int, devices: int, share: DeviceShare) -> None:
    training = compose(f"training.batch_size={batch}", f"training.gradient_accumulation_steps={passes}").training
    assert DeviceShare.of(training, devices) == share


def test_a_device_needs_less_of_a_shared_step_and_least_of_a_sharded_one() -> None:
    config = compose("model=large", "hardware=a100_80gb", "training.batch_size=16")
    ddp = replace(config, hardware=replace(config.hardware, devices=8))
    fsdp = replace(ddp, training=replace(ddp.training, strategy="fsdp"))
    alone, shared, sharded = (step_memory(each, reckoned(each)) for each in (config, ddp, fsdp))
    assert alone.total > shared.total > sharded.total
    assert (shared.weights, shared.optimizer) == (alone.weights, alone.optimizer)
    assert (8 * sharded.weights, 8 * sharded.optimizer) == (alone.weights, alone.optimizer)


def test_a_run_that_does_not_fit_is_reported_with_changes_that_fit() -> None:
    overrides = ["model=xl", "hardware=a100_40gb", "training.batch_size=8", "hardware.devices=2"]
    config = compose(*overrides)
    (warning,) = plan_warnings(config)
    head, _, *remedies = warning.splitlines()
    peak = format_bytes(step_memory(config, reckoned(config)).total)
    assert head == f"warning: the predicted peak, {peak}, exceeds the 40.53 GB available on NVIDIA A100 40GB."
    assert len(remedies) == 5 and any("training.strategy=fsdp" in remedy for remedy in remedies)
    for remedy in remedies:
        changed, _, _ = remedy.strip().partition("  ")
        assert plan_warnings(compose(*overrides, *changed.split())) == []


def test_no_remedy_repeats_what_is_set_or_costs_more() -> None:
    set_already = ["training.precision=bf16_pure", "training.gradient_checkpointing=true", "training.batch_size=512"]
    (warning,) = plan_warnings(compose("model=xl", "hardware=a100_40gb", *set_already))
    assert warning.count("    training.") == 1 and "    training.batch_size=" in warning


def test_a_shape_that_can_never_fit_is_reported() -> None:
    assert "smaller model" in plan_warnings(compose("model=xl", "hardware=l4", "hardware.memory_gb=1"))[0]


def test_an_unknown_memory_is_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this_machine, "machine_memory", lambda: None)
    monkeypatch.setattr(this_machine, "gpu_memory", lambda: None)
    config = compose("model=xl")
    assert (plan_warnings(config), largest_batch(config, reckoned(config))) == ([], None)


@pytest.mark.parametrize("supported", [True, False, None])
def test_bf16_is_warned_of_and_not_recommended_if_the_processor_lacks_it(
    supported: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(this_machine, "gpu_memory", lambda: None)
    monkeypatch.setattr(this_machine, "machine_memory", lambda: 4 * 10**9)
    monkeypatch.setattr(fit, "has_bf16_instructions", lambda: supported)
    slow = "many times slower here than fp32"
    assert any(slow in warning for warning in plan_warnings(compose("training.precision=bf16"))) == (supported is False)
    (too_large,) = plan_warnings(compose())
    assert ("precision=bf16" in too_large) == (supported is not False)
    assert slow not in "".join(plan_warnings(compose("hardware=l4", "training.precision=bf16")))


def test_a_configured_reserve_is_kept_free() -> None:
    whole, kept = (Device.of(HardwareConfig(memory_gb=40, reserve_gb=each), compose().training).usable for each in (0, 1.5))
    assert (whole, kept) == (40 * 10**9, 385 * 10**8)
