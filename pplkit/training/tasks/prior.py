"""The prior as the engine's task: model, optimizer, batches, losses and schedules of PPL."""

import copy
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.core.words import quantity
from pplkit.data.dataset import Dataset
from pplkit.data.images import to_float
from pplkit.data.npy_shards import Shards
from pplkit.models.layers.perceptual import PerceptualFeatures, perceptual_features
from pplkit.models.prior.batches import Batch, Batches, check
from pplkit.models.prior.config import Config
from pplkit.models.prior.losses import losses
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.outputs import Output
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.training.logger import Callback, Result
from pplkit.training.loop import fit
from pplkit.training.muon import Muon, is_matrix
from pplkit.training.runtime import keep_memory
from pplkit.training.task import FirstWork, Losses, Rank, Task

FEATURE_IMAGES = 256  # training images in whose features object and parts are found
HISTORY = "prior_history.jsonl"


def train(
    config: Config,
    data: Dataset,
    run: str | os.PathLike[str],
    *,
    device: str = "auto",
    devices: int = 1,
    precision: str | None = None,
    callback: Callback | None = None,
    watch: Callback | None = None,
    bar: bool = True,
    save_every: int | None = None,
    deterministic: bool = False,
    threads: int | None = None,
) -> Result:
    """Train a model on data["train"], or continue where the run folder stopped, and write its prior.

    `precision` overrides the config's, `watch` is the old name of `callback`; all else is as in `training.loop.fit`.
    Rank 0 writes checkpoints, metrics.jsonl, prior_history.jsonl, prior.json and training.json to the run folder.
    Raises PplkitError for settings that do not fit the data, and as `fit` does.

    >>> data = pplkit.open_dataset("data/puppets")
    >>> config = pplkit.Config.preset("puppets").smoke().replace(steps=2)
    >>> pplkit.train(config, data, "runs/mine", device="cpu", bar=False).steps
    2
    """
    if not isinstance(config, Config) or not isinstance(data, Dataset):
        raise PplkitError(
            f"train was given a {type(config).__name__} and a {type(data).__name__}: give a pplkit.Config and what "
            "pplkit.prepare or pplkit.open_dataset returns, in this order."
        )
    if precision := precision or os.environ.get("LT_PRECISION"):  # `fabric run` takes the option for itself
        config = config.replace(precision=precision)
    task = PriorTask(config, data)
    options: dict[str, Any] = {"device": device, "devices": devices, "callback": callback or watch, "bar": bar}
    return fit(task, run, **options, save_every=save_every, deterministic=deterministic, threads=threads)


class PriorTask(Task):
    """Pose Prior Learner on the training images of a data set."""

    method = "prior"
    folders = ("figures", "notebooks")
    history = HISTORY
    divergence_advice = "lower learning_rate and, if it is not 0, convolution_learning_rate, or raise weight_boundary"
    model: PosePriorLearner

    def __init__(self, config: Config, data: Dataset | None = None) -> None:
        self.config: Config = config
        self.data = data
        self.batches: Batches | None = None
        self.features: PerceptualFeatures | None = None

    def check(self, world_size: int) -> None:
        """Raise PplkitError if images, videos or the number of processes do not fit the config."""
        assert self.data is not None
        if "train" not in self.data:
            raise PplkitError(f"{self.data.path} has no split 'train': prepare the data set again.")
        check(self.data["train"], self.config, world_size)

    def setup(self, rank: Rank) -> None:
        """Build the model and what the reconstruction loss looks through."""
        keep_memory(largest_map(self.config))
        features = perceptual_features(self.config.perceptual, self.config.perceptual_size)
        self.features = features and features.placed(rank.device, rank.precision)
        self.model = build_model(self.config)

    def optimizer(self) -> Muon:
        """See `build_optimizer`."""
        return build_optimizer(self.model)

    def restart(self) -> None:
        """Give the model the weights that it started with; what was found in a backbone's features stays."""
        start = build_model(self.config).state_dict()
        self.model.load_state_dict(self.model.state_dict() | without_feature_statistics(start))

    def first_search(self) -> str:
        """Object and parts, where there is a backbone."""
        assert self.data is not None
        count = min(len(self.data["train"]), FEATURE_IMAGES)
        return f"looking for object and parts in {quantity(count, 'image')}" if self.model.backbone is not None else ""

    def begin(self, rank: Rank, resumed: bool) -> None:
        """Find object and parts in a backbone's features, unless `resumed`, and open the training images."""
        assert self.data is not None
        split = self.data["train"]
        if not resumed:
            start_from_features(self.model, split.images)
        frozen = self.model.backbone is not None and not self.config.backbone_trainable
        backbone = self.model.backbone if frozen else None
        self.batches = Batches(split, self.config, rank.device, rank.number, rank.world_size, backbone=backbone)
        self.batches.__enter__()

    def end(self) -> None:
        """End the threads that read images."""
        if self.batches is not None:
            self.batches.__exit__()

    def batch(self, step: int) -> Batch:
        """The batch of a step; at half the resolution while training is coarse."""
        assert self.batches is not None
        batch = self.batches(step)
        return batch.halved() if step < self.config.coarse_fraction * self.config.steps else batch

    def first_work(self) -> FirstWork | None:
        """The features of a frozen backbone."""
        cache = self.batches and self.batches.cache
        if not cache or not cache.seconds:
            return None
        done, total, views = int(cache.known.sum()), cache.expected, self.config.backbone_views
        share = min(100, 100 * done // total)
        text = f"computing features: {share} % ({total} images x {views} views)"
        return FirstWork(cache.seconds, max(0, total - done) * cache.seconds / done, done * views / cache.seconds, text)

    def learning_rates(self, step: int) -> Sequence[float]:
        """See `rates`."""
        return rates(self.config, step)

    def before_step(self, step: int, batch: Batch) -> None:
        """Set the width of the links, and renew dead links and codes when it is time."""
        self.model.thickness = thickness(self.config, step)
        if step in renewals(self.config):
            if self.config.reinit_weak_links:
                self.model.reinit_weak_links()
            if self.config.reset_dead_codes:
                self.model.reset_dead_codes(batch.inputs)

    def losses(self, forward: Callable[..., Output], batch: Batch, progress: float) -> Losses:
        """Equation 1 and what the presets add; see `models.prior.losses`."""
        if not self.config.background:
            batch = self.model.without_background(batch)
        output = forward(batch.inputs, batch.reference, batch.second_view, batch.upright)
        total, parts = losses(self.config, self.features, batch, output, progress)
        return total, parts, output

    def finite(self, batch: Batch) -> Tensor:
        """Whether keypoints and reconstruction are finite, a bool."""
        output = self.model(batch.inputs, batch.reference)
        return output.keypoints.isfinite().all() & output.reconstruction.isfinite().all()

    def size(self, batch: Batch) -> int:
        """Images of a batch."""
        return len(batch.images)

    @contextmanager
    def in_parts(self) -> Iterator[None]:
        """The memory waits for the whole batch."""
        self.model.memory.eval()
        try:
            yield
        finally:
            self.model.memory.train()

    def keep_of_part(self, output: Output) -> tuple[Tensor, Tensor]:
        """Tokens and the codes chosen for them."""
        return output.memory.tokens.detach(), output.memory.assignments

    def after_parts(self, kept: list[tuple[Tensor, Tensor]]) -> None:
        """Update the memory once."""
        tokens, chosen = zip(*kept, strict=True)
        self.model.memory.update(torch.cat(tokens), torch.cat(chosen))

    def detach(self, output: Output) -> Output:
        """An output without the graph that made it."""
        return output.detached()

    def snapshot(self) -> dict[str, Any]:
        """The prior as it is now."""
        prior = self.model.prior()
        return {"keypoints": prior.keypoints.tolist(), "connectivity": prior.connectivity.tolist()}

    def finish(self, folder: Path, made_by: dict[str, Any], step: int) -> None:
        """Write prior.json."""
        self.model.made_by = {**made_by, "run": folder.name, "step": step}
        self.model.eval()
        self.model.prior().save(folder / "prior.json")

    def freeze_unused(self) -> None:
        """Freeze the parameters that no loss of the config reaches, for whose gradients DDP would wait."""
        freeze_unused(self.model)


def build(config: Config) -> tuple[PosePriorLearner, Muon]:
    """A model started from config.seed and its optimizer."""
    model = build_model(config)
    return model, build_optimizer(model)


def build_model(config: Config) -> PosePriorLearner:
    """A model started from config.seed, on the CPU."""
    torch.manual_seed(config.seed)
    model = PosePriorLearner(config, pretrained=True).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.predefined:
        model.predefine(PosePrior.load(config.predefined))
    return model  # type: ignore[no-any-return]


def build_optimizer(model: PosePriorLearner) -> Muon:
    """Connectivity, convolutions and opened stages of a backbone have learning rates of their own (see `rates`)."""
    config = model.config
    stages = [] if model.backbone is None else list(model.backbone.parameters())
    ids = {id(value) for value in stages}
    own = [value for value in model.parameters() if id(value) not in ids]
    matrices = [value for value in own if config.convolution_learning_rate and is_matrix(value)]
    apart = {id(value) for value in (model.links, *matrices)}
    others = [value for value in own if id(value) not in apart]
    groups: list[dict[str, Any]] = [{"params": others}, {"params": [model.links]}]
    groups.append({"params": matrices, "matrices": True})
    if opened := [value for value in stages if value.requires_grad]:
        groups.append({"params": opened})
    betas = (0.9, config.adam_beta2)
    return Muon(groups, betas=betas, weight_decay=config.weight_decay, fused=True)


def largest_map(config: Config) -> int:
    """Bytes of a batch's largest map in the decoder, in float32."""
    return 4 * config.batch_size * config.reconstruction_size**2 * max(config.decoder_channels[:2])


def freeze_unused(model: PosePriorLearner) -> None:
    """Freeze the parameters that no loss of the config reaches."""
    config = model.config
    images = torch.zeros(2, 3, config.image_size, config.image_size)
    small = torch.zeros(2, 3, config.reconstruction_size, config.reconstruction_size)
    second_view, transform = (images, torch.zeros(2, 2, 3)) if config.weight_equivariance else (None, None)
    batch = Batch(small, small, small, second_view, transform, features=images)
    model.eval()  # so that nothing else changes
    output = model(images, small, second_view)
    early_and_late = [losses(config, None, batch, output, progress)[0] for progress in (0.0, 1.0)]
    torch.stack(early_and_late).sum().backward()  # type: ignore[no-untyped-call]
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.grad is not None)
    model.zero_grad()
    model.train()


def without_feature_statistics(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict without what `start_from_features` finds."""
    names = ("backbone.shift", "backbone.scale", "clusters.")
    return {name: value for name, value in state.items() if not name.startswith(names)}


def start_from_features(model: PosePriorLearner, images: np.ndarray | Shards) -> None:
    """Standardise a backbone's features and find object and parts in them, on training images (n, S, S, 3) uint8.

    At most FEATURE_IMAGES of them, evenly spread; nothing without a backbone.
    """
    if model.backbone is None or model.clusters is None:
        return
    index = np.linspace(0, len(images) - 1, min(len(images), FEATURE_IMAGES)).round().astype(int)
    device = model.alpha.device
    parts = [
        to_float(torch.from_numpy(np.array(images[part])).to(device))
        for part in np.array_split(index, max(1, len(index) // 32))
    ]
    model.backbone.standardize(parts)
    with torch.no_grad():
        stacked = [model.backbone.stacked(model.backbone(part), model.backbone.middle).cpu() for part in parts]
    clusters = copy.deepcopy(model.clusters).cpu()
    clusters.fit(torch.cat(stacked))
    model.clusters.load_state_dict(clusters.state_dict())


def rates(config: Config, step: int) -> tuple[float, ...]:
    """Learning rates at `step`: of the networks, held and then half a cosine down; of the links, growing after the
    coarse part; of convolutions that have one of their own, and of a backbone's stages, falling as the first does.
    """
    progress, low = step / config.steps, config.final_learning_rate
    left = low + (1 - low) * (1 + math.cos(math.pi * _since(config.lr_hold, progress))) / 2
    links = config.connectivity_learning_rate * config.connectivity_growth ** _since(config.coarse_fraction, progress)
    own = config.learning_rate, config.convolution_learning_rate, config.backbone_learning_rate
    networks, convolutions, backbone = (left * rate for rate in own)
    return networks, links, convolutions, backbone


def _since(start: float, share: float) -> float:
    """How much of the way from `start` to the end, 1, is done when `share` of all is."""
    return max(0.0, share - start) / (1 - start) if start < 1 else 0.0


def renewals(config: Config) -> set[int]:
    """Steps before which weak links and dead codes start anew: at 20, 30, … 80 %."""
    return {config.steps * tenth // 10 for tenth in range(2, 9)}


def thickness(config: Config, step: int) -> float:
    """Link width σ at `step`: from thickness_start, if set, in equal ratios to thickness at half of the steps."""
    share = min(1.0, 2 * step / config.steps)
    return (config.thickness_start or config.thickness) ** (1 - share) * config.thickness**share
