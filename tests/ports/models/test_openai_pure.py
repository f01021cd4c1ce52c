from __future__ import annotations

import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.errors import NotReadable
from seedbed.ports.models import Target
from seedbed.ports.models.openai import OpenAI, strict_form
from seedbed.records import Message, Request, Usage

TARGET = Target("openai", "gpt-4o-mini", "http://x/v1", "a")
SHAPE = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
MESSAGES = (Message("system", "rules", stable=True), Message("user", "item"))


def body(openai: OpenAI, target: Target = TARGET, *, stream: bool = False, **parameters: Any) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(
        openai.wire(Request("default", MESSAGES, SHAPE, parameters), target, stream=stream).body
    )
    return found


def refuse(openai: OpenAI, words: str, status: int = 400, target: Target = TARGET) -> bool:
    return openai.learn(target, status, orjson.dumps({"error": {"message": words}}))


# ------------------------------------------------------------------------------------------ wire


def test_a_request_holds_model_messages_shape_and_parameters_and_nothing_else() -> None:
    assert body(OpenAI(), max_output=9, temperature=0.5, seed=3) == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": "rules"}, {"role": "user", "content": "item"}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {**SHAPE, "additionalProperties": False}, "strict": True},
        },
        "max_tokens": 9,
        "temperature": 0.5,
        "seed": 3,
    }


def test_the_same_request_has_the_same_bytes() -> None:
    request = Request("default", MESSAGES, SHAPE)
    assert OpenAI().wire(request, TARGET) == OpenAI().wire(request, TARGET)


def test_a_stream_asks_for_its_usage() -> None:
    found = body(OpenAI(), stream=True)
    assert found["stream"] is True and found["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("model", "name"),
    [("gpt-5-mini", "max_completion_tokens"), ("o3", "max_completion_tokens"), ("gpt-4o", "max_tokens")],
)
def test_the_output_maximum_has_the_name_that_the_model_takes(model: str, name: str) -> None:
    assert body(OpenAI(), Target("openai", model, "http://x/v1", "a"), max_output=7)[name] == 7


def test_text_that_is_no_unicode_and_large_numbers_still_go_out() -> None:
    shape = {"type": "integer", "maximum": 10**30}
    sent = OpenAI().wire(Request("d", (Message("user", "a\ud800"),), shape), TARGET).body
    assert b"\\ud800" in sent and str(10**30).encode() in sent


def test_refusals_step_down_from_schema_to_object_to_text() -> None:
    openai = OpenAI()
    assert refuse(openai, "'response_format' of type 'json_schema' is not supported with this model")
    found = body(openai)
    assert found["response_format"] == {"type": "json_object"}
    last = found["messages"][-1]["content"]
    assert last.startswith("item\n\nAnswer with one JSON document that fits this JSON Schema:\n{")
    assert orjson.loads(last.split("Schema:\n")[1]) == SHAPE
    assert refuse(openai, "response_format json_object is unknown")
    assert "response_format" not in body(openai)
    assert body(openai)["messages"] == found["messages"]


def test_a_schema_that_strict_mode_declines_is_sent_without_strict() -> None:
    openai = OpenAI()
    assert refuse(openai, "Invalid schema for response_format 'answer': 'minLength' is not permitted")
    assert body(openai)["response_format"]["json_schema"]["strict"] is False


def test_a_late_refusal_of_what_is_no_longer_sent_changes_nothing_but_asks_for_another_try() -> None:
    openai = OpenAI()
    for _ in range(5):
        assert refuse(openai, "'response_format' of type 'json_schema' is not supported")
        assert refuse(openai, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
    found = body(openai, max_output=5)
    assert found["response_format"] == {"type": "json_object"} and found["max_completion_tokens"] == 5


def test_the_name_of_the_maximum_is_changed_once_only() -> None:
    openai = OpenAI()
    assert refuse(openai, "max_tokens is not supported")
    assert not refuse(openai, "max_completion_tokens is not supported")


def test_unsupported_parameters_are_dropped_by_name() -> None:
    openai = OpenAI()
    assert refuse(openai, "Unsupported value: 'temperature' does not support 0.5 with this model")
    assert refuse(openai, "Unknown parameter stream_options", 422)
    found = body(openai, stream=True, temperature=0.5, seed=1)
    assert "temperature" not in found and "stream_options" not in found and found["seed"] == 1


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("max_tokens is too large: this model supports at most 4096", 400),
        ("the request could not be understood", 400),
        ("'json_schema' is not supported", 500),
        ("", 400),
    ],
)
def test_other_refusals_teach_nothing(words: str, status: int) -> None:
    assert not refuse(OpenAI(), words, status)


def test_what_one_endpoint_refused_says_nothing_of_another() -> None:
    openai = OpenAI()
    refuse(openai, "json_schema is not supported")
    other = Target("openai", TARGET.model, "http://y/v1", "a")
    assert body(openai, other)["response_format"]["type"] == "json_schema"


@given(st.binary(max_size=300), st.integers(0, 600))
def test_learning_never_raises(data: bytes, status: int) -> None:
    OpenAI().learn(TARGET, status, data)


# ------------------------------------------------------------------------------------ strict form


def test_an_optional_field_that_may_be_null_becomes_required() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"anyOf": [{"$ref": "#/$defs/b"}, {"type": "null"}], "default": None},
            "default": {"type": ["string", "null"]},
            "list": {"type": "array", "items": {"$ref": "#/$defs/b"}},
        },
        "required": ["list"],
        "$defs": {"b": {"type": "object", "properties": {"c": {"enum": [1, 2]}}, "required": ["c"]}},
    }
    assert strict_form(schema) == {
        "type": "object",
        "properties": {
            "a": {"anyOf": [{"$ref": "#/$defs/b"}, {"type": "null"}]},
            "default": {"type": ["string", "null"]},
            "list": {"type": "array", "items": {"$ref": "#/$defs/b"}},
        },
        "required": ["a", "default", "list"],
        "additionalProperties": False,
        "$defs": {
            "b": {
                "type": "object",
                "properties": {"c": {"enum": [1, 2]}},
                "required": ["c"],
                "additionalProperties": False,
            }
        },
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"type": "object"}}, "required": ["a"]},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {"a": {}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"oneOf": [{"type": "string"}]}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "array"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a", "b"]},
        {"type": "array", "items": {"type": "string"}},
        {"type": "string"},
        {},
    ],
)
def test_a_schema_whose_meaning_would_change_has_no_strict_form(schema: dict[str, Any]) -> None:
    assert strict_form(schema) is None


def test_the_strict_form_leaves_the_schema_as_it_was() -> None:
    before = orjson.dumps(SHAPE)
    strict_form(SHAPE)
    assert orjson.dumps(SHAPE) == before


# ------------------------------------------------------------------------------------------ read


def read(message: Any, finish: Any = "stop", **more: Any) -> Any:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return OpenAI().read("json", 200, orjson.dumps({"model": "m", "choices": [choice], **more}))


def test_cached_tokens_are_not_input_and_reasoning_is_output() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 40},
        "completion_tokens_details": {"reasoning_tokens": 30},
    }
    assert read({"content": "x"}, usage=usage).usage == Usage(60, 40, 50, 30)


def test_reasoning_that_a_provider_counts_apart_is_added_to_the_output() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 180,
        "completion_tokens_details": {"reasoning_tokens": 30},
    }
    assert read({"content": "x"}, usage=usage).usage == Usage(100, 0, 80, 30)


@pytest.mark.parametrize("usage", [None, {}, [], "x", {"prompt_tokens": -1, "completion_tokens": 1}])
def test_usage_that_is_missing_or_nonsense_is_unknown(usage: Any) -> None:
    assert read({"content": "x"}, usage=usage).usage is None


@pytest.mark.parametrize(
    ("message", "finish", "expected"),
    [
        ({"content": "x"}, "stop", "stop"),
        ({"content": "x"}, None, "stop"),
        ({"content": "x"}, "length", "length"),
        ({"content": ""}, "length", "length"),
        ({"content": None, "refusal": "no"}, "stop", "refusal"),
        ({"content": "half"}, "content_filter", "refusal"),
        ({"content": None}, "stop", "empty"),
        ({"content": " \n"}, "stop", "empty"),
        (None, None, "empty"),
        ({"content": "x"}, "tool_calls", "other"),
        ({"content": [{"type": "text", "text": "x"}, {"type": "other"}]}, "stop", "stop"),
    ],
)
def test_the_end_of_an_answer_is_told_apart(message: Any, finish: Any, expected: str) -> None:
    assert read(message, finish).finish == expected


def test_no_choices_are_an_empty_answer_that_still_cost_something() -> None:
    found = OpenAI().read("json", 200, b'{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":0}}')
    assert (found.finish, found.usage) == ("empty", Usage(5))


@pytest.mark.parametrize(
    ("status", "data"),
    [(200, b""), (200, b"<html>"), (200, b"[]"), (200, b'{"error":{"message":"x"}}'), (500, b'{"choices":[]}')],
)
def test_a_body_that_is_no_completion_is_not_readable(status: int, data: bytes) -> None:
    with pytest.raises(NotReadable):
        OpenAI().read("json", status, data)


def test_a_lone_surrogate_in_the_text_does_not_lose_the_usage() -> None:
    data = b'{"choices":[{"message":{"content":"\\ud800"}}],"usage":{"prompt_tokens":5,"completion_tokens":1}}'
    assert OpenAI().read("json", 200, data).usage == Usage(5, 0, 1)


@given(st.binary(max_size=400), st.sampled_from(["json", "sse"]))
def test_random_bytes_are_read_or_not_readable(data: bytes, form: str) -> None:
    for each in (data, b"data: " + data + b"\n\n"):
        with contextlib.suppress(NotReadable):
            OpenAI().read(form, 200, each)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "delta",
                    "content",
                    "usage",
                    "error",
                    "index",
                    "finish_reason",
                    "prompt_tokens",
                    "completion_tokens",
                    "prompt_tokens_details",
                    "cached_tokens",
                    "model",
                    "refusal",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(ANY_JSON, ANY_JSON)
def test_any_json_with_the_right_names_is_read_or_not_readable(value: Any, choice: Any) -> None:
    import json

    for each in (value, {"choices": [choice], "usage": value}, {"choices": [{"message": choice, "delta": value}]}):
        data = json.dumps(each).encode()
        for form, sent in (("json", data), ("sse", b"data: " + data + b"\n\ndata: [DONE]\n\n")):
            with contextlib.suppress(NotReadable):
                OpenAI().read(form, 200, sent)


def test_deep_nesting_is_not_readable() -> None:
    with pytest.raises(NotReadable):
        OpenAI().read("json", 200, b"[" * 100_000)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.data(), st.sampled_from(["\n", "\r\n", "\r"]))
def test_a_streams_text_is_the_same_for_every_split(text: str, data: st.DataObject, end: str) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    frames = [{"choices": [{"index": 0, "delta": {"role": "assistant"}}]}]
    frames += [{"choices": [{"index": 0, "delta": {"content": part}}]} for part in parts]
    events = [f"data: {orjson.dumps(frame).decode()}" for frame in frames]
    events += ['data:{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}', ": note", "data: [DONE]"]
    sent = "".join(event + end + end for event in events).encode()
    assert OpenAI().read("sse", 200, sent).text == text


def test_a_stream_in_which_each_event_came_twice_is_read_once() -> None:
    frames = [{"choices": [{"index": 0, "delta": {"content": part}}]} for part in ("ha", "ha")]
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    events = [b"data: " + orjson.dumps(frame) + b"\n\n" for frame in [*frames, last]]
    once, twice = b"".join(events), b"".join(event * 2 for event in events)
    assert OpenAI().read("sse", 200, once).text == OpenAI().read("sse", 200, twice).text == "haha"
