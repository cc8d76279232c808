"""The schemas for editors: every shipped file is valid, and a wrong one is not."""

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from omegaconf import OmegaConf

from gpt2hydra.commands.common_options import load_application
from gpt2hydra.composition.conf_tree import ConfTree
from gpt2hydra.composition.editor_schemas import add_modeline, editor_schemas
from gpt2hydra.config.gpt2 import CONF_DIR
from tests.own_application import write_application

TREE = ConfTree(CONF_DIR)
SCHEMAS = editor_schemas(TREE)


def wrong_in(name: str, text: str) -> list[str]:
    """Where a file of this text breaks its schema."""
    content = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    return [error.json_path for error in Draft202012Validator(SCHEMAS[name]).iter_errors(content)]


def test_there_is_one_for_each_kind_of_file() -> None:
    assert sorted(SCHEMAS) == ["experiment", "generate", "hardware", "model", "tokenizer", "train"]
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("file", sorted(TREE.files()), ids=lambda file: str(file.relative_to(CONF_DIR)))
def test_every_shipped_file_is_valid(file: Path) -> None:
    within = file.relative_to(CONF_DIR)
    name = within.stem if len(within.parts) == 1 else within.parts[0]
    assert wrong_in(name, file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("model", "n_head: ${.n_layer}\nn_embd: '???'\nresid_pdrop: 0", id="references and an int for a float"),
        pytest.param("model", "", id="empty"),
        pytest.param("model", "defaults: [small, _self_]\nn_layer: 3", id="a size over another"),
        pytest.param(
            "experiment", "defaults: [override /model: '???', override hydra/launcher: joblib]", id="a choice to be made"
        ),
        pytest.param("experiment", "defaults: [quickstart, override /model: '${x}', _self_]", id="an experiment over another"),
        pytest.param("experiment", "hydra: {sweep: {dir: x}}\ndata: {path: null}\ntraining: ${other}", id="hydra and null"),
        pytest.param(
            "train", "defaults: [train_schema, model: null, optional /model: nothing, model@model: xl]", id="packages"
        ),
        pytest.param("train", "defaults: [train_schema, model/small@model, /tokenizer: [bytes, gpt2]]", id="paths and lists"),
    ],
)
def test_compositions_that_hydra_accepts_are_valid(name: str, text: str) -> None:
    assert wrong_in(name, text) == []


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("model", "n_layer: 0", "$.n_layer"),
        ("model", "n_layer: 10001", "$.n_layer"),
        ("model", "n_layer: -1", "$.n_layer"),
        ("model", "n_layer: 1.5", "$.n_layer"),
        ("model", "n_layer: true", "$.n_layer"),
        ("model", "n_layer: null", "$.n_layer"),
        ("model", "n_layer: twelve", "$.n_layer"),
        ("model", "n_layer: '12'", "$.n_layer"),
        ("model", "n_layer: [12]", "$.n_layer"),
        ("model", "n_layer: {is: 12}", "$.n_layer"),
        ("model", "n_layer: ????", "$.n_layer"),
        ("model", "n_hed: 3", "$"),
        ("model", "n_inner: 3072", "$"),
        ("model", "model: {n_layer: 3}", "$"),
        ("model", "hydra: {}", "$"),
        ("model", "[n_layer, 3]", "$"),
        ("model", "resid_pdrop: 1.1", "$.resid_pdrop"),
        ("model", "resid_pdrop: -0.1", "$.resid_pdrop"),
        ("model", "resid_pdrop: none", "$.resid_pdrop"),
        ("model", "layer_norm_epsilon: 0", "$.layer_norm_epsilon"),
        ("model", "defaults: small", "$.defaults"),
        ("model", "defaults: [big]", "$.defaults[0]"),
        ("tokenizer", "name: byte", "$.name"),
        ("tokenizer", "name: null", "$.name"),
        ("tokenizer", "path: true", "$.path"),
        ("hardware", "memory_gb: 0", "$.memory_gb"),
        ("hardware", "memory_gb: 80 GB", "$.memory_gb"),
        ("hardware", "utilization: 40", "$.utilization"),
        ("experiment", "training: {schedule: cosin}", "$.training.schedule"),
        ("experiment", "training: {max_steps: 0}", "$.training.max_steps"),
        ("experiment", "training: {lr: 0.1}", "$.training"),
        ("experiment", "training: null", "$.training"),
        ("experiment", "training: [a]", "$.training"),
        ("experiment", "training.seed: 7", "$"),
        ("experiment", "data: {validation_fraction: 0.6}", "$.data.validation_fraction"),
        ("experiment", "dry_run: 1", "$.dry_run"),
        ("experiment", "hydra: 3", "$.hydra"),
        ("experiment", "defaults: [override /modle: small]", "$.defaults[0]"),
        ("experiment", "defaults: [override /model: big]", "$.defaults[0]['override /model']"),
        ("experiment", "defaults: [override /tokenizer: [bytes, gpt3]]", "$.defaults[0]['override /tokenizer']"),
        ("experiment", "defaults: [{override /model: xl, override /tokenizer: gpt2}]", "$.defaults[0]"),
        ("experiment", "defaults: [model: xl]", "$.defaults[0]"),
        ("train", "defaults: [trainschema]", "$.defaults[0]"),
        ("train", "defaults: [3]", "$.defaults[0]"),
        ("train", "defaults: {model: xl}", "$.defaults"),
        ("generate", "top_p: 0", "$.top_p"),
        ("generate", "seed: -1", "$.seed"),
        ("generate", "model: {}", "$"),
    ],
)
def test_a_wrong_file_is_not(name: str, text: str, where: str) -> None:
    assert where in wrong_in(name, text)


def test_a_users_class_has_schemas_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    conf = write_application(tmp_path, "editor_app") / "conf"
    programs = [load_application(f"editor_app.{name}:main") for name in ("finetune", "probe")]
    schemas = editor_schemas(ConfTree(conf, {each.config_name: each.config_class for each in programs if each.config_class}))
    assert {"finetune", "probe", "lora", "model", "experiment"} <= set(schemas)

    def is_valid(name: str, text: str) -> bool:
        content = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
        return bool(Draft202012Validator(schemas[name]).is_valid(content))

    for file in ("finetune.yaml", "probe.yaml", "lora/wide.yaml"):
        assert is_valid(file.partition("/")[0].removesuffix(".yaml"), (conf / file).read_text())
    for name, text in (
        ("lora", "rank: 0"),
        ("lora", "rnk: 4"),
        ("lora", "scale: 2"),
        ("lora", "alpha: 0"),
        ("finetune", "lora: {rank: 1025}"),
        ("finetune", "defaults: [lora: wider]"),
        ("experiment", "lora: {alhpa: 3}"),
        ("probe", "one: {n_layer: 0}"),
        ("probe", "training: {seed: 3}"),
        ("probe", "defaults: [gpt2/model@one: huge]"),
    ):
        assert not is_valid(name, text), text


# -------------------------------------------------------------------------------------------------------------- links


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("n_layer: 3\n", "{line}\nn_layer: 3\n", id="first"),
        pytest.param(
            "# @package _global_\n\n# why\na: 1\n", "# @package _global_\n\n{line}\n# why\na: 1\n", id="behind @package"
        ),
        pytest.param("a: 1\r\nb: 2\r\n", "{line}\r\na: 1\r\nb: 2\r\n", id="line ends of Windows"),
        pytest.param("# @package _global_", "# @package _global_\n{line}\n", id="no line end"),
        pytest.param("", "{line}\n", id="empty"),
        pytest.param("# why\n# yaml-language-server: $schema=old\na: 1", "{line}\n# why\na: 1", id="instead of another"),
    ],
)
def test_a_link_goes_into_the_first_lines(tmp_path: Path, before: str, after: str) -> None:
    file = tmp_path / "conf/model/a.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes(before.encode())
    text = add_modeline(file, tmp_path / "schema/model.json")
    assert text == after.format(line="# yaml-language-server: $schema=../../schema/model.json")
    file.write_bytes(text.encode())
    assert add_modeline(file, tmp_path / "schema/model.json") == text
