"""The index of the documents: tables in SQLite, one writer, rows that are added and never changed."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from seedbed import crashing, errors
from seedbed.recipes.experiments.archive import SourceRow
from seedbed.recipes.experiments.documents import Document
from seedbed.recipes.experiments.moments import written

TABLES = Path(__file__).with_name("tables.sql")
PATIENCE = 5.0
"""Seconds to wait for another program that writes."""


@dataclass(frozen=True, slots=True)
class Repair:
    """What was decided on a row of the bad list: taken as a document, or set aside where ``doc_id`` is blank."""

    run: str
    row: SourceRow
    reason: str
    origin: str
    rule: str
    doc_id: str = ""
    note: str = ""


class Index:
    """An opened index. ``there`` is False for one that a look found not to be there yet: then it is empty.

    ``still``: a look that leaves no file beside the database, not even for a moment.
    """

    def __init__(self, path: Path, *, writes: bool, still: bool = False) -> None:
        self.path = path
        self._still = still
        self.there = path.is_file()
        try:
            self.db = self._writer() if writes else self._reader()
            if writes or self.there:
                self._documents_are_ours()
        except sqlite3.DatabaseError as error:
            raise errors.SourceError(f"{path} is no index of documents: {error}") from error

    def _writer(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        db.execute("pragma foreign_keys = on")
        db.executescript(f"begin immediate;{TABLES.read_text('utf-8')};commit;")
        return db

    def _reader(self) -> sqlite3.Connection:
        """For a look. One that must leave no file behind reads a database that nobody has open as it lies there."""
        if not self.there:
            db = sqlite3.connect("", isolation_level=None)
            db.executescript(TABLES.read_text("utf-8"))
            return db
        nobody = not Path(f"{self.path}-wal").exists()
        if nobody and (self._still or not os.access(self.path.parent, os.W_OK)):
            name = f"{self.path.resolve().as_uri()}?mode=ro&immutable=1"
            return sqlite3.connect(name, uri=True, isolation_level=None)
        db = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        db.execute("pragma query_only = on")
        return db

    def _documents_are_ours(self) -> None:
        columns = {row[1] for row in self.db.execute("pragma table_info(document_sources)")}
        if "row_index" not in columns:
            raise errors.SourceError(
                f"{self.path} has no index of documents", hint="Import an archive first: seedbed import experiments DIR"
            )

    def close(self) -> None:
        self.db.close()

    # -------------------------------------------------------------------------------- what is known

    def document_of(self, run: str, row: SourceRow) -> tuple[str, str, str] | None:
        """(id, hash of its text, certainty of its link) of the document that a row became in this run."""
        found = self.db.execute(
            "select doc_id, content_hash, coalesce(certainty, 'none') from document_sources sources"
            " join documents using (doc_id) left join document_links links using (doc_id)"
            " where sources.run_id = ? and source_table = ? and row_index = ? and timestamp = ?",
            (run, row.kind.table, row.index, row.timestamp),
        ).fetchone()
        return (str(found[0]), str(found[1]), str(found[2])) if found else None

    def decision_on(self, run: str, row: SourceRow) -> str:
        """``taken`` or ``set_aside`` where a repair decided on the row; blank where none did."""
        found = self.db.execute(
            "select decision from repairs where run_id = ? and source_table = ? and row_index = ? and timestamp = ?",
            (run, row.kind.table, row.index, row.timestamp),
        ).fetchone()
        return str(found[0]) if found else ""

    def knows(self, run: str, table: str, name: str, *, by_task: bool) -> bool:
        """Whether a row, by its index or its task, became a document of a run or was set aside."""
        at = "task_id = ?3" if by_task else "row_index = ?3"
        found = self.db.execute(
            "select 1 from document_sources sources join documents using (doc_id)"  # noqa: S608
            f" where sources.run_id = ?1 and source_table = ?2 and {at}"
            f" union all select 1 from repairs where run_id = ?1 and source_table = ?2 and {at}",
            (run, table, name),
        ).fetchone()
        return found is not None

    def imported(self, run: str) -> int:
        (count,) = self.db.execute("select count(*) from document_sources where run_id = ?", (run,)).fetchone()
        return int(count)

    def packed(self, run: str) -> bool:
        """Whether the texts of a run lie in the index."""
        found = self.db.execute(
            "select 1 from document_texts join document_sources using (doc_id) where run_id = ? limit 1", (run,)
        ).fetchone()
        return found is not None

    def decided(self, run: str) -> bool:
        """Whether any row of a run was decided on by a repair."""
        return self.db.execute("select 1 from repairs where run_id = ? limit 1", (run,)).fetchone() is not None

    def holds_any(self) -> bool:
        return self.db.execute("select 1 from documents limit 1").fetchone() is not None

    def findings(self, run: str) -> Counter[str]:
        """What was noticed in the documents of a run, by code."""
        return Counter(
            dict(
                self.db.execute(
                    "select code, count(*) from document_findings join document_sources using (doc_id)"
                    " where run_id = ? group by code",
                    (run,),
                )
            )
        )

    def clash(self, document: Document) -> str:
        """What stands in the way of the document's ids: they are hashes, and others may have the same."""
        found = self.db.execute("select stage, task_id from documents where doc_id = ?", (document.doc_id,)).fetchone()
        if found is not None:
            return f"its id {document.doc_id} is that of the {found[0]} {found[1]!r}"
        parts = self.db.execute(
            "select parts from logical_keys where logical_key_id = ?", (document.logical,)
        ).fetchone()
        if parts is not None and orjson.loads(parts[0]) != list(document.parts):
            return f"its key {document.logical} is that of {parts[0]}"
        return ""

    # ------------------------------------------------------------------------------------- adding

    def add(self, batch: Sequence[Document], *, packed: bool, repairs: Sequence[Repair] = ()) -> None:
        """The rows of a batch, and what was decided to take them, in one transaction."""
        with self.transaction():
            self.db.executemany(
                "insert into documents (doc_id, logical_key_id, stage, task_id, parent_doc_id, template_id, model_id,"
                " run_id, status, created_at, doc_dir, raw_chars, parsed_chars, content_hash, meta_small)"
                " values (?, ?, ?, ?, ?, ?, ?, ?, 'ok', ?, ?, ?, ?, ?, ?)",
                [
                    (
                        each.doc_id, each.logical, each.row.kind.stage, each.row.task_id, each.link.parent or None,
                        each.row.template_id, each.row.model_id, each.run, written(each.row.moment), each.place,
                        each.chars, each.chars, each.content_hash, each.small(),
                    )
                    for each in batch
                ],
            )  # fmt: skip
            self.db.executemany(
                "insert into document_sources values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        each.doc_id, each.run, each.row.kind.table, each.row.index, each.row.timestamp,
                        each.row.combo_id, each.response_file, each.prompt_file or None, len(each.text),
                        each.row.size or None,
                    )
                    for each in batch
                ],
            )  # fmt: skip
            self.db.executemany(
                "insert into document_links values (?, ?, ?, ?, ?)",
                [
                    (each.doc_id, link.parent or None, link.found_by, link.certainty, link.candidates)
                    for each, link in ((each, each.link) for each in batch if each.row.kind.stage != "draft")
                ],
            )
            self.db.executemany(
                "insert or ignore into logical_keys values (?, ?)",
                [(each.logical, orjson.dumps(list(each.parts)).decode()) for each in batch],
            )
            self.db.executemany(
                "insert or ignore into document_findings values (?, ?, ?)",
                [(each.doc_id, finding.code, finding.message) for each in batch for finding in each.findings],
            )
            if packed:
                self.db.executemany(
                    "insert into document_texts values (?, ?, null, ?, ?)",
                    [(each.doc_id, each.text, each.prompt, each.metadata().decode()) for each in batch],
                )
            self._decide(repairs)
            crashing.point("before documents are in the index")
        crashing.point("after documents are in the index")

    def set_aside(self, repairs: Sequence[Repair]) -> None:
        with self.transaction():
            self._decide(repairs)

    def _decide(self, repairs: Sequence[Repair]) -> None:
        self.db.executemany(
            "insert into repairs (run_id, source_table, row_index, timestamp, task_id, reason, decision, origin, rule,"
            " doc_id, note) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    each.run, each.row.kind.table, each.row.index, each.row.timestamp, each.row.task_id, each.reason,
                    "taken" if each.doc_id else "set_aside", each.origin, each.rule, each.doc_id or None, each.note,
                )
                for each in repairs
            ],
        )  # fmt: skip

    def keep_templates(self, stage: str, templates: Iterator[tuple[str, str, bool]]) -> None:
        """The templates of a stage as the archive lists them now; those that it does not list stay as they are."""
        with self.transaction():
            self.db.executemany(
                "insert into templates values (?, ?, ?, ?, ?) on conflict (id) do update"
                " set text = excluded.text, wanted = excluded.wanted"
                " where text is not excluded.text or wanted is not excluded.wanted",
                [(f"{stage}/{name}", stage, name, text, int(wanted)) for name, text, wanted in templates],
            )

    def keep_place(self, docs: Path) -> None:
        """Where the folders lie, as seen from the index."""
        place = os.path.relpath(docs.resolve(), self.path.resolve().parent)
        self.db.execute(
            "insert into archive values ('docs', ?) on conflict (name) do update set value = excluded.value"
            " where value is not excluded.value",
            (place,),
        )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.db.execute("begin immediate")
        try:
            yield
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("rollback")
            raise
        self.db.execute("commit")


def docs_of(index: Path, db: sqlite3.Connection) -> Path | None:
    """Where the folders of an index lie; None where none was told."""
    found = db.execute("select value from archive where name = 'docs'").fetchone()
    return Path(os.path.normpath(index.resolve().parent / found[0])) if found else None


@contextmanager
def sole_writer(index: Path) -> Iterator[None]:
    """Only one import or repair at a time writes beside an index; free again when its process ends. Raises Locked."""
    index.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(index.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise errors.Locked(
            f"another import writes into {index}", hint="Wait until it has ended; nothing was changed."
        ) from error
    try:
        yield
    finally:
        os.close(handle)
