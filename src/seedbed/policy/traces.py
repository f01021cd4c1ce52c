"""Signs in a mended document that a mark of its structure slipped, so that a text has more or less than is its own.

A mark that lacks in the structure while one too many stands in a text has most likely moved there. Such a reading
may be right and is not certain: it is doubted.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property

from seedbed.policy.doubts import SLIPPED
from seedbed.policy.edits import Edit
from seedbed.policy.patterns import late

DOUBLED = "quotation marks may be doubled"
MIXED = "a text stands in other quotation marks than those beside it"

_TEXT = late(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_STRUCTURAL = frozenset({"quote", "stray", "comma", "bracket", "control", "word", "number"})
_AFTER_ODD = r"(?!\s|\d|\\[nrt]|d[a-z]\b"
_ODD_COMMA = late(
    rf"(?<!\A[A-Za-z])(?<!\s[A-Za-z]),{_AFTER_ODD})|(?<=[A-Za-z]),{_AFTER_ODD}|[A-Za-z](?:\s|\Z))|[\s–—:;(\[{{],|\A,|[^\W\d],\d"
)
"""A comma as no writer sets it; ``x,y`` is one word, and ``\\,dx`` LaTeX."""
_ODD_IN_NAME = late(r"[,:;{}\[\]]")
_ODD_SEMICOLON = late(r"[^\W\d_];[^\W\d_]")
_ONLY_SIGNS = late(r"[\[\]{}(),:;\s]+")
_ODD_EDGE = late(r"\A(?:[\s,:;}\])]|\\[nt])|(?:[\s,:;{\[(]|\\[nt])\Z")
_ODD_START = late(r"[,:;}\])]")
_ODD_NAME = late(r'"[\s,:;}\])][^"\\]*"\s*:|[^\\][\s,:;{\[(]"\s*:')
_BROKEN_ESCAPE = late(r'\\"u[0-9a-fA-F]{4}')
_BLANK_EDGE = late(r"\A(?:\s|\\t)|(?:\s|\\t)\Z")
_STRAY_AND_SIGNS = late(r'\\"[\s,:{}\[\]]+\Z|\A[\s,:{}\[\]]+\\"')
_SPEECH = late(r',\\" [^\W\d]')
"""The comma of English speech before its closing quote, and words after it."""
_ARGUMENT = late(r'\\"[,)][^"\\]{0,80}\)')
_QUOTED_SIGN = late(r'[\s(]\\"[^\w\s\\"]\\"(?=[\s).])')
"""Words on a sign, such as ``the "," sign``."""
_STRAY_AND_BRACKETS = late(r'\\"[}\]]\Z|\A[{\[]\\"')
_LETTER = r"[^\W\d_\u0e00-\u0e7f\u2e80-\ua4cf\uac00-\ud7af\uf900-\uffef\U00020000-\U0003ffff]"
"""A letter of a language that puts blanks between its words."""
_BETWEEN_LETTERS = late(rf'(?<!\\){_LETTER}\\"{_LETTER}')
_END_OF_LINE = late(
    r'\\"[,:]?(?:\\r)?\\n(?:[ \t]|\\t)|\\"[,:](?:\\r)?\\n|,(?:\\r)?\\n(?:[ \t]|\\t)'
    r"|\A[ \t]+\\n|\\n[\s,}\]]*[}\]][\s,}\]]*\Z"
)
_SEPARATED = late(
    r'\\",(?:\S|\s*\')|,\\"|[\'’”»]\s*,\s*\\"|(?:\A|,\s*)\\"(?:[^"\\]|\\[^"])*\\",|,\s*\\"(?:[^"\\]|\\[^"])*\\"\Z'
)
_GOES_ON = late(r",?[ \t]*[\r\n]")
_DOUBLE = late("[“”„«»]")
_PAIRED = late("„[^„“”«»]*[“”]|“[^„“”«»]*”|«[^„“”«»]*»|»[^„“”«»]*«")
_BREAK_BEFORE = late(r"(?<!\\)\\[nrt]\Z")
_MEMBER = late(r'\\"[\w $-]{1,40}\\"\s*:\s*\\"|[,{]\s*[\w-]{1,40}\\"\s*:')
_TOUCHING = late(r'(?<!\s)\\"[^\w\\]?\\"|\\"[^\w\\]?\\"(?!\s)')
_TOUCHING_TIGHT = late(r'(?<!\s)\\"[^\w\s\\]?\\"|\\"[^\w\s\\]?\\"(?!\s)')
_COMMA_NEAR_END = late(r',(?:\\.|[^"\\,]){0,7}"[\s}\]]*\Z')
_COMMA_NEAR_START = late(r'[{\[\s]*"(?:\\.|[^"\\,]){0,6},')
_TIGHT_NUMBERS, _LOOSE_NUMBERS = late(r"\d,[-\d]"), late(r"\d,\s+[-\d]")
_LONE_SINGLE = late(r"(?<!\w)'|'(?!\w)")
_LONG_NUMBER = late(r"[\[,]-?[\d.]{2,}[,\]]")
_TIGHT, _LOOSE = late(r",\S"), late(r",\s")
_TYPOGRAPHIC = frozenset("“”„«»＂〝〞")


class _Signs:
    """The texts of a mended document, and the edits that touched each."""

    def __init__(self, mended: str, edits: Sequence[Edit], begin: int) -> None:
        self.mended = mended
        self.spans = [found.span() for found in _TEXT.finditer(mended)]
        self.strays: dict[int, list[int]] = {}
        self.breaks: set[int] = set()
        """Texts with a raw line break or tab."""
        self.put: dict[int, list[bool]] = {}
        """Texts of which a quote was missing: at the beginning, at the end."""
        self.turned: dict[int, list[str]] = {}
        """Texts between other quotes than ASCII ones: which, at the beginning and at the end."""
        self.commas: list[int] = []
        self.spare: list[int] = []
        self.numbers = self.brackets = False
        self.prefixes = 0
        firsts = [span[0] for span in self.spans]
        shift = -begin
        for edit in edits:
            place = edit.at + shift
            shift += len(edit.inserted) - len(edit.removed)
            self._book(edit, place, bisect_right(firsts, place) - 1)

    def _book(self, edit: Edit, place: int, number: int) -> None:
        if edit.kind == "bracket":
            self.brackets |= not edit.removed or edit.removed in "{}[]"
        elif edit.kind == "comma":
            if not edit.removed or not edit.inserted:
                (self.spare if edit.removed else self.commas).append(place)
        elif edit.kind == "number":
            self.numbers = True
        elif edit.kind == "word":
            self.prefixes += edit.removed in "uU"
        elif edit.kind == "stray":
            self.strays.setdefault(number, []).append(place)
        elif edit.kind == "control":
            if edit.removed in "\r\n\t":
                self.breaks.add(number)
        elif edit.kind == "quote":
            end = place != self.spans[number][0]
            if edit.removed:
                self.turned.setdefault(number, ['"', '"'])[end] = edit.removed
            else:
                self.put.setdefault(number, [False, False])[end] = True

    def inside(self, number: int) -> str:
        begin, end = self.spans[number]
        return self.mended[begin + 1 : end - 1]

    def before(self, number: int) -> str:
        """The mark before a text, past white space."""
        begin = self.spans[number][0]
        return self.mended[max(0, begin - 200) : begin].rstrip()[-1:]

    def after(self, number: int) -> str:
        end = self.spans[number][1]
        return self.mended[end : end + 200].lstrip()[:1]

    def is_name(self, number: int) -> bool:
        return self.after(number) == ":"

    @property
    def halves(self) -> list[int]:
        """Texts that lacked one quote of two."""
        return [number for number, (first, last) in self.put.items() if first != last]

    @property
    def bare(self) -> list[int]:
        """Texts that lacked both quotes; not names."""
        return [number for number, (first, last) in self.put.items() if first and last and not self.is_name(number)]

    @cached_property
    def skeleton(self) -> str:
        """The document with all its texts emptied."""
        ends = [0, *(end for _, end in self.spans)]
        begins = [*(begin for begin, _ in self.spans), len(self.mended)]
        return '""'.join(self.mended[end:begin] for end, begin in zip(ends, begins, strict=True))

    @cached_property
    def texts(self) -> list[str]:
        return [self.mended[begin + 1 : end - 1] for begin, end in self.spans]


def traces(mended: str, edits: Sequence[Edit], begin: int) -> tuple[str, ...]:
    """The reasons to doubt a document that ``edits`` made; ``begin`` is where it began in the text as it came."""
    if not any(edit.kind in _STRUCTURAL for edit in edits):
        return ()
    signs = _Signs(mended, edits, begin)
    found = []
    if any(
        reason(signs) for reason in (_several_faults, _quote_slipped, _comma_slipped, _bracket_slipped, _break_slipped)
    ):
        found.append(SLIPPED)
    if any(_is_doubled(signs, number, places) for number, places in signs.strays.items() if number not in signs.turned):
        found.append(DOUBLED)
    if signs.turned and _is_mixed(signs):
        found.append(MIXED)
    return tuple(found)


def lacks_closers(mended: str) -> bool:
    """Whether a text of a document opens more brackets than it closes: those after the document may be its own."""
    texts = [found[0] for found in _TEXT.finditer(mended)]
    return any(text.count("{") > text.count("}") or text.count("[") > text.count("]") for text in texts)


def _several_faults(signs: _Signs) -> bool:
    """Faults of several kinds may be one mark that moved, or one that took the place of another."""
    uneven = any(first != last for first, last in signs.turned.values())
    several = (signs.commas, signs.spare, signs.brackets, signs.halves, signs.numbers, uneven)
    if any(several) and _LONG_NUMBER.search(signs.skeleton) and not _LOOSE.search(signs.skeleton):
        return True  # where no blanks stand, a comma is lost between two numbers without a trace
    return sum(map(bool, (signs.commas, signs.spare, signs.brackets, signs.halves, len(signs.turned) == 1))) > 1


def _quote_slipped(signs: _Signs) -> bool:
    """A quote was missing, and stands in a text; or what is beside it looks like a sign that took its place."""
    if (
        _ODD_NAME.search(signs.mended)
        or _BROKEN_ESCAPE.search(signs.mended)
        or 0 < 3 * signs.prefixes < len(signs.spans)
    ):
        return True
    if any(_ODD_EDGE.search(signs.inside(number)) or signs.inside(number)[-1:] == "'" for number in signs.bare):
        return True
    halves = signs.halves
    uneven = any((first == '"') != (last == '"') for first, last in signs.turned.values())
    if not halves and not uneven:
        return False
    texts = signs.texts
    if any(map(_BLANK_EDGE.search, texts)) or any(map(_ONLY_SIGNS.fullmatch, texts)):
        return True
    if not halves:
        return False
    if signs.strays or (len(halves) > 1 and not all(map(signs.is_name, halves))):
        return True
    if any(text.count('\\"') % 2 or not _is_even(text) for text in texts):
        return True
    if any(text[:1] == "'" or text[-1:] == "'" for text in texts if len(_LONE_SINGLE.findall(text)) % 2):
        return True
    return any(map(_ODD_EDGE.search, texts)) or any(_ODD_COMMA.search(texts[each]) for each in halves)


def _comma_slipped(signs: _Signs) -> bool:
    """A comma was missing, and stands in a text or in a number; or it may have stood in place of another mark."""
    if (signs.commas or signs.spare) and any(map(_BLANK_EDGE.search, signs.texts)):
        return True
    if not signs.commas:
        return False
    mended = signs.mended
    if signs.numbers:
        return True
    for number, text in enumerate(signs.texts):
        if _ODD_COMMA.search(text) or _ODD_START.match(text) or not _is_even(text):
            return True
        if _ODD_IN_NAME.search(text) and signs.is_name(number):
            return True
        if _ODD_SEMICOLON.search(text):
            return True
    if _TIGHT_NUMBERS.search(mended) and _LOOSE_NUMBERS.search(mended):
        return True
    if len(_TIGHT.findall(signs.skeleton)) == 1 and len(_LOOSE.findall(signs.skeleton)) > 1:
        return True
    return any(_is_odd_seam(mended, place) for place in signs.commas)


def _is_odd_seam(mended: str, comma: int) -> bool:
    """Whether beside a comma that was put in stands an empty text, or one with half of a pair of single quotes."""
    before = mended[max(0, comma - 200) : comma].rstrip()
    after = mended[comma + 1 : comma + 200].lstrip()
    if after.startswith(('""', "[]", "{}")) or re.search(r'(?:(?<!\\)""|\[\]|\{\})\Z', before):
        return True
    if before.endswith((';"', ':"')) or _COMMA_NEAR_END.search(before) or _COMMA_NEAR_START.match(after):
        return True
    return before.endswith("'\"") and before[:-1].rpartition('"')[2].count("'") % 2 == 1


def _is_even(text: str) -> bool:
    """Whether the brackets of a text come in pairs, by their number."""
    return text.count("{") == text.count("}") and text.count("[") == text.count("]")


def _bracket_slipped(signs: _Signs) -> bool:
    if not signs.brackets:
        return False
    return any(not _is_even(text) or _BLANK_EDGE.search(text) for text in signs.texts)


def _break_slipped(signs: _Signs) -> bool:
    """A quote moved over the white space of the document's own layout, which then looks like that of the text."""
    on_lines, on_tabs = "\n" in signs.mended, "\n\t" in signs.mended
    for number in signs.breaks:
        text = signs.inside(number)
        if _END_OF_LINE.search(text):
            return True
        bare = text
        while bare[-1:] == " " or bare.endswith("\\t"):
            bare = bare[:-1] if bare[-1] == " " else bare[:-2]
        if bare.endswith(("\\n", "\\r")):
            end = signs.spans[number][1]
            alone = text.count("\\n") == 1  # a text with a line break only at its end
            if alone or bare != text or end in signs.commas or (on_lines and not _GOES_ON.match(signs.mended, end)):
                return True
        if signs.before(number) != ":" and (
            (on_lines and text.startswith(("\\n", "\\r"))) or (on_tabs and text.startswith("\\t"))
        ):
            return True
    return False


def _is_doubled(signs: _Signs, number: int, strays: Sequence[int]) -> bool:
    """Two quotes in place of one, or a quote that left its place between two texts of a list."""
    text = signs.inside(number)
    touching = _TOUCHING if signs.before(number) != ":" else _TOUCHING_TIGHT
    if any(sign.search(text) for sign in (_BETWEEN_LETTERS, touching, _MEMBER)):
        return True
    if _STRAY_AND_SIGNS.search(text) and not (_STRAY_AND_BRACKETS.search(text) and _is_even(text)):
        return True
    if not _DOUBLE.search(_PAIRED.sub("", text)) and len(strays) % 2 == 0 and not _open_and_close(signs.mended, strays):
        return True
    if signs.before(number) != ":" and text.count('\\"') > len(strays):
        return True
    if len(signs.strays) > 1:  # who quotes so elsewhere quotes so here
        return False
    begin, end = signs.spans[number]
    whole = len(strays) == 2 and strays[0] == begin + 1 and strays[1] == end - 3
    return whole or (signs.before(number) != ":" and _SEPARATED.search(text) is not None)


def _open_and_close(mended: str, strays: Sequence[int]) -> bool:
    """Whether of quotes in pairs each first looks like one that opens, and each second like one that closes."""
    for number, place in enumerate(strays):
        if _QUOTED_SIGN.match(mended, place - 1) or (number % 2 and _QUOTED_SIGN.match(mended, strays[number - 1] - 1)):
            continue
        if number % 2 == 0 and mended[place + 2] in " \t,:;.!?":
            return False
        if number % 2 == 0 or _SPEECH.match(mended, place - 1):
            continue
        if mended[place - 1] in " \t,:([{" or (
            _BREAK_BEFORE.search(mended[place - 3 : place]) and not _ARGUMENT.match(mended, place)
        ):
            return False
    return True


def _is_mixed(signs: _Signs) -> bool:
    """Typographic quotes around one text where others stand in ASCII ones, or of two sorts around one text.

    They may be its own, with its delimiters lost; where several stand so, the writer changed between styles.
    """
    every = [number for number, marks in signs.turned.items() if _TYPOGRAPHIC.intersection(marks)]
    odd = [number for number in every if not signs.is_name(number)]
    values = sum(not signs.is_name(number) for number in range(len(signs.spans)))
    uneven = [number for number in odd if '"' in signs.turned[number] and number not in signs.put]
    return bool(odd) and ((len(every) == 1 and values > 1) or (bool(uneven) and len(uneven) < values))


_REASONS = (_several_faults, _quote_slipped, _comma_slipped, _bracket_slipped, _break_slipped)
