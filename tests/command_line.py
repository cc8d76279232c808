"""Runs a decorated function as a command line does, in this process."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import gpt2hydra


@dataclass
class Outcome:
    """``configs`` is what the function was called with."""

    code: int
    out: str
    err: str
    configs: list[Any] = field(default_factory=list)


class CommandLine:
    """``run("model=large", "-m")`` in an empty current directory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], folder: Path) -> None:
        self.monkeypatch, self.capfd, self.folder = monkeypatch, capfd, folder
        monkeypatch.chdir(folder)

    def __call__(self, *arguments: str, job: Callable[[Any], Any] | None = None, **options: Any) -> Outcome:
        configs: list[Any] = []

        def function(config: Any) -> Any:
            configs.append(config)
            return job(config) if job else None

        options.setdefault("config_name", "train")
        outcome = self.program(gpt2hydra.main(**options)(function), *arguments)
        outcome.configs = configs
        return outcome

    def program(self, decorated: Callable[[], Any], *arguments: str) -> Outcome:
        """Run a function that ``gpt2hydra.main`` decorates."""
        self.monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        self.capfd.readouterr()
        code = 0
        try:
            decorated()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        out, err = self.capfd.readouterr()
        return Outcome(code, out, err)

    def left_behind(self) -> list[str]:
        """Everything in the current directory."""
        return sorted(path.name for path in self.folder.iterdir())
