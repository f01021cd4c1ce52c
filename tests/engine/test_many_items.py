"""What keeps a look at very many items short, and that it finds what a long look finds."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from seedbed import Project, Stage, conditions, fills
from seedbed.engine.lifecycle import audit, export, generate
from seedbed.engine.work.reader import UserCodeError
from seedbed.engine.work.rounds import OpenRound, missing_of_round, passed, worklist_path
from seedbed.engine.work.worklist import Worklist
from seedbed.ports.corpus.expressions import _BLANKS
from seedbed.ports.state import RoundRow, State
from seedbed.records import Item

from .projects import Table

ITEMS = 2_500


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path, "http://127.0.0.1:9", rows=ITEMS)


def summing(project_of: Table, broken: Iterable[int] = ()) -> Project:
    """A stage without a model; its function fails for the ``broken`` ids."""
    refused = set(broken)

    def compute(item: Item) -> dict[str, Any]:
        if item.row["id"] in refused:
            raise ValueError("no")
        return {"summary": item.row["text"]}

    return project_of.project(Stage("q.summary", fills("questions", ["summary"]), compute=compute))


def round_of(project: Project) -> RoundRow:
    with closing(project.state()) as state:
        return state.rounds(stage="q.summary")[-1]


def forget(table: Table, *ids: int) -> None:
    """Take outcomes away, as no command of seedbed does."""
    with closing(sqlite3.connect(table.root / ".seedbed" / "state.sqlite")) as db, db:
        db.executemany("delete from outcomes where item = ?", [(f"[{n}]",) for n in ids])


def test_how_far_a_round_is_settled_is_remembered(table: Table) -> None:
    assert isinstance(generate(summing(table, broken=[2_300])).error, UserCodeError)
    row = round_of(summing(table))
    assert (row.status, row.passed, row.passed_key) == ("open", 2_000, "[2000]")


def test_a_round_that_goes_on_does_not_look_at_what_it_has_passed(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(generate(summing(table, broken=[2_300])).error, UserCodeError)
    looked_from: list[int] = []
    pages = Worklist.pages

    def noted(self: Worklist, *, after: int = 0, size: int = 1000) -> Any:
        looked_from.append(after)
        return pages(self, after=after, size=size)

    monkeypatch.setattr(Worklist, "pages", noted)
    report = generate(summing(table))
    assert (min(looked_from), report.settled) == (2_000, 500)
    assert round_of(summing(table)).status == "closed"


def test_a_mark_that_belongs_to_another_worklist_counts_for_nothing(table: Table) -> None:
    assert isinstance(generate(summing(table, broken=[2_300])).error, UserCodeError)
    forget(table, 7)
    project = summing(table)
    row = round_of(project)
    with closing(project.state()) as state:
        state.pass_round(row.id, row.passed, "[1999]")
    assert generate(project).settled == 501


def test_a_round_without_a_mark_is_read_from_the_start(table: Table) -> None:
    export(summing(table))
    project = summing(table)
    row = round_of(project)
    with closing(project.state()) as state, closing(Worklist(worklist_path(project.worklists, row.id))) as worklist:
        assert passed(state, OpenRound(row, worklist)) == 0
    assert round_of(project).passed == 0


def missing(state: State, project: Project) -> list[str]:
    row = state.rounds(stage="q.summary")[-1]
    with closing(Worklist(worklist_path(project.worklists, row.id))) as worklist:
        return missing_of_round(state, OpenRound(row, worklist))


@pytest.mark.parametrize("gone", [[], [1], [ITEMS], [9, 10, 11, 99, 100, 101, 1_000], range(1, ITEMS + 1)])
def test_what_is_missing_in_a_round_is_found_one_by_one(table: Table, gone: Iterable[int]) -> None:
    project = summing(table)
    generate(project)
    forget(table, *gone)
    with closing(project.state()) as state:
        assert sorted(missing(state, project)) == sorted(f"[{n}]" for n in gone)


@pytest.mark.parametrize("gone", [[1], [501, 502], [ITEMS], [9, 10, 700, 701, 1_000], range(600, 2_400)])
def test_few_missing_items_among_many_settled_ones_come_in_their_order(table: Table, gone: Iterable[int]) -> None:
    project = summing(table)
    generate(project)
    forget(table, *gone)
    report = audit(project, "q.summary")[0]
    assert report.missing == len(list(gone))
    assert generate(summing(table)).settled == len(list(gone))
    exported = round_of(project)
    with closing(Worklist(worklist_path(project.worklists, exported.id))) as worklist:
        found = [item for page in worklist.pages() for _, _, item in page]
    assert [item.key for item in found] == [f"[{n}]" for n in gone]
    assert all(item.row["text"] and item.fingerprint and item.before == {"summary": None} for item in found)


def test_keys_are_those_of_the_rows(table: Table) -> None:
    with closing(summing(table).corpus()) as corpus:
        where = conditions.parse("topic = 't1'")
        rows = corpus.page("questions", ["id"], where, after=[30], limit=20)
        assert corpus.keys("questions", ["id"], where, after=[30], limit=20) == [(row["id"],) for row in rows]


def test_all_blanks_are_known() -> None:
    assert {chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()} == set(_BLANKS)
