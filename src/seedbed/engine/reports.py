"""What the phases return. Faces render these; they compute nothing of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seedbed.errors import SeedbedError, Unbalanced
from seedbed.records import OUTCOME_STATES, Usage


@dataclass(frozen=True)
class Equation:
    """A round's books, each side counted from its own records.

    items = accepted + rejected + refused + failed + set aside + withdrawn + missing, and
    made = stored + duplicate + rejected + withdrawn + waiting for an upload.
    """

    stage: str
    round: str
    closed: bool
    items: int
    states: Mapping[str, int]
    missing: int
    made: int = 0
    fates: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0

    @property
    def problems(self) -> list[str]:
        found = []
        settled = sum(self.states.values())
        if self.items != settled + self.missing:
            found.append(f"{self.items} items, but {settled} outcomes and {self.missing} missing")
        if self.closed and self.missing:
            found.append(f"the round is closed and {self.missing} of its items have no outcome")
        recorded = sum(self.fates.values())
        if self.made != recorded + self.waiting:
            found.append(f"{self.made} rows made, but {recorded} have a fate and {self.waiting} wait for an upload")
        return found

    @property
    def balanced(self) -> bool:
        return not self.problems

    def require(self) -> None:
        if not self.balanced:
            raise Unbalanced(
                f"Round {self.round} of {self.stage} does not add up.",
                why="; ".join(self.problems),
                hint="See it with: seedbed audit   and keep the folder .seedbed as it is.",
            )

    def text(self) -> str:
        parts = [f"{self.states[s]:,} {s}" for s in OUTCOME_STATES if self.states.get(s)]
        if self.missing:
            parts.append(f"{self.missing:,} missing")
        return f"{self.items:,} items = {' + '.join(parts) or '0'}"

    def made_text(self) -> str:
        parts = [f"{count:,} {fate}" for fate, count in sorted(self.fates.items(), key=lambda f: f[0] != "stored")]
        if self.waiting:
            parts.append(f"{self.waiting:,} waiting for an upload")
        return f"{self.made:,} made = {' + '.join(parts) or '0'}"


@dataclass(frozen=True)
class Drawn:
    """A sample: the size that was asked for, the seed, and the keys that were drawn, in key order.

    Some of them may be done already; they are not asked again.
    """

    size: int
    seed: int
    keys: Sequence[str]


@dataclass(frozen=True)
class WrongRows:
    """Rows of a file that are no rows of its table and are left as they are: how many, and the first by line."""

    source: str
    count: int
    rows: Sequence[tuple[int, str]]


@dataclass(frozen=True)
class Preview:
    """One item of a dry run: the request byte for byte (as text) and what would be written."""

    key: str
    request: str
    writes: str


@dataclass(frozen=True)
class AuditReport:
    """How a stage stands. ``eligible`` rows of the source; ``missing`` of them have no outcome.

    ``other_models`` counts accepted answers by the model that served them, where another would be asked today.
    """

    stage: str
    table: str
    rows: int
    eligible: int
    missing: int
    settled: Mapping[str, int]
    uploaded: Mapping[str, int]
    changed: int
    stale: int
    cleared: Sequence[str]
    vanished: int
    made: int
    spent: int | None
    calls: int
    cost_low: int | None
    cost_high: int | None
    changed_cost: int | None
    stale_cost: int | None
    model: str
    recipe: str
    equations: Sequence[Equation]
    extra: Mapping[str, Any] = field(default_factory=dict)
    other_models: Mapping[str, int] = field(default_factory=dict)
    other_models_cost: int | None = None
    sample: Drawn | None = None
    wrong_rows: WrongRows | None = None


@dataclass(frozen=True)
class PlanReport:
    """What would be done: calls, tokens and money as a range. Nothing is sent.

    With ``measured`` above 0 the cost is an interval, true in nine of ten cases, from that many items of late; else a
    range. ``seconds`` is how long it takes, from how long calls of late took, and ``pace`` what decides it: a limit, or
    the calls at once; None and "" before a call was timed. ``binds`` names the cap that the plan meets first, "" where
    none. ``windows`` counts the usage windows it takes, None without one. A cap is not ``guaranteed`` where only a
    ceiling bounds a call.
    """

    stage: str
    items: int
    calls: int
    model: str
    tokens_in: int
    tokens_out_low: int
    tokens_out_high: int
    cost_low: int | None
    cost_high: int | None
    price: Mapping[str, Any] | None
    examples: Sequence[str] = ()
    measured: int = 0
    seconds: float | None = None
    pace: str = ""
    binds: str = ""
    windows: int | None = None
    guaranteed: bool = True
    sample: Drawn | None = None


@dataclass(frozen=True)
class ExportReport:
    stage: str
    round: str
    items: int
    new: bool
    sample: Sequence[str] = ()
    dry_run: bool = False
    drawn: Drawn | None = None
    out: str = ""


@dataclass(frozen=True)
class GenerateReport:
    """What a generate came to. ``states`` counts the outcomes of this invocation only.

    ``refused`` counts the requests that the provider turned away for their rate (429). ``error`` is what ended it
    early (a Pause, Stopped, a refused key, …); all that was received is saved.
    """

    stage: str
    states: Mapping[str, int]
    calls: int
    retries: int
    spent: int | None
    usage: Usage
    peak_in_flight: int
    equations: Sequence[Equation]
    read_first: int = 0
    doubtful: int = 0
    corrupt: Sequence[str] = ()
    diverged: Sequence[str] = ()
    refused: int = 0
    previews: Sequence[Preview] = ()
    counted: int = 0
    sample: Drawn | None = None
    wrong_rows: WrongRows | None = None
    seconds: float = 0.0
    error: SeedbedError | None = None

    @property
    def settled(self) -> int:
        return sum(self.states.values())


@dataclass(frozen=True)
class UploadReport:
    stage: str
    release: str
    fates: Mapping[str, int]
    made: Mapping[str, int]
    left: Sequence[tuple[str, str]]
    examples: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = ()
    out: str = ""
    dry_run: bool = False

    @property
    def written(self) -> int:
        return self.fates.get("applied", 0) + self.made.get("stored", 0)


@dataclass(frozen=True)
class ValidateReport:
    """The audit again over the corpus as it is now, findings of the checks, and a sample for a person."""

    audit: AuditReport
    checked: int
    findings: Mapping[str, int]
    examples: Sequence[tuple[str, str, str]]
    sample: Sequence[tuple[str, Any]]
    seed: int


@dataclass(frozen=True)
class RereadReport:
    """All receipts of a stage read again with today's reader, shape and checks. No call is made.

    ``verdicts`` counts items: same, longer, shorter, other, mended (declined before), declined (accepted
    before), still declined. ``applied`` counts outcomes that were changed; a shorter reading changes none.
    """

    stage: str
    receipts: int
    verdicts: Mapping[str, int]
    applied: int
    examples: Sequence[tuple[str, str, str]]
    skipped: int = 0
    dry_run: bool = False
    archived: int = 0


@dataclass(frozen=True)
class RepairReport:
    """A broken file of the user's own, mended. ``edits`` are (line, column, kind, removed, inserted)."""

    source: str
    out: str
    documents: int
    edits: Sequence[tuple[int, int, str, str, str]]
    declined: Sequence[tuple[int, str]]
    backup: str = ""
    dry_run: bool = False


@dataclass(frozen=True)
class RollbackReport:
    release: str
    stage: str
    restored: int
    deleted: int
    left: Sequence[tuple[str, str]]
    withdrawn: int
    dry_run: bool = False


@dataclass(frozen=True)
class Foretold:
    """What was forecast for a stage in a run after its first ``measured`` items, and what it came to.

    Money in 10⁻⁹ USD, over all ``items`` of the run with the first ones; ``came_to`` is None where a price is unknown.
    """

    stage: str
    measured: int
    items: int
    cost_low: int
    cost_high: int
    came_to: int | None


@dataclass(frozen=True)
class StageRun:
    """One pass of a stage within a run."""

    generated: GenerateReport
    uploaded: UploadReport | None


@dataclass(frozen=True)
class RunReport:
    """A whole run: every stage that had something to do, in the order it was worked.

    ``error`` is what ended it early; all that was received is saved. ``unbounded`` are models of whose calls nothing
    but an expected ceiling bounds the price: a cap is *not guaranteed* for them.
    """

    run: str
    target: str
    status: str
    seconds: float
    passes: Sequence[StageRun]
    equations: Sequence[Equation]
    spent: int | None
    cap: int | None
    calls: int
    usage: Usage
    phases: Mapping[str, float]
    page: str = ""
    error: SeedbedError | None = None
    wrong_rows: WrongRows | None = None
    unbounded: Sequence[str] = ()
    forecasts: Sequence[Foretold] = ()


@dataclass(frozen=True)
class WindowReport:
    """A usage window; amounts in ``unit``, money in 10⁻⁹ USD. ``closed``: off, quiet or closed; else empty."""

    name: str
    unit: str
    capacity: int | None
    learned: bool
    share: float
    allowed: int | None
    used: int
    ends: str | None
    closed: str
    closed_until: str | None
    waves_left: int | None
    done_by: str | None
    next_wave: str | None


@dataclass(frozen=True)
class StageStatus:
    stage: str
    total: int
    done: int
    missing: int
    states: Mapping[str, int]
    waiting_upload: int
    spent: int | None
    windows: Sequence[WindowReport] = ()

    @property
    def percent(self) -> float:
        """Rounded down: 100 is all of them."""
        return 0.0 if not self.total else 1000 * self.done // self.total / 10


@dataclass(frozen=True)
class StatusReport:
    """How things stand. Writes nothing; needs no key. ``last`` is the newest run, None where nothing was run.

    ``per_minute`` are the items that the runs under way settled a minute of late, None where none was settled.
    ``unbounded`` are models of the stages for which a cap is not guaranteed.
    """

    project: str
    at: str
    stages: Sequence[StageStatus]
    spent: int
    doubtful: int
    unknown_prices: int
    cap: int | None
    corrupt: int
    running: Sequence[Mapping[str, Any]]
    eta_seconds: float | None
    needs: Sequence[str]
    next: Sequence[str]
    last: Mapping[str, Any] | None = None
    signatures: Sequence[Mapping[str, Any]] = ()
    per_minute: float | None = None
    unbounded: Sequence[str] = ()
