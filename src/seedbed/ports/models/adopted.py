"""Answers that were bought elsewhere: a text, or a line of a provider's batch output. Read only, never asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from seedbed.errors import ConfigError, NotReadable
from seedbed.ports.models import Answer, Target, Wire
from seedbed.ports.models.openai import read_json_body
from seedbed.records import Reply, Request, Usage

PROVIDER = "adopted"


class Adopted:
    """``Completer`` for what is already there: it reads, and refuses to send.

    Forms: ``stdout`` is the answer's text alone. ``batch`` is one line of a batch output as OpenAI
    (``response.body`` of chat completions or responses) or Anthropic (``result.message``) writes it.
    """

    def wire(self, request: Request, target: Target, *, stream: bool = False) -> Wire:
        raise ConfigError("the provider adopted names answers that were bought elsewhere; it cannot be asked")

    async def send(self, wire: Wire, target: Target) -> Answer:
        raise ConfigError("the provider adopted names answers that were bought elsewhere; it cannot be asked")

    def read(self, answer_format: str, status: int, body: bytes) -> Reply:
        if answer_format == "batch":
            return read_batch_line(body)
        text = body.decode("utf-8", "surrogatepass")
        return Reply(text, None, "", "stop" if text.strip() else "empty")

    def learn(self, target: Target, status: int, body: bytes) -> bool:
        return False

    async def open(self, concurrency: int) -> None:
        pass

    async def close(self) -> None:
        pass


def read_batch_line(line: bytes) -> Reply:
    """The reply in a line of a batch output. Raises NotReadable where it holds an error or no answer."""
    try:
        found = orjson.loads(line)
    except ValueError as error:
        raise NotReadable(f"the line is not JSON ({error})", code="not_json") from None
    if not isinstance(found, dict):
        raise NotReadable("the line is not a JSON object", code="not_json")
    if isinstance(result := found.get("result"), dict):
        return _of_anthropic(result)
    response = found.get("response")
    if found.get("error") or not isinstance(response, dict):
        raise NotReadable(f"the provider answered with an error: {_words(found.get('error'))}", code="empty")
    body, status = response.get("body"), response.get("status_code", 200)
    if status != 200 or not isinstance(body, dict):
        raise NotReadable(f"the provider answered with status {status}: {_words(body)}", code="empty")
    if "output" in body and "choices" not in body:
        return _of_responses(body)
    return read_json_body(orjson.dumps(body))


def _of_anthropic(result: Mapping[str, Any]) -> Reply:
    message = result.get("message")
    if result.get("type") != "succeeded" or not isinstance(message, dict):
        raise NotReadable(f"the request {result.get('type', 'failed')}: {_words(result.get('error'))}", code="empty")
    text = _joined(message.get("content"), "text")
    usage = message.get("usage") or {}
    stop = message.get("stop_reason")
    return Reply(
        text,
        Usage(
            input=_count(usage, "input_tokens") + _count(usage, "cache_creation_input_tokens"),
            cached=_count(usage, "cache_read_input_tokens"),
            output=_count(usage, "output_tokens"),
        ),
        str(message.get("model") or ""),
        _finish(text, cut=stop == "max_tokens", refused=stop == "refusal"),
    )


def _of_responses(body: Mapping[str, Any]) -> Reply:
    messages = [each for each in body.get("output") or () if isinstance(each, dict) and each.get("type") == "message"]
    text = "".join(_joined(each.get("content"), "output_text") for each in messages)
    usage = body.get("usage") or {}
    cached = _count(usage.get("input_tokens_details") or {}, "cached_tokens")
    return Reply(
        text,
        Usage(
            input=max(0, _count(usage, "input_tokens") - cached),
            cached=cached,
            output=_count(usage, "output_tokens"),
            reasoning=_count(usage.get("output_tokens_details") or {}, "reasoning_tokens"),
        ),
        str(body.get("model") or ""),
        _finish(text, cut=body.get("status") == "incomplete", refused=False),
    )


def _finish(text: str, *, cut: bool, refused: bool) -> Any:
    return "refusal" if refused else "length" if cut else "stop" if text.strip() else "empty"


def _joined(content: Any, kind: str) -> str:
    parts = content if isinstance(content, list) else ()
    return "".join(str(part.get("text") or "") for part in parts if isinstance(part, dict) and part.get("type") == kind)


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def _words(value: Any) -> str:
    """What a provider says of an error, in short."""
    if isinstance(value, dict):
        inner = value.get("error")
        return str(value.get("message") or (_words(inner) if isinstance(inner, dict) else inner) or value)[:200]
    return str(value or "no answer")[:200]
