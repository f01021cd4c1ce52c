"""One column of a Parquet file: its values as cells, what its cells may hold, and cells as its values again.

The only module that imports pyarrow, and only once a Parquet file is opened.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any

from seedbed.errors import SourceError, UsageError

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  -- the zone is put beside it where the column has one
_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_INT64 = 1 << 63
_FAR = " after 1970-01-01"
"""What a moment is called that no calendar has a date for."""


def library() -> Any:
    """pyarrow, with what reads and writes Parquet. Raises UsageError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(
            "Parquet files need pyarrow, which is not installed here.", hint='Install it: pip install "seedbed[files]"'
        ) from error
    return pyarrow


class DoesNotFit(ValueError):
    """A cell that its column cannot hold."""


@dataclass(frozen=True)
class Column:
    """A column by its Arrow field."""

    field: Any

    @property
    def name(self) -> str:
        return str(self.field.name)

    @cached_property
    def _type(self) -> Any:
        """The type of the values themselves, without a dictionary or an extension around it."""
        inner = self.field.type
        while True:
            if library().types.is_dictionary(inner):
                inner = inner.value_type
            elif hasattr(inner, "storage_type"):
                inner = inner.storage_type
            else:
                return inner

    @cached_property
    def _kind(self) -> str:
        types, own = library().types, self._type
        for kind, tests in (
            ("null", [types.is_null]),
            ("bool", [types.is_boolean]),
            ("wide", [types.is_uint64]),
            ("int", [types.is_integer]),
            ("float", [types.is_floating]),
            ("text", [types.is_string, types.is_large_string, types.is_string_view]),
            ("bytes", [types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view]),
            ("decimal", [types.is_decimal]),
            ("date", [types.is_date]),
            ("timestamp", [types.is_timestamp]),
            ("time", [types.is_time]),
            ("duration", [types.is_duration]),
            ("nested", [types.is_nested]),
        ):
            if any(test(own) for test in tests):
                return kind
        raise SourceError(f'the column "{self.name}" has the type {own}, which cannot be read')

    @property
    def untyped(self) -> bool:
        return self._kind == "null"

    @property
    def declared(self) -> str:
        """The column's type in SQLite."""
        return {
            "bool": "BOOLEAN", "int": "INTEGER", "duration": "INTEGER", "float": "REAL", "null": "", "wide": "",
            "bytes": "BLOB", "date": "DATE", "timestamp": "DATETIME", "nested": "JSON",
        }.get(self._kind, "TEXT")  # fmt: skip

    def check(self, cell: str) -> str:
        """What SQLite holds against a cell that is written, so that the column can hold it; blank for anything."""
        rule = self._rule(cell)
        if not rule:
            return "" if self.field.nullable else f"{cell} is not null"
        return f"{cell} is null or {rule}" if self.field.nullable else f"{cell} is not null and ({rule})"

    def _rule(self, cell: str) -> str:
        whole, far = f"typeof({cell}) = 'integer'", f"{cell} glob '*{_FAR}'"
        match self._kind:
            case "bool":
                return f"{cell} in (0, 1)"
            case "int":
                return whole + self._within(cell)
            case "duration":
                return whole
            case "wide":
                return f"{whole} and {cell} >= 0 or {cell} glob '[0-9]*' and {cell} not glob '*[^0-9]*'"
            case "float":
                return f"typeof({cell}) in ('real', 'integer')"
            case "date":
                return f"{cell} glob '????-??-??' and date({cell}) is not null or {far}"
            case "timestamp":
                return f"{cell} glob '[0-9][0-9][0-9][0-9]-*' and datetime({cell}) is not null or {far}"
            case "time":
                return f"{cell} glob '[0-9][0-9]:*' and time({cell}) is not null"
            case "decimal":
                return f"{cell} glob '[-0-9]*' and {cell} not glob '?*[^0-9.]*'"
            case "nested":
                return f"json_valid({cell})"
        return ""

    def _within(self, cell: str) -> str:
        bits, signed = self._type.bit_width, library().types.is_signed_integer(self._type)
        if bits == 64:
            return ""
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        return f" and {cell} between {low} and {high}"

    # -------------------------------------------------------------------------------- values to cells

    def cells(self, values: Any) -> list[Any]:
        """The cells of an Arrow array. Text and numbers as they are, moments as ISO 8601, the nested as JSON."""
        if hasattr(values.type, "storage_type"):
            values = values.storage
        if library().types.is_dictionary(values.type):
            values = values.dictionary_decode()
        return self._cells(values)

    def _cells(self, values: Any) -> list[Any]:
        match self._kind:
            case "float":
                return [None if each is None or math.isnan(each) else each for each in values.to_pylist()]
            case "wide":
                return [str(each) if each is not None and each >= _INT64 else each for each in values.to_pylist()]
            case "decimal":
                return [None if each is None else format(each, "f") for each in values.to_pylist()]
            case "date":
                days = values.cast("date32").cast("int32").to_pylist()
                return [None if each is None else _day(each) for each in days]
            case "timestamp":
                ticks, per_second, zone = values.cast("int64").to_pylist(), _UNITS[self._type.unit], self._type.tz
                return [None if each is None else _moment(each, per_second, zone) for each in ticks]
            case "time":
                bits = f"int{self._type.bit_width}"
                per_second = _UNITS[self._type.unit]
                return [None if each is None else _clock(each, per_second) for each in values.cast(bits).to_pylist()]
            case "duration":
                return list(values.cast("int64").to_pylist())
            case "nested":
                plain = values.cast(_without_ns(self._type), safe=False) if "[ns" in str(self._type) else values
                return [None if each is None else _json(each) for each in plain.to_pylist()]
        return list(values.to_pylist())

    # -------------------------------------------------------------------------------- cells to values

    def written(self, values: Any, changes: Mapping[int, Any], place: Callable[[int], str]) -> Any:
        """The array with the cells of some rows replaced. Raises SourceError for a cell that does not fit."""
        pa = library()
        new = self._array(changes, place)
        old, kind = values, values.type
        if hasattr(kind, "storage_type"):
            old = old.storage
        if pa.types.is_dictionary(old.type):
            old = old.dictionary_decode()
        places = list(range(len(old)))
        for at, row in enumerate(changes):
            places[row] = len(old) + at
        merged = pa.concat_arrays([old, new]).take(pa.array(places, pa.int64()))
        storage = getattr(kind, "storage_type", kind)
        if pa.types.is_dictionary(storage):
            merged = self._encoded(merged, storage, place(min(changes)))
        return pa.ExtensionArray.from_storage(kind, merged) if storage is not kind else merged

    def _encoded(self, merged: Any, storage: Any, place: str) -> Any:
        try:
            return merged.dictionary_encode().cast(storage)
        except library().ArrowException as error:
            raise SourceError(
                f'{place}: the column "{self.name}" has no room for another value', why=str(error).splitlines()[0]
            ) from error

    def _array(self, changes: Mapping[int, Any], place: Callable[[int], str]) -> Any:
        pa = library()
        values = []
        for row, cell in changes.items():
            try:
                value = None if cell is None else self._value(cell)
                pa.array([value], self._type)
                if value is None and not self.field.nullable:
                    raise DoesNotFit("it may not be empty")
            except (ValueError, TypeError, OverflowError, InvalidOperation, pa.ArrowException) as error:
                raise SourceError(
                    f'{place(row)}: {str(cell)[:60]!r} does not fit the column "{self.name}" of type {self._type}',
                    why=str(error).splitlines()[0] if str(error) else "",
                    hint="Empty the cell in the staged table by rolling its release back, or ask for that type.",
                ) from error
            values.append(value)
        return pa.array(values, self._type)

    def _value(self, cell: Any) -> Any:
        match self._kind:
            case "text":
                return cell if isinstance(cell, str) else repr(cell) if isinstance(cell, float) else str(cell)
            case "int" | "wide" | "duration":
                number = int(cell)
                if isinstance(cell, float) and cell != number:
                    raise DoesNotFit("it is no whole number")
                return number
            case "bool":
                return bool(int(cell))
            case "float":
                return float(cell)
            case "decimal":
                return Decimal(str(cell))
            case "date":
                return date.fromisoformat(cell)
            case "timestamp":
                return _ticks(cell, _UNITS[self._type.unit], bool(self._type.tz))
            case "time":
                return time.fromisoformat(cell)
            case "nested":
                return _pairs(json.loads(cell), self._type)
        return cell


def typed(name: str, declared: str, held: Sequence[str]) -> Column:
    """A column that the file has not: of the declared type, or of that of all it holds; else text."""
    pa = library()
    kinds = set(held) - {"null"}
    if declared == "BOOLEAN" and kinds <= {"integer"}:
        own = pa.bool_()
    elif declared in ("INTEGER", "") and kinds == {"integer"}:
        own = pa.int64()
    elif declared in ("REAL", "NUMERIC", "") and kinds and kinds <= {"integer", "real"}:
        own = pa.float64()
    else:
        own = pa.string()
    return Column(pa.field(name, own))


# ------------------------------------------------------------------------------------------- moments


def _day(number: int) -> Any:
    try:
        return (_EPOCH + timedelta(days=number)).date().isoformat()
    except OverflowError:
        return f"{number} days{_FAR}"


def _moment(ticks: int, per_second: int, zone: str | None) -> str:
    """ISO 8601, with zone in UTC; the fraction as long as it has to be."""
    seconds, rest = divmod(ticks, per_second)
    try:
        text = (_EPOCH + timedelta(seconds=seconds)).isoformat()
    except OverflowError:
        return f"{ticks}/{per_second} s{_FAR}"
    return f"{text}{_fraction(rest, per_second)}{'+00:00' if zone else ''}"


def _clock(ticks: int, per_second: int) -> str:
    seconds, rest = divmod(ticks, per_second)
    return f"{(_EPOCH + timedelta(seconds=seconds)).time().isoformat()}{_fraction(rest, per_second)}"


def _fraction(rest: int, per_second: int) -> str:
    return f".{rest:0{len(str(per_second)) - 1}d}".rstrip("0") if rest else ""


def _ticks(text: str, per_second: int, zoned: bool) -> int:
    """The moment as a count; more digits than the column keeps, or a zone where it keeps none, do not fit."""
    head, dot, tail = text.partition(".")
    digits = ""
    while tail[:1].isdecimal():
        digits, tail = digits + tail[0], tail[1:]
    moment = datetime.fromisoformat(head + tail)
    if moment.tzinfo is not None and not zoned:
        raise DoesNotFit("it has a zone, the column has none")
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    wide = digits.ljust(9, "0")[:9]
    rest = int(wide or 0) * per_second
    if dot and (rest % 10**9 or digits[9:].strip("0")):
        raise DoesNotFit("it has more digits than the column keeps")
    return seconds * per_second + rest // 10**9


# -------------------------------------------------------------------------------------------- nested


def _json(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {str(name): _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case float() if not math.isfinite(value):
            return None
        case bytes():
            return value.hex()
        case None | bool() | int() | float() | str():
            return value
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
    return str(value)


def _pairs(value: Any, kind: Any) -> Any:
    """Lists of two as the pairs of a map, at any depth."""
    types = library().types
    if types.is_map(kind) and isinstance(value, list):
        return [(key, _pairs(each, kind.item_type)) for key, each in value]
    if types.is_struct(kind) and isinstance(value, dict):
        return {field.name: _pairs(value[field.name], field.type) for field in kind if field.name in value}
    if hasattr(kind, "value_type") and isinstance(value, list):
        return [_pairs(each, kind.value_type) for each in value]
    return value


def _without_ns(kind: Any) -> Any:
    """The type with moments in microseconds, which Python has a value for."""
    pa = library()
    types = pa.types
    if types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    if types.is_time64(kind) and kind.unit == "ns":
        return pa.time64("us")
    if types.is_struct(kind):
        return pa.struct([each.with_type(_without_ns(each.type)) for each in kind])
    if types.is_map(kind):
        return pa.map_(_without_ns(kind.key_type), _without_ns(kind.item_type))
    if types.is_list(kind) or types.is_large_list(kind):
        make = pa.list_ if types.is_list(kind) else pa.large_list
        return make(kind.value_field.with_type(_without_ns(kind.value_type)))
    return kind
