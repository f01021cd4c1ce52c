"""Each fault over a real socket, and what the ledger says of it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from http.client import IncompleteRead
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.simulator.damage import damaged
from seedbed.simulator.faults import CONTENT_FAULTS, FAULTS, FaultRule, Script

from .conftest import Answer, Caller, read

Until = Callable[[Callable[[], bool]], None]


def hit(caller: Caller, fault: str, **options: Any) -> Answer:
    request = options.pop("request", {})
    caller.model.configure(faults=[{"fault": fault, **options}])
    return caller.ask(**request)


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("error_500", 500, None),
        ("error_502", 502, None),
        ("error_503", 503, None),
        ("error_529", 529, None),
        ("rate_limit", 429, "rate_limit_exceeded"),
        ("no_credit", 429, "insufficient_quota"),
        ("session_limit", 429, "usage_limit_reached"),
        ("bad_key", 401, "invalid_api_key"),
        ("forbidden", 403, "forbidden"),
        ("not_found", 404, "model_not_found"),
        ("bad_request", 400, None),
        ("timeout_408", 408, None),
        ("conflict_409", 409, None),
        ("schema_refused", 400, None),
    ],
)
def test_a_status(caller: Caller, fault: str, status: int, code: str | None) -> None:
    answer = hit(caller, fault)
    assert (answer.status, answer.json()["error"]["code"]) == (status, code)
    (entry,) = caller.model.ledger()
    assert (entry["fault"], entry["status"], entry["complete"]) == (fault, status, False)
    assert entry["output_tokens"] == 0
    assert caller.ask().status == 200


def test_a_schema_is_refused_only_where_one_was_sent(caller: Caller) -> None:
    caller.model.configure(faults=[{"fault": "schema_refused", "times": None}])
    assert caller.ask(response_format={"type": "json_object"}).status == 200
    assert "json_schema" in caller.ask().json()["error"]["message"]


def test_a_stated_wait(caller: Caller) -> None:
    answer = hit(caller, "rate_limit", seconds=2.5)
    assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("3", "2500")


def test_a_session_limit_names_its_reset(caller: Caller) -> None:
    assert hit(caller, "session_limit", seconds=90).json()["error"]["resets_in_seconds"] == 90


def test_hang_ends_when_the_client_leaves(caller: Caller, until: Until) -> None:
    caller.model.configure(faults=[{"fault": "hang"}])
    connection = caller.request()
    until(lambda: caller.model.summary()["in_flight"] == 1)
    connection.close()
    until(lambda: caller.model.summary()["in_flight"] == 0)
    (entry,) = caller.model.ledger()
    assert (entry["fault"], entry["status"], entry["complete"]) == ("hang", None, False)


def test_reset_comes_before_any_byte(caller: Caller) -> None:
    with pytest.raises(ConnectionResetError):
        hit(caller, "reset")
    assert caller.model.ledger()[0]["status"] is None
    assert caller.model.summary()["complete"] == 0


@pytest.mark.parametrize("size", [0, 1, 100])
def test_cut_sends_less_than_it_promised(caller: Caller, size: int, until: Until) -> None:
    caller.model.configure(faults=[{"fault": "cut", "size": size}])
    connection = caller.request()
    with connection.getresponse() as response:
        promised = int(response.headers["content-length"])
        assert promised > size
        with pytest.raises((ConnectionResetError, IncompleteRead)):
            response.read()
    connection.close()
    until(lambda: caller.model.summary()["in_flight"] == 0)
    assert caller.model.ledger()[0]["complete"] is False


def test_cut_after_the_last_byte_is_a_whole_answer(caller: Caller, until: Until) -> None:
    caller.model.configure(faults=[{"fault": "cut", "size": 1_000_000}])
    connection = caller.request()
    assert read(connection).json()["choices"]
    connection.close()
    until(lambda: caller.model.summary()["complete"] == 1)


def test_cut_in_a_stream(caller: Caller) -> None:
    with pytest.raises((ConnectionResetError, IncompleteRead)):
        hit(caller, "cut", request={"stream": True})
    assert caller.model.summary()["complete"] == 0


def test_slow_drip_is_whole_in_the_end(caller: Caller) -> None:
    assert hit(caller, "slow_drip", seconds=0.0001).json()["choices"]
    assert caller.model.summary()["complete"] == 1


def test_slow_drip_that_nobody_waits_for(caller: Caller, until: Until) -> None:
    caller.model.configure(faults=[{"fault": "slow_drip", "seconds": 60}])
    connection = caller.request()
    with connection.getresponse() as response:
        assert response.read(1) == b"{"
    connection.close()
    until(lambda: caller.model.summary()["in_flight"] == 0)
    assert caller.model.summary()["complete"] == 0


def test_empty_choices(caller: Caller) -> None:
    assert hit(caller, "empty_choices").json()["choices"] == []


def test_length(caller: Caller) -> None:
    answer = hit(caller, "length")
    assert answer.json()["choices"][0]["finish_reason"] == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.content())


def test_refusal_and_filter(caller: Caller) -> None:
    choice = hit(caller, "refusal").json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "stop")
    assert choice["message"]["refusal"]
    choice = hit(caller, "content_filter").json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "content_filter")


@given(st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=9)), max_size=5))
def test_malformed_is_never_json(value: dict[str, Any]) -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(damaged("malformed", json.dumps(value)) or "")


def test_malformed_text_can_be_given(caller: Caller) -> None:
    assert hit(caller, "malformed", text="{'a': 1,}").content() == "{'a': 1,}"


def test_fenced_and_prose_hold_one_document(caller: Caller) -> None:
    plain = caller.ask().content()
    assert hit(caller, "fenced").content() == f"```json\n{plain}\n```"
    prose = hit(caller, "prose").content()
    assert plain in prose
    assert not prose.startswith("{")


def test_wrong_shape_is_json(caller: Caller) -> None:
    assert json.loads(hit(caller, "wrong_shape").content()) == [{"unexpected": True}]


def test_huge(caller: Caller) -> None:
    answer = hit(caller, "huge", size=3_000_000)
    assert len(answer.content()) > 3_000_000
    assert caller.model.ledger()[0]["output_tokens"] > 750_000


def test_deep_nesting(caller: Caller) -> None:
    assert hit(caller, "deep_nesting").content().startswith("[" * 100_000)


def test_a_body_that_is_not_json(caller: Caller) -> None:
    answer = hit(caller, "not_json_body")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.body.startswith(b"<html>")


def test_a_gzip_bomb(caller: Caller) -> None:
    answer = hit(caller, "gzip_bomb", size=5_000_000)
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.body) < 50_000
    assert len(gzip.decompress(answer.body)) == 5_000_000


def test_groups_lose_and_gain_an_item(caller: Caller) -> None:
    key = {"type": "object", "properties": {"key": {"enum": ["k1", "k2"]}, "fact": {"type": "string"}}}
    schema = {"type": "object", "properties": {"answers": {"type": "array", "items": key}}}
    form = {"type": "json_schema", "json_schema": {"name": "group", "schema": schema}}
    request = {"prompt": "Tell.\n\nk1: Paris\nk2: Rome", "response_format": form}

    def keys(fault: str) -> list[str]:
        found = json.loads(hit(caller, fault, request=request).content())["answers"]
        return [each["key"] for each in found]

    assert keys("missing_item") == ["k1"]
    assert keys("extra_item") == ["k1", "k2", "k1-extra"]


def test_a_session_limit_in_plain_text(caller: Caller) -> None:
    assert "session limit" in hit(caller, "session_limit_text").content()


def test_another_model_answers(caller: Caller) -> None:
    assert hit(caller, "wrong_model").json()["model"] == "m-other"


def test_an_answer_to_another_request(caller: Caller) -> None:
    first = caller.ask("Tell.\n\nRome on the Tiber").content()
    assert hit(caller, "swapped", request={"prompt": "Tell.\n\nParis"}).content() == first


def test_a_late_answer(caller: Caller, until: Until) -> None:
    caller.model.configure(faults=[{"fault": "late", "seconds": 0.05}])
    assert caller.ask().status == 200
    assert caller.model.ledger()[0]["fault"] == "late"


def test_a_stream_that_fails_after_200(caller: Caller) -> None:
    body = hit(caller, "stream_error", request={"stream": True}).body
    assert json.loads(body.strip().split(b"\n\n")[-1].removeprefix(b"data: "))["error"]
    assert b"[DONE]" not in body
    assert caller.model.summary()["complete"] == 0


def test_a_stream_without_an_end(caller: Caller) -> None:
    body = hit(caller, "stream_no_end", request={"stream": True}).body
    assert b"[DONE]" not in body
    assert b'"finish_reason":"stop"' not in body
    assert caller.model.summary()["complete"] == 0


def test_a_stream_in_pieces_is_the_same_stream(caller: Caller) -> None:
    request: dict[str, Any] = {"prompt": "Tell.\n\nÅrhus 東京 😀 é", "stream": True, "response_format": None}
    assert deltas(hit(caller, "stream_split", request=request).body) == deltas(caller.ask(**request).body)
    assert caller.model.summary()["complete"] == 2


def test_a_stream_that_says_all_twice(caller: Caller) -> None:
    twice = deltas(hit(caller, "stream_duplicate", request={"stream": True}).body)
    assert twice[::2] == twice[1::2] == deltas(caller.ask(stream=True).body)


def deltas(body: bytes) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line)["choices"][0]["delta"] for line in lines]


def test_a_fault_script_starts_anew_when_it_is_set(caller: Caller) -> None:
    assert [hit(caller, "error_500").status for _ in range(2)] == [500, 500]
    caller.model.configure(latency_ms=1)
    assert caller.ask().status == 200


def test_a_fault_elsewhere_leaves_the_token_limit(caller: Caller) -> None:
    answer = hit(caller, "wrong_model", request={"max_tokens": 2})
    assert answer.json()["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("fault", sorted(FAULTS - {"hang", "cut", "reset", "slow_drip", "huge", "late"}))
@pytest.mark.parametrize("stream", [False, True])
def test_every_fault_leaves_the_server_well(caller: Caller, fault: str, stream: bool) -> None:
    caller.model.configure(faults=[{"fault": fault, "size": 1000}])
    caller.ask(stream=stream)
    caller.model.configure(faults=[])
    assert caller.ask().status == 200
    assert caller.model.summary()["in_flight"] == 0


@pytest.mark.parametrize("fault", sorted(CONTENT_FAULTS))
@given(content=st.text(max_size=30))
def test_damage_takes_any_text(fault: str, content: str) -> None:
    assert isinstance(damaged(fault, content), str | None)


def picks(rules: list[FaultRule], calls: list[tuple[str, str]]) -> list[str | None]:
    script = Script(rules, {}, 0)
    found = [script.pick(prompt, [prompt], digest) for prompt, digest in calls]
    return [rule.fault if rule else None for rule in found]


def test_nth_and_times() -> None:
    rule = FaultRule("error_500", match="a", nth=1, times=2)
    calls = [("a", "1"), ("b", "2"), ("a", "1"), ("a", "1"), ("a", "1")]
    assert picks([rule], calls) == [None, None, "error_500", "error_500", None]


def test_each_counts_by_prompt() -> None:
    calls = [("a", "1"), ("b", "2"), ("a", "1"), ("b", "2")]
    assert picks([FaultRule("cut", each=True)], calls) == ["cut", "cut", None, None]


def test_rules_follow_each_other() -> None:
    rules = [FaultRule("cut"), FaultRule("hang", item="a", times=None)]
    assert picks(rules, [("a", "1"), ("a", "1"), ("b", "1")]) == ["cut", "hang", None]


@given(st.integers(0, 1000))
def test_rates_are_kept_and_repeat(seed: int) -> None:
    rates = {"error_500": 0.2, "cut": 0.1}
    first, second = Script([], rates, seed), Script([], rates, seed)
    calls = [str(number % 100) for number in range(400)]
    found = [[script.pick("", (), digest) for digest in calls] for script in (first, second)]
    assert found[0] == found[1]
    assert 60 <= sum(rule is not None for rule in found[0]) <= 180


def test_a_retry_draws_anew(caller: Caller) -> None:
    caller.model.configure(rates={"error_500": 0.5})
    assert {caller.ask().status for _ in range(40)} == {200, 500}
