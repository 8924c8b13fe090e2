"""What notebook 04 computes from a trained model: the evaluation, as JSON."""

from dataclasses import replace
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset
from pplkit.data.sampling import evenly_spaced
from pplkit.evaluation import memory_analysis as prototypes
from pplkit.evaluation.protocols import Score, evaluate, mean_pose_error
from pplkit.evaluation.tracking import JointMap, joint_map
from pplkit.geometry import coverage as measures
from pplkit.geometry.coordinates import sides_per_unit
from pplkit.models.prior.model import PosePriorLearner

FITTED = 3000  # training images that a linear map is fitted on; more change nothing that can be seen


class Scorer:
    """The data set's protocol with the model's answers to `limit` labelled training images computed once.

    Scores keypoints (n, N, 2) of chosen test images; `where` keeps one class. Errors of h36m and cub are shares of the
    image side, which is one pixel longer than the way from -1 to 1. Raises PplkitError if the data set has no labels.
    """

    def __init__(
        self, model: PosePriorLearner, data: Dataset, limit: int | None = FITTED, procedure: str = "published"
    ) -> None:
        train = data.labelled
        # A split may be labelled in part: images without a label say nothing to the map.
        points = np.zeros((0, 0, 2)) if train.keypoints is None else train.keypoints
        known = np.flatnonzero(np.isfinite(points).all(-1).any(-1))
        if data.protocol == "pictures" or not len(known):
            raise PplkitError(f"{data.path} has no labels to score against: look at the pictures instead.")
        self.data = data
        self.index = known[evenly_spaced(known, limit)]
        images = np.asarray(train.images[self.index])
        self.keypoints = model.estimate(images, procedure=procedure).keypoints.numpy()

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

    @property
    def joints(self) -> JointMap:
        """From keypoints (T, N, 2) to the labelled points, by plain least squares on the images of the scores' map."""
        return joint_map(self.keypoints, np.asarray(self.data.labelled.keypoints)[self.index])

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
    index = evenly_spaced(test, limit)
    keypoints = model.estimate(np.asarray(test.images[index]), procedure="published").keypoints.numpy()
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
