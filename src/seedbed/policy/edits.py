"""Edits of a text as data: made, undone, put one upon the other.

An edit takes nothing away for good: what it removed stands in it, so that a list of edits can always be undone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Edit(NamedTuple):
    """At ``at`` (a character of the text as it came) ``removed`` became ``inserted``."""

    at: int
    removed: str
    inserted: str
    kind: str


@dataclass(frozen=True, slots=True)
class Repaired:
    """A value, the edits that made its text JSON, and the reasons to doubt it (none: empty, so false)."""

    value: Any
    edits: tuple[Edit, ...] = ()
    doubtful: tuple[str, ...] = ()


def applied(text: str, edits: Iterable[Edit]) -> str:
    """The text with the edits made, which stand in the order of their places."""
    parts: list[str] = []
    done = 0
    for edit in edits:
        parts += text[done : edit.at], edit.inserted
        done = edit.at + len(edit.removed)
    parts.append(text[done:])
    return "".join(parts)


def undone(text: str, edits: Iterable[Edit]) -> str:
    """The text as it came, of one that the edits were made in."""
    parts: list[str] = []
    done = shift = 0
    for edit in edits:
        begin = edit.at + shift
        parts += text[done:begin], edit.removed
        done = begin + len(edit.inserted)
        shift += len(edit.inserted) - len(edit.removed)
    parts.append(text[done:])
    return "".join(parts)


def place_before(edits: Iterable[Edit], place: int) -> int:
    """Where a place of the text with the edits made stood in the text as it came."""
    shift = 0
    for edit in edits:
        if edit.at + shift >= place:
            break
        shift += len(edit.inserted) - len(edit.removed)
    return place - shift


def joined(first: Sequence[Edit], second: Sequence[Edit]) -> list[Edit]:
    """One list for two: ``second`` was made in the text that ``first`` gave. Edits that touch become one."""
    found: list[Edit] = []
    waiting = list(reversed(first))
    shift = 0  # of a place in the text between, against the text as it came
    for edit in second:
        while waiting and waiting[-1].at + shift + len(waiting[-1].inserted) <= edit.at:
            before = waiting.pop()
            found.append(before)
            shift += len(before.inserted) - len(before.removed)
        begin, end = edit.at, edit.at + len(edit.removed)
        at, removed, inserted, kind = begin - shift, "", edit.inserted, edit.kind
        place = begin
        while waiting and waiting[-1].at + shift < max(end, begin + 1) and waiting[-1].at + shift < end:
            under = waiting.pop()
            start = under.at + shift
            if start < begin:
                at, inserted = under.at, under.inserted[: begin - start] + inserted
                place = start
            removed += edit.removed[place - begin : start - begin] if start > place else ""
            removed += under.removed
            place = start + len(under.inserted)
            shift += len(under.inserted) - len(under.removed)
            if place > end:
                inserted += under.inserted[end - start :]
        if place < end:
            removed += edit.removed[place - begin :]
        found.append(Edit(at, removed, inserted, kind))
    return found + waiting[::-1]
