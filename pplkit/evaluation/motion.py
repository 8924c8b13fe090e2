"""How plausible motion is after each method of imitation, beside raw and smoothed motion, in one table.

Where the truth is known, contact, floor and errors are the truth's, the same for all lines; otherwise they are those
that the clip found.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pplkit.data.sequences import PoseSequence
from pplkit.geometry import plausibility
from pplkit.geometry.plausibility import UP
from pplkit.inference.imitation.clip import Clip, prepared
from pplkit.inference.imitation.contact import smoothed
from pplkit.inference.imitation.methods import imitate

TITLES = {
    "mpjpe": "MPJPE mm", "world": "world mm", "acceleration": "acc. error mm/frame²", "skate": "skate cm/s",
    "penetration": "penetration mm", "floating": "float mm", "bones": "bones mm", "jerk": "jerk m/s³",
    "contact": "contact F1",
}  # fmt: skip
METHODS: Mapping[str, Mapping[str, Any]] = {"filters": {}, "fit": {}}


class MotionErrors(NamedTuple):
    """Numbers of one motion; NaN where they need a truth that is not known, or nothing touches the floor."""

    mpjpe: float  # mm, relative to the root
    world: float  # mm
    acceleration: float  # mean distance of second differences from the true ones, mm per frame²
    skate: float  # mean horizontal speed of ankles in contact, cm/s
    penetration: float  # mean depth of the lowest ankle below its height when standing, mm
    floating: float  # mean height of ankles in contact above that, mm
    bones: float  # standard deviation of a bone's length over time, mean over the bones, mm
    jerk: float  # mean third derivative, m/s³
    contact: float  # F1 of the contact that the clip found


def motion_errors(points: np.ndarray, clip: Clip, truth: np.ndarray | None = None) -> MotionErrors:
    """The numbers of joints (T, J, 3) in the axes of the clip; `truth` (T, J, 3) lies in these axes as well."""
    ankles = clip.legs[:, 2]
    feet, contact, rest, nan = points[:, ankles], clip.touches, clip.rest, float("nan")
    known = truth is not None
    if truth is not None:
        true_feet = truth[:, ankles]
        contact = plausibility.standing(true_feet + [0, clip.height, 0], clip.fps)
        rest = float(np.median(true_feet[..., UP][contact])) if contact.any() else rest
    return MotionErrors(
        mpjpe=1000 * plausibility.joint_error(points, truth, clip.skeleton.root) if truth is not None else nan,
        world=1000 * plausibility.joint_error(points, truth) if truth is not None else nan,
        acceleration=1000 * plausibility.acceleration_error(points, truth) if truth is not None else nan,
        skate=100 * plausibility.foot_skate(feet, contact, clip.fps),
        penetration=1000 * plausibility.penetration(feet, rest),
        floating=1000 * plausibility.floating(feet, contact, rest),
        bones=1000 * plausibility.bone_deviation(points, clip.skeleton.bones),
        jerk=plausibility.jerk(points, clip.fps),
        contact=plausibility.contact_f1(clip.touches, contact) if known else nan,
    )


def compare(
    clips: Iterable[tuple[PoseSequence, PoseSequence | None]],
    methods: Mapping[str, Mapping[str, Any]] = METHODS,
    **options: Any,
) -> dict[str, list[MotionErrors]]:
    """The numbers of each clip (estimate, truth or None) raw, smoothed, after each method, and of the truth itself.

    The truth is in world space, y up, the floor at 0, at the frames of the estimate. `methods` are those of `imitate`
    with their settings; `options` go to `clip.prepared`, such as gravity.
    """
    rows: dict[str, list[MotionErrors]] = {name: [] for name in ("raw", "smoothed", *methods, "truth")}
    for estimate, truth in clips:
        clip = prepared(estimate, **options)
        true = None if truth is None else clip.placed(truth.points.astype(float))
        rows["raw"].append(motion_errors(clip.points, clip, true))
        rows["smoothed"].append(motion_errors(smoothed(clip.points, clip.fps), clip, true))
        for name, settings in methods.items():
            imitation, report = imitate(estimate, name, **settings, **options)
            rows[name].append(motion_errors(imitation.points.astype(float), report.clip, true))
        if true is not None:
            rows["truth"].append(motion_errors(true, clip, true))
    return {name: numbers for name, numbers in rows.items() if numbers}


def table_lines(rows: Mapping[str, Sequence[MotionErrors]], title: str = "method") -> list[str]:
    """Means over the clips as a Markdown table; clips without a number are left out of its mean."""
    lines = [f"| {title} | {' | '.join(TITLES.values())} |", f"|---|{'---:|' * len(TITLES)}"]
    for name, errors in rows.items():
        values = np.array(errors, float)
        known = np.isfinite(values)
        means = np.where(known, values, 0).sum(0) / np.maximum(known.sum(0), 1)
        cells = [
            f"{mean:.2f}" if some else "–" for mean, some in zip(means.tolist(), known.any(0).tolist(), strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines
