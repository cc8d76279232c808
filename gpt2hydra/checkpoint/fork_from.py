"""``fork_from=RUN|CHECKPOINT``: begin with configuration, weights, optimizer and step of a parent run.

The parent's configuration becomes overrides before those of the command line, so that a configuration, its
record and its checks are as if they had been typed. The command line takes precedence. Standard library only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.checkpoint.init_from import DROPOUTS, parse_values
from gpt2hydra.checkpoint.run_checkpoints import RESUME_DIR, CheckpointInfo
from gpt2hydra.config.errors import ConfigError, Source, Violation, io_violation
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.keys import fields_of, settable_leaves
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.config.strict_json import read_json
from gpt2hydra.utils.paths import relative_path, user_path
from gpt2hydra.utils.quoting import format_override

KEY = "fork_from"

NOT_INHERITED = ("fork_from", "init_from", "resume", "dry_run", "preflight")
"""Keys that a fork does not inherit."""


def parent_checkpoint(path: str) -> CheckpointInfo | None:
    """The checkpoint of ``fork_from=path``: ``path``, or the newest complete one of a run directory."""
    folder = user_path(path)
    if (folder / run_checkpoints.RUN_JSON).is_file():
        return run_checkpoints.read_info(folder)
    return run_checkpoints.find_newest(folder)


def implied_overrides(overrides: Sequence[str], set_by_options: Collection[str] = ()) -> dict[str, Source]:
    """The overrides that ``fork_from=PATH`` implies, with their source, a file.

    Keys that are set already, also by an option such as ``experiment=NAME``, are left out. Empty if there is
    no such override, if it is swept over, or if the checkpoint or an override is invalid: both are reported
    later, by name.
    """
    given = parse_values(overrides)
    path = given.get(KEY)
    if not isinstance(path, str) or given.get("resume") not in (None, "auto"):  # a run that continues has its own configuration
        return {}
    typed = {*given, *set_by_options}
    return {format_override(key, value): source for key, value, source in _inherited_values(path) if not _is_set(key, typed)}


def _is_set(key: str, typed: Collection[str]) -> bool:
    """Whether an override sets ``key``, or chooses an option of its group: ``model=large``."""
    return key in typed or key.partition(".")[0] in typed


def _inherited_values(path: str) -> Iterator[tuple[str, Any, Source]]:
    """Yield the keys that a fork inherits from its parent, their values, and the file that holds them."""
    try:
        checkpoint = parent_checkpoint(path)
        config = (
            None
            if checkpoint is None
            else read_json(checkpoint.folder / run_checkpoints.RUN_JSON, run_checkpoints.MAX_RUN_JSON_BYTES)
        )
    except (ConfigError, OSError):
        return
    if checkpoint is None or config is None or not isinstance(config.get("config"), Mapping):
        return
    source = Source("file", relative_path(checkpoint.folder / run_checkpoints.RUN_JSON))
    for key, value in settable_leaves(TrainConfig, config["config"]):
        if key not in NOT_INHERITED and not key.startswith("hardware."):
            yield key, value, source


def check_fork_from(config: TrainConfig) -> list[Violation]:
    """The violations of the checkpoint of a fork: it is damaged, or has another shape or tokenizer."""
    if config.fork_from is None:
        return []
    try:
        return _check(config, config.fork_from)
    except OSError as error:
        return [io_violation(KEY, config.fork_from, error)]


def _check(config: TrainConfig, path: str) -> list[Violation]:
    folder = user_path(path)
    if not folder.exists():
        return [Violation(KEY, path, "there is no such folder")]
    checkpoint = parent_checkpoint(path)
    if checkpoint is None:
        return [Violation(KEY, path, "holds no complete checkpoint of a run; init_from takes the weights of any GPT-2")]
    if not (checkpoint.folder / RESUME_DIR).is_dir():
        return [
            Violation(
                KEY, path, "holds no optimizer state; init_from takes only its weights", remedy={KEY: None, "init_from": path}
            )
        ]
    try:
        content = read_json(checkpoint.folder / run_checkpoints.RUN_JSON, run_checkpoints.MAX_RUN_JSON_BYTES)
        model = GPT2Config.from_dict(content["config"]["model"])
        tokenizer = str(content["config"]["tokenizer"]["name"])
    except (ConfigError, KeyError, TypeError) as error:
        return [Violation(KEY, path, f"has a {run_checkpoints.RUN_JSON} that cannot be used: {error}")]
    return [*_check_model(config, model, tokenizer, path), *_check_steps(config, checkpoint)]


def _check_model(config: TrainConfig, model: GPT2Config, tokenizer: str, path: str) -> Iterator[Violation]:
    names = [each.name for each in fields_of(GPT2Config) if each.init and each.name not in DROPOUTS]
    pairs = [(f"model.{name}", getattr(config.model, name), getattr(model, name)) for name in names]
    for key, now, was in [*pairs, ("tokenizer.name", config.tokenizer.name, tokenizer)]:
        if now != was:
            yield Violation(key, now, f"must be {was}, as in fork_from = {path}", remedy={key: was}, others={KEY: None})


def _check_steps(config: TrainConfig, checkpoint: CheckpointInfo) -> Iterator[Violation]:
    steps = config.training.max_steps
    if steps <= checkpoint.step:
        rule = f"must be > {checkpoint.step:,}, the step after which the fork begins"
        yield Violation("training.max_steps", steps, rule, remedy={"training.max_steps": 2 * checkpoint.step})
