"""A small rasteriser for the synthetic puppets: shaded, rimmed, anti-aliased capsules over a soft background.

Every machine gives the same bytes. Results therefore come from operations that IEEE 754 rounds exactly (+ - * / sqrt,
comparisons, floor), applied element by element: library sines and exponentials, matrix products and reductions
differ in the last bit between processors and NumPy versions, and one bit is enough to move a pixel value. Each NumPy
call is one such operation, so no compiler can fuse a multiplication and an addition. Random numbers are the raw bits
of PCG64, the only part of NumPy's generators whose stream is guaranteed.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

Array = np.ndarray

LIGHT = (-0.12, -0.2)  # shade gained per radius towards the light, which shines from the upper left in every video
EDGE_SHADE = 0.22  # shade lost at the edge of a limb, as on a cylinder
RIM_SHADE = 0.35
BLOBS = 5
BACKGROUND_DRAWS = 14 + 6 * BLOBS


class Stream(IntEnum):
    """What stands behind the number of a video in the seed of what is drawn for it apart from its poses.

    Never 0, which a seed does not tell from nothing.
    """

    CLOTH = 1
    CLUTTER = 2
    ROUGH = 3
    TINT = 4
    LEAVES = 5
    LIGHT = 6
    FLICKER = 7
    GRAIN = 8
    SCENE = 9
    WALK = 10
    PAN = 11
    ZOOM = 12
    SHAKE = 13


class Capsules(NamedTuple):
    """P tapered capsules in each of B images, in the order of painting (far to near), lengths in [-1, 1] units."""

    starts: Array  # (B, P, 2) float32 (x, y)
    ends: Array  # (B, P, 2) float32
    radii: Array  # (B, P, 2) float32, at the start and at the end
    rims: Array  # (B, P) float32 width of the darker rim
    colours: Array  # (B, P, 3) float32 in [0, 1]
    stripes: Array  # (B, P, 2) float32: strength in [0, 1], number of stripes along the capsule


class Cloth(NamedTuple):
    """The patterns of P capsules in each of B images, which move with them.

    Where a tile is 0, a capsule keeps its color; where it is 1, it has the color named here.
    """

    tiles: Array  # (T, N, N) float32 in [0, 1], rows along a capsule, columns across, repeated; N is a power of 2
    which: Array  # (B, P) the tile of each capsule
    colours: Array  # (B, P, 3) float32 in [0, 1]
    cells: Array  # (B, P, 2) float32: cells of a tile from start to end of the axis, and from the axis to the edge


def uniform(seed: tuple[int, ...], count: int) -> Array:
    """`count` numbers (count,) float64 in [0, 1); a longer sequence starts with the shorter one."""
    raw = np.random.PCG64(np.random.SeedSequence(seed)).random_raw(count)
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53


def sine(degrees: Array) -> Array:
    """Sine of an angle of any size, by range reduction to a quarter turn and a polynomial (error below 1e-7)."""
    turns = degrees / 360.0
    turns = turns - np.floor(turns + 0.5)
    turns = np.where(turns > 0.25, 0.5 - turns, np.where(turns < -0.25, -0.5 - turns, turns))
    x = turns * 6.283185307179586
    square = x * x
    total = np.full_like(x, -1 / 39916800)
    for coefficient in (1 / 362880, -1 / 5040, 1 / 120, -1 / 6, 1.0):
        total = total * square + coefficient
    return total * x


def cosine(degrees: Array) -> Array:
    """Cosine, from `sine`."""
    return sine(degrees + 90.0)


def hsv(hue: Array, saturation: Array, value: Array) -> Array:
    """Colours (..., 3) in [0, 1] from hue (in turns), saturation and value of one shape (...)."""
    channels = []
    for shift in (5.0, 3.0, 1.0):
        k = hue * 6.0 + shift
        k = k - 6.0 * np.floor(k / 6.0)
        ramp = np.maximum(0.0, np.minimum(np.minimum(k, 4.0 - k), 1.0))
        channels.append(value - value * saturation * ramp)
    return np.stack(channels, axis=-1)


def backgrounds(draws: Array, size: int) -> Array:
    """Soft backgrounds (3, V, size, size) float32 from draws (V, BACKGROUND_DRAWS): gradient, stripes, blobs."""
    line = (np.arange(size) * (2.0 / (size - 1)) - 1.0).astype(np.float32)
    x, y = line[None, None, :], line[None, :, None]
    d = draws.astype(np.float32)[:, :, None, None]
    hue = draws[:, 0]
    first = hsv(hue, 0.1 + 0.4 * draws[:, 1], 0.25 + 0.6 * draws[:, 2])
    second = hsv(hue + 0.3 * draws[:, 3], 0.1 + 0.4 * draws[:, 4], 0.25 + 0.6 * draws[:, 5])
    ramp = 0.5 + (d[:, 6] - 0.5) * x + (d[:, 7] - 0.5) * y
    wave = (1.0 + 3.0 * d[:, 8]) * ((d[:, 9] - 0.5) * x + (d[:, 10] - 0.5) * y) + d[:, 11]
    wave = np.abs(2.0 * (wave - np.floor(wave)) - 1.0)
    wave = wave * wave * (3.0 - 2.0 * wave) - 0.5
    planes = _colour_planes(first) + ramp * _colour_planes(second - first)
    planes = planes + (0.3 * d[:, 12] * d[:, 13]) * wave
    for blob in range(BLOBS):
        bx, by, radius, tint, strength, bright = (d[:, 14 + 6 * blob + i] for i in range(6))
        dx, dy = x - (2.0 * bx - 1.0), y - (2.0 * by - 1.0)
        radius = 0.25 + 0.6 * radius
        soft = np.maximum(0.0, 1.0 - (dx * dx + dy * dy) / (radius * radius))
        colour = hsv(tint[:, 0, 0].astype(np.float64), np.full(len(d), 0.4), 0.25 + 0.6 * bright[:, 0, 0])
        planes = planes + (0.7 * strength * soft * soft) * (_colour_planes(colour) - planes)
    return np.minimum(np.maximum(planes, 0.0), 1.0)


def _colour_planes(colours: Array) -> Array:
    """Colours (V, 3) to (3, V, 1, 1) float32."""
    return np.ascontiguousarray(colours.T.astype(np.float32))[:, :, None, None]


def paint(planes: Array, capsules: Capsules) -> tuple[Array, Array]:
    """Paint capsules over backgrounds `planes` (3, B, S, S) float32 in [0, 1].

    Returns images (B, S, S, 3) uint8 and the mask (B, S, S) uint8 of what was painted, 255 or 0.
    """
    canvas = layered(planes, capsules)
    return quantised(canvas[:3]), as_mask(canvas[3])


def layered(planes: Array, capsules: Capsules, cloth: Cloth | None = None, light: Array | None = None) -> Array:
    """Backgrounds (3, B, S, S) float32 in [0, 1] with capsules over them, not yet rounded, and how far these cover.

    `light` (B, 2) float32 (x, y) is the shade gained per radius in each direction, by default `LIGHT` in every image.
    Returns a canvas (4, B, S, S) float32: red, green, blue, coverage.
    """
    count, size = planes.shape[1], planes.shape[2]
    canvas = np.concatenate([planes, np.zeros_like(planes[:1])]).reshape(4, -1)
    scale = np.float32((size - 1) / 2)
    pixels = capsules._replace(
        starts=(capsules.starts + np.float32(1)) * scale,
        ends=(capsules.ends + np.float32(1)) * scale,
        radii=capsules.radii * scale,
        rims=capsules.rims * scale,
    )
    light = np.array([LIGHT], np.float32) if light is None else light
    for k in range(capsules.starts.shape[1]):
        worn = None if cloth is None else Cloth(cloth.tiles, *(field[:, k] for field in cloth[1:]))
        _paint_one(canvas, Capsules(*(field[:, k] for field in pixels)), size, light, worn)
    return canvas.reshape(4, count, size, size)


def quantised(planes: Array) -> Array:
    """Planes (3, B, H, W) float32, of which what lies outside [0, 1] is clipped, as images (B, H, W, 3) uint8."""
    images = np.empty((*planes.shape[1:], len(planes)), np.uint8)
    for channel, plane in enumerate(planes):
        value = np.maximum(plane, 0.0)
        np.minimum(value, 1.0, out=value)
        value *= np.float32(255)
        value += np.float32(0.5)
        images[..., channel] = value.astype(np.uint8)  # towards zero, which here is floor
    return images


def as_mask(coverage: Array) -> Array:
    """Where the coverage is at least a half 255, elsewhere 0, as uint8 of the same shape."""
    return np.where(coverage >= 0.5, np.uint8(255), np.uint8(0))


def _window(one: Capsules, size: int) -> tuple[Array, Array, Array]:
    """Offsets x, y from the start and canvas indices, each (B, n), of the n pixels of windows around a capsule."""
    low = np.floor(np.minimum(one.starts - one.radii[:, :1], one.ends - one.radii[:, 1:]) - 1).astype(np.int64)
    high = np.floor(np.maximum(one.starts + one.radii[:, :1], one.ends + one.radii[:, 1:]) + 2).astype(np.int64)
    width, height = np.minimum((high - low).max(axis=0) + 1, size)
    columns = np.clip(low[:, 0], 0, size - width)[:, None, None] + np.arange(width)
    rows = np.clip(low[:, 1], 0, size - height)[:, None, None] + np.arange(height)[:, None]
    index = np.arange(len(low))[:, None, None] * (size * size) + rows * size + columns
    x = columns.astype(np.float32) - one.starts[:, 0, None, None]
    y = rows.astype(np.float32) - one.starts[:, 1, None, None]
    flat = (len(low), -1)  # long rows make fast loops
    return (*(np.broadcast_to(v, index.shape).reshape(flat) for v in (x, y)), index.reshape(flat))


def _paint_one(canvas: Array, one: Capsules, size: int, light: Array, cloth: Cloth | None) -> None:
    """Blend one capsule per image, in pixels, into the canvas (4, B * S * S): red, green, blue, mask.

    The shape is the union of discs whose radius changes linearly along the axis, up to the (small) taper.
    """
    x, y, index = _window(one, size)
    axis = one.ends - one.starts
    across = axis / np.maximum(axis[:, :1] * axis[:, :1] + axis[:, 1:] * axis[:, 1:], np.float32(1e-6))
    along = x * across[:, :1]
    along += y * across[:, 1:]
    pattern = None if cloth is None else _pattern(x, y, along, one, cloth)
    np.maximum(along, 0, out=along)
    np.minimum(along, 1, out=along)
    x -= along * axis[:, :1]
    y -= along * axis[:, 1:]
    square = x * x
    square += y * y
    radius = along * (one.radii[:, 1:] - one.radii[:, :1])
    radius += one.radii[:, :1]
    shade = _shade(x, y, square, along, radius, one.stripes, light)
    np.sqrt(square, out=square)
    alpha = np.subtract(radius, square, out=radius)
    alpha += np.float32(0.5)
    body = alpha - one.rims[:, None]
    np.minimum(np.maximum(body, 0, out=body), 1, out=body)
    np.minimum(np.maximum(alpha, 0, out=alpha), 1, out=alpha)
    shade -= np.float32(RIM_SHADE)
    shade *= body
    shade += np.float32(RIM_SHADE)
    for channel, plane in enumerate(canvas):
        layer = shade * _ground(one, cloth, pattern, channel) if channel < 3 else np.float32(1)
        below = plane.take(index)
        layer = layer - below
        layer *= alpha
        layer += below
        plane[index] = layer


def _ground(one: Capsules, cloth: Cloth | None, pattern: Array | None, channel: int) -> Array:
    """The unshaded color (B, n or 1) of a channel."""
    ground = one.colours[:, channel, None]
    if cloth is None or pattern is None:
        return ground
    return pattern * (cloth.colours[:, channel, None] - ground) + ground


def _pattern(x: Array, y: Array, along: Array, one: Capsules, cloth: Cloth) -> Array:
    """The tile (B, n) at offsets x, y from the start of the axis, of which `along` is the share along it.

    Distances across are divided by the radius at the start: those of the body, so that the pattern keeps to the limb.
    """
    axis = one.ends - one.starts
    length = np.sqrt(np.maximum(axis[:, :1] * axis[:, :1] + axis[:, 1:] * axis[:, 1:], np.float32(1e-6)))
    scale = cloth.cells[:, 1:] / (length * np.maximum(one.radii[:, :1], np.float32(1e-3)))
    row = along * cloth.cells[:, :1]
    column = x * (axis[:, 1:] * scale)
    column -= y * (axis[:, :1] * scale)
    size = cloth.tiles.shape[-1]
    low = np.floor(row), np.floor(column)
    row -= low[0]
    column -= low[1]
    first, left = (edge.astype(np.int32) & (size - 1) for edge in low)
    second, right = (first + 1) & (size - 1), (left + 1) & (size - 1)
    tiles = cloth.tiles.reshape(-1)
    base = cloth.which.astype(np.int32)[:, None] * (size * size)
    first, second = first * size + base, second * size + base
    upper, lower = tiles.take(first + left), tiles.take(second + left)
    upper += column * (tiles.take(first + right) - upper)
    lower += column * (tiles.take(second + right) - lower)
    lower -= upper
    lower *= row
    upper += lower
    return upper


def _shade(x: Array, y: Array, square: Array, along: Array, radius: Array, stripes: Array, light: Array) -> Array:
    """Brightness (B, n) at offsets x, y, of squared length `square`, from the axis: light, roundness, stripes."""
    slope = 1 / radius
    shade = x * light[:, :1]
    shade += y * light[:, 1:]
    round_off = square * slope
    round_off *= np.float32(EDGE_SHADE)
    shade -= round_off
    shade *= slope
    shade += 1
    wave = along * (2 * stripes[:, 1:])
    wave -= 2 * np.floor(wave * np.float32(0.5))
    wave -= 1
    np.abs(wave, out=wave)
    wave *= stripes[:, :1]
    shade -= shade * wave
    return shade
