"""Figures of images and the poses on them: a contact sheet, landmarks, videos, the spread of poses, object crops."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pplkit.core.words import quantity
from pplkit.data.dataset import Dataset
from pplkit.data.images import read_image
from pplkit.viz.drawing import (
    Images,
    Links,
    as_array,
    as_uint8,
    draw_image,
    draw_plane,
    draw_skeleton,
    keypoint_colors,
    label_text,
    subplots,
)

SHEET_WIDTH = 10.8  # inches of a full row of a contact sheet at most
TILE_SIDE = 2.0  # inches of an image in it at most


def contact_sheet(
    images: Images,
    keypoints: Images | None = None,
    links: Links = (),
    strengths: Sequence[float] | None = None,
    confidence: Images | None = None,
    titles: Sequence[str] | None = None,
    columns: int = 8,
) -> Figure:
    """Images (n, S, S, 3), n at least 1, in rows of `columns`, with keypoints (n, N, 2) and links if given.

    strengths in [0, 1], one for each link; confidence (n, N) in [0, 1] fades keypoints, relative to the most confident
    one of these images.
    """
    images = as_uint8(images)
    side, columns = min(SHEET_WIDTH / columns, TILE_SIDE), min(columns, len(images))
    figure, axes = subplots(-(-len(images) // columns), columns, side, side if titles is None else side + 0.2)
    points = None if keypoints is None else as_array(keypoints)
    faded = None if confidence is None else as_array(confidence)
    for n, (axis, image) in enumerate(zip_longest(axes.flat, images)):
        if image is None:
            axis.set_visible(False)
            continue
        draw_image(axis, image, titles[n] if titles is not None else "")
        if points is not None:
            opacity = 1.0 if faded is None else 0.25 + 0.75 * faded[n] / max(float(faded.max()), 1e-9)
            draw_skeleton(axis, points[n], links, strengths, opacity=opacity, width=2)
    return figure


def landmarks_on_images(
    images: Images,
    points: np.ndarray,
    names: Sequence[str],
    titles: Sequence[str] | None = None,
    squares: Sequence[int] = (),
) -> Figure:
    """Points (n, J, 2) on images, NaN where there is none, with a legend of their names.

    Points at the positions `squares`, such as those on the right, are squares, so that left and right differ by more
    than color.
    """
    figure = contact_sheet(images, titles=titles)
    handles = []
    for number, color in enumerate(keypoint_colors(len(names))):
        style: dict[str, Any] = {"marker": "s" if number in squares else "o", "color": color, "edgecolors": "white"}
        places = zip(figure.axes, points[:, number], strict=False)
        handles.append([axis.scatter(x, y, s=22, linewidths=0.6, zorder=3, **style) for axis, (x, y) in places][0])
    figure.legend(handles, list(map(label_text, names)), loc="outside lower left", ncols=6, fontsize=8, frameon=False)
    return figure


def video_strips(images: Images, videos: np.ndarray, rows: int = 4, columns: int = 8) -> Figure:
    """The first frames of the first videos, a row each: images (n, S, S, 3), videos (n,) the video of each."""
    numbers = np.unique(np.asarray(videos))[:rows]
    figure, axes = subplots(len(numbers), columns, 1.35, 1.35)
    for row, number in zip(axes, numbers, strict=True):
        frames = np.flatnonzero(np.asarray(videos) == number)[:columns]
        for axis, image in zip(row, as_uint8(images[frames]), strict=False):
            draw_image(axis, image)
        for axis in row[len(frames) :]:
            axis.set_visible(False)
        row[0].set_ylabel(f"video {number}", fontsize=8)
    return figure


def pose_spread(images: Images, keypoints: Images | None = None, links: Links = ()) -> Figure:
    """Mean image, spread of the pixels and, with labels (n, J, 2), the mean pose and where each label lies."""
    images = as_uint8(images)
    figure, axes = subplots(1, 2 if keypoints is None else 4, 2.4, 2.5)
    draw_image(axes[0, 0], images.mean(0).round().astype(np.uint8), "mean image")
    draw_image(axes[0, 1], images.std(0, dtype=np.float32).mean(-1), "spread of the pixels (white: most)")
    if keypoints is not None:
        points = as_array(keypoints)
        draw_plane(axes[0, 2], "mean pose", ticks=False)
        draw_skeleton(axes[0, 2], np.nanmean(points, axis=0), links, size=22)
        draw_plane(axes[0, 3], f"labels of {quantity(len(points), 'image')}", ticks=False)
        for number, color in enumerate(keypoint_colors(points.shape[1])):
            axes[0, 3].scatter(*points[:, number].T, s=3, color=color, alpha=0.25, linewidths=0)
    return figure


def object_crops(data: Dataset) -> Figure | None:
    """Whole frames with the squares that a preparation with crop="object" cut out; None for other data sets."""
    sheet = data.path / "objects.png"
    if data.options.get("crop") != "object" or not sheet.exists():
        return None
    image = read_image(sheet)
    figure, axes = subplots(1, 1, image.width / 100, image.height / 100)
    axes[0, 0].imshow(image)
    axes[0, 0].set_axis_off()
    return figure
