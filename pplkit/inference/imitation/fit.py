"""Imitation by a fit: the root's path and the rotations of all parts of a rigid body, over the whole clip at once.

The fit minimizes squared errors, each divided by its usual size. Data: joints without what all of them have in common,
and, with less trust, that common shift, since lifters know the pose better than the place of the body. Motion: the
acceleration of joints. Contact: feet that touch the floor stand at one place at its height. Ground: nothing below it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.core.words import choice
from pplkit.geometry.plausibility import HORIZONTAL, UP
from pplkit.inference.imitation.body import Body, Joints, body_of, local_rotations, part_rotations, turned
from pplkit.inference.imitation.clip import Clip, Imitation
from pplkit.inference.imitation.contact import smoothed

NEAREST = 0.3  # meters, the least distance of a joint from the camera


@dataclass(frozen=True)
class Sizes:
    """Usual sizes of what is minimized: the smaller, the more it counts."""

    pose: float = 0.025  # meters, of a joint's error without the common shift
    shift: float = 0.06  # meters, of the common shift
    shift_speed: float = 0.2  # m/s, with which it changes
    acceleration: float = 10.0  # m/s² of joints
    turning: float = 40.0  # radians/s² of parts
    slide: float = 0.03  # m/s of a foot that touches
    height: float = 0.015  # meters of a foot that touches, from its height when standing
    ground: float = 0.01  # meters below the ground
    knee: float = 0.05  # sine of a knee that bends backwards
    length: float = 0.02  # meters, of a bone against its median
    # with `sight`
    across: float = 0.012  # meters, of a joint's error across its line of sight
    along: float = 0.1  # meters, of its error along that, without the common shift
    distance: float = 0.3  # meters, of the common shift along the lines of sight
    distance_speed: float = 0.5  # m/s, with which that changes


SIGHTED = Sizes(slide=0.095, height=0.047)  # gravity and floor of single views are surer to be wrong than keypoints


def imitate_clip(
    clip: Clip, *, iterations: int = 300, sizes: Sizes | Mapping[str, float] | None = None, sight: bool = False
) -> Imitation:
    """The clip fitted by at most `iterations` of L-BFGS, in double precision, from smoothed joints.

    With `sight`, for joints in camera space whose x / z and y / z are those of their keypoints, errors across lines of
    sight are small, errors along them large and partly common, as those of single views are.

    Arrays of the result: `rotations` (T, P, 3, 3) of the parts against the parts that carry them, the root's against
    the world; `parts` (P,), the joint in which each turns; `offsets` (J, 3) of the joints in the axes of their parts.
    Raises PplkitError for an unknown size, and for `sight` of motion that is not in camera space.
    """
    usual = SIGHTED if sight else Sizes()
    if isinstance(sizes, Mapping):
        if unknown := [name for name in sizes if name not in vars(usual)]:
            raise PplkitError(f"size {unknown[0]!r} of the fit is unknown: {choice(unknown[0], sorted(vars(usual)))}.")
        sizes = replace(usual, **sizes)
    if sight and not clip.sighted:
        raise PplkitError("sight=True is a setting for motion in camera space: leave it out for motion in the world.")
    fit = Fit(clip, body_of(clip.points, clip.skeleton), sizes or usual, sight)
    body = fit.body
    root, rotations, offsets = fit.solve(iterations)
    points = fit.joints(root, rotations, offsets).numpy()
    local = local_rotations(body, rotations.numpy())
    arrays = {"rotations": local, "offsets": offsets.numpy(), "parts": np.array(body.parts)}
    return Imitation(points, {"fit_cost": fit.cost}, arrays)


class Fit:
    """The fit of one clip."""

    def __init__(self, clip: Clip, body: Body, sizes: Sizes, sight: bool = False) -> None:
        self.clip, self.body, self.sizes, self.sight = clip, body, sizes, sight
        self.joints = Joints(body)
        start = smoothed(clip.points, clip.fps)
        self.data, self.weight = torch.from_numpy(clip.points), torch.from_numpy(clip.weight)[..., None]
        self.root = torch.from_numpy(start[:, clip.skeleton.root].copy())
        self.rotations = torch.from_numpy(part_rotations(body, start))
        self.offsets = torch.from_numpy(body.offsets)
        self.contact = torch.from_numpy(clip.contact)
        self.cost = float("nan")

    def solve(self, iterations: int) -> tuple[Tensor, Tensor, Tensor]:
        """The root (T, 3), rotations (T, P, 3, 3) and offsets (J, 3) of the fit."""
        shape = self.rotations.shape[:2]
        unknown = [
            torch.zeros(size, dtype=torch.float64) for size in (self.root.shape, (*shape, 3), self.offsets.shape)
        ]
        for value in unknown:
            value.requires_grad_()
        search = torch.optim.LBFGS(
            unknown, max_iter=iterations, history_size=20, line_search_fn="strong_wolfe", tolerance_change=1e-9
        )

        def evaluate() -> Tensor:
            search.zero_grad()
            cost = self.objective(*self.state(*unknown))
            cost.backward()  # type: ignore[no-untyped-call]
            return cost

        search.step(evaluate)  # type: ignore[no-untyped-call,arg-type]
        with torch.no_grad():
            state = self.state(*unknown)
            self.cost = float(self.objective(*state))
        return state

    def state(self, root: Tensor, vectors: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Root, rotations and offsets from their differences to the start; left and right become mirror images."""
        offsets = self.offsets + offsets
        flipped = offsets[self.body.skeleton.mirror] * torch.tensor([-1.0, 1, 1], dtype=torch.float64)
        offsets = torch.where(torch.from_numpy(self.body.symmetric)[:, None], (offsets + flipped) / 2, offsets)
        return self.root + root, turned(self.rotations, vectors), offsets

    def objective(self, root: Tensor, rotations: Tensor, offsets: Tensor) -> Tensor:
        """Half the sum of all squared errors in their usual sizes, per frame."""
        sizes, fps, clip = self.sizes, self.clip.fps, self.clip
        points = self.joints(root, rotations, offsets)
        feet = points[:, clip.legs[:, 2]]
        both = self.contact[1:] * self.contact[:-1]
        lengths = offsets.norm(dim=-1) - self.offsets.norm(dim=-1)
        low = (clip.rest - feet[..., UP]).clamp(min=0)
        terms = [
            *(self.sight_terms(points) if self.sight else self.data_terms(points)),
            (torch.diff(points, 2, dim=0) * fps**2 / sizes.acceleration).square(),
            (torch.diff(rotations, 2, dim=0) * fps**2 / sizes.turning).square(),
            (torch.diff(feet, dim=0)[..., HORIZONTAL] * fps / sizes.slide).square() * both[..., None],
            ((feet[..., UP] - clip.rest) / sizes.height).square() * self.contact,
            (low / sizes.ground).square(),
            (points[..., UP].clamp(max=0) / sizes.ground).square(),
            (backward_bend(points, clip.legs) / sizes.knee).square(),
            (lengths / sizes.length).square(),
        ]
        return torch.stack([term.sum() for term in terms]).sum() / (2 * len(points))

    def data_terms(self, points: Tensor) -> list[Tensor]:
        """Squares of errors of joints (T, J, 3): without what all have in common, that, and its changes."""
        sizes, error = self.sizes, points - self.data
        shift = self._common(error)
        return [
            robust((error - shift) / sizes.pose) * self.weight,
            (shift / sizes.shift).square(),
            (torch.diff(shift, dim=0) * self.clip.fps / sizes.shift_speed).square(),
        ]

    def sight_terms(self, points: Tensor) -> list[Tensor]:
        """The same where the camera is known: across lines of sight joints are sure, along them they have a shift."""
        sizes, rotation = self.sizes, torch.from_numpy(self.clip.rotation)
        floor = torch.tensor([0, self.clip.height, 0], dtype=points.dtype)
        made, given = (points + floor) @ rotation, (self.data + floor) @ rotation
        across = made[..., :2] - made[..., 2:] * (given[..., :2] / given[..., 2:].clamp(min=NEAREST))
        along = made[..., 2:] - given[..., 2:]
        shift = self._common(along)
        scaled = torch.cat([across / sizes.across, (along - shift) / sizes.along], -1)
        return [
            robust(scaled) * self.weight,
            (shift / sizes.distance).square(),
            (torch.diff(shift, dim=0) * self.clip.fps / sizes.distance_speed).square(),
        ]

    def _common(self, error: Tensor) -> Tensor:
        """The mean (T, 1, C) of errors (T, J, C) over the joints."""
        return (error * self.weight).sum(1, keepdim=True) / self.weight.sum(1, keepdim=True).clamp(min=1e-3)


def robust(error: Tensor) -> Tensor:
    """Squares (..., 1) of errors (..., 3) in their usual size, growing ever less above 3 (Geman and McClure, 1985)."""
    square = error.square().sum(-1, keepdim=True)
    return square / (1 + square / 27)


def backward_bend(points: Tensor, legs: np.ndarray) -> Tensor:
    """How far, as a sine, the knees (T, 2) of joints (T, J, 3) bend to the back; 0 for those that bend to the front."""
    hip, knee, ankle = (points[:, legs[:, part]] for part in range(3))
    left = torch.nn.functional.normalize(hip[:, :1] - hip[:, 1:], dim=-1)
    thigh, shin = (torch.nn.functional.normalize(bone, dim=-1) for bone in (knee - hip, ankle - knee))
    return (-(torch.linalg.cross(thigh, shin) * left).sum(-1)).clamp(min=0)
