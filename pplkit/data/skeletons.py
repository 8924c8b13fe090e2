"""Skeletons of pose sequences: known layouts, those of a user's JSON file, and joint maps by name."""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.files import read_json

SIDES = ("left", "right")
MIN_LEAD = 0.3  # in the correlation of distances, by which another layout must be likelier than the given one
REMEDY = 'give {"joints": [names], "parents": [names or null]} and, if wanted, "flip_pairs": [[left, right], ...]'


@dataclass(frozen=True)
class Skeleton:
    """Names of joints, the parent of each (-1 for the root), and the pairs (left, right) that mirroring exchanges.

    Raises PplkitError unless the parents form one tree and the pairs are of different joints.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    flip_pairs: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        count = len(self.joints)
        pairs = [joint for pair in self.flip_pairs for joint in pair]
        problem = ""
        if not count or len(set(self.joints)) < count:
            problem = "needs joints with different names"
        elif len(self.parents) != count or self.parents.count(-1) != 1:
            problem = f"needs {count} parents, exactly one of them -1, for the root"
        elif not all(-1 <= parent < count for parent in self.parents) or len(self.order) < count:
            problem = "has parents that do not lead to the root"
        elif len(set(pairs)) < len(pairs) or not all(0 <= joint < count for joint in pairs):
            problem = "has flip pairs with unknown or repeated joints"
        if problem:
            raise PplkitError(f"skeleton {self.name} {problem}; {REMEDY}.")

    @property
    def root(self) -> int:
        """The joint without a parent."""
        return self.parents.index(-1)

    @property
    def bones(self) -> list[tuple[int, int]]:
        """Pairs (parent, joint)."""
        return [(parent, joint) for joint, parent in enumerate(self.parents) if parent >= 0]

    @property
    def order(self) -> list[int]:
        """Joints that lead to the root, each after its parent."""
        order = [joint for joint, parent in enumerate(self.parents) if parent == -1]
        for joint in order:
            order.extend(child for child, parent in enumerate(self.parents) if parent == joint)
        return order

    @property
    def mirror(self) -> list[int]:
        """For each joint, the joint of the other side, or itself: `points[:, mirror]` exchanges left and right."""
        mirror = list(range(len(self.joints)))
        for left, right in self.flip_pairs:
            mirror[left], mirror[right] = right, left
        return mirror


def plain_name(name: str) -> str:
    """A joint's name in lower case, with words apart and the side in front.

    >>> plain_name("LeftForeArm"), plain_name("r_hip"), plain_name("mixamorig:Hips")
    ('left fore arm', 'right hip', 'hips')
    """
    words = re.sub(r"([a-z0-9])([A-Z])|([LR])(?=[A-Z][a-z])", r"\1\3 \2", name.split(":")[-1])
    parts = [{"l": "left", "r": "right"}.get(word, word) for word in re.split(r"[\W_]+", words.lower()) if word]
    return " ".join(sorted(parts, key=lambda word: word not in SIDES))


def pairs_by_name(joints: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Pairs (left, right) of the joints whose names differ in the side alone."""
    names = [plain_name(joint) for joint in joints]
    twins = ((joint, name.replace("left", "right", 1)) for joint, name in enumerate(names) if name.startswith("left "))
    return tuple((left, names.index(right)) for left, right in twins if right in names)


def _layout(name: str, tree: Mapping[str, str]) -> Skeleton:
    joints = tuple(tree)
    parents = tuple(joints.index(parent) if parent else -1 for parent in tree.values())
    return Skeleton(name, joints, parents, pairs_by_name(joints))


def _limb(side: str, start: str, *parts: str) -> dict[str, str]:
    """A chain of joints of one side, the first with the parent `start`."""
    names = [f"{side} {part}" for part in parts]
    return dict(zip(names, [start, *names], strict=False))


def _both(start: str, *parts: str) -> dict[str, str]:
    """Chains of both sides, as detectors order them: left and right by turns."""
    left, right = _limb("left", start, *parts), _limb("right", start, *parts)
    return {name: parent for pair in zip(left.items(), right.items(), strict=True) for name, parent in pair}


LEG = ("hip", "knee", "ankle")
ARM = ("shoulder", "elbow", "wrist")
FACE = {"nose": "neck", "left eye": "nose", "right eye": "nose", "left ear": "left eye", "right ear": "right eye"}
FACE_PARTS = {"nose", "left eye", "right eye"}  # from which the top of the head is estimated
FEET = {f"{side} {part}": f"{side} ankle" for part in ("big toe", "small toe", "heel") for side in SIDES}
H36M17 = _layout(
    "h36m17",
    {"pelvis": "", **_limb("right", "pelvis", *LEG), **_limb("left", "pelvis", *LEG)}
    | {"spine": "pelvis", "thorax": "spine", "nose": "thorax", "head": "nose"}
    | {**_limb("left", "thorax", *ARM), **_limb("right", "thorax", *ARM)},
)
"""17 of the joints of Human3.6M; its "nose" lies between neck and nose, and "head" is the top."""
_COCO = FACE | {"nose": ""} | _both("nose", *ARM) | _both("nose", *LEG)
COCO17 = _layout("coco17", _COCO | {f"{side} hip": f"{side} shoulder" for side in SIDES})
_HALPE = FACE | _both("neck", *ARM) | _both("pelvis", *LEG) | {"head": "nose", "neck": "pelvis", "pelvis": ""} | FEET
HALPE26 = _layout("halpe26", _HALPE)
BODY25 = _layout(  # of OpenPose
    "body25",
    {"nose": "neck", "neck": "pelvis", **_limb("right", "neck", *ARM), **_limb("left", "neck", *ARM), "pelvis": ""}
    | {**_limb("right", "pelvis", *LEG), **_limb("left", "pelvis", *LEG), "right eye": "nose", "left eye": "nose"}
    | {"right ear": "right eye", "left ear": "left eye"}
    | {f"{side} {part}": f"{side} ankle" for side in SIDES for part in ("big toe", "small toe", "heel")},
)
MPII16 = _layout(
    "mpii16",
    {"right ankle": "right knee", "right knee": "right hip", "right hip": "pelvis"}
    | {**_limb("left", "pelvis", *LEG), "pelvis": "", "thorax": "pelvis", "upper neck": "thorax"}
    | {"head top": "upper neck", "right wrist": "right elbow", "right elbow": "right shoulder"}
    | {"right shoulder": "thorax", **_limb("left", "thorax", *ARM)},
)
STANDING = {
    "pelvis": (0, 100), "spine": (0, 75), "thorax": (0, 50), "neck": (0, 50), "nose": (3, 32), "head": (0, 20),
    "upper neck": (0, 40), "head top": (0, 18), "eye": (2, 30), "ear": (4, 31), "shoulder": (18, 52),
    "elbow": (24, 75), "wrist": (26, 100), "hip": (10, 100), "knee": (11, 145), "ankle": (12, 190),
    "big toe": (14, 196), "small toe": (16, 196), "heel": (12, 195),
}  # fmt: skip
LAYOUTS = {layout.name: layout for layout in (COCO17, H36M17, HALPE26, MPII16, BODY25)}


def read_skeleton(layout: str | Path) -> Skeleton:
    """A known layout by its name, or the skeleton in a JSON file of a user's own.

    The file holds `joints` (names), `parents` (a name, an index, or null or -1 for the root, for each joint) and may
    hold `name` and `flip_pairs` (pairs of names or indices; by default those whose names differ in the side alone).
    Raises PplkitError for an unknown layout, and for a file that is missing or has other content.
    """
    if str(layout) in LAYOUTS:
        return LAYOUTS[str(layout)]
    if Path(layout).suffix != ".json":
        raise PplkitError(f"layout {layout} is unknown: choose {', '.join(LAYOUTS)}, or a JSON file; {REMEDY}.")
    path = Path(layout)
    content = read_json(path, REMEDY)
    try:
        joints = tuple(content["joints"])
        if not all(isinstance(joint, str) for joint in joints):
            raise TypeError("a joint's name is not text")
        index = {joint: number for number, joint in enumerate(joints)} | {None: -1}
        parents = tuple(parent if type(parent) is int else index[parent] for parent in content["parents"])
        entries = content.get("flip_pairs")
        pairs = (
            pairs_by_name(joints) if entries is None else [[index.get(end, end) for end in pair] for pair in entries]
        )
        flip_pairs = tuple((int(left), int(right)) for left, right in pairs)
    except (KeyError, TypeError, ValueError) as error:
        raise PplkitError(f"{path} is not a skeleton ({type(error).__name__}: {error}); {REMEDY}.") from None
    return Skeleton(str(content.get("name", path.stem)), joints, parents, flip_pairs)


def check_layout(points: np.ndarray, skeleton: Skeleton, source: str = "the sequence") -> None:
    """Refuse points (T, J, 2 or 3) that do not belong to the skeleton, and name the likely layout.

    The number of joints must be the skeleton's. Among the known layouts of this number, the true one is that whose
    distances between joints correlate best with those of a standing person.
    """
    count = points.shape[1]
    if count != len(skeleton.joints):
        likely = likely_layouts(points)
        advice = f"use layout {' or '.join(likely)}" if likely else f"describe them in a JSON file: {REMEDY}"
        raise PplkitError(
            f"{source} has {count} joints and layout {skeleton.name} has {len(skeleton.joints)}: {advice}."
        )
    if skeleton.name in LAYOUTS:
        likeness = _likeness(points, skeleton)
        for name in likely_layouts(points):
            if _likeness(points, LAYOUTS[name]) > likeness + MIN_LEAD:
                raise PplkitError(f"{source} is not in the order of layout {skeleton.name}: use layout {name}.")


def likely_layouts(points: np.ndarray) -> list[str]:
    """The known layouts with as many joints as points (T, J, 2 or 3), the likeliest order first."""
    layouts = [layout for layout in LAYOUTS.values() if len(layout.joints) == points.shape[1]]
    return [layout.name for layout in sorted(layouts, key=lambda layout: -_likeness(points, layout))]


def standing_pose(layout: Skeleton) -> np.ndarray:
    """A person (J, 2) in centimeters, y down, seen from the front, whose left side is at the right of the image."""
    points = []
    for joint in layout.joints:
        side, _, part = joint.partition(" ")
        x, y = STANDING[part if side in SIDES else joint]
        points.append((-x if side == "right" else x, y))
    return np.array(points, float)


def _likeness(points: np.ndarray, layout: Skeleton) -> float:
    """Correlation of the distances between joints, as a mean over the frames, with those of a standing person."""
    first, second = np.triu_indices(len(layout.joints), 1)
    lengths = np.linalg.norm(points[:, first] - points[:, second], axis=-1)
    seen = np.isfinite(lengths)
    pairs = seen.any(0)
    means = np.where(seen, lengths, 0).sum(0)[pairs] / seen.sum(0)[pairs]
    standing = standing_pose(layout)
    if len(means) < 3 or not means.std():
        return 0.0
    return float(np.corrcoef(means, np.linalg.norm(standing[first] - standing[second], axis=-1)[pairs])[0, 1])


# What layouts call a joint of h36m17, the likeliest first, each used once. In files of animations the shoulder joint is
# "arm", and "shoulder" lies between it and the neck; their "hips" lie above the middle of the hip joints.
SYNONYMS = {
    "pelvis": ("pelvis", "mid hip"),
    "spine": ("spine2", "chest2", "spine"),
    "thorax": ("thorax", "neck"),
    "head": ("head end", "head top", "head"),
    "nose": ("nose", "upper neck", "head"),
    "hip": ("up leg", "upper leg", "thigh", "hip"),
    "knee": ("knee", "leg", "low leg", "lower leg", "shin", "calf"),
    "ankle": ("ankle", "foot"),
    "shoulder": ("arm", "up arm", "upper arm", "shoulder"),
    "elbow": ("elbow", "fore arm", "forearm", "low arm", "lower arm"),
    "wrist": ("wrist", "hand"),
}
Joint = tuple[np.ndarray, np.ndarray]  # points (T, 2 or 3) and confidence (T,)


def h36m17_sources(skeleton: Skeleton, partial: bool = False) -> dict[str, str]:
    """For each joint of h36m17 that the skeleton has, the plain name of its joint.

    Raises PplkitError if one of the hips, knees, ankles, shoulders, elbows and wrists has no counterpart; with
    `partial` only if more than half of them have none.
    """
    free = [plain_name(joint) for joint in skeleton.joints]
    sources = {}
    for part, synonyms in SYNONYMS.items():
        for side in SIDES if part in (*LEG, *ARM) else ("",):
            names = [f"{side} {synonym}".strip() for synonym in synonyms]
            if name := next((name for name in names if name in free), None):
                sources[f"{side} {part}".strip()] = name
                free.remove(name)
    absent = [joint for joint in H36M17.joints if joint.startswith(SIDES) and joint not in sources]
    if len(absent) > (len(LEG + ARM) if partial else 0):
        raise PplkitError(
            f"skeleton {skeleton.name} has no {', '.join(absent)}: call its joints what they are, such as left hip."
        )
    return sources


def to_h36m17(
    points: np.ndarray,
    skeleton: Skeleton,
    confidence: np.ndarray | None = None,
    refine: bool = False,
    partial: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Points (T, J, 2 or 3) and confidence (T, J) of any skeleton as (T, 17, ...) in the order of h36m17, by name.

    Joints without a counterpart are made: pelvis and thorax in the middle of hips and shoulders, the spine between
    these two, the head from eyes, ears and nose. A point that is NaN or has confidence 0 is missing; a joint made from
    it is NaN with confidence 0, otherwise a joint has the least confidence of its sources. `refine` moves thorax, nose
    and spine of coco17 in images (y down) as public demonstrations do for networks trained on Human3.6M. With `partial`
    the head and up to half of the joints of the limbs may be absent, and are then missing.
    """
    points = np.asarray(points, np.float64)
    weight = np.ones(points.shape[:2]) if confidence is None else np.asarray(confidence, np.float64)
    weight = np.where(np.isfinite(points).all(-1), np.nan_to_num(weight), 0.0)
    points = np.where(weight[..., None] > 0, points, np.nan)
    source_joints = {plain_name(name): (points[:, j], weight[:, j]) for j, name in enumerate(skeleton.joints)}
    body = {joint: source_joints[source] for joint, source in h36m17_sources(skeleton, partial).items()}
    if partial:
        missing = np.full_like(points[:, 0], np.nan), np.zeros(len(points))
        body = {joint: missing for joint in H36M17.joints if joint.startswith(SIDES)} | body
        if not source_joints.keys() >= FACE_PARTS:
            body.setdefault("head", missing)

    def middle(*names: str) -> Joint:
        joints = [body[name] for name in names]
        return np.mean([point for point, _ in joints], axis=0), np.min([sure for _, sure in joints], axis=0)

    body.setdefault("pelvis", middle("left hip", "right hip"))
    body.setdefault("thorax", middle("left shoulder", "right shoulder"))
    if "upper neck" in source_joints:  # as for mpii16, whose thorax lies above the shoulders
        body.setdefault("spine", middle("left hip", "right hip", "left shoulder", "right shoulder"))
    body.setdefault("spine", middle("pelvis", "thorax"))
    if "head" not in body:
        body["head"] = _head(source_joints)
    body.setdefault("nose", middle("thorax", "head"))
    if refine and "left eye" in source_joints:
        _refine(body, source_joints)
    joints = [body[name] for name in H36M17.joints]
    result = np.stack([point for point, _ in joints], axis=1)
    seen = np.isfinite(result).all(-1)
    return result, np.where(seen, np.stack([sure for _, sure in joints], axis=1), 0.0)


def _head(source_joints: Mapping[str, Joint]) -> Joint:
    """The top of the head: in the middle of eyes and ears, as far above the eyes as the nose is below them."""
    if not source_joints.keys() >= FACE_PARTS:
        raise PplkitError("the skeleton has no head: add a joint named head, or nose, left eye and right eye.")
    face = [source_joints[name] for name in FACE if name in source_joints and name != "nose"]
    points = np.stack([point for point, _ in face])
    with warnings.catch_warnings(action="ignore"):  # where all of a frame are missing
        head = np.nanmean(points, axis=0)
        head[:, 1] = 2 * np.nanmean(points[:2, :, 1], axis=0) - source_joints["nose"][0][:, 1]
    return head, np.minimum(np.max([sure for _, sure in face[:2]], axis=0), source_joints["nose"][1])


def _refine(body: dict[str, Joint], source_joints: Mapping[str, Joint]) -> None:
    (nose, sure), (thorax, sure_thorax), (spine, sure_spine) = body["nose"], body["thorax"], body["spine"]
    eyes = (source_joints["left eye"][0] + source_joints["right eye"][0]) / 2
    moved = thorax + (nose - thorax) / 3
    moved[:, 1] -= (nose - eyes)[:, 1] * 2 / 3
    body["thorax"] = moved, np.minimum(sure_thorax, sure)
    body["nose"] = nose - (nose - thorax) / 4, np.minimum(sure, sure_thorax)
    spine = spine.copy()
    spine[:, 0] += 0.3 * (spine[:, 0] - (body["pelvis"][0] + moved)[:, 0] / 2)
    body["spine"] = spine, sure_spine
