"""`imitate`: motion made plausible by one of several methods, and a report of what it gained."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.words import choice
from pplkit.data.sequences import PoseSequence
from pplkit.geometry import plausibility
from pplkit.inference.imitation.clip import Clip, Imitation, prepared

METHODS = {
    "filters": "pplkit.inference.imitation.filters",
    "fit": "pplkit.inference.imitation.fit",
    "track": "pplkit.inference.imitation.track",
    "policy": "pplkit.inference.imitation.policy",
}
"""Each method, and the module whose function `imitate_clip` carries it out; see `Method`."""


Method = Callable[..., Imitation]
"""From a `Clip` and the method's own settings, by name and with defaults, to an `Imitation` of as many frames."""


@dataclass(frozen=True, eq=False)
class Report:
    """What became of a clip.

    Attributes:
        method: by which it was imitated.
        before, after: numbers of the clip before and after, by name; see `numbers`.
        contact: (T, 2) how likely the left and right foot touch the floor.
        clip: what the method was given.
        arrays: what else the method found, such as rotations.
    """

    method: str
    before: dict[str, float]
    after: dict[str, float]
    contact: np.ndarray
    clip: Clip
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def __str__(self) -> str:
        rows = ((name, self.before.get(name), value) for name, value in self.after.items())
        return "\n".join(
            f"{name.replace('_', ' '):<28} {'' if old is None else f'{old:.3f}':>10} {new:>10.3f}"
            for name, old, new in rows
        )


def imitate(
    motion: PoseSequence,
    method: str = "fit",
    *,
    fps: float | None = None,
    gravity: str = "auto",
    contact: Path | str = "network",
    truth: PoseSequence | None = None,
    **settings: Any,
) -> tuple[PoseSequence, Report]:
    """Plausible motion from an estimate: feet that stand still, bones of one length, smooth paths.

    Args:
        motion: 3D joints of one person, in camera or world space.
        method: "filters" (milliseconds) smooths, keeps bones constant and locks feet. "fit" (seconds) fits the root's
            path and joint angles with contact, ground and acceleration, and is nearer to the truth. "track" (seconds)
            lets a simulated body follow and tells the force that it takes; "policy" (minutes) trains it to follow with
            little force.
        fps: frames a second of the result; by default those of the motion.
        gravity: "given", "estimated" from feet that stand, or "auto": estimated where no orientation is known.
        contact: how contact of feet is found: "network", the file of one of your own, or "thresholds".
        truth: the true motion, if known, at the same frames as `motion` and in its space: the report has its errors.
        settings: those of the method.

    Returns the motion in world space, y up, the floor at 0, and a `Report`. Raises PplkitError for an unknown method or
    setting, and for motion that cannot be used, see `clip.prepared`.

    >>> lifted = read_sequence("walk.npz")
    >>> motion, report = pplkit.imitate(lifted, method="filters")
    >>> motion.space, report.after["bone_deviation_mm"] < 0.001
    ('world', True)
    """
    if method not in METHODS:
        raise PplkitError(f"method {method!r} is unknown: {choice(method, sorted(METHODS))}.")
    clip = prepared(motion, fps, gravity, contact)
    carry_out: Method = importlib.import_module(METHODS[method]).imitate_clip
    known = list(carry_out.__kwdefaults__ or {})
    if unknown := [name for name in settings if name not in known]:
        raise PplkitError(f"setting {unknown[0]!r} of method {method} is unknown: {choice(unknown[0], sorted(known))}.")
    result = carry_out(clip, **settings)
    if not np.isfinite(result.points).all():
        raise PplkitError(f"method {method} did not come to finite poses: use method='filters' for this clip.")
    true = None if truth is None else _placed_truth(truth, motion, clip, fps)
    before, after = numbers(clip, clip.points, true), numbers(clip, result.points, true) | result.numbers
    sequence = PoseSequence(
        points=result.points, fps=clip.fps, skeleton=clip.skeleton, space="world", source=motion.source
    )
    return sequence, Report(method, before, after, clip.contact, clip, result.arrays)


def numbers(clip: Clip, points: np.ndarray, truth: np.ndarray | None = None) -> dict[str, float]:
    """Numbers of joints (T, J, 3) in the axes of the clip, with their errors against the `truth` (T, J, 3) if known.

    Lengths in mm, skate in cm/s, acceleration error in mm per frame², jerk in m/s³. Contact, floor and standing height
    are those that the clip found.
    """
    feet, bones = clip.legs[:, 2], clip.skeleton.bones
    values = {}
    if truth is not None:
        values["mpjpe_mm"] = 1000 * plausibility.joint_error(points, truth, clip.skeleton.root)
        values["world_mpjpe_mm"] = 1000 * plausibility.joint_error(points, truth)
        values["acceleration_error_mm"] = 1000 * plausibility.acceleration_error(points, truth)
    values["skate_cm_s"] = 100 * plausibility.foot_skate(points[:, feet], clip.touches, clip.fps)
    values["penetration_mm"] = 1000 * plausibility.penetration(points[:, feet], clip.rest)
    values["float_mm"] = 1000 * plausibility.floating(points[:, feet], clip.touches, clip.rest)
    values["bone_deviation_mm"] = 1000 * plausibility.bone_deviation(points, bones)
    values["jerk_m_s3"] = plausibility.jerk(points, clip.fps)
    return values


def _placed_truth(truth: PoseSequence, motion: PoseSequence, clip: Clip, fps: float | None) -> np.ndarray:
    if truth.points.shape != motion.points.shape or truth.fps != motion.fps or truth.space != motion.space:
        raise PplkitError("the truth has other frames, joints or space than the motion: give it at the same frames.")
    true = prepared(replace(truth, confidence=None), fps, "given", "thresholds")
    points = (true.points + [0, true.height, 0]) @ true.rotation  # resampled, in the axes it was given in
    return clip.placed(points)
