"""A project on disk that was run once, with some answers that no stage accepts; to be looked at."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import seedbed
from seedbed.cli import run as command
from seedbed.simulator import Settings, Simulator

ITEMS = 40
REJECTED = ("Q3Z", "Q11Z")
REFUSED = "Q5Z"
ATTEMPTS = 2
FAULTS = (
    *({"fault": "malformed", "item": item, "match": "Summarise", "times": None, "text": "No."} for item in REJECTED),
    {"fault": "refusal", "item": REFUSED, "match": "Summarise", "times": None},
)
EVIL = "Q7Z [bold red]no[/] \x1b[31mred\x1b[0m \u202egnp"
PROJECT = """
[project]
name = "looked"
corpus = "sqlite:///corpus.db"
[tiers]
default = "openai/test"
[budget]
project = "5usd"
[providers.openai]
base_url = "{url}"
[prices."openai/test"]
input = 1.0
output = 2.0
[stages."q.summary"]
table = "questions"
outputs = ["summary"]
prompt = "Summarise what is asked.\\n\\n<!-- item -->\\n{{{{ text }}}}"
shape = {{ type = "object", properties = {{ summary = {{ type = "string" }} }}, required = ["summary"] }}
attempts = {attempts}
[stages."q.topic"]
table = "questions"
outputs = ["topic"]
prompt = "Name the topic.\\n\\n<!-- item -->\\n{{{{ text }}}}"
shape = {{ type = "object", properties = {{ topic = {{ type = "string" }} }}, required = ["topic"] }}
per_call = 4
"""


@dataclass
class Looked:
    root: Path
    model: Simulator

    def see(self, capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
        """What a command prints."""
        capsys.readouterr()
        ended = command([*words, "-C", str(self.root)])
        shown = capsys.readouterr()
        assert ended == code, (ended, shown)
        return shown.out

    def document(self, capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.see(capsys, *words, "--json", code=code))
        return found

    def state(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return _rows(self.root / ".seedbed" / "state.sqlite", sql, values)

    def corpus(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return _rows(self.root / "corpus.db", sql, values)

    def corpus_hash(self) -> str:
        return hashlib.sha256((self.root / "corpus.db").read_bytes()).hexdigest()


def _rows(path: Path, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql, values).fetchall()


def new_project(root: Path, model: Simulator) -> Looked:
    with closing(sqlite3.connect(root / "corpus.db")) as db, db:
        db.execute("create table questions (id integer primary key, text text, summary text, topic text)")
        texts = [(n, EVIL if n == 7 else f"What is Q{n}Z?") for n in range(1, ITEMS + 1)]
        db.executemany("insert into questions (id, text) values (?, ?)", texts)
    (root / "seedbed.toml").write_text(PROJECT.format(url=model.url, attempts=ATTEMPTS), "utf-8")
    return Looked(root, model)


def run_once(looked: Looked) -> None:
    looked.model.configure(Settings(items_regex=r"(Q\d+Z)").changed({"faults": list(FAULTS)}))
    looked.model.reset()
    seedbed.run(seedbed.open_project(looked.root, command="seedbed run"))
