"""A YAML file holds data alone; what is wrong with it is said with its place."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pplkit.core.errors import PplkitError
from pplkit.core.yaml_file import At, like, read_yaml


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seeds: [0", "plan.yaml, line 1: .*: correct the YAML there"),
        ("seeds: [0]\nseeds: [1]", "plan.yaml, line 1: two entries are called 'seeds'"),
        ("a: 1\nb: {a: 2, a: 3}", "plan.yaml, line 2: two entries are called 'a'"),
        ("seeds: [2024-01-01]", "holds more than text, finite numbers.*put dates"),
        ("factor: .nan", "holds more than text, finite numbers"),
        ("seeds: &a [*a]", "Circular reference"),
        ("? [a]\n: b", "plan.yaml, line 1: found unhashable key"),
        ("\0", "is not YAML"),
        ("# no plan\n" * 100_000, "is longer than"),
    ],
)
def test_what_is_not_plain_yaml_is_named(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(PplkitError, match=said) as refused:
        read_yaml(tmp_path / "plan.yaml")
    assert "\n" not in str(refused.value)


def test_nothing_in_a_yaml_file_is_executed(tmp_path: Path) -> None:
    canary, file = tmp_path / "canary", tmp_path / "plan.yaml"
    file.write_text(f"seeds: !!python/object/apply:os.system [\"touch '{canary}'\"]\n")
    with pytest.raises(PplkitError, match="plan.yaml, line 1: could not determine a constructor for the tag"):
        read_yaml(file)
    assert not canary.exists()
    yaml.unsafe_load(file.read_text())
    assert canary.exists()


def test_aliases_are_read(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("a: {b: &b {x: 1, y: 1}}\nc: {d: {<<: *b, x: [true, 2.5, text, null]}}")
    merged = {"x": [True, 2.5, "text", None], "y": 1}
    assert read_yaml(tmp_path / "plan.yaml") == {"a": {"b": {"x": 1, "y": 1}}, "c": {"d": merged}}


AT = At(Path("plan.yaml")).to("seeds")


@pytest.mark.parametrize(
    ("check", "value", "said"),
    [
        (AT.mapping, [1], "[1] must be a mapping: write entries such as 'name: value'."),
        (AT.mapping, {1: 2}, "the key 1 is not text: put it in quotes."),
        (lambda value: AT.mapping(value, ["a"]), {"b": 1}, "the key 'b' is unknown: choose one of a."),
        (AT.items, [], "[] must be a list of one or more, such as [a, b]."),
        (AT.items, ["a", "A"], "two entries are 'A', ignoring case: rename or remove one."),
        (AT.named, {}, "it is empty: name at least one."),
        (AT.text, 5, "5 must be text: put it in quotes."),
        (lambda value: AT.whole(value, 1), True, "True must be a whole number from 1 upwards."),
        (lambda value: AT.whole(value, 1), 0, "0 must be a whole number from 1 upwards."),
        (lambda value: AT.choice(value, ["a", "b"]), "c", "'c' is unknown: choose one of a, b."),
    ],
)
def test_a_check_names_file_place_and_remedy(check: Any, value: Any, said: str) -> None:
    with pytest.raises(PplkitError) as refused:
        check(value)
    assert str(refused.value) == f"plan.yaml, seeds: {said}"


def test_checks_return_what_is_right() -> None:
    assert AT.mapping(None) == {} and AT.items([0, 1]) == [0, 1] and AT.whole(2, 2) == 2
    assert AT.named(["a", "b"]) == {"a": None, "b": None} and AT.named({"a": 5}) == {"a": 5}
    assert At(Path("/x/plan.yaml")).path("../y") == Path("/y")
    assert like("1e-4", 0.5) == 1e-4 and like("fast", 0.5) == "fast" and like("1", 2) == "1"
