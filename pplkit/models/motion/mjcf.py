"""The description of a body that MuJoCo reads, and its compiled model."""

from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree

from pplkit.core.errors import PplkitError, reason
from pplkit.models.motion.body import DENSITY, Body, Box, Segment, segment_mass

STEP_SECONDS = 1 / 240
ARMATURE = 0.01  # kg m², of the motors
FRICTION = 1.0
INSTALL = 'pip install "pplkit[motion]"'


def mujoco_library() -> Any:
    """The module `mujoco`. Raises PplkitError with the command that installs it."""
    try:
        import mujoco
        import mujoco.rollout
    except ImportError:
        raise PplkitError(f"bodies are simulated with MuJoCo: {INSTALL}.") from None
    return mujoco


def mjcf(body: Body, step: float = STEP_SECONDS) -> str:
    """XML (MJCF) of a body above a plane, z up, with a position actuator for each hinge.

    The actuators' damping is integrated implicitly, which is what keeps stiff ones stable. Segments touch the ground
    and nothing else. `step` is in seconds.
    """
    root = ElementTree.Element("mujoco", model="body")
    ElementTree.SubElement(root, "compiler", angle="radian", autolimits="true")
    option = {"integrator": "implicitfast", "timestep": _text([step]), "iterations": "10", "ls_iterations": "20"}
    ElementTree.SubElement(root, "option", option)
    touch = {
        "friction": _text([FRICTION, 0.005, 0.0001]),
        "contype": "0",
        "conaffinity": "1",
        "density": _text([DENSITY]),
    }
    default = ElementTree.SubElement(root, "default")
    ElementTree.SubElement(default, "geom", touch)
    ElementTree.SubElement(default, "joint", armature=_text([ARMATURE]), damping="0")
    world = ElementTree.SubElement(root, "worldbody")
    ElementTree.SubElement(world, "light", pos="0 0 4", dir="0 0 -1")
    plane = {"name": "ground", "type": "plane", "size": "0 0 1", "contype": "1", "conaffinity": "0"}
    ElementTree.SubElement(world, "geom", plane)
    elements: list[ElementTree.Element] = []
    actuators = ElementTree.SubElement(root, "actuator")
    for segment in body.segments:
        parent = world if segment.parent < 0 else elements[segment.parent]
        elements.append(_segment(parent, segment))
        for number, hinge in enumerate(segment.hinges):
            joint = f"{segment.name} {number}"
            gains = {"kp": _text([hinge.stiffness]), "kv": _text([hinge.damping])}
            limits = {"forcerange": _text([-hinge.torque, hinge.torque])}
            ElementTree.SubElement(actuators, "position", {"name": joint, "joint": joint, **gains, **limits})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def compiled(body: Body, step: float = STEP_SECONDS) -> Any:
    """The MjModel of a body. Raises PplkitError if MuJoCo is missing, or refuses the body, with its reason."""
    mujoco = mujoco_library()
    try:
        return mujoco.MjModel.from_xml_string(mjcf(body, step))
    except ValueError as error:
        raise PplkitError(f"MuJoCo cannot build the body ({reason(error)}): give bones and sizes above 0.") from None


def _text(values: Iterable[float]) -> str:
    return " ".join(f"{float(value):.9g}" for value in values)


def _segment(parent: ElementTree.Element, segment: Segment) -> ElementTree.Element:
    """Add a segment, with its hinges and shapes, to the element of its parent."""
    element = ElementTree.SubElement(parent, "body", name=segment.name, pos=_text(segment.offset))
    if segment.parent < 0:
        ElementTree.SubElement(element, "freejoint", name=segment.name)
    for number, hinge in enumerate(segment.hinges):
        limits = {"range": _text([hinge.low, hinge.high]), "axis": _text(hinge.axis)}
        ElementTree.SubElement(element, "joint", {"name": f"{segment.name} {number}", "type": "hinge", **limits})
    # A given mass is shared out by volume; without shapes it is a small sphere's.
    volume = sum(shape.volume for shape in segment.shapes)
    for shape in segment.shapes:
        mass = segment_mass(segment) * shape.volume / volume
        if isinstance(shape, Box):
            form = {"type": "box", "pos": _text(shape.center), "size": _text(shape.half)}
        elif shape.start == shape.end:
            form = {"type": "sphere", "pos": _text(shape.start), "size": _text([shape.radius])}
        else:
            form = {"type": "capsule", "fromto": _text([*shape.start, *shape.end]), "size": _text([shape.radius])}
        ElementTree.SubElement(element, "geom", {**form, "mass": _text([mass])})
    if not segment.shapes:
        inertia = _text([0.4 * segment_mass(segment) * 0.05**2] * 3)
        about = {"pos": "0 0 0", "mass": _text([segment_mass(segment)]), "diaginertia": inertia}
        ElementTree.SubElement(element, "inertial", about)
    return element
