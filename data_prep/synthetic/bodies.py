"""The bodies of the synthetic puppets: bones with joint limits, the capsules that cover them, colors and limbs.

Lengths are in [-1, 1] units of an image, angles in degrees: 0 points down, 90 to the right, 180 up.
"""

from dataclasses import dataclass
from typing import NamedTuple

LEFT_TONE = 0.55  # left (or far) limbs are this much darker than right (or near) ones, in every video
RIM_TONE = 0.35
RIM = 0.026  # width of the darker rim that keeps a limb visible in front of its own color


class Bone(NamedTuple):
    """From its parent to a new point. Directions in degrees: 0 down, 90 to the right, 180 up; swings are inherited."""

    name: str
    parent: str
    length: float
    direction: float
    swing: tuple[float, float]
    shrink: float = 1.0  # shortest length seen when the bone turns towards the viewer
    shrink_with: str = ""  # the bone whose draw decides the shrinking, itself by default


class Part(NamedTuple):
    """A capsule between two points. `depth` + `depth_range` * (a draw in [-1, 1]): larger is nearer."""

    start: str
    end: str
    radii: tuple[float, float]
    colour: int
    depth: float
    tone: float = 1.0
    rim: float = RIM
    depth_with: str = ""  # parts with the same name move through the depth together
    depth_range: float = 0.0
    joins: tuple[str, ...] = ()  # further points that it contains, by the meaning of the joint


@dataclass(frozen=True)
class Body:
    """A category: the first `len(keypoints)` names are labelled, other points only carry parts."""

    keypoints: list[str]
    root: str
    root_at: tuple[float, float]
    tilt: float  # largest in-plane rotation of the whole, in degrees
    bones: list[Bone]
    parts: list[Part]
    colours: list[tuple[tuple[float, float], tuple[float, float], tuple[float, float]]]  # hue, saturation, value ranges
    limbs: dict[str, list[str]]  # chains of keypoints
    patterned: tuple[float, ...] = ()  # how strong the pattern of each color can be, in [0, 1], where clothes have one


def _sides(bones: list[Bone]) -> list[Bone]:
    """Bones named left_* (the right side of the image, of a person who faces you), each with its mirror image."""
    both = []
    for bone in bones:
        both.append(bone)
        name, parent = (v.replace("left_", "right_") for v in (bone.name, bone.parent))
        swing = (-bone.swing[1], -bone.swing[0])
        both.append(bone._replace(name=name, parent=parent, direction=-bone.direction, swing=swing))
    return both


_SKIN, _SHIRT, _TROUSERS, _HAIR, _SHOE = range(5)


def _humanoid_parts() -> list[Part]:
    parts = [
        Part("neck", "chin", (0.06, 0.06), _SKIN, -0.05),
        Part("left_shoulder", "right_shoulder", (0.1, 0.1), _SHIRT, 0, RIM_TONE, 0),
        Part("neck", "pelvis", (0.15, 0.16), _SHIRT, 0, RIM_TONE, 0),
        Part("left_hip", "right_hip", (0.11, 0.11), _SHIRT, 0, RIM_TONE, 0),
        Part("left_shoulder", "right_shoulder", (0.078, 0.078), _SHIRT, 0, 1, 0),
        Part("left_hip", "right_hip", (0.088, 0.088), _SHIRT, 0, 1, 0),
        Part("neck", "pelvis", (0.128, 0.138), _SHIRT, 0, 1, 0),
        Part("head", "head_top", (0.15, 0.11), _HAIR, 0.1),
        Part("head", "face", (0.12, 0.12), _SKIN, 0.11, 1, 0),
        Part("left_eye", "left_eye", (0.03, 0.03), _SHOE, 0.12, 0.4, 0),
        Part("right_eye", "right_eye", (0.03, 0.03), _SHOE, 0.12, 0.4, 0),
    ]
    for side, tone in (("left_", LEFT_TONE), ("right_", 1.0)):
        arm, leg = (side + "arm", 0.8), (side + "leg", 0.3)
        parts += [
            Part(side + "shoulder", side + "elbow", (0.088, 0.076), _SHIRT, 0.3, tone, RIM, *arm),
            Part(side + "wrist", side + "hand", (0.07, 0.07), _SKIN, 0.31, tone, RIM, *arm),
            Part(side + "elbow", side + "wrist", (0.076, 0.066), _SKIN, 0.32, tone, RIM, *arm),
            Part(side + "ankle", side + "toe", (0.075, 0.07), _SHOE, -0.42, tone, RIM, *leg),
            Part(side + "knee", side + "ankle", (0.095, 0.075), _TROUSERS, -0.41, tone, RIM, *leg),
            Part(side + "hip", side + "knee", (0.115, 0.095), _TROUSERS, -0.4, tone, RIM, *leg),
        ]
    return parts


_HUMANOID = Body(
    keypoints=["head_top", "neck", "pelvis"]
    + [
        side + joint for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("left_", "right_")
    ],
    root="pelvis",
    root_at=(0.0, 0.1),
    tilt=8,
    bones=[
        Bone("neck", "pelvis", 0.48, 180, (-17, 17)),
        Bone("chin", "neck", 0.1, 180, (-12, 12)),
        Bone("head", "chin", 0.1, 180, (-8, 8)),
        Bone("head_top", "head", 0.14, 180, (0, 0)),
        Bone("face", "head", 0.03, 0, (-80, 80)),
        *_sides(
            [
                Bone("left_eye", "face", 0.065, 110, (0, 0)),
                Bone("left_shoulder", "neck", 0.2, 78, (-6, 8), 0.75, "yaw"),
                Bone("left_elbow", "left_shoulder", 0.27, 45, (-48, 120), 0.8),
                Bone("left_wrist", "left_elbow", 0.25, 45, (-90, 110), 0.75),
                Bone("left_hand", "left_wrist", 0.05, 45, (-25, 25)),
                Bone("left_hip", "pelvis", 0.11, 70, (-3, 3), 0.8, "yaw"),
                Bone("left_knee", "left_hip", 0.36, 8, (-16, 42), 0.78),
                Bone("left_ankle", "left_knee", 0.35, 8, (-62, 10), 0.7),
                Bone("left_toe", "left_ankle", 0.06, 40, (-20, 20)),
            ]
        ),
    ],
    parts=_humanoid_parts(),
    colours=[
        ((0.03, 0.11), (0.25, 0.6), (0.75, 1.0)),
        ((0.0, 1.0), (0.55, 1.0), (0.7, 1.0)),
        ((0.0, 1.0), (0.4, 0.9), (0.65, 1.0)),
        ((0.0, 0.14), (0.3, 0.9), (0.2, 0.75)),
        ((0.0, 1.0), (0.2, 0.8), (0.35, 0.7)),
    ],
    limbs={
        "trunk": ["head_top", "neck", "pelvis"],
        "shoulders": ["left_shoulder", "neck", "right_shoulder"],
        "hips": ["left_hip", "pelvis", "right_hip"],
        **{
            f"{side}_{limb}": [f"{side}_{joint}" for joint in joints]
            for limb, joints in (("arm", ("shoulder", "elbow", "wrist")), ("leg", ("hip", "knee", "ankle")))
            for side in ("left", "right")
        },
    },
    patterned=(0.15, 1.0, 1.0, 0.4, 0.5),
)

_FUR, _MANE, _HOOF = range(3)


def _quadruped_leg(side: str, tone: float, depth: float) -> tuple[list[Bone], list[Part]]:
    """A front and a hind leg. The far ones stand a little further forward than the near ones."""
    shift = 0.04 if side == "far" else -0.04
    bones, parts = [], []
    for end, root, upper, lower, nearer in (
        ("front", "withers", (-42.0, 42.0), (-75.0, 8.0), 0.0),
        ("hind", "rump", (-30.0, 48.0), (-70.0, 8.0), 0.05),
    ):
        top, knee, paw, toe = (f"{side}_{end}_{joint}" for joint in ("top", "knee", "paw", "toe"))
        bones += [
            Bone(top, root, 0.1, 500 * shift, (0, 0)),
            Bone(knee, top, 0.3, 0, upper, 0.9),
            Bone(paw, knee, 0.3, 4, lower, 0.9),
            Bone(toe, paw, 0.04, 60, (-10, 10)),
        ]
        parts += [
            Part(paw, toe, (0.062, 0.055), _HOOF, depth + nearer, tone),
            Part(knee, paw, (0.076, 0.062), _FUR, depth + nearer + 0.01, tone),
            Part(top, knee, (0.12, 0.078), _FUR, depth + nearer + 0.02, tone, joins=(root,)),
        ]
    return bones, parts


_FAR, _NEAR = _quadruped_leg("far", LEFT_TONE, -0.5), _quadruped_leg("near", 1.0, 0.5)
_QUADRUPED = Body(
    keypoints=["nose", "poll", "ear", "withers", "rump", "tail_middle", "tail_tip"]
    + [f"{side}_{end}_{joint}" for end in ("front", "hind") for joint in ("knee", "paw") for side in ("near", "far")],
    root="rump",
    root_at=(-0.36, -0.08),
    tilt=5,
    bones=[
        Bone("withers", "rump", 0.6, 93, (-9, 9), 0.82),
        Bone("poll", "withers", 0.36, 142, (-55, 22), 0.9),
        Bone("nose", "poll", 0.24, 68, (-28, 28), 0.85),
        Bone("ear", "poll", 0.19, 195, (-30, 30)),
        Bone("tail_middle", "rump", 0.34, -55, (-45, 50), 0.85),
        Bone("tail_tip", "tail_middle", 0.24, -40, (-50, 60), 0.85),
        *_FAR[0],
        *_NEAR[0],
    ],
    parts=[
        *_FAR[1],
        Part("tail_middle", "tail_tip", (0.05, 0.065), _MANE, -0.21),
        Part("rump", "tail_middle", (0.055, 0.05), _MANE, -0.2),
        Part("ear", "poll", (0.035, 0.06), _MANE, -0.1),
        Part("withers", "poll", (0.15, 0.105), _FUR, -0.05),
        Part("rump", "withers", (0.2, 0.21), _FUR, 0),
        Part("poll", "nose", (0.12, 0.075), _FUR, 0.7),
        Part("nose", "nose", (0.045, 0.045), _HOOF, 0.71, 1, 0),
        Part("poll", "poll", (0.028, 0.028), _HOOF, 0.72, 0.3, 0),
        *_NEAR[1],
    ],
    colours=[
        ((0.0, 1.0), (0.3, 0.75), (0.7, 1.0)),
        ((0.0, 0.14), (0.3, 0.9), (0.3, 0.8)),
        ((0.0, 1.0), (0.1, 0.4), (0.3, 0.5)),
    ],
    limbs={
        "trunk": ["poll", "withers", "rump"],
        "head": ["ear", "poll", "nose"],
        "tail": ["rump", "tail_middle", "tail_tip"],
        **{
            f"{side}_{end}_leg": [root, f"{side}_{end}_knee", f"{side}_{end}_paw"]
            for end, root in (("front", "withers"), ("hind", "rump"))
            for side in ("near", "far")
        },
    },
    patterned=(1.0, 0.5, 0.3),
)

# name, direction and length from the wrist to the knuckle, lengths of the two visible segments
_FINGERS = (
    ("index", 194.0, 0.58, 0.33, 0.27),
    ("middle", 182.0, 0.6, 0.37, 0.31),
    ("ring", 170.0, 0.58, 0.33, 0.28),
    ("little", 157.0, 0.54, 0.26, 0.22),
)
_PALM, _NAIL, _SLEEVE = range(3)


def _hand_bones() -> list[Bone]:
    bones = [
        Bone("forearm", "wrist", 0.24, 0, (-12, 12)),
        Bone("thumb_base", "wrist", 0.27, 232, (-6, 8)),
        Bone("thumb_middle", "thumb_base", 0.28, 222, (-22, 24), 0.85),
        Bone("thumb_tip", "thumb_middle", 0.23, 206, (-26, 16), 0.75),
    ]
    for finger, direction, palm, first, second in _FINGERS:
        fan = 180 + 0.6 * (direction - 176)
        base, middle, tip = (f"{finger}_{joint}" for joint in ("base", "middle", "tip"))
        bones += [
            Bone(base, "wrist", palm, direction, (-1.5, 1.5), 0.94, "palm"),
            Bone(middle, base, first, fan, (-13, 13), 0.5),
            Bone(tip, middle, second, fan, (-8, 8), 0.35),
        ]
    return bones


def _hand_parts() -> list[Part]:
    knuckles = ["thumb_base"] + [f"{finger[0]}_base" for finger in _FINGERS]
    parts = [Part("forearm", "wrist", (0.19, 0.16), _SLEEVE, 0.3)]
    parts += [Part("wrist", name, (0.155, 0.12), _PALM, 0, RIM_TONE, 0) for name in knuckles]
    parts += [Part("wrist", name, (0.129, 0.094), _PALM, 0, 1, 0) for name in knuckles]
    for i, finger in enumerate(("thumb", *(finger[0] for finger in _FINGERS))):
        base, middle, tip = (f"{finger}_{joint}" for joint in ("base", "middle", "tip"))
        parts += [
            Part(middle, tip, (0.09, 0.08), _PALM, -0.2 + 0.001 * i),
            Part(tip, tip, (0.042, 0.042), _NAIL, -0.19 + 0.001 * i, 1, 0),
            Part(base, middle, (0.1, 0.092), _PALM, -0.1 + 0.001 * i),
        ]
    return parts


_HAND = Body(
    keypoints=["wrist"]
    + [f"{f}_{joint}" for f in ("thumb", "index", "middle", "ring", "little") for joint in ("base", "middle", "tip")],
    root="wrist",
    root_at=(0.05, 0.55),
    tilt=25,
    bones=_hand_bones(),
    parts=_hand_parts(),
    colours=[
        ((0.03, 0.11), (0.25, 0.6), (0.7, 1.0)),
        ((0.0, 1.0), (0.3, 0.9), (0.6, 1.0)),
        ((0.0, 1.0), (0.4, 0.9), (0.4, 0.9)),
    ],
    limbs={
        "palm": [
            "thumb_base",
            "wrist",
            "index_base",
            "wrist",
            "middle_base",
            "wrist",
            "ring_base",
            "wrist",
            "little_base",
        ],
        **{f: [f"{f}_base", f"{f}_middle", f"{f}_tip"] for f in ("thumb", "index", "middle", "ring", "little")},
    },
    patterned=(0.2, 0.5, 1.0),
)

BODIES = {"humanoid": _HUMANOID, "quadruped": _QUADRUPED, "hand": _HAND}
