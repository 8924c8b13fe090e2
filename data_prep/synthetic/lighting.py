"""The light of a video: its direction and color, a shadow, the dark corners of a lens, flicker and grain."""

import numpy as np

from data_prep.synthetic.rendering import Array, Stream, cosine, sine, uniform

DRAWS = 16
FLICKER = 0.05  # largest change of the brightness from frame to frame, either way
GRAIN = 0.03  # largest change of a pixel from frame to frame, either way


def draws_of(key: tuple[int, int], videos: Array) -> Array:
    """The draws (V, DRAWS) that decide the light of each video."""
    return np.stack([uniform((*key, int(video), Stream.LIGHT), DRAWS) for video in videos])


def directions(draws: Array) -> Array:
    """Shade (V, 2) float32 gained per radius of a limb to the right and down; the light comes from above, mostly."""
    angle = 180.0 + 230.0 * (draws[:, 0] - 0.5)
    strength = 0.1 + 0.25 * draws[:, 1]
    return np.stack([strength * sine(angle), strength * cosine(angle)], axis=1).astype(np.float32)


def cast(draws: Array) -> Array:
    """Brightness of each channel (V, 3) float32: of the whole from 0.75 to 1.3, warmer or colder, greener or redder."""
    warm, green = 0.36 * (draws[:, 3] - 0.5), 0.12 * (draws[:, 4] - 0.5)
    bright = 0.75 + 0.55 * draws[:, 2]
    return (bright[:, None] * np.stack([1.0 + warm, 1.0 + green, 1.0 - warm], axis=1)).astype(np.float32)


def shadow(draws: Array, x: Array, y: Array) -> Array:
    """Brightness (V, H, W) float32 in (0, 1] at columns x (W,) and rows y (H,): one side of a soft line is darker."""
    d = draws.astype(np.float32)[:, :, None, None]
    angle = 360.0 * draws[:, 5]
    across, down = (one.astype(np.float32)[:, None, None] for one in (sine(angle), cosine(angle)))
    line, column = x.astype(np.float32)[None, None, :], y.astype(np.float32)[None, :, None]
    t = (across * line + down * column - (d[:, 6] - np.float32(0.5))) / (np.float32(0.05) + d[:, 7] * d[:, 7])
    t = np.minimum(np.maximum(t + np.float32(0.5), 0), 1)
    return 1 - (np.float32(0.6) * d[:, 8] * d[:, 8]) * (t * t * (3 - 2 * t))


def vignette(draws: Array, x: Array, y: Array) -> Array:
    """Brightness (V, H, W) float32 in (0, 1], which falls towards the corners; x (W,) and y (H,) as in `shadow`."""
    line, column = x.astype(np.float32)[None, None, :], y.astype(np.float32)[None, :, None]
    furthest = float(np.abs(x).max()) * float(np.abs(x).max()) + float(np.abs(y).max()) * float(np.abs(y).max())
    strength = (0.5 * draws[:, 9] * draws[:, 9] / furthest).astype(np.float32)[:, None, None]
    return 1 - strength * (line * line + column * column)


def expose(planes: Array, light: Array, draws: Array, key: tuple[int, ...], frame: int) -> None:
    """Take an image: planes (3, H, W) float32 in this light (H, W), with the cast, flicker and grain of its frame.

    `draws` (DRAWS,) are those of the video that has this `key`.
    """
    flicker = FLICKER * draws[10] * (2.0 * uniform((*key, Stream.FLICKER, frame), 1)[0] - 1.0)
    for plane, strength in zip(planes, cast(draws[None])[0], strict=True):
        plane *= light * (strength * np.float32(1.0 + flicker))
    count = planes.size
    raw = np.random.PCG64(np.random.SeedSequence((*key, Stream.GRAIN, frame))).random_raw(-(-count // 8))
    grain = raw.astype("<u8").view(np.uint8)[:count].astype(np.float32).reshape(planes.shape)
    grain -= np.float32(127.5)
    grain *= np.float32(GRAIN * draws[11] * draws[11] / 127.5)
    planes += grain
