"""What is printed before a run starts, though nothing is wrong: choices without effect, where weights come from, memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from gpt2hydra.composition.fold import Provenance
from gpt2hydra.composition.overrides import Overrides
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.verbosity import note


def note_overruled(overrides: Overrides, provenance: Provenance) -> None:
    """Print a note for each option chosen on the command line that has no effect."""
    for line in _overruled(overrides, provenance):
        note(line)


def _overruled(overrides: Overrides, provenance: Provenance) -> Iterator[str]:
    """A note for each option whose values have all been replaced, by an experiment or by the parent of a fork."""
    choices = [each for each in overrides.choices if isinstance(each.value(), str)]
    for choice in choices:
        file = f"/{choice.key_or_group}/{choice.value()}.yaml"
        set_there = [
            chain
            for chain in provenance.settings.values()
            if any(f"/{setting.source.file}".endswith(file) for setting in chain)
        ]
        in_force = [chain[-1] for chain in set_there if chain[-1].source.kind != "command line"]
        if in_force and not any(f"/{each.source.file}".endswith(file) for each in in_force):
            winners, keys = sorted({str(each.source.file) for each in in_force}), [each.key for each in in_force]
            yield f"note: {choice.input_line} has no effect: {', '.join(winners)} sets {', '.join(keys)}"


def note_fine_tuning(config: Checked) -> None:
    """Print where the weights come from, and what else is taken from there."""
    if isinstance(config, TrainConfig) and config.init_from is not None:
        from gpt2hydra.checkpoint import init_from

        note(init_from.note(config))


def warn_of_memory(config: Checked) -> None:
    """Warn if the predicted peak of memory exceeds the device, with what would fit."""
    if isinstance(config, TrainConfig):
        from gpt2hydra.sizing.fit import on_this_machine, warnings

        sys.stderr.write("".join(f"{warning}\n\n" for warning in warnings(on_this_machine(config))))


NEEDS = {"cuda": "an NVIDIA GPU", "mps": "an Apple GPU"}


def note_other_machine(config: TrainConfig) -> str:
    """The note of a plan whose device is not here; empty where it is, or any will do. Does not import PyTorch."""
    from gpt2hydra.sizing import device

    wanted = config.training.device
    here = {"cuda": device.gpu_memory() is not None, "mps": sys.platform == "darwin"}.get(wanted, True)
    note = (
        f"note: training.device = {wanted} needs {NEEDS.get(wanted)}, and none was found here: the plan is for another machine."
    )
    return "" if here else note
