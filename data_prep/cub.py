"""Caltech-UCSD Birds 200-2011: 15 parts of birds, official split, protocol "cub".

Download and unpack CUB_200_2011 from https://www.vision.caltech.edu/datasets/cub_200_2011/ (non-commercial research
only). SOURCE is the folder that holds images.txt.

Variants: "all" has every class, "three" the classes 1, 2 and 3, both with the official split. "aligned" is the split of
Choudhury et al. 2021, which leaves out cut-off birds: train, val and test (5964 images in train) are those listed in
cachedir/cub/data/{train,val,test}_cub_cleaned.mat, laid beside images.txt (from
https://github.com/akanazawa/cmr/issues/3). Each file is an array `images` of structures, of which rel_path alone is
read: their boxes and parts repeat the official ones. Their layout is known from programs that read them, not from the
files themselves. All variants have the same 15 parts.

Width and height of an image are cut to multiples of 16, as much on both sides. A square as long as the longer side of
the bounding box is placed on the box's center and clipped at the border of what is left. Its right and lower edges are
not moved back by the cut, so they lie up to 7 pixels farther out, and where it was clipped it is no longer square: the
image is stretched, and the labels with it. So does the preprocessing of AutoLink, with which results were published.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from data_prep.common.command_line import ListAction, numbers, parser, read_table, run
from data_prep.common.ingest import image_task, write
from data_prep.common.matlab import read_mat
from pplkit.core.errors import PplkitError
from pplkit.core.words import choice
from pplkit.data.crops import Box
from pplkit.data.images import path_inside
from pplkit.data.writer import DatasetWriter

VARIANTS = ("all", "three", "aligned")
CLEANED = Path("cachedir") / "cub" / "data"
REMEDY = "unpack CUB_200_2011 again and give the folder that holds images.txt"
MULTIPLE = 16
MAX_NUMBER = 1e6  # pixels, or classes
SKELETON = (
    ("beak", "forehead"),
    ("forehead", "crown"),
    ("crown", "nape"),
    ("nape", "back"),
    ("back", "tail"),
    ("beak", "throat"),
    ("throat", "breast"),
    ("breast", "belly"),
    ("belly", "tail"),
    ("left eye", "crown"),
    ("right eye", "crown"),
    ("left wing", "back"),
    ("right wing", "back"),
    ("left leg", "belly"),
    ("right leg", "belly"),
)


def prepare(
    source: Path | str,
    out: Path | str,
    size: int = 128,
    classes: Sequence[int] | None = None,
    variant: str = "all",
    overwrite: bool = False,
    strict: bool = False,
    limit: float = 0.1,
) -> Path:
    """Write the birds of some `classes` (ids of classes.txt, 1 to 200; all if not given) as images of `size` pixels.

    `variant` is "all", "three" or "aligned", as the module says; `strict` and `limit` as in `ingest.write`. Returns
    `out`. Raises PplkitError for a missing or damaged file, an unknown class or a part list of wrong length.
    """
    source = Path(source)
    if not source.is_dir():
        raise PplkitError(f"there is no folder {source}; {REMEDY}")
    class_names = _chosen_classes(source, classes, variant)
    names = [name for _, name in read_table(source / "parts" / "parts.txt", 2, REMEDY)]
    missing = {part for bone in SKELETON for part in bone} - set(names)
    if missing:
        raise PplkitError(f"{source / 'parts' / 'parts.txt'} lacks {', '.join(sorted(missing))}; {REMEDY}")
    paths = _by_number(source / "images.txt")
    numbers = _numbers(source / "image_class_labels.txt", 2, paths)[:, 0].astype(int)
    splits = _splits(source, paths, variant)
    boxes = _numbers(source / "bounding_boxes.txt", 5, paths)
    parts = _parts(source / "parts" / "part_locs.txt", paths, len(names))
    files, order = list(paths.values()), list(class_names)
    rows = [row for row in range(len(paths)) if numbers[row] in class_names and splits[row]]
    if not rows:
        raise PplkitError(f"{source / 'images.txt'} has no image of the classes {list(class_names)}; {REMEDY}")
    tasks = []
    for row in rows:
        seen = parts[row, :, 2] == 1
        tasks.append(
            image_task(
                path_inside(source / "images", files[row]),
                size,
                split=splits[row],
                source=files[row],
                box=partial(_box, boxes[row], f"{source / 'bounding_boxes.txt'} puts the box outside {files[row]}"),
                points=np.where(seen[:, None], parts[row, :, :2], np.nan),
                visible=seen,
                class_index=order.index(numbers[row]),
            )
        )
    with _writer(out, size, overwrite, names, list(class_names.values()), classes, variant) as writer:
        write(writer, tasks, strict=strict, limit=limit, desc="CUB")
    return Path(out)


def _box(box: np.ndarray, fault: str, width: int, height: int) -> Box:
    crop = crop_box(width, height, box)
    if not (crop[0] < crop[2] and crop[1] < crop[3]):
        raise PplkitError(f"{fault}; {REMEDY}")
    return crop


def crop_box(width: int, height: int, box: np.ndarray) -> Box:
    """(left, top, right, bottom) of the crop around a bounding box (x, y, width, height), chosen as the module says.

    All in pixels from the image's left upper corner.
    """
    extent = np.array([width, height])
    kept = np.maximum(extent // MULTIPLE * MULTIPLE, np.minimum(extent, MULTIPLE))
    low = (extent - kept) // 2
    centre, half = box[:2] + box[2:] / 2, max(box[2:]) / 2
    start, end = np.maximum(centre - half, low), np.minimum(centre + half, kept) + low
    return float(start[0]), float(start[1]), float(end[0]), float(end[1])


def _splits(source: Path, paths: dict[int, str], variant: str) -> list[str]:
    """The split of each image, "" for one that the variant leaves out."""
    if variant != "aligned":
        training = _numbers(source / "train_test_split.txt", 2, paths)[:, 0] == 1
        return ["train" if trains else "test" for trains in training]
    splits: dict[str, str] = {}
    for split in ("train", "val", "test"):
        splits |= dict.fromkeys(_cleaned(source / CLEANED / f"{split}_cub_cleaned.mat"), split)
    if unknown := sorted(set(splits) - set(paths.values())):
        raise PplkitError(f"{source / CLEANED} lists {unknown[0]}, which images.txt does not have; {REMEDY}")
    return [splits.get(path, "") for path in paths.values()]


def _cleaned(path: Path) -> list[str]:
    """Names of the images in a cleaned list of the aligned variant."""
    if not path.exists():
        raise PplkitError(f"{path} is missing; get it from https://github.com/akanazawa/cmr/issues/3")
    images = np.atleast_1d(read_mat(path, "images", "download it again"))
    if not all(isinstance(image, dict) and isinstance(image.get("rel_path"), str) for image in images):
        raise PplkitError(f"{path} does not hold a list of images; download it again")
    return [image["rel_path"] for image in images]


def _chosen_classes(source: Path, classes: Sequence[int] | None, variant: str) -> dict[int, str]:
    if variant not in VARIANTS:
        raise PplkitError(f"variant is {variant!r}; {choice(variant, VARIANTS)}")
    known = _by_number(source / "classes.txt")
    if variant == "three":
        known = {number: name for number, name in known.items() if number <= 3}
    if classes is None:
        return known
    unknown = [number for number in classes if number not in known]
    if unknown or not classes:
        raise PplkitError(f"classes has {unknown or 'no entry'}; choose ids from {min(known)} to {max(known)}")
    return {number: known[number] for number in sorted(classes)}


def _by_number(path: Path) -> dict[int, str]:
    """The names in a table of two columns, by number."""
    try:
        return {int(number): name for number, name in read_table(path, 2, REMEDY)}
    except ValueError as error:
        raise PplkitError(f"{path} holds something that is not a whole number ({error}); {REMEDY}") from error


def _numbers(path: Path, columns: int, images: dict[int, str]) -> np.ndarray:
    """The columns after the image id, (images, columns - 1), one row for each image and in their order."""
    try:
        table = {int(row[0]): [float(value) for value in row[1:]] for row in read_table(path, columns, REMEDY)}
    except ValueError as error:
        raise PplkitError(f"{path} holds something that is not a number ({error}); {REMEDY}") from error
    missing = [image for image in images if image not in table]
    if missing:
        raise PplkitError(f"{path} has no line for image {missing[0]}; {REMEDY}")
    values = np.array([table[image] for image in images])
    if not (np.abs(values) < MAX_NUMBER).all():  # NaN as well
        raise PplkitError(f"{path} holds a number that is too large for a class or pixels; {REMEDY}")
    return values


def _parts(path: Path, images: dict[int, str], count: int) -> np.ndarray:
    """x, y and visibility (images, parts, 3), in the order of the images."""
    rows = read_table(path, 5, REMEDY)
    if len(rows) % count or len({row[0] for row in rows}) * count != len(rows):
        raise PplkitError(f"{path} has {len(rows)} lines, not {count} parts for each image; {REMEDY}")
    parts = np.full((len(images), count, 3), np.nan)
    row_of = {image: row for row, image in enumerate(images)}
    try:
        for image, part, *values in rows:
            if int(image) in row_of:
                parts[row_of[int(image)], int(part) - 1] = [float(value) for value in values]
    except (ValueError, IndexError) as error:
        raise PplkitError(f"{path} has a wrong line ({error}); {REMEDY}") from error
    if np.isinf(parts).any():
        raise PplkitError(f"{path} puts a part infinitely far away; {REMEDY}")
    if np.isnan(parts).any():
        missing = list(images)[int(np.flatnonzero(np.isnan(parts).any((1, 2)))[0])]
        raise PplkitError(f"{path} lacks a part of image {missing}; {REMEDY}")
    return parts


def _writer(
    out: Path | str,
    size: int,
    overwrite: bool,
    names: list[str],
    class_names: list[str],
    classes: Sequence[int] | None,
    variant: str,
) -> DatasetWriter:
    sides = [(name, name.replace("left", "right")) for name in names if name.startswith("left")]
    return DatasetWriter(
        out,
        overwrite=overwrite,
        name="cub",
        size=size,
        keypoint_names=names,
        skeleton=[(names.index(a), names.index(b)) for a, b in SKELETON],
        flip_pairs=[(names.index(a), names.index(b)) for a, b in sides],
        protocol="cub",
        class_names=class_names,
        source="https://www.vision.caltech.edu/datasets/cub_200_2011/",
        licence="non-commercial research and education",
        options={"classes": None if classes is None else sorted(classes), "variant": variant},
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    command = parser(__doc__)
    command.add_argument(
        "--classes", type=numbers, nargs="+", action=ListAction, help="ids of the classes to keep (default: all)"
    )
    command.add_argument("--variant", choices=VARIANTS, default="all", help="choice and split of images (default: all)")
    return run(prepare, command, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
