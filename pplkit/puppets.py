"""Synthetic articulated categories with exact keypoints, visibility, masks and videos.

A puppet is a tree of bones, whose swings are drawn within joint limits, covered by capsules that are painted far to
near. Within a video colours, proportions, background and rough placement stay; the pose moves smoothly through random
key poses. A video follows from (category, seed, index of the video), its pace and the frames picked, on every machine:
see `rendering`.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pplkit.bodies import BODIES, Body
from pplkit.errors import PplkitError
from pplkit.rendering import BACKGROUND_DRAWS, Array, Capsules, backgrounds, cosine, hsv, paint, sine, uniform

CATEGORIES = ("humanoid", "quadruped", "hand")

RATE = 25  # frames a second of a video
PACE = 12  # frames from one key pose to the next
PICKED = 4  # every fourth frame makes a data set: neighbours move smoothly, any other pair differs widely
CHUNK = 64  # images painted together, so that a layer stays in the processor's cache
MARGIN = 0.95  # no puppet leaves [-MARGIN, MARGIN]
DRAWS_PER_COLOUR = 5


@dataclass(frozen=True)
class Layout:
    """What the keypoints of a category are."""

    keypoint_names: list[str]
    skeleton: list[tuple[int, int]]  # pairs of keypoints whose segment lies on the object
    flip_pairs: list[tuple[int, int]]  # (left, right) keypoints that change places in a mirrored image
    groups: dict[str, list[int]]  # limb -> indices into `skeleton`


@dataclass(frozen=True)
class Puppets:
    """n = videos * frames pictures, frames of a video in order."""

    images: Array  # (n, S, S, 3) uint8 RGB
    keypoints: Array  # (n, J, 2) float32 (x, y) in [-1, 1]
    visible: Array  # (n, J) bool: not covered by a nearer part of the puppet
    videos: Array  # (n,) int32
    masks: Array  # (n, S, S) uint8, 255 on the object


def _body(category: str) -> Body:
    if category not in BODIES:
        raise PplkitError(f"category {category!r} is unknown; choose one of {', '.join(CATEGORIES)}")
    return BODIES[category]


def layout(category: str) -> Layout:
    """Names, skeleton, mirror pairs and limbs of a category's keypoints. Raises PplkitError if it is unknown."""
    body = _body(category)
    place = {name: i for i, name in enumerate(body.keypoints)}
    skeleton: list[tuple[int, int]] = []
    groups: dict[str, list[int]] = {}
    for limb, chain in body.limbs.items():
        links = [(place[a], place[b]) for a, b in pairwise(chain)]
        groups[limb] = list(range(len(skeleton), len(skeleton) + len(links)))
        skeleton += links
    pairs = [(place[n], place["right_" + n[5:]]) for n in body.keypoints if n.startswith("left_")]
    return Layout(list(body.keypoints), skeleton, pairs, groups)


def generate(
    category: str,
    videos: int,
    frames: int,
    size: int = 64,
    seed: int = 0,
    first_video: int = 0,
    every: int = PICKED,
    pace: int = PACE,
) -> Puppets:
    """Videos `first_video`, `first_video` + 1, ... of `frames` pictures of `size` x `size` pixels each.

    Video v depends on (category, seed, v) alone, and its first frames do not depend on `frames`; the scene is the same
    at every size. Pictures are every `every`-th frame, as one picks them for training: 1 gives the video itself, at
    `RATE` frames a second. `pace` frames lead from one key pose to the next. With 24 the joints of a humanoid move as
    far as those of the people of Human3.6M (1.4 % of the height in 80 ms), with the 12 of `PACE` twice as far.
    Raises PplkitError for an unknown category or a number out of range.
    """
    body = _body(category)
    least = {"videos": 1, "frames": 1, "size": 16, "seed": 0, "first_video": 0, "every": 1, "pace": 1}
    for name, value in zip(least, (videos, frames, size, seed, first_video, every, pace), strict=True):
        if not isinstance(value, int | np.integer) or value < least[name]:
            raise PplkitError(f"{name} is {value!r}; give a whole number of at least {least[name]}")
    count = videos * frames
    joints = len(body.keypoints)
    made = Puppets(
        np.empty((count, size, size, 3), np.uint8),
        np.empty((count, joints, 2), np.float32),
        np.empty((count, joints), bool),
        np.repeat(np.arange(first_video, first_video + videos, dtype=np.int32), frames),
        np.empty((count, size, size), np.uint8),
    )
    key = (CATEGORIES.index(category), seed)
    step = max(1, CHUNK * 64 * 64 // (size * size))

    def fill(first: int) -> None:
        last = min(first + step, count)
        pictures = np.arange(first, last)
        scene = _scene(body, key, made.videos[pictures], pictures % frames * every, size, pace)
        made.images[first:last], made.keypoints[first:last], made.visible[first:last], made.masks[first:last] = scene

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, range(0, count, step)))
    return made


class _Look(NamedTuple):
    """How the puppet of each of V videos looks: uniform draws, constant within a video."""

    background: Array  # (V, BACKGROUND_DRAWS)
    colours: Array  # (V, colours, DRAWS_PER_COLOUR)
    lengths: Array  # (V, bones)
    place: Array  # (V, 4): x, y, scale, girth


def _scene(body: Body, key: tuple[int, int], videos: Array, frames: Array, size: int, pace: int) -> tuple[Array, ...]:
    """Images, keypoints, visibility and masks of B pictures, given the video and the frame (B,) of each."""
    names, which = np.unique(videos, return_inverse=True)
    lengths = sorted({_shared(bone.name) for bone in body.bones})
    channels = _channels(body)
    sizes = (BACKGROUND_DRAWS, len(body.colours) * DRAWS_PER_COLOUR, len(lengths), 4)
    looks = sum(sizes)
    keys = int(frames.max()) // pace + 2
    draws = np.stack([uniform((*key, int(video)), looks + keys * len(channels)) for video in names])
    parts = np.split(draws[:, :looks], np.cumsum(sizes)[:-1], axis=1)
    look = _Look(parts[0], parts[1].reshape(len(names), -1, DRAWS_PER_COLOUR), parts[2], parts[3])
    poses = draws[:, looks:].reshape(len(names), keys, len(channels))
    before = frames // pace
    t = (frames % pace / pace)[:, None]
    blend = t * t * (3.0 - 2.0 * t)
    poses = poses * poses * (3.0 - 2.0 * poses)  # favours the joint limits, so that key poses differ widely
    pose = poses[which, before] + blend * (poses[which, before + 1] - poses[which, before])
    values = dict(zip(channels, pose.T, strict=True))
    sizes_of = dict(zip(lengths, (0.9 + 0.2 * look.lengths[which]).T, strict=True))
    points, radii = _fit(body, _joints(body, values, sizes_of), values, look.place[which])
    depth = _depths(body, values)
    planes = backgrounds(look.background, size)[:, which]
    images, masks = paint(planes, _capsules(body, points, radii, depth, look.colours[which]))
    keypoints = np.stack([points[name] for name in body.keypoints], axis=1).astype(np.float32)
    return images, keypoints, _visible(body, points, radii, depth), masks


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
    """Points (B, 2) scaled and placed so that every part lies in the picture, and radii (B, parts, 2)."""
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


def _capsules(body: Body, points: dict[str, Array], radii: Array, depth: Array, draws: Array) -> Capsules:
    """The parts, far to near, with the colours made from uniform draws (B, colours, DRAWS_PER_COLOUR)."""
    ranges = np.array(body.colours)  # (colours, 3, 2)
    tint = hsv(*(ranges[:, i, 0] + (ranges[:, i, 1] - ranges[:, i, 0]) * draws[:, :, i] for i in range(3)))
    slot = [part.colour for part in body.parts]
    tone = np.array([part.tone for part in body.parts])
    stripes = np.stack([np.maximum(0.0, draws[:, :, 3] - 0.4) * 0.6, 1.0 + 3.0 * draws[:, :, 4]], axis=2)
    rims = np.zeros_like(depth) + np.array([part.rim for part in body.parts])
    unsorted = (
        np.stack([points[part.start] for part in body.parts], axis=1),
        np.stack([points[part.end] for part in body.parts], axis=1),
        radii,
        rims,
        tint[:, slot] * tone[:, None],
        stripes[:, slot],
    )
    order = np.argsort(depth, axis=1, kind="stable")
    rows = np.arange(len(order))[:, None]
    return Capsules(*(values[rows, order].astype(np.float32) for values in unsorted))


def _visible(body: Body, points: dict[str, Array], radii: Array, depth: Array) -> Array:
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
