"""What mesh pose costs: the Poisson solve, and the published network at 13,700 faces; peak memory of the process.

python tests/benchmarks/bench_mesh.py [--threads 1]
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))

import numpy as np
import torch
from solids import bent, torus

from pplkit.geometry.mesh import PoissonSolver, jacobians
from pplkit.models.mesh import NPRApplier, NPRExtractor

POSES = 300


def timed(what: str, function: Callable[[], Any], repeats: int = 1) -> Any:
    """The last result; prints the shortest time, and the most memory that the process has had."""
    times = []
    for _ in range(repeats):
        result = None  # or two graphs would be in memory
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{what:52} {1000 * min(times):9.1f} ms   peak {peak:5.2f} GiB", flush=True)
    return result


def main() -> None:
    """Print one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    rest, faces = torus(120, 57)
    posed = bent(rest)
    print(f"{len(rest):,} vertices, {len(faces):,} faces")
    timed("nothing yet", lambda: None)

    extractor, applier = NPRExtractor().eval(), NPRApplier().eval()
    centers = torch.from_numpy(posed[faces].mean(1)[None]).float()
    queries = torch.from_numpy(rest[faces].mean(1)[None]).float()
    field = torch.from_numpy(jacobians(rest, faces, posed)[None]).float()
    with torch.no_grad():
        code = timed("extractor, forward", lambda: extractor(centers, field), 3)
        timed("applier, forward", lambda: applier(code, queries), 3)
    timed("extractor, forward with gradients", lambda: extractor(centers, field), 2)
    timed("both, forward and backward", lambda: applier(extractor(centers, field), queries).square().mean().backward())

    solver = timed("operators and factors", lambda: PoissonSolver(rest, faces), 3)
    exact = timed("Jacobians of a pose", lambda: jacobians(rest, faces, posed), 5)
    vertices = timed("vertices of a pose", lambda: solver.solve(exact), 10)
    print(f"largest error, there and back: {np.abs(vertices - posed + posed.mean(0)).max():.1e}")
    variable = torch.from_numpy(exact).requires_grad_()
    timed("forward and backward of a pose", lambda: solver.solve(variable).square().sum().backward(), 5)
    many = np.repeat(exact[None], POSES, axis=0)
    timed(f"vertices of {POSES} poses in one call", lambda: solver.solve(many), 2)


if __name__ == "__main__":
    main()
