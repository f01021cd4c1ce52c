"""Upload: accepted outputs into the corpus as one release, compared before they are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from types import TracebackType
from typing import Any, Protocol, TypeVar

from seedbed.conditions import is_empty
from seedbed.crashing import point
from seedbed.engine.projects.binding import BoundStage, makes_rows
from seedbed.engine.projects.clock import now_ms
from seedbed.engine.projects.project import Project, new_id
from seedbed.engine.reports import UploadReport
from seedbed.engine.work.rounds import Scope, output_cells
from seedbed.errors import SourceError, UsageError
from seedbed.policy.budget import share
from seedbed.ports.corpus import CellWrite, Corpus, Inserted, NewRow, Standing, Written
from seedbed.ports.state import MadeRow, Release, State, Uploaded, Waiting
from seedbed.records import WHOLE, Item, Outcome, OutcomeState, key_text, key_values, row_id
from seedbed.stage import Fills, Makes, Row

PAGE = 5000
EXAMPLES = 5
LEFT = ("drifted", "vanished", "refused")


@dataclass
class _Tally:
    """What an upload came to, by fate."""

    fates: dict[str, int] = field(default_factory=dict)
    made: dict[str, int] = field(default_factory=dict)
    left: list[tuple[str, str]] = field(default_factory=list)
    examples: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=list)

    def cells(self, writes: Sequence[CellWrite], fates: Sequence[str], reasons: Sequence[str]) -> None:
        for fate, count in Counter(fates).items():
            self.fates[fate] = self.fates.get(fate, 0) + count
        if len(self.examples) == EXAMPLES and not set(LEFT) & set(fates):
            return
        for write, fate, reason in zip(writes, fates, reasons, strict=True):
            if fate in LEFT:
                self.left.append((write.key, reason or fate))
            elif len(self.examples) < EXAMPLES:
                self.examples.append((write.key, write.before, write.after))

    def report(self, stage: str, release: str, *, out: str = "", dry_run: bool = False) -> UploadReport:
        return UploadReport(stage, release, self.fates, self.made, tuple(self.left), tuple(self.examples), out, dry_run)


def upload_stage(
    project: Project,
    stage: BoundStage,
    corpus: Corpus,
    state: State,
    run: str,
    scope: Scope,
    *,
    allow_stand_in: bool,
) -> UploadReport:
    """Apply what waits (or what is named); the release is closed when all of it has a fate."""
    with closing(project.state()) as clerks:
        uploading = _Uploading(stage, corpus, clerks, scope)
        relation = stage.stage.relation
        if isinstance(relation, Fills):
            return _upload(_Cells(uploading, relation), project, state, run, allow_stand_in=allow_stand_in)
        return _upload(_Rows(uploading), project, state, run, allow_stand_in=allow_stand_in)


def preview_upload(stage: BoundStage, corpus: Corpus, state: State, scope: Scope) -> UploadReport:
    """What :func:`upload_stage` would do; nothing is written."""
    uploading = _Uploading(stage, corpus, state, scope)
    relation = stage.stage.relation
    return _preview(_Cells(uploading, relation)) if isinstance(relation, Fills) else _preview(_Rows(uploading))


def tables_of(stage: BoundStage) -> list[str]:
    relation = stage.stage.relation
    return [relation.table] if isinstance(relation, Fills) else sorted(relation.into)


# --------------------------------------------------------------------------------- whatever it writes


@dataclass
class _Uploading:
    """What is uploaded, from where to where, and what it came to. The state is the clerk's."""

    stage: BoundStage
    corpus: Corpus
    state: State
    scope: Scope
    tally: _Tally = field(default_factory=_Tally)
    done: Standing = lambda places: set()
    """Which of these places an upload that was killed has written in this release. They are not written once more: a
    person may have emptied or deleted them since."""

    def named(self, ids: Sequence[str]) -> list[Outcome]:
        """Those that can be uploaded by name: accepted ones, and withdrawn ones once more."""
        found = self.state.current(self.stage.name, list(ids)).values()
        return sorted((o for o in found if o.state in ("accepted", "withdrawn")), key=lambda o: o.key)


class _Answer(Protocol):
    """What of an outcome counts whatever it writes."""

    @property
    def key(self) -> str: ...
    @property
    def state(self) -> OutcomeState: ...


A = TypeVar("A", bound=_Answer)


class _Kind(Protocol[A]):
    """Cells that are filled, or rows that are made."""

    uploading: _Uploading

    def pages(self) -> Iterator[list[A]]:
        """Accepted outcomes that no upload has looked at; by name also those that were withdrawn or cleared."""
        ...

    def apply(self, release: str, page: list[A]) -> _Note:
        """Write a page; what became of it."""
        ...

    def preview(self, page: list[A]) -> None: ...


@dataclass
class _Note:
    """What became of a page. ``again`` are the outcomes in it that had been withdrawn."""

    fates: list[Uploaded]
    made: list[MadeRow] = field(default_factory=list)
    again: list[str] = field(default_factory=list)


class _Clerk:
    """Reads the next page and notes the last one while a page is written, so that two databases work at once."""

    def __init__(self, it: _Uploading, release: str) -> None:
        self._it, self._release = it, release
        self._desk = ThreadPoolExecutor(1, thread_name_prefix="seedbed-clerk")
        self._noted: Future[None] | None = None

    def pages(self, first: list[A] | None, rest: Callable[[], list[A] | None]) -> Iterator[list[A]]:
        page = first
        while page is not None:
            following = self._desk.submit(rest)
            yield page
            page = following.result()

    def note(self, note: _Note) -> None:
        """Goes on at once; what was wrong with the note before is told here."""
        if self._noted is not None:
            self._noted.result()
        self._noted = self._desk.submit(self._write, note)

    def _write(self, note: _Note) -> None:
        state, stage = self._it.state, self._it.stage.name
        state.uploaded(stage, self._release, note.fates, note.made)
        if note.again:
            state.set_state(stage, note.again, "accepted")

    def __enter__(self) -> _Clerk:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._desk.shutdown()
        if self._noted is not None and error is None:
            self._noted.result()


def _upload(kind: _Kind[A], project: Project, state: State, run: str, *, allow_stand_in: bool) -> UploadReport:
    it, stage = kind.uploading, kind.uploading.stage
    pages = kind.pages()

    def page() -> list[A] | None:
        found = next(pages, None)
        if found is not None and not allow_stand_in:
            _refuse_stand_in(it, found)
        return found

    first = page()
    open_ones = [r for r in state.releases() if r.stage == stage.name and r.status == "applying"]
    if first is None and not open_ones:
        return it.tally.report(stage.name, "")
    opened = Release(new_id("release"), stage.name, ", ".join(tables_of(stage)), "applying", now_ms(), run)
    release = state.open_release(opened).id
    point("after a release opens")
    if release != opened.id and it.scope.ids is None:
        it.done = it.corpus.standing(release)
    with _Clerk(it, release) as clerk:
        for found in clerk.pages(first, page):
            note = kind.apply(release, found)
            note.again = [answer.key for answer in found if answer.state == "withdrawn"]
            clerk.note(note)
    out = project.write_file() if project.source is not None else ""
    point("before a release closes")
    state.close_release(release, "applied", now_ms())
    point("after a release closes")
    return it.tally.report(stage.name, release, out=out)


def _preview(kind: _Kind[A]) -> UploadReport:
    for page in kind.pages():
        kind.preview(page)
    return kind.uploading.tally.report(kind.uploading.stage.name, "", dry_run=True)


# ------------------------------------------------------------------------------------------ cells


@dataclass
class _Cells:
    """Answers that fill cells."""

    uploading: _Uploading
    relation: Fills

    def pages(self) -> Iterator[list[Waiting]]:
        it = self.uploading
        if it.scope.ids is not None:
            if named := it.named(it.scope.ids):
                yield self._as_now(named)
            return
        after: str | None = None
        while page := it.state.waiting(it.stage.name, after=after, limit=PAGE):
            after = page[-1].key
            mine = page if it.scope.part == WHOLE else [each for each in page if it.scope.part.holds(each.key)]
            if mine:
                yield mine

    def apply(self, release: str, page: list[Waiting]) -> _Note:
        it, table = self.uploading, self.relation.table
        done = it.done([(table, answer.key) for answer in page])
        there = [answer for answer in page if (table, answer.key) in done] if done else []
        rest = [answer for answer in page if (table, answer.key) not in done] if done else page
        writes = self._writes(rest)
        written = it.corpus.write(
            release, table, it.stage.key, writes, fingerprint=it.stage.fingerprint, source=self._view()
        )
        fates, reasons = _told(written)
        it.tally.cells(self._writes(there), ["already"] * len(there), [""] * len(there))
        it.tally.cells(writes, fates, reasons)
        point("after cells, before their note")
        noted = ["applied" if fate == "already" else fate for fate in fates]
        told = zip([a.key for a in rest], [a.round for a in rest], noted, reasons, strict=True)
        return _Note([Uploaded(a.key, a.round, "applied") for a in there] + list(map(Uploaded._make, told)))

    def preview(self, page: list[Waiting]) -> None:
        it, writes = self.uploading, self._writes(page)
        written = it.corpus.preview(
            self.relation.table, it.stage.key, writes, fingerprint=it.stage.fingerprint, source=self._view()
        )
        fates, reasons = _told(written)
        it.tally.cells(writes, fates, reasons)

    def _writes(self, answers: Sequence[Waiting]) -> list[CellWrite]:
        """Only what might be written at export is written."""
        if not answers:
            return []
        keys, _, _, prints, before, output = zip(*answers, strict=True)
        return list(map(CellWrite._make, zip(keys, prints, before, map(self._after, before, output), strict=True)))

    def _after(self, before: Mapping[str, Any], output: Any) -> Mapping[str, Any]:
        cells = output if type(output) is dict else output_cells(self.relation, output)
        return cells if cells.keys() == before.keys() else {name: cells.get(name) for name in before}

    def _view(self) -> str | None:
        source = self.uploading.stage.source.name
        return source if self.relation.table != source else None

    def _as_now(self, outcomes: Sequence[Outcome]) -> list[Waiting]:
        """Named outcomes: a cell that a person emptied after an upload is written again over the empty cell."""
        it, keys = self.uploading, [outcome.key for outcome in outcomes]
        uploaded = it.state.upload_fate(it.stage.name, keys)
        rows = it.corpus.fetch(self.relation.table, it.stage.key, [key_values(key) for key in keys])
        now = {key_text([row[name] for name in it.stage.key]): row for row in rows}
        return [self._over_empty(outcome, now.get(outcome.key), outcome.key in uploaded) for outcome in outcomes]

    def _over_empty(self, o: Outcome, row: Mapping[str, Any] | None, uploaded: bool) -> Waiting:
        cells = {name: row.get(name) for name in self.relation.outputs} if row is not None else {}
        emptied = uploaded and cells and all(is_empty(value) for value in cells.values())
        before = cells if emptied else o.before
        return Waiting(o.key, o.round, o.state, o.fingerprint, before, o.output)


def _told(written: Iterable[Written]) -> tuple[list[str], list[str]]:
    rows = list(written)
    return [row.fate for row in rows], [row.reason for row in rows]


# ------------------------------------------------------------------------------------------- rows


@dataclass
class _Rows:
    """Answers that make rows."""

    uploading: _Uploading

    def pages(self) -> Iterator[list[Outcome]]:
        it = self.uploading
        if it.scope.ids is not None:
            if named := it.named(it.scope.ids):
                yield named
            return
        # Duplicates are decided at a round's end in key order, so that neither arrival nor a kill decides.
        for row in it.state.rounds(stage=it.stage.name):
            if row.status != "open":
                yield from self._waiting(row.id)

    def _waiting(self, round_id: str) -> Iterator[list[Outcome]]:
        it, after = self.uploading, None
        while page := it.state.outcomes(it.stage.name, waiting=True, after=after, limit=PAGE, round_id=round_id):
            after = page[-1].key
            mine = [outcome for outcome in page if it.scope.part.holds(outcome.key)]
            if mine:
                yield mine

    def apply(self, release: str, page: list[Outcome]) -> _Note:
        it, stage = self.uploading, self.uploading.stage
        rounds = {outcome.key: outcome.round for outcome in page}
        rows = [row for outcome in page for row in rows_of(stage, outcome)]
        there, rest = _made_before(rows, it.done([_place(row) for row in rows]))
        made = []
        for inserted in chain(there, it.corpus.insert(release, rest)):
            row = inserted.row
            fate = "stored" if inserted.fate == "already" else inserted.fate
            self._count(row, fate, inserted.reason)
            made.append(
                MadeRow(
                    stage.name, rounds[row.parent], row.parent, row.ordinal, row.table, row.id, fate, release,
                    inserted.reason,
                )
            )  # fmt: skip
        it.tally.fates["applied"] = it.tally.fates.get("applied", 0) + len(page)
        point("after rows, before their note")
        return _Note([Uploaded(o.key, o.round, "applied") for o in page], made)

    def preview(self, page: list[Outcome]) -> None:
        rows = [row for outcome in page for row in rows_of(self.uploading.stage, outcome)]
        for inserted in self.uploading.corpus.preview_insert(rows):
            self._count(inserted.row, inserted.fate, inserted.reason)

    def _count(self, row: NewRow, fate: str, reason: str) -> None:
        tally = self.uploading.tally
        tally.made[fate] = tally.made.get(fate, 0) + 1
        if fate == "rejected":
            tally.left.append((row.parent, f"{row.table}: {reason}"))
        elif fate == "stored" and len(tally.examples) < EXAMPLES:
            tally.examples.append((row.id, {}, dict(row.values)))


def _made_before(rows: Sequence[NewRow], done: Set[tuple[str, str]]) -> tuple[list[Inserted], list[NewRow]]:
    """Rows that the release has made, each once; and the others."""
    there: dict[tuple[str, str], list[Inserted]] = {}
    rest: list[NewRow] = []
    for row in rows:
        place = _place(row)
        if place not in done:
            rest.append(row)
        elif place in there:
            there[place].append(Inserted(row, "duplicate", "the same answer made this row before"))
        else:
            there[place] = [Inserted(row, "already")]
    return [inserted for found in there.values() for inserted in found], rest


def _place(row: NewRow) -> tuple[str, str]:
    return row.table, key_text([row.id])


def rows_of(stage: BoundStage, outcome: Outcome) -> list[NewRow]:
    """The rows that an accepted output stands for, with their ids and shares of the cost."""
    relation = makes_rows(stage.stage)
    if relation is None:
        return []
    item = Item(outcome.key, outcome.row, outcome.fingerprint, model=outcome.model)
    rows = list(relation.rows(item, outcome.output))
    costs = _costs(relation.cost if isinstance(relation, Makes) else {}, rows, outcome.cost)
    out = []
    for ordinal, (row, cost) in enumerate(zip(rows, costs, strict=True)):
        if row.table not in relation.into:
            raise SourceError(
                f"stage {stage.name} made a row of {row.table}, which it does not declare",
                hint=f"Add it to into={{...}}; declared: {', '.join(relation.into)}.",
            )
        keys = relation.into[row.table]
        values = {name: _reference(value, outcome.key) for name, value in row.items()}
        natural = [row.table, *(values.get(column) for column in keys[0].columns)] if keys else None
        made = row_id(outcome.key, stage.name, natural, ordinal, values)
        out.append(NewRow(made, row.table, {**values, **cost}, keys, outcome.key, ordinal))
    return out


def _reference(value: Any, key: str) -> Any:
    """A row that names its item by ``item.key`` refers to the value of a one-column key."""
    if value == key and isinstance(value, str) and len(values := key_values(key)) == 1:
        return values[0]
    return value


def _costs(columns: Mapping[str, str], rows: Sequence[Row], cost: int | None) -> list[dict[str, int]]:
    """For each row the cost column of its table, shares adding up to the item's cost."""
    out: list[dict[str, int]] = [{} for _ in rows]
    sharing = [n for n, row in enumerate(rows) if row.table in columns]
    if cost is not None:
        for n, part in zip(sharing, share(cost, len(sharing)), strict=True):
            out[n] = {columns[rows[n].table]: part}
    return out


# --------------------------------------------------------------------------------------- stand-in


def _refuse_stand_in(it: _Uploading, answers: Sequence[_Answer]) -> None:
    if not it.state.has_stand_ins(it.stage.name):
        return
    if found := it.state.stand_ins(it.stage.name, [answer.key for answer in answers]):
        raise UsageError(
            "These answers come from the stand-in, which makes them up; they are not written into your records.",
            why=f"for example {min(found)}",
            hint="Set a real model (they count as missing then), or write them all the same with --allow-stand-in.",
        )
