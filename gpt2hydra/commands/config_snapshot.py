"""A configuration of a run, a checkpoint or a list of overrides: its values and who set them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.checkpoint.huggingface import from_hf
from gpt2hydra.commands.common_options import ProgramConfig, application_at, program_meant
from gpt2hydra.composition.resolve import is_stateful
from gpt2hydra.config.errors import ConfigError, Source, Violation
from gpt2hydra.config.fingerprint import fingerprints
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.keys import settable_leaves
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.config.strict_json import read_json
from gpt2hydra.config.validation import Checked
from gpt2hydra.runs import record
from gpt2hydra.utils.invocation import PROGRAMS
from gpt2hydra.utils.paths import user_path


@dataclass(frozen=True)
class ConfigSnapshot:
    """The keys that can be set, each with its value and who set it."""

    name: str
    what: str
    kind: type[Checked]
    values: Mapping[str, Any]
    set_by: Mapping[str, Source] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.what}: {self.name or 'none'}"

    def model_alone(self) -> ConfigSnapshot:
        """The model's keys alone."""
        values = {key: each for key, each in self.values.items() if key.startswith("model.")}
        return ConfigSnapshot(self.name, self.what, GPT2Config, values, self.set_by, self.fingerprints, self.results)


def snapshot_of(text: str, app: str | None = None, config_dir: str | None = None) -> ConfigSnapshot:
    """What ``text`` means: a run directory, a checkpoint, or overrides of a program, ``app`` or ours.

    Raises:
        ConfigError: it is none of them, or its configuration is refused.
    """
    path = user_path(text)
    kind = (application_at(app).config_class if app else None) or TrainConfig
    if text and path.exists():
        path = path.parent if path.name == record.FILE else path
        if (path / record.FILE).is_file():
            return _of_run(text, path, kind)
        if (path / "config.json").is_file():
            return _of_checkpoint(text, path, kind)
        raise ConfigError([Violation(text, rule=_no_run(path))])
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError([Violation(text, rule=f"cannot be read as overrides: {error}")]) from None
    sets = any("=" in word or word.startswith("~") for word in words)
    if not sets and words not in ([], *([name] for name in PROGRAMS)):
        rule = "there is no such run directory or checkpoint, and overrides are KEY=VALUE, as 'model=large training.seed=1'"
        raise ConfigError([Violation(text, rule=rule)])
    return _of_overrides(text, words, app, config_dir)


def _no_run(path: Path) -> str:
    if path.is_file():
        return "is a file; must be a run directory, a checkpoint, or overrides"
    points = [each.relative_to(path).as_posix() for each in record.runs_below(path)]
    if points:
        return f"holds several runs, name one of them: {', '.join(points[:5])}{', ...' if len(points) > 5 else ''}"
    return f"holds no run ({record.FILE}) and no checkpoint (config.json)"


def _of_run(name: str, folder: Path, kind: type[Checked]) -> ConfigSnapshot:
    found = record.read(folder)
    result = {key: each for key, each in found.result.items() if isinstance(each, (int, float))}
    prints = found.content.get("fingerprints")
    return ConfigSnapshot(
        name,
        f"{found.state} run",
        kind,
        dict(settable_leaves(kind, found.content["config"])),
        _set_by(found.content),
        prints if isinstance(prints, Mapping) else {},
        {"state": found.state, **({} if found.step is None else {"step": found.step}), **result},
    )


def _of_checkpoint(name: str, folder: Path, kind: type[Checked]) -> ConfigSnapshot:
    """One of ours has its run's configuration, and the run directory the sources; any other the model alone."""
    own = folder / run_checkpoints.RUN
    if not own.is_file():
        model = from_hf(folder)
        values = {f"model.{key}": each for key, each in settable_leaves(GPT2Config, model.to_dict())}
        return ConfigSnapshot(name, "checkpoint without a run", GPT2Config, values, fingerprints={"model": model.fingerprint()})
    content = read_json(own, record.LARGEST)
    if not isinstance(content.get("config"), Mapping):
        raise ConfigError([Violation(str(own), rule="has no configuration: an older version of gpt2hydra wrote it")])
    around = folder.parent.parent
    set_by = _set_by(read_json(around / record.FILE, record.LARGEST)) if (around / record.FILE).is_file() else {}
    results = {key: content[key] for key in ("step", "validation_loss") if isinstance(content.get(key), (int, float))}
    values = dict(settable_leaves(kind, content["config"]))
    prints = content.get("fingerprints")
    return ConfigSnapshot(name, "checkpoint", kind, values, set_by, prints if isinstance(prints, Mapping) else {}, results)


def _of_overrides(text: str, words: list[str], app: str | None, config_dir: str | None) -> ConfigSnapshot:
    program = program_meant(app, words)
    root = program.config_class or TrainConfig
    chosen = ProgramConfig.of(words, config_dir, program)
    config, provenance = chosen.checked(), chosen.provenance
    values = dict(settable_leaves(root, config.to_dict()))
    settings = {key: setting for key in values if (setting := provenance.setting(key)) is not None}
    set_by = {key: setting.source for key, setting in settings.items()}
    values |= {key: each.value for key, each in settings.items() if is_stateful(each.value)}  # the time is no difference
    return ConfigSnapshot(text, f"overrides of {program.config_name}", root, values, set_by, fingerprints(config))


def _set_by(content: Mapping[str, Any]) -> dict[str, Source]:
    """Key → who set it, as far as a record says."""
    found = {}
    recorded = content.get("set_by")
    for key, chain in (recorded if isinstance(recorded, Mapping) else {}).items():
        try:
            found[key] = Source(**chain[0]["source"])
        except (TypeError, LookupError):  # of another version
            continue
    return found
