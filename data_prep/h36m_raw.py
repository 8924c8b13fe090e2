"""The files of Human3.6M as published: videos, joints as CDF, boxes and masks as MATLAB 7.3.

For `data_prep.h36m`, which says where the files come from and lie.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from data_prep.common.ingest import Row
from data_prep.common.object_crops import Cut
from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import check_file
from pplkit.core.words import quantity
from pplkit.data.crops import Box, around, resized, to_crop
from pplkit.data.images import MAX_PIXELS
from pplkit.data.schema import MAX_COORDINATE
from pplkit.data.video import TIME_TOLERANCE, frame_table, frames, reader

JOINTS = 32
POSES = ("MyPoseFeatures/D2_Positions", "Poses_D2_Positions")
BOXES = ("MySegmentsMat/ground_truth_bb", "ground_truth_bb", "Segments_mat_gt_bb")
MASKS = ("MySegmentsMat/ground_truth_bs", "ground_truth_bs", "Segments_mat_gt_bs")
REMEDY = "download it again or remove the video"
MARGIN = 0.15  # around the joints where there is no box: they end at the middle of hands and feet
SLACK = 50  # frames, one second: videos and poses differ by a few at the end


class Video(NamedTuple):
    """A video, or in the simplified release a folder of images."""

    split: str
    subject: Path  # the folder S1, S5, ...
    name: str  # <action>[ <number>].<camera>
    number: int

    @property
    def film(self) -> Path:
        """The file of a video as published."""
        return self.subject / "Videos" / f"{self.name}.mp4"


def check_packages() -> None:
    """Raise PplkitError, with the command that installs it, if a package that reads the files is missing."""
    reader()
    try:
        import cdflib  # noqa: F401
        import h5py  # noqa: F401
    except ImportError as error:
        raise PplkitError(f"Human3.6M needs the package {error.name}: pip install 'pplkit[data]'") from error


def rows(video: Video, size: int, every: int, masks: bool, follow: Callable[[], Cut] | None = None) -> Iterator[Row]:
    """Every `every`-th frame of a video, cropped to a square around the person, with its 32 joints.

    The square is that of `follow`, else that of the frame's box, else around its joints; with `masks`, frames without
    a mask are left out. Frames are numbered by their times, so that joints stay with their frames after one that
    cannot be decoded, which the next one replaces. Raises PplkitError for a missing or damaged file; the rows before
    the damage are good.
    """
    film = video.film
    poses_file = _file(video, POSES, ".cdf")
    poses = _poses(poses_file)
    masks_file = _file(video, MASKS, ".mat") if masks else None
    shown = frame_table(film).times(None, 0.0, None)
    if len(shown) < len(poses) - SLACK:  # before the first row: it is unknown which joints belong to which frame
        raise PplkitError(
            f"{film} ends after {quantity(len(shown), 'frame')}, {poses_file.name} has {len(poses)}; {REMEDY}"
        )
    end = shown[len(poses)] if len(poses) < len(shown) else None
    cut = None if follow is None else follow()
    with _masks(_find(video, BOXES, ".mat")) as box_of, _masks(masks_file) as mask_of:
        for time, image in frames(film, 0.0, end, shown[: len(poses) : every], threads=1):
            number = int(np.searchsorted(shown, time - TIME_TOLERANCE))
            box = cut(time, image) if cut else _square(box_of(number)) or around(poses[number], MARGIN)
            mask = mask_of(number)
            if masks and mask is None:
                continue
            yield Row(
                split=video.split,
                image=resized(image, size, box),
                source=f"{video.subject.name}/Videos/{film.name} frame {number}",
                keypoints=in_crop(poses[number], box, size, poses_file),
                video=video.number,
                mask=None if mask is None else shrunk(mask, size, box),
            )


def in_crop(points: np.ndarray, box: Box, size: int, file: Path) -> np.ndarray:
    """Pixels (32, 2) of an image as points of its crop in [-1, 1]; raises PplkitError if they lie far from it."""
    keypoints = to_crop(points, box, size)
    if not np.abs(keypoints).max() <= MAX_COORDINATE:  # NaN as well
        raise PplkitError(f"{file} has joints that are not numbers or far outside the image; {REMEDY}")
    return keypoints


def shrunk(mask: np.ndarray, size: int, box: Box) -> np.ndarray:
    """The part `box` of a boolean mask (H, W) as uint8 (size, size), 255 = object."""
    picture = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8))
    return np.where(resized(picture, size, box) > 127, 255, 0).astype(np.uint8)


def _find(video: Video, folders: tuple[str, ...], ending: str) -> Path | None:
    files = (video.subject / folder / f"{video.name}{ending}" for folder in folders)
    return next((file for file in files if file.is_file()), None)


def _file(video: Video, folders: tuple[str, ...], ending: str) -> Path:
    file = _find(video, folders, ending)
    if file is None:
        raise PplkitError(f"{video.subject / folders[0] / video.name}{ending} is missing; {REMEDY}")
    return file


def _poses(path: Path) -> np.ndarray:
    """Joints (frames, 32, 2) as (x, y) in pixels of the video."""
    import cdflib

    check_file(path, REMEDY)
    try:
        poses = np.asarray(cdflib.CDF(path).varget("Pose"), np.float64)
    except Exception as error:  # cdflib has no error of its own: a damaged file fails wherever it is damaged
        raise PplkitError(f"{path} cannot be read as a CDF file with Pose ({reason(error)}); {REMEDY}") from error
    if poses.ndim < 2 or poses.shape[-1] != 2 * JOINTS or not np.isfinite(poses).all():
        raise PplkitError(
            f"{path} has Pose of shape {poses.shape}, not (1, frames, 64), or values that are not numbers; {REMEDY}"
        )
    return poses.reshape(-1, JOINTS, 2)


@contextmanager
def _masks(path: Path | None) -> Iterator[Callable[[int], np.ndarray | None]]:
    """A function from the number of a frame, from 0, to its boolean mask (H, W), None where there is none."""
    if path is None:
        yield lambda number: None
        return
    import h5py

    check_file(path, REMEDY)
    try:
        file = h5py.File(path, "r")
    except Exception as error:
        raise PplkitError(f"{path} cannot be read as a MATLAB 7.3 file ({reason(error)}); {REMEDY}") from error
    with file:
        yield partial(_mask, path, file)


def _mask(path: Path, file: Any, number: int) -> np.ndarray | None:
    try:
        cells = file["Masks"]
        if number >= cells.size:
            return None
        stored = file[cells[np.unravel_index(number, cells.shape)]]
        if stored.size > MAX_PIXELS or stored.external is not None or stored.is_virtual:
            raise ValueError("it has more pixels than any frame, or lies in another file")
        mask = np.asarray(stored)
    except Exception as error:  # a damaged file fails wherever h5py meets the damage
        raise PplkitError(f"{path} has no mask that can be read in Masks ({reason(error)}); {REMEDY}") from error
    mask = mask[0] if mask.ndim == 3 else mask
    return mask.T > 0 if mask.ndim == 2 else None  # MATLAB stores columns first, and an empty cell as its two sizes


def _square(mask: np.ndarray | None) -> Box | None:
    """The square around the object of a mask (H, W), centered on it, as long as its longer side."""
    if mask is None or not mask.any():
        return None
    columns, lines = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    low, high = np.array([columns[0], lines[0]]), np.array([columns[-1], lines[-1]]) + 1
    middle, half = (low + high) / 2, float((high - low).max()) / 2
    return middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half
