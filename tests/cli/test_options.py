"""Values of NAME=VALUE options, and what commands say and take of a run."""

import shutil
from argparse import ArgumentTypeError, Namespace
from pathlib import Path

import pytest

from pplkit.cli.main import build_parser
from pplkit.cli.options import estimator_of, name_and_value, warn_if_unfinished
from pplkit.models.prior.config import Config
from pplkit.training.run_folder import RunFolder


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


def test_an_unfinished_training_is_mentioned(
    untrained_run: Path, tiny: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not of what was trained elsewhere, whose weights are those of step 0, nor of a finished training."""
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(untrained_run, folder.path)
    for step, said in ((0, ""), (tiny.steps, ""), (4, f"pplkit: {folder.path} is unfinished, at step 4 of 6: its")):
        (weights,) = folder.checkpoints()
        weights.rename(weights.with_name(f"step-{step:08d}.safetensors"))
        warn_if_unfinished(folder.path)
        answer = capsys.readouterr().err
        assert answer.startswith(said) and bool(answer) == bool(said)


def test_the_crop_is_the_given_one_or_that_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pplkit.training.load", lambda run, device: Namespace(crop="object"))
    arguments = {"run": Path("a"), "device": None, "named": False}
    assert estimator_of(Namespace(crop=None, **arguments)).crop == "object"
    assert estimator_of(Namespace(crop="pad", **arguments)).crop == "pad"
