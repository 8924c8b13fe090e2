"""The table of `make bench`, and that it measures what it is given."""

import bench_methods
import pytest
import torch
from bench_methods import SECTIONS, row, table


def test_a_row_counts_units_bytes_and_operations() -> None:
    a = torch.ones(512, 512)
    made = row(torch.device("cpu"), "a product", "plain", "row", 512, lambda: a @ a)
    assert made["bytes"] == 512 * 512 * 4 and made["seconds_per_unit"] == made["seconds"] / 512
    assert made["flops"] == 2 * 512**3
    assert row(torch.device("cpu"), "", "", "", 1, lambda: a @ a, False)["flops"] is None


def test_methods_are_compared_by_what_they_make() -> None:
    one = {"what": "a step", "unit": "pose", "bytes": 2e6, "share_of_peak": 0.5}
    rows = [
        {**one, "who": "published", "seconds": 0.1, "seconds_per_unit": 0.1},
        {**one, "who": "kit", "seconds": 0.2, "seconds_per_unit": 0.0125, "share_of_peak": None},
    ]
    lines = table(rows)
    assert lines[2] == "| a step | published | 100 | 100 (pose) |  | 2 | 50% |"
    assert lines[3] == "| a step | kit | 200 | 12.5 (pose) | 8.0 | 2 |  |"


def test_each_section_has_the_published_form_beside_the_kit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_methods, "row", lambda device, what, who, *rest: (what, who))
    for name, section in SECTIONS.items():
        published, ours = [], []
        for what, who in section(torch.device("cpu"), 8):
            (ours if who.startswith("kit") else published).append(what)
        assert set(published) <= {*ours, "training step, 8 windows of 27 frames"}, name
        assert "training step" in ours[0] or "3D poses" in ours[0]
