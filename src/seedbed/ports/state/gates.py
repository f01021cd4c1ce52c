"""What people said about a stage: pilots that were drawn, decisions on single answers, signatures. Append-only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from seedbed.records import Outcome

Verdict = Literal["accept", "reject", "undo"]
SignatureKind = Literal["approve", "revoke"]


@dataclass(frozen=True, slots=True)
class PilotRow:
    """A sample that was drawn. ``items`` are (key, why it was chosen) out of ``population`` missing items.

    ``size`` was asked for; ``where`` and ``columns`` are the condition and the category columns of the draw.
    """

    id: str
    stage: str
    recipe: str
    seed: int
    size: int
    where: str
    columns: tuple[str, ...]
    items: tuple[tuple[str, str], ...]
    population: int
    at: int


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """What a person decided about an item's answer of one round. ``number`` rises; the last one counts."""

    stage: str
    key: str
    round: str
    verdict: Verdict
    reviewer: str
    at: int
    reason: str = ""
    note: str = ""
    scores: Mapping[str, int] = field(default_factory=dict)
    pilot: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class SignatureRow:
    """A signature, or the end of one (``revoke``). The last row of a stage is what holds.

    ``money`` in 10⁻⁹ USD, ``until`` in Unix milliseconds; None is no ceiling. ``seen`` is the scorecard that the
    person signed on. ``used_items`` and ``used_money`` count what was worked and spent since.
    """

    stage: str
    kind: SignatureKind
    name: str
    at: int
    recipe: str = ""
    selection: str = ""
    models: tuple[str, ...] = ()
    items: int | None = None
    money: int | None = None
    until: int | None = None
    pilot: str = ""
    note: str = ""
    seen: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0
    used_items: int = 0
    used_money: int = 0


class Gates(Protocol):
    def add_pilot(self, pilot: PilotRow) -> None: ...
    def pilot(self, stage: str) -> PilotRow | None:
        """The newest of a stage."""
        ...

    def decide(self, decision: DecisionRow, before: Outcome, after: Outcome) -> bool:
        """Store a decision and what it makes of the outcome (state and findings), at once and for good.

        False, and nothing is stored, where the outcome is no longer as it was seen.
        """
        ...

    def decisions(self, stage: str) -> list[DecisionRow]:
        """All decisions of a stage, oldest first."""
        ...

    def take_back(self, stage: str, key: str, round_id: str) -> None:
        """Note that what upload wrote for an outcome was undone."""
        ...

    def sign(self, signature: SignatureRow) -> SignatureRow:
        """Append; the row with its number. What is used under it is counted from now on."""
        ...

    def signature(self, stage: str) -> SignatureRow | None:
        """The last row of a stage, with what was used under it."""
        ...

    def signatures(self, stage: str | None = None) -> list[SignatureRow]:
        """All rows, oldest first."""
        ...

    def work_under(self, run: str, stage: str, signature: int) -> None:
        """Note under which signature a run works on a stage."""
        ...

    def worked_under(self, run: str) -> list[SignatureRow]:
        """The signatures under which a run has worked."""
        ...

    def holders(self, signature: int) -> list[str]:
        """Runs that hold room under its ceiling of items."""
        ...

    def take_room(self, signature: int, run: str, *, wanted: int, outstanding: int, gone: Sequence[str]) -> int:
        """How many of ``wanted`` items a run may begin beside the ``outstanding`` ones that it began before.

        What is used, what other runs hold and what is granted never exceed the ceiling together. ``gone`` are
        holders that ended: what they held is free.
        """
        ...

    def of_recipe(self, stage: str, recipe: str, keys: Sequence[str]) -> set[str]:
        """Keys that have an outcome of that recipe, of any round."""
        ...
