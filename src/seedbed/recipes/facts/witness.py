"""The simulator's own ledger beside our books. The ledger is the witness: what it did not see, did not happen.

Both name an item by the lines of the prompt that tell it apart, so they can be compared one by one.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedbed import Project, cost

ITEMS = re.compile(r"(?m)^- ((?:entry|title): .*\n- (?:topic|entry): .*)$")
"""An entry with its topic, or a fact's title with its entry."""
_SERVED = "openai/"
"""The provider of calls that went through the socket."""


@dataclass(frozen=True)
class Ours:
    """By item: durable receipts, and calls in doubt (sent perhaps, ended without an answer)."""

    received: Mapping[str, int]
    doubtful: Mapping[str, int]

    @property
    def receipts(self) -> int:
        return sum(self.received.values())

    @property
    def in_doubt(self) -> int:
        return sum(self.doubtful.values())


def ours(project: Project) -> Ours:
    """What the receipts say; each body is hashed on the way."""
    received: Counter[str] = Counter()
    doubtful: Counter[str] = Counter()
    for purchase in project.receipts().purchases():
        if not purchase.intent.model.startswith(_SERVED):
            continue
        name = name_of("\n\n".join(message.text for message in purchase.intent.request.messages))
        if purchase.receipt is not None:
            received[name] += 1
        elif purchase.ending is None or purchase.ending.kind == "doubt":
            doubtful[name] += 1
    return Ours(received, doubtful)


def name_of(prompt: str) -> str:
    match = ITEMS.search(prompt)
    return match[1] if match else ""


@dataclass(frozen=True)
class Witnessed:
    """The whole ledger, over all starts, and whether our books say the same.

    ``lost``: whole answers that were sent and never received, as a kill came between; each is of a call in doubt.
    ``twice``: whole answers beyond one an item that no doubt explains.
    """

    requests: int
    answers: int
    tokens_in: int
    tokens_out: int
    receipts: int
    in_doubt: int
    our_tokens_in: int
    our_tokens_out: int
    lost: int
    twice: int

    @property
    def agrees(self) -> bool:
        tokens = (self.tokens_in - self.our_tokens_in, self.tokens_out - self.our_tokens_out)
        same = tokens == (0, 0) if not self.lost else min(tokens) >= 0
        return same and not self.twice and self.answers == self.receipts + self.lost and self.lost <= self.in_doubt


def witnessed(project: Project, ledger: Path) -> Witnessed | None:
    """None where there is no ledger."""
    if not ledger.is_file():
        return None
    books = ours(project)
    usage = next((row.usage for row in cost(project, "model").rows if row.group[0].startswith(_SERVED)), None)
    answers: Counter[str] = Counter()
    requests = tokens_in = tokens_out = 0
    for entry in _entries(ledger):
        requests += 1
        if entry["complete"]:
            answers[str(entry["item"] or "")] += 1
            tokens_in += entry["input_tokens"]
            tokens_out += entry["output_tokens"]
    return Witnessed(
        requests=requests,
        answers=answers.total(),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        receipts=books.receipts,
        in_doubt=books.in_doubt,
        our_tokens_in=usage.input + usage.cached if usage else 0,
        our_tokens_out=usage.output if usage else 0,
        lost=sum(max(0, count - books.received.get(item, 0)) for item, count in answers.items()),
        twice=sum(max(0, count - 1 - books.doubtful.get(item, 0)) for item, count in answers.items()),
    )


def _entries(ledger: Path) -> Iterable[Mapping[str, Any]]:
    """The lines that are whole: a server that is killed may leave half of one."""
    for line in ledger.read_text("utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


# ------------------------------------------------------------------------------------- over a kill


@dataclass(frozen=True)
class Moment:
    """How things stood when the process was dead: requests by item as the ledger has them, and our receipts."""

    requests: Mapping[str, int]
    answers: int
    books: Ours

    @property
    def asked(self) -> int:
        return sum(self.requests.values())


def moment(project: Project, summary: Mapping[str, Any]) -> Moment:
    """``summary`` is the simulator's."""
    by_item = summary["by_item"]
    return Moment({name: each["requests"] for name, each in by_item.items()}, summary["complete"], ours(project))


@dataclass(frozen=True)
class Kept:
    """The promise over a kill: what was received was never asked again, and what is in doubt once more at most."""

    received: int
    paid_again: tuple[str, ...]
    in_doubt: int
    in_flight: int
    asked_once_more: int
    asked_too_often: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.paid_again and not self.asked_too_often and self.in_doubt <= self.in_flight


def kept(before: Moment, summary: Mapping[str, Any], in_flight: int) -> Kept:
    """Judged by the simulator's ledger alone, item by item. ``in_flight`` calls may be out at most."""
    after = {name: each["requests"] - before.requests.get(name, 0) for name, each in summary["by_item"].items()}
    received, doubtful = before.books.received, before.books.doubtful
    return Kept(
        received=before.books.receipts,
        paid_again=tuple(sorted(name for name in received if after.get(name, 0))),
        in_doubt=before.books.in_doubt,
        in_flight=in_flight,
        asked_once_more=sum(1 for name in doubtful if after.get(name, 0)),
        asked_too_often=tuple(sorted(name for name, count in after.items() if count > 1)),
    )
