"""Errors of 3D poses: by hand, invariances, and the numbers of the published code."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pplkit.core.errors import PplkitError
from pplkit.evaluation.pose3d import (
    action_table,
    align_similarity,
    auc,
    joint_distances,
    mpjpe,
    mpjve,
    n_mpjpe,
    p_mpjpe,
    pck,
)
from pplkit.geometry.cameras import rotate


@pytest.fixture
def poses() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(6, 5, 3))


@pytest.fixture
def noisy(poses: np.ndarray) -> np.ndarray:
    return poses + 0.2 * np.random.default_rng(1).normal(size=poses.shape)


def turned(poses: np.ndarray, seed: int = 2) -> np.ndarray:
    """Each pose turned by a rotation of its own."""
    quaternions = np.random.default_rng(seed).normal(size=(len(poses), 1, 4))
    return rotate(poses, quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True))


def test_mpjpe_by_hand() -> None:
    target = np.zeros((2, 2, 3))
    prediction = np.array([[[3, 4, 0], [0, 0, 0]], [[0, 0, 1], [2, 2, 1]]], float)
    assert joint_distances(prediction, target).tolist() == [[5, 0], [1, 3]]
    assert mpjpe(prediction, target) == 9 / 4
    assert mpjpe(torch.tensor(prediction), torch.tensor(target)) == 9 / 4
    assert mpjpe(prediction, target, weights=[[2], [0.5]]) == (2 * 5 + 0.5 * 4) / 4


def test_velocity_error_by_hand() -> None:
    """The prediction is off by 1, 1, 3: its velocity by 0 and 2. A constant offset costs nothing."""
    target = np.arange(9.0).reshape(3, 1, 3)
    prediction = target + np.array([1, 1, 3])[:, None, None] * [0, 1, 0]
    assert mpjve(prediction, target) == 1
    assert mpjve(target + 7, target) == 0
    assert np.isnan(mpjve(target[:1], target[:1]))


def test_scaled_error_by_hand() -> None:
    """The scale is Σ target·prediction / Σ prediction² = (2 + 0) / (1 + 1) = 1, or 2 without the second joint."""
    target, prediction = np.array([[[2.0, 0, 0], [0, 0, 0]]]), np.array([[[1.0, 0, 0], [0, 1, 0]]])
    assert n_mpjpe(prediction, target) == 1
    assert n_mpjpe(prediction[:, :1], target[:, :1]) == 0


def test_pck_and_auc_by_hand() -> None:
    """Thresholds are 0, 5, ..., 150 mm: 26 of 31 are above 20 mm and 3 above 135 mm."""
    prediction = np.zeros((1, 4, 3))
    prediction[0, :, 1] = [0.02, 0.135, 0.15, 0.4]
    target = np.zeros((1, 4, 3))
    assert pck(prediction, target) == 0.5
    assert pck(prediction, target, 0.5) == 1
    assert auc(prediction, target) == pytest.approx((26 + 3) / 31 / 4)


def test_a_similarity_of_each_frame_does_not_change_the_aligned_error(poses: np.ndarray, noisy: np.ndarray) -> None:
    scales, shifts = np.linspace(0.5, 3, 6)[:, None, None], np.random.default_rng(3).normal(size=(6, 1, 3))
    assert p_mpjpe(scales * turned(poses) + shifts, poses) == pytest.approx(0, abs=1e-12)
    assert p_mpjpe(scales * turned(noisy) + shifts, poses) == pytest.approx(p_mpjpe(noisy, poses))
    assert p_mpjpe(noisy, poses) < mpjpe(noisy, poses)


def test_a_mirrored_pose_is_not_turned_back(poses: np.ndarray) -> None:
    assert p_mpjpe(poses * [-1, 1, 1], poses) > 0.1
    flat = poses * [1, 1, 0]  # in a plane a mirror image is a rotation
    assert p_mpjpe(flat * [-1, 1, 1], flat) == pytest.approx(0, abs=1e-7)


def test_alignment_is_the_best_in_squares(poses: np.ndarray, noisy: np.ndarray) -> None:
    best = align_similarity(noisy, poses)
    error = np.square(best - poses).sum((1, 2))
    for seed in range(3):
        step = 0.01 * np.random.default_rng(seed).normal(size=(3, 6, 1, 3))
        small = np.concatenate((np.ones((6, 1, 1)), step[0]), axis=-1)
        moved = rotate(best, small / np.linalg.norm(small, axis=-1, keepdims=True)) * (1 + step[1, ..., :1]) + step[2]
        assert (np.square(moved - poses).sum((1, 2)) > error).all()


def test_scale_alone_does_not_change_the_scaled_error(poses: np.ndarray, noisy: np.ndarray) -> None:
    assert n_mpjpe(3 * noisy, poses) == pytest.approx(n_mpjpe(noisy, poses))
    assert n_mpjpe(turned(noisy), poses) > 2 * n_mpjpe(noisy, poses)
    assert n_mpjpe(noisy + 1, poses) > 2 * n_mpjpe(noisy, poses)


def test_a_prediction_without_extent_gives_numbers(poses: np.ndarray) -> None:
    nothing = np.zeros_like(poses)
    assert n_mpjpe(nothing, poses) == mpjpe(nothing, poses)
    assert p_mpjpe(nothing, poses) == pytest.approx(
        np.linalg.norm(poses - poses.mean(1, keepdims=True), axis=-1).mean()
    )


def test_shapes_that_would_be_broadcast_are_refused(poses: np.ndarray) -> None:
    with pytest.raises(PplkitError, match=r"\(6, 1, 3\) and \(6, 5, 3\)"):
        mpjpe(poses[:, :1], poses)
    with pytest.raises(PplkitError, match="frames, joints, 3"):
        p_mpjpe(poses[..., :2], poses[..., :2])


def test_table_by_hand() -> None:
    """Sequences of 1, 3 and 2 frames that are off by 1, 2 and 6 mm in one joint."""

    def sequence(name: str, frames: int, error: float) -> tuple[str, np.ndarray, np.ndarray]:
        return name, np.full((frames, 1, 3), [error / 1000, 0, 0]), np.zeros((frames, 1, 3))

    table = action_table([sequence("Sitting", 1, 1), sequence("Sitting 2", 3, 2), sequence("SittingDown 1", 2, 6)])
    assert {name: round(errors.mpjpe, 9) for name, errors in table.actions.items()} == {
        "Sitting": 7 / 4, "SittingDown": 6,
    }  # fmt: skip
    assert table.average.mpjpe == pytest.approx(31 / 8)
    assert table.frames.mpjpe == pytest.approx((1 + 6 + 12) / 6)
    assert table.average.mpjve == 0
    assert np.isnan(action_table([sequence("Sitting", 1, 1)]).average.mpjve)
    with pytest.raises(PplkitError, match="no sequences"):
        action_table([])


def test_published_metrics(parity: Path) -> None:
    arrays = np.load(parity / "lift" / "lift_metrics.npz")
    prediction, target = arrays["prediction"], arrays["target"]
    for metric in (mpjpe, p_mpjpe, n_mpjpe, mpjve):
        assert metric(prediction, target) == pytest.approx(float(arrays[metric.__name__]), abs=1e-6)
    for metric in (mpjpe, p_mpjpe, n_mpjpe):
        frames = [metric(prediction[t : t + 1], target[t : t + 1]) for t in range(len(target))]
        assert np.allclose(frames, arrays[f"{metric.__name__}_per_frame"], rtol=0, atol=1e-6)
    weighted = mpjpe(prediction, target, arrays["weight"][..., 0])
    assert weighted == pytest.approx(float(arrays["weighted_mpjpe"]), abs=1e-6)


def test_published_table(parity: Path) -> None:
    arrays = np.load(parity / "lift" / "lift_metrics.npz")
    expected = json.loads((parity / "lift" / "lift_table.json").read_text())
    names = [name for _, name, _, _ in expected["sequences"]]
    sequences = [(n, arrays[f"table/{i}/prediction"], arrays[f"table/{i}/target"]) for i, n in enumerate(names)]
    table = action_table(sequences)
    assert list(table.actions) == list(expected["per_action"])
    for action, row in expected["per_action"].items():  # computed in single precision
        assert list(table.actions[action]) == pytest.approx(row, rel=1e-6)
    assert list(table.average) == pytest.approx(expected["average"], rel=1e-6)
