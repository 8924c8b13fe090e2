"""Videos written with PyAV."""

import os
from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.files import atomic_path


def write_video(path: str | os.PathLike[str], frames: Iterable[np.ndarray], rate: float) -> Path:
    """Frames uint8 (H, W, 3) of one size as an MP4 file of `rate` frames a second, complete or not at all.

    A last row or column that makes the size odd is left out. Raises PplkitError if there is no frame, if PyAV is
    missing, or if the file cannot be written.
    """
    try:
        import av
    except ImportError:
        raise PplkitError("writing a video needs the package av: pip install 'pplkit[data]'.") from None
    path, frames = Path(path), iter(frames)
    first = next(frames, None)
    if first is None:
        raise PplkitError(f"there is no frame to write to {path}: give a video that has some.")
    height, width = (side // 2 * 2 for side in first.shape[:2])
    with atomic_path(path) as partial, av.open(str(partial), "w", format="mp4") as file:
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream: Any = file.add_stream(codec, rate=Fraction(rate).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in chain([first], frames):
            image = np.ascontiguousarray(frame[:height, :width])
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())
    return path
