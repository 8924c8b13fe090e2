"""Pickles and archives that were made to harm: calls, bombs, loops, and ways out of a folder."""

import io
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from malformed_arrays import Spoil, long, raw
from malformed_pictures import PICTURES, VIDEOS

POSES = "S1/MyPoseFeatures/D2_Positions/Directions 1.54138969.cdf"
BOXES = "S1/MySegmentsMat/ground_truth_bb/Directions 1.54138969.mat"


def external(folder: Path) -> None:
    """A mask whose pixels lie in another file."""
    import h5py

    with h5py.File(folder / BOXES, "w") as file:
        cells = file.create_dataset("Masks", (12, 1), h5py.ref_dtype)
        outside = [(str(folder / "S1/Videos/Directions 1.54138969.mp4"), 0, 100)]
        cells[:, 0] = [file.create_dataset("a", (10, 10), np.uint8, external=outside).ref] * 12


def endless(folder: Path) -> None:
    """A mask of a terabyte that was never written."""
    import h5py

    with h5py.File(folder / BOXES, "w") as file:
        cells = file.create_dataset("Masks", (12, 1), h5py.ref_dtype)
        cells[:, 0] = [file.create_dataset("a", (10**6, 10**6), np.uint8, chunks=(1000, 1000)).ref] * 12


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def doubling(levels: int) -> list[Any]:
    """Lists that hold the one before twice."""
    found: list[Any] = []
    for _ in range(levels):
        found = [found, found]
    return found


def call(module: str, name: str, arguments: bytes) -> bytes:
    """Pickle's opcodes by hand: protocol 4, look a name up, call it with what is on the stack."""
    strings = b"".join(b"\x8c" + bytes([len(word)]) + word.encode() for word in (module, name))
    return b"\x80\x04" + strings + b"\x93" + arguments + b"R."


BOMBS: dict[str, bytes] = {
    "that calls": pickle.dumps(Calls(print, "ran")),
    "of lists in lists": pickle.dumps(doubling(60)),
    "of depth 100,000": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "of bytes that are not there": b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x.",
    "of a buffer that is not there": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.",
    "of an array of giants": call("numpy._core.multiarray", "_reconstruct", b")"),
    "of a frame longer than all": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
    "of another protocol": b"\x80\xff.",
    "that pops nothing": b"\x80\x020000.",
    "without end": b"\x80\x02" + b"(" * 1000,
}


def zipped(parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def tensor(size: str, stride: str, count: str = "I1\n", kind: bytes = b"FloatStorage") -> bytes:
    """The pickle of a state dict with one tensor, in the opcodes of protocol 2."""
    storage = b"(X\x07\x00\x00\x00storagectorch\n" + kind + b"\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
    storage += count.encode() + b"tQ"
    shape = f"({size}t({stride}t".encode()
    made = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00" + shape + b"\x89ccollections\nOrderedDict\n)RtR"
    return b"\x80\x02}X\x01\x00\x00\x00a" + made + b"s."


def checkpoint(tree: bytes, **more: bytes) -> bytes:
    """A file of torch.save with any pickle, and one number beside it."""
    return zipped({"a/data.pkl": tree, "a/data/0": bytes(4), **{f"a/{name}": part for name, part in more.items()}})


def module_in_itself(folder: Path) -> None:
    module = torch.nn.Sequential()
    module._modules["again"] = module
    torch.save(module, folder / "module.pt")


STATE = tensor("I1\n", "I1\n")
OLD = b"".join(pickle.dumps(one, 2) for one in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
GIANT = OLD + tensor("I1\n", "I1\n", f"L{2**40}L\n").replace(b"tQ", b"NtQ")
OFFICIAL: dict[str, Spoil] = {
    **{f"pickle {name}": raw("state.pt", checkpoint(content)) for name, content in BOMBS.items()},
    **{f"old pickle {name}": raw("old.pt", OLD + content) for name, content in BOMBS.items()},
    "tensor of giants": raw("state.pt", checkpoint(tensor(f"L{2**40}L\n", "I0\n"))),
    "tensor beyond its numbers": raw("state.pt", checkpoint(tensor("I1\n", "I1\n").replace(b"K\x00", b"K\x63"))),
    "tensor with steps back": raw("state.pt", checkpoint(tensor("I1\n", "I-1\n"))),
    "numbers that are not there": raw("state.pt", checkpoint(tensor("I1\n", "I1\n", "I9\n"))),
    "numbers of another kind": raw("state.pt", checkpoint(tensor("I1\n", "I1\n", kind=b"hub"))),
    "numbers in other order": raw("state.pt", checkpoint(STATE, byteorder=b"big")),
    "TorchScript": raw("state.pt", checkpoint(STATE, **{"constants.pkl": b""})),
    "compressed parts": raw("state.pt", zipped({"a/data.pkl": STATE, "a/data/0": bytes(4)}, zipfile.ZIP_DEFLATED)),
    "two pickles": raw("state.pt", zipped({"a/data.pkl": STATE, "b/data.pkl": STATE, "a/data/0": bytes(4)})),
    "no pickle": raw("state.pt", zipped({"a/data/0": bytes(4)})),
    "old numbers of giants": raw("old.pt", GIANT),
    "module in itself": module_in_itself,
    "empty dictionary": raw("state.pt", checkpoint(b"\x80\x02}.")),
    "longer than the disk": long("old.pt"),
}


def member(name: str, size: int = 0, content: bytes = b"", **fields: Any) -> Spoil:
    """An archive with a member of any kind; one longer than it is, if told so."""

    def spoil(folder: Path) -> None:
        part = tarfile.TarInfo(name)
        part.size = size
        for field, value in fields.items():
            setattr(part, field, value)
        (folder / "a.tgz").write_bytes(part.tobuf() + content.ljust(-(-len(content) // 512) * 512, b"\0") + bytes(1024))

    return spoil


ARCHIVES = {
    "a way up": member("../evil", 4, b"evil"),
    "a way from the root": member("/tmp/pplkit-evil", 4, b"evil"),
    "a link": member("a", type=tarfile.SYMTYPE, linkname="/etc"),
    "a hard link": member("a", type=tarfile.LNKTYPE, linkname="../../set"),
    "a pipe": member("a", type=tarfile.FIFOTYPE),
    "a device": member("a", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "a file of a terabyte": member("a", 2**40, b"x"),
}
BINARY: dict[str, dict[str, Spoil]] = {
    "CDF and HDF5": {
        "mask in another file": external,
        "mask of a terabyte": endless,
        "longer than it says": long(POSES, 10**9),
    },
    "official": OFFICIAL,
    "archive": ARCHIVES,
    "picture": PICTURES,
    "video": VIDEOS,
}
