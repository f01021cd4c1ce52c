"""One receipts file: its tables, its name, and how it is opened, migrated and sealed.

Only the file's own writer checkpoints it. Readers open it read-only; a file that a killed process
left behind is recovered by whoever reads it first.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from seedbed.crashing import point
from seedbed.errors import Corrupt, DiskFull, Drift, Locked, StoreNewer, UsageError
from seedbed.ports.folders import sync_folder

PATIENCE = 10.0
"""Seconds to wait for another connection's lock."""

VERIFY_HINT = "Run: seedbed receipts verify"

_WRITER = re.compile(r"w\d{8}T\d{6}-[0-9a-f]{6,32}", re.ASCII)
_INTENT = re.compile(rf"({_WRITER.pattern})-([1-9]\d{{0,17}})", re.ASCII)

_ARCHIVE = re.compile(r"archive-([1-9]\d{0,8})\.sqlite", re.ASCII)

Migration = Callable[[sqlite3.Connection], None]

_RECEIPT_COLUMNS = """
    status INTEGER NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL, size INTEGER NOT NULL,
    format TEXT NOT NULL, sha256 TEXT NOT NULL, at INTEGER NOT NULL, crc INTEGER NOT NULL
"""
_ENDING_COLUMNS = "kind TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL, crc INTEGER NOT NULL"

_TABLES = (
    """CREATE TABLE intents (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL, call TEXT NOT NULL, stage TEXT NOT NULL, round TEXT NOT NULL,
        name TEXT NOT NULL, attempt INTEGER NOT NULL, keys TEXT NOT NULL, recipe TEXT NOT NULL,
        request_digest TEXT NOT NULL, model TEXT NOT NULL, account TEXT NOT NULL, reserved INTEGER, run TEXT NOT NULL,
        at INTEGER NOT NULL, lane TEXT NOT NULL, batch TEXT NOT NULL,
        payload BLOB NOT NULL, size INTEGER NOT NULL, crc INTEGER NOT NULL
    )""",
    "CREATE INDEX intents_call ON intents (call)",
    "CREATE INDEX intents_stage ON intents (stage)",
    f"CREATE TABLE receipts (intent_number INTEGER PRIMARY KEY, {_RECEIPT_COLUMNS})",
    f"CREATE TABLE endings (intent_number INTEGER NOT NULL, {_ENDING_COLUMNS}, "
    "UNIQUE (intent_number, kind, reason, at))",
    # What this writer received for intents of other writers: a batch that a later process collects.
    f"CREATE TABLE late_receipts (intent TEXT PRIMARY KEY, {_RECEIPT_COLUMNS})",
    f"CREATE TABLE late_endings (intent TEXT NOT NULL, {_ENDING_COLUMNS}, UNIQUE (intent, kind, reason, at))",
    "CREATE TABLE blobs (hash TEXT PRIMARY KEY, body BLOB NOT NULL, size INTEGER NOT NULL)",
    # Counted within each commit: a summary needs no scan, and verify has a second opinion.
    "CREATE TABLE tally (intents INTEGER NOT NULL, receipts INTEGER NOT NULL, bytes INTEGER NOT NULL)",
    "INSERT INTO tally VALUES (0, 0, 0)",
)


def _make_tables(connection: sqlite3.Connection) -> None:
    for statement in _TABLES:
        connection.execute(statement)


MIGRATIONS: tuple[Migration, ...] = (_make_tables,)
"""Step n brings a file from version n to n + 1. A step is never changed once released."""

VERSION = len(MIGRATIONS)

ARCHIVE_VERSION = 2
"""Of a compacted file: an older program must not take it for the file of one writer."""

ROOM = 1 << 40
"""Numbers that each writer has in a compacted file: its own number n is stored as its base + n."""

ARCHIVE_TABLES = (
    *(
        statement
        for statement in _TABLES
        if "late_" not in statement and "tally" not in statement
    ),
    "CREATE TABLE writers (base INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, intents INTEGER NOT NULL, "
    "receipts INTEGER NOT NULL, bytes INTEGER NOT NULL)",
    f"CREATE TABLE late_receipts (intent TEXT NOT NULL, {_RECEIPT_COLUMNS}, writer INTEGER NOT NULL, "
    "UNIQUE (writer, intent))",
    f"CREATE TABLE late_endings (intent TEXT NOT NULL, {_ENDING_COLUMNS}, writer INTEGER NOT NULL, "
    "UNIQUE (writer, intent, kind, reason, at))",
)  # fmt: skip
"""The same tables for many writers under one index; what is late has the base of the writer that received it."""


# ---------------------------------------------------------------------------------------------- names


def writer_name(at: int, random: bytes) -> str:
    """A name that sorts by time: ``w20261120T083000-3f9a2c``. ``at`` is Unix milliseconds."""
    return f"w{datetime.fromtimestamp(at / 1000, UTC):%Y%m%dT%H%M%S}-{random.hex()}"


def is_writer(name: str) -> bool:
    return _WRITER.fullmatch(name) is not None


def split_id(intent: str) -> tuple[str, int] | None:
    """Writer and number of an intent id; None for anything else, so that no id is ever a path."""
    match = _INTENT.fullmatch(intent)
    return (match[1], int(match[2])) if match else None


def file_of(folder: Path, writer: str) -> Path:
    return folder / f"{writer}.sqlite"


def files_in(folder: Path) -> list[Path]:
    """The files of single writers, in the order of their names."""
    return sorted(path for path in folder.glob("*.sqlite") if not archive_number(path))


def archives_in(folder: Path) -> list[Path]:
    """Compacted files, the newest first."""
    return sorted(filter(archive_number, folder.glob("archive-*.sqlite")), key=archive_number, reverse=True)


def archive_number(path: Path) -> int:
    """The number of a compacted file; 0 for any other."""
    found = _ARCHIVE.fullmatch(path.name)
    return int(found[1]) if found else 0


def companions(path: Path) -> tuple[Path, Path]:
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


# ----------------------------------------------------------------------------------------- migrations


def version_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, steps: Sequence[Migration] = MIGRATIONS) -> int:
    """Bring a file to version ``len(steps)``: all of the steps, or none of them."""
    connection.execute("BEGIN EXCLUSIVE")
    try:
        version = version_of(connection)
        if version > len(steps):
            raise newer(version, len(steps))
        for step in steps[version:]:
            step(connection)
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a failed write may have ended it
            connection.execute("ROLLBACK")
        raise
    return len(steps)


def newer(version: int, known: int = VERSION, where: str = "The receipts") -> StoreNewer:
    return StoreNewer(
        f"{where} were written by a newer seedbed",
        why=f"They have version {version}; this program knows {known}.",
        hint="Run: pip install --upgrade seedbed",
    )


# ------------------------------------------------------------------------------------------- opening


def open_writing(path: Path) -> sqlite3.Connection:
    """The connection of a file's only writer: each commit is on the disk when it returns."""
    connection = open_adding(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except BaseException:
        connection.close()
        raise
    return connection


def open_adding(path: Path) -> sqlite3.Connection:
    """A connection for an import: as durable, and the file keeps the kind of journal it has.

    EXTRA, since with less a removed journal may be back after a power cut, and with it what was redacted.
    """
    address = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(address, uri=True, timeout=PATIENCE, isolation_level=None)
    try:
        for pragma in (
            "synchronous = EXTRA", "fullfsync = 1", "checkpoint_fullfsync = 1",
            "mmap_size = 0", "wal_autocheckpoint = 0", "cache_size = -16000",
        ):  # fmt: skip
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def create_file(path: Path) -> None:
    """Make the file of a new writer. Raises FileExistsError: nobody appends to another's file."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    point("while a file of receipts is made")
    with closing(open_writing(path)) as connection:
        migrate(connection)
    sync_folder(path.parent)


def seal(connection: sqlite3.Connection) -> None:
    """Make a finished file one plain file, readable without its companions, unless a reader is at it."""
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()


def _connect_reading(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA query_only = 1")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA mmap_size = 0")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    connection.text_factory = _lenient
    return connection


def _lenient(raw: bytes) -> str:
    """Damaged text is told by its checksum, not by an exception in the middle of a page."""
    return raw.decode("utf-8", "replace")


def open_reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot write.

    Read-only first. A log without its index, or a journal that must be rolled back, needs a
    connection that may recover; a finished file in a folder we cannot write needs neither.
    """
    try:
        return _connect_reading(path, "mode=ro")
    except sqlite3.OperationalError as error:
        if _primary(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) or not path.exists():
            raise
    try:
        return _connect_reading(path, "mode=rw")
    except sqlite3.OperationalError as error:
        log = companions(path)[0]
        journal = path.with_name(f"{path.name}-journal")
        if any(other.exists() and other.stat().st_size for other in (log, journal)):
            raise UsageError(
                f"{path} cannot be read without write permission for its folder",
                why="The process that wrote it ended early, and its log must be recovered first.",
                hint=f"Run: chmod u+w {path.parent}",
            ) from error
    return _connect_reading(path, "immutable=1")


def _primary(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Whatever SQLite says while reading a file becomes an error that names the file."""
    try:
        yield
    except UnicodeDecodeError as error:  # what SQLite says of a damaged schema quotes its bytes
        raise _damaged(path, error) from error
    except sqlite3.Error as error:
        code = _primary(error)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise Locked(f"{path} is in use", why=str(error), hint="Run the same command again.") from error
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            raise UsageError(f"{path} cannot be opened", why=str(error), hint=f"Run: ls -l {path.parent}") from error
        if code == sqlite3.SQLITE_FULL:
            raise DiskFull(f"There is no room for {path}", why=str(error), hint="Make room on that disk.") from error
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> Corrupt:
    return Corrupt(f"{path} is damaged or is not a receipts file", why=str(error), hint=VERIFY_HINT)


def check_version(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file has its tables; a writer that was killed at birth leaves none."""
    version = version_of(connection)
    if version > VERSION:
        raise newer(version, where=str(path))
    if version == VERSION:
        return True
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        return False
    if version == 0:
        raise Corrupt(f"{path} is not a receipts file", why="It is a database of another kind.", hint=VERIFY_HINT)
    raise Drift(f"{path} has version {version} of the receipts", why=f"This program reads {VERSION}.",
                hint="Run: seedbed migrate")  # fmt: skip


def check_archive(connection: sqlite3.Connection, path: Path) -> None:
    version = version_of(connection)
    if version > ARCHIVE_VERSION:
        raise newer(version, ARCHIVE_VERSION, where=str(path))
    if version != ARCHIVE_VERSION:
        raise Corrupt(f"{path} is not a compacted receipts file", hint=VERIFY_HINT)
