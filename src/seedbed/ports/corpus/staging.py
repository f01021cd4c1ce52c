# ruff: noqa: S608  -- table names are ours and column names are quoted; values are always bound
"""The SQLite side of a staged file: its table, what was last seen of the file, and what was written out.

The user's table stands beside six of ours, all named ``_seedbed_file…``:

    _seedbed_file            one JSON value: format, columns, hashes
    _seedbed_file_source     a row for each row of the file as last seen: place, spans, hashes, cells
    _seedbed_file_gone       rows that left the file, with the values that only the table had
    _seedbed_file_written    result files as we wrote them (zstd), to tell a person's edits from ours
    _seedbed_file_edits      cells taken from a result file because a person had changed them there
    _seedbed_file_wrong      rows of the file that are no rows of its table, and are left as they are
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from seedbed.errors import Locked, SourceError, StoreNewer
from seedbed.ports.corpus.layout import Added, Layout, ScannedRow, Splice
from seedbed.ports.refusals import of_sqlite
from seedbed.records import digest

VERSION = 1
PATIENCE = 30.0
HASH_KEY = "_key"
_SOURCE, _SCAN = "_seedbed_file_source", "_seedbed_file_scan"
PAIRS = "temp.seedbed_pairs"
_SHOWN = 5
_LISTED = 20
_WINDOW = 50_000

_TABLES = """
create table if not exists _seedbed_file (one integer primary key check (one = 1), value text not null);
create table if not exists _seedbed_file_gone (k primary key, source text not null, staged text not null)
    without rowid;
create table if not exists _seedbed_file_written (
    out text not null, sha text not null, n integer not null, keys integer not null, chunk blob not null,
    primary key (out, sha, keys, n));
create table if not exists _seedbed_file_wrong (
    pos integer primary key, place integer not null, raw blob not null, reason text not null);
create table if not exists _seedbed_file_edits (
    out text not null, k not null, name text not null, value, primary key (out, k, name)) without rowid;
"""


@dataclass
class OutFile:
    """A result file as we left it (``sha``), are about to leave it (``pending``), or took it in (``taken``).

    ``safe`` says that the cells we wrote were made inert for spreadsheets, ``pending_safe`` that those will be.
    """

    sha: str = ""
    pending: str = ""
    taken: str = ""
    leftover: bool = False
    safe: bool = False
    pending_safe: bool = False


@dataclass
class Meta:
    """What is remembered of the staged file."""

    name: str
    kind: str
    table: str
    columns: list[str]
    types: dict[str, str]
    key: str | None
    hashed: list[str]
    signature: str
    sha: str
    stat: list[int] = field(default_factory=list)
    in_place: str = ""
    outs: dict[str, OutFile] = field(default_factory=dict)
    version: int = VERSION

    @property
    def key_column(self) -> str:
        return HASH_KEY if self.key is None else self.key


@dataclass
class Change:
    rows: int = 0
    new: int = 0
    gone: int = 0
    cells: int = 0


@contextmanager
def opened(database: Path, name: str) -> Iterator[Staging]:
    """A staging in one transaction: all of it is kept, or none. A new database that fails is removed."""
    new = not database.exists()
    database.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(database, timeout=PATIENCE, isolation_level=None)
    try:
        connection.execute("pragma cache_size = -65536")
        connection.execute("pragma synchronous = extra")  # what is noted of a result file outlives a power cut
        connection.execute("begin immediate")
        yield Staging(connection, database, name)
        connection.execute("commit")
        new = False
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise Locked(f"{database.name} is in use by another program", why=str(error)) from error
        raise of_sqlite(error, database) or error from error
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error):
            raise SourceError(f"{database} is not a SQLite database", hint="Name another with --database.") from error
        raise
    finally:
        if connection.in_transaction:
            connection.execute("rollback")
        connection.close()
        if new:
            database.unlink(missing_ok=True)


class Staging:
    def __init__(self, connection: sqlite3.Connection, database: Path, name: str) -> None:
        self.sql = connection.execute
        self.connection = connection
        for statement in _TABLES.split(";"):
            self.sql(statement)
        found = self.sql("select value from _seedbed_file").fetchone()
        self.meta: Meta | None = None
        if found:
            value = json.loads(found[0])
            if value["version"] > VERSION:
                raise StoreNewer(f"{database.name} was staged by a newer seedbed", hint="Upgrade seedbed.")
            value["outs"] = {path: OutFile(**out) for path, out in value["outs"].items()}
            self.meta = Meta(**value)
        self.name = name

    def save(self) -> None:
        assert self.meta is not None
        self.sql("insert or replace into _seedbed_file values (1, ?)", (json.dumps(asdict(self.meta)),))

    def commit(self) -> None:
        """Make what was done so far durable and go on in a new transaction."""
        self.save()
        self.sql("commit")
        self.sql("begin immediate")

    # ------------------------------------------------------------------------------------ the file

    def first(self, layout: Layout, table: str, key: str | None, outputs: dict[str, str], sha: str) -> Change:
        if self.sql("select 1 from sqlite_master where name = ?", (table,)).fetchone():
            raise SourceError(
                f"the database already has a table {table} that was not staged from {self.name}",
                hint="Stage the file into a database of its own.",
            )
        by_lower = {name.lower(): name for name in layout.columns}
        if key is None and HASH_KEY in by_lower:
            raise SourceError(
                f'{self.name} has a column "{by_lower[HASH_KEY]}", the name that seedbed gives its own key',
                hint=f"Use it with --key {by_lower[HASH_KEY]}, or rename it.",
            )
        types = layout.types()
        for name, kind in outputs.items():
            if kind and name in types and (not layout.typed or name in layout.untyped):
                types[name] = kind
        hashed = [] if key is not None else [name for name in layout.columns if name not in outputs]
        if key is None and not hashed:
            raise SourceError(
                f"{self.name} has only output columns, so its rows cannot be told apart",
                hint="Name a column that identifies a row with --key.",
            )
        self.meta = Meta(
            name=self.name, kind=layout.kind, table=table, columns=list(layout.columns),
            types=types, key=key, hashed=hashed, signature=layout.signature, sha=sha,
        )  # fmt: skip
        self._load(layout, _SOURCE, first=True)
        self._check_unique(layout, _SOURCE)
        columns = ", ".join(self._column(layout, name) for name in layout.columns if name != key)
        self.sql(
            f"create table {quoted(table)} ({quoted(self.meta.key_column)} {self._key_type} primary key not null"
            f"{', ' + columns if columns else ''})"
        )
        names = [name for name in layout.columns if name != key]
        cells = "".join(f", c{layout.columns.index(name)}" for name in names)
        target = ", ".join(map(quoted, (self.meta.key_column, *names)))
        self.sql(f"insert into {quoted(table)} ({target}) select k{cells} from {_SOURCE} order by pos")
        rows = self.count()
        return Change(rows, rows)

    def again(self, layout: Layout, outputs: dict[str, str], sha: str) -> Change:
        """Take over what the file changed since it was last seen, and nothing else."""
        meta = self._known(layout)
        old_columns, old_signature = meta.columns, meta.signature
        for name, declared in layout.types().items():
            meta.types.setdefault(name, declared if layout.typed else outputs.get(name) or declared)
        table_columns = self.table_columns()
        for name in layout.columns:
            if name not in table_columns:
                self._add_column(self._column(layout, name))
        meta.columns = list(layout.columns)
        self._load(layout, _SCAN)
        self._check_unique(layout, _SCAN)
        if meta.key is None:
            self._assign_keys()
        change = Change(rows=self._count(_SCAN))
        same_layout = old_columns == meta.columns and old_signature == layout.signature
        change.gone = self._let_go(old_columns)
        change.cells = self._take_over(old_columns, by_raw=same_layout, empty_is_null=layout.kind == "csv")
        change.new = self._let_in()
        for name in old_columns:
            if name not in meta.columns and name not in outputs and name != meta.key_column:
                self._drop_column(name, old_columns)
        self._seen(layout, sha)
        return change

    def after_in_place(self, layout: Layout, sha: str) -> None:
        """The file is as we wrote it: the same rows in the same order, under the same keys."""
        meta = self._known(layout)
        declared = self.table_columns()
        for name, kind in layout.types().items():
            meta.types.setdefault(name, declared.get(name, kind))
        meta.columns = list(layout.columns)
        self._load(layout, _SCAN)
        self.sql(f"create unique index {_SCAN}_pos on {_SCAN} (pos)")
        self.sql(f"update {_SCAN} set k = o.k from {_SOURCE} o where o.pos = {_SCAN}.pos")
        self._check_unique(layout, _SCAN)
        meta.in_place = ""
        self._seen(layout, sha)

    def _known(self, layout: Layout) -> Meta:
        meta = self.meta
        assert meta is not None
        if layout.kind != meta.kind:
            raise SourceError(f"{self.name} was {meta.kind} when it was first staged and is {layout.kind} now")
        for name in [meta.key] if meta.key is not None else meta.hashed:
            if name not in layout.columns:
                what = "its key" if meta.key is not None else "part of what identifies its rows"
                raise SourceError(
                    f'{self.name} no longer has the column "{name}", which is {what}',
                    why="" if meta.key is not None else f"Keys are made of: {', '.join(meta.hashed)}.",
                    hint="Put the column back (or its name), or stage the file anew into another database.",
                )
        return meta

    def _seen(self, layout: Layout, sha: str) -> None:
        assert self.meta is not None
        self.sql(f"drop table {_SOURCE}")
        self.sql(f"drop index if exists {_SCAN}_pos")
        self.sql(f"drop index if exists {_SCAN}_k")
        self.sql(f"alter table {_SCAN} rename to {_SOURCE}")
        self.sql(f"create unique index {_SOURCE}_k on {_SOURCE} (k)")
        self.meta.sha, self.meta.signature = sha, layout.signature

    @property
    def _key_type(self) -> str:
        """TEXT, or INT for whole numbers: never an alias of SQLite's own row number, which declines text."""
        assert self.meta is not None
        declared = "TEXT" if self.meta.key is None else self.meta.types[self.meta.key]
        return "INT" if declared == "INTEGER" else declared

    def _load(self, layout: Layout, target: str, *, first: bool = False) -> None:
        """Bring all rows of the file into a table of ours, with their keys where they are known already."""
        meta = self.meta
        assert meta is not None
        columns = layout.columns
        declared = [meta.types[name] for name in columns]
        self.sql(f"drop table if exists {target}")
        cells = "".join(f", c{index} {kind}" for index, kind in enumerate(declared))
        self.sql(
            f"create table {target} (pos integer primary key, start integer, spans blob, raw blob, hash text,"
            f" k {self._key_type}{cells})"
        )
        rows = self._keyed(layout, self._right(layout), declared, first)
        marks = ", ".join("?" * (6 + len(columns)))
        self.connection.executemany(f"insert into {target} values ({marks})", rows)

    def _right(self, layout: Layout) -> Iterator[ScannedRow]:
        """The rows of the file that are rows of its table; the others are noted.

        What was wrong once is wrong as long as its bytes stay: a column that was added may have made room for it.
        """
        known = self.wrong_marks()
        wrong: list[tuple[int, int, bytes, str]] = []
        for row in layout.rows():
            reason = layout.wrong(row[1], row[2])
            if reason or known:
                mark = blake2b(row[2], digest_size=16).digest()
                reason = reason or known.get(mark, "")
                if reason:
                    number = layout.number(row[0]) if len(wrong) < _LISTED else 0
                    wrong.append((len(wrong), number, mark, reason))
                    continue
            yield row
        self.sql("delete from _seedbed_file_wrong")
        self.connection.executemany("insert into _seedbed_file_wrong values (?, ?, ?, ?)", wrong)

    def wrong_marks(self) -> dict[bytes, str]:
        return dict(self.sql("select raw, reason from _seedbed_file_wrong"))

    def wrong_rows(self) -> tuple[int, list[tuple[int, str]]]:
        """How many rows are left as they are, and the first of them: number and reason."""
        (count,) = self.sql("select count(*) from _seedbed_file_wrong").fetchone()
        query = "select place, reason from _seedbed_file_wrong where place > 0 order by pos"
        return int(count), self.sql(query).fetchall()

    def _keyed(
        self, layout: Layout, rows: Iterator[ScannedRow], declared: Sequence[str], first: bool
    ) -> Iterator[list[Any]]:
        meta = self.meta
        assert meta is not None
        convert = layout.converters(declared)
        if meta.key is not None:
            at = layout.columns.index(meta.key)
            empty: list[int] = []
            for pos, (start, spans, raw, cells) in enumerate(rows):
                key = cells[at]
                if key is None or (isinstance(key, str) and (not key or key.isspace())):
                    empty.append(layout.number(start))
                    if len(empty) == _SHOWN:
                        break
                    continue
                for index, function in convert:
                    cells[index] = function(cells[index])
                yield [pos, start, spans, blake2b(raw, digest_size=16).digest(), None, cells[at], *cells]
            if empty:
                lines = ", ".join(map(str, empty))
                more = " and perhaps more" if len(empty) == _SHOWN else ""
                raise SourceError(
                    f'{self.name}: the key column "{meta.key}" is empty in {layout.unit} {lines}{more}',
                    hint="Fill it, or leave --key away.",
                )
            return
        hashed = [layout.columns.index(name) for name in meta.hashed]
        whole = hashed == list(range(len(layout.columns)))
        occurrences: dict[str, int] = {}
        former = None if first else _Former(self.connection)
        for pos, (start, spans, raw, cells) in enumerate(rows):
            mark = blake2b(raw, digest_size=16).digest()
            key, content = (former and former.take(mark)) or (None, "")
            if not content:
                content = digest(packed_cells(cells if whole else [cells[i] for i in hashed]))
                if first:
                    number = occurrences[content] = occurrences.get(content, 0) + 1
                    key = f"{content}-{number}"
            for index, function in convert:
                cells[index] = function(cells[index])
            yield [pos, start, spans, mark, content, key, *cells]

    def _check_unique(self, layout: Layout, target: str) -> None:
        try:
            self.sql(f"create unique index {target}_k on {target} (k)")
        except sqlite3.IntegrityError:
            raise self._doubled(layout, target) from None

    def _doubled(self, layout: Layout, target: str) -> SourceError:
        assert self.meta is not None
        query = f"select k, count(*), group_concat(start) from {target} group by k having count(*) > 1"
        found = self.sql(f"{query} order by min(pos) limit {_SHOWN}").fetchall()
        (total,) = self.sql(f"select count(*) from ({query})").fetchone()
        shown = []
        for key, count, starts in found:
            lines = [layout.number(int(start)) for start in starts.split(",")[:_SHOWN]]
            dots = ", …" if count > _SHOWN else ""
            shown.append(f"{key!r} in {layout.unit}s {', '.join(map(str, sorted(lines)))}{dots}")
        return SourceError(
            f'{self.name}: {total:,} values of the key column "{self.meta.key}" occur more than once',
            why="; ".join(shown) + (f"; and {total - len(found):,} more" if total > len(found) else ""),
            hint="Choose a column that is unique, or leave --key away.",
        )

    def _assign_keys(self) -> None:
        """Keys for the rows that did not stand where they stood: by equal bytes, by equal content, else new ones."""
        if not self.sql(f"select 1 from {_SCAN} where k is null limit 1").fetchone():
            return
        self.sql(
            f"""create temp table lost as select k, pos, raw, hash from {_SOURCE} o
            where not exists (select 1 from {_SCAN} s where s.k = o.k)"""
        )
        for by in ("raw", "hash"):
            pair_up(self, by, old="select * from lost", new=f"select * from {_SCAN} where k is null")
            self.sql(f"update {_SCAN} set k = p.k from {PAIRS} p where p.pos = {_SCAN}.pos")
            self.sql(f"delete from lost where k in (select k from {PAIRS})")
            self.sql(f"drop table {PAIRS}")
        self.sql("drop table lost")
        left = self.sql(f"select pos, hash from {_SCAN} where k is null order by pos").fetchall()
        if left:
            following: dict[str, int] = {}
            named = []
            for pos, content in left:
                number = following.get(content, 0) + 1
                while self.sql(f"select 1 from {_SCAN} where k = ?", (f"{content}-{number}",)).fetchone():
                    number += 1
                following[content] = number
                named.append((f"{content}-{number}", pos))
            self.connection.executemany(f"update {_SCAN} set k = ? where pos = ?", named)

    def _take_over(self, old: Sequence[str], *, by_raw: bool, empty_is_null: bool) -> int:
        meta = self.meta
        assert meta is not None
        key, table = quoted(meta.key_column), quoted(meta.table)
        differs = "s.raw is not o.raw" if by_raw else "true"
        self.sql("create temp table changed (now integer, before integer)")
        self.sql(
            f"insert into changed select s.pos, o.pos from {_SCAN} s join {_SOURCE} o on o.k = s.k where {differs}"
        )
        changed = 0
        for name in (*meta.columns, *(name for name in old if name not in meta.columns)):
            if name == meta.key:
                continue
            now = f"s.c{meta.columns.index(name)}" if name in meta.columns else "null"
            before = f"o.c{old.index(name)}" if name in old else "null"
            left, right = (f"coalesce({now}, '')", f"coalesce({before}, '')") if empty_is_null else (now, before)
            changed += self.sql(
                f"""update {table} set {quoted(name)} = {now} from changed
                join {_SCAN} s on s.pos = changed.now join {_SOURCE} o on o.pos = changed.before
                where {table}.{key} = s.k and {left} is not {right}"""
            ).rowcount
        self.sql("drop table changed")
        return changed

    def _let_go(self, old: Sequence[str]) -> int:
        """Move rows that left the file aside, with the values that the file did not have."""
        meta = self.meta
        assert meta is not None
        key, table = quoted(meta.key_column), quoted(meta.table)
        names = [name for name in self.table_columns() if name != meta.key_column]
        staged = ", ".join(f"q.{quoted(name)}" for name in names)
        source = ", ".join(f"o.c{old.index(name)}" if name in old else "null" for name in names)
        gone = 0
        cursor = self.connection.execute(
            f"""select o.k, {staged or "null"}, {source or "null"} from {_SOURCE} o join {table} q on q.{key} = o.k
            where not exists (select 1 from {_SCAN} s where s.k = o.k)"""
        )
        while rows := cursor.fetchmany(5000):
            kept = []
            for k, *values in rows:
                half = len(values) // 2
                own = [i for i in range(len(names)) if values[i] != values[half + i] and values[i] is not None]
                kept.append((
                    k,
                    json.dumps({names[i]: values[half + i] for i in own}),
                    json.dumps({names[i]: values[i] for i in own}, default=repr),
                ))  # fmt: skip
            self.connection.executemany("insert or replace into _seedbed_file_gone values (?, ?, ?)", kept)
            gone += len(kept)
        self.sql(
            f"""delete from {table} where {key} in (select o.k from {_SOURCE} o
            where not exists (select 1 from {_SCAN} s where s.k = o.k))"""
        )
        return gone

    def _let_in(self) -> int:
        """Insert rows that the file has and the table has not; those that were there once get their values back."""
        meta = self.meta
        assert meta is not None
        key, table = quoted(meta.key_column), quoted(meta.table)
        names = [name for name in meta.columns if name != meta.key]
        cells = "".join(f", s.c{meta.columns.index(name)}" for name in names)
        target = ", ".join(map(quoted, (meta.key_column, *names)))
        update = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in names) or f"{key} = excluded.{key}"
        new = self.sql(
            f"""insert into {table} ({target}) select s.k{cells} from {_SCAN} s
            where not exists (select 1 from {_SOURCE} o where o.k = s.k) order by s.pos
            on conflict ({key}) do update set {update}"""
        ).rowcount
        present = self.table_columns()
        index = {name: i for i, name in enumerate(meta.columns)}
        back = self.sql(
            f"select g.k, g.source, g.staged, s.* from _seedbed_file_gone g join {_SCAN} s on s.k = g.k"
        ).fetchall()
        for k, source, staged, *scanned in back:
            then = json.loads(source)
            values = {
                name: value
                for name, value in json.loads(staged).items()
                if name in present and ((scanned[6 + index[name]] if name in index else None) or None)
                == (then[name] or None)
            }  # fmt: skip
            if values:
                sets = ", ".join(f"{quoted(name)} = ?" for name in values)
                self.sql(f"update {table} set {sets} where {key} = ?", (*values.values(), k))
            self.sql("delete from _seedbed_file_gone where k = ?", (k,))
        return new

    def _column(self, layout: Layout, name: str) -> str:
        """A column's definition. What the file could not hold is declined when it is written, with these words."""
        assert self.meta is not None
        definition = f"{quoted(name)} {self.meta.types[name]}"
        rule = layout.check(name, quoted(name))
        return f"{definition} constraint {quoted(f'{name} fits its type')} check ({rule})" if rule else definition

    def _add_column(self, definition: str) -> None:
        assert self.meta is not None
        self.sql(f"alter table {quoted(self.meta.table)} add column {definition}")

    def _drop_column(self, name: str, old: Sequence[str]) -> None:
        """A column that the file no longer has goes, unless the table holds values of its own in it."""
        assert self.meta is not None
        table = quoted(self.meta.table)
        if not self.sql(f"select 1 from {table} where coalesce({quoted(name)}, '') != '' limit 1").fetchone():
            self.sql(f"alter table {table} drop column {quoted(name)}")
            self.meta.types.pop(name, None)

    # --------------------------------------------------------------------------------- the table

    def add_outputs(self, outputs: dict[str, str]) -> None:
        assert self.meta is not None
        present = {name.lower(): name for name in self.table_columns()}
        for name, declared in outputs.items():
            found = present.get(name.lower())
            if found is None:
                kind = declared or ("TEXT" if self.meta.kind == "csv" else "")
                self._add_column(f"{quoted(name)} {kind}")
                self.meta.types[name] = kind
            elif found != name:
                raise SourceError(
                    f'the output "{name}" and the column "{found}" of {self.name} differ only in case',
                    hint="SQLite takes them for one column; rename one.",
                )

    def table_columns(self) -> dict[str, str]:
        """Columns of the staged table with their declared types, the key included."""
        assert self.meta is not None
        rows = self.sql(f"pragma table_info({quoted(self.meta.table)})").fetchall()
        return {name: kind for _, name, kind, *_ in rows}

    def count(self) -> int:
        return self._count(_SOURCE)

    def _count(self, table: str) -> int:
        return int(self.sql(f"select count(*) from {table}").fetchone()[0])

    def unplaced(self) -> int:
        """Rows of the table that no row of the file stands for."""
        assert self.meta is not None
        key, table = quoted(self.meta.key_column), quoted(self.meta.table)
        (count,) = self.sql(
            f"select count(*) from {table} q where not exists (select 1 from {_SOURCE} o where o.k = q.{key})"
        ).fetchone()
        return int(count)

    def added_columns(self) -> list[Added]:
        """Columns that only the table has and in which it holds anything."""
        meta = self.meta
        assert meta is not None
        held = "coalesce(c, '') != ''" if meta.kind == "csv" else "c is not null"
        table = quoted(meta.table)
        return [
            self._added(name, declared)
            for name, declared in self.table_columns().items()
            if name not in meta.columns
            and name != meta.key_column
            and self.sql(f"select 1 from (select {quoted(name)} c from {table}) where {held} limit 1").fetchone()
        ]

    def held_by(self, names: Sequence[str]) -> list[Added]:
        """Those of the file's columns in which the table holds anything, with its types."""
        declared = self.table_columns()
        found = [self._added(name, declared[name]) for name in names if name in declared]
        return [each for each in found if set(each.held) - {"null"}]

    def _added(self, name: str, declared: str) -> Added:
        assert self.meta is not None
        query = f"select distinct typeof({quoted(name)}) from {quoted(self.meta.table)} order by 1"
        return Added(name, declared, tuple(kind for (kind,) in self.sql(query)))

    def splices(self, layout: Layout, added: Sequence[Added], written: Callable[[int], None]) -> Iterator[Splice]:
        """What the table has and the file has not, in the order of the file. All rows where CSV gets new columns."""
        meta = self.meta
        assert meta is not None
        declared = self.table_columns()
        old = [(index, name) for index, name in enumerate(meta.columns) if name != meta.key]
        key, table = quoted(meta.key_column), quoted(meta.table)
        staged = "".join(f", q.{quoted(name)}" for _, name in old)
        new = "".join(f", q.{quoted(each.name)}" for each in added)
        source = "".join(f", o.c{index}" for index, _ in old)
        differs = " or ".join(f"q.{quoted(name)} is not o.c{index}" for index, name in old) or "false"
        if added:
            differs = (
                "true" if layout.kind == "csv"
                else " or ".join((differs, *(f"q.{quoted(each.name)} is not null" for each in added)))
            )  # fmt: skip
        count, width = len(old), len(meta.columns)
        join = "left join" if added and layout.kind == "csv" else "join"
        cursor = self.connection.execute(
            f"""select o.start, o.spans, o.k, q.{key} is null{staged}{source}{new}
            from {_SOURCE} o {join} {table} q on q.{key} = o.k where {differs} order by o.pos"""
        )
        kinds = [declared.get(name, "") for name in (*meta.columns, *(each.name for each in added))]
        text, replaced = layout.text, layout.replaced
        for start, spans, k, lost, *values in cursor:
            cells: dict[int, Any] = {}
            if not lost:
                for at, (index, _) in enumerate(old):
                    now, then = values[at], values[count + at]
                    if now != then and replaced(then, now):
                        cells[index] = text(now, kinds[index])
                for at, value in enumerate(values[2 * count :], width):
                    if value is not None:
                        cells[at] = text(value, kinds[at])
                if cells:
                    written(len(cells))
            if cells or added:
                yield Splice(str(k), start, spans, cells)

    def keys(self) -> Iterator[list[Any]]:
        """Keys of the file's rows in their order, a page at a time."""
        cursor = self.sql(f"select k from {_SOURCE} order by pos")
        while page := cursor.fetchmany(5000):
            yield [k for (k,) in page]


def pair_up(staging: Staging, by: str, *, old: str, new: str) -> None:
    """Make the table of ``PAIRS``: places of new rows with the keys of old ones of equal ``by``, each used once.

    The first of several equal new rows, by ``pos``, gets the key of the first old one, the second that of the second.
    """
    number = f"row_number() over (partition by {by} order by pos)"
    staging.sql("create temp table seedbed_equal (h, n integer, k, primary key (h, n)) without rowid")
    staging.sql(f"insert into seedbed_equal select {by}, {number}, k from ({old})")
    staging.sql(f"create table {PAIRS} (pos integer primary key, k)")
    staging.sql(
        f"""insert into {PAIRS} select s.pos, o.k from (select pos, {by} h, {number} n from ({new})) s
        cross join seedbed_equal o where o.h = s.h and o.n = s.n"""
    )
    staging.sql("drop table seedbed_equal")


class _Former:
    """Rows as last seen, in their order, a window at a time: most rows are found where they stood."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.cursor = connection.execute(f"select raw, k, hash from {_SOURCE} order by pos")
        self.waiting: dict[bytes, list[tuple[str, str]]] = {}
        self.ended = False

    def take(self, raw: bytes) -> tuple[str, str] | None:
        """Key and content hash of the first row with these bytes that is not taken yet."""
        while (found := self.waiting.get(raw)) is None:
            if self.ended or len(self.waiting) > _WINDOW:
                return None
            rows = self.cursor.fetchmany(2000)
            self.ended = not rows
            for mark, *row in rows:
                self.waiting.setdefault(mark, []).append((row[0], row[1]))
        taken = found.pop(0)
        if not found:
            del self.waiting[raw]
        return taken


def packed_cells(cells: Sequence[Any]) -> bytes:
    return orjson.dumps(cells, default=lambda value: value.hex() if isinstance(value, bytes) else str(value))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
