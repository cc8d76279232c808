"""``fork_from=RUN|CHECKPOINT``: configuration, weights, optimizer and step of another run.

The parent's configuration becomes overrides before those of the command line, so that a configuration, its
record and its checks are as if they had been typed. What the command line says otherwise is kept. Standard
library only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.checkpoint.init_from import DROPOUTS, values_set
from gpt2hydra.checkpoint.run_checkpoints import RESUME, CheckpointInfo
from gpt2hydra.config.errors import ConfigError, Source, Violation, unreadable
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.keys import fields_of, settable_leaves
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.config.strict_json import read_json
from gpt2hydra.utils.paths import relative_path, user_path
from gpt2hydra.utils.quoting import override

KEY = "fork_from"

OWN = ("fork_from", "init_from", "resume", "dry_run", "preflight")
"""Keys that each run sets for itself."""


def parent(path: str) -> CheckpointInfo | None:
    """The checkpoint that ``fork_from=path`` names: itself, or the newest complete one of a run directory."""
    folder = user_path(path)
    if (folder / run_checkpoints.RUN).is_file():
        return run_checkpoints.read(folder)
    return run_checkpoints.newest(folder)


def implied(overrides: Sequence[str], set_by_options: Collection[str] = ()) -> dict[str, Source]:
    """What ``fork_from=PATH`` in ``overrides`` stands for, without the keys that are set, and its file.

    So are those that options among the overrides set, such as ``experiment=NAME``. Nothing where there is no
    such override, where it is swept over, or where the checkpoint or an override cannot be used: both are
    reported later, by name.
    """
    given = values_set(overrides)
    path = given.get(KEY)
    if not isinstance(path, str) or given.get("resume") not in (None, "auto"):  # a run that continues has its own
        return {}
    typed = {*given, *set_by_options}
    return {override(key, value): source for key, value, source in _configuration(path) if not _is_set(key, typed)}


def _is_set(key: str, typed: Collection[str]) -> bool:
    """Whether an override sets ``key``, or chooses an option of its group: ``model=large``."""
    return key in typed or key.partition(".")[0] in typed


def _configuration(path: str) -> Iterator[tuple[str, Any, Source]]:
    """The keys that a fork takes over from its parent, with their values, and the file that has them."""
    try:
        checkpoint = parent(path)
        config = None if checkpoint is None else read_json(checkpoint.folder / run_checkpoints.RUN, run_checkpoints.LARGEST_RUN)
    except (ConfigError, OSError):
        return
    if checkpoint is None or config is None or not isinstance(config.get("config"), Mapping):
        return
    source = Source("file", relative_path(checkpoint.folder / run_checkpoints.RUN))
    for key, value in settable_leaves(TrainConfig, config["config"]):
        if key not in OWN and not key.startswith("hardware."):
            yield key, value, source


def check_fork_from(config: TrainConfig) -> list[Violation]:
    """Why training cannot begin from the checkpoint: it is damaged, or of another shape or tokenizer."""
    if config.fork_from is None:
        return []
    try:
        return _check(config, config.fork_from)
    except OSError as error:
        return [unreadable(KEY, config.fork_from, error)]


def _check(config: TrainConfig, path: str) -> list[Violation]:
    folder = user_path(path)
    if not folder.exists():
        return [Violation(KEY, path, "there is no such folder")]
    checkpoint = parent(path)
    if checkpoint is None:
        return [Violation(KEY, path, "holds no complete checkpoint of a run; init_from takes the weights of any GPT-2")]
    if not (checkpoint.folder / RESUME).is_dir():
        return [
            Violation(
                KEY, path, "holds no optimizer state; init_from takes its weights alone", remedy={KEY: None, "init_from": path}
            )
        ]
    try:
        content = read_json(checkpoint.folder / run_checkpoints.RUN, run_checkpoints.LARGEST_RUN)
        model = GPT2Config.from_dict(content["config"]["model"])
        tokenizer = str(content["config"]["tokenizer"]["name"])
    except (ConfigError, KeyError, TypeError) as error:
        return [Violation(KEY, path, f"has a {run_checkpoints.RUN} that cannot be used: {error}")]
    return [*_of_another_model(config, model, tokenizer, path), *_already_done(config, checkpoint)]


def _of_another_model(config: TrainConfig, model: GPT2Config, tokenizer: str, path: str) -> Iterator[Violation]:
    names = [each.name for each in fields_of(GPT2Config) if each.init and each.name not in DROPOUTS]
    pairs = [(f"model.{name}", getattr(config.model, name), getattr(model, name)) for name in names]
    for key, now, was in [*pairs, ("tokenizer.name", config.tokenizer.name, tokenizer)]:
        if now != was:
            yield Violation(key, now, f"must be {was}, as in fork_from = {path}", remedy={key: was}, others={KEY: None})


def _already_done(config: TrainConfig, checkpoint: CheckpointInfo) -> Iterator[Violation]:
    steps = config.training.max_steps
    if steps <= checkpoint.step:
        rule = f"must be > {checkpoint.step:,}, the step that the fork begins after"
        yield Violation("training.max_steps", steps, rule, remedy={"training.max_steps": 2 * checkpoint.step})
