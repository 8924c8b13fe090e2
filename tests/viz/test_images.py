"""Figures of images and poses, read back from what matplotlib is going to draw."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pplkit import viz

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
POSES = RNG.uniform(-0.8, 0.8, (5, 4, 2)).astype(np.float32)
LINKS = [(0, 1), (1, 2), (2, 3)]


def shown(figure: Figure) -> list[Any]:
    return [axis for axis in figure.axes if axis.get_visible()]


def test_a_contact_sheet_shows_each_image_once_with_its_title() -> None:
    axes = shown(viz.contact_sheet(IMAGES, titles=list("abcde"), columns=3))
    assert [axis.get_title() for axis in axes] == list("abcde")
    assert all((axis.images[0].get_array() == image).all() for axis, image in zip(axes, IMAGES, strict=True))


def test_a_keypoint_of_less_confidence_is_paler() -> None:
    confidence = np.array([[0.8, 0.4, 0.0, 0.8]] * 5)
    axis = shown(viz.contact_sheet(IMAGES, POSES, LINKS, [1.0, 0.5, 0.1], confidence))[0]
    assert np.allclose(axis.collections[0].get_alpha(), [1.0, 0.625, 0.25, 1.0])


def test_landmarks_lie_on_their_images_and_the_right_ones_are_squares() -> None:
    points = np.array([[[0.1, 0.2], [0.3, 0.4]], [[-0.5, 0.0], [np.nan, np.nan]]])
    figure = viz.landmarks_on_images(IMAGES[:2], points, ["left hand", "right hand"], squares=[1])
    first, second = figure.axes
    assert [dots.get_offsets().tolist() for dots in first.collections] == [[[0.1, 0.2]], [[0.3, 0.4]]]
    assert second.collections[0].get_offsets().tolist() == [[-0.5, 0.0]]
    corners = [len(dots.get_paths()[0].vertices) for dots in first.collections]
    assert corners[0] > corners[1] == 5  # a circle, and a square with its end
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["left hand", "right hand"]


def test_a_video_strip_holds_the_frames_of_one_video() -> None:
    axes = shown(viz.video_strips(IMAGES, np.array([7, 7, 9, 9, 9]), columns=4))
    frames = [axis.images[0].get_array() for axis in axes]
    assert [np.flatnonzero((frame == IMAGES).all((1, 2, 3))).tolist() for frame in frames] == [[0], [1], [2], [3], [4]]
    assert [axis.get_ylabel() for axis in axes if axis.get_ylabel()] == ["video 7", "video 9"]


def test_the_spread_has_the_mean_image_and_the_mean_pose() -> None:
    mean, _, pose, labels = viz.pose_spread(IMAGES, POSES, LINKS).axes
    assert (mean.images[0].get_array() == IMAGES.mean(0).round()).all()
    assert np.allclose(pose.collections[0].get_offsets(), POSES.mean(0)) and len(labels.collections) == 4
    assert len(viz.pose_spread(IMAGES).axes) == 2
