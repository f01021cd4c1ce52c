"""A process whose disk is recorded, or fails at its n-th operation: ``disk.c`` preloaded.

Needs a C compiler and a system that preloads (Linux); tests are skipped where there is none.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from dataclasses import astuple, dataclass
from pathlib import Path

import pytest

WRITE, SYNC, CUT, NAME, READ = 1, 2, 4, 8, 16
CHANGES = WRITE | SYNC | CUT | NAME
KILL, SHORT = -1, -2
"""In place of an error number: the process is killed; a write is cut short, and the rest refused."""


@dataclass(frozen=True)
class Fault:
    """The operation number ``at`` of these kinds fails; with ``lasting`` all that follow it too."""

    kinds: int
    at: int
    error: int
    lasting: bool = False


def built(folder: Path) -> Path:
    """The library, compiled into a folder."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("a C compiler and Linux are needed to make a disk fail")
    library = folder / "disk.so"
    source = Path(__file__).with_name("disk.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl", "-lpthread"], check=True)
    return library


def preloaded(library: Path) -> dict[str, str]:
    """The environment of a process that has it."""
    return {**os.environ, "LD_PRELOAD": str(library)}


# ------------------------------------------------------------------------- in a process that has it


def _disk() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def watch(root: Path, log: Path | None = None) -> None:
    """From now on what is done under ``root`` counts, and is written down in ``log``."""
    _disk().disk_watch(bytes(root), bytes(log) if log else b"")


def say(words: str) -> None:
    """Put words into the record, between what was done."""
    _disk().disk_say(words.encode())


def arm(fault: Fault) -> None:
    kinds, at, error, lasting = astuple(fault)
    _disk().disk_arm(kinds, ctypes.c_long(at), error, int(lasting))


def passed() -> int:
    """Operations of the armed kinds so far."""
    return int(_disk().disk_passed())
