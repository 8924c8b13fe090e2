"""Morph targets of glTF files, written by the kit and by hand."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from solids import bent, sheet

from pplkit.core.errors import PplkitError
from pplkit.data.gltf_frames import read_morph_frames
from pplkit.data.mesh_writers import write_gltf
from pplkit.data.meshes import read_sequence

REST, FACES = sheet()


def test_what_the_kit_writes_comes_back(tmp_path: Path) -> None:
    poses = np.stack([bent(REST), 2 * REST, REST])
    file = write_gltf(tmp_path / "a.glb", REST, FACES, poses)
    found = read_morph_frames(file)
    assert found is not None
    rest, faces, frames = found
    assert rest == pytest.approx(REST, abs=1e-6) and np.array_equal(faces, FACES)
    assert frames == pytest.approx(poses, abs=1e-6)
    assert read_sequence(file).poses == pytest.approx(poses, abs=1e-6)
    trimesh.Trimesh(REST, FACES, process=False).export(tmp_path / "still.glb")
    assert read_morph_frames(tmp_path / "still.glb") is None
    assert read_sequence(tmp_path / "still.glb").poses == pytest.approx(REST[None], abs=1e-6)


def by_hand(path: Path, **changes: object) -> Path:
    """A triangle, a sparse target that lifts vertex 2 by 1, weights 0 and 0.5 with tangents, below a turned node."""
    parts = [
        np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4"), np.array([2], "<u2"), np.array([[0, 0, 1]], "<f4"),
        np.array([0, 1], "<f4"), np.array([9, 0, 9, 9, 0.5, 9], "<f4"),
    ]  # fmt: skip
    content, views = b"", []
    for part in parts:
        views.append({"buffer": 0, "byteOffset": len(content), "byteLength": part.nbytes})
        content += part.tobytes() + b"\0" * (-part.nbytes % 4)
    sparse = {"count": 1, "indices": {"bufferView": 1, "componentType": 5123}, "values": {"bufferView": 2}}
    turned = [0, np.sin(np.pi / 4), 0, np.cos(np.pi / 4)]  # a quarter about y: z becomes x
    document = {
        "buffers": [{"uri": "data:application/octet-stream;base64," + base64.b64encode(content).decode()}],
        "bufferViews": views,
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
            {"componentType": 5126, "count": 3, "type": "VEC3", "sparse": sparse},
            {"bufferView": 3, "componentType": 5126, "count": 2, "type": "SCALAR"},
            {"bufferView": 4, "componentType": 5126, "count": 6, "type": "SCALAR"},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "targets": [{"POSITION": 1}]}]}],
        "nodes": [{"children": [1], "rotation": turned}, {"mesh": 0, "translation": [0, 0, 1], "scale": [2, 2, 2]}],
        "animations": [
            {
                "channels": [{"sampler": 0, "target": {"node": 1, "path": "weights"}}],
                "samplers": [{"input": 2, "output": 3, "interpolation": "CUBICSPLINE"}],
            }
        ],
    }
    path.write_text(json.dumps(document | changes))
    return path


def test_sparse_targets_cubic_weights_and_nested_nodes_by_hand(tmp_path: Path) -> None:
    found = read_morph_frames(by_hand(tmp_path / "a.gltf"))
    assert found is not None and found[1].tolist() == [[0, 1, 2]]
    # Twice as large, one towards z, then z is x and x is -z.
    assert found[0] == pytest.approx(np.array([[1, 0, 0], [1, 0, -2], [1, 2, 0]]), abs=1e-6)
    assert found[2][0] == pytest.approx(found[0])
    assert found[2][1] - found[0] == pytest.approx(np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0]]), abs=1e-6)
    alone = read_morph_frames(by_hand(tmp_path / "b.gltf", animations=[]))
    assert alone is not None and alone[2][0, 2] - alone[0][2] == pytest.approx([2, 0, 0], abs=1e-6)


def test_damaged_files_and_several_meshes_give_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_bytes(b"glTF and nothing else")
    with pytest.raises(PplkitError, match=r"a.glb is cut off or no glTF file .*: export it again with its morph"):
        read_morph_frames(tmp_path / "a.glb")
    two = [{"mesh": 0}, {"mesh": 0}]
    with pytest.raises(PplkitError, match="has 2 meshes with morph targets: export one of them alone"):
        read_morph_frames(by_hand(tmp_path / "b.gltf", nodes=two))
