"""Folders that appear complete or not at all, and are seen to be damaged later."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gpt2hydra.checkpoint import atomic_directory


def write(folder: Path, content: str) -> Path:
    with atomic_directory.write_directory(folder) as unfinished:
        (unfinished / "config.json").write_text(content)
        (unfinished / "resume").mkdir()
        (unfinished / "resume/state.json").write_text(f"{content} state")
        assert folder.exists() is False or (folder / "config.json").read_text() != content
    return folder


def everything(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != atomic_directory.MANIFEST)
    return {str(file.relative_to(folder)): file.read_text() for file in files}


def contents(content: str, folder: str = "step") -> dict[str, str]:
    return {f"{folder}/config.json": content, f"{folder}/resume/state.json": f"{content} state"}


# -------------------------------------------------------------------------------------------------------------- writing


def test_a_folder_appears_once_it_is_full(tmp_path: Path) -> None:
    write(tmp_path / "run/step", "new")
    assert everything(tmp_path / "run") == contents("new")


def test_a_later_one_takes_its_place(tmp_path: Path) -> None:
    write(tmp_path / "step", "old")
    write(tmp_path / "step", "new")
    assert everything(tmp_path) == contents("new")
    assert [path.name for path in tmp_path.iterdir()] == ["step"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["disk full", "Ctrl-C"])
def test_a_failure_in_the_middle_leaves_the_former_one(error: BaseException, tmp_path: Path) -> None:
    write(tmp_path / "step", "old")
    with pytest.raises(type(error)), atomic_directory.write_directory(tmp_path / "step") as unfinished:
        (unfinished / "config.json").write_text("new")
        raise error
    assert everything(tmp_path) == contents("old")


def test_a_failure_between_the_two_renames_leaves_the_former_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "step", "old")
    rename = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if self.name.endswith("unfinished"):
            raise OSError("disk gone")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="disk gone"):
        write(tmp_path / "step", "new")
    assert everything(tmp_path) == contents("old")


def test_removing_leaves_nothing(tmp_path: Path) -> None:
    atomic_directory.remove_directory(write(tmp_path / "step", "old"))
    assert list(tmp_path.iterdir()) == []


# ----------------------------------------------------------------------------------------- after a process that was killed


def half_written(folder: Path) -> None:
    write(folder, "new")
    (folder / "resume/state.json").unlink()


@pytest.mark.parametrize(
    ("left", "then"),
    [
        pytest.param({"unfinished": half_written}, {}, id="in the middle of writing: removed"),
        pytest.param({"unfinished": lambda folder: write(folder, "new")}, contents("new"), id="before the rename: finished"),
        pytest.param({"replaced": lambda folder: write(folder, "old")}, contents("old"), id="between the renames: taken back"),
        pytest.param({"retired": lambda folder: write(folder, "old")}, {}, id="while removing: removed"),
    ],
)
def test_leftovers_are_put_right(left: dict[str, Callable[[Path], object]], then: dict[str, str], tmp_path: Path) -> None:
    for what, make in left.items():
        make(tmp_path / "elsewhere")
        (tmp_path / "elsewhere").rename(tmp_path / f".step-{what}")
    atomic_directory.recover_interrupted(tmp_path)
    assert everything(tmp_path) == then
    assert [path.name for path in tmp_path.iterdir()] == (["step"] if then else [])


# ------------------------------------------------------------------------------------------------------------ seeing it


def test_the_written_file_is_complete(tmp_path: Path) -> None:
    folder = write(tmp_path / "step", "new")
    assert (atomic_directory.is_complete(folder), atomic_directory.find_damage(folder)) == (True, None)


def lengthen(folder: Path) -> None:
    (folder / "config.json").write_text("news")


def alter(folder: Path) -> None:
    (folder / "config.json").write_text("NEW")


def lose(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def garble(folder: Path) -> None:
    (folder / atomic_directory.MANIFEST).write_text('{"files": {"config.json": 5}}')


@pytest.mark.parametrize(
    ("harm", "seen_at_once", "message"),
    [
        pytest.param(lose("resume/state.json"), True, "lacks resume/state.json", id="lost"),
        pytest.param(lengthen, True, "has 4 bytes of config.json; 3 were written", id="another size"),
        pytest.param(alter, False, "has a config.json that is not what was written: its SHA-256 differs", id="altered"),
        pytest.param(lose(atomic_directory.MANIFEST), True, "has no manifest.json", id="no manifest"),
        pytest.param(garble, True, "has a manifest.json that cannot be read", id="another manifest"),
    ],
)
def test_damage_is_reported(harm: Callable[[Path], object], seen_at_once: bool, message: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "step", "new")
    harm(folder)
    assert (atomic_directory.find_damage(folder), atomic_directory.is_complete(folder)) == (message, not seen_at_once)
