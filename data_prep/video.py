"""Your own videos: a file, or a folder of many, in any format that PyAV decodes (pip install 'pplkit[data]').

SOURCE is a video or a folder whose videos, those in sub-folders too, are taken. Each keeps its identity, so that
reference frames work; one that gives a single frame is left out. You say yourself what licence they have.

`rate` frames of each second are kept (all, if not given), of these at most `frames` evenly spaced ones of each video,
from `start` to `end` seconds. `crop`: "center" the largest square in the middle; "pad" all of the frame, the shorter
side filled up with its outermost pixels; "object" a square that follows the object (`pplkit.inference.object_crop`;
objects.png in the data set shows some); or the box left,top,right,bottom in pixels of the frame as it is shown, turned
and with square pixels, counted from its left upper corner. "auto" is "object" where the object is small, else "center"
(`data_prep.common.object_crops`); dataset.json says which. A video in which no object is found is left out.

A hash of the path puts whole videos into the test split, `test_share` of them; where it would put none or all there,
the one that comes next makes up for it. Of a single video the last `test_share` of its frames are the test split.

Frames are made small one by one and written as they come, so that a long video needs no more memory than a short one.
Of a video that is cut short or damaged what can be read is kept, and dataset.json says under `dropped` what is not.
"""

from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data_prep.common.command_line import parser, run
from data_prep.common.ingest import Row, Task, write
from data_prep.common.object_crops import AUTO, OBJECT, Cut, Sheet, choose_crop, sample_videos, video_cut, warn
from data_prep.common.splits import check_share, hash_fraction, held_out
from pplkit.core.errors import PplkitError
from pplkit.data.crops import CROPS, Box, current_name, resized
from pplkit.data.images import ignored_files, list_files, relative_name
from pplkit.data.video import SUFFIXES, TIME_TOLERANCE, frame_table, frames, reader
from pplkit.data.writer import DatasetWriter
from pplkit.inference.object_crop import Squares

Range = tuple[float | None, int | None, float, float | None]
"""rate, frames, start, end"""


def prepare(
    source: Path | str,
    out: Path | str,
    size: int = 128,
    rate: float | None = None,
    frames: int | None = None,
    start: float = 0.0,
    end: float | None = None,
    crop: str | Sequence[float] = AUTO,
    test_share: float = 0.1,
    overwrite: bool = False,
    strict: bool = False,
    limit: float = 0.1,
) -> Path:
    """Write the frames of the videos as images of `size` pixels and return `out`; the options are in the module.

    `strict` and `limit` as in `ingest.write`. Raises PplkitError for an option out of range, a source without videos,
    if PyAV is missing or if nothing is left.
    """
    options = {"rate": rate, "frames": frames, "start": start, "end": end, "crop": crop, "test_share": test_share}
    writer = DatasetWriter(out, overwrite=overwrite, name="video", size=size, options=options)
    convert(Path(source), writer, (rate, frames, start, end), crop, test_share, strict=strict, limit=limit)
    return Path(out)


def convert(
    source: Path, writer: DatasetWriter, wanted: Range, crop: str | Sequence[float], test_share: float, **limits: Any
) -> None:
    """What `prepare` does, for a writer of any name; `limits` are those of `ingest.write`."""
    _check(*wanted)
    crop = current_name(crop) if isinstance(crop, str) else crop
    check_share(test_share)
    reader()
    if crop not in (AUTO, OBJECT):
        _crop(crop)
    paths = [source] if source.is_file() else list_files(source, SUFFIXES, "video")
    folder = source.parent if source.is_file() else source
    names = [relative_name(path, folder) for path in paths]
    testing = _testing(names, test_share)
    known: dict[Path, Squares] = {}
    if isinstance(crop, str):
        crop = choose_crop(crop, "center", partial(sample_videos, paths, known))
    writer.metadata.options["crop"] = crop
    sheet = Sheet(len(paths))
    tasks = []
    for number, (path, name) in enumerate(zip(paths, names, strict=True)):
        share = test_share if len(paths) == 1 else float(name in testing)
        # Threads of the decoder each hold a frame at full size: many videos at a time share the cores themselves.
        threads = 0 if len(paths) == 1 else 1
        part = partial(video_cut, path, number, known, sheet, threads) if crop == OBJECT else partial(_crop, crop)
        rows = partial(_rows, path, name, number, wanted, share, part, writer.metadata.size, threads)
        tasks.append(Task(name, rows, streamed=True))
    with writer:
        write(writer, tasks, desc=writer.metadata.name, unit="video", **limits)
    sheet.write(writer.out)
    if source.is_dir() and (sentence := ignored_files(source, SUFFIXES)):
        warn(sentence)


def _check(rate: float | None, frames: int | None, start: float, end: float | None) -> None:
    if rate is not None and not 0 < rate < np.inf:
        raise PplkitError(f"rate is {rate}; give the frames to keep of each second, more than 0")
    if frames is not None and frames < 2:
        raise PplkitError(f"frames is {frames}; give the frames to keep of each video, at least 2")
    if not 0 <= start < np.inf or (end is not None and not end > start):
        raise PplkitError(f"start is {start} and end {end}; give seconds, start at least 0 and end after it")


def _crop(crop: str | Sequence[float]) -> Cut:
    if isinstance(crop, str) and crop in CROPS:
        named = CROPS[crop]
        return lambda time, image: named(*image.size)
    try:
        left, top, right, bottom = (float(edge) for edge in (crop.split(",") if isinstance(crop, str) else crop))
    except (TypeError, ValueError):
        left = top = right = bottom = np.nan
    if not (left < right and top < bottom and np.isfinite([left, top, right, bottom]).all()):
        raise PplkitError(f"crop is {crop!r}; choose center, pad, object, auto or left,top,right,bottom")

    def box(time: float, image: Image.Image) -> Box:
        width, height = image.size
        if left < 0 or top < 0 or right > width or bottom > height:
            raise PplkitError(f"crop is {crop!r} and the frame {width} x {height} pixels; choose a box inside it")
        return left, top, right, bottom

    return box


def _testing(names: Sequence[str], share: float) -> set[str]:
    if share == 0 or len(names) < 2:
        return set()
    return held_out(names, share) or {min(names, key=hash_fraction)}


def _rows(
    path: Path,
    name: str,
    number: int,
    wanted: Range,
    share: float,
    cut: Callable[[], Cut],
    size: int,
    threads: int,
) -> Iterator[Row]:
    """The frames of a video, the last `share` for the test; a split that would get a single frame gets none."""
    rate, count, start, end = wanted
    chosen: np.ndarray | float | None = rate
    boundary = -np.inf if share == 1 else np.inf
    if count is not None or 0 < share < 1:
        times = frame_table(path).times(rate, start, end)
        if count is not None and len(times):
            chosen = times = times[np.unique(np.linspace(0, len(times) - 1, count).round().astype(int))]
        if 0 < share < 1 and len(times) >= 4:
            boundary = times[-max(2, round(share * len(times)))] - TIME_TOLERANCE
    waiting: dict[str, Row | None] = {}
    box = cut()
    for time, image in frames(path, start, end, chosen, threads):
        split = "test" if time >= boundary else "train"
        part = box(time, image)
        row = Row(split=split, image=resized(image, size, part), source=f"{name} {time:.3f} s", video=number)
        if split not in waiting:
            waiting[split] = row
            continue
        first, waiting[split] = waiting[split], None
        if first is not None:
            yield first
        yield row
    if all(row is not None for row in waiting.values()):
        what = "a single frame" if waiting else "no frame"
        raise PplkitError(f"{path} gives {what} there, but a video needs two; choose another rate, start or end")


def command_line(description: str | None, source: str) -> ArgumentParser:
    """The command line of any set of videos: frames, crop and test share."""
    command = parser(description, source)
    command.add_argument(
        "--frames", type=int, help="of each video at most, evenly spaced (None: all; default: %(default)s)"
    )
    crops = "center, pad, object, auto or left,top,right,bottom (default: auto, object or center)"
    command.add_argument("--crop", default=AUTO, help=crops)
    command.add_argument("--test-share", type=float, default=0.1, help="share of the test split (default: 0.1)")
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    command = command_line(__doc__, "a video, or a folder of videos")
    command.add_argument("--rate", type=float, help="frames of each second to keep (default: all)")
    command.add_argument("--start", type=float, default=0.0, help="seconds to leave out at the beginning (default: 0)")
    command.add_argument("--end", type=float, help="seconds after which the rest is left out (default: none)")
    return run(prepare, command, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
