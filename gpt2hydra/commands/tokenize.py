"""``gpt2hydra tokenize``: encode text files as token files."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from gpt2hydra.commands.common_options import ProgramConfig, add_config_dir
from gpt2hydra.config.errors import ConfigError, UsageError, Violation, unreadable
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.data import cache, corpus_checks, shards, text
from gpt2hydra.launch.extras import require
from gpt2hydra.utils.paths import user_path
from gpt2hydra.utils.quoting import for_bash, override

if TYPE_CHECKING:
    from gpt2hydra.data.encoding import Encoder, Progress


DESCRIPTION = "Encode each text file as a .bin file of tokens in llm.c's format. data.path takes such files."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("overrides", nargs="+", metavar="KEY=VALUE", help="data.path=FILES [tokenizer=gpt2 tokenizer.path=DIR]")
    parser.add_argument("--output", required=True, metavar="DIR", help="the folder for the .bin files")
    add_config_dir(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Write the token files, and print what they hold."""
    config: TrainConfig = ProgramConfig.of(options.overrides, options.config_dir).checked()
    files, folder = _texts(config), user_path(options.output)
    targets = {folder / name: file for name, file in zip(_names(files), files, strict=True)}
    _check_free(folder, targets)
    require("train")
    from gpt2hydra.data.encoding import Encoder  # of the extra train

    encoder = Encoder(config.tokenizer)
    with cache.bar(files, folder) as progress:
        counts = {
            str(file): count for target, file in targets.items() for file, count in _write(encoder, file, target, progress)
        }
    if options.json:
        tokens = sum(counts.values())
        print(json.dumps({"files": counts, "tokens": tokens, "bytes_of_a_token": encoder.dtype.itemsize}, indent=2))
        return
    width = max(map(len, counts))
    print("\n".join(f"{file:<{width}}  {count:>15,} tokens" for file, count in counts.items()))
    print(f"\ntrain on them: {' '.join(map(for_bash, _overrides(config, folder)))}")


def _texts(config: TrainConfig) -> list[Path]:
    """The files to tokenize.

    Raises:
        ConfigError: there are none, or one of them or the tokenizer will not do.
    """
    path = config.data.path
    if path is None:
        raise ConfigError([Violation("data.path", rule="must be given: the text to tokenize")])
    problems = corpus_checks.check_files(config)
    files = [] if problems else [file for file in text.files(path) if file.stat().st_size]
    problems += [Violation("data.path", path, f"{file} has tokens already") for file in files if file.suffix == shards.SUFFIX][
        :1
    ]
    if problems:
        raise ConfigError(problems)
    return files


def _names(files: list[Path]) -> list[str]:
    """A name for each file's tokens: its own, with a number before it where two have the same."""
    often = Counter(file.stem for file in files)
    return [f"{number:05}-{file.stem}" if often[file.stem] > 1 else file.stem for number, file in enumerate(files)]


def _check_free(folder: Path, targets: dict[Path, Path]) -> None:
    try:
        if folder.exists() and not folder.is_dir():
            raise UsageError([Violation("--output", str(folder), "is a file; must be a folder")])
        there = [target.name for target in targets for _ in folder.glob(f"{target.name}*{shards.SUFFIX}")]
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError([unreadable("--output", str(folder), error, "written")]) from None
    if there:
        raise UsageError([Violation("--output", str(folder), f"has tokens of {there[0]} already; choose another folder")])


def _write(encoder: Encoder, file: Path, target: Path, progress: Progress) -> list[tuple[Path, int]]:
    """The token files of one text, which appear once they are complete, and what each of them holds."""
    try:
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=target.parent) as unfinished:
            written = cache.write(encoder, file, Path(unfinished) / target.name, progress)
            moved = [each.rename(target.with_name(each.name)) for each in written]
    except OSError as error:
        raise UsageError([unreadable("--output", str(target.parent), error, "written")]) from None
    return [(each, shards.recognise(each).count) for each in moved]


def _overrides(config: TrainConfig, folder: Path) -> list[str]:
    tokenizer = [] if config.tokenizer.path is None else ["tokenizer=gpt2", override("tokenizer.path", config.tokenizer.path)]
    return [override("data.path", f"{folder}/*{shards.SUFFIX}"), *tokenizer]
