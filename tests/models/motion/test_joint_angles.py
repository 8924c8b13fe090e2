from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pplkit.data.bvh import read_bvh
from pplkit.geometry.quaternions import from_euler, from_matrices
from pplkit.models.motion.joint_angles import FIGURE21, NAMES, PARENTS, figure, joints21
from pplkit.models.motion.skeleton import BODY, joints_from_bones, with_lengths
from tests.helpers.motion_parity import arrays, close, keys


def standing(frames: int = 4) -> np.ndarray:
    """A body with outstretched, straight arms that turns a little."""
    directions = np.zeros((15, 3))
    directions[[0, 12, 13, 14], 0] = directions[[1, 2, 4, 5], 2] = 1  # parent minus child
    directions[[3, 9, 10, 11], 0] = directions[6:9, 2] = -1
    points = joints_from_bones(np.tile(directions * np.array(BODY)[:, None], (frames, 1, 1)))
    turn = np.linspace(0, 0.3, frames)
    x, y = points[..., 0].copy(), points[..., 1].copy()
    points[..., 0] = x * np.cos(turn)[:, None] - y * np.sin(turn)[:, None]
    points[..., 1] = x * np.sin(turn)[:, None] + y * np.cos(turn)[:, None]
    return points + [0, 0, 1]


def test_straight_elbows_and_a_rigid_body_are_read_back() -> None:
    points = standing()
    read, _ = figure(points).read()
    assert_allclose(read, joints21(points), atol=1e-8)
    assert np.isfinite(figure(points, published=True).channels).all()


def test_only_the_published_form_turns_the_neck() -> None:
    neck = 3 + 3 * NAMES.index("Neck") + 2
    assert_allclose(figure(standing()).channels[:, neck], 0, atol=1e-8)
    assert_allclose(figure(standing(), published=True).channels[:, neck], np.degrees(2))


def test_what_others_read_misses_the_arms_in_the_published_form_alone(parity: Path) -> None:
    stored = arrays(parity, "transforms")
    points = with_lengths(stored["world"].astype(float), BODY)
    errors = [np.linalg.norm(figure(points, published).read()[0] - joints21(points), axis=-1) for published in (0, 1)]
    arms = [NAMES.index(f"{side}{part}") for side in ("Left", "Right") for part in ("Arm", "ForeArm", "Hand")]
    assert errors[1][:, arms].mean() > 10 > 2.5 * errors[0][:, arms].mean()


def test_published_figure(parity: Path) -> None:
    stored = arrays(parity, "bvh")
    assert keys(parity)["bvh_channel_order"]["joints"] == list(NAMES)
    assert stored["read_names_parents"].tolist() == list(PARENTS)
    assert (5, 2) in FIGURE21.flip_pairs
    close(joints21(stored["pose16"]), stored["pose21"])
    made = figure(stored["pose16"], published=True)
    close(made.offsets, stored["offsets"])
    close(made.channels, stored["channels"])
    positions, local = made.read()
    close(positions, stored["read_global_positions"])
    signs = np.sign((from_matrices(local) * stored["read_local_quaternions"]).sum(-1, keepdims=True))
    close(from_matrices(local) * signs, stored["read_local_quaternions"])


def test_published_reader(parity: Path) -> None:
    stored = arrays(parity, "hallucinator")
    path = parity.parent / "data" / "motion" / "animated_drawings" / "dab.bvh"
    if not path.is_file():
        pytest.skip("no clips of AnimatedDrawings beside the stored numbers")
    sequence = read_bvh(path, scale=1.0, up="y")
    joints = [number for number, name in enumerate(sequence.skeleton.joints) if not name.endswith(" end")]
    # The kit turns the file's axes so that y is up; asked for y, it leaves them.
    close(sequence.points[::60, joints], stored["file_global_positions"].astype(np.float32))
    parents = [sequence.skeleton.parents[joint] for joint in joints]
    assert [joints.index(parent) if parent >= 0 else -1 for parent in parents] == stored["file_parents"].tolist()
    rows = path.read_text().split("MOTION")[1].splitlines()[3:]
    angles = np.array([row.split() for row in rows if row.strip()], float)[::60, 3:].reshape(-1, len(joints), 3)
    turns = from_euler(np.radians(angles), (0, 1, 2))
    close(np.abs((turns * stored["file_local_quaternions"]).sum(-1)), np.ones(turns.shape[:2]))
