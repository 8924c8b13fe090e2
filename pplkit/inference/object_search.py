"""Where the object is in every frame of a video, or in pictures, without labels: squares to cut out.

Where the camera stands, the object is what differs from the median of the frames; where it moves, what differs from the
median of neighbouring frames laid over one another (`motion`). Where neither tells, and in single pictures, it is what
differs from the border (`saliency`). Frames are read twice and made small one by one, so that a long video takes no
more memory than a short one. Preparation and use call the same functions, and get the same squares of the same file.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.data.background import SAMPLE, changed, moving_blobs, reduced, scene_of, still_blobs, unlike
from pplkit.data.crop_path import followed, in_parts, rivals, squares_around, stays, together
from pplkit.data.crops import Box, NoObject
from pplkit.geometry.registration import aligned, displacement, shift_between
from pplkit.models.layers import saliency

MARGIN = 0.2  # beside the object on each side, of its extent
CHUNK = 200  # neighbouring frames of a moving camera that are laid over one another
FEWEST = 5  # frames that make a background
STILL = 0.02  # share of the pixels that change behind a small object when the camera stands
TILES = 6  # parts of a frame, a side
WIDESPREAD = 0.3  # share of the parts in which something changes when the camera moves, unless the ground is plain
MOVED = 0.5  # pixels of the small frames by which a moving camera moves ...
BETTER = 0.6  # ... and share of the unlike pixels that is left when that is undone
MOST = 0.4  # share of the pixels that change at most when the camera stands
EXPLAINED = 0.25  # share of the pixels that may change when a moving camera's frames are laid over one another
ENOUGH = 0.25  # of the frames in which motion must find something ...
MOSTLY = 0.9  # ... where it is not clear what the camera does
RIVALS = 0.25  # share of frames with several objects from which it is said

Shots = Callable[[], Iterator[tuple[float, np.ndarray]]]
"""The frames of a video, uint8 (H, W, 3), with their seconds; from the beginning at every call"""


class Squares(NamedTuple):
    """The object in T frames of a video."""

    seconds: np.ndarray  # (T,)
    boxes: np.ndarray  # (T, 4) left, top, right, bottom in pixels from the left upper corner, also beyond the frame
    found: np.ndarray  # (T,) bool: where not, it was interpolated
    how: str  # by motion before a "standing" or "moving" camera, or by its "look"
    rivals: float  # share of the frames with another object nearly as conspicuous
    share: float  # of the frame's area that a square around the object takes up, without margin; the median

    def at(self, seconds: float) -> Box:
        """The square of the frame that is shown at this time."""
        after = int(np.searchsorted(self.seconds, seconds))
        near = [i for i in (after - 1, after) if 0 <= i < len(self.seconds)]
        left, top, right, bottom = self.boxes[min(near, key=lambda i: abs(self.seconds[i] - seconds))].tolist()
        return left, top, right, bottom


def find_boxes(frames: np.ndarray | Sequence[np.ndarray], margin: float = MARGIN) -> np.ndarray:
    """The squares (T, 4) around the object in the frames of one video, in order, each uint8 (H, W, 3).

    Left, top, right, bottom in pixels from the left upper corner; they may reach beyond the frame. `margin` is kept on
    each side, of the object's extent. Raises NoObject, a PplkitError, if no object can be found.
    """
    return search(lambda: ((float(i), frame) for i, frame in enumerate(frames)), "the video", margin).boxes


def search(shots: Shots, name: str, margin: float = MARGIN) -> Squares:
    """Where the object of a video is; it is called `name` in messages. Margin and errors as in `find_boxes`.

    `shots` is called twice or, where motion tells nothing, three times.
    """
    sample, size = _sampled(shots, reduced, SAMPLE)
    if not sample:
        raise PplkitError(f"{name} has no frame: give one that has some.")
    told = _by_motion(shots, sample)
    if told is None or not told.sure():
        look = _by_look(shots)
        if told is None or look.share_found() > max(ENOUGH, told.share_found() / 2):
            told = look
        elif told.parts:
            told = told._replace(rows=together(told.rows))
    if not told.share_found():
        raise NoObject(f"{name} shows no object: give crop=centre, or leave it out.")
    return _squares(told, size, margin)


def by_motion(shots: Shots, margin: float = MARGIN) -> Squares | None:
    """As `search`; None where motion alone does not tell the object, or pictures are no frames of one video."""
    sample, size = _sampled(shots, reduced, SAMPLE)
    told = _by_motion(shots, sample)
    return _squares(told, size, margin) if told is not None and told.sure() else None


def _squares(told: "_Told", size: tuple[int, int], margin: float) -> Squares:
    units = np.array([*size, *size, 1.0])
    chosen = followed([row * units for row in told.rows])
    boxes, found, area = squares_around(chosen, told.seconds, margin)
    return Squares(told.seconds, boxes, found, told.how, rivals(told.rows), area / (size[0] * size[1]))


def warnings(squares: Squares, name: str) -> list[str]:
    """What a person should know of the squares of a video: sentences."""
    said = []
    if squares.rivals >= RIVALS:
        said.append(f"{name} shows several objects in {squares.rivals:.0%} of its frames: the largest is followed.")
    if not squares.found.all():
        said.append(
            f"{name} shows no object in {1 - squares.found.mean():.0%} of its frames: there it is interpolated."
        )
    return said


def _sampled(
    shots: Shots, make: Callable[[np.ndarray], np.ndarray], most: int
) -> tuple[list[np.ndarray], tuple[int, int]]:
    """make(frame) of evenly spread frames, `most` at most, half as many at least; width and height of a frame."""
    kept: list[np.ndarray] = []
    step, size = 1, (1, 1)
    for number, (_, frame) in enumerate(shots()):
        if number % step:
            continue
        kept.append(make(frame))
        size = frame.shape[1], frame.shape[0]
        if len(kept) > most:
            kept, step = kept[::2], 2 * step
    return kept, size


def cameras(sample: Sequence[np.ndarray]) -> list[str]:
    """What the camera may do, "standing" or "moving", from small frames that are spread over a video.

    Before a plain ground either may be: then first "moving", and "standing" if that explains nothing. Nothing where the
    frames hardly agree at all.
    """
    scene = scene_of(sample)
    changes = [changed(picture, scene) for picture in sample]
    change = float(np.median([one.mean() for one in changes]))
    if change <= STILL:
        return ["standing"]
    plain = np.median([_widespread(one) for one in changes]) < WIDESPREAD
    # Neighbours may be too near to tell a slow camera, frames farther apart may have nothing in common.
    for gap in {1, max(1, len(sample) // 6)}:
        first = np.unique(np.linspace(0, len(sample) - 1 - gap, 12).round().astype(int))
        pairs = [_pair(sample[i], sample[i + gap]) for i in first]
        still, laid, far = (float(np.median(one)) for one in zip(*pairs, strict=True))
        if far > MOVED and laid < BETTER * still:
            return ["moving", "standing"] if plain else ["moving"]
    return ["standing"] if change <= MOST else []


def _widespread(change: np.ndarray) -> float:
    """The share of the TILES x TILES parts of a frame in which more changes, bool (h, w), than what STILL allows."""
    parts = [part for band in np.array_split(change, TILES) for part in np.array_split(band, TILES, axis=1)]
    return float(np.mean([part.mean() > STILL for part in parts]))


def _pair(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """The share of unlike pixels of two small frames as they are and laid over one another, and how far that moves."""
    grey = first.mean(axis=-1), second.mean(axis=-1)
    move = aligned(*grey, shift_between(*grey))
    return unlike(first, second, np.eye(3)), unlike(first, second, move), displacement(move, grey[0].shape)


class _Told(NamedTuple):
    """What may be the object in each of T frames."""

    seconds: np.ndarray  # (T,)
    rows: list[np.ndarray]  # (k, 5) each: left, top, right, bottom in shares of the sides, and weight; largest first
    how: str
    parts: bool = False  # of an object that is not seen as a whole

    def share_found(self) -> float:
        """The share of frames in which there is something."""
        return float(np.mean([len(row) > 0 for row in self.rows])) if self.rows else 0.0

    def sure(self) -> bool:
        """Whether this is an object, seen as a whole, and often enough."""
        return not self.parts and self.share_found() >= ENOUGH


def _by_motion(shots: Shots, sample: Sequence[np.ndarray]) -> _Told | None:
    """None for too few frames, where they cannot be laid over one another, or where nothing moves."""
    if len(sample) < FEWEST:
        return None
    # Frames far apart may have nothing in common before a moving camera, and neighbours much: so that is tried, too.
    tried = cameras(sample) or ["moving"]
    for how in tried:
        told = (_standing if how == "standing" else _moving)(shots, sample)
        if told is None or told.share_found() <= (0 if how == tried[-1] else MOSTLY):
            continue
        height, width = sample[0].shape[:2]
        chosen = followed([row * [width, height, width, height, 1] for row in told.rows])
        parts = rivals(told.rows) > RIVALS and in_parts(chosen)
        if how == "standing":  # with a moving one the place in the frame does not tell
            parts = parts or stays(chosen)
        if not parts or how == tried[-1]:
            return told._replace(parts=parts)
    return None


def _standing(shots: Shots, sample: Sequence[np.ndarray]) -> _Told:
    scene = scene_of(sample)
    height, width = scene.noise.shape
    times, rows = [], []
    for seconds, frame in shots():
        times.append(seconds)
        rows.append(still_blobs(reduced(frame), scene) / [width, height, width, height, 1])
    return _Told(np.array(times), rows, "standing")


def _moving(shots: Shots, sample: Sequence[np.ndarray]) -> _Told | None:
    """None where frames cannot be laid over one another."""
    height, width = sample[0].shape[:2]
    units = np.array([width, height, width, height, 1])
    times: list[float] = []
    rows: list[np.ndarray] = []
    unexplained: list[float] = []
    before: list[np.ndarray] = []
    for part in _chunks(shots, CHUNK):
        now = [picture for _, picture in part]
        window = (before + now)[-max(CHUNK, len(now)) :]  # the last ones are few: those before them help
        if not _overlapping(window):
            return None
        found, off = moving_blobs(window)
        times += [seconds for seconds, _ in part]
        rows += [row / units for row in found[-len(now) :]]
        unexplained += off[-len(now) :]
        before = now
    return _Told(np.array(times), rows, "moving") if np.median(unexplained) <= EXPLAINED else None


def _chunks(shots: Shots, most: int) -> Iterator[list[tuple[float, np.ndarray]]]:
    """Seconds and small frames, up to `most` at a time."""
    made: list[tuple[float, np.ndarray]] = []
    for seconds, frame in shots():
        made.append((seconds, reduced(frame)))
        if len(made) == most:
            yield made
            made = []
    if made:
        yield made


def _overlapping(pictures: Sequence[np.ndarray]) -> bool:
    """Whether neighbours among small frames can be laid over one another."""
    if len(pictures) < FEWEST:
        return False
    pairs = np.unique(np.linspace(0, len(pictures) - 2, 6).round().astype(int))
    return float(np.median([_pair(pictures[i], pictures[i + 1])[1] for i in pairs])) <= EXPLAINED


def _by_look(shots: Shots) -> _Told:
    sample, _ = _sampled(shots, squeezed, SAMPLE)
    finder = saliency.Finder(sample)
    times, rows = [], []
    for seconds, frame in shots():
        times.append(seconds)
        rows.append(finder.blobs(squeezed(frame)))
    return _Told(np.array(times), rows, "look")


def squeezed(frame: np.ndarray) -> np.ndarray:
    """A frame uint8 (H, W, 3) as `saliency` sees it."""
    side = saliency.SIDE
    return np.asarray(Image.fromarray(frame).resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0))
