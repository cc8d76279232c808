"""Formulas for the bytes that autograd keeps in one training step. Standard library only.

Symbols as in :mod:`gpt2hydra.sizing.counts`; E is the bytes of a number in a matrix product, R of one in the
residual stream. :meth:`Step.saved_bytes`, :meth:`Step.loss_bytes` and :meth:`Step.weight_copy_bytes` are
exact to the byte: ``tests/sizing/test_step.py`` checks this on the CPU. CUDA's kernels were checked on 180
random steps with PyTorch's autograd and autocast over tensors without data. :mod:`gpt2hydra.sizing.memory`
finds the peak.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpt2hydra.config.fields import choice, flag, integer
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.run import MAX_BATCH_SIZE, PRECISIONS, check_seq_len
from gpt2hydra.config.sections import section
from gpt2hydra.config.validation import Checked
from gpt2hydra.config.validators import Failure, validator
from gpt2hydra.sizing.counts import ATTENTIONS, product_weights

DEVICES = ("cuda", "cpu")
STRATEGIES = ("ddp", "fsdp")
MAX_DEVICES = 100_000


def attention_kernels(precision: str, device: str) -> tuple[str, ...]:
    """Return the kernels that PyTorch has for a precision on a device, its preferred one first."""
    if device == "cpu":
        return ("flash", "math", "eager")
    return ("memory_efficient", "eager") if precision == "fp32" else ("flash", "memory_efficient", "eager")


def sdpa_kernel(config: GPT2Config, precision: str, device: str) -> str:
    """The kernel of ``scaled_dot_product_attention``; on the CPU, the fused one is not used with dropout."""
    return "math" if device == "cpu" and config.attn_pdrop else attention_kernels(precision, device)[0]


@dataclass(frozen=True)
class Step(Checked):
    """One training step with AdamW, with the arguments of :func:`.memory.training_memory`.

    The formulas are its methods.
    """

    model: GPT2Config = section(GPT2Config, "the shape")
    batch_size: int = integer(1, "sequences of one micro-batch on one device", at_most=MAX_BATCH_SIZE)
    seq_len: int = integer(1024, "tokens of one sequence", at_most=10_000_000)
    precision: str = choice("fp32", "bf16: autocast; bf16_pure: weights and AdamW too", PRECISIONS)
    attention: str = choice("memory_efficient", "kernel", ATTENTIONS)
    gradient_checkpointing: bool = flag(False, "recompute each block in the backward pass")
    accumulation: bool = flag(False, "more than one micro-batch a step: all except the first begin with gradients")
    fused_gelu: bool = flag(True, "gelu_pytorch_tanh, else gelu_new, the same function in steps")
    keeps_logits: bool = flag(True, "the model's output, not only the loss, is kept until the step ends")
    fused_adamw: bool = flag(True, "one kernel, else AdamW over lists of tensors (foreach)")
    device: str = choice("cuda", "device of the kernels", DEVICES)
    devices: int = integer(1, "devices that share the step, each with its own micro-batch", at_most=MAX_DEVICES)
    strategy: str = choice("ddp", "ddp: each device has all weights; fsdp: weights, gradients, AdamW in shards", STRATEGIES)

    @validator("seq_len")
    def _sequence_fits(self) -> Failure | None:
        return check_seq_len("seq_len", self.seq_len, self.model.n_positions)

    @validator("attention")
    def _kernel_exists(self) -> Failure | None:
        kernels = attention_kernels(self.precision, self.device)
        if self.attention in kernels:
            return None
        return Failure(f"must be one of {', '.join(kernels)} for {{precision}} and {{device}}", {"attention": kernels[0]})

    @property
    def shards(self) -> int:
        """Devices among which weights, gradients and AdamW's means are divided; 1 if each has all."""
        return self.devices if self.strategy == "fsdp" else 1

    @property
    def gradients_stay(self) -> bool:
        """Whether earlier passes, or DDP's buckets, hold all gradients before the backward pass."""
        return self.accumulation or (self.devices > 1 and self.strategy == "ddp")

    @property
    def autocast(self) -> bool:
        """Whether weights are in fp32 and products in bf16."""
        return self.precision == "bf16"

    @property
    def itemsize(self) -> int:
        """E: bytes of a number in a matrix product."""
        return 4 if self.precision == "fp32" else 2

    @property
    def residual_itemsize(self) -> int:
        """R: bytes of a number of the residual stream, of a weight, and of its gradient."""
        return 2 if self.precision == "bf16_pure" else 4

    @property
    def tokens(self) -> int:
        """N: tokens of one micro-batch."""
        return self.batch_size * self.seq_len

    def saved_bytes(self) -> int:
        """Return the bytes that autograd keeps for the backward pass, without those of the loss.

        These are the distinct storages of the saved tensors, without parameters.
        """
        d, tokens = self.model.n_embd, self.tokens
        embedding = (
            8 * tokens + 8 * self.seq_len + (self._mask(self.residual_itemsize) * tokens * d if self.model.embd_pdrop else 0)
        )
        mask = self.residual_itemsize * self.batch_size * self.seq_len**2  # causal mask, an argument of each eager block
        masks = mask if self.gradient_checkpointing and self.attention == "eager" else 0
        return embedding + self.model.n_layer * self.kept_block_bytes() + masks + self.head_bytes()

    def head_bytes(self) -> int:
        """Return the bytes kept by the last layer norm, and its output for the product with the embedding."""
        return self._norm() + self.itemsize * self.tokens * self.model.n_embd

    def kept_block_bytes(self) -> int:
        """Return the bytes that one block keeps until its backward pass: with checkpointing, only its input."""
        return self.residual_itemsize * self.tokens * self.model.n_embd if self.gradient_checkpointing else self.block_bytes()

    def block_bytes(self) -> int:
        """Return the bytes that one block keeps: two layer norms, attention, MLP, dropout masks."""
        d, f, tokens = self.model.n_embd, self.model.n_inner, self.tokens
        norms = 2 * (self._norm() + self.itemsize * tokens * d)  # their input, and output for the next product
        masks = 2 * self._mask(self.itemsize) * tokens * d if self.model.resid_pdrop else 0
        return norms + self._attention() + self._gelu() * tokens * f + masks

    def _norm(self) -> int:
        """Return the bytes of a layer norm's input, and of mean and reciprocal deviation of each token."""
        statistics = 2 * (self.residual_itemsize if self.device == "cpu" else 4)
        return self.tokens * (self.residual_itemsize * self.model.n_embd + statistics)

    def _mask(self, itemsize: int) -> int:
        """Bytes of one place of a dropout mask: booleans of CUDA's kernel, the type of its input on the CPU."""
        return itemsize if self.device == "cpu" else 1

    def _attention(self) -> int:
        """Query, key, value and output, 4·E·N·d, and what the kernel keeps of the s·s weights of each head."""
        heads, s = self.batch_size * self.model.n_head, self.seq_len
        four = 4 * self.itemsize * self.tokens * self.model.n_embd
        if self.attention == "flash":  # log-sum-exp of each row; on CUDA also the state of the random numbers
            return four + 4 * heads * s + (24 if self.device == "cuda" else 0)
        if self.attention == "memory_efficient":  # rows are padded to 32
            return four + 4 * heads * -(-s // 32) * 32 + 16
        if self.attention == "math":
            return self._math_attention()
        softmax = self.residual_itemsize
        if self.model.attn_pdrop:
            return four + heads * s * s * (softmax + self._mask(self.itemsize) + self.itemsize)
        return four + heads * s * s * (softmax + (self.itemsize if self.autocast else 0))

    def _math_attention(self) -> int:
        """Scaled query and key, and value, in fp32 for any input; output; and the s·s weights.

        If the value needs no copy for the product (one sequence or one head), all of the fp32 query, key and
        value is kept.
        """
        heads, s = self.batch_size * self.model.n_head, self.seq_len
        shared = 8 if self.itemsize == 4 and 1 in (self.batch_size, self.model.n_head) else 0
        kept = (12 + self.itemsize + shared) * self.tokens * self.model.n_embd
        return kept + heads * s * s * (12 if self.model.attn_pdrop else 4)

    def _gelu(self) -> int:
        """Bytes a channel: input and output if fused, else five results; CUDA's autocast has ``pow`` in fp32."""
        if self.fused_gelu:
            return 2 * self.itemsize
        return 16 if self.autocast and self.device == "cuda" else 5 * self.itemsize

    def loss_bytes(self) -> int:
        """Return the bytes of fp32 log-probabilities, shifted labels, and their count: 4·N·V + 8·N + 4."""
        return self.tokens * (4 * self.model.vocab_size + 8) + 4

    def weight_copy_bytes(self) -> int:
        """Return the bytes of bf16 weights that autograd keeps under autocast; checkpointing: the head's."""
        if not self.autocast:
            return 0
        head_weights = self.model.vocab_size * self.model.n_embd
        return 2 * (head_weights if self.gradient_checkpointing else product_weights(self.model))
