import math

import numpy as np
import pytest

from pplkit import rendering
from pplkit.rendering import Capsules, backgrounds, cosine, hsv, paint, sine, uniform


def capsule(start: tuple, end: tuple, radii: tuple, colour: tuple = (1, 1, 1), size: int = 65) -> Capsules:
    """One capsule in one image, given in pixels."""
    unit = 2 / (size - 1)
    points = [np.array(p, np.float32).reshape(1, 1, 2) * np.float32(unit) - 1 for p in (start, end)]
    widths = np.array(radii, np.float32).reshape(1, 1, 2) * np.float32(unit)
    zero = np.zeros((1, 1), np.float32)
    return Capsules(*points, widths, zero, np.array(colour, np.float32).reshape(1, 1, 3), np.zeros_like(widths))


def black(size: int = 65) -> np.ndarray:
    return np.zeros((3, 1, size, size), np.float32)


def test_sine_and_cosine_of_any_angle() -> None:
    degrees = np.linspace(-1000, 1000, 4001)
    np.testing.assert_allclose(sine(degrees), [math.sin(math.radians(d)) for d in degrees], atol=1e-7)
    np.testing.assert_allclose(cosine(degrees), [math.cos(math.radians(d)) for d in degrees], atol=1e-7)


def test_hsv_of_known_colours() -> None:
    hue = np.array([0, 1 / 3, 2 / 3, 1 / 6, 0.7])
    colours = hsv(hue, np.array([1, 1, 1, 0.5, 0]), np.array([1, 0.5, 1, 1, 0.25]))
    expected = [(1, 0, 0), (0, 0.5, 0), (0, 0, 1), (1, 1, 0.5), (0.25, 0.25, 0.25)]
    np.testing.assert_allclose(colours, expected, atol=1e-12)


def test_random_numbers_are_those_of_the_published_generator() -> None:
    expected = np.random.Generator(np.random.PCG64(np.random.SeedSequence((1, 2)))).random(9)
    np.testing.assert_array_equal(uniform((1, 2), 9), expected)
    np.testing.assert_array_equal(uniform((1, 2), 4), expected[:4])


def test_capsule_covers_its_area_and_no_more() -> None:
    _, mask = paint(black(), capsule((20, 30), (44, 30), (6, 6)))
    assert (mask > 0).sum() == pytest.approx(24 * 12 + math.pi * 36, rel=0.06)
    rows, columns = np.nonzero(mask[0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (24, 36, 14, 50)


def test_edge_is_half_covered_and_the_axis_keeps_the_colour() -> None:
    image, _ = paint(black(), capsule((20, 30), (44, 30), (6, 6), colour=(0.5, 1, 0)))
    assert image[0, 30, 32].tolist() == [128, 255, 0]  # on the axis the shade is 1
    half = rendering.RIM_SHADE + 0.5 * (1 - rendering.LIGHT[1] - rendering.EDGE_SHADE - rendering.RIM_SHADE)
    assert half > 0
    above, beyond = image[0, 24, 32, 1] / 255, image[0, 23, 32, 1]
    assert above == pytest.approx(0.5 * half, abs=0.01)  # a rim of no width still softens half of the edge pixel
    assert beyond == 0


def test_taper_interpolates_the_radius() -> None:
    _, mask = paint(black(), capsule((16, 32), (48, 32), (10, 4)))
    assert [(mask[0, :, x] > 0).sum() for x in (16, 32, 48)] == [21, 15, 9]


def test_later_capsules_cover_earlier_ones() -> None:
    red, green = capsule((20, 32), (44, 32), (6, 6), (1, 0, 0)), capsule((32, 20), (32, 44), (6, 6), (0, 1, 0))
    both = Capsules(*(np.concatenate(pair, axis=1) for pair in zip(red, green, strict=True)))
    image, _ = paint(black(), both)
    assert image[0, 32, 32].tolist() == [0, 255, 0]
    assert image[0, 32, 22].tolist() == [255, 0, 0]


def test_backgrounds_are_soft_and_not_plain() -> None:
    planes = backgrounds(np.stack([uniform((v,), rendering.BACKGROUND_DRAWS) for v in range(50)]), 64)
    assert planes.shape == (3, 50, 64, 64)
    assert planes.dtype == np.float32
    assert planes.min() >= 0
    assert planes.max() <= 1
    assert np.abs(np.diff(planes, axis=-1)).max() < 0.1
    assert (np.ptp(planes, axis=(2, 3)).max(axis=0) > 0.03).all()
