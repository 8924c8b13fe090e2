"""What holds for every file: what was written comes back, whatever it is called, and no text breaks its reader."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset
from pplkit.data.images import path_inside
from pplkit.data.schema import array_of
from pplkit.data.validation import faults, summary
from pplkit.data.writer import DatasetWriter
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.models.released_reader import read_state
from pplkit.training.run_folder import RunFolder

SEEDS = st.integers(0, 2**32 - 1)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=8,
)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@st.composite
def dataset(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, dict[str, Any]], int]:
    """The metadata of a data set, the arrays of its splits, and the bytes of its shards."""
    size, joints, rng = draw(st.integers(2, 6)), draw(st.integers(0, 3)), np.random.default_rng(draw(SEEDS))
    names = draw(st.lists(NAMES, min_size=joints, max_size=joints))
    classes = draw(st.lists(NAMES, min_size=1, max_size=3))
    metadata = {"name": draw(NAMES), "source": draw(NAMES), "options": draw(st.dictionaries(NAMES, JSON, max_size=2))}
    has = draw(st.fixed_dictionaries(dict.fromkeys(("keypoints", "videos", "masks", "classes"), st.booleans())))
    splits = {}
    for split in draw(st.lists(st.sampled_from(("train", "test", "größer 1.0")), min_size=1, max_size=3, unique=True)):
        count = draw(st.integers(1, 4))
        arrays = {
            "keypoints": rng.uniform(-2, 2, (count, joints, 2)).astype(np.float32),
            "videos": rng.integers(0, 3, count, dtype=np.int32),
            "masks": rng.integers(0, 256, (count, size, size), dtype=np.uint8),
            "classes": rng.integers(0, len(classes), count, dtype=np.int32),
        }
        splits[split] = {name: array for name, array in arrays.items() if has[name]}
        splits[split]["images"] = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        splits[split]["sources"] = draw(st.lists(NAMES, min_size=count, max_size=count))
    return (
        {**metadata, "size": size, "keypoint_names": names, "class_names": classes},
        splits,
        draw(st.integers(1, 500)),
    )


@given(dataset(), st.data())
def test_a_data_set_comes_back_and_a_bit_that_changed_is_seen(
    made: tuple[dict[str, Any], dict[str, dict[str, Any]], int], data: st.DataObject
) -> None:
    metadata, splits, shard = made
    with folder() as place:
        with DatasetWriter(place / "set", shard_bytes=shard, **metadata) as writer:
            for split, arrays in splits.items():
                writer.add(split, **arrays)
        result = open_dataset(place / "set")
        assert list(result.splits) == list(splits) and faults(place / "set") == []
        for name, value in metadata.items():
            assert getattr(result, name) == value
        for split, arrays in splits.items():
            assert result[split].sources == [" ".join(line.splitlines()) for line in arrays.pop("sources")]
            for name, array in arrays.items():
                np.testing.assert_array_equal(np.asarray(getattr(result[split], name)), array, strict=True)
        assert summary(result)
        file = data.draw(st.sampled_from(sorted((place / "set").rglob("*.npy"))))
        changed = bytearray(file.read_bytes())
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        file.write_bytes(changed)
        assert faults(place / "set") != []


class Named(nn.Module):
    """A module with parameters and buffers of any names and shapes."""

    def __init__(self, shapes: dict[str, list[int]], seed: int) -> None:
        super().__init__()
        for number, (name, shape) in enumerate(shapes.items()):
            value = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
            if number % 2:
                self.register_buffer(name, value)
            else:
                self.register_parameter(name, nn.Parameter(value))


SHAPES = st.dictionaries(
    st.text(st.characters(categories=["L", "Nd"]), min_size=1, max_size=8).map("w".__add__),
    st.lists(st.integers(0, 4), max_size=3),
    min_size=1,
    max_size=4,
)


@given(SHAPES, SEEDS, st.integers(0, 10**9), st.dictionaries(NAMES, JSON, max_size=2))
def test_a_checkpoint_comes_back(shapes: dict[str, list[int]], seed: int, step: int, made_by: dict[str, Any]) -> None:
    module = Named(shapes, seed)
    state = module.state_dict()
    with folder() as place:
        (place / "checkpoints").mkdir()
        file = RunFolder(place).save(step, module, None, made_by)
        result = RunFolder(place).last()
        assert (
            result is not None and result[:2] == (file, step) and set(result[2]) == {f"model.{name}" for name in state}
        )
        assert all(torch.equal(result[2][f"model.{name}"], value) for name, value in state.items())
        for new in (True, False):  # files of torch.save are read here without torch's reader
            torch.save(state, place / "state.pt", _use_new_zipfile_serialization=new)
            read = read_state(place / "state.pt").state
            assert list(read) == list(state) and all(torch.equal(read[name], state[name]) for name in state)


@given(SEEDS, st.integers(2, 6), st.dictionaries(NAMES, JSON, max_size=3))
def test_a_prior_comes_back(seed: int, count: int, made_by: dict[str, Any]) -> None:
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((count, count), np.float32), 1)
    prior = PosePrior(rng.uniform(-1, 1, (count, 2)).astype(np.float32), upper + upper.T, made_by)
    with folder() as place:
        result = PosePrior.load(prior.save(place / "ü.json"))
    np.testing.assert_allclose(result.keypoints, prior.keypoints, atol=1e-6)
    np.testing.assert_array_equal(result.connectivity, prior.connectivity)
    assert result.made_by == made_by and result.links() == prior.links()


PARTS = st.sampled_from(["..", ".", "a", "/", "\\", "C:", "\0", " ", "ü", "~"])


@given(st.lists(PARTS, min_size=1, max_size=6).map("".join))
def test_no_name_leads_out_of_a_folder(name: str) -> None:
    root = Path("/data/set")
    try:
        path = path_inside(root, name)
    except PplkitError:
        return
    assert path.resolve().is_relative_to(root) and "\0" not in name


@given(
    st.lists(st.sampled_from(["train", "..", "/", "images", "videos", "-00000", ".npy", "\n"]), max_size=6).map("".join)
)
def test_no_array_lies_outside_of_a_data_set(name: str) -> None:
    result = array_of(name)
    assert result is None or Path("/set", name) == Path("/set", result[0], Path(name).name)
