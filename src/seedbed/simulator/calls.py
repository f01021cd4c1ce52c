"""A chat completion request, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from seedbed.simulator.shapes import find_shape

ANY_OBJECT: Mapping[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
}


@dataclass(frozen=True, slots=True)
class Call:
    digest: str
    model: str
    prompt: str
    chars: int
    shape: Mapping[str, Any] | None
    schema_sent: bool
    stream: bool
    include_usage: bool
    max_tokens: int | None


def read_call(raw: bytes) -> Call:
    """Raises ValueError with what a provider would say of a bad request."""
    body = _mapping(raw)
    contents = _contents(body)
    prompt = "\n\n".join(contents)
    form = body.get("response_format")
    form = form if isinstance(form, dict) else {}
    options = body.get("stream_options")
    return Call(
        digest=sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest(),
        model=str(body.get("model") or ""),
        prompt=prompt,
        chars=sum(map(len, contents)),
        shape=_shape(form, prompt),
        schema_sent=form.get("type") == "json_schema",
        stream=body.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        max_tokens=_max_tokens(body),
    )


def unreadable(raw: bytes) -> Call:
    """Stands in the ledger for a body that is no request."""
    return Call(sha256(raw).hexdigest(), "", "", 0, None, False, False, False, None)


def tokens(chars: int) -> int:
    return (chars + 3) // 4


def _mapping(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"We could not parse the JSON body of your request: {error}") from None
    if not isinstance(body, dict):
        raise ValueError("The body must be a JSON object.")
    return body


def _contents(body: Mapping[str, Any]) -> list[str]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ValueError("'messages' must be a list of at least one message.")
    return [_text(message) for message in messages]


def _text(message: Any) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _shape(form: Mapping[str, Any], prompt: str) -> Mapping[str, Any] | None:
    if form.get("type") == "json_schema":
        named = form.get("json_schema")
        schema = named.get("schema") if isinstance(named, dict) else None
        if not isinstance(schema, dict):
            raise ValueError("Missing required parameter: 'response_format.json_schema.schema'.")
        return schema
    found = find_shape(prompt)
    if found is not None:
        return found.shape
    return ANY_OBJECT if form.get("type") == "json_object" else None


def _max_tokens(body: Mapping[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = body.get(name)
        if value is not None:
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"'{name}' must be an integer of at least 1.")
            return value
    return None
