"""Your own images: any tree of images, with or without labels.

SOURCE is a folder; all of its images (every format that Pillow reads, any size, gray, palette, alpha, 16 bit, turned
as EXIF says) are taken, those in sub-folders too. A file of several images (GIF, WebP, TIFF) is a video: all of them
are taken, with names such as `a.gif frame 2`, counted from 0. You say yourself what licence they have.

`labels` names COCO keypoints (.json), a table with the first line file,name,x,y,visible (.csv), DeepLabCut's
CollectedData_*.csv or .h5 or its project folder, SLEAP's .slp (with the package sleap-io), a folder of labelme's .json,
or poses that the kit wrote; see `pplkit.data.label_readers`. A file is named by its path below SOURCE, or by its last
part where that is unique; labels of a file of several images are those of its first. Coordinates are pixels, 0 = center
of the first; if all lie between 0 and 1, fractions of the image's sides. Those of the table count where visible is 1;
in COCO 1 = labelled but hidden, 2 = seen. Images without a label stay, unlabelled, unless the crop comes from the
labels. A label outside of its image is a fault; one that a crop cuts off counts as hidden. With labels the protocol is
"cub" (each part on its own, visible ones only), else "pictures".

`crop`: "center" the largest square in the middle; "pad" all of the image, the shorter side filled up with its
outermost pixels; "object" a square around the object, which is looked for without labels
(`pplkit.inference.object_crop`; objects.png in the data set shows some), images without one being left out; "labels"
the square around COCO's bbox or else the labelled points, and `margin` of its side on each side. "auto" is "object"
where the object is small, else "center" (`data_prep.common.object_crops`); dataset.json says which. An image with
several annotations gives one crop of each with "labels", otherwise it is labelled by the largest.

`splits`: "hash", where a hash of the file's path (with videos, of its folder's) puts `test_share` into the test split,
so that files added later move no other; "folder", where the top folders train/ and test/ say so. `videos="folder"`:
the images of a folder, in the order of their numbers, are a video, for reference frames. `classes="folder"`: the
top folder (below train/ or test/) is the class.

`duplicates`: near-duplicates (see `data_prep.common.duplicates`; equal files are among them) are looked for; with
videos only those in different ones. "report": all are kept, and the groups are in dataset.json, options,
`duplicate_groups`; with splits="hash" no pair is parted, since a group goes where the hash of its first member puts it.
"drop": the first of each is kept and the others named under `dropped`. "ignore": not looked for; images are read
once.
"""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from data_prep.common.command_line import parser, run
from data_prep.common.duplicates import groups, near_pairs, superfluous
from data_prep.common.ingest import Row, Task, write
from data_prep.common.object_crops import AUTO, OBJECT, Sheet, choose_crop, image_cut, sample_images, video_cut, warn
from data_prep.common.object_crops import Cut as VideoCut
from data_prep.common.splits import check_share, held_out
from pplkit.core.errors import PplkitError
from pplkit.core.words import choice
from pplkit.data.crops import Box, current_name, resized, to_crop
from pplkit.data.images import (
    SUFFIXES,
    ignored_files,
    list_images,
    page_count,
    read_image,
    read_pages,
    relative_name,
    unreadable_heif,
)
from pplkit.data.label_readers import LABEL_SUFFIXES, read_labels
from pplkit.data.labels import Label, Labels, area, check_inside, extent, frame_name, in_pixels, match
from pplkit.data.writer import DatasetWriter
from pplkit.inference.object_crop import ImageSquares

CHOICES: dict[str, tuple[str | None, ...]] = {
    "crop": ("center", "pad", "labels", OBJECT, AUTO),
    "splits": ("hash", "folder"),
    "videos": (None, "folder"),
    "classes": (None, "folder"),
    "duplicates": ("report", "drop", "ignore"),
}
SPLITS = ("train", "test")
Options = Mapping[str, Any]
Cut = Callable[[Path, Image.Image, Label | None], Box]
"""From an image, its file and its label to the part of it that is kept"""
Sources = list[tuple[str, Label | None]]
"""What becomes of an image: names of rows and their objects"""


class Files(NamedTuple):
    """The image files of a folder by their names, paths with /, and what labels say of them."""

    paths: dict[str, Path]
    pages: dict[str, int]  # number of images of the files with several
    videos: dict[str, str]  # a name for what lies in one split and is one video: a folder of frames, or a file
    marks: Labels | None
    objects: dict[str, list[Label]]  # of each image
    faults: dict[str, str]  # of files and images

    def images(self, name: str) -> list[str]:
        """The names of the images of a file."""
        return [frame_name(name, number) for number in range(self.pages[name])] if name in self.pages else [name]


def prepare(
    source: Path | str,
    out: Path | str,
    size: int = 128,
    labels: Path | str | None = None,
    crop: str = AUTO,
    margin: float = 0.2,
    splits: str = "hash",
    test_share: float = 0.1,
    videos: str | None = None,
    classes: str | None = None,
    duplicates: str = "report",
    overwrite: bool = False,
    strict: bool = False,
    limit: float = 0.1,
) -> Path:
    """Write the images below `source` as images of `size` pixels and return `out`; the options are in the module.

    `strict` and `limit` as in `ingest.write`. Raises PplkitError for an unknown choice, a folder without images,
    labels that cannot be read, and if no image is left.
    """
    options: dict[str, Any] = {
        "labels": None if labels is None else str(labels), "crop": current_name(crop), "margin": margin,
        "splits": splits,
        "test_share": test_share, "videos": videos, "classes": classes, "duplicates": duplicates,
    }  # fmt: skip
    _check(options)
    source = Path(source)
    files = _files(source, None if labels is None else read_labels(Path(labels)), options)
    paths, faults = files.paths, files.faults
    names, dropped, alike = _sorted_out(files, options)
    if not names:
        raise PplkitError(f"nothing is left of {source}: {next(iter(dropped.items()))}; choose other options")
    testing = _testing(names, alike, files, options)
    squares = ImageSquares(list(paths.values()), warn=warn) if options["crop"] in (AUTO, OBJECT) else None
    if squares is not None:
        sample = partial(sample_images, squares, [paths[name] for name in names if name not in faults])
        options["crop"] = choose_crop(options["crop"], "center", sample)
    sheet = Sheet(len(names))
    cut: Cut = partial(_around_label, margin=margin)
    if options["crop"] != "labels":
        cut = image_cut(options["crop"], squares, sheet, [[paths[name]] for name in names])
    follow = partial(video_cut, known={}, sheet=sheet, threads=1) if options["crop"] == OBJECT else None
    tasks, class_names = _tasks(names, files, testing, size, options, cut, follow)
    for path in unreadable_heif(source):
        dropped[relative_name(path, source)] = (
            "is HEIF that cannot be read here; pip install pillow-heif, or save it as JPEG"
        )
    with _writer(out, size, overwrite, files.marks, {**options, "duplicate_groups": alike}, class_names) as writer:
        for name, reason in dropped.items():
            writer.drop(name, f"{name} {reason}")
        write(writer, tasks, strict=strict, limit=limit, desc=source.name)
    sheet.write(writer.out)
    if sentence := ignored_files(source, SUFFIXES | LABEL_SUFFIXES):
        warn(sentence)
    return Path(out)


def _files(source: Path, marks: Labels | None, options: Options) -> Files:
    paths: dict[str, Path] = {}
    for path in list_images(source):
        name = relative_name(path, source)
        paths[f"{name} ({len(paths)})" if name in paths else name] = path  # bytes that are not text look the same
    pages = {name: count for name, path in paths.items() if (count := page_count(path)) > 1}
    frames = [frame_name(name, number) for name, count in pages.items() for number in range(count)]
    objects, faults = ({}, {}) if marks is None else match(marks, [*paths, *frames])
    for name in pages:  # labels of the file are those of its first image
        objects.setdefault(frame_name(name, 0), objects.get(name, []))
    videos = {name: _folder(name) if options["videos"] and name not in pages else name for name in paths}
    return Files(paths, pages, videos, marks, objects, faults)


def _sorted_out(files: Files, options: Options) -> tuple[list[str], dict[str, str], list[list[str]]]:
    """The files to take in order, those that the options leave out and why, and groups of near-duplicates."""
    paths, faults = files.paths, files.faults
    dropped = _outside_splits(paths) if options["splits"] == "folder" else {}
    if options["crop"] == "labels":
        labeled = {name for name in paths if any(files.objects.get(image) for image in files.images(name))}
        lacking = [name for name in paths if name not in labeled and name not in faults]
        dropped |= dict.fromkeys(lacking, "has no label, which crop='labels' needs; label it or choose another crop")
    names = sorted((name for name in paths if name not in dropped), key=lambda name: _order(name, files.pages))
    ignored = options["duplicates"] == "ignore"
    pairs, unreadable = ([], set()) if ignored else near_pairs([paths[name] for name in names])
    unusable = {names[index] for index in unreadable} | set(faults)
    if options["videos"]:  # neighbors in a video are alike
        pairs = [(i, j) for i, j in pairs if files.videos[names[i]] != files.videos[names[j]]]
    alike = [[names[index] for index in group] for group in groups(pairs)]
    if options["duplicates"] == "drop":
        gone = superfluous(pairs)
        dropped |= {names[i]: f"is a near-duplicate of {names[j]}, which is kept" for i, j in gone.items()}
        names, alike = [name for index, name in enumerate(names) if index not in gone], []
    if options["videos"]:
        single = [name for name in names if name not in unusable and name not in files.pages]
        usable = Counter(map(_folder, single))
        reason = "is alone in its folder, but a video needs two frames; add some or do without videos"
        alone = [name for name in single if usable[_folder(name)] == 1]
        dropped |= dict.fromkeys(alone, reason)
        names = [name for name in names if name not in dropped]
    return names, dropped, alike


def _tasks(
    names: Sequence[str],
    files: Files,
    testing: set[str],
    size: int,
    options: Options,
    cut: Cut,
    follow: Callable[[Path, int], VideoCut] | None,
) -> tuple[list[Task], list[str]]:
    """What is to be made of each file, and the names of the classes; `follow` finds the object in several images."""
    marks, faults = files.marks, files.faults
    kinds = {name: _class(name, options["splits"]) for name in names} if options["classes"] else {}
    class_names = sorted(set(kinds.values()))
    videos = {video: number for number, video in enumerate(dict.fromkeys(files.videos[name] for name in names))}
    tasks = [Task(name, partial(_fail, reason)) for name, reason in faults.items() if name not in files.paths]
    for task_number, name in enumerate(names):
        if name in faults:
            tasks.append(Task(name, partial(_fail, faults[name])))
            continue
        row: dict[str, Any] = {
            "split": "test" if name in testing else "train",
            "video": videos[files.videos[name]] if options["videos"] or files.pages else None,
            "class_index": class_names.index(kinds[name]) if kinds else None,
        }
        images = [_objects(files, image, options["crop"]) for image in files.images(name)]
        make = partial(_rows, files.paths[name], size, cut, marks is not None and marks.fractions, **row)
        if name in files.pages:
            box_at = None if follow is None else partial(follow, files.paths[name], task_number)
            tasks.append(Task(name, partial(make, images, box_at), streamed=True))
        else:
            tasks += [Task(called, partial(make, [[(called, label)]], None)) for called, label in images[0]]
    return tasks, class_names


def _check(options: Options) -> None:
    for name, choices in CHOICES.items():
        if options[name] not in choices:
            raise PplkitError(f"{name} is {options[name]!r}; {choice(options[name], choices)}")
    check_share(options["test_share"])
    if not 0 <= options["margin"] < 10:
        raise PplkitError(f"margin is {options['margin']}; give a share of the square's side, 0 or more and below 10")
    if options["crop"] == "labels" and options["labels"] is None:
        raise PplkitError("crop is 'labels', but there are none; name a file by labels or choose 'center' or 'pad'")
    if options["crop"] == "labels" and options["videos"]:
        raise PplkitError("crop='labels' cuts a frame where its labels are; with videos choose 'center' or 'pad'")


def _order(name: str, pages: Container[str]) -> tuple[str, bool, list[tuple[str, int]], str]:
    """A key that keeps the frames of a folder together and puts frame 9 before frame 10."""
    folder, _, last = name.rpartition("/")
    parts = [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)([0-9]*)", last)]
    return folder, name in pages, parts, last


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _class(name: str, splits: str) -> str:
    parts = name.split("/")[1 if splits == "folder" else 0 : -1]
    return parts[0] if parts else "none"


def _fail(reason: str) -> list[Row]:
    raise PplkitError(reason)


def _outside_splits(names: Mapping[str, Path]) -> dict[str, str]:
    folders = {name.split("/")[0] for name in names if "/" in name}
    if "train" not in folders:
        raise PplkitError("splits is 'folder', but there is no image below a folder train; choose splits='hash'")
    reason = "lies neither in train nor in test, which splits='folder' needs; move it"
    return {name: reason for name in names if "/" not in name or name.split("/")[0] not in SPLITS}


def _testing(names: Sequence[str], duplicates: Sequence[Sequence[str]], files: Files, options: Options) -> set[str]:
    """The names of the test split; what hangs together (a video, near-duplicates) goes there as a whole."""
    if options["splits"] == "folder":
        return {name for name in names if name.startswith("test/")}
    units = sorted({files.videos[name] for name in names})
    number = {name: units.index(files.videos[name]) for name in names}
    links = [(number[group[0]], number[other]) for group in duplicates for other in group[1:]]
    leader = {name: name for name in units}
    for group in groups([link for link in links if link[0] != link[1]]):
        leader |= dict.fromkeys((units[index] for index in group), units[group[0]])
    chosen = held_out(list(leader.values()), options["test_share"])
    return {name for name in names if leader[files.videos[name]] in chosen}


def _objects(files: Files, image: str, crop: str) -> Sources:
    """The objects that become images: all where each has a crop of its own, else the largest, or none."""
    if files.marks is None:
        return [(image, None)]
    labels = files.objects.get(image, [])
    if crop == "labels" and len(labels) != 1:
        return [(f"{image} #{number}", label) for number, label in enumerate(labels, start=1)]
    blank = Label(np.full((len(files.marks.names), 2), np.nan), np.zeros(len(files.marks.names), bool), None)
    return [(image, max(labels, key=area, default=blank))]


def _around_label(path: Path, image: Image.Image, label: Label | None, margin: float) -> Box:
    square = None if label is None else extent(label, margin)
    if square is None:
        raise PplkitError(f"{path} has an object without bbox and labelled point; label it or choose another crop")
    return square


def _rows(
    path: Path,
    size: int,
    cut: Cut,
    fractions: bool,
    objects: Sequence[Sources],
    follow: Callable[[], VideoCut] | None,
    **row: Any,
) -> Iterator[Row]:
    """The rows of each image of a file, from its objects; raises PplkitError after those whose labels can be used."""
    box_at = None if follow is None else follow()
    images = read_pages(path) if len(objects) > 1 else [(0.0, read_image(path))]
    error: PplkitError | None = None
    for (seconds, image), sources in zip(images, objects, strict=True):
        for source, label in sources:
            if label is not None:
                label = in_pixels(label, *image.size) if fractions else label
                try:
                    check_inside(path.with_name(Path(source).name), label, *image.size)
                except PplkitError as wrong:
                    error = error or wrong
                    continue
            box = cut(path, image, label) if box_at is None else box_at(seconds, image)
            entry = Row(image=resized(image, size, box), source=source, **row)
            if label is not None:
                points = to_crop(label.points, box, size)
                inside = (np.abs(points) <= size / (size - 1)).all(1)  # to the edge of the outermost pixel
                entry = replace(entry, keypoints=points, visible=label.visible & inside)
            yield entry
    if error:
        raise error


def _writer(
    out: Path | str, size: int, overwrite: bool, marks: Labels | None, options: Options, class_names: list[str]
) -> DatasetWriter:
    names = [] if marks is None else marks.names
    mirrored = [name.lower().replace("left", "right") for name in names]
    low = [name.lower() for name in names]
    return DatasetWriter(
        out,
        overwrite=overwrite,
        name="folder",
        size=size,
        keypoint_names=names,
        skeleton=[] if marks is None else marks.skeleton,
        flip_pairs=[(i, low.index(name)) for i, name in enumerate(mirrored) if name != low[i] and name in low],
        protocol="pictures" if marks is None else "cub",
        class_names=class_names,
        options=dict(options),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    command = parser(__doc__, "a folder of images")
    command.add_argument("--labels", type=Path, help="COCO, table, DeepLabCut, SLEAP or labelme: a file or folder")
    command.add_argument(
        "--margin", type=float, default=0.2, help="beside the labels, share of the side (default: 0.2)"
    )
    command.add_argument("--test-share", type=float, default=0.1, help="share of the test split (default: 0.1)")
    for name, choices in CHOICES.items():
        kinds = [choice for choice in choices if choice]
        usual = AUTO if name == "crop" else choices[0]
        kind = current_name if name == "crop" else str
        command.add_argument(f"--{name}", type=kind, choices=kinds, default=usual, help=f"default: {usual}")
    return run(prepare, command, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
