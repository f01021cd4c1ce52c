"""Models behind one verb. A provider is a translator: no retry, limit, price or log inside.

An adapter has two pure halves (request → wire, body → reply) and one that touches the world (send).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from seedbed.records import Reply, Request, Usage

TroubleKind = Literal[
    "connect",  # never sent: DNS, refused, TLS, pool
    "timeout",  # the total deadline passed after sending
    "cut",  # the body or stream ended before its end marker
    "failed",  # a program ended without an answer, and may have used its model
]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: provider and model, endpoint, key and its non-secret account name."""

    provider: str
    model: str
    base_url: str
    account: str
    key: str | None = None
    timeout: float = 120.0

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"

    def __repr__(self) -> str:  # a key never reaches a log or a traceback
        return f"Target({self.name} at {self.base_url})"


@dataclass(frozen=True, slots=True)
class Wire:
    """The request as it goes out, byte for byte. ``headers`` hold no secret."""

    path: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer: status, the headers that matter (lower case), decoded body bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    format: Literal["json", "sse", "stdout"]


class Trouble(Exception):
    """No complete answer came. ``sent`` says whether the provider may have seen the request."""

    def __init__(self, kind: TroubleKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    @property
    def sent(self) -> bool:
        return self.kind != "connect"


class Completer(Protocol):
    """One provider's dialect."""

    def wire(self, request: Request, target: Target, *, stream: bool = False) -> Wire: ...
    async def send(self, wire: Wire, target: Target) -> Answer:
        """Raises Trouble when no complete answer came within ``target.timeout`` in all."""
        ...

    def read(self, answer_format: str, status: int, body: bytes) -> Reply:
        """Pure. Raises NotReadable (``not_json``, ``empty``) for a body that is no answer."""
        ...

    def learn(self, target: Target, status: int, body: bytes) -> bool:
        """Take note of a refusal of a capability (json_schema, …); True when the request should be re-made."""
        ...

    async def open(self, concurrency: int) -> None: ...
    async def close(self) -> None: ...


class Prices(Protocol):
    """Prices in 10⁻⁹ USD. None means unknown; 0 means free."""

    def cost(self, model: str, usage: Usage) -> int | None: ...
    def row(self, model: str) -> Mapping[str, Any] | None:
        """The price row used, for the books: nano-USD per million tokens of each kind and where it is from."""
        ...
