"""A table of questions in a fresh corpus, and projects over it."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seedbed import Pipeline, Project, Stage, project_of

SHAPE = {"summary": str}


def waiting_until(condition: Callable[[], bool], patience: float = 30.0) -> None:
    """Wait for a condition; fails when it does not come about."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("what the test waits for did not happen")
        threading.Event().wait(0.005)


class Table:
    """A table of questions in a fresh corpus, and projects over it."""

    root: Path
    url: str

    def __init__(self, root: Path, url: str, rows: int = 20) -> None:
        self.root = root
        self.url = url
        self.change("create table questions (id integer primary key, text text, topic text, summary text)")
        self.change("create table notions (id text primary key, word text, question integer)")
        self.add(range(1, rows + 1))

    @classmethod
    def there(cls, root: Path, url: str) -> Table:
        """The table that another process made."""
        table = cls.__new__(cls)
        table.root, table.url = root, url
        return table

    def add(self, numbers: range) -> None:
        db = self.connect()
        with db:
            db.executemany(
                "insert into questions (id, text, topic) values (?, ?, ?)",
                [(n, f"What is Q{n}Z?", f"t{n % 3}") for n in numbers],
            )
        db.close()

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.root / "corpus.db")

    def rows(self, sql: str = "select * from questions order by id") -> list[tuple[Any, ...]]:
        db = self.connect()
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    def change(self, sql: str, *values: Any) -> None:
        db = self.connect()
        with db:
            db.execute(sql, values)
        db.close()

    def project(self, *stages: Stage, **settings: Any) -> Project:
        overrides: dict[str, Any] = {
            "project.corpus": "sqlite:///corpus.db",
            "tiers.default": "openai/test",
            "tiers.mid": "openai/test-mid",
            "tiers.high": "openai/test-high",
            "providers.openai": {"base_url": self.url},
            "prices.openai/test": {"input": 1.0, "output": 2.0},
            "prices.openai/test-mid": {"input": 1.0, "output": 2.0},
            "prices.openai/test-high": {"input": 1.0, "output": 2.0},
        }
        overrides.update({name.replace("__", "."): value for name, value in settings.items()})
        return project_of(self.root, Pipeline("test", stages), overrides=overrides)
