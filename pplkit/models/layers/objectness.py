"""Where the object is, without labels: a linear classifier of frozen features, trained on what differs from the border.

The border of an image mostly shows the background. In each image, cells of the feature map count as object at first
where their Mahalanobis distance from the cells along that image's border is largest. A logistic regression over the
cells of all images then generalizes, so that what is object in most images is object in each, also at a border.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

DIMENSIONS = 32  # principal components that distances and classifier use
FIRST_FRACTION = 0.3  # of each image's cells that count as object at first
PENALTY = 1e-3  # of the classifier's squared weights, per standard deviation of a component
ROUNDS = 2
SHRINKAGE = 0.1  # of the covariance of a border's few cells towards that of all cells
MAX_CELLS = 8192  # from which components are computed


class Classifier(NamedTuple):
    """Object where features · weight + bias > 0."""

    weight: Tensor  # (C,)
    bias: Tensor  # ()

    def logits(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w) to logits (B, h, w), above 0 where the object is."""
        return torch.einsum("bchw,c->bhw", features, self.weight) + self.bias


def components(cells: Tensor, dimensions: int) -> tuple[Tensor, Tensor]:
    """Mean (C,) and whitening (C, d) of cells (n, C): the d ≤ `dimensions` first principal components, each divided by
    its standard deviation.
    """
    mean = cells.mean(0)
    generator = torch.Generator().manual_seed(0)
    sample = cells[torch.randperm(len(cells), generator=generator)[:MAX_CELLS]] - mean
    _, values, vectors = torch.linalg.svd(sample, full_matrices=False)
    count = min(dimensions, int((values > 1e-5 * values[0]).sum()))
    axes = vectors[:count].T
    # The sign of a component is arbitrary: make its largest entry positive, so that it is the same everywhere.
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    return mean, axes / ((cells - mean) @ axes).std(0).clamp_min(1e-6)


def border(side: int, width: int = 1) -> Tensor:
    """bool (side, side): the cells along the border."""
    mask = torch.ones(side, side, dtype=torch.bool)
    mask[width:-width, width:-width] = False
    return mask


def border_distances(features: Tensor) -> Tensor:
    """Squared Mahalanobis distances (B, h, h) of cells to those along the border of their own image (B, d, h, h)."""
    cells = features.flatten(2).transpose(1, 2)
    edge = border(features.shape[-1]).flatten()
    overall = torch.cov(cells.flatten(0, 1).T)
    distances = []
    for image in cells:
        covariance = (1 - SHRINKAGE) * torch.cov(image[edge].T) + SHRINKAGE * overall
        offset = image - image[edge].mean(0)
        distances.append((offset * torch.linalg.solve(covariance, offset.T).T).sum(-1))
    return torch.stack(distances).unflatten(1, features.shape[-2:])


def fit_classifier(features: Tensor) -> Classifier:
    """The classifier of images' features (n, C, h, h), standardised per channel; the same at every call."""
    cells = features.permute(0, 2, 3, 1).flatten(0, 2).float()
    mean, axes = components(cells, DIMENSIONS)
    reduced = (cells - mean) @ axes
    distances = border_distances(reduced.unflatten(0, (len(features), *features.shape[-2:])).permute(0, 3, 1, 2))
    flat = distances.flatten(1)
    is_object = (flat > flat.quantile(1 - FIRST_FRACTION, dim=1, keepdim=True)).flatten()
    for _ in range(ROUNDS):
        weight, bias = _logistic(reduced, is_object.float())
        is_object = reduced @ weight + bias > 0
        if not is_object.any() or is_object.all():
            break
    return Classifier(axes @ weight, bias - mean @ axes @ weight)


def _logistic(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (d,) and bias of a logistic regression of targets (n,) in {0, 1} from inputs (n, d)."""
    weight = torch.zeros(inputs.shape[1], requires_grad=True)
    bias = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.binary_cross_entropy_with_logits(inputs @ weight + bias, targets) + PENALTY * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[arg-type]
    return weight.detach(), bias.detach()
