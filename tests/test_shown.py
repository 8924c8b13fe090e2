"""What Python and Jupyter show of the kit's objects: few short lines, and an image."""

from dataclasses import replace

import numpy as np
import pytest

import pplkit
from pplkit.data.dataset import Dataset
from pplkit.models.prior.config import Config


def shown(tiny: Config, puppets: Dataset) -> dict[str, object]:
    model = pplkit.PosePriorLearner(tiny)
    poses = model.eval().estimate(np.asarray(puppets["test"].images))
    return {
        "Dataset 'puppets' in": puppets, "Split 'test': images (9, 32, 32, 3)": puppets["test"],
        "PosePriorLearner: preset tiny, 4 keypoints": model, "PosePrior: 4 keypoints": model.prior(),
        "Poses of 9 images: 4 keypoints": poses, "Poses of 1 image: 4 keypoints": poses[0], "Config(name=": tiny,
    }  # fmt: skip


def test_objects_are_shown_in_ten_short_lines(tiny: Config, puppets: Dataset) -> None:
    for start, value in shown(tiny, puppets).items():
        lines = repr(value).splitlines()
        assert repr(value).startswith(start)
        assert len(lines) <= 10 and all(len(line) <= 200 for line in lines)
    settings = repr(pplkit.Config.preset("photographs"))
    assert len(settings.splitlines()) <= 10 and "name='photographs'" in settings


def test_jupyter_shows_an_image(tiny: Config, puppets: Dataset) -> None:
    for start, value in shown(tiny, puppets).items():
        if not start.startswith("Config"):
            page = value._repr_html_()  # type: ignore[attr-defined]
            assert "<pre>" in page and ("data:image/png;base64," in page or "<circle" in page)


def test_own_data_sets_are_called_by_their_folder(tiny: Config, puppets: Dataset) -> None:
    """All that are made of a folder of images have the kind "folder" as their name."""
    mice = replace(puppets, name="folder", path=puppets.path.with_name("folder-mice"))
    assert repr(mice).startswith("Dataset 'folder-mice' in")
    model = pplkit.PosePriorLearner(tiny)
    model.made_by = {"run": "first", "data": "folder", "data_path": "../../data/folder-mice"}
    assert repr(model).endswith("run first, data folder-mice") and "data folder-mice:" in repr(model.prior())


def test_a_data_set_is_a_row_of_its_splits(puppets: Dataset) -> None:
    assert [name for name in puppets] == ["train", "test"]  # noqa: C416
    with pytest.raises(pplkit.PplkitError, match="perhaps 'test' is meant"):
        puppets["tset"]
