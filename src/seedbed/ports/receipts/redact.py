"""The only rewrite of what was bought: a hash in place of bodies and of parts of a payload."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import orjson

from seedbed.crashing import point
from seedbed.errors import Locked
from seedbed.ports.receipts import REDACTED, Ending, Intent, Receipt
from seedbed.ports.receipts.compact import is_closed
from seedbed.ports.receipts.reader import ReceiptFile, reading
from seedbed.ports.receipts.rows import Damaged, Encoder, Rows, unsqueezed
from seedbed.ports.receipts.schema import archives_in, files_in, named, open_adding, split_id

_BLOB = b'{"$blob":"'


@dataclass(frozen=True)
class Rule:
    """What goes: the bodies of ``intents`` and whatever ``holds``; ``clean`` gives an intent without it."""

    intents: frozenset[str]
    holds: Callable[[str], bool]
    clean: Callable[[Intent], Intent]


def hash_of(text: str) -> str:
    """What stands in place of a part."""
    return f"[redacted sha256:{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}]"


def redact(folder: Path, rule: Rule) -> None:
    """Rewrite each file that holds something of it. Twice is once. Raises Locked where a process is at a file."""
    for path in [*files_in(folder), *archives_in(folder)]:
        with reading(path):  # what is no receipts file is said so
            pass
        if not is_closed(path):
            raise Locked(f"{path} is in use", why="A process writes or reads it.", hint="Run the same command again.")
        with named(path), closing(open_adding(path)) as connection:
            connection.execute("PRAGMA secure_delete = ON")
            file = ReceiptFile(path, connection)
            if not file.blank and _rewrite(connection, file, rule):
                point("before a redacted file is packed")
                connection.execute("VACUUM")


def _rewrite(connection: sqlite3.Connection, file: ReceiptFile, rule: Rule) -> bool:
    before = connection.total_changes
    connection.execute("BEGIN IMMEDIATE")
    try:
        for part in file.parts():
            _intents(connection, part, rule)
            _late(connection, part, rule)
            _endings(connection, part, rule)
        changed = connection.total_changes > before
        if changed:
            _drop_unused_blobs(connection)
        point("before a redaction commits")
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return changed


def _intents(connection: sqlite3.Connection, part: ReceiptFile, rule: Rule) -> None:
    encoder = Encoder(part.writer)
    for page in part.pages():
        for one in page:
            clean = one.intent if one.corrupt else rule.clean(one.intent)
            rows = Rows()
            if clean != one.intent:
                encoder.add(clean, rows)
                connection.executemany("INSERT INTO blobs VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rows.blobs)
                connection.execute(
                    "UPDATE intents SET payload = ?, size = ?, crc = ? WHERE number = ?",
                    (*rows.intents[0][-3:], part.base + one.number),
                )
            if one.receipt is not None and _goes(one.receipt, rule):
                encoder.add(_emptied(one.receipt), rows)
                _put(connection, part, "receipts", rows.receipts[0], f"intent_number = {part.base + one.number}")
                _count_less(connection, part, len(one.receipt.body))


def _late(connection: sqlite3.Connection, part: ReceiptFile, rule: Rule) -> None:
    for page in part.late_pages():
        for intent, receipt in page:
            if receipt is not None and _goes(receipt, rule):
                rows = Rows()
                Encoder(part.writer).add(_emptied(receipt), rows)
                where = f"intent = '{intent}'" + (f" AND writer = {part.base}" if part.compacted else "")
                _put(connection, part, "late_receipts", rows.late_receipts[0], where)
                _count_less(connection, part, len(receipt.body))


def _endings(connection: sqlite3.Connection, part: ReceiptFile, rule: Rule) -> None:
    for intent, ending in list(part.endings()):
        if ending is None or not rule.holds(ending.reason):
            continue
        rows = Rows()
        Encoder(part.writer).add(Ending(intent, ending.kind, hash_of(ending.reason), ending.at), rows)
        (row,) = rows.endings or rows.late_endings
        own = bool(rows.endings)
        place = split_id(intent)
        key = part.base + place[1] if own and place else intent
        connection.execute(
            f"UPDATE {'endings' if own else 'late_endings'} SET reason = ?, crc = ? "  # noqa: S608
            f"WHERE {'intent_number' if own else 'intent'} = ? AND kind = ? AND reason = ? AND at = ?",
            (row[2], row[4], key, ending.kind, ending.reason, ending.at),
        )


def _goes(receipt: Receipt, rule: Rule) -> bool:
    if receipt.format == REDACTED:
        return False
    if receipt.intent in rule.intents or rule.holds(receipt.body.decode("utf-8", "replace")):
        return True
    return rule.holds(orjson.dumps(dict(receipt.headers)).decode())


def _emptied(receipt: Receipt) -> Receipt:
    return replace(receipt, body=b"", headers={}, format=REDACTED)


def _put(connection: sqlite3.Connection, part: ReceiptFile, table: str, row: tuple[object, ...], where: str) -> None:
    names = "status, headers, body, size, format, sha256, at, crc"
    connection.execute(f"UPDATE {table} SET ({names}) = (?, ?, ?, ?, ?, ?, ?, ?) WHERE {where}", row[1:])  # noqa: S608


def _count_less(connection: sqlite3.Connection, part: ReceiptFile, size: int) -> None:
    table = (
        f"writers SET bytes = bytes - ? WHERE base = {part.base}" if part.compacted else "tally SET bytes = bytes - ?"
    )
    connection.execute(f"UPDATE {table}", (size,))


def _drop_unused_blobs(connection: sqlite3.Connection) -> None:
    used: set[str] = set()
    for stored, size in connection.execute("SELECT payload, size FROM intents"):
        try:
            payload = unsqueezed(stored, size)
        except Damaged:
            continue
        used.update(piece.split(b'"', 1)[0].decode() for piece in payload.split(_BLOB)[1:])
    known = [row[0] for row in connection.execute("SELECT hash FROM blobs").fetchall()]
    connection.executemany("DELETE FROM blobs WHERE hash = ?", [(name,) for name in known if name not in used])
