"""Synthetic articulated categories with exact keypoints, visibility, masks and videos.

A puppet is a tree of bones, whose swings are drawn within joint limits, covered by capsules that are painted far to
near. Within a video colors, proportions, background and rough placement stay; the pose moves smoothly through random
key poses. A video follows from (category, seed, index of the video), its pace and the frames picked, on every machine:
see `rendering`. Textured puppets have the same poses, and look more like what a camera sees.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from data_prep.synthetic import lighting
from data_prep.synthetic.bodies import BODIES, Body
from data_prep.synthetic.cloth import dressed
from data_prep.synthetic.clutter import clutter, photograph
from data_prep.synthetic.posing import Figures, capsules, figures, keypoints, visible
from data_prep.synthetic.rendering import Array, Capsules, as_mask, backgrounds, layered, quantised
from pplkit.core.errors import PplkitError
from pplkit.core.words import choice

CATEGORIES = ("humanoid", "quadruped", "hand")

RATE = 25  # frames a second of a video
PACE = 12  # frames from one key pose to the next
PICKED = 4  # every fourth frame makes a data set: neighbors move smoothly, any other pair differs widely
CHUNK = 64  # images painted together, so that a layer stays in the processor's cache


@dataclass(frozen=True)
class Layout:
    """What the keypoints of a category are."""

    keypoint_names: list[str]
    skeleton: list[tuple[int, int]]  # pairs of keypoints whose segment lies on the object
    flip_pairs: list[tuple[int, int]]  # (left, right) keypoints that change places in a mirrored image
    groups: dict[str, list[int]]  # limb -> indices into `skeleton`


@dataclass(frozen=True)
class Puppets:
    """n = videos * frames images, frames of a video in order."""

    images: Array  # (n, S, S, 3) uint8 RGB
    keypoints: Array  # (n, J, 2) float32 (x, y) in [-1, 1]
    visible: Array  # (n, J) bool: not covered by a nearer part of the puppet
    videos: Array  # (n,) int32
    masks: Array  # (n, S, S) uint8, 255 on the object


def body_of(category: str) -> Body:
    """The body of a category; raises PplkitError if it is unknown."""
    if category not in BODIES:
        raise PplkitError(f"category {category!r} is unknown; {choice(category, CATEGORIES)}")
    return BODIES[category]


def layout(category: str) -> Layout:
    """Names, skeleton, mirror pairs and limbs of a category's keypoints. Raises PplkitError if it is unknown."""
    body = body_of(category)
    place = {name: i for i, name in enumerate(body.keypoints)}
    skeleton: list[tuple[int, int]] = []
    groups: dict[str, list[int]] = {}
    for limb, chain in body.limbs.items():
        links = [(place[a], place[b]) for a, b in pairwise(chain)]
        groups[limb] = list(range(len(skeleton), len(skeleton) + len(links)))
        skeleton += links
    pairs = [(place[n], place["right_" + n[5:]]) for n in body.keypoints if n.startswith("left_")]
    return Layout(list(body.keypoints), skeleton, pairs, groups)


def check_least(**settings: tuple[int, int]) -> None:
    """Raise PplkitError for a value that is no whole number or less than the least one; by name, value and least."""
    for name, (value, least) in settings.items():
        if not isinstance(value, int | np.integer) or value < least:
            raise PplkitError(f"{name} is {value!r}; give a whole number of at least {least}")


def generate(
    category: str,
    videos: int,
    frames: int,
    size: int = 64,
    seed: int = 0,
    first_video: int = 0,
    every: int = PICKED,
    pace: int = PACE,
    textured: bool = False,
    photographs: Sequence[Path] = (),
) -> Puppets:
    """Videos `first_video`, `first_video` + 1, ... of `frames` images of `size` x `size` pixels each.

    Video v depends on (category, seed, v) alone, and its first frames do not depend on `frames`; the scene is the same
    at every size. Images are every `every`-th frame, as one picks them for training: 1 gives the video itself, at
    `RATE` frames a second. `pace` frames lead from one key pose to the next. With 24 the joints of a humanoid move as
    far as those of the people of Human3.6M (1.4 % of the height in 80 ms), with the 12 of `PACE` twice as far.
    `textured` puppets have patterned clothes, a cluttered background or one of the image files `photographs`, and
    light that differs between videos and flickers; keypoints, visible and masks are those of plain puppets.
    Raises PplkitError for an unknown category, a number out of range, or a photograph that cannot be read.
    """
    body = body_of(category)
    check_least(videos=(videos, 1), frames=(frames, 1), size=(size, 16), seed=(seed, 0))
    check_least(first_video=(first_video, 0), every=(every, 1), pace=(pace, 1))
    count = videos * frames
    joints = len(body.keypoints)
    puppets = Puppets(
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
        scene = _scene(
            body, key, puppets.videos[pictures], pictures % frames * every, size, pace, textured, photographs
        )
        (
            puppets.images[first:last],
            puppets.keypoints[first:last],
            puppets.visible[first:last],
            puppets.masks[first:last],
        ) = scene

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, range(0, count, step)))
    return puppets


def _scene(
    body: Body,
    key: tuple[int, int],
    videos: Array,
    frames: Array,
    size: int,
    pace: int,
    textured: bool,
    photographs: Sequence[Path],
) -> tuple[Array, ...]:
    """Images, keypoints, visibility and masks of B images, given the video and the frame (B,) of each."""
    figure = figures(body, key, videos, frames, pace)
    shapes, order = capsules(body, figure)
    if textured:
        canvas = _textured(body, key, figure, shapes, order, frames, size, photographs)
    else:
        canvas = layered(backgrounds(figure.background, size)[:, figure.which], shapes)
    seen = visible(body, figure.points, figure.radii, figure.depth)
    return quantised(canvas[:3]), keypoints(body, figure), seen, as_mask(canvas[3])


def _textured(
    body: Body,
    key: tuple[int, int],
    figure: Figures,
    shapes: Capsules,
    order: Array,
    frames: Array,
    size: int,
    photographs: Sequence[Path],
) -> Array:
    """The canvas (4, B, S, S) of `rendering.layered` with patterned clothes, a rich background and light."""
    line = np.arange(size) * (2.0 / (size - 1)) - 1.0
    keys = [(*key, int(video)) for video in figure.names]
    planes = np.stack(
        [photograph(photographs, k, size, size) if photographs else clutter(k, line, line) for k in keys], axis=1
    )
    draws = lighting.draws_of(key, figure.names)
    shapes, cloth = dressed(body, key, figure, shapes, order)
    canvas = layered(planes[:, figure.which], shapes, cloth, lighting.directions(draws)[figure.which])
    light = lighting.shadow(draws, line, line) * lighting.vignette(draws, line, line)
    for i, (which, frame) in enumerate(zip(figure.which, frames, strict=True)):
        lighting.expose(canvas[:3, i], light[which], draws[which], keys[which], int(frame))
    return canvas
