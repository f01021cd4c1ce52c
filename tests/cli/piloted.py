"""A project with a gate, over forty questions in two languages."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedbed.simulator import Simulator
from tests.cli.commands import Ended

Command = Callable[..., Ended]
ITEMS, ENGLISH = 40, 8
STAGE = "q.summary"

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
[prices."openai/other"]
input = 1.0
output = 2.0
[stages."q.summary"]
table = "questions"
outputs = ["summary"]
prompt = "{prompt}: {{{{ text }}}}"
shape = {{ type = "object", properties = {{ summary = {{ type = "string" }} }}, required = ["summary"] }}
gate = "pilot"
max_output = 100
{more}
"""


@dataclass
class Piloted:
    root: Path
    sim: Simulator
    command: Command

    @classmethod
    def new(cls, root: Path, sim: Simulator, command: Command) -> Piloted:
        with closing(sqlite3.connect(root / "corpus.db")) as db, db:
            db.execute("create table questions (id integer primary key, text text, lang text, summary text)")
            for n in range(1, ITEMS + 1):
                text = f"What is Q{n}Z? " + "word " * (n % 13)
                db.execute(
                    "insert into questions values (?, ?, ?, null)",
                    (n, text, "en" if n % (ITEMS // ENGLISH) == 0 else "ro"),
                )
        found = cls(root, sim, command)
        found.write()
        return found

    def write(self, prompt: str = "Sum up", more: str = "") -> None:
        text = PROJECT.format(url=self.sim.url, prompt=prompt, more=more)
        (self.root / "seedbed.toml").write_text(text, "utf-8")

    def __call__(self, *words: object) -> Ended:
        return self.command(*words)

    def decide(self, *lines: str, stage: str = STAGE, who: str = "Ana", more: Sequence[str] = ()) -> Ended:
        (self.root / "decisions.txt").write_text("\n".join(lines) + "\n", "utf-8")
        return self("review", stage, "--as", who, "--decisions", "decisions.txt", *more)

    def state(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.root / ".seedbed" / "state.sqlite")) as db, db:
            return db.execute(sql, values).fetchall()

    def corpus(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.root / "corpus.db")) as db, db:
            return db.execute(sql, values).fetchall()

    @property
    def filled(self) -> set[int]:
        return {row[0] for row in self.corpus("select id from questions where summary is not null")}

    @property
    def asked(self) -> dict[str, int]:
        """Requests of each item, by the server's own ledger."""
        return {name: item["requests"] for name, item in self.sim.summary()["by_item"].items()}

    def drawn(self) -> list[int]:
        """The ids of the newest pilot's items."""
        items = self("review", STAGE, "--json", "--decisions", "/dev/null").json()["items"]
        return [int(item["key"].strip("[]")) for item in items]
