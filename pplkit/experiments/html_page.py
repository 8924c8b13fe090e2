"""What the pages that runs and batches leave have in common: one file that loads nothing and runs no script."""

import base64
from collections.abc import Iterable
from html import escape

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # the page loads and runs nothing


def html_page(title: str, style: str, parts: Iterable[str]) -> str:
    """A page of HTML `parts` with CSS `style`."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def data_address(content: bytes, kind: str) -> str:
    """The address of an image that is part of the page; `kind` "png", "svg", "jpeg" or "webp"."""
    return f"data:image/{'svg+xml' if kind == 'svg' else kind};base64,{base64.b64encode(content).decode()}"
