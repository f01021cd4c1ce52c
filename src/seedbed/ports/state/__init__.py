"""What seedbed remembers: runs, rounds, outcomes, releases, the till. The outcome here is the authority.

Each thread opens its own :class:`State`; every method is one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from seedbed.ports.state.gates import Gates
from seedbed.ports.state.leases import Leases
from seedbed.records import NO_USAGE, Outcome, OutcomeState, Usage

RunStatus = Literal["running", "completed", "partial", "failed"]
RoundStatus = Literal["open", "closed", "superseded"]
ReleaseStatus = Literal["applying", "applied", "partly rolled back", "rolled back"]
TillKind = Literal["settle", "doubt", "adopt", "refund", "price"]
"""``adopt``: an answer that was paid for elsewhere; its tokens are known, its price here is 0. Of what is only ever
added: a ``refund`` takes a doubt back whose answer was found, a ``price`` is what a call came to that was booked
without one."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One invocation that works. ``cap`` in 10⁻⁹ USD; times in Unix milliseconds."""

    id: str
    command: str
    target: str
    started: int
    status: RunStatus
    settings: Mapping[str, Any]
    pid: int
    host: str
    finished: int | None = None
    cap: int | None = None
    exit_code: int | None = None
    message: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True)
class RoundRow:
    """One derivation of what is missing. ``number`` rises with each round of the project.

    All items up to place ``passed`` of its worklist, where ``passed_key`` stands, have an outcome in the round.
    """

    id: str
    number: int
    stage: str
    part: str
    recipe: str
    status: RoundStatus
    run: str
    opened: int
    items: int = 0
    closed: int | None = None
    passed: int = 0
    passed_key: str = ""


@dataclass(frozen=True, slots=True)
class TillEntry:
    """Money and tokens of one intent. ``nano`` is None when the price is unknown.

    ``account`` names the key that paid, never the key; ``price`` is the hash of the price row that was used.
    """

    intent: str
    kind: TillKind
    nano: int | None
    stage: str
    run: str
    model: str
    at: int
    usage: Usage = NO_USAGE
    served: str = ""
    saved: int = 0
    account: str = ""
    price: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    id: str
    stage: str
    table: str
    status: ReleaseStatus
    opened: int
    run: str = ""
    closed: int | None = None


@dataclass(frozen=True, slots=True)
class MadeRow:
    """What became of one row that an accepted output stands for."""

    stage: str
    round: str
    parent: str
    ordinal: int
    table: str
    id: str
    fate: str
    release: str
    reason: str = ""


class Waiting(NamedTuple):
    """An accepted outcome that no upload has looked at yet: no more of it than its cells need."""

    key: str
    round: str
    state: OutcomeState
    fingerprint: str
    before: Mapping[str, Any]
    output: Any


class Uploaded(NamedTuple):
    """What upload did with an outcome: applied, drifted, vanished, refused, cleared."""

    key: str
    round: str
    fate: str
    reason: str = ""


@dataclass(frozen=True)
class RoundSums:
    """What the outcomes of a round add up to.

    ``made`` are the rows that its accepted outputs stand for, counted by the reader; ``waiting`` those of them
    that no upload has looked at.
    """

    states: Mapping[str, int] = field(default_factory=dict)
    made: int = 0
    waiting: int = 0


@dataclass(frozen=True)
class Tally:
    """Counts of the current outcomes of a stage; ``models`` of accepted ones, by (asked, served)."""

    states: Mapping[str, int] = field(default_factory=dict)
    stale: int = 0
    made: int = 0
    cost: int | None = 0
    uploaded: Mapping[str, int] = field(default_factory=dict)
    models: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @property
    def settled(self) -> int:
        return sum(self.states.values())


@dataclass(frozen=True, slots=True)
class Spending:
    """Money by group. ``unknown`` counts entries without a price; ``doubtful`` is held for calls in doubt."""

    group: tuple[str, ...]
    nano: int
    doubtful: int
    unknown: int
    calls: int
    usage: Usage
    saved: int = 0


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What was asked of a model within a span of time: items settled, calls sent, tokens, 10⁻⁹ USD."""

    model: str
    items: int = 0
    calls: int = 0
    tokens: int = 0
    nano: int = 0


class State(Gates, Leases, Protocol):
    # runs
    def open_run(self, run: RunRow) -> None: ...
    def close_run(self, run: str, status: RunStatus, exit_code: int, message: str, at: int) -> None: ...
    def set_page(self, run: str, page: str) -> None: ...
    def runs(self, *, limit: int = 50, status: RunStatus | None = None) -> list[RunRow]: ...
    def run(self, run: str) -> RunRow | None: ...

    # rounds
    def open_round(self, row: RoundRow) -> RoundRow:
        """Stores the round with the next number, for good also when the power goes: the receipts of its calls are
        kept so, and with the round lost, items of several calls would be asked all of theirs again."""
        ...

    def count_round(self, round_id: str, items: int) -> None: ...
    def pass_round(self, round_id: str, place: int, key: str) -> None:
        """Remember that all items of its worklist up to this place have an outcome in the round."""
        ...

    def close_round(self, round_id: str, status: RoundStatus, at: int) -> None: ...
    def rounds(self, *, stage: str | None = None, status: RoundStatus | None = None) -> list[RoundRow]: ...
    def rounds_of_run(self, run: str) -> list[RoundRow]: ...

    # outcomes
    def settled(self, stage: str, keys: Sequence[str]) -> set[str]: ...
    def unsettled(self, stage: str, keys: Sequence[str]) -> set[str]:
        """The others of these keys; the faster look where nearly all are settled."""
        ...

    def stand_ins(self, stage: str, keys: Sequence[str]) -> set[str]:
        """Keys whose current outcome was made by the stand-in."""
        ...

    def has_stand_ins(self, stage: str) -> bool: ...
    def settled_in_round(self, round_id: str, stage: str, keys: Sequence[str]) -> set[str]: ...
    def settle(
        self,
        outcomes: Iterable[Outcome],
        entries: Iterable[TillEntry] = (),
        marks: Mapping[tuple[str, str], int] | None = None,
    ) -> None:
        """Outcomes, their money and the settled marks (writer, stage) in one transaction. Repeatable."""
        ...

    def current(self, stage: str, keys: Sequence[str]) -> dict[str, Outcome]: ...
    def outcomes(
        self,
        stage: str,
        *,
        states: Sequence[OutcomeState] | None = None,
        waiting: bool = False,
        after: str | None = None,
        limit: int = 1000,
        round_id: str | None = None,
    ) -> list[Outcome]:
        """Current outcomes in key order, a page at a time. ``waiting``: accepted and not yet uploaded."""
        ...

    def waiting(self, stage: str, *, after: str | None = None, limit: int = 1000) -> list[Waiting]:
        """Current outcomes that are accepted and not yet uploaded, in key order, a page at a time."""
        ...

    def prints(self, stage: str, *, after: str | None = None, limit: int = 5000) -> list[tuple[str, str, str]]:
        """(key, fingerprint, fate) of current outcomes in key order, a page at a time; no bodies."""
        ...

    def reread(self, outcomes: Iterable[Outcome]) -> None:
        """Put another reading of the same receipts in place: state, output, findings, rows made.

        The outcome waits for an upload again; what its calls cost stays as it is.
        """
        ...

    def set_state(self, stage: str, keys: Sequence[str], state: OutcomeState) -> int: ...
    def tally(self, stage: str, recipe: str | None = None) -> Tally:
        """Counted from the outcomes themselves."""
        ...

    def standing(self) -> dict[str, Tally]:
        """States and upload fates of all stages at once, from stored counts: one look, however many items.

        The counts change in the transactions that change what they count. Money and rows made are not in it.
        """
        ...

    def history(self, stage: str, key: str) -> list[tuple[Outcome, Uploaded, str]]:
        """Each outcome of an item, oldest first, with what upload did and in which release ("" for not yet)."""
        ...

    def since(
        self, at: int, *, after: tuple[int, str, str] | None = None, run: str | None = None, limit: int = 1000
    ) -> list[Outcome]:
        """Outcomes settled at ``at`` or later in the order (at, stage, key), a page behind ``after``; no bodies."""
        ...

    def pace(self, run: str, since: int) -> tuple[int, int]:
        """(outcomes of a run settled since, when the first of them was)."""
        ...

    def stages(self) -> list[str]: ...
    def states_of_round(self, round_id: str) -> dict[str, int]: ...
    def topics_of_round(self, round_id: str, *, limit: int) -> list[str]:
        """What the column ``topic`` holds in the rows of so many of its outcomes; for rows that are made."""
        ...

    def count_of_round(self, round_id: str) -> int:
        """How many outcomes a round has, quickly."""
        ...

    def count_of_keys(self, round_id: str, keys: Sequence[str]) -> int:
        """How many of these keys have an outcome in the round."""
        ...

    def keys_of_round(
        self, round_id: str, *, after: str | None, up_to: str | None = None, limit: int | None = None
    ) -> list[str]:
        """Keys with an outcome in the round, in the order of their text."""
        ...

    def reasons(self, stage: str | None = None) -> list[tuple[str, str, str, int, str]]:
        """(stage, state, code, count, an example key) of current outcomes that were not accepted."""
        ...

    def marks(self, stage: str) -> dict[str, int]: ...

    # uploads
    def open_release(self, release: Release) -> Release:
        """The stage's release that is still being applied, else this new one."""
        ...

    def close_release(self, release: str, status: ReleaseStatus, at: int) -> None: ...
    def releases(self) -> list[Release]: ...
    def release_counts(self) -> dict[str, dict[str, int]]:
        """What each release did, by fate; rows that were made are told as ``rows FATE``."""
        ...

    def uploaded(self, stage: str, release: str, fates: Iterable[Uploaded], made: Iterable[MadeRow] = ()) -> None: ...
    def upload_fate(self, stage: str, keys: Sequence[str]) -> dict[str, tuple[str, str]]:
        """(fate, release) of current outcomes that were uploaded."""
        ...

    def made_of_round(self, round_id: str) -> dict[str, int]: ...
    def sums_of_round(self, round_id: str) -> RoundSums:
        """The outcomes of a round by state, and the rows that their outputs stand for; in one look."""
        ...

    def withdraw_made(self, release: str) -> None: ...
    def items_of_release(self, release: str) -> list[str]: ...

    # money
    def till_has(self, intents: Sequence[str]) -> set[str]: ...
    def spending(
        self, by: Sequence[str] = (), *, run: str | None = None, intents: Sequence[str] | None = None
    ) -> list[Spending]:
        """Grouped by any of stage, model, served, run, account, intent, kind, day (UTC), quarter (of an hour since
        1970). Of one run, or of some intents, a few hundred at most.
        """
        ...

    def costs(self, stage: str, recipe: str, model: str, limit: int) -> list[tuple[str, int]]:
        """(key, cost) of outcomes of late with this recipe and model whose price is known, newest first."""
        ...

    def unpriced(self, limit: int = 1000) -> list[TillEntry]:
        """Entries without a price that no later one has priced."""
        ...

    def price(self, hash: str, row: Mapping[str, Any] | None = None) -> Mapping[str, Any] | None:
        """Store (with ``row``) or read a price row by its hash."""
        ...

    def used_between(self, start: int, end: int) -> list[ModelUse]:
        """By the model that was asked, from ``start`` to before ``end`` in Unix milliseconds; adopted ones are out."""
        ...

    def cost_of_states(self) -> list[Spending]:
        """What items cost, by the state of their outcomes; ``calls`` counts items."""
        ...

    def money(self) -> dict[str, Spending]:
        """Money of all stages from stored sums; tokens are not in it."""
        ...

    def entries(self, intents: Sequence[str]) -> dict[str, TillEntry]:
        """What each intent came to: settled if it was, else in doubt."""
        ...

    def events(self, intent: str) -> list[TillEntry]:
        """All entries of an intent."""
        ...

    # small settings
    def recipe(self, recipe: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any] | None:
        """Store (with ``body``) or read a recipe by its hash."""
        ...

    def note(self, name: str, value: Any = None) -> Any:
        """Store (with ``value``) or read a small named JSON value."""
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """All that is read within shows one moment, whatever others write. Nothing may be written within."""
        ...

    def close(self) -> None: ...


OutcomePage = Iterator[list[Outcome]]
