"""Where a problem of a tree stands."""

from pathlib import Path

from gpt2hydra.composition.report import Report
from gpt2hydra.config.errors import Source, Violation


def test_a_violation_has_the_line_that_set_the_value_and_is_reported_once() -> None:
    report = Report([])
    for found_with in ("model=a", "model=b"):
        report.add_violation(Violation("a.b", 3, "must be 1", Source("file", "other.yaml", 7)), Path("this.yaml"), found_with)
    report.add_violation(Violation("a.c", rule="must be given"), Path("this.yaml"), "model=a")
    assert [(str(each.where), each.found_with) for each in report.problems] == [
        ("other.yaml:7", "model=a"),
        ("this.yaml:1", ""),
    ]
