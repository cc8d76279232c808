"""The cost of a GPT-2: parameters, FLOPs, memory, time. Standard library only, except to measure time."""

from gpt2hydra.sizing.counts import Parameters, checkpoint_bytes, flops_per_token, kv_cache_bytes, parameters, product_weights
from gpt2hydra.sizing.memory import training_memory

__all__ = [
    "Parameters",
    "checkpoint_bytes",
    "flops_per_token",
    "kv_cache_bytes",
    "parameters",
    "product_weights",
    "training_memory",
]
