"""The memory of a training step: what autograd keeps, and the moment at which most is alive. Standard library only.

Symbols as in :mod:`gpt2hydra.sizing.counts`; E is the bytes of a number that enters a matrix product, R of one in the
residual stream.

What autograd keeps (:meth:`Step.saved`, :meth:`Step.loss`, :meth:`Step.copies`) is exact: byte for byte on the CPU in
``tests/sizing/test_counts.py``; for CUDA's kernels it was so on 180 random steps, read off PyTorch's autograd and autocast
dispatch over tensors without data. The peak is a prediction: it counts the tensors that are alive together, and not what no
configuration tells (the allocator's fragmentation, workspaces of cuBLAS and kernels, the CUDA context). No GPU was used.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from gpt2hydra.config.checked import Checked, section
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.fields import Broken, choice, flag, integer, relation
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.run import LARGEST_BATCH, PRECISIONS, sequence_fits
from gpt2hydra.sizing.counts import ATTENTIONS, FUSED, parameters, product_weights

DEVICES = ("cuda", "cpu")


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
    device: str = "cuda",
) -> TrainingMemory:
    """Bytes of one training step with AdamW, by part and by moment; ``total`` is the peak.

    Args:
        precision: ``fp32``; ``bf16``, autocast over fp32 weights; ``bf16_pure``, weights and AdamW in bf16 too.
        gradient_checkpointing: keep each block's input alone, and recompute the rest in the backward pass.
        attention: ``flash``, ``memory_efficient``, ``math``, ``eager``; ``sdpa`` is the kernel that PyTorch takes.
        accumulation: more than one pass a step.
        fused_gelu: ``gelu_pytorch_tanh``; ``gelu_new`` otherwise. fused_adamw: one kernel; ``foreach`` otherwise.
        device: ``cuda`` or ``cpu``, whose kernels keep different things. Dropout is the config's.

    Raises:
        ConfigError: a value is unknown or out of range, or the device has no such kernel for the precision.
    """
    if attention not in ("sdpa", *ATTENTIONS):
        raise ConfigError([Violation("attention", attention, f"must be one of sdpa, {', '.join(ATTENTIONS)}")])
    kernel = sdpa_kernel(config, precision, device) if attention == "sdpa" else attention
    options = (precision, kernel, gradient_checkpointing, accumulation, fused_gelu, fused_adamw, device)
    return TrainingMemory(Step(config, batch_size, seq_len, *options))


def attention_kernels(precision: str, device: str) -> tuple[str, ...]:
    """The kernels that PyTorch has for a precision on a device, the one it prefers first."""
    if device == "cpu":
        return ("flash", "math", "eager")
    return ("memory_efficient", "eager") if precision == "fp32" else ("flash", "memory_efficient", "eager")


def sdpa_kernel(config: GPT2Config, precision: str, device: str) -> str:
    """The kernel that ``scaled_dot_product_attention`` takes: on the CPU, dropout alone turns the fused one down."""
    return "math" if device == "cpu" and config.attn_pdrop else attention_kernels(precision, device)[0]


@relation("attention", "precision", "device")
def _kernel_exists(attention: str, precision: str, device: str) -> Broken | None:
    kernels = attention_kernels(precision, device)
    if attention in kernels:
        return None
    return Broken(f"must be one of {', '.join(kernels)} for {{precision}} and {{device}}", {"attention": kernels[0]})


@dataclass(frozen=True)
class Step(Checked):
    """One training step with AdamW: what :func:`training_memory` is asked about. The formulas are its methods."""

    model: GPT2Config = section(GPT2Config, "the shape")
    batch_size: int = integer(1, "sequences of one pass", at_most=LARGEST_BATCH)
    seq_len: int = integer(1024, "tokens of one sequence", at_most=10_000_000)
    precision: str = choice("fp32", "bf16: autocast; bf16_pure: weights and AdamW too", PRECISIONS)
    attention: str = choice("memory_efficient", "kernel", ATTENTIONS)
    gradient_checkpointing: bool = flag(False, "recompute each block in the backward pass")
    accumulation: bool = flag(False, "more than one pass a step: gradients are there from the second pass on")
    fused_gelu: bool = flag(True, "gelu_pytorch_tanh; gelu_new, the same function step by step, otherwise")
    fused_adamw: bool = flag(True, "one kernel; AdamW over lists of tensors (foreach) otherwise")
    device: str = choice("cuda", "whose kernels", DEVICES)

    RELATIONS = (sequence_fits("seq_len"), _kernel_exists)

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
        head = self._norm() + self.item * tokens * d
        mask = self.stream * self.batch_size * self.seq_len**2  # of causality, handed to each eager block
        masks = mask if self.gradient_checkpointing and self.attention == "eager" else 0
        return embedding + self.model.n_layer * self.kept_block() + masks + head

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
        """Bytes of one place of a dropout mask: CUDA's kernel writes booleans, the CPU keeps the type of its input."""
        return item if self.device == "cpu" else 1

    def _attention(self) -> int:
        """Query, key, value and output, 4·E·N·d, and what the kernel remembers of the s·s weights of each head."""
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
        """Query and key, scaled, value and output: the first three in fp32, whatever comes in; and the s·s weights.

        A value that needs no copy for the product, with one sequence or one head, keeps all of the fp32 query, key, value.
        """
        heads, s = self.batch_size * self.model.n_head, self.seq_len
        shared = 8 if self.item == 4 and 1 in (self.batch_size, self.model.n_head) else 0
        kept = (12 + self.item + shared) * self.tokens * self.model.n_embd
        return kept + heads * s * s * (12 if self.model.attn_pdrop else 4)

    def _gelu(self) -> int:
        """Bytes a channel: input and output if fused, else five results, of which CUDA's autocast computes ``pow`` in fp32."""
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


# ------------------------------------------------------------------------------------------------------ the peak


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

    @property
    def total(self) -> int:
        """The sum of the parts."""
        return sum(getattr(self, part) for part in PARTS)


PARTS = tuple(field.name for field in fields(Moment))[1:]


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of a training step. Each part is the most that it ever takes; ``total`` is the most that is alive together.

    The parts do not add up to the total, since the gradients arrive while the activations go: ``peak`` is the moment
    that decides, ``moments`` are all that may, and the parts of a moment do add up.

    A model output that stays alive through the backward pass keeps the logits, E·N·V; a loop that holds the loss alone
    needs that much less.
    """

    step: Step

    @property
    def moments(self) -> tuple[Moment, ...]:
        """In the order of a step."""
        model, stream = self.step.model, self.step.stream
        head = stream * model.vocab_size * model.n_embd
        above = head + stream * parameters(model).non_embedding * (model.n_layer - 1) // model.n_layer
        return (
            self._loss_forward(),
            self._loss_backward(),
            self._block_backward("backward of the last block", head, blocks=model.n_layer),
            self._block_backward("backward of the first block", above, blocks=1),
            self._embedding_backward(),
            self._update(),
        )

    @property
    def peak(self) -> Moment:
        """The moment of most memory."""
        return max(self.moments, key=lambda moment: moment.total)

    @property
    def total(self) -> int:
        """The peak of the step."""
        return self.peak.total

    @property
    def weights(self) -> int:
        """Weights: 4 bytes a parameter, 2 in pure bf16."""
        return self.step.stream * parameters(self.step.model).total

    @property
    def gradients(self) -> int:
        """Gradients, in the type of the weights."""
        return self.weights

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
        return self.step.loss() + (self.step.item + 8) * self._places

    @property
    def copies(self) -> int:
        """bf16 copies of the weights under autocast."""
        return self.step.copies()

    @property
    def _places(self) -> int:
        return self.step.tokens * self.step.model.vocab_size

    @property
    def _early_gradients(self) -> int:
        """Before the backward pass there are gradients only of earlier passes."""
        return self.gradients if self.step.accumulation else 0

    def _loss_forward(self) -> Moment:
        """Autocast holds its copy of every weight until its context ends, even with checkpointing."""
        step = self.step
        upcast = 4 * self._places if step.item == 2 else 0
        logits = step.loss() + step.item * self._places + upcast
        copies = 2 * product_weights(step.model) if step.autocast else 0
        early = self._early_gradients
        return Moment("forward of the loss", self.weights, early, self.optimizer, self.activations, logits, copies)

    def _loss_backward(self) -> Moment:
        """Two more fp32 tensors of N·V: the gradients of the log-probabilities and of the logits."""
        early, kept = self._early_gradients, self.activations
        return Moment("backward of the loss", self.weights, early, self.optimizer, kept, self.logits, self.copies)

    def _block_backward(self, name: str, gradients: int, blocks: int) -> Moment:
        """A block (recomputed if checkpointed), with the gradients of the stream and of the widest tensor inside.

        ``gradients`` are there before it, ``blocks`` wait for it and after it. What is alive changes by as much from
        each block to the next, so the last and the first decide.
        """
        step, d, f = self.step, self.step.model.n_embd, self.step.model.n_inner
        inner = step.item * step.tokens * f
        matrices = 0 if step.attention in FUSED else step.batch_size * step.model.n_head * step.seq_len**2
        before, after = (4, 4) if step.attention == "math" else (step.stream, step.item)  # of the softmax; bytes a weight
        of_heads = (before + (0 if step.model.attn_pdrop else after)) * matrices - 2 * inner  # the MLP's are freed by then
        passing = step.stream * step.tokens * d + max(inner, of_heads)
        recomputed = step.block() if step.gradient_checkpointing else 0
        gone = (step.model.n_layer - blocks) * step.kept_block()
        copied = 0 if not step.autocast else 1 if step.gradient_checkpointing else blocks
        return Moment(
            name,
            weights=self.weights,
            gradients=self.gradients if step.accumulation else gradients + step.stream * d * f,  # the MLP's last is new
            optimizer=self.optimizer,
            activations=self.activations - gone + recomputed + passing,
            logits=step.item * self._places,
            copies=2 * (4 * d * d + 2 * d * f) * copied,
        )

    def _embedding_backward(self) -> Moment:
        """All gradients, and the token embedding's twice more, as its two uses are added up; and to those of earlier passes."""
        table = self.step.stream * self.step.model.vocab_size * self.step.model.n_embd
        gradients = self.gradients + (3 if self.step.accumulation else 2) * table
        held = self.step.item * self._places
        return Moment("gradient of the embedding", self.weights, gradients, self.optimizer, 0, held, 0)

    def _update(self) -> Moment:
        """AdamW over lists of tensors holds one more number a parameter."""
        optimizer = self.optimizer + (0 if self.step.fused_adamw else self.weights)
        return Moment("optimizer", self.weights, self.gradients, optimizer, 0, self.step.item * self._places, 0)
