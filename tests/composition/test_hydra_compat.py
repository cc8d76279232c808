"""The names that are private to Hydra and OmegaConf do what the rest of the package takes them to do, on each version."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import hydra
import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from gpt2hydra.composition import hydra_compat as internals


@dataclass
class Size:
    n_layer: int = 12


@dataclass
class Run:
    model: Size = field(default_factory=Size)
    others: dict[str, Size] = field(default_factory=dict)


@pytest.fixture(autouse=True)
def _nothing_is_deprecated() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_the_version_is_the_one_that_runs() -> None:
    assert hydra.__version__.startswith(".".join(map(str, internals.HYDRA)))
    assert internals.HYDRA in ((1, 3), (1, 4))


def test_registering_a_schema_again_replaces_it_silently() -> None:
    for answer in (1, 2):
        internals.register_resolver("gpt2test.answer", lambda answer=answer: answer)
        internals.store_config("gpt2test", Size(answer))
    assert OmegaConf.create({"a": "${gpt2test.answer:}"}).a == 2
    assert ConfigStore.instance().load("gpt2test.yaml").node == {"n_layer": 2}


def test_the_version_base_is_1_3_where_hydra_has_several() -> None:
    if internals.HYDRA < (1, 4):
        hydra.version.setbase("1.2")
    internals.set_version_base()
    assert str(hydra.version.getbase()) >= "1.3"


@pytest.mark.parametrize(
    ("text", "mapping", "raw"),
    [
        pytest.param("{b: 1}", True, {"b": 1}, id="mapping"),
        pytest.param("'???'", False, "???", id="missing"),
        pytest.param("null", False, None, id="null"),
        pytest.param("${c}", False, "${c}", id="interpolation"),
    ],
)
def test_a_section_class_is_distinguished_from_other_classes(text: str, mapping: bool, raw: Any) -> None:
    config = OmegaConf.create(f"a: {text}\nc: {{d: 1}}")
    node = internals.node_at(config, "a") if mapping else internals.node_at(OmegaConf.create({"a": DictConfig(raw)}), "a")
    assert (internals.is_mapping(node), internals.raw_value(node)) == (mapping, raw)


def test_a_config_knows_its_classes_and_its_place() -> None:
    config: Any = OmegaConf.structured(Run)
    assert internals.declared_types(internals.node_at(config, "model"))[0] is Size  # type: ignore[arg-type]
    assert internals.declared_types(config.others)[1] is Size
    assert internals.full_key(config.model) == "model"


@dataclass
class Told:
    """A callback that holds another."""

    other: Any = None


def test_callbacks_may_be_any_class_that_the_config_names() -> None:
    name = f"{__name__}.Told"
    config = OmegaConf.create(
        {"hydra": {"callbacks": {"a": {"_target_": name, "other": {"_target_": name}}, "b": {"_target_": name}}}}
    )
    assert internals.make_callbacks(config).callbacks == [Told(Told()), Told()]
    assert internals.make_callbacks(OmegaConf.create({"hydra": {"callbacks": {}}})).callbacks == []


def test_the_error_of_a_job_is_returned_silently(capsys: pytest.CaptureFixture[str]) -> None:
    error = ValueError("no")
    assert internals.job_error(JobReturn(_return_value=error, status=JobStatus.FAILED)) is error
    assert internals.job_error(JobReturn(_return_value=3, status=JobStatus.COMPLETED)) is None
    assert capsys.readouterr() == ("", "")
