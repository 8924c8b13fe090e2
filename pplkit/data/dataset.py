"""Prepared data sets: a folder of NumPy arrays with one dataset.json.

dataset.json              the metadata, the count of each split, the sha256 of every array file
<split>/images-00000.npy  uint8 (n, S, S, 3) RGB, in shards
<split>/masks-00000.npy   uint8 (n, S, S), 255 = object, in shards       (optional)
<split>/keypoints.npy     float32 (n, J, 2) in [-1, 1], NaN = unlabelled (optional)
<split>/visible.npy       bool (n, J)                                    (optional)
<split>/videos.npy        int32 (n,) video of each frame, in order       (optional)
<split>/classes.npy       int32 (n,) index into class_names              (optional)
<split>/sources.txt       one line per image: where it came from

Splits: train; test; labelled, if labels to fit on are kept apart; films, whole videos on which tracks are measured.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.core.files import read_json, read_text
from pplkit.core.words import choice, quantity
from pplkit.data.images import html_summary
from pplkit.data.npy_shards import Shards, load_array
from pplkit.data.sampling import evenly_spaced
from pplkit.data.schema import DTYPES, PREPARE_AGAIN, SCHEMA, SHARDED, SPLIT_NAME, Metadata, array_of, check_array

FIELDS = tuple(entry.name for entry in fields(Metadata))


STRIP = 6  # images that Jupyter shows of a data set


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """One part of a data set: n images of S x S pixels with J keypoints. Arrays that the data set lacks are None."""

    name: str
    images: np.ndarray | Shards
    """(n, S, S, 3) uint8 RGB, memory-mapped"""
    keypoints: np.ndarray | None
    """(n, J, 2) float32, (x, y) in [-1, 1], NaN where unlabelled"""
    visible: np.ndarray | None
    """(n, J) bool"""
    videos: np.ndarray | None
    """(n,) int32"""
    masks: np.ndarray | Shards | None
    """(n, S, S) uint8, 255 = object, memory-mapped"""
    classes: np.ndarray | None
    """(n,) int32, indices into `class_names`"""
    sources: list[str]

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        arrays = {name: getattr(self, name) for name in DTYPES}
        shapes = ", ".join(f"{name} {value.shape}" for name, value in arrays.items() if value is not None)
        return f"Split {self.name!r}: {shapes}"

    def _repr_html_(self) -> str:
        return html_summary(self, _strip(self))


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Dataset(Metadata):
    """An open data set: its metadata, and its splits as `data["train"]`; `"test" in data` tells if there is one."""

    path: Path
    splits: dict[str, Split]
    sha256: str
    """One hash over the hashes of all arrays; equal if these are"""

    def __getitem__(self, split: str) -> Split:
        if split not in self.splits:
            raise PplkitError(f"{self.path} has no split {split!r}; {choice(split, self.splits)}")
        return self.splits[split]

    def __iter__(self) -> Iterator[str]:
        return iter(self.splits)

    def __contains__(self, split: object) -> bool:
        return split in self.splits

    def __repr__(self) -> str:
        head = f"Dataset {self.path.name!r} in {self.path}: {self.size} x {self.size} pixels"
        points = f", {quantity(len(self.keypoint_names), 'labelled point')}" if self.keypoint_names else ""
        return "\n  ".join([head + points, *map(repr, self.splits.values())])

    def _repr_html_(self) -> str:
        return html_summary(self, _strip(next(iter(self.splits.values()))))

    def __reduce__(self) -> tuple[Any, ...]:
        """Other processes open the folder themselves: pickling would copy mapped arrays whole."""
        return open_dataset, (self.path.absolute(),)

    @property
    def labelled(self) -> Split:
        """The split that a protocol's map is fitted on: "labelled" if there is one, else "train"."""
        return self.splits.get("labelled") or self["train"]


def _strip(split: Split) -> Image.Image:
    """Some images of a split beside one another."""
    return Image.fromarray(np.hstack([np.asarray(split.images[i]) for i in evenly_spaced(split, STRIP)]))


def open_dataset(path: str | os.PathLike[str]) -> Dataset:
    """Open a prepared data set, images and masks memory-mapped.

    Raises PplkitError, naming the file, if one is missing or damaged, of another schema, or if a shape, type, count
    or coordinate is wrong.

    >>> data = pplkit.open_dataset("data/puppets")
    >>> {name: data[name].images.shape for name in data}
    {'train': (20, 32, 32, 3), 'test': (9, 32, 32, 3)}
    """
    path = Path(path)
    metadata, counts, hashes = read_description(path)
    names = sorted(hashes)
    splits = {split: _read_split(path, split, names, count, metadata) for split, count in counts.items()}
    sha256 = hashlib.sha256("".join(f"{name} {hashes[name]}\n" for name in names).encode()).hexdigest()
    return Dataset(path=path, splits=splits, sha256=sha256, **{name: getattr(metadata, name) for name in FIELDS})


def read_description(path: Path) -> tuple[Metadata, dict[str, int], dict[str, str]]:
    """The content of dataset.json: metadata, number of images by split, sha256 by array file.

    Raises PplkitError if the file is missing, of another schema, or not usable.
    """
    file = path / "dataset.json"
    if not path.is_dir():
        raise PplkitError(f"there is no folder {path}; correct the path or {PREPARE_AGAIN}")
    if not file.exists():
        raise PplkitError(f"{file} is missing, so this is not a data set; correct the path or {PREPARE_AGAIN}")
    content = read_json(file, PREPARE_AGAIN)
    if content.get("schema") != SCHEMA:
        raise PplkitError(
            f"{file} has schema {content.get('schema')}, this version reads schema {SCHEMA}; {PREPARE_AGAIN}"
        )
    try:
        content.setdefault("origin", {})  # absent in data sets of version 0.1.0
        missing = [name for name in (*FIELDS, "splits", "sha256") if name not in content]
        if missing:
            raise PplkitError(f"the field {missing[0]!r} is missing")
        counts, hashes = content["splits"], content["sha256"]
        _check_files(counts, hashes)
        return Metadata(**{name: content[name] for name in FIELDS}), counts, hashes
    except PplkitError as error:
        raise PplkitError(f"{file} is not usable: {error}; {PREPARE_AGAIN}") from error


def _check_files(counts: Any, hashes: Any) -> None:
    if not isinstance(counts, dict) or not isinstance(hashes, dict):
        raise PplkitError("splits and sha256 must be objects with names")
    for split, count in counts.items():
        if not SPLIT_NAME.fullmatch(split) or type(count) is not int or count < 1:
            raise PplkitError(f"splits gives {split!r} {count!r} images")
    for name, digest in hashes.items():
        if (array_of(name) or ("",))[0] not in counts or not isinstance(digest, str):
            raise PplkitError(f"sha256 names {name!r}, which is not an array of a split")


def read_sources(file: Path, count: int) -> list[str]:
    """The lines of sources.txt; raises PplkitError if there are not `count`."""
    if not file.exists():
        raise PplkitError(f"{file} is missing; {PREPARE_AGAIN}")
    sources = read_text(file, PREPARE_AGAIN).splitlines()
    if len(sources) != count:
        lines, images = quantity(len(sources), "line"), quantity(count, "image")
        raise PplkitError(f"{file} has {lines}, dataset.json counts {images}; {PREPARE_AGAIN}")
    return sources


def _read_split(path: Path, split: str, names: Sequence[str], count: int, metadata: Metadata) -> Split:
    arrays: dict[str, np.ndarray | Shards | None] = dict.fromkeys(DTYPES)
    for key in DTYPES:
        files = [path / name for name in names if array_of(name) == (split, key)]
        if not files:
            continue
        parts = [load_array(file, PREPARE_AGAIN, mapped=key in SHARDED) for file in files]
        for file, part in zip(files, parts, strict=True):
            check_array(str(file), key, part, metadata, None if key in SHARDED else count, PREPARE_AGAIN)
        arrays[key] = parts[0] if len(parts) == 1 else Shards(parts)
        if (rows := sum(map(len, parts))) != count:
            raise PplkitError(f"{files[-1]} ends at {rows} rows, dataset.json counts {count}; {PREPARE_AGAIN}")
    if arrays["images"] is None:
        raise PplkitError(f"{path / split} has no images-00000.npy; {PREPARE_AGAIN}")
    sources = read_sources(path / split / "sources.txt", count)
    return Split(name=split, sources=sources, **arrays)  # type: ignore[arg-type]  # keys of DTYPES are its fields
