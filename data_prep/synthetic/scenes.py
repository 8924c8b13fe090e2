"""Videos of a whole scene in which a puppet is small and walks about: to try what finds an object and crops to it.

The camera stands still in most videos; in the others it pans, zooms and shakes. Clothes, backgrounds and light are as
those of textured puppets (`puppets.generate`), the poses are the same. A video follows from (category, seed, index of
the video), its pace and the frames picked, on every machine.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_prep.synthetic import lighting
from data_prep.synthetic.bodies import Body
from data_prep.synthetic.cloth import dressed
from data_prep.synthetic.clutter import clutter, photograph
from data_prep.synthetic.posing import Figures, capsules, figures, keypoints, mirrored, visible
from data_prep.synthetic.puppets import CATEGORIES, PACE, PICKED, body_of, check_least, layout
from data_prep.synthetic.rendering import Array, Stream, as_mask, layered, quantised, uniform

SIDES = (640, 480)  # width and height of an image in pixels
LEAST_SIDE = 160
HALF = (32.5, 42.0)  # half the side of a puppet's square in pixels; a person is 1.25 to 1.9 halves tall
ZOOM = 1.15  # the largest
MOVING = 1 / 3  # share of the videos in which the camera moves
PAN = 0.1  # how far it moves to each side, of the width and of the height of the image
SHAKE = 3.0  # pixels to each side
BORDER = 4.0  # pixels between the border of the image's middle square and the square of a puppet
STEPS = {Stream.WALK: 30, Stream.PAN: 30, Stream.ZOOM: 50, Stream.SHAKE: 4}
"""frames from one random place to the next"""
OCTAVES = 7  # of the noise of a background
SMALLEST = 0.04  # radius of the smallest shape of a background, in half images
PAINTED = 2 * 49 + 1  # side in pixels of the part of an image that is painted anew: the puppet and its shadow
SHADOW = (0.55, 0.12)  # half axes of the shadow on the ground, in half sides of the puppet's square
AT_ONCE = 8  # images of a video painted together


@dataclass(frozen=True)
class Scenes:
    """n images of H x W pixels, frames of a video in order."""

    images: Array  # (n, H, W, 3) uint8 RGB
    keypoints: Array  # (n, J, 2) float32 (x, y) in pixels, 0 = center of the first
    visible: Array  # (n, J) bool: not covered by a nearer part of the puppet
    videos: Array  # (n,) int32
    masks: Array  # (n, H, W) uint8, 255 on the object


def generate_wide(
    category: str,
    videos: int,
    frames: int,
    width: int = SIDES[0],
    height: int = SIDES[1],
    seed: int = 0,
    first_video: int = 0,
    every: int = PICKED,
    pace: int = PACE,
    photographs: Sequence[Path] = (),
) -> Scenes:
    """Videos `first_video`, `first_video` + 1, ... of `frames` images of `width` x `height` pixels each.

    Images are picked and move as in `puppets.generate`. A person is 40 to 80 pixels tall, whatever the size of the
    image, and stays in its middle square. Backgrounds come from the image files `photographs`, if there are any. A
    image of 640 x 480 pixels takes 1.2 MB, so take few videos at a time.
    Raises PplkitError for an unknown category, a number out of range, or a photograph that cannot be read.
    """
    joints = len(body_of(category).keypoints)
    check_least(videos=(videos, 1), frames=(frames, 1), first_video=(first_video, 0), every=(every, 1))
    _check(width, height, seed, pace)
    count = videos * frames
    scenes = Scenes(
        np.empty((count, height, width, 3), np.uint8),
        np.empty((count, joints, 2), np.float32),
        np.empty((count, joints), bool),
        np.repeat(np.arange(first_video, first_video + videos, dtype=np.int32), frames),
        np.empty((count, height, width), np.uint8),
    )

    def fill(number: int) -> None:
        film = Film(category, first_video + number, width, height, seed, pace, photographs)
        for first in range(0, frames, AT_ONCE):
            shot = film.shoot(np.arange(first, min(first + AT_ONCE, frames)) * every)
            place = slice(number * frames + first, number * frames + first + len(shot.images))
            for name, array in vars(shot).items():
                getattr(scenes, name)[place] = array

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, range(videos)))
    return scenes


def _check(width: int, height: int, seed: int, pace: int) -> None:
    check_least(width=(width, LEAST_SIDE), height=(height, LEAST_SIDE), seed=(seed, 0), pace=(pace, 1))


class _Camera(NamedTuple):
    """Where the camera looks in each of B images."""

    pan: Array  # (B, 2) pixels of the scene, from its middle
    zoom: Array  # (B,)
    shake: Array  # (B, 2) pixels of the image


class Film:
    """One video of a scene, of which any frames can be had. Parameters are those of `generate_wide`."""

    def __init__(
        self,
        category: str,
        video: int,
        width: int = SIDES[0],
        height: int = SIDES[1],
        seed: int = 0,
        pace: int = PACE,
        photographs: Sequence[Path] = (),
    ) -> None:
        self.body: Body = body_of(category)
        check_least(video=(video, 0))
        _check(width, height, seed, pace)
        self.video, self.pace = video, pace
        self.seed = (CATEGORIES.index(category), seed)
        self.key = (*self.seed, video)
        self.sides = np.array([width, height])
        moving, self.size, mirror, self.dark = uniform((*self.key, Stream.SCENE), 4)
        self.moves = bool(moving < MOVING)
        self.mirrored = bool(mirror < 0.5) and not layout(category).flip_pairs  # others look the same either way
        self.draws = lighting.draws_of(self.seed, np.array([video]))
        spare = np.ceil(self.sides * PAN + SHAKE + 2).astype(int) if self.moves else np.zeros(2, int)
        x, y = ((np.arange(n) - (n - 1) / 2) / (height / 2) for n in self.sides + 2 * spare)
        if photographs:
            planes = photograph(photographs, self.key, len(x), len(y))
        else:
            planes = clutter(self.key, x, y, OCTAVES, SMALLEST)
        self.scene = np.concatenate([planes, lighting.shadow(self.draws, x, y)])  # (4, H, W) with what is spare
        self.corners = lighting.vignette(self.draws, x[spare[0] :][:width], y[spare[1] :][:height])[0]

    def shoot(self, frames: Array) -> Scenes:
        """The frames (B,) int of the video, counted from 0; each is the same whatever the others are."""
        flip = np.full(len(frames), self.mirrored)
        videos = np.full(len(frames), self.video, np.int32)
        figure = mirrored(figures(self.body, self.seed, videos, frames, self.pace), flip)
        camera = self._camera(frames)
        half, centre = self._place(frames, camera)
        corner = np.clip(np.rint(centre).astype(int) - PAINTED // 2, 0, self.sides - PAINTED)
        views = [self._view(camera, i) for i in range(len(frames))]
        parts = [view[:3, y : y + PAINTED, x : x + PAINTED] for view, (x, y) in zip(views, corner, strict=True)]
        canvas = self._painted(np.stack(parts, axis=1), figure, (centre - corner) * (2 / (PAINTED - 1)) - 1, half)
        images = np.empty((len(frames), *self.sides[::-1], 3), np.uint8)
        masks = np.zeros(images.shape[:3], np.uint8)
        for i, ((x, y), view) in enumerate(zip(corner, views, strict=True)):
            planes = view[:3].copy()
            planes[:, y : y + PAINTED, x : x + PAINTED] = canvas[:3, i]
            lighting.expose(planes, view[3] * self.corners, self.draws[0], self.key, int(frames[i]))
            images[i] = quantised(planes[:, None])[0]
            masks[i, y : y + PAINTED, x : x + PAINTED] = as_mask(canvas[3, i])
        points = keypoints(self.body, figure) * half[:, None, None] + centre[:, None]
        seen = visible(self.body, figure.points, figure.radii, figure.depth)
        return Scenes(images, points.astype(np.float32), seen, videos, masks)

    def _camera(self, frames: Array) -> _Camera:
        if not self.moves:
            return _Camera(np.zeros((len(frames), 2)), np.ones(len(frames)), np.zeros((len(frames), 2)))
        pan = self._wander(Stream.PAN, frames, 2) * self.sides * PAN
        zoom = 1.0 + (ZOOM - 1.0) * (0.5 + 0.5 * self._wander(Stream.ZOOM, frames, 1)[:, 0])
        return _Camera(pan, zoom, SHAKE * self._wander(Stream.SHAKE, frames, 2))

    def _place(self, frames: Array, camera: _Camera) -> tuple[Array, Array]:
        """Half the side (B,) of the puppet's square and its center (B, 2), in pixels of the image."""
        largest = ZOOM if self.moves else 1.0
        half = HALF[0] + (HALF[1] / largest - HALF[0]) * self.size
        reach = self.sides.min() / 2 - BORDER - HALF[1]  # never beyond the middle square, which is a crop to compare
        if self.moves:
            reach = (reach - SHAKE) / ZOOM - self.sides * PAN
        walk = self._wander(Stream.WALK, frames, 2) * reach
        centre = (self.sides - 1) / 2 + camera.zoom[:, None] * (walk - camera.pan) + camera.shake
        return half * camera.zoom, centre

    def _wander(self, stream: Stream, frames: Array, channels: int) -> Array:
        """Smooth paths (B, channels) within [-1, 1]: a cubic B-spline over random points."""
        step = STEPS[stream]
        count = int(frames.max()) // step + 4
        knots = uniform((*self.key, stream), count * channels).reshape(count, channels)
        knots = 2.0 * knots * knots * (3.0 - 2.0 * knots) - 1.0  # favours the ends, since a spline keeps off them
        first, t = frames // step, (frames % step / step)[:, None]
        rest, square = 1.0 - t, t * t
        weights = (
            rest * rest * rest,
            3.0 * square * t - 6.0 * square + 4.0,
            3.0 * (t + square - square * t) + 1.0,
            square * t,
        )
        total = np.zeros((len(frames), channels))
        for i, weight in enumerate(weights):
            total = total + weight * knots[first + i]
        return total / 6.0

    def _view(self, camera: _Camera, i: int) -> Array:
        """What the camera sees of the scene (4, H, W), by linear interpolation."""
        if not self.moves:
            return self.scene
        planes = self.scene
        for axis, side in ((1, self.sides[1]), (2, self.sides[0])):
            middle = (self.scene.shape[axis] - 1) / 2
            at = 2 - axis  # y, then x
            place = (
                (np.arange(side) - (side - 1) / 2 - camera.shake[i, at]) / camera.zoom[i] + camera.pan[i, at] + middle
            )
            low = np.floor(place)
            first = low.astype(int)
            blend = (place - low).astype(np.float32)
            before, after = planes.take(first, axis=axis), planes.take(first + 1, axis=axis)
            after -= before
            after *= blend if axis == 2 else blend[:, None]
            before += after
            planes = before
        return planes

    def _painted(self, planes: Array, figure: Figures, centre: Array, half: Array) -> Array:
        """The canvas (4, B, P, P) of puppets over parts of views; `center` in [-1, 1] of the part, `half` in pixels."""
        scale = half * (2 / (PAINTED - 1))
        shapes, order = capsules(self.body, figure)
        planes = self._shaded(planes, shapes.starts, shapes.radii, centre, scale)
        shapes, cloth = dressed(self.body, self.seed, figure, shapes, order)
        across, down = scale[:, None, None], centre[:, None]
        shapes = shapes._replace(
            starts=(shapes.starts * across + down).astype(np.float32),
            ends=(shapes.ends * across + down).astype(np.float32),
            radii=(shapes.radii * across).astype(np.float32),
            rims=(shapes.rims * scale[:, None]).astype(np.float32),
        )
        light = np.repeat(lighting.directions(self.draws), len(half), axis=0)
        return layered(planes, shapes, cloth, light)

    def _shaded(self, planes: Array, starts: Array, radii: Array, centre: Array, scale: Array) -> Array:
        """The planes with a soft shadow on the ground, below the lowest part of the puppet."""
        line = np.arange(PAINTED) * (2 / (PAINTED - 1)) - 1
        middle = (starts[..., 0].min(axis=1) + starts[..., 0].max(axis=1)) / 2
        lowest = (starts[..., 1] + radii[..., 0]).max(axis=1)
        x = (line - (middle * scale + centre[:, 0])[:, None]) / (SHADOW[0] * scale)[:, None]
        y = (line - (lowest * scale + centre[:, 1])[:, None]) / (SHADOW[1] * scale)[:, None]
        near = np.maximum(0.0, 1.0 - (x * x)[:, None, :] - (y * y)[:, :, None]).astype(np.float32)
        return planes * (1 - np.float32(0.2 + 0.5 * self.dark) * near)
