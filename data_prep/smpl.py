"""The body model SMPL (Loper et al., 2015) from its .npz file: meshes from the rotations of its joints.

The model itself is licensed to each user by its makers; the kit ships no part of it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from data_prep.common.numpy_pickle import read_objects
from pplkit.core.errors import PplkitError
from pplkit.data.mesh_sets import PosedMesh
from pplkit.data.meshes import checked_mesh
from pplkit.geometry.kinematics import forward_kinematics

ARRAYS = ("v_template", "f", "weights", "kintree_table", "J_regressor", "posedirs", "shapedirs")
GET = "get SMPL as .npz from its makers"


@dataclass(frozen=True, eq=False)
class BodyModel:
    """A body of average shape with J joints.

    Attributes:
        vertices: (V, 3) at rest, arms spread.
        faces: (F, 3).
        weights: (V, J) of linear blend skinning.
        parents: for each joint its parent, -1 for the first.
        joints: (J, 3) at rest.
        pose_shapes: (V, 3, 9 (J - 1)) corrections, linear in the rotations minus the identity.
        source: the file.
    """

    vertices: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    parents: tuple[int, ...]
    joints: np.ndarray
    pose_shapes: np.ndarray
    source: str

    def posed(self, rotations: np.ndarray) -> np.ndarray:
        """Vertices (N, V, 3) for axis-angle rotations (N, 3 J) of the joints against their parents, in radians."""
        count = len(self.parents)
        matrices = Rotation.from_rotvec(rotations.reshape(-1, 3)).as_matrix().reshape(-1, count, 3, 3)
        bends = (matrices[:, 1:] - np.eye(3)).reshape(len(matrices), -1)
        shaped = self.vertices + np.einsum("vdk,nk->nvd", self.pose_shapes, bends)
        offsets = self.joints - self.joints[np.maximum(self.parents, 0)]
        places, turns = forward_kinematics(
            matrices, offsets, np.broadcast_to(self.joints[0], (len(matrices), 3)), self.parents
        )
        shifts = places - (turns @ self.joints[..., None])[..., 0]
        blended = np.einsum("vj,njab->nvab", self.weights, turns)
        return (blended @ shaped[..., None])[..., 0] + np.einsum("vj,nja->nva", self.weights, shifts)

    def posed_set(self, rotations: np.ndarray, count: int, source: str) -> PosedMesh:
        """`count` poses spread evenly over rotations (N, 3 J or more), of which the first joints count.

        The first joint's rotation is left out: a data set of poses needs no directions of walking. AMASS goes on with
        fingers where SMPL has two hands; those stay as they are at rest. Raises PplkitError for fewer numbers.
        """
        joints = len(self.parents)
        if rotations.ndim != 2 or not len(rotations) or rotations.shape[1] < 3 * min(joints, 22):
            raise PplkitError(f"{source} has poses of the shape {rotations.shape}: give (N, {3 * joints}) or more.")
        frames = np.unique(np.linspace(0, len(rotations) - 1, min(count, len(rotations))).round().astype(int))
        chosen = np.zeros((len(frames), 3 * joints))
        end = 3 * min(joints, 22) if rotations.shape[1] != 3 * joints else 3 * joints
        chosen[:, 3:end] = rotations[frames, 3:end]
        mesh = checked_mesh(self.vertices, self.faces, self.source)
        return PosedMesh(mesh, self.posed(chosen))


def read_body_model(path: Path) -> BodyModel:
    """The body model in an .npz file with SMPL's names. Raises PplkitError for any other file; nothing in it is run."""
    content = read_objects(path, ARRAYS, GET)
    if missing := [name for name in ARRAYS[:5] if name not in content]:
        raise PplkitError(f"{path} lacks {', '.join(missing)}: {GET}.")
    arrays = {name: np.asarray(value, np.float64) for name, value in content.items()}
    vertices, weights, regressor = arrays["v_template"], arrays["weights"], arrays["J_regressor"]
    joints = weights.shape[-1]
    shapes = (vertices.shape, weights.shape, regressor.shape, arrays["kintree_table"].shape)
    if shapes != ((len(vertices), 3), (len(vertices), joints), (joints, len(vertices)), (2, joints)):
        raise PplkitError(f"{path} has arrays of the shapes {shapes}, which do not go together: {GET}.")
    parents = tuple(int(parent) if parent < joints else -1 for parent in arrays["kintree_table"][0])
    corrections = arrays.get("posedirs", np.zeros((*vertices.shape, 9 * (joints - 1))))
    return BodyModel(
        vertices, arrays["f"].astype(np.int64), weights, (-1, *parents[1:]), regressor @ vertices,
        corrections.reshape(len(vertices), 3, -1), str(path),
    )  # fmt: skip
