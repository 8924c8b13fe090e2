"""The front end of a notebook: whether a person attends it, and its messages while a cell is busy."""

import asyncio
import inspect
import io
import threading
from contextlib import suppress
from typing import Any

from matplotlib.figure import Figure

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
WIDGET_MESSAGES = ("comm_open", "comm_msg", "comm_close")  # all others wait for the cell to end


def in_notebook() -> bool:
    """Whether the output goes to a Jupyter kernel."""
    return _kernel() is not None


def attended() -> bool:
    """Whether a person can use widgets: in a notebook whose front end accepts input.

    papermill, nbclient and nbval say with each cell that they do not, and nobody would press a button there.
    """
    if not in_notebook():
        return False
    from IPython import get_ipython

    parent = get_ipython().get_parent()  # type: ignore[no-untyped-call]
    return bool(parent and parent.get("content", {}).get("allow_stdin"))


def bundle(widget: Any, figure: Figure) -> dict[str, Any]:
    """The output of a cell: the widget, or None, and the figure for wherever there is no kernel to serve the widget.

    Front ends prefer the widget; a saved notebook on the web, or its HTML export, shows the figure.
    """
    file = io.BytesIO()
    figure.savefig(file, format="png")
    content: dict[str, Any] = {"text/plain": repr(figure), "image/png": file.getvalue()}
    if widget is not None:
        content[WIDGET_VIEW] = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return content


def handle_events() -> None:
    """Handle the messages of this notebook's widgets so far; for calling now and then in a cell that takes long.

    JupyterLab from 4.4 with ipykernel 7 gives such messages to a thread of their own, a subshell, and there is nothing
    to do here. Other front ends let them queue behind the running cell: they are taken from the queue and handled,
    and everything else, such as the next cell, stays in its order. Does nothing outside a notebook, and in a kernel
    that works otherwise: messages are then handled when the cell has ended.
    """
    kernel = _kernel()
    if kernel is None or threading.current_thread() is not threading.main_thread():
        return
    stream = _shell(kernel)
    deliver = getattr(stream, "_recv_callback", None)  # there is no public way to ask for it
    if deliver is None:
        return
    waiting: list[Any] = []
    try:
        stream.on_recv(waiting.append, copy=False)
        stream.flush()
    finally:
        stream.on_recv(deliver, copy=False)
        for message in waiting:
            if not _handled(kernel, stream, message):
                delivery = deliver(message)
                if inspect.isawaitable(delivery):
                    asyncio.ensure_future(delivery)  # begins when the cell has ended


def _kernel() -> Any:
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    return getattr(get_ipython(), "kernel", None)  # type: ignore[no-untyped-call]


def _shell(kernel: Any) -> Any:
    """The stream by which requests reach the main thread of a kernel; None if it has none."""
    channel = getattr(kernel, "shell_channel_thread", None)  # from ipykernel 7 on, which passes them on to the main one
    try:
        return channel.manager.get_shell_channel_to_subshell_pair(None).to_stream if channel else kernel.shell_stream
    except AttributeError:
        return None


def _handled(kernel: Any, stream: Any, message: Any) -> bool:
    """Handle a raw message if it is a widget's, and say whether it was; others stay as they are."""
    try:
        sender, parts = kernel.session.feed_identities(message, copy=False)
        kind = kernel.session.deserialize(parts, content=False, copy=False)["header"]["msg_type"]
        handler = kernel.shell_handlers[kind] if kind in WIDGET_MESSAGES else None
        if handler is None:
            return False
        content = kernel.session.deserialize(parts, content=True, copy=False)
    except Exception:  # a malformed message: the kernel itself answers it
        return False
    _publish(kernel, "busy", content)
    handler(stream, sender, content)
    _publish(kernel, "idle", content)
    return True


def _publish(kernel: Any, state: str, message: Any) -> None:
    """A front end waits with its next message until it hears that the kernel is idle again."""
    with suppress(Exception):  # there is no public way, and without it buttons still work
        kernel._publish_status(state, "shell", message)
