"""What keeps numbers that are not finite, and too little memory, from ending a training."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pplkit.models.layers import collectives

if TYPE_CHECKING:
    from lightning.fabric import Fabric

MAX_SKIPPED_STEPS = 5  # in a row, because their numbers are not finite
MAX_SCALINGS = 20  # more of them for 16-mixed, which halves the scale of the gradients at each
FLAG_DEVICES = ("cpu", "cuda")  # whose fused Adam leaves out a step by a flag that is on the device


def patience(precision: str) -> int:
    """How many steps in a row may be skipped."""
    return MAX_SKIPPED_STEPS + MAX_SCALINGS * (precision == "16-mixed")


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error says that a device has too little memory."""
    return isinstance(error, torch.OutOfMemoryError) or "MPS backend out of memory" in str(error)


class NonFiniteGuard:
    """Lets an optimizer's step through if loss and gradients are finite, else undoes the step.

    Parameters, the optimizer's state and the model's buffers, which the forward pass changes, are then as before. With
    a fused Adam the decision is taken on the device, which is not waited for.
    """

    def __init__(self, fabric: "Fabric", model: nn.Module, optimizer: Any) -> None:
        """`optimizer` as Fabric set it up."""
        self.fabric, self.optimizer = fabric, optimizer
        self.parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self.flagged = all(group.get("fused") for group in optimizer.param_groups)
        by_type: dict[torch.dtype, list[Tensor]] = {}
        for buffer in model.buffers():
            by_type.setdefault(buffer.dtype, []).append(buffer)
        self.buffers = list(by_type.values())

    def remember(self) -> list[Tensor]:
        """A copy of the buffers, those of a type in one tensor."""
        return [torch.cat([buffer.flatten() for buffer in buffers]) for buffers in self.buffers]

    def step(self, loss: Tensor, before: list[Tensor]) -> Tensor:
        """Take the step, or undo what came since `before` was remembered; whether it was skipped, a bool."""
        gradients = [value.grad for value in self.parameters if value.grad is not None]
        finite = torch.nn.utils.get_total_norm(gradients).isfinite() & loss.isfinite()
        skipped = collectives.total((~finite).to(loss)) > 0
        if getattr(self.fabric.strategy.precision, "scaler", None) is not None:
            gradients[0].masked_fill_(skipped, torch.nan)  # the scaler looks at gradients alone
            self.optimizer.step()
        elif self.flagged and loss.device.type in FLAG_DEVICES:
            self.optimizer.optimizer.found_inf = skipped.to(torch.float32)
            self.optimizer.step()
        elif not skipped:
            self.optimizer.step()
        self.optimizer.zero_grad()
        self.put_back(before, skipped)
        return skipped

    @torch.no_grad()
    def put_back(self, before: list[Tensor], where: Tensor | None = None) -> None:
        """The buffers as they were; with `where`, a bool, if it is set."""
        now = before
        if where is not None:
            now = [torch.where(where, *pair) for pair in zip(before, self.remember(), strict=True)]
        for buffers, flat in zip(self.buffers, now, strict=True):
            parts = flat.split([buffer.numel() for buffer in buffers])
            torch._foreach_copy_(buffers, [part.view_as(own) for part, own in zip(parts, buffers, strict=True)])
