"""What must hold after any kill, told from the simulator's ledger, the stores and the records."""

from __future__ import annotations

import csv
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from tests.engine.crashing import IN_FLIGHT, Nursery, act, project_for
from tests.engine.projects import Table, waiting_until

from seedbed import audit
from seedbed.ports.corpus.descriptions import BACKUP_TABLE
from seedbed.ports.receipts import Purchase
from seedbed.simulator import Simulator

CALLS = {"plain": 1, "group": 1, "ask": 3, "makes": 1, "file": 1}
"""Calls for one item of each kind of stage."""
Rows = list[tuple[object, ...]]


def new_table(root: Path, sim: Simulator, kind: str, rows: int) -> Table:
    root.mkdir(parents=True, exist_ok=True)
    table = Table(root, sim.url, rows)
    if kind == "file":
        with (root / "questions.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text", "topic", "summary"])
            writer.writerows((id, text, topic, "") for id, text, topic, _ in table.rows())
    return table


def everything(table: Table, kind: str) -> Rows:
    """All of the corpus that a stage may have written."""
    if kind == "file":
        path = table.root / "questions.filled.csv"
        return [(line,) for line in path.read_bytes().splitlines()] if path.exists() else []
    return table.rows() + table.rows("select * from notions order by id")


def undisturbed(root: Path, sim: Simulator, kind: str, rows: int) -> Rows:
    table = new_table(root, sim, kind, rows)
    assert act(table, kind, "run").error is None
    return everything(table, kind)


def purchases(table: Table, kind: str) -> list[Purchase]:
    """All purchases but those that ended without charge."""
    found = project_for(table, kind).receipts().purchases()
    return [p for p in found if p.receipt is not None or p.ending is None or p.ending.kind == "doubt"]


def received(table: Table, kind: str) -> dict[str, int]:
    """Calls with a durable receipt, by item: what must never be bought again."""
    counts: dict[str, int] = {}
    for purchase in purchases(table, kind):
        if purchase.receipt is not None:
            for item in purchase.intent.items:
                name = str(item["text"]).split()[2].rstrip("?")
                counts[name] = counts.get(name, 0) + 1
    return counts


def doubtful(table: Table, kind: str) -> int:
    return sum(purchase.receipt is None for purchase in purchases(table, kind))


def requests(sim: Simulator) -> dict[str, int]:
    return {name: item["requests"] for name, item in sim.summary()["by_item"].items()}


@dataclass
class Witness:
    """Looks at a project between its commands."""

    table: Table
    kind: str
    sim: Simulator
    nursery: Nursery

    def kill(self, verb: str, point: str, *, must: bool = True, once: bool = True) -> bool:
        """One command, killed at a point. Fails when the point is never reached, where it must be.

        ``once``: no item may be asked again that has its answers.
        """
        before, had = requests(self.sim), received(self.table, self.kind)
        code = self.nursery.act(self.table, self.kind, verb, point=point)
        assert code == -9 or (code in (0, 5) and not must), (
            f"{verb} of {self.kind} ended with {code} and never came to: {point}{self.bug()}"
        )
        waiting_until(lambda: self.sim.summary()["in_flight"] == 0)
        if once:
            self.paid_once(before, had)
        return code == -9

    def go_on(self, verb: str, limit: int | None = None, *, pages: bool = True) -> None:
        """The same command to its end."""
        before, had = requests(self.sim), received(self.table, self.kind)
        report = act(self.table, self.kind, verb, limit)
        assert getattr(report, "error", None) is None
        self.paid_once(before, had)
        self.in_order(pages=pages)

    def bug(self) -> str:
        """What the last process that was not killed said at its end."""
        paths = [self.table.root / name for name in ("bug.txt", "said.txt")]
        return "\n".join(path.read_text("utf-8") for path in paths if path.exists())

    def paid_once(self, before: dict[str, int], had: dict[str, int]) -> None:
        """No call that had a receipt before the last command was asked again in it."""
        after = requests(self.sim)
        for name, count in had.items():
            asked = after.get(name, 0) - before.get(name, 0)
            assert asked <= CALLS[self.kind] - count, f"{name}: {count} received, and {asked} asked after"

    def in_order(self, kills: int | None = None, *, pages: bool = True) -> None:
        """What holds whenever no command is under way. A run has its page when its process is gone."""
        table, kind = self.table, self.kind
        found = purchases(table, kind)
        answers, doubts = sum(p.receipt is not None for p in found), sum(p.receipt is None for p in found)
        complete = self.sim.summary()["complete"]
        assert answers <= complete <= answers + doubts, (answers, complete, doubts)
        if kills is not None:
            assert doubts <= kills * IN_FLIGHT
        self.balanced(pages=pages)

    def balanced(self, *, pages: bool = True) -> None:
        """What the project's own books must say."""
        table, kind = self.table, self.kind
        project = project_for(table, kind)
        for report in audit(project):
            assert all(equation.balanced for equation in report.equations), report.equations
        state = project.state()
        try:
            booked = sum(row.calls for row in state.spending())
            runs, releases = state.runs(limit=1000), state.releases()
        finally:
            state.close()
        assert booked == len(purchases(table, kind))
        assert not pages or [run.id for run in runs if not (run.page and (table.root / run.page).exists())] == []
        assert [release.id for release in releases if release.status == "applying"] == []

    def uploaded_once(self) -> None:
        """Each record has one backup that stands: nothing was written over what was written."""
        table = self.table
        if self.kind == "file":
            (path,) = (table.root / ".seedbed" / "staged").glob("*.sqlite")
        else:
            path = table.root / "corpus.db"
        keys = backed_up(path)
        assert keys and len(keys) == len(set(keys))


def backed_up(path: Path) -> list[tuple[str, str]]:
    db = sqlite3.connect(path)
    try:
        rows = db.execute(f"select table_name, key from {BACKUP_TABLE} where undone_at is null")
        return rows.fetchall()
    finally:
        db.close()
