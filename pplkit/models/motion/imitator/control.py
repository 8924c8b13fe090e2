"""How an action of the published imitator moves its body: targets, stable PD torques, the residual wrench."""

from typing import NamedTuple

import numpy as np

from pplkit.geometry.cameras import rotate
from pplkit.models.motion.imitator.humanoid import BODIES, heading, hinge_counts, part

STEP_SECONDS = 1 / 450
SUBSTEPS = 15  # steps of the simulator in a control step, of 30 a second
RESIDUAL = 100.0  # N and Nm for an action of 1
ARM_LIMIT, ARM_ERROR = np.radians(100.0), np.radians(0.5)  # an upper arm farther off is told that it is nearly there
# Stiffness, damping and torque limit by body, rounds 0, 3 and later; others differ as said in `gains`.
_GAINS = {
    "Spine": (500, 50, 200), "Spine1": (500, 50, 200), "Spine2": (500, 50, 200), "Spine3": (500, 50, 200),
    "Neck": (50, 5, 50), "Head": (50, 5, 50), "Shoulder": (200, 20, 50), "Arm": (150, 25, 50),
    "ForeArm": (150, 15, 60), "Hand": (50, 5, 50), "UpLeg": (300, 25, 600), "Leg": (300, 25, 450),
    "Foot": (200, 20, 300),
}  # fmt: skip
_OTHERS = {
    "round1": {"Shoulder": (200, 20, 100), "Arm": (200, 20, 100), "UpLeg": (250, 25, 600), "Leg": (250, 25, 450)},
    "round2": {"Shoulder": (200, 20, 100), "Arm": (200, 20, 100)},
    "hallucinated": dict.fromkeys(("Spine", "Spine1", "Spine2", "Spine3"), (150, 25, 200)),
}


class Gains(NamedTuple):
    """Of the 52 hinges."""

    stiffness: np.ndarray  # Nm / rad
    damping: np.ndarray  # Nm s / rad
    limit: np.ndarray  # Nm
    scale: np.ndarray  # what actions are multiplied by


def gains(name: str) -> Gains:
    """The gains of "round0" to "round3" (also for later rounds), or "hallucinated"."""
    table = _GAINS | _OTHERS.get(name, {})
    rows, scale = [], []
    for body, count in zip(BODIES[1:], hinge_counts()[1:], strict=True):
        values = [table[part(body)]] * count
        if name == "round2" and part(body) == "Shoulder":
            values[2] = (150, 25, 50)
        rows += values
        bends = name == "round2" and part(body) in ("UpLeg", "Leg")
        scale += [1.3 if bends and number == 0 else 1.0 for number in range(count)]
    stiffness, damping, limit = np.array(rows, float).T
    return Gains(stiffness, damping, limit, np.array(scale))


def rest_pose() -> np.ndarray:
    """Hinge angles (52) in radians that round 0 adds its actions to: arms down by 80°, elbows and knees bent by 45°."""
    angles = {"RightArm": (0, -80, 0), "LeftArm": (0, 80, 0), "RightForeArm": (45,), "LeftForeArm": (-45,)}
    angles |= {"RightLeg": (45,), "LeftLeg": (45,)}
    parts = zip(BODIES[1:], hinge_counts()[1:], strict=True)
    return np.radians(np.concatenate([angles.get(body, (0,) * count) for body, count in parts]).astype(float))


def targets(action: np.ndarray, base: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Target angles (52) of an action (58): the next reference frame's, or the rest pose, plus scaled offsets."""
    return base + scale * action[:52]


def stable_pd(
    state: np.ndarray, speeds: np.ndarray, target: np.ndarray, mass: np.ndarray, bias: np.ndarray, setting: Gains,
    step: float = STEP_SECONDS,
) -> np.ndarray:  # fmt: skip
    """Torques (52) in Nm of a PD controller that looks a step ahead (Tan et al. 2011), without their limits.

    e = q + q̇ h - target; q̈ = (M + k_d h)⁻¹ (-C - k_p e - k_d q̇); τ = -k_p e - k_d (q̇ + q̈ h).

    Args:
        state: (59).
        speeds: (58) q̇.
        target: (52) angles in radians.
        mass: (58, 58) M.
        bias: (58) C: gravity, Coriolis and centrifugal forces.
        setting: The gains.
        step: h in seconds.

    An error of an upper arm beyond 100° is cut to half a degree, as released.
    """
    error = state[7:] + speeds[6:] * step - target
    arms = np.repeat([part(body) == "Arm" for body in BODIES[1:]], hinge_counts()[1:])
    error = np.where(arms & (np.abs(error) > ARM_LIMIT), np.sign(error) * ARM_ERROR, error)
    stiff, damp = (np.concatenate([np.zeros(6), value]) for value in (setting.stiffness, setting.damping))
    force = -bias - stiff * np.concatenate([np.zeros(6), error]) - damp * speeds
    acceleration = np.linalg.solve(mass + np.diag(damp) * step, force)
    return -setting.stiffness * error - setting.damping * (speeds[6:] + acceleration[6:] * step)


def residual_wrench(action: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Force and torque (6) on the root in N and Nm of the last six numbers of an action (58); without a bound.

    The force is turned by the heading of the root's rotation (4), the torque is not.
    """
    wrench = action[-6:] * RESIDUAL
    return np.concatenate([rotate(wrench[:3], heading(rotation)), wrench[3:]])
