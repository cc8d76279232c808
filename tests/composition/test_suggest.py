"""A remedy that is printed cures what it is for, brings nothing new, and means what was meant; otherwise none is printed."""

from pathlib import Path

import pytest

import gpt2hydra
from gpt2hydra.config.errors import ConfigError
from tests.command_line import CommandLine
from tools.remedies import failures


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current directory with a few texts and the folder of a run."""
    monkeypatch.chdir(tmp_path)
    for name in ("x.txt", "y.txt", "a,b.txt"):
        Path(name).write_text("text", encoding="utf-8")
    Path("my run").mkdir()


def remedies(*overrides: str, name: str = "train") -> dict[str, str]:
    """Key → remedy of each violation."""
    with pytest.raises(ConfigError) as caught:
        gpt2hydra.compose(name, list(overrides))
    return {violation.key: violation.suggestion for violation in caught.value.violations}


@pytest.mark.parametrize(
    ("overrides", "remedy"),
    [
        pytest.param(["training.learning_rate=0,001"], "training.learning_rate=0.001", id="decimal comma"),
        pytest.param(["training.learning_rate=1,000"], "", id="neither 1 nor 1000 is certain"),
        pytest.param(["training.max_steps=1,000"], "training.max_steps=1000", id="comma of thousands"),
        pytest.param(["training.learning_rate=0.001,"], "training.learning_rate=0.001", id="comma at the end"),
        pytest.param(["model=large", "model.n_layer==40"], "model.n_layer=40", id="two signs, next to another size"),
        pytest.param(["dry_run=t"], "dry_run=true", id="t for true"),
        pytest.param(["data.path=a,b.txt"], "\"data.path='a,b.txt'\"", id="comma in a name"),
        pytest.param(["data.path=x.txt,y.txt"], "-m data.path=x.txt,y.txt", id="two files"),
        pytest.param(["data.path=it's(1).txt"], "'data.path='\"'\"'it\\'\"'\"'s(1).txt'\"'\"''", id="quote, parentheses"),
        pytest.param(["data.path=a&b.txt"], "\"data.path='a&b.txt'\"", id="ampersand"),
        pytest.param(["data.path=[x.txt,y.txt]"], "", id="a list is no text, and null another text"),
        pytest.param(["training.device=gpu"], "training.device=cuda", id="GPU"),
        pytest.param(["experiment=null"], '"~experiment"', id="no experiment"),
        pytest.param(["experiment=nothing"], "", id="no experiment of that name, and none is usual"),
        pytest.param(["model=small", "model.n_head=8,16"], "-m model=small model.n_head=8,16", id="-m before all overrides"),
        pytest.param(["model=small", "model.n_head=7,12"], "", id="a sweep with an invalid point"),
        pytest.param(["experiment=quickstart", "training.seq_len=x"], "training.seq_len=64", id="what fits the experiment"),
        pytest.param(["model.n_embd=50", "model.n_head=x"], "model.n_head=10", id="what divides the width"),
        pytest.param(["training.max_steps=50", "training.warmup_steps=x"], "training.warmup_steps=5", id="what ends in time"),
        pytest.param(
            ["tokenizer=gpt2", "tokenizer.path=x", "model.vocab_size=1e3"],
            "model.vocab_size=50257",
            id="as the tokenizer needs",
        ),
        pytest.param(["model.n_head=7", "model.n_embd=x"], "", id="the usual width does not go with what was typed"),
        pytest.param(["training.resum=true"], "", id="another key's default is not what was meant"),
        pytest.param(["model.n_hed=5"], "", id="what was typed does not do for the key that was meant"),
        pytest.param(["model.n_hed=8"], "model.n_head=8", id="misspelt key"),
        pytest.param(["quickstart"], "experiment=quickstart", id="option without its group"),
        pytest.param(["xl"], "model=xl", id="size without its group"),
        pytest.param(["my run"], "", id="a folder, which training does not take"),
    ],
)
def test_a_remedy_works_or_there_is_none(overrides: list[str], remedy: str) -> None:
    assert remedies(*overrides) == {overrides[-1].partition("=")[0]: remedy}


def test_a_remedy_works_with_the_experiment_that_was_meant() -> None:
    meant = {"experiment": "experiment=gpt2_124m", "model.vocab_size": "model.vocab_size=50257"}
    assert remedies("experiment=gpt2", "model.vocab_size=12.0") == meant


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        pytest.param(["model=huge"], {"checkpoint": "checkpoint=...", "model": ""}, id="group of the other program"),
        pytest.param(["checkpoint=???"], {"checkpoint": "checkpoint=..."}, id="still to be given"),
        pytest.param(
            ["my run"], {"checkpoint": "checkpoint=...", "my run": "\"checkpoint='my run'\""}, id="folder of a run by itself"
        ),
        pytest.param(
            ["checkpoint=x", "prompt=To", "be", "or", "not"], {"prompt": "\"prompt='To be or not'\""}, id="text without quotes"
        ),
        pytest.param(["checkpoint=x", "top_k=1,2"], {"top_k": "-m checkpoint=x top_k=1,2"}, id="sweep"),
    ],
)
def test_generation_has_remedies_of_its_own(overrides: list[str], expected: dict[str, str]) -> None:
    assert remedies(*overrides, name="generate") == expected


def test_a_remedy_for_each_of_several_mistakes_is_tried_without_the_others() -> None:
    assert remedies("model=large", "model.n_head=7", "model.resid_pdrop=1.5", "model.n_layer=abc", "model.n_hed=8") == {
        "model.n_layer": "model.n_layer=36",
        "model.n_head": "model.n_head=8",
        "model.resid_pdrop": "model.resid_pdrop=0.1",
        "model.n_hed": "model.n_head=8",
    }


def test_a_rule_over_a_section_without_an_option_waits_for_the_option() -> None:
    assert remedies("tokenizer=gpt2", "experiment=quickstart", "model=bytes") == {"model": ""}


def test_an_argument_after_an_unreadable_one_is_read_separately() -> None:
    assert remedies("data.path=a&", "be") == {"data.path": "\"data.path='a&'\"", "be": ""}


def test_an_override_does_not_fix_a_wrong_key_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("defaults: [train_schema, model: small, _self_]\nmodel: {n_hed: 8}\ndry_run: 3\n")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "small.yaml").write_text("n_layer: 2\n")
    with pytest.raises(ConfigError) as caught:
        gpt2hydra.compose("mine", config_dir=tmp_path)
    assert {each.key: each.suggestion for each in caught.value.violations} == {"model.n_hed": "", "dry_run": ""}


@pytest.mark.parametrize("lists", [pytest.param(12, id="few"), pytest.param(200, id="many", marks=pytest.mark.thorough)])
def test_random_remedies_pasted_into_bash_cure_what_they_name(lists: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPT2HYDRA_ERRORS", "json")
    assert list(failures(lists, seed=0)) == []


def test_the_command_line_tells_a_file_that_is_not_there_with_a_broken_rule(run: CommandLine) -> None:
    outcome = run("model.n_head=7", "data.path=nowhere.txt", "training.seed=3")
    assert outcome.err.startswith("2 problems in the configuration; nothing was started.\n\n  model.n_head = 7\n")
    assert f"\n  data.path = nowhere.txt\n    there is no such file in {run.folder}\n" in outcome.err


@pytest.mark.parametrize("more", [[], ["model.n_head=7"], ["model.n_embd=105"], ["training.log_interval=null"]])
def test_what_a_misspelt_option_demands_is_reported_with_it(run: CommandLine, more: list[str]) -> None:
    err = run("experiment=gpt2", *more).err  # gpt2_124m, for which the text that is built in is too short
    assert "    try: experiment=gpt2_124m\n" in err and "  data.path = null\n    is too short" in err
    assert err.count("training.seq_len=") == 1  # no remedy of another key has that of the text


def test_a_remedy_is_tried_without_the_overrides_of_a_rule_over_two_keys(run: CommandLine) -> None:
    err = run("model.n_embd=7", "+data.validation_path=;)").err
    assert "    try: model.n_head=7\n" in err
    assert "data.validation_path=';)'" not in err  # there is no such file
