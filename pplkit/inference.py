"""Images in, poses out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pplkit.model import PosePriorLearner
from pplkit.pictures import pictures, read_image

BATCH = 64


def image_files(paths: Sequence[Path]) -> list[Path]:
    """The files of `paths`, folders replaced by the pictures in them in order of name; raises if there are none."""
    return [file for path in paths for file in (pictures(path) if path.is_dir() else [path])]


def estimate_files(model: PosePriorLearner, paths: Sequence[Path], iterations: int = 0) -> dict[str, Any]:
    """Poses of image files or folders, ready for JSON: for each image its file, size, keypoints and confidence.

    Keypoints are given in pixels of the file, (x, y), 0 = centre of the first pixel. Images that are not square are
    squeezed to the model's square and the keypoints stretched back.
    """
    files = image_files(paths)
    rows: list[dict[str, Any]] = []
    for start in range(0, len(files), BATCH):
        images = [np.asarray(read_image(file)) for file in files[start : start + BATCH]]
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
