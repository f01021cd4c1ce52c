"""Where a text differs from the one it came from, word by word, for a person's eye."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Literal

Mark = Literal["same", "added", "removed"]
Parts = tuple[tuple[Mark, str], ...]

ALIKE = 0.4
"""From this likeness on, two texts count as versions of each other."""
LONGEST = 20_000
"""Characters beyond which no comparison is made."""
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


def marked(before: str, after: str) -> Parts | None:
    """``after`` with what was added and removed; None where the two are no versions of each other."""
    if max(len(before), len(after)) > LONGEST:
        return None
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    if matcher.quick_ratio() < ALIKE or matcher.ratio() < ALIKE:
        return None
    parts: list[tuple[Mark, str]] = []
    for kind, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if kind == "equal":
            parts.append(("same", "".join(new[new_from:new_to])))
            continue
        if old_to > old_from:
            parts.append(("removed", "".join(old[old_from:old_to])))
        if new_to > new_from:
            parts.append(("added", "".join(new[new_from:new_to])))
    return tuple(parts)


def nearest_source(text: str, sources: Mapping[str, str]) -> tuple[str, Parts] | None:
    """The source text that ``text`` is a version of, by its name, with the marks; None where there is none."""
    best: tuple[float, str, Parts] | None = None
    for name, source in sources.items():
        parts = marked(source, text) if source.strip() and text.strip() else None
        if parts is not None:
            same = sum(len(part) for mark, part in parts if mark == "same") / max(1, len(text), len(source))
            if best is None or same > best[0]:
                best = (same, name, parts)
    return None if best is None else best[1:]
