"""Motion on the feet: standing, crouching, bending and kicking on planted feet, and jumps.

Each rule makes windows (B, F, 17, 3) in meters, y up, the floor at 0, people facing z.
"""

import numpy as np

from data_prep.synthetic.motion_bodies import (
    ANKLE_HEIGHT,
    LEFT,
    RIGHT,
    Bodies,
    hip_joints,
    reaching_legs,
    set_legs,
    swung_legs,
    upper_body,
)
from data_prep.synthetic.motion_poses import arm_curves, curves, key_count, leg_curves, trunk_curves
from pplkit.geometry.kinematics import axis_rotation

GRAVITY = 9.81  # m/s²
TAKE_OFF = 0.985  # height of the hips when the feet leave the floor, in lengths of the leg


def planted(rng: np.random.Generator, bodies: Bodies, seconds: np.ndarray, held_out: bool) -> np.ndarray:
    """Feet that stay in place while the body sways, turns, bends and crouches; a third raise a leg meanwhile."""
    count = len(bodies.hip)
    interval = rng.uniform(0.25, 1.1, (count, 1)) * (1.3 if held_out else 1)
    keys = (count, key_count(seconds, interval))
    upright = rng.uniform(0.94, 0.995, keys)
    deep = np.where(rng.random(keys) < 0.6, rng.uniform(0.3, 0.9, keys), upright)
    deep = np.where(rng.random((count, 1)) < 0.4, deep, upright)
    values = rng.normal(0, 1, (*keys, 6)) * [0.05, 0.04, 0.25, 0.06, 0.3, 1]
    raised = (rng.random((count, 1)) < 0.35) & (rng.random(keys) < 0.5)
    motion = curves(
        rng, np.stack([deep, raised, *np.moveaxis(values, -1, 0)], -1).astype(np.float32), seconds, interval
    )
    height, lifted, sway_x, sway_z, yaw, roll, pitch, _ = np.moveaxis(motion, -1, 0)
    lifted = np.clip(lifted, 0, 1)
    trunk = trunk_curves(rng, seconds, interval, held_out)
    pitch = np.clip(pitch * 0.18 + 0.4 * np.maximum(trunk[..., 0] - 0.15, 0) + (1 - height) * 0.5, -0.2, 1.1)
    side = np.where(rng.random((count, 1)) < 0.5, 1, -1)  # 1 where the right leg is raised

    width = rng.uniform(0.6, 2.6, (count, 1)) * bodies.hip
    stagger = rng.normal(0, 0.1, (count, 1))
    feet = np.zeros((count, 1, 2, 3), np.float32)
    feet[..., LEFT, :] = np.stack([width, 0 * width + ANKLE_HEIGHT, stagger], -1)
    feet[..., RIGHT, :] = np.stack([-width, 0 * width + ANKLE_HEIGHT, -stagger], -1)
    # Over the standing foot while the other is in the air, and backwards when the trunk goes forward.
    x = sway_x * np.minimum(width / bodies.hip, 1.5) + lifted * side * width * 0.8
    z = sway_z - 0.22 * np.sin(pitch) + lifted * side * stagger
    height = np.maximum(height, lifted * 0.85)
    reach = np.sqrt(np.maximum((0.99 * bodies.leg) ** 2 - (width - bodies.hip) ** 2, 0.3**2))
    hips = np.stack([x, ANKLE_HEIGHT + height * reach, z], -1).astype(np.float32)
    pelvis = pelvis_rotation(yaw, pitch, roll)
    joints = hip_joints(bodies, hips, pelvis)
    legs = leg_curves(rng, seconds, interval, held_out)
    in_air = swung_legs(bodies, joints, pelvis, legs)[..., 1, :]
    in_air[..., 1] = np.maximum(in_air[..., 1], ANKLE_HEIGHT)
    share = np.stack([lifted * (side < 0), lifted * (side > 0)], -1)[..., None]
    ankles = (1 - share) * feet + share * in_air
    arms = arm_curves(rng, seconds, interval, held_out)
    return standing_body(bodies, hips, pelvis, ankles, rng.uniform(-0.1, 0.6, (count, 1)), trunk, arms)


def pelvis_rotation(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Rotations (B, F, 3, 3) from angles (B, F) in radians: to the left, forward, to the right side."""
    turn = axis_rotation(yaw, 1) @ axis_rotation(pitch, 0) @ axis_rotation(roll, 2)
    return turn.astype(np.float32)


def standing_body(
    bodies: Bodies,
    hips: np.ndarray,
    pelvis: np.ndarray,
    ankles: np.ndarray,
    toe_out: np.ndarray,
    trunk: np.ndarray,
    arms: np.ndarray,
) -> np.ndarray:
    """Windows (B, F, 17, 3) of bodies on legs that reach for ankles (B, F, 2, 3); else as `upper_body`."""
    positions = np.empty((*hips.shape[:2], 17, 3), np.float32)
    hips = hips.astype(np.float32)
    upper_body(positions, bodies, hips, pelvis, trunk, arms)
    joints = hip_joints(bodies, hips, pelvis)
    set_legs(positions, joints, reaching_legs(bodies, joints, pelvis, ankles.astype(np.float32), toe_out))
    return positions


def _flight(rng: np.random.Generator, leg: np.ndarray, seconds: np.ndarray) -> tuple[np.ndarray, ...]:
    """Height of the hips above the ankles (B, F), progress in the air and of the whole jump, seconds in the air."""
    count = len(leg)
    durations = rng.uniform([0.2, 0.12, 0.2, 0.1, 0.25], [0.5, 0.3, 0.62, 0.25, 0.6], (count, 5))
    times = np.concatenate([np.zeros((count, 1)), np.cumsum(durations, 1)], 1)
    stand, crouch, soft = np.split(rng.uniform([0.93, 0.5, 0.5], [0.985, 0.88, 0.92], (count, 3)), 3, 1)
    flight = durations[:, 2:3]
    heights = leg * np.concatenate([stand, crouch, 0 * stand + TAKE_OFF, 0 * stand + TAKE_OFF - 0.03, soft, stand], 1)
    velocity = GRAVITY * flight / 2
    slopes = np.concatenate([0 * stand, 0 * stand, velocity, -velocity, 0 * stand, 0 * stand], 1)
    time = seconds + rng.uniform(-0.2, np.maximum(times[:, -1:] + 0.2 - seconds[-1], 0.1), (count, 1))
    air = np.clip((time - times[:, 2:3]) / flight, 0, 1)
    moved = np.clip((time - times[:, 1:2]) / (times[:, 4:5] - times[:, 1:2]), 0, 1)
    return _hermite(time, times, heights, slopes), air, moved**2 * (3 - 2 * moved), flight


def jump(rng: np.random.Generator, bodies: Bodies, seconds: np.ndarray, held_out: bool) -> np.ndarray:
    """A crouch, a flight along a parabola, a landing; some turn in the air, move on, spread or tuck their legs."""
    leg, shape = bodies.leg, (len(bodies.hip), 1)
    height, air, moved, flight = _flight(rng, leg, seconds)
    eased = air**2 * (3 - 2 * air)
    turn = rng.uniform(-1, 1, shape) * np.where(rng.random(shape) < 0.3, np.pi * (1.3 if held_out else 1), 0.2)
    far = rng.uniform(-0.2, 0.9, shape) * flight / 0.5
    tuck = np.sin(np.pi * air) * rng.uniform(0, 0.5, shape) * (rng.random(shape) < 0.5)
    before, after = (
        np.where(rng.random(shape) < 0.3, rng.uniform(1, 3.8, shape), rng.uniform(0.7, 1.5, shape)) for _ in range(2)
    )
    width = ((1 - eased) * before + eased * after) * bodies.hip
    spread = np.sqrt(np.maximum(1 - ((width - bodies.hip) / leg) ** 2, 0.3))
    crouching = np.clip(1 - height / leg, 0, 0.6)
    lean = crouching * rng.uniform(0.5, 1.4, shape)
    hips = np.stack([0 * height, ANKLE_HEIGHT + height * spread, far * moved - 0.25 * crouching], -1)
    lifted = ANKLE_HEIGHT + 0.98 * np.maximum(height - leg * TAKE_OFF, 0) + 0.6 * tuck * leg
    x, z = width * np.cos(turn * eased), width * np.sin(turn * eased)
    ankles = np.stack([np.stack([sign * x, lifted, far * eased - sign * z], -1) for sign in (1, -1)], 2)
    trunk = 0.5 * trunk_curves(rng, seconds, rng.uniform(0.4, 1.2, shape), held_out)
    trunk[..., 0] += lean
    arms = arm_curves(rng, seconds, rng.uniform(0.3, 0.7, shape), held_out)
    raised = 0.4 + 2.3 * np.clip(moved * 1.6, 0, 1) - 1.8 * moved**4
    swung = np.stack([raised, 1.2 + 0 * moved, 0 * moved, 0.4 + 0 * moved], -1)
    arms = np.where(rng.random((*shape, 1, 1)) < 0.6, swung[:, :, None], arms).astype(np.float32)
    pelvis = pelvis_rotation(turn * moved, 0.6 * lean, 0 * lean)
    return standing_body(bodies, hips, pelvis, ankles, rng.uniform(0, 0.5, shape), trunk, arms)


def _hermite(time: np.ndarray, knots: np.ndarray, values: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Cubic pieces (B, F) between knots (B, K) with their values and slopes; constant outside."""
    piece = np.clip((time[..., None] >= knots[:, None]).sum(-1) - 1, 0, knots.shape[1] - 2)
    row = np.arange(len(knots))[:, None]
    length = knots[row, piece + 1] - knots[row, piece]
    u = np.clip((time - knots[row, piece]) / length, 0, 1)
    start, end = values[row, piece], values[row, piece + 1]
    out, into = slopes[row, piece] * length, slopes[row, piece + 1] * length
    return (
        (1 + 2 * u) * (1 - u) ** 2 * start + u * (1 - u) ** 2 * out + u**2 * (3 - 2 * u) * end + u**2 * (u - 1) * into
    )
