"""A person of usual size, as a body of the simulator, and simple motions of it."""

from pathlib import Path

import numpy as np

from pplkit.models.motion.body import Body, humanoid

SHARED = Path(__file__).resolve().parents[3] / "shared"
LENGTHS = {
    "hips": 0.085, "thigh": 0.42, "shin": 0.41, "lumbar": 0.236, "chest": 0.224, "neck": 0.108, "head": 0.26,
    "shoulders": 0.183, "shoulder rise": 0.02, "shoulder advance": -0.02, "upper arm": 0.275, "forearm": 0.259,
}  # fmt: skip


def person() -> Body:
    return humanoid(LENGTHS)


def standing(body: Body, frames: int = 1) -> np.ndarray:
    """Positions (T, Q) of a body that stands with bent elbows and knees."""
    qpos = np.zeros((frames, body.position_count))
    qpos[:, 3] = 1
    for side in ("right", "left"):
        qpos[:, body.column(f"{side} thigh").start] = -0.2
        qpos[:, body.column(f"{side} shin").start] = 0.4
        qpos[:, body.column(f"{side} foot").start] = -0.2
        qpos[:, body.column(f"{side} forearm").start] = -0.5
    # The ankle is as far below the hip as two bones at 0.2 radians reach, and the sole 6 cm below it.
    qpos[:, 2] = (LENGTHS["thigh"] + LENGTHS["shin"]) * np.cos(0.2) + 0.06
    return qpos


def swinging(body: Body, frames: int = 40, fps: float = 30.0) -> np.ndarray:
    """The same with arms that swing, a head that nods and a trunk that turns."""
    qpos, phase = standing(body, frames), np.sin(2 * np.pi * np.arange(frames) / fps)
    for side, sign in (("right", 1), ("left", -1)):
        qpos[:, body.column(f"{side} upper arm").start] += 0.4 * sign * phase
    qpos[:, body.column("head").start + 1] += 0.2 * phase
    qpos[:, body.column("chest").start + 2] += 0.15 * phase
    return qpos
