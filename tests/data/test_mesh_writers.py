"""What is written is read back: by this package, by trimesh, and byte by byte for morph targets."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
from solids import bent, sheet

from pplkit.data.mesh_writers import write_gltf, write_obj
from pplkit.data.meshes import read_mesh


def test_obj_keeps_every_digit(tmp_path: Path) -> None:
    points, faces = sheet()
    mesh = read_mesh(write_obj(tmp_path / "a.obj", bent(points), faces))
    assert np.array_equal(mesh.vertices, bent(points)) and np.array_equal(mesh.faces, faces)


def test_gltf_has_a_morph_target_for_each_frame(tmp_path: Path) -> None:
    points, faces = sheet()
    poses = np.stack([points, bent(points), 2 * points])
    path = write_gltf(tmp_path / "a.glb", points, faces, poses, fps=10, name="body")
    assert trimesh.load_mesh(path, process=False).vertices == pytest.approx(points, abs=1e-6)
    content = path.read_bytes()
    magic, version, total, length, kind = struct.unpack("<4sIII4s", content[:20])
    assert (magic, version, total, kind) == (b"glTF", 2, len(content), b"JSON")
    document = json.loads(content[20 : 20 + length])
    binary = content[28 + length :]
    assert document["buffers"][0]["byteLength"] == len(binary)

    def values(number: int) -> np.ndarray:
        accessor = document["accessors"][number]
        view = document["bufferViews"][accessor["bufferView"]]
        assert view["byteOffset"] % 4 == 0
        part = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
        columns = {"SCALAR": 1, "VEC3": 3}[accessor["type"]]
        array = np.frombuffer(part, {5126: "<f4", 5125: "<u4"}[accessor["componentType"]]).reshape(-1, columns)
        assert len(array) == accessor["count"]
        if "min" in accessor:
            assert accessor["min"] == pytest.approx(array.min(0)) and accessor["max"] == pytest.approx(array.max(0))
        return array

    primitive = document["meshes"][0]["primitives"][0]
    assert values(primitive["indices"]).reshape(-1, 3).tolist() == faces.tolist()
    moves = [values(target["POSITION"]) for target in primitive["targets"]]
    assert points + np.stack(moves) == pytest.approx(poses, abs=1e-6)
    (sampler,), (channel,) = document["animations"][0]["samplers"], document["animations"][0]["channels"]
    assert channel["target"] == {"node": 0, "path": "weights"}
    assert values(sampler["input"]).ravel().tolist() == pytest.approx([0, 0.1, 0.2])
    assert values(sampler["output"]).reshape(3, 3).tolist() == np.eye(3).tolist()
