"""Many copies of a body, simulated side by side with MuJoCo."""

from typing import Any

import numpy as np

from pplkit.models.motion.body import Body
from pplkit.models.motion.mjcf import STEP_SECONDS, compiled, mujoco_library

GRAVITY = 9.81  # m / s²


class Simulation:
    """Advances bodies by control steps of `substeps` steps of the simulator each.

    All state is in the arrays that go in and come out, so that the same input gives the same output. Use it in a
    `with` statement where `threads` > 1, so that its threads end.
    """

    def __init__(self, body: Body, substeps: int = 8, threads: int = 1, step: float = STEP_SECONDS) -> None:
        mujoco = mujoco_library()
        self.body, self.substeps = body, substeps
        self.model = compiled(body, step)
        self.fps = 1 / (substeps * step)  # control steps a second
        self._data = [mujoco.MjData(self.model) for _ in range(threads)]
        self._rollout = mujoco.rollout.Rollout(nthread=threads if threads > 1 else 0)
        spec = mujoco.mjtState
        self._control = int(spec.mjSTATE_CTRL) | int(spec.mjSTATE_QFRC_APPLIED)
        # By how much a moving target is ahead of itself, so that the damping does not hold it back.
        self.lead = np.array([hinge.damping / hinge.stiffness for hinge in body.hinges])

    def __enter__(self) -> "Simulation":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def close(self) -> None:
        """End the threads."""
        self._rollout.close()

    def advance(
        self, qpos: np.ndarray, qvel: np.ndarray, targets: np.ndarray, wrench: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions, speeds, and whether the simulation is sound (N,), one control step later.

        Args:
            qpos: (N, Q), see `Body`.
            qvel: (N, V).
            targets: (N, hinges) in radians; with speeds, `targets + lead * speeds`.
            wrench: (N, 6) on the root: a force in world axes in N, a torque in its own axes in Nm.

        Where the simulator found numbers that are not finite or too large, the state is the last sound one.
        """
        count, model = len(qpos), self.model
        state = np.concatenate([np.zeros((count, 1)), qpos, qvel], axis=1)
        control = np.zeros((count, 1, model.nu + model.nv))
        control[:, 0, : model.nu] = targets
        if wrench is not None:
            control[:, 0, model.nu : model.nu + 6] = wrench
        states, _ = self._rollout.rollout(
            model, self._data, state, control, control_spec=self._control, nstep=self.substeps
        )
        last = states[:, -1]
        due = self.substeps * model.opt.timestep
        sound = np.isfinite(last).all(-1) & (np.abs(last[:, 0] - due) < 1e-9)
        last = np.where(sound[:, None], last, state)
        return last[:, 1 : 1 + model.nq], last[:, 1 + model.nq :], sound
