"""Cameras: cases computed by hand, round trips, and the numbers of the published code."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pplkit.geometry.cameras import (
    camera_to_world,
    image_from_screen,
    inverse_rotation,
    mirror_intrinsics,
    normalize_intrinsics,
    normalize_screen,
    project,
    project_linear,
    rotate,
    world_to_camera,
)

HALF = np.sqrt(0.5)
INTRINSICS = np.array([2.0, 3.0, 0.1, -0.2, 0.5, 0.25, 0.125, 0.01, 0.04])
both = pytest.mark.parametrize("array", [np.array, lambda values: torch.tensor(np.array(values))], ids=["np", "torch"])


@both
def test_screen_coordinates_keep_the_aspect_ratio(array: Any) -> None:
    pixels = array([[0.0, 0.0], [200.0, 100.0], [100.0, 50.0], [150.0, 50.0]])
    screen = normalize_screen(pixels, 200, 100)
    assert screen.tolist() == [[-1, -0.5], [1, 0.5], [0, 0], [0.5, 0]]
    assert np.allclose(image_from_screen(screen, 200, 100), pixels)


def test_whole_numbers_are_coordinates_too() -> None:
    assert normalize_screen(np.array([[3, 1]]), 4, 2).tolist() == [[0.5, 0]]
    assert normalize_screen(torch.tensor([[3, 1]]), 4, 2).tolist() == [[0.5, 0]]
    assert normalize_screen(np.ones((1, 2), np.float32), 4, 2).dtype == np.float32


@both
def test_quarter_turns(array: Any) -> None:
    """Around z, x becomes y; around x, y becomes z."""
    quaternions = array([[HALF, 0, 0, HALF], [HALF, HALF, 0, 0]])
    assert np.allclose(rotate(array([1.0, 2.0, 3.0]), quaternions), [[-2, 1, 3], [1, -3, 2]])
    assert np.allclose(rotate(array([1.0, 2.0, 3.0]), inverse_rotation(quaternions)), [[2, -1, 3], [1, 3, -2]])


@both
def test_a_camera_that_looks_along_the_world_y_axis(array: Any) -> None:
    """It stands at (1, -5, 2) in a world with z up; what is a meter above its axis is at y = -1."""
    orientation = array([HALF, -HALF, 0, 0])  # turns z, the viewing direction, into y, and y, down, into -z
    position = array([1.0, -5.0, 2.0])
    world = array([[1.0, 0.0, 2.0], [1.5, 0.0, 3.0]])
    camera = world_to_camera(world, orientation, position)
    assert np.allclose(camera, [[0, 0, 5], [0.5, -1, 5]])
    assert np.allclose(camera_to_world(camera, orientation, position), world)


@both
def test_projection_by_hand(array: Any) -> None:
    """(a, b) = (0.5, -1), r² = 1.25: g = 1 + 0.625 + 0.390625 + 0.244140625."""
    points, radial = array([1.0, -2.0, 2.0]), 2.259765625
    intrinsics = array(INTRINSICS)
    assert np.allclose(project_linear(points, intrinsics), [1.1, -3.2])
    slants = {"published": (0.01, 0.04, -0.035), "human36m": (0.04, 0.01, 0.01), "opencv": (0.04, 0.01, 0.02)}
    for distortion, (first, second, slant) in slants.items():
        factor = radial + slant
        by_hand = [2 * (0.5 * factor + 1.25 * first) + 0.1, 3 * (-factor + 1.25 * second) - 0.2]
        assert np.allclose(project(points, intrinsics, distortion), by_hand)  # type: ignore[arg-type]
    assert np.allclose(project(points, intrinsics), project(points, intrinsics, "published"))


def test_directions_are_clamped() -> None:
    assert np.allclose(project_linear(np.array([9.0, -3.0, 1.0]), INTRINSICS), [2.1, -3.2])


@pytest.mark.parametrize("distortion", ["published", "human36m", "opencv"])
def test_a_mirrored_camera_sees_the_mirrored_image(distortion: Any) -> None:
    points = np.random.default_rng(0).uniform([-1, -1, 2], [1, 1, 4], (20, 3))
    mirrored = project(points * [-1, 1, 1], mirror_intrinsics(INTRINSICS, distortion), distortion)
    assert np.allclose(mirrored, project(points, INTRINSICS, distortion) * [-1, 1])


def test_intrinsics_in_screen_coordinates_project_to_screen_coordinates() -> None:
    points = np.random.default_rng(0).uniform([-1, -1, 2], [1, 1, 4], (20, 3))
    pixels = INTRINSICS * [500, 500, 5000, -2500, 1, 1, 1, 1, 1]
    screen = project(points, normalize_intrinsics(pixels, 1000, 800))
    assert np.allclose(screen, normalize_screen(project(points, pixels), 1000, 800))


def test_published_cameras(parity: Path) -> None:
    """Poses seen by the four cameras of subject S9 of Human3.6M."""
    arrays = np.load(parity / "lift" / "lift_cameras.npz")
    constants = json.loads((parity / "lift" / "h36m_constants.json").read_text())
    close = {"rtol": 0, "atol": 1e-5}
    assert np.allclose(rotate(arrays["vector"], arrays["quaternion"]), arrays["rotated"], **close)
    assert np.allclose(inverse_rotation(arrays["quaternion"]), arrays["inverse"], **close)
    for number, (inner, outer) in enumerate(
        zip(constants["intrinsics"], constants["extrinsics_mm"]["S9"], strict=True)
    ):
        expected = {name: arrays[f"cam{number}/{name}"] for name in ("in_camera", "projected", "projected_linear")}
        expected |= {name: arrays[f"cam{number}/{name}"] for name in ("pixels", "normalised", "back_in_world")}
        width, height = inner["res_w"], inner["res_h"]
        vector = [inner[k] for k in ("focal_length", "center", "radial_distortion", "tangential_distortion")]
        intrinsics = normalize_intrinsics(np.concatenate(vector).astype(np.float32), width, height)
        orientation, position = np.float32(outer["orientation"]), np.float32(outer["translation"]) / 1000
        camera = world_to_camera(arrays["world"], orientation, position)
        screen = project(camera, intrinsics)
        values = {
            "in_camera": camera, "projected": screen, "projected_linear": project_linear(camera, intrinsics),
            "back_in_world": camera_to_world(camera, orientation, position),
        }  # fmt: skip
        assert np.allclose(intrinsics, arrays[f"cam{number}/intrinsic"], **close)
        for name, value in values.items():
            assert value.dtype == np.float32
            assert np.allclose(value, expected[name], **close), name
        assert np.allclose(normalize_screen(expected["pixels"], width, height), expected["normalised"], **close)
        pixels = image_from_screen(expected["projected"], width, height)
        assert np.allclose(pixels, expected["pixels"], rtol=1e-7, atol=1e-4)
        tensors = [torch.from_numpy(value) for value in (camera, intrinsics)]
        assert np.allclose(project(*tensors), expected["projected"], **close)
    wide = project(arrays["wide"], arrays["cam0/intrinsic"])
    assert np.allclose(wide, arrays["wide_projected"], **close)
