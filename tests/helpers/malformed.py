"""Hundreds of malformed files, and what the kit makes of each: `python tests/helpers/malformed.py` prints a table.

A case is a sound file, spoiled in one way, and the reader that gets it. It has to end in PplkitError, one sentence with
the file and the remedy; where the change may leave a sound file (another pixel, say) it may load. Called as a program
each case has a process of its own, which is stopped after ten seconds and gets no more than 2 GB of memory.
"""

import argparse
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[2])]  # the package beside these tests

os.environ.setdefault("TQDM_DISABLE", "1")
import torch
from malformed_binary import BINARY, BOXES
from malformed_runs import LEFT_OUT, RUN_SOURCES, RUN_TEXTS
from malformed_sources import SOURCES as FIRST
from malformed_sources import Source
from malformed_texts import TEXTS

from pplkit.core.errors import PplkitError

SOURCES = FIRST | RUN_SOURCES
SECONDS = 10
BYTES = 2 * 10**9
Change = Callable[[bytes, np.random.Generator], bytes]
Spoil = Callable[[Path], None]


class Case(NamedTuple):
    """A reader by name, what is done to one of its files, and whether that may leave a sound one."""

    reader: str
    name: str
    spoil: Spoil
    lenient: bool = False


def flipped(share: float) -> Change:
    """The byte at a share of the length, with all its bits turned over."""

    def change(content: bytes, _: np.random.Generator) -> bytes:
        place = min(int(share * len(content)), len(content) - 1)
        return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]

    return change


def fuzzed(content: bytes, rng: np.random.Generator) -> bytes:
    """Some random bytes at random places."""
    changed = np.frombuffer(content, np.uint8).copy()
    count = 1 + len(changed) // 200
    changed[rng.integers(len(changed), size=count)] = rng.integers(0, 256, count)
    return changed.tobytes()


def head_fuzzed(content: bytes, rng: np.random.Generator) -> bytes:
    """The same where files have their magic numbers, lengths and shapes."""
    return fuzzed(content[:64], rng) + content[64:]


def tail_fuzzed(content: bytes, rng: np.random.Generator) -> bytes:
    """The same at the end, where archives and films have their lists."""
    return content[:-64] + fuzzed(content[-64:], rng)


WRONG: dict[str, Change] = {
    "empty": lambda content, _: b"",
    "one byte": lambda content, _: content[:1],
    "zeros": lambda content, _: bytes(len(content)),
    "noise": lambda content, rng: rng.bytes(len(content)),
    "a pickle": lambda content, _: b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    "HTML": lambda content, _: b"<!doctype html><html><body>Not found</body></html>",
}
HALVED: dict[str, Change] = {
    "a tenth": lambda content, _: content[: len(content) // 10],
    "half": lambda content, _: content[: len(content) // 2],
}
SMALL: dict[str, Change] = {
    "a zip's head": lambda content, _: b"PK\x03\x04" + content[4:],
    "without its end": lambda content, _: content[:-1],
    "with more at its end": lambda content, _: content + b"more",
    "UTF-16": lambda content, _: content.decode("latin1").encode("utf-16"),
    **{f"a byte at {share}": flipped(share) for share in (0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 1.0)},
    **{f"fuzzed {seed}": fuzzed for seed in range(4)},
    **{f"head fuzzed {seed}": head_fuzzed for seed in range(4)},
    **{f"tail fuzzed {seed}": tail_fuzzed for seed in range(2)},
}
PLACES: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a circle": lambda path: path.symlink_to(path.name),
}


def changed(file: str, change: Change, seed: int) -> Spoil:
    """Change the content of a file."""

    def spoil(folder: Path) -> None:
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(change(content, np.random.default_rng(seed)))

    return spoil


def replaced(file: str, make: Callable[[Path], object]) -> Spoil:
    """Put something else in the place of a file."""

    def spoil(folder: Path) -> None:
        (folder / file).unlink()
        make(folder / file)

    return spoil


def cases() -> Iterator[Case]:
    """All cases, the same each time."""
    for reader, source in SOURCES.items():
        for file in source.files:
            for kind, changes in (("wrong", WRONG), ("halved", HALVED), ("small", SMALL)):
                for number, (name, change) in enumerate(changes.items()):
                    lenient = kind == "small" or (kind == "halved" and not source.strict) or (file, name) in EMPTY
                    yield Case(reader, f"{file}: {name}", changed(file, change, number), lenient)
            for name, make in PLACES.items():
                yield Case(reader, f"{file}: {name}", replaced(file, make), (file, name) in EMPTY)
    for reader, own in [*TEXTS.items(), *RUN_TEXTS.items(), *BINARY.items()]:
        for name, spoil in own.items():
            yield Case(reader, name, spoil, (reader, name) in HARMLESS or name in LEFT_OUT)


HARMLESS = {
    ("CSV labels", "zero bytes"),  # no picture is called so, which is said when it is looked for
    ("CDF and HDF5", "longer than it says"),
    ("picture", "longer than the disk"),
    *(("ended run", f"state = {name}") for name in ("[]", "{}")),  # as those of earlier versions have none
    ("video", "with much nothing at its end"),
    ("picture", "PNG with words by the gigabyte"),  # which are left out
}
EMPTY = {
    *(("run/metrics.jsonl", name) for name in (*WRONG, "gone")),  # lines up to the first that is torn
    *(("run/batch.json", name) for name in ("gone", "a circle")),  # nothing is finished
    *((f"run/{name}.json", place) for name in ("evaluation", "occlusion") for place in ("gone", "a folder", "a pipe")),
    *((f"run/{name}.json", "a circle") for name in ("evaluation", "occlusion", "landmarks")),
    ("run/landmarks.json", "gone"),
    *(("run/training.json", name) for name in (*WRONG, *HALVED, *PLACES)),  # it is written anew
    *(("run/notes.json", name) for name in (*WRONG, *HALVED, *PLACES)),  # nobody reads it
    *((BOXES, name) for name in PLACES),  # a film may do without
    *(("run/completer.safetensors", name) for name in ("gone", "a circle")),  # there is none
}
"""What is no fault."""


class Ground:
    """Sound files of every reader, made once, and copied for each case."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, case: Case) -> str:
        """What became of a case: "refused", "loaded", or what is wrong about it."""
        source, place = SOURCES[case.reader], self.folder / "case"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.sound(case.reader, source), place)
        case.spoil(place)
        try:
            source.read(place)
        except PplkitError as error:
            return "refused" if told(str(error), place) else f"does not name file and remedy: {error}"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return "loaded" if case.lenient else "loaded, which it should not be"

    def sound(self, reader: str, source: Source) -> Path:
        """The sound files, which have to be read as they are."""
        place = self.folder / f"{source.make.__module__}-{getattr(source.make, '__name__', '')}".replace("<", "")
        if not place.exists():
            place.mkdir(parents=True)
            source.make(place)
            if (place / "set").exists():
                (place / "as written").mkdir()
                for file in (place / "set/train").glob("*.npy"):
                    shutil.copy(file, place / "as written" / f"train {file.name}")
        return place


def told(said: str, place: Path) -> bool:
    """Whether an error is one line that names a file of the case, and after it what to do."""
    _, _, after = said.partition(str(place))
    return "\n" not in said and bool(after) and any(sign in after for sign in ("; ", ": "))


def apart(ground: Ground, case: Case) -> str:
    """What becomes of a case in a process of its own, with an end to its time and memory."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.close(read)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1), os.dup2(nowhere, 2)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of the processor's time: others work here, too
        signal.alarm(6 * SECONDS)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
        try:
            said = ground.run(case)
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode("utf8", "replace")[:4000])
        os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        said = pipe.read().decode("utf8", "replace")
    _, status = os.waitpid(child, 0)
    return said or f"the process ended with status {status}, by signal {os.WTERMSIG(status)}"


def main() -> int:
    """Run all cases apart and print a row for each reader; the exit status, 1 if a case failed."""
    command = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    command.add_argument("--only", default="", help="readers and cases whose names have this in them")
    only = command.parse_args().only
    torch.set_num_threads(1)
    counts: dict[str, Counter[str]] = {}
    bad, began = [], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        ground = Ground(Path(folder))
        for case in cases():
            if only not in f"{case.reader} {case.name}":
                continue
            ground.sound(case.reader, SOURCES[case.reader])
            outcome = apart(ground, case)
            good = outcome in ("refused", "loaded")
            counts.setdefault(case.reader, Counter())[outcome if good else "bad"] += 1
            if not good:
                bad.append(f"{case.reader}, {case.name}: {outcome}")
                print(bad[-1], flush=True)
    print(f"{'reader':<16}{'cases':>8}{'refused':>9}{'loaded':>8}{'bad':>6}")
    for reader, count in {**counts, "all": sum(counts.values(), Counter())}.items():
        print(f"{reader:<16}{count.total():>8}{count['refused']:>9}{count['loaded']:>8}{count['bad']:>6}")
    print(f"{len(bad)} bad, {time.monotonic() - began:.0f} s")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
