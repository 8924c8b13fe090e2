"""Prepared data sets checked from end to end: every fault of their files, and what a user should know of them."""

from collections import Counter
from pathlib import Path

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.words import quantity
from pplkit.data.dataset import Dataset, Split, read_description, read_sources
from pplkit.data.npy_shards import file_hash, load_array
from pplkit.data.schema import PREPARE_AGAIN, SHARDED, array_of, check_array

CHUNK = 256  # images compared at a time
COMPARED_BYTES = 512  # of each image


def faults(path: Path) -> list[str]:
    """A sentence for each fault of the data set's files; none if they are as they were written.

    Files that are missing, damaged, of a wrong shape, type or value, or changed; numbers of rows that differ from
    dataset.json.
    """
    try:
        metadata, counts, hashes = read_description(path)
    except PplkitError as error:
        return [str(error)]
    sentences, faulty = [], set()
    rows: Counter[tuple[str, str]] = Counter({(split, "images"): 0 for split in counts})
    for name, expected in hashes.items():
        split, key = array_of(name) or ("", "")  # never None here, see `read_description`
        file, count = path / name, counts[split]
        try:
            array = load_array(file, PREPARE_AGAIN, mapped=True)
            check_array(str(file), key, array, metadata, None if key in SHARDED else count, PREPARE_AGAIN)
            rows[split, key] += len(array)
            if file_hash(file) != expected:
                sentences.append(f"{file} has changed since it was written; {PREPARE_AGAIN}")
        except PplkitError as error:
            faulty.add((split, key))
            sentences.append(str(error))
    for (split, key), row_count in rows.items():
        if row_count != counts[split] and (split, key) not in faulty:
            files = f"{path / split}/{key}*.npy"
            sentences.append(f"{files} have {row_count} rows, dataset.json counts {counts[split]}; {PREPARE_AGAIN}")
    for split, count in counts.items():
        try:
            read_sources(path / split / "sources.txt", count)
        except PplkitError as error:
            sentences.append(str(error))
    return sentences


def summary(data: Dataset) -> list[str]:
    """Lines about what a data set holds, and about what is odd without being a fault."""
    lines = [f"{data.name}: {data.size} x {data.size} pixels, protocol {data.protocol}, sha256 {data.sha256[:12]}"]
    lines += [f"source: {data.source or 'not given'}; licence: {data.licence or 'not given'}"]
    for name, split in data.splits.items():
        lines.append(f"{name}: {_contents(split)}")
        if split.classes is not None:
            counts = np.bincount(split.classes, minlength=len(data.class_names))
            lines.append("  classes: " + ", ".join(f"{c} {n}" for c, n in zip(data.class_names, counts, strict=True)))
        lines += [f"  {line}" for line in _oddities(split)]
    return lines + [f"left out: {source}: {reason}" for source, reason in data.dropped]


def _contents(split: Split) -> str:
    parts = [quantity(len(split), "image")]
    if split.videos is not None:
        parts.append(quantity(len(np.unique(split.videos)), "video"))
    if split.keypoints is not None:
        labelled = np.isfinite(split.keypoints).all(-1)
        parts.append(f"{labelled.sum()} of {labelled.size} keypoints labelled")
    if split.visible is not None:
        parts.append(f"{split.visible.sum()} visible")
    if split.masks is not None:
        parts.append("masks")
    return ", ".join(parts)


def _oddities(split: Split) -> list[str]:
    uniform = 0
    samples: Counter[bytes] = Counter()
    for start in range(0, len(split), CHUNK):
        images = np.asarray(split.images[start : start + CHUNK])
        uniform += int((np.ptp(images.reshape(len(images), -1), axis=1) == 0).sum())
        samples.update(image.tobytes()[:: max(1, image.size // COMPARED_BYTES)] for image in images)
    lengths = np.empty(0) if split.videos is None else np.unique(split.videos, return_counts=True)[1]
    keypoints = np.empty((0, 2)) if split.keypoints is None else split.keypoints
    counts = {
        "images are of one color": uniform,
        "images equal another one of this split in the pixels that were compared": samples.total() - len(samples),
        "videos have a single frame, which is its own reference": int((lengths == 1).sum()),
        "keypoints lie outside the image": int((np.abs(keypoints) > 1).any(-1).sum()),
    }
    return [f"{count} {what}" for what, count in counts.items() if count]
