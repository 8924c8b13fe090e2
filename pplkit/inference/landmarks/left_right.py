"""Left and right landmarks that a model's keypoints confuse.

Without labels a model cannot know left from right: a keypoint may lie on the left arm in one image and on the right arm
in another. The images in which it does are found by swapping the labels of one image after the other, as the h36m
protocol does. Where that helps greatly, landmarks are fitted to the sides of the keypoints, and each pose gets the
sides with which its left-to-right vectors agree with those of the labels.
"""

import re
from collections.abc import Sequence

import numpy as np

from pplkit.inference.landmarks import ridge

MAX_ERROR_RATIO = 0.8  # swapping labels must lower the error of left-out images to less than this fraction
LETTER = "[A-Za-zÀ-ɏ]"  # Latin: "手left" is two words
# Words, their beginnings and the humps of camels: "bright", "upright" and "cleft" name no side, "lefteye" does.
LONE = rf"(?<!{LETTER})[LlRr](?!{LETTER})|(?<!{LETTER})[LR](?=[A-Z][a-z])|(?<=[a-z])[LR](?!{LETTER})"  # LHip, earL
SIDE = rf"(?<!{LETTER})(?:left|right)|Left|Right|(?<![A-Z])(?:LEFT|RIGHT)|{LONE}"
ANYWHERE = rf"(?i:left|right)|{LONE}"  # enough where both sides have a name, as "eyeleft" and "eyeright"
OTHER = {"left": "right", "l": "r"}
STARTS = 4  # starts of the search, beside that without a swap
MAX_ROUNDS = 10  # of each start
SWAP_COST = 1e-3  # of the median motion between frames
QUICK = {"strengths": (0.1, 1.0), "coupling": (0.0,)}  # of the ridge: enough to see which side fits

Pairs = Sequence[tuple[int, int]]


def side_pairs(names: Sequence[str]) -> list[tuple[int, int]]:
    """Indices of pairs of names that are alike but for "left" and "right", or for a lone "l" and "r"."""
    index_of = {name.lower(): index for index, name in enumerate(names)}
    pairs = []
    for index in index_of.values():
        name = names[index].lower()
        for pattern in (SIDE, ANYWHERE):
            partner = re.sub(pattern, lambda word: OTHER.get(word[0].lower(), word[0]), names[index]).lower()
            if partner != name and partner in index_of:
                pairs.append((index, index_of[partner]))
                break
    return pairs


def names_side(names: Sequence[str]) -> np.ndarray:
    """Which names have a side as a word or as the beginning of one: bool (J,)."""
    return np.array([re.search(SIDE, name) is not None for name in names], bool)


def swap_sides(points: np.ndarray, pairs: Pairs, which: np.ndarray) -> np.ndarray:
    """Points (B, J, 2) or values (B, J) with left and right swapped in the poses `which`, bool (B,)."""
    order = np.arange(points.shape[1])
    for left, right in pairs:
        order[[left, right]] = right, left
    return np.where(which.reshape(-1, *[1] * (points.ndim - 1)), points[:, order], points)


def swapped_images(keypoints: np.ndarray, labels: np.ndarray, pairs: Pairs) -> np.ndarray:
    """In which images keypoints (n, N, 2) have the sides of labels (n, J, 2) swapped: bool (n,), at most half.

    None of them where swapping labels does not make the images far more predictable.
    """
    none = np.zeros(len(labels), bool)
    if not pairs or len(labels) < 3:
        return none
    flat = keypoints.reshape(len(keypoints), -1)
    # Points that change sides are what differs most between images.
    components = np.linalg.svd(flat - flat.mean(0), full_matrices=False)[0][:, :STARTS]
    score = ridge.fit(keypoints[:, None], labels[:, None], **QUICK).score
    searches = [_search(keypoints, labels, pairs, start) for start in (none, *(components > 0).T)]
    best_score, best = min(searches, key=lambda search: search[0])
    if not best_score < MAX_ERROR_RATIO * score:
        return none
    return ~best if best.mean() > 0.5 else best


def _search(keypoints: np.ndarray, labels: np.ndarray, pairs: Pairs, which: np.ndarray) -> tuple[float, np.ndarray]:
    """Swap labels that the other images expect the other way round, until none is left; the error, and which."""
    best = np.inf, which
    for _ in range(MAX_ROUNDS):
        sided = swap_sides(labels, pairs, which)
        if not np.isfinite(sided).all(-1).any(0).all():  # a landmark would lose all its labels to its partner
            break
        fitted = ridge.fit(keypoints[:, None], sided[:, None], **QUICK)
        if not fitted.score < best[0]:
            break
        best = fitted.score, which
        which = nearer_swapped(fitted.left_out, labels, pairs)
    return best


def nearer_swapped(points: np.ndarray, labels: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Whether points (n, J, 2) lie nearer to the labels with left and right swapped: bool (n,)."""
    swapped = swap_sides(labels, pairs, np.ones(len(labels), bool))
    here, there = (ridge.mean(np.linalg.norm(points - sided, axis=-1), 1) for sided in (labels, swapped))
    return there < here


def side_score(points: np.ndarray, pairs: Pairs, directions: np.ndarray) -> np.ndarray:
    """How well left-to-right vectors of points (B, J, 2) agree with directions (pairs, 2): (B,), 0 = undecided."""
    left, right = np.array(pairs).T
    return np.asarray(np.nansum((points[:, left] - points[:, right]) * directions, axis=(1, 2)))


def side_directions(labels: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Mean left-to-right vectors of labels (n, J, 2) over their variances: (pairs, 2), 0 where no image has both."""
    left, right = np.array(pairs).T
    vectors = labels[:, left] - labels[:, right]
    middle = ridge.mean(vectors, 0)
    variance = ridge.mean(np.square(vectors - middle), 0)
    return np.asarray(np.nan_to_num(middle / (variance + ridge.MIN_VARIANCE)))


def viterbi_swaps(points: np.ndarray, pairs: Pairs) -> np.ndarray:
    """The frames, bool (T,), of points (T, J, 2) in which to swap left and right for the least total motion.

    Exact, by the Viterbi algorithm; no frame where swaps make no difference.
    """
    both = np.stack((points, swap_sides(points, pairs, np.ones(len(points), bool))))
    steps = np.linalg.norm(both[:, None, 1:] - both[None, :, :-1], axis=-1).sum(-1)  # (now, before, T - 1)
    price = SWAP_COST * float(np.median(steps[0, 0])) if steps.size else 0.0
    cost, origin = np.array([0.0, price]), np.zeros((len(points), 2), int)
    for frame in range(1, len(points)):
        ways = steps[:, :, frame - 1] + cost
        origin[frame] = ways.argmin(1)
        cost = ways.min(1) + (0.0, price)
    which, state = np.zeros(len(points), bool), int(cost.argmin()) if len(points) else 0
    for frame in range(len(points) - 1, -1, -1):
        which[frame], state = state == 1, int(origin[frame, state])
    return which
