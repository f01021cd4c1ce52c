"""Who may be whose parent in one pass over the tables: an index in a temporary database, not in memory."""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

from seedbed.recipes.experiments.archive import DRAFT, ESSAY, KINDS, SourceRow
from seedbed.recipes.experiments.moments import moment

_LOOKED_AT = 100
"""Candidates that are looked at to tell whether others than the one that was taken were possible."""

_TABLES = """
pragma journal_mode = off;
pragma synchronous = off;
create table drafts (
  doc_id text, task text, combo text, model text, template text, moment integer, after integer, row_index integer,
  response_file text, kind text
);
create index drafts_by_join on drafts (combo, model, moment desc, after, row_index);
create index drafts_by_task on drafts (task);
create table essays (doc_id text, task text, response_file text);
create index essays_by_task on essays (task);
create table contents (hash text primary key, doc_id text) without rowid;
create table ids (doc_id text primary key, name text) without rowid;
create table keys (logical text primary key, parts text) without rowid;
create table bad (place integer primary key, source_csv text, row_index text, line text);
begin;
"""


@dataclass(frozen=True, slots=True)
class Link:
    """A document's parent: how it was found, how sure that is, and how many others were possible (100 at most)."""

    parent: str
    task: str
    found_by: str
    certainty: str
    candidates: int
    response_file: str = ""
    kind: str = ""


KIND_OF = {kind.table: kind for kind in KINDS}
NO_PARENT = Link("", "", "none", "none", 0)


class Kin:
    """The drafts and essays that were taken so far."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(_TABLES)
        self._db.create_function("folded", 1, folded, deterministic=True)

    def close(self) -> None:
        self._db.close()

    def add(self, row: SourceRow, doc_id: str) -> None:
        if row.kind.stage == "draft":
            self._db.execute(
                "insert into drafts values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    doc_id, row.task_id.strip(), row.combo_id, row.model_id, row.template_id, row.moment,
                    row.kind is not DRAFT, row.index, row.response_file, row.kind.name,
                ),
            )  # fmt: skip
        elif row.kind is ESSAY:
            self._db.execute("insert into essays values (?, ?, ?)", (doc_id, row.task_id.strip(), row.response_file))

    def fill(self, db: sqlite3.Connection, run: str) -> None:
        """All drafts and essays that are in the index of a run, in the order in which they were taken."""
        found = db.execute(
            "select source_table, row_index, task_id, combo_id, template_id, model_id, created_at, response_file,"
            " doc_id from document_sources join documents using (doc_id)"
            " where document_sources.run_id = ? and stage in ('draft', 'essay')"
            " order by stage, source_table, row_index",
            (run,),
        )
        for table, index, task, combo, template, model, created, file, doc_id in found:
            row = SourceRow(KIND_OF[table], index, 0, task, combo, template, model, created, moment(created) or 0, file)
            self.add(row, doc_id)

    def named_alike(self, evaluation: SourceRow) -> list[Link]:
        """Essays, else drafts, whose task is the one that a row names but for capitals, blanks and Unicode form."""
        for table, name, found_by in (
            ("essays", evaluation.essay_task_id, "essay_task_id"),
            ("drafts", evaluation.generation_task_id, "generation_task_id"),
        ):
            if name:
                kind = "'essay'" if table == "essays" else "kind"
                found = self._db.execute(
                    f"select max(rowid), doc_id, task, response_file, {kind} from {table}"  # noqa: S608
                    " where folded(task) = ? group by task",
                    (folded(name),),
                ).fetchall()
                if found:
                    return [
                        Link(doc, task, found_by, "guessed", len(found), file, k) for _, doc, task, file, k in found
                    ]
        return []

    def known(self, name: str, *, essays: bool) -> Link | None:
        """A document by its id or its task, for a person who names it: a draft, or an essay too."""
        for table, kind in (("essays", "'essay'"), ("drafts", "kind")) if essays else (("drafts", "kind"),):
            found = self._db.execute(
                f"select doc_id, task, response_file, {kind} from {table} where doc_id = ?1 or task = ?1"  # noqa: S608
                " order by doc_id = ?1 desc, rowid desc limit 1",
                (name.strip(),),
            ).fetchone()
            if found:
                return Link(found[0], found[1], "person", "decided", 1, found[2], found[3])
        return None

    def same_content(self, digest: str, doc_id: str) -> str:
        """The first document of this pass with the same text; blank where this one is the first."""
        if self._db.execute("insert or ignore into contents values (?, ?)", (digest, doc_id)).rowcount:
            return ""
        found = self._db.execute("select doc_id from contents where hash = ?", (digest,)).fetchone()
        return "" if found[0] == doc_id else str(found[0])

    def parent_of(self, essay: SourceRow) -> Link | None:
        """The latest draft of the same combination and model that is not later than the essay.

        Of two at one time the one of the draft table; of two in one table the one that stands first there.
        """
        found = self._db.execute(
            "select doc_id, task, template, response_file, kind from drafts"
            " where combo = ? and model = ? and moment <= ? order by moment desc, after, row_index limit ?",
            (essay.combo_id, essay.model_id, essay.moment, _LOOKED_AT),
        ).fetchall()
        if not found:
            return None
        doc_id, task, _, response_file, kind = found[0]
        certainty = "inferred" if len({template for _, _, template, _, _ in found}) == 1 else "ambiguous"
        return Link(doc_id, task, "combo_model_time", certainty, len(found), response_file, kind)

    def other_drafts(self, essay: SourceRow) -> list[Link]:
        """All drafts of the combination, whatever their model and time; for a person, or for a heuristic."""
        found = self._db.execute(
            "select doc_id, task, response_file, kind, model, moment from drafts where combo = ?"
            " order by moment desc, after, row_index limit ?",
            (essay.combo_id, _LOOKED_AT),
        ).fetchall()
        return [
            Link(doc_id, task, model, "later" if moment > essay.moment else "earlier", len(found), file, kind)
            for doc_id, task, file, kind, model, moment in found
        ]

    def target_of(self, evaluation: SourceRow) -> Link | None:
        """The essay that the row names; where it names none that was taken, the draft of its generation id."""
        if evaluation.essay_task_id:
            found = self._by_task("essays", evaluation.essay_task_id, "'essay'")
            if found is not None:
                return found
        return self._by_task("drafts", evaluation.generation_task_id, "kind") if evaluation.generation_task_id else None

    def _by_task(self, table: str, task: str, kind: str) -> Link | None:
        """The attempt that was taken last of a task."""
        found = self._db.execute(
            f"select doc_id, task, response_file, {kind} from {table} where task = ? order by rowid desc limit ?",  # noqa: S608
            (task, _LOOKED_AT),
        ).fetchall()
        if not found:
            return None
        doc_id, name, file, kind_name = found[0]
        found_by = "essay_task_id" if table == "essays" else "generation_task_id"
        return Link(doc_id, name, found_by, "stated" if len(found) == 1 else "ambiguous", len(found), file, kind_name)

    # --------------------------------------------------------------------------------------- ids

    def take_ids(self, doc_id: str, name: str, logical: str, parts: Sequence[str]) -> str:
        """What stands in the way of ids: they are hashes, and another document of this pass may have the same.

        Blank where nothing does; then they are taken.
        """
        asked = _one(parts)
        if not self._db.execute("insert or ignore into keys values (?, ?)", (logical, asked)).rowcount:
            (kept,) = self._db.execute("select parts from keys where logical = ?", (logical,)).fetchone()
            if kept != asked:
                return f"its key {logical} is that of {kept}"
        if not self._db.execute("insert or ignore into ids values (?, ?)", (doc_id, name)).rowcount:
            (other,) = self._db.execute("select name from ids where doc_id = ?", (doc_id,)).fetchone()
            return f"its id {doc_id} is that of {other!r}"
        return ""

    # ------------------------------------------------------------------------------- the bad rows

    def add_bad(self, row: SourceRow, line: str) -> None:
        self._db.execute(
            "insert into bad (source_csv, row_index, line) values (?, ?, ?)", (row.kind.table, str(row.index), line)
        )

    def bad_lines(self) -> Iterator[str]:
        for (line,) in self._db.execute("select line from bad order by place"):
            yield line

    def bad_names(self) -> Iterator[tuple[str, str]]:
        yield from self._db.execute("select source_csv, row_index from bad")


def folded(name: str) -> str:
    """A name without differences of capitals, blanks and Unicode form."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def _one(parts: Sequence[str]) -> str:
    return orjson.dumps(parts).decode()
