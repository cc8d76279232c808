"""One run of a comparison: its state, its loss, and what the loss was measured on. Standard library only."""

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
    run_record: record.RunRecord

    @cached_property
    def measurements(self) -> Sequence[Measurement]:
        """The rows of its ``loss.csv``."""
        return read_rows(self.run_record.folder)[0]

    @property
    def curve(self) -> list[tuple[int, float]]:
        """``(step, validation loss)``, without the untrained model, whose loss would compress the y axis."""
        return [(row.step, row.validation_loss) for row in self.measurements if row.validation_loss is not None and row.step]

    @property
    def step(self) -> int | None:
        """The last step done; None if unknown."""
        if self.run_record.step is not None or not self.measurements:
            return self.run_record.step
        return self.measurements[-1].step

    @property
    def is_finished(self) -> bool:
        """Whether it reached its last step."""
        return self.run_record.state == record.FINISHED

    @cached_property
    def loss(self) -> float | None:
        """Validation loss in nats per token: the final one, or the last one measured; None without any."""
        result = self.run_record.result.get(LOSS) if self.is_finished else None
        if isinstance(result, (int, float)):
            return float(result)
        return next((each.validation_loss for each in reversed(self.measurements) if each.validation_loss is not None), None)

    @property
    def state(self) -> str:
        """``finished``, ``interrupted at 500``, ``running at 20``."""
        return self.run_record.state if self.is_finished or self.step is None else f"{self.run_record.state} at {self.step:,}"

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Dotted key → value of its configuration."""
        return dict(leaves(self.run_record.content["config"]))

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """Column → value: name and state of the run, its results, and its configuration."""
        measured = {
            key: each for key, each in self.run_record.result.items() if each is None or isinstance(each, (int, float, str))
        }
        known = {"run": self.name, "state": self.run_record.state, "step": self.step}
        return {**known, **measured, LOSS: self.loss, "device": self.run_record.content.get("device"), **self.config}

    @cached_property
    def loss_conditions(self) -> Mapping[str, Any]:
        """Values that must be equal to compare two losses: validation text, tokenizer, sequence length."""
        return {
            "validation text": self._validation_text(),
            **{key: self.config.get(key) for key in ("tokenizer.name", "tokenizer.path", "training.seq_len")},
        }

    def _validation_text(self) -> str:
        """The name of the validation text, and four hex digits of its files' digests, if recorded."""
        path, held_out = self.config.get("data.validation_path"), self.config.get("data.validation_fraction")
        text = path or self.config.get("data.path")
        recorded = self.run_record.content.get("data")
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
        """The run as plain values, for JSON."""
        return {
            "folder": str(self.run_record.folder),
            "state": self.run_record.state,
            "step": self.step,
            "max_steps": self.config.get("training.max_steps"),
            "validation_loss": self.loss,
            "fingerprint": self.run_record.fingerprint,
            "reason": self.run_record.content.get("reason"),
            "config": self.run_record.content["config"],
        }
