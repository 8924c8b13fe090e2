"""The page of a run: complete in one file, from whatever the folder holds."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from pplkit.data.dataset import Dataset
from pplkit.experiments.run_page import original_files, write_run_page
from pplkit.models.prior.config import Config
from tests.helpers.trainings import trained

NAME = "a <b onload=x> & 'c'"


def test_the_page_shows_prior_poses_video_curves_and_findings(tmp_path: Path, tiny: Config, puppets: Dataset) -> None:
    run = tmp_path / "runs" / NAME
    trained(tiny, puppets, run)
    finding = {"name": "<i>weak", "number": 5, "most": 1, "says": "s", "means": "<m", "try": "t"}
    (run / "doctor.json").write_text(json.dumps({"findings": [finding], "numbers": {}}), encoding="utf8")
    page = write_run_page(run)
    text = page.read_text(encoding="utf8")
    assert (
        "<b" not in text.replace("<body", "")
        and "<i>" not in text
        and "<m" not in text.replace("<meta", "").replace("<main", "")
    )
    assert "Not good yet: &lt;i&gt;weak" in text and "s: 5 (at most 1)" in text
    addresses = re.findall(r'(?:src|srcset)="([^"]*)"', text)
    assert len(addresses) >= 2 + 8 + 5 and all(address.startswith("data:image/") for address in addresses)
    assert len(re.findall(r'<img alt="[^"]+"', text)) == text.count("<img")
    assert "<script" not in text and "http" not in re.sub(r'"data:[^"]*"', "", text).replace("http-equiv", "")
    assert page.stat().st_size < 5_000_000
    assert "index.html" in (run / "README.txt").read_text(encoding="utf8")


def test_a_run_without_checkpoint_and_data_has_a_page(tmp_path: Path, tiny: Config) -> None:
    content = {"config": tiny.to_dict(), "made_by": {}}
    (tmp_path / "config.json").write_text(json.dumps(content), encoding="utf8")
    assert "there are no poses to show" in write_run_page(tmp_path).read_text(encoding="utf8")


def test_original_files_are_taken_where_all_are_there(tmp_path: Path, puppets: Dataset) -> None:
    names = ["a.png", "b.png"]
    data = replace(puppets, origin={"path": str(tmp_path)}, options={"crop": "pad"})
    Image.fromarray(np.zeros((8, 12, 3), np.uint8)).save(tmp_path / "a.png")
    assert original_files(data, names) == []
    Image.fromarray(np.zeros((8, 12, 3), np.uint8)).save(tmp_path / "b.png")
    assert original_files(data, names) == [tmp_path / name for name in names]
    assert original_files(replace(data, options={"crop": "labels"}), names) == []
    assert original_files(puppets, names) == []
