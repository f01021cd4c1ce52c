"""Final figures and faults of the facts, as they are in the tables now. Reads only, calls no model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from seedbed import Corpus, Selection
from seedbed.recipes.facts.checks import FEWEST_STYLES, STYLES, broken_rules
from seedbed.recipes.facts.validation import foreign

NAMED = 100
"""How many rows of each fault are named; all are counted."""
TEXTS = ("title", "challenge_title", "context", "notability_reason")
NULLABLE = ("entry", "challenge_title", "context", "notability_score", "notability_reason", "content_hash")


def audit_facts(corpus: Corpus) -> dict[str, Any]:
    """Facts by source and status and by topic, orphans, coverage, duplicate titles, nulls, banned patterns, facts of
    little note, challenges that break a rule."""
    coverage = _coverage(corpus)
    return {
        "facts": _by_origin(corpus),
        "topics": _by_topic(corpus),
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
        "banned": _banned(corpus),
        "weak": _weak(corpus),
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


def _by_topic(corpus: Corpus) -> list[dict[str, Any]]:
    counted = corpus.count_by("facts", ["topic"], _all("facts"))
    return [{"topic": topic, "facts": count} for (topic,), count in sorted(counted)]


def _weak(corpus: Corpus) -> dict[str, int]:
    """Facts of little note: those that ``facts.recover`` would ask about, and those of which too little is known."""
    counted = {
        bool(rich): count for (rich,), count in corpus.count_by("facts_weak", ["recoverable"], _all("facts_weak"))
    }
    return {"recoverable": counted.get(True, 0), "vague": counted.get(False, 0)}


def _banned(corpus: Corpus) -> dict[str, Any]:
    """Facts whose texts hold what has no place there, by what it is."""
    patterns: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    count = 0
    for row in _pages(corpus, "facts"):
        found = [(name, what) for name in TEXTS if (what := foreign(str(row[name] or "")))]
        if not found:
            continue
        count += 1
        patterns.update(what for _, what in found)
        if len(rows) < NAMED:
            rows.append({"id": row["id"], "found": dict(found)})
    return {"count": count, "by_pattern": dict(sorted(patterns.items())), "rows": rows}


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
