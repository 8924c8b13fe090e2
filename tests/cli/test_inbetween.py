"""`pplkit train --preset inbetween` and `pplkit inbetween`."""

from pathlib import Path

import numpy as np
import pytest

from data_prep.motion_synthetic import motion_windows
from pplkit import cli
from pplkit.data.sequences import PoseSequence, read_sequence
from pplkit.data.skeletons import H36M17


def test_a_trained_network_fills_a_gap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = motion_windows(0, 1, 40, rule="gait")[0]
    PoseSequence(points=points, fps=30, skeleton=H36M17, space="world").write(tmp_path / "walk.npz")
    run, out = str(tmp_path / "run"), tmp_path / "filled.npz"
    train = ["train", "motion_synthetic", run, "--preset", "inbetween", "--steps", "2", "--set", "width=8", "layers=1"]
    assert cli.main([*train, "batch_size=4", "--device", "cpu"]) == 0
    assert cli.main(["inbetween", run, str(tmp_path / "walk.npz"), "--gap", "15:20", "--out", str(out)]) == 0
    made = read_sequence(out).points
    assert np.isfinite(made).all() and (made[15:20] != points[15:20]).any((1, 2)).all()
    assert "5 frames were made" in capsys.readouterr().out
    assert cli.main(["inbetween", run, str(tmp_path / "walk.npz"), "--gap", "2:9", "--out", str(out)]) == 2
    assert "10 whole frames before it" in capsys.readouterr().err
    assert cli.main(["train", str(tmp_path), run, "--preset", "inbetween"]) == 2


def test_a_gap_is_two_numbers() -> None:
    with pytest.raises(SystemExit):
        cli.main(["inbetween", "run", "walk.npz", "--gap", "40", "--out", "x.npz"])
