"""An application as docs/own-application.md shows one: a package with a program, a section, a rule, a ``conf/``.

``python -m tests.own_application FOLDER`` writes it into a folder.
"""

import sys
from pathlib import Path

FINETUNE = '''
from dataclasses import dataclass

import gpt2hydra
from gpt2hydra.fields import Checked, Failure, computed, integer, number, section, validator


@dataclass(frozen=True)
class Lora(Checked):
    """Low-rank adapters."""

    rank: int = integer(8, "rank of the update", at_most=1024)
    alpha: float = number(16.0, "strength of the update", above=0)
    scale: float = computed(lambda alpha, rank: alpha / rank, "alpha / rank", "alpha", "rank")


@dataclass(frozen=True)
class Finetune(gpt2hydra.TrainConfig):
    """Fine-tune GPT-2 with low-rank adapters."""

    lora: Lora = section(Lora, "low-rank adapters")

    @validator("lora.rank")
    def _narrower_than_the_model(self) -> Failure | None:
        if self.lora.rank < self.model.n_embd:
            return None
        return Failure("must be < {model.n_embd}", {"lora.rank": self.model.n_embd // 4})


@gpt2hydra.main(config_name="finetune", config_path="conf")
def main(config: Finetune) -> None:
    print(f"rank {config.lora.rank} of {config.model.n_embd}, scale {config.lora.scale}")


if __name__ == "__main__":
    main()
'''

PROBE = '''
from dataclasses import dataclass

import gpt2hydra
from gpt2hydra.fields import Checked, flag, section, text


@dataclass(frozen=True)
class Probe(Checked):
    """Compare two shapes."""

    one: gpt2hydra.GPT2Config = section(gpt2hydra.GPT2Config, "the first")
    other: gpt2hydra.GPT2Config = section(gpt2hydra.GPT2Config, "the second")
    label: str = text(doc="what to call it")
    dry_run: bool = flag(False, "show what would be compared")


@gpt2hydra.main(config_name="probe", config_path="conf")
def main(config: Probe) -> None:
    print(f"{config.label}: {config.one.n_inner} {config.other.n_inner}")
'''

PRIMARY = """\
defaults:
  - finetune_schema
  - model: small        # our groups, and your own
  - tokenizer: bytes
  - lora: wide
  - _self_
  - experiment: null

training:
  seq_len: ${model.n_positions}
"""

FILES = {
    "__init__.py": "",
    "finetune.py": FINETUNE,
    "probe.py": PROBE,
    "conf/finetune.yaml": PRIMARY,
    "conf/lora/wide.yaml": "rank: 64\n",
    "conf/lora/wrong.yaml": "rank: 0\n",
    "conf/lora/typo.yaml": "rnk: 4\n",
    "conf/probe.yaml": "defaults: [probe_schema, gpt2/model@one: small, gpt2/model@other: large, _self_]\n",
}


def write_application(folder: Path, name: str = "own_app") -> Path:
    """Write the package into ``folder``, and return its place."""
    for path, content in FILES.items():
        file = folder / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return folder / name


if __name__ == "__main__":
    write_application(Path(sys.argv[1]))
