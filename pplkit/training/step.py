"""One step of a training: what is not finite changes nothing, and a batch that does not fit is done in parts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from pplkit.core.errors import PplkitError
from pplkit.models.layers import collectives as ranks
from pplkit.models.layers.perceptual import PerceptualFeatures
from pplkit.models.prior.batches import Batch
from pplkit.models.prior.config import Config
from pplkit.models.prior.losses import losses
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.outputs import Output

if TYPE_CHECKING:
    from lightning.fabric import Fabric

PATIENCE = 5  # steps in a row that may be left out because their numbers are not finite
SCALINGS = 20  # more of them for 16-mixed, which halves the scale of the gradients at each
FLAGGED = ("cpu", "cuda")  # devices whose fused Adam leaves out a step by a flag that is on the device


def patience(precision: str) -> int:
    """Steps in a row that may be left out."""
    return PATIENCE + SCALINGS * (precision == "16-mixed")


class Taken(NamedTuple):
    """What a step came to."""

    values: dict[str, Tensor]  # the loss and its parts, without gradients
    skipped: Tensor  # bool: whether it was left out
    batch: Batch  # or its first part
    output: Output  # of that


class Guard:
    """Lets an optimiser's step through if loss and gradients are finite, else makes it as if it had not been.

    Parameters, the optimiser's state and the model's buffers, which the forward pass changes, are then as before. The
    decision is taken on the device, which is not waited for.
    """

    def __init__(self, fabric: "Fabric", model: nn.Module, optimiser: Any) -> None:
        """`optimiser` as Fabric set it up, of a fused Adam."""
        self.fabric, self.optimiser = fabric, optimiser
        self.parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        kinds: dict[torch.dtype, list[Tensor]] = {}
        for buffer in model.buffers():
            kinds.setdefault(buffer.dtype, []).append(buffer)
        self.buffers = list(kinds.values())

    def remember(self) -> list[Tensor]:
        """The buffers as they are now, those of a type in one tensor."""
        return [torch.cat([buffer.flatten() for buffer in some]) for some in self.buffers]

    def step(self, loss: Tensor, before: list[Tensor]) -> Tensor:
        """Take the step, or undo what came since `before` was remembered; whether it was left out, a bool."""
        gradients = [value.grad for value in self.parameters if value.grad is not None]
        finite = torch.nn.utils.get_total_norm(gradients).isfinite() & loss.isfinite()
        skipped = ranks.total((~finite).to(loss)) > 0
        if getattr(self.fabric.strategy.precision, "scaler", None) is not None:
            gradients[0].masked_fill_(skipped, torch.nan)  # it looks for itself, at the gradients alone
            self.optimiser.step()
        elif loss.device.type in FLAGGED:
            self.optimiser.optimizer.found_inf = skipped.to(torch.float32)
            self.optimiser.step()
        elif not skipped:
            self.optimiser.step()
        self.optimiser.zero_grad()
        self.put_back(before, skipped)
        return skipped

    @torch.no_grad()
    def put_back(self, before: list[Tensor], where: Tensor | None = None) -> None:
        """The buffers as they were; with `where`, a bool, if it is set."""
        now = (
            before
            if where is None
            else [torch.where(where, *pair) for pair in zip(before, self.remember(), strict=True)]
        )
        for some, flat in zip(self.buffers, now, strict=True):
            parts = flat.split([buffer.numel() for buffer in some])
            torch._foreach_copy_(some, [part.view_as(buffer) for part, buffer in zip(parts, some, strict=True)])


class Step:
    """Forward, losses, backward, update. `parts` is the number of parts of a batch, 1 until one does not fit.

    In parts: each has a batch norm of its own, the mean of whose statistics is what is kept, and an extent of its own
    in the equivariance; all else, the update of the memory too, is that of the whole batch, up to rounding.
    """

    def __init__(
        self,
        fabric: "Fabric",
        config: Config,
        model: nn.Module,
        optimiser: Any,
        features: PerceptualFeatures | None,
    ) -> None:
        """`model` and `optimiser` as Fabric set them up."""
        self.fabric, self.config, self.wrapped, self.features = fabric, config, model, features
        self.model: PosePriorLearner = model.module  # type: ignore[assignment]
        self.guard = Guard(fabric, self.model, optimiser)
        self.parts = 1

    def __call__(self, batch: Batch, share: float = 0.0) -> Taken:
        """One step on a batch when `share` of the training is done; one that is not finite changes nothing.

        Raises PplkitError if the device has no room for two images, or several processes train and one has too little.
        """
        before = self.guard.remember()
        while True:
            try:
                values, first, output = self._gradients(batch, share)
                break
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
            self._split(len(batch.images), before)  # here, where the error does not hold what was computed any more
        return Taken(values, self.guard.step(values["loss"], before), first, output)

    @torch.no_grad()
    def sound(self, batch: Batch) -> bool:
        """Whether the model, as it is now, makes finite numbers of its process's batch in each; waits for the device.

        A step may have been finite and have led to where no later one is.
        """
        self.model.eval()
        output = self.model(batch.inputs, batch.reference)
        self.model.train()
        finite = output.keypoints.isfinite().all() & output.reconstruction.isfinite().all()
        return not ranks.total((~finite).to(torch.float32))

    def _split(self, size: int, before: list[Tensor]) -> None:
        self.guard.optimiser.zero_grad()
        self.guard.put_back(before)
        if self.fabric.world_size > 1 or self.parts >= size // 2:
            raise PplkitError(
                f"{self.fabric.device} has too little memory for {-(-size // self.parts)} images at once: give a "
                "smaller batch_size or image_size, more devices, or precision='bf16-mixed', in a new run."
            )
        self.parts = min(
            2 * self.parts, size // 2
        )  # of one image batch norm cannot make statistics at its smallest maps
        if self.fabric.device.type == "cuda":
            torch.cuda.empty_cache()

    def _gradients(self, batch: Batch, share: float) -> tuple[dict[str, Tensor], Batch, Output]:
        """Add up the gradients over the parts: the losses of the batch, and the first part with its output."""
        if self.parts == 1:
            values, output = self._backward(batch, share, 1.0)
            return values, batch, output
        every = parts_of(batch, self.parts)
        shares = [len(part.images) / len(batch.images) for part in every]
        losses_of, tokens, chosen, shown = [], [], [], None
        with _in_parts(self.model) as begin:
            for part, weight in zip(every, shares, strict=True):
                begin(weight)
                values, output = self._backward(part, share, weight)
                losses_of.append(values)
                tokens.append(output.memory.tokens.detach())
                chosen.append(output.memory.assignments)
                shown = shown or output.detached()
        self.model.memory.update(torch.cat(tokens), torch.cat(chosen))
        weights = torch.tensor(shares).to(tokens[0])
        found = {name: (torch.stack([values[name] for values in losses_of]) * weights).sum() for name in losses_of[0]}
        assert shown is not None
        return found, every[0], shown

    def _backward(self, batch: Batch, share: float, weight: float) -> tuple[dict[str, Tensor], Output]:
        if not self.config.background:
            batch = self.model.without_background(batch)
        output: Output = self.wrapped(batch.inputs, batch.reference, batch.second_view, batch.upright)
        with self.fabric.autocast():
            total, parts = losses(self.config, self.features, batch, output, share)
        self.fabric.backward(weight * total)
        return {"loss": total.detach(), **parts}, output


def parts_of(batch: Batch, count: int) -> list[Batch]:
    """A batch in `count` parts of as many images, or one more."""
    given: dict[str, Tensor | None] = {field.name: getattr(batch, field.name) for field in fields(batch)}
    split: dict[str, Any] = {
        name: [None] * count if value is None else value.tensor_split(count) for name, value in given.items()
    }
    return [Batch(**{name: some[number] for name, some in split.items()}) for number in range(count)]


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error says that a device has too little memory."""
    return isinstance(error, torch.OutOfMemoryError) or "MPS backend out of memory" in str(error)


@contextmanager
def _in_parts(model: PosePriorLearner) -> Iterator[Callable[[float], None]]:
    """Inside, a batch comes in parts; the function is to be called before each, with its share of the batch.

    The running statistics of batch norms then move by what they would for one batch, r + m (Σ share · s - r): with
    m · share / (1 - m · (the shares to come)) as the momentum of a part. The memory waits for the whole batch.
    """
    norms = {norm: norm.momentum or 0.0 for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)}
    done = []

    def begin(share: float) -> None:
        done.append(share)
        for norm, momentum in norms.items():
            norm.momentum = momentum * share / (1 - momentum * (1 - sum(done)))

    model.memory.eval()
    try:
        yield begin
        for norm in norms:
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.sub_(len(done) - 1)
    finally:
        model.memory.train()
        for norm, momentum in norms.items():
            norm.momentum = momentum


def freeze_unused(model: PosePriorLearner) -> None:
    """Freeze the parameters that no loss of the config reaches, for whose gradients DDP would wait."""
    config = model.config
    images = torch.zeros(2, 3, config.image_size, config.image_size)
    small = torch.zeros(2, 3, config.reconstruction_size, config.reconstruction_size)
    second_view, transform = (images, torch.zeros(2, 2, 3)) if config.weight_equivariance else (None, None)
    batch = Batch(small, small, small, second_view, transform, features=images)
    model.eval()  # so that nothing else changes
    output = model(images, small, second_view)
    both = [losses(config, None, batch, output, share)[0] for share in (0.0, 1.0)]  # some count early, some late
    torch.stack(both).sum().backward()  # type: ignore[no-untyped-call]
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.grad is not None)
    model.zero_grad()
    model.train()
