"""Readings that are JSON and yet look wrong: single backslashes that were meant, and places left out."""

from __future__ import annotations

import re

from seedbed.policy.scanning import LONG_WORDS

_LONG = rf"(?:{LONG_WORDS})(?![A-Za-z])"
_SHORT = r"(?:nu|ne|ni|to|not|rm|bf|mathbf)(?![A-Za-z])"
_START = r"(?<!\\)(?:\\\\)*\\"
_SUSPECT = re.compile(rf"{_START}(?:[fb][a-z]{{2}}|{_LONG})")
_SHORT_WORD = re.compile(rf"[$^_={{}}][^\"\n]{{0,40}}{_START}{_SHORT}|{_START}{_SHORT}[^\"\n]{{0,40}}[$^_={{}}]")
_PATH = re.compile(r"(?<![A-Za-z])[A-Za-z]:(?:\\\\|/)?(?:[^\s\"\\]|\\\\)*\\(?:[tfbr][A-Za-z0-9]|n[a-z])")
_LONE_LETTER = re.compile(r"[A-BI-Zabi-z]:\\n")

_DOTS = r"(?:\.\.\.+|…|\[\.\.\.\]|\[…\]|\(\.\.\.\)|\(…\)|<\.\.\.>)"
_REST = (
    r"(?:and so on|etc\.?|rest|remaining|continue[sd]?|unchanged|omitted|truncated|more|same as|weitere|usw\.?|restul"
    r"|continuare|și altele|suite|resto|остальн\w*|省略|以下)"
)
_LEFT_OUT = re.compile(
    rf'"\s*(?:{_DOTS}|(?:{_DOTS}|//|/\*|#|\(|\[)[^"]{{0,12}}\b{_REST}[^"]{{0,40}})\s*"(?!\s*:)|"{_DOTS}"\s*:',
    re.IGNORECASE,
)
_CHEAP = re.compile(r'"\s*(?:\.\.\.|…|//|/\*|#|\(|\[|<\.)')

ESCAPES = "a backslash stands alone where LaTeX or a Windows path was meant"
OMISSION = "a place looks left out"


def doubts(text: str) -> tuple[str, ...]:
    """The reasons to doubt a text that is JSON."""
    found = []
    if "\\" in text and _suspicious(text):
        found.append(ESCAPES)
    if _CHEAP.search(text) and _LEFT_OUT.search(text):
        found.append(OMISSION)
    return tuple(found)


def _suspicious(text: str) -> bool:
    if _SUSPECT.search(text) or _SHORT_WORD.search(text):
        return True
    return any(not _LONE_LETTER.match(found[0]) for found in _PATH.finditer(text))
