"""The view of a scene in a notebook: a widget for a person, a picture for everybody else."""

import numpy as np
import pytest

from pplkit.viz import Scene
from pplkit.viz.widgets import notebook_host, scene_view
from pplkit.viz.widgets.notebook_host import WIDGET_VIEW

FACES = np.array([[0, 1, 2]])


def scene(size: float = 1.0) -> Scene:
    return Scene.of_mesh(size * np.eye(3), FACES)


def test_without_a_person_there_is_a_picture() -> None:
    shown = scene().view()._repr_mimebundle_()
    assert shown["image/png"][:4] == b"\x89PNG" and WIDGET_VIEW not in shown


def test_a_person_gets_the_widget_and_a_saved_notebook_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_view, "attended", lambda: True)
    view = scene().view(height=300, title="a triangle")
    shown = view._repr_mimebundle_()
    widget = view.widget()
    assert shown[WIDGET_VIEW]["model_id"] == widget.model_id and "image/png" in shown
    assert (widget.height, widget.title, widget.data) == (300, "a triangle", scene().to_bytes())
    assert "export default" in widget._esm


def test_another_scene_takes_the_place_of_the_first() -> None:
    view = scene().view()
    view.update(scene(2))  # before there is a widget
    assert view.widget().data == scene(2).to_bytes()
    view.update(scene(3))
    assert view.widget().data == scene(3).to_bytes() and notebook_host.attended() is False
