"""The index, for those who read: documents with their texts, from folders or from the index, and pinned parents."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from seedbed import errors
from seedbed.recipes.experiments.documents import METADATA, PARSED, PROMPT, RAW
from seedbed.recipes.experiments.index import Index, docs_of

_COLUMNS = (
    "doc_id, logical_key_id, stage, task_id, parent_doc_id, template_id, model_id, run_id, status, created_at, doc_dir,"
    " content_hash"
)


@dataclass(frozen=True, slots=True)
class Document:
    """A row of the index. ``created_at`` is UTC; ``doc_dir`` is below the folder of the documents."""

    doc_id: str
    logical_key_id: str
    stage: str
    task_id: str
    parent_doc_id: str | None
    template_id: str
    model_id: str
    run_id: str
    status: str
    created_at: str
    doc_dir: str
    content_hash: str


class Documents:
    """An index, opened to be read; the archive that it was made from is not asked. Use it in a ``with``.

    ``docs`` is the folder of the documents; without it, where the index says that it lies.
    """

    def __init__(self, index: Path, *, docs: Path | None = None) -> None:
        self._index = Index(index, writes=False)
        if not self._index.there:
            self._index.close()
            raise errors.SourceError(
                f"there is no index {index}", hint="Import an archive first: seedbed import experiments DIR --run-id R"
            )
        self.docs = docs or docs_of(index, self._index.db)

    def __enter__(self) -> Documents:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._index.close()

    # ----------------------------------------------------------------------------------- documents

    def get(self, doc_id: str) -> Document:
        """Raises EmptySelection where there is no such document."""
        found = self._one("doc_id = ?", doc_id)
        if found is None:
            raise errors.EmptySelection(f"there is no document {doc_id}")
        return found

    def latest(self, logical_key_id: str) -> Document | None:
        """The newest good attempt of a logical key; of two at one time the one that was added last."""
        return self._one("logical_key_id = ? and status = 'ok' order by created_at desc, rowid desc", logical_key_id)

    def latest_of_task(self, stage: str, task_id: str) -> Document | None:
        """The newest good attempt of a task."""
        return self._one(
            "stage = ? and task_id = ? and status = 'ok' order by created_at desc, rowid desc", stage, task_id
        )

    def of_stage(self, stage: str) -> Iterator[Document]:
        yield from self._all("stage = ? order by rowid", stage)

    def parent(self, document: Document) -> Document | None:
        """The parent that the document was made from, by its id: never a newer attempt. None where it has none.

        Raises Drift where the index does not hold it.
        """
        if document.parent_doc_id is None:
            return None
        found = self._one("doc_id = ?", document.parent_doc_id)
        if found is None:
            raise errors.Drift(
                f"the parent {document.parent_doc_id} of {document.doc_id} is not in the index",
                hint="See all of them: seedbed documents chains",
            )
        return found

    def children(self, document: Document) -> Iterator[Document]:
        yield from self._all("parent_doc_id = ? order by created_at, rowid", document.doc_id)

    def _one(self, where: str, *values: str) -> Document | None:
        return next(self._all(f"{where} limit 1", *values), None)

    def _all(self, where: str, *values: str) -> Iterator[Document]:
        cursor = self._index.db.execute(f"select {_COLUMNS} from documents where {where}", values)  # noqa: S608
        for row in cursor:
            yield Document(*row)

    # --------------------------------------------------------------------------------------- texts

    def raw(self, document: Document) -> bytes:
        """The answer as it was received, byte for byte. Raises Drift where it is gone."""
        return self._need(document, RAW, "raw")

    def parsed(self, document: Document) -> str:
        """What a parser made of it; the same text where there was none."""
        return self._need(document, PARSED, "coalesce(parsed, raw)").decode()

    def prompt(self, document: Document) -> str | None:
        found = self._text(document, PROMPT, "prompt")
        return None if found is None else found.decode("utf-8", "replace")

    def metadata(self, document: Document) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._need(document, METADATA, "metadata"))
        return found

    def _need(self, document: Document, name: str, column: str) -> bytes:
        found = self._text(document, name, column)
        if found is None:
            raise errors.Drift(
                f"{name} of the document {document.doc_id} is gone from {document.doc_dir}",
                hint="See what else is: seedbed documents consistency",
            )
        return found

    def _text(self, document: Document, name: str, column: str) -> bytes | None:
        packed = self._index.db.execute(
            f"select {column} from document_texts where doc_id = ?",  # noqa: S608
            (document.doc_id,),
        ).fetchone()
        if packed is not None:
            return packed[0].encode() if isinstance(packed[0], str) else packed[0]
        if self.docs is None:
            return None
        try:
            return (self.docs / document.doc_dir / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    # --------------------------------------------------------------------------------------- views

    def view(self, name: str, columns: Sequence[str], *, order: str = "rowid") -> Iterator[dict[str, Any]]:
        """The rows of one of the index's own views."""
        cursor = self._index.db.execute(f"select {', '.join(columns)} from {name} order by {order}")  # noqa: S608
        for row in cursor:
            yield dict(zip(columns, row, strict=True))

    @property
    def database(self) -> sqlite3.Connection:
        return self._index.db
