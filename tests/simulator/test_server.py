from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import SCHEMA, Caller


def events(body: bytes) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_an_answer_has_the_shape_that_was_sent(caller: Caller) -> None:
    answer = caller.ask()
    body = answer.json()
    assert json.loads(answer.content()).keys() == {"fact", "year"}
    assert body["object"] == "chat.completion"
    assert body["model"] == "m"
    assert body["choices"][0]["finish_reason"] == "stop"
    usage = body["usage"]
    assert usage["prompt_tokens"] == 8
    assert usage["completion_tokens"] == -(-len(answer.content()) // 4)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_equal_requests_get_equal_words(caller: Caller) -> None:
    first, second = caller.ask(), caller.ask()
    assert first.content() == second.content()
    assert first.json()["id"] != second.json()["id"]


def test_a_stream_says_what_a_whole_answer_says(caller: Caller) -> None:
    whole = caller.ask()
    streamed = caller.ask(stream=True, stream_options={"include_usage": True})
    assert streamed.headers["content-type"].startswith("text/event-stream")
    *chunks, usage = events(streamed.body)
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert text == whole.content()
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"] == whole.json()["usage"]
    assert caller.model.summary()["complete"] == 2


def test_a_stream_tells_usage_only_when_asked(caller: Caller) -> None:
    assert all("usage" not in event for event in events(caller.ask(stream=True).body))


@pytest.mark.parametrize("form", ["```json\n{}\n```", "```json schema\n{}\n```", "Reply with this JSON Schema:\n{}"])
@pytest.mark.parametrize("response_format", [None, {"type": "json_object"}])
def test_a_schema_in_the_prompt_counts(caller: Caller, form: str, response_format: Any) -> None:
    prompt = f"Tell.\n\n{form.replace('{}', json.dumps(SCHEMA))}\n\nRome on the Tiber"
    content = caller.ask(prompt, response_format=response_format).content()
    assert json.loads(content).keys() == {"fact", "year"}


def test_an_object_without_a_schema(caller: Caller) -> None:
    content = caller.ask(response_format={"type": "json_object"}).content()
    assert json.loads(content).keys() == {"answer"}


def test_prose_without_a_shape(caller: Caller) -> None:
    assert caller.ask(response_format=None).content().endswith(".")


def test_messages_may_come_in_parts(caller: Caller) -> None:
    parts = [{"type": "text", "text": "Tell.\n\n"}, {"type": "text", "text": "Rome on the Tiber"}]
    whole = caller.ask("Tell.\n\nRome on the Tiber").content()
    assert caller.ask(messages=[{"role": "user", "content": parts}]).content() == whole


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_token_limit_cuts(caller: Caller, name: str) -> None:
    few: dict[str, Any] = {name: 2}
    none: dict[str, Any] = {name: 0}
    answer = caller.ask(**few)
    assert len(answer.content()) == 8
    assert answer.json()["choices"][0]["finish_reason"] == "length"
    assert answer.json()["usage"]["completion_tokens"] == 2
    assert caller.ask(**none).status == 400


def test_keys(caller: Caller) -> None:
    caller.model.configure(require_key=["one", "two"])
    assert [caller.ask(key=key).status for key in ("one", "two", "three", None)] == [200, 200, 401, 401]
    assert "one" not in caller.get("/settings").body.decode().split('"require_key"')[1].split(",")[0]


def test_models(caller: Caller) -> None:
    assert [each["id"] for each in caller.get("/v1/models").json()["data"]] == ["stand-in"]
    caller.model.configure(models=["a", "b"])
    assert [each["id"] for each in caller.get("/v1/models").json()["data"]] == ["a", "b"]
    assert [caller.ask(model=name).status for name in ("a", "c")] == [200, 404]


def test_an_unknown_path(caller: Caller) -> None:
    assert caller.get("/v1/nothing").status == 404


def test_a_large_prompt_is_read(caller: Caller) -> None:
    assert caller.ask("word " * 1_000_000).json()["usage"]["prompt_tokens"] == 1_250_000
