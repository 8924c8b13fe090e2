"""Videos written with PyAV."""

import os
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.files import atomic_path

TICKS = 60_000  # a second, for frames with times of their own


def write_video(
    path: str | os.PathLike[str],
    frames: Iterable[np.ndarray],
    rate: float,
    times: Iterable[float] | None = None,
    coding: Mapping[str, str] | None = None,
) -> Path:
    """Frames uint8 (H, W, 3) of one size as an MP4 file, complete or not at all.

    There are `rate` frames a second; with `times` each frame is shown at its own, ascending seconds. `coding` are
    options of the codec (libx264).

    A last row or column that makes the size odd is left out. Raises PplkitError if there is no frame, if PyAV is
    missing, or if the file cannot be written.
    """
    try:
        import av
    except ImportError:
        raise PplkitError("writing a video needs the package av: pip install av.") from None
    path, frames = Path(path), iter(frames)
    first = next(frames, None)
    if first is None:
        raise PplkitError(f"there is no frame to write to {path}: give a video that has some.")
    height, width = (side // 2 * 2 for side in first.shape[:2])
    with atomic_path(path) as partial, av.open(str(partial), "w", format="mp4") as file:
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream: Any = file.add_stream(codec, rate=Fraction(rate).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = dict(coding or {})
        if times is not None:
            stream.codec_context.time_base = Fraction(1, TICKS)
        clock, last = iter(times or ()), -1
        for frame in chain([first], frames):
            shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
            if times is not None:
                last = max(last + 1, round(next(clock) * TICKS))  # the codec wants each later than the one before
                shown.pts, shown.time_base = last, Fraction(1, TICKS)
            file.mux(stream.encode(shown))
        file.mux(stream.encode())
    return path
