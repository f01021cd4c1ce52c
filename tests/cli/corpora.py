"""A corpus of questions and the project file over it, as a person would write them, in the folder of a command."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

PROJECT = """
[project]
corpus = "sqlite:///corpus.db"
[tiers]
default = "openai/test"
[providers.openai]
base_url = "{url}"
[prices."openai/test"]
input = 1.0
output = 2.0
[stages."q.summary"]
table = "questions"
outputs = ["summary"]
prompt = "Say briefly.\\n\\n<!-- item -->\\n{{{{ text }}}}"
shape = "summary.json"
"""
SHAPE = {
    "type": "object",
    "properties": {"summary": {"type": "string"}},
    "required": ["summary"],
    "additionalProperties": False,
}


class Corpus:
    """``questions`` with ``count`` rows: id, text (What is Q7Z?), topic, note, and an empty summary."""

    def __init__(self, folder: Path, url: str, count: int, *, stage: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.file = folder / "corpus.db"
        more = "".join(f"{name} = {json.dumps(value)}\n" for name, value in (stage or {}).items())
        (folder / "seedbed.toml").write_text(PROJECT.format(url=url) + more, "utf-8")
        (folder / "summary.json").write_text(json.dumps(SHAPE), "utf-8")
        self.change("create table questions (id integer primary key, text text, topic text, note text, summary text)")
        with closing(sqlite3.connect(self.file)) as db, db:
            texts = [(n, f"What is Q{n}Z?", f"t{n % 3}", f"note {n}") for n in range(1, count + 1)]
            db.executemany("insert into questions (id, text, topic, note) values (?, ?, ?, ?)", texts)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._all(self.file, sql, values)

    def change(self, sql: str, *values: Any) -> None:
        self._all(self.file, sql, values)

    def state(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._all(self.folder / ".seedbed" / "state.sqlite", sql, values)

    def receipts(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Over all files of receipts."""
        files = sorted((self.folder / ".seedbed" / "receipts").glob("*.sqlite"))
        return [row for file in files for row in self._all(file, sql, values)]

    def summaries(self) -> dict[int, str | None]:
        return dict(self.rows("select id, summary from questions"))

    @staticmethod
    def _all(file: Path, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(file)) as db, db:
            return db.execute(sql, values).fetchall()
