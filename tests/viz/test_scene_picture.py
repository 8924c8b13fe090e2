"""The static picture of a scene: which way it looks, what lies in front."""

import io

import numpy as np
import pytest
from PIL import Image

from pplkit.data.skeletons import Skeleton
from pplkit.viz.drawing import image_bytes, subplots
from pplkit.viz.scene_layers import Layer, layers_of
from pplkit.viz.scene_picture import draw_panel, rotation

PAIR = Skeleton("pair", ("near", "far"), (-1, 0))


def pixels(layers: list[Layer], view: tuple[float, float], frame: int = 0) -> np.ndarray:
    figure, axes = subplots(1, 1, 3, 3)
    draw_panel(axes[0, 0], layers, frame, np.zeros(3), -1.0, 1.0, view)
    return np.asarray(Image.open(io.BytesIO(image_bytes(figure))).convert("RGB")).astype(int)


def test_views_by_hand() -> None:
    assert rotation(0, 0) == pytest.approx(np.eye(3))
    assert rotation(90, 0) @ [1, 0, 0] == pytest.approx([0, 0, 1])  # +x looks at the eye
    assert rotation(0, 90) @ [0, 1, 0] == pytest.approx([0, 0, 1])  # from above
    turn = rotation(30, 12)
    assert turn @ turn.T == pytest.approx(np.eye(3)) and np.linalg.det(turn) == pytest.approx(1)


def test_what_is_near_hides_what_is_far() -> None:
    front = np.array([[-0.5, -0.5, 0.3], [0.5, -0.5, 0.3], [0, 0.5, 0.3]], np.float32)
    back = front - np.float32([0, 0, 0.6])
    faces = np.array([[0, 1, 2], [3, 4, 5]], np.uint32)
    color = np.array([[0.2, 0.8, 0.2]])
    mesh = Layer(np.concatenate([front, back])[None], color, faces)
    other = Layer(np.concatenate([front, back])[None], color, faces[::-1].copy())
    assert (pixels([mesh], (0, 0)) == pixels([other], (0, 0))).all()  # the order of faces does not matter
    middle = pixels([mesh], (0, 0))[150, 150]
    assert middle.argmax() == 1 and middle[1] > 100


def test_faint_joints_are_pale_and_missing_ones_leave_no_trace() -> None:
    points = np.array([[[0, 0.5, 0], [0, -0.5, 0]]], np.float32)
    (sure,) = layers_of((points, PAIR), "x")
    faint = Layer(points, sure.colors, bones=sure.bones, opacity=np.array([[1.0, 0.0]]))
    gone = Layer(np.where([[[1], [0]]], points, np.float32(np.nan)), sure.colors, bones=sure.bones)
    dark = [int((pixels([layer], (0, 0)) < 150).all(-1).sum()) for layer in (sure, faint, gone)]
    assert dark[0] > 4 * max(dark[1:]) > 0
