"""One run of a comparison: how far it came, how well, and what its loss is of. Standard library only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gpt2hydra.config.keys import leaves
from gpt2hydra.runs import record
from gpt2hydra.runs.metrics_csv import Measurement, read_rows

LOSS = "validation_loss"


@dataclass(frozen=True)
class ComparedRun:
    """One run of a comparison."""

    name: str
    """Its directory, relative to the folder that is compared."""
    run: record.RunRecord

    @cached_property
    def measurements(self) -> Sequence[Measurement]:
        """The rows of its ``loss.csv``."""
        return read_rows(self.run.folder)[0]

    @property
    def curve(self) -> list[tuple[int, float]]:
        """``(step, validation loss)``; the loss before training, which would leave no height, is left out."""
        return [(row.step, row.validation_loss) for row in self.measurements if row.validation_loss is not None and row.step]

    @property
    def step(self) -> int | None:
        """The last step done, as far as it is known."""
        if self.run.step is not None or not self.measurements:
            return self.run.step
        return self.measurements[-1].step

    @property
    def finished(self) -> bool:
        """Whether it reached its last step."""
        return self.run.state == record.FINISHED

    @cached_property
    def loss(self) -> float | None:
        """Validation loss in nats per token: at the end, or the last that was measured."""
        result = self.run.result.get(LOSS) if self.finished else None
        if isinstance(result, (int, float)):
            return float(result)
        return next((each.validation_loss for each in reversed(self.measurements) if each.validation_loss is not None), None)

    @property
    def state(self) -> str:
        """``finished``, ``interrupted at 500``, ``running``."""
        return self.run.state if self.finished or self.step is None else f"{self.run.state} at {self.step:,}"

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Dotted key → value of its configuration."""
        return dict(leaves(self.run.content["config"]))

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """Column → value: what is known of the run, what was measured at its end, and its configuration."""
        measured = {key: each for key, each in self.run.result.items() if each is None or isinstance(each, (int, float, str))}
        known = {"run": self.name, "state": self.run.state, "step": self.step}
        return {**known, **measured, LOSS: self.loss, "device": self.run.content.get("device"), **self.config}

    @cached_property
    def conditions(self) -> Mapping[str, Any]:
        """What runs with comparable losses share: validation text, tokenizer, sequence length."""
        return {
            "validation text": self._validation_text(),
            **{key: self.config.get(key) for key in ("tokenizer.name", "tokenizer.path", "training.seq_len")},
        }

    def _validation_text(self) -> str:
        """Its name, and four digits for what is in its files, as far as that was recorded."""
        path, held_out = self.config.get("data.validation_path"), self.config.get("data.validation_fraction")
        text = path or self.config.get("data.path")
        recorded = self.run.content.get("data")
        files = [each for each in recorded if isinstance(each, Mapping)] if isinstance(recorded, Sequence) else []
        tokenizer = self.config.get("tokenizer.path") or "\0"
        pattern = Path(str(path)).name if path else "*"
        digests = "".join(
            str(each.get("digest"))
            for each in files
            if Path(str(each.get("file"))).match(pattern) and not str(each.get("file")).startswith(str(tokenizer))
        )
        name = Path(str(text)).name if text else "the Python language reference"
        digits = f" ({hashlib.blake2b(digests.encode(), digest_size=2).hexdigest()})" if digests else ""
        return f"{name}{digits}{'' if path else f', the last {held_out} of each file'}"

    def to_dict(self) -> dict[str, Any]:
        """All of it, for a program."""
        return {
            "folder": str(self.run.folder),
            "state": self.run.state,
            "step": self.step,
            "max_steps": self.config.get("training.max_steps"),
            "validation_loss": self.loss,
            "fingerprint": self.run.fingerprint,
            "reason": self.run.content.get("reason"),
            "config": self.run.content["config"],
        }
