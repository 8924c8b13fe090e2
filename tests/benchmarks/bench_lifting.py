"""Lifters beside their baselines, on motion and cameras that no training has seen.

python tests/benchmarks/bench_lifting.py runs/lift-0 runs/lift-1 --baseline runs/mlp-0 runs/mlp-1 \
    --recorded ../shared/data/motion/deepmimic_joints17.npz ../shared/data/motion/animated_drawings_joints17.npz

python tests/benchmarks/bench_lifting.py runs/lift-0 --use
python tests/benchmarks/bench_lifting.py runs/lift-0 --speed

Rule-made motion is that of `data_prep.motion_synthetic`, held out; recorded clips are (T, 17, 3) arrays by name, y up,
meters, 30 frames a second, each seen by two random cameras. Each run is a row of its own seed; the last table has means
and deviations over the runs. With --use instead: seconds and memory of `pplkit.lift` on 10,000 frames, and the errors
of what it estimates without knowing the camera.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import torch

import pplkit
from data_prep.motion_synthetic import RULES, lift_batch, motion_windows
from pplkit.data.pose_views import random_views
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17
from pplkit.evaluation.lifting import Baselines, Clip, Row, camera_clips, clips_of, compare, degraded, table_lines
from pplkit.evaluation.pose3d import PoseErrors
from pplkit.geometry.cameras import image_from_screen
from pplkit.geometry.kinematics import fit_rotation
from pplkit.geometry.quaternions import matrices
from pplkit.models.lifting import LiftingConfig
from pplkit.models.lifting.model import build_model
from pplkit.models.lifting.windows import lift_centers, lift_sequence
from pplkit.training import load_lifter

CONDITIONS = {"clean": {}, "5 px noise": {"noise": 0.01}, "30 % hidden": {"hidden": 0.3}}


def test_clips(recorded: list[Path], count: int) -> dict[tuple[str, str], list[Clip]]:
    sets = {"rule-made": clips_of(lift_batch(10**6, count, frames=81, noise=0.0, held_out=True))}
    for path in recorded:
        with np.load(path) as file:
            sequences = [
                PoseSequence(points=file[name], fps=30, skeleton=H36M17, space="world", source=name) for name in file
            ]
        sets[path.stem] = camera_clips(sequences, seed=7)
    return {
        (name, condition): degraded(clips, H36M17, **options)
        for name, clips in sets.items()
        for condition, options in CONDITIONS.items()
    }


def use_lines(path: Path, frames: int = 10_000, clips: int = 24, seconds: float = 5.0) -> list[str]:
    """What `pplkit.lift` takes for a long clip, and its errors in the direction up and in the path of the root."""
    keypoints = np.tile(lift_batch(0, 1, frames=500, noise=0.005).keypoints[0], (frames // 500, 1, 1))
    pixels = image_from_screen(keypoints.astype(float), 1000, 1000)
    start, used = time.perf_counter(), time.process_time()
    pplkit.lift(pixels, (1000, 1000), "h36m17", fps=30, model=path)
    took, used = time.perf_counter() - start, time.process_time() - used
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines = [f"{frames:,} frames: {took:.1f} s, {used:.1f} s of processor time, {memory:.0f} MB at most"]
    lines += ["| motion | up, degrees | of a level camera | path, m: sideways | up and down | away, without its mean |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    run = load_lifter(path)
    for rule in RULES:
        windows = motion_windows(5, clips, round(30 * seconds), rule=rule, held_out=True)
        views, rows = random_views(np.random.default_rng(0), windows), []
        for window, positions, screen in zip(windows, views.positions.astype(float), views.keypoints, strict=True):
            flat = [points.reshape(-1, 3) - points.reshape(-1, 3).mean(0) for points in (window, positions)]
            up = fit_rotation(*flat)[:, 1]  # of the world, in camera space
            pixels = image_from_screen(screen.astype(float), 1000, 1000)
            lifted = pplkit.lift(pixels, (1000, 1000), "h36m17", fps=30, model=run)
            assert lifted.camera is not None
            turn = matrices(lifted.camera.orientation)
            path_error = (lifted.points[:, 0] - lifted.camera.translation) @ turn - positions[:, 0]
            path_error[:, 2] -= path_error[:, 2].mean()
            angles = [np.degrees(np.arccos(np.clip(up @ guess, -1, 1))) for guess in (turn[1], np.array([0, -1, 0]))]
            rows.append([*angles, *np.abs(path_error).mean(0)])
        means = np.mean(rows, axis=0)
        lines.append(
            f"| {rule} | {means[0]:.1f} | {means[1]:.1f} | " + " | ".join(f"{m:.3f}" for m in means[2:]) + " |"
        )
    return lines


def speed_lines(path: Path, published: int = 81, frames: int = 243, rounds: int = 3) -> list[str]:
    """Processor time of a lifted frame, of a run and of PoseFormer, which sees a window for each; mirror images too."""
    run, pairs = load_lifter(path), H36M17.flip_pairs
    keypoints = torch.from_numpy(lift_batch(0, 1, frames=frames).keypoints[0])
    poseformer = build_model(LiftingConfig.preset(f"poseformer-{published}")).eval()
    calls = {
        run.config.name: lambda: lift_sequence(run.model, keypoints, None, pairs),
        f"poseformer-{published}": lambda: lift_centers(poseformer, keypoints, pairs),
    }
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            call()
            times[name].append(1000 * (time.process_time() - start) / frames)
    return [
        f"{name}: {np.median(values):.2f} ms a frame ({min(values):.2f} to {max(values):.2f})"
        for name, values in times.items()
    ]


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("runs", type=Path, nargs="+", help="run folders of lifters")
    command.add_argument("--baseline", type=Path, nargs="*", default=[], help="runs of frame-mlp, one for each run")
    command.add_argument("--recorded", type=Path, nargs="*", default=[], help=".npz files of clips")
    command.add_argument("--count", type=int, default=300, help="rule-made windows of 81 frames")
    command.add_argument("--use", action="store_true", help="time, memory and errors of pplkit.lift instead")
    command.add_argument("--speed", action="store_true", help="time of a frame beside PoseFormer, instead of errors")
    options = command.parse_args()
    torch.set_num_threads(1)
    if options.use:
        for path in options.runs:
            print(f"\n{path}\n" + "\n".join(use_lines(path)), flush=True)
        return
    if options.speed:
        print("\n".join(line for path in options.runs for line in speed_lines(path)))
        return
    clips = test_clips(options.recorded, options.count)
    baselines = Baselines(lift_batch(10**5, 20_000, frames=1, noise=0.0), H36M17)
    tables: list[list[Row]] = []
    for number, path in enumerate(options.runs):
        start = time.process_time()
        alone = load_lifter(options.baseline[number]) if options.baseline else None
        tables.append(compare(baselines.methods(load_lifter(path), alone), clips))
        print(f"\n{path}, {time.process_time() - start:.0f} s\n" + "\n".join(table_lines(tables[-1])), flush=True)
    if len(tables) > 1:
        for title, statistic in (("means", np.mean), ("deviations", np.std)):
            errors = statistic([[row.errors for row in table] for table in tables], axis=0)
            rows = [row._replace(errors=PoseErrors(*error)) for row, error in zip(tables[0], errors, strict=True)]
            print(f"\n{title}\n" + "\n".join(table_lines(rows)))


if __name__ == "__main__":
    main()
