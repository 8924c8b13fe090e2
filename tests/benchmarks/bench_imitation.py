"""Bodies that imitate recorded motion: PD tracking beside a learned policy, and what a processor core simulates.

python tests/benchmarks/bench_imitation.py CLIPS.npz --clip walk --run RUN         # trains; 5 minutes on one core
python tests/benchmarks/bench_imitation.py CLIPS.npz --pd                          # PD alone, all clips
python tests/benchmarks/bench_imitation.py CLIPS.npz --sound                       # ten seconds of each clip
python tests/benchmarks/bench_imitation.py CLIPS.npz --speed                       # steps a second

CLIPS.npz holds clips by name as joints (T, 17, 3) of h36m17, y up, meters, 30 frames a second, such as
../shared/data/motion/deepmimic_joints17.npz, or as root paths and joint rotations, such as deepmimic_clips_30hz.npz
beside it. The cycles walk, run and jog are repeated eight times. Each table has a
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
from pplkit.geometry.cameras import rotate
from pplkit.geometry.quaternions import global_rotations, normalized
from pplkit.models.motion.body import ANKLE, TOE, bone_lengths, humanoid
from pplkit.models.motion.imitation_config import ImitationConfig
from pplkit.models.motion.policy import TrackingPolicy
from pplkit.models.motion.retarget import floor_height, from_body_axes, retargeted, to_body_axes
from pplkit.models.motion.simulation import Simulation
from pplkit.models.motion.tracking import SPRING, Reference, Tracking
from pplkit.training.task import Rank
from pplkit.training.tasks.imitation import ImitationTask, train_imitator, trained_policy

CYCLES = ("walk", "run", "jog")
REPEATS = 8
EPISODE = 150
STARTS = 16
FORCES = (100.0, 50.0, 25.0, 10.0, 0.0)
FPS = 30.0
SECONDS = 10
NOSE = (0.06, 0.0, 0.09)  # meters from the neck
JOINTS = (  # of files with rotations, in the order of h36m17
    "root", "rhip", "rknee", "rankle", "lhip", "lknee", "lankle", "chest", "neck", "nose", "head",
    "lsho", "lelb", "lwrist", "rsho", "relb", "rwrist",
)  # fmt: skip


def names_of(clips: Path) -> list[str]:
    """The clips of a file."""
    with np.load(clips) as file:
        rotated = [name.removesuffix(".root") for name in file if name.endswith(".root")]
        return rotated or list(file)


def joints_of(clips: Path, name: str) -> np.ndarray:
    """The joints (T, 17, 3) of a clip, y up."""
    with np.load(clips) as file:
        if name in file:
            return np.asarray(file[name], float)
        local, root = normalized(file[f"{name}.local"].astype(float)), file[f"{name}.root"].astype(float)
        offsets, parents = file["offsets"].astype(float), file["parents"].tolist()
        places = zip(file["end_parents"].tolist(), file["end_offsets"].astype(float), strict=True)
        ends = dict(zip(file["end_names"].tolist(), places, strict=True))
        number = {joint: n for n, joint in enumerate(file["names"].tolist())}
    origins, rotations = global_rotations(local, offsets, root, parents)
    ends["nose"] = (number["neck"], np.array(NOSE))
    joints = {joint: origins[:, n] for joint, n in number.items()}
    joints |= {end: origins[:, n] + rotate(offset, rotations[:, n]) for end, (n, offset) in ends.items()}
    return from_body_axes(np.stack([joints[joint] for joint in JOINTS], axis=1))


def reference_of(clips: Path, name: str) -> Reference:
    """A clip as positions of a body with its bone lengths."""
    points = joints_of(clips, name)
    if name in CYCLES:
        step = (points[-1, 0] - points[0, 0]) * [1, 0, 1]
        points = np.concatenate([points[min(n, 1) :] + n * step for n in range(REPEATS)])
    joints = to_body_axes(points)
    body = humanoid(bone_lengths(joints))
    joints[..., 2] -= floor_height(joints, ANKLE * body.points["left toe"][1][0] / TOE)
    return Reference(body, retargeted(body, joints), FPS)


def table(reference: Reference, policy: TrackingPolicy | None, spring: tuple[float, float] = SPRING) -> None:
    """Print a row for each bound of the force; without a policy, of PD tracking."""
    tracking = Tracking(reference, Simulation(reference.body), spring)
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


def sound(clips: Path) -> None:
    """Print what becomes of bodies that are let go in the first frame of each clip, for ten seconds, however they fall.

    They are helped by 100 N.
    """
    for name in names_of(clips):
        reference = reference_of(clips, name)
        steps = int(SECONDS * FPS)
        last = np.minimum(np.arange(steps + 1), len(reference) - 1)  # at its end, a clip holds its last frame
        reference = Reference(reference.body, reference.qpos[last], FPS)
        tracking = Tracking(reference, Simulation(reference.body))
        bodies, exploded, highest = tracking.start(np.zeros(1, int), np.array([100.0])), 0, 0.0
        for _ in range(steps):
            action = np.zeros((1, tracking.actions))
            bodies, outcome = tracking.advance(bodies, action)
            exploded += not outcome.sound[0]
            highest = max(highest, float(np.abs(bodies.qvel).max()))
        print(f"{name:<22} exploded steps {exploded}, largest speed {highest:6.1f}", flush=True)


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
    parser.add_argument("--spring", type=float, nargs=2, metavar=("STIFFNESS", "DAMPING"), help="N/m, Ns/m, at the end")
    parser.add_argument("--pd", action="store_true")
    parser.add_argument("--sound", action="store_true")
    parser.add_argument("--speed", action="store_true")
    given = parser.parse_args()
    if given.speed:
        speed(reference_of(given.clips, given.clip))
    elif given.sound:
        sound(given.clips)
    elif given.pd:
        for name in names_of(given.clips):
            print(name)
            table(reference_of(given.clips, name), None)
    else:
        reference = reference_of(given.clips, given.clip)
        table(reference, None)
        config = ImitationConfig(steps=given.steps, seed=given.seed)
        config = config if given.spring is None else config.replace(spring=tuple(given.spring))
        table(reference, trained(config, reference, given.run), config.spring)


if __name__ == "__main__":
    main()
