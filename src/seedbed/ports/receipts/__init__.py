"""What was bought: intents before each call, receipts after it. Local first, append-only.

An *intent* is durable before its request is sent; a *receipt* (the verbatim body) is durable
before anything reads it. An intent ends as receipt, *closed* without charge, or *in doubt*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from seedbed.records import Item, Request

BodyFormat = Literal["json", "sse", "stdout", "batch", "redacted"]
REDACTED: BodyFormat = "redacted"
"""The body was taken out on record; ``sha256`` is still that of the answer."""
EndKind = Literal["closed", "doubt"]
Mark = Mapping[str, int]
"""Per receipts file (by its writer name) the number up to which each intent is settled in the state."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A call that is about to be sent.

    ``id`` is unique for ever: writer name, dash, number. ``items`` hold keys, rows, fingerprints,
    context and *before* cells as the worklist has them, so that a receipt can be read with nothing
    else. ``reserved`` is in 10⁻⁹ USD, None when the price is unknown. ``at`` is Unix milliseconds.
    """

    id: str
    call: str
    stage: str
    round: str
    name: str
    attempt: int
    items: tuple[Item, ...]
    recipe: str
    request: Request
    request_digest: str
    model: str
    account: str
    reserved: int | None
    run: str
    at: int
    lane: str = "live"
    batch: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The verbatim answer. ``sha256`` is over the decoded body bytes."""

    intent: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    format: BodyFormat
    sha256: str
    at: int


@dataclass(frozen=True, slots=True)
class Ending:
    """How an intent ended without a receipt: ``closed`` (not charged) or ``doubt`` (possibly paid)."""

    intent: str
    kind: EndKind
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class Purchase:
    """An intent and what became of it. Neither receipt nor ending: it ended with its process, in doubt.

    ``corrupt`` is set, and ``receipt`` None, where the stored body fails its checksum.
    """

    intent: Intent
    number: int
    writer: str
    receipt: Receipt | None = None
    ending: Ending | None = None
    corrupt: bool = False


@dataclass(frozen=True, slots=True)
class Verified:
    """What ``receipts verify`` counted. ``corrupt`` names intents whose body fails its checksum."""

    files: int = 0
    intents: int = 0
    receipts: int = 0
    closed: int = 0
    doubtful: int = 0
    open: int = 0
    bytes: int = 0
    redacted: int = 0
    corrupt: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts for a status line, without reading a body; ``Verified`` counts the records themselves."""

    files: int = 0
    intents: int = 0
    receipts: int = 0
    closed: int = 0
    doubtful: int = 0
    open: int = 0


class ReceiptWriter(Protocol):
    """One process's appender. Appends return at once; ``token`` comes back through ``on_commit``
    (called on the writer's thread, with a list) when the record is durable."""

    name: str
    low_on_space: bool
    """The last room on the disk is used up: what is in flight is stored, nothing more may be sent."""

    def next_id(self) -> str: ...
    def intend(self, intent: Intent, token: Any) -> None: ...
    def receive(self, receipt: Receipt, token: Any) -> None: ...
    def end(self, ending: Ending, token: Any = None) -> None: ...
    def close(self) -> None: ...


OnCommit = Callable[[list[Any], BaseException | None], None]


class ReceiptStore(Protocol):
    """All receipts of a project, over the files of all its writers."""

    def writer(self, on_commit: OnCommit) -> ReceiptWriter: ...
    def writers(self) -> set[str]:
        """All whose receipts are here."""
        ...

    def purchases(self, after: Mark | None = None, *, stage: str | None = None) -> Iterator[Purchase]: ...
    def names(self) -> Iterator[list[tuple[str, str, str]]]:
        """Pages of (intent, stage, name of the call) over all intents; what was asked and answered is not read."""
        ...

    def of_calls(self, calls: Sequence[str]) -> list[Purchase]: ...
    def get(self, intent: str) -> Purchase | None: ...
    def entangled(self) -> set[str]:
        """Writers that received something for intents of others, and those others."""
        ...

    def summary(self) -> Summary: ...
    def size_bytes(self) -> int: ...
    def verify(self) -> Verified: ...
    def export(self) -> Iterator[dict[str, Any]]: ...
    def take_in(self, lines: Iterable[dict[str, Any]]) -> tuple[int, int]:
        """Import exported lines: (new, already there). A second time adds nothing."""
        ...
