"""Natural keys: which row already holds the same values, text in NFC and whatever the case.

The user's tables get no index of ours. Each natural key is folded once into a temporary table,
which stays right by itself while only this connection writes: it is made again when another
connection has committed, or this one has changed rows elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seedbed.ports.corpus.connections import Session
from seedbed.ports.corpus.descriptions import Relation
from seedbed.ports.corpus.functions import fold
from seedbed.ports.corpus.keys import CHUNK

NaturalKey = tuple[str, tuple[str, ...]]


class NaturalKeys:
    """Folded natural keys of all tables that rows are made for, by table and columns."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._tables: dict[NaturalKey, str] = {}
        self._state: tuple[int, int] | None = None
        self._made = 0

    def ready(self, relation: Relation, columns: tuple[str, ...]) -> None:
        """Have the natural key folded as the table is now."""
        if self._state != self._session.moment():
            self.forget()
        if not self._exists(self._tables.get((relation.name, columns))):
            self._tables[relation.name, columns] = self._folded(relation, columns)
        self.keep()

    def keep(self) -> None:
        """What this connection changed up to here is folded too."""
        self._state = self._session.moment()

    def forget(self) -> None:
        for name in self._tables.values():
            self._session.run(f"DROP TABLE IF EXISTS temp.{name}")
        self._tables = {}
        self._state = None

    def holders(self, relation: Relation, columns: tuple[str, ...], folds: Sequence[bytes]) -> dict[bytes, Any]:
        """The ids of the rows that hold these natural keys."""
        name = self._tables[relation.name, columns]
        found: dict[bytes, Any] = {}
        for start in range(0, len(folds), CHUNK):
            chunk = tuple(folds[start : start + CHUNK])
            marks = ", ".join("?" * len(chunk))
            found.update(self._session.catalogue(f"SELECT fold, id FROM temp.{name} WHERE fold IN ({marks})", *chunk))  # noqa: S608
        return found

    def add(self, relation: Relation, columns: tuple[str, ...], rows: Sequence[tuple[bytes, Any]]) -> None:
        name = self._tables[relation.name, columns]
        self._session.run(f"INSERT OR IGNORE INTO temp.{name} VALUES (?, ?)", list(rows))  # noqa: S608

    def _folded(self, relation: Relation, columns: tuple[str, ...]) -> str:
        self._made += 1
        name = f"seedbed_natural_{self._made}"
        quoted = self._session.quoted
        values = ", ".join(quoted(column.name) for column in relation.columns(columns))
        key = quoted(relation.table.key[0])
        table = quoted(relation.name)
        self._session.run(f"CREATE TEMP TABLE {name} (fold BLOB PRIMARY KEY, id) WITHOUT ROWID")
        self._session.run(
            f"INSERT OR IGNORE INTO temp.{name} SELECT seedbed_fold({values}), {key} FROM main.{table} "  # noqa: S608
            f"WHERE coalesce({values}, NULL) IS NOT NULL ORDER BY {key}"
        )
        return name

    def _exists(self, name: str | None) -> bool:
        """A table that was made in a transaction is gone with it."""
        found = "SELECT 1 FROM sqlite_temp_master WHERE name = ?"
        return name is not None and bool(self._session.catalogue(found, name))


def natural(values: dict[str, Any], columns: tuple[str, ...]) -> bytes | None:
    """The fold of a row's natural key; None where all its values are NULL: nothing to tell it by."""
    return fold(tuple(values.get(name) for name in columns))
