"""The folder of a checkpoint: find it by a path, and check it. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gpt2hydra.checkpoint import run_checkpoints, weights
from gpt2hydra.checkpoint.huggingface import MAX_CONFIG_BYTES, from_hf
from gpt2hydra.config.errors import ConfigError, Violation, io_violation
from gpt2hydra.config.strict_json import read_json
from gpt2hydra.data.text import find_similar
from gpt2hydra.data.tokenizer import Tokenizer
from gpt2hydra.data.tokenizer_files import FILES, TOKENIZER_JSON, read_tokenizer_json
from gpt2hydra.utils.paths import user_path


def find_checkpoint(path: str) -> Path:
    """The Hugging Face folder of ``path``: the best checkpoint of a run directory, or ``path`` itself."""
    best = _find_best(path)
    return best.folder if best else user_path(path)


def describe_choice(path: str) -> str:
    """A text that names the chosen checkpoint of a run directory; empty if there is no choice."""
    best = _find_best(path)
    others = len(run_checkpoints.list_complete(user_path(path))) if best else 0
    return f"the checkpoint of {best}, is the best of {others} in {path}" if others > 1 else ""


def _find_best(path: str) -> run_checkpoints.CheckpointInfo | None:
    """The best checkpoint of a run directory; None if ``path`` is a checkpoint, or neither."""
    folder = user_path(path)
    return None if (folder / "config.json").exists() else run_checkpoints.find_best(folder)


def end_of_text_tokens(folder: Path, tokenizer: Tokenizer) -> frozenset[int]:
    """The tokens that end a text: those of config.json, and the tokenizer's own."""
    found = read_json(folder / "config.json", MAX_CONFIG_BYTES).get("eos_token_id")
    listed = found if isinstance(found, list) else [found]
    return frozenset(token for token in (*listed, tokenizer.end_of_text) if isinstance(token, int))


# --------------------------------------------------------------------------------------------------------------- checks


def check_checkpoint(path: str) -> list[Violation]:
    """The violations of a checkpoint that can be found without loading its weights."""
    try:
        return _check_folder(path)
    except OSError as error:
        return [io_violation("checkpoint", path, error)]


def _check_folder(path: str) -> list[Violation]:
    folder = find_checkpoint(path)
    if not folder.is_dir():
        rule = "is a file; must be a run directory or a Hugging Face folder" if folder.exists() else "there is no such folder"
        near = find_similar(folder, lambda each: (find_checkpoint(str(each)) / "config.json").is_file())
        return [_violation(path, rule, {"checkpoint": str(near)} if near else _newest_run())]
    if not (folder / "config.json").is_file():
        run = (folder / ".hydra").is_dir() or (folder / "loss.csv").is_file()
        why = "the run saved none; it saves one at each evaluation" if run else "there is no config.json"
        return [_violation(path, f"holds no checkpoint; {why}", _newest_run())]
    try:
        broken = weights.check_weights(folder, from_hf(folder))
        return [_violation(path, rule) for rule in broken] or _tokenizer_problems(path, folder)
    except ConfigError as error:
        return [_violation(path, _format_in_one_line(violation)) for violation in error.violations]


def _violation(path: str, rule: str, remedy: Mapping[str, object] | None = None) -> Violation:
    return Violation("checkpoint", path, rule, remedy=remedy or {})


def _format_in_one_line(violation: Violation) -> str:
    """A violation inside a checkpoint, in one line."""
    return f"cannot be used: {violation.head} {violation.rule}"


def _newest_run() -> dict[str, object]:
    """A remedy that names the newest run with a checkpoint below ``outputs/``; empty if there is none."""
    found = [
        each for each in Path().glob(f"outputs/*/*/{run_checkpoints.CHECKPOINTS_DIR}/step-*/config.json") if each.is_file()
    ]
    newest = max(found, key=lambda file: file.stat().st_mtime, default=None)
    return {} if newest is None else {"checkpoint": str(Path(*newest.parts[:3]))}


def _tokenizer_problems(path: str, folder: Path) -> list[Violation]:
    if (folder / TOKENIZER_JSON).is_file():
        read_tokenizer_json(folder)
    elif not all((folder / name).is_file() for name in FILES):
        return [_violation(path, f"has no tokenizer: must hold {TOKENIZER_JSON}, or {' and '.join(FILES)}")]
    return []
