"""JupyterLab in the browser of the system: a server of its own, a home of its own, and a look at the browser's console.

Skipped unless asked for by the marker (`make test-browser`), since it takes minutes, and where there is no Chromium
or no playwright. Every test leaves a picture of its page in .browser/.
"""

import importlib.util
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest

from pplkit.experiments.notebooks import run_notebooks

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
SCREENSHOTS = ROOT / ".browser"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
TIMEOUT_MS = 600_000  # a cell of a cold kernel on a busy machine takes its time
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},  # all cells are there, to be looked at
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests of this folder unless they are asked for and can run."""
    reason = ""
    if "browser" not in (config.option.markexpr or ""):
        reason = "drives a browser for minutes: make test-browser"
    elif not any(map(shutil.which, CHROMIUM)):
        reason = "no Chromium: install the system's, such as apt-get install chromium"
    elif importlib.util.find_spec("playwright") is None:
        reason = "playwright is missing: pip install -e .[browser], or make test-browser"
    for item in items:
        if reason and item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.skip(reason=reason))


class Lab(NamedTuple):
    """A running JupyterLab whose root holds copies of the notebooks."""

    root: Path
    home: Path
    address: str
    token: str

    def put(self, name: str, **parameters: Any) -> str:
        """Put a copy of a notebook without outputs and with other parameters there; returns its address."""
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
            if "parameters" in cell.metadata.get("tags", []):
                cell.source += "".join(f"\n{key} = {value!r}" for key, value in parameters.items())
        nbformat.write(notebook, self.root / f"{name}.ipynb")
        return self._address_of(name)

    def put_cells(self, name: str, cells: list[str]) -> str:
        """Put a notebook with these cells of code there; returns its address."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.root / f"{name}.ipynb")
        return self._address_of(name)

    def put_published(self, name: str) -> str:
        """Put a notebook there as it is, with its outputs; returns its address."""
        shutil.copyfile(NOTEBOOKS / f"{name}.ipynb", self.root / f"{name}.ipynb")
        return self._address_of(name)

    def _address_of(self, name: str) -> str:
        return f"{self.address}/doc/tree/{name}.ipynb?token={self.token}"


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which notebooks 01 and 02 have run at smoke scale."""
    folder = tmp_path_factory.mktemp("home")
    run_notebooks("puppets", "puppets", {"scale": "smoke"}, ("01_data_preparation", "02_training"), root=folder)
    return folder


@pytest.fixture(scope="session")
def lab(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on a free port of this machine alone, with a token, and settings and root folder of its own."""
    own = tmp_path_factory.mktemp("jupyter")
    (own / "root").mkdir()
    for name, content in SETTINGS.items():
        path = own / "config" / "lab" / "user-settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    environment = {
        **os.environ,
        "PPLKIT_HOME": str(home),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
        "OMP_NUM_THREADS": "1",
        "JUPYTER_CONFIG_DIR": str(own / "config"),
        "JUPYTER_DATA_DIR": str(own / "data"),
        "JUPYTER_RUNTIME_DIR": str(own / "runtime"),
    }
    options = [
        "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={own / 'root'}",
        "--LabApp.extension_manager=readonly",
    ]  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    with (own / "log").open("w") as log:
        command = [sys.executable, "-m", "jupyterlab", *options]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for(address, server, own / "log")
            yield Lab(own / "root", home, address, token)
        finally:
            server.terminate()
            server.wait(60)


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + TIMEOUT_MS / 1000
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/api").close()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise AssertionError(log.read_text())


@pytest.fixture
def page(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A page of a new browser; afterwards a picture of it is kept, and its console must have had no errors."""
    from playwright.sync_api import sync_playwright

    SCREENSHOTS.mkdir(exist_ok=True)
    errors: list[str] = []
    path = next(filter(None, map(shutil.which, CHROMIUM)))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=QUIET)
        made = browser.new_page(viewport={"width": 1280, "height": 1000})
        made.set_default_timeout(TIMEOUT_MS)
        made.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        made.on("pageerror", lambda error: errors.append(str(error)))
        yield made
        made.screenshot(path=SCREENSHOTS / f"{request.node.name}.png")
        browser.close()
    assert errors == []


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Callable[[str, Any], None]:
    """Keeps a picture of a part of the page, under the name of the test and one of its own."""

    def keep(name: str, part: Any) -> None:
        part.screenshot(path=SCREENSHOTS / f"{request.node.name}-{name}.png")

    return keep


@pytest.fixture
def run_all(page: Any) -> Callable[[str], None]:
    """Opens a notebook at an address and runs all of its cells."""

    def run(address: str) -> None:
        page.goto(address)
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        page.get_by_text("(ipykernel) | Idle").wait_for()  # in the status bar: the kernel has answered
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    return run


@pytest.fixture
def until(page: Any) -> Callable[[Callable[[], Any]], Any]:
    """What a look at the page or a file finds, once it finds something; two minutes at most."""

    def wait(look: Callable[[], Any]) -> Any:
        for _ in range(600):
            if result := look():
                return result
            page.wait_for_timeout(200)
        raise AssertionError("it never came")

    return wait
