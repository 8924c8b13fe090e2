"""Labels that other tools wrote on image files, as labeled images of a model's size."""

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.crops import to_crop
from pplkit.data.label_readers import read_labels
from pplkit.data.labels import Label, area, file_and_number, in_pixels
from pplkit.data.reader import FrameSource

FOLDERS_ABOVE = 3  # in which the images of a file of labels are looked for


class LabeledImages(NamedTuple):
    """n images with J landmarks."""

    images: np.ndarray  # (n, S, S, 3) uint8
    labels: np.ndarray  # (n, J, 2) in [-1, 1], NaN where missing
    names: list[str]


def read_labeled_files(path: Path, size: int, crop: str = "center") -> LabeledImages:
    """The image files that a file of labels names, cropped as training images were, and their labels.

    Images are looked for in the folder that the file names, beside it, and in the folders above it. Of several objects
    in an image the largest counts. Frames of videos, and images of files with several, are named as by
    `data.labels.frame_name`. stderr counts the images that are left out. Raises PplkitError as
    `data.label_readers.read_labels`, and if no image is found.
    """
    labels = read_labels(path)
    objects: dict[tuple[Path, int], Label] = {}
    missing = []
    for name, candidates in labels.objects.items():
        place = _place(path, name, labels.folder)
        labeled = [label for label in candidates if np.isfinite(label.points).any()]
        if place is None:
            missing.append(name)
        elif labeled and name not in labels.faults:
            objects[place] = max(labeled, key=area)
    if not objects:
        example = next(iter(labels.objects), "none")
        raise PplkitError(
            f"{path} names images such as {example!r}, and none lies beside it: put it into their folder, or one above."
        )
    images, points = [], []
    files = list(dict.fromkeys(file for file, _ in objects))
    with closing(iter(FrameSource(files, size, crop))) as frames:
        for frame in frames:
            label = objects.get((frame.file, frame.number or 0))
            if label is not None:
                label = in_pixels(label, *frame.size) if labels.fractions else label
                images.append(frame.square)
                points.append(to_crop(label.points, frame.box, size))
    _warn_of_ignored(path, missing, list(labels.faults))
    return LabeledImages(np.stack(images), np.stack(points), labels.names)


def _warn_of_ignored(path: Path, missing: Sequence[str], faulty: Sequence[str]) -> None:
    """Say on stderr how many labeled images are not there, or have labels that cannot be used."""
    reasons = {"not beside it or in a folder above": missing, "with labels that cannot be used": faulty}
    if counts := [f"{len(names)} {reason}, such as {names[0]}" for reason, names in reasons.items() if names]:
        print(f"pplkit: of the images in {path}, some are left out: {'; '.join(counts)}", file=sys.stderr, flush=True)


def _place(path: Path, name: str, folder: str) -> tuple[Path, int] | None:
    """The file of a labeled image, and its number there if that is a video or has several images."""
    for written, number in ((name, 0), file_and_number(name)):
        if file := _image_file(path, f"{folder}/{written}") or _image_file(path, written):
            return file, number
    return None


def _image_file(path: Path, name: str) -> Path | None:
    """The image file that `name` stands for: beside the labels or above them, with more or fewer folders before it."""
    folder = path if path.is_dir() else path.parent
    parts: Sequence[str] = Path(name.replace("\\", "/")).parts
    for base in (folder, *list(folder.resolve().parents)[:FOLDERS_ABOVE]):
        if (base / Path(*parts)).is_file():
            return base / Path(*parts)
    last = folder / parts[-1]
    return last if last.is_file() else None
