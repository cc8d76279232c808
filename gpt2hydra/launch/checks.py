"""What could stop a run whose configuration is valid: :data:`CHECKS`, asked before anything is made.

A run, each point of a sweep, the sweep itself, a dry run, ``--cfg``, a program that Python calls with a ready
configuration, and ``gpt2hydra evaluate`` ask :func:`run_checks`. Each check declares of which configuration
it is, which keys it reads, and where it applies, so that it can also be asked of a configuration that breaks
a rule somewhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from gpt2hydra.checkpoint import folder as checkpoint
from gpt2hydra.checkpoint import fork_from, init_from
from gpt2hydra.composition.composer import Composition
from gpt2hydra.composition.resolve import resolve
from gpt2hydra.config.errors import ConfigError, Violation, collect_violations
from gpt2hydra.config.keys import leaves
from gpt2hydra.config.run import GenerateConfig, TrainConfig
from gpt2hydra.config.validation import Checked, build, check
from gpt2hydra.data import corpus_checks, tokenizer_files
from gpt2hydra.inference import prompts
from gpt2hydra.launch import resume
from gpt2hydra.launch.extras import EXTRAS, absent_modules, check_extra, importing_pytorch
from gpt2hydra.launch.hydra_components import check_job, check_sweep
from gpt2hydra.training.processes import Process, check_world_size


@dataclass(frozen=True)
class Context:
    """What is about to start, as far as it is known. A check that needs more is left out."""

    config: Any = None
    """Valid, a ``Checked``."""
    unread: frozenset[str] = frozenset()
    """Keys of ``config`` that hold a stand-in, since what was given breaks a rule: see :func:`readable`."""
    composed: DictConfig | None = None
    """What Hydra composed, with its own section."""
    process: Process | None = None
    extra: str | None = None
    """The extra of this package that the program needs, where that is to be looked at."""
    here: bool = True
    """Whether the job runs on this machine; launchers of a cluster use others."""
    sweep: bool = False
    """Whether it is a sweep, or one of its points."""
    locate: Callable[[], object] | None = None
    """Finds where the run writes; raises ConfigError where it cannot."""

    def can_read(self, *keys: str) -> bool:
        """Whether the values of all these keys and sections are those that were given."""
        pairs = ((f"{wrong}.", f"{key}.") for wrong in self.unread for key in keys)
        return not any(wrong.startswith(key) or key.startswith(wrong) for wrong, key in pairs)


Check = Callable[[Context], Iterable[Violation]]


def is_dry(config: Checked | None) -> bool:
    """Whether a configuration is only to be shown, as a plan."""
    return getattr(config, "dry_run", False) is True


# ------------------------------------------------------------------------------------------------------------- the checks


def check_init_from(context: Context) -> Iterable[Violation]:
    """What fine-tuning or a fork begins from has a GPT-2 of this shape."""
    return [*init_from.check_init_from(context.config), *fork_from.check_fork_from(context.config)]


def check_data(context: Context) -> Iterable[Violation]:
    """Text and tokenizer can be read, and the text is long enough, as far as the readable keys show."""
    config, files, symbols = context.config, ("data.path", "data.validation_path"), ("tokenizer", "model.vocab_size")
    if any(check_init_from(context)):  # the tokenizer would have come from there
        return corpus_checks.check_paths(config) if context.can_read(*files) else ()
    if context.can_read("data", *symbols, "training.seq_len"):
        return corpus_checks.check_corpus(config)
    if context.can_read(*files, *symbols):
        return corpus_checks.check_files(config)
    of_text = corpus_checks.check_paths(config) if context.can_read(*files) else []
    of_tokenizer = (
        tokenizer_files.check_tokenizer(config.tokenizer, config.model.vocab_size) if context.can_read(*symbols) else []
    )
    return [*of_text, *of_tokenizer]


def check_checkpoint(context: Context) -> Iterable[Violation]:
    """The checkpoint is there, and its weights fit its configuration."""
    return checkpoint.check_checkpoint(context.config.checkpoint)


def check_prompts(context: Context) -> Iterable[Violation]:
    """The file of prompts can be read."""
    return prompts.check_prompts(context.config)


def check_processes(context: Context) -> Iterable[Violation]:
    """As many processes as torchrun started can share a step."""
    assert context.process is not None
    return check_world_size(context.process, context.config)


def check_training_device(context: Context) -> Iterable[Violation]:
    """The device is here, and computes in the precision. Imports PyTorch, unless any device or the CPU will do."""
    settings = context.config.training
    any_will_do = settings.device == "cpu" or (settings.device, settings.precision) == ("auto", "fp32")
    if not any_will_do and _torch_is_there(context):
        with importing_pytorch():
            from gpt2hydra.inference import device  # PyTorch
        device.for_training(settings)
    return ()


def check_generation_device(context: Context) -> Iterable[Violation]:
    """The same of a program that generates."""
    if context.config.device not in ("cpu", "auto") and _torch_is_there(context):
        with importing_pytorch():
            from gpt2hydra.inference import device  # PyTorch
        device.device_for(context.config.device, "device")
    return ()


def _torch_is_there(context: Context) -> bool:
    return context.extra is not None and not absent_modules(context.extra)


def check_tracker(context: Context) -> Iterable[Violation]:
    """The library of ``training.tracker`` is installed."""
    tracker = context.config.training.tracker
    return () if tracker == "none" else check_extra(tracker, "training.tracker", tracker)


def check_modules(context: Context) -> Iterable[Violation]:
    """The extra that the program needs is installed."""
    assert context.extra is not None
    return check_extra(context.extra)


def check_resume(context: Context) -> Iterable[Violation]:
    """The run that is to continue can do so with this configuration."""
    return resume.check_resume(context.config, sweep=context.sweep) if context.sweep or not context.unread else ()


def check_hydra_components(context: Context) -> Iterable[Violation]:
    """Hydra's callbacks and logs can be made; of a sweep, its launcher and sweeper too."""
    assert context.composed is not None
    return (check_sweep if context.sweep else check_job)(context.composed)


def check_location(context: Context) -> Iterable[Violation]:
    """The run, or each point of a sweep, has its own directory, which can be written and has enough space."""
    assert context.locate is not None
    context.locate()
    return ()


# --------------------------------------------------------------------------------------------------------------- the list


@dataclass(frozen=True)
class Declaration:
    """A check, and where it applies."""

    check: Callable[[Any], Iterable[Violation]]
    of: type[Checked] | None = None
    """The configuration that it reads; None where it reads none."""
    reads: Sequence[str] = ()
    """The keys and sections that must be readable."""
    needs: Sequence[str] = ()
    """The fields of the context that must be known."""
    plan: bool = False
    """Whether it applies to a dry run, which is for any machine."""
    elsewhere: bool = True
    """Whether it applies to a job that another machine runs."""

    def applies(self, context: Context) -> bool:
        """Whether this check can be asked, and means something, here."""
        return (
            (self.plan or not is_dry(context.config))
            and (self.elsewhere or context.here)
            and (self.of is None or isinstance(context.config, self.of))
            and context.can_read(*self.reads)
            and all(getattr(context, name) is not None for name in self.needs)
        )


_STEP = ("training.batch_size", "training.gradient_accumulation_steps", "training.strategy")

CHECKS = (
    Declaration(check_resume, TrainConfig, reads=("resume",), plan=True),
    Declaration(check_init_from, TrainConfig, reads=("init_from", "fork_from", "model", "tokenizer"), plan=True),
    Declaration(check_data, TrainConfig, plan=True),
    Declaration(check_checkpoint, GenerateConfig, reads=("checkpoint",), plan=True),
    Declaration(check_prompts, GenerateConfig, reads=("prompt", "prompt_file"), plan=True),
    Declaration(check_processes, Checked, reads=_STEP, needs=("process",), plan=True),
    Declaration(
        check_training_device, TrainConfig, reads=("training.device", "training.precision"), needs=("extra",), elsewhere=False
    ),
    Declaration(check_generation_device, GenerateConfig, reads=("device",), needs=("extra",), elsewhere=False),
    Declaration(check_hydra_components, needs=("composed",)),
    Declaration(check_location, needs=("locate",)),
    Declaration(check_tracker, TrainConfig, reads=("training.tracker",), needs=("extra",)),
    Declaration(check_modules, needs=("extra",)),
)
"""Every check, in the order of a report."""


def run_checks(context: Context) -> list[Violation]:
    """What the checks that apply find. A key is reported once, by the first check that blames it."""
    found: dict[str, Violation] = {}
    for declared in CHECKS:
        violations: list[Violation] = []
        if declared.applies(context):
            with collect_violations(violations):
                violations += declared.check(context)
        for each in violations:
            found.setdefault(each.key, each)
    return list(found.values())


def check_error(violations: Sequence[Violation]) -> ConfigError:
    """The report on what was found; its head names the installation where that alone is incomplete."""
    modules = {each.key for extra in EXTRAS for each in check_extra(extra)}
    only_modules = all(each.key in modules for each in violations)
    return ConfigError(violations, "the installation") if only_modules else ConfigError(violations)


# ----------------------------------------------------------------------------------- a configuration that is not yet valid


def readable(found: Composition) -> tuple[Checked | None, frozenset[str]]:
    """The configuration, and the keys that have a default instead of a value that breaks a rule.

    None in place of the configuration where a key that has no default must be given, or where it is not known
    what it is of.
    """
    if found.is_valid:
        return found.config, frozenset()
    if found.root is None or found.start_unknown:
        return None, frozenset()
    resolved = resolve(found.folded, found.root)
    unread = {*resolved.broken, *resolved.unresolved, *(key for each in found.violations for key in (each.key, *each.others))}
    values = {key: value for key, value in leaves(resolved.values) if key not in unread}
    while True:
        examined = check(found.root, _nested(values))
        if not examined.violations:
            return build(found.root, examined.values), frozenset(unread)
        wrong = {key for each in examined.violations for key in (each.key, *each.others)}
        if not wrong & values.keys():
            return None, frozenset(unread)
        unread |= wrong
        values = {key: value for key, value in values.items() if key not in wrong}


def _nested(values: dict[str, Any]) -> dict[str, Any]:
    """Values by dotted key as sections in each other."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *above, name = key.split(".")
        section = nested
        for part in above:
            section = section.setdefault(part, {})
        section[name] = value
    return nested
