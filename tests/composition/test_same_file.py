"""The same file means the same: alone or with others, from Python or from the command line, whatever chose it."""

import os
from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore

import gpt2hydra
from gpt2hydra import ConfigError
from gpt2hydra.composition.hydra_compat import HYDRA, store_config
from tests.command_line import CommandLine

PRIMARY = """\
defaults:
  - train_schema
  - model: mine
  - _self_
  - experiment: null
"""


def write(folder: Path, **files: str) -> Path:
    """``model__mine`` is ``model/mine.yaml``."""
    for name, content in {"mine": PRIMARY, "model__mine": "n_layer: 2\n", **files}.items():
        file = folder / f"{name.replace('__', '/')}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return folder


def refused(folder: Path, *overrides: str) -> list[str]:
    """``key = value: rule`` of each violation."""
    with pytest.raises(ConfigError) as caught:
        gpt2hydra.compose("mine", list(overrides), config_dir=folder)
    return [f"{each.head}: {each.rule}" for each in caught.value.violations]


# ---------------------------------------------------------------------------------------------- what YAML reads otherwise


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("n_head: 014\n", id="plain"),
        pytest.param("n_head: &x 014\n", id="anchor"),
        pytest.param("n_head:\n  014\n", id="next line"),
        pytest.param('{"n_head":014}\n', id="flow mapping"),
        pytest.param("n_head: !!int 014\n", id="tag"),
        pytest.param("n_layer: &x 014\nn_head: *x\n", id="alias"),
        pytest.param("<<: {n_head: 014}\n", id="merged"),
    ],
)
def test_a_number_of_base_8_is_reported_however_it_is_written(text: str, tmp_path: Path) -> None:
    assert "model.n_head = 014: YAML reads it as 12; in the file, write 14" in refused(write(tmp_path, model__mine=text))


@pytest.mark.parametrize("text", ["path: &a no\n", "path:\n  no\n", '{"path":no}\n', "path: !!bool no\n"])
def test_a_text_that_is_read_as_something_else_is_reported_however_it_is_written(text: str, tmp_path: Path) -> None:
    primary = PRIMARY + "data:\n" + "".join(f"  {line}\n" for line in text.splitlines())
    rule = "data.path = no: is text, but YAML reads it as false; in the file, put it in quotes: 'no'"
    assert refused(write(tmp_path, mine=primary)) == [rule]


def test_a_number_with_a_tag_and_in_quotes_is_reported_too(tmp_path: Path) -> None:
    assert refused(write(tmp_path, model__mine="n_layer: !!int '014'\n")) == [
        "model.n_layer = 014: YAML reads it as 12; in the file, write 14"
    ]


def test_a_file_behind_a_linked_folder_is_read_as_any_other(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", model__mine="n_layer: 014\n")
    conf = write(tmp_path / "conf")
    (conf / "model/mine.yaml").unlink()
    (conf / "model").rmdir()
    (conf / "model").symlink_to(tmp_path / "elsewhere/model")
    assert refused(conf) == ["model.n_layer = 014: YAML reads it as 12; in the file, write 14"]
    (tmp_path / "elsewhere/model/mine.yaml").write_text("n_layer: 14\n")
    assert gpt2hydra.compose("mine", config_dir=conf).model.n_layer == 14


def test_an_odd_file_with_those_that_are_chosen_changes_nothing(tmp_path: Path) -> None:
    conf = write(tmp_path, model__other="n_layer: 014\nname: no\n", unused="a: 1:30\nb: ???\n")
    assert gpt2hydra.compose("mine", config_dir=conf).model.n_layer == 2


@pytest.mark.parametrize("text", ["n_layer: 2\nn_layer: 3\n", "{n_layer: 2, 'n_layer': 3}\n", "n_layer: 2\nn_layer: 2\n"])
def test_a_duplicate_key_is_reported(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml:\d\n.*has the key n_layer twice"):
        gpt2hydra.compose("mine", config_dir=write(tmp_path, model__mine=text))


def test_an_alias_bomb_is_refused_by_its_size(tmp_path: Path) -> None:
    lines = ["x: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]"]
    lines += [f"x{n}: &a{n} [{', '.join([f'*a{n - 1 if n else str()}'] * 9)}]" for n in range(7)]
    with pytest.raises(ConfigError, match=r"mine\.yaml:1\n.*expand 26 values to 54,481,013; the limit is 10,000"):
        gpt2hydra.compose("mine", config_dir=write(tmp_path, model__mine="\n".join(lines)))


def test_a_file_that_contains_itself_is_reported_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml:2\n.*contains itself through the anchor \(&name\) at this line"):
        gpt2hydra.compose("mine", config_dir=write(tmp_path, model__mine="n_layer: 2\nn_head: &m\n  a: *m\n"))


def test_what_cannot_be_chosen_neither_stops_nor_slows(tmp_path: Path) -> None:
    conf = write(tmp_path)
    os.mkfifo(conf / "model/pipe.yaml")
    (conf / "model/.#mine.yaml").symlink_to("somebody@host.123:456")  # Emacs's lock
    (conf / "model/unreadable.yaml").write_bytes(b"\xff\xfe\x00")
    assert gpt2hydra.compose("mine", config_dir=conf).model.n_layer == 2
    assert gpt2hydra.compose("mine", ["model.n_layer=3"], config_dir=conf).model.n_layer == 3
    assert refused(conf, "model.n_layer=0") == ["model.n_layer = 0: must be ≥ 1 and ≤ 10,000"]


def test_a_node_that_is_stored_again_is_what_hydra_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = write(tmp_path)
    monkeypatch.setitem(ConfigStore.instance().repo, "model", {})  # gone after the test
    store_config("gpt2test_stored", {"n_layer": 3}, "model")
    assert gpt2hydra.compose("mine", ["model=gpt2test_stored"], config_dir=conf).model.n_layer == 3
    store_config("gpt2test_stored", {"n_layer": 5}, "model")
    assert gpt2hydra.compose("mine", ["model=gpt2test_stored"], config_dir=conf).model.n_layer == 5
    with pytest.raises(ConfigError, match=r"was 5, the ConfigStore: model/gpt2test_stored"):
        gpt2hydra.compose("mine", ["model=gpt2test_stored", "model.n_layer=x"], config_dir=conf)


# --------------------------------------------------------------------------------------------------- Hydra's own section

EXPERIMENT = "# @package _global_\nhydra: {job: {chdir: maybe}}\n"


def test_a_wrong_section_of_hydras_own_counts_from_python_too(tmp_path: Path) -> None:
    conf = write(tmp_path, experiment__a=EXPERIMENT)
    (reported,) = refused(conf, "experiment=a")
    assert reported.startswith("hydra.job.chdir = maybe: is not accepted by Hydra: ")
    assert gpt2hydra.compose("mine", config_dir=conf).model.n_layer == 2


def test_a_choice_of_hydras_own_without_override_is_refused_from_python_too(tmp_path: Path) -> None:
    conf = write(tmp_path)
    primary = conf / "mine.yaml"
    primary.write_text(primary.read_text().replace("_self_", "hydra/job_logging: none\n  - _self_"))
    (reported,) = refused(conf)
    assert "override hydra/job_logging: none" in reported


def test_a_right_section_of_hydras_own_is_no_obstacle(tmp_path: Path) -> None:
    text = "# @package _global_\nhydra: {job: {chdir: true}, sweep: {dir: x}}\nmodel: {n_layer: 4}\n"
    assert gpt2hydra.compose("mine", ["experiment=a"], config_dir=write(tmp_path, experiment__a=text)).model.n_layer == 4


def test_a_wrong_section_of_hydras_own_stops_a_sweep_before_its_first_job(run: CommandLine) -> None:
    write(run.folder / "conf", experiment__a=EXPERIMENT, experiment__b="# @package _global_\nmodel: {n_layer: 4}\n")
    outcome = run("-m", "experiment=b,a", config_path=run.folder / "conf", config_name="mine")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], ["conf"])
    assert "1 of 2 points is invalid" in outcome.err and "hydra.job.chdir = maybe" in outcome.err


def test_a_wrong_section_of_hydras_own_is_reported_once(run: CommandLine) -> None:
    write(run.folder / "conf", experiment__a=EXPERIMENT)
    outcome = run("experiment=a", config_path=run.folder / "conf", config_name="mine")
    assert (outcome.code, outcome.configs, run.left_behind()) == (1, [], ["conf"])
    assert outcome.err.startswith("1 problem ") and "    set by conf/experiment/a.yaml:" in outcome.err


def test_only_the_primary_config_can_ask_for_a_sweep(run: CommandLine) -> None:
    write(run.folder / "conf", experiment__a="# @package _global_\nhydra: {mode: MULTIRUN}\n")
    paths: Any = {"config_path": run.folder / "conf", "config_name": "mine"}
    outcome = run("experiment=a", "training.seed=1,2", **paths)
    assert len(outcome.configs) == (2 if HYDRA < (1, 4) else 0)
    if HYDRA >= (1, 4):
        assert (outcome.code, run.left_behind()) == (1, ["conf"])
        assert "  hydra.mode = MULTIRUN\n" in outcome.err and "set by conf/experiment/a.yaml:2\n" in outcome.err
    assert len(run("-m", "experiment=a", "training.seed=1,2", **paths).configs) == 2


# ------------------------------------------------------------------------------------------------------- hydra.searchpath


@pytest.fixture
def searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A primary config next to a folder ``more`` with options that only ``hydra.searchpath`` finds."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "more", model__far="n_layer: 7\n", extra__on="# @package _global_\nmodel: {n_head: 4}\n")
    (tmp_path / "more/mine.yaml").unlink()
    return write(tmp_path / "conf", mine=PRIMARY + "  - extra: null\n")


def test_a_refusal_sees_the_folders_of_the_command_line(searched: Path) -> None:
    found = refused(searched, "hydra.searchpath=[more]", "model=far", "extra=on", "model.n_layer=x")
    assert found == ["model.n_layer = x: must be an integer ≥ 1 and ≤ 10,000, not text"]


def test_options_in_other_folders_are_suggested(searched: Path) -> None:
    found = refused(searched, "hydra.searchpath=[more]", "model=fra")
    assert found == ["model = fra: must be one of far, mine"]


def test_a_refusal_sees_the_folders_that_a_file_names(searched: Path) -> None:
    primary = (searched / "mine.yaml").read_text() + "hydra: {searchpath: [more]}\n"
    (searched / "mine.yaml").write_text(primary)
    assert gpt2hydra.compose("mine", ["model=far", "extra=on"], config_dir=searched).model.n_layer == 7
    found = refused(searched, "model=far", "extra=on", "model.n_layer=x")
    assert found == ["model.n_layer = x: must be an integer ≥ 1 and ≤ 10,000, not text"]


def test_a_package_on_the_search_path_is_read_as_any_folder(
    searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "more").rename(tmp_path / "gpt2test_package")
    for folder in ("", "model", "extra"):
        (tmp_path / "gpt2test_package" / folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    override = "hydra.searchpath=[pkg://gpt2test_package]"
    assert gpt2hydra.compose("mine", [override, "model=far"], config_dir=searched).model.n_layer == 7
    (tmp_path / "gpt2test_package/model/far.yaml").write_text("n_layer: 014\n")
    assert refused(searched, override, "model=far") == ["model.n_layer = 014: YAML reads it as 12; in the file, write 14"]


def test_a_run_with_a_relative_folder_records_who_set_what_after_it_changed_directory(searched: Path, run: CommandLine) -> None:
    from gpt2hydra.composition.job import set_by

    recorded: list[Any] = []
    outcome = run(
        "hydra.searchpath=[more]",
        "model=far",
        "hydra.job.chdir=true",
        config_path=searched,
        config_name="mine",
        job=lambda config: recorded.append((os.getcwd(), set_by(config))),
    )
    assert outcome.code == 0, outcome.err
    folder, reported = recorded[0]
    assert folder.startswith(str(run.folder / "outputs"))
    assert reported["model.n_layer"][0]["source"]["file"] == "more/model/far.yaml"


# ------------------------------------------------------------------------------------------------------ a job that runs


def test_composing_within_a_job_refers_to_that_job(run: CommandLine) -> None:
    composed: list[tuple[int, int]] = []

    def job(config: Any) -> None:
        within = gpt2hydra.compose("train", ["training.seed=${hydra:job.num}", "hardware.name=${hydra:job.name}"])
        composed.append((config.training.seed, within.training.seed))

    outcome = run("-m", "training.seed=${hydra:job.num}", "model.n_head=4,6", job=job)
    assert (outcome.code, composed) == (0, [(0, 0), (1, 1)])
