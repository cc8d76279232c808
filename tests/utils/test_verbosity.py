"""Whether progress is shown."""

import sys

import pytest

from gpt2hydra.utils.verbosity import is_quiet, note, quiet, with_counter


def test_notes_are_left_out_where_it_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    note("importing PyTorch ...")
    with quiet():
        assert is_quiet()
        with quiet():
            note("nothing")
        note("nothing")
    assert not is_quiet()
    assert capsys.readouterr().err == "importing PyTorch ...\n"


def test_a_terminal_shows_how_many_of_many_items_are_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [*range(1000)]
    assert [*with_counter(items, "checking point")] == items
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert [*with_counter(items[:199], "checking point")] == items[:199]
    assert capsys.readouterr().err == ""
    assert [*with_counter(items, "checking point")] == items
    shown = capsys.readouterr().err.split("\r")
    assert (shown[1], shown[-2:]) == ("checking point 1 of 1,000", ["checking point 991 of 1,000", "\x1b[K"])
    with quiet():
        assert [*with_counter(items, "checking point")] == items
    assert capsys.readouterr().err == ""
