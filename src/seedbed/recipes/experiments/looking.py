"""Reports over the index: the latest documents, what is inconsistent, doubled, broken or never used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedbed import errors
from seedbed.recipes.experiments.documents import METADATA, PARSED, PROMPT, RAW
from seedbed.recipes.experiments.folders import STAGING
from seedbed.recipes.experiments.reading import Documents
from seedbed.recipes.experiments.scores import RULES, scored

Rows = Iterator[dict[str, Any]]


@dataclass(frozen=True)
class Report:
    """A table that can be asked for. ``faults``: whether a row in it is something that is wrong."""

    what: str
    columns: tuple[str, ...]
    rows: Callable[[Documents], Rows]
    faults: bool = False


def _of_view(name: str, columns: tuple[str, ...], order: str) -> Callable[[Documents], Rows]:
    return lambda documents: documents.view(name, columns, order=order)


def consistency(documents: Documents, *, verify: bool = False) -> Rows:
    """Documents of which something is missing, and folders that no row names.

    ``verify`` also reads each text and compares its hash: ``changed_raw``.
    """
    columns = ("doc_id", "stage", "task_id", "doc_dir", "packed", "has_prompt", "missing_parent")
    for row in documents.view("documents_consistency", columns, order="stage, doc_dir"):
        found = _looked_at(documents, row, verify)
        if any(found[name] for name in FAULTS) or not found["dir_exists"]:
            yield {**{name: row[name] for name in ("doc_id", "stage", "task_id", "doc_dir")}, **found}
    if documents.docs is not None and documents.docs.is_dir():
        yield from _folders_without_row(documents, documents.docs)


FAULTS = (
    "missing_raw",
    "missing_parsed",
    "missing_prompt",
    "missing_metadata",
    "missing_parent",
    "changed_raw",
    "no_row",
)


def _looked_at(documents: Documents, row: Mapping[str, Any], verify: bool) -> dict[str, bool]:
    folder = None if documents.docs is None else documents.docs / row["doc_dir"]
    packed = bool(row["packed"])
    there = packed or (folder is not None and folder.is_dir())

    def missing(name: str) -> bool:
        return not packed and (folder is None or not (folder / name).is_file())

    raw_gone = missing(RAW)
    return {
        "dir_exists": there,
        "missing_raw": raw_gone,
        "missing_parsed": missing(PARSED),
        "missing_prompt": bool(row["has_prompt"]) and missing(PROMPT),
        "missing_metadata": missing(METADATA),
        "missing_parent": bool(row["missing_parent"]),
        "changed_raw": verify and not raw_gone and _changed(documents, row["doc_id"]),
        "no_row": False,
    }


def _changed(documents: Documents, doc_id: str) -> bool:
    document = documents.get(doc_id)
    return hashlib.sha256(documents.raw(document)).hexdigest() != document.content_hash


def _folders_without_row(documents: Documents, docs: Path) -> Rows:
    """Such as a person put there, or as an import left that was killed and not given again."""
    for folder in sorted(docs.glob("*/*/*")):
        place = str(folder.relative_to(docs))
        if place.startswith(STAGING) or not folder.is_dir():
            continue
        known = documents.database.execute(
            "select 1 from documents where doc_id = ? and doc_dir = ?", (folder.name, place)
        ).fetchone()
        if known is None:
            faults = dict.fromkeys(FAULTS, False) | {"no_row": True}
            yield {"doc_id": "", "stage": "", "task_id": "", "doc_dir": place, "dir_exists": True, **faults}


def scores(documents: Documents, *, rule: str = "") -> Rows:
    """The score of each evaluation, by one of the stated rules; None where the rule finds none."""
    for document in documents.of_stage("evaluation"):
        found = scored(documents.parsed(document), rule or next(iter(RULES)))
        yield {
            "doc_id": document.doc_id, "task_id": document.task_id, "parent_doc_id": document.parent_doc_id,
            "template_id": document.template_id, "model_id": document.model_id, "score": found,
        }  # fmt: skip


_LATEST = ("stage", "task_id", "template_id", "model_id", "created_at", "attempts", "doc_id", "doc_dir")
_CONSISTENCY = ("stage", "task_id", "dir_exists", *FAULTS, "doc_id", "doc_dir")
_DUPLICATES = ("documents", "tasks", "stages", "doc_ids")
_CHAINS = ("stage", "task_id", "parent_doc_id", "what", "id")
_TEMPLATES = ("stage", "template_id")
_LINKS = ("stage", "found_by", "certainty", "documents")
_SCORES = ("task_id", "template_id", "model_id", "score", "doc_id", "parent_doc_id")

REPORTS: Mapping[str, Report] = {
    "latest": Report(
        "the newest good attempt of each logical key",
        _LATEST, _of_view("documents_latest", _LATEST, "stage, task_id, doc_id"),
    ),
    "consistency": Report("documents of which a file or the parent is missing", _CONSISTENCY, consistency, True),
    "duplicates": Report(
        "equal texts under several documents",
        _DUPLICATES, _of_view("documents_duplicates", _DUPLICATES, "documents desc, id"),
    ),
    "chains": Report(
        "documents without a parent, or with one that their prompt speaks against",
        _CHAINS, _of_view("documents_broken_chains", _CHAINS, "stage, task_id, id"), True,
    ),
    "templates": Report(
        "templates of the archive that no document used",
        _TEMPLATES, _of_view("templates_unused", _TEMPLATES, "stage, template_id"),
    ),
    "links": Report(
        "how parents were found, and how sure that is",
        _LINKS, _of_view("links_by_certainty", _LINKS, "stage, found_by, certainty"),
    ),
    "scores": Report("the score of each evaluation, by a stated rule", _SCORES, scores),
}  # fmt: skip


def report(name: str) -> Report:
    """Raises UsageError, naming the nearest."""
    if name not in REPORTS:
        raise errors.UsageError(f"there is no report {name!r}", hint=errors.nearest(name, REPORTS))
    return REPORTS[name]


def shown(columns: Sequence[str], row: Mapping[str, Any]) -> list[str]:
    """Cells for people: yes and no for flags, a dash for nothing."""
    out = []
    for name in columns:
        value = row[name]
        out.append("-" if value is None else "yes" if value is True else "no" if value is False else str(value))
    return out
