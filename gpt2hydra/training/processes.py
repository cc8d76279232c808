"""The processes that share a run: which of them this is, what they agree on, and which one speaks.

``torchrun`` starts them and says in the environment who is who. Standard library only, until they have
something to agree on.
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
from gpt2hydra.utils.invocation import torchrun


@dataclass(frozen=True)
class Process:
    """One of the processes of a run."""

    rank: int = 0
    """Its number among all of them; the first writes and speaks."""
    local_rank: int = 0
    """Its number among those of its machine."""
    count: int = 1
    """All of them."""
    local_count: int = 1
    """Those of its machine."""

    @property
    def first(self) -> bool:
        """Whether this one writes the run's directory."""
        return self.rank == 0


ALONE = Process()


def this_process(environment: Mapping[str, str] = os.environ) -> Process:
    """Which of the processes of a run this is: what torchrun says, or the only one.

    Raises:
        ConfigError: several were started by something else.
    """
    several = _started_by_another(environment)
    if several is not None:
        raise ConfigError([several])
    if "TORCHELASTIC_RUN_ID" not in environment:
        return ALONE
    wrong = [*_wrong_in_torchruns(environment)]
    if wrong:
        raise ConfigError(wrong)
    return Process(*(int(environment[name]) for name in RANK_AND_SIZE))


RANK_AND_SIZE = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
"""What torchrun sets, in the order of the fields of :class:`Process`."""


def _wrong_in_torchruns(environment: Mapping[str, str]) -> Iterator[Violation]:
    """What cannot be used of the variables that torchrun sets, as where a script exports some of its own."""
    for name in RANK_AND_SIZE:
        value, least = environment.get(name, ""), 1 if name.endswith("SIZE") else 0
        if not (value.isdecimal() and int(value) >= least):
            yield Violation(name, value or ABSENT, f"must be a number ≥ {least}, which torchrun sets")
    if environment.get("WORLD_SIZE") != "1":
        for name in ("MASTER_ADDR", "MASTER_PORT"):
            if not environment.get(name):
                yield Violation(name, ABSENT, "must be that of the first process, which torchrun sets")


def _started_by_another(environment: Mapping[str, str]) -> Violation | None:
    """The violation of processes that know nothing of each other, or whose settings nobody would read."""
    if "ACCELERATE_MIXED_PRECISION" in environment:
        rule = f"is not read here, neither its number of processes nor its precision; several are started by {torchrun('N')}"
        return Violation("accelerate launch", rule=rule)
    if "TORCHELASTIC_RUN_ID" in environment:
        return None
    for name, launcher in LAUNCHERS.items():
        count = environment.get(name, "1")
        if count.isdecimal() and int(count) > 1:
            each = f"srun --ntasks-per-node=1 {torchrun('N')}" if launcher == "srun" else torchrun(count)
            return Violation(
                name, int(count), f"processes were started by {launcher}, and would not share the run; type: {each}"
            )
    return None


LAUNCHERS = {
    "WORLD_SIZE": "something else than torchrun",
    "SLURM_STEP_NUM_TASKS": "srun",
    "OMPI_COMM_WORLD_SIZE": "mpirun",
    "PMI_SIZE": "mpirun",
}
"""Environment variable with the number of processes → who sets it."""


def check_equal_shares(config: TrainConfig, count: int) -> list[Violation]:
    """Why ``count`` processes cannot share the steps of ``config``: each must get as many sequences."""
    training = config.training
    if count == 1 and training.strategy == "fsdp" and not config.dry_run:  # a plan may be for many
        key, rule = "training.strategy", "shares a model among processes, and this is one; several are started by "
        return [Violation(key, training.strategy, rule + torchrun("N"), remedy={key: "auto"})]
    if training.sequences_per_step % count == 0:
        return []
    unit = count // math.gcd(count, training.gradient_accumulation_steps)
    below, above = training.batch_size // unit * unit, (training.batch_size // unit + 1) * unit
    nearest = [each for each in (below, above) if each]
    rule = (
        f"times training.gradient_accumulation_steps = {training.gradient_accumulation_steps} makes "
        f"{training.sequences_per_step:,} sequences a step, which {count} processes cannot share equally "
        f"(nearest: {', '.join(map(str, nearest))})"
    )
    return [Violation("training.batch_size", training.batch_size, rule, remedy={"training.batch_size": nearest[0]})]


def check_world_size(process: Process, config: Checked) -> list[Violation]:
    """What is wrong with running ``config`` in as many processes as there are."""
    if isinstance(config, TrainConfig):
        return check_equal_shares(config, process.count)
    if process.count > 1:
        return [Violation("torchrun", rule=f"started {process.count} processes; this is the work of one")]
    return []


# ------------------------------------------------------------------------------------------------------ what they agree on


def agree(process: Process, decide: Callable[[], Any]) -> Any:
    """What ``decide`` returns in the first process, in all of them. Plain values that JSON can hold.

    Raises:
        ConfigError: of ``decide``, in the first process.
        SystemExit: 1, in the others, where the first refused.
    """
    if process.count == 1:
        return decide()
    store = rendezvous_store()
    if not process.first:
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
    """torchrun's store of keys and values. One a process, for the first may serve it."""
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]  # public, and not in its __all__
    from torch.distributed.rendezvous import rendezvous

    store, _, _ = next(rendezvous("env://"))
    return PrefixStore("gpt2hydra", store)


# ------------------------------------------------------------------------------------------------------------ who speaks


@contextmanager
def rank_zero_output(process: Process) -> Iterator[None]:
    """Within, only the first process prints. A refusal of another is reported if the first has none.

    An error that is no refusal leaves with its traceback, whichever process it is in.
    """
    if process.first:
        yield
        return
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            yield
    except ConfigError:
        time.sleep(PATIENCE)  # where the first refused too, torchrun ends this process meanwhile
        sys.stderr.write(f"In process {process.rank} of {process.count}, on {socket.gethostname()}:\n")
        raise


PATIENCE = 3.0
"""Seconds. torchrun looks ten times a second whether a process has failed, and ends the others."""
