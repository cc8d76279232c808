"""The memory of a training step: the moment at which most is alive. Standard library only.

It counts the tensors that are alive together on one device. On the CPU that is what PyTorch's profiler sees,
within 0.1 % (``tests/sizing/test_peak.py``); for CUDA it is a prediction, since no GPU was used. Not in it,
because it cannot be known beforehand: the allocator's fragmentation, workspaces of cuBLAS and kernels, the
CUDA context.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.sizing.counts import ATTENTIONS, FUSED, Parameters, parameters, product_weights
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
    """Bytes of one training step with AdamW on one device, by part and by moment; ``total`` is the peak.

    Args:
        precision: ``fp32``; ``bf16``, autocast over fp32 weights; ``bf16_pure``, weights and AdamW in bf16
            too.
        gradient_checkpointing: keep each block's input alone, and recompute the rest in the backward pass.
        attention: ``flash``, ``memory_efficient``, ``math``, ``eager``; ``sdpa`` is the kernel that PyTorch
            takes.
        accumulation: more than one pass a step.
        fused_gelu: ``gelu_pytorch_tanh``; ``gelu_new`` otherwise. fused_adamw: one kernel; ``foreach``
            otherwise.
        keeps_logits: the loop holds the model's output, not the loss alone, until a step ends.
        device: ``cuda`` or ``cpu``, whose kernels keep different things. Dropout is the config's.
        devices: how many share the step, each with a pass of ``batch_size`` sequences.
        strategy: ``ddp``, each device has all weights; ``fsdp``, weights, gradients and AdamW's means are
            divided among them (PyTorch's FSDP2, each block and the rest a unit of its own).

    Raises:
        ConfigError: a value is unknown or out of range, or the device has no such kernel for the precision.
    """
    if attention not in ("sdpa", *ATTENTIONS):
        raise ConfigError([Violation("attention", attention, f"must be one of sdpa, {', '.join(ATTENTIONS)}")])
    kernel = sdpa_kernel(config, precision, device) if attention == "sdpa" else attention
    ways = precision, kernel, gradient_checkpointing, accumulation
    loop = fused_gelu, keeps_logits, fused_adamw
    return TrainingMemory(Step(config, batch_size, seq_len, *ways, *loop, device, devices, strategy))


HOLES, HOLES_OF_MATRICES, HOLES_OF_PASSES = 1.75, 2.25, 2.4
"""Times the memory of one block, what lies free between the tensors of a step: with a fused attention kernel, and with one that
writes the matrix of attention weights; and how much more with several passes. Reached within ten steps."""

UNFIT_GRADIENTS = 1.5
"""Times the memory of all gradients, what is taken for them although there are free blocks: none fits."""

SMALL_BLOCKS = 0.02
"""With checkpointing, what small tensors leave free, as a share of all. The large ones are given back."""

BLOCKS_AT_WORK = 5
"""Blocks that FSDP2 holds complete in a backward pass: the weights of one at work; those of the next, twice while they arrive;
the gradients of one at work, and a copy of those of the block before while they leave."""


@dataclass(frozen=True)
class Moment:
    """What is alive at one moment of a step, in bytes."""

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
        return sum(getattr(self, part) for part in PARTS)


PARTS = tuple(field.name for field in fields(Moment))[1:]


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of a training step. Each part is the most that it ever takes, ``total`` the most alive together.

    The parts do not add up to the total, since the gradients arrive while the activations go: ``peak`` is the
    moment that decides, ``moments`` are all that may, and the parts of a moment do add up.
    """

    step: Step

    @cached_property
    def _parameters(self) -> Parameters:
        return parameters(self.step.model)

    @property
    def moments(self) -> tuple[Moment, ...]:
        """In the order of a step."""
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
        """The moment of most memory."""
        return max(self.moments, key=lambda moment: moment.total)

    @property
    def total(self) -> int:
        """The peak of the step."""
        return self.peak.total

    @cached_property
    def allocator_overhead(self) -> int:
        """Bytes that the process holds beyond the tensors: on a CPU, freed blocks that the C library keeps.

        Without checkpointing they are kept for the next step
        (:func:`gpt2hydra.sizing.malloc.set_malloc_options`), and few are reused exactly: some lie between the
        tensors of each block, and gradients find no place among them. Fitted to the resident memory of real
        runs, of which ``benchmarks/memory.py`` prints prediction and measurement.
        """
        step = self.step
        if step.device != "cpu":
            return 0
        if step.gradient_checkpointing:
            return round(SMALL_BLOCKS * self.total)
        holes = (HOLES if step.attention in FUSED else HOLES_OF_MATRICES) + HOLES_OF_PASSES * step.accumulation
        return round(holes * step.block() + UNFIT_GRADIENTS * self.gradients)

    @property
    def resident(self) -> int:
        """What the step adds to the memory of the process: tensors and :attr:`allocator_overhead`."""
        return self.total + self.allocator_overhead

    @property
    def weights(self) -> int:
        """Weights: 4 bytes a parameter, 2 in pure bf16; of the device's own shard."""
        return self._shard(self._parameters.total)

    @property
    def gradients(self) -> int:
        """Gradients, in the type of the weights. FSDP divides them in the last pass of a step."""
        return self._whole if self.step.accumulation else self.weights

    @property
    def optimizer(self) -> int:
        """AdamW's two running means."""
        return 2 * self.weights

    @property
    def activations(self) -> int:
        """What autograd keeps for the backward pass, without the loss and the copies."""
        return self.step.saved()

    @property
    def logits(self) -> int:
        """Logits, log-probabilities, and the two gradients of the backward pass of the loss."""
        return self.step.loss() + 8 * self._places + self._held

    @property
    def copies(self) -> int:
        """bf16 copies of the weights under autocast."""
        return self.step.copies()

    def _shard(self, count: int) -> int:
        """Bytes of a device's share of ``count`` parameters."""
        return -(-self.step.stream * count // self.step.shards)

    @property
    def _whole(self) -> int:
        """Bytes of all parameters, or of all their gradients."""
        return self.step.stream * self._parameters.total

    @property
    def _block(self) -> int:
        """Parameters of one block."""
        model = self.step.model
        return (self._parameters.non_embedding - 2 * model.n_embd) // model.n_layer

    @property
    def _rest(self) -> int:
        """Embeddings and the last layer norm, outside the blocks: FSDP gathers them for the complete pass."""
        return self._parameters.total - self.step.model.n_layer * self._block

    @property
    def gathered(self) -> int:
        """Whole weights and gradients of what FSDP has at work."""
        return self._gathered(BLOCKS_AT_WORK)

    def _gathered(self, blocks: int = 0) -> int:
        """With FSDP, what is complete at this moment: all outside the blocks, and so many blocks."""
        if self.step.shards == 1:
            return 0
        return self.step.stream * (self._rest + min(blocks, self.step.model.n_layer) * self._block)

    @property
    def _held(self) -> int:
        """Logits that outlive the forward pass."""
        return self.step.item * self._places if self.step.keeps_logits else 0

    @property
    def _places(self) -> int:
        return self.step.tokens * self.step.model.vocab_size

    @property
    def _early_gradients(self) -> int:
        """Before the backward pass: those of earlier passes, or the buckets in which DDP keeps them."""
        return self._whole if self.step.gradients_stay else 0

    def _loss_forward(self) -> Moment:
        """Autocast holds its copy of every weight until its context ends, even with checkpointing."""
        step = self.step
        upcast = 4 * self._places if step.item == 2 else 0
        logits = step.loss() + step.item * self._places + upcast
        copies = 2 * product_weights(step.model) if step.autocast else 0
        early = self._early_gradients
        parts = (self.weights, early, self.optimizer, self.activations, logits, copies, self._gathered())
        return Moment("forward of the loss", *parts)

    def _loss_backward(self) -> Moment:
        """Two more fp32 tensors of N·V: the gradients of the log-probabilities and of the logits."""
        early, kept = self._early_gradients, self.activations
        parts = (self.weights, early, self.optimizer, kept, self.logits, self.copies, self._gathered())
        return Moment("backward of the loss", *parts)

    def _block_backward(self, name: str, blocks: int) -> Moment:
        """A block (recomputed if checkpointed), with the gradients of the stream and of its widest tensor.

        ``blocks`` have their backward pass before them, this one included. What is alive changes by as much
        from each block to the next, so the last and the first decide.
        """
        step, d, f = self.step, self.step.model.n_embd, self.step.model.n_inner
        inner = step.item * step.tokens * f
        matrices = 0 if step.attention in FUSED else step.batch_size * step.model.n_head * step.seq_len**2
        before, after = (4, 4) if step.attention == "math" else (step.stream, step.item)  # of the softmax; bytes a weight
        of_heads = (before + (0 if step.model.attn_pdrop else after)) * matrices - 2 * inner  # the MLP's are freed by then
        passing = step.stream * step.tokens * d + max(inner, of_heads)
        recomputed = step.block() - step.stream * step.tokens * d if step.gradient_checkpointing else 0  # its input was kept
        gone = step.head() + (step.model.n_layer - blocks) * step.kept_block()
        copied = 0 if not step.autocast else 1 if step.gradient_checkpointing else blocks
        return Moment(
            name,
            weights=self.weights,
            gradients=self._gradients_above(blocks),
            optimizer=self.optimizer,
            activations=self.activations - gone + recomputed + passing,
            logits=self._held,
            copies=2 * (4 * d * d + 2 * d * f) * copied,
            gathered=self._gathered(BLOCKS_AT_WORK),
        )

    def _gradients_above(self, blocks: int) -> int:
        """The head's gradient, those of the blocks that are done, and of this one the MLP's last product."""
        step, model = self.step, self.step.model
        head, new = step.stream * model.vocab_size * model.n_embd, step.stream * model.n_embd * model.n_inner
        done = self._whole if step.gradients_stay else self._shard((model.n_layer - blocks) * self._block)
        return done + head + new  # the head's waits for the embedding's, which it is added to

    def _embedding_backward(self) -> Moment:
        """All gradients, and the token embedding's twice more: its two uses are added, and earlier passes'."""
        step = self.step
        table = step.stream * step.model.vocab_size * step.model.n_embd
        if step.gradients_stay:
            gradients = self._whole + 3 * table
        else:
            gradients = self._shard(step.model.n_layer * self._block) + step.stream * self._rest + 2 * table
        parts = (self.weights, gradients, self.optimizer, 0, self._held, 0, self._gathered(1))
        return Moment("gradient of the embedding", *parts)

    def _update(self) -> Moment:
        """AdamW over lists of tensors holds one more number a parameter."""
        optimizer = self.optimizer + (0 if self.step.fused_adamw else self.weights)
        return Moment("optimizer", self.weights, self.weights, optimizer, 0, self._held, 0, 0)
