"""The table and the page of a batch: means by hand, everything escaped, nothing loaded from elsewhere."""

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.experiments.report import Outcome, mean_and_deviation, page_of, summary, write_report
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.viz.training import variant_curves

HOSTILE = '<script>alert("1")</script>&\''
TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "h1",
    "h2",
    "h3",
    "p",
    "div",
    "table",
    "tr",
    "th",
    "td",
    "a",
    "img",
    "details",
    "summary",
}


class Page(HTMLParser):
    """Tags, addresses and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def outcome(runs: Path, dataset: str, variant: str, seed: int, error: float | None) -> Outcome:
    """A finished run with its files, or one that failed."""
    run = runs / f"{dataset}-{variant}-{seed}".replace("/", "")
    (run / "notebooks").mkdir(parents=True)
    (run / "notebooks" / "02_training.ipynb").write_text("{}")
    one = Outcome(dataset, variant, seed, run, "finished", "", 90.0, ("02_training", "04_evaluation"))
    if error is None:
        return replace(one, status="failed", reason=f"it said {HOSTILE}")
    report: dict[str, Any] = {
        "protocol": "h36m",
        "error": error,
        "relative_error": 10 * error,
        "limbs_covered": {HOSTILE: 0.5},
    }
    (run / "evaluation.json").write_text(json.dumps(report))
    (run / "training.json").write_text(json.dumps({"loss": 2.0, "run": HOSTILE}))
    rows = [{"step": step, "loss": 9.0 / step, "reconstruction": 1.0 / step} for step in (20, 40, 60)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    PosePrior(np.array([[0.0, 0.0], [0.5, 0.5]], np.float32), np.array([[0, 1], [1, 0]], np.float32)).save(
        run / "prior.json"
    )
    return one


@pytest.fixture
def outcomes(tmp_path: Path) -> list[Outcome]:
    runs = tmp_path / "runs"
    made = [outcome(runs, "birds", "ppl", seed, error) for seed, error in enumerate((0.02, 0.04, 0.03))]
    made += [outcome(runs, "birds", "small", 0, 0.05), outcome(runs, "birds", "small", 1, None)]
    missing = replace(outcome(runs, HOSTILE, HOSTILE, 1, None), status="missing", reason="", seconds=0.0)
    return [*made, outcome(runs, HOSTILE, "ppl", 0, 0.06), missing]


@pytest.fixture
def folder(tmp_path: Path, outcomes: list[Outcome]) -> Path:
    made = tmp_path / "runs" / "batches" / f"a plan{HOSTILE}".replace("/", "")
    write_report(made, outcomes)
    return made


def test_mean_and_standard_deviation_by_hand() -> None:
    results: list[dict[str, Any]] = [{"a": 1.0}, {"a": 2.0}, {"a": 4.5}, {}]  # mean 2.5; squares 2.25 + 0.25 + 4; / 2
    assert mean_and_deviation(results, "a", 1, 3) == "2.500 ± 1.803 (3)"
    assert mean_and_deviation(results[:1], "a", 100, 1) == "100.0 (1)"
    assert mean_and_deviation(results, "b", 1, 1) == ""


def test_the_table_is_read_back(folder: Path) -> None:
    with (folder / "summary.csv").open(encoding="utf8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["0", "1", "2", "0", "1", "0", "1"]
    assert [row["status"] for row in rows] == ["finished"] * 4 + ["failed", "finished", "missing"]
    assert [row["evaluation.error"] for row in rows] == ["0.02", "0.04", "0.03", "0.05", "", "0.06", ""]
    assert rows[4]["reason"] == f"it said {HOSTILE}" and rows[5]["dataset"] == HOSTILE
    assert rows[0][f"evaluation.limbs_covered.{HOSTILE}"] == "0.5" and rows[0]["seconds"] == "90.0"


def test_reasons_of_several_lines_stay_one_row() -> None:
    one = Outcome("a", "b", 0, Path("a-b-0"), "failed", 'two\nlines, "quoted"', 0, ())
    (row,) = csv.DictReader(io.StringIO(summary([one], [{}]), newline=""))
    assert row["reason"] == one.reason


def test_the_page_has_means_curves_priors_and_links(folder: Path) -> None:
    text = (folder / "index.html").read_text(encoding="utf8")
    page = Page(text)
    assert "7 runs: 5 finished, 1 failed, 1 missing" in page.text
    assert "0.300 ± 0.100 (3)" in page.text and "3.00 ± 1.00 (3)" in page.text  # relative, and % of the image side
    assert "0.500 (1)" in page.text and "0.600 (1)" in page.text
    pictures = [address for address in page.addresses if address.startswith("data:image/")]
    assert [address[11:14] for address in pictures] == ["svg", "png"] * 2
    links = [unquote(address) for address in page.addresses if not address.startswith("data:")]
    assert "../../birds-ppl-0/notebooks/02_training.ipynb" in links
    assert all((folder / link).exists() for link in links) and len(links) == 14
    assert "04_evaluation" not in page.text  # no link to what is not there


def test_what_is_not_scored_is_compared_by_its_loss_and_says_so(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    scored, plain = (outcome(runs, name, "ppl", 0, 0.02) for name in ("birds", "pictures"))
    scores = {"evaluation.relative_error": 0.2, "training.loss": 2.0, "evaluation.films.jitter_left": 0.374}
    text = page_of(runs / "batches" / "x", [scored, plain], [scores, {"training.loss": 3.0}])
    assert "<th>birds: error / mean pose&#x27;s</th><th>pictures: last loss</th>" in text
    assert '<td>ppl</td><td class="number">0.200 (1)</td><td class="number">3.000 (1)</td>' in text
    assert text.count("jitter left in smooth tracks") == 1 and "0.37 (1)" in text


def test_nothing_from_outside_becomes_html(folder: Path) -> None:
    text = (folder / "index.html").read_text(encoding="utf8")
    page = Page(text)
    assert "script" not in page.tags and "<script" not in text and HOSTILE in page.text
    assert set(page.tags) <= TAGS
    assert not re.search(r"(src|href)=\"(?!data:image/|\.\./\.\./)", text)
    assert "default-src 'none'" in text


def test_the_same_runs_give_the_same_page(folder: Path, outcomes: list[Outcome]) -> None:
    before = (folder / "index.html").read_bytes()
    write_report(folder, outcomes)
    assert (folder / "index.html").read_bytes() == before


def test_a_batch_in_which_nothing_finished_has_a_page(tmp_path: Path) -> None:
    one = outcome(tmp_path / "runs", "birds", "ppl", 0, None)
    page = Page(page_of(tmp_path / "runs" / "batches" / "x", [one], [{}]))
    assert "1 failed" in page.text and "img" not in page.tags


def test_a_run_without_a_folder_has_its_name_in_the_page(tmp_path: Path) -> None:
    names = ("birds-ppl-0", "birds-v1.5-0", "birds-v.ipynb")  # dots belong to names of variants
    runs = [Outcome("birds", "x", 0, tmp_path / "runs" / name, "missing", "", 0, ("02_training",)) for name in names]
    text = page_of(tmp_path / "runs" / "batches" / "x", runs, [{}] * 3)
    assert [f"<td>{name}</td>" in text for name in names] == [True] * 3
    assert "02_training" not in text and "href" not in text


def test_a_report_that_cannot_be_written_is_an_error(tmp_path: Path, outcomes: list[Outcome]) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(PplkitError, match="the report in .*x cannot be written"):
        write_report(tmp_path / "x", outcomes)


def test_variants_have_colours_and_then_dashes() -> None:
    rows = [{"step": 20, "loss": 2.0, "reconstruction": 1.0}, {"step": 40, "loss": 1.0}]
    figure = variant_curves({f"v{number}": [rows, rows] for number in range(8)})
    lines = figure.axes[0].lines
    looks = [(line.get_color(), line.get_linestyle()) for line in lines]
    assert len(lines) == 16 and len(set(looks)) == 8 and looks[0] == looks[1]
    legend = figure.axes[1].get_legend()
    assert legend is not None and [text.get_text() for text in legend.get_texts()] == [f"v{k}" for k in range(8)]
