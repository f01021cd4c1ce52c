"""Export and import: the same records elsewhere, and nothing twice."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import orjson
import pytest

from seedbed.errors import Corrupt, SourceError, StoreNewer
from seedbed.ports.receipts import ReceiptStore
from seedbed.records import Item

from .conftest import OpenStore
from .samples import Listener, ending_of, intent_of, receipt_of


@pytest.fixture
def filled(store: ReceiptStore) -> ReceiptStore:
    """Two writers: receipts, endings, and a late receipt of the second for the first."""
    listener = Listener()
    first = store.writer(listener)
    ids = [first.next_id() for _ in range(5)]
    strange = Item('["k\ud800"]', {"blob": b"\x00\xff", "text": "\ud83d", "n": 1 << 80})
    for identity in ids:
        first.intend(intent_of(identity, call=identity, items=(strange,)), ("i", identity))
    first.receive(receipt_of(ids[0], bytes(range(256)) * 9), 0)
    first.end(ending_of(ids[1], "doubt", "cut"), 1)
    listener.stored(0, 1)
    first.close()
    second = store.writer(listener)
    second.intend(intent_of(second.next_id()), 2)
    second.receive(receipt_of(ids[2], b"late", form="batch"), 3)
    second.end(ending_of(ids[3], "closed", "expired"), 4)
    listener.stored(2, 3, 4)
    second.close()
    return store


def carried(store: ReceiptStore) -> list[dict[str, Any]]:
    """The lines as they come back from a file."""
    return [orjson.loads(orjson.dumps(line)) for line in store.export()]


def test_an_import_holds_what_was_exported_and_a_second_adds_nothing(
    filled: ReceiptStore, opened: OpenStore, tmp_path: Path
) -> None:
    lines = carried(filled)
    assert len(lines) == 10
    assert all(line["v"] == 1 for line in lines)
    copy = opened(tmp_path / "elsewhere")
    assert copy.take_in(lines) == (10, 0)
    assert list(copy.purchases()) == list(filled.purchases())
    assert copy.verify() == filled.verify()
    before = {path.name: path.read_bytes() for path in (tmp_path / "elsewhere").iterdir()}
    assert copy.take_in(reversed(lines)) == (0, 10)
    assert {path.name: path.read_bytes() for path in (tmp_path / "elsewhere").iterdir()} == before
    assert carried(copy) == lines


def test_an_import_into_the_store_it_came_from_adds_nothing(filled: ReceiptStore) -> None:
    assert filled.take_in(carried(filled)) == (0, 10)


def test_an_import_completes_what_is_there(filled: ReceiptStore, opened: OpenStore, tmp_path: Path) -> None:
    lines = carried(filled)
    copy = opened(tmp_path / "elsewhere")
    assert copy.take_in(lines[:4]) == (4, 0)
    assert copy.take_in([*lines, *lines]) == (6, 14)
    assert list(copy.purchases()) == list(filled.purchases())


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("intent", {"call": "another"}),
        ("intent", {"items": []}),
        ("receipt", {"at": 5}),
        ("receipt", {"status": 201}),
    ],
)
def test_a_line_that_contradicts_a_stored_record_is_named(
    filled: ReceiptStore, kind: str, change: dict[str, Any]
) -> None:
    before = list(filled.purchases())
    for line in carried(filled):
        if line["kind"] == kind:
            with pytest.raises(Corrupt, match=line.get("id") or line["intent"]):
                filled.take_in([line | change])
    assert list(filled.purchases()) == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line.pop("v"),
        lambda line: line.update(v="1"),
        lambda line: line.pop("kind"),
        lambda line: line.update(kind="gift"),
        lambda line: line.update(kind=[]),
        lambda line: line.pop("writer"),
        lambda line: line.update(writer="../../w20261120T080000-abcdef"),
        lambda line: line.update(writer="w20261120T080000-abcdef\n"),
        lambda line: line.pop("at"),
        lambda line: line.update(at=1.5),
        lambda line: line.update(at=1 << 70),
        lambda line: line.update({"id": 7, "intent": 7}),
        lambda line: line.update({"id": "w20261120T080000-abcdef-1", "intent": "no id"}),
        lambda line: line.update({"items": [{}], "body": "%%", "ending": "unsure"}),
        lambda line: line.update({"items": 3, "body": "AAAA", "ending": 4}),
        lambda line: line.update({"request": {}, "headers": [], "reason": {"$text": 3}}),
        lambda line: line.update({"call": None, "headers": {"a": 1}, "reason": {"$what": 3}}),
    ],
)
@pytest.mark.parametrize("kind", ["intent", "receipt", "ending"])
def test_a_malformed_line_is_refused_with_its_number_and_nothing_of_its_lot_is_stored(
    filled: ReceiptStore, opened: OpenStore, tmp_path: Path, kind: str, damage: Any
) -> None:
    """(fault 31)"""
    lines = carried(filled)
    place = next(at for at, line in enumerate(lines) if line["kind"] == kind)
    bad = deepcopy(lines[place])
    damage(bad)
    copy = opened(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match=f"Line {place + 1} "):
        copy.take_in([*lines[:place], bad])
    assert list(copy.purchases()) == []


@pytest.mark.parametrize("line", [[], "text", 3, None])
def test_a_line_that_is_no_object_is_refused(store: ReceiptStore, line: Any) -> None:
    with pytest.raises(SourceError, match="Line 1 "):
        store.take_in([line])


def test_lines_of_a_newer_program_are_refused(filled: ReceiptStore) -> None:
    with pytest.raises(StoreNewer):
        filled.take_in([carried(filled)[0] | {"v": 2}])


def test_an_import_beside_a_live_writer_of_that_file_disturbs_neither(
    store: ReceiptStore, opened: OpenStore, tmp_path: Path
) -> None:
    listener = Listener()
    writer = store.writer(listener)
    for number in range(20):
        writer.intend(intent_of(writer.next_id()), number)
        listener.stored(number)
        assert store.take_in(carried(store)) == (0, number + 1)
    writer.close()
    assert store.summary().intents == 20
    assert store.verify().corrupt == ()


def test_a_file_that_was_torn_at_any_byte_gives_what_is_whole_and_can_be_taken_in_again(
    filled: ReceiptStore, opened: OpenStore, tmp_path: Path
) -> None:
    """(fault 29) (fault 30): the last three lines, at each byte."""
    lines = [json.dumps(line).encode() + b"\n" for line in carried(filled)]
    whole = b"".join(lines)
    first = len(b"".join(lines[:-3]))
    for number, end in enumerate(range(first, len(whole), 7)):
        copy = opened(tmp_path / str(number))
        kept = [line for line in whole[:end].splitlines(keepends=True) if line.endswith(b"\n")]
        assert copy.take_in(json.loads(line) for line in kept)[0] == len(kept)
        assert copy.take_in(json.loads(line) for line in lines) == (len(lines) - len(kept), len(kept))
        assert sorted(map(str, copy.export())) == sorted(map(str, filled.export()))
