"""A reply that is no JSON as it stands: its one document found and mended, or a refusal.

Around the document may stand fences, prose, tags and thoughts; it may be escaped as a whole. What is taken off stands
in the edits. Two documents that differ, or a piece of one beside the other, are refused.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from seedbed.errors import NotReadable, NotRepairable
from seedbed.policy.doubts import OMISSION, SLIPPED, doubts
from seedbed.policy.edits import Edit, Repaired, applied, joined, undone
from seedbed.policy.omissions import correction, in_prose
from seedbed.policy.outline import Outline
from seedbed.policy.patterns import late
from seedbed.policy.scanning import BLANKS, Scan
from seedbed.policy.traces import lacks_closers, traces

Check = Callable[[str], Any]
"""Reads strict JSON and checks its shape. Raises NotReadable."""

_TRIES = 24
_MOST = 100_000
_THOUGHT = late(r"(?is)\A\s*<(think(?:ing)?|thought|reasoning|reflection|scratchpad|analysis)>.*?</\1>")
_MARK = r"""[uU]?["'“”„«＂‘`]"""
_REMARK = r"//|/\*|\#"
_NAMED = (
    rf"""[uU]?"(?:[^"\\\n]|\\.){{0,200}}"[{BLANKS}]*[:：]|{_MARK}(?:[^"'\\\n:：]|\\.){{0,200}}["'”“»＂’`]?[{BLANKS}]*[:：]"""
    rf"""|[^\W\d][\w$-]{{0,80}}["']?[{BLANKS}]*[:：]"""
)
_AN_OBJECT = rf"[{{｛](?=[{BLANKS}]*(?:{_NAMED}|{_REMARK}|[}}｝]))"
_AN_ARRAY = rf"[\[［](?=[{BLANKS}]*(?:{_MARK}|[{{｛\[［\]］\d-]|true|false|null|nan|\+?inf|{_REMARK}))"
_OBJECT, _ARRAY = late(_AN_OBJECT), late(_AN_ARRAY, re.IGNORECASE)
_EITHER = late(f"(?:{_AN_OBJECT}|{_AN_ARRAY})", re.IGNORECASE)
_ESCAPED = late(r"\A[^\"{\[]{0,400}[{\[](?:\s|\\n|\\r|\\t)*(?:[{\[](?:\s|\\n|\\r|\\t)*)?\\\"")
_SEQUENCE = late(r'\\(?:(["\\/bfnrt])|u([0-9a-fA-F]{4}))')
_FENCED_STRING = late(r'\A(?:```|~~~)\w*\s*("[{\[](?s:.*)[}\]]")\s*(?:```|~~~)\Z')
_ESCAPED_NAME = late(r'(?<=[{,\s])\\"([^"\\\n]{1,80})\\"(?=\s*:)')
_FIRST_NAME = late(r'\A[^"{\[]{0,400}[{\[]\s*(?:[{\[]\s*)?\\"[^"\\\n]{1,80}\\"\s*:')
_ENTITY = late(r"&(?:quot|amp|lt|gt|apos|nbsp|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});")
_QUOTE_ENTITY = late(r"[{\[]\s*(?:[{\[]\s*)?&(?:quot|#34|#[xX]22);")
_SIGN_OF_JSON = late(r"""["{}\[\]]|\A[\W_]*[^\w\s`~*#>-][\W_]*\Z""")
_PIECE_BEFORE = late(
    r"""(?:["'“„«]\w{0,40}|["'”]\w{0,40}[,\s{]*[:：]\s*|["'”]\s*[}\]]*\s*[:：]\s*|[,，]\s*|[{}\[\]"])\Z"""
)
_NAMED_IN_PROSE = late(r"""([^\W\d_]+)[ \t]["“„«]([^"“”„«»\n]{1,80})["”“»][ \t]*[:：]\s*\Z""")
_STOP_AFTER = late(r"[`<;)。~]|\.(?!\d)")
_WRAPS = ("'", "'''", '"""', "`")
_MEMBER = late(r"""["“]([^"“”\n]{1,80})["”]\s*[:：]\s*(?=["“\d\[{tfn-])""")
_BARE_MEMBER = late(r"""["'“]([^"'“”\n:]{1,80})["'”]\s*[:：]""")
_LOOSE_NAME = late(r"[{,]\s*(\w+)[\"']?\s*:")
_OF_TEXTS = frozenset({"stray", "control", "backslash"})
_BLANKS = "".join(re.findall(f"[{BLANKS}]", "".join(map(chr, range(0x3001))))) + "\ufeff"
_TAIL = late(r"\s*[\]})][\s\]})]*(?:(?:```|~~~)\s*)?\Z")


def mend(text: str, outline: Outline, check: Check) -> tuple[Repaired, str]:
    """The value of a reply that strict reading declined, and its text. Raises NotRepairable, or what ``check`` raises.

    Two laws are tried each time: the edits make of the text what was read, and undone they make of that the text.
    """
    first = _layer(text, outline)
    found, strict = _plain(applied(text, first) if first else text, outline, check)
    edits = joined(first, found.edits) if first else found.edits
    doubtful = found.doubtful
    if any(edit.removed == "\\\\" for edit in first) and any(edit.kind in _OF_TEXTS for edit in found.edits):
        doubtful = (*doubtful, "a document is escaped in part")
    kept = tuple(edit for edit in edits if edit.removed != edit.inserted)
    mended = applied(text, kept)
    if mended.strip(" \t\r\n") != strict or undone(mended, kept) != text:
        raise NotRepairable("the edits do not lead back to the text", code="not_conserved")
    return Repaired(found.value, kept, doubtful), strict


# ------------------------------------------------------------------------- documents that are escaped


def _layer(text: str, outline: Outline) -> list[Edit]:
    """The edits that undo an escaping of the document as a whole; none where it has none."""
    bare = text.strip()
    if bare[:1] in ("`", "~") and (fenced := _FENCED_STRING.match(bare)):
        bare = fenced[1]
    if bare[:1] == '"' and bare[-1:] == '"' and len(bare) > 1 and not outline.is_blind:
        return _layer_of_string(text, bare)
    if '\\"' in text and _ESCAPED.match(text) and not re.search(r'(?<!\\)(?:\\\\)*"', text[_first_bracket(text) :]):
        return _bounded(_sequences(text, _first_bracket(text), len(text)))
    if '\\"' in text and _FIRST_NAME.match(text):
        return _bounded(_escaped_names(text))
    if "&" not in text:
        return []
    begin = _first_bracket(text)
    if _QUOTE_ENTITY.match(text, begin) and '"' not in text[begin:]:
        return _bounded(_entities(text, begin))
    return []


def _bounded(edits: Iterable[Edit]) -> list[Edit]:
    found = list(islice(edits, _MOST + 1))
    if len(found) > _MOST:
        raise NotRepairable("too much has to be mended", code="tangled")
    return found


def _first_bracket(text: str) -> int:
    found = re.search(r"[{\[]", text)
    return found.start() if found else 0


def _layer_of_string(text: str, bare: str) -> list[Edit]:
    begin = text.index(bare)
    end = begin + len(bare) - 1
    try:
        inner = json.loads(bare, strict=False)
    except ValueError:
        return []
    if not isinstance(inner, str) or inner.lstrip()[:1] not in ("{", "["):
        return []
    edits = [Edit(begin, '"', "", "escaped")]
    edits += _sequences(text, begin + 1, end)
    return _bounded([*edits, Edit(end, '"', "", "escaped")])


def _sequences(text: str, begin: int, end: int) -> Iterator[Edit]:
    """Escapes of a JSON string undone once. Halves of a pair of surrogates stay escapes."""
    known: dict[str, tuple[str, str]] = {}  # each sequence is kept once
    for found in _SEQUENCE.finditer(text, begin, end):
        written, plain = known.get(found[0]) or known.setdefault(found[0], (found[0], json.loads(f'"{found[0]}"')))
        if not "\ud800" <= plain <= "\udfff":
            yield Edit(found.start(), written, plain, "escaped")


def _escaped_names(text: str) -> Iterator[Edit]:
    """The backslashes before the quotes of names, where only names are escaped."""
    for found in _ESCAPED_NAME.finditer(text):
        yield Edit(found.start(), "\\", "", "escaped")
        yield Edit(found.end() - 2, "\\", "", "escaped")


def _entities(text: str, begin: int) -> Iterator[Edit]:
    known: dict[str, tuple[str, str]] = {}
    for found in _ENTITY.finditer(text, begin):
        written, plain = known.get(found[0]) or known.setdefault(found[0], (found[0], html.unescape(found[0])))
        if "\x00" < plain != written:
            yield Edit(found.start(), written, plain, "entity")


# ------------------------------------------------------------------------------------ documents


@dataclass(slots=True)
class _Found:
    begin: int
    end: int
    edits: list[Edit]
    doubts: list[str]
    value: Any
    strict: str


def _plain(text: str, outline: Outline, check: Check) -> tuple[Repaired, str]:
    start = _after_thoughts(text)
    documents, examples = _documents(text, start, outline, check)
    if not documents:
        raise _nothing(text, start, outline)
    while len(documents) > 1 and OMISSION in doubts(documents[0].strict):  # the form of an answer, shown before it
        examples.append((documents[0].begin, documents[0].end))
        documents = documents[1:]
    chosen = documents[0]
    if any(_told(other) != _told(chosen) for other in documents[1:]):
        raise NotRepairable("the answer holds more than one JSON document", code="two_documents")
    end = chosen.end
    extra = len(documents) == 1 and _TAIL.match(text, end) is not None
    _look_around(text, start, documents, examples, outline, extra)
    found = [*chosen.doubts, *traces(chosen.strict, chosen.edits, chosen.begin)]
    if correction().search(text, end):
        found.append("what stands after the document may correct it")
    edits = []
    if text[: chosen.begin].strip(" \t\r\n"):
        edits.append(Edit(0, text[: chosen.begin], "", "around"))
    edits += chosen.edits
    if text[end:].strip(" \t\r\n"):
        if extra and outline.is_blind and text[end:].strip("` ~\r\n\t") != text[end - 1]:
            found.append("closing brackets stand after the document")
        if extra and lacks_closers(chosen.strict):
            found.append(SLIPPED)
        edits.append(Edit(end, text[end:], "", "bracket" if extra else "around"))
    return Repaired(chosen.value, tuple(edits), tuple(found)), chosen.strict


def _told(found: _Found) -> str:
    return json.dumps(found.value, sort_keys=True)


def _after_thoughts(text: str) -> int:
    found = _THOUGHT.match(text)
    return found.end() if found else 0


def _nothing(text: str, start: int, outline: Outline) -> NotReadable:
    if not text[start:].strip():
        return NotRepairable("the answer is empty", code="empty")
    return NotRepairable("the answer holds no JSON document", code="not_json")


def _candidates(outline: Outline) -> re.Pattern[str]:
    objects, arrays = outline.may_be("object"), outline.may_be("array")
    if objects and not arrays:
        return _OBJECT
    return _ARRAY if arrays and not objects else _EITHER


def _documents(text: str, start: int, outline: Outline, check: Check) -> tuple[list[_Found], list[tuple[int, int]]]:
    """The documents of a text, and what has brackets, but is of another shape and stands before them."""
    documents: list[_Found] = []
    examples: list[tuple[int, int]] = []
    pattern = _candidates(outline)
    at, tries = start, 0
    scan: Scan | None = None
    while (found := pattern.search(text, at)) is not None:
        begin = found.start()
        at = begin + 1
        if not _is_start(text, begin, outline):
            continue
        tries += 1
        if tries > _TRIES:
            raise NotRepairable("the answer holds too many pieces of JSON", code="tangled")
        scan = Scan(text, scan)
        try:
            end = _end_of_strict(text, begin, check) or scan.document(begin, outline)
        except NotRepairable:
            if documents and not _speaks_of(text, begin, outline):
                continue
            if documents:
                raise NotRepairable("the answer holds more than one JSON document", code="two_documents") from None
            if outline.is_blind or _speaks_of(text, begin, outline):
                raise
            continue
        at = end
        inside = [Edit(at - begin, removed, inserted, kind) for at, removed, inserted, kind in scan.edits]
        strict = applied(text[begin:end], inside)
        try:
            value = check(strict)
        except NotReadable as error:
            _example(text, begin, end, documents, outline, error)
            examples.append((begin, end))
            continue
        documents.append(_Found(begin, end, scan.edits, scan.doubts, value, strict))
    if not documents and examples:
        begin, end = examples[0] if len(examples) == 1 else examples[-1]
        scan = Scan(text)
        scan.document(begin, outline)
        check(applied(text[begin:end], [edit._replace(at=edit.at - begin) for edit in scan.edits]))
    return documents, examples


_decode = json.JSONDecoder().raw_decode


def _end_of_strict(text: str, begin: int, check: Check) -> int:
    """The end of a document that needs no mending; 0 where one does."""
    try:
        end = _decode(text, begin)[1]
        check(text[begin:end])
    except (ValueError, RecursionError, NotReadable):
        return 0
    return end


def _example(text: str, begin: int, end: int, documents: list[_Found], outline: Outline, error: NotReadable) -> None:
    """A document of another shape: chatter before the answer; after it, a correction of it."""
    if error.code != "shape" or outline.is_blind:
        raise NotRepairable(error.what, code=error.code)
    if documents and _names_in(text[begin:end], outline):
        raise NotRepairable("the answer holds more than one JSON document", code="two_documents")


def _is_start(text: str, begin: int, outline: Outline) -> bool:
    """Whether a bracket begins a document: a list only at the start of a line, or where a list is asked for."""
    if text[begin] in "{｛":
        return True
    line = text.rfind("\n", max(0, begin - 200), begin)
    before = text[line + 1 if line >= 0 else max(0, begin - 200) : begin].strip(" \t\xa0\ufeff\u200b")
    if not before or before.endswith((":", ">", "=", "```", "```json", "：", "json")):
        return True
    return not outline.is_blind and text[begin + 1 :].lstrip()[:1] in ("{", "｛")


def _speaks_of(text: str, begin: int, outline: Outline) -> bool:
    """Whether a name of the shape stands at the start of what has a bracket there."""
    found = re.compile(r"""[\[{｛［\s]*["'“„«＂‘`]?([^"'“”„«»＂‘’`:：\n]{1,200})""").match(text, begin)
    return found is None or not outline.names or found[1].strip() in outline.names or text[begin] in "[［"


def _names_in(text: str, outline: Outline) -> bool:
    names = outline.names
    return any(found[1].strip() in names for found in _BARE_MEMBER.finditer(text)) or (
        bool(names) and any(name in names for name in _LOOSE_NAME.findall(text))
    )


def _look_around(
    text: str, start: int, documents: list[_Found], examples: list[tuple[int, int]], outline: Outline, extra: bool
) -> None:
    """Refuse where the text around a document looks like a piece of one."""
    spans = sorted([(each.begin, each.end) for each in documents] + examples)
    if (
        len(spans) == 1
        and text[: spans[0][0]].strip() in _WRAPS
        and text[: spans[0][0]].strip() == text[spans[0][1] :].strip()
    ):
        return
    place = start
    for begin, end in spans:
        before = text[place:begin]
        place = end
        if not before:
            continue
        _piece(before, outline)
        if before[-1].isalnum() and not before.lower().endswith("json"):
            raise NotRepairable("a word stands right before the document", code="not_json")
        uneven = not _is_even(before) or before.count('"') % 2
        piece = _PIECE_BEFORE.search(before) and not _names_in_prose(before, outline)
        if uneven or piece or (extra and _SIGN_OF_JSON.search(before)):
            raise NotRepairable("a piece of JSON stands before the document", code="not_json")
    after = text[place:]
    if not after:
        return
    _piece(after, outline)
    if extra:
        return
    if not _is_even(after):
        raise NotRepairable("a piece of JSON stands after the document", code="not_json")
    bare = after.lstrip(_BLANKS)
    if bare[:1] in (",", ":", '"', "，", "：") or (after[0] not in _BLANKS and not _STOP_AFTER.match(after)):
        raise NotRepairable("a piece of JSON stands after the document", code="not_json")
    if after.count('"') % 2 and bare.find('"') < 80:
        raise NotRepairable("a quote stands after the document", code="not_json")


def _names_in_prose(prose: str, outline: Outline) -> bool:
    """Whether prose ends as a sentence does that names something: ``For "chalk":``; no name of the shape."""
    found = _NAMED_IN_PROSE.search(prose)
    return found is not None and found[1] not in ("true", "false", "null") and found[2].strip() not in outline.names


def _is_even(prose: str) -> bool:
    """Whether brackets come in pairs, by their number."""
    return prose.count("{") == prose.count("}") and prose.count("[") == prose.count("]")


def _piece(prose: str, outline: Outline) -> None:
    names = outline.names
    for found in _MEMBER.finditer(prose) if not names else _BARE_MEMBER.finditer(prose):
        if not names or found[1].strip() in names:
            raise NotRepairable("a piece of JSON stands beside the document", code="two_documents")
    if any(name in names for name in _LOOSE_NAME.findall(prose)):
        raise NotRepairable("a piece of JSON stands beside the document", code="two_documents")
    if in_prose().search(prose):
        raise NotRepairable("the answer says that something was left out", code="omission")
