"""What every receipts store does."""

from __future__ import annotations

import math
import string
import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seedbed.errors import Corrupt, UsageError
from seedbed.ports.receipts import EndKind, Intent, Purchase, Receipt, ReceiptStore, ReceiptWriter, Summary, Verified
from seedbed.records import Item, Message, Request

from .conftest import OpenStore
from .samples import CONTEXT, STABLE, Listener, ending_of, intent_of, receipt_of


def bought(writer: ReceiptWriter, listener: Listener, count: int, *, stage: str = "q.summary") -> list[str]:
    """Intents with receipts, stored when this returns."""
    ids = [writer.next_id() for _ in range(count)]
    for identity in ids:
        writer.intend(intent_of(identity, call=f"call of {identity}", stage=stage), ("intent", identity))
        writer.receive(receipt_of(identity, identity.encode() * 20), ("receipt", identity))
    listener.stored(*(("receipt", identity) for identity in ids))
    return ids


def test_an_intent_and_its_receipt_come_back_as_they_were(store: ReceiptStore) -> None:
    listener = Listener()
    writer = store.writer(listener)
    intent = intent_of(writer.next_id())
    receipt = receipt_of(intent.id)
    writer.intend(intent, 1)
    writer.receive(receipt, 2)
    listener.stored(1, 2)
    assert list(store.purchases()) == [Purchase(intent, 1, writer.name, receipt)]
    writer.close()
    assert list(store.purchases()) == [Purchase(intent, 1, writer.name, receipt)]


def test_ids_are_the_writer_and_a_number_and_never_repeat_over_threads(store: ReceiptStore) -> None:
    writer = store.writer(Listener())
    ids: list[str] = []
    threads = [threading.Thread(target=lambda: ids.extend(writer.next_id() for _ in range(500))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert set(ids) == {f"{writer.name}-{number}" for number in range(1, 2001)}


def test_an_intent_without_receipt_or_ending_has_neither(store: ReceiptStore) -> None:
    listener = Listener()
    writer = store.writer(listener)
    writer.intend(intent_of(writer.next_id()), 1)
    listener.stored(1)
    (one,) = store.purchases()
    assert (one.receipt, one.ending, one.corrupt) == (None, None, False)
    writer.close()


def test_a_receipt_after_an_ending_wins_and_both_are_kept(store: ReceiptStore) -> None:
    listener = Listener()
    writer = store.writer(listener)
    identity = writer.next_id()
    writer.intend(intent_of(identity), 1)
    writer.end(ending_of(identity, "doubt", "timeout"))
    writer.receive(receipt_of(identity), 2)
    listener.stored(2)
    (one,) = store.purchases()
    assert one.receipt == receipt_of(identity)
    assert one.ending == ending_of(identity, "doubt", "timeout")
    writer.close()
    assert store.summary() == Summary(files=1, intents=1, receipts=1)


def test_the_last_of_several_endings_counts(store: ReceiptStore) -> None:
    listener = Listener()
    writer = store.writer(listener)
    identity = writer.next_id()
    writer.intend(intent_of(identity), 1)
    writer.end(ending_of(identity, "doubt", "timeout", at=9))
    writer.end(ending_of(identity, "closed", "the provider says it never came", at=8), 2)
    listener.stored(2)
    found = store.get(identity)
    assert found is not None
    assert found.ending is not None
    assert found.ending.kind == "closed"
    writer.close()


def test_a_second_receipt_of_an_intent_is_refused_and_the_first_stays(store: ReceiptStore) -> None:
    listener = Listener()
    writer = store.writer(listener)
    identity, other = writer.next_id(), writer.next_id()
    writer.intend(intent_of(identity), 1)
    writer.receive(receipt_of(identity), 2)
    writer.receive(receipt_of(identity, b"another answer"), 3)
    writer.intend(intent_of(other), 4)
    first, second, third, fourth = listener.wait(1, 2, 3, 4)
    assert (first, second, fourth) == (None, None, None)
    assert isinstance(third, Corrupt)
    assert identity.rpartition("-")[2] in str(third)
    writer.receive(receipt_of(identity), 5)
    assert listener.wait(5) == [None], "the same receipt again is no conflict"
    writer.close()
    assert [one.receipt for one in store.purchases()] == [receipt_of(identity), None]
    assert store.verify() == Verified(1, 2, 1, 0, 0, 1, len(receipt_of(identity).body))


def test_a_record_that_cannot_be_stored_takes_no_other_with_it(store: ReceiptStore) -> None:
    listener = Listener()
    writer = store.writer(listener)
    good, strange, huge = writer.next_id(), writer.next_id(), writer.next_id()
    writer.intend(intent_of(strange, items=(Item("[1]", {"thing": object()}),)), "strange")
    writer.intend(replace(intent_of(huge), reserved=1 << 70), "huge")
    writer.intend(intent_of("w20261120T080000-aaaaaa-1"), "of another writer")
    writer.intend(intent_of(good), "good")
    errors = listener.wait("strange", "huge", "of another writer", "good")
    assert [error is None for error in errors] == [False, False, False, True]
    assert isinstance(errors[0], UsageError)
    assert "object" in str(errors[0])
    writer.close()
    assert [one.intent for one in store.purchases()] == [intent_of(good)]
    assert not store.verify().corrupt


def test_purchases_come_in_the_order_of_writer_and_number_beyond_the_mark(opened: OpenStore, folder: Path) -> None:
    store, listener = opened(folder), Listener()
    ids: dict[str, list[str]] = {}
    for _ in range(3):
        writer = store.writer(listener)
        ids[writer.name] = bought(writer, listener, 4)
        writer.close()
    in_order = [identity for name in sorted(ids) for identity in ids[name]]
    assert [one.intent.id for one in store.purchases()] == in_order
    first, second, third = sorted(ids)
    rest = [one.intent.id for one in store.purchases({first: 4, second: 2})]
    assert rest == [*ids[second][2:], *ids[third]]


def test_purchases_of_a_stage_are_those_alone(store: ReceiptStore) -> None:
    listener = Listener()
    writer = store.writer(listener)
    mine = bought(writer, listener, 3, stage="q.topic")
    bought(writer, listener, 3)
    more = bought(writer, listener, 1, stage="q.topic")
    assert [one.intent.id for one in store.purchases(stage="q.topic")] == [*mine, *more]
    assert [one.intent.id for one in store.purchases({writer.name: 2}, stage="q.topic")] == [mine[2], *more]
    assert list(store.purchases(stage="no such stage")) == []
    named = {intent: (stage, name) for page in store.names() for intent, stage, name in page}
    assert {intent for intent, (stage, _) in named.items() if stage == "q.topic"} == {*mine, *more}
    assert named == {one.intent.id: (one.intent.stage, one.intent.name) for one in store.purchases()}
    writer.close()


def test_more_purchases_than_a_page_are_all_found_once(store: ReceiptStore) -> None:
    listener = Listener()
    writer = store.writer(listener)
    ids = bought(writer, listener, 1203)
    assert [one.intent.id for one in store.purchases()] == ids
    assert [intent for page in store.names() for intent, _, _ in page] == ids
    found = store.of_calls([f"call of {identity}" for identity in reversed(ids)])
    assert [one.intent.id for one in found] == ids
    writer.close()


def test_a_reader_may_take_its_time_while_the_writer_goes_on(store: ReceiptStore) -> None:
    listener = Listener()
    writer = store.writer(listener)
    ids = bought(writer, listener, 600)
    reader = store.purchases()
    seen = [next(reader).intent.id]
    ids += bought(writer, listener, 600)
    seen += [one.intent.id for one in reader]
    assert seen == ids
    writer.close()


def test_a_call_has_all_its_intents_over_all_files(store: ReceiptStore) -> None:
    listener = Listener()
    expected = []
    for _ in range(2):
        writer = store.writer(listener)
        for call in ("one", "two", "one"):
            intent = intent_of(writer.next_id(), call=call)
            writer.intend(intent, intent.id)
            listener.stored(intent.id)
            if call == "one":
                expected.append(intent.id)
        writer.close()
    assert sorted(one.intent.id for one in store.of_calls(["one", "none", "one"])) == sorted(expected)
    assert store.of_calls([]) == []


@pytest.mark.parametrize(
    "name", ["", "x", "../../etc/passwd-1", "w20261120T080000-aaaaaa", "w20261120T080000-aaaaaa-0"]
)
def test_what_is_no_id_is_not_found(store: ReceiptStore, name: str) -> None:
    bought_one = store.writer(Listener())
    bought_one.close()
    assert store.get(name) is None


def test_one_intent_is_found_by_its_id(store: ReceiptStore) -> None:
    listener = Listener()
    writer = store.writer(listener)
    ids = bought(writer, listener, 3)
    found = store.get(ids[1])
    assert found is not None
    assert (found.intent.id, found.number) == (ids[1], 2)
    assert store.get(f"{writer.name}-99") is None
    writer.close()


def test_a_later_process_receives_what_an_earlier_one_submitted(opened: OpenStore, folder: Path) -> None:
    listener = Listener()
    first = opened(folder).writer(listener)
    ids = [first.next_id() for _ in range(3)]
    for identity in ids:
        first.intend(replace(intent_of(identity, call=identity), lane="batch", batch="batch_1"), identity)
    listener.stored(*ids)
    first.close()
    store = opened(folder)
    second = store.writer(listener)
    second.receive(receipt_of(ids[0], form="batch"), "late receipt")
    second.end(ending_of(ids[1], "closed", "expired"), "late ending")
    second.end(ending_of(ids[0], "doubt", "asked twice"), "and an ending")
    listener.stored("late receipt", "late ending", "and an ending")
    for _ in range(2):
        one, two, three = store.purchases()
        assert one.receipt == receipt_of(ids[0], form="batch")
        assert two.ending == ending_of(ids[1], "closed", "expired")
        assert (three.receipt, three.ending) == (None, None)
        assert store.get(ids[0]) == one
        assert store.of_calls([ids[1]]) == [two]
        assert store.summary() == Summary(2, 3, 1, 1, 0, 1)
        second.close()
    assert store.verify() == Verified(2, 3, 1, 1, 0, 1, len(receipt_of("").body))


def test_of_two_late_receipts_the_first_writers_counts(opened: OpenStore, folder: Path) -> None:
    listener = Listener()
    store = opened(folder)
    first = store.writer(listener)
    identity = first.next_id()
    first.intend(intent_of(identity), 0)
    listener.stored(0)
    first.close()
    late = []
    for body in (b"one", b"two"):
        writer = store.writer(listener)
        writer.receive(receipt_of(identity, body), body)
        listener.stored(body)
        writer.close()
        late.append((writer.name, body))
    (found,) = store.purchases()
    assert found.receipt is not None
    assert found.receipt.body == min(late)[1]


def test_stable_text_and_large_context_are_stored_once(store: ReceiptStore) -> None:
    listener = Listener()
    writer = store.writer(listener)
    bulk = "".join(chr(33 + (n * n * 7919) % 90) for n in range(60_000))
    for number in range(200):
        items = (Item(f"[{number}]", {"id": number}, context={"known": bulk, "titles": CONTEXT}),)
        writer.intend(intent_of(writer.next_id(), items=items), number)
    listener.stored(*range(200))
    writer.close()
    assert store.size_bytes() < 400_000
    assert all(one.intent.items[0].context == {"known": bulk, "titles": CONTEXT} for one in store.purchases())
    assert all(one.intent.request.messages[0] == Message("system", STABLE, stable=True) for one in store.purchases())


def test_counts_are_the_same_counted_and_kept(store: ReceiptStore) -> None:
    listener = Listener()
    writer = store.writer(listener)
    bought(writer, listener, 5)
    kinds_of_end: list[EndKind | None] = ["closed", "closed", "doubt", None]
    for kind in kinds_of_end:
        identity = writer.next_id()
        writer.intend(intent_of(identity), identity)
        if kind:
            writer.end(ending_of(identity, kind))
    writer.close()
    assert store.summary() == Summary(1, 9, 5, 2, 1, 1)
    verified = store.verify()
    assert (verified.files, verified.intents, verified.receipts) == (1, 9, 5)
    assert (verified.closed, verified.doubtful, verified.open, verified.corrupt) == (2, 1, 1, ())


def test_an_empty_project_has_no_receipts(store: ReceiptStore) -> None:
    assert list(store.purchases()) == []
    assert list(store.export()) == []
    assert (store.verify(), store.summary(), store.size_bytes()) == (Verified(), Summary(), 0)


# --------------------------------------------------------------------------------------- round trip

broken_text = st.text(st.characters(codec=None, categories=None), max_size=40)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | broken_text | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(broken_text | st.just("$bytes"), inner, max_size=3),
    max_leaves=8,
)
mappings = st.dictionaries(broken_text, values, max_size=4)
int64 = st.integers(-(1 << 63), (1 << 63) - 1)
items = st.builds(Item, broken_text, mappings, broken_text, mappings, mappings | st.just({"long": "é\ud800" * 200}))
requests = st.builds(
    Request,
    role=broken_text,
    messages=st.lists(
        st.builds(Message, st.sampled_from(["system", "user", "assistant"]), broken_text, st.booleans()), max_size=3
    ).map(tuple),
    shape=st.none() | mappings,
    parameters=mappings,
    model=st.none() | broken_text,
)
intents = st.builds(
    Intent,
    id=st.just(""), call=broken_text, stage=broken_text, round=broken_text, name=broken_text, attempt=int64,
    items=st.lists(items, max_size=3).map(tuple), recipe=broken_text, request=requests, request_digest=broken_text,
    model=broken_text, account=broken_text, reserved=st.none() | int64, run=broken_text, at=int64, lane=broken_text,
    batch=broken_text,
)  # fmt: skip
receipts = st.builds(
    lambda body, status, headers, form, at: replace(
        receipt_of("", body, form=form, at=at), status=status, headers=headers
    ),
    st.binary() | st.binary(max_size=30).map(lambda some: some * 40),
    int64,
    st.dictionaries(broken_text, broken_text, max_size=3),
    st.sampled_from(["json", "sse", "stdout", "batch"]),
    int64,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(intents, receipts, broken_text), min_size=1, max_size=4))
def test_any_record_round_trips_exactly(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[Intent, Receipt, str]]
) -> None:
    from .conftest import sqlite_store

    folder = tmp_path_factory.mktemp("receipts")
    store, listener = sqlite_store(folder), Listener()
    writer = store.writer(listener)
    expected: list[Purchase] = []
    for intent, receipt, reason in records:
        identity = writer.next_id()
        ending = ending_of(identity, "doubt", reason)
        one = Purchase(
            replace(intent, id=identity), len(expected) + 1, writer.name, replace(receipt, intent=identity), ending
        )
        expected.append(one)
        assert one.receipt is not None
        writer.intend(one.intent, (identity, 1))
        writer.receive(one.receipt, (identity, 2))
        writer.end(ending, (identity, 3))
    listener.stored(*((one.intent.id, part) for one in expected for part in (1, 2, 3)))
    writer.close()
    found = list(store.purchases())
    assert found == expected
    assert [kinds(one) for one in found] == [kinds(one) for one in expected]
    call = expected[0].intent.call
    assert store.of_calls([call]) == [one for one in expected if one.intent.call == call]
    stage = expected[0].intent.stage
    assert list(store.purchases(stage=stage)) == [one for one in expected if one.intent.stage == stage]
    copy = sqlite_store(tmp_path_factory.mktemp("copy"))
    assert copy.take_in(list(store.export())) == (3 * len(expected), 0)
    assert list(copy.purchases()) == expected


def kinds(value: Any) -> Any:
    """The types within a value, since 1 == 1.0 == True."""
    if isinstance(value, Purchase):
        rows = [(item.row, item.before, item.context) for item in value.intent.items]
        return kinds([list(row) for row in rows])
    if isinstance(value, list):
        return [kinds(one) for one in value]
    if isinstance(value, dict):
        return {key: kinds(one) for key, one in value.items()}
    return type(value)


def test_values_of_a_database_and_strange_numbers_round_trip(store: ReceiptStore) -> None:
    row: dict[str, Any] = {
        "decimal": Decimal("1.20"), "date": date(2026, 11, 20), "moment": datetime(2026, 11, 20, 8, tzinfo=UTC),
        "uuid": UUID(int=7), "tuple": (1, (2,)), "infinite": math.inf, "small": 5e-324, "zero": -0.0,
        "large": 10**30, "text": string.printable, "looks tagged": {"$bytes": "AA=="}, "keys": {1: "one", None: 2},
    }  # fmt: skip
    listener = Listener()
    writer = store.writer(listener)
    intent = intent_of(writer.next_id(), items=(Item("[1]", row), Item("[2]", {"nan": math.nan})))
    writer.intend(intent, 1)
    listener.stored(1)
    writer.close()
    (one,) = store.purchases()
    assert dict(one.intent.items[0].row) == row
    assert str(one.intent.items[0].row["zero"]) == "-0.0"
    assert math.isnan(one.intent.items[1].row["nan"])
