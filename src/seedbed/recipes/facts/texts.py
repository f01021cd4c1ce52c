"""How texts are measured and compared: sentences, numbers, mentions."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_END = re.compile(r"""[.!?…]+["'”’)\]]*(?=\s|$)|[。！？]+""")
_SHORT = re.compile(r"(?:\b(?:[A-Z]|St|Mt|Dr|Mr|Mrs|Ms|Prof|Jr|Sr|No|vs|ca|cf|approx|e\.g|i\.e|a\.m|p\.m))$")
_NEXT = re.compile(r"""\s+["'“‘(\[]*(?=[^\W_])""")
_THOUSANDS = re.compile(r"(?<=\d)[,'’\u00a0\u202f](?=\d{3}(?!\d))")
_WORD = re.compile(r"\d+(?:\.\d+)+|[^\W_]+")
_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")


def sentences(text: str) -> int:
    """How many sentences a text has. ``St. Gallen``, ``J. S. Bach`` and ``8.5`` end none; an open end counts."""
    count, done = 0, 0
    for end in _END.finditer(text):
        rest = text[end.end() :]
        follows = _NEXT.match(rest)
        if follows and rest[follows.end()].islower():
            continue
        if rest.strip() and end.group() == "." and _SHORT.search(text[: end.start()]):
            continue
        count, done = count + 1, end.end()
    return count + bool(_WORD.search(text[done:]))


def normal(text: str) -> str:
    """Words in lower case with single blanks; thousands are not parted: ``8,516,543`` and ``8516543`` are one."""
    plain = _THOUSANDS.sub("", unicodedata.normalize("NFKC", text))
    return " ".join(_WORD.findall(plain.casefold()))


def mentions(text: str, phrase: str) -> bool:
    """Whether a text holds the words of a phrase one after the other."""
    wanted = normal(phrase)
    if not wanted:
        return False
    if _WIDE.search(wanted):
        return wanted in normal(text)
    return f" {wanted} " in f" {normal(text)} "


def as_text(value: Any) -> str:
    """A value as it would be said: yes or no, whole numbers without a point, lists with commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | tuple):
        return ", ".join(as_text(each) for each in value)
    return str(value)


def as_object(cell: Any) -> dict[str, Any]:
    """The object in a JSON cell, given as text or as it is; {} for anything else."""
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except ValueError:
            return {}
    return dict(cell) if isinstance(cell, Mapping) else {}


def is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool) and math.isfinite(value)


def same_number(written: str, value: Any, *, scale: int = 1, rough: bool = False) -> bool:
    """Whether a written number can stand for a value: equal, or a rounding of it to the digits written.

    ``8.5`` with scale 1,000,000 stands for 8,516,543; 8.6 does not. Of a number without scale and point
    only three noughts and more are a rounding: 8,517,000 is, 1950 is not. A rounding is off by two in a
    hundred at most, a ``rough`` number by five.
    """
    number, exact = Decimal(written), Decimal(str(value))
    exponent = int(number.as_tuple().exponent)
    if exponent == 0 and scale == 1:
        noughts = len(written) - len(written.rstrip("0"))
        exponent = noughts if noughts >= 3 else 0
    rounded = exponent or scale > 1 or exact != exact.to_integral_value()
    rounding = Decimal(1).scaleb(exponent) * scale / 2 if rounded else Decimal(0)
    room = abs(exact) * Decimal("0.05") if rough else min(rounding, abs(exact) * Decimal("0.02"))
    return abs(number * scale - exact) <= room
