"""A setting of OpenMP, which PyTorch's kernels use on a CPU. Standard library only."""

from __future__ import annotations

import os

SPINS = "3000"
"""A thread that waits for another spins, 300,000 times by default, and takes the core from whatever else would run. With 3,000
a small model trains 1.7 times as fast on cores that it shares, and as fast as before on cores of its own."""


def limit_spinning() -> None:
    """Let waiting threads give up their core soon, unless the environment says otherwise. Call it before torch is imported."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
