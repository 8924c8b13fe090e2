"""Gaps of motion filled by a network; an untrained one interpolates."""

import numpy as np
import pytest

from data_prep.motion_synthetic import motion_windows
from pplkit.core.errors import PplkitError
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17
from pplkit.inference.inbetweening import fill_gaps, missing_frames
from pplkit.models.motion.inbetweening import InBetweening
from pplkit.models.motion.inbetweening_config import InBetweeningConfig

MODEL = InBetweening(InBetweeningConfig(width=8, layers=1)).eval()


def walk(frames: int = 40, fps: float = 30.0) -> PoseSequence:
    points = motion_windows(0, 1, frames, rule="gait")[0]
    return PoseSequence(points=points, fps=fps, skeleton=H36M17, space="world")


def test_a_gap_is_filled_and_all_else_stays() -> None:
    motion = walk()
    made = fill_gaps(motion, MODEL, [(15, 20)], pin_feet=False).points
    same = (made == motion.points).all((1, 2))
    assert same[:15].all() and same[20:].all() and not same[15:20].any()
    root = motion.points[:, 0]
    straight = root[14] + np.arange(1, 6)[:, None] / 6 * (root[20] - root[14])
    assert np.allclose(made[15:20, 0], straight, atol=1e-4)  # before training, the root goes straight on
    shin = np.linalg.norm(made[:, 5] - made[:, 6], axis=1)
    assert np.allclose(shin, shin[0], atol=1e-3)


def test_missing_frames_are_the_gaps() -> None:
    motion = walk()
    points = motion.points.copy()
    points[12:14, 3] = np.nan
    points[25:30] = np.nan
    gone = PoseSequence(points=points, fps=30, skeleton=H36M17, space="world")
    assert np.isfinite(fill_gaps(gone, MODEL).points).all()
    assert missing_frames(np.isfinite(points).all((1, 2))) == [(12, 14), (25, 30)]
    assert missing_frames(np.array([False, True, False])) == [(0, 1), (2, 3)]
    assert np.array_equal(fill_gaps(motion, MODEL).points, motion.points)


@pytest.mark.parametrize("gap", [(5, 9), (30, 39), (20, 20), (30, 50), (12, 14)])
def test_gaps_that_cannot_be_filled(gap: tuple[int, int]) -> None:
    points = walk().points.copy()
    points[15] = np.nan
    with pytest.raises(PplkitError, match=f"the gap {gap[0]}:{gap[1]} "):
        fill_gaps(PoseSequence(points=points, fps=30, skeleton=H36M17, space="world"), MODEL, [gap])


def test_other_motion_is_refused() -> None:
    with pytest.raises(PplkitError, match=r"25 frames a second .* 30: use motion\.resampled"):
        fill_gaps(walk(fps=25), MODEL)
    camera = PoseSequence(points=walk().points, fps=30, skeleton=H36M17, space="camera")
    with pytest.raises(PplkitError, match="world space"):
        fill_gaps(camera, MODEL)
