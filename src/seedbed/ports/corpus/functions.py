"""SQL functions that we bring along, so that a comparison in the database means what it means in Python."""

from __future__ import annotations

import json
import sqlite3
import unicodedata
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from seedbed.conditions import Compare, Condition, Contains, In, holds


def register(connection: sqlite3.Connection) -> None:
    """Make the functions known to one connection."""
    connection.create_function("seedbed_holds", 2, _holds, deterministic=True)
    connection.create_function("seedbed_fold", -1, _folded, deterministic=True)


def written(condition: Compare | Contains | In) -> str:
    """A condition about one value, as the second argument of ``seedbed_holds``."""
    match condition:
        case Compare(_, op, value):
            return json.dumps(["compare", op, value])
        case Contains(_, text):
            return json.dumps(["contains", text])
        case In(_, values):
            return json.dumps(["in", list(values)])


@lru_cache(maxsize=256)
def _read(text: str) -> Condition:
    kind, *rest = json.loads(text)
    if kind == "compare":
        return Compare("value", rest[0], rest[1])
    if kind == "contains":
        return Contains("value", rest[0])
    return In("value", tuple(rest[0]))


def _holds(value: Any, text: str) -> int:
    condition = _read(text)
    try:
        return int(holds(condition, {"value": value}))
    except TypeError:  # bytes have no order beside a number
        return 0


def fold(values: tuple[Any, ...]) -> bytes | None:
    """Digest of a natural key, text in NFC whatever the case; None where all its values are NULL."""
    if all(value is None for value in values):
        return None
    state = blake2b(digest_size=16)
    for value in values:
        tag, data = _plain(value)
        state.update(tag + len(data).to_bytes(8, "big") + data)
    return state.digest()


def _folded(*values: Any) -> bytes | None:
    return fold(values)


def _plain(value: Any) -> tuple[bytes, bytes]:
    if isinstance(value, str):
        if not value.isascii():
            value = unicodedata.normalize("NFC", unicodedata.normalize("NFC", value).casefold())
        return b"T", value.casefold().encode("utf-8", "surrogatepass")
    if isinstance(value, bytes):
        return b"X", value
    if value is None:
        return b"N", b""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return b"D", str(int(value) if isinstance(value, bool) else value).encode()
