"""The stand-in: answers without a network, made from the prompt's own words. Free, and not a model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from seedbed.errors import ConfigError
from seedbed.ports.models import Answer, Target, Trouble, Wire
from seedbed.ports.models.openai import OpenAI
from seedbed.records import Reply, Request

MODEL = "standin"


class Offline:
    """``Completer`` with the body of OpenAI's and the answers of the simulator.

    ``rules`` are dotted names of modules with a ``RULES`` sequence.
    """

    def __init__(self, rules: Sequence[str] = (), seed: int = 0) -> None:
        self._dialect = OpenAI()
        self._names = tuple(rules)
        self._seed = seed
        self._rules: tuple[Callable[[str, Mapping[str, Any]], object | None], ...] | None = None

    def wire(self, request: Request, target: Target, *, stream: bool = False) -> Wire:
        """Never a stream: there is nothing to wait for."""
        return self._dialect.wire(request, target)

    def read(self, answer_format: str, status: int, body: bytes) -> Reply:
        return self._dialect.read(answer_format, status, body)

    def learn(self, target: Target, status: int, body: bytes) -> bool:
        return False

    async def open(self, concurrency: int) -> None:
        self._load()

    async def close(self) -> None:
        pass

    def _load(self) -> tuple[Callable[[str, Mapping[str, Any]], object | None], ...]:
        if self._rules is None:
            from seedbed.simulator.answers import load_rules

            try:
                self._rules = tuple(rule for name in self._names for rule in load_rules(name))
            except (ImportError, ValueError) as error:
                raise ConfigError("the stand-in's rules cannot be loaded", why=str(error)) from None
        return self._rules

    async def send(self, wire: Wire, target: Target) -> Answer:
        from seedbed.simulator.answers import answer
        from seedbed.simulator.calls import read_call, tokens

        await asyncio.sleep(0)  # a call gives way, as one over a socket does
        try:
            call = read_call(wire.body)
        except ValueError as error:
            raise Trouble("connect", str(error)) from None
        text = answer(call.prompt, call.shape, rules=self._load(), seed=self._seed)
        finish = "stop"
        if call.max_tokens is not None and tokens(len(text)) > call.max_tokens:
            text, finish = text[: call.max_tokens * 4], "length"
        asked, made = tokens(call.chars), tokens(len(text))
        body = {
            "id": f"standin-{call.digest[:24]}",
            "object": "chat.completion",
            "model": MODEL,
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish},
            ],
            "usage": {"prompt_tokens": asked, "completion_tokens": made, "total_tokens": asked + made},
        }
        return Answer(200, {"content-type": "application/json"}, orjson.dumps(body), "json")
