"""One step of a training: numbers that are not finite change nothing, and a batch that does not fit comes in parts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from pplkit.core.errors import PplkitError
from pplkit.models.layers import collectives
from pplkit.training.guard import NonFiniteGuard, out_of_memory
from pplkit.training.task import Task

if TYPE_CHECKING:
    from lightning.fabric import Fabric


class StepResult(NamedTuple):
    """What came of a step."""

    values: dict[str, Tensor]  # the loss and its parts, without gradients
    skipped: Tensor  # bool
    batch: Any  # or its first part
    output: Any  # of that


class Step:
    """Forward, losses, backward, update. `parts` is the number of parts of a batch, 1 until one does not fit.

    In parts, each has a batch norm of its own, whose statistics are averaged; everything else that a task does not say
    otherwise is that of the whole batch, up to rounding.
    """

    def __init__(self, fabric: "Fabric", task: Task, wrapped: Callable[..., Any], optimizer: Any) -> None:
        """`wrapped` and `optimizer`: the task's model and optimizer as Fabric set them up."""
        self.fabric, self.task, self.wrapped, self.model = fabric, task, wrapped, task.model
        self.guard = NonFiniteGuard(fabric, self.model, optimizer)
        self.parts = 1

    def __call__(self, batch: Any, progress: float = 0.0) -> StepResult:
        """One step when the fraction `progress` of the training is done.

        Raises PplkitError if the device has no room for two images, or too little while several processes train.
        """
        before = self.guard.remember()
        while True:
            try:
                values, first, output = self._gradients(batch, progress)
                break
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
            self._split(self.task.size(batch), before)  # out here the error no longer holds what was computed
        return StepResult(values, self.guard.step(values["loss"], before), first, output)

    @torch.no_grad()
    def finite(self, batch: Any) -> bool:
        """Whether the model, as it is now, makes finite numbers of each process's batch; waits for the device.

        A step may have been finite and have led to where no later one is.
        """
        self.model.eval()
        finite = self.task.finite(batch)
        self.model.train()
        return not collectives.total((~finite).to(torch.float32))

    def _split(self, size: int, before: list[Tensor]) -> None:
        self.guard.optimizer.zero_grad()
        self.guard.put_back(before)
        if self.fabric.world_size > 1 or self.parts >= size // 2:
            raise PplkitError(
                f"{self.fabric.device} has too little memory for {-(-size // self.parts)} images at once: give a "
                "smaller batch_size or image_size, more devices, or precision='bf16-mixed', in a new run."
            )
        # Not down to one image, of which batch norm cannot make statistics at its smallest maps.
        self.parts = min(2 * self.parts, size // 2)
        if self.fabric.device.type == "cuda":
            torch.cuda.empty_cache()

    def _gradients(self, batch: Any, progress: float) -> tuple[dict[str, Tensor], Any, Any]:
        """Add up the gradients over the parts: the losses of the batch, and the first part with its output."""
        if self.parts == 1:
            values, output = self._backward(batch, progress, 1.0)
            return values, batch, output
        parts = self.task.split(batch, self.parts)
        fractions = [self.task.size(part) / self.task.size(batch) for part in parts]
        losses, kept, first = [], [], None
        with self.task.in_parts(), _averaged_batch_norm(self.model) as begin_part:
            for part, fraction in zip(parts, fractions, strict=True):
                begin_part(fraction)
                values, output = self._backward(part, progress, fraction)
                losses.append(values)
                kept.append(self.task.keep_of_part(output))
                first = self.task.detach(output) if first is None else first
        self.task.after_parts(kept)
        weights = torch.tensor(fractions).to(losses[0]["loss"])
        means = {name: (torch.stack([values[name] for values in losses]) * weights).sum() for name in losses[0]}
        return means, parts[0], first

    def _backward(self, batch: Any, progress: float, weight: float) -> tuple[dict[str, Tensor], Any]:
        with self.fabric.autocast():
            total, parts, output = self.task.losses(self.wrapped, batch, progress)
        self.fabric.backward(weight * total)
        return {"loss": total.detach(), **parts}, output


@contextmanager
def _averaged_batch_norm(model: nn.Module) -> Iterator[Callable[[float], None]]:
    """Inside, a batch comes in parts; the function is to be called before each, with its fraction of the batch.

    The running statistics of batch norms then move by what they would for one batch, r + m (Σ f · s - r): with
    m · f / (1 - m · (the fractions to come)) as the momentum of a part.
    """
    norms = {norm: norm.momentum or 0.0 for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)}
    fractions = []

    def begin_part(fraction: float) -> None:
        fractions.append(fraction)
        for norm, momentum in norms.items():
            norm.momentum = momentum * fraction / (1 - momentum * (1 - sum(fractions)))

    try:
        yield begin_part
        for norm in norms:
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.sub_(len(fractions) - 1)
    finally:
        for norm, momentum in norms.items():
            norm.momentum = momentum
