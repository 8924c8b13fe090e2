"""Scenes as bytes: what is read back is what was written, to half a step."""

import numpy as np
import pytest
from scene_reader import SceneBytes

from pplkit.viz.scene_bytes import MISSING, STEPS, Packer, quantized
from pplkit.viz.scene_layers import Layer


def walk(frames: int = 40, points: int = 7) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.cumsum(rng.normal(0, 0.05, (frames, points, 3)), 0).astype(np.float32) + np.float32([3, 0, -2])


def test_coordinates_by_hand() -> None:
    points = np.array([[[0, 0, 0], [4, 1, 2]], [[2, 0.5, 1], [np.nan] * 3]], np.float32)
    numbers, middle, step = quantized(points)
    assert middle.tolist() == [2, 0.5, 1] and step == pytest.approx(2 / STEPS)
    assert numbers[0].tolist() == [[-STEPS, round(-STEPS / 4), round(-STEPS / 2)], [STEPS, 2048, 4096]]
    assert numbers[1].tolist() == [[0, 0, 0], [MISSING] * 3]


@pytest.mark.parametrize("axes", [2, 3])
def test_positions_come_back_to_half_a_step(axes: int) -> None:
    points = walk()[..., :axes].copy()
    points[5:9, 2] = np.nan
    points[0, 0] = np.nan
    packer = Packer()
    found = SceneBytes(packer.join({"layer": packer.layer(Layer(points, np.zeros((7, 3))))}))
    layer = found.header["layer"]
    read = found.positions(layer)
    assert (np.isnan(read) == np.isnan(points)).all()
    assert np.nanmax(np.abs(read - points)) <= 0.5 * layer["step"] + 1e-6
    extent = np.nanmax(points, (0, 1)) - np.nanmin(points, (0, 1))
    assert layer["step"] < extent.max() / 8000


def test_a_point_that_never_moves_and_a_single_frame() -> None:
    packer = Packer()
    entry = packer.layer(Layer(np.full((1, 1, 3), 5, np.float32), np.zeros((1, 3))))
    found = SceneBytes(packer.join({"layer": entry}))
    assert found.positions(found.header["layer"]).tolist() == [[[5, 5, 5]]]


def test_faces_bones_names_and_opacity() -> None:
    faces = np.array([[0, 1, 2], [2, 1, 70_000]], np.uint32)
    opacity = np.array([[0, 0.5, 1.0], [np.nan, 2, -1]])
    packer = Packer()
    mesh = packer.layer(Layer(np.zeros((1, 3, 3), np.float32), np.array([[0.25, 0.5, 1]]), faces))
    bones = Layer(walk(2, 3), np.zeros((3, 3)), bones=((0, 1), (1, 2)), opacity=opacity, names=("a", "b", "ü"))
    found = SceneBytes(
        packer.join({"mesh": mesh, "bones": packer.layer(bones), "odd": packer.add(np.uint8([1, 2, 3]))})
    )
    head = found.header
    assert found.array(head["mesh"]["faces"]).tolist() == faces.tolist() and head["mesh"]["colors"] == [[0.25, 0.5, 1]]
    assert found.array(head["bones"]["opacity"]).tolist() == [[0, 128, 255], [0, 255, 0]]
    assert head["bones"]["bones"] == [[0, 1], [1, 2]] and head["bones"]["names"] == ["a", "b", "ü"]
    assert found.array(head["odd"]).tolist() == [1, 2, 3]


def test_smooth_motion_is_small() -> None:
    time = np.linspace(0, 3, 90)[:, None, None]
    rest = np.random.default_rng(1).normal(0, 0.4, (1, 500, 3))
    motion = (rest * (1 + 0.2 * np.sin(2 * time + rest[..., :1]))).astype(np.float32)
    packer = Packer()
    assert len(packer.join({"layer": packer.layer(Layer(motion, np.zeros((1, 3))))})) < 0.3 * motion.nbytes
