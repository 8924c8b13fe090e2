"""Files of tensors: each altered byte is noticed, whatever it is; what earlier versions wrote still loads."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pplkit.core.errors import PplkitError
from pplkit.training import checkpoint as checkpoints
from pplkit.training.checkpoint import TRAINING, Damaged, read, read_checkpoint, write

ABOUT = {"schema": TRAINING[0], "step": "7", "made_by": json.dumps({"data_sha256": "ab"}), "state": '{"good": true}'}
TENSORS = {"model.a": torch.tensor([0.5, -3.0]), "optimiser.step.a": torch.tensor(2.0)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "step-00000007.safetensors"
    write(path, TENSORS, ABOUT)
    return path


def test_it_gives_back_what_it_was_given_and_is_what_others_can_read(file: Path) -> None:
    result = read_checkpoint(file)
    assert (result.step, result.state, result.made_by) == (7, {"good": True}, {"data_sha256": "ab"})
    assert result.tensors.keys() == TENSORS.keys() == load_file(file).keys()
    assert all(torch.equal(result.tensors[name], value) for name, value in TENSORS.items())
    assert list(file.parent.iterdir()) == [file]


def test_each_altered_byte_is_noticed(file: Path) -> None:
    """Every byte of the file, with one bit turned, and with another digit or letter."""
    content = file.read_bytes()
    rng, unnoticed = random.Random(0), []
    for place in range(len(content)):
        for value in {content[place] ^ 1 << rng.randrange(8), rng.choice(b"0123abcd ,:")}:
            if value == content[place]:
                continue
            file.write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
            try:
                read_checkpoint(file)
                unnoticed.append((place, value))
            except Damaged as error:
                assert "\n" not in str(error) and "step-00000007.safetensors cannot be read" in str(error)
    assert unnoticed == [] and len(content) > 300


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, 300, -1])
def test_a_file_cut_short_or_grown_is_noticed(file: Path, length: int) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:length])
    with pytest.raises(Damaged, match="cannot be read"):
        read_checkpoint(file)
    file.write_bytes(content + b"\0" * (length % 9 + 1))
    with pytest.raises(Damaged, match="cannot be read"):
        read_checkpoint(file)


def header(text: bytes, length: int | None = None) -> bytes:
    return (len(text) if length is None else length).to_bytes(8, "little") + text


def said(metadata: Any, **entries: Any) -> bytes:
    return header(json.dumps({"__metadata__": metadata, **entries}).encode())


@pytest.mark.parametrize(
    "content",
    [
        header(b"{}", 2**63),
        header(b"{}", 2**40),
        header(b"{}") + b"\0" * 100,
        header(b"[" * 100_000),
        header(b"null"),
        header(b"[1]"),
        said(3),
        said({"schema": 3}),
        said({"schema": "pplkit-checkpoint-2"}),
        said({"schema": "pplkit-checkpoint-2", "checksum": "x"}),
        said({"schema": "pplkit-checkpoint-2", "checksum": "0" * 64}),
        said({"schema": "pplkit-checkpoint-1"}, a=1),
        said({"schema": "pplkit-checkpoint-1", "step": "x"}),
        said({"schema": "pplkit-checkpoint-1", "step": "1", "state": "[["}),
        said({"schema": "pplkit-checkpoint-1", "step": "1", "state": "[1]"}),
        said({"schema": "pplkit-checkpoint-1", "step": "1"}, a={"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}),
        said({"schema": "pplkit-checkpoint-1", "step": "1"}, a={"dtype": "F99", "shape": [], "data_offsets": [0, 0]}),
        header(b"\xff\xfe\x00") * 3,
        b"PK\x03\x04" + b"\0" * 100,
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_named_in_one_sentence(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(Damaged, match=r"step-00000007.safetensors cannot be read") as error:
        read_checkpoint(file)
    assert "\n" not in str(error.value)


def test_a_folder_or_nothing_is_named(file: Path) -> None:
    for path, said in ((file.parent, "is not a file"), (file.with_name("none"), "does not exist")):
        with pytest.raises(Damaged, match=f"{path.name} {said}: "):
            read_checkpoint(path)


def test_what_earlier_versions_wrote_still_loads(file: Path) -> None:
    save_file(TENSORS, file, {"schema": "pplkit-checkpoint-1", "step": "9", "made_by": '{"data": "x"}'})
    result = read_checkpoint(file)
    assert (result.step, result.state, result.made_by) == (9, {}, {"data": "x"})
    assert torch.equal(result.tensors["model.a"], TENSORS["model.a"])


def test_other_versions_are_told_from_damage(file: Path) -> None:
    write(file, TENSORS, {**ABOUT, "schema": "pplkit-checkpoint-3"})
    with pytest.raises(PplkitError, match=r"another version \('pplkit-checkpoint-3', this one reads") as error:
        read(file, TRAINING, "go")
    assert not isinstance(error.value, Damaged)


def test_what_the_disk_makes_of_it_is_noticed_before_it_counts(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that says it has written and has not: the file before stays."""
    before, whole = file.read_bytes(), checkpoints._check

    def spoilt(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        whole(path)

    monkeypatch.setattr(checkpoints, "_check", spoilt)
    with pytest.raises(PplkitError, match="read again, it is not what was written"):
        write(file, TENSORS, ABOUT)
    assert file.read_bytes() == before and list(file.parent.iterdir()) == [file]
