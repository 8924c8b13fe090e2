"""Labels that other tools wrote on image files, as labeled images of a model's size."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.crops import to_crop
from pplkit.data.label_readers import read_labels
from pplkit.data.labels import Label, area, in_pixels
from pplkit.data.reader import FrameSource

FOLDERS_ABOVE = 3  # in which the images of a file of labels are looked for


class LabeledImages(NamedTuple):
    """n images with J landmarks."""

    images: np.ndarray  # (n, S, S, 3) uint8
    labels: np.ndarray  # (n, J, 2) in [-1, 1], NaN where missing
    names: list[str]


def read_labeled_files(path: Path, size: int, crop: str = "center") -> LabeledImages:
    """The image files that a file of labels names, cropped as training images were, and their labels.

    Images are looked for beside the file of labels and in the folders above it. Of several objects in an image the
    largest counts. Raises PplkitError as `data.label_readers.read_labels`, and if none of the images is found.
    """
    labels = read_labels(path)
    files: dict[Path, Label] = {}
    for name, objects in labels.objects.items():
        file = _image_file(path, name)
        labeled = [label for label in objects if np.isfinite(label.points).any()]
        if file is not None and labeled and name not in labels.faults:
            files[file] = max(labeled, key=area)
    if not files:
        example = next(iter(labels.objects), "none")
        raise PplkitError(f"{path} names images such as {example!r}, and none lies beside it: put it above its images.")
    images, points = [], []
    with closing(iter(FrameSource(list(files), size, crop))) as frames:
        for frame in frames:
            label = files[frame.file]
            label = in_pixels(label, *frame.size) if labels.fractions else label
            images.append(frame.square)
            points.append(to_crop(label.points, frame.box, size))
    return LabeledImages(np.stack(images), np.stack(points), labels.names)


def _image_file(path: Path, name: str) -> Path | None:
    """The file that `name`, with more or fewer folders before it, means beside the labels or above them."""
    folder = path if path.is_dir() else path.parent
    parts: Sequence[str] = Path(name.replace("\\", "/")).parts
    for base in (folder, *list(folder.resolve().parents)[:FOLDERS_ABOVE]):
        if (base / Path(*parts)).is_file():
            return base / Path(*parts)
    last = folder / parts[-1]
    return last if last.is_file() else None
