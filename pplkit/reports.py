"""What notebooks 04 and 05 compute from a trained model: the evaluation and the occlusion experiment, as JSON."""

from collections.abc import Callable, Sequence, Sized
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from pplkit import measures, prototypes
from pplkit.batches import hidden_patches, spread, to_float
from pplkit.dataset import Dataset
from pplkit.errors import PplkitError
from pplkit.evaluation import Score, evaluate, mean_pose_error
from pplkit.geometry import sides_per_unit
from pplkit.model import Iteration, PosePriorLearner

FITTED = 3000  # training images that a linear map is fitted on; more change nothing that can be seen
CENTER = (4, 6, 8, 10, 12)  # patches a side (section 4.3)
RANDOM = (0.1, 0.2, 0.3, 0.4)  # share of the patches


def subset(split: Sized, limit: int | None) -> np.ndarray:
    """Indices of at most `limit` images, evenly spread over the split or list."""
    count = len(split)
    if limit is None or count <= limit:
        return np.arange(count)
    return np.linspace(0, count - 1, limit).round().astype(int)


class Scorer:
    """The data set's protocol with the model's answers to `limit` labelled training images computed once.

    Scores keypoints (n, N, 2) of chosen test images; `where` keeps one class. Errors of h36m and cub are shares of the
    image side, which is one pixel longer than the way from -1 to 1. Raises PplkitError if the data set has no labels.
    """

    def __init__(self, model: PosePriorLearner, data: Dataset, limit: int | None = FITTED) -> None:
        train = data.labelled
        # A split may be labelled in part: images without a label say nothing to the map.
        points = np.zeros((0, 0, 2)) if train.keypoints is None else train.keypoints
        known = np.flatnonzero(np.isfinite(points).all(-1).any(-1))
        if data.protocol == "pictures" or not len(known):
            raise PplkitError(f"{data.path} has no labels to score against: look at the pictures instead.")
        self.data = data
        self.index = known[subset(known, limit)]
        self.keypoints = model.estimate(np.asarray(train.images[self.index])).keypoints.numpy()

    def __call__(self, keypoints: np.ndarray, index: np.ndarray, where: int | None = None) -> Score:
        """Score of test images `index`, all or those of class `where`; the map is fitted on all training images."""
        chosen = self._class(index, where)
        labels = self._labels(self.index, index[chosen])
        score = evaluate(
            self.data.protocol,
            self.keypoints,
            labels[0],
            keypoints[chosen],
            *labels[1:],
            swap_pairs=self.data.swap_pairs,
        )
        return self._in_sides(score)

    def mean_pose(self, index: np.ndarray, where: int | None = None) -> Score:
        """The same for a model that always answers the mean pose."""
        labels = self._labels(self.index, index[self._class(index, where)])
        return self._in_sides(mean_pose_error(self.data.protocol, *labels, swap_pairs=self.data.swap_pairs))

    def _in_sides(self, score: Score) -> Score:
        if self.data.protocol not in ("h36m", "cub"):
            return score
        share = 2 * sides_per_unit(self.data.size)
        return replace(score, error=share * score.error, per_keypoint=share * score.per_keypoint)

    def _class(self, index: np.ndarray, where: int | None) -> np.ndarray:
        classes = self.data["test"].classes
        return np.ones(len(index), bool) if where is None or classes is None else np.asarray(classes)[index] == where

    def _labels(self, train: np.ndarray, test: np.ndarray) -> tuple[Any, Any, Any, Any]:
        parts = (self.data.labelled, train), (self.data["test"], test)
        keypoints = [np.asarray(split.keypoints)[index] for split, index in parts]
        # The h36m labels are complete: joints that the body itself covers count as well.
        seen = [
            None if split.visible is None or self.data.protocol == "h36m" else np.asarray(split.visible)[index]
            for split, index in parts
        ]
        return keypoints[0], keypoints[1], seen[0], seen[1]


def evaluation_report(
    model: PosePriorLearner, data: Dataset, limit: int | None = None, scorer: Scorer | None = None
) -> dict[str, Any]:
    """The protocol's score beside the mean pose, for all test images and each class, and how the poses lie.

    With object masks also: share of the keypoints and of the strong links' length on the object; with labels and a
    skeleton: share of the true skeleton's length within 0.1 of a strong link, in all and by limb.
    And the share of the memory's vectors that no test image takes, with what they do to T (`prototypes.unused`), how
    far T lies from the mean pose (`prior_offsets`) and its part in the poses (`prior_share`), if affine maps make them.
    `limit` bounds the test images; a `scorer` of this model and data set saves making another. All shares are
    fractions of 1.
    """
    test = data["test"]
    index = subset(test, limit)
    keypoints = model.estimate(np.asarray(test.images[index])).keypoints.numpy()
    report: dict[str, Any] = {"protocol": data.protocol, "test_images": len(index), "made_by": model.made_by}
    if data.protocol != "pictures" and test.keypoints is not None:
        scorer = scorer or Scorer(model, data)
        report |= _scores(scorer, keypoints, index, None)
        if len(data.class_names) > 1 and test.classes is not None:
            report["classes"] = {
                name: _scores(scorer, keypoints, index, number)
                for number, name in enumerate(data.class_names)
                if (np.asarray(test.classes)[index] == number).any()
            }
    rest = prototypes.unused(model, prototypes.taken(model, keypoints))
    report["unused_vectors"], report["unused_shift"], report["uneven_shift"] = rest
    report["prior_offsets"] = prototypes.prior_offsets(model, keypoints)
    if model.config.regression == "affine":
        report["prior_share"] = prototypes.prior_share(model, np.asarray(test.images[index]))
    links = model.prior().links()
    report["strong_links"] = len(links)
    if test.masks is not None:
        masks = np.asarray(test.masks[index])
        report["keypoints_on_object"] = measures.on_object(keypoints, masks)
        report["links_on_object"] = measures.links_on_object(keypoints, links, masks)
    if test.keypoints is not None and data.skeleton and test.masks is not None:
        labels = np.asarray(test.keypoints)[index]
        total, limbs = measures.skeleton_coverage(keypoints, links, labels, data.skeleton, groups=data.groups)
        report["skeleton_covered"], report["limbs_covered"] = total, limbs
    return report


def _scores(scorer: Scorer, keypoints: np.ndarray, index: np.ndarray, where: int | None) -> dict[str, float]:
    error, mean = float(scorer(keypoints, index, where)), float(scorer.mean_pose(index, where))
    return {"error": error, "mean_pose_error": mean, "relative_error": error / mean}


def cover(images: np.ndarray, kind: str, amount: float, seed: int = 0) -> torch.Tensor:
    """uint8 images (n, S, S, 3) with hidden patches, as the model takes them: float (n, 3, S, S), hidden = 0."""
    hidden = torch.from_numpy(hidden_patches(len(images), kind, amount, seed))
    return torch.where(spread(hidden, images.shape[1])[:, None], 0.0, to_float(torch.from_numpy(images)))


def occlusion_report(
    model: PosePriorLearner,
    data: Dataset,
    *,
    center: Sequence[float] = CENTER,
    random: Sequence[float] = RANDOM,
    iterations: int = 4,
    limit: int = 100,
    watch: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Error after 0 to `iterations` rounds for both kinds of occlusion (section 4.3), on `limit` test images.

    The linear map is fitted on complete training images. Without labels the report holds, instead of the error, the
    distance to the model's own pose of the complete image, as a fraction of the image side.
    """
    test = data["test"]
    index = subset(test, limit)
    images = np.asarray(test.images[index])
    complete = model.estimate(images).keypoints.numpy()
    scored = data.protocol != "pictures" and test.keypoints is not None
    if scored:
        scorer = Scorer(model, data)

    def error(keypoints: np.ndarray) -> float:
        if scored:
            return float(scorer(keypoints, index))
        return float(np.linalg.norm(keypoints - complete, axis=-1).mean()) * sides_per_unit(data.size)

    report: dict[str, Any] = {
        "measure": f"error of protocol {data.protocol}" if scored else "distance to the pose of the complete image",
        "test_images": len(index), "iterations": iterations, "unoccluded": error(complete), "made_by": model.made_by,
    }  # fmt: skip
    for kind, amounts in (("center", center), ("random", random)):
        report[kind] = {}
        for amount in amounts:
            rounds = rounds_of(model, cover(images, kind, amount), iterations)
            report[kind][f"{amount:g}"] = [error(keypoints) for keypoints in rounds]
            if watch:
                watch(f"{kind} {amount:g}")
    return report


def rounds_of(model: PosePriorLearner, covered: torch.Tensor, iterations: int, batch: int = 50) -> list[np.ndarray]:
    """Keypoints (n, N, 2) after each of the rounds 0 to `iterations`."""
    found: list[list[Iteration]] = []
    for start in range(0, len(covered), batch):
        found.append(model.iterate(model.prepare(covered[start : start + batch]), iterations))
    return [torch.cat([part[k].keypoints for part in found]).cpu().numpy() for k in range(iterations + 1)]
