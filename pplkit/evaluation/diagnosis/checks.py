"""What can go wrong in a training: the number that shows it, its limit, what it means, what to try.

Words and limits alone; `measurements` measures, `report` puts both together. Limits of what shows without labels lie
between the numbers of good runs and true joints and those of runs built to fail, which stand beside each check.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pplkit.models.prior.config import Config

Numbers = Mapping[str, float]
Change = Callable[[Any], Any]  # from the value of a setting to the one to try; the same where there is nothing to try


def to(value: Any) -> Change:
    """Try `value`."""
    return lambda now: value


def at_least(value: float) -> Change:
    """Try `value` instead of what is below it."""
    return lambda now: max(now, value)


def at_most(value: float) -> Change:
    """Try `value` instead of what is above it."""
    return lambda now: min(now, value)


def times(factor: float) -> Change:
    """Try a multiple of the value, a whole number where it is one."""
    return lambda now: type(now)(f"{now * factor:.2g}") if isinstance(now, float) else max(1, round(now * factor))


@dataclass(frozen=True)
class Check:
    """A fault: the number called `number` lies above `most` or below `least`. A number that is missing shows none."""

    name: str
    number: str
    description: str  # of the number
    meaning: str
    remedy: str = ""  # what to try that is no setting of the model
    changes: Mapping[str, Change] = field(default_factory=dict)  # of settings
    most: float | None = None
    least: float | None = None
    only: tuple[str, ...] = ()  # values that settings must have, such as "prior_from=all"
    explains: tuple[str, ...] = ()  # faults that follow from this one and are not named beside it
    backbone: bool = False  # whether to try a preset with a pretrained network
    options: tuple[tuple[str, Any], ...] = ()  # of the preparation of the images, to try
    continues: bool = False  # whether the same run goes on, instead of a new one

    def fails(self, config: Config, numbers: Numbers) -> bool:
        """Whether the fault is there."""
        value, settings = numbers.get(self.number), config.to_dict()
        if value is None or any(str(settings[key]) != wanted for key, wanted in (o.split("=") for o in self.only)):
            return False
        return (self.most is not None and value > self.most) or (self.least is not None and value < self.least)


_UNREADY = (
    "keypoints without links", "keypoints in one place", "keypoints on one line", "keypoints off the object",
    "link map ignored", "left and right", "dead vectors", "on the background", "keypoints in the middle",
    "keypoints stand still", "keypoints swap", "swap when turned",
)  # fmt: skip
_CALMER = {"learning_rate": times(0.3), "convolution_learning_rate": times(0.3)}
_BOUNDED = {**_CALMER, "weight_boundary": at_least(1.0), "precision": to("32-true")}
_ADRIFT = ("poses stand still", "keypoints outside")  # of a model whose numbers have grown too large
_UNSEEN = ("link map ignored", "keypoints without links", "keypoints on one line")  # if the decoder does not see poses

RUN_CHECKS = (
    Check(
        "not finite", "broken_weights", "weights that are not finite",
        "No output of the model means anything.",
        changes=_BOUNDED, most=0,
    ),
    Check(
        "diverged", "diverged", "whether the training gave up because its loss was no longer finite",
        "Numbers grew beyond all bounds, also at 0.3 of the learning rate.",
        changes={**_BOUNDED, "learning_rate": times(0.1), "convolution_learning_rate": times(0.1)},
        most=0, explains=("unfinished", "steps left out", "diverging", "too few steps", *_ADRIFT, *_UNREADY),
    ),
    Check(
        "unfinished", "done", "fraction of the steps that were done",
        "The training was interrupted or stopped.",
        "the same command again, which continues",
        continues=True, least=1, explains=("too few steps", *_UNREADY),
    ),
    Check(
        "steps left out", "skipped", "fraction of the steps left out because their numbers were not finite",
        "The training is close to diverging.",
        changes=_BOUNDED, most=0.02,
    ),
    Check(
        "diverging", "rise", "reconstruction loss at the end, divided by its best",
        "The training was better before: the learning rate is too high, or one loss dominates.",
        "a look at the curves in notebook 02",
        {**_CALMER, "final_learning_rate": at_most(0.1), "lr_hold": to(0.0)},
        most=1.15, explains=(*_ADRIFT, *_UNREADY),
    ),
    Check(
        "too few steps", "seen", "images shown to the model",
        "Keypoints have not yet spread over the object; nothing below can be judged.",
        "20,000 images and more were needed here; the same run continues",
        {"steps": times(3)},
        continues=True, least=20_000, explains=_UNREADY,
        only=("backbone=none",),  # through a pretrained one parts are told apart from the start
    ),
    Check(
        "images alike", "variety", "mean difference of two training images, of 1",
        "The images hardly differ, so that no pose is needed to reconstruct them.",
        "frames farther apart (preparing with every, rate or frames), more videos, a closer crop",
        least=0.03, explains=("reference gives away", "poses stand still", "too little data", *_UNREADY),
    ),
    Check(
        "too little data", "gap", "reconstruction loss on test images, divided by that on training images",
        "The model has memorized the training images: on others its keypoints are guesses.",
        "more images",
        {"max_rotation": at_least(1.5), "max_shift": at_least(0.25), "weight_equivariance": at_least(0.5)},
        most=1.5, explains=("link map ignored", "left and right"),
    ),
    Check(
        "reference gives away", "alone",
        "loss of reconstructions from another image's link map, divided by the difference between two images",
        "The decoder does well whatever the link map: it copies the reference, and keypoints have nothing to learn.",
        "reference=frame with frames farther apart, where there are videos",
        {"mask_ratio": at_least(0.8)},
        least=0.2, explains=("too little data", "poses stand still", *_UNREADY),
    ),
    Check(
        "poses stand still", "following", "how far keypoints move with an image that is shifted, divided by the shift",
        "The regressor gives nearly the same pose for every image.",
        changes={"learning_rate": times(2), "weight_links": to(0.0), "affine_init": to("place")},
        least=0.3,
        explains=("keypoints on one line", "keypoints off the object", "link map ignored", "keypoints stand still"),
    ),
    Check(
        "links too thin", "width", "width of a link, the root of thickness, in pixels",
        "Links fall between the pixels, so that the decoder hardly sees them and keypoints get no gradient.",
        "a thickness of 1 or 2 pixels: (image_size / 2)^-2 is 1 pixel",
        {"thickness": times(10), "thickness_start": at_least(0.02)},
        least=0.3, explains=("keypoints outside", "poses stand still", *_UNREADY),
    ),
    Check(
        "links weak", "strongest", "weight of the strongest link",
        "No link is bright enough to be seen, so that keypoints get hardly any gradient.",
        changes={
            "connectivity_mean": at_least(-1.0), "weight_links": to(0.0), "connectivity_learning_rate": times(2),
        },
        least=0.01, explains=("links collapsed", "keypoints outside", "poses stand still", *_UNREADY),
    ),
    Check(
        "links collapsed", "effective", "effective number of links, (ΣW)² / ΣW², per keypoint",
        "A few links have all the weight; the other keypoints are not seen in the link map.",
        changes={
            "connectivity_learning_rate": at_most(5e-5), "connectivity_growth": at_most(40.0),
            "reinit_weak_links": to(True),
        },
        least=0.4, explains=_UNSEEN,
    ),
    Check(
        "keypoints without links", "unlinked", "fraction of the keypoints without a strong link",
        "These keypoints are hardly seen in the link map, get hardly any gradient and stay where they are.",
        "fewer keypoints; a link for each, where links are predefined",
        {"reinit_weak_links": to(True), "connectivity_learning_rate": at_most(5e-5)},
        most=0.2,
    ),
    Check(
        "keypoints in one place", "extent", "root mean square distance of keypoints from their center, in image sides",
        "All keypoints lie on one part of the object, and the links between them say nothing.",
        "a closer crop of the images",
        {"weight_separation": at_least(0.1), "weight_length": at_most(0.04), "thickness_start": at_least(0.02)},
        least=0.04,
        explains=("keypoints on one line", "link map ignored", "keypoints without links", "keypoints in the middle"),
    ),
    Check(
        "keypoints on one line", "breadth",
        "root mean square distance of keypoints from the line that fits them, divided by that from their center",
        "All keypoints of an image lie along one line through the object and miss what is beside it.",
        "these settings for objects seen from one side alone, as preset images has them; more images for objects seen "
        "from all sides; nothing, if they are that slim",
        {"weight_equivariance": to(0.0), "max_rotation": at_most(0.5), "max_shift": at_most(0.15)},
        least=0.2, explains=("keypoints off the object", "keypoints in the middle"),
    ),
    Check(
        "keypoints outside", "outside", "fraction of the keypoints outside the image",
        "Keypoints have left the image, where no link map shows them and nothing brings them back.",
        changes={"weight_boundary": at_least(1.0), **_CALMER},
        most=0.02, explains=tuple(name for name in _UNREADY if name != "keypoints off the object"),
    ),
    Check(
        "keypoints off the object", "strayed", "fraction of the keypoints off the object, divided by chance",
        "Keypoints lie beside the object: the decoder does not need it from the link map, or they are pushed off.",
        "a background that stands still",
        {
            "weight_length": at_least(0.04), "weight_separation": times(0.5), "separation_radius": at_most(0.2),
            "separation_share": to(0.5),
        },
        most=0.4,
    ),
    Check(
        "link map ignored", "told", "fraction of the reconstruction loss that the right link map saves over another",
        "The decoder gives much the same image for a wrong pose: it has all it needs from the reference, or has not "
        "learned to read links.",
        "reference=frame with frames farther apart, where there are videos",
        {"mask_ratio": at_least(0.9), "steps": times(2)},
        least=0.08,
    ),
    Check(
        "left and right", "mixed", "cost of naming left and right alike in all mirrored images, in image sides",
        "Left and right are confused: a keypoint stands for a side of the object in some images, for a side of the "
        "image in others.",
        "flip=False if all objects face one way; one keypoint fewer, so that their number is odd",
        {"weight_equivariance": at_least(0.5)},
        most=0.03,
    ),
    Check(
        "dead vectors", "harm", "how far dead codes move T away from the mean pose, in image sides",
        "T is the mean of all vectors, including the meaningless ones that no pose uses: it is no typical pose.",
        changes={"prior_from": to("used"), "reset_dead_codes": to(True)},
        most=0.07, only=("prior_from=all", "prior_keypoints=memory"),
    ),
)  # fmt: skip
"""Faults of a run."""

_CROP = (("crop", "object"),)  # follows what moves or stands out
_CLOSER = (*_CROP, ("size", 128))
OBJECT_CHECKS = (
    Check(
        # True joints of puppets: at most 0.21 by motion, 0.19 by the border; random points 0.95 to 1.00. A good run on
        # hands had 0.49: fingertips lie on the rim of what the border tells apart.
        "on the background", "off_foreground", "fraction of the keypoints off the detected object, divided by chance",
        "Keypoints lie on the background: the object is too small to count in the reconstruction, or the background "
        "changes more than it does.",
        options=_CLOSER, backbone=True, most=0.6,
        explains=("keypoints stand still", "keypoints swap", "swap when turned"),
    ),
    Check(
        # Good runs on hands, a cat, mice, puppets: 0.92 to 1.26; true joints of puppets 0.97 to 1.03. Runs on hands
        # whose keypoints lay in the palm, or left out three of five fingers: 0.70; textured puppets without limbs 0.57.
        "keypoints in the middle", "reach",
        "how far keypoints lie from their center, divided by how far the detected object's pixels do",
        "The keypoints cover only the middle of the object: parts that stick out, such as fingers, have none.",
        "another seed; preset hands where all images show the same kind of object before a plain background",
        least=0.8,
    ),
    Check(
        # The joint that moves least: 0.3 of the median of the joints; the keypoint of good runs 0.6, and of one in
        # which ten of sixteen never moved 0.01.
        "keypoints stand still", "still", "keypoints that hardly move while the object does",
        "These keypoints mark a place in the image, not a part of the object.",
        "fewer keypoints",
        {"reinit_weak_links": to(True)},
        options=_CROP, most=0,
    ),
    Check(
        # True joints of puppets and keypoints trained on them: 0; of a run that failed for other reasons 0.03.
        "keypoints swap", "exchanged", "fraction of neighbouring frames between which keypoints change places",
        "Keypoints take turns in marking the same parts, such as head and tail, or left and right.",
        "fewer keypoints; these settings where the object turns",
        {"max_rotation": at_least(3.1), "weight_equivariance": at_least(0.5)},
        backbone=True, most=0.05, explains=("swap when turned",),
    ),
    Check(
        # A run that was trained with turns: 0.00 to 0.03 while it learned, 0 at the end.
        "swap when turned", "exchanged_turned", "fraction of images whose keypoints change places when it is rotated",
        "Keypoints mark the upper or left end of the object, whichever part that is, such as head or tail.",
        changes={"weight_equivariance": at_least(1.0), "max_rotation": at_least(3.1), "steps": times(2)},
        backbone=True, most=0.1,
    ),
)  # fmt: skip
"""Faults of a run that show without labels."""

IMAGE_CHECKS = (
    Check(
        # Puppets 0.35 and more, in any crop around them; in the middle of wide scenes 0.02.
        "object small", "filled", "fraction of the image that a square around the object takes up, the median",
        "The object fills little of the images: the reconstruction is about the background, and parts are a few "
        "pixels wide.",
        options=_CLOSER, backbone=True, least=0.1,
    ),
    Check(
        # Puppets 0; with an eighth or more of the image cut off at three sides 0.7 to 1.
        "object cut off", "cut", "fraction of the images in which the object lies along the border",
        "The object is cut off in many images: the missing parts cannot be learned.",
        "or crop=pad, which keeps all of the image",
        options=_CROP,
        most=1 / 3,
    ),
    Check(
        # Birds, hands, puppets 0, textured puppets 0.1 to 0.4; wide scenes, and puppets cut off at three sides, 0.6 up.
        "object indistinct", "indistinct", "fraction of the images whose inside looks like their border",
        "No object stands out from its surroundings: it is small, cut off, or of the background's colors.",
        options=_CLOSER, backbone=True, most=0.5,
    ),
)  # fmt: skip
"""Faults of images, before anything is trained on them."""

CHECKS = (*IMAGE_CHECKS, *RUN_CHECKS, *OBJECT_CHECKS)
