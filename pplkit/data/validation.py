"""A prepared data set looked through from end to end: every fault of its files, and what a person should know of it."""

from collections import Counter
from pathlib import Path

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.arrays import AGAIN, SHARDED, array_of, check_array
from pplkit.data.dataset import Dataset, Split, read_description, read_sources
from pplkit.data.npy_shards import file_hash, load_array


def faults(path: Path) -> list[str]:
    """Every fault of the data set's files, one sentence each; none if it is as it was written.

    Files that are missing, damaged, of a wrong shape, type or value, or changed since they were written; counts that
    differ from dataset.json.
    """
    try:
        metadata, counts, hashes = read_description(path)
    except PplkitError as error:
        return [str(error)]
    found, faulty = [], set()
    rows: Counter[tuple[str, str]] = Counter({(split, "images"): 0 for split in counts})
    for name, expected in hashes.items():
        split, key = array_of(name) or ("", "")  # `read_description` has seen to it
        try:
            array = load_array(path / name, AGAIN, mapped=True)
            check_array(str(path / name), key, array, metadata, None if key in SHARDED else counts[split], AGAIN)
            rows[split, key] += len(array)
            if file_hash(path / name) != expected:
                found.append(f"{path / name} has changed since it was written; {AGAIN}")
        except PplkitError as error:
            faulty.add((split, key))
            found.append(str(error))
    for (split, key), count in rows.items():
        if count != counts[split] and (split, key) not in faulty:
            found.append(f"{path / split}/{key}*.npy have {count} rows, dataset.json counts {counts[split]}; {AGAIN}")
    for split, count in counts.items():
        sources = path / split / "sources.txt"
        try:
            read_sources(sources, count)
        except PplkitError as error:
            found.append(str(error))
    return found


def summary(data: Dataset) -> list[str]:
    """What a data set holds, and what is odd about it without being a fault; lines of text."""
    lines = [f"{data.name}: {data.size} x {data.size} pixels, protocol {data.protocol}, sha256 {data.sha256[:12]}"]
    lines += [f"source: {data.source or 'not said'}; licence: {data.licence or 'not said'}"]
    for name, split in data.splits.items():
        lines.append(f"{name}: {_contents(split)}")
        if split.classes is not None:
            counts = np.bincount(split.classes, minlength=len(data.class_names))
            lines.append("  classes: " + ", ".join(f"{c} {n}" for c, n in zip(data.class_names, counts, strict=True)))
        lines += [f"  {line}" for line in _odd(split)]
    for source, reason in data.dropped:
        lines.append(f"left out: {source}: {reason}")
    return lines


def _contents(split: Split) -> str:
    parts = [f"{len(split)} images"]
    if split.videos is not None:
        parts.append(f"{len(np.unique(split.videos))} videos")
    if split.keypoints is not None:
        labelled = np.isfinite(split.keypoints).all(-1)
        parts.append(f"{labelled.sum()} of {labelled.size} keypoints labelled")
    if split.visible is not None:
        parts.append(f"{split.visible.sum()} visible")
    if split.masks is not None:
        parts.append("masks")
    return ", ".join(parts)


def _odd(split: Split) -> list[str]:
    """Images of one colour, images that are there twice, videos of one frame, labels outside."""
    plain = 0
    seen: Counter[bytes] = Counter()
    for start in range(0, len(split), 256):
        images = np.asarray(split.images[start : start + 256])
        plain += int((np.ptp(images.reshape(len(images), -1), axis=1) == 0).sum())
        seen.update(image.tobytes()[:: max(1, image.size // 512)] for image in images)
    twice = sum(count - 1 for count in seen.values())
    said = {
        "images are of one colour": plain,
        "images look like another one of this split, pixel by pixel where they were compared": twice,
        "videos have a single frame, which is its own reference": 0,
        "keypoints lie outside the image": 0,
    }
    if split.videos is not None:
        said["videos have a single frame, which is its own reference"] = int(
            (np.unique(split.videos, return_counts=True)[1] == 1).sum()
        )
    if split.keypoints is not None:
        said["keypoints lie outside the image"] = int((np.abs(split.keypoints) > 1).any(-1).sum())
    return [f"{count} {what}" for what, count in said.items() if count]
