"""Poses of image files and videos, written as JSON or CSV while they are estimated."""

import csv
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
import torch

from pplkit.core.errors import PplkitError
from pplkit.core.files import atomic_path
from pplkit.core.progress import counted
from pplkit.data.crops import from_crop
from pplkit.data.images import as_text
from pplkit.data.label_readers import POSE_TABLE
from pplkit.data.reader import Frame, FrameSource
from pplkit.inference.landmarks.landmark_head import LandmarkHead
from pplkit.inference.landmarks.landmark_map import LandmarkMap
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.outputs import Poses

BATCH_SIZE = 64  # images
MIN_PART = 8  # images of a batch for a thread of a CPU
ENDINGS = (".json", ".csv")


class ImagePose(NamedTuple):
    """The pose in one image or video frame."""

    frame: Frame
    points: np.ndarray  # (N, 2) in pixels of the image, 0 = center of the first pixel
    confidence: np.ndarray  # (N,)


@dataclass(frozen=True)
class Estimator:
    """A model and the way in which it estimates poses. Raises PplkitError for a `batch_size` below 1."""

    model: PosePriorLearner
    iterations: int = 0  # published rounds after the first pose, see `PosePriorLearner.estimate`
    crop: str = "center"  # the square of each image that the model sees: "center", "pad" or "object"
    procedure: str | None = None  # "published" or "completed"; None: "completed" if the model has a completer
    batch_size: int = BATCH_SIZE
    landmarks: LandmarkMap | None = None  # estimate these named points instead of the keypoints
    head: LandmarkHead | None = None  # of the landmarks, which corrects them by their looks

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise PplkitError(f"batch_size={self.batch_size} is too small: give 1 or more.")

    @property
    def names(self) -> list[str]:
        """The names of the points: those of the landmarks, else the numbers of the keypoints."""
        return self.landmarks.names if self.landmarks else [str(k) for k in range(self.model.config.keypoints)]

    def poses(self, frames: Iterable[Frame]) -> Iterator[ImagePose]:
        """The poses of frames, one by one. With the crop "pad" points may lie outside the image."""
        side, remaining = self.model.config.image_size, iter(frames)
        while batch := list(islice(remaining, self.batch_size)):
            squares = np.stack([frame.square for frame in batch])
            points, confidence = self._keypoints(squares)
            if self.landmarks is not None:
                points, confidence = self.landmarks.apply_with_confidence(points, confidence)
                if self.head is not None:
                    points, confidence = self.head.locate(self.model, squares, points)
            for frame, *pose in zip(batch, points, confidence, strict=True):
                yield ImagePose(frame, from_crop(pose[0], frame.box, side), pose[1])

    def _keypoints(self, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints (B, N, 2) in [-1, 1] and their confidence (B, N) of a batch (B, S, S, 3)."""

        def estimate(part: np.ndarray) -> Poses:
            return self.model.estimate(part, self.iterations, self.batch_size, procedure=self.procedure)

        threads = min(torch.get_num_threads(), len(squares) // MIN_PART)
        if threads > 1 and self.model.alpha.device.type == "cpu" and not self.model.training:
            poses = _in_parallel(estimate, np.array_split(squares, threads))
        else:
            poses = [estimate(squares)]
        return (
            np.concatenate([part.keypoints.numpy() for part in poses]),
            np.concatenate([part.confidence.numpy() for part in poses]),
        )

    def frames(self, paths: Sequence[Path], *, whole: bool = False) -> FrameSource:
        """The frames of images, videos and folders, cropped for the model; `whole` keeps the images.

        One of several images that cannot be read is left out, and that is said.
        """
        return FrameSource(paths, self.model.config.image_size, self.crop, self.batch_size, whole=whole, skip=True)

    def file_poses(self, source: FrameSource) -> Generator[ImagePose, None, None]:
        """The poses of `frames`, one by one; closing it ends the threads that read. For errors see FrameSource."""
        with closing(iter(source)) as frames:
            yield from self.poses(frames)

    def description(self) -> dict[str, Any]:
        """What a file of poses says before the poses: the model, the settings, and the links or the names."""
        settings = {"made_by": self.model.made_by, "iterations": self.iterations, "crop": self.crop}
        return settings | ({"names": self.names} if self.landmarks else {"links": self.model.prior().links()})


def estimate_files(estimator: Estimator, paths: Sequence[Path]) -> dict[str, Any]:
    """Poses of images, videos and folders of them, ready for JSON.

    For each image its file, width, height, keypoints in pixels and confidence; for a video frame also its number and
    seconds. `write_poses` suits many images: it holds few of them at a time. Raises PplkitError for unreadable files.
    """
    source = estimator.frames(paths)
    with closing(estimator.file_poses(source)) as poses:
        rows = [_json_row(pose) for pose in poses]
    source.warn_of_ignored()
    return {**estimator.description(), "images": rows}


def write_poses(estimator: Estimator, paths: Sequence[Path], out: Path, *, bar: bool = True) -> int:
    """Write the poses of images, videos and folders to `out` while they are estimated; returns the number of images.

    A .json file has the content of `estimate_files`, one image a line. A .csv file has a line for each point: file,
    frame (empty for an image), keypoint (number or name), x, y, confidence. `bar` shows progress.
    Raises PplkitError, and leaves `out` as it was, for another ending and for files that cannot be read or written.
    """
    if out.suffix.lower() not in ENDINGS:
        raise PplkitError(f"{out} ends in neither of {', '.join(ENDINGS)}: give the file one of these endings.")
    source, number = estimator.frames(paths), 0
    with (
        closing(estimator.file_poses(source)) as estimates,
        closing(counted(estimates, len(source) if bar else 0, "images", shown=bar)) as poses,
        atomic_path(out) as partial,
        partial.open("w", encoding="utf8", newline="") as file,
    ):
        as_json = out.suffix.lower() == ".json"
        write = _json_writer(file, estimator) if as_json else _csv_writer(file, estimator)
        for number, pose in enumerate(poses, 1):  # noqa: B007
            write(pose)
        if not number:
            raise PplkitError("none of the images can be read: no poses were written.")
        if as_json:
            file.write("\n ]\n}\n")
    source.warn_of_ignored()
    return number


def _in_parallel(estimate: Callable[[np.ndarray], Poses], parts: Sequence[np.ndarray]) -> list[Poses]:
    """The poses of parts of a batch, each by a thread of its own.

    Threads that shared each operation would spin while one of them waits for a core, and cores read files as well.
    """
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(len(parts), "pplkit-estimating", torch.set_num_threads, (1,)) as pool:
            return list(pool.map(estimate, parts))
    finally:
        torch.set_num_threads(threads)


def _json_row(pose: ImagePose) -> dict[str, Any]:
    frame = pose.frame
    time = {} if frame.number is None else {"frame": frame.number, "seconds": round(frame.seconds or 0.0, 4)}
    return {
        "file": as_text(frame.file, "surrogateescape"), **time, "width": frame.size[0], "height": frame.size[1],
        "keypoints": pose.points.round(2).tolist(), "confidence": pose.confidence.round(4).tolist(),
    }  # fmt: skip


def _json_writer(file: TextIO, estimator: Estimator) -> Callable[[ImagePose], None]:
    """Begins a JSON file and returns a function that adds an image; the caller writes the end."""
    file.write(json.dumps(estimator.description(), indent=1).removesuffix("\n}") + ',\n "images": [')
    separators = iter(["\n  "])
    return lambda pose: print(next(separators, ",\n  "), json.dumps(_json_row(pose)), sep="", end="", file=file)


def _csv_writer(file: TextIO, estimator: Estimator) -> Callable[[ImagePose], None]:
    """Begins a CSV file and returns a function that adds the lines of an image."""
    table, names = csv.writer(file, lineterminator="\n"), estimator.names
    table.writerow(POSE_TABLE)
    return lambda pose: table.writerows(
        csv_rows(as_text(pose.frame.file), pose.frame.number, names, pose.points, pose.confidence)
    )


def csv_rows(
    file: str, frame: int | None, names: Sequence[str], points: np.ndarray, confidence: np.ndarray
) -> Iterator[tuple[Any, ...]]:
    """The lines of one image, with points (N, 2) and confidence (N,); see POSE_TABLE."""
    rows = zip(names, points.round(2).tolist(), confidence.round(4).tolist(), strict=True)
    return ((file, "" if frame is None else frame, name, *point, value) for name, point, value in rows)
