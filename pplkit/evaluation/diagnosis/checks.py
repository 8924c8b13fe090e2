"""What can go wrong in a training: the number that shows it, its limit, what it means, what to try.

Words and limits alone; `measurements` measures, `report` puts both together. Limits of what shows without labels lie
between the numbers of good runs and true joints and those of runs built to fail, which stand beside each check.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pplkit.models.prior.config import Config

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Check:
    """A fault: the number called `number` lies above `most` or below `least`. A number that is missing shows none."""

    name: str
    number: str
    description: str  # of the number
    meaning: str
    remedy: str  # {setting} stands for its value now
    most: float | None = None
    least: float | None = None
    only: tuple[str, ...] = ()  # values that settings must have, such as "prior_from=all"
    explains: tuple[str, ...] = ()  # faults that follow from this one and are not named beside it

    def fails(self, config: Config, numbers: Numbers) -> bool:
        """Whether the fault is there."""
        value, settings = numbers.get(self.number), config.to_dict()
        if value is None or any(str(settings[key]) != wanted for key, wanted in (o.split("=") for o in self.only)):
            return False
        return (self.most is not None and value > self.most) or (self.least is not None and value < self.least)


_UNREADY = (
    "keypoints without links", "keypoints in one place", "keypoints on one line", "keypoints off the object",
    "link map ignored", "left and right", "dead vectors", "on the background", "keypoints stand still",
    "keypoints swap", "swap when turned",
)  # fmt: skip
_CALMER = (
    "lower learning_rate (now {learning_rate:g}) and, unless it is 0, convolution_learning_rate (now "
    "{convolution_learning_rate:g})"
)
_BOUNDED = ", weight_boundary=1 (now {weight_boundary:g}), precision=32-true (now {precision})"
_ADRIFT = ("poses stand still", "keypoints outside")  # of a model whose numbers have grown too large
_UNSEEN = ("link map ignored", "keypoints without links", "keypoints on one line")  # if the decoder does not see poses

RUN_CHECKS = (
    Check(
        "not finite", "broken_weights", "weights that are not finite",
        "No output of the model means anything.",
        _CALMER + _BOUNDED + "; in a new run",
        most=0,
    ),
    Check(
        "diverged", "diverged", "whether the training gave up because its loss was no longer finite",
        "Numbers grew beyond all bounds, also at 0.3 of the learning rate.",
        "far " + _CALMER + _BOUNDED + "; in a new run",
        most=0, explains=("unfinished", "steps left out", "diverging", "too few steps", *_ADRIFT, *_UNREADY),
    ),
    Check(
        "unfinished", "done", "fraction of the steps that were done",
        "The training was interrupted or stopped.",
        "the same command again, which continues",
        least=1, explains=("too few steps", *_UNREADY),
    ),
    Check(
        "steps left out", "skipped", "fraction of the steps left out because their numbers were not finite",
        "The training is close to diverging.",
        _CALMER + _BOUNDED,
        most=0.02,
    ),
    Check(
        "diverging", "rise", "reconstruction loss at the end, divided by its best",
        "The training was better before: the learning rate is too high, or one loss dominates.",
        _CALMER + ", a final_learning_rate of at most 0.1 (now {final_learning_rate:g}), lr_hold=0 (now {lr_hold:g}); "
        "look at the curves in notebook 02",
        most=1.15, explains=(*_ADRIFT, *_UNREADY),
    ),
    Check(
        "too few steps", "seen", "images shown to the model",
        "Keypoints have not yet spread over the object; nothing below can be judged.",
        "the same run with more steps (now {steps}), which continues; 20,000 images and more were needed here",
        least=20_000, only=("backbone=none",),  # through a pretrained one parts are told apart from the start
        explains=_UNREADY,
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
        "more images; max_rotation=1.5, max_shift=0.25 and weight_equivariance=0.5 (now {max_rotation:g}, "
        "{max_shift:g}, {weight_equivariance:g}), as preset cub has; fewer steps",
        most=1.5, explains=("link map ignored", "left and right"),
    ),
    Check(
        "reference gives away", "alone",
        "loss of reconstructions from another image's link map, divided by the difference between two images",
        "The decoder does well whatever the link map: it copies the reference, and keypoints have nothing to learn.",
        "mask_ratio=0.8 or more (now {mask_ratio:g}), or reference=frame (now {reference}) with frames farther apart",
        least=0.2, explains=("too little data", "poses stand still", *_UNREADY),
    ),
    Check(
        "poses stand still", "following", "how far keypoints move with an image that is shifted, divided by the shift",
        "The regressor gives nearly the same pose for every image.",
        "a higher learning_rate (now {learning_rate:g}); weight_links=0 (now {weight_links:g}), which ties poses to "
        "T; affine_init=place (now {affine_init})",
        least=0.3,
        explains=("keypoints on one line", "keypoints off the object", "link map ignored", "keypoints stand still"),
    ),
    Check(
        "links too thin", "width", "width of a link, the root of thickness, in pixels",
        "Links fall between the pixels, so that the decoder hardly sees them and keypoints get no gradient.",
        "thickness (now {thickness:g}) of 1 or 2 pixels: ({image_size} / 2)^-2 = 1 pixel; thickness_start=0.02",
        least=0.3, explains=("keypoints outside", "poses stand still", *_UNREADY),
    ),
    Check(
        "links weak", "strongest", "weight of the strongest link",
        "No link is bright enough to be seen, so that keypoints get hardly any gradient.",
        "connectivity_mean=-1 (now {connectivity_mean:g}), weight_links=0 (now {weight_links:g}), a higher "
        "connectivity_learning_rate (now {connectivity_learning_rate:g})",
        least=0.01, explains=("links collapsed", "keypoints outside", "poses stand still", *_UNREADY),
    ),
    Check(
        "links collapsed", "effective", "effective number of links, (ΣW)² / ΣW², per keypoint",
        "A few links have all the weight; the other keypoints are not seen in the link map.",
        "connectivity_learning_rate=5e-5 (now {connectivity_learning_rate:g}), connectivity_growth of at most 40 (now "
        "{connectivity_growth:g}), reinit_weak_links=True (now {reinit_weak_links})",
        least=0.4, explains=_UNSEEN,
    ),
    Check(
        "keypoints without links", "unlinked", "fraction of the keypoints without a strong link",
        "These keypoints are hardly seen in the link map, get hardly any gradient and stay where they are.",
        "reinit_weak_links=True (now {reinit_weak_links}), connectivity_learning_rate=5e-5 (now "
        "{connectivity_learning_rate:g}), fewer keypoints (now {keypoints}); a link for each where links are "
        "predefined (now {prior_links})",
        most=0.2,
    ),
    Check(
        "keypoints in one place", "extent", "root mean square distance of keypoints from their center, in image sides",
        "All keypoints lie on one part of the object, and the links between them say nothing.",
        "weight_separation=0.1 (now {weight_separation:g}), weight_length below 0.1 (now {weight_length:g}), "
        "thickness_start=0.02, a closer crop of the images",
        least=0.04, explains=("keypoints on one line", "link map ignored", "keypoints without links"),
    ),
    Check(
        "keypoints on one line", "breadth",
        "root mean square distance of keypoints from the line that fits them, divided by that from their center",
        "All keypoints of an image lie along one line through the object and miss what is beside it.",
        "objects seen from one side alone: weight_equivariance=0 (now {weight_equivariance:g}), max_rotation=0.5 (now "
        "{max_rotation:g}) and max_shift=0.15 (now {max_shift:g}), as preset images has; from all sides: more images; "
        "nothing, if they are that slim",
        least=0.2, explains=("keypoints off the object",),
    ),
    Check(
        "keypoints outside", "outside", "fraction of the keypoints outside the image",
        "Keypoints have left the image, where no link map shows them and nothing brings them back.",
        "weight_boundary=1 (now {weight_boundary:g}); " + _CALMER,
        most=0.02, explains=tuple(name for name in _UNREADY if name != "keypoints off the object"),
    ),
    Check(
        "keypoints off the object", "strayed", "fraction of the keypoints off the object, divided by chance",
        "Keypoints lie beside the object: the decoder does not need it from the link map, or they are pushed off.",
        "weight_length=0.04 (now {weight_length:g}), weight_separation (now {weight_separation:g}) or "
        "separation_radius (now {separation_radius:g}) lower, separation_share=0.5; a background that stands still",
        most=0.4,
    ),
    Check(
        "link map ignored", "told", "fraction of the reconstruction loss that the right link map saves over another",
        "The decoder gives much the same image for a wrong pose: it has all it needs from the reference, or has not "
        "learned to read links.",
        "mask_ratio=0.9 (now {mask_ratio:g}), or reference=frame (now {reference}) with frames farther apart; more "
        "steps (now {steps})",
        least=0.08,
    ),
    Check(
        "left and right", "mixed", "cost of naming left and right alike in all mirrored images, in image sides",
        "Left and right are confused: a keypoint stands for a side of the object in some images, for a side of the "
        "image in others.",
        "weight_equivariance=0.5 (now {weight_equivariance:g}); flip=False (now {flip}) if all objects face one way; "
        "one keypoint fewer, so that their number is odd (now {keypoints})",
        most=0.03,
    ),
    Check(
        "dead vectors", "harm", "how far dead codes move T away from the mean pose, in image sides",
        "T is the mean of all vectors, including the meaningless ones that no pose uses: it is no typical pose.",
        "prior_from=used (now {prior_from}), reset_dead_codes=True (now {reset_dead_codes}), fewer vectors (now "
        "{vectors}), more steps (now {steps})",
        most=0.07, only=("prior_from=all", "prior_keypoints=memory"),
    ),
)  # fmt: skip
"""Faults of a run."""

OBJECT_CHECKS = (
    Check(
        # True joints of puppets: at most 0.21 by motion, 0.19 by the border; random points 0.95 to 1.00. In runs it was
        # 0.6 to 0.8 of the number by masks, whose limit is 0.4.
        "on the background", "off_foreground", "fraction of the keypoints off the detected object, divided by chance",
        "Keypoints lie on the background: the object is too small to count in the reconstruction, or the background "
        "changes more than it does.",
        "images that the object fills (prepare with --option crop=object), of 128 pixels or more; --preset "
        "photographs or films, which look through a pretrained network",
        most=0.35, explains=("keypoints stand still", "keypoints swap", "swap when turned"),
    ),
    Check(
        # The joint that moves least: 0.3 of the median of the joints; the keypoint of good runs 0.6, and of one in
        # which ten of sixteen never moved 0.01.
        "keypoints stand still", "still", "keypoints that hardly move while the object does",
        "These keypoints mark a place in the image, not a part of the object.",
        "fewer keypoints (now {keypoints}); images that the object fills (prepare with --option crop=object); "
        "reinit_weak_links=True (now {reinit_weak_links})",
        most=0,
    ),
    Check(
        # True joints of puppets and keypoints trained on them: 0; of a run that failed for other reasons 0.03.
        "keypoints swap", "exchanged", "fraction of neighbouring frames between which keypoints change places",
        "Keypoints take turns in marking the same parts, such as head and tail, or left and right.",
        "max_rotation=3.1 (now {max_rotation:g}) and weight_equivariance=0.5 (now {weight_equivariance:g}) where the "
        "object turns; --preset photographs or films, whose features tell parts apart; fewer keypoints (now "
        "{keypoints})",
        most=0.05, explains=("swap when turned",),
    ),
    Check(
        # A run that was trained with turns: 0.00 to 0.03 while it learned, 0 at the end.
        "swap when turned", "exchanged_turned", "fraction of images whose keypoints change places when it is rotated",
        "Keypoints mark the upper or left end of the object, whichever part that is, such as head or tail.",
        "a higher weight_equivariance (now {weight_equivariance:g}); max_rotation=3.1 (now {max_rotation:g}); more "
        "steps (now {steps}); --preset photographs or films, whose features tell parts apart",
        most=0.1,
    ),
)  # fmt: skip
"""Faults of a run that show without labels."""

_CLOSER = (
    "prepare again with --option crop=object, which follows what moves or stands out; --size 128 or more; --preset "
    "films, or photographs for single images"
)
IMAGE_CHECKS = (
    Check(
        # Puppets 0.35 and more, in any crop around them; in the middle of wide scenes 0.02.
        "object small", "filled", "fraction of the image that a square around the object takes up, the median",
        "The object fills little of the images: the reconstruction is about the background, and parts are a few "
        "pixels wide.",
        _CLOSER,
        least=0.1,
    ),
    Check(
        # Puppets 0; with an eighth or more of the image cut off at three sides 0.7 to 1.
        "object cut off", "cut", "fraction of the images in which the object lies along the border",
        "The object is cut off in many images: the missing parts cannot be learned.",
        "prepare again with --option crop=pad, or with --option crop=object, which leaves room around the object",
        most=1 / 3,
    ),
    Check(
        # Birds, hands, puppets 0, textured puppets 0.1 to 0.4; wide scenes, and puppets cut off at three sides, 0.6 up.
        "object indistinct", "indistinct", "fraction of the images whose inside looks like their border",
        "No object stands out from its surroundings: it is small, cut off, or of the background's colors.",
        _CLOSER,
        most=0.5,
    ),
)  # fmt: skip
"""Faults of images, before anything is trained on them."""

CHECKS = (*IMAGE_CHECKS, *RUN_CHECKS, *OBJECT_CHECKS)
