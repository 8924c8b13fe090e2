"""Widgets' messages are handled while a cell is busy, everything else stays in order; who sits before a notebook."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipykernel
import pytest
from jupyter_client.manager import start_new_kernel

from pplkit.viz.drawing import subplots
from pplkit.viz.widgets import notebook_host as frontend

# The file alone, without the package, which takes seconds to import.
LOAD = f"""
import importlib.util, time
spec = importlib.util.spec_from_file_location("frontend", {str(Path(frontend.__file__))!r})
frontend = importlib.util.module_from_spec(spec)
spec.loader.exec_module(frontend)
from comm import create_comm
seen = []
comm = create_comm(target_name="probe")
comm.on_msg(lambda message: seen.append(message["content"]["data"]))
print(comm.comm_id, frontend.in_notebook(), frontend.attended())
"""
BUSY = """
print("busy", flush=True)
end = time.monotonic() + {seconds}
while len(seen) < 2 and time.monotonic() < end:
    {poll}
    time.sleep(0.01)
print(seen)
"""


class Kernel:
    """A client of a kernel that speaks as a front end without subshells does."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.comm, *self.attended = self.run(LOAD).split()

    def run(self, code: str, **options: Any) -> str:
        return self.printed(self.client.execute(code, **options))

    def printed(self, request: str) -> str:
        """What the request prints, once it is done."""
        said = ""
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") == request:
                kind, content = message["msg_type"], message["content"]
                assert kind != "error", content
                said += content.get("text", "")
                if kind == "status" and content["execution_state"] == "idle":
                    return said

    def tell(self, data: Any) -> str:
        message = self.client.session.msg("comm_msg", {"comm_id": self.comm, "data": data})
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    manager, client = start_new_kernel()
    try:
        yield Kernel(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def begin(kernel: Kernel, poll: str, seconds: float) -> str:
    kernel.run("seen.clear()")
    busy = str(kernel.client.execute(BUSY.format(poll=poll, seconds=seconds)))
    while kernel.client.get_iopub_msg(timeout=60)["content"].get("text") != "busy\n":
        pass
    return busy


def test_messages_of_widgets_are_handled_in_a_busy_cell_and_other_cells_wait(kernel: Kernel) -> None:
    busy = begin(kernel, "frontend.handle_events()", 30)
    first = kernel.tell("pause")
    later = [str(kernel.client.execute(f"seen.append({number}); print(seen)")) for number in (1, 2)]
    second = kernel.tell("stop")
    heard, said = [], {busy: "", later[0]: "", later[1]: ""}
    while later[1] not in heard:
        message = kernel.client.get_iopub_msg(timeout=60)
        request = message["parent_header"].get("msg_id")
        if request in said:
            said[request] += message["content"].get("text", "")
        if message["content"].get("execution_state") == "idle":
            heard.append(request)
    assert heard == [first, second, busy, *later]
    assert said[busy] == "['pause', 'stop']\n"
    assert said[later[1]] == "['pause', 'stop', 1, 2]\n"


def test_without_it_they_wait_for_the_cell_to_end(kernel: Kernel) -> None:
    busy = begin(kernel, "pass", 0.5)
    kernel.tell("pause")
    assert kernel.printed(busy) == "[]\n"


def test_a_subshell_hands_them_over_by_itself(kernel: Kernel) -> None:
    client = kernel.client
    if ipykernel.version_info[0] < 7:
        pytest.skip("this version of ipykernel has no subshells")
    client.control_channel.send(client.session.msg("create_subshell_request", {}))
    reply = client.control_channel.get_msg(timeout=30)["content"]
    busy = begin(kernel, "frontend.handle_events()", 30)
    for data in ("pause", "stop"):
        message = client.session.msg("comm_msg", {"comm_id": kernel.comm, "data": data})
        message["header"]["subshell_id"] = reply["subshell_id"]
        client.shell_channel.send(message)
    assert kernel.printed(busy) == "['pause', 'stop']\n"


def test_somebody_is_there_if_the_front_end_can_ask(kernel: Kernel) -> None:
    assert kernel.attended == ["True", "True"]
    assert kernel.run("print(frontend.in_notebook(), frontend.attended())", allow_stdin=False) == "True False\n"
    assert not frontend.in_notebook() and not frontend.attended()  # in this process


def test_outside_a_notebook_and_in_an_unknown_kernel_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    frontend.handle_events()
    monkeypatch.setattr(frontend, "_kernel", lambda: object())
    frontend.handle_events()


def test_the_picture_stands_beside_the_widget() -> None:
    figure, _ = subplots(1, 1)
    content = frontend.bundle(None, figure)
    assert content["image/png"].startswith(b"\x89PNG") and frontend.WIDGET_VIEW not in content
    widget = type("Widget", (), {"model_id": "abc"})()
    assert frontend.bundle(widget, figure)[frontend.WIDGET_VIEW]["model_id"] == "abc"
