"""The stages of a motion loop: clips, estimates, imitation, hallucination, and their files.

Each stage reads and writes folders of pose sequences, one file a clip, written whole or not at all, with a JSON file of
its numbers beside it; a clip that is done is left alone.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.files import read_json, write_json
from pplkit.data.pose_views import LiftBatch, detected_views, detector_noise, random_views
from pplkit.data.sequences import PoseSequence, read_sequence
from pplkit.data.skeletons import H36M17, to_h36m17
from pplkit.experiments.loop_estimators import FOCAL_LENGTH, Lift
from pplkit.experiments.loop_plan import RULES, ClipSettings, ImitationSettings, TestSettings
from pplkit.geometry.cameras import image_from_screen, normalize_screen
from pplkit.geometry.plausibility import bone_lengths
from pplkit.inference.imitation.clip import prepared
from pplkit.inference.imitation.methods import imitate

SIZE = (1000, 1000)  # pixels, of the images of clips that are made by rule
PAIRS = list(H36M17.flip_pairs)
TRUTH = "truth"  # folder of what the loop does not see


class Rules(Protocol):
    """Motion made by rule, as `data_prep.motion_synthetic.motion_windows`."""

    def __call__(self, seed: int, count: int, frames: int, fps: float, held_out: bool, rule: str | None) -> np.ndarray:
        """Windows (count, frames, 17, 3) in meters, y up, the floor at 0; the same seed gives the same."""


def frames_of(seconds: float, fps: float) -> int:
    """Frames of a clip, at least 2."""
    return max(round(seconds * fps), 2)


def make_clips(folder: Path, settings: ClipSettings, seed: int, rules: Rules) -> dict[str, Any]:
    """2D sequences in `folder`: made by rule, whose truth goes into a folder of its own, or those of the user."""
    if settings.source != RULES:
        return _read_clips(folder, settings)
    rng, frames, number = np.random.default_rng([seed, 21]), frames_of(settings.seconds, settings.fps), 0
    (folder / TRUTH).mkdir(exist_ok=True)
    for rule, count in _shares(settings.rules, settings.count):
        windows = rules(seed, count, frames, settings.fps, False, rule)
        views = random_views(rng, windows)
        keypoints, confidence = detector_noise(rng, views.keypoints, settings.noise, 0.0, 0.0, PAIRS)
        for window in range(count):
            name = f"{number:04d}_{rule}"
            shared: dict[str, Any] = {"fps": settings.fps, "skeleton": H36M17, "source": name}
            pixels = image_from_screen(keypoints[window].astype(float), *SIZE)
            PoseSequence(points=pixels, confidence=confidence[window], size=SIZE, **shared).write(
                folder / f"{name}.npz"
            )
            for space, points in (("world", windows[window]), ("camera", views.positions[window])):
                PoseSequence(points=points, space=space, **shared).write(folder / TRUTH / f"{name}_{space}.npz")
            number += 1
    return {"clips": number, "dropped": {}}


def _shares(rules: Sequence[str], count: int) -> list[tuple[str, int]]:
    """How many clips each rule makes."""
    return [(rule, count // len(rules) + (number < count % len(rules))) for number, rule in enumerate(rules)]


def _read_clips(folder: Path, settings: ClipSettings) -> dict[str, Any]:
    """The user's 2D sequences as the joints of h36m17 at the frame rate of the loop."""
    source, dropped = Path(settings.source), Counter[str]()
    paths = sorted(source.glob("*.npz"))
    for path in paths:
        try:
            clip = read_sequence(path)
            if clip.points.shape[2] != 2 or clip.size is None or len(clip) < 2:
                raise PplkitError(f"{path} is no 2D sequence with the size of its images: give keypoints in pixels.")
            points, confidence = to_h36m17(clip.points, clip.skeleton, clip.weight, partial=True)
        except PplkitError as error:
            _report(str(error), dropped)
            continue
        person = PoseSequence(
            points=points, fps=clip.fps, skeleton=H36M17, confidence=confidence, size=clip.size, source=path.stem
        )
        person.resampled(settings.fps).write(folder / path.name)
    if len(paths) == sum(dropped.values()):
        raise PplkitError(
            f"{source} holds no usable 2D sequence: write some by PoseSequence.write of pplkit.data.sequences."
        )
    return {"clips": len(paths), "dropped": dict(dropped)}


def _report(reason: str, dropped: Counter[str], kind: str = "refused") -> None:
    print(f"  dropped: {reason}", flush=True)
    dropped[kind] += 1


def test_clips(settings: TestSettings, clips: ClipSettings, seed: int, rules: Rules) -> LiftBatch:
    """Held-out motion as cameras see it, in equal parts of each kind."""
    frames = frames_of(settings.seconds, clips.fps)
    shares = _shares(clips.rules, settings.count)
    parts = [rules(seed, count, frames, clips.fps, True, rule) for rule, count in shares if count]
    return detected_views(np.random.default_rng([seed, 22]), np.concatenate(parts), clips.noise, PAIRS)


def estimate_clips(folder: Path, clips: Path, lift: Lift) -> dict[str, Any]:
    """3D sequences in camera space of all 2D sequences of `clips`."""
    paths = sorted(clips.glob("*.npz"))
    for path in paths:
        if not (folder / path.name).exists():
            clip = read_sequence(path)
            assert clip.size is not None
            screen = np.nan_to_num(normalize_screen(clip.points, *clip.size)).astype(np.float32)
            estimate = PoseSequence(
                points=lift(screen, clip.weight), fps=clip.fps, skeleton=H36M17, space="camera", source=path.stem
            )
            estimate.write(folder / path.name)
    return {"clips": len(paths)}


def each_clip(
    folder: Path, names: Sequence[str], work: Callable[[str], tuple[PoseSequence | None, dict[str, Any]]]
) -> dict[str, Any]:
    """Sequences by name, made by `work`, which gives none for a clip that is dropped, and numbers of it.

    Returns how many clips came in, how many were dropped for which reason (`numbers["dropped"]`), means of the numbers
    of the others, and seconds of processor time. Raises PplkitError if all were dropped.
    """
    rows = []
    for name in names:
        record = folder / f"{name}.json"
        if not record.exists():
            start = time.process_time()
            motion, numbers = work(name)
            if motion is not None:
                motion.write(folder / f"{name}.npz")
            write_json(record, {**numbers, "seconds": time.process_time() - start})
        rows.append(read_json(record, "delete it"))
    dropped = Counter(row["dropped"] for row in rows if "dropped" in row)
    kept = [row for row in rows if "dropped" not in row]
    if not kept:
        raise PplkitError(f"{folder}: all {len(rows)} clips were dropped ({dict(dropped)}): see why in its JSON files.")
    known = {key for row in kept for key in row if isinstance(row[key], float)} - {"seconds"}
    means = {}
    for key in sorted(known):
        values = [row[key] for row in kept if isinstance(row.get(key), float) and np.isfinite(row[key])]
        means[key] = float(np.mean(values)) if values else None
    seconds = sum(row["seconds"] for row in rows)
    return {"clips": len(rows), "dropped": dict(dropped), "means": means, "clip_seconds": seconds}


def on_sight(motion: PoseSequence, clip: PoseSequence) -> PoseSequence:
    """Motion in camera space whose joints keep their depth and lie on the lines of sight of the keypoints of `clip`."""
    assert clip.size is not None
    screen = normalize_screen(clip.points.astype(float), *clip.size) / FOCAL_LENGTH
    points = motion.points.astype(float)
    points[..., :2] = np.where((clip.weight > 0)[..., None], screen * points[..., 2:], points[..., :2])
    return replace(motion, points=points)


def place_clips(
    folder: Path, estimates: Path, settings: ImitationSettings, clips: Path | None = None
) -> dict[str, Any]:
    """Estimates as they are, upright and on the floor: what a loop without imitation learns from.

    With `clips`, the folder of 2D sequences, joints are on the lines of sight of their keypoints.
    """

    def work(name: str) -> tuple[PoseSequence | None, dict[str, Any]]:
        motion = read_sequence(estimates / f"{name}.npz")
        if clips is not None:
            motion = on_sight(motion, read_sequence(clips / f"{name}.npz"))
        try:
            clip = prepared(motion, None, settings.gravity, settings.contact)
        except PplkitError as error:
            return None, {"dropped": "refused", "reason": str(error)}
        return _world(clip.points, motion), {}

    return each_clip(folder, _names(estimates), work)


def imitate_clips(
    folder: Path, motions: Path, settings: ImitationSettings, options: Mapping[str, Any], clips: Path | None = None
) -> dict[str, Any]:
    """Sequences of a folder made plausible; those that fall, explode or come out elsewhere are dropped.

    `clips` is the folder of 2D sequences, for `settings.sight`; the truth beside them, if there is one, gives the
    errors of each clip, which nothing depends on.
    """

    def work(name: str) -> tuple[PoseSequence | None, dict[str, Any]]:
        estimate, extra = read_sequence(motions / f"{name}.npz"), dict[str, Any]()
        motion = estimate
        if clips is not None:
            true = clips / TRUTH / f"{name}_camera.npz"
            extra = {"truth": read_sequence(true)} if true.exists() else {}
            if settings.sight:
                motion = on_sight(motion, read_sequence(clips / f"{name}.npz"))
                extra |= {"sight": True} if settings.method == "fit" else {}
        result, numbers = imitated(motion, settings, {**options, **extra})
        if result is not None:
            bones = result.skeleton.bones
            lengths = [np.median(bone_lengths(each.points.astype(float), bones), axis=0) for each in (estimate, result)]
            ratio = np.maximum(lengths[1], 1e-6) / np.maximum(lengths[0], 1e-6)
            numbers["bone_factor"] = float(np.exp(np.abs(np.log(ratio)).max()))
            if numbers["bone_factor"] > settings.bones:
                return None, {**numbers, "dropped": "rejected", "reason": "bones of other lengths than estimated"}
        return result, numbers

    return each_clip(folder, _names(motions), work)


def imitated(
    motion: PoseSequence, settings: ImitationSettings, options: Mapping[str, Any]
) -> tuple[PoseSequence | None, dict[str, Any]]:
    """One motion made plausible, or None, and its numbers, with `dropped` and `reason` where it is not learned from.

    Raises PplkitError for a setting that the method does not have.
    """
    options = {**options, "bar": False} if settings.method == "policy" else options
    try:
        result, report = imitate(motion, settings.method, gravity=settings.gravity, contact=settings.contact, **options)
        falls, numbers = report.after.get("falls", 0.0), dict[str, Any]()
        if settings.check_force and settings.method not in ("track", "policy"):
            tracked = imitate(result, "track", contact=settings.contact, force=settings.check_force)[1].after
            falls = tracked["falls"]
            numbers = {"falls": falls, "force_body_weights": tracked["force_body_weights"]}
    except PplkitError as error:
        if "setting" in str(error) or "unknown" in str(error):
            raise
        return None, {"dropped": "refused", "reason": str(error)}
    root = result.skeleton.root
    before, after = (points - points[:, root, None] for points in (report.clip.points, result.points))
    distance = float(np.linalg.norm(before - after, axis=-1).mean())
    numbers |= {f"{name}_before": value for name, value in report.before.items()} | report.after
    numbers = {name: float(value) for name, value in numbers.items() if np.isfinite(value)}
    numbers["distance_mm"] = 1000 * distance
    if distance > settings.distance:
        return None, {**numbers, "dropped": "rejected", "reason": f"{distance:.3f} m from its estimate"}
    if falls > settings.falls:
        return None, {**numbers, "dropped": "falls", "reason": f"{falls:.0f} falls"}
    return result, numbers


def _world(points: np.ndarray, like: PoseSequence) -> PoseSequence:
    return PoseSequence(points=points, fps=like.fps, skeleton=like.skeleton, space="world", source=like.source)


def _names(folder: Path) -> list[str]:
    return [path.stem for path in sorted(folder.glob("*.npz"))]


def read_motions(folder: Path, pattern: str = "*.npz") -> list[PoseSequence]:
    """The sequences of a folder, in the order of their names."""
    return [read_sequence(path) for path in sorted(folder.glob(pattern))]
