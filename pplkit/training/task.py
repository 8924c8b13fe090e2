"""What the engine asks of a method: a model, its batches and its losses."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from pplkit.data.dataset import Dataset

Losses = tuple[Tensor, dict[str, Tensor], Any]  # the total, its parts by name without gradients, the model's output


class TrainingSettings(Protocol):
    """The settings of a method (`core.settings.Settings`), as far as the engine reads them."""

    @property
    def steps(self) -> int:
        """Steps of the whole training."""

    @property
    def batch_size(self) -> int:
        """Images, or whatever a batch is made of, in a step of all processes together."""

    @property
    def precision(self) -> str:
        """As Lightning Fabric names it: "32-true", "bf16-mixed" or "16-mixed"."""

    def to_dict(self) -> dict[str, Any]:
        """All settings as JSON, for config.json."""

    def differences(self, old: Mapping[str, Any], folder: Path) -> dict[str, tuple[Any, Any]]:
        """Settings that differ from `old`, those of config.json in `folder`: name to (old, new)."""


class Rank(NamedTuple):
    """The process that trains, among those that train together."""

    device: torch.device
    number: int  # from 0
    world_size: int
    precision: str  # in use, which may differ from the setting on a processor without bfloat16


class FirstWork(NamedTuple):
    """Work that the first steps do for all later ones, such as the features of a frozen backbone."""

    seconds: float  # spent so far
    seconds_left: float
    images_per_second: float
    text: str  # how far it is


class Task(ABC):
    """One training of one method; `training.loop.fit` runs it.

    Everything but the methods marked abstract has a default. A task is copied to the processes that train together, so
    it is made of picklable parts until `setup` builds the model there.
    """

    method: str  # goes into the checkpoints
    config: TrainingSettings
    model: nn.Module  # from `setup` on
    data: Dataset | None = None  # recorded in config.json; a run continues with the same data only
    folders: tuple[str, ...] = ()  # made in the run folder beside checkpoints/
    history = ""  # the JSON-lines file for `snapshot`
    divergence_advice = "lower the learning rate"  # of the sentence that ends a diverged training

    def check(self, world_size: int) -> None:  # noqa: B027
        """Raise PplkitError if data, settings and the number of processes do not go together."""

    @abstractmethod
    def setup(self, rank: Rank) -> None:
        """Build `model` on the CPU; it follows from the settings alone, its seed among them."""

    @abstractmethod
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer of the model's parameters."""

    def restart(self) -> None:
        """Give the model, on its device, the weights that it started with."""
        fresh = copy.copy(self)
        fresh.setup(Rank(torch.device("cpu"), 0, 1, self.config.precision))
        self.model.load_state_dict(fresh.model.state_dict())

    def freeze_unused(self) -> None:  # noqa: B027
        """Freeze parameters that no loss reaches: DDP would wait for their gradients."""

    def first_search(self) -> str:
        """What `begin` looks for in the data of a new run where that takes long, in words; else ""."""
        return ""

    def begin(self, rank: Rank, resumed: bool) -> None:  # noqa: B027
        """Called once before the first step, with the model on its device and, if `resumed`, restored."""

    def end(self) -> None:  # noqa: B027
        """Called once at the end, also after an error."""

    @abstractmethod
    def batch(self, step: int) -> Any:
        """This process's share of the batch of a step, from 0; it follows from the seed and the step alone."""

    def learning_rates(self, step: int) -> Sequence[float] | None:
        """A learning rate for each group of the optimizer; None leaves them as they are."""
        return None

    def before_step(self, step: int, batch: Any) -> None:  # noqa: B027
        """Schedules, and what else changes the model from step to step."""

    @abstractmethod
    def losses(self, forward: Callable[..., Any], batch: Any, progress: float) -> Losses:
        """The losses of a batch when the fraction `progress` of the training is done.

        `forward` is the model, wrapped for precision and several processes; call it once.
        """

    def first_work(self) -> FirstWork | None:
        """What `batch` does once for many steps, so that the time it takes says nothing of later steps."""
        return None

    def finite(self, batch: Any) -> Tensor:
        """Whether the model makes finite numbers of a batch, a bool; in eval mode and without gradients."""
        return self.losses(self.model, batch, 1.0)[0].isfinite()

    def size(self, batch: Any) -> int:
        """How many images, or whatever it is made of, a batch has."""
        return len(next(batch_tensors(batch)))

    def split(self, batch: Any, count: int) -> list[Any]:
        """A batch in `count` parts of as many images, or one more."""
        return split_batch(batch, count)

    def in_parts(self) -> AbstractContextManager[None]:
        """Around a step whose batch comes in parts."""
        return nullcontext()

    def keep_of_part(self, output: Any) -> Any:
        """What `after_parts` needs of a part's output, without its graph."""
        return None

    def after_parts(self, kept: list[Any]) -> None:  # noqa: B027
        """Called after such a step with what was kept of each part."""

    def detach(self, output: Any) -> Any:
        """An output without the graph that made it."""
        return output.detach() if isinstance(output, Tensor) else output

    def snapshot(self) -> dict[str, Any] | None:
        """A line of the history file."""
        return None

    def finish(self, folder: Path, made_by: dict[str, Any], step: int) -> None:  # noqa: B027
        """Write what the method makes of its trained model into the run folder."""


def batch_tensors(batch: Any) -> Iterator[Tensor]:
    """The tensors of a batch: a tensor, a tuple or list, a dict, or a dataclass of them."""
    if isinstance(batch, Tensor):
        yield batch
    else:
        for value in _members(batch).values():
            if isinstance(value, Tensor):
                yield value


def split_batch(batch: Any, count: int) -> list[Any]:
    """A batch (see `batch_tensors`) in `count` parts along the first axis; what is not a tensor goes into each."""
    if isinstance(batch, Tensor):
        return list(batch.tensor_split(count))
    columns = {
        name: value.tensor_split(count) if isinstance(value, Tensor) else [value] * count
        for name, value in _members(batch).items()
    }
    rows = [{name: values[part] for name, values in columns.items()} for part in range(count)]
    if isinstance(batch, dict):
        return rows
    if isinstance(batch, (tuple, list)) and not hasattr(batch, "_fields"):
        return [type(batch)(row.values()) for row in rows]
    return [type(batch)(**row) for row in rows]


def _members(batch: Any) -> dict[Any, Any]:
    if is_dataclass(batch):
        return {field.name: getattr(batch, field.name) for field in fields(batch)}
    if hasattr(batch, "_asdict"):
        return dict(batch._asdict())
    return batch if isinstance(batch, dict) else dict(enumerate(batch))
