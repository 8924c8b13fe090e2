"""Data sets and tensors that were made to harm: shapes beyond all memory, headers of brackets, ways out of a folder."""

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.training.checkpoint import EMPTY

Spoil = Callable[[Path], object]
DEEP = "[" * 100_000
HUGE = 10**400


def text(file: str, content: str, encoding: str = "utf8") -> Spoil:
    return lambda folder: (folder / file).write_text(content, encoding=encoding)


def raw(file: str, content: bytes) -> Spoil:
    return lambda folder: (folder / file).write_bytes(content)


def long(file: str, size: int = 10**11) -> Spoil:
    """The file, with a hole at its end that is never written to the disk."""

    def spoil(folder: Path) -> None:
        with (folder / file).open("r+b") as stream:
            stream.truncate(size)

    return spoil


def repeated(file: str, start: str, part: str, times: int, end: str = "") -> Spoil:
    """A long text, which is made when it is needed."""
    return lambda folder: (folder / file).write_text(start + part * times + end)


def fields(file: str, *place: str, **changes: Any) -> Spoil:
    """A JSON file with other values, of the object at a place in it."""

    def spoil(folder: Path) -> None:
        content = json.loads((folder / file).read_text())
        inside = content
        for key in place:
            inside = inside[key]
        inside.update(changes)
        (folder / file).write_text(json.dumps(content))

    return spoil


def each(file: str, *place: str, **changes: list[Any]) -> dict[str, Spoil]:
    """A case for each value of each field."""
    return {
        f"{file}: {name} = {str(value)[:30]}": fields(file, *place, **{name: value})
        for name, values in changes.items()
        for value in values
    }


def npy(header: str, content: bytes = b"", version: bytes = b"\x01\x00", length: int | None = None) -> bytes:
    """A .npy file with any header."""
    head = header.encode("latin1").ljust(118) + b"\n"
    count = len(head) if length is None else length
    return b"\x93NUMPY" + version + struct.pack("<H" if version == b"\x01\x00" else "<I", count) + head + content


def shaped(shape: str, kind: str = "|u1", fortran: bool = False) -> bytes:
    return npy(f"{{'descr': {kind!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}", bytes(576))


def safetensors(header: Any, content: bytes = b"", length: int | None = None) -> bytes:
    """A file of safetensors with any header."""
    head = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(head) if length is None else length) + head + content


def sealed(header: dict[str, Any], content: bytes) -> bytes:
    """The same with the checksum that it has now, if it had one, so that more than the checksum is tried."""
    about = header.get("__metadata__")
    if not isinstance(about, dict) or "checksum" not in about:
        return safetensors(header, content)
    whole = safetensors({**header, "__metadata__": {**about, "checksum": EMPTY}}, content)
    return whole.replace(EMPTY.encode(), hashlib.sha256(whole).hexdigest().encode(), 1)


def parts(file: Path) -> tuple[dict[str, Any], bytes]:
    """Header and content of a sound file of safetensors."""
    whole = file.read_bytes()
    end = 8 + struct.unpack("<Q", whole[:8])[0]
    return json.loads(whole[8:end]), whole[end:]


def tensors(file: str, change: Callable[[dict[str, Any]], object]) -> Spoil:
    """The same tensors with a changed header."""

    def spoil(folder: Path) -> None:
        header, content = parts(folder / file)
        change(header)
        (folder / file).write_bytes(sealed(header, content))

    return spoil


def headed(file: str, header: dict[str, Any], content: bytes = b"") -> Spoil:
    """Other tensors under the file's own metadata."""

    def spoil(folder: Path) -> None:
        about = parts(folder / file)[0]["__metadata__"]
        (folder / file).write_bytes(sealed({"__metadata__": about, **header}, content))

    return spoil


IMAGES, POINTS = "set/train/images-00000.npy", "set/train/keypoints.npy"
ARRAYS: dict[str, bytes] = {
    "of giants": shaped(f"({2**62}, 8, 8, 3)"),
    "of a terabyte": shaped(f"({2**34}, 8, 8, 3)"),
    "beyond all numbers": shaped(f"({10**30}, 8, 8, 3)"),
    "of less than nothing": shaped("(-3, 8, 8, 3)"),
    "of two times nothing less": shaped("(-3, -8, 8, 3)"),
    "of truths": shaped("(True, 8, 8, 3)"),
    "of a thousand axes": shaped("(1, " * 1 + "1, " * 40 + ")"),
    "of no axis": shaped("()"),
    "of text": shaped("'many'"),
    "by columns": shaped("(3, 8, 8, 3)", fortran=True),
    "of objects": shaped("(3,)", "|O"),
    "of long words": shaped("(3,)", "<U1000000000"),
    "of records": npy("{'descr': [('a', '<i4'), ('b', '|O')], 'fortran_order': False, 'shape': (3,), }"),
    "of no type": shaped("(3,)", "nonsense"),
    "with a header of brackets": npy("(" * 9000),
    "with a header of minuses": npy("-" * 9000),
    "with a header of a call": npy("__import__('os').system('true')"),
    "with half a text in it": npy("{'descr': '''"),
    "with a header too short": npy("{}"),
    "with a header longer than all": npy("{}", version=b"\x02\x00", length=2**32 - 1),
    "of version 9": npy("{}", version=b"\x09\x00"),
}
DATASET: dict[str, Spoil] = {
    **{f"array {name}": raw(IMAGES, content) for name, content in ARRAYS.items()},
    **{f"points {name}": raw(POINTS, content) for name, content in ARRAYS.items()},
    "longer than the disk": long(IMAGES),
    "a description longer than the disk": long("set/dataset.json"),
    "archive in its place": lambda f: np.savez((f / IMAGES).open("wb"), a=np.zeros(3)),
    "objects pickled": lambda f: np.save(f / POINTS, np.array([{}], object), allow_pickle=True),
    "points infinitely far": lambda f: np.save(f / POINTS, np.full((3, 2, 2), np.inf, np.float32)),
    "points the other way round": lambda f: np.save(f / POINTS, np.zeros((3, 2, 2), ">f4")),
    "videos below 0": lambda f: np.save(f / "set/train/videos.npy", np.full(3, -1, np.int32)),
    "classes beyond all": lambda f: np.save(f / "set/train/classes.npy", np.full(3, 2, np.int32)),
    "sources of other letters": raw("set/train/sources.txt", b"\xff\n\xfe\n\xe4\n"),
    "JSON of depth 100,000": text("set/dataset.json", DEEP),
    "JSON of objects in objects": text("set/dataset.json", '{"a":' * 100_000),
    "JSON of millions of lists": text("set/dataset.json", "[" + "[]," * 5_000_000 + "0]"),
    "JSON with a number of a million digits": text("set/dataset.json", '{"schema": ' + "9" * 10**6 + "}"),
    "JSON that is a list": text("set/dataset.json", "[2]"),
    **each(
        "set/dataset.json", size=[10**30, "8", 8.0, True, None, -8], name=[5, None, "\ud800"], options=[[], 5],
        splits=[{"../x": 3}, {"train": -1}, {"train": 10**12}, {"train": "3"}, {"train": True}, [], 5, {"": 3}],
        sha256=[[], {"../set/train/videos.npy": ""}, {"/dev/zero": ""}, {"train/../../x.npy": ""}, {"train/images": 5}],
        keypoint_names=[5, [1], "ab", {}, ["a\ud800", "b"]], class_names=[5, None, [[]], "x"], groups=[[], {"a": 5}],
        skeleton=[[[0, HUGE]], [[0]], 5, [["a", "b"]], [[0, 1.5]], [[0, -1]], {"a": 1}], schema=[1, None, [], "2"],
        dropped=[[1], "ab", 5, [[1]]], flip_pairs=[[[0, 2]], None], protocol=[[], None, "x" * 10**5], source=[None],
    ),
}  # fmt: skip
STEP = "run/checkpoints/step-00000001.safetensors"
TENSOR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
HEADERS: dict[str, bytes] = {
    "no header": safetensors(b""),
    "header of all memory": safetensors(b"{}", length=2**63),
    "header of a hundred million": safetensors(b"{}", length=10**8),
    "header that is no JSON": safetensors(b"{}}"),
    "header of depth 100,000": safetensors(DEEP.encode()),
    "header of five million lists": safetensors(b'{"a":[' + b"[]," * 5_500_000 + b"0]}"),
    "of nobody": safetensors({"a": TENSOR}, bytes(4)),
}
TENSORS: dict[str, tuple[dict[str, Any], bytes]] = {
    "header of numbers": ({"a": 5}, b""),
    "tensor of giants": ({"a": {**TENSOR, "shape": [2**40]}}, bytes(4)),
    "tensor beyond all numbers": ({"a": {**TENSOR, "shape": [2**62, 2**62]}}, bytes(4)),
    "nothing times giants": ({"a": {**TENSOR, "shape": [0, 2**63], "data_offsets": [0, 0]}}, b""),
    "tensors over each other": ({"a": TENSOR, "b": TENSOR}, bytes(4)),
    "hole between tensors": ({"a": TENSOR, "b": {**TENSOR, "data_offsets": [8, 12]}}, bytes(12)),
    "offsets the wrong way": ({"a": {**TENSOR, "data_offsets": [4, 0]}}, bytes(4)),
    "offsets below 0": ({"a": {**TENSOR, "data_offsets": [-4, 0]}}, bytes(4)),
    "unknown type": ({"a": {**TENSOR, "dtype": "F31"}}, bytes(4)),
    "type of four bits": ({"a": {**TENSOR, "dtype": "F4", "shape": [8]}}, bytes(4)),
    "sound, of another model": ({"a": TENSOR}, bytes(4)),
}


def about(file: str, **changes: Any) -> Spoil:
    """Other metadata beside the same tensors."""
    return tensors(file, lambda header: header["__metadata__"].update(changes))


def first(file: str, **changes: Any) -> Spoil:
    """Other words about the first tensor."""
    return tensors(file, lambda header: header[next(name for name in header if name[0] != "_")].update(changes))


def more(file: str, **fields: Any) -> Spoil:
    return tensors(file, lambda header: header.update(more={"dtype": "F32", **fields}))


def renamed(file: str) -> Spoil:
    return tensors(file, lambda header: header.update({"x": header.pop(next(n for n in header if n[0] != "_"))}))


def steps(file: str, key: str) -> dict[str, Spoil]:
    """Cases of a file of tensors whose metadata has a number of steps under `key`."""
    return {
        "steps that are none": about(file, **{key: "many"}),
        "steps of 5,000 digits": about(file, **{key: "9" * 5000}),
    }


def weights(file: str) -> dict[str, Spoil]:
    """Cases of any file of tensors of the kit."""
    return {
        **{name: raw(file, content) for name, content in HEADERS.items()},
        **{name: headed(file, *content) for name, content in TENSORS.items()},
        "longer than the disk": long(file),
        "metadata of another kind": tensors(file, lambda header: header.update(__metadata__=5)),
        "no metadata": tensors(file, lambda header: header.pop("__metadata__")),
        "metadata of numbers": about(file, more=5),
        "another version": about(file, schema="pplkit-0"),
        "another shape": first(file, shape=[1, 1]),
        "a tensor of nothing": first(file, shape=[0], data_offsets=[0, 0]),
        "shape beyond all numbers": first(file, shape=[2**62, 2**62]),
        "type of another length": first(file, dtype="I8"),
        "one more, of nothing times giants": more(file, shape=[0, 2**63], data_offsets=[0, 0]),
        "one more, over another": more(file, shape=[1], data_offsets=[0, 4]),
        "another name": renamed(file),
    }
