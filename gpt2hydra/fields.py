"""What a configuration class of your own is declared with, and everything that follows from a declaration.

A field states once what it may hold, and what it means; checks, messages, ``--help`` and the schema that Hydra composes into
follow from that::

    from gpt2hydra.fields import Checked, computed, integer, number, section

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

Rules between fields are functions under :func:`relation`, in the class's ``RELATIONS``, which add to those of its bases::

    @relation("lora.rank", "model.n_embd")
    def narrower(rank: int, n_embd: int) -> Failure | None:
        return None if rank < n_embd else Failure("must be < {model.n_embd}", {"lora.rank": n_embd // 4})

A class that is declared wrongly raises a ``TypeError`` that names class and field, as soon as it becomes a section or the
configuration of a program under :func:`gpt2hydra.main`. Standard library only.
"""

import warnings
from typing import Any

from gpt2hydra.config.fields import Failure as Failure
from gpt2hydra.config.fields import Relation as Relation
from gpt2hydra.config.fields import choice as choice
from gpt2hydra.config.fields import computed as computed
from gpt2hydra.config.fields import flag as flag
from gpt2hydra.config.fields import integer as integer
from gpt2hydra.config.fields import number as number
from gpt2hydra.config.fields import relation as relation
from gpt2hydra.config.fields import text as text
from gpt2hydra.config.validation import Checked as Checked
from gpt2hydra.config.validation import section as section

__all__ = ["Checked", "Failure", "Relation", "choice", "computed", "flag", "integer", "number", "relation", "section", "text"]

_RENAMED = {"Broken": "Failure"}
"""Old name → new. The old ones work for one release."""


def __getattr__(name: str) -> Any:
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"gpt2hydra.fields.{name} is now called {_RENAMED[name]}", DeprecationWarning, stacklevel=2)
    return globals()[_RENAMED[name]]
