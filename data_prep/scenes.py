"""Scenes of `synthetic.scenes` cut down to square images, and written as a video: `python -m data_prep.scenes OUT`.

Which square of an image is kept, `crop` says: "object" that of the kit's own search, which knows no labels; "truth"
one around the true mask; "center" the middle of the scene, in which the object is tiny.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.synthetic.puppets import CATEGORIES, RATE, Puppets
from data_prep.synthetic.scenes import AT_ONCE, SIDES, Film, Scenes
from pplkit.core.errors import PplkitError
from pplkit.core.words import choice
from pplkit.data.crops import center, resized, to_crop
from pplkit.data.images import list_images
from pplkit.data.schema import MAX_COORDINATE
from pplkit.data.video_writer import write_video

CROPS = ("object", "truth", "center")
FRAME = 0.12  # kept on each side of the object by "truth", of its extent
WINDOW = 3  # images that make one smooth square of "truth"

Find = Callable[[np.ndarray], np.ndarray]
"""From the images (T, H, W, 3) uint8 of a video, in order, to a square (T, 4) of each; see `boxes`."""


def boxes(scenes: Scenes, crop: str, find: Find | None = None) -> np.ndarray:
    """The squares (n, 4) that `crop` names: left, top, right, bottom in pixels from the left upper corner.

    They may reach beyond the image. `find` makes those of "object", by default
    `pplkit.inference.object_crop.find_boxes`. Raises PplkitError for another name, or if `find` gives no square for
    each image.
    """
    if crop not in CROPS:
        raise PplkitError(f"crop is {crop!r}; {choice(crop, CROPS)}")
    height, width = scenes.masks.shape[1:]
    boxes = np.empty((len(scenes.videos), 4))
    for video in np.unique(scenes.videos):
        rows = scenes.videos == video
        if crop == "object":
            squares = np.asarray((find or _finder())(scenes.images[rows]), float)
            if squares.shape != (rows.sum(), 4) or not np.isfinite(squares).all():
                raise PplkitError(f"find gave {squares.shape} numbers for {rows.sum()} images: give a square of each")
            boxes[rows] = squares
        else:
            boxes[rows] = true_boxes(scenes.masks[rows]) if crop == "truth" else center(width, height)
    return boxes


def _finder() -> Find:
    from pplkit.inference.object_crop import find_boxes

    return find_boxes


def true_boxes(masks: np.ndarray, margin: float = FRAME, window: int = WINDOW) -> np.ndarray:
    """Squares (T, 4) as in `boxes` around the masks (T, H, W) of a video, smooth in time; each holds its object whole.

    `margin` is kept on each side, of the object's extent; `window` images are averaged. Raises PplkitError for an
    empty mask.
    """
    low, high = extents(masks)
    middle = _averaged((low + high) / 2, window)
    needed = np.maximum(high - middle, middle - low).max(axis=1) * (1 + 2 * margin)
    # The mean of the largest of each window is at least what is needed: all of these windows hold the image itself.
    half = _averaged(_windows(needed[:, None], window).max(axis=1), window)
    return np.concatenate([middle - half, middle + half], axis=1)


def extents(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left upper and right lower corner (T, 2) of what is not 0 in masks (T, H, W), in pixels, the edges of pixels.

    Raises PplkitError for an empty mask.
    """
    low, high = np.empty((2, len(masks), 2))
    for i, mask in enumerate(masks):
        for axis in (0, 1):
            used = np.flatnonzero(mask.any(axis=axis))
            if not len(used):
                raise PplkitError("a mask is empty: leave out the images without an object")
            low[i, axis], high[i, axis] = used[0], used[-1] + 1
    return low, high


def _windows(values: np.ndarray, window: int) -> np.ndarray:
    """For each of values (T, C) those around it (T, window, C); beyond the ends the last ones are repeated."""
    spare = window // 2
    padded = np.pad(values, [(spare, spare), (0, 0)], "edge")
    return np.stack([padded[i : i + len(values)] for i in range(2 * spare + 1)], axis=1)


def _averaged(values: np.ndarray, window: int) -> np.ndarray:
    """The mean of each window, summed in one order on every machine."""
    parts = _windows(values, window)
    total = parts[:, 0]
    for i in range(1, parts.shape[1]):
        total = total + parts[:, i]
    return total / parts.shape[1]


def cropped(scenes: Scenes, squares: np.ndarray, size: int) -> Puppets:
    """The squares (n, 4) of the images at `size` x `size` pixels, with masks and keypoints in their coordinates.

    A keypoint outside its square counts as not visible; one that is ten images away is moved nearer, since a data
    set holds none as far out.
    """
    images = np.empty((len(squares), size, size, 3), np.uint8)
    masks = np.empty((len(squares), size, size), np.uint8)
    points = np.empty(scenes.keypoints.shape)
    for i, (left, top, right, bottom) in enumerate(squares.tolist()):
        box = left, top, right, bottom
        images[i] = resized(Image.fromarray(scenes.images[i]), size, box)
        masks[i] = np.where(resized(Image.fromarray(scenes.masks[i]), size, box) > 127, 255, 0)
        points[i] = to_crop(scenes.keypoints[i], box, size)
    edge = size / (size - 1)  # of the outermost pixels
    seen = scenes.visible & (np.abs(points) <= edge).all(axis=-1)
    points = points.clip(-MAX_COORDINATE, MAX_COORDINATE).astype(np.float32)
    return Puppets(images, points, seen, scenes.videos, masks)


def write_film(
    path: Path,
    category: str = "humanoid",
    frames: int = 250,
    video: int = 0,
    seed: int = 0,
    width: int = SIDES[0],
    height: int = SIDES[1],
    photographs: Sequence[Path] = (),
) -> Path:
    """One video of a scene as the MP4 file `path`, 25 frames a second; returns it. Parameters as `generate_wide`.

    Raises PplkitError for a number out of range, if PyAV is missing, or if the file cannot be written.
    """
    if frames < 1:
        raise PplkitError(f"frames is {frames}; give a whole number of at least 1")
    film = Film(category, video, width, height, seed, photographs=photographs)
    shots = (film.shoot(np.arange(first, min(first + AT_ONCE, frames))) for first in range(0, frames, AT_ONCE))
    return write_video(path, (image for shot in shots for image in shot.images), RATE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line on `arguments` (default: those of the process); 0 = done, 2 = wrong input."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.scenes", description="Write a video of a puppet.")
    parser.add_argument("path", metavar="FILM", type=Path, help="the MP4 file to write")
    parser.add_argument("--category", default="humanoid", help=f"{', '.join(CATEGORIES)} (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=250, help="25 are a second (default: %(default)s)")
    parser.add_argument("--video", type=int, default=0, help="another number, another video (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other videos (default: %(default)s)")
    parser.add_argument("--width", type=int, default=SIDES[0], help="in pixels (default: %(default)s)")
    parser.add_argument("--height", type=int, default=SIDES[1], help="in pixels (default: %(default)s)")
    parser.add_argument("--backgrounds", type=Path, metavar="DIR", help="folder of photographs for backgrounds")
    options = vars(parser.parse_args(arguments))
    try:
        folder = options.pop("backgrounds")
        print(write_film(**options, photographs=list_images(folder) if folder else ()))
    except PplkitError as error:
        print(f"data_prep: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
