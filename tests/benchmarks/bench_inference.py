"""Images per second of `pplkit estimate`, beside those of the model alone and of reading alone.

python tests/benchmarks/bench_inference.py --models puppets --images 256 --rounds 2    two minutes on two CPU cores
python tests/benchmarks/bench_inference.py --models paper --images 32 --rounds 1       three minutes; on GPUs: defaults
python tests/benchmarks/bench_inference.py --run RUN     a trained model of any preset instead, such as `photographs`

The table is also written to bench_inference.json.

Files are JPEGs of --source pixels and an H.264 video of the same frames, made for the purpose. A model of the preset
`puppets` (64 px) and one of `paper` (128 px) estimate them as the command does, poses written as JSON, by the published
procedure without rounds and with four, and by a completer. "alone" is the model on images that lie in memory ready to
be taken, with the same batch size; "reading" is the same files without a model; "one by one" is a loop that reads a
file, estimates it and reads the next. In brackets the milliseconds of processor time for an image, of all threads,
which on a machine that others use tell more than the rates.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

import pplkit
from pplkit.data.images import read_image
from pplkit.data.reader import FrameSource, crop_square
from pplkit.data.video_writer import write_video
from pplkit.inference.estimate import Estimator, write_poses
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.networks import Completer

PROCEDURES: dict[str, tuple[str, int]] = {
    "published, 0 rounds": ("published", 0),
    "published, 4 rounds": ("published", 4),
    "completed": ("completed", 0),
}


def frame_count(source: FrameSource) -> int:
    return sum(1 for _ in source)


def make(folder: Path, count: int, size: tuple[int, int]) -> tuple[list[Path], Path]:
    """JPEG files as large as photographs of that size, and a video of the same frames."""
    rng = np.random.default_rng(0)
    files = []
    images = []
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (size[1] // 40 + 2, size[0] // 40 + 2, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)).astype(np.int16)
        image = (smooth + rng.integers(-12, 13, smooth.shape)).clip(0, 255).astype(np.uint8)
        files.append(folder / f"{number:05d}.jpg")
        Image.fromarray(image).save(files[-1], quality=90)
        if number < 8:
            images.append(image)
    return files, write_video(folder / "film.mp4", (images[k % len(images)] for k in range(count)), 25)


class Cost(NamedTuple):
    """Of one way to estimate."""

    rate: float  # images per second
    work: float  # milliseconds of processor time for an image

    def __str__(self) -> str:
        return f"{self.rate:.1f} ({self.work:.2f})"


def cost(action: Callable[[], object], count: int, device: torch.device, rounds: int = 3) -> Cost:
    """Medians of `rounds` after one that does not count."""
    results = []
    for number in range(rounds + 1):
        began, worked = time.perf_counter(), time.process_time()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if number:
            results.append((time.perf_counter() - began, time.process_time() - worked))
    seconds, work = (statistics.median(part) for part in zip(*results, strict=True))
    return Cost(count / seconds, 1000 * work / count)


def models(run: Path | None, names: list[str], device: str) -> dict[str, PosePriorLearner]:
    """By the names of the table, each with a completer: of a run, or with random weights of presets."""
    torch.manual_seed(0)
    chosen = [pplkit.load(run)] if run else [PosePriorLearner(Config.preset(name)) for name in names]
    for model in chosen:
        model.completer = model.completer or Completer(model.regressor)
        model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return {f"{model.config.name}, {model.config.image_size} px": model for model in chosen}


def measure(
    model: PosePriorLearner, files: list[Path], film: Path, how: str, batch: int, rounds: int
) -> dict[str, Cost]:
    """What each way costs, by one procedure."""
    procedure, iterations = PROCEDURES[how]
    side, device = model.config.image_size, model.alpha.device
    out = film.with_suffix(".json")
    squares = np.stack([one.square for one in FrameSource(files, side)])

    def one_by_one() -> None:
        for file in files:
            model.estimate(crop_square(read_image(file), side, "center")[1][None], iterations, procedure=procedure)

    def written(paths: list[Path]) -> Callable[[], object]:
        estimator = Estimator(model, iterations, procedure=procedure, batch_size=batch)
        return lambda: write_poses(estimator, paths, out, bar=False)

    actions: dict[str, Callable[[], object]] = {
        "alone": lambda: model.estimate(squares, iterations, batch, procedure=procedure),
        "pictures": written(files),
        "video": written([film]),
        "one by one": one_by_one,
    }
    return {name: cost(action, len(files), device, rounds) for name, action in actions.items()}


def table(result: dict[str, Any]) -> list[str]:
    """Lines of text."""
    lines = [str(result["machine"]), "images per second (ms of processor time for an image)"]
    lines += [f"reading {kind}: {cost}" for kind, cost in result["reading"].items()]
    names = list(next(iter(result["rows"].values())))
    lines.append(f"{'':36}" + "".join(f"{name:>18}" for name in names))
    lines += [f"{name:36}" + "".join(f"{row[kind]!s:>18}" for kind in names) for name, row in result["rows"].items()]
    return lines


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="run folder of a model that is measured instead of --models")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--threads", type=int, help="of the model (default: one for each core)")
    parser.add_argument("--source", type=int, nargs=2, default=(640, 480), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", nargs="+", default=["puppets", "paper"], choices=("puppets", "paper"))
    parser.add_argument("--procedures", nargs="+", default=list(PROCEDURES), choices=PROCEDURES)
    parser.add_argument("--out", type=Path, default=Path("bench_inference.json"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads or torch.get_num_threads())
    rows = {}
    with tempfile.TemporaryDirectory() as name:
        files, film = make(Path(name), options.images, tuple(options.source))
        read = {"pictures": files, "video": [film]}
        cpu = torch.device("cpu")
        sources = {kind: FrameSource(paths, 64) for kind, paths in read.items()}
        reading = {kind: cost(partial(frame_count, source), len(files), cpu) for kind, source in sources.items()}
        for label, model in models(options.run, options.models, options.device).items():
            for how in options.procedures:
                rows[f"{label}, {how}"] = measure(model, files, film, how, options.batch_size, options.rounds)
    machine = {
        "device": torch.cuda.get_device_name() if options.device.startswith("cuda") else platform.processor(),
        "cores": len(os.sched_getaffinity(0)), "threads": torch.get_num_threads(), "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"), "source": list(options.source), "batch": options.batch_size,
    }  # fmt: skip
    results = {"machine": machine, "reading": reading, "rows": rows}
    print("\n".join(table(results)))
    options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
