"""Files as corpus: CSV, JSON Lines and Parquet are staged into SQLite, and results are spliced into a copy.

:func:`stage` brings a file into a table that the SQLite corpus opens like any other;
:func:`write_out` writes the file again with the cells that the table has changed. Every byte
outside these cells is equal to the source's; of Parquet every value, the schema and the metadata.
What a person changed in the file, or in the result file, is taken over cell by cell at the next
:func:`stage` and never overwritten.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from seedbed.crashing import point
from seedbed.errors import Drift, SourceError, UsageError, nearest
from seedbed.ports.corpus.durable import NewFile, copy_file
from seedbed.ports.corpus.reading import Content, is_delimited, is_file_corpus, is_parquet, read, stat
from seedbed.ports.corpus.results import ResultFile
from seedbed.ports.corpus.staging import Change, Meta, Staging, opened
from seedbed.records import LogicalType

_DECLARED: Mapping[LogicalType, str] = {
    "text": "TEXT", "int": "INTEGER", "number": "REAL", "bool": "BOOLEAN",
    "date": "TEXT", "datetime": "TEXT", "json": "JSON",
}  # fmt: skip
_SETTLED_NS = 2_000_000_000
"""A file younger than this when it was read is read again: its clock may be too coarse to show a change."""


@dataclass(frozen=True)
class Staged:
    """A file in its database. ``key`` is the primary key of ``table``; ``columns`` are the file's own, in order.

    ``wrong_rows`` are no rows of the table and are left as they are; ``wrong`` are the first of them, with the
    number of the line and the reason.
    """

    database: Path
    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    rows: int
    new_rows: int
    gone_rows: int
    changed_cells: int
    wrong_rows: int = 0
    wrong: tuple[tuple[int, str], ...] = ()


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
    if out is not None:
        _check_kind(source, out)
    with opened(database, source.name) as staging:
        meta = staging.meta
        _check_same(meta, source, database, key)
        change: Change | None = None
        if meta is None or not _unchanged(meta, stat(source)):
            with read(source) as content:
                change = _staged(staging, content, table_name(source), key, wanted)
        meta = staging.meta
        assert meta is not None
        staging.add_outputs(wanted)
        edited = 0
        if out is not None and not _same(out, source):
            edited = ResultFile(staging, meta, source, out).take_edits()
        staging.save()
        point("before a file is staged")
        if change is None:
            change = Change(rows=staging.count())
        wrong_rows, wrong = staging.wrong_rows()
        return Staged(
            wrong_rows=wrong_rows, wrong=tuple(wrong),
            database=database, table=meta.table, key=(meta.key_column,), columns=tuple(meta.columns),
            rows=change.rows, new_rows=change.new, gone_rows=change.gone, changed_cells=change.cells + edited,
        )  # fmt: skip


def _staged(staging: Staging, content: Content, table: str, key: str | None, wanted: dict[str, str]) -> Change | None:
    """Bring what a file holds into its table, where that is not done; what changed, if anything could have."""
    meta, change = staging.meta, None
    if meta is None:
        layout = content.layout()
        layout.require_writable()
        if key is not None and key not in layout.columns:
            raise SourceError(f'{content.path.name} has no column "{key}"', hint=nearest(key, layout.columns))
        change = staging.first(layout, table, key, wanted, content.sha)
    elif content.sha == meta.in_place:
        staging.after_in_place(content.layout(), content.sha)
    elif content.sha != meta.sha:
        layout = content.layout()
        layout.require_writable()
        change = staging.again(layout, wanted, content.sha)
    content.require_unchanged()
    assert staging.meta is not None
    staging.meta.stat = [*content.stat, time.time_ns()]
    return change


def write_out(
    database: Path, source: Path, out: Path, *, in_place_backup: Path | None = None, spreadsheet_safe: bool = False
) -> WrittenFile:
    """Write ``source`` with the table's cells to ``out``, which appears whole or not at all.

    ``out`` may be the source where a place for its backup is given. With ``spreadsheet_safe`` the cells that are
    written into a CSV are made inert: see :mod:`seedbed.ports.corpus.spreadsheets`. Raises Drift where source or
    result were changed since :func:`stage`.
    """
    if spreadsheet_safe and not is_delimited(source):
        raise UsageError("--spreadsheet-safe is for CSV results", hint=f"{source.name} is no CSV: leave it out.")
    source = _existing(source)
    _check_kind(source, out)
    in_place = _same(out, source)
    if in_place and in_place_backup is None:
        raise UsageError(f"{source.name} would be overwritten without a backup", hint="Name another file with --out.")
    if not database.exists():
        raise SourceError(f"{database} does not exist, so {source.name} was never staged")
    with opened(database, source.name) as staging, ExitStack() as files:
        meta = staging.meta
        if meta is None:
            raise SourceError(f"{source.name} was never staged into {database.name}")
        content = files.enter_context(read(source))
        if content.sha != meta.sha:
            raise Drift(
                f"{source.name} was changed while results for it were made",
                hint="Run the same command again: what was changed is taken over, and nothing is paid twice.",
            )
        result = ResultFile(staging, meta, source, out)
        replaced = None if in_place else result.check()
        if replaced is not None:
            files.enter_context(replaced)
        layout = content.layout(meta.columns, spreadsheet_safe=spreadsheet_safe)
        added = staging.added_columns()
        for each in staging.held_by(layout.untyped):
            layout.give_type(each)
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
                backup = _back_up(content, in_place_backup, like=source)
                meta.in_place = new.sha
                staging.commit()
                content.require_unchanged()
                new.place()
                with read(source) as now:
                    staging.after_in_place(now.layout(), new.sha)
                    meta.stat = [*now.stat, time.time_ns()]
            elif not in_place:
                if result.known.leftover and replaced is not None:
                    aside = out.with_name(f"{out.name}.edited-{result.known.taken[:8]}")
                    backup = _back_up(replaced, aside, like=out)
                result.announce(new.sha, new.chunks(), spreadsheet_safe=spreadsheet_safe)
                new.place()
                result.placed(new.sha)
                edits = result.edits_kept()
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


def _check_kind(source: Path, out: Path) -> None:
    if is_parquet(source) != is_parquet(out):
        raise UsageError(
            f"The result of {source.name} has the format of its source, which {out.name} does not say",
            hint=f"Name it {out.with_suffix(source.suffix).name}.",
        )


def _unchanged(meta: Meta, stat: list[int]) -> bool:
    """Whether the file cannot have changed since it was read: same size, times and place, and not just written."""
    return meta.stat[:4] == stat and meta.stat[4] - max(stat[1], stat[2]) > _SETTLED_NS


def _same(out: Path, source: Path) -> bool:
    return out.resolve() == source.resolve() or (out.exists() and out.samefile(source))


def _back_up(content: Content, backup: Path, *, like: Path) -> Path:
    if backup.exists():
        with read(backup) as there:
            if there.sha == content.sha:
                return backup
        raise SourceError(f"the backup {backup.name} exists and holds something else", hint="Move it away.")
    backup.parent.mkdir(parents=True, exist_ok=True)
    copy_file(content.pieces(), backup, like=like)
    return backup
