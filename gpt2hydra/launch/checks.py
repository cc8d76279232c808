"""Checks of a valid configuration against this machine, before anything is written: the list :data:`CHECKS`.

A run, each point of a sweep, the sweep itself, a dry run, ``--cfg``, a decorated function that Python calls
with a configuration, and ``gpt2hydra evaluate`` call :func:`run_checks`. Each check declares which
configuration and keys it reads and when it applies. So it can also run if other keys break a rule.
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
    """The known facts about the run or sweep to start. A check that needs an unknown fact is skipped."""

    config: Any = None
    """A valid ``Checked``."""
    replaced_keys: frozenset[str] = frozenset()
    """Keys of ``config`` that hold a default, because the given value breaks a rule."""
    composed: DictConfig | None = None
    """The config that Hydra composed, with its section ``hydra``."""
    process: Process | None = None
    extra: str | None = None
    """The extra of this package that the program needs; None if it should not be checked."""
    runs_here: bool = True
    """Whether the job runs on this machine; a cluster's launchers use other machines."""
    sweep: bool = False
    """Whether this is a sweep or one of its points."""
    locate: Callable[[], object] | None = None
    """Finds the directory of the run; raises ConfigError if the run cannot write there."""

    def has_given_values(self, *keys: str) -> bool:
        """Whether all these keys and sections hold the values that were given."""
        pairs = ((f"{wrong}.", f"{key}.") for wrong in self.replaced_keys for key in keys)
        return not any(wrong.startswith(key) or key.startswith(wrong) for wrong, key in pairs)


def is_dry(config: Checked | None) -> bool:
    """Whether the run is a dry run, which only prints a plan."""
    return getattr(config, "dry_run", False) is True


# ------------------------------------------------------------------------------------------------------------- the checks


def check_init_from(context: Context) -> Iterable[Violation]:
    """Check that the folder of ``init_from``, or the run of ``fork_from``, has a GPT-2 of this shape."""
    return [*init_from.check_init_from(context.config), *fork_from.check_fork_from(context.config)]


def check_data(context: Context) -> Iterable[Violation]:
    """Check that text and tokenizer can be read and fit the model; skip what depends on ``replaced_keys``."""
    config, files, symbols = context.config, ("data.path", "data.validation_path"), ("tokenizer", "model.vocab_size")
    if any(check_init_from(context)):  # the tokenizer would be read from there
        return corpus_checks.check_paths(config) if context.has_given_values(*files) else ()
    if context.has_given_values("data", *symbols, "training.seq_len"):
        return corpus_checks.check_corpus(config)
    if context.has_given_values(*files, *symbols):
        return corpus_checks.check_files(config)
    of_text = corpus_checks.check_paths(config) if context.has_given_values(*files) else []
    of_tokenizer = (
        tokenizer_files.check_tokenizer(config.tokenizer, config.model.vocab_size) if context.has_given_values(*symbols) else []
    )
    return [*of_text, *of_tokenizer]


def check_checkpoint(context: Context) -> Iterable[Violation]:
    """Check that the checkpoint exists and that its weights match its configuration."""
    return checkpoint.check_checkpoint(context.config.checkpoint)


def check_prompts(context: Context) -> Iterable[Violation]:
    """Check that the file of prompts is readable."""
    return prompts.check_prompts(context.config)


def check_processes(context: Context) -> Iterable[Violation]:
    """Check that the number of processes that torchrun started can share a step."""
    assert context.process is not None
    return check_world_size(context.process, context.config)


def check_training_device(context: Context) -> Iterable[Violation]:
    """Check that the device exists and supports the precision. Imports torch if that is not certain."""
    settings = context.config.training
    is_always_supported = settings.device == "cpu" or (settings.device, settings.precision) == ("auto", "fp32")
    if not is_always_supported and _is_torch_installed(context):
        with importing_pytorch():
            from gpt2hydra.inference import device  # PyTorch
        device.select_training_device(settings)
    return ()


def check_generation_device(context: Context) -> Iterable[Violation]:
    """Check that the device of ``generate.py`` exists. Imports torch if that is not certain."""
    if context.config.device not in ("cpu", "auto") and _is_torch_installed(context):
        with importing_pytorch():
            from gpt2hydra.inference import device  # PyTorch
        device.select_device(context.config.device, "device")
    return ()


def _is_torch_installed(context: Context) -> bool:
    return context.extra is not None and not absent_modules(context.extra)


def check_tracker(context: Context) -> Iterable[Violation]:
    """Check that the library of ``training.tracker`` is installed."""
    tracker = context.config.training.tracker
    return () if tracker == "none" else check_extra(tracker, "training.tracker", tracker)


def check_modules(context: Context) -> Iterable[Violation]:
    """Check that the extra that the program needs is installed."""
    assert context.extra is not None
    return check_extra(context.extra)


def check_resume(context: Context) -> Iterable[Violation]:
    """Check that the run of ``resume`` can continue with this configuration."""
    return resume.check_resume(context.config, sweep=context.sweep) if context.sweep or not context.replaced_keys else ()


def check_hydra_components(context: Context) -> Iterable[Violation]:
    """Check that Hydra can create callbacks and logs, and for a sweep also launcher and sweeper."""
    assert context.composed is not None
    return (check_sweep if context.sweep else check_job)(context.composed)


def check_location(context: Context) -> Iterable[Violation]:
    """Check that the run, or each point, has its own writable directory with space for checkpoints."""
    assert context.locate is not None
    context.locate()
    return ()


# --------------------------------------------------------------------------------------------------------------- the list


@dataclass(frozen=True)
class Check:
    """A check, and when it applies."""

    check: Callable[[Any], Iterable[Violation]]
    config_class: type[Checked] | None = None
    """The class of the configuration that it reads; None if it reads none."""
    reads: Sequence[str] = ()
    """The keys and sections that must hold the values that were given."""
    needs: Sequence[str] = ()
    """The fields of the context that must not be None."""
    in_dry_run: bool = False
    """Whether it applies to a dry run, whose plan may be for another machine."""
    on_other_machines: bool = True
    """Whether it applies to a job that runs on another machine."""

    def applies(self, context: Context) -> bool:
        """Whether this check applies to the run or sweep of ``context``, and its facts are known."""
        return (
            (self.in_dry_run or not is_dry(context.config))
            and (self.on_other_machines or context.runs_here)
            and (self.config_class is None or isinstance(context.config, self.config_class))
            and context.has_given_values(*self.reads)
            and all(getattr(context, name) is not None for name in self.needs)
        )


BATCH_KEYS = ("training.batch_size", "training.gradient_accumulation_steps", "training.strategy")

CHECKS = (
    Check(check_resume, TrainConfig, reads=("resume",), in_dry_run=True),
    Check(check_init_from, TrainConfig, reads=("init_from", "fork_from", "model", "tokenizer"), in_dry_run=True),
    Check(check_data, TrainConfig, in_dry_run=True),
    Check(check_checkpoint, GenerateConfig, reads=("checkpoint",), in_dry_run=True),
    Check(check_prompts, GenerateConfig, reads=("prompt", "prompt_file"), in_dry_run=True),
    Check(check_processes, Checked, reads=BATCH_KEYS, needs=("process",), in_dry_run=True),
    Check(
        check_training_device,
        TrainConfig,
        reads=("training.device", "training.precision"),
        needs=("extra",),
        on_other_machines=False,
    ),
    Check(check_generation_device, GenerateConfig, reads=("device",), needs=("extra",), on_other_machines=False),
    Check(check_hydra_components, needs=("composed",)),
    Check(check_location, needs=("locate",)),
    Check(check_tracker, TrainConfig, reads=("training.tracker",), needs=("extra",)),
    Check(check_modules, needs=("extra",)),
)
"""All checks, in the order of a report."""


def run_checks(context: Context) -> list[Violation]:
    """Return the violations of all checks that apply: for each key, the first one."""
    found: dict[str, Violation] = {}
    for declared_check in CHECKS:
        violations: list[Violation] = []
        if declared_check.applies(context):
            with collect_violations(violations):
                violations += declared_check.check(context)
        for each in violations:
            found.setdefault(each.key, each)
    return list(found.values())


def error_from_checks(violations: Sequence[Violation]) -> ConfigError:
    """Return the error for these violations. Its head names the installation if only extras are missing."""
    modules = {each.key for extra in EXTRAS for each in check_extra(extra)}
    only_modules = all(each.key in modules for each in violations)
    return ConfigError(violations, "the installation") if only_modules else ConfigError(violations)


# ----------------------------------------------------------------------------------- a configuration that is not yet valid


def build_from_valid_values(found: Composition) -> tuple[Checked | None, frozenset[str]]:
    """Return a configuration, and the keys that have a default because their value breaks a rule.

    The configuration is None if a required key is missing or the configuration class is unknown.
    """
    if found.is_valid:
        return found.config, frozenset()
    if found.root is None or found.resume_failed:
        return None, frozenset()
    resolved = resolve(found.folded, found.root)
    replaced_keys = {
        *resolved.broken,
        *resolved.unresolved,
        *(key for each in found.violations for key in (each.key, *each.others)),
    }
    values = {key: value for key, value in leaves(resolved.values) if key not in replaced_keys}
    while True:
        examined = check(found.root, _nest(values))
        if not examined.violations:
            return build(found.root, examined.values), frozenset(replaced_keys)
        wrong = {key for each in examined.violations for key in (each.key, *each.others)}
        if not wrong & values.keys():
            return None, frozenset(replaced_keys)
        replaced_keys |= wrong
        values = {key: value for key, value in values.items() if key not in wrong}


def _nest(values: dict[str, Any]) -> dict[str, Any]:
    """Turn dotted keys into nested sections: ``{"a.b": 1}`` becomes ``{"a": {"b": 1}}``."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *parents, name = key.split(".")
        section = nested
        for part in parents:
            section = section.setdefault(part, {})
        section[name] = value
    return nested
