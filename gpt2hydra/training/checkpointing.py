"""Save the checkpoints of a run in training, add their validation losses, and prune them."""

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
    """Writes the checkpoints of a run on rank 0; the other ranks wait for it.

    A checkpoint is saved before its evaluation, so that nothing is lost if that is interrupted. Older ones
    are removed when the new one is known not to have diverged: after its evaluation, or before the next save.
    """

    def __init__(
        self, config: TrainConfig, folder: Path, fabric: Fabric, tokenizer: Tokenizer, last: CheckpointInfo | None
    ) -> None:
        """Begin with the checkpoints in ``folder``.

        Args:
            last: the checkpoint that the run begins from, its own or another run's.
        """
        self.config, self.folder, self.fabric, self.tokenizer = config, folder, fabric, tokenizer
        self.last, self._previous = last, last

    @property
    def last_folder(self) -> Path | None:
        """The folder of the last checkpoint; None if there is none yet."""
        return None if self.last is None else self.last.folder

    def has(self, step: int) -> bool:
        """Whether the last checkpoint is that of ``step`` of this run."""
        return self.last is not None and self.last.folder == run_checkpoints.checkpoint_dir(self.folder, step)

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Save what :meth:`gpt2hydra.training.trainer.Trainer.state_dict` returned as a checkpoint."""
        folder = run_checkpoints.checkpoint_dir(self.folder, step)
        if self.fabric.is_global_zero:
            model_files.save(
                *(folder, state["model"], self.tokenizer, self.config, step),
                optimizer=state["optimizer"],
                loop_state=state["loop"],
            )
        self.fabric.barrier()
        self.last, self._previous = CheckpointInfo(folder, step, None), self.last

    def set_validation_loss(self, loss: float) -> None:
        """Write the validation loss of the last checkpoint into it."""
        assert self.last is not None
        if self.fabric.is_global_zero:
            run_checkpoints.add_validation_loss(self.last, loss)
        self.last = replace(self.last, validation_loss=loss)

    def prune(self) -> None:
        """Remove the checkpoints that ``keep_checkpoints`` and ``keep_every`` do not keep."""
        if self.fabric.is_global_zero:
            run_checkpoints.prune(self.folder, self.config.training.keep_checkpoints, self.config.training.keep_every)

    def discard(self) -> None:
        """Remove the last checkpoint, unless its loss is known. The previous one is then the last again.

        If its validation loss is known, its weights are good: the data of the next step are the cause.
        """
        assert self.last is not None
        if self.last.validation_loss is not None:
            return
        if self.fabric.is_global_zero:
            atomic_directory.remove_directory(self.last.folder)
        self.last = self._previous
