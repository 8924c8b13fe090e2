"""Tai-Chi-HD: people doing Tai Chi, videos to train on and frames with 18 labelled joints, protocol "taichi".

Get the videos as https://github.com/AliaksandrSiarohin/first-order-model says (they are on YouTube, under their owners'
terms), and labels and masks from https://github.com/AliaksandrSiarohin/motion-cosegmentation (research only). SOURCE is
the folder that holds

train/<video>/*.png                          frames, or train/*.mp4 and other videos
eval_images/taichi-256/{train,test}/         the labelled frames, 256 x 256
landmark/taichi_{train,test}_gt.npz          their joints, found by a pose detector
taichi-test-masks/                           the masks of the test frames (optional)

The joints are published as pickles (taichi_{train,test}_gt.pkl), which may execute anything when they are read. The kit
does not read them: convert them once, as docs/data_sets.md shows.

Three splits: "train" are the frames of the videos, without labels, "labelled" the frames that the scores' linear map is
fitted on, "test" the others. The labelled frames are not trained on: they are single, and the reference="frame" of the
method needs two of a video. Joints are (row, column) in pixels, 0 = center of the first, -1 = unlabelled. Frames that
are not square are cut to the square in their middle.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from data_prep.common.command_line import parser, run
from data_prep.common.ingest import Row, Task, image_task, write_dataset
from pplkit.core.errors import PplkitError, reason
from pplkit.data.crops import Box, center, resized
from pplkit.data.images import path_inside
from pplkit.data.schema import MAX_COORDINATE
from pplkit.data.video import frames

SIDE = 256  # of the labelled frames
PICTURES = (".png", ".jpg", ".jpeg")
VIDEOS = (".mp4", ".mkv", ".webm", ".avi", ".mov")
LAYOUT = "give the folder that holds train, eval_images and landmark"
# The order of OpenPose's 18 points, right and left as the person's own.
NAMES = [
    "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow",
    "left wrist", "right hip", "right knee", "right ankle", "left hip", "left knee",
    "left ankle", "right eye", "left eye", "right ear", "left ear",
]  # fmt: skip
SKELETON = (
    (0, 1), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip


def prepare(
    source: Path | str,
    out: Path | str,
    size: int = 128,
    every: int = 1,
    overwrite: bool = False,
    strict: bool = False,
    limit: float = 0.1,
) -> Path:
    """Write every `every`-th frame of the videos and all labelled frames as images of `size` pixels; returns `out`.

    `strict` and `limit` as in `ingest.write`. Raises PplkitError for a missing folder, a damaged table of labels, or
    an `every` below 1.
    """
    source = Path(source)
    if not (source / "train").is_dir():
        raise PplkitError(f"there is no folder {source / 'train'}; {LAYOUT}")
    if every < 1:
        raise PplkitError(f"every is {every}; give 1 for all frames of a video, 2 for every second, and so on")
    tasks = [
        *_videos(source / "train", size, every),
        *_labelled(source, "train", "labelled", size),
        *_labelled(source, "test", "test", size),
    ]
    pairs = [(NAMES.index(name.replace("right", "left")), i) for i, name in enumerate(NAMES) if "right" in name]
    return write_dataset(
        out,
        tasks,
        overwrite=overwrite,
        strict=strict,
        limit=limit,
        name="taichi",
        size=size,
        keypoint_names=NAMES,
        skeleton=SKELETON,
        flip_pairs=pairs,
        protocol="taichi",
        source="https://github.com/AliaksandrSiarohin/motion-cosegmentation",
        licence="research; the videos are under their owners' terms",
        options={"every": every},
    )


def _videos(folder: Path, size: int, every: int) -> Iterator[Task]:
    """The tasks of all videos in the order of their names: one for each frame on disk, one for each video file."""
    entries = sorted(path for path in folder.iterdir() if path.is_dir() or path.suffix.lower() in VIDEOS)
    if not entries:
        raise PplkitError(f"{folder} holds neither folders of frames nor videos; {LAYOUT}")
    for number, entry in enumerate(entries):
        if entry.is_dir():
            stills = sorted(path for path in entry.iterdir() if path.suffix.lower() in PICTURES)
            for path in stills[::every]:
                name = f"{entry.name}/{path.name}"
                yield image_task(path, size, split="train", source=name, box=center, video=number)
        else:
            yield Task(entry.name, partial(_film, entry, size, every, number), streamed=True)


def _film(path: Path, size: int, every: int, number: int) -> Iterator[Row]:
    """Rows of a video file; raises PplkitError for what of it cannot be decoded."""
    for place, (_, image) in enumerate(frames(path, 0.0, None, None, threads=1)):
        if place % every == 0:
            pixels = resized(image, size, center(*image.size))
            yield Row(split="train", image=pixels, source=f"{path.name} frame {place}", video=number)


def _labelled(source: Path, part: str, split: str, size: int) -> Iterator[Task]:
    names, joints = _read_joints(source / "landmark" / f"taichi_{part}_gt.npz")
    masks = source / "taichi-test-masks"
    masked = part == "test" and masks.is_dir()
    for name, rows_columns in zip(names, joints, strict=True):
        points = np.where((rows_columns == -1).any(1, keepdims=True), np.nan, rows_columns)[:, ::-1]
        path = path_inside(source / "eval_images" / "taichi-256" / part, name)
        mask = masks / name if masked else None
        box = partial(_exact, path)
        yield image_task(path, size, split=split, source=f"{part}/{name}", box=box, points=points, mask=mask)


def _read_joints(path: Path) -> tuple[list[str], np.ndarray]:
    """File names of labelled frames, and (row, column) of their joints (n, 18, 2)."""
    if not path.is_file():
        if path.with_suffix(".pkl").exists():
            raise PplkitError(
                f"{path} is missing: convert {path.stem}.pkl once with pandas, as docs/data_sets.md shows (reading a "
                "pickle may execute what is in it, so the kit does not)"
            )
        raise PplkitError(f"{path} is missing; download the labels and convert them as docs/data_sets.md shows")
    try:
        with np.load(path) as file:
            names, joints = [str(name) for name in file["file_name"]], file["value"].astype(np.float64)
    except Exception as error:  # a torn file can fail anywhere inside NumPy
        raise PplkitError(f"{path} cannot be read ({reason(error)}); convert it again") from error
    if joints.shape != (len(names), len(NAMES), 2) or not (np.abs(joints) <= MAX_COORDINATE * SIDE).all():
        raise PplkitError(
            f"{path} does not hold {len(NAMES)} x 2 pixels for each of {len(names)} files; convert it again"
        )
    return names, joints


def _exact(path: Path, width: int, height: int) -> Box:
    if (width, height) != (SIDE, SIDE):
        raise PplkitError(f"{path} has {width} x {height} pixels, its labels are of {SIDE} x {SIDE}; download it again")
    return 0, 0, SIDE, SIDE


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    command = parser(__doc__)
    command.add_argument("--every", type=int, default=1, help="take every n-th frame of a video (default: 1, all)")
    return run(prepare, command, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
