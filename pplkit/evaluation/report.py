"""The evaluation of a trained model, as JSON (notebook 04)."""

from dataclasses import replace
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset
from pplkit.data.sampling import evenly_spaced
from pplkit.evaluation import memory_analysis
from pplkit.evaluation.protocols import Score, evaluate, mean_pose_error
from pplkit.evaluation.tracking import JointMap, joint_map
from pplkit.geometry import coverage
from pplkit.geometry.coordinates import sides_per_unit
from pplkit.models.prior.model import PosePriorLearner

MAX_FITTED = 3000  # more training images do not change the linear map noticeably


class Scorer:
    """The data set's protocol with the model's answers to `limit` labelled training images computed once.

    Scores keypoints (n, N, 2) of test images at positions `index`, all or those of class `where`. Errors of h36m and
    cub are fractions of the image side, which is one pixel longer than the way from -1 to 1. Raises PplkitError if the
    data set has no labels.
    """

    def __init__(
        self,
        model: PosePriorLearner,
        data: Dataset,
        limit: int | None = MAX_FITTED,
        procedure: str = "published",
    ) -> None:
        train = data.labelled
        points = np.zeros((0, 0, 2)) if train.keypoints is None else np.asarray(train.keypoints)
        known = np.flatnonzero(np.isfinite(points).all(-1).any(-1))  # a split may be labelled in part
        if data.protocol == "pictures" or not len(known):
            raise PplkitError(f"{data.path} has no labels to score against: look at the images instead.")
        self.data = data
        self.index = known[evenly_spaced(known, limit)]
        self.keypoints = model.estimate(np.asarray(train.images[self.index]), procedure=procedure).keypoints.numpy()

    def __call__(self, keypoints: np.ndarray, index: np.ndarray, where: int | None = None) -> Score:
        """Score of keypoints (n, N, 2); the map is fitted on all training images, whatever `where` is."""
        chosen = self._of_class(index, where)
        labels, swap_pairs = self._labels(index[chosen]), self.data.swap_pairs
        score = evaluate(
            self.data.protocol, self.keypoints, labels[0], keypoints[chosen], *labels[1:], swap_pairs=swap_pairs
        )
        return self._in_sides(score)

    def mean_pose(self, index: np.ndarray, where: int | None = None) -> Score:
        """The same for a model that always answers the mean pose."""
        labels = self._labels(index[self._of_class(index, where)])
        return self._in_sides(mean_pose_error(self.data.protocol, *labels, swap_pairs=self.data.swap_pairs))

    @property
    def joints(self) -> JointMap:
        """From keypoints (T, N, 2) to the labelled points, by plain least squares on the same training images."""
        return joint_map(self.keypoints, np.asarray(self.data.labelled.keypoints)[self.index])

    def _in_sides(self, score: Score) -> Score:
        if self.data.protocol not in ("h36m", "cub"):
            return score
        factor = 2 * sides_per_unit(self.data.size)
        return replace(score, error=factor * score.error, per_keypoint=factor * score.per_keypoint)

    def _of_class(self, index: np.ndarray, where: int | None) -> np.ndarray:
        classes = self.data["test"].classes
        return np.ones(len(index), bool) if where is None or classes is None else np.asarray(classes)[index] == where

    def _labels(self, test: np.ndarray) -> tuple[Any, Any, Any, Any]:
        """Labels of training and test images, and which of them are visible."""
        parts = (self.data.labelled, self.index), (self.data["test"], test)
        keypoints = [np.asarray(split.keypoints)[index] for split, index in parts]
        # The h36m labels are complete: joints that the body itself covers count as well.
        visible = [
            None if split.visible is None or self.data.protocol == "h36m" else np.asarray(split.visible)[index]
            for split, index in parts
        ]
        return keypoints[0], keypoints[1], visible[0], visible[1]


def evaluation_report(
    model: PosePriorLearner, data: Dataset, limit: int | None = None, scorer: Scorer | None = None
) -> dict[str, Any]:
    """The protocol's score beside the mean pose's, for all test images and each class, and how the poses lie.

    With object masks also: fraction of the keypoints, and of the strong links' length, on the object; with labels and
    a skeleton: fraction of the true skeleton's length within 0.1 of a strong link, in all and by limb.
    Also the dead codes for the test images and their effect on T (`dead_codes`), the distance of T from the mean pose
    (`prior_offsets`) and, if affine maps make the poses, the prior's part in them (`prior_fraction`).
    `limit` bounds the test images; a `scorer` of this model and data set saves making another. All fractions are of 1.
    """
    test = data["test"]
    index = evenly_spaced(test, limit)
    images = np.asarray(test.images[index])
    keypoints = model.estimate(images, procedure="published").keypoints.numpy()
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
    dead = memory_analysis.dead_codes(model, memory_analysis.assign(model, keypoints))
    report["unused_vectors"], report["unused_shift"], report["uneven_shift"] = dead
    report["prior_offsets"] = memory_analysis.prior_offsets(model, keypoints)
    if model.config.regression == "affine":
        report["prior_share"] = memory_analysis.prior_fraction(model, images)
    links = model.prior().links()
    report["strong_links"] = len(links)
    if test.masks is not None:
        masks = np.asarray(test.masks[index])
        report["keypoints_on_object"] = coverage.on_object(keypoints, masks)
        report["links_on_object"] = coverage.links_on_object(keypoints, links, masks)
        if test.keypoints is not None and data.skeleton:
            labels = np.asarray(test.keypoints)[index]
            covered = coverage.skeleton_coverage(keypoints, links, labels, data.skeleton, groups=data.groups)
            report["skeleton_covered"], report["limbs_covered"] = covered
    return report


def _scores(scorer: Scorer, keypoints: np.ndarray, index: np.ndarray, where: int | None) -> dict[str, float]:
    error, mean = float(scorer(keypoints, index, where)), float(scorer.mean_pose(index, where))
    return {"error": error, "mean_pose_error": mean, "relative_error": error / mean}
