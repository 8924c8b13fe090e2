"""What a training step of the preset `paper` costs, beside the formulas as written (`pplkit.models.prior.reference`).

python tests/benchmarks/bench_step.py           the table, and how the cost grows with batch, size, keypoints, links,
                                                in ten minutes on two CPU cores; also bench.json and bench.png
python tests/benchmarks/bench_step.py --quick   the table alone

Each variant runs in a process of its own, one after the other and in turns (--rounds), on the same images and weights.
Time is the median step after a first one that is not counted. Memory is the most that tensors held at once in a step,
beyond weights, images and the like, which were there before; a GPU's is what PyTorch allocated. On a CPU the process
takes more, as pieces that are free do not fit what is asked for: in brackets, the most that it held, and how far that
is above what it held before the first step; this differs by some percent from one process to the next. What the kit
asks of the system's memory (`pplkit.training.runtime`) it asks for its own steps; plain runs as PyTorch runs it.
VGG19 has random weights here, which cost what trained ones cost. Share of the peak: floating-point operations of
convolutions and matrix products per second, beside those of a product of large matrices in the variant's number format.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))  # counting.py

from counting import Tensors, held, operations, peak, synchronise, timed

from pplkit.geometry.link_map import link_map, link_map_reference
from pplkit.models.layers import perceptual as feature_networks
from pplkit.models.layers.perceptual import PerceptualFeatures, perceptual_features
from pplkit.models.prior.batches import Batch
from pplkit.models.prior.config import Config
from pplkit.models.prior.reference import ReferenceStep
from pplkit.training.distributed import fabric_for
from pplkit.training.runtime import keep_memory
from pplkit.training.step import Step
from pplkit.training.tasks.prior import PriorTask, build_model, largest_map

VARIANTS = ("plain", "kit float32", "kit bfloat16")


def some_batch(config: Config, device: torch.device) -> Batch:
    """Random images with four fifths of the blocks of the reference hidden."""
    generator = torch.Generator().manual_seed(0)
    side = config.image_size
    images = torch.rand(config.batch_size, 3, side, side, generator=generator) * 2 - 1
    kept = (
        torch.rand(config.batch_size, 1, config.mask_grid, config.mask_grid, generator=generator) > config.mask_ratio
    ).float()
    reference = images * nn.functional.interpolate(kept, size=(side, side))
    images, reference = (x.to(device, memory_format=torch.channels_last) for x in (images, reference))
    return Batch(images, reference, images)


def untrained_features(config: Config) -> PerceptualFeatures:
    """The config's feature network; a VGG with random weights, since the trained ones may not be at hand."""
    from torchvision.models.vgg import cfgs, make_layers

    torch.manual_seed(1)
    feature_networks._vgg_layers = lambda name: list(make_layers(cfgs["E" if name == "vgg19" else "D"]).children())  # type: ignore[attr-defined]
    result = perceptual_features(config.perceptual, config.perceptual_size)
    assert result is not None
    return result


def step_of(variant: str, config: Config, device: torch.device) -> Callable[[], Any]:
    """The variant's training step on a batch of its own."""
    features = untrained_features(config).to(device)
    if variant == "plain":
        step, batch = ReferenceStep(build_model(config).to(device), features), some_batch(config, device)
        return lambda: step(batch)
    precision = "bf16-mixed" if variant.endswith("bfloat16") else "32-true"
    fabric, task = fabric_for(device.type, precision), PriorTask(config)
    task.model, task.features = build_model(config), features.placed(device, precision)
    batch = some_batch(config, device)
    one_step = Step(fabric, task, *fabric.setup(task.model, task.optimizer()))
    return lambda: one_step(batch)


def measure(variant: str, config: Config, device: torch.device, steps: int) -> dict[str, Any]:
    """Seconds of each of `steps` steps and bytes of memory, in this process."""
    if variant != "plain":
        keep_memory(largest_map(config))  # as training does
    step = step_of(variant, config, device)
    before = held(device)
    step()
    times = []
    for _ in range(steps):
        synchronise(device)
        began = time.perf_counter()
        step()
        synchronise(device)
        times.append(time.perf_counter() - began)
    of_process = {"bytes": held(device), "bytes_of_steps": held(device) - before}
    if device.type == "cuda":
        return {"variant": variant, "seconds": times, "bytes_of_tensors": held(device) - before, **of_process}
    step = step_of(variant, config, device)
    with Tensors() as counted:
        step()  # in which the optimiser makes what it keeps
        step()
    return {"variant": variant, "seconds": times, "bytes_of_tensors": counted.most, **of_process}


def flops(variant: str, config: Config) -> int:
    """Floating-point operations of the variant's step for each image, forward and backward; counted on the CPU."""
    config = config.replace(batch_size=2)
    return operations(step_of(variant, config, torch.device("cpu"))) // 2


def alone(arguments: list[str]) -> Any:
    """What this script prints as JSON in a process of its own."""
    out = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[-1])


def link_maps_alone(which: str, device: torch.device, keypoints: int = 16, size: int = 128) -> dict[str, float]:
    """Seconds forth and back of the link map of eight poses, and bytes held above what was held before."""
    generator = torch.Generator().manual_seed(0)
    points = (torch.rand(8, keypoints, 2, generator=generator) * 2 - 1).to(device).requires_grad_()
    weights = torch.rand(keypoints, keypoints, generator=generator).to(device)
    draw = link_map_reference if which == "plain" else link_map
    draw(points, weights, 16, 5e-4).sum().backward()  # starts what works in the background
    before = held(device)
    seconds = timed(lambda: draw(points, weights, size, 5e-4).sum().backward(), device)
    return {"seconds": seconds, "bytes": held(device) - before}


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """The whole table: steps of all variants in turns, link maps, and the machine."""
    device = torch.device(options.device)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in VARIANTS}
    shared = ["--device", options.device, "--batch", str(options.batch), "--steps", str(options.steps)]
    for _ in range(options.rounds):
        for name in VARIANTS:
            runs[name].append(alone(["--variant", name, *shared]))
    config = Config.preset("paper").replace(batch_size=options.batch)
    steps = {}
    for name, many in runs.items():
        seconds = statistics.median(second for one in many for second in one["seconds"])
        top = peak(device, torch.bfloat16 if name.endswith("bfloat16") else torch.float32)
        work = flops(name, config) * options.batch
        steps[name] = {
            "seconds": seconds, "images_per_second": options.batch / seconds,
            "flops": work, "share_of_peak": work / seconds / top,
            **{name: max(one[name] for one in many) for name in ("bytes_of_tensors", "bytes", "bytes_of_steps")},
        }  # fmt: skip
    maps = {name: alone(["--links", name, "--device", options.device]) for name in ("plain", "kit")}
    machine = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(), "torch": torch.__version__, "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip
    return {"machine": machine, "batch": options.batch, "steps": steps, "link_maps": maps}


def processor() -> str:
    """The processor's name, and the instructions for which PyTorch has its own code."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{(named or [platform.processor() or platform.machine()])[0]}, {torch.backends.cpu.get_cpu_capability()}"


def curves(device: torch.device) -> dict[str, list[list[float]]]:
    """Seconds of the kit's link map by keypoints and by image size, and of its step by batch and image size."""
    base = Config.preset("paper")
    keep_memory(base)
    results: dict[str, list[list[float]]] = {
        "link map by links": [
            [n * (n - 1) // 2, link_maps_alone("kit", device, n)["seconds"]] for n in (8, 16, 32, 64)
        ],
        "link map by pixels": [[s * s, link_maps_alone("kit", device, 16, s)["seconds"]] for s in (64, 128, 256)],
    }
    for name, changes in {"batch_size": (2, 4, 8), "image_size": (64, 96, 128), "keypoints": (8, 16, 32)}.items():
        rows = []
        for value in changes:
            config = base.replace(**{"batch_size": 4, name: value})
            rows.append([value, timed(step_of(VARIANTS[-1], config, device), device)])
        results[f"step by {name}"] = rows
    return results


def draw(result: dict[str, list[list[float]]], path: Path) -> None:
    """The curves, seconds on logarithmic axes, with a dashed line of what would be in proportion."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    figure = Figure(figsize=(3.2 * len(result), 3), layout="constrained")
    for axes, (name, rows) in zip(figure.subplots(1, len(result)), result.items(), strict=True):
        x, seconds = zip(*rows, strict=True)
        axes.loglog(x, seconds, "o-", color="#0072B2")
        axes.loglog(x, [seconds[-1] * value / x[-1] for value in x], "--", color="#999999")
        axes.set(title=name.replace("_", " "), xlabel=name.split(" by ")[1].replace("_", " "), ylabel="seconds")
        axes.xaxis.set(major_locator=FixedLocator(x), minor_locator=NullLocator(), major_formatter="{x:g}")
        axes.yaxis.set(minor_formatter=NullFormatter())
        axes.set_ylim(min(seconds) / 3, max(seconds) * 3)
    figure.savefig(path, dpi=120)


def table(result: dict[str, Any]) -> list[str]:
    """Lines of text."""
    plain = result["steps"]["plain"]
    lines = [f"{result['machine']}", f"a step of the preset paper, batch {result['batch']}"]
    lines.append(f"{'':14}{'seconds':>9}{'faster':>8}{'images/s':>10}{'of peak':>9}{'memory':>26}{'of plain':>13}")
    for name, row in result["steps"].items():
        of_plain = [row[kind] / plain[kind] for kind in ("bytes_of_tensors", "bytes_of_steps")]
        memory = f"{row['bytes_of_tensors'] / 1e9:.2f} ({row['bytes'] / 1e9:.2f}, {row['bytes_of_steps'] / 1e9:.2f}) GB"
        lines.append(
            f"{name:14}{row['seconds']:9.2f}{plain['seconds'] / row['seconds']:8.2f}{row['images_per_second']:10.2f}"
            f"{row['share_of_peak']:9.0%}{memory:>26}{f'{of_plain[0]:.2f} ({of_plain[1]:.2f})':>13}"
        )
    all_maps, kit = result["link_maps"]["plain"], result["link_maps"]["kit"]
    lines.append(
        "link map, N = 16, 128 px, 8 poses: "
        f"all maps {1000 * all_maps['seconds']:.0f} ms, {all_maps['bytes'] / 1e6:.0f} MB; "
        f"kit {1000 * kit['seconds']:.1f} ms, {kit['bytes'] / 1e6:.1f} MB"
    )
    return lines


def main() -> None:
    """Read the options; print the table, or, for one part, its JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5, help="timed steps in each process")
    parser.add_argument("--rounds", type=int, default=2, help="processes for each variant")
    parser.add_argument("--quick", action="store_true", help="without the curves")
    parser.add_argument("--out", type=Path, default=Path("bench.json"))
    parser.add_argument("--variant", choices=VARIANTS, help="this one alone")
    parser.add_argument("--links", choices=("plain", "kit"), help="this link map alone")
    options = parser.parse_args()
    device = torch.device(options.device)
    if options.variant:
        config = Config.preset("paper").replace(batch_size=options.batch)
        print(json.dumps(measure(options.variant, config, device, options.steps)))
    elif options.links:
        print(json.dumps(link_maps_alone(options.links, device)))
    else:
        result = compare(options)
        print("\n".join(table(result)))
        if not options.quick:
            result["curves"] = curves(device)
            for name, rows in result["curves"].items():
                print(f"{name}:", ", ".join(f"{x:g}: {1000 * seconds:.1f} ms" for x, seconds in rows))
            draw(result["curves"], options.out.with_suffix(".png"))
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
