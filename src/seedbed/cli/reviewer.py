"""A person at the review: one answer, one key. Without a terminal the same by lines, or by JSON lines."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from seedbed.cli.render import line_of, safe, tell
from seedbed.errors import SeedbedError, UsageError, nearest

if TYPE_CHECKING:
    from seedbed.engine.reviewing import Sight, Sitting
    from seedbed.policy.differences import Parts

VERBS = {
    "a": "accept", "y": "accept", "x": "reject", "r": "reject", "n": "reject",
    "s": "skip", " ": "skip", "u": "undo", "q": "quit", "?": "help",
}  # fmt: skip
KEYS = "a accept   x reject   s skip   u undo   q quit   ? help"
HELP = [
    "a  the answer is good: it may be uploaded",
    "x  it is not: the item is set aside with your reason; it is not uploaded, and taken back if it was",
    "s  not now: it comes again in the next review",
    "u  undo your last decision",
    "q  quit; everything decided is kept, and the same command goes on",
]
HELD_KEY = 0.15
"""Seconds in which the same key counts once: a key that is held down decides one answer, not forty."""
NARROWEST = 90
"""Columns from which on source and result stand side by side."""


@dataclass(frozen=True)
class Said:
    """What a person said to one answer. ``key`` names another one than the one that is shown."""

    verb: str
    reason: str = ""
    note: str = ""
    scores: Mapping[str, int] = field(default_factory=dict)
    key: str = ""


class Asker(Protocol):
    def next(self, sight: Sight) -> Said | None:
        """What is said to this answer; None when nothing more will be said."""
        ...


# ------------------------------------------------------------------------------------------ the session


@dataclass
class Session:
    """Goes through the open answers of a sitting. ``done`` counts decisions, ``told`` says what they did."""

    sitting: Sitting
    asker: Asker
    quiet: bool = False
    done: int = 0

    def run(self) -> None:
        sights = self.sitting.sights()
        waiting = deque(sight for sight in sights if sight.open)
        shown = ""
        while waiting:
            sight = waiting[0]
            if not self.quiet and shown != sight.key:
                tell(sight_lines(sight, len(sights) - len(waiting) + 1, len(sights), width()))
            shown = sight.key
            said = self.asker.next(sight)
            if said is None or said.verb == "quit":
                return
            try:
                shown = self._act(said, waiting) or shown
            except SeedbedError as error:
                if not isinstance(self.asker, Keys):
                    raise
                tell([f"  {safe(error.what)} {safe(error.hint)}".rstrip()])
        # an undo or a decision by key may still come
        while (said := self.asker.next(sights[-1]) if isinstance(self.asker, Lines) else None) is not None:
            if said.verb == "quit":
                return
            self._act(said, waiting)

    def _act(self, said: Said, waiting: deque[Sight]) -> str:
        """One thing that was said; the key to forget as shown, where the answer is to be shown anew."""
        if said.verb == "help":
            tell(HELP)
            return ""
        if said.verb == "skip":
            if waiting:
                waiting.popleft()
            return ""
        if said.verb == "undo":
            decided = self.sitting.undo(said.key or None)
            waiting.appendleft(self.sitting.sight(decided.key))
            self._tell(f"undone: {safe(decided.key, 60)} is {decided.state} again")
            return " "
        key = said.key or (waiting[0].key if waiting else "")
        if not key:
            raise UsageError("There is no answer left to decide on.")
        if said.verb == "accept":
            decided = self.sitting.accept(key, note=said.note, scores=said.scores)
            self._tell(f"yes: {safe(key, 60)}")
        else:
            decided = self.sitting.reject(key, said.reason, note=said.note, scores=said.scores)
            back = f"; {decided.restored} rows taken back" if decided.restored else ""
            self._tell(f"no: {safe(key, 60)} is set aside, {safe(said.reason)}{back}")
            for place, why in decided.left:
                self._tell(f"  left alone {safe(place, 40)}: {line_of(why)}")
        self.done += 1
        for sight in [sight for sight in waiting if sight.key == key]:
            waiting.remove(sight)
        return " "

    def _tell(self, line: str) -> None:
        if not self.quiet:
            tell([line])


# ------------------------------------------------------------------------------------ lines from a pipe


class Lines:
    """Decisions from a file or a pipe: ``a``, ``x REASON: NOTE``, ``s``, ``u``, ``q``, or JSON objects."""

    def __init__(self, lines: Iterable[str], place: str) -> None:
        self._lines = enumerate(lines, 1)
        self._place = place

    def next(self, sight: Sight) -> Said | None:
        for number, line in self._lines:
            text = line.strip()
            if text and not text.startswith("#"):
                return _read(text, f"{self._place}:{number}")
        return None


def _read(text: str, place: str) -> Said:
    if text.startswith("{"):
        return _object(text, place)
    word, _, rest = text.partition(" ")
    verb = VERBS.get(word.lower(), word.lower())
    if verb not in VERBS.values():
        raise UsageError(f"{place}: {line_of(text, 40)!r} is no decision", hint=f"One of {KEYS}.")
    reason, _, note = rest.partition(":")
    if verb == "reject" and not reason.strip():
        raise UsageError(f"{place}: a no needs its reason", hint="Write it as: x invented: there is no such rule")
    return Said(verb, _reason(reason.strip()), note.strip()) if verb == "reject" else Said(verb, note=rest.strip())


def _object(text: str, place: str) -> Said:
    known = ("key", "decision", "reason", "note", "scores")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{place} is not JSON: {error}") from None
    for name in found:
        if name not in known:
            raise UsageError(f"{place}: unknown field {line_of(name, 40)}", hint=nearest(str(name), known))
    verb = VERBS.get(str(found.get("decision", "")).lower(), str(found.get("decision", "")).lower())
    if verb not in ("accept", "reject", "skip", "undo"):
        raise UsageError(f"{place}: the decision is one of accept, reject, skip, undo")
    scores = found.get("scores", {})
    if not isinstance(scores, dict):
        raise UsageError(f'{place}: scores are an object, such as {{"style": 4}}')
    key = found.get("key", "")
    return Said(
        verb, _reason(str(found.get("reason", ""))), str(found.get("note", "")), scores, _key(key) if key else ""
    )


def _key(value: Any) -> str:
    from seedbed.records import key_text, parse_key

    return parse_key(value) if isinstance(value, str) else key_text(value if isinstance(value, list) else [value])


def _reason(text: str) -> str:
    """A reason by its number, its beginning, or in a person's own words."""
    from seedbed.engine.reviewing import REASONS

    names = list(REASONS)
    if text.isdigit() and 1 <= int(text) <= len(names):
        return names[int(text) - 1]
    plain = text.lower().replace(" ", "_")
    return next((name for name in names if plain and name.startswith(plain)), text)


# --------------------------------------------------------------------------------------- keys at a terminal


class Keys:
    """One key, one decision."""

    def __init__(self, scores: Sequence[str]) -> None:
        self._scores = scores
        self._last = ("", 0.0)

    def next(self, sight: Sight) -> Said | None:
        from seedbed.engine.reviewing import REASONS

        tell([KEYS])
        while True:
            key = self._key()
            if key in ("", "\x04"):
                return None
            verb = VERBS.get(key.lower(), "")
            if verb == "reject":
                tell(["why?  " + "   ".join(f"{n} {name}" for n, name in enumerate(REASONS, 1)) + "   any other: back"])
                reason = self._key()
                if not (reason.isdigit() and 1 <= int(reason) <= len(REASONS)):
                    tell([KEYS])
                    continue
                note = self._line("note (Enter for none): ")
                return Said("reject", _reason(reason), note, self._asked_scores())
            if verb == "accept":
                return Said("accept", scores=self._asked_scores())
            if verb:
                return Said(verb)
            tell([KEYS])

    def _asked_scores(self) -> dict[str, int]:
        found = {}
        for name in self._scores:
            tell([f"{safe(name)}?  1 to 5   any other: none"])
            key = self._key(repeated=True)
            if key in "12345" and key:
                found[name] = int(key)
        return found

    def _key(self, *, repeated: bool = False) -> str:
        with _single_keys():
            while True:
                key = sys.stdin.read(1)
                before, at = self._last
                self._last = (key, time.monotonic())
                if repeated or key != before or self._last[1] - at >= HELD_KEY:
                    return key

    def _line(self, question: str) -> str:
        sys.stderr.write(question)
        sys.stderr.flush()
        return sys.stdin.readline().strip()


@contextmanager
def _single_keys() -> Iterator[None]:
    """Keys come at once, without Enter; Ctrl-C still stops."""
    try:
        import termios
        import tty
    except ImportError:  # a system without: a key and Enter
        yield
        return
    place = sys.stdin.fileno()
    before = termios.tcgetattr(place)
    tty.setcbreak(place, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(place, termios.TCSANOW, before)


# ------------------------------------------------------------------------------------------- one answer


def width() -> int:
    return shutil.get_terminal_size((100, 40)).columns


def sight_lines(sight: Sight, place: int, total: int, columns: int) -> list[str]:
    """Source beside result (below each other where it is narrow), what differs marked, and what checks found."""
    head = f"{place} of {total}   {safe(sight.key, 60)}   {safe(sight.why, 60)}"
    source = _fields(sight.source, {})
    result = _fields(sight.result if isinstance(sight.result, dict) else {"": sight.result}, sight.marks)
    lines = ["", f"--- {head} {'-' * max(0, columns - len(head) - 6)}"]
    if columns >= NARROWEST:
        lines += _beside(["SOURCE", *source], ["RESULT", *result], columns)
    else:
        lines += ["SOURCE", *_wrapped(source, columns), "RESULT", *_wrapped(result, columns)]
    lines += [f"! {safe(finding.code)}: {line_of(finding.message)}" for finding in sight.findings]
    return lines


def _fields(values: Mapping[str, Any], marks: Mapping[str, tuple[str, Parts]]) -> list[str]:
    found = []
    for name, value in values.items():
        shown = marked_text(marks[name][1]) if name in marks else _text(value)
        like = f" (from {marks[name][0]})" if name in marks and marks[name][0] != name else ""
        found.append(safe(f"{name}{like}: {shown}" if name else shown))
    return found


def _text(value: Any) -> str:
    if value is None:
        return "(empty)"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def marked_text(parts: Parts) -> str:
    """A text with ``[+what was added+]`` and ``[-what was removed-]``."""
    signs = {"same": ("", ""), "added": ("[+", "+]"), "removed": ("[-", "-]")}
    return "".join(f"{signs[mark][0]}{text}{signs[mark][1]}" for mark, text in parts)


def _wrapped(lines: Sequence[str], columns: int) -> list[str]:
    out: list[str] = []
    for line in lines:
        for paragraph in line.split("\n"):
            out += textwrap.wrap(paragraph, max(20, columns - 2), subsequent_indent="  ") or [""]
    return out


def _beside(left: Sequence[str], right: Sequence[str], columns: int) -> list[str]:
    half = (columns - 3) // 2
    ours, theirs = _wrapped(left, half), _wrapped(right, half)
    rows = max(len(ours), len(theirs))
    ours += [""] * (rows - len(ours))
    theirs += [""] * (rows - len(theirs))
    return [f"{a:<{half}} | {b}".rstrip() for a, b in zip(ours, theirs, strict=True)]


def lines_of(place: str) -> Lines:
    """Decisions of a file, or of stdin for ``-``."""
    from seedbed.cli.options import read_text

    if place == "-":
        return Lines(_stdin(), "stdin")
    return Lines(read_text(place, "--decisions").splitlines(), place)


def _stdin() -> Iterator[str]:
    with suppress(OSError, ValueError):  # a stdin that is closed says nothing
        yield from iter(sys.stdin.readline, "")
