"""The frames of a video, one by one and upright, and when they are shown; PyAV reads them."""

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.core.files import check_file
from pplkit.data.images import PIXELS

SOON = 1e-3  # seconds that a frame may come before its time: containers round times
HOLE = 10_000  # frames that a damage may hide: times may be damaged as well
LATE = 0.5  # seconds that may lack at the end of a video before it counts as cut short
FORMATS = (
    "mov,asf,avi,dv,flv,gif,h264,hevc,mpegvideo,mpegts,mpeg,m4v,matroska,mjpeg,mxf,nut,ogg,rm,yuv4mpegpipe,ivf,apng"
)
"""What is opened, by FFmpeg's names: no playlists, which name other files, and no scripts, whatever it is called"""
SUFFIXES = {
    ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".h264", ".m1v", ".m2ts", ".m2v", ".m4v",
    ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogg", ".ogm", ".ogv", ".rm", ".ts",
    ".vob", ".webm", ".wmv", ".y4m",
}  # fmt: skip
REMEDY = "copy or download it again or remove it"


class PartlyRead(PplkitError):
    """A part of a video could not be read; what could be was."""


def reader() -> Any:
    """The package av; raises PplkitError where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise PplkitError("reading videos needs the package av: pip install 'pplkit[data]'") from error
    return av


def frames(
    path: Path, start: float, end: float | None, wanted: np.ndarray | float | None, threads: int = 0
) -> Generator[tuple[float, Image.Image], None, None]:
    """Seconds from the first frame, and the frame in RGB, turned and stretched as it is to be shown.

    From `start` to before `end`, where a frame is the first after one of the times `wanted`: ascending seconds, or so
    many a second; all, if None. `threads` decode (0: one for each core).
    Raises PplkitError for a video that cannot be read and, at its end, PartlyRead for one of which parts could not.
    """
    with closing(_shots(path, start, end, wanted, threads)) as found:
        for time, image, _ in found:
            yield time, image


def readable(path: Path, quiet: bool = False) -> Generator[tuple[float, Image.Image, int], None, None]:
    """All frames of a video that can be read, as of `frames`, with their numbers in the video, from 0.

    Where some cannot be read stderr says so, unless `quiet`; behind them the time tells the number. Raises PplkitError
    for a video of which nothing can be read.
    """
    empty = True
    try:
        with closing(_shots(path, 0.0, None, None, 0)) as found:
            for shot in found:
                empty = False
                yield shot
    except PartlyRead as error:
        if not quiet:
            print(f"pplkit: only a part of a video is used: {error}", file=sys.stderr, flush=True)
    if empty:
        raise PplkitError(f"{path} has no frame that can be read; {REMEDY}")


def _shots(
    path: Path, start: float, end: float | None, wanted: np.ndarray | float | None, threads: int
) -> Generator[tuple[float, Image.Image, int], None, None]:
    """As `frames`, with the number of each frame, from 0 for the first that is decoded."""
    due = _due(wanted, start)
    number, faults = -1, 0
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
            number += 1
            if faults and 0 < round(time / step) - number <= HOLE:  # how many lack, its place in time tells alone
                number = round(time / step)
            if end is not None and time >= end - SOON:
                break
            if time >= start - SOON and due(time):
                yield time, _upright(frame, stream.sample_aspect_ratio), number
        else:
            length = _length(container, stream)
            if number >= 0 and length is not None and min(length, end or np.inf) - time > max(LATE, 3 * step):
                raise PartlyRead(f"{path} is cut short: it ends at {time:.1f} of {length:.1f} seconds; {REMEDY}")
    if faults:
        fault = PartlyRead if number >= 0 else PplkitError
        raise fault(f"{path} is damaged in {faults} place{'s' * (faults > 1)}; {REMEDY}")


def times(path: Path, rate: float | None, start: float, end: float | None) -> np.ndarray:
    """When the frames are shown that `frames` would give with this rate, in seconds, found without decoding them."""
    found = []
    with _opened(path, 1) as (container, stream, first), suppress(reader().FFmpegError):
        for packet in container.demux(stream):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if packet.size and stamp is not None:
                found.append(float(stamp * stream.time_base) - first)
    due = _due(rate, start)
    within = (time for time in sorted(found) if time >= start - SOON and (end is None or time < end - SOON))
    return np.array([time for time in within if due(time)])


def frame_count(path: Path) -> int | None:
    """About how many frames a video has, as its file says; None where it says nothing, or cannot be read."""
    with suppress(PplkitError), _opened(path, 1) as (container, stream, _):
        length = _length(container, stream)
        return stream.frames or (None if length is None else round(length / _step(stream)))
    return None


def frame_rate(path: Path) -> float:
    """Frames a second; raises PplkitError for a video that cannot be read."""
    with _opened(path, 1) as (_, stream, _):
        return 1 / _step(stream)


def frame_size(path: Path) -> tuple[int, int]:
    """Width and height of the first frame, as it is to be shown; raises PplkitError for a video that has none."""
    with closing(frames(path, 0.0, None, None, threads=1)) as film:
        for _, image in film:
            return image.size
    raise PplkitError(f"{path} has no frame that can be read; {REMEDY}")


@contextmanager
def _opened(path: Path, threads: int) -> Iterator[tuple[Any, Any, float]]:
    """The container, its first real video stream, and the time of its first frame in seconds."""
    av = reader()
    if not path.exists():
        raise PplkitError(f"{path} is missing; correct the path or download it again")
    check_file(path, REMEDY)
    limits = {"protocol_whitelist": "file", "format_whitelist": FORMATS, "max_pixels": str(PIXELS)}
    try:
        # An absolute path is never taken for a protocol.
        container = av.open(str(path.absolute()), options=limits, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        raise PplkitError(f"{path} cannot be read as a video ({_said(error)}); {REMEDY}") from error
    with container:
        if not container.streams.video:
            raise PplkitError(f"{path} holds no pictures, only {len(container.streams)} other streams; remove it")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise PplkitError(f"{path} is of a kind that cannot be decoded here; {REMEDY}")
        stream.codec_context.options = {"max_pixels": str(PIXELS)}  # of later frames, too
        stream.codec_context.thread_count = threads
        stream.thread_type = "AUTO"
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > PIXELS:
            raise PplkitError(f"{path} has {width} x {height} pixels, more than {PIXELS:,}; make it smaller")
        try:
            yield container, stream, float((stream.start_time or 0) * stream.time_base)
        except (av.FFmpegError, ValueError, ArithmeticError, MemoryError) as error:
            raise PplkitError(f"{path} cannot be read as a video ({_said(error)}); {REMEDY}") from error


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Frames in order; None for each packet that cannot be decoded. A fault of the container ends the video."""
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
        try:
            yield from packet.decode()
        except EOFError:
            return
        except av.FFmpegError:
            yield None


def _upright(frame: Any, shape: Any) -> Image.Image:
    """The frame as it is to be shown; `shape` is the width of its pixels in heights, None or 0 if not said."""
    image: Image.Image = frame.to_image()
    if shape and shape != 1:
        width = max(1, round(image.width * float(shape)))
        if width * image.height > PIXELS:
            raise ValueError(f"its frames are to be shown {width} pixels wide")
        image = image.resize((width, image.height), Image.Resampling.BILINEAR)
    turns = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
    turn = turns.get(round(frame.rotation) % 360)
    return image if turn is None else image.transpose(turn)


def _step(stream: Any) -> float:
    return 1 / float(stream.average_rate) if stream.average_rate else 0.04


def _length(container: Any, stream: Any) -> float | None:
    """Seconds, where the file says them of its pictures alone."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration and len(container.streams) == 1 else None


def _due(wanted: np.ndarray | float | None, start: float) -> Callable[[float], bool]:
    """Whether a frame is the first after a time that is wanted."""
    last = -1

    def due(time: float) -> bool:
        nonlocal last
        if wanted is None:
            return True
        if isinstance(wanted, np.ndarray):
            now = int(np.searchsorted(wanted, time + SOON, side="right")) - 1
        else:
            now = int((time + SOON - start) * wanted)
        new, last = now > last, max(now, last)
        return new

    return due


def _said(error: Exception) -> str:
    return str(error).split(":")[0].removeprefix("[Errno 1094995529] ")
