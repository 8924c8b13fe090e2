"""From keypoints to upright motion, with a lifter that is known by heart and one that was trained for a moment."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lifters import SIZE, TINY, flat_lifter, tiny_lifter, walk

import pplkit
from pplkit.core.errors import PplkitError
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import COCO17, H36M17, HALPE26, Skeleton, standing_pose
from pplkit.evaluation.pose3d import p_mpjpe
from pplkit.geometry.cameras import normalize_screen
from pplkit.geometry.placement import root_path
from pplkit.inference.lifting.lift import body_height, pixels, upright
from pplkit.inference.lifting.people import Keypoints
from pplkit.models.lifting.config import LiftingConfig
from pplkit.training.saved_lifter import LifterRun


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lifter(tmp_path_factory.mktemp("runs") / "lift")


@pytest.fixture(scope="module")
def flat() -> LifterRun:
    return flat_lifter()


def figure(layout: Skeleton, frames: int = 5) -> np.ndarray:
    """Somebody who stands, (T, K, 2) in pixels of SIZE, two pixels for a centimeter."""
    return np.tile(2 * standing_pose(layout) + [500, 200], (frames, 1, 1))


@pytest.mark.parametrize("frames", [1, 2, 3, 28, 200])
def test_any_number_of_frames_of_a_trained_lifter(run: Path, frames: int) -> None:
    points, _ = walk(frames)
    lifted = pplkit.lift(points, SIZE, "h36m17", model=run)
    assert lifted.points.shape == (frames, 17, 3) and np.isfinite(lifted.points).all()
    assert (lifted.space, lifted.fps, lifted.size, lifted.skeleton) == ("world", 30, SIZE, H36M17)
    assert np.allclose(lifted.points[0, 0, [0, 2]], 0, atol=1e-5)
    assert np.quantile(lifted.points[..., 1].min(1), 0.05) == pytest.approx(0, abs=1e-4)


def test_one_image_is_one_frame(run: Path) -> None:
    points, _ = walk(1)
    image = pplkit.lift(points[0], SIZE, "h36m17", model=run)
    assert np.array_equal(image.points, pplkit.lift(points, SIZE, "h36m17", model=run).points)


def test_a_figure_stands_upright_with_its_left_hand_on_its_left(flat: LifterRun) -> None:
    """It faces the camera, so that its left is at the right of the image, and 2 m for a screen unit are its size."""
    for layout in (H36M17, COCO17, HALPE26):
        lifted = pplkit.lift(figure(layout), SIZE, layout.name, model=flat)
        joints = dict(zip(H36M17.joints, lifted.points[0].astype(float), strict=True))
        assert joints["left wrist"][0] > 0.05 > -0.05 > joints["right wrist"][0]
        assert joints["head"][1] > joints["thorax"][1] > joints["left knee"][1] > joints["left ankle"][1]
        assert joints["left ankle"][1] == pytest.approx(0, abs=1e-3)
        # Knee and ankle are 45 cm apart, 90 pixels, 0.18 screen units.
        assert np.linalg.norm(joints["left knee"] - joints["left ankle"]) == pytest.approx(2 * 0.18, abs=0.01)
        assert lifted.spread is not None and np.allclose(lifted.spread, 0.1)


def test_the_camera_sees_the_joints_where_the_keypoints_are(flat: LifterRun) -> None:
    points = figure(H36M17) + 5 * np.arange(5)[:, None, None]
    lifted = pplkit.lift(points, SIZE, "h36m17", model=flat, fps=30)
    assert np.abs(pixels(lifted) - points).max() < 1
    height = pplkit.lift(points, SIZE, "h36m17", model=flat, fps=30, height=1.8)
    assert np.abs(pixels(height) - points).max() < 1
    with pytest.raises(PplkitError, match="has no camera"):
        pixels(PoseSequence(points=lifted.points, fps=30, skeleton=H36M17))


def test_the_path_of_the_root_is_that_of_the_keypoints() -> None:
    """With true poses in place of a lifter's."""
    points, joints = walk(60)

    relative = joints - joints[:, :1]
    screen = normalize_screen(points, *SIZE)
    path = root_path(relative, screen, np.ones(screen.shape[:2]), 2.3, 30)
    world, _ = upright(relative + path[:, None], H36M17, 2.3)
    assert 1000 * p_mpjpe(world, joints) < 15
    moved, true = (np.linalg.norm(np.diff(place, axis=0), axis=1).sum() for place in (world[:, 0], joints[:, 0]))
    assert moved == pytest.approx(true, rel=0.2)


def test_height_sets_the_scale_and_bones_may_be_constant(run: Path) -> None:
    points, _ = walk(40)
    plain = pplkit.lift(points, SIZE, "h36m17", model=run)
    tall = pplkit.lift(points, SIZE, "h36m17", model=run, height=1.9, constant_bones=True)
    assert body_height(tall.points.astype(float), H36M17) == pytest.approx(1.9, abs=1e-4)
    bones = np.array(H36M17.bones)
    lengths = [np.linalg.norm(m.points[:, bones[:, 0]] - m.points[:, bones[:, 1]], axis=-1) for m in (plain, tall)]
    assert np.ptp(lengths[0], axis=0).max() > 1e-3 > 1e-5 > np.ptp(lengths[1], axis=0).max()
    left, right = (
        lengths[1][0, [H36M17.bones.index(b) for b in pair]] for pair in (((4, 5), (11, 12)), ((1, 2), (14, 15)))
    )
    assert np.allclose(left, right, atol=1e-5)


def test_missing_joints_of_all_kinds_are_the_same(run: Path) -> None:
    points, _ = walk(30)
    confidence = np.ones((30, 17))
    confidence[5:9, 3] = confidence[:, 16] = 0
    expected = pplkit.lift(points, SIZE, "h36m17", confidence, model=run)
    gone = points.copy()
    gone[5:9, 3], gone[:, 16] = np.nan, np.nan
    for found in (
        pplkit.lift(gone, SIZE, "h36m17", model=run),
        pplkit.lift(np.concatenate((points, confidence[..., None]), axis=2), SIZE, "h36m17", model=run),
    ):
        assert np.array_equal(found.points, expected.points) and np.array_equal(found.weight, expected.weight)
    assert (expected.weight == 0).sum() == 34 and np.isfinite(expected.points).all()


def test_half_a_body_is_lifted(run: Path) -> None:
    upper = [joint for joint in COCO17.joints if "knee" not in joint and "ankle" not in joint]
    points = figure(COCO17)[:, : len(upper)]
    lifted = pplkit.lift(points, SIZE, upper, model=run)
    assert np.isfinite(lifted.points).all() and (lifted.weight[:, H36M17.joints.index("left knee")] == 0).all()


def test_a_file_says_layout_size_and_rate(run: Path, tmp_path: Path) -> None:
    points, _ = walk(12)
    path = tmp_path / "poses.npz"
    np.savez(path, keypoints=points, names=np.array(H36M17.joints), size=SIZE, fps=15)
    lifted = pplkit.lift(path, model=run)
    assert np.array_equal(lifted.points, pplkit.lift(points, SIZE, "h36m17", fps=15, model=run).points)
    assert lifted.fps == 15 and lifted.source == str(path)
    sequence = PoseSequence(points=points, fps=15, skeleton=H36M17, size=SIZE)
    assert np.allclose(pplkit.lift(sequence, model=run).points, lifted.points, atol=1e-4)


def test_times_of_a_file_count_unless_a_rate_is_given(run: Path) -> None:
    points, _ = walk(9)
    even = Keypoints(points=points, confidence=np.ones((9, 17)), source="a", seconds=np.arange(9) / 15, fps=15)
    uneven = replace(even, seconds=np.array([0, 1, 2, 3, 4, 9, 10, 11, 12]) / 15)
    plain = pplkit.lift(points, SIZE, "h36m17", fps=15, model=run).points
    assert np.array_equal(pplkit.lift(even, SIZE, "h36m17", model=run).points, plain)
    assert np.abs(pplkit.lift(uneven, SIZE, "h36m17", model=run).points - plain).max() > 1e-4
    assert np.array_equal(pplkit.lift(uneven, SIZE, "h36m17", fps=15, model=run).points, plain)


def test_two_people_of_a_file(run: Path, tmp_path: Path) -> None:
    points, _ = walk(6)
    rows = [
        {"image_id": frame, "keypoints": np.c_[points[frame] + 300 * who, np.ones(17)].ravel().tolist()}
        for frame in range(6)
        for who in (0, 1)
    ]
    path = tmp_path / "poses.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(PplkitError, match=r"holds 2 people: choose one with person= .* 1 \(6 frames\), 2 \(6 frames\)"):
        pplkit.lift(path, SIZE, "h36m17", model=run)
    first = pplkit.lift(path, SIZE, "h36m17", model=run, person=1)
    assert np.allclose(first.points, pplkit.lift(points, SIZE, "h36m17", model=run).points, atol=1e-5)


def test_a_lifter_of_another_skeleton_takes_points_by_name() -> None:
    cat = Skeleton("cat", ("body", "left paw", "right paw"), (-1, 0, 0), ((1, 2),))
    flat = flat_lifter(TINY.for_skeleton(cat, 30))
    points = np.array([[[600.0, 500], [500, 400], [400, 500]]])
    lifted = pplkit.lift(points, SIZE, ["left paw", "body", "right paw"], model=flat)
    assert lifted.points[0, 1, 0] > 0 > lifted.points[0, 2, 0] and lifted.points[0, :, 1].tolist() == pytest.approx(
        [0.4, 0, 0], abs=1e-3
    )


def test_what_is_missing_or_impossible_is_said(run: Path, flat: LifterRun, tmp_path: Path) -> None:
    points, _ = walk(3)
    for changes, message in {
        "no model": ({"model": None}, "a lifter is needed: give model="),
        "no size": ({"size": None}, r"the array does not say how large the image is: give size=\(width, height\)"),
        "odd size": ({"size": (0, 3)}, "is no size of an image"),
        "rate": ({"fps": -1}, "fps=-1.0 must be a positive number"),
        "height": ({"height": 175}, "height=175 is no height of a person in meters"),
        "focal": ({"focal_length": float("nan")}, "focal_length=nan must be a positive number"),
        "no layout": ({"layout": None}, "does not say which joints its 17 points are"),
        "nothing": ({"confidence": np.zeros((3, 17))}, "shows no joint in any frame"),
        "no lifter": ({"model": tmp_path}, "config.json"),
    }.values():
        options = {"size": SIZE, "layout": "h36m17", "model": flat} | changes
        with pytest.raises(PplkitError, match=message):
            pplkit.lift(points, **options)
    with pytest.raises(PplkitError, match="confidence= goes with an array"):
        pplkit.lift("poses.json", confidence=np.ones(3), model=flat)


def test_poseformer_lifts_as_well(tmp_path: Path) -> None:
    config = LiftingConfig.preset("poseformer-27").replace(
        frames=9, width=8, depth=1, heads=2, drop_path=0.0, steps=2, batch_size=4, warmup_steps=0
    )
    points, _ = walk(20)
    points[3, 5] = np.nan
    lifted = pplkit.lift(points, SIZE, "h36m17", fps=50, model=tiny_lifter(tmp_path / "run", config))
    assert np.isfinite(lifted.points).all() and lifted.fps == 50
