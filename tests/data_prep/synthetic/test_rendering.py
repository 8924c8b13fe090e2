import math

import numpy as np
import pytest

from data_prep.synthetic import rendering
from data_prep.synthetic.rendering import Capsules, Cloth, backgrounds, cosine, hsv, layered, paint, sine, uniform


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


def worn(tile: np.ndarray, cells: tuple[float, float], colour: tuple = (0, 0, 1)) -> Cloth:
    return Cloth(
        tile[None].astype(np.float32),
        np.zeros((1, 1), int),
        np.array(colour, np.float32).reshape(1, 1, 3),
        np.array(cells, np.float32).reshape(1, 1, 2),
    )


def test_a_pattern_has_its_own_colour_where_it_is_1_and_none_where_it_is_0() -> None:
    one = capsule((20, 32), (44, 32), (8, 8), (1, 0, 0))
    plain = layered(black(), one)
    np.testing.assert_array_equal(layered(black(), one, worn(np.zeros((8, 8)), (8, 4))), plain)
    full = layered(black(), one, worn(np.ones((8, 8)), (8, 4)))
    np.testing.assert_array_equal(full[[2, 1, 0, 3]], plain)
    tile = np.zeros((8, 8))
    tile[2:4] = 1  # rows are along the capsule: from a quarter to nearly a half of its axis of 24 pixels
    across = layered(black(), one, worn(tile, (8, 4)))[:3, 0, 32]
    assert across[:, 20 + 6].tolist() == across[:, 20 + 9].tolist() == [0, 0, 1]
    assert across[:, 20 + 3].tolist() == across[:, 20 + 12].tolist() == [1, 0, 0]
    assert across[0, 20 + 4] == pytest.approx(1 - 1 / 3)  # interpolated between cells, three pixels each


def test_a_pattern_repeats_across_and_is_as_wide_as_the_capsule() -> None:
    tile = np.zeros((8, 8))
    tile[:, 4:] = 1
    one = capsule((20, 32), (44, 32), (16, 16), (1, 0, 0))
    blue = layered(black(), one, worn(tile, (8, 16)))[2, 0, :, 32] > 0.4  # a cell is a pixel wide
    assert (np.nonzero(blue[20:45])[0] + 20).tolist() == [20, *range(25, 29), *range(33, 37), *range(41, 45)]


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_pattern_moves_and_turns_with_its_capsule(turn: int) -> None:
    tile = uniform((3,), 64).reshape(8, 8)
    light = np.zeros((1, 2), np.float32)  # else the shade would not turn with it
    ends = np.array([[14.0, 32.0], [42.0, 26.0]])
    still = layered(black(), capsule(*ends, (7, 6)), worn(tile, (16, 5)), light)[:, 0]
    for _ in range(turn):
        ends = np.stack([64 - ends[:, 1], ends[:, 0]], axis=1)  # a quarter turn about the middle
    turned = layered(black(), capsule(*ends, (7, 6)), worn(tile, (16, 5)), light)[:, 0]
    np.testing.assert_allclose(np.rot90(still, -turn, axes=(1, 2)), turned, atol=1e-4)
    moved = layered(black(), capsule(*(ends + (3, -2)), (7, 6)), worn(tile, (16, 5)), light)[:, 0]
    np.testing.assert_allclose(np.roll(turned, (-2, 3), axis=(1, 2)), moved, atol=1e-4)


def test_light_brightens_the_side_it_comes_from() -> None:
    one = capsule((20, 32), (44, 32), (8, 8))
    for down, brighter in ((-0.3, 28), (0.3, 36)):
        shade = layered(black(), one, light=np.array([[0, down]], np.float32))[0, 0, :, 32]
        assert shade[brighter] > 1 > shade[64 - brighter]
    np.testing.assert_array_equal(
        layered(black(), one, light=np.array([rendering.LIGHT], np.float32)), layered(black(), one)
    )


def test_streams_of_draws_differ() -> None:
    assert len(set(rendering.Stream)) == len(rendering.Stream)
    assert 0 not in set(rendering.Stream)  # a seed followed by 0 is the seed
    np.testing.assert_array_equal(uniform((1, 2, 3), 4), uniform((1, 2, 3, 0), 4))
    assert (uniform((1, 2, 3), 4) != uniform((1, 2, 3, rendering.Stream.CLOTH), 4)).all()
