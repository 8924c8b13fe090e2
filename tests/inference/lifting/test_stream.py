from pathlib import Path

import numpy as np
import pytest
from lifters import SIZE, flat_lifter, tiny_lifter, walk

import pplkit
from pplkit.core.errors import PplkitError
from pplkit.evaluation.pose3d import p_mpjpe
from pplkit.inference.lifting.stream import LiftStream


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lifter(tmp_path_factory.mktemp("runs") / "lift")


@pytest.mark.parametrize("delay", [0, 4, 40])
def test_each_frame_has_its_pose_in_order(run: Path, delay: int) -> None:
    points, _ = walk(35)
    stream = LiftStream(run, SIZE, "h36m17", delay=delay)
    ready = [stream.add(frame) for frame in points]
    assert [pose is None for pose in ready] == [frame < delay for frame in range(35)]
    poses = [pose for pose in ready if pose is not None] + list(stream.finish())
    assert [pose.frame for pose in poses] == list(range(35)) and not list(stream.finish())
    assert all(np.isfinite(pose.joints).all() for pose in poses)


def test_the_last_frame_of_a_window_is_that_of_the_clip(run: Path) -> None:
    points, _ = walk(27)
    clip = pplkit.lift(points, SIZE, "h36m17", model=run)
    last = list(LiftStream(run, SIZE, "h36m17", camera=clip.camera).lift(points))[-1]
    assert np.allclose(last.joints, clip.points[-1], atol=1e-4)


def test_the_whole_clip_within_the_delay_is_the_clip(run: Path) -> None:
    points, _ = walk(20)
    clip = pplkit.lift(points, SIZE, "h36m17", model=run)
    poses = list(LiftStream(run, SIZE, "h36m17", delay=26, camera=clip.camera).lift(points))
    assert np.allclose([pose.joints for pose in poses], clip.points, atol=1e-4)


def test_without_a_camera_it_is_level_and_the_world_is_y_up() -> None:
    """The flat lifter's pose faces the camera, in its size."""
    points, _ = walk(3)
    (pose, *_) = LiftStream(flat_lifter(), SIZE, "h36m17").lift(points)
    clip = pplkit.lift(points[:1], SIZE, "h36m17", model=flat_lifter())
    assert p_mpjpe(pose.joints[None], clip.points.astype(float)) < 1e-6
    assert pose.joints[10, 1] > pose.joints[3, 1] and pose.joints[0, 2] < -1  # head above foot, before the camera
    assert pose.spread is not None and np.allclose(pose.spread, 0.1)


def test_frames_without_a_person_and_another_rate(run: Path) -> None:
    points, _ = walk(9)
    frames = [None, *points[:4], None, *points[4:]]
    poses = list(LiftStream(run, SIZE, "h36m17", fps=60).lift(frames))
    assert np.isnan(poses[0].joints).all() and all(np.isfinite(pose.joints).all() for pose in poses[1:])
    assert poses[5].confidence.tolist() == [0] * 17


def test_memory_is_that_of_a_window(run: Path) -> None:
    stream = LiftStream(run, SIZE, "h36m17", fps=60)
    points, _ = walk(20)
    for _ in range(5):
        list(stream.lift(points))
    assert len(stream._frames) == 53  # 26 steps of 1/30 s, and the first frame


def test_what_does_not_fit_is_refused(run: Path) -> None:
    with pytest.raises(PplkitError, match="delay=-1 is below 0"):
        LiftStream(run, SIZE, "h36m17", delay=-1)
    with pytest.raises(
        PplkitError, match=r"a frame has the shape \(16, 2\): give \(17, 2 or 3\), the points of layout h36m17"
    ):
        LiftStream(run, SIZE, "h36m17").add(np.ones((16, 2)))
    with pytest.raises(PplkitError, match="layout body8 is unknown"):
        LiftStream(run, SIZE, "body8")
