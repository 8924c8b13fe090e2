"""Gait: feet that stay on their footprints while they bear the body, and swing to the next ones in between."""

from dataclasses import dataclass

import numpy as np

from data_prep.synthetic.motion_bodies import ANKLE_HEIGHT, LEFT, RIGHT, Bodies
from data_prep.synthetic.motion_poses import arm_curves, trunk_curves
from data_prep.synthetic.motion_upright import pelvis_rotation, standing_body


@dataclass(frozen=True, eq=False)
class Stride:
    """How B bodies go; all values are (B, 1)."""

    run: np.ndarray  # whether they run
    speed: np.ndarray  # meters a second
    cadence: np.ndarray  # steps of one foot a second
    course: np.ndarray  # radians from where they face to where they go
    turning: np.ndarray  # radians a second, never 0
    bear: np.ndarray  # fraction of a foot's cycle for which it bears the body
    start: np.ndarray  # phase of the left foot in the first frame, in [0, 1)

    def place(self, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position (B, F, 2) on the floor as (x, z), and heading (B, F), at times: on a circle, mostly a wide one."""
        heading = self.turning * time
        angle = heading + self.course
        radius = self.speed / self.turning
        x, z = np.cos(self.course) - np.cos(angle), np.sin(angle) - np.sin(self.course)
        return np.stack([radius * x, radius * z], -1), heading


def random_strides(rng: np.random.Generator, bodies: Bodies, held_out: bool) -> Stride:
    """A third run, half turn; held out, most go backwards or sideways."""
    shape = (len(bodies.hip), 1)
    run = rng.random(shape) < 0.35
    speed = np.where(run, rng.uniform(1.5, 4.0, shape), rng.uniform(0.2, 1.7, shape)) * np.sqrt(bodies.leg / 0.85)
    cadence = np.where(run, rng.uniform(1.2, 1.6, shape), 0.45 + 0.33 * speed + rng.uniform(-0.1, 0.15, shape))
    course = rng.choice([np.pi, np.pi / 2, -np.pi / 2, 0.5], shape) if held_out else np.zeros(shape)
    turning = rng.normal(0, 0.5, shape) * (rng.random(shape) < 0.5)
    return Stride(
        run=run,
        speed=speed * np.where(np.abs(course) > 1, 0.4, 1),
        cadence=cadence,
        course=course,
        turning=np.where(np.abs(turning) < 0.01, 0.01, turning),
        bear=np.where(run, rng.uniform(0.3, 0.42, shape), rng.uniform(0.56, 0.66, shape)),
        start=rng.uniform(0, 1, shape),
    )


def _footsteps(rng: np.random.Generator, bodies: Bodies, stride: Stride, seconds: np.ndarray) -> np.ndarray:
    """Ankles (B, F, 2, 3). A footprint lies where the body is in the middle of the time for which the foot bears it."""
    shape = stride.run.shape
    width = rng.uniform(0.3, 1.1, shape) * bodies.hip * np.where(stride.run, 0.6, 1)
    lift = np.where(stride.run, rng.uniform(0.15, 0.45, shape), rng.uniform(0.05, 0.18, shape))
    ankles = []
    for side in (LEFT, RIGHT):
        phase = stride.cadence * seconds + stride.start + 0.5 * side
        cycle = np.floor(phase)
        swing = np.clip((phase - cycle - stride.bear) / (1 - stride.bear), 0, 1)
        prints = []
        for step in (0, 1):
            time = (cycle + step + stride.bear / 2 - stride.start - 0.5 * side) / stride.cadence
            spot, heading = stride.place(time)
            beside = np.stack([np.cos(heading), -np.sin(heading)], -1) * (width * (1 - 2 * side))[..., None]
            prints.append(spot + beside)
        share = (swing**2 * (3 - 2 * swing))[..., None]
        floor = (1 - share) * prints[0] + share * prints[1]
        height = ANKLE_HEIGHT + lift * np.sin(np.pi * swing ** np.where(stride.run, 0.7, 0.8)) ** 1.3
        ankles.append(np.stack([floor[..., 0], height, floor[..., 1]], -1))
    return np.stack(ankles, 2)


def gait(rng: np.random.Generator, bodies: Bodies, seconds: np.ndarray, held_out: bool) -> np.ndarray:
    """Windows (B, F, 17, 3) of walking, running, sneaking and, held out, going backwards and sideways.

    In meters, y up, the floor at 0. A foot bears for 60 % (walking) to 35 % (running) of its cycle.
    """
    shape = (len(bodies.hip), 1)
    stride = random_strides(rng, bodies, held_out)
    run, speed = stride.run, stride.speed
    ankles = _footsteps(rng, bodies, stride, seconds)
    crouch = np.where(rng.random(shape) < 0.2, rng.uniform(0.75, 0.93, shape), rng.uniform(0.94, 0.985, shape))
    crouch = np.where(run, np.minimum(crouch, 0.93), crouch)
    spot, heading = stride.place(seconds[None])
    phase = 2 * np.pi * (stride.cadence * seconds + stride.start - stride.bear / 2)  # 0 where the left foot bears
    bob = np.where(run, -0.045, 0.015 + 0.01 * speed) * np.cos(2 * phase)
    height = ANKLE_HEIGHT + crouch * bodies.leg - np.where(run, 0.02, 0.025) + bob
    sway = np.where(run, 0.015, 0.03) * np.cos(phase)
    hips = np.stack([spot[..., 0] + sway * np.cos(heading), height, spot[..., 1] - sway * np.sin(heading)], -1)
    swing = np.sin(phase)
    lean = np.where(run, 0.04 + 0.05 * speed, 0.03 * speed) * np.cos(stride.course) + (1 - crouch) * 1.2
    pelvis = pelvis_rotation(heading - 0.1 * swing, 0.4 * lean + 0 * heading, 0.04 * np.cos(phase))
    interval = rng.uniform(0.5, 1.5, shape)
    trunk = 0.6 * trunk_curves(rng, seconds, interval, held_out) * (rng.random((*shape, 1)) < 0.6)
    trunk[..., 0] += 0.6 * lean
    trunk[..., 1] += 0.2 * swing
    free = rng.random((*shape, 1, 1)) < 0.35
    arms = np.where(free, arm_curves(rng, seconds, interval, held_out), _swinging_arms(rng, swing, run, speed))
    toe_out = rng.uniform(-0.05, 0.35, shape)
    return standing_body(bodies, hips, pelvis, ankles, toe_out, trunk, arms)


def _swinging_arms(rng: np.random.Generator, swing: np.ndarray, run: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """Arms (B, F, 2, 4) that swing against the legs."""
    amount = rng.uniform(0.5, 1.4, run.shape) * np.where(run, 0.7, 0.15 + 0.25 * speed)
    bend = np.where(run, rng.uniform(1.2, 1.9, run.shape), rng.uniform(0.15, 0.7, run.shape))
    out = rng.uniform(0.05, 0.25, run.shape)
    arms = []
    for sign in (1, -1):
        forward = sign * amount * swing + np.where(run, -0.15, 0.02)
        elevation = np.sqrt(forward**2 + out**2)
        arms.append(
            np.stack([elevation, np.arctan2(forward, out), 0 * forward, bend + 0.3 * np.maximum(forward, -0.3)], -1)
        )
    return np.stack(arms, 2).astype(np.float32)
