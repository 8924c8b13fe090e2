"""Squares around the object in every frame of a video and in images, without labels.

Before a standing camera the object is what differs from the median of the frames; before a moving one, what differs
from the median of neighboring frames laid over one another (`data.background`). Where neither finds it, and in single
images, it is what differs from the image border (`models.layers.saliency`). The images of a folder that have one size
are treated as video frames, in the order of their numbers, if a camera stood or moved a little between them.

Frames are read two or three times and reduced one by one, so memory does not grow with the video. The same files give
the same squares, in preparation and in use.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.data.background import SAMPLE, SIDE, changed, moving_blobs, reduced, scene_of, still_blobs, unlike
from pplkit.data.crop_path import followed, in_parts, rivals, squares_around, stays, together
from pplkit.data.crops import Box, NoObject
from pplkit.data.images import read_reduced, upright_size
from pplkit.data.video import PartlyRead, frames
from pplkit.geometry.registration import displacement, estimate_shift, estimate_transform
from pplkit.models.layers import saliency

MARGIN = 0.2  # on each side of the object, of its extent
CHUNK = 200  # neighboring frames of a moving camera that are laid over one another
MIN_FRAMES = 5  # for a background
STILL = 0.02  # fraction of the pixels that changes behind a small object before a standing camera
TILES = 6  # parts of a frame, a side
WIDESPREAD = 0.3  # fraction of the parts that changes when the camera moves, unless the ground is plain
MIN_MOTION = 0.5  # pixels of the reduced frames by which a moving camera moves ...
MAX_UNLIKE_RATIO = 0.6  # ... and of the unlike pixels, the fraction that is left when the motion is undone
MAX_CHANGE = 0.4  # fraction of the pixels that changes before a standing camera
MAX_UNEXPLAINED = 0.25  # fraction of the pixels that changes when frames of a moving camera are laid over one another
MIN_DETECTED = 0.25  # fraction of the frames in which motion must find an object ...
MIN_DETECTED_UNCLEAR = 0.9  # ... where it is unclear what the camera does
MANY_RIVALS = 0.25  # fraction of frames with several objects from which there is a warning
REMEDY = "give crop=center, or leave it out"

TimedFrames = Callable[[], Iterator[tuple[float, np.ndarray]]]
"""Gives the frames of a video, uint8 (H, W, 3), with their seconds; from the beginning at every call"""


class Squares(NamedTuple):
    """The object in T frames of a video."""

    seconds: np.ndarray  # (T,)
    boxes: np.ndarray  # (T, 4) left, top, right, bottom in pixels from the left upper corner, also beyond the frame
    found: np.ndarray  # (T,) bool: False where the square is interpolated
    method: str  # by motion before a "standing" or "moving" camera, or by its "look"
    rivals: float  # fraction of the frames with another object nearly as conspicuous
    fraction: float  # of the frame's area that a square around the object, without margin, takes up; the median

    def box(self, seconds: float) -> Box:
        """The square of the frame that is shown nearest to this time."""
        after = int(np.searchsorted(self.seconds, seconds))
        near = [i for i in (after - 1, after) if 0 <= i < len(self.seconds)]
        left, top, right, bottom = self.boxes[min(near, key=lambda i: abs(self.seconds[i] - seconds))].tolist()
        return left, top, right, bottom

    def warnings(self, name: str) -> list[str]:
        """Sentences for the user about the squares of a video called `name`."""
        missing, sentences = 1 - self.found.mean(), []
        if self.rivals >= MANY_RIVALS:
            sentences.append(f"several objects in {self.rivals:.0%} of its frames: the largest is followed.")
        if missing:
            sentences.append(f"no object in {missing:.0%} of its frames: there it is interpolated.")
        return [f"{name} shows {sentence}" for sentence in sentences]


def find_boxes(frames: np.ndarray | Sequence[np.ndarray], margin: float = MARGIN) -> np.ndarray:
    """The squares (T, 4) around the object in the frames of one video, in order, each uint8 (H, W, 3).

    Left, top, right, bottom in pixels from the left upper corner; they may reach beyond the frame. `margin` is kept on
    each side, of the object's extent. Raises NoObject, a PplkitError, if there is no object.
    """
    return find_squares(lambda: ((float(i), frame) for i, frame in enumerate(frames)), "the video", margin).boxes


def video_squares(path: Path, margin: float = MARGIN, threads: int = 0) -> Squares:
    """The object in all readable frames of a video file; `threads` decode (0: one for each core).

    Raises PplkitError for a video that cannot be read at all, and for one without an object.
    """

    def source() -> Iterator[tuple[float, np.ndarray]]:
        with closing(frames(path, 0.0, None, None, threads)) as video, suppress(PartlyRead):
            for seconds, image in video:
                yield seconds, np.asarray(image)

    return find_squares(source, str(path), margin)


def find_squares(source: TimedFrames, name: str, margin: float = MARGIN) -> Squares:
    """The object of a video, which messages call `name`; margin and errors as in `find_boxes`."""
    sample, size = _sample(source, reduced)
    if not sample:
        raise PplkitError(f"{name} has no frame: give one that has some.")
    detections = _by_motion(source, sample)
    if detections is None or not detections.reliable():
        look = _by_look(source)
        if detections is None or look.fraction() > max(MIN_DETECTED, detections.fraction() / 2):
            detections = look
        elif detections.partial:
            detections = detections._replace(rows=together(detections.rows))
    if not detections.fraction():
        raise NoObject(f"{name} shows no object: {REMEDY}.")
    return _squares(detections, size, margin)


def squares_by_motion(source: TimedFrames, margin: float = MARGIN) -> Squares | None:
    """As `find_squares`; None where motion alone does not show the object, or the images are no video."""
    sample, size = _sample(source, reduced)
    detections = _by_motion(source, sample)
    return _squares(detections, size, margin) if detections is not None and detections.reliable() else None


class _Detections(NamedTuple):
    """What may be the object in each of T frames."""

    seconds: np.ndarray  # (T,)
    rows: list[np.ndarray]  # (k, 5) each: left, top, right, bottom as fractions of the sides, weight; largest first
    method: str
    partial: bool = False  # the object is seen in parts

    def fraction(self) -> float:
        """The fraction of frames with a detection."""
        return float(np.mean([len(row) > 0 for row in self.rows])) if self.rows else 0.0

    def reliable(self) -> bool:
        """Whether they show a whole object, often enough."""
        return not self.partial and self.fraction() >= MIN_DETECTED


def _units(size: tuple[int, ...]) -> np.ndarray:
    """Factors from detections to pixels of a frame of width and height `size`."""
    return np.array([*size, *size, 1.0])


def _squares(detections: _Detections, size: tuple[int, int], margin: float) -> Squares:
    path = followed([row * _units(size) for row in detections.rows])
    boxes, detected, area = squares_around(path, detections.seconds, margin)
    fraction = area / (size[0] * size[1])
    return Squares(detections.seconds, boxes, detected, detections.method, rivals(detections.rows), fraction)


def _sample(
    source: TimedFrames, reduce: Callable[[np.ndarray], np.ndarray]
) -> tuple[list[np.ndarray], tuple[int, int]]:
    """reduce(frame) of SAMPLE / 2 to SAMPLE evenly spaced frames, or of all if there are fewer; width and height."""
    sample: list[np.ndarray] = []
    step, size = 1, (1, 1)
    for number, (_, frame) in enumerate(source()):
        if number % step:
            continue
        sample.append(reduce(frame))
        size = frame.shape[1], frame.shape[0]
        if len(sample) > SAMPLE:
            sample, step = sample[::2], 2 * step
    return sample, size


def _by_motion(source: TimedFrames, sample: Sequence[np.ndarray]) -> _Detections | None:
    """None for too few frames, where they cannot be laid over one another, or where nothing moves."""
    if len(sample) < MIN_FRAMES:
        return None
    # Before a moving camera frames far apart may share nothing, and neighbors much: so that is tried, too.
    cameras = possible_cameras(sample) or ["moving"]
    height, width = sample[0].shape[:2]
    for camera in cameras:
        detections = (_by_standing if camera == "standing" else _by_moving)(source, sample)
        last = camera == cameras[-1]
        if detections is None or detections.fraction() <= (0 if last else MIN_DETECTED_UNCLEAR):
            continue
        path = followed([row * _units((width, height)) for row in detections.rows])
        partial = rivals(detections.rows) > MANY_RIVALS and in_parts(path)
        if camera == "standing":  # before a moving one the place in the frame says nothing
            partial = partial or stays(path)
        if not partial or last:
            return detections._replace(partial=partial)
    return None


def possible_cameras(sample: Sequence[np.ndarray]) -> list[str]:
    """What the camera may do, "standing" or "moving", from reduced frames that are spread over a video.

    Before a plain ground it may be either: first "moving", and "standing" if that explains nothing. Empty where the
    frames hardly agree at all.
    """
    scene = scene_of(sample)
    changes = [changed(frame, scene) for frame in sample]
    change = float(np.median([mask.mean() for mask in changes]))
    if change <= STILL:
        return ["standing"]
    plain = np.median([_widespread(mask) for mask in changes]) < WIDESPREAD
    # Neighbors may be too near to show a slow camera, frames farther apart may share nothing.
    for gap in {1, max(1, len(sample) // 6)}:
        first = np.unique(np.linspace(0, len(sample) - 1 - gap, 12).round().astype(int))
        pairs = [_compared(sample[i], sample[i + gap]) for i in first]
        still, aligned, motion = (float(np.median(values)) for values in zip(*pairs, strict=True))
        if motion > MIN_MOTION and aligned < MAX_UNLIKE_RATIO * still:
            return ["moving", "standing"] if plain else ["moving"]
    return ["standing"] if change <= MAX_CHANGE else []


def _widespread(change: np.ndarray) -> float:
    """The fraction of the TILES x TILES parts of a frame in which more changes, bool (h, w), than STILL allows."""
    parts = [part for band in np.array_split(change, TILES) for part in np.array_split(band, TILES, axis=1)]
    return float(np.mean([part.mean() > STILL for part in parts]))


def _compared(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """The fraction of unlike pixels of two reduced frames as they are and aligned, and how far that moves them."""
    gray = first.mean(axis=-1), second.mean(axis=-1)
    move = estimate_transform(*gray, estimate_shift(*gray))
    return unlike(first, second, np.eye(3)), unlike(first, second, move), displacement(move, gray[0].shape)


def _detect(source: TimedFrames, blobs: Callable[[np.ndarray], np.ndarray], method: str) -> _Detections:
    """The detections of a function of single frames."""
    rows = [(seconds, blobs(frame)) for seconds, frame in source()]
    return _Detections(np.array([seconds for seconds, _ in rows]), [row for _, row in rows], method)


def _by_standing(source: TimedFrames, sample: Sequence[np.ndarray]) -> _Detections:
    scene = scene_of(sample)
    units = _units(scene.noise.shape[::-1])
    return _detect(source, lambda frame: still_blobs(reduced(frame), scene) / units, "standing")


def _by_look(source: TimedFrames) -> _Detections:
    finder = saliency.Finder(_sample(source, squeezed)[0])
    return _detect(source, lambda frame: finder.blobs(squeezed(frame)), "look")


def squeezed(frame: np.ndarray) -> np.ndarray:
    """A frame uint8 (H, W, 3) as `saliency` sees it."""
    side = saliency.SIDE
    return np.asarray(Image.fromarray(frame).resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0))


def _by_moving(source: TimedFrames, sample: Sequence[np.ndarray]) -> _Detections | None:
    """None where frames cannot be laid over one another."""
    units = _units(sample[0].shape[1::-1])
    seconds: list[float] = []
    rows: list[np.ndarray] = []
    unexplained: list[float] = []
    before: list[np.ndarray] = []
    small = ((time, reduced(frame)) for time, frame in source())
    while part := list(islice(small, CHUNK)):
        now = [frame for _, frame in part]
        window = (before + now)[-max(CHUNK, len(now)) :]  # the last chunk may be short: earlier frames help
        if not _overlapping(window):
            return None
        blobs, changes = moving_blobs(window)
        seconds += [time for time, _ in part]
        rows += [row / units for row in blobs[-len(now) :]]
        unexplained += changes[-len(now) :]
        before = now
    return _Detections(np.array(seconds), rows, "moving") if np.median(unexplained) <= MAX_UNEXPLAINED else None


def _overlapping(sample: Sequence[np.ndarray]) -> bool:
    """Whether neighbors among reduced frames can be laid over one another."""
    if len(sample) < MIN_FRAMES:
        return False
    pairs = np.unique(np.linspace(0, len(sample) - 2, 6).round().astype(int))
    return float(np.median([_compared(sample[i], sample[i + 1])[1] for i in pairs])) <= MAX_UNEXPLAINED


class ImageSquares:
    """The squares of many images, computed on demand; several threads may ask.

    `files` are all images to be cropped, `warn` gets sentences about folders of frames.
    """

    def __init__(self, files: Sequence[Path], margin: float = MARGIN, warn: Callable[[str], object] = str) -> None:
        self.margin, self.warn = margin, warn
        self.sizes: dict[Path, tuple[int, int]] = {}  # of readable files, in order
        folders: dict[tuple[Path, tuple[int, int]], list[Path]] = {}
        for file in in_order(files):
            with suppress(PplkitError):
                self.sizes[file] = upright_size(file)
                folders.setdefault((file.parent, self.sizes[file]), []).append(file)
        self._folders = {key: _FrameFolder(group) for key, group in folders.items()}
        self._finder: saliency.Finder | None = None
        self._lock = Lock()

    def box(self, file: Path) -> Box:
        """The square of an image, in its pixels; raises NoObject if there is none, PplkitError if it is damaged."""
        image, (width, height) = _squeezed_file(file)
        if file in self.sizes:
            squares = self._folders[file.parent, self.sizes[file]].squares(self.margin, self.warn)
            if squares is not None:
                return squares[file]
        blobs = self._trained_finder().blobs(image)
        if not len(blobs):
            raise NoObject(f"{file} shows no object that differs from its surroundings: {REMEDY}")
        left, top, right, bottom = blobs[0, :4] * [width, height, width, height]
        half = max(right - left, bottom - top) * (0.5 + self.margin)
        x, y = (left + right) / 2, (top + bottom) / 2
        return float(x - half), float(y - half), float(x + half), float(y + half)

    def fraction(self, file: Path) -> float:
        """The fraction of an image's area taken up by a square around the object, without margin; errors as `box`."""
        left, _, right, _ = self.box(file)
        width, height = self.sizes[file]
        return ((right - left) / (1 + 2 * self.margin)) ** 2 / (width * height)

    def _trained_finder(self) -> saliency.Finder:
        with self._lock:
            if self._finder is None:
                files, images = list(self.sizes), []
                for index in saliency.training_indices(len(files)):
                    with suppress(PplkitError):
                        images.append(_squeezed_file(files[index])[0])
                self._finder = saliency.Finder(images)
            return self._finder


class _FrameFolder:
    """The images of one size in a folder, which may be frames of a video."""

    def __init__(self, files: list[Path]) -> None:
        self.files, self._lock = files, Lock()
        self._squares: dict[Path, Box] | None = None
        self._searched = False

    def squares(self, margin: float, warn: Callable[[str], object]) -> dict[Path, Box] | None:
        """The squares by motion; None where the images are no video."""
        with self._lock:
            if not self._searched:
                self._searched = True
                self._squares = self._search(margin, warn) if len(self.files) >= MIN_FRAMES else None
        return self._squares

    def _search(self, margin: float, warn: Callable[[str], object]) -> dict[Path, Box] | None:
        scale = 1

        def source() -> Iterator[tuple[float, np.ndarray]]:
            nonlocal scale
            for number, file in enumerate(self.files):
                with suppress(PplkitError):
                    image, size = read_reduced(file, 2 * SIDE)
                    scale = round(size[0] / image.width)
                    yield float(number), np.asarray(image)

        squares = squares_by_motion(source, margin)
        if squares is None:
            return None
        for sentence in squares.warnings(str(self.files[0].parent)):
            warn(sentence)
        boxes = {}
        for number, file in enumerate(self.files):
            left, top, right, bottom = squares.box(number)
            boxes[file] = left * scale, top * scale, right * scale, bottom * scale
        return boxes


def in_order(files: Sequence[Path]) -> list[Path]:
    """Files, folder by folder, frame 9 before frame 10."""

    def key(path: Path) -> tuple[str, list[tuple[str, int]], str]:
        parts = re.findall(r"(\D*)([0-9]*)", path.name)
        return str(path.parent), [(text, int(digits or 0)) for text, digits in parts], path.name

    return sorted(files, key=key)


def _squeezed_file(file: Path) -> tuple[np.ndarray, tuple[int, int]]:
    """An image as `saliency` sees it, and its width and height."""
    image, size = read_reduced(file, 2 * saliency.SIDE)
    return squeezed(np.asarray(image)), size


class ObjectCropper:
    """A `Cropper` whose squares follow the object, without labels."""

    def video(self, path: Path) -> tuple[Callable[[float], Box], list[str]]:
        """A function from the seconds of a frame to its square, and sentences for the user."""
        squares = video_squares(path)
        return squares.box, squares.warnings(str(path))

    def pictures(self, files: Sequence[Path], say: Callable[[str], None]) -> Callable[[Path], Box]:
        """A function from one of the images to its square."""
        return ImageSquares(files, warn=say).box
