"""The section of a page on prior and memory: what it holds of the model, in the page of a scene."""

import json
import re

import numpy as np
import pytest

from pplkit.evaluation.memory_analysis import bank_poses
from pplkit.models.prior.model import PosePriorLearner
from pplkit.viz import Scene
from pplkit.viz.memory_page import memory_section


def test_the_section_has_the_prior_its_links_and_the_pose_of_each_vector(model: PosePriorLearner) -> None:
    found = re.search(r'id="memory">(.*?)</script>', memory_section(model))
    assert found is not None
    content = json.loads(found[1])
    prior = model.prior()
    assert np.array(content["prior"]) == pytest.approx(prior.keypoints, abs=1e-3)
    assert [tuple(link[:2]) for link in content["links"]] == prior.links() and len(content["colors"]) == 4
    assert np.shape(content["banks"]) == (3, 4, 4, 2)
    assert np.array(content["banks"][2]) == pytest.approx(bank_poses(model, 2), abs=1e-3)


def test_a_scene_s_page_has_it_if_asked_for(model: PosePriorLearner) -> None:
    scene = Scene.of_mesh(np.eye(3), np.array([[0, 1, 2]]))
    assert "Prior and memory" not in scene.to_html()
    page = scene.to_html(memory=model)
    assert memory_section(model) in page and page.count("<script") == page.count("</script>") == 4
