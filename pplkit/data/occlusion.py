"""What hides an object: patches as published, borders, other objects, images; and random masks to learn from."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Split
from pplkit.data.images import list_images, read_cutout, to_float
from pplkit.geometry.coordinates import to_pixels

PATCHES = 32  # an image is cut into 32 x 32 patches
KINDS = ("center", "random", "border", "things")
Images = TypeVar("Images", Tensor, np.ndarray)


def upsample_patches(patches: Tensor, size: int) -> Tensor:
    """Each value of a grid (B, n, n) repeated over its patch of images of `size` pixels a side: (B, size, size)."""
    patch = torch.arange(size, device=patches.device) * patches.shape[-1] // size
    return patches.index_select(2, patch).index_select(1, patch)


def hidden_patches(count: int, kind: str, amount: float, seed: int = 0) -> np.ndarray:
    """Which of the 32 x 32 patches of `count` images are hidden: bool (count, 32, 32)  (section 4.3).

    kind "center": a centered square, `amount` patches a side (4, 6, 8, 10, 12 in the paper). kind "random": `amount`
    is the fraction of the patches (0.1 to 0.4 in the paper), drawn for each image from (seed, its position). kind
    "border": `amount` is the fraction of the image under a strip, at a side drawn for each image; not published.
    Raises PplkitError for another kind or an amount out of range.
    """
    hidden = np.zeros((count, PATCHES, PATCHES), dtype=bool)
    if kind == "center":
        if amount != int(amount) or not 0 <= amount <= PATCHES:
            raise PplkitError(
                f"amount={amount} must be a whole number of patches from 0 to {PATCHES} for kind='center'."
            )
        first = (PATCHES - int(amount)) // 2
        hidden[:, first : first + int(amount), first : first + int(amount)] = True
        return hidden
    if kind not in ("random", "border"):
        raise PplkitError(f"kind={kind!r} of occlusion is unknown: choose 'center', 'random' or 'border'.")
    if not 0 <= amount <= 1:
        raise PplkitError(f"amount={amount} must be a fraction of the patches from 0 to 1 for kind={kind!r}.")
    for image in range(count):
        rng = np.random.default_rng((seed, image))
        if kind == "random":
            hidden[image].flat[rng.permutation(PATCHES**2)[: round(amount * PATCHES**2)]] = True
        else:
            hidden[image, : round(amount * PATCHES)] = True
            hidden[image] = np.rot90(hidden[image], int(rng.integers(4)))
    return hidden


def occlude(images: Images, kind: str = "center", amount: float = 8, seed: int = 0) -> Images:
    """A copy of images with gray patches of a 32 x 32 grid.

    Images are uint8 (B, S, S, 3) or float (B, 3, S, S) in [-1, 1], of NumPy or torch, and so are those returned. kind
    "center": a centered square, `amount` patches a side. kind "random": `amount` is the fraction of the patches, from 0
    to 1. kind "border": the fraction of the image under a strip. Raises PplkitError for anything else.

    >>> images = pplkit.open_dataset("data/puppets")["test"].images[:3]
    >>> int(pplkit.occlude(images, kind="center", amount=8)[0, 16, 16, 0])
    128
    """
    tensor = torch.as_tensor(np.array(images) if isinstance(images, np.ndarray) else images)
    last = tensor.dtype == torch.uint8
    sides = tensor.shape[1:3] if last else tensor.shape[2:]
    if tensor.ndim != 4 or sides[0] != sides[1] or tensor.shape[3 if last else 1] != 3:
        raise PplkitError(
            f"images of shape {tuple(tensor.shape)} cannot be occluded: give squares, uint8 (B, S, S, 3) or float "
            "(B, 3, S, S); a single image is images[None]."
        )
    hidden = torch.from_numpy(hidden_patches(len(tensor), kind, amount, seed)).to(tensor.device)
    where = upsample_patches(hidden, tensor.shape[1] if last else tensor.shape[-1])
    covered = torch.where(where[..., None], 128, tensor) if last else torch.where(where[:, None], 0.0, tensor)
    covered = covered.to(tensor.dtype)
    return covered.numpy() if isinstance(images, np.ndarray) else covered


class Covered(NamedTuple):
    """Images with a hidden part, as a model takes them, and the mask of that part."""

    images: Tensor  # float (n, 3, S, S) in [-1, 1]
    hidden: np.ndarray  # bool (n, S, S)


class Occluders(NamedTuple):
    """Objects to put in front of others."""

    images: np.ndarray  # uint8 (m, S, S, 3)
    masks: np.ndarray  # bool (m, S, S), where the object is


def cover(images: np.ndarray, kind: str, amount: float, seed: int = 0, occluders: Occluders | None = None) -> Covered:
    """uint8 images (n, S, S, 3) with a part hidden: gray patches (`hidden_patches`), or for kind "things" another
    object in front.

    For "things" `amount` is the side of an occluder's square as a fraction of the image's; which one stands in front of
    an image, and where within its middle half, is drawn from (seed, position of the image).
    Raises PplkitError for another kind, an amount out of range, or kind "things" without occluders.
    """
    visible = to_float(torch.from_numpy(images))
    if kind != "things":
        patches = torch.from_numpy(hidden_patches(len(images), kind, amount, seed))
        hidden = upsample_patches(patches, images.shape[1])
        return Covered(torch.where(hidden[:, None], 0.0, visible), hidden.numpy())
    if occluders is None or not len(occluders.images):
        raise PplkitError("kind='things' needs occluders: give a data set with masks, or a folder of images.")
    if not 0 <= amount <= 1:
        raise PplkitError(f"amount={amount} must be a fraction of the image side from 0 to 1 for kind='things'.")
    pairs = [_placed_occluder(occluders, images.shape[1], amount, (seed, i)) for i in range(len(images))]
    fronts, masks = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*pairs, strict=True))
    return Covered(torch.where(masks[:, None], to_float(fronts), visible), masks.numpy())


def _placed_occluder(
    occluders: Occluders, size: int, amount: float, seed: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """A randomly chosen and placed occluder: an image uint8 (S, S, 3) and its mask, bool (S, S)."""
    rng = np.random.default_rng(seed)
    chosen, side = rng.integers(len(occluders.images)), max(1, round(amount * size))
    corner = np.round(rng.uniform(size / 4, size * 3 / 4, 2) - side / 2).astype(int)
    front = Image.fromarray(occluders.images[chosen]).resize((side, side), Image.Resampling.BILINEAR)
    mask = Image.fromarray(np.where(occluders.masks[chosen], 255, 0).astype(np.uint8)).resize((side, side))
    left_top = int(corner[0]), int(corner[1])
    image, hidden = Image.new("RGB", (size, size)), Image.new("L", (size, size))
    image.paste(front, left_top)
    hidden.paste(mask, left_top)
    return np.asarray(image), np.asarray(hidden) > 127


def objects(split: Split, index: Sequence[int] | np.ndarray) -> Occluders | None:
    """The objects in images `index` of a split, cut out by their masks; None if there are no masks."""
    if split.masks is None:
        return None
    return Occluders(np.asarray(split.images[index]), np.asarray(split.masks[index]) > 127)


def occluders_from_folder(folder: str | os.PathLike[str], size: int) -> Occluders:
    """The images of a folder as occluders; transparent parts hide nothing."""
    images, masks = [], []
    for path in list_images(Path(folder)):
        image, opacity = read_cutout(path)
        images.append(np.asarray(image.resize((size, size), Image.Resampling.BILINEAR)))
        masks.append(np.ones((size, size), bool) if opacity is None else np.asarray(opacity.resize((size, size))) > 127)
    return Occluders(np.stack(images), np.stack(masks))


def random_masks(rng: np.random.Generator, count: int) -> np.ndarray:
    """Random masks of many kinds to learn from: bool (count, 32, 32), True where hidden.

    A fifth is empty, two fifths have random patches (up to half of all), two fifths one or two rectangles
    of 2 to 16 patches a side anywhere, also over the border, a quarter of which are strips across the whole image.
    """
    kind, fractions = rng.random(count), rng.uniform(0, 0.5, count)
    scattered = rng.random((count, PATCHES, PATCHES)) < fractions[:, None, None]
    sides = rng.integers(2, 17, (count, 2, 2))
    strips = rng.random((count, 2)) < 0.25
    sides[..., 0][strips] = 2 * PATCHES
    sides = np.where(rng.random((count, 2, 1)) < 0.5, sides, sides[..., ::-1])
    first = rng.uniform(0, PATCHES, (count, 2, 2)) - sides / 2
    centers = np.arange(PATCHES) + 0.5
    inside = (centers > first[..., None]) & (centers < (first + sides)[..., None])  # (count, 2, axis, 32)
    boxes = inside[:, :, 0, :, None] & inside[:, :, 1, None, :]
    boxes[:, 1] &= rng.random((count, 1, 1)) < 0.5
    masks = np.where((kind < 0.6)[:, None, None], scattered, boxes.any(1))
    return masks & (kind >= 0.2)[:, None, None]


def points_in_mask(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether points (n, N, 2) in [-1, 1] lie in a mask bool (n, S, S): bool (n, N), False outside and for NaN."""
    size = mask.shape[-1]
    pixels = np.nan_to_num(np.round(to_pixels(points, size)), nan=-1).astype(int)
    inside = ((pixels >= 0) & (pixels < size)).all(-1)
    x, y = np.moveaxis(pixels.clip(0, size - 1), -1, 0)
    return mask[np.arange(len(points))[:, None], y, x] & inside
