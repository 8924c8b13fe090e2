"""The pose prior as a drawing in SVG, for papers and slides."""

import re
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np
from matplotlib.colors import to_hex

from pplkit.core.errors import PplkitError
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.viz.drawing import BLACK, BLUE, keypoint_colours

UNIT = 200  # pixels of the drawing in one [-1, 1] unit
MARGIN = 40
RADIUS = 5
WIDTH = 8.0  # of the strongest link
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def prior_svg(prior: PosePrior, names: Sequence[str] = ()) -> str:
    """A document with the strong links, as wide and as opaque as they are strong, the keypoints and their labels.

    A keypoint is labelled with its name, or without `names` with its number from 0. The drawing holds all of [-1, 1]
    and what lies outside. Raises PplkitError if there are names, but not one for each keypoint.
    """
    if names and len(names) != len(prior.keypoints):
        raise PplkitError(f"names has {len(names)} names for {len(prior.keypoints)} keypoints: give one for each.")
    low, high = np.minimum(prior.keypoints.min(0), -1), np.maximum(prior.keypoints.max(0), 1)
    width, height = UNIT * (high - low) + 2 * MARGIN
    points = UNIT * (prior.keypoints - low) + MARGIN
    view = f"0 0 {width:.1f} {height:.1f}"
    root = _part(None, "svg", xmlns="http://www.w3.org/2000/svg", viewBox=view, width=f"{width:.0f}")
    _part(root, "title", _text(f"Pose prior of {prior.made_by.get('data', 'a category')}"))
    links = _part(root, "g", id="links", stroke=BLUE, **{"stroke-linecap": "round"})
    for link in reversed(prior.links()):  # the strongest comes last and lies on top
        share = 0.15 + 0.85 * prior.strength(link)
        (x1, y1), (x2, y2) = (_place(points[end]) for end in link)
        look = {"stroke-width": f"{WIDTH * share:.2f}", "stroke-opacity": f"{share:.2f}"}
        _part(links, "line", id=f"link-{link[0]}-{link[1]}", x1=x1, y1=y1, x2=x2, y2=y2, **look)
    dots = _part(root, "g", id="keypoints", stroke="white")
    look = {"font-family": "sans-serif", "font-size": "12", "fill": BLACK}
    rim = {"stroke": "white", "stroke-width": "3", "paint-order": "stroke"}
    labels = _part(root, "g", id="labels", **look, **rim)
    for number, point in enumerate(points):
        x, y = _place(point)
        colour = to_hex(keypoint_colours(len(points))[number])
        _part(dots, "circle", id=f"keypoint-{number}", cx=x, cy=y, r=str(RADIUS), fill=colour)
        text = _text(names[number]) if names else str(number)
        _part(labels, "text", text, x=f"{point[0] + RADIUS + 3:.2f}", y=f"{point[1] + 4:.2f}")
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _part(parent: ElementTree.Element | None, tag: str, text: str | None = None, **given: str) -> ElementTree.Element:
    """A new element below `parent`; names and text are escaped when it is written."""
    element = ElementTree.Element(tag, given) if parent is None else ElementTree.SubElement(parent, tag, given)
    element.text = text
    return element


def _text(text: str) -> str:
    return NO_XML.sub("\ufffd", text)


def _place(point: np.ndarray) -> tuple[str, str]:
    return f"{point[0]:.2f}", f"{point[1]:.2f}"
