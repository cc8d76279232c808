"""The text of a plan and the table of several plans, as ``dry_run=true`` and ``gpt2hydra size`` print them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gpt2hydra.config.errors import Setting
from gpt2hydra.sizing.counts import parameters
from gpt2hydra.sizing.fit import peak_of_batch, plan_warnings
from gpt2hydra.sizing.memory import MEMORY_PARTS
from gpt2hydra.sizing.plan import Plan
from gpt2hydra.utils.formatting import format_bytes, format_duration
from gpt2hydra.utils.table import format_table, short_headings, wrap_text

LEGEND = (
    "≈: predicted; everything else is exact. GB = 10^9 bytes. Not included: kernel workspaces, and fragmentation beyond the "
    "reserve."
)


class PlanRow(NamedTuple):
    """A row of the plan."""

    label: str
    value: str
    note: str = ""
    exact: bool = True

    @property
    def cells(self) -> tuple[str, str, str]:
        """The row as printed."""
        return self.label, self.value if self.exact else f"≈ {self.value}", self.note


def describe(plan: Plan) -> str:
    """Return the text of a plan, wrapped to the width of the terminal."""
    model = plan.config.model
    title = (
        f"GPT-2 of {model.n_layer} layers, {model.n_embd} wide, {model.n_head} heads of {model.head_dim}; "
        f"{model.vocab_size:,} tokens, sequences of {plan.config.training.seq_len:,}"
    )
    parts = (_parameters(plan), _memory(plan), _device(plan), _work(plan), _files(plan))
    rows = [cells for part in parts for cells in ((), *(row.cells for row in part))]
    lines = [*wrap_text(title), *format_table(rows, right=(1,)), "", *wrap_text(LEGEND)]
    for warning in (*plan_warnings(plan.config), *_repetition(plan)):
        lines += ["", warning]
    shown = [each for each in plan.changed if not each.key.startswith(("hardware.", "dry_run"))]  # is in the rows above
    if shown:
        lines += ["", "Not the default:", *format_table([(str(each), _set_by(each)) for each in shown], indent="  ")]
    return "\n".join(lines)


MANY_EPOCHS = 16
"""A plan with more has a note.

Up to 4 are almost as good as new text, later ones less (Muennighoff et al., arXiv 2305.16264).
"""


def _repetition(plan: Plan) -> Iterator[str]:
    """Yield a note if the run repeats its text so often that the model memorizes it."""
    if plan.text is None or plan.tokens <= MANY_EPOCHS * plan.text[0]:
        return
    count, settings = plan.text[0], plan.config.training
    steps = max(1, 4 * count // settings.tokens_per_step)
    text = (
        f"note: the run reads its text {plan.tokens / count:,.0f} times, and the model will memorize it; more than about 4 "
        "times helps little. Train on more text (data.path), or for fewer steps."
    )
    yield "\n".join([*wrap_text(text), f"  try: training.max_steps={steps}"])


def _set_by(setting: Setting) -> str:
    """Return the source of a setting.

    The text of an override is left out, because it is printed next to it.
    """
    return "the command line" if setting.source.kind == "command line" else str(setting.source)


def _parameters(plan: Plan) -> Iterator[PlanRow]:
    counts = parameters(plan.config.model)
    yield PlanRow("parameters", f"{counts.total:,}")
    for part, count in vars(counts).items():
        yield PlanRow(f"  {part.replace('_', ' ')}", f"{count:,}", f"{count / counts.total:.1%}")


def _memory(plan: Plan) -> Iterator[PlanRow]:
    peak, step, training = plan.memory.peak, plan.memory.step, plan.config.training
    each = "on each device; " if plan.device.count > 1 else ""
    yield PlanRow("memory of a step", format_bytes(plan.memory.resident), f"{each}peak: {peak.name}", exact=False)
    shard = f"1/{step.shards} of them" if step.shards > 1 else ""
    notes = {
        "weights": shard,
        "gradients": "" if step.accumulation else shard,
        "optimizer": "AdamW's two means" + f", {shard}" * bool(shard),
        "activations": f"{step.batch_size:,} x {training.seq_len:,} tokens, {training.precision}, "
        f"{step.attention} attention" + ", checkpointing" * training.gradient_checkpointing,
        "copies": "bf16 copies of weights",
        "gathered": "unsharded blocks",
    }
    for part in MEMORY_PARTS:
        if getattr(peak, part):
            yield PlanRow(f"  {part}", format_bytes(getattr(peak, part)), notes.get(part, ""), exact=False)
    if plan.memory.allocator_overhead:
        kept = format_bytes(plan.memory.allocator_overhead)
        yield PlanRow("  allocator overhead", kept, "freed blocks that malloc keeps", exact=False)


def _device(plan: Plan) -> Iterator[PlanRow]:
    device, share = plan.device, plan.share
    if device.count > 1:
        parts = f" in {share.micro_batches} micro-batches" if share.micro_batches > 1 else ""
        note = f"{plan.memory.step.strategy}; {share.sequences:,} sequences of a step each{parts}"
        yield PlanRow("devices", f"{device.count:,}", note)
    if device.memory is None or device.usable is None:
        yield PlanRow("memory of the device", "unknown", device.name)
        return
    less = ", less other programs" if device.is_this_machine and device.kind == "cpu" else ""
    yield PlanRow("memory of the device", format_bytes(device.memory), f"{device.name}{less}")
    for reason, count in device.reserve.items():
        yield PlanRow(f"  {reason}", format_bytes(count), exact=False)
    yield PlanRow("  available for a step", format_bytes(device.usable), "fits" if plan.fits else "does not fit", exact=False)
    largest = plan.largest_batch
    note = f"training.batch_size={largest}: {format_bytes(peak_of_batch(plan.config, device, largest))}" if largest else "none"
    yield PlanRow("  largest batch", f"{largest:,}", note, exact=False)


def _work(plan: Plan) -> Iterator[PlanRow]:
    training, text = plan.config.training, plan.text
    parts = f" x {training.gradient_accumulation_steps} micro-batches" if training.gradient_accumulation_steps > 1 else ""
    yield PlanRow("steps", f"{training.max_steps:,}")
    factors = f"{training.batch_size:,} sequences{parts} x {training.seq_len:,}"
    yield PlanRow("tokens a step", f"{training.tokens_per_step:,}", factors)
    yield PlanRow("total tokens", f"{plan.tokens:,}")
    if text:
        count, exact = text
        yield PlanRow("  epochs", f"{plan.tokens / count:,.2f}", f"of {count:,} tokens", exact)
    yield PlanRow("training FLOPs", f"{plan.flops:.3e}", "multiply-add = 2, attention in full")
    yield _time(plan)


def _time(plan: Plan) -> PlanRow:
    device = plan.device
    if plan.seconds is None:
        if device.is_timed:
            return PlanRow("time", "unknown", "needs PyTorch, which is not installed" if plan.fits else "it does not fit")
        key = "fp32_tflops" if plan.config.training.precision == "fp32" else "bf16_tflops"
        return PlanRow("time", "unknown", f"{device.name} has no hardware.{key}; try a device such as hardware=a100_80gb")
    if device.published_flops is None:
        note = f"{plan.step_seconds:.3g} s a step, measured now"
        return PlanRow("time", format_duration(plan.seconds), note, exact=False)
    several = f"{device.count:,} x " * (device.count > 1)
    note = f"{device.utilization:.0%} of {several}{device.published_flops / 1e12:.3g} TFLOP/s, published"
    return PlanRow("time", format_duration(plan.seconds), note, exact=False)


def _files(plan: Plan) -> Iterator[PlanRow]:
    yield PlanRow("checkpoint", format_bytes(plan.checkpoint), f"{plan.config.training.weights_dtype} weights")
    cached = f"generating {plan.config.training.seq_len:,} tokens in float32"
    yield PlanRow("KV cache", format_bytes(plan.kv_cache), cached)
    yield PlanRow("fingerprint", "", plan.config.fingerprint())


# ------------------------------------------------------------------------------------------------------ several points


def describe_points(points: Sequence[tuple[int, Sequence[str], Plan]]) -> str:
    """Return the table of a sweep: number, overrides and plan of each point.

    Columns are the keys that differ.
    """
    settings = [dict(text.partition("=")[::2] for text in overrides) for _, overrides, _ in points]
    keys = list(dict.fromkeys(key for each in settings for key in each))
    swept = [key for key in keys if len({each.get(key) for each in settings}) > 1]
    rows = [("", *short_headings(swept), "parameters", "memory", "fits", "FLOPs", "time")]
    for (number, _, plan), each in zip(points, settings, strict=True):
        fits = {True: "yes", False: "no", None: "unknown"}[plan.fits]
        time = "unknown" if plan.seconds is None else format_duration(plan.seconds)
        costs = f"{parameters(plan.config.model).total:,}", format_bytes(plan.memory.resident), fits, f"{plan.flops:.2e}", time
        rows.append((f"#{number}", *(each.get(key, "") for key in swept), *costs))
    right = range(1 + len(swept), len(rows[0]))
    same = [f"{key}={settings[0][key]}" for key in keys if key not in swept and key != "dry_run"]
    common = [*wrap_text(f"All points: {' '.join(same)}."), ""] if same else []
    return "\n".join(
        [*common, *format_table(rows, right=right), "", "Memory and time are predicted; parameters and FLOPs are exact."]
    )
