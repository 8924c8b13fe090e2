"""What each method costs, learning and in use, beside the published formulation of its task: `make bench`.

python tests/benchmarks/bench_methods.py                     all sections, in six to eight minutes on a core; bench.json
python tests/benchmarks/bench_methods.py --sections mesh     one of prior, lifting, mesh, motion

Each section runs in a process of its own, on the CPU and, where there is one, on a GPU. Time is the median of at least
three calls after a first one, with random weights, which cost what trained ones cost. Memory is the most that tensors
held at once, without weights and inputs. Share of the peak: floating-point operations of convolutions and matrix
products per second, beside those of a product of large matrices; recurrent layers are not counted, so methods that have
some have none. The prior is `bench_step.py --quick` with a small batch; called by itself it has the published one.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))  # counting.py, bench_step.py

from bench_step import processor
from counting import Tensors, operations, peak, timed

from data_prep.motion_synthetic import lift_batch, motion_windows
from data_prep.synthetic.bodies3d import body_poses
from pplkit.core.words import quantity
from pplkit.data.skeletons import H36M17
from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.lifting.model import build_model
from pplkit.models.lifting.windows import lift_centers, lift_sequence
from pplkit.models.mesh.config import MeshConfig
from pplkit.models.mesh.template import Template
from pplkit.models.motion.estimator import TemporalConvolution, estimate_camera_space, pose_loss
from pplkit.models.motion.hallucinator import Frame, Hallucinator
from pplkit.models.motion.inbetweening import InBetweening, fill
from pplkit.models.motion.inbetweening_config import InBetweeningConfig
from pplkit.training.distributed import fabric_for
from pplkit.training.step import Step
from pplkit.training.task import Rank, Task
from pplkit.training.tasks.inbetweening import InBetweeningTask
from pplkit.training.tasks.lifting import LiftingTask
from pplkit.training.tasks.mesh import MeshTask

Row = dict[str, Any]
PUBLISHED = 16  # joints of the published estimator


def row(
    device: torch.device, what: str, who: str, unit: str, count: int, action: Callable[[], Any], counted: bool = True
) -> Row:
    """Time, memory and, if `counted`, operations of `action`, which gives `count` of `unit`."""
    seconds = timed(action, device)
    with Tensors() as tensors:
        action()
    return {
        "what": what, "who": who, "unit": unit, "seconds": seconds, "seconds_per_unit": seconds / count,
        "bytes": tensors.most, "flops": operations(action) if counted else None,
    }  # fmt: skip


def engine_step(task: Task, device: torch.device) -> Callable[[], Any]:
    """The step of a task in the engine, on one batch."""
    task.setup(Rank(device, 0, 1, "32-true"))
    task.model.to(device)
    fabric = fabric_for(device.type, "32-true")
    step = Step(fabric, task, *fabric.setup(task.model, task.optimizer()))
    batch = task.batch(0)
    return lambda: step(batch)


def plain_step(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], Any]:
    """A step of Adam on a loss, as published code does it."""
    optimizer = torch.optim.Adam(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def lifting(device: torch.device, small: int = 1) -> Iterator[Row]:
    """PoseFormer, which gives the center frame of a window, and the kit's lifter, which gives all of them."""
    batch, frames = 64 // small, 243 // small
    names = {"poseformer-27": "PoseFormer, as published", "lift-small": "kit"}
    for name, who in names.items():
        config = LiftingConfig.preset(name).replace(batch_size=batch)
        learned = batch * (1 if name.startswith("poseformer") else config.frames)
        step = engine_step(LiftingTask(config, lift_batch), device)
        yield row(device, f"training step, {batch} windows of 27 frames", who, "frame learned", learned, step)
    points = torch.from_numpy(lift_batch(0, 1, frames=4 * frames).keypoints[0]).to(device)
    for name, who in names.items():
        model, pairs = build_model(LiftingConfig.preset(name)).to(device).eval(), H36M17.flip_pairs
        for length in (frames // 3, frames) if name.startswith("poseformer") else (frames // 3, frames, 4 * frames):

            def lifted(model: Any = model, length: int = length, pairs: Any = pairs) -> Any:
                if hasattr(model, "causal"):
                    return lift_sequence(model, points[:length], None, pairs)
                with torch.no_grad():
                    return lift_centers(model, points[:length], pairs)

            yield row(device, f"lifting {length} frames, with mirror images", who, "frame", length, lifted)


def mesh(device: torch.device, small: int = 1) -> Iterator[Row]:
    """Neural Pose Representation and the kit's patches: a step, and poses given to bodies of more and more faces."""
    count = 8 // small
    data = body_poses("humanoid", count=16 // small)
    tasks = {}
    for name, who in {"npr": "NPR, as published", "mesh": "kit"}.items():
        config = MeshConfig.preset(name)
        config = config.replace(batch_size=min(config.batch_size, len(data.poses)))
        tasks[who] = MeshTask(config, data)
        step, poses = engine_step(tasks[who], device), config.batch_size
        what, who_with = f"training step, {len(data.mesh.faces):,} faces", f"{who}, {quantity(poses, 'pose')} a step"
        yield row(device, what, who_with, "pose", poses, step)
    for triangles in ("coarse", "fine"):
        body = body_poses("humanoid", "tall-thin", triangles, 1)
        target = Template(body.mesh.vertices, body.mesh.faces, body.landmarks)
        for who, task in tasks.items():
            model: Any = task.model.eval()

            def given(model: Any = model, target: Template = target) -> Any:
                return model.transfer(data.poses[:count], target)

            yield row(
                device, f"poses given to a body of {len(body.mesh.faces):,} faces", who, "pose", count, given, False
            )


def motion(device: torch.device, small: int = 1) -> Iterator[Row]:
    """PoseTriplet's estimator and hallucinator beside the kit's lifter and in-betweening."""
    batch, frames = 64 // small, 486 // small
    pose, path = TemporalConvolution(PUBLISHED).to(device), TemporalConvolution(1).to(device)
    windows = torch.randn(batch, pose.frames, PUBLISHED, 2, device=device)
    truth = torch.randn(batch, 1, PUBLISHED, 3, device=device)
    step = plain_step(pose, lambda: pose_loss(pose(windows, strided=True), truth))
    published = "PoseTriplet's estimator"
    yield row(device, f"training step, {batch} windows of 27 frames", published, "frame learned", batch, step)
    pose.eval(), path.eval()
    sequence = torch.randn(frames, PUBLISHED, 2, device=device)
    yield row(device, f"3D poses of {frames} frames", published, "frame", frames,
              lambda: estimate_camera_space(pose, path, sequence))  # fmt: skip
    lifter, points = build_model(LiftingConfig.preset("lift-small")).to(device).eval(), torch.randn(frames, 17, 2)
    yield row(device, f"3D poses of {frames} frames", "kit's lifter", "frame", frames,
              lambda: lift_sequence(lifter, points.to(device), None, H36M17.flip_pairs))  # fmt: skip
    yield from between(device, 32 // small)


def between(device: torch.device, batch: int) -> Iterator[Row]:
    """The hallucinator, frame after frame, and the kit's correction of interpolation, on gaps of several lengths."""
    made, offsets = Hallucinator().to(device), torch.randn(22, 3, device=device)
    start, goal = (Frame(*(torch.randn(batch, n, device=device) for n in (88, 3, 3, 4))) for _ in range(2))
    step = plain_step(made, lambda: made(start, goal, offsets, 20).positions.abs().mean())
    yield row(
        device, f"training step, {batch} gaps of 20 frames", "PoseTriplet's hallucinator", "gap", batch, step, False
    )
    config = InBetweeningConfig(batch_size=batch, shortest_gap=20, longest_gap=20)
    yield row(device, f"training step, {batch} gaps of 20 frames", "kit", "gap", batch,
              engine_step(InBetweeningTask(config, motion_windows), device), False)  # fmt: skip
    model = InBetweening(config).to(device).eval()
    known = torch.from_numpy(motion_windows(0, batch, config.past + config.future)).to(device)
    past, future = known[:, : config.past], known[:, config.past :]
    for gap in (10, 20, 40):
        with torch.no_grad():
            yield row(device, f"filling {batch} gaps of {gap} frames", "PoseTriplet's hallucinator", "gap", batch,
                      lambda gap=gap: made(start, goal, offsets, gap), False)  # fmt: skip
        yield row(device, f"filling {batch} gaps of {gap} frames", "kit, with mirror images", "gap", batch,
                  lambda gap=gap: fill(model, past, future, gap), False)  # fmt: skip


SECTIONS: dict[str, Callable[..., Iterator[Row]]] = {"lifting": lifting, "mesh": mesh, "motion": motion}


def prior(device: str, batch: int) -> list[Row]:
    """The rows of `bench_step.py`, and of the link map."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "step.json"
        options = ["--quick", "--rounds", "1", "--steps", "2", "--batch", str(batch), "--device", device]
        script = Path(__file__).parent / "bench_step.py"
        subprocess.run([sys.executable, str(script), *options, "--out", str(out)], check=True, capture_output=True)
        result = json.loads(out.read_text(encoding="utf8"))
    names = {"plain": "plain, as written in the paper"}
    rows = [
        {
            "what": f"training step of `paper`, {batch} images", "who": names.get(name, name), "unit": "image",
            "seconds": one["seconds"], "seconds_per_unit": 1 / one["images_per_second"],
            "bytes": one["bytes_of_tensors"], "share_of_peak": one["share_of_peak"],
        }
        for name, one in result["steps"].items()
    ]  # fmt: skip
    for name, one in result["link_maps"].items():
        who = "maps of all links" if name == "plain" else "kit"
        rows.append(
            {"what": "link maps of 8 poses, forward and backward", "who": who, "unit": "pose", "share_of_peak": None,
             "seconds": one["seconds"], "seconds_per_unit": one["seconds"] / 8, "bytes": one["bytes"]}
        )  # fmt: skip
    return rows


def table(rows: list[Row]) -> list[str]:
    """The rows as Markdown; how many times as fast a unit is made as by the first method that does the same."""
    lines = ["| | | ms | ms a unit | times as fast | memory, MB | of peak |", "|---|---|---:|---:|---:|---:|---:|"]
    first: dict[str, float] = {}
    for one in rows:
        rival = first.setdefault(one["what"], one["seconds_per_unit"])
        share = "" if one["share_of_peak"] is None else f"{one['share_of_peak']:.0%}"
        ms, each, times = 1000 * one["seconds"], 1000 * one["seconds_per_unit"], rival / one["seconds_per_unit"]
        faster = f"{times:.{int(times < 10)}f}" if times != 1 else ""
        lines.append(
            f"| {one['what']} | {one['who']} | {ms:.3g} | {each:.3g} ({one['unit']}) | {faster} | "
            f"{one['bytes'] / 1e6:.3g} | {share} |"
        )
    return lines


def main() -> None:
    """Run the sections one after the other; with --alone, print the rows of one as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", nargs="+", choices=("prior", *SECTIONS), default=["prior", *SECTIONS])
    parser.add_argument("--batch", type=int, default=2, help="images of the prior's step (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("bench.json"))
    parser.add_argument("--alone", nargs=2, metavar=("SECTION", "DEVICE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        device = torch.device(options.alone[1])
        torch.manual_seed(0)
        before = peak(device, torch.float32)
        rows = list(SECTIONS[options.alone[0]](device))
        top = max(before, peak(device, torch.float32))  # of a machine whose speed changes
        shares = [None if one["flops"] is None else one["flops"] / one["seconds"] / top for one in rows]
        print(json.dumps([{**one, "share_of_peak": share} for one, share in zip(rows, shares, strict=True)]))
        return
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    names = {"cpu": processor(), "cuda": torch.cuda.get_device_name() if len(devices) > 1 else ""}
    machine = {"threads": torch.get_num_threads(), "torch": torch.__version__, "date": time.strftime("%Y-%m-%d")}
    result: dict[str, Any] = {"machine": machine, "sections": {}}
    for device in devices:
        print(f"{names[device]}; {machine}", flush=True)
        for section in options.sections:
            began = time.perf_counter()
            if section == "prior":
                rows = prior(device, options.batch)
            else:
                line = [sys.executable, __file__, "--alone", section, device]
                said = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout
                rows = json.loads(said.splitlines()[-1])
            result["sections"][f"{section}, {names[device]}"] = rows
            print(f"\n{section} ({time.perf_counter() - began:.0f} s)\n" + "\n".join(table(rows)), flush=True)
            options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
