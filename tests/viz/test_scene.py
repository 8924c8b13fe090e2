"""Scenes: their view, their page, their picture."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scene_reader import SceneBytes

from pplkit.core.errors import PplkitError
from pplkit.data.meshes import Mesh, MeshSequence
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import Skeleton
from pplkit.viz import Points, Scene

ARM = Skeleton("arm", ("neck", "left hand", "right hand"), (-1, 0, 0), ((1, 2),))
VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 1]], float)
FACES = np.array([[0, 1, 2], [0, 2, 3]])


def walk(frames: int = 60, fps: float = 30.0) -> PoseSequence:
    """Somebody who walks along x, two meters a second."""
    joints = np.array([[0, 1.5, 0], [0.5, 1, 0], [-0.5, 0, 0]]) + np.arange(frames)[:, None, None] / fps * [2, 0, 0]
    return PoseSequence(points=joints, fps=fps, skeleton=ARM, space="world")


def test_the_view_follows_whoever_walks_away() -> None:
    (panel,) = SceneBytes(scene_bytes := Scene(walk()).to_bytes()).header["panels"]
    center = SceneBytes(scene_bytes).array(panel["center"])
    assert center.shape == (60, 3) and center[30] == pytest.approx([2, 0.75, 0], abs=0.05)
    assert panel["floor"] == 0 and panel["radius"] < 1.2 and panel["width"] < 0.8  # and not 2, half of the way


def test_panels_of_like_size_have_one_scale_and_others_their_own() -> None:
    like = Scene({"a": (VERTICES, FACES), "b": (2 * VERTICES, FACES)})
    unlike = Scene({"a": (VERTICES, FACES), "b": (100 * VERTICES, FACES)})
    first, second = ([panel["radius"] for panel in SceneBytes(s.to_bytes()).header["panels"]] for s in (like, unlike))
    assert first[0] == first[1] and second[1] == pytest.approx(100 * second[0])


def test_forms_of_a_motion_give_the_same_scene() -> None:
    motion = walk()
    scene = Scene.of_motion(motion)
    assert scene.fps == 30 and scene.frames == 60 and "60 frames at 30" in repr(scene)
    assert Scene.of_motion(motion.points, ARM).to_bytes() == scene.to_bytes() == Scene(motion).to_bytes()
    confidence = np.linspace(0, 1, 180).reshape(60, 3)
    sure = Scene.of_motion(motion, confidence=confidence, fps=15)
    assert sure.fps == 15
    assert sure.to_bytes() == Scene(replace(motion, fps=15, confidence=confidence)).to_bytes() != scene.to_bytes()
    assert Scene.of_motion(motion.points[0], ARM, fps=25).frames == 1


def test_forms_of_a_mesh_give_the_same_scene() -> None:
    poses = np.stack([VERTICES, 2 * VERTICES])
    mesh = Mesh(VERTICES, FACES)
    assert Scene.of_mesh(mesh).to_bytes() == Scene.of_mesh(VERTICES, FACES).to_bytes()
    moving = Scene.of_mesh(MeshSequence(mesh, poses), fps=24)
    assert moving.to_bytes() == Scene.of_mesh(poses, FACES, fps=24).to_bytes() and moving.frames == 2


def test_a_frame_without_any_joint_keeps_the_view() -> None:
    motion = walk()
    motion.points[20:25] = np.nan
    found = SceneBytes(Scene(motion).to_bytes())
    assert np.isfinite(found.array(found.header["panels"][0]["center"])).all()
    assert Scene(motion).figure(22)


def test_the_page_is_one_file_that_asks_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "view.html"
    page = Scene({"<b>": walk()}).to_html(path, title="A & B")
    assert path.read_text(encoding="utf8") == page
    assert "<title>A &amp; B</title>" in page and "default-src 'none'" in page
    assert re.findall(r"https?://|//[a-z0-9-]+\.[a-z]|@import|\bimport\(|\bfetch\(", page) == []
    assert re.findall(r'\b(?:src|href)="(?!data:)', page) == []
    assert len(page) < 150_000


def test_the_picture_has_a_column_for_each_panel_and_a_row_for_each_view() -> None:
    figure = Scene({"one": walk(), "two": [walk(), Points(VERTICES)]}).figure(5, views=[(0, 0), (90, 10)])
    assert len(figure.axes) == 4 and [axis.get_title() for axis in figure.axes] == ["one", "two", "", ""]


def test_titles_make_a_legend() -> None:
    motion = walk()
    scene = Scene({"both": {"found": motion, "true": motion}, "plain": [motion, motion]})
    both, plain = SceneBytes(scene.to_bytes()).header["panels"]
    assert [(layer["title"], layer["sides"]) for layer in both["layers"]] == [("found", True), ("true", False)]
    assert [layer["title"] for layer in plain["layers"]] == ["", ""]
    first, second = scene.figure().axes
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["found", "true"]
    assert second.get_legend() is None


def test_what_is_refused() -> None:
    with pytest.raises(PplkitError, match="15 frames a second and the scene 30: use motion.resampled"):
        Scene({"a": walk(), "b": walk(fps=15)})
    with pytest.raises(PplkitError, match="give each panel a motion"):
        Scene({"a": walk(), "b": []})
    with pytest.raises(PplkitError, match="give their skeleton"):
        Scene.of_motion(walk().points)
    with pytest.raises(PplkitError, match="give their faces"):
        Scene.of_mesh(VERTICES)
