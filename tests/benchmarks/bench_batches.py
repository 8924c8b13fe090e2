"""How many images per second `Batches` gives, beside a DataLoader over JPEG files; how much memory streaming takes.

python tests/benchmarks/bench_batches.py                  the table, in a minute or two; --quick in seconds
python tests/benchmarks/bench_batches.py --memory 20      writes a set of 20 GB, streams it, and deletes it
python tests/benchmarks/bench_batches.py --training       how long a batch takes beside the training step that uses it

Rates are of one run on one machine, taken in turns, so that a machine that gets slower slows all of them: look at the
ratios. An image with its reference counts as one. The DataLoader decodes JPEG files of --source pixels, resizes the
shorter side, crops, flips, converts and normalises, with one process per core; where the reference is another frame it
decodes that as well, where it is the masked image it multiplies by a mask of 16 x 16 blocks.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms as T
from torchvision.transforms import functional as TF

from pplkit.data.dataset import Split, open_dataset
from pplkit.data.occlusion import upsample_patches
from pplkit.data.writer import DatasetWriter
from pplkit.models.layers.perceptual import perceptual_features
from pplkit.models.prior.batches import Batches
from pplkit.models.prior.config import Config
from pplkit.training.runtime import keep_memory
from pplkit.training.step import Step
from pplkit.training.tasks.prior import PriorTask, build_model, largest_map

FRAMES = 20  # of each synthetic video


def picture(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Smooth blotches with some noise: a JPEG of it is about as large as one of a photograph."""
    coarse = Image.fromarray(rng.integers(0, 256, (height // 40 + 2, width // 40 + 2, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    return Image.fromarray((smooth + rng.integers(-12, 13, smooth.shape)).clip(0, 255).astype(np.uint8))


class Jpegs(TorchDataset[tuple[Tensor, Tensor]]):
    """An image and its reference, both (3, S, S) in [-1, 1]."""

    def __init__(self, files: list[Path], config: Config) -> None:
        self.files, self.config = files, config
        size = config.image_size
        self.crop = T.Compose([T.Resize(size), T.CenterCrop(size)])
        self.numbers = T.Compose([T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])

    def __len__(self) -> int:
        return len(self.files)

    def _read(self, index: int, flip: bool) -> Tensor:
        with Image.open(self.files[index]) as image:
            image = self.crop(image.convert("RGB"))
        return self.numbers(TF.hflip(image) if flip else image)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        flip, config = bool(torch.rand(()) < 0.5), self.config
        image = self._read(index, flip)
        if config.reference == "frame":
            other = index - index % FRAMES + (index + int(torch.randint(1, FRAMES, ()))) % FRAMES
            return image, self._read(other, flip)
        kept = (torch.rand(1, config.mask_grid, config.mask_grid) >= config.mask_ratio).float()
        return image, image * upsample_patches(kept, config.image_size)


def make(folder: Path, count: int, size: int, source: tuple[int, int]) -> list[Path]:
    """`count` JPEG files and, in folder/set, the same images prepared."""
    rng = np.random.default_rng(0)
    crop = T.Compose([T.Resize(size), T.CenterCrop(size)])
    files = [folder / f"{number:05d}.jpg" for number in range(count)]
    with DatasetWriter(folder / "set", name="bench", size=size, keypoint_names=[]) as writer:
        for number, file in enumerate(files):
            image = picture(rng, *source)
            image.save(file, quality=90)
            writer.add("train", np.asarray(crop(image))[None], videos=np.array([number // FRAMES]))
    return files


def loaded(loader: DataLoader[tuple[Tensor, Tensor]], seconds: float, device: torch.device) -> float:
    """Images per second of a DataLoader at work: what its processes hold ready at first does not count.

    They end with the measurement, as they would go on reading ahead in that of another way.
    """
    batches = iter(loader)

    def take() -> None:
        for part in next(batches):
            part.to(device, non_blocking=True)

    for _ in range(2 * loader.num_workers + 1):
        take()
    assert loader.batch_size
    return rate(take, loader.batch_size, seconds, device)


def rate(next_batch: Callable[[], object], batch: int, seconds: float, device: torch.device) -> float:
    """Images per second of batches asked for one after the other."""
    began, count = time.perf_counter(), 0
    while count < 3 or time.perf_counter() - began < seconds:
        next_batch()
        count += 1
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return count * batch / (time.perf_counter() - began)


def compare(options: argparse.Namespace, folder: Path) -> list[dict[str, object]]:
    """One row per reference: rates of the three ways, and ratios to the DataLoader's, of each repeat."""
    device = torch.device(options.device)
    files = make(folder, options.images, options.size, tuple(options.source))
    print(f"JPEG files of {np.mean([file.stat().st_size for file in files]) / 1000:.0f} kB in the mean", flush=True)
    split = open_dataset(folder / "set")["train"]
    rows = []
    for reference in ("masked", "frame"):
        config = Config(image_size=options.size, batch_size=options.batch, reference=reference)
        images = Jpegs(files, config)
        loader = DataLoader(
            images, options.batch, sampler=RandomSampler(images, replacement=True, num_samples=10**8),
            num_workers=options.workers, pin_memory=device.type == "cuda",
        )  # fmt: skip
        with (
            Batches(split, config, device, stream=False) as resident,
            Batches(split, config, device, stream=True) as streamed,
        ):
            results: dict[str, list[float]] = {"DataLoader": [], "resident": [], "streamed": []}
            for repeat in range(options.repeats + 1):
                rates = {"DataLoader": loaded(loader, options.seconds, device)}
                for name, batches in (("resident", resident), ("streamed", streamed)):
                    steps = itertools.count(10_000 * repeat)
                    rates[name] = rate(lambda b=batches, s=steps: b(next(s)), options.batch, options.seconds, device)  # type: ignore[misc]
                if repeat:  # the first one fills caches
                    for name, value in rates.items():
                        results[name].append(value)
        ratios = {name: [a / b for a, b in zip(results[name], results["DataLoader"], strict=True)] for name in results}
        rows.append({"reference": reference, "images_per_second": results, "ratios": ratios})
    return rows


def table(rows: list[dict[str, object]]) -> None:
    print(f"{'reference':10}{'way':12}{'images/s (low - high)':>30}{'times the DataLoader':>28}")
    for row in rows:
        for name, rates in row["images_per_second"].items():  # type: ignore[attr-defined]
            times = row["ratios"][name]  # type: ignore[index]
            speed = f"{np.median(rates):,.0f} ({min(rates):,.0f} - {max(rates):,.0f})"
            ratio = f"{np.median(times):.1f} ({min(times):.1f} - {max(times):.1f})"
            print(f"{row['reference']:10}{name:12}{speed:>30}{ratio:>28}")


def peak() -> dict[str, float]:
    """Resident memory of this process in MB: now, at most, and how much of it now is files."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    names = {"VmRSS:": "now", "VmHWM:": "peak", "RssFile:": "of files"}
    return {names[words[0]]: int(words[1]) / 1000 for words in lines if words and words[0] in names}


def write_large(folder: Path, gigabytes: float, size: int) -> None:
    """A set of random images in videos of FRAMES; each block of them is the same one turned, which is cheap."""
    block = np.random.default_rng(0).integers(0, 256, (64 * FRAMES, size, size, 3), dtype=np.uint8)
    with DatasetWriter(folder / "set", name="bench", size=size, keypoint_names=[]) as writer:
        for number in range(max(1, round(gigabytes * 1e9 / block.nbytes))):
            block[:, 0, 0, 0] = number % 256
            writer.add("train", block, videos=np.repeat(np.arange(64) + 64 * number, FRAMES))


def stream_large(options: argparse.Namespace) -> None:
    """In a process of its own: streams batches and prints, as JSON, what memory it took."""
    split = open_dataset(Path(options.stream_from) / "set")["train"]
    config = Config(image_size=options.size, batch_size=options.batch, reference=options.reference)
    steps = options.batches or len(split) // options.batch
    before, began = peak(), time.perf_counter()
    with Batches(split, config, torch.device(options.device), stream=True) as batches:
        for step in range(steps):
            batches(step)
    seconds = time.perf_counter() - began
    results = {"images": len(split), "steps": steps, "images_per_second": steps * options.batch / seconds}
    print(json.dumps({**results, "before": before, "after": peak()}))


def memory(options: argparse.Namespace, folder: Path) -> list[dict[str, object]]:
    write_large(folder, options.memory, options.size)
    total = sum(file.stat().st_size for file in folder.rglob("*.npy"))
    rows = []
    for reference in ("masked", "frame"):
        command = [sys.executable, __file__, "--stream-from", str(folder), "--reference", reference]
        for name in ("size", "batch", "device", "batches"):
            command += [f"--{name}", str(getattr(options, name))]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        row = {"reference": reference, "gigabytes": total / 1e9, **json.loads(output.splitlines()[-1])}
        print(
            f"{reference}: {total / 1e9:.1f} GB, {row['steps']} batches of {options.batch}, "
            f"{row['images_per_second']:,.0f} images/s; resident memory {row['before']['now']:.0f} MB before, "
            f"{row['after']['peak']:.0f} MB at most",
            flush=True,
        )
        rows.append(row)
    return rows


def training(options: argparse.Namespace, folder: Path) -> list[dict[str, object]]:
    """For each preset the seconds of a batch and of a step, one after the other, and the first as share of the second.

    Steps are the fastest of the preset: those at half resolution, where it has such.
    """
    rows = []
    for preset in options.presets:
        config = Config.preset(preset).replace(perceptual="random")  # smaller than VGG, and needs no download
        keep_memory(largest_map(config))  # as training does
        if options.batch:
            config = config.replace(batch_size=options.batch)
        write_large(folder / preset, 64 * FRAMES * 3 * config.image_size**2 / 1e9, config.image_size)
        split = open_dataset(folder / preset / "set")["train"]
        for stream in (False, True):
            batch, step = seconds_of(split, config, torch.device(options.device), stream, options.repeats)
            way = "streamed" if stream else "resident"
            print(f"{preset:20}{way:10} batch {1000 * batch:8.2f} ms, step {1000 * step:9.1f} ms: {batch / step:.2%}")
            rows.append({"preset": preset, "way": way, "batch": batch, "step": step, "size": config.batch_size})
    return rows


def seconds_of(split: Split, config: Config, device: torch.device, stream: bool, repeats: int) -> tuple[float, float]:
    """Medians of a batch and of the step behind it."""
    fabric = Fabric(accelerator=device.type, devices=1, precision=config.precision)  # type: ignore[arg-type]
    features, task = perceptual_features(config.perceptual, config.perceptual_size), PriorTask(config)
    task.model, task.features = build_model(config), features and features.placed(device, config.precision)
    step = Step(fabric, task, *fabric.setup(task.model, task.optimizer()))
    times: list[tuple[float, float]] = []

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    with Batches(split, config, device, stream=stream) as batches:
        for number in range(10 * repeats + 3):
            began = now()
            batch = batches(number)
            batch = batch.halved() if config.coarse_fraction else batch
            ready = now()
            step(batch)
            times.append((ready - began, now() - ready))
    waited, worked = np.median(times[3:], axis=0)
    return float(waited), float(worked)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--size", type=int, default=128, help="side of the images in pixels (default: %(default)s)")
    add("--batch", type=int, help="images in a batch (default: 64; with --training that of the preset)")
    add("--images", type=int, default=1000, help=f"synthetic images, in videos of {FRAMES} (default: %(default)s)")
    add("--source", type=int, nargs=2, default=(500, 375), help="width and height of the JPEG files (default: 500 375)")
    add("--workers", type=int, default=os.cpu_count(), help="processes of the DataLoader (default: one per core)")
    add("--seconds", type=float, default=5, help="length of each measurement (default: %(default)s)")
    add("--repeats", type=int, default=5, help="measurements of each way, in turns (default: %(default)s)")
    add("--device", default="cpu", help="(default: %(default)s)")
    add("--quick", action="store_true", help="200 images, 3 repeats of a second")
    add("--memory", type=float, metavar="GB", help="measure the memory of streaming a set of that size instead")
    add("--training", action="store_true", help="measure a batch beside the training step that uses it instead")
    add("--presets", nargs="+", default=("puppets", "cub"), help="with --training: of which (default: puppets cub)")
    add("--batches", type=int, default=0, help="with --memory: how many (default: an epoch)")
    add("--folder", type=Path, help="where the temporary files go (default: the system's place for them)")
    add("--out", type=Path, default=Path("bench_batches.json"), help="(default: %(default)s)")
    add("--reference", default="masked", help=argparse.SUPPRESS)
    add("--stream-from", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.training:
        options.batch = options.batch or 64
    if options.stream_from:
        stream_large(options)
        return
    if options.quick:
        options.images, options.repeats, options.seconds = 200, 3, 1.0
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measure = memory if options.memory else training if options.training else compare
        rows = measure(options, Path(folder))
    if measure is compare:
        table(rows)
    setting = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    machine = {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "torch": torch.__version__}
    options.out.write_text(json.dumps({"options": setting, "machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
