"""Pose sliders: what a slider moves, on all bodies at once; a picture where nobody is there to move them."""

import numpy as np
import pytest

from data_prep.synthetic.bodies3d import body_poses
from pplkit.models.mesh import MeshConfig, PatchModel, Template, build_model
from pplkit.models.mesh.generator import PoseGenerator
from pplkit.viz.widgets import pose_sliders
from pplkit.viz.widgets.notebook_host import WIDGET_VIEW
from pplkit.viz.widgets.pose_sliders import PoseSliders

DATA = body_poses("humanoid", count=6)


@pytest.fixture(scope="module")
def sliders() -> PoseSliders:
    other = body_poses("humanoid", "child", "coarse", 1)
    own, child = (Template(body.mesh.vertices, body.mesh.faces, body.landmarks) for body in (DATA, other))
    model = build_model(MeshConfig(patches=20), own)
    assert isinstance(model, PatchModel)
    generator = PoseGenerator.fitted(model.encode(DATA.poses).numpy(), model.overlap())
    return PoseSliders(model, generator, {"source": own, "child": child}, count=2)


def test_a_slider_moves_all_bodies_and_at_0_they_are_where_they_were(sliders: PoseSliders) -> None:
    first = sliders.scene().to_bytes()
    sliders.move(1, 99)
    assert sliders.amounts.tolist() == [0, 2.5] and sliders.scene().to_bytes() != first
    sliders.move(1, 0)
    assert sliders.scene().to_bytes() == first


def test_keypoints_lie_on_the_surface(sliders: PoseSliders) -> None:
    body = sliders.bodies["child"]
    vertices = sliders.model.apply_code(sliders._code(np.zeros(2)), body)[0]
    points = sliders._keypoints(body, vertices)
    assert points.shape == (20, 3)
    assert np.linalg.norm(points[:, None] - vertices, axis=2).min(1) == pytest.approx(np.zeros(20), abs=1e-6)
    assert len(np.unique(points, axis=0)) > 15


def test_a_person_gets_sliders_and_others_the_picture(sliders: PoseSliders, monkeypatch: pytest.MonkeyPatch) -> None:
    assert WIDGET_VIEW not in sliders._repr_mimebundle_()
    monkeypatch.setattr(pose_sliders, "attended", lambda: True)
    shown = sliders._repr_mimebundle_()
    assert shown["image/png"][:4] == b"\x89PNG" and WIDGET_VIEW in shown
    box, view = sliders._panel.children
    before = view.data
    box.children[0].value = 1.5
    assert sliders.amounts[0] == 1.5 and view.data != before
