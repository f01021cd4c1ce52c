"""What is SQLite's own: how it is opened, locked and described. Another database brings a file like this."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

from seedbed.ports.corpus.functions import register
from seedbed.ports.refusals import disk_fails, no_room
from seedbed.records import LogicalType

Affinity = Literal["text", "integer", "real", "numeric", "blob"]
Complaint = Literal["busy", "full", "fails", "declined", "read only", "damaged", "other"]

BEGIN_WRITING = "BEGIN IMMEDIATE"
RELATIONS = (
    "SELECT name, type = 'view' FROM pragma_table_list "
    "WHERE schema = 'main' AND type IN ('table', 'view', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
    "ORDER BY name"
)
COLUMNS = 'SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid'
UNIQUE = (
    "SELECT i.name, c.name FROM pragma_index_list(?) AS i, pragma_index_info(i.name) AS c "
    'WHERE i."unique" AND NOT i.partial ORDER BY i.seq, c.seqno'
)
REFERENCES = (
    'SELECT t.name, f.id, f."from", f."to" FROM pragma_table_list AS t, pragma_foreign_key_list(t.name) AS f '
    "WHERE t.schema = 'main' AND t.type = 'table' AND f.\"table\" = ? COLLATE NOCASE ORDER BY t.name, f.id, f.seq"
)
DEFINITION = "SELECT sql FROM sqlite_master WHERE name = ?"
SCHEMA_VERSION = "PRAGMA main.schema_version"
OVERWRITE = "PRAGMA secure_delete = ON"
EMPTY_LOG = "PRAGMA wal_checkpoint(TRUNCATE)"
DATA_VERSION = "PRAGMA main.data_version"

COLUMN_TYPES: dict[LogicalType, str] = {
    "text": "TEXT",
    "int": "INTEGER",
    "number": "NUMERIC",
    "bool": "BOOLEAN",
    "date": "DATE",
    "datetime": "DATETIME",
    "json": "JSON",
}


def engine(path: Path, patience: float) -> Engine:
    """Open an existing file, never make one; its journal mode stays as it is."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=rw",
            uri=True,
            timeout=patience,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA foreign_keys = ON")
        # The state notes what was written here: with less, a power cut may bring a removed journal back after the note.
        connection.execute("PRAGMA synchronous = EXTRA")
        register(connection)
        return connection

    return create_engine("sqlite://", creator=connect, poolclass=NullPool, isolation_level="AUTOCOMMIT")


def all_at_once(table: str, number: str, shared: Sequence[str], own: Sequence[str]) -> str:
    """An insert of many rows in one step: the number of the first, the values that all share, and a JSON array.

    The array holds for each row an array of its own values: texts, whole numbers, and objects, which are stored as
    their JSON. Row by row it takes half as long again, and other threads wait.
    """
    values = ["? + key", *("?" for _ in shared), *(f"json_extract(value, '$[{place}]')" for place in range(len(own)))]
    columns = ", ".join([number, *shared, *own])
    return f"INSERT INTO {table} ({columns}) SELECT {', '.join(values)} FROM json_each(?)"  # noqa: S608


def update_many(table: str, cells: Sequence[str], keys: Sequence[str], *, rows: int) -> str:
    """An update of so many rows in one step; for each row the new cells are bound, then its key. Names are quoted."""
    row = f"({', '.join('?' * (len(cells) + len(keys)))})"
    sets = ", ".join(f"{name} = seedbed_new.column{at}" for at, name in enumerate(cells, 1))
    same = " AND ".join(f"{table}.{name} = seedbed_new.column{at}" for at, name in enumerate(keys, len(cells) + 1))
    return f"UPDATE {table} SET {sets} FROM (VALUES {', '.join([row] * rows)}) AS seedbed_new WHERE {same}"  # noqa: S608


def orders_by_code_point(connection: Connection) -> bool:
    """Whether text sorts as Python sorts it. Reads the file's head, so it also finds what is no database."""
    connection.exec_driver_sql(SCHEMA_VERSION)
    return connection.exec_driver_sql("PRAGMA encoding").scalar() == "UTF-8"


_CODES: dict[int, Complaint] = {
    sqlite3.SQLITE_BUSY: "busy",
    sqlite3.SQLITE_LOCKED: "busy",
    sqlite3.SQLITE_CONSTRAINT: "declined",
    sqlite3.SQLITE_MISMATCH: "declined",
    sqlite3.SQLITE_TOOBIG: "declined",
    sqlite3.SQLITE_READONLY: "read only",
    sqlite3.SQLITE_NOTADB: "damaged",
    sqlite3.SQLITE_CORRUPT: "damaged",
}


def kind_of(error: BaseException | None) -> Complaint:
    code = getattr(error, "sqlite_errorcode", None)
    if no_room(error):
        return "full"
    if disk_fails(error):
        return "fails"
    if code is not None:
        return _CODES.get(code & 0xFF, "other")
    return "declined" if "binding parameter" in str(error) else "other"


def affinity(declared: str) -> Affinity:
    """SQLite's rule: what a column of this declared type makes of a value."""
    name = declared.upper()
    if "INT" in name:
        return "integer"
    if any(part in name for part in ("CHAR", "CLOB", "TEXT")):
        return "text"
    if not name or "BLOB" in name:
        return "blob"
    return "real" if any(part in name for part in ("REAL", "FLOA", "DOUB")) else "numeric"


_LOGICAL: tuple[tuple[str, LogicalType], ...] = (
    (r"JSON", "json"),
    (r"BOOL", "bool"),
    (r"^(DATETIME|TIMESTAMP)", "datetime"),
    (r"^DATE\b", "date"),
    (r"^(INTERVAL|POINT)", "text"),
    (r"INT", "int"),
    (r"REAL|FLOA|DOUB|NUMERIC|NUMBER|DECIMAL|^DEC\b", "number"),
)


def logical(declared: str) -> LogicalType:
    name = declared.upper()
    return next((logical for pattern, logical in _LOGICAL if re.search(pattern, name)), "text")


def statements(script: str) -> list[str]:
    """The statements of a script; a trigger's own semicolons do not end it."""
    found: list[str] = []
    pending = ""
    for piece in script.split(";"):
        pending += piece + ";"
        if sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    if pending.strip(" \t\r\n;"):
        found.append(pending)
    return [statement for statement in found if statement.strip(" \t\r\n;")]


_NUMBER = re.compile(r"[ \t\n\v\f\r]*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \t\n\v\f\r]*")


def converted(value: Any, to: Affinity) -> Any:
    """A value as a column of this affinity holds it: text that reads as a number becomes one, and back."""
    if to == "text":
        if isinstance(value, float):
            return repr(value)
        return str(value) if isinstance(value, int) else value
    if to != "blob" and isinstance(value, str) and _NUMBER.fullmatch(value):
        return _number(value)
    return value


def _number(text: str) -> int | float:
    number = float(text)
    if not number.is_integer() or abs(number) >= 2**63:
        return number
    try:
        return int(text)
    except ValueError:
        return int(number)
