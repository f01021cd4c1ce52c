from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.simulator import Simulator
from seedbed.simulator.names import Names

from .conftest import Caller

Until = Callable[[Callable[[], bool]], None]


def test_an_answer_is_booked(caller: Caller) -> None:
    caller.ask(key="secret-key")
    (entry,) = caller.model.ledger()
    assert entry["status"] == 200
    assert entry["complete"] is True
    assert entry["model"] == "m"
    assert entry["path"] == "/v1/chat/completions"
    assert entry["key_fingerprint"] == sha256(b"secret-key").hexdigest()[:8]
    assert entry["in_flight"] == 1
    assert entry["input_tokens"] == 8
    assert "secret-key" not in json.dumps(entry)


def test_the_digest_is_that_of_the_body_in_any_order(caller: Caller) -> None:
    caller.ask(temperature=0, top_p=1)
    caller.ask(top_p=1, temperature=0)
    caller.ask(top_p=1, temperature=1)
    digests = [entry["prompt_digest"] for entry in caller.model.ledger()]
    assert digests[0] == digests[1] != digests[2]


def test_an_item_is_found_by_its_name(caller: Caller) -> None:
    caller.model.configure(names=["York", "New York", "Rome"], faults=[{"fault": "error_500", "item": "York"}])
    for prompt in ("Tell.\n\nNew York", "Tell.\n\nYork", "Tell.\n\nYork!", "Tell.\n\nRomeo"):
        caller.ask(prompt)
    assert caller.model.summary()["by_item"] == {
        "New York": {"requests": 1, "complete": 1},
        "York": {"requests": 2, "complete": 1},
    }


def test_an_item_is_found_by_a_pattern(caller: Caller) -> None:
    caller.model.configure(items_regex=r"Item: (\S+)")
    caller.ask("Tell.\n\nItem: Q42 and more")
    assert caller.model.ledger()[0]["item"] == "Q42"


def test_every_item_of_a_grouped_call_is_counted(caller: Caller) -> None:
    caller.model.configure(names=["Rome", "Paris"])
    key = {"type": "object", "properties": {"key": {"enum": ["k1", "k2"]}}}
    schema = {"type": "object", "properties": {"answers": {"type": "array", "items": key}}}
    form = {"type": "json_schema", "json_schema": {"name": "group", "schema": schema}}
    caller.ask("Tell of each, not of Paris only.\n\nk1: Paris\nk2: Rome", response_format=form)
    assert caller.model.ledger()[0]["items"] == ["Paris", "Rome"]


@given(st.lists(st.text("ab .", min_size=1, max_size=6), min_size=1, max_size=6), st.text("ab .", max_size=30))
def test_the_longest_name_wins(names: list[str], text: str) -> None:
    found = Names(names).find(text)
    assert found is None or found in names
    tokens = text.replace(".", " . ").split()

    def occurs(name: str) -> bool:
        wanted = name.replace(".", " . ").split()
        return bool(wanted) and any(tokens[start : start + len(wanted)] == wanted for start in range(len(tokens)))

    assert max((len(name) for name in names if occurs(name)), default=0) == len(found or "")


def test_a_client_that_leaves_while_it_waits_is_not_billed(caller: Caller, until: Until) -> None:
    caller.model.configure(latency_ms=60_000)
    connection = caller.request()
    until(lambda: caller.model.summary()["in_flight"] == 1)
    connection.close()
    until(lambda: caller.model.summary()["in_flight"] == 0)
    (entry,) = caller.model.ledger()
    assert (entry["complete"], entry["status"]) == (False, None)


def test_a_client_that_leaves_in_mid_body_is_not_billed(caller: Caller, until: Until) -> None:
    caller.model.configure(faults=[{"fault": "huge", "size": 200_000_000}])
    connection = caller.request()
    response = connection.getresponse()
    assert response.status == 200
    response.read(1000)
    assert caller.model.summary()["complete"] == 0
    response.close()
    connection.close()
    until(lambda: caller.model.summary()["in_flight"] == 0)
    assert caller.model.summary()["complete"] == 0


def test_the_summary_adds_up(caller: Caller) -> None:
    caller.model.configure(faults=[{"fault": "error_503", "times": 2}])
    for _ in range(5):
        caller.ask(key="k")
    summary = caller.model.summary()
    entries = caller.model.ledger()
    assert summary["requests"] == 5
    assert summary["complete"] == 3
    assert summary["by_status"] == {"503": 2, "200": 3}
    assert summary["by_fault"] == {"error_503": 2}
    assert summary["input_tokens"] == 24
    assert summary["output_tokens"] == sum(entry["output_tokens"] for entry in entries)
    assert summary["models"] == {"m": 5}
    assert list(summary["key_fingerprints"].values()) == [5]
    assert summary["peak_in_flight"] == 1


def test_peak_and_reset(caller: Caller, until: Until) -> None:
    caller.model.configure(faults=[{"fault": "hang", "times": None}])
    connections = [caller.request() for _ in range(3)]
    until(lambda: caller.model.summary()["in_flight"] == 3)
    for connection in connections:
        connection.close()
    until(lambda: caller.model.summary()["in_flight"] == 0)
    assert caller.model.summary()["peak_in_flight"] == 3
    seen = caller.model.ledger()[-1]["seq"]
    caller.model.reset()
    assert caller.model.summary()["requests"] == caller.model.summary()["peak_in_flight"] == 0
    caller.model.configure(faults=[])
    caller.ask()
    assert [entry["seq"] for entry in caller.model.ledger(since=seen)] == [seen + 1]


def test_the_file_holds_what_the_ledger_holds(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Simulator(ledger=path) as model:
        caller = Caller(model)
        for _ in range(3):
            caller.ask()
        booked = model.ledger()
        assert [json.loads(line) for line in path.read_text().splitlines()] == booked


def test_a_repeated_long_prefix_is_cached(caller: Caller) -> None:
    long = "word " * 1700
    first, second = (caller.ask(f"{long}\n\n{name}").json()["usage"] for name in ("Rome", "Paris"))
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert second["prompt_tokens_details"]["cached_tokens"] == 2048
    caller.model.configure(prompt_cache=False)
    assert caller.ask(f"{long}\n\nRome").json()["usage"]["prompt_tokens_details"]["cached_tokens"] == 0


@pytest.mark.parametrize("raw", ["{", "[]", '{"messages": []}', '{"messages": "x"}'])
def test_a_bad_body_is_refused_and_booked(caller: Caller, raw: str) -> None:
    connection = caller.connection()
    connection.request("POST", "/v1/chat/completions", raw)
    with connection.getresponse() as response:
        assert response.status == 400
    connection.close()
    assert caller.model.summary()["by_status"] == {"400": 1}
