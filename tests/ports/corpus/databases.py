"""Databases for tests, made from a script. Postgres will join by another fixture of the same type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from seedbed.conditions import ALWAYS
from seedbed.ports.corpus import CellWrite, Corpus, Inserted, NewRow, Written
from seedbed.records import fingerprint, key_text
from seedbed.stage import Unique


class MakeCorpus(Protocol):
    def __call__(self, script: str, *, patience: float = 10.0) -> Corpus: ...


def fill(corpus: Corpus, table: str, rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows as any other program would."""
    marks = ", ".join("?" * len(rows[0]))
    with corpus._session.transaction():  # type: ignore[attr-defined]
        change(corpus, f"insert into {table} values ({marks})", [tuple(row) for row in rows])


def change(corpus: Corpus, sql: str, parameters: Any = ()) -> None:
    corpus._session.run(sql, parameters)  # type: ignore[attr-defined]  # what a person does behind our back


def rows(corpus: Corpus, table: str, key: Sequence[str] = ("id",)) -> list[dict[str, Any]]:
    return corpus.page(table, key, ALWAYS)


def cells(corpus: Corpus, table: str, column: str) -> list[Any]:
    return [row[column] for row in rows(corpus, table)]


def marked(row: Mapping[str, Any]) -> str:
    """A fingerprint over the one input of the tests' tables."""
    return fingerprint({"title": row["title"]}, {"title": "text"})


def write(key: Any, title: str | None, before: Mapping[str, Any], after: Mapping[str, Any]) -> CellWrite:
    values = key if isinstance(key, tuple) else (key,)
    return CellWrite(key_text(values), marked({"title": title}), before, after)


def fates(done: Sequence[Written] | Sequence[Inserted]) -> list[str]:
    return [one.fate for one in done]


def made(
    id: str, values: Mapping[str, Any], *unique: str, table: str = "facts", parent: str = '["p1"]', ordinal: int = 0
) -> NewRow:
    return NewRow(id, table, values, (Unique(unique),) if unique else (), parent, ordinal)


def url(path: Path) -> str:
    return f"sqlite:///{path}"
