"""Files as corpus: CSV and JSON Lines are staged into SQLite, and results are spliced into a copy.

:func:`stage` brings a file into a table that the SQLite corpus opens like any other;
:func:`write_out` writes the file again with the cells that the table has changed. Every byte
outside these cells is equal to the source's. What a person changed in the file, or in the result
file, is taken over cell by cell at the next :func:`stage` and never overwritten.
"""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from seedbed.errors import Drift, SourceError, UsageError, nearest
from seedbed.ports.corpus.delimited import Delimited
from seedbed.ports.corpus.durable import NewFile, copy_file
from seedbed.ports.corpus.jsonlines import JsonLines
from seedbed.ports.corpus.layout import Layout
from seedbed.ports.corpus.staging import Change, Meta, OutFile, Staging, opened
from seedbed.records import LogicalType

_DECLARED: Mapping[LogicalType, str] = {
    "text": "TEXT", "int": "INTEGER", "number": "REAL", "bool": "BOOLEAN",
    "date": "TEXT", "datetime": "TEXT", "json": "JSON",
}  # fmt: skip
_CSV = {".csv": b",", ".tsv": b"\t", ".tab": b"\t", ".psv": b"|", ".txt": b","}
_JSONL = (".jsonl", ".ndjson", ".jsonlines")
_SETTLED_NS = 2_000_000_000
"""A file younger than this when it was read is read again: its clock may be too coarse to show a change."""


@dataclass(frozen=True)
class Staged:
    """A file in its database. ``key`` is the primary key of ``table``; ``columns`` are the file's own, in order."""

    database: Path
    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    rows: int
    new_rows: int
    gone_rows: int
    changed_cells: int


@dataclass(frozen=True)
class WrittenFile:
    """A result file. ``edits`` are cells that hold what a person put there.

    ``backup`` is the copy of what was replaced: the source in place, or a result file with rows of a
    person's own that have no place in the table. ``unplaced`` counts rows of the table that the file has not.
    """

    path: Path
    cells: int
    sha256: str
    edits: int = 0
    backup: Path | None = None
    unplaced: int = 0


def is_file_corpus(path: Path) -> bool:
    """Whether a name looks like a file that can be staged."""
    return path.suffix.lower() in (*_CSV, *_JSONL)


def stage(
    source: Path,
    database: Path,
    *,
    key: str | None = None,
    outputs: Sequence[str] | Mapping[str, LogicalType] = (),
    out: Path | None = None,
) -> Staged:
    """Bring ``source`` into ``database``, or up to date there. Repeating it changes nothing.

    ``outputs`` may say the logical types of output columns; booleans and numbers are then written
    as such. ``key=None`` keeps the key of the first staging. Raises SourceError with line and column.
    """
    wanted = {name: _DECLARED[outputs[name]] if isinstance(outputs, Mapping) else "" for name in outputs}
    source = _existing(source)
    with opened(database, source.name) as staging:
        meta = staging.meta
        _check_same(meta, source, database, key)
        change: Change | None = None
        stat = _stat(source)
        if meta is None or not _unchanged(meta, stat):
            data, stat = _read(source)
            sha = sha256(data).hexdigest()
            if meta is None:
                layout = _parse(source, data)
                if key is not None and key not in layout.columns:
                    raise SourceError(f'{source.name} has no column "{key}"', hint=nearest(key, layout.columns))
                change = staging.first(layout, table_name(source), key, wanted, sha)
            elif sha == meta.in_place:
                staging.after_in_place(_parse(source, data), sha)
            elif sha != meta.sha:
                change = staging.again(_parse(source, data), wanted, sha)
            assert staging.meta is not None
            staging.meta.stat = [*stat, time.time_ns()]
        meta = staging.meta
        assert meta is not None
        staging.add_outputs(wanted)
        edited = 0
        if out is not None and not _same(out, source):
            edited = _take_edits(staging, meta, source, out)
        staging.save()
        if change is None:
            change = Change(rows=staging.count())
        return Staged(
            database=database, table=meta.table, key=(meta.key_column,), columns=tuple(meta.columns),
            rows=change.rows, new_rows=change.new, gone_rows=change.gone, changed_cells=change.cells + edited,
        )  # fmt: skip


def write_out(database: Path, source: Path, out: Path, *, in_place_backup: Path | None = None) -> WrittenFile:
    """Write ``source`` with the table's cells to ``out``, which appears whole or not at all.

    ``out`` may be the source where a place for its backup is given. Raises Drift where source or
    result were changed since :func:`stage`.
    """
    source = _existing(source)
    in_place = _same(out, source)
    if in_place and in_place_backup is None:
        raise UsageError(f"{source.name} would be overwritten without a backup", hint="Name another file with --out.")
    if not database.exists():
        raise SourceError(f"{database} does not exist, so {source.name} was never staged")
    with opened(database, source.name) as staging:
        meta = staging.meta
        if meta is None:
            raise SourceError(f"{source.name} was never staged into {database.name}")
        data, stat = _read(source)
        if sha256(data).hexdigest() != meta.sha:
            raise Drift(
                f"{source.name} was changed while results for it were made",
                hint="Run the same command again: what was changed is taken over, and nothing is paid twice.",
            )
        known = meta.outs.get(_out_name(source, out), OutFile())
        replaced = None if in_place else _check_out(source, out, known)
        layout = _parse(source, data)
        added = staging.added_columns()
        cells = 0

        def count(number: int) -> None:
            nonlocal cells
            cells += number

        target = source.resolve() if in_place else out
        target.parent.mkdir(parents=True, exist_ok=True)
        with NewFile(target, like=source) as new:
            for piece in layout.splice(staging.splices(layout, added, count), added):
                new.write(piece)
            new.finish()
            backup: Path | None = None
            edits = 0
            if in_place and new.sha != meta.sha:
                assert in_place_backup is not None
                backup = _back_up(data, in_place_backup, like=source)
                meta.in_place = new.sha
                staging.commit()
                if _stat(source) != stat:
                    raise Drift(f"{source.name} was changed a moment ago", hint="Run the same command again.")
                new.place()
                data, stat = _read(source)
                staging.after_in_place(_parse(source, data), new.sha)
                meta.stat = [*stat, time.time_ns()]
            elif not in_place:
                name = _out_name(source, out)
                if known.leftover and replaced is not None:
                    backup = _back_up(replaced, out.with_name(f"{out.name}.edited-{known.taken[:8]}"), like=out)
                staging.keep_written(name, new.sha, new.chunks())
                known.pending = new.sha
                meta.outs[name] = known
                staging.commit()
                new.place()
                meta.outs[name] = OutFile(sha=new.sha)
                staging.forget_written(name, but=new.sha)
                edits = staging.edits_kept(name)
            staging.save()
            return WrittenFile(
                path=target, cells=cells, sha256=new.sha, edits=edits, backup=backup, unplaced=staging.unplaced()
            )


def table_name(source: Path) -> str:
    """The file's name without its ending, as a plain identifier."""
    name = re.sub(r"\W+", "_", source.stem).strip("_") or "rows"
    if name[0].isdecimal() or name.lower().startswith(("sqlite_", "seedbed_")):
        name = f"t_{name}"
    return name


# ------------------------------------------------------------------------------------- the source


def _existing(source: Path) -> Path:
    if not source.exists():
        near = nearest(source.name, (p.name for p in source.parent.glob("*") if is_file_corpus(p)))
        raise SourceError(f"{source} does not exist", hint=near)
    if not source.is_file():
        raise SourceError(f"{source} is not a file")
    return source


def _check_same(meta: Meta | None, source: Path, database: Path, key: str | None) -> None:
    if meta is None:
        return
    if meta.table != table_name(source):
        raise SourceError(
            f"{database.name} holds {meta.name}, not {source.name}", hint="Give each file a database of its own."
        )
    if key is not None and key != meta.key:
        was = f'with --key "{meta.key}"' if meta.key is not None else "without --key"
        raise SourceError(
            f'{source.name} was staged {was} and cannot change to --key "{key}"',
            why="What was asked is filed under the keys of the first staging.",
            hint="Leave --key as it was, or stage the file anew into another database.",
        )


def _stat(source: Path) -> list[int]:
    found = source.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _unchanged(meta: Meta, stat: list[int]) -> bool:
    """Whether the file cannot have changed since it was read: same size, times and place, and not just written."""
    return meta.stat[:4] == stat and meta.stat[4] - max(stat[1], stat[2]) > _SETTLED_NS


def _read(source: Path) -> tuple[bytes, list[int]]:
    """Bytes that no other program was writing meanwhile."""
    before = _stat(source)
    data = source.read_bytes()
    if _stat(source) != before or len(data) != before[0]:
        raise Drift(f"{source.name} is being written by another program", hint="Run the same command again.")
    return data, before


def _parse(source: Path, data: bytes) -> Layout:
    suffix = source.suffix.lower()
    jsonl = suffix in _JSONL or (suffix not in _CSV and data.lstrip()[:1] in (b"{", b"["))
    if jsonl:
        return JsonLines(data, source.name)
    return Delimited(data, source.name, default_delimiter=_CSV.get(suffix, b","))


def _same(out: Path, source: Path) -> bool:
    return out.resolve() == source.resolve() or (out.exists() and out.samefile(source))


# ------------------------------------------------------------------------------- the result file


def _out_name(source: Path, out: Path) -> str:
    """A result file as seen from the source's folder, so that a project may be moved."""
    return os.path.relpath(out.resolve(), source.resolve().parent)


def _not_ours(out: Path) -> SourceError:
    return SourceError(f"{out.name} exists and was not written by seedbed", hint="Name another file with --out.")


def _check_out(source: Path, out: Path, known: OutFile) -> bytes | None:
    """The result file's present bytes. Raises if it is not ours, or was edited after the staging."""
    if not out.exists():
        return None
    data = out.read_bytes()
    if not known.sha and not known.pending:
        raise _not_ours(out)
    if sha256(data).hexdigest() not in (known.taken or known.sha, known.pending):
        raise Drift(
            f"{out.name} was edited while results for it were made",
            hint="Run the same command again: the edits are taken over.",
        )
    return data


def _back_up(data: bytes, backup: Path, *, like: Path) -> Path:
    if backup.exists():
        if backup.read_bytes() == data:
            return backup
        raise SourceError(f"the backup {backup.name} exists and holds something else", hint="Move it away.")
    backup.parent.mkdir(parents=True, exist_ok=True)
    copy_file(data, backup, like=like)
    return backup


def _take_edits(staging: Staging, meta: Meta, source: Path, out: Path) -> int:
    """Take into the table what a person changed in the result file since we wrote it."""
    if not out.exists():
        return 0
    name = _out_name(source, out)
    known = meta.outs.get(name)
    if known is None:
        raise _not_ours(out)
    data, _ = _read(out)
    sha = sha256(data).hexdigest()
    if sha == known.pending:
        meta.outs[name] = OutFile(sha=sha)
        staging.forget_written(name, but=sha)
        return 0
    if sha == (known.taken or known.sha):
        return 0
    if not known.sha:
        raise _not_ours(out)
    written, keys = staging.written(name, known.taken or known.sha)
    before, now = _Rows(_parse(source, written), staging, keys), _Rows(_parse(out, data), staging)
    now.match(before)
    edits, columns = before.edits(now)
    staging.add_outputs(columns)
    taken = staging.set_cells(name, edits)
    known.taken = sha
    known.leftover = known.leftover or now.leftover or before.leftover
    staging.keep_written(name, sha, [data], keys=now.keys if meta.key is None else None)
    staging.forget_written(name, but=sha)
    return taken


class _Rows:
    """All rows of a result file with their keys, for comparing two states of it."""

    def __init__(self, layout: Layout, staging: Staging, keys: list[Any] | None = None) -> None:
        meta = staging.meta
        assert meta is not None
        self.meta = meta
        self.columns = layout.columns
        self.raws: list[bytes] = []
        self.cells: list[list[Any]] = []
        self.contents: list[Any] = []
        self.present = staging.table_columns()
        self.leftover = False
        self.replaced = layout.replaced
        hashed = [layout.columns.index(name) for name in meta.hashed if name in layout.columns]
        convert = layout.converters([self.present.get(name, "TEXT") for name in layout.columns])
        for _, _, raw, cells in layout.rows():
            self.raws.append(raw)
            self.contents.append(tuple(cells[i] for i in hashed))
            for index, function in convert:
                cells[index] = function(cells[index])
            self.cells.append(cells)
        if meta.key is not None:
            if meta.key not in layout.columns:
                raise SourceError(
                    f'{layout.name} no longer has its key column "{meta.key}"',
                    hint=f"Put the column back, or move {layout.name} away.",
                )
            at = layout.columns.index(meta.key)
            keys = [cells[at] for cells in self.cells]
        self.keys: list[Any] = keys or [None] * len(self.cells)

    def match(self, before: _Rows) -> None:
        """Give rows the keys that they had: by equal bytes, by equal content, else in order where all are left."""
        if self.meta.key is not None:
            self.leftover = self.keys != before.keys and set(self.keys) != set(before.keys)
            return
        free = {index for index, key in enumerate(before.keys) if key is not None}
        for mine, theirs in ((self.raws, before.raws), (self.contents, before.contents)):
            places: defaultdict[Any, deque[int]] = defaultdict(deque)
            for index in sorted(free):
                places[theirs[index]].append(index)
            for index, value in enumerate(mine):
                if self.keys[index] is None and places.get(value):
                    found = places[value].popleft()
                    free.discard(found)
                    self.keys[index] = before.keys[found]
        lost = [index for index, key in enumerate(self.keys) if key is None]
        if len(lost) == len(free):
            for index, found in zip(lost, sorted(free), strict=True):
                self.keys[index] = before.keys[found]
        else:
            self.leftover = True

    def edits(self, now: _Rows) -> tuple[list[tuple[Any, str, Any]], dict[str, str]]:
        """Cells that differ ``now``, and columns that a person added."""
        old = {key: index for index, key in enumerate(self.keys) if key is not None}
        lower = {name.lower() for name in self.present}
        pairs = [
            (here, self.columns.index(name) if name in self.columns else None, name)
            for here, name in enumerate(now.columns)
            if name != self.meta.key and (name in self.present or name.lower() not in lower)
        ]
        edits: list[tuple[Any, str, Any]] = []
        for key, raw, cells in zip(now.keys, now.raws, now.cells, strict=True):
            found = old.get(key) if key is not None else None
            if found is None or (raw == self.raws[found] and now.columns == self.columns):
                continue
            was = self.cells[found]
            for here, there, name in pairs:
                if self.replaced(None if there is None else was[there], cells[here]):
                    edits.append((key, name, cells[here]))
        columns = dict.fromkeys(_names(edits), "")
        return edits, {name: kind for name, kind in columns.items() if name not in self.present}


def _names(edits: Iterable[tuple[Any, str, Any]]) -> Iterable[str]:
    return (name for _, name, _ in edits)
