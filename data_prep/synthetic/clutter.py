"""Backgrounds with the statistics of photographs, made by rule, and photographs themselves.

A made background is noise of several octaves with a dead leaves model over it: shapes that cover each other, whose
sizes follow a power law (Lee, Mumford and Huang 2001, "Occlusion models for natural images").
Every machine gives the same bytes, as in `rendering`; of a photograph those that Pillow decodes and resizes.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.synthetic.rendering import Array, Stream, cosine, hsv, sine, uniform
from pplkit.data.images import read_image

COARSEST = 1.0  # side of the cells of the first octave of noise, in [-1, 1] units; those of the next are half as long
LATTICE = 4  # cells of the first octave, in each direction, before they repeat
STYLE_DRAWS = 16
LEAF_DRAWS = 16
LARGEST = 1.0  # radius of the largest shape
MOST = 130  # shapes in [-1, 1] x [-1, 1]
STRIPED = 0.18  # share of the shapes that have stripes
PHOTOGRAPH_DRAWS = 5


def noise(seed: tuple[int, ...], x: Array, y: Array, octaves: int, persistence: float = 0.65) -> Array:
    """Value noise (H, W) float32 of a few octaves at columns x (W,) and rows y (H,); 0 on average, mostly in [-1, 1].

    `persistence` is the amplitude of an octave in relation to that of the coarser one before.
    """
    total = np.zeros((len(y), len(x)), np.float32)
    cells = [LATTICE << octave for octave in range(octaves)]
    draws = uniform(seed, sum(count * count for count in cells)).astype(np.float32)
    amplitude, start = np.float32(1), 0
    for octave, count in enumerate(cells):
        lattice = draws[start : start + count * count].reshape(count, count)
        start += count * count
        first, second, blend = _between(y, COARSEST / (1 << octave), count)
        rows = lattice[first] + blend[:, None] * (lattice[second] - lattice[first])
        first, second, blend = _between(x, COARSEST / (1 << octave), count)
        left = rows.take(first, axis=1)
        right = rows.take(second, axis=1)
        right -= left
        right *= blend
        left += right
        left -= np.float32(0.5)
        left *= amplitude
        total += left
        amplitude = amplitude * np.float32(persistence)
    return total * np.float32(2)


def _between(line: Array, cell: float, count: int) -> tuple[Array, Array, Array]:
    """For each place the lattice points before and after it, of `count` that repeat, and how far it is between them."""
    place = line.astype(np.float64) / cell
    low = np.floor(place)
    t = place - low
    first = low.astype(np.int64) % count
    return first, (first + 1) % count, (t * t * (3.0 - 2.0 * t)).astype(np.float32)


def clutter(key: tuple[int, ...], x: Array, y: Array, octaves: int = 6, smallest: float = 0.1) -> Array:
    """A made background (3, H, W) float32 in [0, 1] at columns x (W,) and rows y (H,), in units of half an image.

    It follows from `key`. Some are calm, most have many shapes, none of a radius below `smallest`.
    """
    style = uniform((*key, Stream.CLUTTER), STYLE_DRAWS)
    rough = noise((*key, Stream.ROUGH), x, y, octaves, 0.5 + 0.4 * style[0])
    line, column = x.astype(np.float32)[None, :], y.astype(np.float32)[:, None]
    hues = np.array([style[1], style[1] + 0.15 + 0.35 * style[2], style[3]])
    first, second = hsv(hues[:2], 0.6 * style[4:6], 0.15 + 0.7 * style[6:8]).astype(np.float32)
    tint = np.float32(0.5) + np.float32(style[8] - 0.5) * line + np.float32(style[9] - 0.5) * column
    tint = tint + np.float32(0.8 * style[10]) * noise((*key, Stream.TINT), x, y, 3)
    np.minimum(np.maximum(tint, 0, out=tint), 1, out=tint)
    tone = np.float32(0.1 + 0.45 * style[11]) * rough + np.float32(1)
    planes = np.stack([(first[i] + (second[i] - first[i]) * tint) * tone for i in range(3)])
    area = (float(np.ptp(x)) * float(np.ptp(y))) / 4.0
    count = int(MOST * area * style[12] * (2.0 - style[12]))
    draws = uniform((*key, Stream.LEAVES), count * LEAF_DRAWS).reshape(count, LEAF_DRAWS)
    for leaf in draws:
        _leaf(planes, rough, x, y, leaf, hues, style, smallest)
    return np.minimum(np.maximum(planes, 0, out=planes), 1, out=planes)


def _leaf(
    planes: Array, rough: Array, x: Array, y: Array, draws: Array, hues: Array, style: Array, smallest: float
) -> None:
    """Paint one shape: an ellipse or a rectangle of one hue with a gradient, noise and perhaps stripes."""
    share = smallest / LARGEST
    radius = smallest / np.sqrt(1.0 - draws[0] * (1.0 - share * share))  # its density falls with the cube
    half = np.array([radius, radius * (0.12 + 0.88 * draws[1])])
    centre = x[0] + (x[-1] - x[0]) * draws[2], y[0] + (y[-1] - y[0]) * draws[3]
    soft = max(1.5 * float(x[1] - x[0]), 0.12 * draws[4] * draws[4] * draws[4] * radius)
    reach = np.sqrt(half[0] * half[0] + half[1] * half[1]) + soft
    columns, rows = (
        slice(*np.searchsorted(line, (at - reach, at + reach))) for line, at in zip((x, y), centre, strict=True)
    )
    dx, dy = (x[columns] - centre[0]).astype(np.float32)[None, :], (y[rows] - centre[1]).astype(np.float32)[:, None]
    turn = draws[5] if draws[6] < 0.5 else np.floor(4.0 * draws[5]) / 4.0  # much of what is built stands upright
    c, s = (np.float32(ratio(np.array(360.0 * turn))) for ratio in (cosine, sine))
    u, v = dx * c + dy * s, dy * c - dx * s
    alpha = _inside(u, v, half.astype(np.float32), ellipse=draws[7] < 0.45)
    alpha *= np.float32(1.0 / soft)
    alpha += np.float32(0.5)
    np.minimum(np.maximum(alpha, 0, out=alpha), 1, out=alpha)
    tone = u * np.float32((draws[8] - 0.5) / radius)
    tone += np.float32(1)
    tone += rough[rows, columns] * np.float32(0.5 * draws[9] * draws[9])
    if draws[10] < STRIPED:
        wave = v * np.float32((1.0 + 4.0 * draws[11]) / half[1])
        wave -= np.floor(wave)
        tone += np.where(wave < np.float32(0.5), np.float32(0.35), np.float32(-0.35))
    hue = hues[int(3.0 * draws[12])] + 0.08 * (draws[13] - 0.5)
    colour = hsv(np.array(hue), np.array((0.2 + 0.8 * style[13]) * draws[14]), np.array(0.08 + 0.85 * draws[15]))
    for plane, value in zip(planes[:, rows, columns], colour.astype(np.float32), strict=True):
        plane += alpha * (value * tone - plane)


def _inside(u: Array, v: Array, half: Array, ellipse: bool) -> Array:
    """How far points lie inside a shape with these half axes: about the distance to its border, negative outside."""
    if ellipse:
        u, v = u * (1 / half[0]), v * (1 / half[1])
        return (1 - np.sqrt(u * u + v * v)) * half.min()
    return np.minimum(half[0] - np.abs(u), half[1] - np.abs(v))


def photograph(files: Sequence[Path], key: tuple[int, ...], width: int, height: int) -> Array:
    """A background (3, H, W) float32 in [0, 1] from one of some images: a part of it, of any size, at times mirrored.

    Which image and which part follow from `key`. Raises PplkitError for an image that cannot be read.
    """
    draws = uniform((*key, Stream.CLUTTER), PHOTOGRAPH_DRAWS)
    image = read_image(files[int(draws[0] * len(files))])
    share = min(image.width / width, image.height / height) * (0.5 + 0.5 * draws[1])
    sides = width * share, height * share
    left, top = (image.width - sides[0]) * draws[2], (image.height - sides[1]) * draws[3]
    box = left, top, min(left + sides[0], image.width), min(top + sides[1], image.height)
    part = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))
    part = part[:, ::-1] if draws[4] < 0.5 else part
    return np.ascontiguousarray(part.transpose(2, 0, 1)).astype(np.float32) * np.float32(1 / 255)
