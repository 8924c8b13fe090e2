"""Several notebooks in one kernel, which is quicker than a kernel for each: most of their time is imports."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from pplkit.experiments.notebooks import declared_parameters, notebook_file, run_notebooks


def joined(notebooks: Iterable[NotebookNode]) -> NotebookNode:
    """The code cells of notebooks as one; each forgets the names of those before it.

    `part` in the metadata of a cell is the number of its notebook, from 0.
    """
    cells = []
    for number, notebook in enumerate(notebooks):
        cells.append(nbformat.v4.new_code_cell("%reset -f"))
        for cell in notebook.cells:
            if cell.cell_type == "code":
                tags = [tag for tag in cell.metadata.get("tags", []) if not tag.endswith("parameters")]  # they are set
                metadata = {**cell.metadata, "tags": tags, "part": number}
                content = {"outputs": cell.outputs, "execution_count": cell.execution_count}
                cells.append(nbformat.v4.new_code_cell(cell.source, metadata=metadata, **content))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=kernel)


def run_in_one_kernel(root: Path, runs: Sequence[tuple[str, Mapping[str, Any]]]) -> NotebookNode:
    """Shipped notebooks, each with those of its parameters that it declares, one after the other; as executed."""
    sources = []
    for name, parameters in runs:
        file = notebook_file(name, root)
        own = {name: value for name, value in parameters.items() if name in declared_parameters(file)}
        sources.append(parameterize_notebook(load_notebook_node(str(file)), own))
    (root / "notebooks").mkdir()
    nbformat.write(joined(sources), root / "notebooks/together.ipynb")
    folder = run_notebooks("none", "together", {}, ("together",), root=root)
    (root / "notebooks/together.ipynb").unlink()
    (root / "notebooks").rmdir()
    return nbformat.read(folder / "notebooks/together.ipynb", as_version=4)


def printed(notebook: NotebookNode) -> str:
    """All that the cells have printed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.output_type == "stream")
