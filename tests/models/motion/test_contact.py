"""The network that tells contact: its features by hand, its file, other frame rates, and how well it does."""

from pathlib import Path

import numpy as np
import pytest
import torch
from strides import lifted, walk

from data_prep.motion_synthetic import motion_windows
from pplkit.core.errors import PplkitError
from pplkit.data.lifter_noise import lifter_noise
from pplkit.geometry.kinematics import axis_rotation
from pplkit.geometry.plausibility import contact_f1, standing
from pplkit.models.motion.contact import FEATURES, LEGS, ContactConfig, contact_features, contact_of, read_contact


def test_features_do_not_depend_on_the_place_or_the_size_of_a_body() -> None:
    points = walk(20).points.astype(float)
    features = contact_features(points, 30.0)
    assert features.shape == (20, FEATURES) and features.dtype == np.float32
    assert contact_features(points * 1.3 + [5, 2, -1], 30.0) == pytest.approx(features, abs=1e-4)
    assert contact_features(points[None], 30.0)[0] == pytest.approx(features)


def test_speeds_and_heights_by_hand() -> None:
    points = np.zeros((3, 17, 3))
    points[:, LEGS[:, 0], 1], points[:, LEGS[:, 1], 1] = 2, 1  # legs of 2 m, ankles at 0
    points[:, LEGS[1, 2], 0] = 0.1 * np.arange(3)  # the right one moves by 0.1 m a frame, which makes its leg longer
    features = contact_features(points, 30.0)
    leg = np.median(2 + np.hypot(1, 0.1 * np.arange(3)) - 1 + 2) / 2
    assert features[1, 48:57] == pytest.approx([0, 0, 0, 0.1 * 30 / 3 / leg, 0, 0, 0, 0, 0], abs=1e-5)
    assert features[1, 57:] == pytest.approx([0, 0])


def test_clips_never_seen_of_lifted_motion() -> None:
    """F1 of 0.85 is the bar; thresholds reached 0.69 on recorded motion."""
    network = read_contact()
    windows = motion_windows(77, 24, 75, 30.0, held_out=True)
    noisy = lifter_noise(np.random.default_rng(7), windows)
    found = np.stack([contact_of(network, points, 30.0) for points in noisy]) > 0.5
    assert contact_f1(found, standing(windows[:, :, LEGS[:, 2]], 30.0)) > 0.85


def test_other_frame_rates_and_directions_give_the_same_contact() -> None:
    network, clip = read_contact(), lifted(walk(60)).points.astype(float)
    contact = contact_of(network, clip, 30.0)
    assert contact.shape == (60, 2) and 0 <= contact.min() < contact.max() <= 1
    slow = contact_of(network, clip[::2], 15.0)
    assert len(slow) == 30 and np.mean((slow > 0.5) == (contact[::2] > 0.5)) > 0.8
    turned = contact_of(network, clip @ axis_rotation(np.array(1.0), 1), 30.0)
    assert np.mean((turned > 0.5) == (contact > 0.5)) > 0.9


def test_the_package_brings_small_weights_and_other_files_are_refused(tmp_path: Path) -> None:
    network = read_contact()
    assert sum(value.numel() for value in network.parameters()) * 4 <= 200_000
    assert not network.training and next(network.parameters()).dtype == torch.float32
    (tmp_path / "weights.safetensors").write_bytes(b"nothing of the kind")
    for name in ("weights.safetensors", "missing.safetensors"):
        with pytest.raises(PplkitError, match=f"{name} holds no network of contact .*--preset contact"):
            read_contact(tmp_path / name)


def test_settings_that_no_network_can_have_are_refused() -> None:
    with pytest.raises(PplkitError, match="must be at least 1"):
        ContactConfig(width=0)
