"""Files of MATLAB before 7.3, read within a limit: a compressed one may say that it is a thousand times as large."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

from pplkit.errors import PplkitError, reason
from pplkit.texts import check_file

BYTES = 2**28  # of a file, and of what is compressed in it
COMPRESSED = 15  # the kind of an element


def read_mat(path: Path, name: str, remedy: str, **options: Any) -> Any:
    """The variable `name` of a file of MATLAB, with `options` for scipy's loadmat.

    Raises PplkitError, naming the file and `remedy`, if it is damaged, too large, or lacks the variable.
    """
    from scipy.io import loadmat

    check_file(path, remedy)
    try:
        with path.open("rb") as file:
            content = file.read(BYTES + 1)
        _check_size(content)
        found = loadmat(io.BytesIO(content), variable_names=[name], **options)
    except Exception as error:  # a torn file can fail anywhere inside the reader
        raise PplkitError(f"{path} cannot be read as a file of MATLAB ({reason(error)}): {remedy}.") from error
    if name not in found:
        raise PplkitError(f"{path} has no {name}: {remedy}.")
    return found[name]


def _check_size(content: bytes) -> None:
    """Raise ValueError if the file, or all that is compressed in it, is longer than BYTES.

    After 128 bytes each element has its kind, its length and so many bytes.
    """
    order = ">" if content[126:128] == b"MI" else "<"
    place, left = 128, BYTES - len(content)
    while left >= 0 and place + 8 <= len(content):
        kind, length = struct.unpack_from(f"{order}II", content, place)
        if kind == COMPRESSED:
            inflate = zlib.decompressobj()
            left -= len(inflate.decompress(content[place + 8 : place + 8 + length], max_length=left + 1))
        place += 8 + length
    if left < 0:
        raise ValueError(f"it is longer than {BYTES:,} bytes, which it never should be")
