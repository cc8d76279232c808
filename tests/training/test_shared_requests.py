"""What is asked of a run besides its steps."""

import signal
import time
from dataclasses import replace

import pytest

pytest.importorskip("torch")

import torch

from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.training.fabric import setup_fabric
from gpt2hydra.training.shared_requests import Requests, SharedRequests
from gpt2hydra.training.signals import TIME_LIMIT, Signals, StopRequested

SETTINGS = TrainingConfig(device="cpu")


def requests(settings: TrainingConfig = SETTINGS, signals: Signals | None = None, hours: float = 0) -> SharedRequests:
    """Those of a run that began ``hours`` ago."""
    fabric = setup_fabric(settings, torch.device("cpu"))
    return SharedRequests(fabric, settings, signals or Signals(), time.monotonic() - 3600 * hours)


def test_nothing_is_asked_of_a_run_without_signals_and_limits() -> None:
    asked = requests(hours=1000)
    asked.start()
    assert asked.wait() == Requests(stop=0, save=0)
    asked.stop_if_requested()


def test_a_signal_stops_before_the_limit_of_time() -> None:
    signals, limited = Signals(), replace(SETTINGS, max_hours=1)
    asked = requests(limited, signals, hours=2)
    with pytest.raises(StopRequested) as by_clock:
        asked.stop_if_requested()
    signals.received = signal.SIGTERM
    with pytest.raises(StopRequested) as by_signal:
        asked.stop_if_requested()
    assert (by_clock.value.signum, by_signal.value.signum) == (TIME_LIMIT, signal.SIGTERM)


def test_a_checkpoint_is_due_until_one_was_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, now = requests(replace(SETTINGS, save_minutes=1)), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 90)
    assert asked.wait() == Requests(stop=0, save=1)
    asked.restart_save_clock()
    assert asked.wait() == Requests()
