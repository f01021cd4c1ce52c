"""One folder a document, whole or not at all: a batch is written under temporary names, made durable, then named."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from seedbed import crashing

STAGING = ".importing"


class Folders:
    """The folder of the documents. Who writes holds the lock of the index: there is one writer."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._staging = root / STAGING

    def begin(self) -> None:
        """Remove what a killed import left under temporary names."""
        shutil.rmtree(self._staging, ignore_errors=True)

    def write(self, batch: Sequence[tuple[str, Mapping[str, bytes]]]) -> None:
        """The files of a batch of documents under temporary names; nothing is durable yet."""
        self._staging.mkdir(parents=True, exist_ok=True)
        for number, (_, files) in enumerate(batch):
            if number == len(batch) // 2:
                crashing.point("while documents are written")
            folder = self._staging / str(number)
            folder.mkdir()
            for name, data in files.items():
                _write(f"{folder}/{name}", data)

    def sync(self) -> None:
        """All that was written and named so far is on the disk when this returns."""
        if self.root.is_dir():
            _durable(self.root)

    def name(self, batch: Sequence[tuple[str, Mapping[str, bytes]]]) -> None:
        """Give the batch that was written and synced its names, by place.

        A folder that stands in a place already is of a batch that was killed before its rows were written; the
        same document's files take its place.
        """
        crashing.point("before documents take their names")
        for number, (place, _) in enumerate(batch):
            if number == len(batch) // 2:
                crashing.point("while documents take their names")
            self._place(self._staging / str(number), self.root / place)
        crashing.point("after documents took their names")

    def _place(self, folder: Path, target: Path) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(target)
        except OSError:
            if not target.is_dir():
                raise
            shutil.rmtree(target)
            folder.rename(target)

    def end(self) -> None:
        shutil.rmtree(self._staging, ignore_errors=True)

    def read(self, place: str, name: str) -> bytes | None:
        """A file of a document; None where it is not there."""
        try:
            return (self.root / place / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None


def _write(path: str, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]
    finally:
        os.close(handle)


def replace_file(path: Path, lines: Iterable[bytes]) -> None:
    """A file that appears whole or not at all."""
    temporary = path.parent / f".{path.name[:100]}.part"
    with temporary.open("wb") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync(path.parent)


# -------------------------------------------------------------------------------------- durability


def _durable(folder: Path) -> None:
    """All below a folder is on the disk when this returns: in one go where the system can, else file by file."""
    if _SYNCFS is None:
        for at, _, files in os.walk(folder, topdown=False):
            for name in files:
                _sync(Path(at) / name)
            _sync(Path(at))
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        if _SYNCFS(handle) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(handle)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _syncfs() -> Callable[[int], int] | None:
    """Linux's ``syncfs``: a tenth of what syncing each file costs, and it reports errors."""
    try:
        found: Callable[[int], int] = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return None
    return found


_SYNCFS = _syncfs()
