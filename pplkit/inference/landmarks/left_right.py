"""Left and right of landmarks that a model's keypoints may take for each other.

A model without labels calls left what it sees there: its points may belong to the left arm in one image and to the
right one in another. Which images those are is found by exchanging the labels of one image after the other, as the
h36m protocol does; where that helps greatly, landmarks are fitted to sides as the points have them, and each pose is
named the way round in which its left-right vectors agree with the labels'.
"""

import re
from collections.abc import Sequence

import numpy as np

from pplkit.inference.landmarks import ridge

GAIN = 0.8  # labels are exchanged only where that lowers the error of images left out to less than this share
LETTER = "[A-Za-zÀ-ɏ]"  # Latin: "手left" is two words
# Words, their beginnings and the humps of camels: "bright", "upright" and "cleft" speak of no side, "lefteye" does.
LONE = rf"(?<!{LETTER})[LlRr](?!{LETTER})|(?<!{LETTER})[LR](?=[A-Z][a-z])|(?<=[a-z])[LR](?!{LETTER})"  # LHip, earL
SIDE = rf"(?<!{LETTER})(?:left|right)|Left|Right|(?<![A-Z])(?:LEFT|RIGHT)|{LONE}"
ANYWHERE = rf"(?i:left|right)|{LONE}"  # enough where both sides have a name, as "eyeleft" and "eyeright"
OTHER = {"left": "right", "l": "r"}
STARTS = 4  # ways to begin the search beside that of no exchange
ROUNDS = 10  # of each
TIE = 1e-3  # of a usual step: what an exchange in a frame costs
QUICK = {"tightness": (0.1, 1.0), "freedom": (0.0,)}  # of the ridge: enough to see which side fits


def side_pairs(names: Sequence[str]) -> list[tuple[int, int]]:
    """Indices of (left, right) names: those that differ in "left" and "right", or in a lone "l" and "r"."""
    places = {name.lower(): index for index, name in enumerate(names)}
    partners = {index: _partners(names[index]) for index in places.values()}
    found = {index: [places[other] for other in others if other in places] for index, others in partners.items()}
    return [(index, others[0]) for index, others in found.items() if others]


def _partners(name: str) -> list[str]:
    """What the name may be called on the right, in lower case, if it is one of the left; the likelier first."""
    made = (re.sub(where, lambda word: OTHER.get(word[0].lower(), word[0]), name).lower() for where in (SIDE, ANYWHERE))
    return [other for other in made if other != name.lower()]


def one_sided(names: Sequence[str]) -> np.ndarray:
    """Which names speak of a side in a word of their own or the beginning of one: bool (J,)."""
    return np.array([re.search(SIDE, name) is not None for name in names], bool)


def exchanged(points: np.ndarray, pairs: Sequence[tuple[int, int]], which: np.ndarray) -> np.ndarray:
    """Points (B, J, 2), or one number of each (B, J), left and right exchanged in the poses that `which` (B,) says."""
    order = list(range(points.shape[1]))
    for left, right in pairs:
        order[left], order[right] = right, left
    return np.where(which.reshape(-1, *[1] * (points.ndim - 1)), points[:, order], points)


def turned(keypoints: np.ndarray, labels: np.ndarray, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """In which images keypoints (n, N, 2) have the sides of the labels (n, J, 2) exchanged: bool (n,), fewer than half.

    None where exchanging labels does not make the images far more predictable.
    """
    none = np.zeros(len(labels), bool)
    if not pairs or len(labels) < 3:
        return none
    flat = keypoints.reshape(len(keypoints), -1)
    # Points that change sides are what differs most between images.
    main = np.linalg.svd(flat - flat.mean(0), full_matrices=False)[0][:, :STARTS]
    plain = ridge.fit(keypoints[:, None], labels[:, None], **QUICK).score
    found = [_settled(keypoints, labels, pairs, start) for start in (none, *(main > 0).T)]
    score, best = min(found, key=lambda one: one[0])
    if not score < GAIN * plain:
        return none
    return ~best if best.mean() > 0.5 else best


def _settled(
    keypoints: np.ndarray, labels: np.ndarray, pairs: Sequence[tuple[int, int]], which: np.ndarray
) -> tuple[float, np.ndarray]:
    """Exchange labels that the other images expect the other way round, until none is; their error, and which."""
    best = np.inf, which
    for _ in range(ROUNDS):
        sided = exchanged(labels, pairs, which)
        if not np.isfinite(sided).all(-1).any(0).all():  # all labels of a landmark would be its partner's
            break
        fitted = ridge.fit(keypoints[:, None], sided[:, None], **QUICK)
        if not fitted.score < best[0]:
            break
        best = fitted.score, which
        which = nearer_exchanged(fitted.left_out, labels, pairs)
    return best


def nearer_exchanged(points: np.ndarray, labels: np.ndarray, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """Whether points (n, J, 2) lie nearer to the labels with left and right exchanged: bool (n,)."""
    every = np.ones(len(labels), bool)
    mine, other = (
        ridge.mean(np.linalg.norm(points - some, axis=-1), 1) for some in (labels, exchanged(labels, pairs, every))
    )
    return other < mine


def agreement(points: np.ndarray, pairs: Sequence[tuple[int, int]], direction: np.ndarray) -> np.ndarray:
    """How well the left-right vectors of points (B, J, 2) agree with the direction (pairs, 2): (B,), 0 = undecided."""
    left, right = np.array(pairs).T
    return np.asarray(np.nansum((points[:, left] - points[:, right]) * direction, axis=(1, 2)))


def direction(labels: np.ndarray, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """Mean left-right vector of labels (n, J, 2), over its variance: (pairs, 2), 0 where no image has both."""
    left, right = np.array(pairs).T
    vectors = labels[:, left] - labels[:, right]
    middle = ridge.mean(vectors, 0)
    variance = ridge.mean(np.square(vectors - middle), 0)
    return np.asarray(np.nan_to_num(middle / (variance + ridge.LEAST)))


def restless(points: np.ndarray, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """Frames, bool (T,), of points (T, J, 2) in which left and right are to be exchanged for the least motion in all.

    The path of least total motion, found exactly (Viterbi); none, where that makes no difference.
    """
    both = np.stack((points, exchanged(points, pairs, np.ones(len(points), bool))))
    steps = np.linalg.norm(both[:, None, 1:] - both[None, :, :-1], axis=-1).sum(-1)  # (now, before, T - 1)
    price = TIE * float(np.median(steps[0, 0])) if steps.size else 0.0
    cost, came = np.array([0.0, price]), np.zeros((len(points), 2), int)
    for frame in range(1, len(points)):
        ways = steps[:, :, frame - 1] + cost
        came[frame] = ways.argmin(1)
        cost = ways.min(1) + (0.0, price)
    which, state = np.zeros(len(points), bool), int(cost.argmin()) if len(points) else 0
    for frame in range(len(points) - 1, -1, -1):
        which[frame], state = state == 1, int(came[frame, state])
    return which
