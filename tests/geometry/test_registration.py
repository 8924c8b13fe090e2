"""How the camera moved: shifts and similarities that are known, and a thing that moves by itself."""

import numpy as np
import pytest
from moving import ground

from pplkit.geometry.registration import (
    canvas_size,
    displacement,
    estimate_shift,
    estimate_transform,
    overlap,
    transforms_from_middle,
    warp_image,
)


def similarity(turn: float = 0.0, zoom: float = 1.0, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    cosine, sine = zoom * np.cos(turn), zoom * np.sin(turn)
    return np.array([[cosine, -sine, x], [sine, cosine, y], [0, 0, 1]])


def test_a_warp_takes_each_place_from_where_the_map_leads() -> None:
    image = np.arange(5 * 7, dtype=float).reshape(5, 7)
    moved = warp_image(image, similarity(x=1, y=-1))
    np.testing.assert_allclose(moved[1:, :6], image[:4, 1:])
    assert np.isnan(moved[0]).all() and np.isnan(moved[:, 6]).all()
    colours = np.stack([image, 2 * image], axis=-1)
    np.testing.assert_allclose(warp_image(colours, np.eye(3)), colours)
    larger = warp_image(image, np.eye(3), (7, 9))  # around the same middle
    np.testing.assert_allclose(larger[1:6, 1:8], image)
    assert np.isnan(larger[0]).all()


@pytest.mark.parametrize(("x", "y"), [(0, 0), (7, -3), (-20, 11)])
def test_a_shift_is_the_highest_phase_correlation(x: int, y: int) -> None:
    scene = ground(200, 240)
    first, second = scene[40:160, 40:200], scene[40 + y : 160 + y, 40 + x : 200 + x]
    np.testing.assert_array_equal(estimate_shift(first, second), similarity(x=-x, y=-y))


@pytest.mark.parametrize(
    "truth", [similarity(x=3.4, y=-1.7), similarity(0.05, 1.08, 2.0, 4.0), similarity(-0.03, 0.94, -5, 1)]
)
def test_a_similarity_is_found_to_a_tenth_of_a_pixel(truth: np.ndarray) -> None:
    reference = ground(120, 160) / 255
    image = warp_image(reference, np.linalg.inv(truth))
    image = np.where(np.isfinite(image), image, 0.5)
    image[30:50, 40:60] = 1.0  # something in front
    result = estimate_transform(reference, 1.1 * image, estimate_shift(reference, image))
    assert displacement(np.linalg.inv(truth) @ result, (120, 160)) < 0.2


def test_images_are_followed_from_the_middle_one() -> None:
    scene = ground(160, 260) / 255
    images = [scene[20:140, 5 + 9 * k : 165 + 9 * k] for k in range(10)]
    transforms = transforms_from_middle(images)
    for k, transform in enumerate(transforms):
        assert displacement(np.linalg.inv(similarity(x=9 * (5 - k))) @ transform, (120, 160)) < 0.1
    np.testing.assert_array_equal(transforms[5], np.eye(3))
    height, width = canvas_size(transforms, (120, 160), 3.0)
    assert (abs(height - 121) <= 3, abs(width - (160 + 2 * 45)) <= 3) == (True, True)
    assert canvas_size(transforms, (120, 160), 1.0) == (121, 161)


def test_overlap_and_displacement_by_hand() -> None:
    assert overlap(np.eye(3), (120, 160)) == 1
    assert overlap(similarity(x=80), (120, 160)) == pytest.approx(0.5, abs=0.02)
    assert displacement(similarity(x=3, y=4), (120, 160)) == 5


def test_an_image_without_any_detail_stays_where_it_is() -> None:
    plain = np.full((120, 160), 0.5)
    assert displacement(estimate_transform(plain, plain, np.eye(3)), plain.shape) < 0.01
