"""Readings that are JSON and yet look wrong: single backslashes that were meant, and places left out."""

from __future__ import annotations

import re

from seedbed.policy.scanning import LONG_WORDS

_SHORT = "nu|ne|ni|to|not|rm|bf|mathbf"
_TOKEN = re.compile(
    rf"\\(?:\\|(?P<sure>[fb][a-z]{{2}}|(?:{LONG_WORDS})(?![A-Za-z]))|(?P<short>(?:{_SHORT})(?![A-Za-z]))"
    r"|(?P<file>[tfbr](?=[A-Za-z0-9])|n(?=[a-z]))|.)"
)
_FORMULA = re.compile(r"[$^_={}]")
_DRIVE = re.compile(r"(?<![A-Za-z])([A-Za-z]):(?:(?:\\\\|/)[^\s\"]*)?\Z")

_DOTS = r"(?:\.\.\.+|…|\[\.\.\.\]|\[…\]|\(\.\.\.\)|\(…\)|<\.\.\.>)"
_GONE = r"unchanged|omitted|truncated|remaining|rest of|same as|elided|ausgelassen|gekürzt|omis(?:ă|e)?|省略"
_REST = (
    rf"(?:{_GONE}|and so on|etc|rest|continue[sd]?|more|weitere|usw|restul|continuare|și altele|suite|resto|остальн\w*)"
)
_CUT = (
    r"(?:to be )?(?:continue[sd]?|cut off|fortsetzung folgt|va urma|à suivre)|[^\"]{0,12}\b(?:omitted|truncated|elided)"
)
_LEFT_OUT = re.compile(
    rf'"\s*(?:{_DOTS}|{_DOTS}[^"]{{0,12}}\b(?i:{_REST})\b[^"]{{0,40}}|(?://|/\*|#)[^"]{{0,20}}\b(?i:{_GONE})\b[^"]{{0,40}}'
    rf'|[(\[](?i:{_CUT})\b[^"]{{0,20}})\s*"(?!\s*:)|"{_DOTS}"\s*:'
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
    for token in _TOKEN.finditer(text):
        begin = token.start()
        if token["sure"] or (token["short"] and _in_formula(text, begin, token.end())):
            return True
        if token.lastgroup in ("short", "file") and _in_path(text, begin):
            return True
    return False


def _in_formula(text: str, begin: int, end: int) -> bool:
    before = text[max(0, begin - 40) : begin].rpartition('"')[2]
    after = text[end : end + 40].partition('"')[0]
    return _FORMULA.search(before + after) is not None


def _in_path(text: str, at: int) -> bool:
    drive = _DRIVE.search(text[max(0, at - 120) : at])
    return drive is not None and not (
        text[at + 1] == "n" and drive.end() - drive.end(1) == 1 and drive[1] not in "CDEFGH"
    )
