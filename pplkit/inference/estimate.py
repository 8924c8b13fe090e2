"""Images in, poses out: of files and videos, one after the other, and written as JSON or CSV while they come."""

import csv
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from tqdm import tqdm

from pplkit.core.errors import PplkitError
from pplkit.data.crops import from_crop
from pplkit.data.reader import Seen, count, files_of, seen
from pplkit.inference.landmarks.landmark_map import LandmarkMap
from pplkit.inference.object_crop import cropper
from pplkit.models.prior.model import PosePriorLearner
from pplkit.training.run_folder import writing

BATCH = 64  # images that go through the model together
ENDINGS = (".json", ".csv")


class Found(NamedTuple):
    """A pose in its image."""

    of: Seen
    points: np.ndarray  # (N, 2) in pixels of the image, 0 = centre of the first
    confidence: np.ndarray  # (N,)


def located(
    model: PosePriorLearner,
    images: Iterable[Seen],
    iterations: int = 0,
    procedure: str | None = None,
    batch_size: int = BATCH,
    landmarks: LandmarkMap | None = None,
) -> Iterator[Found]:
    """The poses of images, one by one, `batch_size` at a time through the model.

    With the crop "pad" points may lie outside the image. For `iterations` and `procedure` see `estimate`; with
    `landmarks` the points are those that it names. Raises PplkitError for a `batch_size` below 1.
    """
    if batch_size < 1:
        raise PplkitError(f"batch_size={batch_size} is too small: give 1 or more.")
    side, remaining = model.config.image_size, iter(images)
    while batch := list(islice(remaining, batch_size)):
        squares = np.stack([one.square for one in batch])
        poses = model.estimate(squares, iterations, batch_size, procedure=procedure)
        points, sure = poses.keypoints.numpy(), poses.confidence.numpy()
        if landmarks is not None:
            points, sure = landmarks.named(points, sure)
        for one, where, how in zip(batch, points, sure, strict=True):
            yield Found(one, from_crop(where, one.box, side), how)


def estimate_files(
    model: PosePriorLearner,
    paths: Sequence[Path],
    iterations: int = 0,
    crop: str = "centre",
    procedure: str | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Poses of pictures and videos, ready for JSON: for each image its file, size, keypoints and confidence.

    Of a frame also its number and seconds. Keypoints are given in pixels of the file; `crop` as in `squared`,
    `iterations`, `procedure` and `options` (`batch_size`, `landmarks`) as in `located`. See `write_poses` for many.
    """
    with closing(_found(model, files_of(paths), iterations, crop, procedure, **options)) as found:
        rows = [_row(one) for one in found]
    return {**_about(model, iterations, crop, options.get("landmarks")), "images": rows}


def write_poses(
    model: PosePriorLearner,
    paths: Sequence[Path],
    out: Path,
    iterations: int = 0,
    crop: str = "centre",
    procedure: str | None = None,
    *,
    bar: bool = True,
    **options: Any,
) -> int:
    """Write the poses of pictures, folders and videos to `out` while they come, and return how many there are.

    JSON as of `estimate_files`, an image a line; or, where `out` ends in .csv, a table with a line for each keypoint:
    file, frame (empty for a picture), keypoint (its number or name), x, y, confidence. `bar` shows on stderr, if that
    is a terminal, how far it is. Arguments otherwise as in `estimate_files`.
    Raises PplkitError, and leaves `out` as it was, for another ending, a file that cannot be read or written.
    """
    if out.suffix.lower() not in ENDINGS:
        raise PplkitError(f"{out} ends in neither of {', '.join(ENDINGS)}: name the poses by one of these.")
    files = files_of(paths)
    landmarks = options.get("landmarks")
    number = 0
    shown = tqdm(total=count(files) if bar else None, unit="image", disable=None if bar else True)
    try:
        with closing(_found(model, files, iterations, crop, procedure, **options)) as found, writing(out) as file:
            table = out.suffix.lower() == ".csv"
            put = _table(file, landmarks) if table else _json(file, _about(model, iterations, crop, landmarks))
            for one in found:
                put(one)
                shown.update()
                number += 1
            if not table:
                file.write("\n ]\n}\n")
    except OSError as error:
        raise PplkitError(f"{out} cannot be written ({error}): choose another file.") from None
    finally:
        shown.close()
    return number


def _found(
    model: PosePriorLearner,
    files: Sequence[Path],
    iterations: int,
    crop: str,
    procedure: str | None,
    batch_size: int = BATCH,
    landmarks: LandmarkMap | None = None,
) -> Generator[Found, None, None]:
    with closing(seen(files, model.config.image_size, cropper(crop), batch_size)) as images:
        yield from located(model, images, iterations, procedure, batch_size, landmarks)


def _about(model: PosePriorLearner, iterations: int, crop: str, landmarks: LandmarkMap | None) -> dict[str, Any]:
    """What poses of files say of themselves; links only of the points that are learned."""
    about = {"made_by": model.made_by, "iterations": iterations, "crop": crop}
    return {**about, "links": model.prior().links()} if landmarks is None else {**about, "names": landmarks.names}


def _row(one: Found) -> dict[str, Any]:
    frame = {} if one.of.frame is None else {"frame": one.of.frame, "seconds": round(one.of.seconds or 0.0, 4)}
    return {
        "file": str(one.of.file), **frame, "width": one.of.size[0], "height": one.of.size[1],
        "keypoints": one.points.round(2).tolist(), "confidence": one.confidence.round(4).tolist(),
    }  # fmt: skip


def _json(file: TextIO, about: dict[str, Any]) -> Callable[[Found], None]:
    """What adds an image to a JSON file; its end is still to be written."""
    file.write(json.dumps(about, indent=1).removesuffix("\n}") + ',\n "images": [')
    between = "\n  "

    def put(one: Found) -> None:
        nonlocal between
        file.write(between + json.dumps(_row(one)))
        between = ",\n  "

    return put


def _table(file: TextIO, landmarks: LandmarkMap | None) -> Callable[[Found], None]:
    """What adds an image to a CSV file."""
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(("file", "frame", "keypoint", "x", "y", "confidence"))

    def put(one: Found) -> None:
        frame = "" if one.of.frame is None else one.of.frame
        names = range(len(one.points)) if landmarks is None else landmarks.names
        for name, (x, y), sure in zip(
            names, one.points.round(2).tolist(), one.confidence.round(4).tolist(), strict=True
        ):
            lines.writerow((one.of.file, frame, name, x, y, sure))

    return put
