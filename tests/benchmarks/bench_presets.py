"""Error and cost of presets on the humanoid puppets, seed by seed.

python tests/benchmarks/bench_presets.py puppets fast --seeds 0 1 2      40 minutes on one core
python tests/benchmarks/bench_presets.py fast fast@32-true               float32 beside the preset's bfloat16

The presets take turns, so that a machine whose speed changes is as fast for one as for the other. What is trained
already under --out, with the same settings and threads, is read again. Cost is what a training took: seconds, and
seconds of the processor.
"""

import argparse
import json
import shutil
import time
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

import pplkit
from data_prep import puppets
from pplkit.data.dataset import Dataset
from pplkit.evaluation.report import Scorer, evaluation_report

SHOWN = ("relative_error", "keypoints_on_object", "links_on_object", "skeleton_covered", "seconds", "processor")


def trained(preset: str, seed: int, data: Dataset, run: Path) -> dict[str, Any]:
    """What a preset comes to from one seed."""
    name, _, precision = preset.partition("@")
    config = pplkit.Config.preset(name).replace(seed=seed)
    config = config.replace(precision=precision or config.precision)
    kept, settings = run / "bench.json", json.loads(config.to_json())
    if kept.exists():
        row: dict[str, Any] = json.loads(kept.read_text(encoding="utf8"))
        if (row["config"], row["threads"]) == (settings, torch.get_num_threads()):
            return row
    shutil.rmtree(run, ignore_errors=True)  # what was interrupted would take less time than it takes
    seconds, processor = time.perf_counter(), time.process_time()
    pplkit.train(config, data, run, device="cpu")
    cost = {"seconds": time.perf_counter() - seconds, "processor": time.process_time() - processor}
    model = pplkit.load(run)
    report = evaluation_report(model, data, scorer=Scorer(model, data)) | cost
    row = {"preset": preset, "seed": seed, "threads": torch.get_num_threads(), "config": settings}
    row |= {name: report[name] for name in SHOWN}
    kept.write_text(json.dumps(row) + "\n", encoding="utf8")
    return row


def main() -> None:
    """Train what is missing, and print a line for each run and each preset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("bench_presets"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not (options.out / "data").exists():
        puppets.prepare("humanoid", options.out / "data")
    data = pplkit.open_dataset(options.out / "data")
    rows = [
        trained(preset, seed, data, options.out / f"{preset}-{seed}")
        for seed in options.seeds
        for preset in options.presets
    ]
    print(f"{'':22}" + "".join(f"{name:>21}" for name in SHOWN))
    for row in rows:
        print(f"{row['preset'] + ' ' + str(row['seed']):22}" + "".join(f"{row[name]:21.3f}" for name in SHOWN))
    for preset in options.presets:
        for name, of in (("mean", mean), ("deviation", stdev)):
            many = [[row[key] for key in SHOWN] for row in rows if row["preset"] == preset]
            if len(many) > 1:
                numbers = (of(column) for column in zip(*many, strict=True))
                print(f"{preset + ' ' + name:22}" + "".join(f"{number:21.3f}" for number in numbers))


if __name__ == "__main__":
    main()
