"""Notes, warnings and plans, which are printed before a run or in place of it."""

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
from gpt2hydra.data.corpus import count_training_tokens
from gpt2hydra.data.tokenizer_files import is_downloaded_by_run
from gpt2hydra.runs import record
from gpt2hydra.runs.resume_state import find_runs_with_fingerprint
from gpt2hydra.utils.table import format_table
from gpt2hydra.utils.verbosity import print_note

if TYPE_CHECKING:
    from gpt2hydra.launch.preflight import Preflight  # needed only for sweeps


def note_choices_without_effect(overrides: Overrides, provenance: Provenance) -> None:
    """Print a note for each option that is chosen on the command line but has no effect."""
    for line in _choices_without_effect(overrides, provenance):
        print_note(line)


def _choices_without_effect(overrides: Overrides, provenance: Provenance) -> Iterator[str]:
    """Yield a note for each option whose values an experiment or the parent of a fork replaces completely."""
    choices = [each for each in overrides.choices if isinstance(each.value(), str)]
    for choice in choices:
        file = f"/{choice.key_or_group}/{choice.value()}.yaml"
        chains_of_file = [
            chain
            for chain in provenance.settings.values()
            if any(f"/{setting.source.file}".endswith(file) for setting in chain)
        ]
        in_force = [chain[-1] for chain in chains_of_file if chain[-1].source.kind != "command line"]
        if in_force and not any(f"/{each.source.file}".endswith(file) for each in in_force):
            winners, keys = sorted({str(each.source.file) for each in in_force}), [each.key for each in in_force]
            yield f"note: {choice.input_line} has no effect: {', '.join(winners)} sets {', '.join(keys)}"


def note_fine_tuning(config: Checked) -> None:
    """Print where the weights, and other values, are taken from."""
    if isinstance(config, TrainConfig) and config.init_from is not None:
        print_note(init_from.format_note(config))


def warn_of_memory(config: Checked) -> None:
    """Print a warning, with what would fit, if the predicted peak memory exceeds that of the device."""
    if isinstance(config, TrainConfig):
        from gpt2hydra.sizing.fit import plan_warnings, use_this_machine  # a refusal does not need it

        sys.stderr.write("".join(f"{warning}\n\n" for warning in plan_warnings(use_this_machine(config))))


def warn_of_points(preflight: Preflight) -> None:
    """Print a warning if points of a sweep are predicted to exceed this machine's memory."""
    from gpt2hydra.sizing.fit import use_this_machine  # a refusal does not need it
    from gpt2hydra.sizing.plan import Plan

    configs = {number: config for number, config in preflight.valid.items() if isinstance(config, TrainConfig)}
    large = [f"#{number}" for number, config in configs.items() if Plan(use_this_machine(config)).fits is False]
    if large:
        shown = ", ".join([*large[:10], "..."] if len(large) > 10 else large)
        exceed = f"{len(large)} of {len(preflight.points)} points {'exceeds' if len(large) == 1 else 'exceed'} the memory"
        sys.stderr.write(f"warning: by prediction {exceed}: {shown}; dry_run=true shows by how much.\n\n")


# ----------------------------------------------------------------------------------------------------------------- plans


def print_plan(changed: Sequence[Setting], config: Checked) -> None:
    """Print the plan of ``dry_run=true``."""
    if isinstance(config, TrainConfig):
        from gpt2hydra.sizing.describe import describe  # a run does not need it
        from gpt2hydra.sizing.plan import Plan

        print(describe(Plan(config, count_training_tokens(config), changed)))
        if other := format_other_machine_note(config):
            print(f"\n{other}")
        if is_downloaded_by_run(config.tokenizer):
            print(f"\nnote: the run would download the tokenizer {config.tokenizer.path} from the Hugging Face hub.")
        print("".join(f"\n{each}\n" for each in describe_finished_runs(config)), end="")
    else:
        print(format_settings(changed))


def format_settings(changed: Sequence[Setting]) -> str:
    """Return a line for each setting: ``model.n_layer = 36   (set by conf/model/large.yaml:2)``."""
    return "\n".join(f"{each}   ({each.source.describe()})" for each in changed)


def describe_finished_runs(config: TrainConfig) -> list[str]:
    """Return a message on the latest finished run with this fingerprint, in ``outputs`` or ``multirun``."""
    folders = (each for name in record.DEFAULT_FOLDERS for each in record.find_runs(Path(name)))
    finished = [run for run in find_runs_with_fingerprint(folders, config.fingerprint()) if run.state == record.FINISHED]
    return [
        f"Finished already: {run.folder}, validation loss {run.result.get('validation_loss', math.nan):.4f}; "
        f"its fingerprint is the same ({run.fingerprint}), so a new run would have the same result."
        for run in finished[:1]
    ]


def print_points(preflight: Preflight) -> None:
    """Print the table of the points that are dry runs."""
    configs = {number: preflight.valid[number] for number in preflight.dry_numbers}
    train_configs = {number: config for number, config in configs.items() if isinstance(config, TrainConfig)}
    if train_configs == configs:
        from gpt2hydra.sizing.describe import describe_points  # a run does not need it
        from gpt2hydra.sizing.plan import Plan

        print(describe_points([(number, preflight.points[number], Plan(config)) for number, config in train_configs.items()]))
    else:
        print("\n".join(format_table([(f"#{number}", " ".join(preflight.points[number])) for number in configs])))


NEEDS = {"cuda": "an NVIDIA GPU", "mps": "an Apple GPU"}


def format_other_machine_note(config: TrainConfig) -> str:
    """Return the note for a plan whose device this machine lacks, else "". Does not import PyTorch."""
    from gpt2hydra.sizing import device  # a run does not need it

    wanted = config.training.device
    is_present = {"cuda": device.gpu_memory() is not None, "mps": sys.platform == "darwin"}.get(wanted, True)
    if is_present:
        return ""
    return f"note: training.device = {wanted} needs {NEEDS[wanted]}, and none was found here: the plan is for another machine."
