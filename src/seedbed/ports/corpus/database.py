"""A corpus whose tables lie in a database. SQLite today; what is SQLite's own is in ``sqlite.py``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from seedbed.conditions import Condition
from seedbed.errors import SourceError
from seedbed.ports.corpus import (
    CellWrite,
    Corpus,
    Fingerprint,
    Inserted,
    NewRow,
    Standing,
    Table,
    Undone,
    Written,
    pages,
    sqlite,
)
from seedbed.ports.corpus.backups import Backups, Clean
from seedbed.ports.corpus.connections import Session
from seedbed.ports.corpus.descriptions import Catalogue
from seedbed.ports.corpus.duplicates import NaturalKeys
from seedbed.ports.corpus.inserting import Inserter
from seedbed.ports.corpus.keys import KeyedRows, check
from seedbed.ports.corpus.lookups import DatabaseLookup
from seedbed.ports.corpus.undoing import Rollback
from seedbed.ports.corpus.writing import Target, Writer
from seedbed.records import LogicalType
from seedbed.stage import Lookup

PATIENCE = 10.0
"""Seconds to wait for another program that holds the database."""


def open_corpus(url: str, *, patience: float = PATIENCE) -> Corpus:
    """The tables of an existing database, such as ``sqlite:///corpus.db``. Raises SourceError."""
    path = _file(url)
    if not path.is_file():
        raise SourceError(
            f"There is no database {path}", why=f"Tried {path.resolve()}", hint="Check the path in the url."
        )
    return Database(Session(sqlite.engine(path, patience), str(path)))


def _file(url: str) -> Path:
    hint = "Write it as sqlite:///corpus.db, or sqlite:////home/me/corpus.db for an absolute path."
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SourceError(f"{url!r} is not the url of a database", hint=hint) from error
    if parsed.get_backend_name() != "sqlite":
        raise SourceError(f"{parsed.get_backend_name()} databases cannot be read yet", hint=hint)
    if not parsed.database or parsed.database == ":memory:" or parsed.host:
        raise SourceError(f"{url!r} names no file", hint=hint)
    return Path(parsed.database)


class Database:
    """``Corpus`` over one connection."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._catalogue = Catalogue(session)
        self._backups = Backups(session, self._catalogue)
        self._natural = NaturalKeys(session)
        self._writing: Writer | None = None

    def tables(self) -> list[str]:
        return self._catalogue.names()

    def table(self, name: str) -> Table:
        return self._catalogue.relation(name).table

    def check_key(self, table: str, key: Sequence[str]) -> None:
        check(self._session, self._catalogue.relation(table), key)

    def page(
        self,
        table: str,
        key: Sequence[str],
        condition: Condition,
        *,
        after: Sequence[Any] | None = None,
        limit: int = 5000,
    ) -> list[dict[str, Any]]:
        return pages.page(self._session, self._catalogue.relation(table), key, condition, after, limit)

    def keys(
        self,
        table: str,
        key: Sequence[str],
        condition: Condition,
        *,
        after: Sequence[Any] | None = None,
        limit: int = 5000,
    ) -> list[tuple[Any, ...]]:
        return pages.keys(self._session, self._catalogue.relation(table), key, condition, after, limit)

    def fetch(self, table: str, key: Sequence[str], keys: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        return KeyedRows(self._session, self._catalogue.relation(table), key).fetch(keys)

    def group_page(
        self,
        table: str,
        by: Sequence[str],
        key: Sequence[str],
        condition: Condition,
        *,
        after: Sequence[Any] | None = None,
        limit: int = 500,
    ) -> list[tuple[tuple[Any, ...], list[dict[str, Any]]]]:
        return pages.group_page(self._session, self._catalogue.relation(table), by, key, condition, after, limit)

    def count(self, table: str, condition: Condition) -> int:
        return pages.count(self._session, self._catalogue.relation(table), condition)

    def count_by(self, table: str, by: Sequence[str], condition: Condition) -> list[tuple[tuple[Any, ...], int]]:
        return pages.count_by(self._session, self._catalogue.relation(table), by, condition)

    def lookup(self) -> Lookup:
        return DatabaseLookup(self._session, self._catalogue)

    def write(
        self,
        release: str,
        table: str,
        key: Sequence[str],
        writes: Iterable[CellWrite],
        *,
        fingerprint: Fingerprint,
        source: str | None = None,
    ) -> Iterator[Written]:
        return self._writer(table, key, fingerprint, source).write(release, writes, self._backups)

    def preview(
        self,
        table: str,
        key: Sequence[str],
        writes: Iterable[CellWrite],
        *,
        fingerprint: Fingerprint,
        source: str | None = None,
    ) -> Iterator[Written]:
        return self._writer(table, key, fingerprint, source).preview(writes)

    def insert(self, release: str, rows: Iterable[NewRow]) -> Iterator[Inserted]:
        return Inserter(self._session, self._catalogue, self._natural).insert(release, rows, self._backups)

    def preview_insert(self, rows: Iterable[NewRow]) -> Iterator[Inserted]:
        return Inserter(self._session, self._catalogue, self._natural).preview(rows)

    def roll_back(self, release: str, *, dry_run: bool = False, items: Collection[str] | None = None) -> Undone:
        return Rollback(self._session, self._catalogue, self._backups, release, dry_run=dry_run, items=items).run()

    def standing(self, release: str) -> Standing:
        return self._backups.listed(release)

    def backed_up(self, release: str) -> tuple[int, int]:
        return self._backups.counts(release)

    def forget(self, clean: Clean) -> int:
        with self._session.overwriting(), self._session.transaction():
            return self._backups.forget(clean)

    def create(self, script: str) -> None:
        with self._session.transaction():
            for statement in sqlite.statements(script):
                self._session.run(statement)

    def add_columns(self, table: str, columns: Mapping[str, LogicalType]) -> None:
        relation = self._catalogue.relation(table).writable()
        present = {name.lower() for name in relation.table.columns}
        quoted = self._session.quoted
        with self._session.transaction():
            for name, logical in columns.items():
                if name.lower() not in present:
                    kind = sqlite.COLUMN_TYPES[logical]
                    self._session.run(f"ALTER TABLE {quoted(table)} ADD COLUMN {quoted(name)} {kind}")

    def close(self) -> None:
        self._session.close()

    def _writer(self, table: str, key: Sequence[str], fingerprint: Fingerprint, source: str | None) -> Writer:
        relation = self._catalogue.relation(table).writable()
        view = self._catalogue.relation(source) if source is not None and source != table else None
        target = Target(relation, tuple(key), fingerprint, view)
        if self._writing is None or self._writing.target != target:
            self._writing = Writer(self._session, target)
        return self._writing
