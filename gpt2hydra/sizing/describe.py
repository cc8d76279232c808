"""The words of a plan, and the table of several: what ``dry_run=true`` and ``gpt2hydra size`` print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gpt2hydra.config.errors import Setting
from gpt2hydra.sizing.counts import parameters
from gpt2hydra.sizing.fit import peak_of_batch, warnings
from gpt2hydra.sizing.memory import PARTS
from gpt2hydra.sizing.plan import Plan
from gpt2hydra.utils.formatting import duration, gigabytes
from gpt2hydra.utils.table import headings, table, wrapped

LEGEND = (
    "≈ is predicted, all else is exact. GB are 10^9 bytes. Not counted, because it cannot be known beforehand: workspaces of "
    "kernels, and fragmentation that the reserve does not cover."
)


class PlanRow(NamedTuple):
    """A line of the plan."""

    label: str
    value: str
    note: str = ""
    exact: bool = True

    @property
    def cells(self) -> tuple[str, str, str]:
        """As printed."""
        return self.label, self.value if self.exact else f"≈ {self.value}", self.note


def describe(plan: Plan) -> str:
    """All of a plan, in lines of a terminal's width where values allow it."""
    model = plan.config.model
    title = (
        f"GPT-2 of {model.n_layer} layers, {model.n_embd} wide, {model.n_head} heads of {model.head_dim}; "
        f"{model.vocab_size:,} tokens, sequences of {plan.config.training.seq_len:,}"
    )
    parts = (_parameters(plan), _memory(plan), _device(plan), _work(plan), _files(plan))
    rows = [cells for part in parts for cells in ((), *(row.cells for row in part))]
    lines = [*wrapped(title), *table(rows, right=(1,)), "", *wrapped(LEGEND)]
    for warning in (*warnings(plan.config), *_repetition(plan)):
        lines += ["", warning]
    shown = [each for each in plan.changed if not each.key.startswith(("hardware.", "dry_run"))]  # printed above
    if shown:
        lines += ["", "Not the default:", *table([(str(each), _set_by(each)) for each in shown], indent="  ")]
    return "\n".join(lines)


MANY_EPOCHS = 16
"""Up to 4 are worth almost as much as new text, the next less and less (Muennighoff et al., arXiv 2305.16264)."""


def _repetition(plan: Plan) -> Iterator[str]:
    """A note where the run repeats its text so often that the model learns it by heart."""
    if plan.text is None or plan.tokens <= MANY_EPOCHS * plan.text[0]:
        return
    count, settings = plan.text[0], plan.config.training
    steps = max(1, 4 * count // settings.tokens_per_step)
    text = (
        f"note: the run sees its text {plan.tokens / count:,.0f} times, and will learn it by heart; more than about 4 times "
        "gains less and less. Train on more text (data.path), or for fewer steps."
    )
    yield "\n".join([*wrapped(text), f"  try: training.max_steps={steps}"])


def _set_by(setting: Setting) -> str:
    """The file and its line; of an override not its text, which is printed next to it."""
    return "the command line" if setting.source.kind == "command line" else str(setting.source)


def _parameters(plan: Plan) -> Iterator[PlanRow]:
    counts = parameters(plan.config.model)
    yield PlanRow("parameters", f"{counts.total:,}")
    for part, count in vars(counts).items():
        yield PlanRow(f"  {part.replace('_', ' ')}", f"{count:,}", f"{count / counts.total:.1%}")


def _memory(plan: Plan) -> Iterator[PlanRow]:
    peak, step, training = plan.memory.peak, plan.memory.step, plan.config.training
    each = "on each device; " if plan.device.count > 1 else ""
    yield PlanRow("memory of a step", gigabytes(plan.memory.resident), f"{each}most at the {peak.name}", exact=False)
    shard = f"1/{step.shards} of them" if step.shards > 1 else ""
    notes = {
        "weights": shard,
        "gradients": "" if step.accumulation else shard,
        "optimizer": "AdamW's two means" + f", {shard}" * bool(shard),
        "activations": f"{step.batch_size:,} x {training.seq_len:,} tokens, {training.precision}, "
        f"{step.attention} attention" + ", checkpointing" * training.gradient_checkpointing,
        "copies": "bf16 copies of weights",
        "gathered": "blocks at work, complete",
    }
    for part in PARTS:
        if getattr(peak, part):
            yield PlanRow(f"  {part}", gigabytes(getattr(peak, part)), notes.get(part, ""), exact=False)
    if plan.memory.allocator_overhead:
        kept = gigabytes(plan.memory.allocator_overhead)
        yield PlanRow("  allocator overhead", kept, "freed, and kept for later", exact=False)


def _device(plan: Plan) -> Iterator[PlanRow]:
    device, share = plan.device, plan.share
    if device.count > 1:
        passes = f" in {share.passes} passes" if share.passes > 1 else ""
        note = f"{plan.memory.step.strategy}; {share.sequences:,} sequences of a step each{passes}"
        yield PlanRow("devices", f"{device.count:,}", note)
    if device.memory is None or device.usable is None:
        yield PlanRow("memory of the device", "unknown", device.name)
        return
    less = ", less other programs" if device.is_here and device.kind == "cpu" else ""
    yield PlanRow("memory of the device", gigabytes(device.memory), f"{device.name}{less}")
    for reason, count in device.reserve.items():
        yield PlanRow(f"  {reason}", gigabytes(count), exact=False)
    yield PlanRow("  left for a step", gigabytes(device.usable), "fits" if plan.fits else "does not fit", exact=False)
    largest = plan.largest_batch
    note = f"training.batch_size={largest}: {gigabytes(peak_of_batch(plan.config, device, largest))}" if largest else "none"
    yield PlanRow("  largest batch", f"{largest:,}", note, exact=False)


def _work(plan: Plan) -> Iterator[PlanRow]:
    training, text = plan.config.training, plan.text
    passes = f" x {training.gradient_accumulation_steps} passes" if training.gradient_accumulation_steps > 1 else ""
    yield PlanRow("steps", f"{training.max_steps:,}")
    factors = f"{training.batch_size:,} sequences{passes} x {training.seq_len:,}"
    yield PlanRow("tokens a step", f"{training.tokens_per_step:,}", factors)
    yield PlanRow("tokens in all", f"{plan.tokens:,}")
    if text:
        count, exact = text
        yield PlanRow("  times the text", f"{plan.tokens / count:,.2f}", f"which has {count:,} tokens", exact)
    yield PlanRow("training FLOPs", f"{plan.flops:.3e}", "multiply-add = 2, attention in full")
    yield _time(plan)


def _time(plan: Plan) -> PlanRow:
    device = plan.device
    if plan.seconds is None:
        if device.is_measured:
            return PlanRow("time", "unknown", "PyTorch, to measure it, is not installed" if plan.fits else "it does not fit")
        key = "fp32_tflops" if plan.config.training.precision == "fp32" else "bf16_tflops"
        return PlanRow("time", "unknown", f"{device.name} has no hardware.{key}; try a device, as hardware=a100_80gb")
    if device.published is None:
        note = f"{plan.step_seconds:.3g} s a step, by passes measured now"
        return PlanRow("time", duration(plan.seconds), note, exact=False)
    several = f"{device.count:,} x " * (device.count > 1)
    note = f"{device.utilization:.0%} of {several}{device.published / 1e12:.3g} TFLOP/s, published"
    return PlanRow("time", duration(plan.seconds), note, exact=False)


def _files(plan: Plan) -> Iterator[PlanRow]:
    yield PlanRow("checkpoint", gigabytes(plan.checkpoint), f"{plan.config.training.weights_dtype} weights")
    cached = f"generating {plan.config.training.seq_len:,} tokens in float32"
    yield PlanRow("KV cache", gigabytes(plan.kv_cache), cached)
    yield PlanRow("fingerprint", "", plan.config.fingerprint())


# ------------------------------------------------------------------------------------------------------ several points


def compare(points: Sequence[tuple[int, Sequence[str], Plan]]) -> str:
    """The table of a sweep: number, overrides and plan of each point, with columns for keys that differ."""
    settings = [dict(text.partition("=")[::2] for text in overrides) for _, overrides, _ in points]
    keys = list(dict.fromkeys(key for each in settings for key in each))
    swept = [key for key in keys if len({each.get(key) for each in settings}) > 1]
    rows = [("", *headings(swept), "parameters", "memory", "fits", "FLOPs", "time")]
    for (number, _, plan), each in zip(points, settings, strict=True):
        fits = {True: "yes", False: "no", None: "unknown"}[plan.fits]
        time = "unknown" if plan.seconds is None else duration(plan.seconds)
        costs = f"{parameters(plan.config.model).total:,}", gigabytes(plan.memory.resident), fits, f"{plan.flops:.2e}", time
        rows.append((f"#{number}", *(each.get(key, "") for key in swept), *costs))
    right = range(1 + len(swept), len(rows[0]))
    same = [f"{key}={settings[0][key]}" for key in keys if key not in swept and key != "dry_run"]
    common = [*wrapped(f"Each has {' '.join(same)}."), ""] if same else []
    return "\n".join([*common, *table(rows, right=right), "", "Memory and time are predicted; parameters and FLOPs are exact."])
