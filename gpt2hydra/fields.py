"""Fields, sections and validators, with which you declare your own configuration class.

A field declares its type, its limits and its meaning. Checks, messages, ``--help`` and the schema for Hydra
are derived from that::

    from gpt2hydra.fields import Checked, Failure, computed, integer, number, section, validator

    @dataclass(frozen=True)
    class Lora(Checked):
        \"\"\"Low-rank adaptation.\"\"\"

        rank: int = integer(8, "rank of the update", at_most=1024)
        alpha: float = number(16.0, "strength of the update", above=0)
        scaling: float = computed(lambda alpha, rank: alpha / rank, "alpha / rank", "alpha", "rank")

    @dataclass(frozen=True)
    class Finetune(gpt2hydra.TrainConfig):
        \"\"\"Fine-tuning.\"\"\"

        lora: Lora = section(Lora, "adapters")

        @validator("lora.rank")
        def _narrower_than_the_model(self) -> Failure | None:
            if self.lora.rank < self.model.n_embd:
                return None
            return Failure("must be < {model.n_embd}", {"lora.rank": self.model.n_embd // 4})

A method decorated with :func:`validator` is a rule between fields. It runs if each value that it reads is
valid by itself.

A class that is declared wrongly raises a ``TypeError`` that names class and field. It is raised when the
class becomes a section or the configuration of a function under ``gpt2hydra.main``. Standard library only.
"""

import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

from gpt2hydra.config.fields import anything, choice, computed, either, flag, integer, items, mapping, number, text
from gpt2hydra.config.sections import section, union
from gpt2hydra.config.validation import Checked
from gpt2hydra.config.validators import Failure, validator

_Relation: TypeAlias = Callable[[Any], Failure | None]


def _relation(*keys: str, hints: tuple[str, ...] = ()) -> Callable[[Callable[..., Failure | None]], _Relation]:
    """The deprecated way to declare a rule between fields, in ``RELATIONS``: ``test`` gets their values."""
    return lambda test: validator(keys[0], hints=hints)(lambda self: test(*map(self.at, (*keys, *hints))))


__all__ = [
    "Checked",
    "Failure",
    "anything",
    "choice",
    "computed",
    "either",
    "flag",
    "integer",
    "items",
    "mapping",
    "number",
    "section",
    "text",
    "union",
    "validator",
]

_RENAMED: dict[str, tuple[Any, str]] = {
    "Broken": (Failure, "is now called gpt2hydra.fields.Failure"),
    "Relation": (_Relation, "is no longer needed: a method under gpt2hydra.fields.validator is a rule between fields"),
    "relation": (_relation, "is replaced by gpt2hydra.fields.validator, for methods of the class"),
}
"""Old name → its object, and what to use instead. Old names work for one release."""


def __getattr__(name: str) -> Any:
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found, instead = _RENAMED[name]
    warnings.warn(f"gpt2hydra.fields.{name} {instead}", DeprecationWarning, stacklevel=2)
    return found
