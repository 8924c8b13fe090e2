"""In-betweening trained on motion made by rule, beside its baselines on recorded clips that it has not seen.

python tests/benchmarks/bench_inbetweening.py RUN ../shared/data/motion/deepmimic_clips_30hz.npz --steps 2000

Trains into the folder RUN if it is new. The clips are local rotations (names, parents, offsets); their joints are put
into the order of h36m17.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from data_prep.motion_synthetic import mostly_walking
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17
from pplkit.evaluation.inbetweening import compare, table_lines
from pplkit.geometry.quaternions import global_rotations, normalized
from pplkit.models.motion.inbetweening_config import InBetweeningConfig
from pplkit.training.tasks.inbetweening import load_inbetweening, train_inbetweening

NECK_OFFSETS = ((0.060045, 0, 0.089968), (0, 0, 0.259968))  # of nose and head in the clips' joints
ORDER = [0, 3, 4, 5, 8, 9, 10, 1, 2, 16, 17, 11, 12, 15, 6, 7, 14]
SETS = {"walking": ("long_walk",), "sneaking": ("stealthy",), "zombie": ("long_zombie", "zombie")}
STRIDES = {"walking": 10, "sneaking": 20, "zombie": 10, "varied": 5}


def recorded(path: Path) -> dict[str, list[PoseSequence]]:
    with np.load(path) as file:
        data = dict(file)
    parents = [*data["parents"].tolist(), *data["end_parents"].tolist(), 2, 2]
    offsets = np.concatenate([data["offsets"], data["end_offsets"], NECK_OFFSETS]).astype(float)
    sets: dict[str, list[PoseSequence]] = {name: [] for name in (*SETS, "varied")}
    for name in (key.removesuffix(".root") for key in data if key.endswith(".root")):
        if name.startswith(("walk", "ready")):
            continue
        local = normalized(data[f"{name}.local"].astype(float))
        local = np.concatenate([local, np.tile([1.0, 0, 0, 0], (len(local), 5, 1))], 1)
        points = global_rotations(local, offsets, data[f"{name}.root"].astype(float), parents)[0][:, ORDER]
        points = np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1).astype(np.float32)
        group = next((key for key, starts in SETS.items() if name.startswith(starts)), "varied")
        sets[group].append(PoseSequence(points=points, fps=30, skeleton=H36M17, space="world", source=name))
    return sets


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("run", type=Path, help="run folder")
    command.add_argument("clips", type=Path, help=".npz of clips")
    command.add_argument("--steps", type=int, default=2000, help="of the training")
    command.add_argument("--seed", type=int, default=0, help="of the training")
    options = command.parse_args()
    torch.set_num_threads(1)
    if not options.run.exists():
        start = time.process_time()
        config = InBetweeningConfig(steps=options.steps, seed=options.seed)
        train_inbetweening(config, mostly_walking, options.run, device="cpu", bar=False, threads=1)
        print(f"trained in {time.process_time() - start:.0f} CPU s")
    print("\n".join(table_lines(compare(load_inbetweening(options.run), recorded(options.clips), stride=STRIDES))))


if __name__ == "__main__":
    main()
