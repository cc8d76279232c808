"""Formulas for parameters, FLOPs and bytes of a :class:`GPT2Config`. Standard library only.

V, P, d, L, h, f are vocab_size, n_positions, n_embd, n_layer, n_head, n_inner; b, s are batch size and
sequence length; N = b·s tokens. All formulas are exact for transformers' ``GPT2LMHeadModel`` of any shape;
``tests/sizing/test_counts.py`` compares them. :mod:`gpt2hydra.sizing.memory` predicts peak memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from gpt2hydra.config.fields import choice, flag, integer
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.run import MAX_BATCH_SIZE, check_seq_len
from gpt2hydra.config.sections import section
from gpt2hydra.config.validation import Checked
from gpt2hydra.config.validators import Failure, validator

ITEM_SIZES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Data type → bytes of one number."""

ATTENTIONS = ("flash", "memory_efficient", "math", "eager")
"""Kernels of scaled-dot-product attention, and ``eager``. ``eager`` and ``math`` store the s·s weights."""

FUSED_ATTENTIONS = ("flash", "memory_efficient")
"""The kernels that do not write the s·s matrix of weights."""


# ----------------------------------------------------------------------------------------------------------- parameters


@dataclass(frozen=True)
class Parameters:
    """Parameters by part. The output head is the token embedding (tied), so it is counted once."""

    token_embedding: int
    position_embedding: int
    attention: int
    mlp: int
    layer_norm: int

    @property
    def total(self) -> int:
        """All parameters."""
        return self.token_embedding + self.position_embedding + self.non_embedding

    @property
    def non_embedding(self) -> int:
        """The blocks and the final layer norm, without embeddings, as in Kaplan et al., arXiv 2001.08361.

        nanoGPT's ``get_num_params`` leaves out only the position table: ``total - position_embedding``.
        """
        return self.attention + self.mlp + self.layer_norm


def parameters(config: GPT2Config) -> Parameters:
    """Return the exact numbers of parameters: V·d + P·d + L·(4d² + 4d) + L·(2df + f + d) + L·4d + 2d.

    Every linear layer and layer norm has a bias, like OpenAI's (gpt-2/src/model.py).
    """
    config = config if isinstance(config, GPT2Config) else _Arguments(config).model
    d, f, layers = config.n_embd, config.n_inner, config.n_layer
    return Parameters(
        token_embedding=config.vocab_size * d,
        position_embedding=config.n_positions * d,
        attention=layers * (4 * d * d + 4 * d),  # query, key, value, and the projection back
        mlp=layers * (2 * d * f + f + d),
        layer_norm=layers * 4 * d + 2 * d,  # two a block, one after the last
    )


def product_weights(config: GPT2Config) -> int:
    """Return the number of weights in matrix products: L·(4d² + 2df) + V·d, the tied head included."""
    d, f = config.n_embd, config.n_inner
    return config.n_layer * (4 * d * d + 2 * d * f) + config.vocab_size * d


# --------------------------------------------------------------------------------------- FLOPs, cache, checkpoint


def flops_per_token(
    config: GPT2Config,
    seq_len: int,
    training: bool = True,
    *,
    attention: str = "eager",
    gradient_checkpointing: bool = False,
) -> int:
    """FLOPs of the matrix products for one token, as ``torch.utils.flop_counter``; a multiply-add is 2.

    Forward: 2 · :func:`product_weights` + 4·s·d·L. Training: three times that. A fused kernel (flash,
    memory-efficient) computes QKᵀ once more in the backward pass: + 2·s·d·L. Checkpointing runs every block
    again: + L·(8d² + 4df + 4·s·d). It skips the block's last product, - L·2df, unless a dropout follows whose
    mask the backward pass needs.

    Causal attention counts in full, as in PaLM (arXiv 2204.02311, appendix B), nanoGPT and torchtitan; a
    kernel that skips the masked blocks computes about half of it. Model FLOPs utilization is
    computed from the default, ``attention="eager"`` without checkpointing, which includes nothing that is
    recomputed.
    """
    arguments = _Arguments(
        config, 1, seq_len, training=training, attention=attention, gradient_checkpointing=gradient_checkpointing
    )
    scores = 4 * arguments.seq_len * config.n_embd * config.n_layer  # QKᵀ, and the weights times V
    forward = 2 * product_weights(config) + scores
    if not training:
        return forward
    again = scores // 2 if attention in FUSED_ATTENTIONS else 0
    if gradient_checkpointing:
        head = 2 * config.vocab_size * config.n_embd
        last = 0 if config.resid_pdrop else 2 * config.n_layer * config.n_embd * config.n_inner
        again += forward - head - last
    return 3 * forward + again


flops_of_shape = lru_cache(maxsize=4096)(flops_per_token)
"""Cached :func:`flops_per_token` for valid configurations: many points of a sweep have the same shape."""


def kv_cache_bytes(config: GPT2Config, batch_size: int, seq_len: int, dtype: str = "bfloat16") -> int:
    """Return the exact bytes of the keys and values in generation: 2·L·d numbers for each token and sequence."""
    arguments = _Arguments(config, batch_size, seq_len, dtype=dtype)
    return 2 * config.n_layer * config.n_embd * arguments.batch_size * arguments.seq_len * ITEM_SIZES[dtype]


def checkpoint_bytes(config: GPT2Config, dtype: str = "float32", *, optimizer: bool = False) -> int:
    """Tensors of a checkpoint: the weights and, with ``optimizer``, AdamW's two means.

    Headers add some kB.
    """
    arguments = _Arguments(config, dtype=dtype, optimizer=optimizer)
    return parameters(config).total * ITEM_SIZES[arguments.dtype] * (3 if optimizer else 1)


@dataclass(frozen=True)
class _Arguments(Checked):
    """The arguments of the functions above, checked by the same rules as a configuration."""

    model: GPT2Config = section(GPT2Config, "the shape")
    batch_size: int = integer(1, "sequences", at_most=MAX_BATCH_SIZE)
    seq_len: int = integer(1, "tokens of one sequence", at_most=10_000_000)
    dtype: str = choice("float32", "type of the numbers", tuple(ITEM_SIZES))
    attention: str = choice("eager", "kernel", ATTENTIONS)
    training: bool = flag(True, "forward and backward")
    gradient_checkpointing: bool = flag(False, "recompute the blocks")
    optimizer: bool = flag(False, "with AdamW's state")

    @validator("seq_len")
    def _sequence_fits(self) -> Failure | None:
        return check_seq_len("seq_len", self.seq_len, self.model.n_positions)
