"""What is printed before a start, or in place of one, though nothing is wrong: notes, warnings, and plans."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gpt2hydra.checkpoint import init_from
from gpt2hydra.composition.fold import Provenance
from gpt2hydra.composition.overrides import Overrides
from gpt2hydra.config.errors import Setting
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.config.validation import Checked
from gpt2hydra.data.corpus import training_tokens
from gpt2hydra.data.tokenizer_files import is_downloaded_by_run
from gpt2hydra.runs import record
from gpt2hydra.runs.resume_state import of_fingerprint
from gpt2hydra.utils.table import table
from gpt2hydra.utils.verbosity import note

if TYPE_CHECKING:
    from gpt2hydra.launch.preflight import Preflight  # of sweeps alone


def note_overruled(overrides: Overrides, provenance: Provenance) -> None:
    """Print a note for each option chosen on the command line that has no effect."""
    for line in _overruled(overrides, provenance):
        note(line)


def _overruled(overrides: Overrides, provenance: Provenance) -> Iterator[str]:
    """A note for each option whose values an experiment, or the parent of a fork, has all replaced."""
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
        note(init_from.note(config))


def warn_of_memory(config: Checked) -> None:
    """Warn if the predicted peak of memory exceeds the device, with what would fit."""
    if isinstance(config, TrainConfig):
        from gpt2hydra.sizing.fit import on_this_machine, warnings  # a refusal does without

        sys.stderr.write("".join(f"{warning}\n\n" for warning in warnings(on_this_machine(config))))


def warn_of_points(found: Preflight) -> None:
    """Warn of the points of a sweep whose predicted peak of memory exceeds this machine."""
    from gpt2hydra.sizing.fit import on_this_machine  # a refusal does without
    from gpt2hydra.sizing.plan import Plan

    configs = {number: config for number, config in found.valid.items() if isinstance(config, TrainConfig)}
    large = [f"#{number}" for number, config in configs.items() if Plan(on_this_machine(config)).fits is False]
    if large:
        shown = ", ".join([*large[:10], "..."] if len(large) > 10 else large)
        exceed = f"{len(large)} of {len(found.points)} points {'exceeds' if len(large) == 1 else 'exceed'} the memory"
        sys.stderr.write(f"warning: by prediction {exceed}: {shown}; dry_run=true shows by how much.\n\n")


# ----------------------------------------------------------------------------------------------------------------- plans


def print_plan(changed: Sequence[Setting], config: Checked) -> None:
    """What would run, on standard output: ``dry_run=true``."""
    if isinstance(config, TrainConfig):
        from gpt2hydra.sizing.describe import describe  # a run does without
        from gpt2hydra.sizing.plan import Plan

        print(describe(Plan(config, training_tokens(config), changed)))
        if other := note_other_machine(config):
            print(f"\n{other}")
        if is_downloaded_by_run(config.tokenizer):
            print(f"\nnote: the run would download the tokenizer {config.tokenizer.path} from the Hugging Face hub.")
        print("".join(f"\n{each}\n" for each in done_before(config)), end="")
    else:
        print(format_settings(changed))


def format_settings(changed: Sequence[Setting]) -> str:
    """``model.n_layer = 36   (set by conf/model/large.yaml:2)``, a line for each."""
    return "\n".join(f"{each}   ({each.source.set_it()})" for each in changed)


def done_before(config: TrainConfig) -> list[str]:
    """The latest finished run with this fingerprint below ``outputs/`` and ``multirun/``, in words."""
    folders = (each for name in ("outputs", "multirun") for each in record.runs_below(Path(name)))
    finished = [run for run in of_fingerprint(folders, config.fingerprint()) if run.state == record.FINISHED]
    return [
        f"Finished already: {run.folder}, validation loss {run.result.get('validation_loss', math.nan):.4f}; "
        f"all that decides the result is the same ({run.fingerprint})."
        for run in finished[:1]
    ]


def print_points(found: Preflight) -> None:
    """The table of the points that are only to be shown, on standard output."""
    configs = {number: found.valid[number] for number in found.dry}
    of_training = {number: config for number, config in configs.items() if isinstance(config, TrainConfig)}
    if of_training == configs:
        from gpt2hydra.sizing.describe import compare  # a run does without
        from gpt2hydra.sizing.plan import Plan

        print(compare([(number, found.points[number], Plan(config)) for number, config in of_training.items()]))
    else:
        print("\n".join(table([(f"#{number}", " ".join(found.points[number])) for number in configs])))


NEEDS = {"cuda": "an NVIDIA GPU", "mps": "an Apple GPU"}


def note_other_machine(config: TrainConfig) -> str:
    """The note of a plan whose device is not here; empty where it is, or any will do. Without PyTorch."""
    from gpt2hydra.sizing import device  # a run does without

    wanted = config.training.device
    here = {"cuda": device.gpu_memory() is not None, "mps": sys.platform == "darwin"}.get(wanted, True)
    if here:
        return ""
    return f"note: training.device = {wanted} needs {NEEDS[wanted]}, and none was found here: the plan is for another machine."
