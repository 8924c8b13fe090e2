"""Counts and advice in sentences."""

from pplkit.core.words import choice, quantity


def test_counts_are_in_the_singular_and_the_plural() -> None:
    assert [quantity(number, "image") for number in (0, 1, 2, 1000)] == [
        "0 images",
        "1 image",
        "2 images",
        "1,000 images",
    ]


def test_the_nearest_name_is_suggested_else_all() -> None:
    assert choice("pupets", ["puppets", "cub"]) == "perhaps 'puppets' is meant; else choose one of puppets, cub"
    assert choice("Two", ["one", *range(40), "two"]) == "perhaps 'two' is meant"
    assert choice("x", ["puppets", "cub"]) == "choose one of puppets, cub"
