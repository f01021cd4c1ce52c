"""Records to store, and a listener that remembers what became of them."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from typing import Any

from seedbed.ports.receipts import BodyFormat, Ending, EndKind, Intent, Receipt
from seedbed.records import Item, Message, Request

STABLE = "You write one sentence about each question. " * 20
CONTEXT = ["a title that exists already"] * 40


def item_of(text: str) -> Item:
    return Item('["q1"]', {"id": "q1", "question": text}, "f" * 32, {"summary": None}, {"titles": CONTEXT})


def intent_of(
    identity: str,
    *,
    call: str = "c1",
    stage: str = "q.summary",
    text: str = "What is a derivative?",
    items: tuple[Item, ...] | None = None,
    at: int = 1_700_000_000_000,
) -> Intent:
    request = Request(
        role="default",
        messages=(Message("system", STABLE, stable=True), Message("user", text)),
        shape={"type": "object", "properties": {"summary": {"type": "string"}}},
        parameters={"temperature": 0.2},
    )
    return Intent(
        id=identity, call=call, stage=stage, round="r1", name="", attempt=1,
        items=items or (item_of(text),),
        recipe="a" * 32, request=request, request_digest=request.digest(), model="openai/small", account="work",
        reserved=120_000, run="run1", at=at,
    )  # fmt: skip


def receipt_of(
    intent: str, body: bytes = b'{"summary": "A slope."}', *, form: BodyFormat = "json", at: int = 1_700_000_000_900
) -> Receipt:
    return Receipt(intent, 200, {"x-request-id": "req_1"}, body, form, hashlib.sha256(body).hexdigest(), at)


def ending_of(intent: str, kind: EndKind = "closed", reason: str = "429", *, at: int = 1_700_000_000_500) -> Ending:
    return Ending(intent, kind, reason, at)


@dataclass
class Listener:
    """Collects what ``on_commit`` tells; ``wait`` returns the errors of the tokens, in their order."""

    commits: list[list[Any]] = field(default_factory=list)
    told: dict[Any, BaseException | None] = field(default_factory=dict)
    more: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, tokens: list[Any], error: BaseException | None) -> None:
        with self.more:
            self.commits.append(tokens)
            for token in tokens:
                assert token not in self.told, f"{token} was told twice"
                self.told[token] = error
            self.more.notify_all()

    def wait(self, *tokens: Any, seconds: float = 20) -> list[BaseException | None]:
        with self.more:
            assert self.more.wait_for(lambda: all(token in self.told for token in tokens), seconds), (
                f"not told of {[token for token in tokens if token not in self.told]}"
            )
            return [self.told[token] for token in tokens]

    def stored(self, *tokens: Any) -> None:
        for error in self.wait(*tokens):
            if error is not None:
                raise error
