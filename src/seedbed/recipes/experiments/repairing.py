"""The second pass over the bad list: by heuristics, or by what a person decided. Each is recorded as what it is."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from seedbed import errors
from seedbed.recipes.experiments import badlist
from seedbed.recipes.experiments.archive import ESSAY, EVALUATION, KINDS, TEXTS, Archive, Missing, SourceRow
from seedbed.recipes.experiments.documents import Document, document_of
from seedbed.recipes.experiments.evidence import Evidence, plain
from seedbed.recipes.experiments.folders import Folders
from seedbed.recipes.experiments.importing import BATCH, SHOWN, Places
from seedbed.recipes.experiments.index import Index, Repair, sole_writer
from seedbed.recipes.experiments.kinship import NO_PARENT, Kin, Link, folded

PERSON, HEURISTIC = "person", "heuristic"
DECISIONS = ("set_aside", "parentless", "parent", "file")


@dataclass(frozen=True)
class RepairReport:
    """``listed`` = ``taken`` + ``set_aside`` + ``left``. ``rules`` counts what was taken or set aside by what rule."""

    run_id: str
    listed: int
    taken: int
    set_aside: int
    left: int
    rules: Mapping[str, int]
    done: Sequence[str]
    remaining: Sequence[str]
    bad_list: str
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's word on one row. ``value`` is a parent's id or task, or the name of a file."""

    line: int
    what: str
    value: str
    note: str


def repair_bad(
    place: Path,
    run: str = "",
    *,
    decisions: Path | None = None,
    out: Path | None = None,
    index: Path | None = None,
    dry_run: bool = False,
    pack: bool = False,
) -> RepairReport:
    """Go through the bad list of a run. With ``decisions`` only what stands there is done, without it the heuristics.

    ``run`` may be left out where the list is of one run only.
    """
    archive = Archive(place)
    places = Places.of(archive, out, index)
    if not places.index.is_file():
        raise errors.SourceError(
            f"there is no index {places.index}",
            hint="Import the archive first: seedbed import experiments DIR --run-id R",
        )
    run = run or _only_run(places.bad_list)
    with nullcontext() if dry_run else sole_writer(places.index):
        opened = Index(places.index, writes=not dry_run, still=True)
        try:
            repairs = _Repairs(archive, places, opened, run, dry_run, pack or opened.packed(run))
            return repairs.report(_Said.read(decisions) if decisions is not None else None)
        finally:
            opened.close()


def _only_run(path: Path) -> str:
    runs = sorted({cells["run_id"] for cells in badlist.read(path) if cells["run_id"]})
    if not runs:
        raise errors.EmptySelection(f"{path} lists no bad row", hint="Nothing is to be repaired.")
    if len(runs) > 1:
        raise errors.UsageError(f"{path} lists bad rows of several runs", hint=f"Name one: --run-id {runs[0]}")
    return runs[0]


@dataclass
class _Repairs:
    archive: Archive
    places: Places
    index: Index
    run: str
    dry_run: bool
    pack: bool
    kin: Kin = field(default_factory=Kin)
    batch: list[tuple[Document, Repair]] = field(default_factory=list)
    aside: list[Repair] = field(default_factory=list)
    rules: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    done: list[str] = field(default_factory=list)
    remaining: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folders = Folders(self.places.docs)
        self.evidence = Evidence(self.archive, self.kin)

    def report(self, said: _Said | None) -> RepairReport:
        listed = {
            (cells["source_csv"], cells["row_index"]): cells
            for cells in badlist.read(self.places.bad_list)
            if cells["run_id"] == self.run
        }
        if not listed and said is None:
            raise errors.EmptySelection(
                f"{self.places.bad_list} lists no bad row of the run {self.run}", hint="Nothing is to be repaired."
            )
        self.kin.fill(self.index.db, self.run)
        left: list[dict[str, str]] = []
        try:
            for row in self._rows(listed):
                cells = listed.pop((row.kind.table, str(row.index)))
                if not self._settled(row, cells["reason"], said):
                    left.append(cells)
                    self.remaining.append(f"{row.place}: {cells['reason']}: {cells['detail']}")
            if said is not None:
                said.require_all_used(self.index, self.run)
            self._flush()
        finally:
            self.kin.close()
            if not self.dry_run:
                self.folders.end()
        left += listed.values()  # rows that are in no table any more
        if not self.dry_run:
            lines = map(badlist.line_of, left)
            badlist.write(
                self.places.bad_list, self.run, lines, [(cells["source_csv"], cells["row_index"]) for cells in left]
            )
        return RepairReport(
            self.run, self.counts["taken"] + self.counts["set_aside"] + len(left), self.counts["taken"],
            self.counts["set_aside"], len(left), dict(sorted(self.rules.items())), tuple(self.done[:SHOWN]),
            tuple(self.remaining[:SHOWN]), str(self.places.bad_list), self.dry_run,
        )  # fmt: skip

    def _rows(self, listed: Mapping[tuple[str, str], object]) -> Iterator[SourceRow]:
        """The listed rows as they stand in their tables, parents before children."""
        tables = {table for table, _ in listed}
        for kind in KINDS:
            if kind.table in tables:
                yield from (row for row in self.archive.rows(kind) if (kind.table, str(row.index)) in listed)

    def _settled(self, row: SourceRow, reason: str, said: _Said | None) -> bool:
        """Whether the row leaves the list."""
        decision = said.on(row) if said is not None else None
        before = "taken" if self.index.document_of(self.run, row) else self.index.decision_on(self.run, row)
        if before:  # killed before the list was written
            self._note(row, before, "before")
            return True
        if said is not None:
            found = self._decided(row, decision) if decision is not None else None
            origin, note = PERSON, decision.note if decision else ""
        else:
            found, origin, note = self._guessed(row), HEURISTIC, ""
        if found is None:
            return False
        rule, document = found
        repair = Repair(self.run, row, reason, origin, rule, document.doc_id if document else "", note)
        self._note(row, "taken" if document else "set_aside", rule, document.link.task if document else "")
        if document is None:
            self.aside.append(repair)
        else:
            self._take(document, repair)
            if origin == HEURISTIC and len(self.batch) == BATCH:  # a person's word is carried out whole or not at all
                self._flush()
        return True

    def _take(self, document: Document, repair: Repair) -> None:
        row = repair.row
        if clash := self.index.clash(document):
            raise errors.Drift(f"{row.place} cannot be taken: {clash}")
        self.kin.add(row, document.doc_id)
        self.batch.append((document, repair))

    def _note(self, row: SourceRow, what: str, rule: str, parent: str = "") -> None:
        self.counts[what] += 1
        self.rules[rule] += 1
        under = f", under {parent}" if parent else ""
        self.done.append(f"{row.place}: {row.task_id}: {what.replace('_', ' ')} ({rule}{under})")

    def _flush(self) -> None:
        if self.dry_run:
            self.batch.clear()
        if not self.dry_run and self.aside:
            self.index.set_aside(self.aside)
        if not self.batch:
            return
        made = [document for document, _ in self.batch]
        if not self.pack:
            files = [(each.place, each.files()) for each in made]
            self.folders.begin()
            self.folders.write(files)
            self.folders.sync()
            self.folders.name(files)
            self.folders.sync()
        self.index.add(made, packed=self.pack, repairs=[repair for _, repair in self.batch])
        self.batch.clear()

    def _document(self, row: SourceRow, link: Link, text: bytes, file: str = "") -> Document:
        return document_of(row, text, self.run, link=link, prompt=self.archive.prompt(row), response_file=file)

    # -------------------------------------------------------------------------------- a person's word

    def _decided(self, row: SourceRow, decision: Decision) -> tuple[str, Document | None]:
        """Raises UsageError for a decision that cannot be carried out, with its line."""
        if decision.what == "set_aside":
            return "set_aside", None
        if row.fault:
            raise self._no(decision, row, f"{row.fault}; it can only be set aside")
        file = decision.value if decision.what == "file" else ""
        text = self.archive.text(row, file)
        if isinstance(text, Missing):
            raise self._no(decision, row, f"{file or row.response_file or 'its text'}: {text.why}")
        link = self._decided_link(row, decision)
        return decision.what, self._document(row, link, text, file)

    def _decided_link(self, row: SourceRow, decision: Decision) -> Link:
        if decision.what == "parentless":
            if row.kind is not ESSAY:
                raise self._no(decision, row, "only an essay can be taken without a parent")
            return Link("", "", PERSON, "none", 0)
        if decision.what == "parent":
            if row.kind not in (ESSAY, EVALUATION):
                raise self._no(decision, row, "a draft has no parent")
            named = self.kin.known(decision.value, essays=row.kind is EVALUATION)
            if named is None:
                raise self._no(decision, row, f"there is no document {decision.value!r} that can be its parent")
            return named
        found = self._joined(row)
        if found is None:
            raise self._no(decision, row, "its parent is not found either; say `parent` instead")
        return found

    def _joined(self, row: SourceRow) -> Link | None:
        if row.kind is ESSAY:
            return self.kin.parent_of(row)
        return self.kin.target_of(row) if row.kind is EVALUATION else NO_PARENT

    def _no(self, decision: Decision, row: SourceRow, why: str) -> errors.UsageError:
        return errors.UsageError(f"decision in line {decision.line}, on {row.place}: {why}")

    # ------------------------------------------------------------------------------------ heuristics

    def _guessed(self, row: SourceRow) -> tuple[str, Document] | None:
        """The first rule that finds one thing and one only; None where none does."""
        if row.fault:
            return None
        rules = []
        file, text = "", self.archive.text(row)
        if isinstance(text, Missing):
            found = self._text_elsewhere(row)
            if found is None:
                return None
            file, text = found
            rules.append("file_name")
        link = self._joined(row)
        if link is None:
            guessed = self._guessed_parent(row) if row.kind is ESSAY else self._guessed_target(row)
            if guessed is None:
                return None
            rule, link = guessed
            link = replace(link, found_by=f"{HEURISTIC}:{rule}", certainty="guessed")
            rules.append(rule)
        return " and ".join(rules) or "join", self._document(row, link, text, file)

    def _guessed_parent(self, row: SourceRow) -> tuple[str, Link] | None:
        drafts = self.kin.other_drafts(row)
        prompt = self.archive.prompt(row)
        by: dict[str, list[Link]] = {"prompt": self.evidence.parents_in(row, plain(prompt[1])) if prompt else []}
        alike = [draft for draft in drafts if model_name(draft.found_by) == model_name(row.model_id)]
        by["model_name"] = [draft for draft in alike if draft.certainty == "earlier"]
        by["later"] = alike
        return next(((rule, found[0]) for rule, found in by.items() if len(found) == 1), None)

    def _guessed_target(self, row: SourceRow) -> tuple[str, Link] | None:
        found = self.kin.named_alike(row)
        return ("task_name", found[0]) if len(found) == 1 else None

    def _text_elsewhere(self, row: SourceRow) -> tuple[str, bytes] | None:
        """The one file whose name is the row's but for the folders before it, capitals or Unicode form."""
        if not row.response_file:
            return None
        found: dict[str, bytes] = {}
        for name in self._other_names(row):
            text = self.archive.text(row, name)
            if not isinstance(text, Missing):
                found[name] = text
        return next(iter(found.items())) if len(found) == 1 else None

    def _other_names(self, row: SourceRow) -> Iterator[str]:
        for root in row.kind.roots:
            _, seam, rest = row.response_file.replace("\\", "/").rpartition(f"{root}/")
            if seam:
                yield rest
        folder, _, name = row.response_file.replace("\\", "/").rpartition("/")
        for root in (*row.kind.roots, TEXTS):
            try:
                below = Path(folder)
                at = self.archive.data / root / ("" if below.is_absolute() or ".." in below.parts else below)
                there = sorted(each.name for each in at.iterdir())
            except (OSError, ValueError):
                continue
            for other in there:
                if other != name and folded(other) == folded(unicodedata.normalize("NFC", name)):
                    yield f"{folder}/{other}" if folder else other


def model_name(model: str) -> str:
    """A model's name without its provider and signs: ``google/gemini-2.5`` and ``gemini_2.5`` are one."""
    return re.sub(r"[^a-z0-9]", "", model.rpartition("/")[2].casefold())


class _Said:
    """The decisions of a file: rows of the bad list with the columns ``decision``, ``value`` and ``note``."""

    def __init__(self, name: str, decisions: dict[tuple[str, str], Decision]) -> None:
        self._name = name
        self._open = decisions

    @classmethod
    def read(cls, path: Path) -> _Said:
        """Raises UsageError for a line that cannot be read as a decision; one without a decision is left out."""
        decisions: dict[tuple[str, str], Decision] = {}
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file, strict=True)
                if not {"source_csv", "decision"} <= set(reader.fieldnames or ()):
                    raise errors.UsageError(
                        f"{path.name} needs the columns source_csv, row_index or task_id, decision, value, note",
                        hint=f"Copy {badlist.FILE} and add the columns decision, value and note.",
                    )
                for cells in reader:
                    what = (cells["decision"] or "").strip()
                    if not what:
                        continue
                    if what not in DECISIONS:
                        raise errors.UsageError(
                            f"{path.name}:{reader.line_num}: there is no decision {what!r}",
                            hint=errors.nearest(what, DECISIONS),
                        )
                    name = (cells.get("row_index") or "").strip() or f"task {cells.get('task_id') or ''}"
                    value, note = (cells.get("value") or "").strip(), (cells.get("note") or "").strip()
                    decisions[(cells["source_csv"] or "").strip(), name] = Decision(reader.line_num, what, value, note)
        except OSError as error:
            raise errors.UsageError(f"{path} cannot be read: {error.strerror}") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise errors.UsageError(f"{path.name} is no CSV in UTF-8: {error}") from error
        return cls(path.name, decisions)

    def on(self, row: SourceRow) -> Decision | None:
        """The decision on a row, by its index, else by its task."""
        by_index = self._open.pop((row.kind.table, str(row.index)), None)
        return by_index or self._open.pop((row.kind.table, f"task {row.task_id}"), None)

    def require_all_used(self, index: Index, run: str) -> None:
        """Raises UsageError for a decision on a row that is not bad, unless it was carried out before."""
        for (table, name), decision in self._open.items():
            if not index.knows(run, table, name.removeprefix("task "), by_task=name.startswith("task ")):
                raise errors.UsageError(
                    f"{self._name}:{decision.line}: {table}, row {name.removeprefix('task ')} is not on the bad list",
                    hint="Nothing was changed.",
                )
