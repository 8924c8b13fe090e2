import json
import sys

import numpy as np
import pytest
from figures import SHARED, person, standing

from pplkit.core.errors import PplkitError
from pplkit.models.motion.body import Body, Capsule, Hinge, Segment
from pplkit.models.motion.mjcf import compiled, mjcf

mujoco = pytest.importorskip("mujoco", reason='MuJoCo simulates bodies: pip install "pplkit[motion]"')
KEYS = SHARED / "parity" / "motion" / "motion_keys.json"
AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


def test_a_person_compiles_with_its_mass_and_hinges() -> None:
    body = person()
    model = compiled(body)
    assert (model.nq, model.nv, model.nu) == (body.position_count, body.speed_count, len(body.hinges))
    assert model.body_mass.sum() == pytest.approx(body.mass)
    names = [mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_BODY, n + 1) for n in range(model.nbody - 1)]
    assert names == [segment.name for segment in body.segments]
    assert np.allclose(model.jnt_axis[1:], [hinge.axis for hinge in body.hinges])
    assert np.allclose(model.jnt_range[1:], [(hinge.low, hinge.high) for hinge in body.hinges])
    assert np.allclose(model.actuator_gainprm[:, 0], [hinge.stiffness for hinge in body.hinges])
    assert np.allclose(model.actuator_biasprm[:, 2], [-hinge.damping for hinge in body.hinges])
    assert np.allclose(model.actuator_forcerange[:, 1], [hinge.torque for hinge in body.hinges])


def test_the_soles_of_a_standing_person_touch_the_ground() -> None:
    body = person()
    model = compiled(body)
    data = mujoco.MjData(model)
    data.qpos[:] = standing(body)[0]
    mujoco.mj_forward(model, data)
    depths = [data.contact.dist[n] for n in range(data.ncon)]
    assert len(depths) == 8 and np.allclose(depths, 0, atol=1e-3)


@pytest.mark.skipif(not KEYS.is_file(), reason="no ../shared/parity/motion")
def test_the_published_humanoid_is_written_as_it_is_published() -> None:
    published = json.loads(KEYS.read_text())["humanoid_v4"]
    places = {name: np.array(about["rest_position"]) for name, about in published["bodies"].items()}
    names = list(places)
    segments = []
    for name, about in published["bodies"].items():
        hinges = tuple(
            Hinge(AXES[joint[-1]], *limits)
            for joint, limits in published["joints"].items()
            if joint.rpartition("_")[0] == name
        )
        parent = -1 if about["parent"] == "world" else names.index(about["parent"])
        offset = places[name] - (places[about["parent"]] if parent >= 0 else 0)
        segments.append(Segment(name, parent, tuple(offset), hinges, (), about["mass"]))
    body = Body(tuple(segments), {})
    model = compiled(body)
    assert (model.nq, model.nv, model.nu) == (59, 58, 52)
    assert model.body_mass.sum() == pytest.approx(published["total_mass"], rel=1e-6)
    assert np.allclose(model.jnt_range[1:], list(published["joints"].values()), atol=1e-6)
    for name, (first, last) in published["qpos_slices"].items():
        if name != "Hips":
            assert body.column(name) == slice(first, last)
    data = mujoco.MjData(model)
    data.qpos[:7] = [0, 0, 0, 1, 0, 0, 0]
    mujoco.mj_kinematics(model, data)
    assert np.allclose(data.xpos[1:], list(places.values()), atol=1e-6)


def test_a_missing_mujoco_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(PplkitError, match=r'MuJoCo: pip install "pplkit\[motion\]"\.'):
        compiled(person())


def test_what_mujoco_refuses_is_said_with_its_reason() -> None:
    ball = Segment("ball", -1, (0, 0, 0), (), (Capsule((0, 0, 0), (0, 0, 0), -1.0),))
    with pytest.raises(PplkitError, match="MuJoCo cannot build the body"):
        compiled(Body((ball,), {}))


def test_names_with_marks_of_xml_are_written() -> None:
    body = Body((Segment('a "b" & <c>', -1, (0, 0, 0), (), (Capsule((0, 0, 0), (0, 0, 1), 0.1),)),), {})
    assert "&lt;c&gt;" in mjcf(body) and compiled(body).nbody == 2
