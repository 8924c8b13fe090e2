"""An archive unpacked into its folder and nowhere else: files and folders only, complete or not at all."""

import lzma
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import NoReturn, Self

from pplkit.core.errors import PplkitError, reason
from pplkit.core.texts import check_file
from pplkit.data.images import inside

BYTES = 2**33  # of all files in it
FILES = 100_000
NAMES = 2**20  # bytes of a name or another attribute, which are read at once


class _Part(tarfile.TarInfo):
    """What is in an archive, read with little memory: attributes are short, and no file has holes."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """From its head; raises PplkitError if attributes follow that would take gigabytes."""
        part = super().frombuf(buf, encoding, errors)
        if part.size > NAMES and not part.isreg():
            raise PplkitError(f"it holds attributes of {part.size:,} bytes")
        return part

    def _refuse(self, *_: object) -> NoReturn:
        raise PplkitError("it holds a file with holes, whose list has no end that is known")

    _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar archive, compressed or not, into `folder`; what it has at the top takes the place of what is there.

    Raises PplkitError, with nothing left behind, for a torn archive, and for one with links, devices, names that lead
    out of the folder, or more than BYTES.
    """
    partial = folder / f".{archive.name}.partial"
    check_file(archive, "download it again")
    if archive.stat().st_size > BYTES:  # zeros after its end would be read to theirs
        raise PplkitError(f"{archive} is longer than {BYTES:,} bytes, which it never should be: download it again.")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        with tarfile.open(archive, tarinfo=_Part) as file:
            _extract(file, partial)
        if not any(partial.iterdir()):
            raise PplkitError("it holds no files")
        for entry in sorted(partial.iterdir()):
            if (folder / entry.name).is_dir():
                shutil.rmtree(folder / entry.name)
            entry.replace(folder / entry.name)
    except PplkitError as error:
        raise PplkitError(f"{archive} is refused, nothing was unpacked ({error}): download it again.") from None
    except (OSError, EOFError, ValueError, ArithmeticError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        raise PplkitError(f"{archive} cannot be unpacked ({reason(error)}): download it again, or make room.") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _extract(archive: tarfile.TarFile, folder: Path) -> None:
    left = BYTES
    for number, part in enumerate(archive):
        target = inside(folder, part.name)
        left -= part.size
        if left < 0 or number >= FILES:
            raise PplkitError(f"it holds more than {BYTES:,} bytes or {FILES:,} files")
        if part.isdir():
            target.mkdir(parents=True, exist_ok=True)
        elif part.isreg() and (content := archive.extractfile(part)) is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                shutil.copyfileobj(content, file)
        else:
            raise PplkitError(f"{part.name!r} is neither a file nor a folder")
