"""What SQLite refuses, in our words: no room, a disk that fails, a file that others hold or that is closed to us."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from tempfile import TemporaryFile

from seedbed.errors import Corrupt, DiskFails, DiskFull, Pause, SeedbedError, UsageError, of_the_system

_NO_ROOM = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMOPEN,  # the index of the log beside a database cannot grow
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_SHMMAP,
    }
)
_AGAIN = "run the same command again."
_RESTORE = "put your copy of it back."


def no_room(error: BaseException | None) -> bool:
    """A full disk, a quota, a limit on the size of a file: SQLite does not tell them apart."""
    return getattr(error, "sqlite_errorcode", None) in _NO_ROOM


def disk_fails(error: BaseException | None) -> bool:
    """A read or a sync failed. What was committed and what was not is known again once the file is opened anew."""
    return _primary(error) == sqlite3.SQLITE_IOERR and not no_room(error)


def of_sqlite(error: sqlite3.Error, place: Path) -> SeedbedError | None:
    """A complaint about the database at ``place``; None for what would be a bug of ours."""
    if no_room(error):
        return DiskFull(f"{place} cannot grow: {error}", hint=f"Make room, then {_AGAIN}")
    if disk_fails(error):
        return DiskFails(f"The disk of {place} fails: {error}", hint=f"Look at that disk, then {_AGAIN}")
    if _primary(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Pause(f"{place} is held by another program: {error}", hint=_AGAIN.capitalize())
    if _primary(error) in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return _of_folder(place.parent) or UsageError(
            f"{place} may not be written: {error}", hint=f"Make it writable, then {_AGAIN}"
        )
    if _primary(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Corrupt(f"{place} is damaged: {error}", hint=f"If the disk is sound and it says so again, {_RESTORE}")
    return None


def _of_folder(folder: Path) -> SeedbedError | None:
    """Why nothing can be made in a folder, from the system itself: SQLite keeps the number of the error."""
    try:
        with TemporaryFile(dir=folder) as file:
            file.write(b"\xa5")
    except OSError as error:
        return of_the_system(error)
    return None


def _primary(error: BaseException | None) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
