"""Predict the peak memory of a training step. Standard library only.

The peak is the most bytes of tensors that are alive together on one device. On the CPU it agrees with
PyTorch's profiler within 0.1 % (``tests/sizing/test_peak.py``); for CUDA it was not measured, because no GPU
was used. The allocator's fragmentation, workspaces of kernels, and the CUDA context are not included.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.sizing.counts import ATTENTIONS, FUSED_ATTENTIONS, Parameters, parameters, product_weights
from gpt2hydra.sizing.step import Step, sdpa_kernel


def training_memory(
    config: GPT2Config,
    batch_size: int,
    seq_len: int,
    precision: str = "fp32",
    gradient_checkpointing: bool = False,
    attention: str = "sdpa",
    *,
    accumulation: bool = False,
    fused_gelu: bool = True,
    fused_adamw: bool = True,
    keeps_logits: bool = True,
    device: str = "cuda",
    devices: int = 1,
    strategy: str = "ddp",
) -> TrainingMemory:
    """Return the bytes of one training step with AdamW on one device, by part and by moment.

    Args:
        precision: ``fp32``; ``bf16``: autocast with fp32 weights; ``bf16_pure``: also weights and AdamW.
        gradient_checkpointing: keep only each block's input, and recompute the rest in the backward pass.
        attention: ``flash``, ``memory_efficient``, ``math``, ``eager``; ``sdpa``: PyTorch's choice.
        accumulation: more than one micro-batch a step.
        fused_gelu: ``gelu_pytorch_tanh``, else ``gelu_new``. fused_adamw: one kernel, else ``foreach``.
        keeps_logits: the loop keeps the model's output, not only the loss, until a step ends.
        device: ``cuda`` or ``cpu``: their kernels keep different tensors. Dropout is the config's.
        devices: the number that share the step, each with micro-batches of ``batch_size`` sequences.
        strategy: ``ddp``: each device has all weights; ``fsdp``: weights, gradients and AdamW's means are
            sharded (PyTorch's FSDP2; each block is a unit, and so is the rest).

    Raises:
        ConfigError: a value is invalid, or the device does not have this kernel for this precision.
    """
    if attention not in ("sdpa", *ATTENTIONS):
        raise ConfigError([Violation("attention", attention, f"must be one of sdpa, {', '.join(ATTENTIONS)}")])
    kernel = sdpa_kernel(config, precision, device) if attention == "sdpa" else attention
    ways = precision, kernel, gradient_checkpointing, accumulation
    loop = fused_gelu, keeps_logits, fused_adamw
    return TrainingMemory(Step(config, batch_size, seq_len, *ways, *loop, device, devices, strategy))


FRAGMENTATION_FUSED, FRAGMENTATION_MATRIX, FRAGMENTATION_ACCUMULATION = 1.75, 2.25, 2.4
"""Free memory between the tensors of a step, as a multiple of the memory of one block: with a fused attention
kernel; with one that writes the attention weights; added with several micro-batches.
Measured after ten steps."""

UNFIT_GRADIENTS_FACTOR = 1.5
"""Memory taken for gradients because no free block fits them, as a multiple of the memory of all."""

SMALL_TENSORS_SHARE = 0.02
"""With checkpointing: memory that freed small tensors keep, as a share of the peak; large ones return it."""

UNSHARDED_BLOCKS = 5
"""Unsharded blocks of FSDP2 in a backward pass: the weights of the current block; those of the next, twice
while they are gathered; the gradients of the current block, and a copy of the previous ones while reduced."""


@dataclass(frozen=True)
class Moment:
    """Bytes that are alive at one moment of a step."""

    name: str
    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    copies: int
    gathered: int

    @property
    def total(self) -> int:
        """The sum of the parts."""
        return sum(getattr(self, part) for part in MEMORY_PARTS)


MEMORY_PARTS = tuple(field.name for field in fields(Moment))[1:]


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of a training step. Each part is its own maximum; ``total`` is the maximum of their sum.

    The parts do not add up to the total, because activations are freed while gradients are made. ``moments``
    are those that may have the maximum, ``peak`` is the one that has it. The parts of a moment add up.
    """

    step: Step

    @cached_property
    def _parameters(self) -> Parameters:
        return parameters(self.step.model)

    @property
    def moments(self) -> tuple[Moment, ...]:
        """The moments of a step that may be the peak, in order."""
        return (
            self._loss_forward(),
            self._loss_backward(),
            self._block_backward("backward of the last block", self.step.model.n_layer),
            self._block_backward("backward of the first block", 1),
            self._embedding_backward(),
            self._update(),
        )

    @cached_property
    def peak(self) -> Moment:
        """The moment with the most memory."""
        return max(self.moments, key=lambda moment: moment.total)

    @property
    def total(self) -> int:
        """Bytes at the peak."""
        return self.peak.total

    @cached_property
    def allocator_overhead(self) -> int:
        """Bytes of the process that are not tensors: on a CPU, freed blocks that the C library keeps.

        Without checkpointing they are kept for the next step
        (:func:`gpt2hydra.sizing.malloc.set_malloc_options`), and few are reused exactly: some are between the
        tensors of each block, and no gradient fits into them. The formula is fitted to the resident memory of
        real runs; ``benchmarks/memory.py`` prints prediction and measurement.
        """
        step = self.step
        if step.device != "cpu":
            return 0
        if step.gradient_checkpointing:
            return round(SMALL_TENSORS_SHARE * self.total)
        fragmentation = (
            FRAGMENTATION_FUSED if step.attention in FUSED_ATTENTIONS else FRAGMENTATION_MATRIX
        ) + FRAGMENTATION_ACCUMULATION * step.accumulation
        return round(fragmentation * step.block_bytes() + UNFIT_GRADIENTS_FACTOR * self.gradients)

    @property
    def resident(self) -> int:
        """Bytes that the step adds to the process: tensors and :attr:`allocator_overhead`."""
        return self.total + self.allocator_overhead

    @property
    def weights(self) -> int:
        """Bytes of the device's own shard of the weights: 4 a parameter, 2 in pure bf16."""
        return self._shard_bytes(self._parameters.total)

    @property
    def gradients(self) -> int:
        """Bytes of the gradients, in the type of the weights.

        FSDP shards them in the last micro-batch of a step.
        """
        return self._unsharded_bytes if self.step.accumulation else self.weights

    @property
    def optimizer(self) -> int:
        """Bytes of AdamW's two running means."""
        return 2 * self.weights

    @property
    def activations(self) -> int:
        """Bytes that autograd keeps for the backward pass, without the loss and the copies."""
        return self.step.saved_bytes()

    @property
    def logits(self) -> int:
        """Bytes of logits, log-probabilities, and the two gradients in the backward pass of the loss."""
        return self.step.loss_bytes() + 8 * self._logit_count + self._kept_logits_bytes

    @property
    def copies(self) -> int:
        """Bytes of the bf16 copies of the weights under autocast."""
        return self.step.weight_copy_bytes()

    def _shard_bytes(self, count: int) -> int:
        """Return the bytes of a device's shard of ``count`` parameters."""
        return -(-self.step.residual_itemsize * count // self.step.shards)

    @property
    def _unsharded_bytes(self) -> int:
        """Bytes of all parameters, or of all their gradients."""
        return self.step.residual_itemsize * self._parameters.total

    @property
    def _block_parameters(self) -> int:
        """Parameters of one block."""
        model = self.step.model
        return (self._parameters.non_embedding - 2 * model.n_embd) // model.n_layer

    @property
    def _other_parameters(self) -> int:
        """Embeddings and the last layer norm, outside the blocks: FSDP gathers them for the complete pass."""
        return self._parameters.total - self.step.model.n_layer * self._block_parameters

    @property
    def gathered(self) -> int:
        """Bytes of unsharded weights and gradients of FSDP."""
        return self._gathered_bytes(UNSHARDED_BLOCKS)

    def _gathered_bytes(self, blocks: int = 0) -> int:
        """Return the unsharded bytes of FSDP: all parameters outside the blocks, and this number of blocks."""
        if self.step.shards == 1:
            return 0
        return self.step.residual_itemsize * (
            self._other_parameters + min(blocks, self.step.model.n_layer) * self._block_parameters
        )

    @property
    def _kept_logits_bytes(self) -> int:
        """Bytes of the logits that are kept after the forward pass."""
        return self.step.itemsize * self._logit_count if self.step.keeps_logits else 0

    @property
    def _logit_count(self) -> int:
        return self.step.tokens * self.step.model.vocab_size

    @property
    def _earlier_gradients_bytes(self) -> int:
        """Bytes of gradients before the backward pass: of earlier micro-batches, or in DDP's buckets."""
        return self._unsharded_bytes if self.step.gradients_stay else 0

    def _loss_forward(self) -> Moment:
        """Autocast keeps its copy of every weight until its context ends, even with checkpointing."""
        step = self.step
        upcast = 4 * self._logit_count if step.itemsize == 2 else 0
        logits = step.loss_bytes() + step.itemsize * self._logit_count + upcast
        copies = 2 * product_weights(step.model) if step.autocast else 0
        early = self._earlier_gradients_bytes
        parts = (self.weights, early, self.optimizer, self.activations, logits, copies, self._gathered_bytes())
        return Moment("forward of the loss", *parts)

    def _loss_backward(self) -> Moment:
        """Two more fp32 tensors of N·V are alive: the gradients of the log-probabilities and of the logits."""
        early, kept = self._earlier_gradients_bytes, self.activations
        parts = (self.weights, early, self.optimizer, kept, self.logits, self.copies, self._gathered_bytes())
        return Moment("backward of the loss", *parts)

    def _block_backward(self, name: str, blocks: int) -> Moment:
        """A block (recomputed if checkpointed), with the gradients of the stream and of its widest tensor.

        ``blocks`` blocks, this one included, still need their backward pass. Memory changes by the same
        amount from block to block, so only the first and the last can be the peak.
        """
        step, d, f = self.step, self.step.model.n_embd, self.step.model.n_inner
        inner = step.itemsize * step.tokens * f
        matrices = 0 if step.attention in FUSED_ATTENTIONS else step.batch_size * step.model.n_head * step.seq_len**2
        before, after = (
            (4, 4) if step.attention == "math" else (step.residual_itemsize, step.itemsize)
        )  # of the softmax; bytes a weight
        of_heads = (before + (0 if step.model.attn_pdrop else after)) * matrices - 2 * inner  # the MLP's are freed by then
        passing = step.residual_itemsize * step.tokens * d + max(inner, of_heads)
        recomputed = (
            step.block_bytes() - step.residual_itemsize * step.tokens * d if step.gradient_checkpointing else 0
        )  # its input was kept
        gone = step.head_bytes() + (step.model.n_layer - blocks) * step.kept_block_bytes()
        copied = 0 if not step.autocast else 1 if step.gradient_checkpointing else blocks
        return Moment(
            name,
            weights=self.weights,
            gradients=self._gradient_bytes(blocks),
            optimizer=self.optimizer,
            activations=self.activations - gone + recomputed + passing,
            logits=self._kept_logits_bytes,
            copies=2 * (4 * d * d + 2 * d * f) * copied,
            gathered=self.gathered,
        )

    def _gradient_bytes(self, blocks: int) -> int:
        """Return the gradient bytes of the head, of the blocks done, and of this block's last MLP product."""
        step, model = self.step, self.step.model
        head_bytes, new = (
            step.residual_itemsize * model.vocab_size * model.n_embd,
            step.residual_itemsize * model.n_embd * model.n_inner,
        )
        done = (
            self._unsharded_bytes
            if step.gradients_stay
            else self._shard_bytes((model.n_layer - blocks) * self._block_parameters)
        )
        return done + head_bytes + new  # the head's is kept: it will be added to the embedding's

    def _embedding_backward(self) -> Moment:
        """All gradients, and two more of the token embedding: those of its two uses, which are added."""
        step = self.step
        table = step.residual_itemsize * step.model.vocab_size * step.model.n_embd
        if step.gradients_stay:
            gradients = self._unsharded_bytes + 3 * table
        else:
            gradients = (
                self._shard_bytes(step.model.n_layer * self._block_parameters)
                + step.residual_itemsize * self._other_parameters
                + 2 * table
            )
        parts = (self.weights, gradients, self.optimizer, 0, self._kept_logits_bytes, 0, self._gathered_bytes(1))
        return Moment("gradient of the embedding", *parts)

    def _update(self) -> Moment:
        """AdamW over lists of tensors (``foreach``) has one more number a parameter."""
        optimizer = self.optimizer + (0 if self.step.fused_adamw else self.weights)
        return Moment("optimizer", self.weights, self.weights, optimizer, 0, self._kept_logits_bytes, 0, 0)
