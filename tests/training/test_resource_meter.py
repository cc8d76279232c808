"""What a run took, next to what was predicted."""

from mmap import mmap

import pytest

pytest.importorskip("torch")

import torch

from gpt2hydra import TrainConfig
from gpt2hydra.config.run import HardwareConfig, TrainingConfig
from gpt2hydra.sizing.counts import flops_per_token
from gpt2hydra.training.resource_meter import ResourceMeter, Usage
from tests.models import TINY

CONFIG = TrainConfig(
    model=TINY,
    training=TrainingConfig(seq_len=16, device="cpu"),
    hardware=HardwareConfig(name="a device", memory_gb=1, fp32_tflops=0.5, bf16_tflops=1),
)


def test_mfu_is_the_share_of_the_peak_of_all_devices() -> None:
    usage = ResourceMeter(torch.device("cpu")).usage(CONFIG, 1e6, processes=2)
    assert usage.mfu == pytest.approx(1e6 * flops_per_token(TINY, 16) / (2 * 0.5e12))


def test_without_a_known_peak_or_speed_there_is_no_mfu() -> None:
    watch = ResourceMeter(torch.device("cpu"))
    assert watch.usage(CONFIG, None, 1).mfu is None
    assert str(watch.usage(CONFIG, None, 1)).startswith("unknown")


def test_each_run_of_a_process_counts_its_own_highest_point() -> None:
    device, megabyte = torch.device("cpu"), 2**20

    def peak(size: int) -> int:
        meter = ResourceMeter(device)
        with mmap(-1, size * megabyte) as memory:  # given back at the end, which an allocator may not do
            for _ in range(size):
                memory.write(b"x" * megabyte)
            taken = meter.usage(CONFIG, None, 1).peak_memory_bytes
        if taken is None:
            pytest.skip("this system does not tell")
        return taken

    large, small = peak(300), peak(50)
    assert large - small > 200 * megabyte
    assert peak(300) - small > 200 * megabyte


def test_usage_is_formatted() -> None:
    assert str(Usage(1234.5, 0.4567, 2_000_000_000, 1_500_000_000)) == (
        "1,234 tokens/s, 45.7% of the device's peak (MFU); 2.00 GB of memory (predicted: 1.50 GB)"
    )
    assert str(Usage(1234.5, None, None, 1)) == "1,234 tokens/s"
