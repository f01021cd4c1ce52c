"""Scores out of the texts of evaluations, by a rule that is named, since the scale has changed over the years."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from seedbed import errors

_EXACT = re.compile(r"score:\s*(\d(?:\.\d+)?)", re.IGNORECASE)
_THREE = re.compile(r"score(?::\s*|\s+)(\d),?\s?(\d),?\s?(\d)(?![\d.])", re.IGNORECASE)
_PLAIN = re.compile(r"score(?::\s*|\s+)(\d+(?:\.\d+)?)(?=\s|$)", re.IGNORECASE)
_LOOSE = re.compile(
    r"score[\s*_]*(?:is|of)?[\s*_]*[:=]?[\s*_]*(\d+(?:\.\d+)?)(?:\s*/\s*(\d+(?:\.\d+)?))?", re.IGNORECASE
)


def last_three_lines(text: str) -> float | None:
    """0 to 9: of the last three lines that are not empty, one that is ``SCORE: x`` and nothing else; without such a
    line one that holds ``score 4 5 6``, three digits, of which the mean counts, or ``score x``. Of two the later."""
    lines = [line.replace("*", "").replace("#", "").strip() for line in text.splitlines() if line.strip()][-3:]
    exact = [found for line in lines if (found := _EXACT.fullmatch(line))]
    three = [found for line in lines if (found := _THREE.search(line))]
    plain = [found for line in lines if (found := _PLAIN.search(line))]
    for matches in (exact, three, plain):
        if matches:
            digits = [float(digit) for digit in matches[-1].groups()]
            score = sum(digits) / len(digits)
            return score if score <= 9 else None
    return None


def last_thirty_lines(text: str) -> float | None:
    """0 to 10: the last score in the last thirty lines; ``a/b`` is taken to a scale of ten."""
    found = list(_LOOSE.finditer("\n".join(text.splitlines()[-30:])))
    if not found:
        return None
    score, of = float(found[-1][1]), float(found[-1][2] or 10)
    scaled = score / of * 10 if of else -1.0
    return scaled if 0 <= scaled <= 10 else None


RULES: Mapping[str, Callable[[str], float | None]] = {
    "last-three-lines": last_three_lines,
    "last-thirty-lines": last_thirty_lines,
}


def scored(text: str, rule: str) -> float | None:
    """The score by a rule. Raises UsageError for a rule that is not known."""
    if rule not in RULES:
        raise errors.UsageError(f"there is no rule {rule!r} for scores", hint=errors.nearest(rule, RULES))
    return RULES[rule](text)
