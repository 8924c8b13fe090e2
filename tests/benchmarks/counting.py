"""How the benchmark measures: seconds, bytes, floating-point operations."""

import resource
import statistics
import time
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


def synchronise(device: torch.device) -> None:
    """Wait for the GPU, if it is one."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def held(device: torch.device) -> int:
    """Bytes held at most so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():  # Linux; getrusage would count what the process was before it became Python
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Tensors(TorchDispatchMode):
    """Counts the bytes of all tensors that are made inside, as long as they live, and the most at once."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.total, self.most = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {id(x.untyped_storage()) for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)}
        for made in tree_leaves(out):
            if (
                isinstance(made, torch.Tensor)
                and id(storage := made.untyped_storage()) not in given | self.alive.keys()
            ):
                self.alive[id(storage)] = storage.nbytes()
                self.total += storage.nbytes()
                weakref.finalize(storage, self._gone, id(storage))
        self.most = max(self.most, self.total)
        return out

    def _gone(self, storage: int) -> None:
        self.total -= self.alive.pop(storage)


def peak(device: torch.device, kind: torch.dtype) -> float:
    """Floating-point operations per second of a product of square matrices, the best of five."""
    size = 8192 if device.type == "cuda" else 4096
    a, b = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    best = 0.0
    for _ in range(5):
        synchronise(device)
        began = time.perf_counter()
        a @ b
        synchronise(device)
        best = max(best, 2 * size**3 / (time.perf_counter() - began))
    return best


def timed(action: Callable[[], Any], device: torch.device, least: float = 0.5) -> float:
    """Seconds of `action`, the median of as many calls as fit into `least` seconds, three at least."""
    action()
    times: list[float] = []
    while len(times) < 3 or sum(times) < least:
        synchronise(device)
        began = time.perf_counter()
        action()
        synchronise(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


class _Untracked(nullcontext[None]):
    """In the place of what tells the counter's modules apart, which forbids gradients within a forward pass."""

    parents = frozenset({"Global"})


def operations(action: Callable[[], Any]) -> int:
    """Floating-point operations of the convolutions and matrix products that `action` does, forth and back."""
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _Untracked()
    with counter:
        action()
    return counter.get_total_flops()
