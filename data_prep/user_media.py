"""Your own images or videos: which of the two a source holds, and videos of puppets to try with."""

from pathlib import Path

import numpy as np

from data_prep.synthetic.puppets import RATE, generate
from pplkit.core.errors import PplkitError
from pplkit.data.images import SUFFIXES, list_files
from pplkit.data.reader import is_video
from pplkit.data.video import SUFFIXES as VIDEO_SUFFIXES
from pplkit.data.video_writer import write_video

SIDES = (160, 120)  # width and height of the videos to try with


def kind_of_source(source: Path) -> str:
    """ "video" for a video and for a folder with more videos than images, else "folder".

    Raises PplkitError if there is no such file or folder, or neither images nor videos in it.
    """
    if source.is_file():
        if source.suffix.lower() in VIDEO_SUFFIXES or is_video(source):
            return "video"
        raise PplkitError(f"{source} does not have the file name of a video: give a video, or a folder of images.")
    suffixes = [path.suffix.lower() for path in list_files(source, VIDEO_SUFFIXES | SUFFIXES, "image or video")]
    videos = sum(suffix in VIDEO_SUFFIXES - SUFFIXES for suffix in suffixes)
    return "video" if videos > len(suffixes) - videos else "folder"


def film_puppets(out: Path, scale: str = "default", seed: int = 0) -> Path:
    """Write videos of puppets to try with, as MP4 files in the folder `out`, unless they are there; returns `out`."""
    videos, frames = (6, 6) if scale == "smoke" else (40, 160)
    out.mkdir(parents=True, exist_ok=True)
    for number in range(videos):
        path = out / f"puppet-{number:03d}.mp4"
        if not path.exists():
            images = generate("humanoid", 1, frames, SIDES[1], seed, number, every=1).images
            write_video(path, (_widened(image) for image in images), RATE)
    return out


def _widened(image: np.ndarray) -> np.ndarray:
    """The image in the middle of a wider one, with its outermost pixels repeated."""
    spare = SIDES[0] - SIDES[1]
    return np.pad(image, [(0, 0), (spare // 2, spare - spare // 2), (0, 0)], "edge")
