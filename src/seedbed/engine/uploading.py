"""Upload: accepted outputs into the corpus as one release, compared before they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from seedbed.conditions import is_empty
from seedbed.crashing import point
from seedbed.engine.projects.binding import BoundStage, makes_rows
from seedbed.engine.projects.project import Project, new_id, now_ms
from seedbed.engine.reports import UploadReport
from seedbed.engine.work.rounds import Scope, output_cells
from seedbed.errors import SourceError, UsageError
from seedbed.policy.budget import share
from seedbed.ports.corpus import CellWrite, Corpus, Inserted, NewRow, Written
from seedbed.ports.state import MadeRow, Release, State, Uploaded
from seedbed.records import Item, Outcome, key_text, key_values, row_id
from seedbed.stage import Fills, Makes, Row

PAGE = 3000
EXAMPLES = 5


@dataclass
class _Tally:
    """What an upload came to, by fate."""

    fates: dict[str, int] = field(default_factory=dict)
    made: dict[str, int] = field(default_factory=dict)
    left: list[tuple[str, str]] = field(default_factory=list)
    examples: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=list)

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
    pages = waiting_pages(stage, corpus, state, scope)
    first = next(pages, None)
    open_ones = [r for r in state.releases() if r.stage == stage.name and r.status == "applying"]
    if first is None and not open_ones:
        return _Tally().report(stage.name, "")
    if first and not allow_stand_in:
        _refuse_stand_in(first)
    tables = tables_of(stage)
    opened = Release(new_id("release"), stage.name, ", ".join(tables), "applying", now_ms(), run)
    release = state.open_release(opened).id
    point("after a release opens")
    # What a killed upload wrote is not written once more: a person may have emptied or deleted it since.
    done = corpus.standing(release) if release != opened.id and scope.ids is None else set()
    tally = _Tally()
    for page in _all(first, pages):
        if not allow_stand_in:
            _refuse_stand_in(page)
        if isinstance(stage.stage.relation, Fills):
            _write_cells(stage, corpus, state, release, page, tally, done)
        else:
            _insert_rows(stage, corpus, state, release, page, tally, done)
    out = project.write_file() if project.source is not None else ""
    point("before a release closes")
    state.close_release(release, "applied", now_ms())
    point("after a release closes")
    return tally.report(stage.name, release, out=out)


def preview_upload(project: Project, stage: BoundStage, corpus: Corpus, state: State, scope: Scope) -> UploadReport:
    """What :func:`upload_stage` would do; nothing is written."""
    tally = _Tally()
    for page in waiting_pages(stage, corpus, state, scope):
        if isinstance(stage.stage.relation, Fills):
            relation = stage.stage.relation
            writes = {o.key: _cells(stage, o) for o in page}
            for written in corpus.preview(
                relation.table, stage.key, writes.values(), fingerprint=stage.fingerprint, source=_view(stage)
            ):
                write = writes[written.key]
                _count(tally, written.key, written.fate, written.reason, write.before, write.after)
        else:
            rows = [row for outcome in page for row in rows_of(stage, outcome)]
            for inserted in corpus.preview_insert(rows):
                tally.made[inserted.fate] = tally.made.get(inserted.fate, 0) + 1
                if len(tally.examples) < EXAMPLES:
                    tally.examples.append((inserted.row.id, {}, dict(inserted.row.values)))
    return tally.report(stage.name, "", dry_run=True)


def _all(first: list[Outcome] | None, rest: Iterator[list[Outcome]]) -> Iterator[list[Outcome]]:
    if first is not None:
        yield first
    yield from rest


def tables_of(stage: BoundStage) -> list[str]:
    relation = stage.stage.relation
    return [relation.table] if isinstance(relation, Fills) else sorted(relation.into)


def waiting_pages(stage: BoundStage, corpus: Corpus, state: State, scope: Scope) -> Iterator[list[Outcome]]:
    """Accepted outcomes that have no fate yet. By name also those that were withdrawn or cleared."""
    if scope.ids is not None:
        named = state.current(stage.name, list(scope.ids))
        chosen = [o for o in named.values() if o.state in ("accepted", "withdrawn")]
        if chosen:
            yield _as_now(stage, corpus, state, sorted(chosen, key=lambda o: o.key))
        return
    if isinstance(stage.stage.relation, Fills):
        yield from _waiting(stage, state, scope, None)
        return
    # Duplicates are decided at a round's end in key order, so that neither arrival nor a kill decides.
    for row in state.rounds(stage=stage.name):
        if row.status != "open":
            yield from _waiting(stage, state, scope, row.id)


def _waiting(stage: BoundStage, state: State, scope: Scope, round_id: str | None) -> Iterator[list[Outcome]]:
    after: str | None = None
    while page := state.outcomes(stage.name, waiting=True, after=after, limit=PAGE, round_id=round_id):
        after = page[-1].key
        chosen = [outcome for outcome in page if scope.part.holds(outcome.key)]
        if chosen:
            yield chosen


def _as_now(stage: BoundStage, corpus: Corpus, state: State, outcomes: list[Outcome]) -> list[Outcome]:
    """Named outcomes: a cell that a person emptied after an upload is written again over the empty cell."""
    relation = stage.stage.relation
    if not isinstance(relation, Fills):
        return outcomes
    uploaded = state.upload_fate(stage.name, [o.key for o in outcomes])
    rows = corpus.fetch(relation.table, stage.key, [key_values(o.key) for o in outcomes])
    now = {key_text([row[name] for name in stage.key]): row for row in rows}
    return [_over_empty(outcome, now.get(outcome.key), relation, outcome.key in uploaded) for outcome in outcomes]


def _over_empty(outcome: Outcome, row: Mapping[str, Any] | None, relation: Fills, uploaded: bool) -> Outcome:
    cells = {name: row.get(name) for name in relation.outputs} if row is not None else {}
    if uploaded and cells and all(is_empty(value) for value in cells.values()):
        return replace(outcome, before=cells)
    return outcome


# ------------------------------------------------------------------------------------------ cells


def _write_cells(
    stage: BoundStage,
    corpus: Corpus,
    state: State,
    release: str,
    page: Sequence[Outcome],
    tally: _Tally,
    done: Set[tuple[str, str]],
) -> None:
    relation = stage.stage.relation
    if not isinstance(relation, Fills):
        raise AssertionError("only a fills stage writes cells")
    by_key = {outcome.key: outcome for outcome in page}
    writes = {outcome.key: _cells(stage, outcome) for outcome in page}
    there = {key for key in writes if (relation.table, key) in done}
    fates = []
    written_now = corpus.write(
        release,
        relation.table,
        stage.key,
        [write for key, write in writes.items() if key not in there],
        fingerprint=stage.fingerprint,
        source=_view(stage),
    )
    for written in chain((Written(key, "already") for key in sorted(there)), written_now):
        fate = "applied" if written.fate == "already" else written.fate
        fates.append(Uploaded(written.key, by_key[written.key].round, fate, written.reason))
        write = writes[written.key]
        _count(tally, written.key, written.fate, written.reason, write.before, write.after)
    point("after cells, before their note")
    state.uploaded(stage.name, release, fates)
    withdrawn = [o.key for o in page if o.state == "withdrawn"]
    if withdrawn:
        state.set_state(stage.name, withdrawn, "accepted")


def _count(
    tally: _Tally, key: str, fate: str, reason: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    tally.fates[fate] = tally.fates.get(fate, 0) + 1
    if fate in ("drifted", "vanished", "refused"):
        tally.left.append((key, reason or fate))
    elif len(tally.examples) < EXAMPLES:
        tally.examples.append((key, before, after))


def _cells(stage: BoundStage, outcome: Outcome) -> CellWrite:
    relation = stage.stage.relation
    output = output_cells(relation, outcome.output) if isinstance(relation, Fills) else {}
    after = {name: output.get(name) for name in outcome.before}  # only what might be written at export
    return CellWrite(outcome.key, outcome.fingerprint, dict(outcome.before), after)


def _view(stage: BoundStage) -> str | None:
    relation = stage.stage.relation
    return stage.source.name if isinstance(relation, Fills) and relation.table != stage.source.name else None


# ------------------------------------------------------------------------------------------- rows


def _insert_rows(
    stage: BoundStage,
    corpus: Corpus,
    state: State,
    release: str,
    page: Sequence[Outcome],
    tally: _Tally,
    done: Set[tuple[str, str]],
) -> None:
    rounds = {outcome.key: outcome.round for outcome in page}
    rows = [row for outcome in page for row in rows_of(stage, outcome)]
    there, rest = _made_before(rows, done)
    made = []
    for inserted in chain(there, corpus.insert(release, rest)):
        row = inserted.row
        fate = "stored" if inserted.fate == "already" else inserted.fate
        tally.made[fate] = tally.made.get(fate, 0) + 1
        if fate == "rejected":
            tally.left.append((row.parent, f"{row.table}: {inserted.reason}"))
        elif fate == "stored" and len(tally.examples) < EXAMPLES:
            tally.examples.append((row.id, {}, dict(row.values)))
        made.append(
            MadeRow(
                stage.name,
                rounds[row.parent],
                row.parent,
                row.ordinal,
                row.table,
                row.id,
                fate,
                release,
                inserted.reason,
            )
        )
    tally.fates["applied"] = tally.fates.get("applied", 0) + len(page)
    point("after rows, before their note")
    state.uploaded(stage.name, release, [Uploaded(o.key, o.round, "applied") for o in page], made)
    withdrawn = [o.key for o in page if o.state == "withdrawn"]
    if withdrawn:
        state.set_state(stage.name, withdrawn, "accepted")


def _made_before(rows: Sequence[NewRow], done: Set[tuple[str, str]]) -> tuple[list[Inserted], list[NewRow]]:
    """Rows that the release has made, each once; and the others."""
    there: dict[tuple[str, str], list[Inserted]] = {}
    rest: list[NewRow] = []
    for row in rows:
        place = (row.table, key_text([row.id]))
        if place not in done:
            rest.append(row)
        elif place in there:
            there[place].append(Inserted(row, "duplicate", "the same answer made this row before"))
        else:
            there[place] = [Inserted(row, "already")]
    return [inserted for found in there.values() for inserted in found], rest


def rows_of(stage: BoundStage, outcome: Outcome) -> list[NewRow]:
    """The rows that an accepted output stands for, with their ids and shares of the cost."""
    relation = makes_rows(stage.stage)
    if relation is None:
        return []
    item = Item(outcome.key, outcome.row, outcome.fingerprint)
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


def is_stand_in(outcome: Outcome) -> bool:
    return outcome.model.startswith("offline/") or outcome.served == "standin"


def _refuse_stand_in(outcomes: Sequence[Outcome]) -> None:
    found = next((outcome for outcome in outcomes if is_stand_in(outcome)), None)
    if found is not None:
        raise UsageError(
            "These answers come from the stand-in, which makes them up; they are not written into your records.",
            why=f"for example {found.key}",
            hint="Set a real model (they count as missing then), or write them all the same with --allow-stand-in.",
        )
