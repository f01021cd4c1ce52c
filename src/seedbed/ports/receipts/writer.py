"""The appender of one process: a thread that owns the connection, and commits what came while it was busy."""

from __future__ import annotations

import atexit
import itertools
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from seedbed.crashing import point
from seedbed.errors import Corrupt, DiskFails, SeedbedError, UsageError
from seedbed.ports.receipts import Ending, Intent, OnCommit, Receipt
from seedbed.ports.receipts.ballast import Ballast, disk_full, is_no_room
from seedbed.ports.receipts.rows import ENDING_COLUMNS, INTENT_COLUMNS, RECEIPT_COLUMNS, Encoder, Rows
from seedbed.ports.receipts.schema import VERIFY_HINT, companions, create_file, file_of, open_writing, seal

Record = Intent | Receipt | Ending
Waiting = tuple[Record, Any]

_BATCH = 512
_GATHER = 0.001
"""Seconds that an idle writer waits behind the first record: calls come in bursts, and are synced together then."""
_LOG = 4 << 20
"""Bytes of log after which it is copied into the file, while nobody waits for a commit."""
_PAGES_A_ROW = 2 * 4096


def _insert(table: str, columns: Sequence[str]) -> str:
    places = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608


TABLES: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("intents", INTENT_COLUMNS, 1),
    ("receipts", ("intent_number", *RECEIPT_COLUMNS), 1),
    ("late_receipts", ("intent", *RECEIPT_COLUMNS), 1),
    ("endings", ("intent_number", *ENDING_COLUMNS), 4),
    ("late_endings", ("intent", *ENDING_COLUMNS), 4),
)
"""Each table with its columns and how many of them, from the left, are its key."""

_INSERT = {table: _insert(table, columns) for table, columns, _ in TABLES}
_INSERT_BLOB = _insert("blobs", ("hash", "body", "size"))
_COUNT = "UPDATE tally SET intents = intents + ?, receipts = receipts + ?, bytes = bytes + ?"
_BODY_SIZE = 1 + RECEIPT_COLUMNS.index("size")


class AlreadyThere(Exception):
    """Some row of a batch has the key of a stored one."""


_OF_ONE_RECORD = (
    AlreadyThere, OverflowError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.IntegrityError,
)  # fmt: skip


def insert(connection: sqlite3.Connection, rows: Rows) -> None:
    """Insert within the open transaction. Raises AlreadyThere, with the transaction to be rolled back."""
    if rows.blobs:
        connection.executemany(_INSERT_BLOB, rows.blobs)
    for table, _, _ in TABLES:
        some = getattr(rows, table)
        if some and connection.executemany(_INSERT[table], some).rowcount != len(some):
            raise AlreadyThere
    received = (*rows.receipts, *rows.late_receipts)
    if rows.intents or received:
        bytes_received = sum(row[_BODY_SIZE] for row in received)
        connection.execute(_COUNT, (len(rows.intents), len(received), bytes_received))


def insert_new(connection: sqlite3.Connection, rows: Rows) -> bool:
    """Insert the rows of one record: False, and nothing inserted, if its key is there already."""
    connection.execute("SAVEPOINT one")
    try:
        insert(connection, rows)
    except BaseException as error:
        connection.execute("ROLLBACK TO one")
        if isinstance(error, AlreadyThere):
            return False
        raise
    finally:
        connection.execute("RELEASE one")
    return True


def _refuse_other(connection: sqlite3.Connection, rows: Rows) -> None:
    """Raise Corrupt unless what is stored under these keys is the same."""
    for table, columns, width in TABLES:
        for row in getattr(rows, table):
            where = " AND ".join(f"{name} = ?" for name in columns[:width])
            query = f"SELECT {', '.join(columns)} FROM {table} WHERE {where}"  # noqa: S608
            if connection.execute(query, row[:width]).fetchone() != row:
                raise other_is_stored(str(row[0]))


def other_is_stored(record: str) -> Corrupt:
    return Corrupt(f"Another record is stored under {record}", why="A record is never replaced.", hint=VERIFY_HINT)


class SqliteWriter:
    """Appends to a file of its own. ``low_on_space``: stored with the last room; send nothing more."""

    def __init__(
        self,
        folder: Path,
        name: str,
        on_commit: OnCommit,
        *,
        ballast: Ballast,
        connect: Callable[[Path], sqlite3.Connection] = open_writing,
    ) -> None:
        self.name = name
        self.path = file_of(folder, name)
        self._files = (str(self.path), str(companions(self.path)[0]))
        self.low_on_space = False
        self._on_commit = on_commit
        self._ballast = ballast
        self._connect = connect
        self._encoder = Encoder(name)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._queue: SimpleQueue[Waiting | None] = SimpleQueue()
        self._owner = os.getpid()
        self._closed = False
        self._log = 0
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, ...] = ()
        self._broken: SeedbedError | None = None
        self._fault: BaseException | None = None
        try:
            create_file(self.path)
        except (sqlite3.Error, OSError) as error:
            full = is_no_room(error, self.path)
            if isinstance(error, OSError) and not full:
                raise
            for path in (self.path, *companions(self.path)):
                path.unlink(missing_ok=True)
            raise (disk_full(folder, str(error)) if full else _fails(self.path, error)) from error
        # A daemon, so that a forgotten writer cannot hold up the exit; closed there all the same.
        self._thread = threading.Thread(target=self._run, name=f"receipts {name}", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    # ------------------------------------------------------------------------------ any thread

    def next_id(self) -> str:
        with self._lock:
            return f"{self.name}-{next(self._numbers)}"

    def intend(self, intent: Intent, token: Any) -> None:
        self._put(intent, token)

    def receive(self, receipt: Receipt, token: Any) -> None:
        self._put(receipt, token)

    def end(self, ending: Ending, token: Any = None) -> None:
        self._put(ending, token)

    def close(self) -> None:
        """Commit what waits, then seal the file; a file in which nothing was written is removed."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            first, self._closed = not self._closed, True
            if first:
                self._queue.put(None)
        self._thread.join()
        atexit.unregister(self.close)
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def _put(self, record: Record, token: Any) -> None:
        if os.getpid() != self._owner:
            raise UsageError("A receipts writer does not work in a forked process", hint="Open another one there.")
        with self._lock:
            if self._closed:
                raise UsageError(f"The receipts writer {self.name} is closed")
            self._queue.put((record, token))

    # ------------------------------------------------------------------------- its own thread

    def _run(self) -> None:
        open_for_more = True
        while open_for_more:
            batch: list[Waiting] = []
            entry = self._queue.get()
            if entry is not None and self._queue.empty():
                time.sleep(_GATHER)
            try:
                while entry is not None:
                    batch.append(entry)
                    if len(batch) >= _BATCH:
                        break
                    entry = self._queue.get_nowait()
            except Empty:
                pass
            else:
                open_for_more = entry is not None
            if batch:
                try:
                    self._store(batch)
                except BaseException as error:  # a bug of ours must not leave anyone waiting
                    self._fault = error
                    self._deliver([token for _, token in batch], error)
            self._checkpoint()
        self._finish()

    def _store(self, batch: list[Waiting]) -> None:
        rows = Rows()
        tokens: list[Any] = []
        kept: list[Waiting] = []
        for record, token in batch:
            try:
                self._encoder.add(record, rows)
            except Exception as error:  # one record that has no exact form; the others are stored
                self._deliver([token], error)
            else:
                kept.append((record, token))
                tokens.append(token)
        if not kept:
            return
        if self._broken is not None:
            self._deliver(tokens, self._broken)
            return
        try:
            try:
                tokens = self._commit(kept, rows)
            except (sqlite3.Error, OSError) as error:
                self._start_again(error)
                tokens = self._commit(kept, rows)
        except (sqlite3.Error, OSError, SeedbedError) as error:
            self._encoder.forget()
            self._deliver(tokens, self._explained(error))
        else:
            self._log += _PAGES_A_ROW * len(kept) + sum(len(row[3]) for row in rows.receipts)
            self._deliver(tokens, None)

    def _commit(self, batch: list[Waiting], rows: Rows) -> list[Any]:
        """Store a batch. Returns the tokens of what is stored; the others were told why not."""
        try:
            self._commit_at_once(rows)
        except _OF_ONE_RECORD:
            return self._commit_singly(batch)
        return [token for _, token in batch]

    def _commit_at_once(self, rows: Rows) -> None:
        connection = self._opened()
        connection.execute("BEGIN IMMEDIATE")
        try:
            insert(connection, rows)
            point("before records commit")
            connection.execute("COMMIT")
        except BaseException:
            _roll_back(connection)
            raise
        self._check_identity()

    def _commit_singly(self, batch: list[Waiting]) -> list[Any]:
        """A record is stored already or does not fit: each for itself."""
        self._encoder.forget()
        connection = self._opened()
        tokens: list[Any] = []
        refused: list[tuple[Any, BaseException]] = []
        connection.execute("BEGIN IMMEDIATE")
        try:
            for record, token in batch:
                rows = Rows()
                self._encoder.add(record, rows)
                try:
                    if not insert_new(connection, rows):
                        _refuse_other(connection, rows)
                except (*_OF_ONE_RECORD, Corrupt) as reason:
                    self._encoder.forget()  # its blobs went with it
                    refused.append((token, reason))
                else:
                    tokens.append(token)
            connection.execute("COMMIT")
        except BaseException:
            _roll_back(connection)
            raise
        self._check_identity()
        for token, refusal in refused:
            self._deliver([token], refusal)
        return tokens

    def _start_again(self, error: sqlite3.Error | OSError) -> None:
        """Get ready to replay a batch, on a new connection. Raises the error if there is no hope.

        After a failed sync the log cannot be trusted: pages that never reached the disk may look
        written. What can be read of it goes into the file first, so that the replay starts a new
        log. On a full disk there is no room for that, and it is not needed: the write itself failed.
        """
        full = is_no_room(error, self.path)
        self._drop_connection()
        if full:
            freed = self._ballast.release()
            self.low_on_space = True
            if not freed:
                raise error
        else:
            busy = self._opened().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            if busy:
                raise error

    def _explained(self, error: BaseException) -> BaseException:
        """What the buyer is told. After anything but a full disk this writer stores nothing more."""
        self._drop_connection()
        if isinstance(error, SeedbedError):
            self._broken = error
            return error
        if is_no_room(error, self.path):
            self.low_on_space = True
            full = disk_full(self.path.parent, str(error))
            full.__cause__ = error
            return full
        self._broken = _fails(self.path, error)
        self._broken.__cause__ = error
        return self._broken

    def _deliver(self, tokens: list[Any], error: BaseException | None) -> None:
        tokens = [token for token in tokens if token is not None]
        if not tokens and error is None:
            return
        try:
            self._on_commit(tokens, error)
        except Exception as fault:  # the listener's own; raised again by close()
            self._fault = self._fault or fault

    # ---------------------------------------------------------------------------- the connection

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect(self.path)
            self._identity = ()
        return self._connection

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            _roll_back(connection)
            with suppress(sqlite3.Error):
                connection.close()

    def _check_identity(self) -> None:
        """A file or log that was deleted under us takes writes that nobody will ever read."""
        try:
            identity = tuple([os.stat(path).st_ino for path in self._files])  # noqa: PTH116 - after each commit
        except FileNotFoundError:
            identity = (0,)
        if identity != (self._identity or identity) or identity == (0,):
            raise Corrupt(f"{self.path} was removed or replaced while it was written", hint=VERIFY_HINT)
        self._identity = identity

    def _checkpoint(self) -> None:
        """Copy the log into the file while nobody waits, so that it stays short."""
        busy = not self._queue.empty()
        if self._connection is None or self._log < (4 * _LOG if busy else _LOG):
            return
        self._log = 0
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:  # the log keeps everything
            if is_no_room(error, self.path):
                self._ballast.release()
                self.low_on_space = True

    def _finish(self) -> None:
        with suppress(sqlite3.Error, OSError):
            connection = self._opened()
            some = " UNION ALL ".join(f"SELECT 1 FROM {table}" for table, _, _ in TABLES)  # noqa: S608
            if connection.execute(f"SELECT EXISTS ({some})").fetchone()[0]:
                seal(connection)
            else:
                self._drop_connection()
                for path in (self.path, *companions(self.path)):
                    path.unlink(missing_ok=True)
        self._drop_connection()


def _fails(path: Path, error: BaseException) -> DiskFails:
    return DiskFails(
        f"Receipts cannot be stored in {path}",
        why=str(error),
        hint="Look at that disk, then run the same command again; nothing that was acknowledged is lost.",
    )


def _roll_back(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
