"""The language of ``--where`` and of a selection: columns, literals, and/or/not. Never raw SQL.

    topic is empty and (status = 'new' or score >= 0.5) and name ~ 'sea' and kind in ('a', 'b')

``is empty`` holds for NULL and for text of blanks only; ``~`` is "contains", whatever the case.
``outcome.state``, ``outcome.reason``, ``outcome.attempts`` and ``outcome.cost`` speak of what the
stage made of the row. A comparison with NULL holds for no operator but ``is empty``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from seedbed.errors import UsageError

Operator = Literal["=", "!=", "<", "<=", ">", ">="]
OUTCOME_PREFIX = "outcome."


@dataclass(frozen=True, slots=True)
class Compare:
    column: str
    op: Operator
    value: str | int | float | bool


@dataclass(frozen=True, slots=True)
class In:
    column: str
    values: tuple[str | int | float | bool, ...]


@dataclass(frozen=True, slots=True)
class Empty:
    column: str


@dataclass(frozen=True, slots=True)
class Contains:
    column: str
    text: str


@dataclass(frozen=True, slots=True)
class Not:
    part: Condition


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    parts: tuple[Condition, ...]


Condition = Compare | In | Empty | Contains | Not | All | Either
ALWAYS = All(())

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?(?![\w.]))|(?P<op><=|>=|!=|<>|=|<|>|~|\(|\)|,)"""
    r"""|(?P<quoted>"(?:[^"]|"")+")|(?P<word>[^\W\d][\w.]*))"""
)
_KEYWORDS = {"and", "or", "not", "in", "is", "empty", "null", "true", "false"}
DEEPEST = 50
"""Parentheses and ``not`` within each other."""
LONGEST = 300
"""Digits of a number: what a float can hold."""


def parse(text: str) -> Condition:
    """The condition that ``text`` stands for; blank text holds always. Raises UsageError with the place."""
    if not text.strip():
        return ALWAYS
    reader = _Reader(text)
    condition = reader.either()
    reader.expect_end()
    return condition


def columns(condition: Condition) -> set[str]:
    """Each name that a condition speaks of, ``outcome.`` names included."""
    if isinstance(condition, All | Either):
        return {name for part in condition.parts for name in columns(part)}
    if isinstance(condition, Not):
        return columns(condition.part)
    return {condition.column}


def conjunction(*conditions: Condition) -> Condition:
    """All of them at once, without needless nesting."""
    parts: list[Condition] = []
    for condition in conditions:
        parts.extend(condition.parts if isinstance(condition, All) else (condition,))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def holds(condition: Condition, row: Mapping[str, Any]) -> bool:
    """Whether a row meets a condition; the meaning that each back end's SQL must equal."""
    match condition:
        case All(parts):
            return all(holds(part, row) for part in parts)
        case Either(parts):
            return any(holds(part, row) for part in parts)
        case Not(part):
            return not holds(part, row)
        case Empty(column):
            return is_empty(row.get(column))
        case Contains(column, text):
            value = row.get(column)
            return value is not None and _folded(text) in _folded(str(value))
        case In(column, values):
            return any(_compare(row.get(column), "=", value) for value in values)
        case Compare(column, op, value):
            return _compare(row.get(column), op, value)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _compare(left: Any, op: Operator, right: str | int | float | bool) -> bool:
    if left is None:
        return False
    if isinstance(right, int | float) and isinstance(left, str):
        try:
            left = float(left.replace("_", "no number"))
        except ValueError:
            return op == "!="
    elif isinstance(right, str) and not isinstance(left, str):
        left = str(left)
    try:
        return bool(_COMPARE[op](left, right))
    except TypeError:  # bytes have no order beside a number
        return False


class _Reader:
    """Recursive descent over the tokens of one condition."""

    def __init__(self, text: str) -> None:
        self.source = text
        self.tokens = list(self._tokens())
        self.at = 0
        self.depth = 0

    def _tokens(self) -> Iterator[tuple[str, str, int]]:
        position, end = 0, len(self.source.rstrip())
        while position < end:
            found = _TOKEN.match(self.source, position)
            if found is None:
                raise self._wrong(position)
            kind = str(found.lastgroup)
            value = found.group(kind)
            if kind == "word" and value.lower() in _KEYWORDS:
                kind, value = "keyword", value.lower()
            yield kind, value, found.start(str(found.lastgroup))
            position = found.end()

    def _wrong(self, position: int) -> UsageError:
        rest = self.source[position:].strip() or "the end"
        return UsageError(
            f"--where {self.source!r} cannot be read at {rest[:30]!r}",
            hint="Write it as: status = 'new' and score >= 0.5 and topic is not empty",
        )

    def _peek(self) -> tuple[str, str]:
        return self.tokens[self.at][:2] if self.at < len(self.tokens) else ("end", "")

    def _take(self, *wanted: tuple[str, str]) -> bool:
        if self._peek() in wanted:
            self.at += 1
            return True
        return False

    def _need(self, kind: str, value: str = "") -> str:
        found, text = self._peek()
        if found != kind or (value and text != value):
            raise self._wrong(self.tokens[self.at][2] if self.at < len(self.tokens) else len(self.source))
        self.at += 1
        return text

    def expect_end(self) -> None:
        if self.at < len(self.tokens):
            raise self._wrong(self.tokens[self.at][2])

    def either(self) -> Condition:
        parts = [self.both()]
        while self._take(("keyword", "or")):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def both(self) -> Condition:
        parts = [self.single()]
        while self._take(("keyword", "and")):
            parts.append(self.single())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def single(self) -> Condition:
        if self._peek() in (("keyword", "not"), ("op", "(")):
            return self._within()
        kind, name = self._peek()
        if kind not in ("word", "quoted"):
            self._need("word")
        self.at += 1
        return self._about(name[1:-1].replace('""', '"') if kind == "quoted" else name)

    def _within(self) -> Condition:
        if self.depth == DEEPEST:
            raise self._wrong(self.tokens[self.at][2])
        self.depth += 1
        if self._take(("keyword", "not")):
            inner: Condition = Not(self.single())
        else:
            self._need("op", "(")
            inner = self.either()
            self._need("op", ")")
        self.depth -= 1
        return inner

    def _about(self, column: str) -> Condition:
        if self._take(("keyword", "is")):
            negated = self._take(("keyword", "not"))
            if not self._take(("keyword", "empty"), ("keyword", "null")):
                self._need("keyword", "empty")
            return Not(Empty(column)) if negated else Empty(column)
        negated = self._take(("keyword", "not"))
        if self._take(("keyword", "in")):
            self._need("op", "(")
            values = [self._literal()]
            while self._take(("op", ",")):
                values.append(self._literal())
            self._need("op", ")")
            return Not(In(column, tuple(values))) if negated else In(column, tuple(values))
        if negated and self._peek() != ("op", "~"):
            self._need("keyword", "in")
        op = self._need("op")
        if op == "~":
            contains = Contains(column, str(self._literal()))
            return Not(contains) if negated else contains
        if op == "<>":
            op = "!="
        if op not in _COMPARE:
            self.at -= 1
            self._need("op", "=")
        return Compare(column, op, self._literal())  # type: ignore[arg-type]  # checked against _COMPARE

    def _literal(self) -> str | int | float | bool:
        kind, text = self._peek()
        if kind == "text":
            self.at += 1
            return text[1:-1].replace("''", "'")
        if kind == "number":
            if len(text) > LONGEST:
                raise self._wrong(self.tokens[self.at][2])
            self.at += 1
            return float(text) if "." in text else int(text)
        if kind == "keyword" and text in ("true", "false"):
            self.at += 1
            return text == "true"
        self._need("text")
        raise AssertionError("unreachable")
