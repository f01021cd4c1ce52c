"""Many closed receipts files become one, under one index. Nothing is changed, and no moment is without the whole.

The new file is complete and on the disk before an old one is removed. A kill in between leaves both: a writer's own
file counts before a compacted one, and the newest compacted one before older ones.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from seedbed.crashing import point
from seedbed.errors import Corrupt
from seedbed.ports.folders import sync_folder
from seedbed.ports.receipts.reader import ReceiptFile, reading
from seedbed.ports.receipts.rows import ENDING_COLUMNS, INTENT_COLUMNS, RECEIPT_COLUMNS
from seedbed.ports.receipts.schema import (
    ARCHIVE_TABLES,
    ARCHIVE_VERSION,
    ROOM,
    archive_number,
    archives_in,
    companions,
    create_file,
    file_of,
    files_in,
    named,
    open_adding,
)

_OWN = (
    ("intents", "number", INTENT_COLUMNS[1:]),
    ("receipts", "intent_number", RECEIPT_COLUMNS),
    ("endings", "intent_number", ENDING_COLUMNS),
)
_LATE = (("late_receipts", RECEIPT_COLUMNS), ("late_endings", ENDING_COLUMNS))


@dataclass(frozen=True, slots=True)
class Compacted:
    """``left`` are files that stay as they are: of a live process, damaged, or empty."""

    merged: int = 0
    writers: int = 0
    file: str = ""
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Source:
    path: Path
    writer: str
    base: int
    tally: tuple[int, int, int]


def compact(folder: Path) -> Compacted:
    """Merge the files of closed writers, and compacted files, into one. Twice is once."""
    closed: list[Path] = []
    left: list[Path] = []
    for path in files_in(folder):
        (closed if is_whole(path) and is_closed(path) else left).append(path)
    archives = archives_in(folder)
    if not closed and len(archives) < 2:
        return Compacted(left=tuple(path.name for path in left))
    sources = _sources([*closed, *archives], without={path.stem for path in left})
    target = _write(folder, sources)
    remove([*closed, *archives])
    return Compacted(len(closed) + len(archives), len(sources), target.name, tuple(path.name for path in left))


def remove_writers(folder: Path, writers: Collection[str]) -> None:
    """Remove what some closed writers wrote; compacted files that hold it are written anew without it."""
    archives = archives_in(folder)
    sources = _sources(archives, without=())
    kept = [source for source in sources if source.writer not in writers]
    if len(kept) < len(sources):
        if kept:
            _write(folder, kept)
        remove(archives)
    remove([path for path in files_in(folder) if path.stem in writers])


def is_closed(path: Path) -> bool:
    """Whether no process is at the file; one that a killed process left is sealed on the way."""
    try:
        with closing(open_adding(path)) as connection:
            connection.execute("PRAGMA busy_timeout = 0")
            return bool(connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0] == "delete")
    except sqlite3.Error:
        return False


def is_whole(path: Path) -> bool:
    """Whether something is in the file and every record of it is as it was stored."""
    try:
        with reading(path) as file:
            return file.sound() and _whole(file)
    except (Corrupt, FileNotFoundError):
        return False


def _whole(file: ReceiptFile) -> bool:
    intents = receipts = size = 0
    highest = 0
    for page in file.pages():
        if any(one.corrupt for one in page):
            return False
        intents, highest = intents + len(page), page[-1].number
        bodies = [len(one.receipt.body) for one in page if one.receipt]
        receipts, size = receipts + len(bodies), size + sum(bodies)
    for some in file.late_pages():
        if any(receipt is None for _, receipt in some):
            return False
        receipts, size = receipts + len(some), size + sum(len(receipt.body) for _, receipt in some if receipt)
    endings = list(file.endings())
    if highest >= ROOM or file.orphans() or any(ending is None for _, ending in endings):
        return False
    return (intents, receipts, size) == file.tally() and bool(intents or receipts or endings)


def _sources(paths: Sequence[Path], without: Collection[str]) -> list[_Source]:
    """The parts of the files, the first of each writer, in the order of their names."""
    found: dict[str, _Source] = {}
    for path in paths:
        with reading(path) as file:
            for part in file.parts():
                if part.writer not in without:
                    found.setdefault(part.writer, _Source(path, part.writer, part.base, part.tally()))
    return [found[writer] for writer in sorted(found)]


def _write(folder: Path, sources: Sequence[_Source]) -> Path:
    """A new compacted file, complete and synced before it has its name."""
    number = 1 + max((archive_number(path) for path in archives_in(folder)), default=0)
    target = folder / f"archive-{number}.sqlite"
    draft = folder / "archive.draft"
    draft.unlink(missing_ok=True)
    with named(draft), closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        for statement in ARCHIVE_TABLES:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {ARCHIVE_VERSION}")
        for place, source in enumerate(sources, 1):
            _copy(connection, source, place * ROOM)
    _publish(draft, target)
    return target


def _copy(connection: sqlite3.Connection, source: _Source, base: int) -> None:
    connection.execute("ATTACH ? AS source", (str(source.path),))
    connection.execute("BEGIN")
    span = (base - source.base, source.base, source.base + ROOM)
    for table, key, rest in _OWN:
        names = ", ".join(rest)
        connection.execute(
            f"INSERT INTO main.{table} ({key}, {names}) SELECT {key} + ?, {names} FROM source.{table} "  # noqa: S608
            f"WHERE {key} > ? AND {key} < ? ORDER BY rowid",
            span,
        )
    for table, rest in _LATE:
        names = ", ".join(("intent", *rest))
        where = f"WHERE writer = {source.base}" if source.base else ""
        connection.execute(
            f"INSERT INTO main.{table} ({names}, writer) SELECT {names}, {base} FROM source.{table} "  # noqa: S608
            f"{where} ORDER BY rowid"
        )
    connection.execute("INSERT OR IGNORE INTO main.blobs SELECT hash, body, size FROM source.blobs")
    connection.execute("INSERT INTO writers VALUES (?, ?, ?, ?, ?)", (base, source.writer, *source.tally))
    connection.execute("COMMIT")
    connection.execute("DETACH source")


def take_out(folder: Path, writer: str) -> bool:
    """Give a compacted writer a file of its own again, which counts from then on; False where it has no part."""
    for archive in archives_in(folder):
        source = next((each for each in _sources([archive], without=()) if each.writer == writer), None)
        if source is not None:
            _take_out(folder, source)
            return True
    return False


def _take_out(folder: Path, source: _Source) -> None:
    draft = folder / f"{source.writer}.draft"
    draft.unlink(missing_ok=True)
    create_file(draft)
    with named(draft), closing(open_adding(draft)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("ATTACH ? AS source", (str(source.path),))
        connection.execute("BEGIN")
        for table, key, rest in _OWN:
            names = ", ".join(rest)
            connection.execute(
                f"INSERT INTO main.{table} ({key}, {names}) SELECT {key} - ?, {names} FROM source.{table} "  # noqa: S608
                f"WHERE {key} > ? AND {key} < ? ORDER BY rowid",
                (source.base, source.base, source.base + ROOM),
            )
        for table, rest in _LATE:
            names = ", ".join(("intent", *rest))
            query = f"INSERT INTO main.{table} ({names}) SELECT {names} FROM source.{table} WHERE writer = ? "  # noqa: S608
            connection.execute(query + "ORDER BY rowid", (source.base,))
        connection.execute("INSERT INTO main.blobs SELECT hash, body, size FROM source.blobs")
        connection.execute("UPDATE tally SET intents = ?, receipts = ?, bytes = ?", source.tally)
        connection.execute("COMMIT")
    _publish(draft, file_of(folder, source.writer))


def _publish(draft: Path, target: Path) -> None:
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    point("before a file of receipts takes its name")
    draft.replace(target)
    point("after a file of receipts takes its name")
    sync_folder(target.parent)


def remove(paths: Sequence[Path]) -> None:
    for path in paths:
        for one in (path, *companions(path)):
            with suppress(FileNotFoundError):
                one.unlink()
        point("while files of receipts are removed")
    for folder in {path.parent for path in paths}:
        sync_folder(folder)
