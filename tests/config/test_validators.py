"""What a validator sees as ``self``."""

from dataclasses import dataclass
from typing import Any

import pytest

from gpt2hydra.config.validators import CheckResult, NotValid, ValidValues, check_validators, obeys_validators, validators_of
from gpt2hydra.fields import Checked, Failure, integer, section, validator


@dataclass(frozen=True)
class Inner(Checked):
    low: int = integer(1, "lower end")

    LIMIT = 7

    @property
    def double(self) -> int:
        return 2 * self.low

    def times(self, factor: int) -> int:
        return factor * self.double

    @validator("low")
    def _rule(self) -> Failure | None:
        return Failure("must be ≤ 7") if self.low > self.LIMIT else None


@dataclass(frozen=True)
class Outer(Checked):
    inner: Inner = section(Inner, "a section")
    size: int = integer(3, "size", key="the-size")


def test_a_validator_sees_fields_sections_properties_methods_and_constants() -> None:
    read: dict[str, None] = {}
    found: Any = ValidValues(CheckResult.of(Outer(Inner(2), 5)), read=read)
    assert (found.inner.times(2), found.size, found.inner.LIMIT) == (8, 5, 7)
    assert list(read) == ["inner.low", "the-size"]
    assert isinstance(found, Outer) and isinstance(found.inner, Inner)


def test_invalid_keys_cannot_be_read_by_validators_and_hints_are_none() -> None:
    found: Any = ValidValues(CheckResult(Outer, sections={"inner": CheckResult(Inner)}), hints=("inner.low",))
    assert found.inner.low is None
    with pytest.raises(NotValid):
        _ = found.size
    with pytest.raises(TypeError, match=r"reads inner\.lw, which is no field"):
        _ = found.inner.lw


def test_one_of_the_same_name_replaces_that_of_a_base() -> None:
    class Wide(Inner):
        @validator("low")
        def _rule(self) -> Failure | None:
            return None

    assert (
        [each.name for each in validators_of(Inner)] == [each.name for each in validators_of(Wide)] == ["the validator _rule"]
    )
    assert Wide(low=9).low == 9


@pytest.mark.parametrize("low", [7, 8])
def test_a_rule_gives_one_result_for_an_instance_and_for_a_check_result(low: int) -> None:
    inner = Inner()
    object.__setattr__(inner, "low", low)
    assert obeys_validators(inner) is (check_validators(CheckResult.of(inner)) == []) is (low <= Inner.LIMIT)
