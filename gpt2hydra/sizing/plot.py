"""A picture of what the sizes cost: ``gpt2hydra size --plot FILE.png``. Imports matplotlib, the extra ``plot``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from gpt2hydra.cli import main as app
from gpt2hydra.cli.machine import install_command
from gpt2hydra.config.fields import COMMAND_LINE, ConfigError, Violation
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.sizing.counts import parameters
from gpt2hydra.sizing.fit import gigabytes
from gpt2hydra.sizing.memory import PARTS
from gpt2hydra.sizing.plan import Plan

FORMATS = (".png", ".svg", ".pdf")


def plot_sizes(overrides: Sequence[str], path: str) -> Path:
    """Draw the predicted memory of a training step by part, for every size in ``conf/model/``.

    Args:
        overrides: of everything but the model, as on the command line: ``hardware=a100_40gb training.precision=bf16``.

    Raises:
        ConfigError: the overrides or the file are refused, or matplotlib is not installed.
    """
    file = _checked_file(path)
    chosen = next((text for text in overrides if text.startswith("model=")), None)
    if chosen is not None:
        rule = "is drawn beside all others: leave it out"
        raise ConfigError([Violation("model", chosen.partition("=")[2], rule, f"set by {COMMAND_LINE}{chosen}")])
    plans = {name: Plan.of(app.compose("train", [*overrides, f"model={name}"])) for name in GPT2Config.presets()}
    if find_spec("matplotlib") is None:
        rule = f"needs matplotlib, which is not installed: {install_command('plot')}"
        raise ConfigError([Violation("--plot", path, rule)])
    _draw(plans, file)
    return file


def _checked_file(path: str) -> Path:
    file, rule = Path(path), ""
    try:
        file = file.expanduser()
        if file.suffix.lower() not in FORMATS:
            rule = f"must end in one of {', '.join(FORMATS)}"
        elif file.is_dir() or not file.absolute().parent.is_dir():
            rule = "must be a file in a folder that exists"
    except (OSError, RuntimeError) as error:  # a name that is too long, a home that is not there
        rule = f"cannot be written: {getattr(error, 'strerror', None) or error}"
    if rule:
        raise ConfigError([Violation("--plot", path, rule)])
    return file


def _draw(plans: dict[str, Plan], file: Path) -> None:
    from matplotlib.figure import Figure  # without pyplot: no window, no state of the process

    figure = Figure(figsize=(9, 4.8), layout="constrained")
    axes = figure.add_subplot()
    peaks = [plan.memory.peak for plan in plans.values()]
    left = [0.0] * len(peaks)
    labels = [f"{name}\n{parameters(plan.config.model).total / 1e6:,.0f}M" for name, plan in plans.items()]
    colors = ("#1f4e79", "#2e75b6", "#9dc3e6", "#f4b183", "#c55a11", "#a5a5a5")
    for part, color in zip(PARTS, colors, strict=True):
        widths = [getattr(peak, part) / 1e9 for peak in peaks]
        if any(widths):
            axes.barh(labels, widths, left=left, label=part, color=color, height=0.62)
            left = [start + width for start, width in zip(left, widths, strict=True)]
    for index, peak in enumerate(peaks):
        axes.annotate(gigabytes(peak.total), (left[index], index), xytext=(6, 0), textcoords="offset points", va="center")
    first = next(iter(plans.values()))
    memory = first.device.memory
    if memory is not None:
        axes.axvline(memory / 1e9, color="#c00000", linestyle="--", label=f"{first.device.name}: {gigabytes(memory)}")
    training = first.config.training
    axes.invert_yaxis()
    axes.set_xlim(0, max(*left, (memory or 0) / 1e9) * 1.14)
    axes.set_xlabel("predicted memory at the peak of a training step, GB of 10⁹ bytes")
    axes.set_title(f"batch {training.batch_size}, {training.seq_len:,} tokens, {training.precision}, AdamW", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=4)
    try:
        figure.savefig(file, dpi=150)
    except OSError as error:
        raise ConfigError([Violation("--plot", str(file), f"cannot be written: {error.strerror}")]) from None
