"""What can go wrong in a training: the number that shows it, from where on it is a fault, what it means, what to try.

Words and limits alone; `symptoms` measures, `doctor` puts both together.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pplkit.models.prior.config import Config

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Check:
    """A fault: the number called `number` lies above `most` or below `least`. One that was not measured shows none."""

    name: str
    number: str
    says: str  # what the number is
    means: str
    tries: str  # {setting} stands for the value now
    most: float | None = None
    least: float | None = None
    only: tuple[str, ...] = ()  # values that settings must have, such as "prior_from=all"
    explains: tuple[str, ...] = ()  # faults that follow from this one and are not named beside it

    def fails(self, config: Config, numbers: Numbers) -> bool:
        """Whether the fault is there."""
        value, settings = numbers.get(self.number), config.to_dict()
        if value is None or any(str(settings[name]) != wanted for name, wanted in (o.split("=") for o in self.only)):
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
_ADRIFT = ("poses stand still", "keypoints outside")  # of a model whose numbers have grown out of hand
_UNSEEN = ("link map ignored", "keypoints without links", "keypoints on one line")  # of a decoder not told the pose

CHECKS = (
    Check(
        "not finite",
        "broken_weights",
        "weights that are no numbers",
        "Nothing that the model says means anything.",
        _CALMER + ", weight_boundary=1 (now {weight_boundary:g}), precision=32-true (now {precision}); in a new run",
        most=0,
    ),
    Check(
        "diverged",
        "diverged",
        "whether the training gave up as its loss was no longer finite",
        "Numbers grew beyond all bounds, also at 0.3 of the learning rate.",
        "far " + _CALMER + ", weight_boundary=1 (now {weight_boundary:g}), precision=32-true "
        "(now {precision}); in a new run",
        most=0,
        explains=("unfinished", "steps left out", "diverging", "too few steps", *_ADRIFT, *_UNREADY),
    ),
    Check(
        "unfinished",
        "done",
        "share of the steps that were done",
        "The training was interrupted or stopped.",
        "the same command again, which continues",
        least=1,
        explains=("too few steps", *_UNREADY),
    ),
    Check(
        "steps left out",
        "skipped",
        "share of the steps left out, as their numbers were not finite",
        "The training is near to diverging.",
        _CALMER + ", weight_boundary=1 (now {weight_boundary:g}), precision=32-true (now {precision})",
        most=0.02,
    ),
    Check(
        "diverging",
        "rise",
        "reconstruction loss at the end, in parts of its best",
        "The training was better before: it is too fast, or a part of the loss has come to rule.",
        _CALMER + ", a final_learning_rate of at most 0.1 (now {final_learning_rate:g}), lr_hold=0 (now {lr_hold:g}); "
        "the curves in notebook 02 tell more",
        most=1.15,
        explains=(*_ADRIFT, *_UNREADY),
    ),
    Check(
        "too few steps",
        "seen",
        "images shown to the model",
        "Keypoints have not yet spread over the object; nothing below can be judged.",
        "the same run with more steps (now {steps}), which continues; 20,000 images and more were needed here",
        least=20_000,
        only=("backbone=none",),  # through a pretrained one parts are told apart from the start
        explains=_UNREADY,
    ),
    Check(
        "images alike",
        "variety",
        "mean difference of two training images, of 1",
        "The images hardly differ, so that no pose is needed to paint them.",
        "frames farther apart (preparing with every, rate or frames), more videos, a closer crop",
        least=0.03,
        explains=("reference gives away", "poses stand still", "too little data", *_UNREADY),
    ),
    Check(
        "too little data",
        "gap",
        "reconstruction loss on test images, in parts of that on training images",
        "The training images were learned by heart: on others keypoints are guesses.",
        "more images; max_rotation=1.5, max_shift=0.25 and weight_equivariance=0.5 (now {max_rotation:g}, "
        "{max_shift:g}, {weight_equivariance:g}), as preset cub has; fewer steps",
        most=1.5,
        explains=("link map ignored", "left and right"),
    ),
    Check(
        "reference gives away",
        "alone",
        "loss of paintings with another image's link map, in parts of the difference between two images",
        "The decoder paints well whatever the link map: it copies the reference, and keypoints have nothing to learn.",
        "mask_ratio=0.8 or more (now {mask_ratio:g}), or reference=frame (now {reference}) with frames farther apart",
        least=0.2,
        explains=("too little data", "poses stand still", *_UNREADY),
    ),
    Check(
        "poses stand still",
        "following",
        "how far keypoints go along with an image that is moved, in parts of the way",
        "The regressor answers nearly one pose, whatever the image.",
        "a higher learning_rate (now {learning_rate:g}); weight_links=0 (now {weight_links:g}), which ties poses to T; "
        "affine_init=place (now {affine_init})",
        least=0.3,
        explains=("keypoints on one line", "keypoints off the object", "link map ignored", "keypoints stand still"),
    ),
    Check(
        "links too thin",
        "width",
        "width of a link, the root of thickness, in pixels",
        "Links fall between the pixels, so that the decoder hardly sees them and keypoints get no gradient.",
        "thickness (now {thickness:g}) of 1 or 2 pixels: ({image_size} / 2)^-2 = 1 pixel; thickness_start=0.02",
        least=0.3,
        explains=("keypoints outside", "poses stand still", *_UNREADY),
    ),
    Check(
        "links weak",
        "strongest",
        "weight of the strongest link",
        "No link is drawn brightly enough to be seen, so that keypoints get hardly a gradient.",
        "connectivity_mean=-1 (now {connectivity_mean:g}), weight_links=0 (now {weight_links:g}), a higher "
        "connectivity_learning_rate (now {connectivity_learning_rate:g})",
        least=0.01,
        explains=("links collapsed", "keypoints outside", "poses stand still", *_UNREADY),
    ),
    Check(
        "links collapsed",
        "effective",
        "links that count, (ΣW)² / ΣW², per keypoint",
        "A few links have all the weight; the others' keypoints are not seen in the link map.",
        "connectivity_learning_rate=5e-5 (now {connectivity_learning_rate:g}), connectivity_growth of at most 40 "
        "(now {connectivity_growth:g}), reinit_weak_links=True (now {reinit_weak_links})",
        least=0.4,
        explains=_UNSEEN,
    ),
    Check(
        "keypoints without links",
        "unlinked",
        "share of the keypoints without a strong link",
        "These keypoints are hardly seen in the link map, get hardly a gradient and stay where they are.",
        "reinit_weak_links=True (now {reinit_weak_links}), connectivity_learning_rate=5e-5 (now "
        "{connectivity_learning_rate:g}), fewer keypoints (now {keypoints}); a link for each where links are "
        "predefined (now {prior_links})",
        most=0.2,
    ),
    Check(
        "keypoints in one place",
        "extent",
        "root mean square distance of keypoints from their middle, in image sides",
        "All keypoints lie on one part of the object, and the links between them say nothing.",
        "weight_separation=0.1 (now {weight_separation:g}), weight_length below 0.1 (now {weight_length:g}), "
        "thickness_start=0.02, a closer crop of the images",
        least=0.04,
        explains=("keypoints on one line", "link map ignored", "keypoints without links"),
    ),
    Check(
        "keypoints on one line",
        "breadth",
        "root mean square distance of keypoints from the line that fits them, in parts of that from their middle",
        "All keypoints of an image lie along one line through the object, and tell nothing of what is beside it.",
        "objects seen from one side alone: weight_equivariance=0 (now {weight_equivariance:g}), max_rotation=0.5 (now "
        "{max_rotation:g}) and max_shift=0.15 (now {max_shift:g}), as preset images has; from all sides: more images; "
        "nothing, if they are that slim",
        least=0.2,
        explains=("keypoints off the object",),
    ),
    Check(
        "keypoints outside",
        "outside",
        "share of the keypoints outside the image",
        "Keypoints have left the image, where no link map shows them and nothing brings them back.",
        "weight_boundary=1 (now {weight_boundary:g}); " + _CALMER,
        most=0.02,
        explains=tuple(name for name in _UNREADY if name != "keypoints off the object"),
    ),
    Check(
        "keypoints off the object",
        "strayed",
        "share of the keypoints off the object, in parts of what chance would give",
        "Keypoints lie beside the object: it is not what the link map has to tell the decoder, or they are pushed off.",
        "weight_length=0.04 (now {weight_length:g}), weight_separation (now {weight_separation:g}) or "
        "separation_radius (now {separation_radius:g}) lower, separation_share=0.5; a background that stands still",
        most=0.4,
    ),
    Check(
        "link map ignored",
        "told",
        "share of the reconstruction loss that the right link map saves over another image's",
        "The decoder paints much the same from a wrong pose: what it needs it has from the reference, or it has not "
        "learned to read links.",
        "mask_ratio=0.9 (now {mask_ratio:g}), or reference=frame (now {reference}) with frames farther apart; more "
        "steps (now {steps})",
        least=0.08,
    ),
    Check(
        "left and right",
        "mixed",
        "what it costs to name left and right alike in all mirrored images, in image sides",
        "Left and right are confused: in some images a keypoint stands for a side of the object, in others of the "
        "image.",
        "weight_equivariance=0.5 (now {weight_equivariance:g}); flip=False (now {flip}) if all objects face one way; "
        "one keypoint fewer, so that their number is odd (now {keypoints})",
        most=0.03,
    ),
    Check(
        "dead vectors",
        "harm",
        "how far the vectors that nothing takes move T away from the mean pose, in image sides",
        "T is the mean of all vectors, also of those that have no meaning: it is no typical pose.",
        "prior_from=used (now {prior_from}), reset_dead_codes=True (now {reset_dead_codes}), fewer vectors (now "
        "{vectors}), more steps (now {steps})",
        most=0.07,
        only=("prior_from=all", "prior_keypoints=memory"),
    ),
)  # fmt: skip
