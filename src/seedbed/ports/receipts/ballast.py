"""Room kept back on the disk, so that answers in flight can be stored when it is full."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from seedbed.errors import DiskFull

SIZE = 8 << 20
_CHUNK = 1 << 20
_PROBE = 256 << 10
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Ballast:
    """The file ``ballast`` of a receipts folder, shared by all its writers."""

    def __init__(self, folder: Path, size: int = SIZE) -> None:
        self.path = folder / "ballast"
        self.size = size

    def prepare(self, random: Callable[[int], bytes]) -> None:
        """Write it whole: random bytes, since a sparse or compressed file keeps no room. Raises DiskFull."""
        with suppress(FileNotFoundError):
            if self.path.stat().st_size == self.size:
                return
        draft = self.path.with_name(f"ballast.{random(6).hex()}")
        try:
            with draft.open("xb") as file:
                for start in range(0, self.size, _CHUNK):
                    file.write(random(min(_CHUNK, self.size - start)))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            if error.errno in _NO_ROOM:
                raise disk_full(self.path.parent, str(error)) from error
            raise

    def release(self) -> bool:
        """Give the room back. False if there was none left to give."""
        try:
            self.path.unlink()
        except OSError:
            return False
        return True


def disk_full(folder: Path, why: str) -> DiskFull:
    return DiskFull(
        f"Receipts cannot be stored in {folder}: there is no room",
        why=why,
        hint="Make room on that disk and run the same command again; nothing that was acknowledged is lost.",
    )


def is_no_room(error: BaseException, path: Path) -> bool:
    """Whether a failed write of the database at ``path`` means a full disk, quota or size limit.

    SQLite says "disk I/O error" for a quota and for a size limit, and keeps the number to itself.
    """
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    code = int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return True
    return code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and (_at_limit(path) or _probe(path))


def _at_limit(path: Path) -> bool:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit == resource.RLIM_INFINITY:
        return False
    sizes = [file.stat().st_size for file in path.parent.glob(f"{path.name}*")]
    return max(sizes, default=0) + _PROBE > limit


def _probe(path: Path) -> bool:
    draft = path.with_name(f"probe.{path.stem}")
    try:
        with draft.open("wb") as file:
            file.write(b"\xa5" * _PROBE)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno in _NO_ROOM
    finally:
        with suppress(OSError):
            draft.unlink()
    return False
