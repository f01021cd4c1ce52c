"""One document that is nearly JSON, from its first bracket on: the edits that make it JSON, or a refusal.

A text ends at the first quote after which the document can go on, and before which its quotes pair up. So a stray
quote is text, and what would have been a member of the object is never made of a piece of text. Where a text can end
in two places, nothing is guessed. No place is read twice without being counted, and the count has an end.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import NoReturn

from seedbed.errors import NotRepairable
from seedbed.policy.doubts import CUT, LONG_WORDS
from seedbed.policy.edits import Edit, applied
from seedbed.policy.omissions import in_remark
from seedbed.policy.outline import Outline
from seedbed.policy.patterns import late

DEPTH = 64
"""Brackets that may be open at once in a document that needs mending."""
_VALUES, _EDITS, _QUOTES = 60_000, 20_000, 100_000
"""More than an answer holds: what has more of them is hostile and is declined in bounded time."""

BLANKS = " \t\r\n\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\xa0\u1680\u2000-\u200f\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
_REMARK = r"//[^\n]{0,4000}(?=\n|\Z)|#[^\n]{0,4000}(?=\n|\Z)|/\*(?s:.{0,4000}?)\*/"
_SPACE = late(r"[ \t\r\n]*")
_BLANK = late(f"[{BLANKS}]*")
_GAP = late(f"(?:[{BLANKS}]+|{_REMARK})*")
_PIECE = late(f"([ \t\r\n]+)|([{BLANKS}])|({_REMARK})")

CLOSERS = {
    '"': '"',
    "“": "”",
    "”": "”",
    "„": "“”",
    "«": "»",
    "»": "«",
    "＂": "＂",
    "〝": "〞",
    "'": "'",
    "‘": "’",
    "’": "’",
    "‚": "‘’",
    "‹": "›",
    "`": "`",
    "＇": "＇",
}
_DOUBLE = '"“”„«»＂〝〞'
_SINGLE = frozenset("'‘’‚‹›`＇")
_MARKS = {
    opener: late(rf"(?s:\\.)|[{_DOUBLE}]" if opener not in _SINGLE else rf"(?s:\\.)|[{opener}{closers}]")
    for opener, closers in CLOSERS.items()
}
_PREFIXED = frozenset({"u'", "U'", 'u"', 'U"'})
_OPENING = dict(zip("{｛[［(", "}}]])", strict=True))
_CLOSING = {"}": "}", "｝": "}", "]": "]", "］": "]", ")": ")"}
_COMMAS = frozenset(",，")
_PLAIN_OPEN = {"｛": "{", "［": "[", "(": "["}

_KEY = late(r'"((?:[^"\\\n]|\\.){0,200})"[ \t\r\n]*:')
_ANY_KEY = late(rf"""(["'“”„«»＂‘’`])((?:[^"“”„«»＂\\\n:：]|\\.){{0,200}}?)(["'“”«»＂‘’`])[{BLANKS}]*[:：]""")
_BARE_KEY = late(rf"([^\W\d][\w$-]{{0,80}})[{BLANKS}]*[:：]")
_HALF_KEY = late(rf"""(["']?)([^"'\\\n:,{{}}\[\]]{{1,80}}?)(["']?)[{BLANKS}]*[:：]""")
_PLAIN_NAME = late(r"[^\W\d][\w$-]*")
_NUMBER = late(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?(?![\w.+-])")
_LOOSE_NUMBER = late(r"([-+]?)(0|[1-9][0-9]*)?(\.?)([0-9]*)((?:[eE][-+]?[0-9]+)?)(?![\w.+-])")
_WORD = late(r"[A-Za-z_]+(?![\w.+-])")
_WORDS = {"true": "true", "false": "false", "null": "null", "none": "null"}
_NO_VALUE = late(r"(?i)undefined|nil|n/?a|void|empty|missing")
_PIECE_OF_WORD = late(r"(?i)nu|nul|no|non|tr|tru|fa|fal|fals")
_NO_NUMBER = late(r"(?i)[-+]?(?:nan|inf(?:inity)?)\b")
_ODD = late(r'[\\"\x00-\x1f]')
_ESCAPE = late(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
_LEFT_OUT = late(r"[,\s]*(?:\.\.\.+|…)\s*(?:[,\]}]|\")")
_BARE_ELEMENT = late(r"([\w-]+)\s*[,\]]")
_PLAIN_TEXT = late(rf'"[^\\\x00-\x1f{_DOUBLE}]*"(?!"")')
_THEN_TEXT = late(r'[ \t\r\n]*,[ \t\r\n]*"')
_THEN_NAME = late(r'[ \t\r\n]*,[ \t\r\n]*"([^"\\\n:,]{1,80})"[ \t\r\n]*:')
_WELL_ELEMENT = late(rf'"[^\\\x00-\x1f{_DOUBLE}]*"[ \t\r\n]*(,)[ \t\r\n]*(?=")')
_WELL_MEMBER = late(
    rf'"([^"\\\n:,]{{1,80}})"[ \t\r\n]*:[ \t\r\n]*("[^\\\x00-\x1f{_DOUBLE}]*"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?'
    r'|true|false|null)[ \t\r\n]*(,)[ \t\r\n]*(?="[^"\\\n:,]{1,80}"[ \t\r\n]*:)'
)
"""A member without a fault, and the name of the next one after it: it can be read in no other way."""
_SLIPPED = late(r"\s*[,，]")
_LINE, _PLAIN_LINE = late(r'[^"“”„\n\\]{1,4000}'), late(r'[^"“”„\n{}\[\]\\]{1,4000}')
_NEXT_TEXT = late(r'[ \t\r\n]+"(?:[^"\\\n]|\\[^\n])*"[ \t\r\n]*[,\]\n"]')

_EDGE = frozenset(" \t\r\n\xa0\u2009\u202f([{<-–—/=:;,.…!?*_~>|+，。：；！？、（）「」『』《》·")

_STOPS = frozenset("?!.,…。？！，、；)）】》」』")
_IDEOGRAPH = late("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
"""A letter of a script that sets no blanks between words."""

NONE, WEAK, STRONG, MAYBE = range(4)
EVEN, CLOSES, OPENS = range(3)


@dataclass(slots=True)
class _Frame:
    """A bracket that is open."""

    closer: str
    outline: Outline
    at: int
    used: dict[str, tuple[int, int]] = field(default_factory=dict)
    key: str = ""
    key_at: int = 0
    value_at: int = 0
    number: int = 0
    comma: int = -1
    uneven: bool = False
    bare: bool = False  # its texts have no quotes
    split: list[str] = field(default_factory=list)  # texts of it that could be two


class Scan:
    """Reads one document of a text; ``edits`` and ``doubts`` grow while it goes."""

    def __init__(self, text: str, before: Scan | None = None) -> None:
        """``before`` is what read the text from an earlier place: what it has counted stays counted."""
        self.text = text
        self.size = len(text)
        self.edits: list[Edit] = []
        self.doubts: list[str] = []
        self.stack: list[_Frame] = []
        self.blind = True
        self._quotes: int = 2_000 if before is None else before._quotes
        self._more: bool = before is None or before._more
        self._values: int = _VALUES if before is None else before._values
        self._wild: bool | None = None
        self._escapes: bool | None = None
        self._end = 0  # of the last value
        self._quoting = 0  # texts with stray quotes
        self._split = False

    # -------------------------------------------------------------------------------- structure

    def document(self, at: int, outline: Outline) -> int:
        """The place after the document whose bracket stands at ``at``. Raises NotRepairable."""
        self.blind = outline.is_blind
        self._open(at, outline)
        at += 1
        after = False
        while self.stack:
            at, after = self._after(at) if after else self._item(at)
        if self._split and self._quoting == 1:  # who quotes so elsewhere quotes so here
            self._doubt("a quotation mark may have slipped over a word")
        return at

    def _open(self, at: int, outline: Outline) -> None:
        mark = self.text[at]
        if len(self.stack) >= DEPTH:
            self._decline("brackets are nested too deep", "too_deep")
        if mark in _PLAIN_OPEN:
            self._edit(at, mark, _PLAIN_OPEN[mark], "bracket")
        self.stack.append(_Frame(_OPENING[mark], outline, at))

    def _item(self, at: int) -> tuple[int, bool]:
        """A member or an element, or the closing bracket in its place; with whether a value was read."""
        at = self._skip(at)
        mark = self.text[at : at + 1]
        frame = self.stack[-1]
        if mark in _CLOSING:
            if frame.comma >= 0:
                self._check_last_comma(at, frame)
                self._insert_sorted(Edit(frame.comma, self.text[frame.comma], "", "comma"))
            return self._close(at), True
        if not mark:
            self._truncated()
        if self._unclosed(at, frame):
            return at, False
        frame.comma = -1
        self._values -= 1
        if self._values < 0 or len(self.edits) > _EDITS:
            self._decline("too much has to be mended", "tangled")
        if frame.closer != "}":
            if end := self._well_elements(at, frame):
                return end, False
            frame.value_at = at
            return self._value(at, frame.outline.element(frame.number))
        if end := self._well_members(at, frame):
            return end, False
        at = self._key(at, frame)
        frame.value_at = at
        return self._value(at, frame.outline.field(frame.key))

    def _well_members(self, at: int, frame: _Frame) -> int:
        """Past members that are well, each with the name of the next one after it; 0 where none is."""
        used = frame.used
        end = 0
        while (well := _WELL_MEMBER.match(self.text, at)) is not None and well[1] not in used:
            frame.key, frame.key_at, frame.comma = well[1], at, well.start(3)
            used[well[1]] = well.span(2)
            at = end = well.end()
            self._values -= 1
        return end

    def _well_elements(self, at: int, frame: _Frame) -> int:
        """Past texts of a list that are well, each with the next one after it; 0 where none is."""
        if self.text[at] != '"' or frame.bare or not frame.outline.element(frame.number).may_be("string"):
            return 0
        end = 0
        while (well := _WELL_ELEMENT.match(self.text, at)) is not None:
            if not frame.outline.element(frame.number + 1).may_be("string"):
                break
            frame.number += 1
            frame.comma = well.start(1)
            at = end = well.end()
            self._values -= 1
        return end

    def _check_last_comma(self, at: int, frame: _Frame) -> None:
        """A comma before a bracket that stands where more may have stood: a document that was cut ends so as well."""
        if self.text[at] == ")" or not self._may_go_on(frame):
            return
        before = self.text[frame.comma - 1]
        odd = self.text[frame.comma + 1 : at] == " " and frame.closer == "]" and (before in "]}" or before.isdigit())
        if odd or before.isspace() or self.text.count("\n", frame.comma, at) > 1:
            self._doubt(CUT)
        laid_out = self._is_laid_out(at, frame)
        outermost = len(self.stack) == 1 and frame.closer == "}"
        if laid_out is None or (not laid_out and not outermost and self._is_end(at)):
            self._doubt(CUT)

    def _is_laid_out(self, at: int, frame: _Frame) -> bool | None:
        """Whether a closing bracket stands on a line of its own; None where its margin is not that of its object."""
        text = self.text
        before = text[max(0, frame.comma - 200) : frame.comma]
        line = text.rfind("\n", frame.comma, at)
        if line < 0:
            return "\n" in before[len(before.rstrip()) :]
        first = text.rfind("\n", max(0, frame.at - 200), frame.at)
        if first >= 0 or frame.at < 200:
            margin = text[first + 1 : frame.at]
            if text[line + 1 : at] != margin[: len(margin) - len(margin.lstrip())]:
                return None
        return len(self.stack) < 2 or text[at + 1 : at + 2] not in _CLOSING

    def _may_go_on(self, frame: _Frame) -> bool:
        """Whether an open bracket may hold more than has come; names are taken to come in the order of the shape."""
        if frame.closer != "}":
            return frame.number < frame.outline.most
        fields = list(frame.outline.fields)
        if frame.key not in fields:
            return True
        return any(name not in frame.used for name in fields[fields.index(frame.key) + 1 :])

    def _is_end(self, at: int) -> bool:
        """Whether nothing but closing brackets stands here, up to the end of the document."""
        for _ in self.stack:
            if self.text[at : at + 1] not in _CLOSING:
                return False
            at = _SPACE.match(self.text, at + 1).end()  # type: ignore[union-attr]
        return True

    def _check_doubled(self, frame: _Frame) -> None:
        """A list of one list that lacks its end: its beginning may be one too many."""
        after = self.text[frame.at + 1 : frame.at + 200].lstrip()[:1]
        if frame.closer == "]" and frame.number <= 1 and after == "[":
            self._doubt("a bracket may be doubled")

    def _unclosed(self, at: int, frame: _Frame) -> bool:
        """Put in the bracket that is missing before a comma, where what comes next clearly belongs one further out."""
        if self.blind or frame.comma < 0 or len(self.stack) < 2:
            return False
        outer = self.stack[-2]
        if frame.closer == "}":
            if self.text[at] not in "{｛" or outer.closer == "}":
                return False
        else:
            found = _KEY.match(self.text, at) if outer.closer == "}" else None
            name = self._decoded(found[1]) if found is not None else ""
            if found is None or name not in outer.outline.fields or name in outer.used or name == outer.key:
                return False
        if self._lacks(frame):
            return False
        self._slipped(frame.comma)
        self._check_doubled(frame)
        self._insert_sorted(Edit(frame.comma, "", "]" if frame.closer == ")" else frame.closer, "bracket"))
        self._pop(frame.comma)
        self._ended(outer, frame.comma)
        outer.comma = frame.comma
        return True

    def _value(self, at: int, outline: Outline) -> tuple[int, bool]:
        mark = self.text[at : at + 1]
        if mark == "":
            self._truncated()
        if mark in _OPENING and (mark != "(" or not outline.only_text):
            self._open(at, outline)
            return at + 1, False
        if self.text[at : at + 2] in _PREFIXED:
            self._edit(at, mark, "", "word")
            at += 1
            mark = self.text[at]
        if mark in CLOSERS:
            self._end = self._string(at)
        else:
            self._end = self._bare(at, outline)
        return self._end, True

    def _after(self, at: int) -> tuple[int, bool]:
        """What stands after a value: a comma, a bracket, or the next one without a comma."""
        frame = self.stack[-1]
        end = at
        self._ended(frame, end)
        at = self._skip(at)
        mark = self.text[at : at + 1]
        if mark in _COMMAS and mark:
            if mark != ",":
                self._edit(at, mark, ",", "comma")
            frame.comma = at
            return at + 1, False
        if mark in _CLOSING and mark:
            return self._close(at), True
        if not mark:
            self._truncated()
        apart = at > end or (self.text[end - 1 : end] in _CLOSING and (mark in _OPENING or mark in CLOSERS))
        if not apart or not self._starts(frame, at):
            self._decline(f"after a value stands {mark!r}", "not_json", at)
        self._seam(end - 1, at)
        if self.blind and self.text[end - 1] in _CLOSING and mark not in _OPENING and mark not in CLOSERS:
            self._doubt("values of different kinds stand beside each other without a comma")
        self._insert_sorted(Edit(end, "", ",", "comma"))
        return at, False

    def _seam(self, end: int, at: int) -> None:
        """Between two values lacks a comma: it must not have slipped into one of two texts."""
        text = self.text
        inside = end - 1
        while inside > 0 and text[inside] in " \t\r\n":
            inside -= 1
        if (text[inside] in ",，" and text[end] in CLOSERS) or (text[at] in CLOSERS and _SLIPPED.match(text, at + 1)):
            self._decline("a comma stands inside of a text or after it", "two_readings", at)

    def _starts(self, frame: _Frame, at: int) -> bool:
        """Whether a member or an element clearly begins here."""
        if frame.closer == "}":
            found = self._key_at(at, frame)
            return found is not None and (found[0] not in frame.used)
        mark = self.text[at]
        return mark in _OPENING or mark in CLOSERS or mark in "-0123456789tfnTFN" or self.text[at : at + 2] in _PREFIXED

    def _ended(self, frame: _Frame, end: int) -> None:
        """Book the value that ended. A key that came before with the same value is taken off, another is a refusal."""
        if frame.closer != "}":
            frame.number += 1
            return
        before = frame.used.get(frame.key)
        if before is None:
            frame.used[frame.key] = (frame.value_at, end)
            return
        if not self._same(before, (frame.value_at, end)):
            self._decline(f'the answer has duplicate key "{frame.key}" in one object', "duplicate_key")
        begin = frame.key_at
        comma = self.text.rfind(",", before[1], begin)
        begin = comma if comma >= 0 else begin
        while self.edits and self.edits[-1].at + len(self.edits[-1].removed) > begin:
            self.edits.pop()
        self._edit(begin, self.text[begin:end], "", "repeated")

    def _same(self, one: tuple[int, int], other: tuple[int, int]) -> bool:
        if self.text[slice(*one)] == self.text[slice(*other)]:
            return True
        return self._plain(*one) == self._plain(*other)

    def _plain(self, begin: int, end: int) -> str:
        first = bisect_left(self.edits, begin, key=_at)
        inside = [
            edit._replace(at=edit.at - begin) for edit in self.edits[first : bisect_left(self.edits, end, key=_at)]
        ]
        try:
            return json.dumps(json.loads(applied(self.text[begin:end], inside)), sort_keys=True)
        except (ValueError, RecursionError):
            self._decline("a doubled key has a value that cannot be compared", "duplicate_key")

    def _close(self, at: int) -> int:
        """Take a closing bracket; where it is of the wrong kind, the whole run of them."""
        mark, frame = self.text[at], self.stack[-1]
        if _CLOSING[mark] == frame.closer:
            plain = "]" if frame.closer == ")" else frame.closer
            if mark != plain:
                self._edit(at, mark, plain, "bracket")
            self._pop(at + 1)
            return at + 1
        return self._wrong_closer(at)

    def _pop(self, end: int) -> None:
        frame = self.stack.pop()
        if frame.split and frame.number < frame.outline.most:
            self._split |= any(_may_be_two(text, self.text[frame.at : end]) for text in frame.split)
        missing = frame.outline.required - frame.used.keys() if frame.closer == "}" else None
        if missing and not self.blind and self.stack:
            self._decline(f'an object ends before its "{min(missing)}"', "shape", end)

    def _wrong_closer(self, at: int) -> int:
        """Closing brackets that do not fit what is open: mended where one edit does it, in one way only."""
        run = [at]
        place = at + 1
        while self.text[(place := _SPACE.match(self.text, place).end()) : place + 1] in _CLOSING and place < self.size:  # type: ignore[union-attr]
            run.append(place)
            place += 1
            if len(run) > DEPTH:
                break
        self._slipped(at)
        said = "".join(_CLOSING[self.text[place]] for place in run)
        after = run[-1] + 1
        ways: list[tuple[int, list[Edit]]] = []
        right = ""
        for count in range(1, len(self.stack) + 1):
            frame = self.stack[-count]
            right += frame.closer
            if frame.closer == ")" or len(right) > len(said) + 1:
                break
            if frame.closer == "}" and not self.blind and self._lacks(frame):
                break
            if self._goes_on(len(self.stack) - count - 1, after, False) and self.text[after : after + 1] not in (
                "{",
                "[",
            ):
                edits = self._one_edit(run, said, right)
                if edits is not None:
                    ways.append((count, edits))
        spare = len(run) == 1 and self._goes_on(len(self.stack) - 1, after, False)
        if len(ways) != 1 or spare:
            self._decline("a closing bracket does not fit what is open", "not_json", at)
        count, edits = ways[0]
        for frame in self.stack[-count:]:
            self._check_doubled(frame)
        self.edits += edits
        if self.blind:
            self._doubt("a closing bracket was missing or of the wrong kind")
        if count == len(self.stack) and count > len(said) and any(map(self._may_go_on, self.stack)):
            self._doubt("the answer may have been cut before its last brackets")
        for _ in range(count):
            self._pop(after)
            if self.stack and _ < count - 1:
                self._ended(self.stack[-1], after)
        return after

    def _lacks(self, frame: _Frame) -> frozenset[str]:
        """Required names that have not come; the one whose value is open has."""
        return frame.outline.required - frame.used.keys() - {frame.key}

    def _slipped(self, at: int) -> None:
        """A bracket that is missing here must not stand at the end of the text before."""
        before = self.text[max(0, at - 40) : at].rstrip()
        if before[-1:] in CLOSERS and before[-2:-1] in _CLOSING:
            self._decline("a bracket stands inside of a text or after it", "two_readings", at)

    def _one_edit(self, run: list[int], said: str, right: str) -> list[Edit] | None:
        """One bracket put in, taken out, turned, or two that changed places; the last one has to be right."""
        text = self.text
        if said[-1] != right[-1] and (len(said), len(right)) != (1, 1):
            return None
        if len(right) == len(said) + 1:
            for n, place in enumerate(run):
                if said[n] != right[n]:
                    good = right[n + 1 :] == said[n:]
                    return [Edit(place, "", right[n], "bracket")] if good else None
        if len(right) == len(said) - 1:
            for n, place in enumerate(run):
                if n >= len(right) or said[n] != right[n]:
                    return [Edit(place, text[place], "", "bracket")] if said[n + 1 :] == right[n:] else None
        wrong = [n for n, (one, other) in enumerate(zip(said, right, strict=False)) if one != other]
        wrong = wrong if len(said) == len(right) else []
        if len(wrong) == 1:
            return [Edit(run[wrong[0]], text[run[wrong[0]]], right[wrong[0]], "bracket")]
        return None

    # ------------------------------------------------------------------------------------- keys

    def _key(self, at: int, frame: _Frame) -> int:
        plain = _KEY.match(self.text, at)
        if plain is not None:
            frame.key, frame.key_at = self._decoded(plain[1]), at
            return self._skip(plain.end())
        found = self._key_at(at, frame)
        if found is None:
            self._decline("a name was expected", "not_json", at)
        name, end, edits = found
        frame.key, frame.key_at = name, at
        self.edits += edits
        return self._skip(end)

    def _key_at(self, at: int, frame: _Frame) -> tuple[str, int, list[Edit]] | None:
        """A name with its colon: the name, the place after it, and the edits it needs."""
        found = _KEY.match(self.text, at)
        if found is not None:
            return self._decoded(found[1]), found.end(), []
        if self.text[at : at + 2] in _PREFIXED:
            inner = self._key_at(at + 1, frame)
            return inner and (inner[0], inner[1], [Edit(at, self.text[at], "", "word"), *inner[2]])
        found = _ANY_KEY.match(self.text, at)
        if found is not None and (found[3] in CLOSERS[found[1]] or self._knows(frame, found[2])):
            name = self._decoded(found[2])
            edits = [Edit(found.start(1), found[1], '"', "quote")] if found[1] != '"' else []
            edits += self._content(found.start(2), found.end(2), found[1])
            edits += [Edit(found.start(3), found[3], '"', "quote")] if found[3] != '"' else []
            return name, found.end(), edits + self._colon(found.end())
        found = _BARE_KEY.match(self.text, at)
        if found is not None:
            edits = [Edit(at, "", '"', "quote"), Edit(found.end(1), "", '"', "quote")]
            return found[1], found.end(), edits + self._colon(found.end())
        found = _HALF_KEY.match(self.text, at)
        if found is None or (found[1] and found[3]):
            return None
        if not self._knows(frame, found[2]) and not (self.blind and _PLAIN_NAME.fullmatch(found[2])):
            return None
        edits = [Edit(at, found[1], '"', "quote"), Edit(found.end(2), found[3], '"', "quote")]
        return found[2], found.end(), [each for each in edits if each.removed != '"'] + self._colon(found.end())

    def _colon(self, end: int) -> list[Edit]:
        return [] if self.text[end - 1] == ":" else [Edit(end - 1, self.text[end - 1], ":", "colon")]

    def _decoded(self, raw: str) -> str:
        if "\\" not in raw:
            return raw
        try:
            return str(json.loads(f'"{raw}"'))
        except ValueError:
            return raw

    def _knows(self, frame: _Frame, name: str) -> bool:
        return name in frame.outline.fields

    # ------------------------------------------------------------------------------------ texts

    def _string(self, at: int) -> int:
        """A text from its opening quote on; the place after its closing one."""
        opener = self.text[at]
        if opener == '"' and (end := self._clean(at)):
            return end
        if self.text.startswith(opener * 3, at) and opener in "\"'":
            end = self._triple(at, opener * 3)
            if end:
                return end
        frame = self.stack[-1]
        if frame.bare:
            self._decline("some texts of a list have quotes and some have none", "two_readings", at)
        pairs = _Pairs(self.text, at, opener)
        passed = opened = strays = 0
        uneven = -1  # a quote that could close, but for quotes that do not pair up
        maybe = -1  # one that could, but for the bracket after it
        for mark in _MARKS[opener].finditer(self.text, at + 1):
            quote = mark[0]
            if quote[0] == "\\":
                continue
            self._count()
            place = mark.start()
            closes = quote in CLOSERS[opener]
            if closes or (opener not in _SINGLE and not pairs.stack):
                rank = self._follow(place + 1, strays > 0)
                if rank == MAYBE:
                    maybe = place
                if rank == MAYBE or (not closes and rank < STRONG):
                    rank = NONE
                if rank:
                    state = pairs.state(place)
                    if state == EVEN:
                        if passed and rank < STRONG and self.blind:
                            self._decline("a text can end in two places", "two_readings", at)
                        return self._finish(at, place, opener)
                    if rank == STRONG and state == CLOSES and not (frame.closer != "}" and passed):
                        return self._uneven(at, place, opener, frame)
                    if not strays and rank == STRONG and self.text[place] == '"' and not pairs.ascii_open:
                        self._doubt("a quotation mark in a text is not closed")
                        return self._finish(at, place, opener)
                    passed += 1
                    opened += state == OPENS
                    if uneven < 0 and state == CLOSES:
                        uneven = place
                if closes or quote == '"':
                    swallowed = self._swallows(place, frame)
                    if swallowed is not None and maybe >= 0:
                        return self._finish(at, maybe, opener)
                    if swallowed is not None:
                        return self._lost_closer(at, swallowed, opener, opened, uneven)
            if quote in CLOSERS[opener] or quote == '"':
                strays += 1
            pairs.add(place)
        if maybe >= 0:
            return self._finish(at, maybe, opener)
        if uneven >= 0 and passed == 1 and self.blind and frame.closer == "}":
            return self._uneven(at, uneven, opener, frame)
        if passed:
            self._decline("the quotes of a text do not pair up", "two_readings", at)
        return self._lost_at_end(at, opener)

    def _clean(self, at: int) -> int:
        """The end of a text that is well, with what is well after it; 0 for any other."""
        found = _PLAIN_TEXT.match(self.text, at)
        frame = self.stack[-1]
        if found is None or frame.bare:
            return 0
        end = found.end()
        if frame.closer != "}":
            good = _THEN_TEXT.match(self.text, end) is not None
            good = good and frame.outline.element(frame.number + 1).may_be("string")
        else:
            name = _THEN_NAME.match(self.text, end)
            good = name is not None and name[1] in frame.outline.fields and name[1] not in frame.used
            good = good and name is not None and name[1] != frame.key
        if good:
            return end
        self._count()
        return end if self._follow(end, False) in (WEAK, STRONG) else 0

    def _finish(self, at: int, end: int, opener: str) -> int:
        if opener != '"':
            self._edit(at, opener, '"', "quote")
        inside = self._content(at + 1, end, opener)
        if opener == '"' and any(edit.kind == "stray" for edit in inside):
            self._quoting += 1
            frame = self.stack[-1]
            if frame.closer != "}" and _OVER_WORD.fullmatch(self.text, at + 1, end):
                frame.split.append(self.text[at + 1 : end])
        self.edits += inside
        if self.text[end] != '"':
            self._edit(end, self.text[end], '"', "quote")
        return end + 1

    def _uneven(self, at: int, end: int, opener: str, frame: _Frame) -> int:
        """A text with a single mark such as an inch; two of them could have been one text."""
        if opener in _SINGLE:
            return self._finish(at, end, opener)
        if frame.uneven and frame.key not in frame.outline.required:
            self._decline("the quotes of two texts pair up with each other", "two_readings", at)
        frame.uneven = True
        self._doubt("a text holds a quote without its pair")
        return self._finish(at, end, opener)

    def _triple(self, at: int, mark: str) -> int:
        end = self.text.find(mark, at + 3)
        if end < 0 or not self._follow(end + 3, True):
            return 0
        self._count(3)
        self._edit(at, mark, '"', "quote")
        self.edits += self._content(at + 3, end, mark)
        self._edit(end, mark, '"', "quote")
        return end + 3

    def _swallows(self, place: int, frame: _Frame) -> int | None:
        """Where a text would swallow the member that begins at this quote: the place of the comma before it."""
        plain = _KEY.match(self.text, place)
        found = plain or _ANY_KEY.match(self.text, place)
        if found is None:
            return None
        name = found[2] if plain is None else found[1]
        before = place - 1
        while before > 0 and self.text[before] in " \t\r\n":
            before -= 1
        if self.text[before] not in ',，{"' or (self.text[before] == '"' and not self._is_free()):
            return None
        if name in frame.outline.names or (self._is_free() and re.fullmatch(r"[\w$-]{1,40}", name)):
            return before
        return None

    def _is_free(self) -> bool:
        """Whether a bracket is open in which any name may stand."""
        return self.blind or any(frame.closer == "}" and not frame.outline.fields for frame in self.stack)

    def _lost_closer(self, at: int, comma: int, opener: str, opened: int, uneven: int) -> int:
        """A text whose closing quote was left out: it ends before the comma, if a known name follows."""
        frame = self.stack[-1]
        end = comma
        while end > at + 1 and self.text[end - 1] in " \t\r\n":
            end -= 1
        if uneven >= 0 and not opened and frame.closer == "}":
            return self._uneven(at, uneven, opener, frame)
        if opened or frame.closer != "}" or self.text[comma] == "{" or end == at + 1:
            self._decline("a text would swallow what stands after it", "two_readings", at)
        found = self._key_at(_BLANK.match(self.text, comma + 1).end(), frame)  # type: ignore[union-attr]
        last = self.text[end - 1]
        if found is None or found[0] in frame.used or found[0] == frame.key or last in _DOUBLE or last in "\\',:{}[]":
            self._decline("a text would swallow what stands after it", "two_readings", at)
        inside = self.text[at + 1 : end]
        if opener in inside or '"' in inside or inside.strip().lower() in _WORDS or _NUMBER.fullmatch(inside.strip()):
            self._decline("a text has no end of its own", "two_readings", at)
        if found[0] not in frame.outline.fields:
            self._doubt("the end of a text was found by the name that follows")
        return self._close_text(at, end, opener)

    def _close_text(self, at: int, end: int, opener: str) -> int:
        if opener != '"':
            self._edit(at, opener, '"', "quote")
        self.edits += self._content(at + 1, end, opener)
        self._edit(end, "", '"', "quote")
        return end

    def _lost_at_end(self, at: int, opener: str) -> int:
        """The last text of a document that lost its closing quote, with brackets on lines of their own."""
        end = self.size
        while end > at and self.text[end - 1] in "}] \t\r\n":
            end -= 1
        tail = self.text[end:]
        brackets = "".join(tail.split())
        wanted = "".join(frame.closer for frame in reversed(self.stack))
        text_ends_oddly = self.text[end - 1] in ",:{[\\"
        clean = not _MARKS[opener].search(self.text, at + 1, end) and "\n" not in self.text[at:end]
        if (
            text_ends_oddly
            or not clean
            or "\n" not in tail[: len(tail) - len(tail.lstrip())]
            or brackets != wanted
            or end == at + 1
        ):
            self._truncated()
        if self.blind or self.stack[-1].outline.required - self.stack[-1].used.keys() - {self.stack[-1].key}:
            self._truncated()
        return self._close_text(at, end, opener)

    def _content(self, begin: int, end: int, opener: str) -> list[Edit]:
        """The edits that make a piece of text the inside of a JSON string."""
        text = self.text
        if not _ODD.search(text, begin, end):
            return []
        edits: list[Edit] = []
        place = begin
        single = _wild(text, begin, end)
        sure = single or self._is_wild()
        paths = [found.span() for found in _PATH.finditer(text, begin, end)] if single else []
        while (odd := _ODD.search(text, place, end)) is not None:
            place = odd.start()
            mark = odd[0]
            if len(edits) > _EDITS:
                self._decline("too much has to be mended", "tangled")
            if mark == '"':
                edits.append(Edit(place, "", "\\", "stray"))
                place += 1
            elif mark != "\\":
                edits.append(Edit(place, mark, _ESCAPED.get(mark) or f"\\u{ord(mark):04x}", "control"))
                place += 1
            else:
                if sure and not single and _LONG_LATEX.match(text, place, end):
                    edits.append(Edit(place, "", "\\", "backslash"))
                    place += 2
                else:
                    place = self._backslash(place, end, edits, single, paths)
        if any(edit.kind == "backslash" and not edit.removed for edit in edits) and text.find("\\\\", begin, end) >= 0:
            self._doubt("a text has both single and doubled backslashes")
        return edits

    def _has_escapes(self) -> bool:
        """Whether characters are written by their number elsewhere in the text."""
        if self._escapes is None:
            self._escapes = _UNICODE.search(self.text) is not None
        return self._escapes

    def _is_wild(self) -> bool:
        """Whether no backslash of the whole text was doubled, and some had to be."""
        if self._wild is None:
            self._wild = _wild(self.text, 0, self.size)
        return self._wild

    def _backslash(self, at: int, end: int, edits: list[Edit], single: bool, paths: list[tuple[int, int]]) -> int:
        text = self.text
        near = bisect_left(paths, (at, at)) - 1
        if single and (_LATEX.match(text, at, end) or (near >= 0 and at < paths[near][1])):
            edits.append(Edit(at, "", "\\", "backslash"))
            return at + 2
        good = _ESCAPE.match(text, at, end)
        if good is not None:
            return good.end()
        follower = text[at + 1 : at + 2] if at + 1 < end else ""
        if follower in ("'", "`") or (follower in CLOSERS and follower != "") or follower == "\n":
            if follower == "\n":
                self._decline("a line of a text ends with a backslash", "two_readings", at)
            edits.append(Edit(at, "\\", "", "backslash"))
            return at + 2
        named = _OTHER_ESCAPE.match(text, at, end)
        if named is not None and not single:
            code = int(named[1] or named[2] or named[3], 16)
            if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                self._decline("the answer holds half of a surrogate pair", "lone_surrogate")
            edits.append(Edit(at, named[0], json.dumps(chr(code))[1:-1], "backslash"))
            return named.end()
        if follower == "u" and text[at + 2 : at + 3] in _HEXADECIMAL:
            self._decline("an escape of a character is cut", "lone_surrogate")
        if _BROKEN_ESCAPE.match(text, at) and self._has_escapes():
            self._decline("an escape of a character is broken", "lone_surrogate")
        edits.append(Edit(at, "", "\\", "backslash"))
        return at + 1 + (follower == "\\")

    # ------------------------------------------------------------------------- what may come next

    def _follow(self, at: int, strays: bool) -> int:
        """How well the document goes on if a text ended before ``at``."""
        text = self.text
        begin = at
        at = (_BLANK if strays else _GAP).match(text, at).end()  # type: ignore[union-attr]
        mark = text[at : at + 1]
        if not mark or (at > begin and not _clear(text, begin, at)):
            return NONE
        frame = self.stack[-1]
        if mark in ",.…" and (left_out := _LEFT_OUT.match(text, at)) is not None:
            self._decline("the answer leaves something out", "omission", left_out.start())
        if mark in _COMMAS:
            return self._follow_comma(at + 1, len(self.stack) - 1, strays)
        if mark in _CLOSING:
            return self._follow_closers(at, strays)
        if at == begin:
            return NONE
        if frame.closer == "}":
            return self._member(at, frame, True, "\n" in text[begin:at] or not strays, strays)
        if strays or not (found := _NEXT_TEXT.match(text, begin)):
            return NONE
        return WEAK if found else NONE

    def _follow_comma(self, at: int, level: int, strays: bool) -> int:
        text = self.text
        at = (_BLANK if strays else _GAP).match(text, at).end()  # type: ignore[union-attr]
        mark = text[at : at + 1]
        if not mark:
            return NONE
        frame = self.stack[level]
        if mark in _CLOSING:
            return self._follow_closers(at, strays) if level == len(self.stack) - 1 else NONE
        if frame.closer == "}":
            return self._member(at, frame, level == len(self.stack) - 1, True, strays)
        outline = frame.outline.element(frame.number + 1)
        if mark in CLOSERS or text[at : at + 2] in _PREFIXED:
            return WEAK if outline.may_be("string") else NONE
        if mark in _OPENING:
            fits = outline.may_be("object" if mark in "{｛" else "array")
            return (STRONG if level < len(self.stack) - 1 else WEAK) if fits else NONE
        if outline.only_text:
            return WEAK if not strays and re.compile(r"[\w]+\"").match(text, at) is None and mark.isalnum() else NONE
        return WEAK if _NUMBER.match(text, at) or _WORD.match(text, at) else NONE

    def _member(self, at: int, frame: _Frame, current: bool, clear: bool, strays: bool) -> int:
        found = self._key_at(at, frame)
        if found is None:
            return NONE
        name = found[0]
        if name in frame.used or (current and name == frame.key):
            return WEAK if clear else NONE
        if name in frame.outline.fields:
            return STRONG
        return WEAK if clear and (self.text[at] in CLOSERS or not strays) else NONE

    def _follow_closers(self, at: int, strays: bool) -> int:
        """Closing brackets that fit what is open, and what stands after them."""
        text = self.text
        level = len(self.stack) - 1
        while True:
            mark = text[at : at + 1]
            frame = self.stack[level]
            if mark not in _CLOSING or not mark or _CLOSING[mark] != frame.closer:
                return NONE if strays or mark not in _CLOSING or mark == ")" else MAYBE
            if frame.closer == "}" and not self.blind and self._lacks(frame):
                return NONE if strays else MAYBE
            at += 1
            level -= 1
            if level < 0:
                return STRONG if self._ends(at) else NONE if strays else MAYBE
            at = (_BLANK if strays else _GAP).match(text, at).end()  # type: ignore[union-attr]
            if text[at : at + 1] not in _CLOSING or at >= self.size:
                return STRONG if self._goes_on(level, at, strays) else NONE if strays else MAYBE

    def _goes_on(self, level: int, at: int, strays: bool) -> bool:
        """Whether a document may go on here, after a value in the bracket of this level."""
        if level < 0:
            return self._ends(at)
        at = (_BLANK if strays else _GAP).match(self.text, at).end()  # type: ignore[union-attr]
        mark = self.text[at : at + 1]
        frame = self.stack[level]
        if mark and mark in _COMMAS:
            at = (_BLANK if strays else _GAP).match(self.text, at + 1).end()  # type: ignore[union-attr]
            mark = self.text[at : at + 1]
            if mark and mark in _CLOSING:
                return _CLOSING[mark] == frame.closer
            if frame.closer != "}":
                outline = frame.outline.element(frame.number + 1)
                if mark and mark in "{｛":
                    return outline.may_be("object")
                return bool(mark) and not _KEY.match(self.text, at) and self._follow_comma(at, level, strays) != NONE
        if not mark:
            return False
        if frame.closer == "}":
            found = self._key_at(at, frame)
            known = not frame.outline.fields or (found is not None and found[0] in frame.outline.fields)
            return found is not None and known and found[0] not in frame.used and found[0] != frame.key
        return mark in "{｛" and frame.outline.element(frame.number + 1).may_be("object")

    def _ends(self, at: int) -> bool:
        """Whether a document may end here."""
        rest = self.text[at : at + 40]
        bare = rest.lstrip()
        return not bare or bare[0] in "`<}])；;~" or (len(rest) > len(bare) and (bare[0] not in "\"',:"))

    # ---------------------------------------------------------------------------- numbers, words

    def _bare(self, at: int, outline: Outline) -> int:
        """A number, a word such as true, or a text whose quotes are missing."""
        text = self.text
        if not outline.only_text or outline.may_be("null"):
            end = self._number(at) or self._word(at)
            if end and self._stops(end):
                return end
        elif (end := self._strict(at)) and self._stops(end):
            return end
        if _NO_NUMBER.match(text, at):
            self._decline("the answer holds NaN or Infinity where a number stands", "not_a_number", at)
        if text.startswith(("...", "…"), at):
            self._decline("the answer leaves something out", "omission", at)
        if self.blind or not outline.may_be("string"):
            self._decline("a value is neither a number nor a word of JSON", "not_json", at)
        return self._unquoted(at, outline)

    def _strict(self, at: int) -> int:
        found = _NUMBER.match(self.text, at)
        if found is None:
            found = _WORD.match(self.text, at)
            if found is None or found[0].lower() not in _WORDS:
                return 0
        return found.end() if found[0][:1] in "-0123456789" or found[0] in _WORDS else 0

    def _stops(self, at: int) -> bool:
        begin = at
        at = _GAP.match(self.text, at).end()  # type: ignore[union-attr]
        mark = self.text[at : at + 1]
        if not mark or mark in _COMMAS or mark in _CLOSING:
            return True
        return at > begin and self._starts(self.stack[-1], at)

    def _number(self, at: int) -> int:
        found = _NUMBER.match(self.text, at)
        if found is not None:
            return found.end()
        found = _LOOSE_NUMBER.match(self.text, at)
        if found is None or not (found[2] or found[4]) or (found[4] and not found[3]):
            return 0
        if found[1] == "+":
            self._edit(at, "+", "", "number")
        if not found[2]:
            self._edit(found.end(1), "", "0", "number")
        if found[3] and not found[4]:
            self._edit(found.end(3), "", "0", "number")
        return found.end()

    def _word(self, at: int) -> int:
        found = _WORD.match(self.text, at)
        plain = _WORDS.get(found[0].lower()) if found is not None else None
        if found is None or plain is None or found[0] == "none":
            return 0
        if found[0] != plain:
            self._edit(at, found[0], plain, "word")
        return found.end()

    def _unquoted(self, at: int, outline: Outline) -> int:
        """A text whose opening quote, or both, are missing, where the schema wants a text."""
        for choice in outline.choices:
            if self.text.startswith(choice, at) and self._stops(at + len(choice)):
                return self._quoted(at, at + len(choice))
        line = _LINE.match(self.text, at)
        if line is None or not _is_paired(line[0]):
            line = _PLAIN_LINE.match(self.text, at)
        frame = self.stack[-1]
        first = _WORD.match(self.text, at)
        if line is None or line[0][0] in ",:;=.'`" or (first is not None and first[0].lower() in _WORDS):
            self._decline("a value is no text and no number", "not_json", at)
        end = line.end()
        mark = self.text[end : end + 1]
        if mark == '"' and self._follow(end + 1, True) >= (STRONG if frame.closer == "}" else WEAK):
            if frame.closer != "}" and "," in line[0]:
                self._decline("a text without its opening quote could be two", "two_readings", at)
            self._edit(at, "", '"', "quote")
            return end + 1
        if frame.closer == "}":
            return self._quoted(at, self._until_next(at, end, frame))
        word = _BARE_ELEMENT.match(self.text, at)
        if word is None or (frame.number and not frame.bare):
            self._decline("where a text without quotes ends cannot be told", "two_readings", at)
        frame.bare = True
        self._doubt("texts of a list have no quotes")
        return self._quoted(at, word.end(1))

    def _until_next(self, at: int, end: int, frame: _Frame) -> int:
        """The end of a text without quotes: before the next known name, the line's end or the bracket."""
        text = self.text
        for comma in re.compile(r"[,，]").finditer(text, at, min(end + 1, self.size)):
            place = _BLANK.match(text, comma.end()).end()  # type: ignore[union-attr]
            found = self._key_at(place, frame)
            if found is not None and found[0] in frame.outline.fields and found[0] not in frame.used:
                return len(text[: comma.start()].rstrip()) if comma.start() - at < 4000 else at
        piece = text[at:end].rstrip()
        if piece.endswith(","):
            piece = piece[:-1].rstrip()
        place = _BLANK.match(text, at + len(piece)).end()  # type: ignore[union-attr]
        if not piece or not self._stops(at + len(piece)) or text[place : place + 1] in ("", "]"):
            self._decline("where a text without quotes ends cannot be told", "two_readings", at)
        return at + len(piece)

    def _quoted(self, at: int, end: int) -> int:
        if _PIECE_OF_WORD.fullmatch(self.text, at, end):
            self._truncated()
        if _NO_VALUE.fullmatch(self.text, at, end):
            self._decline(f"{self.text[at:end]} is no value of JSON", "not_json", at)
        if end <= at or re.compile(r"[\"\\\x00-\x1f]").search(self.text, at, end):
            self._decline("where a text without quotes ends cannot be told", "two_readings", at)
        self._edit(at, "", '"', "quote")
        self._edit(end, "", '"', "quote")
        return end

    # ------------------------------------------------------------------------------------- small

    def _skip(self, at: int) -> int:
        """Past white space and remarks; odd spaces and remarks are taken off."""
        text = self.text
        mark = text[at : at + 1]
        if mark == " ":
            at += 1
            mark = text[at : at + 1]
        if '"' <= mark <= "~" and mark != "/" and mark != "#":
            return at
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
        mark = text[at : at + 1]
        if '"' <= mark <= "~" and mark != "/" and mark != "#":
            return at
        while (piece := _PIECE.match(text, at)) is not None:
            if piece[2]:
                self._edit(at, piece[0], "", "space")
            elif piece[3]:
                self._check_remark(piece[0], at)
                self._edit(at, piece[0], "", "remark")
            at = piece.end()
        return at

    def _check_remark(self, remark: str, at: int) -> None:
        """A remark says nothing of things left out, and is no text that lost its quotes."""
        if in_remark().search(remark):
            self._decline("a remark says that something was left out", "omission", at)
        if remark.count('"') % 2 or (remark[0] == "#" and not remark[1:2].isspace()):
            self._decline("a remark may be a piece of a text", "two_readings", at)

    def _edit(self, at: int, removed: str, inserted: str, kind: str) -> None:
        self.edits.append(Edit(at, removed, inserted, kind))

    def _insert_sorted(self, edit: Edit) -> None:
        """An edit at a place that was passed: only white space and remarks lie between."""
        place = len(self.edits)
        while place and self.edits[place - 1].at > edit.at:
            place -= 1
        if place and self.edits[place - 1].at == edit.at and edit.removed and self.edits[place - 1].removed:
            self.edits[place - 1] = edit
        else:
            while place and not edit.removed and self.edits[place - 1].at == edit.at and self.edits[place - 1].removed:
                place -= 1
            self.edits.insert(place, edit)

    def _doubt(self, words: str) -> None:
        if words not in self.doubts:
            self.doubts.append(words)

    def _count(self, quotes: int = 1) -> None:
        self._quotes -= quotes
        if self._quotes < 0 and self._more:
            self._more = False
            self._quotes = min(_QUOTES, 6 * sum(map(self.text.count, _DOUBLE + "'`‘’")))
        if self._quotes < 0:
            self._decline("the quotes are too tangled", "tangled")

    def _truncated(self) -> NoReturn:
        raise NotRepairable("the answer ends in the middle", code="truncated")

    def _decline(self, words: str, code: str, at: int | None = None) -> NoReturn:
        place = "" if at is None else f", at character {at}"
        raise NotRepairable(words + place, code=code)


def _at(edit: Edit) -> int:
    return edit.at


def _clear(text: str, begin: int, end: int) -> bool:
    """Whether a gap after a quote is one for certain: a remark stands apart from the quote, and holds none itself."""
    return text[begin] not in "/#" and text.find('"', begin, end) < 0


_OVER_WORD = late(r'([^"]*)"([^"]{1,24})",\s+([^"]+)|([^"]+),\s+"([^"]{1,24}"[^"]*)')
_FIRST_LETTER = late(r'(?:\[|",)\s*"([^\W\d_])')
_SENTENCE_AND_REST = late(r"[¿¡„“«‘(]?[^\W\d_].*\0[^\W\d_].*\s", re.DOTALL)


def _may_be_two(text: str, siblings: str) -> bool:
    """Whether a text of a list with a quoted word may be two texts, one quote of which slipped over the word.

    ``number "them", Throw`` may be two. ``Say "go", then run`` is one in a list of sentences: it begins as a sentence
    does, and after the comma goes on as none of them begins.
    """
    found = _OVER_WORD.fullmatch(text)
    if found is None:
        return False
    first, second = (found[1] + found[2], found[3]) if found[3] else (found[4], found[5])
    if not _SENTENCE_AND_REST.match(first + "\0" + second):
        return True
    if not first.lstrip("¿¡„“«‘(")[0].isupper() or not second[0].islower():
        return True
    return any(one[1].islower() for one in _FIRST_LETTER.finditer(siblings))


def _is_paired(line: str) -> bool:
    """Whether the brackets of a line stand in pairs, each after its opening one."""
    waiting = []
    for mark in _BRACKETS.findall(line):
        if mark in "{[":
            waiting.append(mark)
        elif not waiting or _OPENING[waiting.pop()] != mark:
            return False
    return not waiting


_BRACKETS = late(r"[{}\[\]]")

# ------------------------------------------------------------------------------------ pairs of quotes

_OPENERS = {"„": "“”", "“": "”", "«": "»", "‚": "‘’", "〝": "〞"}


_SIGN = late(r"[ \t\r\n]*[,:\]}]")
"""A quote without its pair before one of these may well have been an end."""
_SPLIT = late(r"[ \t\r\n]*(?:,\s*[\"“„«'\[{]|[\]}])")
"""After a typographic quote without its pair: it may have been the end."""
_SEAM = late(r'"[ \t]*[,\[\]{}:]*[ \t]*\r?\n[\s,\[\]{}]{0,200}["\]}]')
"""A line that ends as a line of the document does, before one that begins as one."""


class _Pairs:
    """Whether the quotes inside of a text pair up, told quote by quote."""

    def __init__(self, text: str, at: int, opener: str) -> None:
        self.text = text
        self.begin = at
        self.opener = opener
        self.stack: list[str] = []
        self.unmatched = False
        self.wrong = False
        self.last = -1  # quote without its pair

    @property
    def ascii_open(self) -> bool:
        return '"' in self.stack

    def add(self, place: int) -> None:
        text = self.text
        quote = text[place]
        before, after = text[place - 1], text[place + 1 : place + 2]
        if before in "nrt" and text[place - 2] == "\\" and text[place - 3] != "\\":
            before = "." if after in ",;)" and self._same(quote) else " "
        if after == "\\" and text[place + 2 : place + 3] in ("n", "r", "t"):
            after = " "
        if before in "([" and after in ")]" and after:
            return
        if quote == '"':
            self.wrong |= (before == '"' and place > self.begin + 1) or _SEAM.match(text, place) is not None
        if quote in "'’`" and before.isalnum() and after.isalnum():
            return
        if quote == '"' or (quote == self.opener and quote not in _OPENERS):
            self._plain(place, quote, before, after)
        elif self.stack and quote in _OPENERS.get(self.stack[-1], ""):
            self.stack.pop()
        elif quote in "“”»" and not before.isspace() and _SPLIT.match(text, place + 1):
            self.wrong = True
        elif quote == "»" and not self.stack and self._opens(place, before, after):
            self.stack.append("»")
        elif quote == "«" and self.stack and self.stack[-1] == "»":
            self.stack.pop()
        elif quote in _OPENERS:
            self.stack.append(quote)

    def _opens(self, place: int, before: str, after: str) -> bool:
        return (place == self.begin + 1 or before in _EDGE or before in _DOUBLE) and not after.isspace()

    def _plain(self, place: int, quote: str, before: str, after: str) -> None:
        first = place == self.begin + 1
        opens = first or before in _EDGE or before in "\"“„«'"
        if self._same(quote) and not first and before in _STOPS and _IDEOGRAPH.match(after):
            opens = False  # no blanks are set there between words
        ends = after == "" or after in _EDGE or after in "\")]}'”’»" or after.isspace()
        closes = ends and not first and not before.isspace()
        if after.isspace() and not before.isspace() and not first:
            opens = False
        if before.isspace() and not after.isspace():
            closes = False
        if self.stack and (closes or not opens):
            self.stack.pop()
        elif opens and not closes:
            self.wrong |= self._same(quote)
            self.stack.append(quote)
        elif closes and not opens:
            if quote not in _SINGLE:
                self.wrong |= _SIGN.match(self.text, place + 1) is not None
                self.last = place
                self.unmatched |= not (quote == '"' and before.isdigit())
        else:
            self.stack.append(quote)

    def _same(self, quote: str) -> bool:
        return bool(self.stack) and self.stack[-1] == quote

    def state(self, place: int) -> int:
        """EVEN, or what is left over before this place."""
        if self.stack or self.wrong or self.last == place - 1:
            return OPENS
        return CLOSES if self.unmatched else EVEN


# --------------------------------------------------------------------------------------- backslashes

_ESCAPED = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
_UNICODE = late(r"\\u[0-9a-fA-F]{4}")
_BROKEN_ESCAPE = late(r"\\[^\w\\\"]u[0-9a-fA-F]{4}|\\u|\\\.\.\.")
_OTHER_ESCAPE = late(r"\\(?:x([0-9a-fA-F]{2})|u\{([0-9a-fA-F]{1,6})\}|U([0-9a-fA-F]{8}))")
_UNESCAPED = late(r"\\(?:U(?![0-9a-fA-F]{8})|[^U\"\\/bfnrtux'`“”„«»‘’＂\n\d]|u(?![0-9a-fA-F{])|x(?![0-9a-fA-F]{2}))")
_PATH = late(r"(?<![A-Za-z])[A-Za-z]:\\(?!\\)(?:[^\s\"\\]{1,60} [^\s\"\\]{1,60}(?=\\[^bfnrtu])|[^\s\"])*")
"""A folder of two words, such as ``Program Files``, only where what follows is no line break."""

_LATEX = late(rf"\\(?:{LONG_WORDS}|nu|ne|ni|to|not|rm|bf)(?![A-Za-z])")


_LONG_LATEX = late(rf"\\(?:{LONG_WORDS})(?![A-Za-z])")


def _wild(text: str, begin: int, end: int) -> bool:
    """Whether a text has backslashes that JSON does not know: then none of its backslashes was doubled."""
    if text.find("\\\\", begin, end) >= 0:
        return False
    return _UNESCAPED.search(text, begin, end) is not None
