"""What autograd keeps of one training step, tensor by tensor. Standard library only.

Symbols as in :mod:`gpt2hydra.sizing.counts`; E is the bytes of a number that enters a matrix product, R of
one in the residual stream. :meth:`Step.saved`, :meth:`Step.loss` and :meth:`Step.copies` are exact: byte for
byte on the CPU in ``tests/sizing/test_step.py``; for CUDA's kernels they were so on 180 random steps, read
off PyTorch's autograd and autocast dispatch over tensors without data. :mod:`gpt2hydra.sizing.memory` finds
the peak.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpt2hydra.config.fields import choice, flag, integer
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.run import LARGEST_BATCH, PRECISIONS, longer_than_model
from gpt2hydra.config.sections import section
from gpt2hydra.config.validation import Checked
from gpt2hydra.config.validators import Failure, validator
from gpt2hydra.sizing.counts import ATTENTIONS, product_weights

DEVICES = ("cuda", "cpu")
STRATEGIES = ("ddp", "fsdp")
MOST_DEVICES = 100_000


def attention_kernels(precision: str, device: str) -> tuple[str, ...]:
    """The kernels that PyTorch has for a precision on a device, the one it prefers first."""
    if device == "cpu":
        return ("flash", "math", "eager")
    return ("memory_efficient", "eager") if precision == "fp32" else ("flash", "memory_efficient", "eager")


def sdpa_kernel(config: GPT2Config, precision: str, device: str) -> str:
    """The kernel of ``scaled_dot_product_attention``: on the CPU, dropout alone turns the fused one down."""
    return "math" if device == "cpu" and config.attn_pdrop else attention_kernels(precision, device)[0]


@dataclass(frozen=True)
class Step(Checked):
    """One training step with AdamW, of which :func:`training_memory` is asked. The formulas are its methods."""

    model: GPT2Config = section(GPT2Config, "the shape")
    batch_size: int = integer(1, "sequences of one pass on one device", at_most=LARGEST_BATCH)
    seq_len: int = integer(1024, "tokens of one sequence", at_most=10_000_000)
    precision: str = choice("fp32", "bf16: autocast; bf16_pure: weights and AdamW too", PRECISIONS)
    attention: str = choice("memory_efficient", "kernel", ATTENTIONS)
    gradient_checkpointing: bool = flag(False, "recompute each block in the backward pass")
    accumulation: bool = flag(False, "more than one pass a step: gradients are there from the second pass on")
    fused_gelu: bool = flag(True, "gelu_pytorch_tanh; gelu_new, the same function step by step, otherwise")
    keeps_logits: bool = flag(True, "the model's output stays alive until the step ends, not the loss alone")
    fused_adamw: bool = flag(True, "one kernel; AdamW over lists of tensors (foreach) otherwise")
    device: str = choice("cuda", "whose kernels", DEVICES)
    devices: int = integer(1, "devices that share the step, each with a pass of its own", at_most=MOST_DEVICES)
    strategy: str = choice("ddp", "ddp: each device has all weights; fsdp: weights, gradients, AdamW in shards", STRATEGIES)

    @validator("seq_len")
    def _sequence_fits(self) -> Failure | None:
        return longer_than_model("seq_len", self.seq_len, self.model.n_positions)

    @validator("attention")
    def _kernel_exists(self) -> Failure | None:
        kernels = attention_kernels(self.precision, self.device)
        if self.attention in kernels:
            return None
        return Failure(f"must be one of {', '.join(kernels)} for {{precision}} and {{device}}", {"attention": kernels[0]})

    @property
    def shards(self) -> int:
        """Devices among which weights, gradients and AdamW's means are divided; 1 where each has all."""
        return self.devices if self.strategy == "fsdp" else 1

    @property
    def gradients_stay(self) -> bool:
        """Whether earlier passes, or DDP's buckets, hold all gradients before the backward pass."""
        return self.accumulation or (self.devices > 1 and self.strategy == "ddp")

    @property
    def autocast(self) -> bool:
        """Weights in fp32, products in bf16."""
        return self.precision == "bf16"

    @property
    def item(self) -> int:
        """E: bytes of a number that enters a matrix product."""
        return 4 if self.precision == "fp32" else 2

    @property
    def stream(self) -> int:
        """R: bytes of a number of the residual stream, of a weight, and of its gradient."""
        return 2 if self.precision == "bf16_pure" else 4

    @property
    def tokens(self) -> int:
        """N: of one pass."""
        return self.batch_size * self.seq_len

    def saved(self) -> int:
        """Bytes that autograd keeps from the forward pass for the backward pass, the loss aside.

        Counted as the distinct storages of the saved tensors, without parameters; byte for byte in the tests.
        """
        d, tokens = self.model.n_embd, self.tokens
        embedding = 8 * tokens + 8 * self.seq_len + (self._mask(self.stream) * tokens * d if self.model.embd_pdrop else 0)
        mask = self.stream * self.batch_size * self.seq_len**2  # of causality, handed to each eager block
        masks = mask if self.gradient_checkpointing and self.attention == "eager" else 0
        return embedding + self.model.n_layer * self.kept_block() + masks + self.head()

    def head(self) -> int:
        """Bytes of the last layer norm, and of its output for the product with the embedding."""
        return self._norm() + self.item * self.tokens * self.model.n_embd

    def kept_block(self) -> int:
        """Bytes that one block keeps until its turn: with checkpointing its input alone."""
        return self.stream * self.tokens * self.model.n_embd if self.gradient_checkpointing else self.block()

    def block(self) -> int:
        """Bytes that one block keeps: two layer norms, attention, MLP, dropout masks."""
        d, f, tokens = self.model.n_embd, self.model.n_inner, self.tokens
        norms = 2 * (self._norm() + self.item * tokens * d)  # their input, and their output for the product that follows
        masks = 2 * self._mask(self.item) * tokens * d if self.model.resid_pdrop else 0
        return norms + self._attention() + self._gelu() * tokens * f + masks

    def _norm(self) -> int:
        """A layer norm's input, and mean and reciprocal deviation of each token."""
        statistics = 2 * (self.stream if self.device == "cpu" else 4)
        return self.tokens * (self.stream * self.model.n_embd + statistics)

    def _mask(self, item: int) -> int:
        """Bytes of one place of a dropout mask: booleans of CUDA's kernel, the type of its input on the CPU."""
        return item if self.device == "cpu" else 1

    def _attention(self) -> int:
        """Query, key, value and output, 4·E·N·d, and what the kernel keeps of the s·s weights of each head."""
        heads, s = self.batch_size * self.model.n_head, self.seq_len
        four = 4 * self.item * self.tokens * self.model.n_embd
        if self.attention == "flash":  # log-sum-exp of each row; on CUDA the state of its random numbers too
            return four + 4 * heads * s + (24 if self.device == "cuda" else 0)
        if self.attention == "memory_efficient":  # rows are padded to 32
            return four + 4 * heads * -(-s // 32) * 32 + 16
        if self.attention == "math":
            return self._math_attention()
        softmax = self.stream
        if self.model.attn_pdrop:
            return four + heads * s * s * (softmax + self._mask(self.item) + self.item)
        return four + heads * s * s * (softmax + (self.item if self.autocast else 0))

    def _math_attention(self) -> int:
        """Query and key, scaled, and value, all in fp32, whatever comes in; output; and the s·s weights.

        A value that needs no copy for the product, with one sequence or one head, keeps all of the fp32
        query, key, value.
        """
        heads, s = self.batch_size * self.model.n_head, self.seq_len
        shared = 8 if self.item == 4 and 1 in (self.batch_size, self.model.n_head) else 0
        kept = (12 + self.item + shared) * self.tokens * self.model.n_embd
        return kept + heads * s * s * (12 if self.model.attn_pdrop else 4)

    def _gelu(self) -> int:
        """Bytes a channel: input and output if fused, else five results; CUDA's autocast has ``pow`` in fp32."""
        if self.fused_gelu:
            return 2 * self.item
        return 16 if self.autocast and self.device == "cuda" else 5 * self.item

    def loss(self) -> int:
        """Log-probabilities in fp32, labels shifted by one, and their count: 4·N·V + 8·N + 4."""
        return self.tokens * (4 * self.model.vocab_size + 8) + 4

    def copies(self) -> int:
        """Weights in bf16 that autocast made and autograd keeps; checkpointing leaves the head's alone."""
        if not self.autocast:
            return 0
        head = self.model.vocab_size * self.model.n_embd
        return 2 * (head if self.gradient_checkpointing else product_weights(self.model))
