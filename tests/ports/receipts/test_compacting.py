"""Compacted receipts say what the files said, whatever a kill leaves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.errors import StoreNewer
from seedbed.ports.receipts import Receipt, ReceiptStore
from seedbed.ports.receipts.compact import compact, remove_writers
from seedbed.ports.receipts.schema import archives_in, files_in

from .conftest import sqlite_store
from .samples import Listener, ending_of, intent_of, receipt_of

ROOT = Path(__file__).parents[3]
Step = tuple[str, int]


def write(store: ReceiptStore, steps: list[Step], before: list[str]) -> list[str]:
    """One writer's life; ``before`` are intents of earlier ones, for which something may come late."""
    listener = Listener()
    writer = store.writer(listener)
    ids: list[str] = []
    for at, (kind, which) in enumerate(steps):
        if kind == "intent" or not (ids or before):
            ids.append(writer.next_id())
            one = intent_of(ids[-1], call=f"c{which % 3}", stage=f"s{which % 2}", text=f"text {which} " * 80)
            writer.intend(one, ("i", ids[-1]))
            continue
        known = [*before, *ids]
        identity = known[which % len(known)]
        if kind == "receipt":
            writer.receive(receipt_of(identity, f"body of {identity}".encode() * 30), ("r", identity, at))
        else:
            writer.end(ending_of(identity, "doubt" if which % 2 else "closed", at=which), ("e", identity, at))
    writer.close()
    return ids


def answers(store: ReceiptStore, ids: list[str], mark: dict[str, int]) -> Any:
    """Everything that a store can be asked."""
    return (
        list(store.purchases()),
        [named for page in store.names() for named in page],
        list(store.purchases(mark)),
        list(store.purchases(mark, stage="s1")),
        store.of_calls(["c0", "c2"]),
        [store.get(identity) for identity in ids],
        list(store.export()),
        replace(store.verify(), files=0),
        replace(store.summary(), files=0),
    )


STEPS = st.lists(st.tuples(st.sampled_from(["intent", "intent", "receipt", "ending"]), st.integers(0, 9)), max_size=8)


@settings(max_examples=25, deadline=None)
@given(lives=st.lists(STEPS, min_size=1, max_size=5), split=st.integers(0, 5), passed=st.integers(0, 4))
def test_compacted_receipts_answer_as_before(lives: list[list[Step]], split: int, passed: int) -> None:
    with TemporaryDirectory() as place:
        folder = Path(place) / "receipts"
        store, ids = sqlite_store(folder), list[str]()
        for at, steps in enumerate(lives):
            if at == split:
                compact(folder)
            ids += write(store, steps, ids)
        mark = {path.stem: passed for path in files_in(folder)}
        before = answers(store, ids, mark)
        compact(folder)
        assert answers(store, ids, mark) == before
        assert files_in(folder) == []
        assert compact(folder).merged == 0, "twice is once"
        assert answers(store, ids, mark) == before


def three(folder: Path) -> ReceiptStore:
    store = sqlite_store(folder)
    for _ in range(3):
        write(store, [("intent", 0), ("receipt", 0), ("intent", 1)], [])
    return store


@pytest.mark.parametrize("step", ["_publish", "remove"])
def test_a_kill_at_any_step_loses_nothing(folder: Path, step: str) -> None:
    store = three(folder)
    ids = [one.intent.id for one in store.purchases()]
    before = answers(store, ids, {})
    words = [sys.executable, "-m", "tests.ports.receipts.compacting", str(folder), step]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.kill()
    process.communicate(timeout=30)
    assert answers(store, ids, {}) == before
    compact(folder)
    assert answers(store, ids, {}) == before
    assert (len(files_in(folder)), len(archives_in(folder))) == (0, 1)
    assert not list(folder.glob("*.draft"))


def test_the_file_of_a_live_writer_stays(folder: Path) -> None:
    store, listener = three(folder), Listener()
    writer = store.writer(listener)
    identity = writer.next_id()
    writer.intend(intent_of(identity), 1)
    listener.stored(1)
    done = compact(folder)
    assert (done.merged, done.left) == (3, (f"{writer.name}.sqlite",))
    writer.receive(receipt_of(identity), 2)
    writer.close()
    found = store.get(identity)
    assert found is not None and found.receipt is not None
    assert compact(folder).writers == 4
    assert store.get(identity) == found


def test_a_damaged_file_stays_as_it_is(folder: Path) -> None:
    store = three(folder)
    path = files_in(folder)[1]
    path.write_bytes(path.read_bytes()[:-4096])
    assert compact(folder).left == (path.name,)
    assert store.verify().corrupt


def test_a_question_that_goes_on_while_files_are_compacted_misses_nothing(folder: Path) -> None:
    store = three(folder)
    before = list(store.purchases())
    asked = store.purchases()
    seen = [next(asked)]
    compact(folder)
    assert [*seen, *asked] == before


def test_more_of_a_compacted_writer_is_taken_in(folder: Path, tmp_path: Path) -> None:
    store = three(folder)
    lines = json.loads(json.dumps(list(store.export())))
    elsewhere = sqlite_store(tmp_path / "there")
    assert elsewhere.take_in(lines[:4]) == (4, 0)
    compact(tmp_path / "there")
    assert elsewhere.take_in(lines) == (len(lines) - 4, 4)
    assert elsewhere.take_in(lines) == (0, len(lines))
    compact(tmp_path / "there")
    assert list(elsewhere.purchases()) == list(store.purchases())
    assert list(elsewhere.export()) == list(store.export())


def test_writers_are_removed_from_files_and_compacted_files(folder: Path) -> None:
    store = three(folder)
    compact(folder)
    write(store, [("intent", 5)], [])
    writers = sorted({one.writer for one in store.purchases()})
    remove_writers(folder, {writers[0], writers[3]})
    assert sorted({one.writer for one in store.purchases()}) == writers[1:3]
    assert store.verify().corrupt == ()


def test_an_older_program_refuses_a_compacted_file(folder: Path) -> None:
    store = three(folder)
    compact(folder)
    shutil.copy(archives_in(folder)[0], folder / "w20200101T000000-abcdef.sqlite")
    with pytest.raises(StoreNewer):
        list(store.purchases())


def test_a_body_that_was_changed_in_a_compacted_file_is_named(folder: Path) -> None:
    store = three(folder)
    compact(folder)
    one = next(store.purchases())
    assert isinstance(one.receipt, Receipt)
    path = archives_in(folder)[0]
    import sqlite3

    with sqlite3.connect(path) as db:
        db.execute("update receipts set body = x'00' where rowid = (select min(rowid) from receipts)")
    db.close()
    assert store.verify().corrupt == (one.intent.id,)
