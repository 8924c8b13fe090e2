"""Images as people hold them in Python: paths, PIL images, arrays, and lists of these, as the frames that a model sees.

An array is uint8 (H, W, 3) RGB or float (3, H, W) in [-1, 1]; with one axis more it is a batch.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from pplkit.core.errors import PplkitError
from pplkit.data.crops import Cropper
from pplkit.data.images import as_rgb
from pplkit.data.reader import Frame, FrameSource, crop_square, is_video, named_crop

Array = np.ndarray | Tensor
NO_PIXELS = np.empty((0, 0, 3), np.uint8)
EXPECTED = "give uint8 (B, H, W, 3) or float (B, 3, H, W) in [-1, 1], without B for a single image"


def is_batch(images: object) -> bool:
    """Whether these are the arrays of several images."""
    return isinstance(images, Array) and images.ndim != 3


def is_whole(images: object, hidden: object = None) -> bool:
    """Whether these are arrays that are seen without a crop: squares, those with masks of hidden parts, no images."""
    if not isinstance(images, Array) or images.ndim == 3:
        return False
    if images.ndim != 4 or 3 not in (images.shape[1], images.shape[-1]):
        return True  # so that the array as a whole is refused
    height, width = images.shape[1:3] if images.shape[-1] == 3 else images.shape[-2:]
    return hidden is not None or height == width


def is_single(images: object) -> bool:
    """Whether this is one image: a PIL image, an array of three axes, or a file that is no video."""
    if isinstance(images, str | os.PathLike):
        path = Path(images).expanduser()
        return not path.is_dir() and not is_video(path)
    return not isinstance(images, Sequence) and not is_batch(images)


def as_floats(images: Array, device: torch.device | None = None) -> Tensor:
    """A batch as float (B, 3, H, W) in [-1, 1] on a device; raises PplkitError for other shapes, types and ranges."""
    if not isinstance(images, Array):
        raise PplkitError(f"images of type {type(images).__name__} cannot be read: {EXPECTED}, or paths or PIL images.")
    tensor = torch.as_tensor(np.array(images) if isinstance(images, np.ndarray) else images).to(device)
    if tensor.dtype == torch.uint8 and tensor.ndim == 4 and tensor.shape[-1] == 3:
        return tensor.permute(0, 3, 1, 2).float() / 127.5 - 1
    if not (tensor.is_floating_point() and tensor.ndim == 4 and tensor.shape[1] == 3):
        raise _unreadable(tensor)
    if tensor.numel() and not _in_range(tensor):
        raise PplkitError(
            f"float images from {float(tensor.min()):g} to {float(tensor.max()):g} cannot be read: give values in "
            "[-1, 1] (2 * images - 1, if they are from 0 to 1), or uint8 (B, H, W, 3)."
        )
    return tensor


def _unreadable(images: Tensor) -> PplkitError:
    shape = tuple(images.shape)
    return PplkitError(f"images of shape {shape} and type {images.dtype} cannot be read: {EXPECTED}.")


def _in_range(images: Tensor) -> bool:
    """Whether values may be in [-1, 1]: all finite and hardly beyond, and some of several below 0."""
    low, high = float(images.min()), float(images.max())
    return -1.5 <= low <= high <= 1.5 and (low < 0 or low == high)  # NaN compares false


def as_mask(hidden: Array, images: Tensor) -> Tensor:
    """bool (B, H, W) at the size of float images (B, 3, S, S), on their device, or PplkitError."""
    if not isinstance(hidden, Array):
        raise PplkitError(f"hidden of type {type(hidden).__name__} cannot be read: give an array, bool (B, H, W).")
    mask = torch.as_tensor(hidden)
    if mask.ndim != 3 or len(mask) != len(images):
        raise PplkitError(
            f"hidden of shape {tuple(mask.shape)} does not fit: give bool (B, H, W), a mask for each image."
        )
    if mask.dtype != torch.bool and not ((mask == 0) | (mask == 1)).all():
        raise PplkitError(f"hidden of type {mask.dtype} has other values than 0 and 1: give bool, True = hidden.")
    return F.interpolate(mask[:, None].float(), size=images.shape[-2:])[:, 0].to(images.device) > 0.5


def hide(images: Tensor, hidden: Tensor | None) -> Tensor:
    """Images (B, 3, S, S) in [-1, 1], gray where `hidden`, bool (B, S, S), is set."""
    if hidden is None:
        return images
    return images.masked_fill(hidden[:, None], 0.0).contiguous(memory_format=torch.channels_last)


def batch_frames(images: Array) -> list[Frame]:
    """The frames of a batch, which is seen whole; a frame has its image as in the batch, and no square."""
    height, width = images.shape[1:3] if images.shape[-1] == 3 else images.shape[-2:]
    size, box = (int(width), int(height)), (0.0, 0.0, float(width), float(height))
    return [Frame(_name(n), None, None, size, box, NO_PIXELS, image) for n, image in enumerate(images)]


def frames_of(images: Any, size: int, crop: str | Cropper) -> Iterator[Frame]:
    """The frames of a path, a PIL image, an array, or a list of these, with their squares of `size` pixels.

    Paths are images, videos or folders of them; `crop` as in `FrameSource`. Images that are no files keep their pixels.
    Float arrays are rounded to 8 bits. Raises PplkitError as `as_floats` and `FrameSource` do.
    """
    several = isinstance(images, list | tuple) or is_batch(images)
    items = list(images) if several else [images]
    crop = named_crop(crop)
    files = [isinstance(item, str | os.PathLike) for item in items]
    if all(files):
        yield from FrameSource([Path(item).expanduser() for item in items], size, crop)
        return
    loaded = {number: as_image(item) for number, item in enumerate(items) if not files[number]}
    boxes = _boxes(loaded, crop)
    for number, item in enumerate(items):
        if number in loaded:
            image = loaded[number]
            name = Path(getattr(item, "filename", "") or _name(number))
            yield Frame(name, None, None, image.size, *crop_square(image, size, boxes[number]), np.asarray(image))
        else:
            yield from FrameSource([Path(item).expanduser()], size, crop)


def _boxes(images: dict[int, Image.Image], crop: str | Cropper) -> dict[int, Any]:
    """What `crop_square` takes as the crop of each image."""
    if isinstance(crop, str):
        return dict.fromkeys(images, crop)
    with TemporaryDirectory() as folder:  # what finds objects reads files, several times
        files = {number: Path(folder) / f"{_name(number)}.png" for number in images}
        for number, image in images.items():
            image.save(files[number])
        source = FrameSource(list(files.values()), 2, crop)
        return {number: frame.box for number, frame in zip(files, source, strict=True)}


def as_image(item: Any) -> Image.Image:
    """A PIL image or an array of three axes as RGB; raises PplkitError for anything else."""
    if isinstance(item, Image.Image):
        return as_rgb(ImageOps.exif_transpose(item))
    if not isinstance(item, Array):
        raise PplkitError(f"an image of type {type(item).__name__} cannot be read: give a path, PIL image or array.")
    if item.dtype in (np.uint8, torch.uint8) and item.ndim == 3 and item.shape[-1] == 3:
        return Image.fromarray(np.asarray(item.cpu() if isinstance(item, Tensor) else item))
    if item.ndim != 3 or item.shape[0] != 3:
        raise _unreadable(torch.as_tensor(item if isinstance(item, Tensor) else np.array(item)))
    floats = as_floats(item[None])[0].clamp(-1, 1).cpu()
    return Image.fromarray(((floats + 1) * 127.5).round().byte().permute(1, 2, 0).numpy())


def _name(number: int) -> Path:
    return Path(f"image-{number:05d}")
