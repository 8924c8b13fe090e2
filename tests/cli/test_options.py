"""Values of NAME=VALUE options, and the crop of a run."""

from argparse import ArgumentTypeError, Namespace
from pathlib import Path

import pytest

from pplkit.cli.main import build_parser
from pplkit.cli.options import estimator_of, name_and_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=1", 1), ("a=0.5", 0.5), ("a=false", False), ("a=True", True),
        ("a=x", "x"), ("a=", ""), ("a=b=c", "b=c"), ("a=1,x", [1, "x"]),
        ("a=1,", [1]), ('a={"b": 1, "c": "x"}', {"b": 1, "c": "x"}),
    ],
)  # fmt: skip
def test_values_are_json_or_text(text: str, value: object) -> None:
    assert name_and_value(text) == ("a", value)


@pytest.mark.parametrize("line", ["classes=1,2,3", "classes=1 2 3", "classes=1, 2 3", "classes=1 2,3"])
def test_lists_are_parted_by_commas_or_spaces(line: str) -> None:
    parsed = build_parser().parse_args(["run", "cub", "--option", *line.split(), "variant=three", "--option", "a=1"])
    assert parsed.option == [("classes", [1, 2, 3]), ("variant", "three"), ("a", 1)]
    parsed = build_parser().parse_args(["batch", "plan.yaml", "--slurm"])
    assert parsed.slurm == []


@pytest.mark.parametrize("text", ["classes", "=1", "two words=1"])
def test_an_option_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is not of the form name=value"):
        name_and_value(text)


def test_the_crop_is_the_given_one_or_that_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pplkit.training.load", lambda run, device: Namespace(crop="object"))
    arguments = {"run": Path("a"), "device": None, "named": False}
    assert estimator_of(Namespace(crop=None, **arguments)).crop == "object"
    assert estimator_of(Namespace(crop="pad", **arguments)).crop == "pad"
