"""Final figures and faults of the facts, as they are in the tables now. Reads only, calls no model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from seedbed import Corpus, Selection
from seedbed.recipes.facts.checks import FEWEST_STYLES, STYLES, broken_rules

NAMED = 100
"""How many rows of each fault are named; all are counted."""
NULLABLE = ("entry", "challenge_title", "context", "notability_score", "notability_reason", "content_hash")


def audit_facts(corpus: Corpus) -> dict[str, Any]:
    """Facts by source and status, orphans, coverage, duplicate titles, nulls, challenges that break a rule."""
    coverage = _coverage(corpus)
    return {
        "facts": _by_origin(corpus),
        "orphans": _named(corpus, "entries_orphans", "id", "name", "parent"),
        "heirs": corpus.count("entries_heirs", _all("entries_heirs")),
        "coverage": coverage,
        "few_styles": {
            "rule": "CC-001",
            "fewest": FEWEST_STYLES,
            "count": sum(facts for styles, facts in coverage.items() if int(styles) < FEWEST_STYLES),
        },
        "duplicate_titles": _named(corpus, "facts_duplicate_titles", "topic", "title", "facts", "ids"),
        "nulls": _nulls(corpus),
        "challenges": _challenges(corpus),
    }


def _all(table: str) -> Any:
    return Selection(table).condition()


def _pages(corpus: Corpus, table: str, key: str = "id") -> Iterator[dict[str, Any]]:
    after: list[Any] | None = None
    while page := corpus.page(table, [key], _all(table), after=after, limit=1000):
        yield from page
        after = [page[-1][key]]


def _by_origin(corpus: Corpus) -> list[dict[str, Any]]:
    counted = corpus.count_by("facts", ["source_type", "status"], _all("facts"))
    return [{"source_type": source, "status": status, "facts": count} for (source, status), count in sorted(counted)]


def _named(corpus: Corpus, table: str, *columns: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    count = 0
    for row in _pages(corpus, table):
        count += 1
        if len(rows) < NAMED:
            rows.append({name: row[name] for name in columns})
    return {"count": count, "rows": rows}


def _coverage(corpus: Corpus) -> dict[str, int]:
    """How many validated facts have challenges of no style, of one, … of all six."""
    counted = {
        int(styles): count for (styles,), count in corpus.count_by("facts_coverage", ["styles"], _all("facts_coverage"))
    }
    return {str(styles): counted.get(styles, 0) for styles in range(len(STYLES) + 1)}


def _nulls(corpus: Corpus) -> dict[str, dict[str, int]]:
    return {
        row["source_type"]: {"facts": row["facts"], **{name: row[name] for name in NULLABLE}}
        for row in _pages(corpus, "facts_nulls", "source_type")
    }


def _challenges(corpus: Corpus) -> dict[str, Any]:
    rules: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    checked = failing = 0
    for row in _pages(corpus, "challenges_to_check"):
        checked += 1
        found = list(broken_rules(row, row))
        if not found:
            continue
        failing += 1
        rules.update({finding.code for finding in found})
        if len(rows) < NAMED:
            findings = [finding.as_json() for finding in found]
            rows.append({"id": row["id"], "fact": row["fact"], "style": row["style"], "findings": findings})
    return {"checked": checked, "failing": failing, "by_rule": dict(sorted(rules.items())), "rows": rows}
