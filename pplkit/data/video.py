"""The frames of videos, one by one and upright, and the times at which they are shown, read with PyAV."""

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.core.files import check_file
from pplkit.data.images import MAX_PIXELS, PAGE_SECONDS, page_count, read_pages

TIME_TOLERANCE = 1e-3  # seconds by which a frame may be early: containers round times
MAX_MISSING_FRAMES = 10_000  # in one damaged place: times may be damaged as well
MAX_GAP_SECONDS = 2.0  # between frames of a steady video that count as missing; a longer gap is a pause
CONSTANT_FRACTION = 0.88  # of the intervals that are alike in a video of constant rate
MAX_MISSING_SECONDS = 0.5  # at the end of a video before it counts as cut short
FORMATS = (
    "mov,asf,avi,dv,flv,gif,h264,hevc,mpegvideo,mpegts,mpeg,m4v,matroska,mjpeg,mxf,nut,ogg,rm,yuv4mpegpipe,ivf,apng"
)
"""FFmpeg's names of the formats that are opened: no playlists, which name other files, and no scripts"""
SUFFIXES = {
    ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".h264", ".m1v", ".m2ts", ".m2v", ".m4v",
    ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogg", ".ogm", ".ogv", ".rm", ".ts",
    ".vob", ".webm", ".wmv", ".y4m",
}  # fmt: skip
REMEDY = "copy or download it again or remove it"


class PartlyRead(PplkitError):
    """A part of a video could not be read; the rest was."""


def reader() -> Any:
    """The package av; raises PplkitError where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise PplkitError("reading videos needs the package av: pip install 'pplkit[data]'") from error
    return av


def frames(
    path: Path, start: float, end: float | None, selection: np.ndarray | float | None, threads: int = 0
) -> Generator[tuple[float, Image.Image], None, None]:
    """The selected frames of a video: seconds from its first frame, and the frame in RGB, upright, with square pixels.

    Args:
        start, end: seconds from which and before which frames are taken.
        selection: ascending seconds, for each of which the next frame is taken, or frames a second; None for all.
        threads: that decode; 0 for one for each core.

    Raises:
        PplkitError: for a video that cannot be read, and PartlyRead, after the frames, if only a part of it could.
    """
    with closing(_numbered_frames(path, start, end, selection, threads)) as shots:
        for time, image, _ in shots:
            yield time, image


def readable(path: Path, quiet: bool = False) -> Generator[tuple[float, Image.Image, int], None, None]:
    """The readable frames of a video, as in `frames`, with their numbers in the video, from 0.

    If some cannot be read, stderr says so unless `quiet`; the numbers of those after them follow from their times.
    Raises PplkitError if no frame can be read.
    """
    empty = True
    try:
        with closing(_numbered_frames(path, 0.0, None, None, 0)) as shots:
            for shot in shots:
                empty = False
                yield shot
    except PartlyRead as error:
        if not quiet:
            print(f"pplkit: only a part of a video is used: {error}", file=sys.stderr, flush=True)
    if empty:
        raise PplkitError(f"{path} has no frame that can be read; {REMEDY}")


def _numbered_frames(
    path: Path, start: float, end: float | None, selection: np.ndarray | float | None, threads: int
) -> Generator[tuple[float, Image.Image, int], None, None]:
    """As `frames`, with the number of each frame, from 0 for the first that is decoded.

    The pages of an image file with several are frames as well.
    """
    due = _due(selection, start)
    if page_count(path) > 1:
        for number, (time, image) in enumerate(read_pages(path)):
            if start - TIME_TOLERANCE <= time < (np.inf if end is None else end - TIME_TOLERANCE) and due(time):
                yield time, image, number
        return
    table = frame_table(path)
    number, faults, count = -1, 0, 0
    with _opened(path, threads) as (container, stream, first):
        step = _step(stream)
        time = -step
        if start > 0:
            with suppress(reader().FFmpegError):  # what cannot be sought is read from its beginning
                container.seek(int((start + first) / stream.time_base), stream=stream)
        for frame in _decoded(container, stream):
            if frame is None or frame.is_corrupt:
                faults += 1
                continue
            time = time + step if frame.time is None else frame.time - first
            count += 1
            number = table.number(time, number + 1)
            # After an error the time of a frame that is not in the table tells how many are missing.
            if faults and not len(table.times) and 0 < round(time / step) - number <= MAX_MISSING_FRAMES:
                number = round(time / step)
            if end is not None and time >= end - TIME_TOLERANCE:
                break
            if time >= start - TIME_TOLERANCE and due(time):
                yield time, _upright(frame, stream.sample_aspect_ratio), number
        else:
            length = _length(container, stream)
            missing = 0 if length is None else min(length, end or np.inf) - time
            if number >= 0 and missing > max(MAX_MISSING_SECONDS, 3 * step):
                raise PartlyRead(f"{path} is cut short: it ends at {time:.1f} of {length:.1f} seconds; {REMEDY}")
            lost = max(table.missing + len(table.times), stream.frames) - count if start <= 0 else 0
            if number >= 0 and not faults and lost > 0:
                raise PartlyRead(
                    f"{path} lacks {lost} frame{'s' * (lost > 1)}, by its times or its own count; {REMEDY}"
                )
    if faults:
        fault = PartlyRead if number >= 0 else PplkitError
        raise fault(f"{path} is damaged in {faults} place{'s' * (faults > 1)}; {REMEDY}")


def times(path: Path, rate: float | None, start: float, end: float | None) -> np.ndarray:
    """The times in seconds of the frames that `frames` would give at this rate, without decoding them."""
    stamps = _stamps(path)
    if not stamps:  # a raw stream has none: its frames are counted
        with suppress(PartlyRead):
            stamps.extend(time for time, _ in frames(path, 0.0, None, None))
    due = _due(rate, start)
    first_time, last_time = start - TIME_TOLERANCE, np.inf if end is None else end - TIME_TOLERANCE
    return np.array([time for time in sorted(stamps) if first_time <= time < last_time and due(time)])


class FrameTable(NamedTuple):
    """The frames of a video by the times in its container, without decoding them; empty where there are none."""

    times: np.ndarray  # (n,) seconds from the first frame, ascending
    numbers: np.ndarray  # (n,) number of each frame, from 0
    missing: int  # frames that the numbers leave out

    def number(self, time: float, default: int) -> int:
        """The number of the frame at a time; `default` if the table has none there."""
        if not len(self.times):
            return default
        after = min(int(np.searchsorted(self.times, time)), len(self.times) - 1)
        nearest = (
            max(0, after - 1) if abs(self.times[max(0, after - 1)] - time) < abs(self.times[after] - time) else after
        )
        return int(self.numbers[nearest]) if abs(self.times[nearest] - time) < 2 * TIME_TOLERANCE else default


def frame_table(path: Path) -> FrameTable:
    """The table of a video's frames; raises PplkitError for one that cannot be opened.

    Where nearly all frames come at one interval, longer ones of up to MAX_GAP_SECONDS are holes, and the numbers after
    them count the missing frames; else, and after a longer pause, frames are counted as they come.
    """
    times = np.unique(np.round(_stamps(path), 6))
    if len(times) < 3:
        return FrameTable(times, np.arange(len(times)), 0)
    gaps = np.diff(times)
    usual = float(np.median(gaps))
    steps = np.ones(len(gaps), int)
    if (np.abs(gaps - usual) < max(0.1 * usual, 1.5 * TIME_TOLERANCE)).mean() > CONSTANT_FRACTION:
        holes = gaps <= MAX_GAP_SECONDS
        steps[holes] = np.maximum(1, np.round(gaps[holes] / usual)).astype(int)
    numbers = np.concatenate([[0], np.cumsum(steps)])
    return FrameTable(times, numbers, int(numbers[-1]) + 1 - len(times))


def _stamps(path: Path) -> list[float]:
    """Seconds of the packets of a video from its first frame, as far as they have times."""
    stamps: list[float] = []
    if page_count(path) > 1:
        return stamps
    with _opened(path, 1) as (container, stream, first), suppress(reader().FFmpegError):
        for packet in container.demux(stream):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if packet.size and stamp is not None and not packet.is_discard:
                stamps.append(float(stamp * stream.time_base) - first)
    return stamps


def frame_count(path: Path) -> int | None:
    """About how many frames a video has, as its file says; None if it does not say, or cannot be read."""
    if (pages := page_count(path)) > 1:
        return pages
    with suppress(PplkitError), _opened(path, 1) as (container, stream, _):
        length = _length(container, stream)
        return stream.frames or (None if length is None else round(length / _step(stream)))
    return None


def frame_rate(path: Path) -> float:
    """Frames a second; raises PplkitError for a video that cannot be read."""
    if page_count(path) > 1:
        return 1 / PAGE_SECONDS
    with _opened(path, 1) as (_, stream, _):
        return 1 / _step(stream)


def frame_size(path: Path) -> tuple[int, int]:
    """Width and height of the first frame as it is shown; raises PplkitError for a video without frames."""
    with closing(frames(path, 0.0, None, None, threads=1)) as shots:
        for _, image in shots:
            return image.size
    raise PplkitError(f"{path} has no frame that can be read; {REMEDY}")


@contextmanager
def _opened(path: Path, threads: int) -> Iterator[tuple[Any, Any, float]]:
    """The container, its first real video stream, and the time of its first frame in seconds."""
    av = reader()
    if not path.exists():
        raise PplkitError(f"{path} is missing; correct the path or download it again")
    check_file(path, REMEDY)
    limits = {"protocol_whitelist": "file", "format_whitelist": FORMATS, "max_pixels": str(MAX_PIXELS)}
    try:
        # An absolute path is never taken for a protocol.
        container = av.open(str(path.absolute()), options=limits, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        raise PplkitError(f"{path} cannot be read as a video ({_reason(error)}); {REMEDY}") from error
    with container:
        if not container.streams.video:
            raise PplkitError(f"{path} has no video stream, only {len(container.streams)} others; remove it")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise PplkitError(f"{path} has a format that cannot be decoded here; {REMEDY}")
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # of later frames, too
        stream.codec_context.thread_count = threads
        stream.thread_type = "AUTO"
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > MAX_PIXELS:
            raise PplkitError(f"{path} has {width} x {height} pixels, more than {MAX_PIXELS:,}; make it smaller")
        try:
            yield container, stream, float((stream.start_time or 0) * stream.time_base)
        except (av.FFmpegError, ValueError, ArithmeticError, MemoryError) as error:
            raise PplkitError(f"{path} cannot be read as a video ({_reason(error)}); {REMEDY}") from error


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Frames in order, None for each packet that cannot be decoded; an error of the container ends the video."""
    av = reader()
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            yield None
            return
        if packet is None:
            return
        if packet.is_corrupt:
            yield None
        try:
            yield from packet.decode()
        except EOFError:
            return
        except av.FFmpegError:
            yield None


def _upright(frame: Any, shape: Any) -> Image.Image:
    """The frame as it is shown; `shape` is the aspect ratio of its pixels, None or 0 if unknown."""
    image: Image.Image = frame.to_image()
    if shape and shape != 1:
        width = max(1, round(image.width * float(shape)))
        if width * image.height > MAX_PIXELS:
            raise ValueError(f"its frames are {width} pixels wide when shown")
        image = image.resize((width, image.height), Image.Resampling.BILINEAR)
    return _displayed(image, frame.side_data.get("DISPLAYMATRIX"))


def _displayed(image: Image.Image, matrix: Any) -> Image.Image:
    """An image turned and mirrored by FFmpeg's display matrix of nine int32, None for none.

    Rows are x and y of the image, columns x and y on the screen: (x', y') = (a x + c y, b x + d y).
    """
    if matrix is None:
        return image
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    if abs(b) > abs(a):
        image, a, d = image.transpose(Image.Transpose.TRANSPOSE), c, b
    if a < 0:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if d < 0 else image


def _step(stream: Any) -> float:
    return 1 / float(stream.average_rate) if stream.average_rate else 0.04


def _length(container: Any, stream: Any) -> float | None:
    """Seconds, if the file says them for the video stream alone."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration and len(container.streams) == 1 else None


def _due(selection: np.ndarray | float | None, start: float) -> Callable[[float], bool]:
    """Whether a frame, by its time, is the first one after a selected time."""
    last = -1

    def due(time: float) -> bool:
        nonlocal last
        if selection is None:
            return True
        if isinstance(selection, np.ndarray):
            now = int(np.searchsorted(selection, time + TIME_TOLERANCE, side="right")) - 1
        else:
            now = int((time + TIME_TOLERANCE - start) * selection)
        new, last = now > last, max(now, last)
        return new

    return due


def _reason(error: Exception) -> str:
    return str(error).split(":")[0].removeprefix("[Errno 1094995529] ")
