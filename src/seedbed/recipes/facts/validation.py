"""The two free levels of validation: is the fact well formed, and does it contradict what is known?

Pure. ``examine`` is used twice: by the stage ``facts.validate`` on stored facts, and by ``facts.explode``
on an answer, so that a model hears of its mistakes while it can still mend them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from seedbed import Finding, Item
from seedbed.recipes.facts.texts import as_object, as_text, is_number, mentions, normal, same_number, sentences

TYPES: Mapping[str, str] = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date such as 2026-11-20",
    "array": "a list of texts",
}
LENGTHS: Mapping[str, tuple[str, int, int]] = {
    "title": ("FS-001", 10, 200),
    "challenge_title": ("FS-002", 10, 200),
    "context": ("FS-003", 80, 4000),
    "notability_reason": ("FS-006", 10, 500),
}
LONGEST_VALUE = 500

FOREIGN: Sequence[tuple[str, re.Pattern[str]]] = (
    (
        "an instruction to a model",
        re.compile(
            r"\b(?:ignore|disregard|forget|override)\b[^.!?\n]{0,40}\b(?:instructions?|prompts?|rules|guidelines)\b"
            r"|\bsystem prompt\b|\bas an? (?:AI|language model)\b"
            r"|\byou are (?:now )?(?:an? )?(?:AI|assistant|ChatGPT)\b"
            r"|^\s*(?:system|assistant|user)\s*:",
            re.IGNORECASE | re.MULTILINE,
        ),
    ),
    (
        "chat marks",
        re.compile(r"<\|[^|>\n]{1,40}\|>|\[/?INST\]|<</?SYS>>|^#{2,} *(?:instruction|response|system)", re.I | re.M),
    ),
    ("HTML or a script", re.compile(r"</?[a-z!][^<>\n]*>|<script|\bjavascript:|\bon(?:error|load|click)\s*=", re.I)),
    ("template marks", re.compile(r"\{\{|\}\}|\{%|%\}|\{#|\$\{|<%|%>")),
    ("a link", re.compile(r"\]\(\s*\S|https?://|\bdata:[a-z]+/", re.I)),
    ("control characters", re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ufeff]")),
)  # fmt: skip
"""What has no place in a fact, as data: a name for people, and the pattern."""


def validated(fact: Item) -> dict[str, Any]:
    """The verdict on a stored fact: the ``compute`` of the stage ``facts.validate``."""
    found = list(
        examine(
            {**fact, "facts": as_object(fact["facts"])},
            topic=fact.context["about"],
            entry=fact.context["source"],
            others=fact.context["others"],
            today=fact.context["today"],
        )
    )
    wrong = any(finding.severity == "error" for finding in found)
    return {"status": "rejected" if wrong else "validated", "findings": [finding.as_json() for finding in found]}


def examine(
    fact: Mapping[str, Any],
    *,
    topic: Mapping[str, Any] | None,
    entry: Mapping[str, Any] | None = None,
    others: Iterable[Mapping[str, Any]] = (),
    today: str = "",
) -> Iterator[Finding]:
    """Everything that is wrong with a fact, level by level.

    topic: its ``fact_keys``, the typed keys that a fact may have. entry: ``name`` and ``data``, what was known
    before. others: further facts of the entry, with ``status`` and ``facts``. today: an ISO date.
    """
    if topic is None:
        yield Finding("FC-006", "the topic of this fact does not exist", "topic")
        return
    keys = topic["fact_keys"]
    yield from structure(fact, keys)
    yield from foreign_marks(fact)
    yield from consistency(fact, keys, entry or {}, others)
    yield from expiry(fact, today)


# ------------------------------------------------------------------------------------ structure


def structure(fact: Mapping[str, Any], keys: Mapping[str, Any]) -> Iterator[Finding]:
    for name, (code, least, most) in LENGTHS.items():
        text = fact.get(name)
        length = len(text.strip()) if isinstance(text, str) else 0
        if not least <= length <= most:
            yield Finding(code, f"{name} has {length} characters; {least} to {most} are wanted", name)
    count = sentences(str(fact.get("context") or ""))
    if not 4 <= count <= 8:
        yield Finding("FS-004", f"the context has {count} sentences; 4 to 8 are wanted", "context")
    score = fact.get("notability_score")
    if not (is_number(score) and 0 <= float(str(score)) <= 1):
        yield Finding("FS-005", f"the notability score is {score!r}; 0 to 1 is wanted", "notability_score")
    values = as_object(fact.get("facts"))
    for key, value in values.items():
        if key in keys:
            yield from _value(key, value, keys[key])
    for key, spec in keys.items():
        if spec.get("required") is True and values.get(key) in (None, "", []):
            yield Finding("FS-011", f"{key} is missing, which each fact of the topic has to hold", f"facts.{key}")
    if keys and not values:
        yield Finding("FS-010", "the fact holds no value of its topic's keys", "facts", "warning")


def _value(key: str, value: Any, spec: Mapping[str, Any]) -> Iterator[Finding]:
    field, kind = f"facts.{key}", str(spec.get("type", "string"))
    if not fits(value, kind):
        yield Finding("FS-007", f"{key} is {value!r}; {TYPES.get(kind, kind)} is wanted", field)
        return
    if len(as_text(value)) > LONGEST_VALUE:
        yield Finding("FS-008", f"{key} has {len(as_text(value))} characters; at most {LONGEST_VALUE}", field)
    low, high = spec.get("minimum"), spec.get("maximum")
    if is_number(value) and ((low is not None and value < low) or (high is not None and value > high)):
        yield Finding("FS-008", f"{key} is {value}; from {low} to {high} is allowed", field)
    allowed = spec.get("enum")
    if allowed and value not in allowed:
        yield Finding("FS-008", f"{key} is {value!r}, which is none of {', '.join(map(str, allowed))}", field)


def fits(value: Any, kind: str) -> bool:
    """Whether a value has the type that a topic declares for its key."""
    if kind == "integer":
        return is_number(value) and float(value).is_integer()
    if kind == "number":
        return is_number(value)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "array":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if kind == "date":
        return isinstance(value, str) and _day(value) is not None
    return isinstance(value, str) and bool(value.strip())


def foreign_marks(fact: Mapping[str, Any]) -> Iterator[Finding]:
    texts = {name: str(fact.get(name) or "") for name in LENGTHS}
    texts |= {f"facts.{key}": as_text(value) for key, value in as_object(fact.get("facts")).items()}
    for field, text in texts.items():
        what = foreign(text)
        if what:
            yield Finding("FS-009", f"{field} holds {what}", field)


def foreign(text: str) -> str:
    """What a text holds that no text of the corpus may hold, in words; "" where there is nothing."""
    return next((what for what, pattern in FOREIGN if pattern.search(text)), "")


# ---------------------------------------------------------------------------------- consistency


def consistency(
    fact: Mapping[str, Any], keys: Mapping[str, Any], entry: Mapping[str, Any], others: Iterable[Mapping[str, Any]]
) -> Iterator[Finding]:
    values = as_object(fact.get("facts"))
    unknown = sorted(set(values) - set(keys))
    if unknown:
        yield Finding("FC-001", f"the topic has no key {', '.join(unknown)}", "facts")
    known, rivals = as_object(entry.get("data")), list(others)
    for key, value in values.items():
        spec = keys.get(key, {})
        yield from _against_texts(fact, key, value, spec, str(entry.get("name") or ""))
        if known.get(key) is not None:
            if not agree(value, known[key]):
                told = f"{key} is {as_text(value)}; the entry says {as_text(known[key])}"
                yield Finding("FC-003", told, f"facts.{key}")
        elif not spec.get("many"):
            yield from _against_others(fact, key, value, rivals)
        if _gives_away(fact, value, str(entry.get("name") or "")):
            yield Finding("FC-007", f"the challenge title gives away {key}", "challenge_title")


def agree(left: Any, right: Any) -> bool:
    """Whether two values of one key say the same; a rounding of a number does."""
    if is_number(left) and is_number(right):
        return same_number(str(left), right) or same_number(str(right), left)
    if isinstance(left, list) and isinstance(right, list):
        return sorted(normal(as_text(each)) for each in left) == sorted(normal(as_text(each)) for each in right)
    return normal(as_text(left)) == normal(as_text(right))


def _against_others(
    fact: Mapping[str, Any], key: str, value: Any, others: Sequence[Mapping[str, Any]]
) -> Iterator[Finding]:
    """The entry's own data decide; without them a validated fact stands; of two pending ones neither does."""
    for other in others:
        rival = as_object(other.get("facts")).get(key)
        if rival is None or other.get("status") == "rejected" or agree(value, rival):
            continue
        told = f"{key} is {as_text(value)}; another fact of this entry says {as_text(rival)}: {other.get('title')}"
        yield Finding("FC-004", told, f"facts.{key}")
        return


_NUMBER = (
    r"(?P<number>\d{1,3}(?:[,\u00a0\u202f ]\d{3})+(?:\.\d+)?(?!\d)|\d+(?:\.\d+)?)"
    r"(?:\s+(?P<scale>thousand|million|billion))?"
)
_HEDGES = "about|around|nearly|almost|over|roughly|some|approximately|more|less|under"
_GLUE = (
    r"(?:\s+(?:of|is|was|are|were|has|have|stands?|stood|at|reach(?:es|ed)?|counts?|numbers?|total(?:s|ed|led)?"
    rf"|to|a|an|the|than|only|exactly|just|{_HEDGES}))"
)
_ROUGH = re.compile(rf"\b(?:{_HEDGES})\b", re.IGNORECASE)
_SCALES = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}


def _against_texts(
    fact: Mapping[str, Any], key: str, value: Any, spec: Mapping[str, Any], entry: str
) -> Iterator[Finding]:
    """A number beside the name of a key, or before its unit, has to be the key's value."""
    if not is_number(value):
        return
    label = re.escape(str(spec.get("label") or key.replace("_", " ")))
    glue = rf"(?P<glue>(?:{_GLUE}|\s+{re.escape(entry)}){{0,6}})" if entry else rf"(?P<glue>{_GLUE}{{0,6}})"
    patterns = [rf"\b{label}\b{glue}\s*:?\s*(?P<sign>[-−]?){_NUMBER}"]
    if spec.get("unit"):
        unit = re.escape(str(spec["unit"]))
        patterns.append(rf"(?P<glue>(?:\b(?:{_HEDGES})(?:\s+than)?\s+)?)(?P<sign>)\b{_NUMBER}\s+{unit}\b")
    for field in ("title", "context"):
        text = str(fact.get(field) or "")
        for found in (each for pattern in patterns for each in re.finditer(pattern, text, re.IGNORECASE)):
            written = ("-" if found["sign"] else "") + re.sub(r"[^\d.]", "", found["number"])
            scale = _SCALES.get((found["scale"] or "").lower(), 1)
            if not same_number(written, value, scale=scale, rough=bool(_ROUGH.search(found["glue"]))):
                told = f"{field} says {found.group().strip()!r}; the value of {key} is {as_text(value)}"
                yield Finding("FC-002", told, field)
                return


def _gives_away(fact: Mapping[str, Any], value: Any, entry: str) -> bool:
    said = as_text(value)
    telling = not isinstance(value, bool) and len(normal(said)) > 1
    return telling and not mentions(entry, said) and mentions(str(fact.get("challenge_title") or ""), said)


# --------------------------------------------------------------------------------------- expiry


def expiry(fact: Mapping[str, Any], today: str) -> Iterator[Finding]:
    """News goes stale and says when; what has gone stale is not validated any more."""
    until = fact.get("expires_at")
    if until in (None, ""):
        if fact.get("source_type") == "news_extraction":
            yield Finding("FC-005", "a fact from the news has no day on which it expires", "expires_at")
        return
    day = _day(str(until))
    if day is None:
        yield Finding("FC-005", f"{until!r} is not a date", "expires_at")
    elif today and day < date.fromisoformat(today):
        yield Finding("FC-005", f"the fact expired on {day.isoformat()}", "expires_at")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        return None
