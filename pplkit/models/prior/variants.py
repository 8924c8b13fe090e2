"""Baselines and ablations as settings of one config: the same images, losses, decoder and score for all."""

from typing import Any, NamedTuple

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.words import choice
from pplkit.data.dataset import Dataset
from pplkit.models.prior.config import Config
from pplkit.models.prior.pose_prior import PosePrior


class Variant(NamedTuple):
    """Settings that differ from the preset, and the published number that corresponds, with PPL's own."""

    means: str
    changes: dict[str, Any]
    published: str = "none published"


_FIXED = {"prior_keypoints_trainable": False}
_LINKS = {"prior_links": "predefined"}
_FROZEN = {"prior_links_trainable": False}
_POSE = {"prior_keypoints": "predefined"}
_RANDOM = {"prior_keypoints": "random"}

# Losses and settings that presets add to the published ones, with their published values. The initialization and the
# rates stay the preset's in all variants.
_PARTS = ("weight_parts", "weight_contrast", "weight_concentration", "weight_presence", "weight_background")
_ADDED = ("reference", "reinit_weak_links", "weight_separation", "weight_length", "weight_equivariance", *_PARTS)
_PUBLISHED = {name: getattr(Config(), name) for name in _ADDED}
_AUTOLINK = {"regression": "attention", "weight_boundary": 0.0, "weight_links": 0.0, "weight_decay": 1e-3}
_FRAME = {"reference": "frame"}
_BIRDS = "CUB 001 to 003: 19.3, 18.6, 17.3"
_LINKED = "H36M 128: 2.76 (PPL 1.92), CUB 001 to 003: 20.2, 19.2, 18.5 (PPL 19.3, 18.6, 17.3)"

# fmt: off
VARIANTS: dict[str, Variant] = {
    "ppl": Variant("the preset as it is", {}, f"H36M 128: 1.92, H36M 256: 2.56, {_BIRDS}"),
    "plain": Variant("PPL without the losses that presets add, masked reference", _PUBLISHED, "H36M 128: 2.23"),
    "plain-frame": Variant("the same, another frame as reference", {**_PUBLISHED, **_FRAME}, "H36M 128: 1.92"),
    "autolink": Variant("AutoLink: keypoints from attention maps, masked reference, reconstruction as its only loss",
        {**_PUBLISHED, **_AUTOLINK}, _LINKED),
    "autolink-frame": Variant("the same, another frame as reference", {**_PUBLISHED, **_AUTOLINK, **_FRAME}),
    "autolink-paper": Variant(
        "AutoLink with its own rate, 1e-4, and start of the links, N(0, 0.1²): for the paper's presets",
        {**_PUBLISHED, **_AUTOLINK, "learning_rate": 1e-4, "connectivity_learning_rate": 1e-4,
         "connectivity_mean": 0.0, "connectivity_std": 51.2}, _LINKED),
    "attention": Variant("keypoints from attention maps, all else as in the preset",
        {"regression": "attention", "weight_links": 0.0}),
    "free": Variant("any point for each keypoint, no prior", {"regression": "free", "weight_links": 0.0}),
    "fixed": Variant("T and W predefined, W trainable (as STT)", {**_POSE, **_FIXED, **_LINKS},
        "H36M 256: 2.58 (PPL 2.56)"),
    # Section 11: H36M 256 px, where PPL has 2.56. First the keypoint prior, then the connectivity.
    "predefined-predefined": Variant("T, W predefined, trainable", {**_POSE, **_LINKS}, "H36M 256: 2.51 (PPL 2.56)"),
    "predefined-frozen": Variant("T predefined, W predefined and frozen", {**_POSE, **_LINKS, **_FROZEN},
        "H36M 256: 2.66 (PPL 2.56)"),
    "fixed-frozen": Variant("T and W predefined and frozen", {**_POSE, **_FIXED, **_LINKS, **_FROZEN},
        "H36M 256: 2.70 (PPL 2.56)"),
    "predefined-random": Variant("T predefined, W random", _POSE, "H36M 256: 2.54 (PPL 2.56)"),
    "fixed-random": Variant("T predefined and frozen, W random", {**_POSE, **_FIXED}, "H36M 256: 2.61 (PPL 2.56)"),
    "random-predefined": Variant("T random, W predefined", {**_RANDOM, **_LINKS}, "H36M 256: 2.68 (PPL 2.56)"),
    "frozen-predefined": Variant("T random and frozen, W predefined", {**_RANDOM, **_FIXED, **_LINKS},
        "H36M 256: 2.72 (PPL 2.56)"),
    "random-random": Variant("T, W random", _RANDOM, "H36M 256: 2.75 (PPL 2.56)"),
    "frozen-random": Variant("T random and frozen, W random", {**_RANDOM, **_FIXED}, "H36M 256: 2.83 (PPL 2.56)"),
    "frozen-links": Variant("W random and frozen", _FROZEN, "does not converge"),
    "pixels": Variant("pixels compared instead of features", {"perceptual": "none"}, "H36M 256: 2.84 (PPL 2.56)"),
    "one-bank": Variant("a memory of one bank", {"banks": 1}, "H36M 256: 2.72 (PPL 2.56)"),
    "no-boundary": Variant("without the boundary loss", {"weight_boundary": 0.0}, "unstable"),
    "masked": Variant("masked reference", {"reference": "masked"}, "H36M 128: 2.23 (PPL 1.92)"),
    "moved": Variant("affine maps start as the prior shifted to the attended position", {"affine_init": "moved"}),
    "moved-links": Variant("the same, with link regularisation", {"affine_init": "moved", "weight_links": 0.02}),
    "links": Variant("with link regularisation", {"weight_links": 1.0}),
    "all-vectors": Variant("T from all vectors of a bank", {"prior_from": "all"}),
    "used-vectors": Variant("T from the used vectors of a bank", {"prior_from": "used"}),
    "no-separation": Variant("without the separation loss", {"weight_separation": 0.0}),
    "no-length": Variant("without the length loss", {"weight_length": 0.0}),
    "no-revival": Variant("weak links are not reinitialized", {"reinit_weak_links": False}),
    # With a backbone.
    "no-memory": Variant("T learns by itself, without a memory", {"prior_keypoints": "random"}),
    "features": Variant("no reconstruction: features alone", {"weight_reconstruction": 0.0}),
    "no-parts": Variant("part maps do not follow clusters", {"weight_parts": 0.0}),
    "no-contrast": Variant("without the contrast loss", {"weight_contrast": 0.0}),
    "no-concentration": Variant("without the concentration loss", {"weight_concentration": 0.0}),
    "no-presence": Variant("without the presence loss", {"weight_presence": 0.0}),
    "no-background": Variant("without the background loss", {"weight_background": 0.0}),
    "no-equivariance": Variant("without the equivariance loss", {"weight_equivariance": 0.0}),
    "lite2": Variant("features of EfficientNet-Lite2", {"backbone": "efficientnet-lite2"}),
    "random-features": Variant("features of a random network", {"backbone": "random"}),
    "fine": Variant("no coarse start", {"coarse_fraction": 0.0, "thickness_start": 0.0}),
}
# fmt: on


def variant(config: Config, name: str, prior: str = "") -> Config:
    """`config` changed to the variant called `name`; `prior` is the file of its predefined parts, if it has any.

    Raises PplkitError naming the known variants.
    """
    if name not in VARIANTS:
        raise PplkitError(f"variant {name!r} is unknown: {choice(name, VARIANTS)}.")
    changes = VARIANTS[name].changes
    file = {"predefined": prior} if "predefined" in changes.values() else {}
    return config.replace(**changes, **file)


def labelled_prior(data: Dataset, keypoints: int) -> PosePrior:
    """A prior as a person would define it: the mean pose of the training labels, and the true skeleton.

    More `keypoints` than labelled points halve the longest bones. Raises PplkitError if the data set has no labels or
    skeleton, or more labelled points than `keypoints`.
    """
    labels = data.labelled.keypoints
    if labels is None or not data.skeleton:
        raise PplkitError(
            f"{data.path} has no labels with a skeleton, which a predefined prior needs: choose other variants."
        )
    if labels.shape[1] > keypoints:
        raise PplkitError(
            f"{data.path} has {labels.shape[1]} labelled points, too many for a predefined prior of {keypoints} "
            f"keypoints: set keypoints={labels.shape[1]}."
        )
    points = list(np.nanmean(np.asarray(labels, np.float64), axis=0))
    bones = [tuple(bone) for bone in data.skeleton]
    while len(points) < keypoints:
        longest = max(bones, key=lambda bone: float(np.linalg.norm(points[bone[0]] - points[bone[1]])))
        bones.remove(longest)
        bones += [(longest[0], len(points)), (len(points), longest[1])]
        points.append((points[longest[0]] + points[longest[1]]) / 2)
    weights = np.zeros((keypoints, keypoints), np.float32)
    for start, end in bones:
        weights[start, end] = weights[end, start] = 1
    return PosePrior(np.array(points, np.float32), weights, {"data": data.name, "data_sha256": data.sha256})
