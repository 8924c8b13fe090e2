"""`pplkit imitate`: files in, files out, and one sentence for what cannot be used."""

from pathlib import Path

import numpy as np
import pytest
from strides import lifted, walk

from pplkit import cli
from pplkit.data.bvh import read_bvh
from pplkit.data.sequences import read_sequence


def test_motion_becomes_plausible_as_npz_and_bvh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = walk(30)
    lifted(truth).write(tmp_path / "motion.npz")
    truth.write(tmp_path / "truth.npz")
    command = ["imitate", str(tmp_path / "motion.npz"), "--truth", str(tmp_path / "truth.npz")]
    assert cli.main([*command, "--method", "filters", "--out", str(tmp_path / "clean.npz"), "--fps", "25"]) == 0
    printed = capsys.readouterr().out
    assert "mpjpe mm" in printed and "The motion is in" in printed
    clean = read_sequence(tmp_path / "clean.npz")
    assert clean.fps == 25 and clean.space == "world" and len(clean) == 25
    options = ["--method", "fit", "--set", "iterations=5", "--out", str(tmp_path / "clean.bvh")]
    assert cli.main([*command, *options]) == 0
    assert len(read_bvh(tmp_path / "clean.bvh")) == 30
    assert cli.main(["imitate", str(tmp_path / "clean.bvh"), *options[:4], "--out", str(tmp_path / "again.npz")]) == 0


@pytest.mark.parametrize(
    ("motion", "out", "words"),
    [
        ("motion.npz", "clean.csv", "does not end in .npz or .bvh"),
        ("motion.csv", "clean.npz", "is no motion"),
        ("exploded.npz", "clean.npz", "has exploded"),
        ("missing.npz", "clean.npz", "missing.npz"),
    ],
)
def test_what_cannot_be_used_gives_one_sentence(
    motion: str, out: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = walk(5)
    truth.write(tmp_path / "motion.npz")
    points = truth.points * np.float32(1e20)
    points[0] = truth.points[0]
    type(truth)(points=points, fps=30, skeleton=truth.skeleton, space="world").write(tmp_path / "exploded.npz")
    assert cli.main(["imitate", str(tmp_path / motion), "--out", str(tmp_path / out)]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
