"""The processes of a run: which of them this is, what rank 0 decides for all, and which one prints.

``torchrun`` starts them and sets their ranks in the environment. Standard library only, except for
:func:`rendezvous_store`, which imports torch.
"""

from __future__ import annotations

import json
import math
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from typing import Any

from gpt2hydra.config.errors import ABSENT, ConfigError, Violation
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.invocation import torchrun_command


@dataclass(frozen=True)
class Process:
    """One of the processes of a run."""

    rank: int = 0
    """Its number among all processes. Rank 0 writes and prints."""
    local_rank: int = 0
    """Its number among the processes of its machine."""
    world_size: int = 1
    """The number of all processes."""
    local_world_size: int = 1
    """The number of processes of its machine."""

    @property
    def is_rank_zero(self) -> bool:
        """Whether this process writes the run directory and prints."""
        return self.rank == 0


SINGLE_PROCESS = Process()


def this_process(environment: Mapping[str, str] = os.environ) -> Process:
    """The process that this is, by torchrun's environment variables; without torchrun, the only one.

    Raises:
        ConfigError: another launcher started several, or torchrun's variables are invalid.
    """
    violation = _check_other_launcher(environment)
    if violation is not None:
        raise ConfigError([violation])
    if "TORCHELASTIC_RUN_ID" not in environment:
        return SINGLE_PROCESS
    wrong = [*_check_torchrun_variables(environment)]
    if wrong:
        raise ConfigError(wrong)
    return Process(*(int(environment[name]) for name in RANK_AND_SIZE))


RANK_AND_SIZE = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
"""Environment variables that torchrun sets, in the order of the fields of :class:`Process`."""


def _check_torchrun_variables(environment: Mapping[str, str]) -> Iterator[Violation]:
    """Yield the violations of torchrun's variables, which a script may have overwritten."""
    for name in RANK_AND_SIZE:
        value, least = environment.get(name, ""), 1 if name.endswith("SIZE") else 0
        if not (value.isdecimal() and int(value) >= least):
            yield Violation(name, value or ABSENT, f"must be a number ≥ {least}, which torchrun sets")
    if environment.get("WORLD_SIZE") != "1":
        for name in ("MASTER_ADDR", "MASTER_PORT"):
            if not environment.get(name):
                yield Violation(name, ABSENT, "must be that of the first process, which torchrun sets")


def _check_other_launcher(environment: Mapping[str, str]) -> Violation | None:
    """Return the violation if another launcher than torchrun is used for several processes, else None."""
    if "ACCELERATE_MIXED_PRECISION" in environment:
        rule = f"is not supported: its processes and precision are not read; start several with {torchrun_command('N')}"
        return Violation("accelerate launch", rule=rule)
    if "TORCHELASTIC_RUN_ID" in environment:
        return None
    for name, launcher in LAUNCHERS.items():
        world_size = environment.get(name, "1")
        if world_size.isdecimal() and int(world_size) > 1:
            each = f"srun --ntasks-per-node=1 {torchrun_command('N')}" if launcher == "srun" else torchrun_command(world_size)
            return Violation(
                name, int(world_size), f"processes were started by {launcher}, and would not share the run; type: {each}"
            )
    return None


LAUNCHERS = {
    "WORLD_SIZE": "something else than torchrun",
    "SLURM_STEP_NUM_TASKS": "srun",
    "OMPI_COMM_WORLD_SIZE": "mpirun",
    "PMI_SIZE": "mpirun",
}
"""Environment variable with the number of processes → the launcher that sets it."""


def check_equal_shares(config: TrainConfig, world_size: int) -> list[Violation]:
    """Check that ``world_size`` processes can share a step equally, and that FSDP has several."""
    training = config.training
    if world_size == 1 and training.strategy == "fsdp" and not config.dry_run:  # a dry run may plan for several
        key, rule = "training.strategy", "shards a model among processes, and this is the only one; start several with "
        return [Violation(key, training.strategy, rule + torchrun_command("N"), remedy={key: "auto"})]
    if training.sequences_per_step % world_size == 0:
        return []
    unit = world_size // math.gcd(world_size, training.gradient_accumulation_steps)
    below, above = training.batch_size // unit * unit, (training.batch_size // unit + 1) * unit
    nearest = [each for each in (below, above) if each]
    rule = (
        f"times training.gradient_accumulation_steps = {training.gradient_accumulation_steps} makes "
        f"{training.sequences_per_step:,} sequences a step, which {world_size} processes cannot share equally "
        f"(nearest: {', '.join(map(str, nearest))})"
    )
    return [Violation("training.batch_size", training.batch_size, rule, remedy={"training.batch_size": nearest[0]})]


def check_world_size(process: Process, config: Checked) -> list[Violation]:
    """Check that ``config`` can run in the number of processes that there are."""
    if isinstance(config, TrainConfig):
        return check_equal_shares(config, process.world_size)
    if process.world_size > 1:
        return [Violation("torchrun", rule=f"started {process.world_size} processes; this program runs in one")]
    return []


# ----------------------------------------------------------------------------------------------------- what rank 0 decides


def decide_on_rank_zero(process: Process, decide: Callable[[], Any]) -> Any:
    """Call ``decide`` on rank 0. Return its result, plain values that JSON can hold, on every rank.

    Raises:
        ConfigError: raised by ``decide``, on rank 0.
        SystemExit: 1, on the other ranks, if ``decide`` raised on rank 0.
    """
    if process.world_size == 1:
        return decide()
    store = rendezvous_store()
    if not process.is_rank_zero:
        decided = json.loads(store.get("decided"))
        if decided is None:
            raise SystemExit(1)
        return decided[0]
    try:
        decision = decide()
    except BaseException:
        store.set("decided", "null")
        raise
    store.set("decided", json.dumps([decision]))
    return decision


@cache
def rendezvous_store() -> Any:
    """torchrun's key-value store, at ``MASTER_ADDR:MASTER_PORT``. Cached, because rank 0 may host it."""
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]  # public, and not in its __all__
    from torch.distributed.rendezvous import rendezvous

    store, _, _ = next(rendezvous("env://"))
    return PrefixStore("gpt2hydra", store)


# ------------------------------------------------------------------------------------------------------ which one prints


@contextmanager
def rank_zero_output(process: Process) -> Iterator[None]:
    """Context manager: only rank 0 prints. Another rank's ConfigError is reported if rank 0 raised none.

    Any other error is reported with its traceback, on every rank."""
    if process.is_rank_zero:
        yield
        return
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            yield
    except ConfigError:
        time.sleep(RANK_EXIT_SECONDS)  # if rank 0 raised one too, torchrun ends this process meanwhile
        sys.stderr.write(f"In process {process.rank} of {process.world_size}, on {socket.gethostname()}:\n")
        raise


RANK_EXIT_SECONDS = 3.0
"""Another rank waits for this time before it reports an error that rank 0 may report too.

torchrun checks ten times a second whether a process has failed, then ends the others of its machine.
"""
