"""The configuration of a run, a checkpoint or overrides: values and sources. ``diff`` compares two."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.checkpoint.huggingface import from_hf
from gpt2hydra.commands.common_options import ProgramOverrides, choose_application, load_application
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
    """The settable keys of a configuration, their values and sources."""

    name: str
    description: str
    config_class: type[Checked]
    values: Mapping[str, Any]
    set_by: Mapping[str, Source] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.description}: {self.name or 'none'}"

    def model_only(self) -> ConfigSnapshot:
        """Return a snapshot of the model's keys only."""
        values = {key: each for key, each in self.values.items() if key.startswith("model.")}
        return ConfigSnapshot(self.name, self.description, GPT2Config, values, self.set_by, self.fingerprints, self.results)


def read_snapshot(text: str, app: str | None = None, config_dir: str | None = None) -> ConfigSnapshot:
    """Read a run directory, a checkpoint, or overrides of the program ``app`` (default: train).

    Raises:
        ConfigError: ``text`` is none of them, or its configuration is invalid.
    """
    path = user_path(text)
    config_class = (load_application(app).config_class if app else None) or TrainConfig
    if text and path.exists():
        path = path.parent if path.name == record.FILE else path
        if (path / record.FILE).is_file():
            return _read_run(text, path, config_class)
        if (path / "config.json").is_file():
            return _read_checkpoint(text, path, config_class)
        raise ConfigError([Violation(text, rule=_not_a_run_message(path))])
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError([Violation(text, rule=f"cannot be read as overrides: {error}")]) from None
    has_override = any("=" in word or word.startswith("~") for word in words)
    if not has_override and words not in ([], *([name] for name in PROGRAMS)):
        rule = "there is no such run directory or checkpoint, and overrides are KEY=VALUE, as 'model=large training.seed=1'"
        raise ConfigError([Violation(text, rule=rule)])
    return _compose_overrides(text, words, app, config_dir)


def _not_a_run_message(path: Path) -> str:
    if path.is_file():
        return "is a file; must be a run directory, a checkpoint, or overrides"
    runs = [each.relative_to(path).as_posix() for each in record.find_runs(path)]
    if runs:
        return f"holds several runs; name one of them: {', '.join(runs[:5])}{', ...' if len(runs) > 5 else ''}"
    return f"holds no run ({record.FILE}) and no checkpoint (config.json)"


def _read_run(name: str, folder: Path, config_class: type[Checked]) -> ConfigSnapshot:
    found = record.read(folder)
    result = {key: each for key, each in found.result.items() if isinstance(each, (int, float))}
    recorded_fingerprints = found.content.get("fingerprints")
    return ConfigSnapshot(
        name,
        f"{found.state} run",
        config_class,
        dict(settable_leaves(config_class, found.content["config"])),
        _set_by(found.content),
        recorded_fingerprints if isinstance(recorded_fingerprints, Mapping) else {},
        {"state": found.state, **({} if found.step is None else {"step": found.step}), **result},
    )


def _read_checkpoint(name: str, folder: Path, config_class: type[Checked]) -> ConfigSnapshot:
    """Read a checkpoint: one of ours has the run's configuration and, in its run directory, the sources."""
    run_file = folder / run_checkpoints.RUN_JSON
    if not run_file.is_file():
        model = from_hf(folder)
        values = {f"model.{key}": each for key, each in settable_leaves(GPT2Config, model.to_dict())}
        return ConfigSnapshot(name, "checkpoint without a run", GPT2Config, values, fingerprints={"model": model.fingerprint()})
    content = read_json(run_file, record.MAX_BYTES)
    if not isinstance(content.get("config"), Mapping):
        raise ConfigError([Violation(str(run_file), rule="has no configuration: an older version of gpt2hydra wrote it")])
    run_folder = folder.parent.parent
    set_by = _set_by(read_json(run_folder / record.FILE, record.MAX_BYTES)) if (run_folder / record.FILE).is_file() else {}
    results = {key: content[key] for key in ("step", "validation_loss") if isinstance(content.get(key), (int, float))}
    values = dict(settable_leaves(config_class, content["config"]))
    recorded_fingerprints = content.get("fingerprints")
    return ConfigSnapshot(
        name,
        "checkpoint",
        config_class,
        values,
        set_by,
        recorded_fingerprints if isinstance(recorded_fingerprints, Mapping) else {},
        results,
    )


def _compose_overrides(text: str, words: list[str], app: str | None, config_dir: str | None) -> ConfigSnapshot:
    program = choose_application(app, words)
    root = program.config_class or TrainConfig
    chosen = ProgramOverrides.of(words, config_dir, program)
    config, provenance = chosen.compose(), chosen.provenance
    values = dict(settable_leaves(root, config.to_dict()))
    settings = {key: setting for key in values if (setting := provenance.setting(key)) is not None}
    set_by = {key: setting.source for key, setting in settings.items()}
    values |= {key: each.value for key, each in settings.items() if is_stateful(each.value)}  # ${now:...} is no difference
    return ConfigSnapshot(text, f"overrides of {program.config_name}", root, values, set_by, fingerprints(config))


def _set_by(content: Mapping[str, Any]) -> dict[str, Source]:
    """Return key → source, for each key whose source the record has."""
    found = {}
    recorded = content.get("set_by")
    for key, chain in (recorded if isinstance(recorded, Mapping) else {}).items():
        try:
            found[key] = Source(**chain[0]["source"])
        except (TypeError, LookupError):  # a record of another version
            continue
    return found
