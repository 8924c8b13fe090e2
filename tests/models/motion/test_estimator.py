from pathlib import Path

import numpy as np
import pytest
import torch

from pplkit.core.errors import PplkitError
from pplkit.evaluation import pose3d
from pplkit.geometry.coordinates import mirror
from pplkit.models.motion import estimator
from pplkit.models.motion.estimator import (
    TemporalConvolution,
    estimate_camera_space,
    learning_rate_factor,
    load_temporal_convolution,
    path_loss,
    pose_loss,
)
from pplkit.models.motion.skeleton import MOTION16
from tests.helpers.motion_parity import arrays, close, keys, state, weights

NETWORKS = 1e-4


def tiny(outputs: int = 16, blocks: int = 2) -> TemporalConvolution:
    torch.manual_seed(0)
    return TemporalConvolution(outputs, channels=8, blocks=blocks).eval()


def test_blocks_see_three_times_as_many_frames() -> None:
    assert [tiny(blocks=n).frames for n in (1, 2, 3)] == [9, 27, 81]
    keypoints = torch.randn(1, 30, 16, 2)
    output = tiny()(keypoints)
    keypoints[:, 27:] += 1  # after what the first frame sees
    assert output.shape == (1, 4, 16, 3)
    assert torch.equal(tiny()(keypoints)[:, 0], output[:, 0])
    assert not torch.equal(tiny()(keypoints)[:, 1], output[:, 1])


def test_the_estimate_has_every_frame_and_the_mirror_image_its_mirror_image() -> None:
    keypoints = torch.randn(12, 16, 2)
    pose, path = tiny(), tiny(1)
    joints = estimate_camera_space(pose, path, keypoints)
    other = estimate_camera_space(pose, path, mirror(keypoints, MOTION16.flip_pairs))
    assert joints.shape == (12, 16, 3)
    relative, mirrored = joints - joints[:, :1], mirror(other - other[:, :1], MOTION16.flip_pairs)
    assert torch.allclose(relative, mirrored, atol=1e-6)
    assert not torch.allclose(estimate_camera_space(pose, path, keypoints, flip=False), joints)


def test_losses_by_hand() -> None:
    target = torch.zeros(1, 1, 2, 3)
    target[..., 0, :], target[..., 1, :] = torch.tensor([1.0, 0, 4]), torch.tensor([1.0, 2, 4])
    output = torch.zeros(1, 1, 2, 3)
    assert pose_loss(output, target) == pytest.approx(4 / 6)
    assert path_loss(target[:, :, :1] + torch.tensor([0.0, 3, 4]), target) == pytest.approx(5 / 4)
    assert learning_rate_factor(0) == 1 and learning_rate_factor(49) == pytest.approx(2 / 51)


def test_wrong_shapes_and_states_are_refused() -> None:
    with pytest.raises(PplkitError, match=r"takes \(B, T, 16, 2\) with T at least 27"):
        tiny()(torch.zeros(1, 20, 16, 2))
    with pytest.raises(PplkitError, match="not that of a temporal convolution"):
        load_temporal_convolution({"weight": torch.zeros(2)})


@pytest.mark.parametrize("key", ["pose", "pose_small", "pose_81", "trajectory", "trajectory_small", "trajectory_81"])
def test_published_outputs(key: str, parity: Path) -> None:
    stored = arrays(parity, "estimator")
    model = load_temporal_convolution(state(parity, key))
    assert {name: list(value.shape) for name, value in model.state_dict().items()} == keys(parity)[key]
    keypoints = torch.from_numpy(stored["pose2d"])
    if key.endswith("81"):
        keypoints = torch.from_numpy(weights(parity).smooth("pose2d.long", 90, 32, 0.25)).float().view(1, 90, 16, 2)
    with torch.no_grad():
        close(model(keypoints), stored[f"{key}_output"], NETWORKS)
        if not key.endswith("81"):
            close(model(keypoints, strided=True), stored[f"{key}_output_single"], NETWORKS)


@pytest.mark.parametrize(("name", "loss"), [("pose", pose_loss), ("trajectory", path_loss)])
def test_published_training_step(name: str, loss, parity: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    stored = arrays(parity, "estimator")
    monkeypatch.setattr(estimator, "DROPOUT", 0.0)
    model = load_temporal_convolution(state(parity, f"{name}_small")).train()
    output = model(torch.from_numpy(stored["pose2d"]), strided=True)
    error = loss(output, torch.from_numpy(stored["target3d"]))
    error.backward()
    close(output, stored[f"{name}_train_output"], NETWORKS)
    close(error, stored[f"{name}_loss"], NETWORKS)
    close(model.expand_conv.weight.grad, stored[f"{name}_grad_expand"], NETWORKS)
    close(model.shrink.weight.grad, stored[f"{name}_grad_shrink"], NETWORKS)


def test_published_sizes_and_schedule(parity: Path) -> None:
    sizes = [sum(p.numel() for p in TemporalConvolution(outputs).parameters()) for outputs in (16, 1)]
    assert [round(size / 1e6, 2) for size in sizes] == [8.55, 8.5]
    close([learning_rate_factor(epoch) for epoch in range(50)], arrays(parity, "transforms")["lr_factor_50"])


def test_published_metrics(parity: Path) -> None:
    stored = arrays(parity, "estimator")
    prediction, truth = stored["metric_prediction"], stored["metric_truth"]
    aligned, scaled = pose3d.align_similarity(prediction, truth), pose3d.align_scale(prediction, truth)
    close(aligned, stored["aligned"])
    close(pose3d.mpjpe(prediction, truth), stored["mpjpe"])
    close(pose3d.mpjpe(aligned, truth), stored["p_mpjpe"])
    close(pose3d.mpjpe(scaled, truth), stored["n_mpjpe"])
    close(pose3d.mpjve(prediction, truth), stored["velocity_error"])
    for suffix, poses in (("", prediction), ("_aligned", aligned), ("_scaled", scaled)):
        close(100 * pose3d.pck(poses, truth), stored[f"pck150{suffix}"])
        close(100 * pose3d.auc(poses, truth), stored[f"auc{suffix}"])
    assert np.allclose(prediction[:, 0], 0)
