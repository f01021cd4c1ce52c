"""Merging, moving and redacting of receipts, killed at each of its points and given again; and what erasure leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.crashing import SECRET, Nursery, act, project_for
from tests.engine.projects import Table
from tests.engine.proving import everything, new_table

from seedbed.engine.keeping import carrying
from seedbed.engine.keeping.redacting import Wanted, redact_kept
from seedbed.engine.looks.books import cost
from seedbed.simulator import Simulator

ROWS = 8
KEEPING: dict[str, tuple[str, ...]] = {
    "before a file of receipts takes its name": ("compact",),
    "after a file of receipts takes its name": ("compact",),
    "while files of receipts are removed": ("compact", "archive"),
    "before receipts are redacted": ("redact",),
    "before a redaction commits": ("redact",),
    "before a redacted file is packed": ("redact",),
    "after receipts are redacted": ("redact",),
    "before backups are redacted": ("redact",),
    "before an archive takes its name": ("archive",),
    "after an archive takes its name": ("archive",),
    "before what was archived is removed": ("archive",),
}
"""The commands that come by each point."""
WAYS = [(point, verb) for point, verbs in KEEPING.items() for verb in verbs]
PAIRS = [(first, second, verb) for first, verb in WAYS for second, other in WAYS if verb == other]
ASKED, ANSWERED, DECLINED = f"Who is the {SECRET}?", f"It is the {SECRET}, who lives here.", f"A {SECRET} {{"


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    found = Nursery()
    yield found
    found.close()


def bought(root: Path, sim: Simulator, kind: str = "plain") -> Table:
    """A corpus with a text of a person's in a question, a declined answer and an accepted one; two processes bought."""
    answer = {"words": [ANSWERED, "other"]} if kind == "makes" else {"summary": ANSWERED}
    sim.configure(
        faults=[
            {"fault": "malformed", "item": "Q3Z", "times": 1, "text": DECLINED},
            {"fault": "malformed", "item": "Q3Z", "times": None, "text": json.dumps(answer)},
        ]
    )
    table = new_table(root, sim, kind, ROWS)
    change(table, kind, "What is Q3Z?", ASKED)
    act(table, kind, "run", 4)
    act(table, kind, "run")
    sim.reset()
    return table


def change(table: Table, kind: str, old: str, new: str) -> None:
    """What a person does in all records of their own."""
    if kind == "file":
        for path in table.root.glob("questions*.csv"):
            path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
        return
    for column in ("text", "summary"):
        table.change(f"update questions set {column} = replace({column}, ?, ?)", old, new)
    table.change("update notions set word = replace(word, ?, ?)", old, new)


def stands(table: Table, *texts: str) -> set[str]:
    """Files of the whole folder, the corpus among them, that hold a text in their bytes."""
    return {
        str(path.relative_to(table.root))
        for path in table.root.rglob("*")
        if path.is_file() and any(text.encode() in path.read_bytes() for text in texts)
    }


def records(table: Table) -> list[str]:
    return sorted(carrying.export_lines(project_for(table, "plain")))


def proved(table: Table, sim: Simulator, verb: str, before: list[str], books: object) -> None:
    """What holds once the command was given to its end."""
    project = project_for(table, "plain")
    assert carrying.verify(project).damaged == ()
    assert cost(project) == books
    assert act(table, "plain", "run").error is None
    assert sim.summary()["requests"] == 0, "something was bought again"
    if verb == "compact":
        assert records(table) == before
        assert len(list((project.folder / "receipts").glob("*.sqlite"))) == 1
    if verb == "redact":
        assert stands(table, SECRET) == set()
        assert len(records(table)) == len(before)
        assert carrying.verify(project).counts.redacted == 2
    if verb == "archive":
        assert records(table) == []
        for path in sorted((table.root / "away").glob("*.gz")):
            carrying.import_file(project, path)
        assert records(table) == before


def story(root: Path, sim: Simulator, nursery: Nursery, begun: Path, verb: str, *points: str) -> None:
    table = Table.there(root, sim.url)
    shutil.copytree(begun, root)
    before, books = records(table), cost(project_for(table, "plain"))
    if verb == "redact":
        change(table, "plain", SECRET, "gone")
        table.change("vacuum")
    for number, point in enumerate(points):
        code = nursery.act(table, "plain", verb, point=point)
        assert code == -9 or (number and code == 0), f"{verb} never came to: {point}"
    act(table, "plain", verb)
    proved(table, sim, verb, before, books)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keeping") / "begun"


@pytest.mark.parametrize(("point", "verb"), WAYS)
def test_what_keeps_receipts_can_be_killed_and_given_again(
    tmp_path: Path, sim: Simulator, nursery: Nursery, begun: Path, point: str, verb: str
) -> None:
    if not begun.exists():
        bought(begun, sim)
    story(tmp_path / "killed", sim, nursery, begun, verb, point)


@pytest.mark.torture
def test_what_keeps_receipts_can_be_killed_twice(tmp_path: Path, sim: Simulator, nursery: Nursery, begun: Path) -> None:
    if not begun.exists():
        bought(begun, sim)
    for number, (first, second, verb) in enumerate(PAIRS):
        story(tmp_path / str(number), sim, nursery, begun, verb, first, second)


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize("kind", ["plain", "file", "makes", "group"])
def test_nothing_of_an_erased_item_is_left_in_any_byte(
    tmp_path: Path, sim: Simulator, kind: str, compacted: bool
) -> None:
    table = bought(tmp_path, sim, kind)
    project = project_for(table, kind)
    if compacted:
        carrying.compact_files(project)
    assert stands(table, SECRET), "or there is nothing to take out"
    change(table, kind, SECRET, "gone")
    if kind != "file":
        table.change("vacuum")

    done = redact_kept(project, Wanted(stage=project.pipeline.stages[0].name, key=key_of(table, kind)))

    assert (stands(table, SECRET), done.left) == (set(), ())
    assert SECRET not in repr(list(project.receipts().purchases()))
    assert act(table, kind, "run").error is None
    assert act(table, kind, "rollback") is not None
    assert sim.summary()["requests"] == 0, "never bought again by itself"
    assert "[redacted" not in repr(everything(table, kind)), "no hash in a record of the user's"


def key_of(table: Table, kind: str) -> str:
    for purchase in project_for(table, kind).receipts().purchases():
        for item in purchase.intent.items:
            if SECRET in str(item.row):
                return item.key
    raise AssertionError("no item holds it")
