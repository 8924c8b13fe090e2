"""Motion of people made by rule, without any recording: joints in the order of h36m17.

Standing, crouching, kicking, walking, running, jumping, lying, getting up, rolling and tumbling bodies of many sizes
and skeleton definitions, in windows that follow from a seed. Held-out motion has other poses, directions and seeds.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from data_prep.common.command_line import run_sequences
from data_prep.synthetic.motion_bodies import Bodies, random_bodies
from data_prep.synthetic.motion_floor import lying, tumbling
from data_prep.synthetic.motion_gait import gait
from data_prep.synthetic.motion_upright import jump, planted
from pplkit.data.pose_views import LiftBatch, detected_views
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17
from pplkit.geometry.kinematics import axis_rotation

Rule = Callable[[np.random.Generator, Bodies, np.ndarray, bool], np.ndarray]
RULES: dict[str, tuple[Rule, float]] = {
    "planted": (planted, 0.36),
    "gait": (gait, 0.27),
    "jump": (jump, 0.12),
    "lying": (lying, 0.15),
    "tumbling": (tumbling, 0.1),
}
"""Each rule, and the fraction of windows that it makes."""
MOSTLY_WALKING = {"planted": 0.2, "gait": 0.6, "jump": 0.06, "lying": 0.08, "tumbling": 0.06}
HELD_OUT_SEED = 2**20  # added to the seeds of held-out motion
CHUNK = 1000  # windows that are made at once, which bounds memory


def motion_windows(
    seed: int, count: int, frames: int = 27, fps: float = 30.0, held_out: bool = False, rule: str | None = None
) -> np.ndarray:
    """Windows (count, frames, 17, 3) of motion in meters, y up, the floor at 0, around the origin, float32.

    The same seed gives the same windows. `rule` makes all of one kind.
    """
    rng = np.random.default_rng([seed + HELD_OUT_SEED * held_out, frames])
    if count > CHUNK:
        parts = [min(CHUNK, count - start) for start in range(0, count, CHUNK)]
        seeds = rng.integers(HELD_OUT_SEED, size=len(parts))
        return np.concatenate(
            [motion_windows(int(s), part, frames, fps, held_out, rule) for s, part in zip(seeds, parts, strict=True)]
        )
    seconds = np.arange(frames) / fps
    names = list(RULES) if rule is None else [rule]
    weights = np.array([RULES[name][1] for name in names])
    kinds = rng.choice(len(names), count, p=weights / weights.sum())
    windows = np.empty((count, frames, 17, 3), np.float32)
    for kind, name in enumerate(names):
        if number := int((kinds == kind).sum()):
            windows[kinds == kind] = RULES[name][0](rng, random_bodies(rng, number), seconds, held_out)
    turn = axis_rotation(rng.uniform(-np.pi, np.pi, (count, 1, 1)), 1).astype(np.float32)
    windows = (turn @ windows[..., None])[..., 0]
    windows[..., [0, 2]] -= windows[..., [0, 2]].mean((1, 2), keepdims=True)
    return windows


def mostly_walking(seed: int, count: int, frames: int, fps: float = 30.0) -> np.ndarray:
    """Windows as those of `motion_windows`, most of them of people who walk."""
    counts = {rule: round(count * share) for rule, share in MOSTLY_WALKING.items()}
    counts["gait"] += count - sum(counts.values())
    return np.concatenate([motion_windows(seed, n, frames, fps, rule=rule) for rule, n in counts.items() if n])


def lift_batch(
    seed: int,
    count: int,
    frames: int = 27,
    fps: float = 30.0,
    noise: float | None = None,
    held_out: bool = False,
    rule: str | None = None,
) -> LiftBatch:
    """Windows of rule-made motion, each seen by a random camera, with a detector's errors.

    The same seed gives the same batch. `noise` is the deviation of the errors in screen units (0.01 are 5 pixels of an
    image of 1000), by default another for each window: none for a third of them, up to 0.012 for the others.
    """
    windows = motion_windows(seed, count, frames, fps, held_out, rule)
    return detected_views(np.random.default_rng([seed, 1]), windows, noise, list(H36M17.flip_pairs))


def prepare(
    out: Path | str,
    sequences: int = 50,
    seconds: float = 10.0,
    fps: float = 30.0,
    seed: int = 0,
    test_share: float = 0.2,
) -> Path:
    """Write sequences of rule-made motion into the folders `train` and, held out, `test` of `out`; returns `out`.

    They are 3D sequences in world space (`pplkit.data.sequences`). Raises WriteError.
    """
    out = Path(out)
    frames = max(round(seconds * fps), 1)
    for split, count in (("train", sequences), ("test", max(round(sequences * test_share), 1))):
        (out / split).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            name = f"rule_{number:04d}"
            points = motion_windows(seed + number, 1, frames, fps, split == "test")[0]
            source = f"data_prep.motion_synthetic, seed {seed + number}, {split}"
            sequence = PoseSequence(points=points, fps=fps, skeleton=H36M17, space="world", source=source)
            sequence.write(out / split / f"{name}.npz")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("out", type=Path, help="the folder to write the sequences to")
    command.add_argument("--sequences", type=int, default=50, help="of the training split (default: %(default)s)")
    command.add_argument("--seconds", type=float, default=10.0, help="length of each (default: %(default)s)")
    command.add_argument("--fps", type=float, default=30.0, help="frames a second (default: %(default)s)")
    command.add_argument("--seed", type=int, default=0, help="decides what is made (default: %(default)s)")
    return run_sequences(prepare, command, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
