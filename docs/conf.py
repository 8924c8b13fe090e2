"""Settings of the site; `docs/build.py` gathers its pages."""

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pplkit import __version__  # noqa: E402

project, author, copyright, version = "pplkit", "the pplkit authors", "the pplkit authors", __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # notebooks appear as they are stored
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
autodoc_mock_imports = ["triton"]
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "ignore-module-all": True, "show-inheritance": True}
napoleon_numpy_docstring = False
html_theme = "furo"
html_title = f"pplkit {version}"
html_math_renderer = "mathml"
html_show_sphinx = False
linkcheck_timeout = 20


SECTION = re.compile(r"(Args|Attributes|Examples?|Note|Raises|Returns|Yields):")


def _escape(line: str) -> str:
    """A line of plain text as reStructuredText: `code` as literal, and nothing else with a meaning."""
    parts = re.split(r"(`[^`]+`)", line)
    escape = re.compile(r"([\\*|_])").sub
    return "".join(f"``{part[1:-1]}``" if number % 2 else escape(r"\\\1", part) for number, part in enumerate(parts))


def plain_docstring(*arguments: Any) -> None:
    """Docstrings are plain English: formulas and shapes in them are text, and what is indented keeps its lines."""
    lines: list[str] = arguments[-1]
    paragraphs = "\n".join(lines).split("\n\n")
    lines.clear()
    for paragraph in paragraphs:
        text = [_escape(line) for line in paragraph.strip("\n").split("\n")]
        indented = any(line.startswith(" ") for line in text)
        if indented and not SECTION.match(text[0]) and not text[0].startswith("- "):
            text = [f"| {line}" for line in text]
        lines += [*text, ""]


def skip_member(app: Sphinx, kind: str, name: str, member: object, skip: bool, options: Any) -> bool | None:
    """Leave out the fields of named tuples, which their class already lists."""
    return True if str(getattr(member, "__doc__", "")).startswith("Alias for field number") else None


class LinkNames(SphinxTransform):
    """Names such as `pplkit.geometry.link_map.link_map` in a text lead to the API."""

    default_priority = 500

    def apply(self, **options: Any) -> None:
        """Put a reference around each of them."""
        for name in list(self.document.findall(nodes.literal)):
            if re.fullmatch(r"pplkit(\.\w+)+", name.astext()) and isinstance(name.parent, nodes.TextElement):
                target = {"refdomain": "py", "reftype": "obj", "reftarget": name.astext(), "refexplicit": True}
                reference = pending_xref("", refdoc=self.env.docname, refwarn=False, **target)
                name.replace_self(reference)
                reference += name


def visit_math(self: Any, node: nodes.math | nodes.math_block) -> None:
    """Formulas as MathML, which browsers draw without a script."""
    block = isinstance(node, nodes.math_block)
    formula = tex2mathml(node.astext().replace(r"\dots", r"\ldots"), as_block=block)
    self.body.append(f"<div>{formula}</div>" if block else formula)
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Connect the functions above."""
    app.connect("autodoc-process-docstring", plain_docstring, priority=1)
    app.connect("autodoc-skip-member", skip_member)
    app.add_transform(LinkNames)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math, None))
