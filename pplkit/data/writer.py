"""Prepared data sets, written whole or not at all."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from pplkit.core.errors import PplkitError, reason
from pplkit.core.words import quantity
from pplkit.data.npy_shards import NpyWriter, file_hash
from pplkit.data.schema import SCHEMA, SHARDED, SPLIT_NAME, Metadata, as_stored, check_array
from pplkit.data.staging import NEW, OLD, begin, clear_up, settle

SHARD_BYTES = 2**30
DARK = 26  # of 255: a tenth of the range


class DatasetWriter:
    """Write a data set, which appears at `out` when the `with` block ends, and not at all if the block raises.

    What a killed writer of `out` left beside it is removed first; a data set that it was replacing is put back.

    Args:
        out: the folder, new or empty.
        overwrite: whether to replace a data set; no other folder is ever replaced.
        shard_bytes: the largest file of images or masks.
        metadata: the fields of `schema.Metadata`.

    Raises:
        PplkitError: if `out` is in use or cannot be written, or a field is wrong.
    """

    def __init__(
        self, out: str | os.PathLike[str], *, overwrite: bool = False, shard_bytes: int = SHARD_BYTES, **metadata: Any
    ) -> None:
        self.metadata = Metadata(**metadata)
        self.out = Path(out).absolute()
        self.shard_bytes = shard_bytes
        self.overwrite = overwrite
        clear_up(self.out)
        self._check_free()
        self._arrays: dict[str, dict[str, NpyWriter]] = {}
        self._sources: dict[str, list[str]] = {}
        self._brightest = 0  # value of all images

    def __enter__(self) -> Self:
        try:
            self._folder, self._lock = begin(self.out)
        except OSError as error:
            raise PplkitError(f"{self.out} cannot be written ({reason(error)}); choose a folder that can") from error
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

        Raises PplkitError for a wrong shape, type or value, and if earlier calls gave the split other arrays.
        """
        if not SPLIT_NAME.fullmatch(split):
            raise PplkitError(f"split {split!r} cannot name a folder; use letters, digits, spaces, - _ and . only")
        optional = {"keypoints": keypoints, "visible": visible, "videos": videos, "masks": masks, "classes": classes}
        arrays = {"images": np.asarray(images)}
        arrays |= {key: as_stored(key, np.asarray(array)) for key, array in optional.items() if array is not None}
        count = len(images)
        for key, array in arrays.items():
            check_array(f"{split} {key}", key, array, self.metadata, count, "correct the call of add")
        if sources is None:
            first = len(self._sources.get(split, []))
            sources = [f"{split}-{number}" for number in range(first, first + count)]
        if len(sources) != count:
            lines = quantity(len(sources), "line")
            raise PplkitError(f"{split} sources has {lines} for {quantity(count, 'image')}; give one for each")
        if count == 0:
            return
        if split in self._arrays and self._arrays[split].keys() != arrays.keys():
            before, now = ", ".join(self._arrays[split]), ", ".join(arrays)
            raise PplkitError(f"{split} got {before} before and {now} now; give the same arrays in each call of add")
        self._brightest = max(self._brightest, int(arrays["images"].max()))
        try:
            if split not in self._arrays:
                (self._partial / split).mkdir()
                self._arrays[split] = {key: self._array_writer(split, key, array) for key, array in arrays.items()}
            for key, array in arrays.items():
                self._arrays[split][key].append(array)
        except OSError as error:
            raise self._write_error(error) from error
        self._sources.setdefault(split, []).extend(" ".join(str(line).splitlines()) for line in sources)

    def drop(self, source: str, reason: str) -> None:
        """Note in dataset.json that `source` was left out, and why."""
        self.metadata.dropped.append((source, reason))

    def _array_writer(self, split: str, key: str, array: np.ndarray) -> NpyWriter:
        row_bytes = max(1, array.itemsize * int(np.prod(array.shape[1:])))
        rows = max(1, self.shard_bytes // row_bytes) if key in SHARDED else None
        return NpyWriter(self._partial / split, key, array.dtype, array.shape[1:], rows)

    def _write_error(self, error: OSError) -> PplkitError:
        return PplkitError(
            f"{self.out} cannot be written ({reason(error)}); free some space or choose another folder; "
            "nothing was changed"
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            files = [file for arrays in self._arrays.values() for writer in arrays.values() for file in writer.close()]
            if kind is None:
                if not self._sources:
                    raise PplkitError(f"no image was added to {self.out}; check that the source holds images")
                if self._brightest < DARK:
                    print(
                        f"data_prep: the brightest value of all images is {self._brightest} of 255: they are nearly "
                        "black. Scale images of 12 bits in files of 16 to all 16 bits first, or light them up.",
                        file=sys.stderr, flush=True,
                    )  # fmt: skip
                self._publish({file.relative_to(self._partial).as_posix(): file_hash(file) for file in files})
        except OSError as os_error:
            if error is None:
                raise self._write_error(os_error) from os_error
        finally:
            settle(self._folder, self.out, self._lock)

    def _publish(self, hashes: dict[str, str]) -> None:
        for split, lines in self._sources.items():
            text = "".join(f"{line}\n" for line in lines)
            (self._partial / split / "sources.txt").write_text(text, encoding="utf8", errors="replace")
        counts = {split: len(lines) for split, lines in self._sources.items()}
        content = {"schema": SCHEMA, **asdict(self.metadata), "splits": counts, "sha256": hashes}
        (self._partial / "dataset.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")
        self._check_free()  # again: another process may have finished meanwhile
        if self.out.exists():
            self.out.rename(self._folder / OLD)
        self._partial.rename(self.out)
