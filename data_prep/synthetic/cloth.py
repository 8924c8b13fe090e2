"""Patterned clothing and fur for the synthetic puppets: stripes, checks, dots and noise, by rule."""

import numpy as np

from data_prep.synthetic.bodies import Body
from data_prep.synthetic.posing import Figures, lengths_at_rest
from data_prep.synthetic.rendering import Array, Capsules, Cloth, Stream, hsv, uniform

TILE = 64  # cells of a pattern's tile, which is one unit of the puppet's square long
LATTICES = (8, 16, 32)  # cells of the octaves of noise in a tile
DRAWS = 12 + sum(count * count for count in LATTICES)
RIM = 0.5  # width of the darker rims in relation to those of plain puppets
KINDS = ("across", "along", "diagonal", "checks", "gingham", "dots", "noise", "blotches")


def dressed(
    body: Body, key: tuple[int, int], figure: Figures, shapes: Capsules, order: Array
) -> tuple[Capsules, Cloth]:
    """The capsules in colors that are less bright, and their cloth; the same in all images of a video.

    `shapes` and `order` (B, parts) are what `posing.capsules` gives; `key` and the number of a video decide.
    """
    slots = len(body.colours)
    draws = np.stack([uniform((*key, int(v), Stream.CLOTH), slots * DRAWS) for v in figure.names])
    draws = draws.reshape(len(figure.names), slots, DRAWS)
    strength = np.array(body.patterned) * (0.6 + 0.4 * draws[..., 0])
    pairs = zip(draws.reshape(-1, DRAWS), strength.flat, strict=True)
    tiles = np.stack([tile(one) * np.float32(much) for one, much in pairs])
    slot = np.array([part.colour for part in body.parts])[order]
    tone = np.array([part.tone for part in body.parts])[order]
    radii = np.array([part.radii[0] for part in body.parts])
    which = figure.which[:, None]
    grey, dark = (draws[which, slot, i].astype(np.float32)[..., None] for i in (8, 9))
    colours = shapes.colours
    middle = (colours[..., :1] + colours[..., 1:2] + colours[..., 2:]) * np.float32(1 / 3)
    colours = (colours + np.float32(0.7) * grey * grey * (middle - colours)) * (1 - np.float32(0.6) * dark * dark)
    others = hsv(draws[..., 1], draws[..., 2], 0.1 + 0.9 * draws[..., 3])[which, slot] * tone[..., None]
    cells = TILE * np.stack([lengths_at_rest(body), radii], axis=1)[order]
    cloth = Cloth(tiles, which * slots + slot, others.astype(np.float32), cells.astype(np.float32))
    rims = shapes.rims * np.float32(RIM)
    return shapes._replace(colours=colours, stripes=np.zeros_like(shapes.stripes), rims=rims), cloth


def tile(draws: Array) -> Array:
    """A pattern (TILE, TILE) float32 in [0, 1] from draws (DRAWS,); it goes on without a seam on each side."""
    kind = KINDS[int(draws[4] * len(KINDS))]
    line = np.arange(TILE, dtype=np.float32) / np.float32(TILE)
    along, across = line[:, None], line[None, :]
    often, other = (np.float32(3 + int(5 * draw)) for draw in draws[5:7])
    duty = np.float32(0.3 + 0.4 * draws[7])
    if kind == "across":
        pattern = _bands(often * along + 0 * across, duty)
    elif kind == "along":
        pattern = _bands(often * across + 0 * along, duty)
    elif kind == "diagonal":
        pattern = _bands(often * along + other * across, duty)
    elif kind in ("checks", "gingham"):
        one, two = _bands(often * along, np.float32(0.5)), _bands(often * across, np.float32(0.5))
        pattern = one + two - 2 * one * two if kind == "checks" else (one + two) * np.float32(0.5)
    elif kind == "dots":
        pattern = _dots(often * along, often * across, duty)
    else:
        pattern = _noise(draws[12:])
        pattern = pattern if kind == "noise" else np.minimum(np.maximum(6 * pattern - np.float32(2.5), 0), 1)
    return pattern.astype(np.float32)


def _bands(phase: Array, duty: np.float32) -> Array:
    """Bands with soft edges that come again with each whole number; 1 on a share `duty` of them."""
    wave = np.abs(2 * (phase - np.floor(phase)) - 1)
    return np.minimum(np.maximum((duty - wave) * 4 + np.float32(0.5), 0), 1)


def _dots(along: Array, across: Array, duty: np.float32) -> Array:
    """Round dots, two for each whole number in both directions, in rows that are shifted by half."""
    pattern = np.zeros(np.broadcast_shapes(along.shape, across.shape), np.float32)
    for shift in (np.float32(0), np.float32(0.5)):
        u, v = along + shift, across + shift
        u, v = u - np.floor(u) - np.float32(0.5), v - np.floor(v) - np.float32(0.5)
        soft = (duty * np.float32(0.5) - np.sqrt(u * u + v * v)) * 6 + np.float32(0.5)
        pattern = np.maximum(pattern, np.minimum(np.maximum(soft, 0), 1))
    return pattern


def _noise(draws: Array) -> Array:
    """Noise of some octaves in [0, 1] that goes on without a seam."""
    total, start, amplitude, sum_of = np.zeros((TILE, TILE), np.float32), 0, 1.0, 0.0
    for count in LATTICES:
        lattice = draws[start : start + count * count].reshape(count, count).astype(np.float32)
        start += count * count
        place = np.arange(TILE) * (count / TILE)
        low = np.floor(place)
        first = low.astype(np.int64)
        blend = (place - low).astype(np.float32)
        second = (first + 1) % count
        rows = lattice[first] + blend[:, None] * (lattice[second] - lattice[first])
        total += np.float32(amplitude) * (rows[:, first] + blend * (rows[:, second] - rows[:, first]))
        sum_of += amplitude
        amplitude *= 0.7
    return total * np.float32(1 / sum_of)
