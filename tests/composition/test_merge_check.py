"""What the schema cannot hold is reported where it stands; what is offered instead is what was meant."""

from dataclasses import dataclass
from pathlib import Path

import pytest

import gpt2hydra
from gpt2hydra.composition.merge_check import is_modelled
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import GenerateConfig, TrainConfig
from gpt2hydra.fields import Checked, computed, flag, integer, items, section, text

PRIMARY = "defaults: [t_schema, {a: small}, _self_, {experiment: null}]\n"


@dataclass(frozen=True)
class Inner(Checked):
    p: int = integer(1, "p", at_least=0)


@dataclass(frozen=True)
class Section(Checked):
    x: int = integer(3, "x", at_least=0)
    f: bool = flag(False, "f")
    s: str = text("", "s")
    inner: Inner = section(Inner, "inner")


@dataclass(frozen=True)
class Small(Checked):
    n: int = integer(1, "n", at_least=0)
    t: str = text("", "t")
    a: Section = section(Section, "a")
    inverse: float = computed(lambda n: 1 / n, "1 / n", "n")


@dataclass(frozen=True)
class Listed(Small):
    sizes: tuple[int, ...] = items(integer(at_least=0), "sizes", default=(1, 2))


def violations(folder: Path, *overrides: str, config_class: type[Small] = Small, **files: str) -> dict[str, Violation]:
    """Key → violation of a ``conf/`` with these files, ``a__small`` for ``a/small.yaml``."""
    for name, content in {"t": PRIMARY, "a__small": "x: 7\n", **files}.items():
        file = folder / f"{name.replace('__', '/')}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        gpt2hydra.compose("t", list(overrides), config_dir=folder, config_class=config_class)
    return {each.key: each for each in caught.value.violations}


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        pytest.param("a.x==40", "a.x=40", id="two signs"),
        pytest.param("a.x=40;", "a.x=40", id="semicolon"),
        pytest.param("n =3;", "n=3", id="space before the sign"),
        pytest.param("a.x=abc", "a.x=7", id="what is in force, where nothing else is certain"),
        pytest.param("a.f=t", "a.f=true", id="t for true"),
        pytest.param("a.f=y", "a.f=true", id="y for true"),
        pytest.param("a.f=n", "a.f=false", id="n for false"),
        pytest.param("a.f=perhaps", "", id="neither"),
        pytest.param("a.f=5", "", id="a number that is neither"),
        pytest.param("a.x=40 ,", "a.x=40", id="comma"),
        pytest.param("a.x= 4,", "a.x=4", id="space and comma"),
        pytest.param("a.f=onn", "a.f=true", id="on, misspelt"),
        pytest.param("a/inner=i2", "+a/inner=i2", id="a group that no defaults list has"),
        pytest.param("a/inner=i1", "", id="a group of which the option fits nowhere"),
    ],
)
def test_a_remedy_is_what_was_meant_or_absent(override: str, remedy: str, tmp_path: Path) -> None:
    (found,) = violations(tmp_path, override, a__inner__i1="r: 1\n", a__inner__i2="p: 1\n").values()
    assert found.suggestion == remedy


@pytest.mark.parametrize(
    ("content", "key", "rule", "line"),
    [
        pytest.param("x: 1\ninner.p: 3\n", "a.inner.p", "must be nested in YAML: inner: {p: 3}", 2, id="dotted"),
        pytest.param("inner.q.r: 3\n", "a.inner.q.r", "must be nested in YAML: inner: {q: {r: 3}}", 1, id="dotted twice"),
        pytest.param("f: true\nx[0]: 3\n", "a.x[0]", "unknown key; known: x, f, s, inner", 2, id="brackets in a key"),
        pytest.param("1.5: a\n", "a.1.5", "unknown key; known: x, f, s, inner", 1, id="a number for a key"),
        pytest.param("x: 3\nf: 5\ninner: {q: 1}\n", "a.inner.q", "unknown key; did you mean a.inner.p?", 3, id="unknown"),
        pytest.param("s: -0\n", "a.s", "is text, but YAML reads it as 0; in the file, put it in quotes: '-0'", 1, id="-0"),
        pytest.param("x: 1:30\n", "a.x", "YAML reads it as 90; in the file, write 90", 1, id="base 60"),
        pytest.param("f: y\n", "a.f", "must be true or false, not text", 1, id="y in a file"),
        pytest.param("inner: 5\n", "a.inner", "is a section; set its keys, for example a.inner.p", 1, id="no section"),
    ],
)
def test_a_value_in_a_file_is_reported_with_its_line(content: str, key: str, rule: str, line: int, tmp_path: Path) -> None:
    found = violations(tmp_path, a__bad=content, t=PRIMARY.replace("a: small", "a: bad"))[key]
    assert (found.rule, found.source and found.source.line) == (rule, line)


@pytest.mark.parametrize("in_a_file", [False, True])
def test_a_formula_that_raises_is_reported_with_what_it_computes_from(in_a_file: bool, tmp_path: Path) -> None:
    found = violations(tmp_path, t=f"{PRIMARY}n: 0\n") if in_a_file else violations(tmp_path, "n=0")
    assert found["inverse"].rule == "cannot be computed (1 / n) for n = 0: division by zero"
    assert "t.yaml:2" in found["inverse"].origin if in_a_file else found["inverse"].origin == "set by the command line: n=0"


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        pytest.param("+a=/a/x", "a=small", id="a path of nothing, with a plus"),
        pytest.param("a=/a/small", "a=small", id="a path of an option"),
        pytest.param("+a=old/small", "a=old/small", id="a folder of the group"),
    ],
)
def test_an_option_with_a_slash_is_reported_once(override: str, remedy: str, tmp_path: Path) -> None:
    (found,) = violations(tmp_path, override, a__old__small="x: 8\n").values()
    assert found.suggestion == remedy


def test_a_number_of_base_60_is_offered_in_base_10(tmp_path: Path) -> None:
    assert violations(tmp_path, a__small="x: 1:30\n")["a.x"].suggestion == "a.x=90"


@pytest.mark.parametrize(("override", "head"), [("hydra=null", "hydra = null"), ("~hydra", "hydra")])
def test_hydras_own_section_is_no_value(override: str, head: str, tmp_path: Path) -> None:
    (found,) = violations(tmp_path, override).values()
    assert (found.head, found.rule) == (head, "is Hydra's own section; set its keys, for example hydra.run.dir")


def test_a_primary_config_before_its_schema_is_refused_and_judged(tmp_path: Path) -> None:
    early = "defaults: [_self_, t_schema, {a: small}]\nn: 3\n"
    assert [*violations(tmp_path, t=early)] == [str(tmp_path / "t.yaml")]
    assert {*violations(tmp_path, "a.x=-1", t=early)} == {"a.x", str(tmp_path / "t.yaml")}


def test_a_file_has_all_its_mistakes_at_once(tmp_path: Path) -> None:
    found = violations(tmp_path, "n=x", "hydra.run.dir=a,b", a__small="x: -1\nf: 3\nz: 1\ninner: {p: no}\n")
    assert {*found} == {"n", "hydra.run.dir", "a.x", "a.f", "a.z", "a.inner.p"}


def test_of_many_unknown_keys_fifty_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    lines = "".join(f"key_{number}: 1\n" for number in range(500))
    with pytest.raises(ConfigError) as caught:
        raise ConfigError(violations(tmp_path, a__small=lines).values())
    assert str(caught.value).startswith("500 problems") and str(caught.value).endswith("\n\n  ... and 450 more problems.")
    assert str(caught.value).count("unknown key") == 50


def test_what_the_fold_models() -> None:
    assert all(map(is_modelled, (TrainConfig, GenerateConfig, Small)))


def test_a_choice_for_a_key_that_is_no_section_may_be_deleted(tmp_path: Path) -> None:
    """Hydra takes ``~a@a2``: what is refused is the other choice."""
    primary = PRIMARY.replace("_self_", "{a@a2: small}, _self_")
    assert [*violations(tmp_path, "a.x=-1", "~a@a2", t=primary)] == ["a.x"]


def test_an_item_of_a_list_may_be_set(tmp_path: Path) -> None:
    found = violations(tmp_path, "sizes.0=3", "sizes.1=-2", "sizes.2=3", "~sizes.0", config_class=Listed)
    assert {key: each.rule for key, each in found.items()} == {
        "sizes[1]": "must be ≥ 0",
        "sizes.0": "cannot be deleted: sizes is a list; set all of it",
        "sizes.2": "unknown key: sizes is a single value, it has no keys below it",
    }
    assert str(found["sizes[1]"].source) == "the command line: sizes.1=-2"
    assert gpt2hydra.compose("t", ["sizes.0=3"], config_dir=tmp_path, config_class=Listed).sizes == (3, 2)


@pytest.mark.parametrize("name", ["7", "true", "null", "1e3", "é"])
def test_an_option_whose_name_needs_quotes_is_offered_in_quotes(name: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / f"a/{name}.yaml").write_text("x: 9\n")
    (found,) = violations(tmp_path, f"a={name}").values()
    assert found.suggestion == f"\"a='{name}'\""
    assert gpt2hydra.compose("t", [f"a='{name}'"], config_dir=tmp_path, config_class=Small).a.x == 9


def test_nothing_is_set_below_a_section_that_must_be_given(tmp_path: Path) -> None:
    (violation,) = violations(tmp_path, "a.inner=???", "a.inner.p=2").values()
    assert (violation.key, violation.rule, violation.origin) == (
        "a.inner",
        "must be given: inner",
        "set by the command line: a.inner=???",
    )
