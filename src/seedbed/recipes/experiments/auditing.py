"""Figures of the index as it is now. Reads only, calls no model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seedbed import Corpus, Selection

NAMED = 100
"""How many rows of each fault are named; all are counted."""


def audit_experiments(corpus: Corpus) -> dict[str, Any]:
    """Documents by stage and run, links by certainty, duplicates, broken chains, templates that nobody used."""
    counted = corpus.count_by("documents", ["stage", "run_id"], Selection("documents").condition())
    return {
        "documents": [{"stage": stage, "run": run, "documents": count} for (stage, run), count in sorted(counted)],
        "links": [
            {name: row[name] for name in ("stage", "found_by", "certainty", "documents")}
            for row in _pages(corpus, "links_by_certainty")
        ],
        "duplicates": _named(corpus, "documents_duplicates", "documents", "stages", "doc_ids"),
        "broken_chains": _named(corpus, "documents_broken_chains", "stage", "task_id", "what"),
        "unused_templates": _named(corpus, "templates_unused", "stage", "template_id"),
    }


def _named(corpus: Corpus, view: str, *columns: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    count = 0
    for row in _pages(corpus, view):
        count += 1
        if len(rows) < NAMED:
            rows.append({name: row[name] for name in columns})
    return {"count": count, "rows": rows}


def _pages(corpus: Corpus, view: str) -> Iterator[dict[str, Any]]:
    after: list[Any] | None = None
    while page := corpus.page(view, ["id"], Selection(view).condition(), after=after, limit=1000):
        yield from page
        after = [page[-1]["id"]]
