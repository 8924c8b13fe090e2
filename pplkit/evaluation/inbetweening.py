"""How well gaps in motion are filled, beside holding still and spherical interpolation, on clips with known motion."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.data.sequences import PoseSequence
from pplkit.models.motion.inbetweening import InBetweening, fill, foot_contacts, interpolate, joints_of, pinned

GAPS = (10, 20, 30)  # frames
STRIDE = 10  # frames from window to window


class Row(NamedTuple):
    """A line of the table: means over the windows of a set of clips."""

    clips: str
    gap: int
    windows: int
    method: str
    error: float  # mean distance of the joints in mm
    slide: float  # m/s along the ground of feet that truly touch; NaN where none does


def compare(
    model: InBetweening,
    clips: Mapping[str, Sequence[PoseSequence]],
    gaps: Sequence[int] = GAPS,
    stride: int | Mapping[str, int] = STRIDE,
) -> list[Row]:
    """The truth, both baselines and the network, alone, as `fill` uses it, and with pinned feet, on sets of clips.

    The clips are 3D, y up, at the frame rate and in the joints of the model. Raises PplkitError for others.
    """
    rows = []
    for name, sequences in clips.items():
        for gap in gaps:
            step = stride if isinstance(stride, int) else stride[name]
            windows, contact = _windows(model, sequences, gap, step)
            if len(windows):
                rows += _rows(model, name, gap, windows, contact)
    return rows


def _windows(model: InBetweening, sequences: Iterable[PoseSequence], gap: int, stride: int) -> tuple[Tensor, Tensor]:
    """Windows (N, P + gap + F, J, 3), and contacts (N, gap, feet) within their gaps."""
    config, parts, touching = model.config, [], []
    frames = config.past + gap + config.future
    for sequence in sequences:
        if sequence.skeleton.joints != config.joint_names or abs(sequence.fps - config.fps) > 0.01:
            raise PplkitError(
                f"{sequence.source} has {sequence.fps} frames a second and {len(sequence.skeleton.joints)} joints: "
                f"give it at {config.fps} frames a second and in the model's joints."
            )
        points = torch.from_numpy(np.asarray(sequence.points, np.float32))
        contact = foot_contacts(points, model.feet, sequence.fps)
        for start in range(0, len(points) - frames + 1, stride):
            parts.append(points[start : start + frames])
            touching.append(contact[start + config.past : start + config.past + gap])
    if not parts:
        return torch.zeros(0), torch.zeros(0)
    return torch.stack(parts), torch.stack(touching)


def _rows(model: InBetweening, name: str, gap: int, windows: Tensor, contact: Tensor) -> list[Row]:
    past, truth, future = windows.split([model.config.past, gap, model.config.future], 1)
    with torch.no_grad():
        alone = model(past, future, gap)
    filled = fill(model, past, future, gap)
    methods = {
        "truth": truth,
        "holding still": past[:, -1:].expand(-1, gap, -1, -1),
        "interpolation": joints_of(interpolate(past[:, -1], future[:, 0], gap, model.skeleton), model.skeleton),
        "network alone": alone.positions,
        "network": filled.positions,
        "network, feet pinned": pinned(past, filled, future, model.skeleton),
    }
    rows = []
    for method, joints in methods.items():
        error = 1000 * float((joints - truth).norm(dim=-1).mean())
        steps = torch.cat([past[:, -1:], joints], 1).diff(dim=1)[:, :, model.feet][..., [0, 2]].norm(dim=-1)
        slide = float((steps * contact).sum() / contact.sum()) * model.config.fps if contact.any() else float("nan")
        rows.append(Row(name, gap, len(windows), method, error, slide))
    return rows


def table_lines(rows: Sequence[Row]) -> list[str]:
    """The rows as a Markdown table."""
    lines = ["| clips | gap | windows | method | error mm | slide m/s |", "|---|---:|---:|---|---:|---:|"]
    lines += [f"| {r.clips} | {r.gap} | {r.windows} | {r.method} | {r.error:.1f} | {r.slide:.2f} |" for r in rows]
    return lines
