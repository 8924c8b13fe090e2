"""Somebody's own pictures or videos: which of the two a source holds, and a video of puppets to try with."""

from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.synthetic.puppets import RATE, generate
from pplkit.core.errors import PplkitError
from pplkit.data.images import SUFFIXES, list_files
from pplkit.data.video import SUFFIXES as FILMS
from pplkit.data.video_writer import write_video

SIDES = (160, 120)  # width and height of the videos to try with


def kind_of_source(source: Path) -> str:
    """ "video" for a video and for a folder with more videos than pictures, else "folder".

    Raises PplkitError if there is no such file or folder, or nothing of both in it.
    """
    if source.is_file():
        if source.suffix.lower() in FILMS:
            return "video"
        raise PplkitError(f"{source} is no video that is known by its ending: give a video, or a folder of pictures.")
    found = [path.suffix.lower() for path in list_files(source, FILMS | SUFFIXES, "picture and no video")]
    films = sum(suffix in FILMS - SUFFIXES for suffix in found)
    return "video" if films > len(found) - films else "folder"


def film_puppets(out: Path, scale: str = "default", seed: int = 0) -> Path:
    """Videos of puppets to try with: MP4 files in the folder `out`, made once."""
    videos, frames = (6, 6) if scale == "smoke" else (40, 160)
    out.mkdir(parents=True, exist_ok=True)
    for number in range(videos):
        path = out / f"puppet-{number:03d}.mp4"
        if not path.exists():
            images = generate("humanoid", 1, frames, SIDES[1], seed, number, every=1).images
            write_video(path, (_widened(image) for image in images), RATE)
    return out


def _widened(image: np.ndarray) -> np.ndarray:
    """In the middle of a wider picture, its outermost pixels repeated, as a camera would give it."""
    spare = SIDES[0] - SIDES[1]
    return np.asarray(Image.fromarray(np.pad(image, [(0, 0), (spare // 2, spare - spare // 2), (0, 0)], "edge")))
