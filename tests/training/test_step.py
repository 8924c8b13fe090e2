"""A step that is not finite changes nothing at all; a batch in parts gives what the whole gives, where it says so."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning.fabric.plugins.precision.amp import MixedPrecision
from torch import Tensor, nn
from trainings import prior_step

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset
from pplkit.models.layers.perceptual import perceptual_features
from pplkit.models.layers.recompute import RecomputeSequential
from pplkit.models.prior.batches import Batch, Batches
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.training import guard
from pplkit.training.distributed import fabric_for
from pplkit.training.guard import out_of_memory
from pplkit.training.step import Step
from pplkit.training.task import split_batch

CPU = torch.device("cpu")
Spoil = Callable[[Step, Batch], Batch]


def stepper(config: Config) -> Step:
    return prior_step(config, perceptual_features("random", 32))


def everything(step: Step) -> dict[str, Tensor]:
    """Copies of parameters, buffers and the optimiser's state."""
    state = step.guard.optimizer.optimizer.state
    results = {name: value.clone() for name, value in step.model.state_dict().items()}
    for name, value in step.model.named_parameters():
        results |= {f"{name} {part}": kept.clone() for part, kept in state[value].items()}
    return results


def different(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    return [name for name in one if not torch.equal(one[name], other[name])]


def spoilt_images(step: Step, batch: Batch) -> Batch:
    return Batch(batch.images * torch.nan, batch.reference, batch.target)


def spoilt_gradient(step: Step, batch: Batch) -> Batch:
    step.model.alpha.register_hook(lambda gradient: gradient * torch.inf)
    return batch


@pytest.mark.parametrize("spoil", [spoilt_images, spoilt_gradient])
@pytest.mark.parametrize("flagged", [True, False], ids=["by flag", "read"])
def test_a_step_that_is_not_finite_changes_nothing(
    tiny: Config,
    puppets: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Spoil,
    flagged: bool,
) -> None:
    """Not batch norm's statistics, nor the memory's, which the forward pass changes; nor the count of Adam's steps."""
    monkeypatch.setattr(guard, "FLAG_DEVICES", ("cpu",) if flagged else ())
    step, batches = stepper(tiny), Batches(puppets["train"], tiny, CPU)
    first = everything(step)
    assert not step(batches(0)).skipped
    before = everything(step)
    assert {"memory.counts", "regressor.down.0.body.1.running_mean", "alpha", "alpha step"} <= set(before)
    assert len(different(first, before)) == len(first)  # all that is told apart does change by a step
    assert step(spoil(step, batches(1))).skipped
    assert different(before, everything(step)) == []
    step.model.alpha._backward_hooks = None
    assert not step(batches(2)).skipped
    after = everything(step)
    assert len(different(before, after)) == len(before) and after["alpha step"] == 2


def test_a_first_step_that_is_not_finite_leaves_the_model_as_it_was_built(tiny: Config, puppets: Dataset) -> None:
    step, other = stepper(tiny), stepper(tiny)
    batch = Batches(puppets["train"], tiny, CPU)(0)
    step(spoilt_images(step, batch))
    step(batch), other(batch)
    assert different(everything(other), everything(step)) == []


def test_with_a_scale_of_gradients_it_falls_and_nothing_else_changes(tiny: Config, puppets: Dataset) -> None:
    """As 16-mixed has it on a GPU; the loss alone is not finite here, of which the scaler itself knows nothing."""
    config = tiny.replace(prior_from="used")  # the others lie outside of what half precision can hold
    fabric = fabric_for("cpu", "32-true")
    fabric.strategy.precision = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=8.0))
    step = prior_step(config, perceptual_features("random", 32), fabric=fabric)
    batches = Batches(puppets["train"], config, CPU)
    assert not step(batches(0)).skipped
    before = everything(step)
    loss = torch.tensor(torch.inf)
    step.model.alpha.grad = torch.ones(())
    assert step.guard.step(loss, step.guard.remember())
    assert different(before, everything(step)) == []
    assert fabric.strategy.precision.state_dict()["scale"] == 4.0
    assert not step(batches(1)).skipped and len(different(before, everything(step))) == len(before)


class Full:
    """Stands for a device that has room for so many images at once."""

    def __init__(self, step: Step, room: int, error: RuntimeError) -> None:
        self.sizes: list[int] = []
        self.forward, self.room, self.error = step.model.forward, room, error
        step.model.forward = self  # type: ignore[method-assign, assignment]

    def __call__(self, images: Tensor, *others: Any) -> Any:
        """As the model, which has changed buffers when it notices that the room is too little."""
        self.sizes.append(len(images))
        output = self.forward(images, *others)
        if len(images) > self.room:
            raise self.error
        return output


def still_norms(model: nn.Module) -> None:
    """Batch norm by its running statistics, which then do not move: each image is on its own."""
    for part in model.modules():
        if isinstance(part, (nn.BatchNorm2d, RecomputeSequential)):
            part.training = False


@pytest.mark.parametrize("size", [8, 7])
def test_parts_give_what_the_whole_batch_gives(tiny: Config, puppets: Dataset, size: int) -> None:
    """Losses, gradients, the memory's counts, sums and vectors: all but what batch norm makes of the parts."""
    config = tiny.replace(batch_size=size, weight_separation=0.1, weight_length=0.1, learning_rate=1e-4)
    whole, parts = stepper(config), stepper(config)
    full = Full(parts, 3, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    batch = Batches(puppets["train"], config, CPU)(0)
    for step in (whole, parts):
        still_norms(step.model)
    one, other = whole(batch), parts(batch)
    assert full.sizes == ([8, 4, 2, 2, 2, 2] if size == 8 else [7, 4, 3, 2, 2])
    assert other.batch.images.shape == other.output.reconstruction.shape == (full.sizes[2], 3, 32, 32)
    torch.testing.assert_close(one.values, other.values, rtol=1e-5, atol=1e-6)
    expected, actual = everything(whole), everything(parts)
    moments = [name for name in expected if name.endswith("exp_avg")]  # a tenth of the gradients
    assert len(moments) > 20
    for name in (*moments, "memory.counts", "memory.sums", "memory.codebook"):
        torch.testing.assert_close(actual[name], expected[name], rtol=1e-4, atol=1e-6)
    assert parts.model.memory.training


def test_running_means_of_parts_are_those_of_the_batch(tiny: Config, puppets: Dataset) -> None:
    """The first batch norm sees the same numbers either way: its mean is the same, its variance within parts less."""
    config = tiny.replace(batch_size=8)
    whole, parts = stepper(config), stepper(config)
    Full(parts, 2, torch.OutOfMemoryError("out of memory"))
    batch = Batches(puppets["train"], config, CPU)(0)
    whole(batch), parts(batch)
    ours, theirs = everything(parts), everything(whole)
    means = "regressor.down.0.body.1.running_mean"
    assert theirs[means].abs().max() > 1e-3
    torch.testing.assert_close(ours[means], theirs[means], rtol=1e-4, atol=1e-6)
    tracked = [name for name in ours if name.endswith("num_batches_tracked")]
    assert {int(ours[name]) for name in tracked} == {1}
    assert {norm.momentum for norm in parts.model.modules() if isinstance(norm, nn.BatchNorm2d)} == {0.1}


def test_parts_that_are_not_finite_change_nothing(tiny: Config, puppets: Dataset) -> None:
    step = stepper(tiny)
    Full(step, 2, torch.OutOfMemoryError("out of memory"))
    batches = Batches(puppets["train"], tiny, CPU)
    step(batches(0))
    before = everything(step)
    assert step(spoilt_images(step, batches(1))).skipped and different(before, everything(step)) == []


def test_where_two_images_do_not_fit_it_ends(tiny: Config, puppets: Dataset) -> None:
    step = stepper(tiny)
    full = Full(step, 1, torch.OutOfMemoryError("out of memory"))
    before = everything(step)
    with pytest.raises(PplkitError, match="cpu has too little memory for 2 images at once: give a smaller batch_size"):
        step(Batches(puppets["train"], tiny, CPU)(0))
    assert full.sizes == [4, 2] and different(before, everything(step)) == []


def test_other_errors_are_no_lack_of_memory(tiny: Config, puppets: Dataset) -> None:
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"))
    step = stepper(tiny)
    full = Full(step, 1, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        step(Batches(puppets["train"], tiny, CPU)(0))
    assert full.sizes == [4]


def test_parts_of_a_batch() -> None:
    images = torch.arange(7.0)[:, None, None, None].expand(7, 3, 2, 2)
    batch = Batch(images, images + 10, images, images + 20, torch.arange(7.0)[:, None, None].expand(7, 2, 3))
    parts = split_batch(batch, 3)
    assert [len(part.images) for part in parts] == [3, 2, 2]
    assert parts[1].second_view is not None and parts[1].view_transform is not None
    assert [int(one[0].flatten()[0]) for one in (parts[1].images, parts[1].second_view, parts[1].view_transform)] == [
        3,
        23,
        3,
    ]
    assert [part.second_view for part in split_batch(Batch(images, images, images), 2)] == [None, None]


def test_the_model_is_the_one_that_was_given(tiny: Config) -> None:
    assert type(stepper(tiny).model) is PosePriorLearner
