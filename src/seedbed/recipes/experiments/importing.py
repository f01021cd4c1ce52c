"""Tables and files of an archive into the index: drafts, links, essays, evaluations. Doing it again adds nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from seedbed import Finding, errors
from seedbed.recipes.experiments import badlist
from seedbed.recipes.experiments.archive import ESSAY, EVALUATION, KINDS, TABLES, Archive, Kind, Missing, SourceRow
from seedbed.recipes.experiments.badlist import BadRow
from seedbed.recipes.experiments.documents import Document, document_of
from seedbed.recipes.experiments.evidence import Evidence
from seedbed.recipes.experiments.folders import Folders
from seedbed.recipes.experiments.index import Index, sole_writer
from seedbed.recipes.experiments.kinship import NO_PARENT, Kin, Link

BATCH = 500
"""Documents that become durable together."""
SHOWN = 20


@dataclass(frozen=True)
class Places:
    """Where an import writes. ``data`` is the folder ``data`` of the result."""

    index: Path
    docs: Path
    bad_list: Path

    @classmethod
    def of(cls, archive: Archive, out: Path | None, index: Path | None) -> Places:
        data = archive.data if out is None else out / "data"
        return cls(index or data / "db" / "documents.sqlite", data / "docs", data / TABLES / badlist.FILE)


@dataclass(frozen=True)
class ImportReport:
    """What became of each row. ``rows_read`` = ``draft_ok`` + ``essay_parent_resolved`` + ``eval_resolved``
    + ``repaired`` + ``set_aside`` + ``bad_generations``, and the documents are ``new`` + ``already``.

    ``tables`` counts the rows of each, None for a table that is not there. ``reasons`` counts the bad rows by table;
    ``links`` the links of essays and evaluations by certainty; ``findings`` what was noticed in documents that were
    taken. ``bad`` are the first of the bad rows.
    """

    run_id: str
    rows_read: int
    draft_ok: int
    draft_missing_response: int
    essay_parent_resolved: int
    essay_unresolved_parent: int
    eval_resolved: int
    eval_unresolved_target: int
    bad_generations: int
    repaired: int
    set_aside: int
    new: int
    already: int
    tables: Mapping[str, int | None]
    reasons: Mapping[str, Mapping[str, int]]
    links: Mapping[str, int]
    findings: Mapping[str, int]
    bad: Sequence[str]
    index: str
    docs: str
    bad_list: str
    packed: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class Wanted:
    """What a person asked for. ``strict`` ends the import at the first bad row."""

    run_id: str
    strict: bool = True
    dry_run: bool = False
    pack: bool = False


def import_experiments(
    place: Path, wanted: Wanted, *, out: Path | None = None, index: Path | None = None
) -> ImportReport:
    """Import the archive in a folder. Raises QualityError at the first bad row where that is asked for.

    ``out`` is where folders and list go, the archive itself without it; ``index`` is the database,
    ``data/db/documents.sqlite`` without it.
    """
    check_run(wanted.run_id)
    archive = Archive(place)
    places = Places.of(archive, out, index)
    with nullcontext() if wanted.dry_run else sole_writer(places.index):
        opened = Index(places.index, writes=not wanted.dry_run, still=True)
        try:
            return _Import(archive, places, opened, wanted).report()
        finally:
            opened.close()


def check_run(run: str) -> None:
    """Raises UsageError for what cannot name a run."""
    if not run.strip() or len(run) > 200 or not run.isprintable():
        raise errors.UsageError(
            f"{run!r} cannot name a run", hint="Write 1 to 200 printable characters, such as --run-id backfill-1."
        )


@dataclass
class _Import:
    archive: Archive
    places: Places
    index: Index
    wanted: Wanted
    kin: Kin = field(default_factory=Kin)
    batch: list[Document] = field(default_factory=list)
    named: list[Document] = field(default_factory=list)
    """The batch before: its folders have their names, its rows are not in the index yet."""
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    links: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    again: bool = False
    others: bool = False
    """Whether the index knows rows of this run, and any documents at all: else it need not be asked."""

    def __post_init__(self) -> None:
        self.folders = Folders(self.places.docs)
        self.evidence = Evidence(self.archive, self.kin)

    def report(self) -> ImportReport:
        before = self.index.imported(self.wanted.run_id)
        self.again, self.others = before > 0 or self.index.decided(self.wanted.run_id), self.index.holds_any()
        try:
            if not self.wanted.dry_run:
                self._begin()
            tables = {kind.table: self._table(kind) if self.archive.has(kind) else None for kind in KINDS}
            self._end()
            if not self.wanted.dry_run:
                badlist.write(self.places.bad_list, self.wanted.run_id, self.kin.bad_lines(), self.kin.bad_names())
        finally:
            self.kin.close()
            if not self.wanted.dry_run:
                self.folders.end()
        self._balance(before, sum(count or 0 for count in tables.values()))
        return self._told(tables)

    def _begin(self) -> None:
        self.index.keep_place(self.places.docs)
        for stage in ("draft", "essay", "evaluation"):
            self.index.keep_templates(stage, self.archive.templates(stage))
        self.folders.begin()

    def _table(self, kind: Kind) -> int:
        count = 0
        for row in self.archive.rows(kind):
            count += 1
            self._take(row)
        return count

    # ------------------------------------------------------------------------------------- a row

    def _take(self, row: SourceRow) -> None:
        there = self.index.document_of(self.wanted.run_id, row) if self.again else None
        if there is not None:
            self._again(row, *there)
        elif self.again and self.index.decision_on(self.wanted.run_id, row) == "set_aside":
            self.counts["set_aside"] += 1
        else:
            made = self._made(row)
            if isinstance(made, BadRow):
                self._refuse(made)
            else:
                self._accept(made)

    def _again(self, row: SourceRow, doc_id: str, content_hash: str, certainty: str) -> None:
        """A row that became a document before: nothing is looked at again."""
        self.counts["already"] += 1
        self.kin.add(row, doc_id)
        if row.kind.stage == "draft":
            self.kin.same_content(content_hash, doc_id)
        else:
            self.links[certainty] += 1
        self._count(row, repaired=self.index.decision_on(self.wanted.run_id, row) == "taken")

    def _made(self, row: SourceRow) -> Document | BadRow:
        if row.fault:
            return BadRow(row, badlist.INVALID, row.fault)
        text = self.archive.text(row)
        if isinstance(text, Missing):
            return BadRow(row, badlist.MISSING_FILE, f"{row.response_file or 'no file'}: {text.why}")
        prompt = self.archive.prompt(row)
        link = self._link(row)
        if isinstance(link, BadRow):
            return link
        told: list[Finding] = []
        if prompt is not None and link.parent:
            link, told = self.evidence.weighed(row, link, prompt[1])
        made = document_of(row, text, self.wanted.run_id, link=link, prompt=prompt).with_findings(*told)
        if row.kind.stage == "draft" and (twin := self.kin.same_content(made.content_hash, made.doc_id)):
            made = made.with_findings(Finding("duplicate_same_content", f"the text is that of {twin}", "", "warning"))
        clash = self.index.clash(made) if self.others else ""
        clash = clash or self.kin.take_ids(made.doc_id, row.task_id, made.logical, made.parts)
        return BadRow(row, badlist.CLASH, clash) if clash else made

    def _link(self, row: SourceRow) -> Link | BadRow:
        if row.kind is ESSAY:
            found = self.kin.parent_of(row)
            why = f"no draft of {row.combo_id!r} by {row.model_id!r} was taken that is not later than {row.timestamp}"
            return found or BadRow(row, badlist.NO_PARENT, why)
        if row.kind is EVALUATION:
            found = self.kin.target_of(row)
            named = [f"the essay {row.essay_task_id!r}"] if row.essay_task_id else []
            named += [f"the draft {row.generation_task_id!r}"] if row.generation_task_id else []
            why = f"{' and '.join(named)} was not taken" if named else "it names neither an essay nor a draft"
            return found or BadRow(row, badlist.NO_TARGET, why)
        return NO_PARENT

    def _accept(self, made: Document) -> None:
        self.counts["new"] += 1
        self.kin.add(made.row, made.doc_id)
        if made.row.kind.stage != "draft":
            self.links[made.link.certainty] += 1
        self.findings.update(finding.code for finding in made.findings)
        self._count(made.row)
        if not self.wanted.dry_run:
            self.batch.append(made)
            if len(self.batch) == BATCH:
                self._flush()

    def _count(self, row: SourceRow, *, repaired: bool = False) -> None:
        names = {"draft": "draft_ok", "essay": "essay_parent_resolved", "evaluation": "eval_resolved"}
        self.counts["repaired" if repaired else names[row.kind.stage]] += 1

    def _refuse(self, bad: BadRow) -> None:
        if self.wanted.strict:
            self._end()
            raise errors.QualityError(
                str(bad),
                why="What stands before it in the tables is in the index." if not self.wanted.dry_run else "",
                hint="Mend it and give the same command again, or list such rows and go on with --skip-bad.",
            )
        self.counts["bad"] += 1
        self.reasons[bad.row.kind.table, bad.reason] += 1
        self.kin.add_bad(bad.row, badlist.line_of(bad.cells(self.wanted.run_id)))
        if len(self.bad) < SHOWN:
            self.bad.append(str(bad))

    def _flush(self) -> None:
        """A batch is written, synced and named; with the next one's sync its names are durable, and its rows follow."""
        if not self.batch:
            return
        if self.wanted.pack:
            self.index.add(self.batch, packed=True)
        else:
            files = [(made.place, made.files()) for made in self.batch]
            self.folders.write(files)
            self._settle()
            self.folders.name(files)
            self.named = self.batch
        self.batch = []

    def _end(self) -> None:
        self._flush()
        if self.named:
            self._settle()

    def _settle(self) -> None:
        """Sync, and then the rows of the batch that has its names."""
        self.folders.sync()
        if self.named:
            self.index.add(self.named, packed=False)
            self.named = []

    # --------------------------------------------------------------------------------- the books

    def _balance(self, before: int, read: int) -> None:
        """Each side from its own records: rows as they were read, documents as they are in the index."""
        counts = self.counts
        ended = sum(
            counts[name]
            for name in ("draft_ok", "essay_parent_resolved", "eval_resolved", "repaired", "set_aside", "bad")
        )
        after = self.index.imported(self.wanted.run_id)
        expected = before if self.wanted.dry_run else before + counts["new"]
        if ended != read or after != expected:
            raise errors.Unbalanced(
                f"{read} rows were read and {ended} ended; {after} documents are in the index, {expected} should be"
            )

    def _told(self, tables: Mapping[str, int | None]) -> ImportReport:
        counts, reasons = self.counts, self.reasons
        findings = self.index.findings(self.wanted.run_id)
        if self.wanted.dry_run:
            findings += self.findings

        def refused(reason: str, *kinds: str) -> int:
            return sum(reasons[kind.table, reason] for kind in KINDS if kind.stage in kinds)

        return ImportReport(
            run_id=self.wanted.run_id,
            rows_read=sum(count or 0 for count in tables.values()),
            draft_ok=counts["draft_ok"],
            draft_missing_response=refused(badlist.MISSING_FILE, "draft"),
            essay_parent_resolved=counts["essay_parent_resolved"],
            essay_unresolved_parent=refused(badlist.NO_PARENT, "essay"),
            eval_resolved=counts["eval_resolved"],
            eval_unresolved_target=refused(badlist.NO_TARGET, "evaluation"),
            bad_generations=counts["bad"],
            repaired=counts["repaired"],
            set_aside=counts["set_aside"],
            new=counts["new"],
            already=counts["already"],
            tables=tables,
            reasons=_by_table(reasons),
            links=dict(sorted(self.links.items())),
            findings=dict(sorted(findings.items())),
            bad=tuple(self.bad),
            index=str(self.places.index),
            docs=str(self.places.docs),
            bad_list=str(self.places.bad_list),
            packed=self.wanted.pack,
            dry_run=self.wanted.dry_run,
        )


def _by_table(reasons: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (table, reason), count in sorted(reasons.items()):
        found.setdefault(table, {})[reason] = count
    return found
