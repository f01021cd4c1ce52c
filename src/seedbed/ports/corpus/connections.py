"""One open database: statements, transactions, and its complaints in our words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import CursorResult, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import Executable

from seedbed.errors import DiskFails, DiskFull, Pause, SeedbedError, SourceError
from seedbed.ports.corpus import sqlite


class Declined(Exception):
    """The database takes this row not: a constraint, a trigger, or a value it cannot hold. Stays in this room."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class Session:
    """One connection, in autocommit except within :meth:`transaction`."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self._engine = engine
        with self._translated():
            self._connection = engine.connect()
        with self._translated(), self._closed_on_error():
            self.text_order = sqlite.orders_by_code_point(self._connection)

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()

    def run(self, sql: str, parameters: Any = ()) -> CursorResult[Any]:
        """A statement in the driver's own words; a list of tuples runs it for each."""
        with self._translated():
            return self._connection.exec_driver_sql(sql, parameters)

    def tuples(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        with self._translated():
            return _drained(self._connection.execute(statement, parameters))[1]

    def dicts(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        with self._translated():
            return _mapped(self._connection.execute(statement, parameters))

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
        """What a statement in the driver's own words selects."""
        with self._translated():
            return _mapped(self._connection.exec_driver_sql(sql, tuple(parameters)))

    def scalar(self, statement: Executable) -> Any:
        with self._translated():
            return self._connection.execute(statement).scalar()

    def catalogue(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Rows of the database's own catalogue."""
        with self._translated():
            return _drained(self._connection.exec_driver_sql(query, arguments))[1]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; the lock to write is taken at its start."""
        self.run(sqlite.BEGIN_WRITING)
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            if self.in_transaction:
                self.run("ROLLBACK")
            raise

    @contextmanager
    def overwriting(self) -> Iterator[None]:
        """What is replaced meanwhile is not left in the file, nor in its log."""
        self.run(sqlite.OVERWRITE)
        yield
        self.catalogue(sqlite.EMPTY_LOG)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of a transaction that may be given up by itself."""
        self.run("SAVEPOINT seedbed")
        try:
            yield
        except BaseException:
            if self.in_transaction:
                self.run("ROLLBACK TO seedbed")
                self.run("RELEASE seedbed")
            raise
        self.run("RELEASE seedbed")

    @property
    def in_transaction(self) -> bool:
        return self._driver.in_transaction

    def moment(self) -> tuple[int, int]:
        """Equal as long as nothing was written: no other connection has committed, this one has changed no row."""
        return self.catalogue(sqlite.DATA_VERSION)[0][0], self._driver.total_changes

    def compiled(self, statement: sa.ClauseElement, names: Sequence[str] | None = None) -> str:
        """The text of a statement for :meth:`run`; ``names`` are the columns of an insert."""
        options: dict[str, Any] = {"column_keys": names} if names else {}
        return str(statement.compile(self._engine, compile_kwargs={"render_postcompile": True}, **options))

    def quoted(self, name: str) -> str:
        return self._engine.dialect.identifier_preparer.quote_identifier(name)

    @property
    def _driver(self) -> sqlite3.Connection:
        driver = self._connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        return driver

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._in_our_words(error.orig) from error
        except sqlite3.Error as error:  # while rows are fetched, past SQLAlchemy
            raise self._in_our_words(error) from error
        except (OverflowError, UnicodeEncodeError) as error:
            raise Declined(f"the database cannot hold a value: {error}") from error

    def _in_our_words(self, error: BaseException | None) -> SeedbedError | Declined:
        words = str(error)
        match sqlite.kind_of(error):
            case "busy":
                return Pause(
                    f"Another program holds the database {self.name}.",
                    why=words,
                    hint="What was written stays written; the same command goes on.",
                )
            case "full":
                return DiskFull(f"No space is left to write {self.name}.", why=words)
            case "fails":
                return DiskFails(f"The disk of {self.name} fails.", why=words, hint="Look at it, then go on.")
            case "declined":
                return Declined(words)
            case "read only":
                return SourceError(f"{self.name} may not be written.", why=words)
            case "damaged":
                return SourceError(f"{self.name} cannot be read as a SQLite database.", why=words)
            case _:
                return SourceError(f"The database {self.name} cannot do this.", why=words)


def _drained(result: CursorResult[Any]) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Names and rows as the driver gives them; no statement of ours asks SQLAlchemy to convert a value."""
    assert result.cursor is not None
    names = [column[0] for column in result.cursor.description]
    rows = cast("list[tuple[Any, ...]]", result.cursor.fetchall())
    result.close()
    return names, rows


def _mapped(result: CursorResult[Any]) -> list[dict[str, Any]]:
    names, rows = _drained(result)
    return [dict(zip(names, row, strict=True)) for row in rows]
