"""Any value as JSON and back, exactly: bytes, broken text, big integers and NaN are tagged.

A tagged value is an object with one key that starts with ``$``; an object of the user's that looks
like one is tagged itself. The same dialect is stored in receipts files and written by export.
"""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from seedbed.errors import UsageError
from seedbed.records import PLAINLY, is_plain

_MARK = b'{"$'
_INT64 = 1 << 63


def dumps(value: Any) -> bytes:
    """The value as UTF-8 JSON. Raises UsageError for a type that has no exact form."""
    if is_plain(value):
        try:
            return orjson.dumps(value, option=PLAINLY)
        except TypeError:
            pass
    try:
        return orjson.dumps(tagged(value), option=PLAINLY)
    except (TypeError, RecursionError) as error:
        raise UsageError("a value is nested too deeply to be kept in a receipt", why=str(error)) from error


def loads(data: bytes, blob: Callable[[str], Any] | None = None) -> Any:
    """The value again. ``blob`` finds what was stored once by its hash."""
    value = orjson.loads(data)
    return untagged(value, blob) if _MARK in data else value


def tagged(value: Any) -> Any:
    """The value in JSON types only, each of them safe in any JSON reader."""
    if value is None or isinstance(value, bool | orjson.Fragment):
        return value
    if isinstance(value, str):
        return str(value) if _encodes(value) else {"$text": _base64(value.encode("utf-8", "surrogatepass"))}
    if isinstance(value, int):
        return int(value) if -_INT64 <= value < _INT64 else {"$int": hex(value)}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, list):
        return [tagged(one) for one in value]
    if isinstance(value, Mapping):
        return _tagged_mapping(value)
    for kind, (name, text) in _TAGS.items():
        if isinstance(value, kind):
            return {name: text(value)}
    raise UsageError(f"a value of type {type(value).__name__} cannot be kept in a receipt")


def _tagged_mapping(value: Mapping[Any, Any]) -> Any:
    looks_tagged = len(value) == 1 and str(next(iter(value)))[:1] == "$"
    if looks_tagged or not all(type(key) is str and _encodes(key) for key in value):
        return {"$map": [[tagged(key), tagged(one)] for key, one in value.items()]}
    return {key: tagged(one) for key, one in value.items()}


def _encodes(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


# A datetime is a date too, so it comes first.
_TAGS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    bytes: ("$bytes", _base64),
    bytearray: ("$bytes", _base64),
    memoryview: ("$bytes", _base64),
    tuple: ("$tuple", lambda value: [tagged(one) for one in value]),
    Decimal: ("$decimal", str),
    datetime: ("$datetime", datetime.isoformat),
    date: ("$date", date.isoformat),
    time: ("$time", time.isoformat),
    UUID: ("$uuid", str),
}


def untagged(value: Any, blob: Callable[[str], Any] | None = None) -> Any:
    """Inverse of :func:`tagged`. Raises ValueError for a tag that is not known."""
    if isinstance(value, list):
        return [untagged(one, blob) for one in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        name, content = next(iter(value.items()))
        if name[:1] == "$":
            return _untag(name, content, blob)
    return {key: untagged(one, blob) for key, one in value.items()}


def _untag(name: str, content: Any, blob: Callable[[str], Any] | None) -> Any:
    try:
        if name == "$map":
            return {untagged(key, blob): untagged(one, blob) for key, one in content}
        if name == "$tuple":
            return tuple(untagged(one, blob) for one in content)
        if name == "$blob" and blob is not None:
            return blob(content)
        return _UNTAGS[name](content)
    except (KeyError, TypeError, ArithmeticError) as error:
        raise ValueError(f"{name} is not a tagged value") from error


_UNTAGS: dict[str, Callable[[Any], Any]] = {
    "$text": lambda content: b64decode(content, validate=True).decode("utf-8", "surrogatepass"),
    "$bytes": lambda content: b64decode(content, validate=True),
    "$int": lambda content: int(content, 16),
    "$float": float,
    "$decimal": Decimal,
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
    "$uuid": UUID,
}
