"""Whether a folder can hold receipts: its locks must hold, and it must not be a network disk."""

from __future__ import annotations

import fcntl
import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from seedbed.errors import UsageError

_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|afs|ceph|glusterfs|lustre|fuse\.(sshfs|rclone|s3fs|ceph|glusterfs|gcsfuse)"
)
_HINT = "Put the project on a local disk."


def check_place(folder: Path, *, mounts: Path = Path("/proc/mounts")) -> None:
    """Raise UsageError if receipts in ``folder`` could be lost to locks that do not lock."""
    kind = _file_system(folder.resolve(), mounts)
    if _NETWORK.fullmatch(kind):
        raise UsageError(
            f"{folder} is on a network file system ({kind})",
            why="SQLite's log shares memory between processes, which such a disk does not.",
            hint=_HINT,
        )
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix="place.") as room:
        if not (_sqlite_locks(Path(room)) and _descriptors_lock(Path(room))):
            raise UsageError(f"{folder} is on a file system whose locks do not hold", hint=_HINT)


def _file_system(folder: Path, mounts: Path) -> str:
    """The type of the file system that holds ``folder``; empty where the system does not tell."""
    best, kind = -1, ""
    with suppress(OSError):
        for line in mounts.read_text(errors="replace").splitlines():
            fields = line.split()
            if len(fields) < 3:
                continue
            point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[1]))
            if folder.is_relative_to(point) and len(point.parts) >= best:
                best, kind = len(point.parts), fields[2]
    return kind


def _sqlite_locks(room: Path) -> bool:
    path = room / "locks.sqlite"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as first,
        closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as second,
    ):
        if first.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            return False
        first.execute("BEGIN EXCLUSIVE")
        try:
            second.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return True
        return False


def _descriptors_lock(room: Path) -> bool:
    """SQLite itself keeps two connections of one process apart; only the system can say this."""
    path = room / "locks"
    with path.open("wb") as first, path.open("wb") as second:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError as error:
            raise UsageError(f"{room.parent} cannot lock files", why=str(error), hint=_HINT) from error
        return False
