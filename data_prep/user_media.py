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
    images, videos = _counts(source)
    return "video" if videos > images else "folder"


def _counts(source: Path) -> tuple[int, int]:
    """The numbers of images and of videos; raises as `kind_of_source`."""
    if source.is_file():
        if source.suffix.lower() in VIDEO_SUFFIXES or is_video(source):
            return 0, 1
        raise PplkitError(f"{source} does not have the file name of a video: give a video, or a folder of images.")
    suffixes = [path.suffix.lower() for path in list_files(source, VIDEO_SUFFIXES | SUFFIXES, "image or video")]
    videos = sum(suffix in VIDEO_SUFFIXES - SUFFIXES for suffix in suffixes)
    return len(suffixes) - videos, videos


def check_name(name: str, kind: str | None, source: str) -> None:
    """Raise PplkitError, with the name to use, if a data set's name does not say what its source holds.

    `kind` is what the name says: "folder", "video", another kind, for which nothing is checked, or None.
    """
    path = Path(source).expanduser()
    if kind not in ("folder", "video", None) or not source or not path.exists():
        return
    images, videos = _counts(path)
    if not (images if kind == "folder" else videos if kind else 0):
        holds = "video" if videos > images else "folder"
        content = "is a video" if path.is_file() else "holds videos" if holds == "video" else "holds images"
        better = holds if name == kind else f"{holds}-{name.removeprefix(f'{kind}-')}"
        raise PplkitError(f"{source} {content}: call the data set {better} instead of {name}.")


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
