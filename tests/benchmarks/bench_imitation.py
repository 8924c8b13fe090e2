"""Bodies that imitate recorded motion: PD tracking beside a learned policy, and what a processor core simulates.

python tests/benchmarks/bench_imitation.py CLIPS.npz --clip walk --run RUN         # trains; 5 minutes on one core
python tests/benchmarks/bench_imitation.py CLIPS.npz --pd                          # PD alone, all clips
python tests/benchmarks/bench_imitation.py CLIPS.npz --speed                       # steps a second

CLIPS.npz holds clips by name as joints (T, 17, 3) of h36m17, y up, meters, 30 frames a second, such as
../shared/data/motion/deepmimic_joints17.npz. The cycles walk, run and jog are repeated eight times. Each table has a
row for each bound of the force on the root: control steps until the fall (with exploded bodies counted as fallen), the
share of episodes that reach their end, and, until then, the mean distance of the joints from the reference in the world
and the mean force. A training that was stopped continues; seconds are those of the processor, all calls together.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from pplkit.core.files import read_json, write_json
from pplkit.models.motion.body import ANKLE, TOE, bone_lengths, humanoid
from pplkit.models.motion.imitation_config import ImitationConfig
from pplkit.models.motion.policy import TrackingPolicy
from pplkit.models.motion.retarget import floor_height, retargeted, to_body_axes
from pplkit.models.motion.simulation import Simulation
from pplkit.models.motion.tracking import Reference, Tracking
from pplkit.training.task import Rank
from pplkit.training.tasks.imitation import ImitationTask, train_imitator, trained_policy

CYCLES = ("walk", "run", "jog")
REPEATS = 8
EPISODE = 150
STARTS = 16
FORCES = (100.0, 50.0, 25.0, 10.0, 0.0)
FPS = 30.0


def reference_of(clips: Path, name: str) -> Reference:
    """A clip as positions of a body with its bone lengths."""
    with np.load(clips) as file:
        points = file[name].astype(float)
    if name in CYCLES:
        step = (points[-1, 0] - points[0, 0]) * [1, 0, 1]
        points = np.concatenate([points[min(n, 1) :] + n * step for n in range(REPEATS)])
    joints = to_body_axes(points)
    body = humanoid(bone_lengths(joints))
    joints[..., 2] -= floor_height(joints, ANKLE * body.points["left toe"][1][0] / TOE)
    return Reference(body, retargeted(body, joints), FPS)


def table(reference: Reference, policy: TrackingPolicy | None) -> None:
    """Print a row for each bound of the force; without a policy, of PD tracking."""
    tracking = Tracking(reference, Simulation(reference.body))
    steps = min(EPISODE, len(reference) - 1)
    frames = np.random.default_rng(99).integers(0, len(reference) - steps, STARTS)
    print(
        f"{'policy' if policy else 'PD':<8} force <=   steps of {steps}   to the end   error mm   force N   of weight"
    )
    for bound in FORCES:
        bodies = tracking.start(frames, np.full(STARTS, bound))
        alive, length = np.ones(STARTS, bool), np.zeros(STARTS)
        error, force = np.zeros(STARTS), np.zeros(STARTS)
        for _ in range(steps):
            none = np.zeros((STARTS, tracking.actions), np.float32)
            bodies, outcome = tracking.advance(bodies, policy.act(tracking.observe(bodies)) if policy else none)
            alive &= ~outcome.fallen
            length += alive
            error, force = error + alive * outcome.error, force + alive * outcome.force
        mean, total = 1000 * error.sum() / length.sum(), force.sum() / length.sum()
        done = 100 * (length == steps).mean()
        row = f"{length.mean():>14.1f} {done:>11.0f} % {mean:>10.1f} {total:>9.1f}"
        row += f" {100 * total / tracking.weight:>9.1f} %"
        print(f"{'':<8} {bound:>6.0f} N {row}", flush=True)


def speed(reference: Reference) -> None:
    """Print how many steps of the simulator, and control steps with learning, a second of a core has."""
    config = ImitationConfig()
    task = ImitationTask(config, reference)
    task.setup(Rank(torch.device("cpu"), 0, 1, config.precision))
    bodies = task.tracking.start(np.zeros(64, int), np.zeros(64))
    began = time.process_time()
    for _ in range(40):
        bodies, _ = task.tracking.advance(bodies, np.zeros((64, task.tracking.actions)))
    seconds = time.process_time() - began
    print(f"{64 * 40 * config.substeps / seconds:,.0f} steps of the simulator a second, with rewards")
    optimizer, began = task.optimizer(), time.process_time()
    for step in range(2 * config.round_steps):
        optimizer.zero_grad()
        task.losses(task.model, task.batch(step), 0.0)[0].backward()
        optimizer.step()
    seconds = time.process_time() - began
    print(f"{2 * config.bodies * config.horizon / seconds:,.0f} control steps a second, with all learning")


def trained(config: ImitationConfig, reference: Reference, run: Path) -> TrackingPolicy:
    """The policy of a run, after the training is finished; prints its seconds."""
    spent, path = 0.0, run / "seconds.json"
    if path.is_file():
        spent = read_json(path, "")["seconds"]
    began = time.process_time()
    try:
        train_imitator(config, reference, run, device="cpu", threads=1, bar=False)
    finally:
        spent += time.process_time() - began
        write_json(path, {"seconds": spent})
    steps = config.steps * config.batch_size // config.passes
    print(f"{spent:.0f} s of the processor, {steps:,} control steps")
    return trained_policy(reference, run)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--clip", default="walk")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--steps", type=int, default=ImitationConfig.steps)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pd", action="store_true")
    parser.add_argument("--speed", action="store_true")
    given = parser.parse_args()
    if given.speed:
        speed(reference_of(given.clips, given.clip))
    elif given.pd:
        with np.load(given.clips) as file:
            names = list(file)
        for name in names:
            print(name)
            table(reference_of(given.clips, name), None)
    else:
        reference = reference_of(given.clips, given.clip)
        table(reference, None)
        table(reference, trained(ImitationConfig(steps=given.steps, seed=given.seed), reference, given.run))


if __name__ == "__main__":
    main()
