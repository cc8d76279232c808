"""The folder of a checkpoint: which one a path means, and whether it can be used. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.checkpoint import tensors as weights
from gpt2hydra.checkpoint.huggingface import LARGEST_CONFIG, from_hf
from gpt2hydra.config.errors import ConfigError, Violation, unreadable
from gpt2hydra.config.strict_json import read_json
from gpt2hydra.data.text import similar
from gpt2hydra.data.tokenizer import Tokenizer
from gpt2hydra.data.tokenizer_files import FILES, TOKENIZER_JSON, read_tokenizer_json
from gpt2hydra.utils.paths import user_path


def locate(path: str) -> Path:
    """The Hugging Face folder that ``path`` means: itself, or the best checkpoint inside a run directory."""
    best = _best(path)
    return best.folder if best else user_path(path)


def choice(path: str) -> str:
    """Which checkpoint of a run directory is taken, in words; empty where ``path`` names one itself."""
    best = _best(path)
    others = len(run_checkpoints.checkpoints(user_path(path))) if best else 0
    return f"the checkpoint of {best}, is the best of {others} in {path}" if others > 1 else ""


def _best(path: str) -> run_checkpoints.CheckpointInfo | None:
    """The best checkpoint of a run directory; None where ``path`` names a checkpoint itself, or neither."""
    folder = user_path(path)
    return None if (folder / "config.json").exists() else run_checkpoints.best(folder)


def end_of_text(folder: Path, tokenizer: Tokenizer) -> frozenset[int]:
    """The tokens that end a text: what config.json says, and the tokenizer's own."""
    found = read_json(folder / "config.json", LARGEST_CONFIG).get("eos_token_id")
    listed = found if isinstance(found, list) else [found]
    return frozenset(token for token in (*listed, tokenizer.end_of_text) if isinstance(token, int))


# ---------------------------------------------------------------------------------------------------- what can be wrong


def check_checkpoint(path: str) -> list[Violation]:
    """What a look at the disk can refuse of a checkpoint, without reading the weights."""
    try:
        return _check_folder(path)
    except OSError as error:
        return [unreadable("checkpoint", path, error)]


def _check_folder(path: str) -> list[Violation]:
    folder = locate(path)
    if not folder.is_dir():
        rule = "is a file; must be a run directory or a Hugging Face folder" if folder.exists() else "there is no such folder"
        near = similar(folder, lambda each: (locate(str(each)) / "config.json").is_file())
        return [_violation(path, rule, {"checkpoint": str(near)} if near else _newest_run())]
    if not (folder / "config.json").is_file():
        run = (folder / ".hydra").is_dir() or (folder / "loss.csv").is_file()
        why = "the run saved none: it does so at each evaluation" if run else "there is no config.json"
        return [_violation(path, f"holds no checkpoint; {why}", _newest_run())]
    try:
        broken = weights.mismatches(folder, from_hf(folder))
        return [_violation(path, rule) for rule in broken] or _tokenizer_problems(path, folder)
    except ConfigError as error:
        return [_violation(path, _in_words(violation)) for violation in error.violations]


def _violation(path: str, rule: str, remedy: Mapping[str, object] | None = None) -> Violation:
    return Violation("checkpoint", path, rule, remedy=remedy or {})


def _in_words(violation: Violation) -> str:
    """A violation inside a checkpoint, in one line."""
    return f"cannot be used: {violation.head} {violation.rule}"


def _newest_run() -> dict[str, object]:
    """A remedy that names the newest run below ``outputs/`` that has a checkpoint, if there is one."""
    found = [each for each in Path().glob(f"outputs/*/*/{run_checkpoints.FOLDER}/step-*/config.json") if each.is_file()]
    newest = max(found, key=lambda file: file.stat().st_mtime, default=None)
    return {} if newest is None else {"checkpoint": str(Path(*newest.parts[:3]))}


def _tokenizer_problems(path: str, folder: Path) -> list[Violation]:
    if (folder / TOKENIZER_JSON).is_file():
        read_tokenizer_json(folder)
    elif not all((folder / name).is_file() for name in FILES):
        return [_violation(path, f"has no tokenizer: must hold {TOKENIZER_JSON}, or {' and '.join(FILES)}")]
    return []
