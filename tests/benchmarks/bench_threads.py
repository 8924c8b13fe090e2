"""Speed of training on a CPU beside other work: python tests/benchmarks/bench_threads.py DATASET_DIR [--steps 60]

Each row trains the preset `fast` anew in a process of its own on one thread, on two, and on as many as `pplkit train`
chooses, while 0, 1 and 2 other processes keep a core busy each. Images a second, as training.json has them. Ten minutes
on two cores that do nothing else. 35 and 91 (two threads and one, beside one busy process) against 144 and 101 (alone)
is what made the number of threads a choice.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

BUSY = "while True: pass"
SETTINGS = {"one thread": ["--threads", "1"], "two threads": ["--threads", "2"], "default": []}


def speed(data: Path, steps: int, options: list[str], others: int) -> tuple[float, int]:
    """Images a second of a new training beside `others`, and the number of threads that it ran on."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(others)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            command = [sys.executable, "-m", "pplkit", "train", str(data), str(run), "--preset", "fast", *options]
            command += ["--steps", str(steps), "--device", "cpu"]
            subprocess.run(command, env=environment, check=True, capture_output=True)
            result = json.loads((run / "training.json").read_text())
            made_by = json.loads((run / "config.json").read_text())["made_by"]
            return result["images_per_second"], made_by["threads"]
    finally:
        for process in busy:
            process.kill()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a prepared data set of puppets")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--others", type=int, nargs="+", default=[0, 1, 2], help="numbers of busy processes")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    arguments = parser.parse_args()
    print(f"{'':12}" + "".join(f"{others} busy".rjust(20) for others in arguments.others))
    for name in arguments.settings:
        print(f"{name:12}", end="", flush=True)
        for others in arguments.others:
            images, threads = speed(arguments.data, arguments.steps, SETTINGS[name], others)
            print(f"{images:.0f} ({threads} thread{'s' * (threads > 1)})".rjust(20), end="", flush=True)
        print()


if __name__ == "__main__":
    main()
