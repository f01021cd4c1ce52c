"""What is remembered outside of the state and the receipts: backups beside the user's tables, a staged file's cells."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from seedbed.engine.projects.project import Project
from seedbed.errors import SourceError
from seedbed.records import key_values

CleanCells = Callable[[str, str, Mapping[str, Any]], Mapping[str, Any]]
CleanCell = Callable[[Any], Any]


def forget_backups(project: Project, clean: CleanCells) -> None:
    """Put what backups remember through ``clean``: cells by their release and the key of their outcome.

    What changes has no way back any more. A corpus that is gone remembers nothing.
    """
    try:
        corpus = project.corpus()
    except SourceError:
        return
    with closing(corpus):
        corpus.forget(clean)


def forget_staged(project: Project, key: str, clean: CleanCell) -> None:
    """A file's database: its own columns as the file has them now, what was written into it put through ``clean``.

    ``key`` is that of one row; blank for all of them.
    """
    if project.source is None:
        return
    try:
        staged = project.source.stage(project.folder)
    except SourceError:
        return
    with closing(sqlite3.connect(staged.database, isolation_level=None, timeout=30.0)) as db:
        db.execute("pragma secure_delete = on")
        db.create_function("cleaned", 1, clean, deterministic=True)
        whose, values = ("1", ()) if not key else _row(staged.key, key)
        for name in _written_columns(db, staged.table, {*staged.columns, *staged.key}):
            where = f'{whose} and "{name}" is not cleaned("{name}")'
            db.execute(f'update "{staged.table}" set "{name}" = cleaned("{name}") where {where}', values)  # noqa: S608
        db.execute("vacuum")
        db.execute("pragma wal_checkpoint(truncate)").fetchall()


def _row(columns: tuple[str, ...], key: str) -> tuple[str, tuple[Any, ...]]:
    return " and ".join(f'"{name}" is ?' for name in columns), key_values(key)


def _written_columns(db: sqlite3.Connection, table: str, of_file: set[str]) -> list[str]:
    """Columns that uploads wrote: outputs beside the file's own."""
    facts = db.execute(f'pragma table_info("{table}")').fetchall()
    return [fact[1] for fact in facts if not fact[5] and fact[1] not in of_file and '"' not in fact[1]]
