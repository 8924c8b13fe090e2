"""Faults that show without labels: keypoints that are not on the object, and images in which it is hard to find.

Words and limits, as `findings`, of the numbers of `object_symptoms`. Limits lie between what good runs and true joints
gave and what runs built to fail did; beside each check stands what was measured.
"""

from pplkit.evaluation.diagnosis.checks import Check

OBJECT_CHECKS = (
    Check(
        "on the background",
        # True joints of puppets: at most 0.21 by motion, 0.19 by the border. Random points 0.95 to 1.00. Of runs it was
        # 0.6 to 0.8 of what the masks say, of which `findings` allows 0.4.
        "off_foreground",
        "share of the keypoints off what stands out as object, in parts of what chance would give",
        "Keypoints lie on the background: the object is too small to count in the reconstruction, or the background "
        "changes more than it does.",
        "images that the object fills (prepare with --option crop=object), of 128 pixels or more; --preset photographs "
        "or films, which look through a pretrained network",
        most=0.35,
        explains=("keypoints stand still", "keypoints swap", "swap when turned"),
    ),
    Check(
        "keypoints stand still",
        # The joint that moves least: 0.3 of the median of the joints; the keypoint of good runs 0.6, and of one in
        # which ten of sixteen never moved 0.01.
        "still",
        "keypoints that hardly move while the object does",
        "These keypoints mark a place in the image, not a part of the object.",
        "fewer keypoints (now {keypoints}); images that the object fills (prepare with --option crop=object); "
        "reinit_weak_links=True (now {reinit_weak_links})",
        most=0,
    ),
    Check(
        "keypoints swap",
        # True joints of puppets and keypoints trained on them: 0; of a run that failed for other reasons 0.03.
        "exchanged",
        "share of neighbouring frames between which keypoints change places",
        "Keypoints take turns in marking the same parts, such as head and tail, or left and right.",
        "max_rotation=3.1 (now {max_rotation:g}) and weight_equivariance=0.5 (now {weight_equivariance:g}) where the "
        "object turns; --preset photographs or films, whose features tell parts apart; fewer keypoints "
        "(now {keypoints})",
        most=0.05,
        explains=("swap when turned",),
    ),
    Check(
        "swap when turned",
        # A run that was trained with turns: 0.00 to 0.03 while it learned, 0 at the end.
        "exchanged_turned",
        "share of images of which turned copies have keypoints that change places",
        "Keypoints mark the upper or left end of the object, whichever part that is, such as head or tail.",
        "a higher weight_equivariance (now {weight_equivariance:g}); max_rotation=3.1 (now {max_rotation:g}); more "
        "steps (now {steps}); --preset photographs or films, whose features tell parts apart",
        most=0.1,
    ),
)
"""Faults of a run."""

_CLOSER = (
    "prepare again with --option crop=object, which follows what moves or stands out; --size 128 or more; --preset "
    "films, or photographs for single images"
)

IMAGE_CHECKS = (
    Check(
        "object small",
        # Puppets 0.35 and more, in any crop around them; in the middle of wide scenes 0.02.
        "filled",
        "share of the image that a square around the object takes up, the median",
        "The object fills little of the images: the reconstruction is about the background, and parts are a few "
        "pixels wide.",
        _CLOSER,
        least=0.1,
    ),
    Check(
        "object cut off",
        # Puppets 0; with an eighth or more of the image cut off at three sides 0.7 to 1.
        "cut",
        "share of the images in which the object lies along the border",
        "The object is cut off in many images: the parts that are missing have no place to be learned.",
        "prepare again with --option crop=pad, or with --option crop=object, which leaves room around the object",
        most=1 / 3,
    ),
    Check(
        "object indistinct",
        # Birds, hands, puppets 0, textured puppets 0.1 to 0.4; wide scenes, and puppets cut off at three sides, 0.6 up.
        "indistinct",
        "share of the images whose inside looks as their border does",
        "No object stands out from what is around it: it is small, cut off, or of the background's colours.",
        _CLOSER,
        most=0.5,
    ),
)
"""Faults of images, before anything is trained on them."""
