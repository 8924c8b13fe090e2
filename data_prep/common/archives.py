"""Tar archives, unpacked into their folder and nowhere else, complete or not at all."""

import lzma
import shutil
import tarfile
import zlib
from pathlib import Path

from pplkit.core.errors import PplkitError, reason


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar archive, compressed or not, into `folder`; its files and folders replace those of the same name.

    Raises PplkitError, leaving `folder` as it was, for an archive that is damaged or has a member that would lie
    outside of it.
    """
    if not archive.is_file():
        raise PplkitError(f"{archive} is not a file: download it again.")
    if not hasattr(tarfile, "data_filter"):
        raise PplkitError(f"unpacking {archive} needs Python 3.11.4 or later: unpack it yourself, or update Python.")
    partial = folder / f".{archive.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        with tarfile.open(archive) as file:
            file.extractall(partial, filter="data")
        for entry in sorted(partial.iterdir()):
            if (folder / entry.name).is_dir():
                shutil.rmtree(folder / entry.name)
            entry.replace(folder / entry.name)
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        raise PplkitError(f"{archive} cannot be unpacked ({reason(error)}): download it again, or make room.") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
