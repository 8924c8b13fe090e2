"""A video with 2D keypoints beside a 3D scene, small enough to travel inside its page."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageOps

from pplkit.core.errors import PplkitError
from pplkit.data.sequences import PoseSequence
from pplkit.data.video import TIME_TOLERANCE, frame_size, readable
from pplkit.data.video_writer import write_video
from pplkit.viz.scene_layers import Layer, skeleton_layer

LONGER_SIDE = 720  # pixels of the video in a page, at most
# At most 6 Mbit a second, 10 MB of text in 10 seconds; whole frames often enough to go to any other at once.
CODING: Mapping[str, str] = {
    "crf": "25", "preset": "veryfast", "maxrate": "6M", "bufsize": "6M", "g": "15", "bf": "0",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Film:
    """A video and what is drawn over it.

    Attributes:
        content: an MP4 file with one frame for each of the scene, at its rate.
        size: (width, height) of the image in whose pixels the keypoints are.
        layers: motions with positions (T, J, 2).
    """

    content: bytes
    size: tuple[int, int]
    layers: list[Layer]

    def image(self, frame: int) -> np.ndarray:
        """A frame, uint8 (H, W, 3)."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "film.mp4"
            path.write_bytes(self.content)
            with closing(readable(path, quiet=True)) as shots:
                ((_, image, _),) = deque(islice(shots, frame + 1), maxlen=1)
        return np.asarray(image)


def read_film(video: Path | str, keypoints: PoseSequence | None, frames: int, fps: float) -> Film:
    """A video from its beginning on, at fps, its last frame repeated if it is shorter, with keypoints in its pixels.

    Raises PplkitError for a video that cannot be read, and for keypoints in 3D or of another frame rate.
    """
    video = Path(video)
    size = frame_size(video)
    layers = []
    if keypoints is not None:
        if keypoints.space != "image":
            raise PplkitError(f"keypoints over {video} are in 3D: give those in pixels of the video.")
        if abs(keypoints.fps - fps) > 1e-3:
            raise PplkitError(
                f"keypoints over {video} have {keypoints.fps:g} frames a second and the scene {fps:g}: use "
                "keypoints.resampled."
            )
        if not np.isfinite(keypoints.points).any():
            raise PplkitError(f"keypoints over {video} have no finite point: there is nothing to draw.")
        present = np.isfinite(keypoints.points).all(-1, keepdims=True)
        layers = [skeleton_layer(keypoints, np.where(present, keypoints.points, np.float32(np.nan)))]
        size = keypoints.size or size
    with closing(readable(video, quiet=True)) as shots, TemporaryDirectory() as folder:
        images = at_times(((time, image) for time, image, _ in shots), np.arange(frames) / fps)
        small = (np.asarray(ImageOps.contain(image, (LONGER_SIDE, LONGER_SIDE)).convert("RGB")) for image in images)
        path = write_video(Path(folder) / "film.mp4", small, fps, coding=CODING)
        return Film(path.read_bytes(), size, layers)


def at_times(shots: Iterable[tuple[float, Image.Image]], times: np.ndarray) -> Iterator[Image.Image]:
    """For each of the ascending times the image that a player shows: the last one that has begun, or else the first."""
    number, shown = 0, None
    for time, image in shots:
        while number < len(times) and shown is not None and times[number] < time - TIME_TOLERANCE:
            yield shown
            number += 1
        if number == len(times):
            return
        shown = image
    while shown is not None and number < len(times):
        yield shown
        number += 1
