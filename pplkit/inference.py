"""Images in, poses out."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pplkit.crops import CROPS, from_crop, resized
from pplkit.errors import PplkitError
from pplkit.model import PosePriorLearner
from pplkit.pictures import pictures, read_image

AT_ONCE = 16  # pictures held at full size


def image_files(paths: Sequence[Path]) -> list[Path]:
    """The files of `paths`, folders replaced by the pictures in them in order of name; raises if there are none."""
    return [file for path in paths for file in (pictures(path) if path.is_dir() else [path])]


def located(
    model: PosePriorLearner,
    images: Iterable[np.ndarray],
    crop: str = "centre",
    iterations: int = 0,
    procedure: str | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(image, points (N, 2), confidence (N,)) of images uint8 (H, W, 3) of any sizes, one by one.

    The model sees one square of each, as in the preparation of the data: `crop="centre"` the largest in the middle,
    "pad" all of the image, the shorter side filled up. Points are (x, y) in pixels of the image, 0 = centre of the
    first; with "pad" they may lie outside. For `iterations` and `procedure` see `estimate`. Raises PplkitError for
    another `crop`.
    """
    if crop not in CROPS:
        raise PplkitError(f"crop={crop!r} is unknown: choose one of {', '.join(CROPS)}.")
    side, remaining = model.config.image_size, iter(images)
    while batch := list(islice(remaining, AT_ONCE)):
        boxes = [CROPS[crop](image.shape[1], image.shape[0]) for image in batch]
        seen = [resized(Image.fromarray(image), side, box) for image, box in zip(batch, boxes, strict=True)]
        poses = model.estimate(np.stack(seen), iterations, procedure=procedure)
        found = zip(batch, boxes, poses.keypoints.numpy(), poses.confidence.numpy(), strict=True)
        yield from ((image, from_crop(points, box, side), sure) for image, box, points, sure in found)


def estimate_files(
    model: PosePriorLearner,
    paths: Sequence[Path],
    iterations: int = 0,
    crop: str = "centre",
    procedure: str | None = None,
) -> dict[str, Any]:
    """Poses of image files or folders, ready for JSON: for each image its file, size, keypoints and confidence.

    Keypoints are given in pixels of the file; they, `crop`, `iterations` and `procedure` as in `located`.
    """
    files = image_files(paths)
    found = located(model, (np.asarray(read_image(file)) for file in files), crop, iterations, procedure)
    rows = [
        {
            "file": str(file),
            "width": image.shape[1],
            "height": image.shape[0],
            "keypoints": points.round(2).tolist(),
            "confidence": sure.round(4).tolist(),
        }
        for file, (image, points, sure) in zip(files, found, strict=True)
    ]
    links = model.prior().links()
    return {"made_by": model.made_by, "iterations": iterations, "crop": crop, "links": links, "images": rows}
