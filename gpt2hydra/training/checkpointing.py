"""The checkpoints of a run in training: saved, completed with their validation loss, pruned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from gpt2hydra.checkpoint import atomic_directory, model_files, run_checkpoints
from gpt2hydra.checkpoint.run_checkpoints import CheckpointInfo
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.data.tokenizer import Tokenizer


class Checkpointer:
    """Writes the checkpoints of a run, in the first of its processes; the others wait for it.

    A checkpoint is saved before its evaluation, so that nothing is lost if that is interrupted. Older ones
    are removed when the new one is known not to have diverged: after its evaluation, or before the next one.
    """

    def __init__(
        self, config: TrainConfig, folder: Path, fabric: Fabric, tokenizer: Tokenizer, last: CheckpointInfo | None
    ) -> None:
        """Args: last: the checkpoint that the run begins from, its own or another run's."""
        self.config, self.folder, self.fabric, self.tokenizer = config, folder, fabric, tokenizer
        self.last, self._before = last, last

    @property
    def last_folder(self) -> Path | None:
        """Of the last checkpoint; None where there is none yet."""
        return None if self.last is None else self.last.folder

    def has(self, step: int) -> bool:
        """Whether this step of this run is saved."""
        return self.last is not None and self.last.folder == run_checkpoints.place(self.folder, step)

    def save(self, step: int, state: dict[str, Any]) -> None:
        """A checkpoint of what :meth:`gpt2hydra.training.trainer.Trainer.state_dict` returned."""
        folder = run_checkpoints.place(self.folder, step)
        if self.fabric.is_global_zero:
            model_files.save(
                *(folder, state["model"], self.tokenizer, self.config, step),
                optimizer=state["optimizer"],
                loop_state=state["loop"],
            )
        self.fabric.barrier()
        self.last, self._before = CheckpointInfo(folder, step, None), self.last

    def evaluated(self, loss: float) -> None:
        """The last checkpoint has this validation loss."""
        assert self.last is not None
        if self.fabric.is_global_zero:
            run_checkpoints.add_validation_loss(self.last, loss)
        self.last = replace(self.last, validation_loss=loss)

    def prune(self) -> None:
        """Remove what ``keep_checkpoints`` and ``keep_every`` do not keep."""
        if self.fabric.is_global_zero:
            run_checkpoints.prune(self.folder, self.config.training.keep_checkpoints, self.config.training.keep_every)

    def discard(self) -> None:
        """Remove the last checkpoint, whose weights diverged. The one before it is the last again.

        One whose validation loss is known is kept: its weights are sound, and a batch of the next step was
        not.
        """
        assert self.last is not None
        if self.last.validation_loss is not None:
            return
        if self.fabric.is_global_zero:
            atomic_directory.remove(self.last.folder)
        self.last = self._before
