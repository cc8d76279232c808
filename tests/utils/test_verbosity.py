"""Whether progress is shown."""

import pytest

from gpt2hydra.utils.verbosity import is_quiet, note, quiet


def test_notes_are_left_out_where_it_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    note("importing PyTorch ...")
    with quiet():
        assert is_quiet()
        with quiet():
            note("nothing")
        note("nothing")
    assert not is_quiet()
    assert capsys.readouterr().err == "importing PyTorch ...\n"
