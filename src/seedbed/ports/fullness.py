"""Which complaints of SQLite mean that there is no room: a full disk, a quota, a limit on the size of a file."""

from __future__ import annotations

import sqlite3

_NO_ROOM = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_DIR_FSYNC,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMOPEN,  # the index of the log beside a database cannot grow
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_SHMMAP,
    }
)


def no_room(error: BaseException | None) -> bool:
    return getattr(error, "sqlite_errorcode", None) in _NO_ROOM
