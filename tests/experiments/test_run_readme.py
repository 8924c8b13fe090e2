"""README.txt of a run folder."""

from pathlib import Path

from pplkit.experiments.run_readme import FILES, write_readme
from tests.notebooks.test_notebooks import FIGURES


def test_the_readme_has_a_line_for_each_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    for name in ("prior.json", "figures/poses.png"):
        (tmp_path / name).touch()
    write_readme(tmp_path)
    lines = (tmp_path / "README.txt").read_text(encoding="utf8").splitlines()[2:]
    assert [line.split()[0] for line in lines] == ["index.html", "prior.json", "figures/poses.png"]


def test_every_figure_of_the_notebooks_is_explained() -> None:
    assert {f"figures/{name}.png" for name in FIGURES} <= set(FILES)
