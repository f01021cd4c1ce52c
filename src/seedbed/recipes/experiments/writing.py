"""Documents out of the index into folders, and into the layout of old where a person still wants it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import orjson

from seedbed import errors
from seedbed.recipes.experiments.archive import EVALUATIONS, TEXTS
from seedbed.recipes.experiments.documents import METADATA, PARSED, PROMPT, RAW
from seedbed.recipes.experiments.folders import Folders, replace_file
from seedbed.recipes.experiments.importing import BATCH
from seedbed.recipes.experiments.index import sole_writer
from seedbed.recipes.experiments.kinship import folded
from seedbed.recipes.experiments.reading import Document, Documents

LEGACY = {
    "draft": f"{TEXTS}/draft_responses",
    "essay": f"{TEXTS}/essay_responses",
    "evaluation": f"{EVALUATIONS}/evaluation_responses",
}
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,149}")


@dataclass(frozen=True)
class WriteReport:
    """``folders`` were written, ``there`` stood there; ``legacy`` files were written in the layout of old."""

    folders: int
    there: int
    legacy: int
    docs: str
    dry_run: bool


def write_documents(index: Path, data: Path, *, legacy: bool = False, dry_run: bool = False) -> WriteReport:
    """A folder for each document whose texts lie in the index only; those that are there are left alone.

    With ``legacy`` what a stage has made is also written as ``data/3_generation/essay_responses/TASK_v1.txt`` and the
    like; inputs that were imported are never written. ``data`` is the folder ``data`` of the archive.
    """
    with Documents(index) as documents, nullcontext() if dry_run else sole_writer(index):
        docs = documents.docs or data / "docs"
        folders, written, there, old = Folders(docs), 0, 0, 0
        batch: list[tuple[str, dict[str, bytes]]] = []
        if not dry_run:
            folders.begin()
        for document in _unwritten(documents):
            if (docs / document.doc_dir / METADATA).is_file():
                there += 1
            else:
                written += 1
                batch.append((document.doc_dir, _files(documents, document)))
            if legacy and _generated(documents, document):
                old += _legacy(documents, document, data, dry_run)
            if len(batch) == BATCH:
                _write(folders, batch, dry_run)
        _write(folders, batch, dry_run)
        if not dry_run:
            folders.end()
    return WriteReport(written, there, old, str(docs), dry_run)


def _write(folders: Folders, batch: list[tuple[str, dict[str, bytes]]], dry_run: bool) -> None:
    if batch and not dry_run:
        folders.write(batch)
        folders.sync()
        folders.name(batch)
        folders.sync()
    batch.clear()


def _unwritten(documents: Documents) -> Iterator[Document]:
    for (doc_id,) in documents.database.execute("select doc_id from document_texts order by doc_id"):
        yield documents.get(doc_id)


def _generated(documents: Documents, document: Document) -> bool:
    return (
        documents.database.execute("select 1 from generations where doc_id = ?", (document.doc_id,)).fetchone()
        is not None
    )


def _files(documents: Documents, document: Document) -> dict[str, bytes]:
    files = {
        RAW: documents.raw(document),
        PARSED: documents.parsed(document).encode(),
        METADATA: _metadata(documents, document),
    }
    prompt = documents.prompt(document)
    return files if prompt is None else {**files, PROMPT: prompt.encode()}


def _metadata(documents: Documents, document: Document) -> bytes:
    """As it was kept; for what a stage has made, out of the index."""
    kept = documents.metadata(document)
    if kept:
        (text,) = documents.database.execute(
            "select metadata from document_texts where doc_id = ?", (document.doc_id,)
        ).fetchone()
        return str(text).encode()
    parent = documents.parent(document)
    return orjson.dumps(
        {
            "doc_id": document.doc_id,
            "logical_key_id": document.logical_key_id,
            "stage": document.stage,
            "task_id": document.task_id,
            "run_id": document.run_id,
            "template_id": document.template_id,
            "model_id": document.model_id,
            "created_at": document.created_at,
            "content_hash": document.content_hash,
            "parent": parent
            and {"doc_id": parent.doc_id, "task_id": parent.task_id, "found_by": "generated", "certainty": "stated"},
        },
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )


# -------------------------------------------------------------------------------- the layout of old


def _legacy(documents: Documents, document: Document, data: Path, dry_run: bool) -> int:
    """1 where a file was written; 0 where one with this text stands there."""
    folder, name = data / LEGACY[document.stage], legacy_name(documents, document)
    text = documents.raw(document)
    for version in range(1, 1000):
        path = folder / f"{name}_v{version}.txt"
        if not path.exists():
            if not dry_run:
                folder.mkdir(parents=True, exist_ok=True)
                replace_file(path, [text])
            return 1
        if path.read_bytes() == text:
            return 0
    raise errors.Drift(f"{folder / name} has a thousand versions already")


def legacy_name(documents: Documents, document: Document) -> str:
    """The task's id where it can be a file's name and no other task's looks the same; else a name with its hash."""
    task = document.task_id
    others = documents.database.execute(
        "select task_id from documents where stage = ? and task_id <> ? and lower(task_id) = lower(?)",
        (document.stage, task, task),
    ).fetchall()
    twins = [other for (other,) in others if folded(other) == folded(task)]
    if _PLAIN.fullmatch(task) and not twins:
        return task
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", task)[:100].strip("-") or "task"
    return f"{plain}-{hashlib.sha256(task.encode()).hexdigest()[:12]}"
