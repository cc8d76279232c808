"""What a valid configuration needs of this machine: extras, files, a device, a directory. Looked at before anything is made."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.hydra_state import parse
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import GenerateConfig, TrainConfig
from gpt2hydra.config.validation import Checked
from gpt2hydra.launch.extras import importing_pytorch


def device_problems(config: Checked) -> tuple[Violation, ...]:
    """Whether the device is here, asked before a directory is made. Imports torch, unless any device or the CPU will do."""
    if isinstance(config, TrainConfig):
        wanted = config.training.device
        any_will_do = wanted == "cpu" or (wanted, config.training.precision) == ("auto", "fp32")
    else:
        any_will_do = not isinstance(config, GenerateConfig) or config.device in ("cpu", "auto")
    if any_will_do:
        return ()
    with importing_pytorch():
        from gpt2hydra.inference import device
    try:
        if isinstance(config, TrainConfig):
            device.for_training(config.training)
        elif isinstance(config, GenerateConfig):
            device.device_for(config.device, "device")
    except ConfigError as error:
        return error.violations
    return ()


def is_dry(config: Checked) -> bool:
    """Whether a configuration is only to be shown, as a plan."""
    return getattr(config, "dry_run", False) is True


def note_overruled(composer: Composer, overrides: Sequence[str]) -> None:
    """Say on standard error which choices of the command line come to nothing."""
    if sum("=" in text and "." not in text.partition("=")[0] for text in overrides) > 1:
        sys.stderr.write("".join(f"{note}\n" for note in _overruled(composer, overrides)))


def _overruled(composer: Composer, overrides: Sequence[str]) -> Iterator[str]:
    """A note for each option chosen on the command line of which nothing is left: an experiment replaced it all."""
    choices = [
        each for each in map(parse, overrides) if composer.options.is_group(each.key_or_group) and isinstance(each.value(), str)
    ]
    chains = composer.trace(overrides).settings.values() if len(choices) > 1 else ()
    for choice in choices:
        file = f"/{choice.key_or_group}/{choice.value()}.yaml"
        set_there = [chain for chain in chains if any(f"/{setting.source.file}".endswith(file) for setting in chain)]
        in_force = [chain[-1].source for chain in set_there]
        if in_force and not any(each.kind == "command line" or f"/{each.file}".endswith(file) for each in in_force):
            winners, keys = sorted({str(each.file) for each in in_force}), [chain[-1].key for chain in set_there]
            yield f"note: {choice.input_line} has no effect: {', '.join(winners)} sets {', '.join(keys)}"


def note_fine_tuning(config: Checked) -> None:
    """Say on standard error where the weights come from, and what else comes with them."""
    if isinstance(config, TrainConfig) and config.init_from is not None:
        from gpt2hydra.checkpoint import init_from

        sys.stderr.write(f"{init_from.note(config)}\n")


def warn_of_memory(config: Checked) -> None:
    """Say on standard error where the predicted peak exceeds the device, and what would fit."""
    if isinstance(config, TrainConfig):
        from gpt2hydra.sizing.fit import on_this_machine, warnings

        sys.stderr.write("".join(f"{warning}\n\n" for warning in warnings(on_this_machine(config))))


def _problems_of_start(config: TrainConfig) -> list[Violation]:
    if config.init_from is None and config.fork_from is None:
        return []
    from gpt2hydra.checkpoint import fork_from, init_from

    return [*init_from.check_init_from(config), *fork_from.check_fork_from(config)]


def machine_problems(config: Checked) -> list[Violation]:
    """What is wrong with the files that a valid config names: the text, the tokenizer, the checkpoint."""
    if isinstance(config, TrainConfig):
        from gpt2hydra.data import corpus

        return _problems_of_start(config) or corpus.problems(config)
    if isinstance(config, GenerateConfig):
        from gpt2hydra.checkpoint import folder as checkpoint
        from gpt2hydra.inference import prompts

        return [*checkpoint.check_checkpoint(config), *prompts.problems(config)]
    return []
