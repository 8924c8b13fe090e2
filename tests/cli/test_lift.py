"""`pplkit lift` from keypoints to files, and what it refuses."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lifters import SIZE, tiny_lifter, walk

from pplkit import cli
from pplkit.data.bvh import read_bvh
from pplkit.data.sequences import read_sequence
from pplkit.data.skeletons import H36M17


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a lifter, lift, and keypoints, poses.csv."""
    folder = tmp_path_factory.mktemp("lifting")
    tiny_lifter(folder / "lift")
    points, _ = walk(9)
    with (folder / "poses.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("frame", "joint", "x", "y", "confidence"))
        for frame, pose in enumerate(points):
            table.writerows((frame, name, x, y, 0.9) for name, (x, y) in zip(H36M17.joints, pose, strict=True))
    return folder


@pytest.mark.parametrize("ending", ["npz", "bvh", "json", "csv"])
def test_keypoints_become_a_file(folder: Path, ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / f"motion.{ending}"
    line = ["lift", str(folder / "lift"), str(folder / "poses.csv"), "--size", "1000x800", "--out", str(out)]
    assert cli.main(line) == 0 and out.stat().st_size > 1000
    said = capsys.readouterr().out
    assert "9 frames at 30 a second, unless --fps says otherwise; 100% of the joints were seen." in said
    assert f"The motion is in {out}." in said


def test_options_reach_the_motion(folder: Path) -> None:
    out = folder / "motion.npz"
    line = ["lift", str(folder / "lift"), str(folder / "poses.csv"), "--size", "1000x800", "--out", str(out)]
    more = ["--layout", "h36m17", "--fps", "60", "--height", "1.9", "--constant-bones", "--focal-length", "2000"]
    assert cli.main([*line, *more]) == 0
    motion = read_sequence(out)
    assert (motion.fps, motion.size, motion.skeleton) == (60, SIZE, H36M17)
    assert motion.camera is not None and motion.camera.intrinsic[0] == 4
    resampled = motion.points
    assert cli.main([*line, *more, "--as-is"]) == 0 and not np.allclose(read_sequence(out).points, resampled)
    assert cli.main([*line[:-1], str(folder / "motion.bvh"), "--fps", "25"]) == 0
    assert read_bvh(folder / "motion.bvh", 0.01, "y").fps == 25


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--out": "motion.fbx"}, "does not end in .npz or .bvh or .json or .csv"),
        ({"--size": None}, "give size=(width, height) (--size)"),
        ({"--layout": "coco17"}, "poses.csv is not in the order of layout coco17: use layout h36m17"),
        ({"--layout": "coco"}, "layout coco is unknown, and"),
        ({"--person": "3"}, "has no person 3"),
        ({"--landmarks": "a.json"}, "are for videos"),
    ],
)
def test_what_does_not_fit_is_refused(
    changes: dict[str, Any], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"--out": "motion.npz", "--size": "1000x800"} | changes
    options["--out"] = str(folder / options["--out"])
    words = [word for name, value in options.items() if value is not None for word in (name, value)]
    assert cli.main(["lift", str(folder / "lift"), str(folder / "poses.csv"), *words]) == 2
    assert message in capsys.readouterr().err


def test_a_video_needs_a_prior(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "clip.mp4").touch()
    line = ["lift", str(folder / "lift"), str(folder / "clip.mp4"), "--out", str(folder / "motion.npz")]
    assert cli.main(line) == 2
    assert "clip.mp4 is a video: give --keypoints, the run of a pose prior" in capsys.readouterr().err


def test_a_video_goes_through_the_prior(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pplkit.inference.lifting.keypoint_files import read_keypoints

    calls: list[Any] = []

    def keypoints(*given: Any, **named: Any) -> Any:
        calls.append((*given, named))
        return read_keypoints(folder / "poses.csv")

    monkeypatch.setattr("pplkit.inference.lifting.video_keypoints.video_keypoints", keypoints)
    video, out = folder / "clip.mp4", folder / "film.npz"
    video.touch()
    line = ["lift", str(folder / "lift"), str(video), "--out", str(out), "--size", "1000x800", "--keypoints", "runs/a"]
    assert cli.main([*line, "--landmarks", "named.json", "--crop", "pad", "--device", "cpu", "--quiet"]) == 0
    options = {"landmarks": Path("named.json"), "crop": "pad", "device": "cpu", "bar": False}
    assert calls == [(video, Path("runs/a"), options)] and len(read_sequence(out)) == 9


def test_a_size_has_two_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    for size in ("1920", "1920x", "0x3", "axb"):
        with pytest.raises(SystemExit):
            cli.main(["lift", "run", "a.json", "--out", "b.npz", "--size", size])
        assert "is not of the form 1920x1080" in capsys.readouterr().err
