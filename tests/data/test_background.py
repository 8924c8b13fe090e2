"""Backgrounds and what differs from them: by hand, under changing light, beside noise, and where an object rested."""

import numpy as np
import pytest
from moving import ground, walk, with_squares

from pplkit.data.background import (
    SIDE,
    blobs,
    changed,
    deviation,
    moving_blobs,
    reduced,
    scene_of,
    still_blobs,
    unlike,
)

WIDTH, HEIGHT, SQUARE = 160, 120, 14


def standing(frames: int = 30, noise: float = 2.0, contrast: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    corners = walk(frames, WIDTH, HEIGHT, SQUARE)
    return with_squares([ground(HEIGHT, WIDTH, contrast=contrast)] * frames, corners, SQUARE, noise), corners


def small(frames: np.ndarray) -> list[np.ndarray]:
    return [reduced(frame) for frame in frames]


def test_frames_are_reduced_to_a_longer_side() -> None:
    frame = np.zeros((480, 640, 3), np.uint8)
    frame[:240] = 255
    result = reduced(frame)
    assert result.shape == (120, SIDE, 3) and result.dtype == np.float32
    np.testing.assert_array_equal(result[:60], 1)
    np.testing.assert_array_equal(result[60:], 0)
    np.testing.assert_array_equal(reduced(frame[:50, :70]), frame[:50, :70] / np.float32(255))


def test_light_is_no_deviation() -> None:
    """Darker, warmer and darker towards one side, to two thirds of the brightness: next to nothing is left."""
    picture = np.repeat(ground(HEIGHT, WIDTH)[..., None] / 255, 3, axis=2).astype(np.float32).clip(0.1, 1)
    slope = np.linspace(1.0, 0.75, WIDTH)[None, :, None]
    darker = picture * slope * [0.95, 0.85, 0.8]
    assert np.abs(darker - picture).max() > 0.2
    result = deviation(darker.astype(np.float32), picture)
    assert np.median(result) < 0.02 and result.max() < 0.06


def test_what_is_not_known_deviates_by_nothing() -> None:
    picture = np.full((40, 60, 3), 0.5, np.float32)
    image = np.full((40, 60, 3), np.nan, np.float32)
    image[:, :30] = 0.3
    result = deviation(picture, image)
    assert np.isfinite(result).all() and (result[:, 35:] == 0).all()


def test_a_blob_is_found_to_the_pixel_and_parts_of_it_are_joined() -> None:
    off = np.zeros((50, 60), np.float32)
    off[10:20, 5:9] = 0.5
    off[10:20, 12:14] = 0.2  # three pixels off, above a fifth: a part of it
    off[40:44, 40:44] = 0.4  # another one
    off[30:32, 2:50] = 0.05  # fainter than a sixth
    result = blobs(off, np.zeros_like(off))
    assert len(result) == 2 and result[0][0] > result[1][0] == pytest.approx(16 * 0.16)
    assert [*result[0][1].min(0), *result[0][1].max(0)] == [5, 10, 13, 19]
    assert [*result[1][1].min(0), *result[1][1].max(0)] == [40, 40, 43, 43]
    assert blobs(np.full((20, 20), 0.015, np.float32), np.zeros((20, 20))) == []


@pytest.mark.parametrize("noise", [0.0, 2.0, 6.0])
def test_a_square_on_noise_is_found_exactly_before_a_standing_camera(noise: float) -> None:
    frames, corners = standing(noise=noise)
    pictures = small(frames)
    scene = scene_of(pictures)
    assert np.median([changed(picture, scene) for picture in pictures]) < 0.03
    for picture, (x, y) in zip(pictures, corners, strict=True):
        result = still_blobs(picture, scene)
        assert result.shape == (1, 5)
        np.testing.assert_allclose(result[0, :4], (x, y, x + SQUARE, y + SQUARE), atol=2.01)


def test_where_an_object_rested_the_background_is_what_was_there_after_it() -> None:
    corners = np.concatenate([np.tile([20, 30], (40, 1)), walk(24, WIDTH, HEIGHT, SQUARE)])
    plane = ground(HEIGHT, WIDTH, contrast=10)
    frames = with_squares([plane] * 64, corners, SQUARE)
    scene = scene_of(small(frames))
    np.testing.assert_allclose(scene.image[..., 0][30:44, 20:34] * 255, plane[30:44, 20:34], atol=5)
    for picture, (x, y) in zip(small(frames), corners, strict=True):
        np.testing.assert_allclose(still_blobs(picture, scene)[0, :4], (x, y, x + SQUARE, y + SQUARE), atol=2.01)


def test_a_square_is_found_before_a_moving_camera() -> None:
    """The camera pans by two pixels a frame, and the square walks in the frame."""
    plane = ground(HEIGHT + 40, WIDTH + 100)
    corners = walk(40, WIDTH, HEIGHT, SQUARE)
    grounds = [plane[20 : 20 + HEIGHT, 2 * k : 2 * k + WIDTH] for k in range(40)]
    result, unexplained = moving_blobs(small(with_squares(grounds, corners, SQUARE)))
    assert np.median(unexplained) < 0.05
    for row, (x, y) in zip(result, corners, strict=True):
        np.testing.assert_allclose(row[0, :4], (x, y, x + SQUARE, y + SQUARE), atol=2.5)


def test_unlike_pictures_are_told_from_shifted_ones() -> None:
    plane = np.repeat(ground(HEIGHT, WIDTH + 10)[..., None] / 255, 3, axis=2).astype(np.float32)
    other = np.repeat(ground(HEIGHT, WIDTH, seed=9)[..., None] / 255, 3, axis=2).astype(np.float32)
    move = np.array([[1.0, 0, -10], [0, 1, 0], [0, 0, 1]])
    assert unlike(plane[:, :WIDTH], plane[:, 10:], move) < 0.01
    assert unlike(plane[:, :WIDTH], plane[:, 10:], np.eye(3)) > 0.4 < unlike(plane[:, :WIDTH], other, np.eye(3))
    assert unlike(plane[:, :WIDTH], other, 10 * move) == 1
