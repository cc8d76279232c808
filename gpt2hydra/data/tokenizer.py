"""Convert text to tokens and back by byte-level BPE; ``bytes`` is BPE without merges. Never imports torch.

Each token is a fixed sequence of bytes, so text is decoded exactly, even while it is generated.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import BYTES_END_OF_TEXT, TokenizerConfig
from gpt2hydra.config.strict_json import read_json
from gpt2hydra.data.tokenizer_files import (
    END_OF_TEXT,
    FILES,
    MAX_FILE_BYTES,
    TOKENIZER_JSON,
    char_to_byte,
    fetch_files,
    read_merges,
    read_tokenizer_json,
)
from gpt2hydra.utils.formatting import format_value

if TYPE_CHECKING:
    import tokenizers


class Tokenizer:
    """A byte-level BPE. A special token inside a text is encoded as text."""

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        self.backend = backend
        self.backend.encode_special_tokens = True  # "<|endoftext|>" inside a text is text
        self.size = max(backend.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        self.end_of_text: int | None = backend.token_to_id(END_OF_TEXT)
        self._added = {token: str(added.content) for token, added in backend.get_added_tokens_decoder().items()}

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text."""
        return self.backend.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """Return the tokens of each text; use all cores."""
        return [encoding.ids for encoding in self.backend.encode_batch_fast(texts, add_special_tokens=False)]

    def bytes_of(self, token: int) -> bytes:
        """Return the bytes of one token; none for end-of-text and for ids that are not in the vocabulary."""
        if token == self.end_of_text:
            return b""
        if token in self._added:
            return self._added[token].encode()
        characters = self.backend.id_to_token(token) or ""
        return bytes(char_to_byte()[character] for character in characters)

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens; bytes that are not UTF-8 become U+FFFD."""
        return b"".join(map(self.bytes_of, tokens)).decode("utf-8", errors="replace")

    def save(self, folder: Path, longest: int) -> None:
        """Write the files that ``AutoTokenizer`` and others read.

        ``longest`` is the model's context in tokens.
        """
        self.backend.encode_special_tokens = False  # the usual setting for the saved file
        self.backend.save(str(folder / TOKENIZER_JSON))
        self.backend.encode_special_tokens = True
        self.backend.model.save(str(folder))
        special = {f"{kind}_token": END_OF_TEXT for kind in ("bos", "eos", "unk")}
        about = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": longest, "add_prefix_space": False, **special}
        (folder / "tokenizer_config.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


# ----------------------------------------------------------------------------------------------------------- loading


def load(config: TokenizerConfig) -> Tokenizer:
    """Load the tokenizer of a run.

    Raises:
        ConfigError: its files cannot be fetched or are invalid.
    """
    if config.name == "bytes":
        return bytes_tokenizer()
    found = fetch_files(str(config.path))
    return from_files(*found) if len(found) == len(FILES) else from_folder(found[0].parent)


def bytes_tokenizer() -> Tokenizer:
    """Return a tokenizer with a token for each byte, and end-of-text."""
    return _byte_level(dict(char_to_byte()) | {END_OF_TEXT: BYTES_END_OF_TEXT}, [])


def from_files(vocab: Path, merges: Path) -> Tokenizer:
    """Load GPT-2's ``vocab.json`` (token → id) and ``merges.txt`` (a pair a line, most frequent first).

    Raises:
        ConfigError: the files do not have this format.
    """
    symbols, lines = read_json(vocab, MAX_FILE_BYTES), read_merges(merges)
    with _convert_errors(vocab.parent):
        return _byte_level(symbols, [tuple(line.split(" ")) for _, line in lines])


def from_folder(folder: Path) -> Tokenizer:
    """Load a Hugging Face folder's tokenizer: ``tokenizer.json``, or ``vocab.json`` and ``merges.txt``.

    Raises:
        ConfigError: the folder has none, or it is not a byte-level BPE.
    """
    import tokenizers  # of the extra train; a refusal does not need it

    if not (folder / TOKENIZER_JSON).is_file():
        return from_files(*(folder / name for name in FILES))
    read_tokenizer_json(folder)
    with _convert_errors(folder / TOKENIZER_JSON):
        return Tokenizer(tokenizers.Tokenizer.from_file(str(folder / TOKENIZER_JSON)))


@contextmanager
def _convert_errors(path: Path) -> Iterator[None]:
    """Context manager: convert errors of tokenizers (bare ``Exception``, or a panic of Rust) to ConfigError."""
    try:
        yield
    except (ImportError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise ConfigError([Violation(str(path), rule=f"holds no byte-level BPE: {format_value(str(error))}")]) from None


def _byte_level(vocab: dict[str, int], merges: list[Any]) -> Tokenizer:
    import tokenizers  # of the extra train; a refusal does not need it

    backend = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=merges))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    backend.add_special_tokens([tokenizers.AddedToken(END_OF_TEXT, special=True, normalized=False)])
    return Tokenizer(backend)
