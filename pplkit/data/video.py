"""The frames of videos, one by one and upright, and the times at which they are shown, read with PyAV."""

import re
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.core.files import check_file
from pplkit.core.words import quantity
from pplkit.data.images import MAX_PIXELS, displayed, page_count, read_pages

TIME_TOLERANCE = 1e-3  # seconds by which a frame may be early: containers round times
MAX_GAP_SECONDS = 2.0  # between frames of a steady video that count as missing; a longer gap is a pause
CONSTANT_FRACTION = 0.88  # of the intervals that are alike in a video of constant rate
MAX_MISSING_SECONDS = 0.5  # at the end of a video before it counts as cut short
MAX_DELAYED_FRAMES = 64  # that a decoder with several threads holds back at the end of a video
MAX_INDEX_FRACTION = 0.25  # of a Matroska file after its last packet
TS_PACKET_SIZES = (188, 192, 204)  # bytes of MPEG transport streams: plain, with times, with error correction
FORMATS = (
    "mov,asf,avi,dv,flv,gif,h264,hevc,mpegvideo,mpegts,mpeg,m4v,matroska,mjpeg,mxf,nut,ogg,rm,yuv4mpegpipe,ivf,apng"
)
"""FFmpeg's names of the formats that are opened: no playlists, which name other files, and no scripts"""
SUFFIXES = {
    ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".h264", ".m1v", ".m2ts", ".m2v", ".m4v",
    ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogg", ".ogm", ".ogv", ".rm", ".ts",
    ".vob", ".webm", ".wmv", ".y4m",
}  # fmt: skip
DENSE_CODECS = ("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vp8")
"""Whose decoders may make an image of anything, but whose data never has many zeros in a row"""
ERROR_DETECTION = {"mjpeg": "explode", "mpeg4": "bitstream"}
"""Of decoders that would return the rest of a damaged frame, or values that no encoder writes"""
HOLE = re.compile(rb"\x00{16,}+(?!\x01|\Z)")  # zeros, unless a start code or the end follows: stuffing
FIELD_PACKETS = 32  # at the beginning of a video that tell whether frames are stored as two fields
REMEDY = "copy or download it again or remove it"


class PartlyRead(PplkitError):
    """A part of a video could not be read; the rest was."""


def reader() -> Any:
    """The package av; raises PplkitError where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise PplkitError("reading videos needs the package av: pip install av") from error
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
    """As `frames`, with the number of each frame in the table of the video.

    The pages of an image file with several are frames as well. A decoder with several threads loses the frames that
    are ready when one of them fails, so that one thread decodes a damaged video again.
    """
    due, limit = _due(selection, start), np.inf if end is None else end - TIME_TOLERANCE
    if page_count(path) > 1:
        for number, (time, image) in enumerate(read_pages(path)):
            if start - TIME_TOLERANCE <= time < limit and due(time):
                yield time, image, number
        return
    table, count = frame_table(path), 0
    for workers in (threads, 1)[threads == 1 :]:
        done, count, faults, number, first_time, time = count, 0, 0, -1, 0.0, -np.inf
        with _opened(path, workers) as (container, stream, first):
            seconds_of = _clock(container, stream, first)
            if start > 0 and not _in_decoding_order(container, stream):
                with suppress(reader().FFmpegError):  # what cannot be sought is read from its beginning
                    container.seek(int((start + first) / stream.time_base), stream=stream)
            for frame in _decoded(container, stream):
                if frame is not None:
                    shown_at = seconds_of(frame)
                    now = max(0.0, time + table.step) if shown_at is None else shown_at
                if frame is None or frame.is_corrupt or now < time:
                    faults += 1
                    if workers != 1:
                        break
                    continue
                time, count, first_time = now, count + 1, first_time if count or start <= 0 else now
                number = table.number(time, number + 1)
                if time >= limit:
                    break
                if count > done and time >= start - TIME_TOLERANCE and due(time):
                    yield time, _upright(frame, stream.sample_aspect_ratio), number
        stored = int((table.seconds[table.stored] > first_time - TIME_TOLERANCE).sum())
        unread = max(stored, table.listed - int((~table.stored).sum()) if start <= 0 else 0) - count
        if not faults and (time >= limit or not 0 < unread <= MAX_DELAYED_FRAMES):
            break
    if loss := table.loss(time, limit, faults, unread):
        raise (PartlyRead if number >= 0 else PplkitError)(f"{path} {loss}")


class FrameTable(NamedTuple):
    """The frames of a video by the times in its file, without decoding them: preparing, reading, drawing use it."""

    seconds: np.ndarray  # (T,) of each frame number, from the first frame, ascending; guessed for frames not stored
    stored: np.ndarray  # (T,) bool: whether the file holds the frame
    step: float  # usual seconds between two frames
    length: float | None  # seconds that the file says it has
    listed: int  # frames that the file says it has; 0 if it does not say
    cut: bool  # whether the file ends early

    def number(self, time: float, default: int) -> int:
        """The number of the frame at a time; if there is none, `default`, but no more than the last."""
        after = int(np.searchsorted(self.seconds, time))
        near = [row for row in (after - 1, after) if 0 <= row < len(self.seconds)]
        for row in sorted(near, key=lambda row: abs(self.seconds[row] - time)):
            if abs(self.seconds[row] - time) < 2 * TIME_TOLERANCE:
                return row
        return min(default, max(0, len(self.seconds) - 1))

    def times(self, rate: float | None, start: float, end: float | None) -> np.ndarray:
        """The times in seconds of the frames that `frames` would give at this rate."""
        due, first, limit = _due(rate, start), start - TIME_TOLERANCE, np.inf if end is None else end - TIME_TOLERANCE
        return np.array([time for time in self.seconds[self.stored] if first <= time < limit and due(time)])

    def loss(self, last: float, limit: float, faults: int, unread: int) -> str:
        """What is missing of a video that was read to the second `last`, of `limit` at most; "" for nothing."""
        length = min(self.length or 0.0, limit)
        holes = self.seconds[~self.stored & (self.seconds < last)]
        if faults:
            return f"is damaged in {quantity(faults, 'place')}; {REMEDY}"
        if last >= limit:
            return ""
        if length - last > max(MAX_MISSING_SECONDS, 3 * self.step):
            return f"is cut short: it ends at {max(0, last):.1f} of {length:.1f} seconds; {REMEDY}"
        if unread > 0:
            return f"has {quantity(unread, 'frame')} that cannot be read; {REMEDY}"
        if self.cut:
            return f"is cut short or damaged after {max(0, last):.1f} seconds; {REMEDY}"
        if len(holes):
            return (
                f"has no frame at {len(holes)} of its regular times, first at {holes[0]:.2f} seconds: they were lost, "
                "or never recorded; frame numbers count them"
            )
        return ""


def frame_table(path: Path) -> FrameTable:
    """The table of a video's frames, or of an image file's pages; raises PplkitError for one that cannot be opened.

    Where nearly all frames come at one interval, a gap that is a multiple of it, of up to MAX_GAP_SECONDS, is a hole,
    and frame numbers count the frames that would fill it; other gaps are pauses. Frames without times come at the
    rate that the file says.
    """
    if page_count(path) > 1:
        times = np.array([time for time, _ in read_pages(path)])
        return FrameTable(times, np.ones(len(times), bool), float(np.median(np.diff(times))), None, 0, False)
    times, header = _packets(path)
    gaps = np.diff(times)
    if len(gaps) < 2:
        return FrameTable(times, np.ones(len(times), bool), *header)
    step = float(np.median(gaps))
    usual = np.abs(gaps - step) < max(0.1 * step, 1.5 * TIME_TOLERANCE)
    steps = np.ones(len(gaps), int)
    if usual.mean() > CONSTANT_FRACTION and step > 2 * TIME_TOLERANCE:
        step = float(gaps[usual].mean())
        multiples = np.round(gaps / step)
        hole = (np.abs(gaps - multiples * step) < 2 * TIME_TOLERANCE) & (gaps <= MAX_GAP_SECONDS)
        steps = np.where(hole, np.maximum(1, multiples), 1).astype(int)
    numbers = np.concatenate([[0], np.cumsum(steps)])
    rows = np.arange(numbers[-1] + 1)
    return FrameTable(np.interp(rows, numbers, times), np.isin(rows, numbers), step, *header[1:])


def _packets(path: Path) -> tuple[np.ndarray, tuple[float, float | None, int, bool]]:
    """The ascending times of a video's packets; `step`, `length`, `listed` and `cut` as in FrameTable."""
    stamps, hidden, end, beginning = list[float | None](), 0, 0, list[Any]()
    with _opened(path, 1) as (container, stream, first):
        with suppress(reader().FFmpegError, IndexError):  # PyAV raises the second at the end for streams that came late
            for packet in container.demux():
                end = max(end, (packet.pos or 0) + packet.size)
                if packet.stream_index != stream.index or not packet.size:
                    continue
                if len(beginning) < FIELD_PACKETS and (beginning or packet.is_keyframe):
                    beginning.append(packet)
                hidden += packet.is_discard  # by an edit list
                stamp = packet.dts if packet.pts is None or _in_decoding_order(container, stream) else packet.pts
                if not packet.is_discard:
                    stamps.append(None if stamp is None else float(stamp * stream.time_base) - first)
        kind, size, step = container.format.name, container.size, _step(stream)
        cut = kind == "mpegts" and all(size % packet_size for packet_size in TS_PACKET_SIZES)
        cut = cut or (kind.startswith("matroska") and size - end > MAX_INDEX_FRACTION * size)
        known = [stamp for stamp in stamps if stamp is not None]
        fields, interval = _fields(stream, beginning)
        times = np.unique(np.round(known, 6)) if known else step * np.arange(round((1 - fields) * len(stamps)))
        times = _spaced(times, 0.75 * interval) if fields and known else times
        return times, (step, _length(container, stream), 0 if fields else max(0, stream.frames - hidden), cut)


def _fields(stream: Any, beginning: list[Any]) -> tuple[float, float]:
    """The fraction of packets that hold the second field of an interlaced frame, and seconds between two frames.

    Only H.264 has packets of one field each; `beginning` are the first packets of the stream from a keyframe.
    """
    decoded: list[Any] = []
    if stream.codec_context.name == "h264":
        for packet in [*beginning, None]:
            with suppress(reader().FFmpegError, EOFError):
                decoded += stream.codec_context.decode(packet)
    if len(decoded) < 2 or not decoded[0].interlaced_frame or len(decoded) > 0.8 * len(beginning):
        return 0.0, 0.0
    times = [frame.time for frame in decoded if frame.time is not None]
    return 1 - len(decoded) / len(beginning), float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def _spaced(times: np.ndarray, least: float) -> np.ndarray:
    """Ascending times without those that follow one that is left sooner than `least`."""
    left = times[:1].tolist()
    for time in times:
        if time - left[-1] > least:
            left.append(time)
    return np.array(left)


def frame_count(path: Path) -> int | None:
    """About how many frames a video has, as its file says; None if it does not say, or cannot be read."""
    if (pages := page_count(path)) > 1:
        return pages
    with suppress(PplkitError), _opened(path, 1) as (container, stream, _):
        length = _length(container, stream)
        return stream.frames or (None if length is None else round(length / _step(stream)))
    return None


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
        options = {"max_pixels": str(MAX_PIXELS)}  # of later frames, too
        if checks := ERROR_DETECTION.get(stream.codec_context.name):
            options["err_detect"] = checks
        stream.codec_context.options = options
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
        except IndexError:  # as in `_packets`
            packet = None
        except av.FFmpegError:
            yield None
            packet = None
        if packet is None:
            with suppress(av.FFmpegError, EOFError):
                yield from stream.codec_context.decode(None)
            return
        if packet.is_corrupt or (stream.codec_context.name in DENSE_CODECS and HOLE.search(bytes(packet))):
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
    return displayed(image, frame.side_data.get("DISPLAYMATRIX"))


def _in_decoding_order(container: Any, stream: Any) -> bool:
    """Whether the times in the file are those of decoding: an AVI holds no others, and FFmpeg takes them for both."""
    return container.format.name == "avi" and stream.codec_context.name in ("h264", "hevc")


def _clock(container: Any, stream: Any, first: float) -> Callable[[Any], float | None]:
    """The seconds at which a frame is shown, counted from the first; None where the file does not say."""
    if not _in_decoding_order(container, stream):
        return lambda frame: None if frame.time is None else float(frame.time - first)
    delay: list[int] = []  # of the first frame, for which the decoder has waited

    def seconds(frame: Any) -> float | None:
        if frame.dts is None:
            return None
        delay[:] = delay or [frame.dts]
        return float((frame.dts - delay[0]) * stream.time_base)

    return seconds


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
