"""Whether progress is shown."""

import sys

import pytest

from gpt2hydra.utils.verbosity import is_quiet, print_note, quiet, show_counter


def test_quiet_prints_no_notes(capsys: pytest.CaptureFixture[str]) -> None:
    print_note("importing PyTorch ...")
    with quiet():
        assert is_quiet()
        with quiet():
            print_note("nothing")
        print_note("nothing")
    assert not is_quiet()
    assert capsys.readouterr().err == "importing PyTorch ...\n"


def test_a_terminal_shows_how_many_of_many_items_are_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [*range(1000)]
    assert [*show_counter(items, "checking point")] == items
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert [*show_counter(items[:199], "checking point")] == items[:199]
    assert capsys.readouterr().err == ""
    assert [*show_counter(items, "checking point")] == items
    shown = capsys.readouterr().err.split("\r")
    assert (shown[1], shown[-2:]) == ("checking point 1 of 1,000", ["checking point 991 of 1,000", "\x1b[K"])
    with quiet():
        assert [*show_counter(items, "checking point")] == items
    assert capsys.readouterr().err == ""
