"""Bodies in poses: where the parts of a puppet lie in each image of its videos, how deep, and in which colors.

Within a video proportions and colors stay; the pose moves smoothly through random key poses.
"""

from typing import NamedTuple

import numpy as np

from data_prep.synthetic.bodies import Body
from data_prep.synthetic.rendering import BACKGROUND_DRAWS, Array, Capsules, cosine, hsv, sine, uniform

MARGIN = 0.95  # no puppet leaves [-MARGIN, MARGIN]
DRAWS_PER_COLOUR = 5


class Figures(NamedTuple):
    """The puppets of B images from V videos; points and radii in the units of the puppet's square, [-1, 1]."""

    names: Array  # (V,) the videos
    which: Array  # (B,) index into `names`
    background: Array  # (V, BACKGROUND_DRAWS) uniform draws
    colours: Array  # (B, colors, DRAWS_PER_COLOUR) uniform draws
    points: dict[str, Array]  # every point of the body: (B, 2)
    radii: Array  # (B, parts, 2) at the start and at the end
    depth: Array  # (B, parts), larger is nearer


def figures(body: Body, key: tuple[int, int], videos: Array, frames: Array, pace: int) -> Figures:
    """The puppets of B images, given the video and the frame (B,) of each; `pace` frames from key pose to key pose.

    Video v follows from (*key, v) alone, and a frame does not depend on the others.
    """
    names, which = np.unique(videos, return_inverse=True)
    lengths = sorted({_shared(bone.name) for bone in body.bones})
    channels = _channels(body)
    sizes = (BACKGROUND_DRAWS, len(body.colours) * DRAWS_PER_COLOUR, len(lengths), 4)
    looks = sum(sizes)
    keys = int(frames.max()) // pace + 2
    draws = np.stack([uniform((*key, int(video)), looks + keys * len(channels)) for video in names])
    background, colours, proportions, place = np.split(draws[:, :looks], np.cumsum(sizes)[:-1], axis=1)
    poses = draws[:, looks:].reshape(len(names), keys, len(channels))
    before = frames // pace
    t = (frames % pace / pace)[:, None]
    blend = t * t * (3.0 - 2.0 * t)
    poses = poses * poses * (3.0 - 2.0 * poses)  # favours the joint limits, so that key poses differ widely
    pose = poses[which, before] + blend * (poses[which, before + 1] - poses[which, before])
    values = dict(zip(channels, pose.T, strict=True))
    sizes_of = dict(zip(lengths, (0.9 + 0.2 * proportions[which]).T, strict=True))
    points, radii = _fit(body, _joints(body, values, sizes_of), values, place[which])
    tints = colours.reshape(len(names), -1, DRAWS_PER_COLOUR)[which]
    return Figures(names, which, background, tints, points, radii, _depths(body, values))


def keypoints(body: Body, figure: Figures) -> Array:
    """The keypoints (B, J, 2) float32 in the puppet's square."""
    return np.stack([figure.points[name] for name in body.keypoints], axis=1).astype(np.float32)


def mirrored(figure: Figures, flip: Array) -> Figures:
    """The same, in the images where `flip` (B,) is true with left and right exchanged."""
    sign = np.where(flip[:, None], np.array([-1.0, 1.0]), 1.0)
    return figure._replace(points={name: point * sign for name, point in figure.points.items()})


def _shared(name: str) -> str:
    """Left and right bones of a name are equally long."""
    return name.replace("left_", "").replace("right_", "")


def _channels(body: Body) -> list[str]:
    """Names of the draws that make a pose."""
    names = ["x", "y", "tilt", *(bone.name for bone in body.bones)]
    names += sorted({"shrink " + (b.shrink_with or b.name) for b in body.bones if b.shrink < 1})
    return names + sorted({part.depth_with for part in body.parts if part.depth_with})


def _depths(body: Body, pose: dict[str, Array]) -> Array:
    """Depth (B, parts) of each part; larger is nearer."""
    still = np.zeros_like(pose["tilt"])
    moved = [
        part.depth_range * (2.0 * pose[part.depth_with] - 1.0) if part.depth_with else still for part in body.parts
    ]
    return np.stack(moved, axis=1) + np.array([part.depth for part in body.parts], dtype=float)


def _joints(body: Body, pose: dict[str, Array], lengths: dict[str, Array]) -> dict[str, Array]:
    """All points (B, 2) of the tree, root at the origin, from draws in [0, 1) and relative lengths (B,)."""
    tilt = body.tilt * (2.0 * pose["tilt"] - 1.0)
    points = {body.root: np.zeros((len(tilt), 2))}
    swings = {body.root: tilt}
    for bone in body.bones:
        low, high = bone.swing
        swing = swings[bone.parent] + low + (high - low) * pose[bone.name]
        length = bone.length * lengths[_shared(bone.name)]
        if bone.shrink < 1:
            turned = pose["shrink " + (bone.shrink_with or bone.name)]
            length = length * (1.0 - (1.0 - bone.shrink) * turned * turned)
        angle = bone.direction + swing
        step = np.stack([length * sine(angle), length * cosine(angle)], axis=1)
        points[bone.name], swings[bone.name] = points[bone.parent] + step, swing
    return points


def _fit(body: Body, points: dict[str, Array], pose: dict[str, Array], place: Array) -> tuple[dict[str, Array], Array]:
    """Points (B, 2) scaled and placed so that every part lies in the image, and radii (B, parts, 2)."""
    scale = (0.88 + 0.16 * place[:, 2])[:, None]
    girth = scale * (0.9 + 0.22 * place[:, 3])[:, None]
    radii = np.array([part.radii for part in body.parts])[None] * girth[:, :, None]
    shift = np.array([body.root_at]) + np.array([0.5, 0.2]) * (place[:, :2] - 0.5)
    shift = shift + np.array([0.2, 0.1]) * (np.stack([pose["x"], pose["y"]], axis=1) - 0.5)
    points = {name: point * scale + shift for name, point in points.items()}
    ends = np.stack([np.stack([points[p.start], points[p.end]], axis=1) for p in body.parts], axis=1)
    low = (ends - radii[..., None]).min(axis=(1, 2))
    high = (ends + radii[..., None]).max(axis=(1, 2))
    extent = (high - low).max(axis=1, keepdims=True)
    shrink = np.minimum(1.0, 2 * MARGIN / extent)
    centre = (low + high) / 2.0
    half = (high - low) / 2.0 * shrink
    moved = np.minimum(np.maximum(centre, half - MARGIN), MARGIN - half)
    return {name: (point - centre) * shrink + moved for name, point in points.items()}, radii * shrink[:, :, None]


def lengths_at_rest(body: Body) -> Array:
    """How long each part (parts,) is with every joint in the middle of its range, before scaling."""
    middle = dict.fromkeys(_channels(body), np.full(1, 0.5))
    points = _joints(body, middle, {_shared(bone.name): np.ones(1) for bone in body.bones})
    steps = np.stack([points[part.end][0] - points[part.start][0] for part in body.parts])
    return np.sqrt(steps[:, 0] * steps[:, 0] + steps[:, 1] * steps[:, 1])


def capsules(body: Body, figure: Figures) -> tuple[Capsules, Array]:
    """The parts, far to near, in the puppet's square, and which part each of them is (B, parts)."""
    points, draws, depth = figure.points, figure.colours, figure.depth
    ranges = np.array(body.colours)  # (colors, 3, 2)
    tint = hsv(*(ranges[:, i, 0] + (ranges[:, i, 1] - ranges[:, i, 0]) * draws[:, :, i] for i in range(3)))
    slot = [part.colour for part in body.parts]
    tone = np.array([part.tone for part in body.parts])
    stripes = np.stack([np.maximum(0.0, draws[:, :, 3] - 0.4) * 0.6, 1.0 + 3.0 * draws[:, :, 4]], axis=2)
    rims = np.zeros_like(depth) + np.array([part.rim for part in body.parts])
    unsorted = (
        np.stack([points[part.start] for part in body.parts], axis=1),
        np.stack([points[part.end] for part in body.parts], axis=1),
        figure.radii,
        rims,
        tint[:, slot] * tone[:, None],
        stripes[:, slot],
    )
    order = np.argsort(depth, axis=1, kind="stable")
    rows = np.arange(len(order))[:, None]
    return Capsules(*(values[rows, order].astype(np.float32) for values in unsorted)), order


def visible(body: Body, points: dict[str, Array], radii: Array, depth: Array) -> Array:
    """Whether each keypoint (B, J) lies under no nearer part than the nearest of the parts that contain it."""
    point = np.stack([points[name] for name in body.keypoints], axis=1)[:, :, None]
    start = np.stack([points[part.start] for part in body.parts], axis=1)[:, None]
    axis = np.stack([points[part.end] for part in body.parts], axis=1)[:, None] - start
    x, y = point[..., 0] - start[..., 0], point[..., 1] - start[..., 1]  # (B, J, parts)
    length = axis[..., 0] * axis[..., 0] + axis[..., 1] * axis[..., 1]
    along = (x * axis[..., 0] + y * axis[..., 1]) / np.maximum(length, 1e-12)
    along = np.minimum(np.maximum(along, 0.0), 1.0)
    x, y = x - along * axis[..., 0], y - along * axis[..., 1]
    radius = radii[:, None, :, 0] + along * (radii[:, None, :, 1] - radii[:, None, :, 0])
    contains = np.array(
        [[name in (part.start, part.end, *part.joins) for part in body.parts] for name in body.keypoints]
    )
    nearest = np.where(contains, depth[:, None], -np.inf).max(axis=2, keepdims=True)
    covered = (x * x + y * y < radius * radius) & (depth[:, None] > nearest) & ~contains
    return ~covered.any(axis=2)
