"""Whether a run went well, in sentences, and commands that can be typed."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from pplkit.cli.main import build_parser
from pplkit.experiments.run_summary import next_commands, occlusion_command, run_command, summary_lines, verdict
from pplkit.models.prior.config import Config


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "mine"


def write(run: Path, **results: dict[str, Any]) -> None:
    (run / "notebooks").mkdir(parents=True, exist_ok=True)
    for name, content in results.items():
        (run / f"{name}.json").write_text(json.dumps(content), encoding="utf8")


FINDING = {"name": "links weak", "number": 0.1, "says": "", "least": 1, "means": "No link shows.", "try": "more"}


def test_the_verdict_is_the_doctors_unless_labels_disagree(folder: Path) -> None:
    write(folder)
    assert verdict(folder) == ("open", "Not judged yet: `pplkit doctor runs/mine` does.")
    write(folder, doctor={"findings": [], "numbers": {}})
    assert verdict(folder)[0] == "good"
    write(folder, evaluation={"relative_error": 0.95})
    assert verdict(folder)[0] == "doubtful"
    write(folder, doctor={"findings": [FINDING, FINDING], "numbers": {}})
    assert verdict(folder) == ("bad", "Not good yet: links weak (and 1 other finding). No link shows.")


def test_the_summary_says_where_points_lie_and_errors_with_their_unit(folder: Path) -> None:
    evaluation: dict[str, Any] = {
        "protocol": "h36m",
        "error": 0.0217,
        "mean_pose_error": 0.1036,
        "relative_error": 0.21,
    }
    occluded = {"occluded": {"published": 0.055, "completed": 0.032}, "measure": "error of protocol h36m"}
    write(folder, doctor={"findings": [], "numbers": {"on_foreground": 0.9}}, evaluation=evaluation, occlusion=occluded)
    assert summary_lines(folder)[1:] == [
        "90 % of the keypoints lie on what stands out as object (estimated without labels).",
        "Labelled points are predicted with an error of 2.2 % of the image side; that of the mean pose is 10.4 %.",
        "With parts hidden, the error is 5.5 % of the image side in a single pass and 3.2 % when completed.",
    ]
    write(folder, evaluation={**evaluation, "protocol": "taichi", "keypoints_on_object": 0.988})
    assert summary_lines(folder)[1:3] == [
        "99 % of the keypoints lie on the object.",
        "Labelled points are predicted with an error of 0.0 pixels; that of the mean pose is 0.1 pixels.",
    ]


def test_commands_repeat_the_options_of_the_run_and_can_be_parsed(folder: Path) -> None:
    config = Config.preset("cub").replace(image_size=192, steps=77, banks=4, flip=not Config.preset("cub").flip)
    write(folder, config={"config": config.to_dict(), "made_by": {"data_path": "../../data/cub-three"}})
    assert run_command(folder) is None  # trained, but not by `pplkit run`
    (folder / "notebooks" / "02_training.ipynb").touch()
    command = run_command(folder)
    assert command is not None
    arguments = build_parser().parse_args(shlex.split(command)[1:])
    assert (arguments.dataset, arguments.name, arguments.preset, arguments.size) == ("cub-three", "mine", "cub", 192)
    assert arguments.steps == 77 and dict(arguments.set) == {"banks": 4, "flip": config.flip}
    for line in next_commands(folder):
        build_parser().parse_args(shlex.split(line)[1:])
    assert f"{command} --occlusion" in next_commands(folder)
    write(folder, config={"config": config.to_dict(), "made_by": {"data_path": "../../data/mine"}})
    assert "--name" not in str(run_command(folder)) and "--name" in str(run_command(folder, "other"))
    assert "not measured" in summary_lines(folder)[-1]
    write(folder, occlusion={"occluded": {"published": 0.1, "completed": 0.1}, "measure": "distance"})
    assert occlusion_command(folder) is None
