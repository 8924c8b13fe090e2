"""Named landmarks by their looks: a small network on the features of a prior's backbone, fitted to labeled images.

A linear map from keypoints cannot place what no keypoint lies on, such as the hands of people. Here each landmark gets
a score for every cell of the finest feature map; the scores, and a normal distribution around the place that the linear
map expects (as wide as its errors on left-out images), multiply to the probability of the cell. The landmark is the
mean of the cells around the most probable one, its confidence their share of the probability.

The frozen features are computed once for some views of each image, turned, scaled, moved, mirrored and of other
brightness, as ten images alone would be learned by heart.
"""

import hashlib
import json
import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import write_bytes
from pplkit.data.sampling import evenly_spaced
from pplkit.geometry.coordinates import sides_per_unit, view_transforms, warp
from pplkit.inference.landmarks import ridge
from pplkit.inference.landmarks.labeled_files import LabeledImages
from pplkit.inference.landmarks.landmark_map import LandmarkMap, fit_landmarks
from pplkit.inference.landmarks.left_right import names_side, side_pairs, swap_sides
from pplkit.models.prior.feature_cache import brighten
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.networks import PartRegressor

WIDTH = 64  # channels
DROPPED = 0.2  # of the features in training
STEPS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 300, 32, 3e-3, 1e-2
VIEWS = 16  # of each image, the first of which is the image itself
MAX_VIEWS = 480  # of all images
TURN, SCALE, SHIFT, LIGHT = 0.35, 0.2, 0.1, 0.3  # most by which views differ: radians, factors, [-1, 1] units
TRUST = 2.0  # standard deviation of the expected place, in mean errors of the linear map
PEAK = 2.5  # cells around the most probable one that count
LEAST_IMAGES = 4  # labeled
CHUNK = 16  # images scored at a time


class LandmarkHead(nn.Module):
    """From feature maps (B, C, h, h) to scores (B, J, h * h) of J landmarks, the logarithm of likelihoods."""

    def __init__(self, channels: int, size: int, spread: Tensor) -> None:
        """`size` of the images in pixels; `spread` (J,): standard deviation of the map's places in [-1, 1] units."""
        super().__init__()
        self.size = size
        self.reduce = nn.Conv2d(channels, WIDTH, 1)
        self.mix = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.score = nn.Conv2d(WIDTH, len(spread), 1)
        self.spread: Tensor
        self.register_buffer("spread", spread)

    def forward(self, features: Tensor) -> Tensor:
        """Scores, see the class."""
        x = self.reduce(F.dropout2d(features, DROPPED, self.training)).relu()
        return self.score(x + self.mix(x).relu()).flatten(2)  # type: ignore[no-any-return]

    @torch.no_grad()
    def places(self, features: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
        """Places (B, J, 2) in [-1, 1] and confidence (B, J) from 0 to 1; `expected` (B, J, 2) as the map has it."""
        side = features.shape[-1]
        cells = PartRegressor.cell_centers(side, self.size, features.device)
        away = torch.cdist(expected, cells.expand(len(expected), -1, -1))
        spread = self.spread.clamp_min(2 / side)[:, None]
        chances = (self(features) - (away / spread).square() / 2).softmax(-1)
        near = torch.cdist(cells[chances.argmax(-1)], cells.expand(len(expected), -1, -1)) < PEAK * 2 / side
        share = (chances * near).sum(-1)
        return chances.mul(near) @ cells / share[..., None], share

    def locate(
        self, model: PosePriorLearner, images: np.ndarray, expected: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `places` for images (B, S, S, 3) uint8, with the features of the model that the head was fitted to."""
        parts = []
        for first in range(0, len(images), CHUNK):
            part = slice(first, first + CHUNK)
            places = torch.from_numpy(expected[part]).to(self.spread)
            parts.append(self.places(features_of(model, model.prepare(images[part])), places))
        points, confidence = (torch.cat(values).cpu().numpy().astype(float) for values in zip(*parts, strict=True))
        return points, confidence

    def save(self, path: str | os.PathLike[str], landmarks: LandmarkMap) -> None:
        """Write it as safetensors, whole or not at all, for the map that it corrects."""
        about = {"size": str(self.size), "map": _digest(landmarks)}
        tensors = {name: value.cpu().contiguous() for name, value in self.state_dict().items()}
        write_bytes(Path(path), save(tensors, about))


def head_file(landmarks: Path) -> Path:
    """Where the head of the map in the file `landmarks` lies."""
    return landmarks.with_suffix(".safetensors")


def load_head(path: Path, landmarks: LandmarkMap, model: PosePriorLearner) -> LandmarkHead | None:
    """The inverse of `save`, on the model's device; None where there is no file.

    Raises PplkitError for a damaged file, and for the head of another map.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about["map"] != _digest(landmarks):
            raise ValueError("it was fitted with another map")
        head = LandmarkHead(tensors["reduce.weight"].shape[1], int(about["size"]), tensors["spread"])
        head.load_state_dict(tensors)
    except (OSError, KeyError, ValueError, IndexError, RuntimeError, SafetensorError) as error:
        raise PplkitError(
            f"{path} is no head of these landmarks ({reason(error)}): delete it, or run `pplkit landmarks` again."
        ) from None
    return head.to(model.alpha.device).eval()


def _digest(landmarks: LandmarkMap) -> str:
    """Tells maps apart; that of a map is the same after it was saved and loaded, and goes with one model."""
    numbers = np.concatenate([np.ravel(part) for part in (landmarks.weights, landmarks.offsets)]).astype("<f8")
    return hashlib.sha256(json.dumps(landmarks.names).encode() + numbers.tobytes()).hexdigest()[:16]


def features_of(model: PosePriorLearner, images: Tensor) -> Tensor:
    """All channels of the backbone's maps (B, C, h, h) at the resolution of the finest, of images (B, 3, S, S)."""
    assert model.backbone is not None
    with torch.no_grad():
        return model.backbone.stacked(model.backbone(images), model.backbone.side)


class HeadFit(NamedTuple):
    """What `fit_head` gives."""

    head: LandmarkHead | None  # None where it errs no less than the map
    map_error: float  # mean distance on labeled images left out, of fits to half of them, in image sides
    head_error: float  # the same of map and head together; NaN without a backbone and with few images

    def summary(self) -> str:
        """A line of text: the errors, and whether looks count."""
        if math.isnan(self.head_error):
            return f"looks do not count: they need a prior with a backbone, and labels on {LEAST_IMAGES} images"
        found = f"half of the images predict the others within {100 * self.map_error:.2f} % of the image side, "
        found += f"by their looks as well within {100 * self.head_error:.2f} %"
        return f"{found}: looks {'count' if self.head is not None else 'do not count'}"


def fit_head(model: PosePriorLearner, labeled: LabeledImages, landmarks: LandmarkMap) -> HeadFit:
    """Fit a head to labeled images, if halves of them predict the other halves better with one than without.

    `landmarks` is the map that was fitted to them. The same images give the same head on the same machine.
    """
    nothing = HeadFit(None, math.nan, math.nan)
    if model.backbone is None or len(labeled.images) < LEAST_IMAGES:
        return nothing
    chosen = evenly_spaced(labeled.images, MAX_VIEWS)
    labeled = LabeledImages(labeled.images[chosen], labeled.labels[chosen], labeled.names)
    with torch.random.fork_rng(devices=[]):
        views = _views(model, labeled)
        errors = np.concatenate([_errors(model, labeled, views, half) for half in (0, 1)])
        map_error, head_error = (float(value) for value in ridge.mean(errors, 0))
        if not head_error < map_error:
            return HeadFit(None, map_error, head_error)
        return HeadFit(_fitted(model, views, landmarks.error), map_error, head_error)


class _Views(NamedTuple):
    """Features and labels of V views of n images."""

    features: Tensor  # (V, n, C, h, h) float16
    labels: Tensor  # (V, n, J, 2) in [-1, 1]; NaN where missing


def _views(model: PosePriorLearner, labeled: LabeledImages) -> _Views:
    rng, images = np.random.default_rng(0), model.prepare(labeled.images)
    pairs, count = side_pairs(labeled.names), len(labeled.images)
    alone = names_side(labeled.names)
    alone[[landmark for pair in pairs for landmark in pair]] = False
    features, labels = [], []
    for number in range(max(1, min(VIEWS, MAX_VIEWS // count))):
        draws = torch.from_numpy(rng.uniform(-1, 1, (count, 6)) * (number > 0)).float()
        flips = (draws[:, 4] < 0) & torch.tensor(model.config.flip)
        turns = view_transforms(TURN * draws[:, 0], 1 + SCALE * draws[:, 1], SHIFT * draws[:, 2:4], flips)
        views = brighten(warp(images, turns.to(images)), torch.exp(LIGHT * draws[:, 5]).to(images))
        features.append(torch.cat([features_of(model, part).half() for part in views.split(CHUNK)]))
        inverse = np.linalg.inv(turns[:, :, :2].numpy())
        points = np.einsum("bij,bkj->bki", inverse, labeled.labels - turns[:, None, :, 2].numpy())
        points = swap_sides(points, pairs, flips.numpy())
        labels.append(np.where(flips.numpy()[:, None, None] & alone[:, None], np.nan, points))
    return _Views(torch.stack(features), torch.from_numpy(np.stack(labels)).float().to(images.device))


def _errors(model: PosePriorLearner, labeled: LabeledImages, views: _Views, half: int) -> np.ndarray:
    """Distances (m, 2) in image sides on every second image, of the map and of map and head; NaN without a label."""
    left_out = np.arange(len(labeled.images)) % 2 == half
    known = np.flatnonzero(np.isfinite(labeled.labels[~left_out]).all(-1).any(0))
    names = [labeled.names[landmark] for landmark in known]
    keypoints = model.estimate(labeled.images).keypoints.numpy()
    mirrored = model.estimate(labeled.images[:, :, ::-1]).keypoints.numpy() if model.config.flip else None
    size, labels = model.config.image_size, labeled.labels[:, known]
    landmarks = fit_landmarks(
        keypoints[~left_out], labels[~left_out], names, size, None if mirrored is None else mirrored[~left_out]
    )
    expected = landmarks.apply(keypoints[left_out])
    own = _Views(views.features[:, ~left_out], views.labels[:, ~left_out][:, :, known])
    head = _fitted(model, own, landmarks.error, STEPS // 2)
    places, _ = head.places(views.features[0, left_out].float(), torch.from_numpy(expected).to(head.spread))
    both = np.stack([expected, places.cpu().numpy()], -1)
    return sides_per_unit(size) * np.linalg.norm(both - labels[left_out][..., None], axis=2).reshape(-1, 2)


def _fitted(model: PosePriorLearner, views: _Views, errors: np.ndarray, steps: int = STEPS) -> LandmarkHead:
    """A head of a map with these `errors` (J,) in image sides, on the views; where an error is unknown it is free."""
    size, features = model.config.image_size, views.features.flatten(0, 1)
    spread = torch.from_numpy(TRUST * errors / sides_per_unit(size)).float().nan_to_num(math.inf)
    torch.manual_seed(0)
    head = LandmarkHead(features.shape[1], size, spread).to(features.device)
    optimizer = torch.optim.AdamW(head.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    cell = 2 / features.shape[-1]
    cells = PartRegressor.cell_centers(features.shape[-1], size, features.device)
    labels = views.labels.flatten(0, 1)
    inside = (labels.abs() < 1).all(-1)
    away = torch.cdist(labels.nan_to_num(), cells.expand(len(labels), -1, -1))
    targets = (-(away / cell).square() / 2).softmax(-1)
    for _ in range(steps):
        index = torch.randint(len(features), (BATCH,)).to(features.device)
        logs = head(features[index].float()).log_softmax(-1)
        loss = -((targets[index] * logs).sum(-1) * inside[index]).sum() / inside[index].sum().clamp_min(1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return head.eval()
