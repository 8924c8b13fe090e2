"""Motion that the floor carries at any part of the body: lying, sitting, kneeling, crawling, getting up, rolls, flips.

Each rule makes windows (B, F, 17, 3) in meters, y up, the floor at 0.
"""

import numpy as np

from data_prep.synthetic.motion_bodies import RADIUS, Bodies, hip_joints, set_legs, swung_legs, upper_body
from data_prep.synthetic.motion_poses import arm_curves, curves, key_count, leg_curves, trunk_curves
from pplkit.geometry.kinematics import axis_rotation

# From the face up to standing, and from the face down to standing; neighbors follow one another. Degrees: pitch of the
# pelvis, roll about the spine; bend of the trunk, nod; arms elevation, direction, turn, elbow; legs forward, outward,
# turn, knee. Elevated arms of a body that lies on its front point down to the floor.
STAGES = np.array(
    [
        [(-90, 0, 0, 10, 25, 10, 0, 20, 3, 8, 10, 5), (-75, 0, 25, 20, 40, -30, 0, 50, 30, 10, 0, 50),
         (-25, 0, 25, 10, 35, -30, 0, 20, 75, 15, 10, 40), (-20, 0, 40, 0, 50, 70, 0, 40, 100, 20, 20, 110),
         (25, 0, 30, -10, 60, 80, 0, 30, 105, 25, 15, 125), (10, 0, 10, 0, 25, 60, 0, 25, 30, 10, 5, 45),
         (0, 0, 5, 0, 10, 20, 0, 12, 0, 4, 3, 5)],
        [(90, 0, 0, -15, 130, 20, 0, 90, 0, 10, 10, 5), (75, 0, -8, -20, 75, 80, 0, 25, -5, 6, 0, 5),
         (75, 0, 5, -25, 85, 85, 0, 10, 85, 8, 0, 90), (35, 0, 20, -10, 50, 70, 0, 30, 75, 10, 0, 110),
         (3, 0, 5, 0, 20, 30, 0, 40, 10, 8, 0, 95), (25, 0, 20, 0, 50, 80, 0, 50, 80, 15, 5, 95),
         (0, 0, 5, 0, 10, 20, 0, 12, 0, 4, 3, 5)],
    ],
    np.float32,
)  # fmt: skip
CONTACT_DEPTH = 0.02  # meters above the lowest joint within which others bear as well


def lying(rng: np.random.Generator, bodies: Bodies, seconds: np.ndarray, held_out: bool) -> np.ndarray:
    """Stages between lying and standing: one that is kept with changes, or several in their order; also rolling."""
    count = len(bodies.hip)
    interval = rng.uniform(0.4, 1.3, (count, 1))
    keys = key_count(seconds, interval)
    way = rng.integers(2, size=(count, 1))
    direction = rng.choice([-1, 1], (count, 1))
    moves = rng.random((count, keys)) < np.where(rng.random((count, 1)) < 0.5, 0.75, 0.08)
    stage = rng.integers(0, 6, (count, 1)) + np.cumsum(direction * moves, 1)
    last = STAGES.shape[1] - 1
    stage = last - np.abs(last - stage % (2 * last))  # turns at both ends
    pose = STAGES[way, stage] + rng.normal(0, 9, (count, keys, 12))
    low = (way + 0 * stage == 0) & (stage <= 1)
    # Lying bodies turn onto their sides and over; sitting ones do not.
    turn = rng.normal(0, 1, (count, 1)) * np.where(rng.random((count, 1)) < 0.4, 80, 12)
    spin = np.cumsum(rng.normal(0, 25, (count, keys)), 1) * (rng.random((count, 1)) < 0.3)
    pose[..., 1] += np.where(low | (stage == 0), turn + spin, 0)
    sides = rng.normal(0, 12, (count, keys, 2, 8)) + pose[..., None, 4:]
    loose = rng.random((count, 1, 2, 1)) < 0.2
    sides[..., 4:] += np.where(loose, rng.normal(0, 20, (count, keys, 2, 4)), 0)
    sides[..., :4] += np.where(rng.random((count, 1, 2, 1)) < 0.3, rng.normal(0, 35, (count, keys, 2, 4)), 0)
    sides = np.clip(sides, [0, -70, -80, 2, -25, -8, -30, 2], [175, 125, 50, 145, 120, 60, 40, 145])
    everything = np.concatenate([pose[..., :4], sides.reshape(count, keys, 16)], -1)
    motion = np.radians(curves(rng, everything.astype(np.float32), seconds, interval))
    limbs = motion[..., 4:].reshape(count, len(seconds), 2, 8)
    trunk = 0.5 * trunk_curves(rng, seconds, interval, held_out)
    trunk[..., 0] = 0.3 * trunk[..., 0] + motion[..., 2]
    trunk[..., 3] = 0.5 * trunk[..., 3] + motion[..., 3]
    pelvis = axis_rotation(motion[..., 0], 0) @ axis_rotation(motion[..., 1], 1)
    return _carried(bodies, pelvis, trunk, limbs[..., :4], limbs[..., 4:], seconds)


def tumbling(rng: np.random.Generator, bodies: Bodies, seconds: np.ndarray, held_out: bool) -> np.ndarray:
    """Rolls, flips and cartwheels: whole turns about one axis, tucked or stretched, on the floor or in the air."""
    count = len(bodies.hip)

    def uniform(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (count, 1))

    sideways = rng.random((count, 1)) < (0.6 if held_out else 0.4)
    duration = uniform(0.7, 1.6)
    phase = np.clip((seconds - uniform(-0.6, 0.5)) / duration, 0, 1)
    eased = phase**2 * (3 - 2 * phase)
    angle = 2 * np.pi * eased * rng.choice([-1, 1], (count, 1))
    pelvis = np.where(sideways[..., None, None], axis_rotation(angle, 2), axis_rotation(angle, 0))
    pelvis = (axis_rotation(uniform(-0.5, 0.5) * eased, 1) @ pelvis).astype(np.float32)
    middle = np.sin(np.pi * phase)
    tuck = np.where(sideways, 0.25, uniform(0.4, 1)) * middle
    trunk = 0.4 * trunk_curves(rng, seconds, uniform(0.4, 1), held_out)
    trunk[..., 0] += tuck * 1.0
    trunk[..., 3] += tuck * 0.5
    arms, legs = (
        arm_curves(rng, seconds, uniform(0.4, 1), held_out),
        leg_curves(rng, seconds, uniform(0.3, 0.9), held_out),
    )
    up = np.array([2.7, 0.6, 0, 0.15], np.float32)
    around = np.array([1.0, 1.5, -0.3, 1.5], np.float32)
    weight = middle[..., None, None]
    arms = (1 - weight) * arms + weight * np.where(sideways[..., None, None], up, around)
    spread, tucked = np.array([0.1, 0.75, 0, 0.15], np.float32), np.array([1.9, 0.15, 0, 2.2], np.float32)
    stand = np.array([0.1, 0.06, 0, 0.15], np.float32)
    shape = np.where(sideways[..., None, None], spread, stand + tuck[..., None, None] * (tucked - stand))
    loose = 0.25 * middle[..., None, None]
    legs = (1 - weight) * stand + weight * ((1 - loose) * shape + loose * legs)
    flight = np.where(rng.random((count, 1)) < np.where(sideways, 0.3, 0.6), uniform(0.2, 0.7), 0)
    return _carried(bodies, pelvis, trunk, arms.astype(np.float32), legs.astype(np.float32), seconds, flight * middle)


def _carried(
    bodies: Bodies,
    pelvis: np.ndarray,
    trunk: np.ndarray,
    arms: np.ndarray,
    legs: np.ndarray,
    seconds: np.ndarray,
    height: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Bodies that lie on the floor with their lowest joints, which do not slide, or are `height` (B, F) above it."""
    hips = np.zeros((*pelvis.shape[:2], 3), np.float32)
    positions = np.empty((*hips.shape[:2], 17, 3), np.float32)
    upper_body(positions, bodies, hips, pelvis, trunk, arms)
    joints = hip_joints(bodies, hips, pelvis)
    set_legs(positions, joints, swung_legs(bodies, joints, pelvis, legs))
    above = positions[..., 1] - RADIUS
    lowest = above.min(-1, keepdims=True)
    bearing = np.exp((lowest - above) / CONTACT_DEPTH)[..., None]
    bearing /= bearing.sum(2, keepdims=True)
    slide = np.diff(positions, axis=1, prepend=positions[:, :1]) * bearing
    shift = -np.cumsum(slide.sum(2), axis=1)
    shift[..., 1] = -lowest[..., 0] + height
    return positions + shift[:, :, None]
