"""The prior as SVG: well-formed, in the right places, links as wide as they are strong, names as they are."""

import dataclasses
from xml.etree import ElementTree

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.viz.svg import prior_svg

SPACE = {"s": "http://www.w3.org/2000/svg"}


def three() -> PosePrior:
    weights = np.zeros((3, 3), np.float32)
    weights[0, 1] = weights[1, 0] = 4.0
    weights[1, 2] = weights[2, 1] = 1.0
    weights[0, 2] = weights[2, 0] = 0.1  # a fortieth of the strongest: no strong link
    return PosePrior(np.array([[-1, -1], [0, 0.5], [1.5, 1]], np.float32), weights)


def numbers(element: ElementTree.Element, *names: str) -> list[float]:
    return [float(element.attrib[name]) for name in names]


def test_places_and_widths_by_hand() -> None:
    """200 pixels a unit from a margin of 40; the drawing goes as far as x = 1.5."""
    root = ElementTree.fromstring(prior_svg(three()))
    assert root.attrib["viewBox"] == "0 0 580.0 480.0"
    dots = root.findall("s:g[@id='keypoints']/s:circle", SPACE)
    assert [numbers(dot, "cx", "cy") for dot in dots] == [[40, 40], [240, 340], [540, 440]]
    lines = {line.attrib["id"]: line for line in root.findall("s:g[@id='links']/s:line", SPACE)}
    assert list(lines) == ["link-1-2", "link-0-1"]  # the strongest last
    assert numbers(lines["link-0-1"], "x1", "y1", "x2", "y2") == [40, 40, 240, 340]
    assert numbers(lines["link-0-1"], "stroke-width", "stroke-opacity") == [8, 1]
    assert numbers(lines["link-1-2"], "stroke-width", "stroke-opacity") == [2.9, 0.36]  # 0.15 + 0.85 / 4 of it
    assert [text.text for text in root.findall("s:g[@id='labels']/s:text", SPACE)] == ["0", "1", "2"]


def test_names_stay_what_they_are() -> None:
    names = ['<b a="1">', "nose & \x00tail", "naïve 手"]
    text = prior_svg(dataclasses.replace(three(), made_by={"data": "<title>"}), names)
    root = ElementTree.fromstring(text)
    found = [element.text for element in root.findall("s:g[@id='labels']/s:text", SPACE)]
    assert found == [names[0], "nose & \ufffdtail", names[2]]  # XML has no way to write a NUL
    assert root.findtext("s:title", namespaces=SPACE) == "Pose prior of <title>"
    assert "<b" not in text


def test_names_have_to_fit() -> None:
    with pytest.raises(PplkitError, match="names has 2 names for 3 keypoints"):
        prior_svg(three(), ["a", "b"])


def test_a_prior_without_links_is_drawn_too() -> None:
    root = ElementTree.fromstring(prior_svg(PosePrior(three().keypoints, np.zeros((3, 3), np.float32))))
    assert root.findall("s:g[@id='links']/s:line", SPACE) == []
    assert len(root.findall("s:g[@id='keypoints']/s:circle", SPACE)) == 3
