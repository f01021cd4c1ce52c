"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import TracebackType

from seedbed.crashing import point
from seedbed.ports.folders import sync_folder

_CHUNK = 4 << 20


class NewFile:
    """A file under a temporary name beside its target, until :meth:`place`; removed if that never comes."""

    def __init__(self, target: Path, *, like: Path) -> None:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        self.target = target
        self.temporary = Path(name)
        self.sha = ""
        self._like = like
        self._file = os.fdopen(handle, "wb", buffering=1 << 20)
        self._state = sha256()

    def write(self, piece: bytes) -> None:
        self._state.update(piece)
        self._file.write(piece)

    def finish(self) -> str:
        """Make its bytes durable; its SHA-256."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        shutil.copymode(self._like, self.temporary)
        self.sha = self._state.hexdigest()
        return self.sha

    def chunks(self) -> Iterator[bytes]:
        with self.temporary.open("rb") as file:
            while piece := file.read(_CHUNK):
                yield piece

    def place(self) -> None:
        """Take the target's name, durably."""
        point("before a file takes its name")
        self.temporary.replace(self.target)
        point("after a file takes its name")
        sync_folder(self.target.parent)

    def __enter__(self) -> NewFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        with suppress(OSError):
            self.temporary.unlink()


def copy_file(pieces: Iterable[bytes], target: Path, *, like: Path) -> None:
    """A durable file with these bytes."""
    with NewFile(target, like=like) as new:
        for piece in pieces:
            new.write(piece)
        new.finish()
        new.place()
