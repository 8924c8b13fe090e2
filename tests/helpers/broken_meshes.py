"""Files that are no mesh: name, content, and what the message says."""

import numpy as np

CORNERS = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 0.5 2 0\nv 9 9 9\n"
BROKEN = {
    "empty": ("a.obj", b"", "has 0 bytes, no mesh"),
    "cut off within a vertex": ("a.obj", b"v 0 0 0\nv 1 0", "line 2 is no vertex or face of an OBJ file"),
    "cut off within a face": ("a.obj", CORNERS.encode() + b"f 1 2", "line 7 is no vertex or face"),
    "not finite": ("a.obj", b"v nan 0 0\n" + CORNERS.encode() + b"f 1 2 3\n", "1 of 7 vertices of .* not finite"),
    "vertex that is not there": ("a.obj", CORNERS.encode() + b"f 1 2 9\n", "vertex 8 of 6, from 0 on"),
    "vertex 0 of OBJ": ("a.obj", CORNERS.encode() + b"f 0 1 2\n", "line 7 is no vertex or face"),
    "points alone": ("a.obj", CORNERS.encode(), "has points but no faces: export a surface"),
    "words": ("a.obj", CORNERS.encode() + b"f a b c\n", "line 7 is no vertex or face"),
    "another kind of file": ("a.obj", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "has no vertices"),
    "no area": ("a.obj", b"v 0 0 0\nv 1 1 1\nv 2 2 2\nf 1 2 3\n", "has no face with an area"),
    "unknown ending": ("a.fbx", b"Kaydara FBX", "has no ending of a mesh file: export it as one of .obj, .ply"),
    "cut off PLY": ("a.ply", b"ply\nformat ascii 1.0\nelement ver", "is cut off or no .ply file"),
    "cut off OFF": ("a.off", b"OFF\n3 2 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "3 vertices and 2 faces are announced"),
    "no glTF": ("a.glb", b"glTF and nothing else", "is cut off or no .glb file"),
    "cut off anime": ("a.anime", np.array([2, 3, 1, 0, 0], "<i4").tobytes(), "has 20 bytes and should have 96 bytes"),
    "no anime": ("a.anime", b"hello", "should have a head of three positive numbers"),
}  # fmt: skip
