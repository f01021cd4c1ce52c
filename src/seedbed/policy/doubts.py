"""Readings that are JSON and yet look wrong: single backslashes that were meant, and places left out."""

from __future__ import annotations

import re

from seedbed.policy.omissions import in_place_of_text

LONG_WORDS = (
    "theta|tau|times|text(?:bf|it|rm|tt)?|textrm|tan|tanh|top|triangle|tilde|tfrac|therefore|"
    "frac|forall|flat|nabla|neq|neg|newline|newcommand|notin|nexists|nleq|ngeq|"
    "beta|bar|begin|binom|bigcup|bigcap|bot|boldsymbol|bullet|backslash|big|bigg|"
    "rho|right|rightarrow|rangle|rceil|rfloor|rbrace|Rightarrow|ref"
)
_UNSURE = ("tan", "tau", "top", "neg", "neq", "ref")
"""Commands that leave a word of a language behind their first letter."""
_WORDS = "|".join(word for word in LONG_WORDS.replace("tt)?", "tt)").split("|") if word not in _UNSURE)
_ALONE = re.compile(
    rf"\\(?:(?P<sure>[fb][a-z]{{2}}|(?:{_WORDS})(?![A-Za-z])|text\{{)"
    r"|(?P<short>(?:nu|ne|ni|to|not|rm|tan|tau|top|neg|neq|text|ref)(?![A-Za-z]))"
    r"|(?P<file>[tr][A-Za-z0-9]|n[a-z]))"
)
"""A backslash that makes a tab or a line break of the first letter of a command or of a file."""
_COMMAND = re.compile(r"\\\\[a-zA-Z]{2,}|[\^_]\{")
_DRIVE = re.compile(
    r"(?<![A-Za-z])([C-Zc-z]):(?:(?:\\\\|/)[^\s\"]*|(?:\\\\[\w.()&-]{1,40}(?: [\w.()&-]{1,40})?){1,9})?\Z"
)
_FOLDER = re.compile(
    r"\\(?:temp|tmp|tests?|tools|target|tables|text|new|node_modules|net|repos?|reports?|res|resources)\b"
)
_REST_OF_PATH = re.compile(r"\\[a-zA-Z][\w -]{0,60}(?:\\[a-zA-Z\\]|\.[a-z]{2,4}\b)")

_PLACES = re.compile(r'"(?:[ ./#(<\[（【][^"]|…)')
"""The beginning of a text that may be a sign of words left out; strict JSON has no other white space there."""
_MAYBE = re.compile(r"\\(?:[tbfr][A-Za-z0-9]|n[a-z])")

ESCAPES = "a backslash stands alone where LaTeX or a Windows path was meant"
OMISSION = "a place looks left out"
CUT = "the answer may have been cut after a comma"
SLIPPED = "a mark of the structure may have slipped into a text"


def doubts(text: str) -> tuple[str, ...]:
    """The reasons to doubt a text that is JSON."""
    found: tuple[str, ...] = (ESCAPES,) if "\\" in text and _suspicious(text) else ()
    if _PLACES.search(text) is not None:
        left_out = in_place_of_text()
        if any(left_out.match(text, place.start()) for place in _PLACES.finditer(text)):
            return (*found, OMISSION)
    return found


def _suspicious(text: str) -> bool:
    paths = ":\\" in text or ":/" in text
    for place in _MAYBE.finditer(text):
        begin = place.start()
        token = _ALONE.match(text, begin)
        if token is None or (token.lastgroup == "file" and not paths) or _is_escaped(text, begin):
            continue
        if token.lastgroup == "sure" or (token.lastgroup == "short" and _in_formula(text, begin, token.end())):
            return True
        if paths and token.lastgroup != "sure" and _in_path(text, begin):
            return True
    return False


def _is_escaped(text: str, at: int) -> bool:
    """Whether a backslash is the second of a pair."""
    begin = at
    while begin and text[begin - 1] == "\\":
        begin -= 1
    return (at - begin) % 2 == 1


def _in_formula(text: str, begin: int, end: int) -> bool:
    """Whether the text around is LaTeX for other reasons: it stands between dollars, or holds a command."""
    before = text[max(0, begin - 200) : begin].rpartition('"')[2]
    after = text[end : end + 80].partition('"')[0]
    return before.count("$") % 2 == 1 or _COMMAND.search(before) is not None or _COMMAND.search(after) is not None


def _in_path(text: str, at: int) -> bool:
    """Whether a drive stands before, and what follows is a folder or goes on as a path does."""
    drive = _DRIVE.search(text[max(0, at - 120) : at])
    if drive is None:
        return False
    deeper = drive.end() - drive.end(1) > 1
    return deeper or _FOLDER.match(text, at) is not None or _REST_OF_PATH.match(text, at) is not None
