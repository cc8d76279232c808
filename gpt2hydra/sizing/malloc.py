"""The allocator of the C library, which on a CPU decides how much memory a step takes, and how fast it is."""

from __future__ import annotations

import contextlib
import sys

from gpt2hydra.config.run import TrainingConfig

LARGE_BLOCK = 2**20
"""Bytes from which on a run with gradient checkpointing gives the memory of a freed tensor back."""


def set_malloc_options(config: TrainingConfig) -> None:
    """Choose between speed and memory in glibc's allocator; elsewhere than on Linux with glibc: nothing.

    Without gradient checkpointing, freed memory is kept, rather than handed back and faulted in again at each
    step: 1.2 times the tokens/s, measured on two cores with 124M parameters. But freed blocks are seldom
    reused exactly, so the process takes 1.3 to 1.7 times what is alive. With checkpointing, which is there to
    save memory, each large tensor is mapped by itself and given back: the process takes what is alive.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # a plan for another machine does without

    trim_threshold, top_pad, mmap_threshold, mmap_max = -1, -2, -3, -4  # malloc.h
    if config.gradient_checkpointing:
        options = {mmap_threshold: LARGE_BLOCK, trim_threshold: 64 * 2**20}
    else:
        options = {mmap_max: 0, trim_threshold: -1, top_pad: 256 * 2**20}
    with contextlib.suppress(OSError, AttributeError):  # musl has no mallopt
        libc = ctypes.CDLL(None)
        for option, value in options.items():
            libc.mallopt(option, value)
