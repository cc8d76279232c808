"""``gpt2hydra tokenize``: encode text files as token files."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from gpt2hydra.commands.common_options import ProgramOverrides, add_config_dir
from gpt2hydra.config.errors import ConfigError, UsageError, Violation, io_violation
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.data import cache, corpus_checks, text, token_files
from gpt2hydra.launch.extras import require_extra
from gpt2hydra.utils.paths import user_path
from gpt2hydra.utils.quoting import format_override, quote_for_bash

if TYPE_CHECKING:
    from gpt2hydra.data.encoding import Encoder, ProgressCallback


DESCRIPTION = "Encode each text file as a .bin file of tokens (several if it is large) in llm.c's format, for data.path."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("overrides", nargs="+", metavar="KEY=VALUE", help="data.path=FILES [tokenizer=gpt2 tokenizer.path=DIR]")
    parser.add_argument("--output", required=True, metavar="DIR", help="the folder for the .bin files")
    add_config_dir(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Write the token files, and print the number of tokens in each."""
    config: TrainConfig = ProgramOverrides.of(options.overrides, options.config_dir).compose()
    files, folder = _find_text_files(config), user_path(options.output)
    targets = {folder / name: file for name, file in zip(_name_outputs(files), files, strict=True)}
    _check_output_folder(folder, targets)
    require_extra("train")
    from gpt2hydra.data.encoding import Encoder  # in the extra train

    encoder = Encoder(config.tokenizer)
    with cache.progress_bar(files, folder) as progress:
        counts = {
            str(file): count
            for target, file in targets.items()
            for file, count in _encode_file(encoder, file, target, progress)
        }
    if options.json:
        tokens = sum(counts.values())
        print(json.dumps({"files": counts, "tokens": tokens, "bytes_of_a_token": encoder.dtype.itemsize}, indent=2))
        return
    width = max(map(len, counts))
    print("\n".join(f"{file:<{width}}  {count:>15,} tokens" for file, count in counts.items()))
    print(f"\ntrain on them: {' '.join(map(quote_for_bash, _format_overrides(config, folder)))}")


def _find_text_files(config: TrainConfig) -> list[Path]:
    """Return the files to tokenize.

    Raises:
        ConfigError: there are none, or one of them or the tokenizer cannot be used.
    """
    path = config.data.path
    if path is None:
        raise ConfigError([Violation("data.path", rule="must be given: the text to tokenize")])
    problems = corpus_checks.check_files(config)
    files = [] if problems else [file for file in text.files(path) if file.stat().st_size]
    problems += [
        Violation("data.path", path, f"{file} has tokens already") for file in files if file.suffix == token_files.SUFFIX
    ][:1]
    if problems:
        raise ConfigError(problems)
    return files


def _name_outputs(files: list[Path]) -> list[str]:
    """Return a name for each file's tokens: its stem, with a number before it if stems are equal."""
    stem_counts = Counter(file.stem for file in files)
    return [f"{number:05}-{file.stem}" if stem_counts[file.stem] > 1 else file.stem for number, file in enumerate(files)]


def _check_output_folder(folder: Path, targets: dict[Path, Path]) -> None:
    try:
        if folder.exists() and not folder.is_dir():
            raise UsageError([Violation("--output", str(folder), "is a file; must be a folder")])
        existing = [target.name for target in targets for _ in folder.glob(f"{target.name}*{token_files.SUFFIX}")]
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError([io_violation("--output", str(folder), error, "written")]) from None
    if existing:
        raise UsageError([Violation("--output", str(folder), f"has tokens of {existing[0]} already; choose another folder")])


def _encode_file(encoder: Encoder, file: Path, target: Path, progress: ProgressCallback) -> list[tuple[Path, int]]:
    """Encode one text atomically; return its token files and their numbers of tokens."""
    try:
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=target.parent) as unfinished:
            written = cache.write_token_files(encoder, file, Path(unfinished) / target.name, progress)
            moved = [each.rename(target.with_name(each.name)) for each in written]
    except OSError as error:
        raise UsageError([io_violation("--output", str(target.parent), error, "written")]) from None
    return [(each, token_files.recognise(each).count) for each in moved]


def _format_overrides(config: TrainConfig, folder: Path) -> list[str]:
    tokenizer = (
        [] if config.tokenizer.path is None else ["tokenizer=gpt2", format_override("tokenizer.path", config.tokenizer.path)]
    )
    return [format_override("data.path", f"{folder}/*{token_files.SUFFIX}"), *tokenizer]
