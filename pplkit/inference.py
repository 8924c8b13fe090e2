"""Images in, poses out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from pplkit.errors import PplkitError
from pplkit.model import PosePriorLearner

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
BATCH = 64


def read_image(path: Path) -> np.ndarray:
    """An image file as uint8 (H, W, 3) RGB, a photo upright; raises PplkitError for a file that is missing or no image.

    Transparency is left out; of 16 bits the upper 8 are kept.
    """
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith("I"):  # Pillow itself would cut off all that is brighter than 255
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        raise PplkitError(f"{path} does not exist: give image files or a folder of them.") from None
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise PplkitError(f"{path} cannot be read as an image ({error}): repair it or leave it out.") from None


def image_files(paths: Sequence[Path]) -> list[Path]:
    """The files of `paths`, folders replaced by the images in them in order of name; raises if there are none."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS) if path.is_dir() else [path]
        if not inside:
            raise PplkitError(f"{path} holds no image ({', '.join(ENDINGS)}): give another folder.")
        found += inside
    return found


def estimate_files(model: PosePriorLearner, paths: Sequence[Path], iterations: int = 0) -> dict[str, Any]:
    """Poses of image files or folders, ready for JSON: for each image its file, size, keypoints and confidence.

    Keypoints are given in pixels of the file, (x, y), 0 = centre of the first pixel. Images that are not square are
    squeezed to the model's square and the keypoints stretched back.
    """
    files = image_files(paths)
    rows: list[dict[str, Any]] = []
    for start in range(0, len(files), BATCH):
        images = [read_image(file) for file in files[start : start + BATCH]]
        batch = np.concatenate([model.prepare(image[None]).cpu().numpy() for image in images])
        poses = model.estimate(torch.from_numpy(batch), iterations)
        for file, image, points, sure in zip(
            files[start : start + BATCH], images, poses.keypoints.numpy(), poses.confidence.numpy(), strict=True
        ):
            height, width = image.shape[:2]
            pixels = (points + 1) / 2 * (np.array([width, height]) - 1)
            rows.append(
                {
                    "file": str(file),
                    "width": width,
                    "height": height,
                    "keypoints": pixels.round(2).tolist(),
                    "confidence": sure.round(4).tolist(),
                }
            )
    links = model.prior().links()
    return {"made_by": model.made_by, "iterations": iterations, "links": links, "images": rows}
