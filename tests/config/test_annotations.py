"""A plain dataclass, or a pydantic model, may be a section."""

from dataclasses import dataclass, field
from typing import Any, Literal, Optional

import pytest

from gpt2hydra import ConfigError
from gpt2hydra.fields import Checked, integer, section


@dataclass
class Data:
    path: str
    batch_size: int = 4
    splits: list[float] = field(default_factory=lambda: [0.9, 0.1])
    mode: Literal["train", "test"] = "train"
    limit: Optional[int] = None
    free: Any = None

    def __post_init__(self) -> None:
        if sum(self.splits) > 1:
            raise ValueError(f"splits add up to {sum(self.splits):g}")


@dataclass(frozen=True)
class Program(Checked):
    data: Data = section(Data, "the text")
    steps: int = integer(3, "steps")


def problems(kind: type[Checked], **given: Any) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        kind.from_dict(given)
    return [(each.head, each.rule) for each in caught.value.violations]


def test_a_plain_dataclass_is_made_of_what_obeys_its_annotations() -> None:
    config = Program.from_dict({"data": {"path": "x", "splits": [0.5, 0.25], "free": {"a": 1}}})
    assert config.data == Data("x", splits=[0.5, 0.25], free={"a": 1})
    assert config.to_dict()["data"]["splits"] == [0.5, 0.25]
    assert Program.from_dict(config.to_dict()) == config
    assert len(config.fingerprint()) == 16


def test_annotations_and_its_own_checks_are_reported() -> None:
    assert problems(Program, data={"batch_size": "4", "mode": "tset", "limit": 1.5, "splits": [1, "x"], "pth": 1}) == [
        ("data.path", "must be given: "),
        ("data.batch_size = 4", "must be an integer, not text"),
        ("data.splits[1] = x", "must be a number, not text"),
        ("data.mode = tset", "must be one of train, test"),
        ("data.limit = 1.5", "must be an integer or null, not a float"),
        ("data.pth = 1", "unknown key; did you mean data.path?"),
    ]
    assert problems(Program, data={"path": "x", "splits": [1, 1]}) == [("data", "is refused by Data: splits add up to 2")]


def test_a_pydantic_model_checks_by_itself() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Inner(pydantic.BaseModel):  # type: ignore[name-defined, misc]
        width: int = pydantic.Field(8, gt=0)

    class Model(pydantic.BaseModel):  # type: ignore[name-defined, misc]
        name: str
        inner: Inner = Inner()
        rate: float = pydantic.Field(0.1, le=1, description="the rate")

        @pydantic.field_validator("name")  # type: ignore[untyped-decorator]
        @classmethod
        def _short(cls, name: str) -> str:
            if len(name) > 3:
                raise ValueError("is too long")
            return name

    @dataclass(frozen=True)
    class Modelled(Checked):
        model: Model = section(Model, "a model")

    config = Modelled.from_dict({"model": {"name": "abc", "rate": "0.5"}})
    assert config.model == Model(name="abc", rate=0.5)
    assert config.to_dict() == {"model": {"name": "abc", "inner": {"width": 8}, "rate": 0.5}}
    assert problems(Modelled, model={"name": "abcd", "inner": {"width": 0}, "rat": 1}) == [
        ("model.inner.width = 0", "Input should be greater than 0"),
        ("model.rat = 1", "unknown key; did you mean model.rate?"),
    ]
    assert problems(Modelled, model={"name": "abcd", "rate": 2}) == [
        ("model.name = abcd", "is too long"),
        ("model.rate = 2", "Input should be less than or equal to 1"),
    ]
    assert problems(Modelled) == [("model.name", "must be given: ")]
