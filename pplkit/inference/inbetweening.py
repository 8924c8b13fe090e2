"""Gaps in motion are filled by a trained network: frames that are missing, or that shall be made anew."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pplkit.core.errors import PplkitError
from pplkit.data.sequences import PoseSequence
from pplkit.models.motion.inbetweening import InBetweening, fill, pinned
from pplkit.training.tasks.inbetweening import load_inbetweening

Gap = tuple[int, int]


def fill_gaps(
    motion: PoseSequence,
    model: InBetweening | Path | str | os.PathLike[str],
    gaps: Sequence[Gap] | None = None,
    *,
    pin_feet: bool = True,
) -> PoseSequence:
    """Motion whose gaps are filled by in-betweening; all other frames stay as they are.

    Args:
        motion: joints in world space, y up, in meters.
        model: a run folder of in-betweening, or what `load_inbetweening` gives.
        gaps: (first, end) frames of each, without the end; by default wherever a joint is missing.
        pin_feet: whether feet stay in place while the network says that they touch the ground.

    Raises PplkitError for another skeleton, space or frame rate than the network's, and for gaps that overlap, lie
    outside of the motion, or have too few known frames around them.
    """
    network = model if isinstance(model, InBetweening) else load_inbetweening(model)
    config = network.config
    if motion.space != "world" or motion.skeleton.joints != network.skeleton.joints:
        raise PplkitError(f"the motion must be in world space, with the joints of {network.skeleton.name}.")
    if abs(motion.fps - config.fps) > 1e-3:
        raise PplkitError(
            f"the motion has {motion.fps:g} frames a second and the network knows {config.fps:g}: use motion.resampled."
        )
    points = np.array(motion.points, np.float32)
    known = np.asarray(np.isfinite(points).all((1, 2)))
    for first, end in missing_frames(known) if gaps is None else sorted(gaps):
        if not 0 <= first < end <= len(points):
            raise PplkitError(f"the gap {first}:{end} does not lie within the {len(points)} frames of the motion.")
        before, after = first - config.past, end + config.future
        if (
            before < 0
            or after > len(points)
            or not np.isfinite(points[before:first]).all()
            or not known[end:after].all()
        ):
            raise PplkitError(
                f"the gap {first}:{end} needs {config.past} whole frames before it and {config.future} after it."
            )
        past, future = (torch.from_numpy(points[a:b][None]) for a, b in ((before, first), (end, after)))
        made = fill(network, past, future, end - first)
        filled = pinned(past, made, future, network.skeleton) if pin_feet else made.positions
        points[first:end] = filled[0].numpy()
    return replace(motion, points=points)


def missing_frames(known: np.ndarray) -> list[Gap]:
    """(first, end) of the runs of False in flags (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], known, [True]]).astype(int)))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]
