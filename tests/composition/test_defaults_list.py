"""What is odd about a file of options is reported in words that name it."""

from pathlib import Path

import pytest

import gpt2hydra
from gpt2hydra.config.errors import ConfigError

GLOBAL = b"# @package _global_\n"


def violations(folder: Path, *overrides: str, name: str = "mine", **files: bytes) -> dict[str, str]:
    """Key → rule, of a ``conf/`` with these files."""
    primary = b"defaults:\n  - train_schema\n  - model: small\n  - optional experiment: null\n  - _self_\n"
    for path, content in {"mine": primary, "model__small": b"n_layer: 2\n", **files}.items():
        file = folder / f"{path.replace('__', '/')}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        gpt2hydra.compose(name, list(overrides), config_dir=folder)
    return {violation.key: violation.rule for violation in caught.value.violations}


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        pytest.param(b"", "names FILE, which is empty", id="empty"),
        pytest.param(
            b"\xef\xbb\xbf" + GLOBAL + b"model: {n_layer: 3}\n",
            "names FILE, which begins with a byte-order mark; save it as UTF-8 without one",
            id="byte-order mark",
        ),
        pytest.param(
            b"# mine\n" + GLOBAL + b"model: {n_layer: 3}\n",
            "names FILE, which has '# @package _global_' on line 2; it must be the first line",
            id="header on line 2",
        ),
        pytest.param(
            b"# @package_global_\nmodel: {n_layer: 3}\n",
            "has the line '# @package_global_'; Hydra reads '# @package NAME', such as '# @package _global_'",
            id="header without a space",
        ),
        pytest.param(b"training: {seed: 3}\n", "names FILE, whose first line must be: # @package _global_", id="no header"),
        pytest.param(GLOBAL + b"- a\n- b\n", "is a list; FILE must have lines of key: value", id="list"),
        pytest.param(GLOBAL + b"hello\n", "is one text; FILE must have lines of key: value", id="text"),
    ],
)
def test_an_odd_experiment(content: bytes, rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reported = violations(tmp_path / "conf", "experiment=a", experiment__a=content)
    assert reported == {"experiment": rule.replace("FILE", "conf/experiment/a.yaml")}


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        pytest.param(b"a: &m\n  x: *m\n", "contains itself through the anchor (&name) at this line", id="itself"),
        pytest.param(b"a: " + b"[" * 20_000, "is nested more than 100 levels deep", id="20,000 brackets"),
    ],
)
def test_an_experiment_that_has_no_end_is_reported_at_once(
    content: bytes, rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    reported = violations(tmp_path / "conf", "experiment=a", experiment__a=GLOBAL + content)
    assert reported == {"conf/experiment/a.yaml:2": rule}


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        pytest.param("override /model: smll", "must be one of small; did you mean small?", id="option"),
        pytest.param(
            "override /modl: small", "overrides a group that is in no defaults list; did you mean /model?", id="group"
        ),
        pytest.param("more", "there is no such config", id="config"),
        pytest.param("a", "includes this file itself", id="itself"),
        pytest.param(
            "/model: small", "chooses a group that mine already chose; write 'override /model'", id="without override"
        ),
    ],
)
def test_a_wrong_line_in_a_defaults_list_hides_no_other_mistake(entry: str, rule: str, tmp_path: Path) -> None:
    lines = f"defaults:\n  - {entry}\nmodel: {{n_layer: 0, n_head: 7, n_hed: 3}}\n".encode()
    found = violations(tmp_path, "experiment=a", "training.seed=-1", experiment__a=GLOBAL + lines)
    assert found.pop(f"defaults: {entry}") == rule
    assert [*found] == ["model.n_layer", "model.n_hed", "training.seed"]  # 7 heads may do for what the list would bring


@pytest.mark.parametrize(
    ("entries", "key", "rule"),
    [
        pytest.param("train_schema, _self_, {model: small}, _self_", "_self_", "is a duplicate", id="_self_ twice"),
        pytest.param("train_schema, {model: small}, mine, _self_", "mine", "includes this file itself", id="itself"),
    ],
)
def test_a_line_that_a_primary_config_cannot_have(entries: str, key: str, rule: str, tmp_path: Path) -> None:
    found = violations(tmp_path, mine=f"defaults: [{entries}]\n".encode())
    assert [*found] == [f"defaults: {key}"] and found[f"defaults: {key}"].startswith(rule)


def test_a_tab_in_the_indentation_is_reported_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reported = violations(tmp_path / "conf", "experiment=a", experiment__a=GLOBAL + b"model:\n\tn_layer: 3\n")
    assert reported == {"conf/experiment/a.yaml:3": "has a tab in its indentation; YAML takes spaces only"}


@pytest.mark.parametrize(
    ("content", "reported"),
    [
        pytest.param(b"# gr\xfcn\n", {"conf/model/small.yaml:1": "is not UTF-8"}, id="latin-1"),
        pytest.param(
            b"n_layer: 2\n#\x00\n",
            {"conf/model/small.yaml:2": "has the character '\\x00', which YAML does not accept"},
            id="NUL",
        ),
        pytest.param(
            b"n_layer: ${x\n",
            {"n_layer": "has a ${...} that cannot be read: no viable alternative at input '${x'"},
            id="reference without an end",
        ),
        pytest.param(
            b"n_layer: !!set {2}\n",
            {"n_layer": "is of a type that no config can have: Value 'set' is not a supported primitive type"},
            id="set",
        ),
        pytest.param(
            b"'': 1\n",
            {
                "model.''": "unknown key; known: vocab_size, n_positions, n_embd, n_layer, n_head, resid_pdrop, embd_pdrop, "
                "attn_pdrop, layer_norm_epsilon"
            },
            id="empty key",
        ),
    ],
)
def test_a_file_that_the_defaults_list_chooses_is_blamed_itself(
    content: bytes, reported: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert violations(tmp_path / "conf", model__small=content) == reported


def test_a_primary_config_before_its_schema_is_one_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    primary = b"defaults:\n  - _self_\n  - train_schema\n  - model: small\nmodel: {n_head: 4, n_embd: 64}\n"
    reported = violations(tmp_path / "conf", "training.seed=x", mine=primary)
    assert reported == {
        "training.seed": "must be an integer ≥ 0 and ≤ 4,294,967,295, not text",
        "conf/mine.yaml": "_self_ must be after train_schema in its defaults list",
    }


@pytest.mark.parametrize("group", ["model", "experiment"])
def test_a_choice_outside_the_defaults_list_is_reported_with_its_line(group: str, tmp_path: Path) -> None:
    primary = b"defaults:\n  - train_schema\n  - model: small\n  - optional experiment: null\n  - _self_\n"
    reported = violations(tmp_path, mine=primary + f"{group}: large\n".encode())
    rule = "is a choice; write it in the defaults list: '- GROUP: large', or '- override /GROUP: large' in an experiment"
    assert reported == {group: rule.replace("GROUP", group)}


def test_a_choice_before_the_schema_is_one_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reported = violations(tmp_path / "conf", mine=b"defaults:\n  - model: small\n  - train_schema\n  - _self_\n")
    assert reported == {"conf/mine.yaml": "train_schema must be first in its defaults list"}


def test_a_schema_listed_twice_leaves_nothing_to_the_command_line(tmp_path: Path) -> None:
    reported = violations(tmp_path, mine=b"defaults: [train_schema, model: small, train_schema, _self_]\nmodel: {n_head: 7}\n")
    assert reported.keys() == {"model.n_head"}


def test_a_primary_config_that_is_not_there_is_reported_with_those_that_are(tmp_path: Path) -> None:
    reported = violations(tmp_path, name="mime")
    assert reported == {"the primary config": "there is no such config; known: mine; did you mean mine?"}


def test_a_key_that_hydra_lets_anybody_add_needs_a_plus() -> None:
    with pytest.raises(ConfigError) as caught:
        gpt2hydra.compose("train", ["hydra.job.env_set.FOO=1"])
    (violation,) = caught.value.violations
    assert (violation.rule, violation.suggestion) == ("is a new key and needs a plus", "+hydra.job.env_set.FOO=1")


def test_a_sign_of_hydras_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        gpt2hydra.compose("train", ["hardware.name=a&b"])
    (violation,) = caught.value.violations
    assert violation.rule == "contains the character &; put the value in quotes"


@pytest.mark.parametrize(
    "primary",
    [
        pytest.param(b"defaults: 5\n", id="no list"),
        pytest.param(b"defaults: [train_schema, {model: nope}]\n", id="no such option"),
        pytest.param(b"defaults: [train_schema\n", id="no YAML"),
    ],
)
def test_a_defaults_list_that_cannot_be_read_hides_no_typed_mistake(primary: bytes, tmp_path: Path) -> None:
    typed = ("training.seed=-1", "training.sed=3", "model.n_head=7")
    found = violations(tmp_path, *typed, name="train", train=primary)
    assert {"training.seed": "must be ≥ 0 and ≤ 4,294,967,295"}.items() <= found.items()
    assert found["training.sed"].startswith("unknown key; did you mean training.seed?")
    assert len(found) == 3  # 7 heads may do for what the list would bring


@pytest.mark.parametrize(
    ("lines", "key", "rule"),
    [
        pytest.param(b"defaults: [gone]\n", "defaults: gone", "there is no such config", id="config"),
        pytest.param(b"defaults:\n- override /model: gone\n", "defaults: override /model: gone", "must be one of", id="option"),
    ],
)
def test_a_wrong_line_of_a_file_that_an_experiment_takes_in_has_its_line(
    lines: bytes, key: str, rule: str, tmp_path: Path
) -> None:
    found = violations(tmp_path, "experiment=a", experiment__a=GLOBAL + b"defaults: [b]\n", experiment__b=GLOBAL + lines)
    assert [*found] == [key] and found[key].startswith(rule)


def test_an_option_of_a_folder_is_one_though_its_own_list_is_wrong(tmp_path: Path) -> None:
    primary = b"defaults: [train_schema, {model: old/small}, _self_]\n"
    found = violations(tmp_path, mine=primary, model__old__small=b"defaults: [gone]\nn_layer: 2\n")
    assert found == {"defaults: gone": "there is no such config"}
