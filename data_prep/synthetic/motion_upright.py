"""Motion on the feet: standing, crouching, bending and kicking on planted feet, gait with footprints, jumps.

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
UP = np.array([0, 1, 0], np.float32)


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
    pelvis = _pelvis(yaw, pitch, roll)
    joints = hip_joints(bodies, hips, pelvis)
    legs = leg_curves(rng, seconds, interval, held_out)
    in_air = swung_legs(bodies, joints, pelvis, legs)[..., 1, :]
    in_air[..., 1] = np.maximum(in_air[..., 1], ANKLE_HEIGHT)
    share = np.stack([lifted * (side < 0), lifted * (side > 0)], -1)[..., None]
    ankles = (1 - share) * feet + share * in_air
    toe_out = rng.uniform(-0.1, 0.6, (count, 1))
    return _assemble(rng, bodies, hips, pelvis, ankles, toe_out, trunk, seconds, interval, held_out)


def _pelvis(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    turn = axis_rotation(yaw, 1) @ axis_rotation(pitch, 0) @ axis_rotation(roll, 2)
    return turn.astype(np.float32)


def _assemble(
    rng: np.random.Generator,
    bodies: Bodies,
    hips: np.ndarray,
    pelvis: np.ndarray,
    ankles: np.ndarray,
    toe_out: np.ndarray,
    trunk: np.ndarray,
    seconds: np.ndarray,
    interval: np.ndarray,
    held_out: bool,
    arms: np.ndarray | None = None,
) -> np.ndarray:
    positions = np.empty((*hips.shape[:2], 17, 3), np.float32)
    arms = arm_curves(rng, seconds, interval, held_out) if arms is None else arms
    upper_body(positions, bodies, hips, pelvis, trunk, arms)
    joints = hip_joints(bodies, hips, pelvis)
    ends = reaching_legs(bodies, joints, pelvis, ankles.astype(np.float32), toe_out)
    set_legs(positions, joints, ends)
    return positions


def gait(rng: np.random.Generator, bodies: Bodies, seconds: np.ndarray, held_out: bool) -> np.ndarray:
    """Walking, running, sneaking and, held out, backwards and sideways: feet stay on their footprints while they bear.

    A foot bears for 60 % (walking) to 35 % (running) of its cycle, then swings in an arc to the next footprint, which
    lies where the body is in the middle of the next contact.
    """
    count = len(bodies.hip)
    run = rng.random((count, 1)) < 0.35
    leg = bodies.leg
    speed = np.where(run, rng.uniform(1.5, 4.0, (count, 1)), rng.uniform(0.2, 1.7, (count, 1))) * np.sqrt(leg / 0.85)
    cadence = np.where(
        run, rng.uniform(1.2, 1.6, (count, 1)), 0.45 + 0.33 * speed + rng.uniform(-0.1, 0.15, (count, 1))
    )
    course = rng.choice([np.pi, np.pi / 2, -np.pi / 2, 0.5], (count, 1)) if held_out else np.zeros((count, 1))
    speed = speed * np.where(np.abs(course) > 1, 0.4, 1)
    bear = np.where(run, rng.uniform(0.3, 0.42, (count, 1)), rng.uniform(0.56, 0.66, (count, 1)))
    turning = rng.normal(0, 0.5, (count, 1)) * (rng.random((count, 1)) < 0.5)
    turning = np.where(np.abs(turning) < 0.01, 0.01, turning)
    start = rng.uniform(0, 1, (count, 1))
    crouch = np.where(
        rng.random((count, 1)) < 0.2, rng.uniform(0.75, 0.93, (count, 1)), rng.uniform(0.94, 0.985, (count, 1))
    )
    crouch = np.where(run, np.minimum(crouch, 0.93), crouch)

    def place(time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position (..., 2) on the floor as (x, z), and heading, at times; a circle, which one hardly sees."""
        heading = turning * time
        angle = heading + course
        radius = speed / turning
        return np.stack(
            [radius * (np.cos(course) - np.cos(angle)), radius * (np.sin(angle) - np.sin(course))], -1
        ), heading

    width = rng.uniform(0.3, 1.1, (count, 1)) * bodies.hip * np.where(run, 0.6, 1)
    lift = np.where(run, rng.uniform(0.15, 0.45, (count, 1)), rng.uniform(0.05, 0.18, (count, 1)))
    ankles = []
    for side in (LEFT, RIGHT):
        phase = cadence * seconds + start + 0.5 * side
        cycle = np.floor(phase)
        swing = np.clip((phase - cycle - bear) / (1 - bear), 0, 1)
        prints = []
        for step in (0, 1):
            spot, heading = place((cycle + step + bear / 2 - start - 0.5 * side) / cadence)
            beside = np.stack([np.cos(heading), -np.sin(heading)], -1) * (width * (1 - 2 * side))[..., None]
            prints.append(spot + beside)
        share = (swing**2 * (3 - 2 * swing))[..., None]
        floor = (1 - share) * prints[0] + share * prints[1]
        height = ANKLE_HEIGHT + lift * np.sin(np.pi * swing ** np.where(run, 0.7, 0.8)) ** 1.3
        ankles.append(np.stack([floor[..., 0], height, floor[..., 1]], -1))

    spot, heading = place(seconds[None])
    step_phase = 2 * np.pi * (cadence * seconds + start - bear / 2)  # 0 in the middle of the left foot's contact
    bob = np.where(run, -0.045, 0.015 + 0.01 * speed) * np.cos(2 * step_phase)
    height = ANKLE_HEIGHT + crouch * leg - np.where(run, 0.02, 0.025) + bob
    sway = np.where(run, 0.015, 0.03) * np.cos(step_phase)
    hips = np.stack([spot[..., 0] + sway * np.cos(heading), height, spot[..., 1] - sway * np.sin(heading)], -1)
    swinging = np.sin(step_phase)
    lean = np.where(run, 0.04 + 0.05 * speed, 0.03 * speed) * np.cos(course) + (1 - crouch) * 1.2
    pelvis = _pelvis(heading - 0.1 * swinging, 0.4 * lean + 0 * heading, 0.04 * np.cos(step_phase))
    interval = rng.uniform(0.5, 1.5, (count, 1))
    trunk = 0.6 * trunk_curves(rng, seconds, interval, held_out) * (rng.random((count, 1, 1)) < 0.6)
    trunk[..., 0] += 0.6 * lean
    trunk[..., 1] += 0.2 * swinging
    arms = _swinging_arms(rng, count, swinging, run, speed)
    free = rng.random((count, 1, 1, 1)) < 0.35
    arms = np.where(free, arm_curves(rng, seconds, interval, held_out), arms)
    toe_out = rng.uniform(-0.05, 0.35, (count, 1))
    return _assemble(
        rng,
        bodies,
        hips.astype(np.float32),
        pelvis,
        np.stack(ankles, 2),
        toe_out,
        trunk,
        seconds,
        interval,
        held_out,
        arms,
    )


def _swinging_arms(
    rng: np.random.Generator, count: int, swinging: np.ndarray, run: np.ndarray, speed: np.ndarray
) -> np.ndarray:
    """Arms (B, F, 2, 4) that swing against the legs."""
    amount = rng.uniform(0.5, 1.4, (count, 1)) * np.where(run, 0.7, 0.15 + 0.25 * speed)
    bend = np.where(run, rng.uniform(1.2, 1.9, (count, 1)), rng.uniform(0.15, 0.7, (count, 1)))
    out = rng.uniform(0.05, 0.25, (count, 1))
    arms = []
    for sign in (1, -1):
        forward = sign * amount * swinging + np.where(run, -0.15, 0.02)
        elevation = np.sqrt(forward**2 + out**2)
        arms.append(
            np.stack([elevation, np.arctan2(forward, out), 0 * forward, bend + 0.3 * np.maximum(forward, -0.3)], -1)
        )
    return np.stack(arms, 2).astype(np.float32)


def jump(rng: np.random.Generator, bodies: Bodies, seconds: np.ndarray, held_out: bool) -> np.ndarray:
    """A crouch, a flight along a parabola, a landing; some turn in the air, move on, spread or tuck their legs."""
    count = len(bodies.hip)

    def uniform(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (count, 1))

    down, push, flight, land, rise = (
        uniform(0.2, 0.5),
        uniform(0.12, 0.3),
        uniform(0.2, 0.62),
        uniform(0.1, 0.25),
        uniform(0.25, 0.6),
    )
    durations = np.concatenate([down, push, flight, land, rise], 1)
    times = np.concatenate([np.zeros((count, 1)), np.cumsum(durations, 1)], 1)
    leg = bodies.leg
    stand, crouch, soft = uniform(0.93, 0.985), uniform(0.5, 0.88), uniform(0.5, 0.92)
    take_off = 0.985 + 0 * stand
    heights = leg * np.concatenate([stand, crouch, take_off, take_off - 0.03, soft, stand], 1)
    velocity = GRAVITY * flight / 2
    slopes = np.concatenate([0 * stand, 0 * stand, velocity, -velocity, 0 * stand, 0 * stand], 1)
    window = rng.uniform(-0.2, np.maximum(times[:, -1:] + 0.2 - seconds[-1], 0.1), (count, 1))
    time = seconds + window
    height = _hermite(time, times, heights, slopes)
    launch, touch = times[:, 2:3], times[:, 3:4]
    air = np.clip((time - launch) / (touch - launch), 0, 1)
    moved = np.clip((time - times[:, 1:2]) / (times[:, 4:5] - times[:, 1:2]), 0, 1)
    moved = moved**2 * (3 - 2 * moved)
    turn = uniform(-1, 1) * np.where(rng.random((count, 1)) < 0.3, np.pi * (1.3 if held_out else 1), 0.2)
    far = uniform(-0.2, 0.9) * flight / 0.5
    tuck = np.sin(np.pi * air) * uniform(0, 0.5) * (rng.random((count, 1)) < 0.5)
    widths = np.where(
        rng.random((count, 1, 2)) < 0.3, rng.uniform(1, 3.8, (count, 1, 2)), rng.uniform(0.7, 1.5, (count, 1, 2))
    )
    widths = widths * bodies.hip[..., None]
    eased = air**2 * (3 - 2 * air)
    width = (1 - eased) * widths[..., 0] + eased * widths[..., 1]
    yaw, foot_yaw = turn * moved, turn * eased
    spread = np.sqrt(np.maximum(1 - ((width - bodies.hip) / leg) ** 2, 0.3))
    trunk = 0.5 * trunk_curves(rng, seconds, uniform(0.4, 1.2), held_out)
    crouching = np.clip(1 - height / leg, 0, 0.6)
    lean = crouching * uniform(0.5, 1.4)
    trunk[..., 0] += lean
    hips = np.stack([0 * height, ANKLE_HEIGHT + height * spread, far * moved - 0.25 * crouching], -1)
    rising = np.maximum(height - leg * take_off, 0)
    ankles = []
    for sign in (1, -1):
        x, y = sign * width * np.cos(foot_yaw), ANKLE_HEIGHT + rising * 0.98 + tuck * leg * 0.6
        ankles.append(np.stack([x, y, far * eased - sign * width * np.sin(foot_yaw)], -1))
    pelvis = _pelvis(yaw, 0.6 * lean, 0 * yaw)
    interval = uniform(0.3, 0.7)
    arms = arm_curves(rng, seconds, interval, held_out)
    swung = np.stack(
        [0.4 + 2.3 * np.clip(moved * 1.6, 0, 1) - 1.8 * moved**4, 1.2 + 0 * moved, 0 * moved, 0.4 + 0 * moved], -1
    )
    arms = np.where(rng.random((count, 1, 1, 1)) < 0.6, swung[:, :, None], arms).astype(np.float32)
    toe_out = uniform(0, 0.5)
    return _assemble(
        rng,
        bodies,
        hips.astype(np.float32),
        pelvis,
        np.stack(ankles, 2),
        toe_out,
        trunk,
        seconds,
        interval,
        held_out,
        arms,
    )


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
