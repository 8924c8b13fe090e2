"""Build the site: `python docs/build.py`, or `make docs`; it lands in docs/_build/html.

Pages that people write are copied with the layout of the repository, so that their links mean the same. The pages of
commands, settings and the API are made from the package. Warnings and links to nowhere are errors.
"""

import argparse
import dataclasses
import html.parser
import importlib
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "docs" / "_build"
sys.path.insert(0, str(ROOT))
os.environ["COLUMNS"] = "100"  # of the usage lines, whatever the terminal has

import pplkit  # noqa: E402
from pplkit.core.settings import Settings  # noqa: E402
from pplkit.models.lifting import config as lifting_config  # noqa: E402
from pplkit.models.prior import config  # noqa: E402
from pplkit.models.prior.presets import PRESETS  # noqa: E402

ROOMS = ("core", "geometry", "data", "models", "training", "inference", "evaluation", "viz", "experiments", "cli")
CONTENTS = {
    "Start": [
        "docs/guide", "docs/concepts", "docs/glossary", "docs/notebooks", "notebooks/*", "docs/course",
        "notebooks/exercises/*",
    ],
    "Use": [
        "docs/data_sets", "docs/photographs", "docs/landmarks_and_tracks", "docs/lifting", "docs/mesh_pose",
        "docs/motion", "docs/road", "docs/export", "docs/batches", "docs/distributed", "docs/troubleshooting",
    ],
    "Reference": ["commands/index", "docs/presets", "settings", "lifting_settings", "api/index"],
    "Results": ["docs/results", "docs/gallery", "docs/benchmarks", "docs/experiments_log"],
    "Project": ["docs/guarantees", "docs/architecture", "CONTRIBUTING", "CHANGELOG"],
}  # fmt: skip


def toctree(pages: list[str], *options: str) -> str:
    """A table of contents as MyST writes it."""
    return "\n".join(["```{toctree}", *(f":{option}" for option in options), *pages, "```", ""])


def cell(text: object) -> str:
    """A text as it stands in a cell of a table."""
    return " ".join(str(text).split()).replace("|", r"\|")


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def commands() -> argparse._SubParsersAction:
    """The commands of the command line: `choices` has their parsers, by name."""
    command_line = importlib.import_module("pplkit.cli.main")
    parser = command_line.build_parser()
    return next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))


def command_pages() -> Iterator[tuple[str, str]]:
    """A page for each command, from its parser, as (path without ending, text)."""
    group = commands()
    summaries = {action.dest: cell(action.help) for action in group._choices_actions}
    for name, command in group.choices.items():
        expand, rows = command._get_formatter()._expand_help, []
        for action in command._actions:
            if not isinstance(action, argparse._HelpAction):
                value = action.metavar or action.dest.upper()
                names = ", ".join(f"`{option}`" for option in action.option_strings) or f"`{value}`"
                value = f" `{value}`" if action.option_strings and action.nargs != 0 and not action.choices else ""
                choices = f" One of {', '.join(f'`{choice}`' for choice in action.choices)}." if action.choices else ""
                rows.append([names + value, cell(expand(action)) + choices])
        usage = command.format_usage().removeprefix("usage: ")
        about = command.description
        page = f"# pplkit {name}\n\n{about}\n\n```text\n{usage}```\n\n"
        yield f"commands/{name}", page + table(["argument", "meaning"], rows)
    links = table(["command", "what it does"], [[f"[`pplkit {n}`]({n}.md)", text] for n, text in summaries.items()])
    yield "commands/index", f"# Commands\n\n{links}\n" + toctree(list(summaries), "hidden:")


def settings_page(title: str, settings: type[Settings], presets: Mapping[str, Mapping[str, object]]) -> str:
    """All settings of a method with defaults and comments, and what each preset changes."""
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    parts = [f"# {title}\n"]
    for group, members in itertools.groupby(settings.explanations(), key=lambda setting: setting[0]):
        parts += [f"## {group[:1].upper()}{group[1:]}\n"] if group else []
        rows = [[f"`{name}`", f"`{defaults[name]!r}`", cell(comment)] for _, name, comment in members]
        parts.append(table(["setting", "default", "meaning"], rows))
    parts.append("## What each preset changes\n")
    for name, changes in sorted(presets.items()):
        text = ", ".join(f"`{key}={value!r}`" for key, value in changes.items()) or "nothing"
        parts.append(f"### {name}\n\n{text}\n")
    return "\n".join(parts)


def api_pages() -> Iterator[tuple[str, str]]:
    """A page for each room of the package, and one for `data_prep`, as (path without ending, text)."""
    rooms = {f"pplkit.{room}": ROOT / "pplkit" / room for room in ROOMS} | {"data_prep": ROOT / "data_prep"}
    for room, folder in rooms.items():
        page = f"# {room}\n\n"
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            page += f"## {module}\n\n" if module != room else ""
            page += f"```{{eval-rst}}\n.. automodule:: {module}\n```\n\n"
        yield f"api/{room}", page
    names = [[f"`pplkit.{n}`", _home(n)] for n in pplkit.__all__ if not n.startswith("_")]
    index = "# API\n\nNames that stay from version to version:\n\n" + table(["name", "defined as"], names)
    index += "\n```{eval-rst}\n.. autofunction:: pplkit.prepare\n```\n"
    yield "api/index", f"{index}\nThe rooms, from the ground up:\n\n" + toctree(list(rooms))


def _home(name: str) -> str:
    value = getattr(pplkit, name)
    role = "class" if isinstance(value, type) else "func"
    return f"{{py:{role}}}`{value.__module__}.{value.__qualname__}`"


def gather(source: Path) -> None:
    """Write all pages of the site to a new folder `source`."""
    shutil.rmtree(source, ignore_errors=True)
    kinds = (("docs", "*.md"), ("docs", "*.png"), ("docs", "*.webp"), ("notebooks", "*.ipynb"))
    for folder, pattern in (*kinds, ("notebooks/exercises", "*.ipynb")):
        for path in sorted((ROOT / folder).glob(pattern)):
            (source / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, source / folder)
    for name in ("CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "LICENSE"):
        shutil.copy2(ROOT / name, source)
    front = (ROOT / "README.md").read_text(encoding="utf-8")
    for title, pages in CONTENTS.items():
        front += "\n" + toctree(pages, f"caption: {title}", "hidden:", "glob:")
    settings = [
        (
            "settings",
            settings_page(
                "Settings\n\nThe defaults are the published ones, the preset `paper`.", config.Config, PRESETS
            ),
        ),
        (
            "lifting_settings",
            settings_page(
                "Settings of lifting\n\nThe defaults are those of the preset `lift`.",
                lifting_config.LiftingConfig,
                lifting_config.PRESETS,
            ),
        ),
    ]
    for name, text in [*command_pages(), *api_pages(), *settings, ("index", front)]:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / f"{name}.md").write_text(text, encoding="utf-8")


class Page(html.parser.HTMLParser):
    """The links of a page of HTML, and the anchors that others may link to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Called by the parser for each tag."""
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.append(value)
            elif name in ("id", "name") and value:
                self.anchors.add(value)


def broken_links(site: Path) -> list[str]:
    """Links of the pages below `site` to files or anchors that are not there, as "page: link"."""
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            if urlsplit(link).scheme or link.startswith("//"):
                continue
            file, anchor = urldefrag(link)
            target = (path.parent / unquote(file.partition("?")[0])).resolve() if file else path
            anchors = pages[target].anchors if target in pages else {anchor}
            if not target.exists() or unquote(anchor) not in anchors:
                broken.append(f"{path.relative_to(site.resolve())}: {link}")
    return broken


def main() -> int:
    """Build and check; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--builder", default="html", help="html, or linkcheck to try the links to other sites")
    builder = parser.parse_args().builder
    gather(BUILD / "source")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", builder, "-c", str(ROOT / "docs")]
    status = subprocess.run([*command, "-d", str(BUILD / "doctrees"), BUILD / "source", BUILD / builder]).returncode
    broken = broken_links(BUILD / "html") if builder == "html" else []
    print(*(f"broken link in {link}" for link in broken), sep="\n", file=sys.stderr)
    return status or bool(broken)


if __name__ == "__main__":
    sys.exit(main())
