"""Single cells: as the database holds them, whether two are the same, and as a backup keeps them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from seedbed.ports.corpus.connections import Declined
from seedbed.ports.corpus.sqlite import Affinity, converted
from seedbed.records import LogicalType, cell, same_cell

_TAG = "$seedbed"


AS_IT_IS: Mapping[Affinity, type] = {"text": str, "integer": int, "numeric": int}
"""Values of this type are held as they are by a column of this affinity."""


def stored(value: Any, affinity: Affinity) -> Any:
    """A value as the column will hold it, so that what was written can be compared with what is there."""
    if value is None or type(value) is AS_IT_IS.get(affinity):
        return value
    return converted(_plain(cell(value)), affinity)


def _plain(value: Any) -> Any:
    match value:
        case bool():
            return int(value)
        case float() if math.isnan(value):
            raise Declined("NaN is not a value that a cell can hold")
        case datetime():
            return value.isoformat(" ")
        case date() | time():
            return value.isoformat()
        case Decimal() | UUID():
            return str(value)
        case bytearray() | memoryview():
            return bytes(value)
    return value


def same(now: Any, value: Any, logical: LogicalType) -> bool:
    """Whether a cell holds a (stored) value, under the column's logical type."""
    if now is None or value is None:
        return now is value
    if type(now) is type(value) and now == value:
        return True
    return same_cell(now, value, logical)


def packed(cells: Mapping[str, Any]) -> str:
    """Cells as JSON that gives each value back with its type."""
    return orjson.dumps(packable(cells), default=_tagged).decode()


def all_packed(entries: Sequence[tuple[str | Mapping[str, Any], ...]]) -> str:
    """A JSON array of entries, each an array of texts and of :func:`packable` cells, these as they are packed alone."""
    return orjson.dumps(entries, default=_tagged).decode()


def packable(cells: Mapping[str, Any]) -> Mapping[str, Any]:
    for value in cells.values():
        if type(value) is float and not math.isfinite(value):  # orjson would make it null
            return {name: _tagged(value) for name, value in cells.items()}
    return cells


def unpacked(text: str) -> dict[str, Any]:
    return {name: _untagged(value) for name, value in orjson.loads(text).items()}


def _tagged(value: Any) -> Any:
    if isinstance(value, bytes):
        return {_TAG: "bytes", "value": value.hex()}
    if isinstance(value, Decimal):
        return {_TAG: "decimal", "value": str(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return {_TAG: "float", "value": repr(value)}
    return value


def _untagged(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    match value[_TAG]:
        case "bytes":
            return bytes.fromhex(value["value"])
        case "decimal":
            return Decimal(value["value"])
        case _:
            return float(value["value"])


def shown(value: Any) -> str:
    """A value for a sentence, cut short."""
    if value is None:
        return "NULL"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
