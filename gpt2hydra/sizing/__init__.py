"""What does it cost? Parameters, FLOPs and memory of a GPT-2. Standard library only."""

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
