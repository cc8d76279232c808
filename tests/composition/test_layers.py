"""Layers: what one source says, with its places."""

from gpt2hydra.composition.layers import format_indices, scalars


def test_each_value_of_a_list_has_its_place() -> None:
    found = [*scalars(("010", {"k": "yes"}, None), [8, {"k": True}, "quoted"])]
    assert [(format_indices(place), written, value) for place, written, value in found] == [
        ("[0]", "010", 8),
        ("[1].k", "yes", True),
    ]
