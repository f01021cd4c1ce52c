"""The body of a chat completion, whole or as a stream of events."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from seedbed.simulator.calls import Call, tokens
from seedbed.simulator.damage import HUGE, damaged
from seedbed.simulator.faults import FaultRule

_CHUNK = 64 * 1024
_FILL = "\ue000"
_REFUSED = "I'm sorry, but I can't help with that."
NOT_JSON = b"<html><head><title>Welcome</title></head><body>You are being redirected.</body></html>"
DONE = b"data: [DONE]\n\n"


@dataclass(slots=True)
class Message:
    """What the model says, and how it ended; `filler` letters follow the content of a huge answer."""

    content: str | None
    finish: str = "stop"
    refusal: str | None = None
    filler: int = 0

    def output_tokens(self) -> int:
        return tokens(len(self.content or self.refusal or "") + self.filler)


def message(content: str, call: Call, fault: FaultRule | None) -> Message:
    said = _faulty(content, fault) if fault is not None else None
    if said is not None:
        return said
    if call.max_tokens is not None and tokens(len(content)) > call.max_tokens:
        return Message(content[: call.max_tokens * 4], "length")
    return Message(content)


def _faulty(content: str, fault: FaultRule) -> Message | None:
    if fault.fault == "refusal":
        return Message(None, refusal=_REFUSED)
    if fault.fault == "content_filter":
        return Message(None, "content_filter")
    if fault.fault == "huge":
        return Message(content, filler=HUGE if fault.size is None else fault.size)
    if fault.fault == "malformed" and fault.text is not None:
        return Message(fault.text)
    changed = damaged(fault.fault, content)
    return None if changed is None else Message(changed, "length" if fault.fault == "length" else "stop")


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer on its way out: the message with the facts that stand around it."""

    number: int
    created: int
    model: str
    message: Message
    usage: Mapping[str, Any]

    def whole(self, *, choices: bool = True) -> bytes:
        said = {"role": "assistant", "content": self.message.content, "refusal": self.message.refusal}
        choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": self.message.finish}
        return orjson.dumps(
            {
                "id": f"chatcmpl-{self.number}",
                "object": "chat.completion",
                "created": self.created,
                "model": self.model,
                "choices": [choice] if choices else [],
                "usage": self.usage,
            }
        )

    def flood(self) -> Iterator[bytes]:
        """The whole body with its filler, never all in memory."""
        self.message.content = f"{self.message.content or ''}{_FILL}"
        before, after = self.whole().split(_FILL.encode())
        yield before
        yield from filler(self.message.filler)
        yield after

    def events(self, chunk_chars: int, *, include_usage: bool, choices: bool = True) -> Iterator[bytes]:
        if choices:
            yield self._event({"role": "assistant", "content": ""})
            yield from self._said(chunk_chars)
            yield self._event({}, self.message.finish)
        if include_usage:
            yield _data({**self._frame(), "choices": [], "usage": self.usage})
        yield DONE

    def _said(self, chunk_chars: int) -> Iterator[bytes]:
        name = "refusal" if self.message.content is None else "content"
        text = self.message.content or self.message.refusal or ""
        for start in range(0, len(text), chunk_chars):
            yield self._event({name: text[start : start + chunk_chars]})
        for part in filler(self.message.filler):
            yield self._event({name: part.decode()})

    def _event(self, delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _data({**self._frame(), "choices": [choice]})

    def _frame(self) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self.number}",
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
        }


def error_event() -> bytes:
    error = {"message": "The server had an error while processing your request.", "type": "server_error"}
    return _data({"error": error})


def split(events: Iterator[bytes], size: int = 7) -> Iterator[bytes]:
    """The same bytes in small pieces, cut inside characters and escapes too."""
    whole = b"".join(events)
    return (whole[start : start + size] for start in range(0, len(whole), size))


def filler(size: int) -> Iterator[bytes]:
    for start in range(0, size, _CHUNK):
        yield b"a" * min(_CHUNK, size - start)


@lru_cache(maxsize=2)
def bomb(size: int) -> bytes:
    """A small gzip body that unpacks to `size` spaces."""
    return gzip.compress(b" " * size, compresslevel=1, mtime=0)


def _data(value: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"
