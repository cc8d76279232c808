"""GPT2Config: the shape of a GPT-2. Standard library only; PyYAML (from OmegaConf) to read a size."""

from __future__ import annotations

import functools
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from gpt2hydra.config.errors import ConfigError, Source, Violation
from gpt2hydra.config.fields import computed, integer, number
from gpt2hydra.config.validation import Checked
from gpt2hydra.config.validators import Failure, validator
from gpt2hydra.utils.formatting import did_you_mean

G = TypeVar("G", bound="GPT2Config")

_PACKAGE_DIR = Path(__file__).resolve().parent.parent
CONF_DIR = _PACKAGE_DIR / "conf" if (_PACKAGE_DIR / "conf").is_dir() else _PACKAGE_DIR.parent / "conf"
"""The folder of YAML files: inside the package if it is installed, next to it in a checkout."""

MODEL_DIR = CONF_DIR / "model"


@functools.lru_cache(maxsize=64)
def _divisors(width: int) -> list[int]:
    """The divisors of ``width`` up to 10,000, in ascending order."""
    return [each for each in range(1, min(width, 10_000) + 1) if width % each == 0]


def _find_neighbours(value: int, candidates: list[int]) -> list[int]:
    """The nearest candidates below and above ``value``."""
    return [*[each for each in candidates if each < value][-1:], *[each for each in candidates if each > value][:1]]


def _join(values: list[int]) -> str:
    return ", ".join(map(str, values))


@dataclass(frozen=True)
class GPT2Config(Checked):
    """The shape of a GPT-2. Immutable, hashable, and valid: no instance can break a rule.

    The defaults are GPT-2 small (124M parameters).

    Raises:
        ConfigError: (a ValueError) with every broken rule.
    """

    vocab_size: int = integer(50257, "tokens in the vocabulary: rows of the token embedding", at_most=10_000_000)
    n_positions: int = integer(1024, "longest sequence, in tokens: rows of the position embedding", at_most=10_000_000)
    n_embd: int = integer(768, "width of the residual stream, in channels", at_most=1_000_000)
    n_layer: int = integer(12, "transformer blocks", at_most=10_000)
    n_head: int = integer(12, "attention heads of each block; n_embd is split among them", at_most=10_000)
    resid_pdrop: float = number(0.1, "dropout probability on the output of attention and MLP", at_least=0, at_most=1)
    embd_pdrop: float = number(0.1, "dropout probability on the sum of the embeddings", at_least=0, at_most=1)
    attn_pdrop: float = number(0.1, "dropout probability on the attention weights", at_least=0, at_most=1)
    layer_norm_epsilon: float = number(1e-5, "added to the variance in every layer norm", above=0, at_most=1)
    n_inner: int = computed(lambda n_embd: 4 * n_embd, "4 * n_embd", "n_embd")
    """Hidden channels of each block's MLP (OpenAI, gpt-2/src/model.py, ``mlp(..., nx*4)``)."""

    @validator("n_head", hints=("n_layer",))
    def _heads_divide_width(self) -> Failure | None:
        if self.n_embd % self.n_head == 0:
            return None
        for name, size in _sizes_for_hints().items():
            if (size.get("n_embd"), size.get("n_head"), size.get("n_layer")) == (self.n_embd, self.n_layer, self.n_head):
                swapped = f"n_layer and n_head look swapped: {name} has {self.n_head} layers, {self.n_layer} heads"
                return Failure(f"must divide {{n_embd}}; {swapped}", {"n_head": self.n_layer, "n_layer": self.n_head})
        heads = _find_neighbours(self.n_head, _divisors(self.n_embd))
        below = self.n_embd // self.n_head * self.n_head
        widths = [width for width in (below, below + self.n_head) if width > 0]
        rule = f"must divide {{n_embd}} (nearest: {_join(heads)}; or n_embd for {self.n_head} heads: {_join(widths)})"
        return Failure(rule, {"n_head": min(heads, key=lambda each: abs(each - self.n_head))})

    @property
    def head_dim(self) -> int:
        """Channels of one attention head: ``n_embd / n_head``."""
        return self.n_embd // self.n_head

    @classmethod
    def preset(cls: type[G], name: str) -> G:
        """The size in ``conf/model/<name>.yaml``.

        Raises:
            ConfigError: there is no such size, or its file breaks a rule.
        """
        file, known = MODEL_DIR / f"{name}.yaml", preset_names()
        if name not in known:
            rule = f"is not a size; known: {', '.join(known)}{did_you_mean(str(name), known)}"
            raise ConfigError([Violation("model", name, rule)])
        try:
            return cls.from_dict(_read_size(file, cls))
        except ConfigError as error:
            source = Source("file", str(file))
            raise ConfigError(replace(each, source=each.source or source) for each in error.violations) from None

    @classmethod
    def presets(cls: type[G]) -> dict[str, G]:
        """Every size in ``conf/model/``, by name, smallest width first.

        A file that is not valid is left out; :meth:`preset` says why.
        """
        sizes = {}
        for name in preset_names():
            with suppress(ConfigError):
                sizes[name] = cls.preset(name)
        return dict(sorted(sizes.items(), key=lambda item: (item[1].n_embd, item[1].n_layer)))

    @classmethod
    def gpt2_small(cls: type[G]) -> G:
        """GPT-2, 124M parameters."""
        return cls.preset("small")

    @classmethod
    def gpt2_medium(cls: type[G]) -> G:
        """GPT-2 medium, 355M parameters."""
        return cls.preset("medium")

    @classmethod
    def gpt2_large(cls: type[G]) -> G:
        """GPT-2 large, 774M parameters."""
        return cls.preset("large")

    @classmethod
    def gpt2_xl(cls: type[G]) -> G:
        """GPT-2 XL, 1.6B parameters."""
        return cls.preset("xl")


def preset_names() -> list[str]:
    """The names of the sizes in ``conf/model/``, sorted."""
    return sorted(file.stem for file in MODEL_DIR.glob("*.yaml"))


def _sizes_for_hints() -> dict[str, dict[str, Any]]:
    """The values of each size's file, valid or not; a file that cannot be read is left out."""
    sizes = {}
    for name in preset_names():
        with suppress(ConfigError):
            sizes[name] = _read_size(MODEL_DIR / f"{name}.yaml", GPT2Config)
    return sizes


def _read_size(file: Path, config_class: type[GPT2Config]) -> dict[str, Any]:
    from gpt2hydra.config.size_file import read_size  # imports PyYAML, needed only to read a size

    return read_size(file, config_class)
