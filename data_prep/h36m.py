"""Human3.6M: people in 32 joints, subjects and actions as published, protocol "h36m".

Train S1, S5, S6, S7, S8, S9, test S11; Directions, Discussion, Posing, Waiting, Greeting, Walking. SOURCE is the folder
that holds S1, S5, ..., in one of two layouts:

raw: from http://vision.imar.ro/human3.6m/ (registration, academic use only), for each subject "Videos",
"D2 positions" and, if wanted, "Segments mat" boxes and background masks, unpacked to
  S1/Videos/Directions 1.54138969.mp4
  S1/MyPoseFeatures/D2_Positions/Directions 1.54138969.cdf         (or S1/Poses_D2_Positions/)
  S1/MySegmentsMat/ground_truth_bb/Directions 1.54138969.mat       (or S1/ground_truth_bb/, S1/Segments_mat_gt_bb/)
  S1/MySegmentsMat/ground_truth_bs/Directions 1.54138969.mat       (or S1/ground_truth_bs/, S1/Segments_mat_gt_bs/)
A frame is cut to the square on its box's center, as long as the longer side, or around the joints where no box is; over
the border the outermost pixels are repeated. The joints are taken as pixels from the center of the first one.

simplified: the cropped frames that publications on unlabelled images use (human_images.tar.gz, named on
https://www.robots.ox.ac.uk/~vgg/research/unsupervised_pose/), unpacked to
  S1/WithBackground/Directions 1.54138969/1.jpg
  S1/Landmarks/Directions 1.54138969/1.mat         keypoints_2d (32, 2): row and column as shares of the side
  S1/BackgroudMask/Directions 1.54138969/1.png     (spelt so)

`crop` is "labels" for these squares, or "object" for those that follow whatever moves, found without labels
(`pplkit.inference.object_crop`); "auto" is "object" where the person is small in the frames, else "labels"
(`data_prep.common.object_crops`).

One frame in `every` of each video is kept; every=1 keeps all, as published. Of a video that is damaged in its middle
the readable part is kept, and dataset.json says what is missing. One that is more than a second shorter than its
joints is left out.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data_prep.common.command_line import ListAction, numbers, parser, run, texts
from data_prep.common.ingest import Row, Task, write
from data_prep.common.matlab import read_numbers
from data_prep.common.object_crops import (
    AUTO,
    OBJECT,
    Sheet,
    choose_crop,
    image_cut,
    sample_images,
    sample_videos,
    video_cut,
    warn,
)
from data_prep.h36m_raw import JOINTS, REMEDY, Video, check_packages, in_crop, rows, shrunk
from pplkit.core.errors import PplkitError
from pplkit.core.words import choice
from pplkit.data.crops import Box, resized
from pplkit.data.images import read_image
from pplkit.data.writer import DatasetWriter
from pplkit.inference.object_crop import ImageSquares, Squares

CROPS = (AUTO, "labels", OBJECT)
LAYOUTS = {"raw": "Videos", "simplified": "WithBackground"}
SUBJECTS = {"train": (1, 5, 6, 7, 8, 9), "test": (11,)}
ACTIONS = ("Directions", "Discussion", "Posing", "Waiting", "Greeting", "Walking")
BROKEN = ("S11", "Directions.54138969")
"""This video is damaged at its publisher."""
LEG = ("hip", "knee", "ankle", "ball", "toes")
ARM = ("collar", "shoulder", "elbow", "wrist", "thumb base", "thumb", "hand", "fingers")
NAMES = (
    "pelvis",
    *(f"right {part}" for part in LEG),
    *(f"left {part}" for part in LEG),
    *("spine base", "spine", "neck", "head", "head top"),
    *(f"left {part}" for part in ARM),
    *(f"right {part}" for part in ARM),
)
PARENTS = (
    0, 1, 2, 3, 4, 0, 6, 7, 8, 9, 0, 11, 12, 13, 14, 12, 16, 17, 18, 19, 20, 19, 22, 12, 24, 25, 26, 27, 28, 27, 30,
)  # fmt: skip
"""Of joints 1 to 31. Some joints lie on each other, such as both collars on the neck: those bones have no length."""
LIMBS = {
    "right leg": (1, 6), "left leg": (6, 11), "torso": (11, 14), "head": (14, 16), "left arm": (16, 24),
    "right arm": (24, 32),
}  # fmt: skip
"""First and after the last of the joints whose bones, each from its parent, make up a limb."""
SWAP_PAIRS = (
    (1, 6), (2, 7), (3, 8), (4, 9), (5, 10), (17, 25), (18, 26), (19, 27), (20, 28), (21, 28), (22, 30), (23, 31),
)  # fmt: skip
"""Counted from 0, right before left in the legs and 28 twice: as published."""


def prepare(
    source: Path | str,
    out: Path | str,
    size: int = 128,
    layout: str | None = None,
    every: int = 10,
    masks: bool = False,
    subjects: Sequence[int] | None = None,
    actions: Sequence[str] | None = None,
    crop: str = AUTO,
    overwrite: bool = False,
    strict: bool = False,
    limit: float = 0.1,
) -> Path:
    """Write the people as images of `size` pixels with 32 joints and return `out`.

    `layout` is "raw" or "simplified" (found out if not given); one frame in `every` is kept; `masks` adds the person's
    mask; `subjects` (1, 5, ...) and `actions` ("Posing", ...) choose among the published ones. `strict` and `limit` as
    in `ingest.write`, for videos where they are raw, else for frames; a subject without a folder is noted as dropped.
    Raises PplkitError for a wrong option, a missing or damaged file, a missing package, or if there is nothing.
    """
    source = Path(source)
    _check_options(every, subjects, actions, crop)
    kind = _layout(source, layout)
    videos, absent = _videos(source, kind, subjects, actions)
    sheet = Sheet(len(videos))
    if kind == "raw":
        check_packages()
        crop, tasks = _video_tasks(videos, size, every, masks, crop, sheet)
    else:
        crop, tasks = _frame_tasks(videos, size, every, masks, crop, sheet)
    options: dict[str, Any] = {"layout": layout, "every": every, "masks": masks, "crop": crop}
    options |= {"subjects": subjects and sorted(subjects), "actions": actions and sorted(actions)}
    with _writer(out, size, overwrite, options) as writer:
        for name, reason in absent:
            writer.drop(name, reason)
        write(writer, tasks, strict=strict, limit=limit, desc="H36M", unit="video" if kind == "raw" else "image")
    sheet.write(writer.out)
    return Path(out)


def _check_options(every: int, subjects: Sequence[int] | None, actions: Sequence[str] | None, crop: str) -> None:
    if crop not in CROPS:
        raise PplkitError(f"crop is {crop!r}; {choice(crop, CROPS)}")
    if not isinstance(every, int) or every < 1:
        raise PplkitError(f"every is {every!r}; give a whole number of at least 1: of so many frames one is kept")
    people = tuple(subject for split in SUBJECTS.values() for subject in split)
    for name, choices, known in (("subjects", subjects, people), ("actions", actions, ACTIONS)):
        wrong = [entry for entry in choices or () if entry not in known]
        if wrong or choices is not None and not choices:
            raise PplkitError(f"{name} has {wrong or 'no entry'}; choose from {', '.join(map(str, known))}")


def _layout(source: Path, layout: str | None) -> str:
    if not source.is_dir():
        raise PplkitError(f"there is no folder {source}; give the one that holds S1, S5, ... of Human3.6M")
    if layout is not None and layout not in LAYOUTS:
        raise PplkitError(f"layout is {layout!r}; {choice(layout, LAYOUTS)}")
    layouts = [kind for kind, folder in LAYOUTS.items() if any(source.glob(f"S*/{folder}"))]
    wanted = [layout] if layout is not None else layouts
    if len(wanted) > 1:
        raise PplkitError(f"{source} has both layouts of Human3.6M; choose one with layout: {', '.join(layouts)}")
    if not wanted or wanted[0] not in layouts:
        folders = " or ".join(f"S1/{LAYOUTS[kind]}" for kind in wanted or LAYOUTS)
        raise PplkitError(f"{source} has no {folders}; give the folder that holds S1, S5, ... of Human3.6M")
    return wanted[0]


def _videos(
    source: Path, kind: str, subjects: Sequence[int] | None, actions: Sequence[str] | None
) -> tuple[list[Video], list[tuple[str, str]]]:
    """The videos in order, and (name, reason) of those left out from the start."""
    videos: list[Video] = []
    absent: list[tuple[str, str]] = []
    for split, people in SUBJECTS.items():
        for folder in (source / f"S{person}" for person in people if subjects is None or person in subjects):
            if not (folder / LAYOUTS[kind]).is_dir():
                absent.append((folder.name, f"there is no folder {folder / LAYOUTS[kind]}"))
                continue
            entries = sorted((folder / LAYOUTS[kind]).iterdir())
            names = [e.stem for e in entries if e.suffix == ".mp4"] if kind == "raw" else [e.name for e in entries]
            for name in names:
                # Only the whole word: Walking is not WalkingDog.
                if (re.match("[A-Za-z]*", name) or [""])[0] not in (actions or ACTIONS):
                    continue
                if kind == "raw" and (folder.name, name) == BROKEN:
                    absent.append((f"{folder.name}/Videos/{name}.mp4", "this video is damaged at its publisher"))
                else:
                    videos.append(Video(split, folder, name, len(videos)))
    if not videos:
        raise PplkitError(f"{source} has no video of the chosen subjects and actions; choose others or {REMEDY}")
    return videos, absent


def _video_tasks(
    videos: Sequence[Video], size: int, every: int, masks: bool, crop: str, sheet: Sheet
) -> tuple[str, list[Task]]:
    """The crop, and the task of each video."""
    known: dict[Path, Squares] = {}
    crop = choose_crop(crop, "labels", partial(sample_videos, [video.film for video in videos], known))
    tasks = []
    for number, video in enumerate(videos):
        follow = partial(video_cut, video.film, number, known, sheet, 1) if crop == OBJECT else None
        name = f"{video.subject.name}/Videos/{video.name}.mp4"
        tasks.append(Task(name, partial(rows, video, size, every, masks, follow), streamed=True))
    return crop, tasks


def _frame_tasks(
    videos: Sequence[Video], size: int, every: int, masks: bool, crop: str, sheet: Sheet
) -> tuple[str, list[Task]]:
    """The crop, and the task of each frame of the simplified layout."""
    # Shorter names first: the numbers are not filled up with zeros.
    folders = [video.subject / LAYOUTS["simplified"] / video.name for video in videos]
    frames = [sorted(folder.glob("*.jpg"), key=lambda f: (len(f.stem), f)) for folder in folders]
    everything = [file for files in frames for file in files]
    squares = None if crop == "labels" else ImageSquares(everything, warn=warn)
    if squares is not None:
        crop = choose_crop(crop, "labels", partial(sample_images, squares, everything))
    cut = image_cut(crop, squares, sheet, frames) if crop == OBJECT else None
    tasks = []
    for video, files in zip(videos, frames, strict=True):
        for file in files[::every]:
            name = file.relative_to(video.subject.parent).as_posix()
            tasks.append(Task(name, partial(_frame, video, file, size, masks, cut)))
    return crop, tasks


def _frame(
    video: Video, file: Path, size: int, masks: bool, cut: Callable[[Path, Image.Image, object], Box] | None
) -> list[Row]:
    image = read_image(file)
    box = cut(file, image, None) if cut else (0.0, 0.0, float(image.width), float(image.height))
    labels = video.subject / "Landmarks" / video.name / f"{file.stem}.mat"
    # A share of the side counts from the image's edge, half a pixel before the first center.
    points = _landmarks(labels)[:, ::-1] * np.array(image.size) - 0.5
    mask = None
    if masks:
        grey = np.asarray(read_image(video.subject / "BackgroudMask" / video.name / f"{file.stem}.png").convert("L"))
        x, y = grey.shape[1] / image.width, grey.shape[0] / image.height
        mask = shrunk(grey > grey.max() / 2, size, (box[0] * x, box[1] * y, box[2] * x, box[3] * y))
    return [
        Row(
            split=video.split,
            image=resized(image, size, box),
            source=file.relative_to(video.subject.parent).as_posix(),
            keypoints=in_crop(points, box, size, labels),
            video=video.number,
            mask=mask,
        )
    ]


def _landmarks(path: Path) -> np.ndarray:
    """Joints (32, 2) as (row, column), shares of the image's sides."""
    labels = read_numbers(path, "keypoints_2d", REMEDY)
    if labels.shape != (JOINTS, 2):
        raise PplkitError(f"{path} has keypoints_2d of shape {labels.shape}, not {(JOINTS, 2)}; {REMEDY}")
    return labels.astype(np.float64)


def _writer(out: Path | str, size: int, overwrite: bool, options: dict[str, Any]) -> DatasetWriter:
    return DatasetWriter(
        out,
        overwrite=overwrite,
        name="h36m",
        size=size,
        keypoint_names=list(NAMES),
        skeleton=[(parent, joint) for joint, parent in enumerate(PARENTS, start=1)],
        flip_pairs=[
            (joint, NAMES.index(name.replace("left", "right")))
            for joint, name in enumerate(NAMES)
            if name.startswith("left")
        ],
        swap_pairs=list(SWAP_PAIRS),
        groups={limb: list(range(first - 1, end - 1)) for limb, (first, end) in LIMBS.items()},
        protocol="h36m",
        source="http://vision.imar.ro/human3.6m/",
        licence="academic use only, see the licence of Human3.6M",
        options=options,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    command = parser(__doc__, "the folder that holds S1, S5, ...")
    command.add_argument("--layout", choices=tuple(LAYOUTS), help="what SOURCE holds (default: found out)")
    command.add_argument("--every", type=int, default=10, help="of so many frames one is kept (default: %(default)s)")
    command.add_argument("--masks", action="store_true", help="write the masks of the people as well")
    command.add_argument("--crop", choices=CROPS, default=AUTO, help="the square that is kept (default: %(default)s)")
    command.add_argument(
        "--subjects", type=numbers, nargs="+", action=ListAction, help="numbers of the subjects to keep (default: all)"
    )
    command.add_argument(
        "--actions", type=texts, nargs="+", action=ListAction, help="actions to keep, such as Posing (default: all six)"
    )
    return run(prepare, command, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
