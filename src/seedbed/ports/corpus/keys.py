"""Keys: whether a table's rows can be told apart and ordered by them, and the rows of given keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import orjson
import sqlalchemy as sa

from seedbed.errors import SourceError
from seedbed.ports.corpus.cells import shown
from seedbed.ports.corpus.connections import Declined, Session
from seedbed.ports.corpus.descriptions import Relation
from seedbed.records import key_values

SHOWN = 5
CHUNK = 500
SIZES = (1, 10, 100, CHUNK)
VARIABLES = 30_000


def check(session: Session, relation: Relation, key: Sequence[str]) -> None:
    """Refuse a key that is NULL somewhere, or that two rows share in the order of paging."""
    if not key:
        raise SourceError(
            f"{relation.name} has no primary key", hint="Name the columns that tell its rows apart with --key."
        )
    columns = relation.columns(key)
    _refuse_null(session, relation, columns)
    if not any(unique <= set(key) for unique in relation.unique):
        _refuse_twice(session, relation, columns)


def _refuse_null(session: Session, relation: Relation, columns: list[sa.ColumnClause[Any]]) -> None:
    open_columns = [column for column in columns if column.name not in relation.required]
    if not open_columns:
        return
    missing = sa.or_(*(column.is_(None) for column in open_columns))
    rows = session.dicts(sa.select(relation.clause).where(missing).limit(SHOWN))
    if rows:
        raise SourceError(
            f"{relation.name} has rows whose key ({_names(columns)}) is NULL",
            why="\n".join(_line(row) for row in rows),
        )


def _refuse_twice(session: Session, relation: Relation, columns: list[sa.ColumnClause[Any]]) -> None:
    count = sa.func.count()
    rows = session.tuples(sa.select(*columns, count).group_by(*columns).having(count > 1).limit(SHOWN))
    if rows:
        raise SourceError(
            f"{relation.name} has rows with the same key ({_names(columns)})",
            why="\n".join(f"({', '.join(map(shown, row[:-1]))}): {row[-1]} rows" for row in rows),
            hint="A key must tell all rows apart; name more columns with --key.",
        )


def _names(columns: list[sa.ColumnClause[Any]]) -> str:
    return ", ".join(column.name for column in columns)


def _line(row: dict[str, Any]) -> str:
    return ", ".join(f"{name}={shown(value)}" for name, value in list(row.items())[:6])


def values_of(key: str) -> tuple[Any, ...]:
    """:func:`key_values`, fast: orjson reads whole numbers beyond 64 bits as floats, so those go the slow way."""
    try:
        values = orjson.loads(key)
    except orjson.JSONDecodeError:
        return key_values(key)
    if type(values) is not list or any(type(value) is float for value in values):
        return key_values(key)
    return tuple(values)


def all_values_of(keys: Sequence[str]) -> list[tuple[Any, ...]]:
    """:func:`values_of` of many keys in one go."""
    try:
        found = orjson.loads(f"[{','.join(keys)}]")
    except orjson.JSONDecodeError:
        found = []
    if len(found) != len(keys) or set(map(type, found)) - {list}:
        return [values_of(key) for key in keys]
    flat = list(chain.from_iterable(found))
    if float in set(map(type, flat)):
        return [values_of(key) for key in keys]
    if set(map(len, found)) == {1}:  # most keys
        return list(zip(flat, strict=True))
    return [tuple(values) for values in found]


class KeyedRows:
    """Whole rows by their keys, a chunk at a time."""

    def __init__(self, session: Session, relation: Relation, key: Sequence[str]) -> None:
        columns = relation.columns(key)
        self._session = session
        self._relation = relation
        self._left = columns[0] if len(columns) == 1 else sa.tuple_(*columns)
        self._key = tuple(key)
        self._sizes = [size for size in SIZES if size * len(key) <= VARIABLES]
        self._statements: dict[int, str] = {}

    def fetch(self, keys: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        """Rows that the database finds equal, each once."""
        found: list[dict[str, Any]] = []
        for chunk in self._chunks(keys):
            found += self._found(chunk)
        if len(keys) <= self._sizes[-1]:
            return found
        if len(self._key) == 1:
            (name,) = self._key
            return list({row[name]: row for row in found}.values())
        return list({tuple(row[name] for name in self._key): row for row in found}.values())

    def by_key(self, keys: Sequence[tuple[Any, ...]]) -> tuple[dict[tuple[Any, ...], dict[str, Any]], set[Any]]:
        """Rows by exact key, and the keys that more than one row has."""
        found = [row for chunk in self._chunks(keys) for row in self._found(chunk)]
        if len(self._key) == 1:
            (name,) = self._key
            at: list[tuple[Any, ...]] = [(row[name],) for row in found]
        else:
            at = [tuple(row[name] for name in self._key) for row in found]
        rows = dict(zip(at, found, strict=True))
        twice = set() if len(rows) == len(at) else {key for key, times in Counter(at).items() if times > 1}
        return rows, twice

    def _chunks(self, keys: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
        size = self._sizes[-1]
        for start in range(0, len(keys), size):
            yield keys[start : start + size]

    def _found(self, keys: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        try:
            return self._asked(keys)
        except Declined:  # one of them can be no value of this database, so no row has it
            if len(keys) == 1:
                return []
            middle = len(keys) // 2
            return self._found(keys[:middle]) + self._found(keys[middle:])

    def _asked(self, keys: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        """A few sizes of statement serve all: a short chunk asks for its last key again."""
        size = next(size for size in self._sizes if size >= len(keys))
        values = [value for key in keys for value in key]
        return self._session.rows(self._statement(size), values + [*keys[-1]] * (size - len(keys)))

    def _statement(self, size: int) -> str:
        if size not in self._statements:
            places = [0] * size if len(self._key) == 1 else [(0,) * len(self._key)] * size
            chosen = sa.select(self._relation.clause).where(self._left.in_(places))
            self._statements[size] = self._session.compiled(chosen)
        return self._statements[size]
