"""What each method of imitation makes of motion with a lifter's errors, beside raw and smoothed motion and the truth.

python tests/benchmarks/bench_plausibility.py --recorded ../shared/data/motion

Clips made by rule that nothing was trained on, and recorded ones where they lie. Contact, floor and errors are the
truth's. Also prints F1 of contact by the network and by thresholds. About 2 s a clip on one core.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from data_prep.motion_synthetic import HELD_OUT_SEED, motion_windows
from pplkit.data.lifter_noise import lifter_noise
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17
from pplkit.evaluation.motion import MotionErrors, compare, table_lines
from pplkit.geometry.plausibility import contact_f1, standing
from pplkit.inference.imitation.clip import prepared

FPS = 30.0
TRIAL = ("walk", "stealthy_walk", "zombie_walk", "dance_b", "kick", "jump")  # recorded clips of the first trial
LONGEST = 90  # frames


def sequence(points: np.ndarray, name: str) -> PoseSequence:
    return PoseSequence(points=points, fps=FPS, skeleton=H36M17, space="world", source=name)


def rule_clips(count: int) -> list[PoseSequence]:
    windows = motion_windows(HELD_OUT_SEED // 2, count, LONGEST, FPS, held_out=True)
    return [sequence(points, f"rule {number}") for number, points in enumerate(windows)]


def recorded_clips(folder: Path, trial_only: bool) -> list[PoseSequence]:
    clips = []
    for path in sorted(folder.glob("*_joints17.npz")):
        with np.load(path) as file:
            names = [name for name in file if name in TRIAL or not trial_only]
            clips += [sequence(file[name][:LONGEST], name) for name in names]
    return clips


def lifted(truth: PoseSequence, number: int) -> PoseSequence:
    points = lifter_noise(np.random.default_rng((11, number)), truth.points, FPS)
    return sequence(points, truth.source)


def contact_line(pairs: list[tuple[PoseSequence, PoseSequence]]) -> str:
    ankles = [H36M17.joints.index(f"{side} ankle") for side in ("left", "right")]
    truth = np.concatenate([standing(true.points[:, ankles], FPS) for _, true in pairs])
    scores = {}
    for method in ("thresholds", "network"):
        found = [prepared(estimate, contact=method).touches for estimate, _ in pairs]
        scores[method] = contact_f1(np.concatenate(found), truth)
    return ", ".join(f"{method} {score:.2f}" for method, score in scores.items())


def gains(rows: dict[str, list[MotionErrors]]) -> str:
    raw, fit = (np.nanmean(np.array(rows[name], float), axis=0) for name in ("raw", "fit"))
    names = {"MPJPE": 0, "acceleration error": 2, "skate": 3}
    return ", ".join(f"{name} {100 * (fit[place] / raw[place] - 1):+.0f} %" for name, place in names.items())


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--recorded", type=Path, help="folder of files *_joints17.npz of recorded clips")
    command.add_argument("--clips", type=int, default=24, help="clips made by rule (default: %(default)s)")
    command.add_argument("--iterations", type=int, default=300, help="of the fit (default: %(default)s)")
    command.add_argument("--trial", action="store_true", help="of the recorded clips only those of the first trial")
    options = command.parse_args()
    sets = {"made by rule": rule_clips(options.clips)}
    if options.recorded is not None and options.recorded.is_dir():
        sets["recorded"] = recorded_clips(options.recorded, options.trial)
    for name, clips in sets.items():
        pairs = [(lifted(clip, number), clip) for number, clip in enumerate(clips)]
        start = time.process_time()
        rows = compare(pairs, {"filters": {}, "fit": {"iterations": options.iterations}})
        seconds = time.process_time() - start
        print("\n".join(table_lines(rows, f"{name}, {len(clips)} clips")))
        print(f"fit against raw: {gains(rows)}")
        print(f"F1 of contact: {contact_line(pairs)}; {seconds / max(len(clips), 1):.1f} s of processor time a clip\n")


if __name__ == "__main__":
    main()
