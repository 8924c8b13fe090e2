"""New poses of the kind that a model of mesh pose was trained on, in one stage: codes drawn at rest."""

from dataclasses import dataclass, fields
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from scipy.spatial.transform import Rotation

from pplkit.core.errors import PplkitError
from pplkit.core.files import atomic_path, check_file

KEPT = 0.9995  # of the variance of the training poses
LARGEST = 2.5  # standard deviations, beyond which nothing is drawn along a component


@dataclass(frozen=True, eq=False)
class PoseGenerator:
    """A normal distribution over how patches turn against one another and stretch.

    Each patch's matrix is a rotation times a stretch. Rotations are taken against the neighboring patch nearer to the
    middle of the body, so that they are small, and both go into their logarithms, where mean and covariance make sense.
    A limb keeps its length in every pose drawn, as it does not where matrices are mixed.

    Attributes:
        order: (K,) patches, each after its parent.
        parents: (K,) of each patch; that of the first, `order[0]`, is itself.
        mean: (9K,) three numbers of rotation and six of stretch for each patch.
        components: (R, 9K) directions of the distribution, each as long as one standard deviation.
        crossings: pairs of crossing faces that a pose of the template should have at most.
    """

    order: np.ndarray
    parents: np.ndarray
    mean: np.ndarray
    components: np.ndarray
    crossings: int = 0

    @classmethod
    def fitted(cls, codes: np.ndarray, overlap: np.ndarray, crossings: int = 0) -> "PoseGenerator":
        """The distribution of codes (N, K, 3, 3), where `overlap` (K, K) says how much patches overlap.

        Raises PplkitError for fewer than two codes.
        """
        if len(codes) < 2:
            raise PplkitError(f"{len(codes)} poses are no distribution: train on more.")
        order, parents = patch_tree(overlap)
        numbers = _numbers(np.asarray(codes, np.float64), order, parents).reshape(len(codes), -1)
        mean = numbers.mean(0)
        _, scales, directions = np.linalg.svd(numbers - mean, full_matrices=False)
        share = np.cumsum(scales**2) / max((scales**2).sum(), 1e-12)
        count = int(np.searchsorted(share, KEPT)) + 1
        components = directions[:count] * scales[:count, None] / np.sqrt(len(codes) - 1)
        return cls(order, parents, mean, components, crossings)

    def write(self, path: Path) -> None:
        """Write it as .npz. Raises WriteError."""
        with atomic_path(path) as partial, open(partial, "wb") as file:
            np.savez(file, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def read(cls, path: Path) -> "PoseGenerator":
        """From a file that `write` wrote. Raises PplkitError for others."""
        remedy = "train to the end, with network='patches' and at least two poses"
        check_file(path, remedy)
        try:
            with np.load(path, allow_pickle=False) as content:
                parts = {field.name: content[field.name] for field in fields(cls)}
            return cls(**{**parts, "crossings": int(parts["crossings"])})
        except (KeyError, OSError, ValueError, BadZipFile):
            raise PplkitError(f"{path} holds no distribution of poses: {remedy}.") from None

    def draw(self, count: int, seed: int = 0, first: int = 0) -> np.ndarray:
        """Codes (count, K, 3, 3), those from number `first` on; the same seed gives the same, whatever their number."""
        numbers = range(first, first + count)
        draws = [np.random.default_rng([seed, number]).normal(size=len(self.components)) for number in numbers]
        amounts = np.clip(np.array(draws).reshape(count, -1), -LARGEST, LARGEST)
        return self.matrices((self.mean + amounts @ self.components).reshape(count, len(self.order), 9))

    def numbers(self, codes: np.ndarray) -> np.ndarray:
        """Codes (N, K, 3, 3) as three numbers of rotation against the parent and six of stretch for each patch."""
        return _numbers(np.asarray(codes, np.float64), self.order, self.parents)

    def matrices(self, numbers: np.ndarray) -> np.ndarray:
        """The inverse of `numbers`, from (N, K, 9)."""
        return _matrices(numbers, self.order, self.parents)


def patch_tree(overlap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Patches (K,) in an order in which parents come first, and the parent (K,) of each: those that overlap most.

    The first is the patch in the middle, from which the farthest is least far; patches that overlap none hang on it.
    """
    count = len(overlap)
    apart = sparse.csr_array(np.where(overlap > 0, 1 / np.maximum(overlap, 1e-12), 0) * (1 - np.eye(count)))
    tree = minimum_spanning_tree(apart)
    steps = sparse.csgraph.dijkstra(tree, directed=False, unweighted=True)
    steps[np.isinf(steps)] = count
    first = int(steps.max(1).argmin())
    order, parents = breadth_first_order(tree, first, directed=False)
    alone = np.setdiff1d(np.arange(count), order)
    parents = np.where(parents < 0, first, parents)
    return np.concatenate([order, alone]), parents


def _numbers(codes: np.ndarray, order: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """Codes (N, K, 3, 3) as numbers (N, K, 9)."""
    left, scales, right = np.linalg.svd(codes)
    mirror = np.sign(np.linalg.det(left @ right))
    left[..., :, 2] *= mirror[..., None]  # a patch turned inside out stretches by less than nothing: by nearly nothing
    rotations = left @ right
    logarithms = np.swapaxes(right, -1, -2) @ (np.log(np.maximum(scales, 1e-3))[..., None] * right)
    above = rotations[:, parents].copy()
    above[:, order[0]] = np.eye(3)
    vectors = Rotation.from_matrix((np.swapaxes(above, -1, -2) @ rotations).reshape(-1, 3, 3)).as_rotvec()
    rows, columns = np.triu_indices(3)
    return np.concatenate([vectors.reshape(*codes.shape[:2], 3), logarithms[..., rows, columns]], -1)


def _matrices(numbers: np.ndarray, order: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """The inverse of `_numbers`."""
    turns = Rotation.from_rotvec(numbers[..., :3].reshape(-1, 3)).as_matrix().reshape(*numbers.shape[:2], 3, 3)
    for patch in order[1:]:
        turns[:, patch] = turns[:, parents[patch]] @ turns[:, patch]
    rows, columns = np.triu_indices(3)
    logarithms = np.zeros_like(turns)
    logarithms[..., rows, columns] = logarithms[..., columns, rows] = numbers[..., 3:]
    scales, axes = np.linalg.eigh(logarithms)
    return np.asarray(turns @ (axes * np.exp(scales)[..., None, :]) @ np.swapaxes(axes, -1, -2))
