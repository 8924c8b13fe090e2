"""The prepared data set: a folder of NumPy arrays and one dataset.json, written whole or not at all.

dataset.json              the metadata, the count of each split, the sha256 of every array file
<split>/images-00000.npy  uint8 (n, S, S, 3) RGB, in shards
<split>/masks-00000.npy   uint8 (n, S, S), 255 = object, in shards       (optional)
<split>/keypoints.npy     float32 (n, J, 2) in [-1, 1], NaN = unlabelled (optional)
<split>/visible.npy       bool (n, J)                                    (optional)
<split>/videos.npy        int32 (n,) video of each frame, in order       (optional)
<split>/classes.npy       int32 (n,) index into class_names              (optional)
<split>/sources.txt       one line per image: where it came from

Splits: train; test; labelled, where labels to fit on are kept apart; films, whole videos on which tracks are measured.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.files import read_json, read_text
from pplkit.data.arrays import AGAIN, DTYPES, ROOM, SHARDED, SPLIT, array_of, as_stored, check_array
from pplkit.data.npy_shards import NpyWriter, Shards, file_hash, load_array
from pplkit.data.schema import Metadata
from pplkit.data.staging import NEW, OLD, begin, clear_up, settle

SCHEMA = 2  # 2: `dropped`


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set; n images of S x S pixels, J keypoints. An array that the set does not have is None."""

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


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset(Metadata):
    """An opened data set: the metadata and `data["train"]`, a Split; `"test" in data` asks whether there is one."""

    path: Path
    splits: dict[str, Split]
    sha256: str
    """One hash over the hashes of all arrays: equal for equal contents"""

    def __getitem__(self, split: str) -> Split:
        if split not in self.splits:
            raise PplkitError(f"{self.path} has no split {split!r}; choose one of {', '.join(self.splits)}")
        return self.splits[split]

    def __contains__(self, split: object) -> bool:
        return split in self.splits

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the folder itself: pickled, mapped arrays would be copied whole and lose their file."""
        return open_dataset, (self.path.absolute(),)

    @property
    def labelled(self) -> Split:
        """The images that a protocol's map is fitted on: split "labelled" where there is one, else "train"."""
        return self.splits.get("labelled") or self["train"]


class DatasetWriter:
    """Write a data set; it appears at `out` when the `with` block ends, and not at all if the block raises.

    What a writer of `out` that was killed left beside it is removed; a data set that it was replacing is put back.
    `metadata` are the fields of Metadata. Raises PplkitError where `out` is in use: a data set is replaced with
    overwrite=True only, any other folder that is not empty never.
    """

    def __init__(
        self, out: str | os.PathLike[str], *, overwrite: bool = False, shard_bytes: int = 2**30, **metadata: Any
    ) -> None:
        self.metadata = Metadata(**metadata)
        self.out = Path(out).absolute()
        self.shard_bytes = shard_bytes
        self.overwrite = overwrite
        clear_up(self.out)
        self._check_free()
        self._arrays: dict[str, dict[str, NpyWriter]] = {}
        self._sources: dict[str, list[str]] = {}

    def __enter__(self) -> Self:
        try:
            self._folder, self._lock = begin(self.out)
        except OSError as error:
            raise PplkitError(f"{self.out} cannot be written ({error}); choose a folder that can") from error
        self._partial = self._folder / NEW
        return self

    def _check_free(self) -> None:
        if (self.out / "dataset.json").exists():
            if not self.overwrite:
                raise PplkitError(f"{self.out} already holds a data set; choose another folder or pass overwrite")
        elif self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise PplkitError(f"{self.out} exists and is not a data set; choose a folder that is new or empty")

    def add(
        self,
        split: str,
        images: np.ndarray,
        *,
        keypoints: np.ndarray | None = None,
        visible: np.ndarray | None = None,
        videos: np.ndarray | None = None,
        masks: np.ndarray | None = None,
        classes: np.ndarray | None = None,
        sources: Sequence[str] | None = None,
    ) -> None:
        """Append b images (b, S, S, 3) uint8 and their arrays, shaped as in Split, to a split.

        Raises PplkitError if a shape, type or value is wrong or if the split so far had other arrays.
        """
        if not SPLIT.fullmatch(split):
            raise PplkitError(f"split {split!r} cannot name a folder; use letters, digits, spaces, - _ and . only")
        given = {
            "images": images, "keypoints": keypoints, "visible": visible, "videos": videos,
            "masks": masks, "classes": classes,
        }  # fmt: skip
        arrays = {key: np.asarray(array) for key, array in given.items() if array is not None}
        count = len(arrays["images"])
        for key, array in arrays.items():
            arrays[key] = as_stored(key, array)
            check_array(f"{split} {key}", key, arrays[key], self.metadata, count, "correct the call of add")
        lines = [f"{split}-{len(self._sources.get(split, [])) + i}" for i in range(count)]
        lines = lines if sources is None else [" ".join(str(line).splitlines()) for line in sources]
        if len(lines) != count:
            raise PplkitError(f"{split} sources has {len(lines)} lines for {count} images; give one for each")
        if count == 0:
            return
        if split in self._arrays and self._arrays[split].keys() != arrays.keys():
            before, now = ", ".join(self._arrays[split]), ", ".join(arrays)
            raise PplkitError(f"{split} got {before} before and {now} now; give the same arrays in each call of add")
        try:
            if split not in self._arrays:
                (self._partial / split).mkdir()
                self._arrays[split] = {key: self._writer(split, key, array) for key, array in arrays.items()}
                self._sources[split] = []
            for key, array in arrays.items():
                self._arrays[split][key].append(array)
        except OSError as error:
            raise PplkitError(f"{self.out} cannot be written ({error}); {ROOM}") from error
        self._sources[split] += lines

    def drop(self, source: str, reason: str) -> None:
        """Note that `source` was left out, and why; dataset.json will say so."""
        self.metadata.dropped.append((source, reason))

    def _writer(self, split: str, key: str, array: np.ndarray) -> NpyWriter:
        row_bytes = max(1, array.itemsize * int(np.prod(array.shape[1:])))
        rows = max(1, self.shard_bytes // row_bytes) if key in SHARDED else None
        return NpyWriter(self._partial / split, key, array.dtype, array.shape[1:], rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            files = [file for arrays in self._arrays.values() for writer in arrays.values() for file in writer.close()]
            if kind is None:
                if not any(self._sources.values()):
                    raise PplkitError(f"no image was added to {self.out}; check that the source holds images")
                self._publish({file.relative_to(self._partial).as_posix(): file_hash(file) for file in files})
        except OSError as failed:
            if error is None:
                raise PplkitError(f"{self.out} cannot be written ({failed}); {ROOM}") from failed
        finally:
            settle(self._folder, self.out, self._lock)

    def _publish(self, hashes: dict[str, str]) -> None:
        for split, lines in self._sources.items():
            (self._partial / split / "sources.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf8")
        counts = {split: len(lines) for split, lines in self._sources.items()}
        content = {"schema": SCHEMA, **asdict(self.metadata), "splits": counts, "sha256": hashes}
        (self._partial / "dataset.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")
        self._check_free()  # again: another process may have finished meanwhile
        if self.out.exists():
            self.out.rename(self._folder / OLD)
        self._partial.rename(self.out)


def open_dataset(path: str | os.PathLike[str]) -> Dataset:
    """Open a prepared data set, images and masks memory-mapped.

    Raises PplkitError, naming the file, if one is missing or damaged, of another schema, or if a shape, type, count
    or coordinate is wrong.
    """
    path = Path(path)
    metadata, counts, hashes = read_description(path)
    splits = {}
    for split, count in counts.items():
        splits[split] = _read_split(path, split, sorted(hashes), count, metadata)
    lines = "".join(f"{name} {hashes[name]}\n" for name in sorted(hashes))
    sha256 = hashlib.sha256(lines.encode()).hexdigest()
    return Dataset(
        path=path, splits=splits, sha256=sha256, **{key.name: getattr(metadata, key.name) for key in fields(Metadata)}
    )


def read_description(path: Path) -> tuple[Metadata, dict[str, int], dict[str, str]]:
    """What dataset.json says: the metadata, the count of each split, the sha256 of each array file by name.

    Raises PplkitError if it is missing, of another schema, or not usable.
    """
    file = path / "dataset.json"
    if not path.is_dir():
        raise PplkitError(f"there is no folder {path}; correct the path or {AGAIN}")
    if not file.exists():
        raise PplkitError(f"{file} is missing, so this is not a data set; correct the path or {AGAIN}")
    content = read_json(file, AGAIN)
    if content.get("schema") != SCHEMA:
        raise PplkitError(f"{file} has schema {content.get('schema')}, this version reads schema {SCHEMA}; {AGAIN}")
    lacking = [name for name in (*(key.name for key in fields(Metadata)), "splits", "sha256") if name not in content]
    try:
        if lacking:
            raise PplkitError(f"the field {lacking[0]!r} is missing")
        metadata = Metadata(**{key.name: content[key.name] for key in fields(Metadata)})
        return metadata, *_checked(content["splits"], content["sha256"])
    except PplkitError as error:
        raise PplkitError(f"{file} is not usable: {error}; {AGAIN}") from error


def _checked(counts: Any, hashes: Any) -> tuple[dict[str, int], dict[str, str]]:
    """Counts of splits, and hashes of arrays by file; raises PplkitError for anything else."""
    for split, count in counts.items() if isinstance(counts, dict) else [("", None)]:
        if not SPLIT.fullmatch(split) or type(count) is not int or count < 1:
            raise PplkitError(f"splits has {split!r} of {count!r} images, which is no count by name")
    for name, digest in hashes.items() if isinstance(hashes, dict) else [("", "")]:
        if (array_of(name) or ("",))[0] not in counts or not isinstance(digest, str):
            raise PplkitError(f"sha256 names {name!r}, which is no array of a split")
    return counts, hashes


def read_sources(file: Path, count: int) -> list[str]:
    """The lines of sources.txt; raises PplkitError if there are not `count`."""
    if not file.exists():
        raise PplkitError(f"{file} is missing; {AGAIN}")
    sources = read_text(file, AGAIN).splitlines()
    if len(sources) != count:
        raise PplkitError(f"{file} has {len(sources)} lines, dataset.json counts {count} images; {AGAIN}")
    return sources


def _read_split(path: Path, split: str, names: Sequence[str], count: int, metadata: Metadata) -> Split:
    arrays: dict[str, np.ndarray | Shards | None] = dict.fromkeys(DTYPES)
    for key in DTYPES:
        files = [path / name for name in names if array_of(name) == (split, key)]
        if files:
            parts = [load_array(file, AGAIN, mapped=key in SHARDED) for file in files]
            for file, part in zip(files, parts, strict=True):
                check_array(str(file), key, part, metadata, None if key in SHARDED else count, AGAIN)
            arrays[key] = parts[0] if len(parts) == 1 else Shards(parts)
            if sum(map(len, parts)) != count:
                total = sum(map(len, parts))
                raise PplkitError(f"{files[-1]} ends at {total} rows, dataset.json counts {count}; {AGAIN}")
    if arrays["images"] is None:
        raise PplkitError(f"{path / split} has no images-00000.npy; {AGAIN}")
    sources = read_sources(path / split / "sources.txt", count)
    return Split(name=split, sources=sources, **arrays)  # type: ignore[arg-type]  # keys of DTYPES are its fields
