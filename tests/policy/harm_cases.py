"""Documents as stages ask for them, and harm done to their structure: a second hand beside ``repair_cases``.

``harms(seed, each)`` draws documents of a dozen shapes in eight languages, with code, formulas, paths, addresses and
Markdown in them, writes each in one of six layouts, and harms it: structural marks are deleted, doubled, moved,
swapped or turned, the end is cut off and a false one put on, or one of the slips of models is made. The truth is
known. ``valid`` of a harm says that a strict parser reads it: then nothing is left to see, and no repair can know.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Make = Callable[["Writer"], Any]


@dataclass(frozen=True)
class Harm:
    kind: str
    text: str
    truth: Any
    schema: dict[str, Any]
    recoverable: bool
    valid: bool
    """A strict parser reads the text, though not as the truth: no trace of the harm is left."""
    document: str = field(default="", repr=False)


# ------------------------------------------------------------------------------------ what is said

_CLAUSES = {
    "ro": ["Copiii aleargă prin curte", "profesoara zâmbește", "jocul durează zece minute", "fiecare primește o minge"],
    "de": ["Die Kinder laufen über den Hof", "das Spiel dauert zehn Minuten", "der Ball fliegt weit", "alle hören zu"],
    "fr": ["L'eau coule sous le pont", "les enfants s'arrêtent", "c'est l'heure du goûter", "qu'il pleuve ou non"],
    "en": ["The children don't wait", "it's a short game", "everyone's ball is red", "they count to ten"],
    "es": ["Los niños corren", "el juego dura diez minutos", "¿quién tiene la pelota?", "¡qué bien!"],
    "ja": ["子どもたちは走る", "試合は十分間です", "先生が笑う", "みんなで数える"],
    "ar": ["الأطفال يركضون", "اللعبة قصيرة", "المعلم يبتسم", "الكرة حمراء"],
    "zh": ["孩子们在跑", "游戏持续十分钟", "老师笑了", "每个人都有球"],
}
_SAID = {
    "ro": "stai", "de": "Halt", "fr": "d'accord", "en": "stop it", "es": "basta", "ja": "はい", "ar": "نعم", "zh": "好",
}  # fmt: skip
_OWN = {"ro": "„”", "de": "„“", "fr": "«»", "en": "“”", "es": "«»", "ja": "「」", "ar": "«»", "zh": "“”"}
_STOPS = {"ja": "。", "zh": "。", "ar": "."}
_COMMAS = {"ja": "、", "zh": "，", "ar": "، "}
_CODE = [
    'def f(x):\n    return {"a": [x, 1]}\n',
    'print("hello, world")\nfor i in range(3):\n\tprint(i)',
    'const m = {key: "v", n: [1, 2]};\nif (m["key"]) { go(); }',
    'SELECT "name", \'x\' FROM t WHERE a = "b";',
    '#include <stdio.h>\nint main() { puts("hi\\n"); return 0; }',
    "grep -E \"^[a-z]+\\d{2}$\" file.txt | awk '{print $1}'",
    '<a href="x.html" class="b">link</a>',
]
_FORMULAS = [
    "$\\frac{1}{2} + \\sqrt{x}$",
    "\\theta \\approx \\pi / 4",
    "\\begin{cases} x & y \\\\ z & w \\end{cases}",
    "$\\alpha_1 \\times \\beta^2 \\neq \\nu$",
    "\\int_0^1 f(x)\\,dx \\leq \\infty",
    "$x \\to \\infty$",
]
_PATHS = [
    "C:\\Users\\ana\\notes.txt",
    "D:\\temp\\new\\file.bin",
    "\\\\server\\share\\report.docx",
    "C:\\Program Files\\App\\run.exe",
    "/usr/local/bin",
    "E:\\backup\\2024\\res",
]
_LINKS = [
    "https://example.org/a?b=1&c=2#top",
    "http://x.y/z//w",
    "https://de.wikipedia.org/wiki/Bahn_(Sport)",
    "mailto:a.b@example.org",
]
_MARKDOWN = [
    "# Title\n\n- one\n- **two**\n\n> quote\n",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "See [the page](https://x.y) and `code`.\n\n```python\nx = 1\n```\n",
    "1. first\n2. second\n   - inner",
]


class Writer:
    """Draws the pieces of a document, in one language."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.language = draw.choice(list(_CLAUSES))

    def word(self) -> str:
        words: list[str] = re.findall(r"\w+", self.draw.choice(_CLAUSES[self.language]))
        return self.draw.choice(words)

    def clause(self) -> str:
        return self.draw.choice(_CLAUSES[self.language])

    def quoted(self, marks: str) -> str:
        inner = self.draw.choice([_SAID[self.language], self.clause(), self.word()])
        return marks[0] + inner + marks[-1]

    def sentence(self, marks: str | None = None) -> str:
        draw = self.draw
        comma = _COMMAS.get(self.language, ", ")
        parts = [self.clause() for _ in range(draw.choice([1, 1, 2, 3]))]
        if marks is not None:
            said = self.quoted(marks)
            parts.insert(draw.randrange(len(parts) + 1), said)
        joint = draw.choice([comma, comma, " ", ": ", "; ", " – "])
        return joint.join(parts) + draw.choice(["", _STOPS.get(self.language, "."), "!", "?"])

    def text(self) -> str:
        marks = self.draw.choice([None, None, None, _OWN[self.language], '""', "''", "()"])
        return self.sentence(marks)

    def long(self) -> str:
        return self.draw.choice([" ", "\n\n", "\n"]).join(self.text() for _ in range(self.draw.randrange(2, 7)))

    def texts(self, least: int = 0, most: int = 5) -> list[str]:
        make = self.draw.choice([self.word, self.text, self.clause])
        return [make() for _ in range(self.draw.randrange(least, most))]

    def one(self, *values: Any) -> Any:
        return self.draw.choice(values)

    def number(self) -> Any:
        draw = self.draw
        return draw.choice(
            [draw.randrange(100), draw.randrange(-9, 9), round(draw.random() * 90, 2), 1e-7, 12345678901]
        )


# --------------------------------------------------------------------------------------- the shapes


def _record(required: str = "", closed: bool = True, **fields: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": fields,
        "required": required.split() if required else list(fields),
        **({"additionalProperties": False} if closed else {}),
    }


_S: dict[str, Any] = {"type": "string"}
_N: dict[str, Any] = {"type": "number"}
_I: dict[str, Any] = {"type": "integer"}
_B: dict[str, Any] = {"type": "boolean"}


def _many(each: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": each, **more}


SHAPES: dict[str, tuple[dict[str, Any], Make]] = {}


def _shape(name: str, schema: dict[str, Any]) -> Callable[[Make], Make]:
    def keep(make: Make) -> Make:
        SHAPES[name] = (schema, make)
        return make

    return keep


@_shape(
    "activity",
    _record(
        name=_S,
        age={**_record(to=_I), "properties": {"from": _I, "to": _I}, "required": ["from", "to"]},
        steps=_many(_S),
        place={"enum": ["indoors", "outdoors", "both"]},
        about=_S,
        safe=_B,
    ),
)
def _activity(w: Writer) -> Any:
    return {
        "name": w.word(),
        "age": {"from": w.draw.randrange(9), "to": w.draw.randrange(9, 90)},
        "steps": w.texts(1),
        "place": w.one("indoors", "outdoors", "both"),
        "about": w.long(),
        "safe": w.one(True, False),
    }


@_shape("translations", {"type": "object", "additionalProperties": _S})
def _translations(w: Writer) -> Any:
    return {name: w.text() for name in w.draw.sample(["ro", "de", "fr", "pt-BR", "zh_Hans"], 3)}


@_shape("code", _record(language=_S, code=_S, explanation=_S, lines=_I))
def _code(w: Writer) -> Any:
    return {
        "language": w.one("Python", "C", "SQL"),
        "code": w.one(*_CODE),
        "explanation": w.long(),
        "lines": w.draw.randrange(9),
    }


@_shape(
    "problem",
    _record("problem steps answer", problem=_S, steps=_many(_S), answer=_S, points={"anyOf": [_N, {"type": "null"}]}),
)
def _problem(w: Writer) -> Any:
    value = {
        "problem": f"{w.clause()} {w.one(*_FORMULAS)}",
        "steps": [w.one(w.text(), w.one(*_FORMULAS)) for _ in range(2)],
    }
    value["answer"] = w.one(*_FORMULAS, "42", w.text())
    return {**value, "points": w.one(None, 2, 0.5)} if w.draw.random() < 0.6 else value


@_shape("files", _record(command=_S, files=_many(_record(path=_S, size=_I, hash=_S))))
def _files(w: Writer) -> Any:
    files = [
        {"path": w.one(*_PATHS), "size": w.draw.randrange(10**6), "hash": f"{w.draw.getrandbits(40):010x}"}
        for _ in range(w.draw.randrange(4))
    ]
    return {"command": w.one(*_CODE[3:6], 'copy "a b" c'), "files": files}


@_shape("sources", _many(_record("url title", url=_S, title=_S, year={"type": ["integer", "null"]}, quote=_S)))
def _sources(w: Writer) -> Any:
    found = []
    for _ in range(w.draw.randrange(1, 4)):
        each: dict[str, Any] = {"url": w.one(*_LINKS), "title": w.text()}
        if w.draw.random() < 0.5:
            each["year"] = w.one(None, 1999, 2024)
        if w.draw.random() < 0.5:
            each["quote"] = w.text()
        found.append(each)
    return found


@_shape("article", _record(title=_S, body=_S, sections=_many(_record(heading=_S, paragraphs=_many(_S)))))
def _article(w: Writer) -> Any:
    return {
        "title": w.text(),
        "body": w.one(w.long(), w.one(*_MARKDOWN)),
        "sections": [{"heading": w.clause(), "paragraphs": w.texts(1, 4)} for _ in range(w.draw.randrange(3))],
    }


@_shape("quiz", _record(questions=_many(_record(q=_S, options=_many(_S, minItems=3, maxItems=3), right=_I, why=_S))))
def _quiz(w: Writer) -> Any:
    return {
        "questions": [
            {
                "q": w.text(),
                "options": [w.one(w.word(), w.text()) for _ in range(3)],
                "right": w.draw.randrange(3),
                "why": w.text(),
            }
            for _ in range(w.draw.randrange(1, 3))
        ]
    }


@_shape(
    "measures", _record(unit=_S, values=_many(_N), table=_many(_many(_N)), mean=_N, note={"type": ["string", "null"]})
)
def _measures(w: Writer) -> Any:
    return {
        "unit": w.one("km", "°C", "m/s", 'inch (")'),
        "values": [w.number() for _ in range(w.draw.randrange(5))],
        "table": [[w.number() for _ in range(2)] for _ in range(w.draw.randrange(4))],
        "mean": w.number(),
        "note": w.one(None, w.text()),
    }


@_shape(
    "blocks",
    _record(
        blocks=_many(
            {
                "anyOf": [
                    _record(type={"const": "text"}, text=_S),
                    _record(type={"const": "image"}, src=_S, alt=_S, width=_I),
                ]
            }
        )
    ),
)
def _blocks(w: Writer) -> Any:
    return {
        "blocks": [
            w.one(
                {"type": "text", "text": w.text()},
                {"type": "image", "src": w.one(*_LINKS), "alt": w.text(), "width": 5},
            )
            for _ in range(w.draw.randrange(1, 4))
        ]
    }


@_shape(
    "group",
    _record(
        answers=_many(
            _record("key summary", key={"type": "string", "enum": ["a", "b", "c"]}, summary=_S, tags=_many(_S), good=_B)
        )
    ),
)
def _group(w: Writer) -> Any:
    return {
        "answers": [
            {
                "key": key,
                "summary": w.text(),
                **({"tags": w.texts()} if w.draw.random() < 0.5 else {}),
                "good": w.one(True, False),
            }
            for key in w.draw.sample("abc", w.draw.randrange(1, 4))
        ]
    }


@_shape(
    "outline",
    {
        "$defs": {"part": _record("name", name=_S, text=_S, parts=_many({"$ref": "#/$defs/part"}))},
        "$ref": "#/$defs/part",
    },
)
def _outline(w: Writer) -> Any:
    return _part(w, 2)


def _part(w: Writer, depth: int) -> Any:
    value: dict[str, Any] = {"name": w.word()}
    if w.draw.random() < 0.6:
        value["text"] = w.text()
    if depth and w.draw.random() < 0.8:
        value["parts"] = [_part(w, depth - 1) for _ in range(w.draw.randrange(3))]
    return value


# --------------------------------------------------------------------------------------- the layouts

Piece = tuple[str, str]
"""What it is (a mark such as ``{``; ``open`` and ``shut`` for quotes; ``text``, ``bare``, ``gap``), and its text."""


@dataclass
class Layout:
    indent: str | None
    after_colon: str
    after_comma: str
    plain: bool
    before_comma: str = ""

    def pieces(self, value: Any, depth: int = 0) -> Iterator[Piece]:
        if isinstance(value, dict | list):
            yield from self._several(value, depth)
        elif isinstance(value, str):
            yield from self._text(value)
        else:
            yield "bare", json.dumps(value)

    def _text(self, value: str) -> Iterator[Piece]:
        yield "open", '"'
        yield "text", json.dumps(value, ensure_ascii=self.plain)[1:-1]
        yield "shut", '"'

    def _several(self, value: Any, depth: int) -> Iterator[Piece]:
        opener, closer = "{}" if isinstance(value, dict) else "[]"
        yield opener, opener
        for number, each in enumerate(value):
            if number:
                yield ",", ","
                yield "gap", self.after_comma if self.indent is None else ""
            yield "gap", "" if self.indent is None else "\n" + self.indent * (depth + 1)
            if opener == "{":
                yield from self._text(each)
                yield ":", ":"
                yield "gap", self.after_colon
            yield from self.pieces(value[each] if opener == "{" else each, depth + 1)
        if value and self.indent is not None:
            yield "gap", "\n" + self.indent * depth
        yield closer, closer


_LAYOUTS = [
    Layout(None, " ", " ", False), Layout(None, "", "", False), Layout("  ", " ", "", False),
    Layout("    ", " ", "", False), Layout("\t", " ", "", False), Layout(None, " ", " ", True),
]  # fmt: skip
_MARKS = ("{", "}", "[", "]", ",", ":", "open", "shut")


# ----------------------------------------------------------------------------------------- the harm


class Unfit(Exception):
    """The harm finds no place in this document."""


@dataclass
class Subject:
    draw: random.Random
    writer: Writer
    name: str
    value: Any
    pieces: list[Piece]
    layout: Layout

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.pieces)


Change = Callable[[Subject], tuple[str, Any]]
HARMS: dict[str, tuple[bool, Change]] = {}


def _harm(name: str, recoverable: bool = False) -> Callable[[Change], Change]:
    def keep(change: Change) -> Change:
        HARMS[name] = (recoverable, change)
        return change

    return keep


Signs = list[tuple[str, str]]
"""Each character of a document, and the kind of its piece."""


def _pick(draw: random.Random, signs: Signs) -> int:
    return draw.choice([at for at, (_, kind) in enumerate(signs) if kind in _MARKS])


def _deleted(draw: random.Random, signs: Signs) -> None:
    del signs[_pick(draw, signs)]


def _twice(draw: random.Random, signs: Signs) -> None:
    at = _pick(draw, signs)
    signs[at:at] = [signs[at], *draw.choice([[], [], [(" ", "gap")]])]


def _moved(draw: random.Random, signs: Signs) -> None:
    """To a place nearby, or beside another mark."""
    at = _pick(draw, signs)
    sign = signs.pop(at)
    near = at + draw.choice([-6, -4, -3, -2, -1, 1, 2, 3, 4, 6])
    to = draw.choice([near, near, _pick(draw, signs) + draw.randrange(2)])
    signs.insert(max(0, to), sign)


def _thrown(draw: random.Random, signs: Signs) -> None:
    """To any place, the middle of a text too."""
    sign = signs.pop(_pick(draw, signs))
    signs.insert(draw.randrange(len(signs)), sign)


def _swapped(draw: random.Random, signs: Signs) -> None:
    at = _pick(draw, signs)
    to = draw.choice([_pick(draw, signs), min(at + 1, len(signs) - 1), max(at - 1, 0)])
    signs[at], signs[to] = signs[to], signs[at]


def _turned(draw: random.Random, signs: Signs) -> None:
    signs[_pick(draw, signs)] = (draw.choice("{}[],:\"'; \n"), "gap")


def _inserted(draw: random.Random, signs: Signs) -> None:
    """A mark beside another, a quote on any side of it; others not into a text, where nobody would see them."""
    at, mark = _pick(draw, signs), draw.choice('{}[],:"""')
    inside = {"open": 1, "shut": 0}.get(signs[at][1])
    after = draw.randrange(2) if mark == '"' or inside is None else 1 - inside
    signs.insert(at + after, (mark, "gap"))


_CHANGES = {
    "deleted": _deleted, "twice": _twice, "moved": _moved, "thrown": _thrown, "swapped": _swapped, "turned": _turned,
    "inserted": _inserted,
}  # fmt: skip


def _structural(names: tuple[str, ...]) -> Change:
    def change(subject: Subject) -> tuple[str, Any]:
        signs = [(sign, kind) for kind, text in subject.pieces for sign in text]
        for name in names:
            _CHANGES[name](subject.draw, signs)
        return "".join(sign for sign, _ in signs), subject.value

    return change


for _one in _CHANGES:
    _harm(_one)(_structural((_one,)))
    for _other in _CHANGES:
        _harm(f"{_one}, {_other}")(_structural((_one, _other)))


@_harm("cut, false end")
def _cut(subject: Subject) -> tuple[str, Any]:
    text, draw = subject.text, subject.draw
    cut = text[: draw.randrange(len(text) // 4, len(text) - 1)]
    missing = ""
    inside = False
    for mark in re.findall(r'\\.|"|[{}\[\]]', cut):
        if mark == '"':
            inside = not inside
        elif not inside and mark in "{[":
            missing = "}]"["{[".index(mark)] + missing
        elif not inside and mark in "}]":
            missing = missing[1:]
    forms = [
        '"' * inside + missing,
        '"' + missing,
        missing,
        missing[-1:],
        '"' * inside + missing[1:],
        '"}',
        '..."' + missing,
    ]
    forms += ['"' * inside + "," + missing, '"' * inside + "\n" + missing + "\n```", '"' * inside + missing + "}"]
    return cut + draw.choice(forms), subject.value


@_harm("middle left out")
def _hole(subject: Subject) -> tuple[str, Any]:
    text, draw = subject.text, subject.draw
    begin = draw.randrange(1, len(text) - 2)
    end = min(len(text) - 1, begin + draw.choice([2, 5, 20, 60]))
    return text[:begin] + text[end:], subject.value


@_harm("lines lost or changed")
def _lines(subject: Subject) -> tuple[str, Any]:
    lines = subject.text.split("\n")
    if len(lines) < 4:
        raise Unfit
    at = subject.draw.randrange(1, len(lines) - 1)
    if subject.draw.random() < 0.5:
        lines[at], lines[at - 1] = lines[at - 1], lines[at]
    else:
        del lines[at]
    return "\n".join(lines), subject.value


# ------------------------------------------------------------------------------- the slips of models


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


def _changed(subject: Subject, change: Callable[[str], str], share: float = 1.0) -> list[Piece]:
    found = [
        (kind, change(text) if kind == "text" and subject.draw.random() < share else text)
        for kind, text in subject.pieces
    ]
    if found == subject.pieces:
        raise Unfit
    return found


def _join(pieces: list[Piece]) -> str:
    return "".join(text for _, text in pieces)


@_harm("quotes not escaped", True)
def _(subject: Subject) -> tuple[str, Any]:
    if subject.layout.plain:
        raise Unfit
    return _join(_changed(subject, lambda text: text.replace('\\"', '"'))), subject.value


@_harm("closing quote of the language in ASCII", True)
def _(subject: Subject) -> tuple[str, Any]:
    pair = _OWN[subject.writer.language]
    if pair[1] not in "”“»" or subject.layout.plain:
        raise Unfit
    value = json.loads(json.dumps(subject.value, ensure_ascii=False).replace(pair[1], '\\"'))
    pieces = list(subject.layout.pieces(value))
    text = _join([(kind, text.replace('\\"', '"') if kind == "text" else text) for kind, text in pieces])
    if '"' in json.dumps(subject.value, ensure_ascii=False).replace('\\"', "") and value == subject.value:
        raise Unfit
    return text, value


@_harm("raw newlines and tabs", True)
def _(subject: Subject) -> tuple[str, Any]:
    def raw(text: str) -> str:
        return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[0]), text)

    return _join(_changed(subject, raw)), subject.value


@_harm("single backslashes", True)
def _(subject: Subject) -> tuple[str, Any]:
    if not any(re.search(r"\\[^nrtbfu\"\\/]", text) for text in _strings(subject.value)):
        raise Unfit
    if (
        any(mark in text for text in _strings(subject.value) for mark in ("\n", '"', "\t", "\\\\"))
        or subject.layout.plain
    ):
        raise Unfit
    return subject.text.replace("\\\\", "\\"), subject.value


@_harm("fences and prose", True)
def _(subject: Subject) -> tuple[str, Any]:
    text = subject.text
    forms = [
        f"```json\n{text}\n```", f"```\n{text}\n```", f"Iată rezultatul:\n\n```json\n{text}\n```\n\nSper să ajute!",
        f"Natürlich! Hier ist das JSON:\n{text}", f"{text}\n\nVoilà, c'est fait.", f"以下是结果：\n{text}\n",
        f"<output>\n{text}\n</output>", f"**Answer**\n\n{text}\n\n---\nDone :)", f"json\n{text}", f"`{text}`",
        f"\ufeff{text}", f"\u200b{text}\u200b", f"Output: {text}.", f"<think>Let me see {{...}}</think>\n\n{text}",
        f"JSON:\n\n    {text}\n",
        f"I checked the list [1, 2] first.\n\n{text}", f"```JSON5\n{text}\n```\nNote: all \"quotes\" were kept.",
    ]  # fmt: skip
    return subject.draw.choice(forms), subject.value


@_harm("single quotes", True)
def _(subject: Subject) -> tuple[str, Any]:
    if any("'" in text or '"' in text for text in _strings(subject.value)):
        raise Unfit
    return _join([(kind, "'" if kind in ("open", "shut") else text) for kind, text in subject.pieces]), subject.value


@_harm("python", True)
def _(subject: Subject) -> tuple[str, Any]:
    text = repr(subject.value)
    if subject.draw.random() < 0.3 and "\\" not in text:
        text = re.sub(r"(?<=[\[{ ])'(?=[^']*'[,:\]}])", "u'", text) if '"' not in text else text
    return text, subject.value


@_harm("javascript", True)
def _(subject: Subject) -> tuple[str, Any]:
    out: list[str] = []
    pieces = subject.pieces
    for number, (kind, text) in enumerate(pieces):
        key = number + 3 < len(pieces) and pieces[number + 3][0] == ":" and pieces[number + 1][1].isidentifier()
        shut = (
            number >= 2
            and number + 1 < len(pieces)
            and pieces[number + 1][0] == ":"
            and pieces[number - 1][1].isidentifier()
        )
        if (kind == "open" and key) or (kind == "shut" and shut):
            continue
        out.append(
            "," + text
            if kind in "}]" and number and pieces[number - 1][0] == "gap" and "\n" in pieces[number - 1][1]
            else text
        )
    return re.sub(r"(\n[ \t]*),([}\]])", r",\1\2", "".join(out)), subject.value


@_harm("trailing comma", True)
def _(subject: Subject) -> tuple[str, Any]:
    found = [n for n, (kind, _) in enumerate(subject.pieces) if kind in "}]" and subject.pieces[n - 1][0] not in "[{"]
    if not found:
        raise Unfit
    at = subject.draw.choice(found)
    at -= subject.pieces[at - 1][0] == "gap"
    return _join([*subject.pieces[:at], (",", ","), *subject.pieces[at:]]), subject.value


@_harm("missing comma", True)
def _(subject: Subject) -> tuple[str, Any]:
    found = [
        n
        for n, (kind, _) in enumerate(subject.pieces)
        if kind == "," and subject.layout.after_comma + (subject.layout.indent or "")
    ]
    if not found:
        raise Unfit
    at = subject.draw.choice(found)
    return _join(subject.pieces[:at] + subject.pieces[at + 1 :]), subject.value


@_harm("typographic delimiters", True)
def _(subject: Subject) -> tuple[str, Any]:
    if any(mark in text for text in _strings(subject.value) for mark in '"“”„«»'):
        raise Unfit
    pair = subject.draw.choice(["“”", "„“", "«»", "””"])
    marks = {"open": pair[0], "shut": pair[1]}
    return _join([(kind, marks.get(kind, text)) for kind, text in subject.pieces]), subject.value


@_harm("remarks", True)
def _(subject: Subject) -> tuple[str, Any]:
    found = [n for n, (kind, _) in enumerate(subject.pieces) if kind in ("[", "{", ",") and n]
    if not found:
        raise Unfit
    at = subject.draw.choice(found)
    remark = subject.draw.choice([" // here it comes\n", ' /* it\'s one, "two" */ ', " # as asked\n"])
    return _join([*subject.pieces[: at + 1], ("gap", remark), *subject.pieces[at + 1 :]]), subject.value


@_harm("escaped as a whole", True)
def _(subject: Subject) -> tuple[str, Any]:
    text = json.dumps(subject.text, ensure_ascii=False)
    return subject.draw.choice([text, text[1:-1], f"```json\n{text}\n```"]), subject.value


@_harm("marks escaped, texts not")
def _(subject: Subject) -> tuple[str, Any]:
    return _join([(kind, '\\"' if kind in ("open", "shut") else text) for kind, text in subject.pieces]), subject.value


@_harm("names escaped only", True)
def _(subject: Subject) -> tuple[str, Any]:
    out = []
    for number, (kind, text) in enumerate(subject.pieces):
        name = (kind == "open" and subject.pieces[number + 3 : number + 4] == [(":", ":")]) or (
            kind == "shut" and subject.pieces[number + 1 : number + 2] == [(":", ":")]
        )
        out.append('\\"' if name else text)
    return "".join(out), subject.value


@_harm("odd spaces", True)
def _(subject: Subject) -> tuple[str, Any]:
    odd = subject.draw.choice("\xa0\u200b\u3000\ufeff\u2009")
    return _join(
        [(kind, text + odd if kind in (",", ":", "{", "[", "gap") else text) for kind, text in subject.pieces]
    ), subject.value


@_harm("hexadecimal")
def _(subject: Subject) -> tuple[str, Any]:
    found = [n for n, (kind, text) in enumerate(subject.pieces) if kind == "bare" and text.isdigit()]
    if not found:
        raise Unfit
    at = subject.draw.choice(found)
    number = int(subject.pieces[at][1])
    form = subject.draw.choice(
        [f"0x{number:x}", f"0X{number:X}", f"0b{number:b}", f"0o{number:o}", f"{number}n", f"{number:,}", f"0{number}"]
    )
    if form == str(number):
        raise Unfit
    return _join([*subject.pieces[:at], ("bare", form), *subject.pieces[at + 1 :]]), subject.value


@_harm("as JSON Lines")
def _(subject: Subject) -> tuple[str, Any]:
    if not isinstance(subject.value, list) or len(subject.value) < 2:
        raise Unfit
    return "\n".join(json.dumps(each, ensure_ascii=False) for each in subject.value), subject.value


@_harm("a second draft that differs")
def _(subject: Subject) -> tuple[str, Any]:
    _, make = SHAPES[subject.name]
    other = make(subject.writer)
    if other == subject.value:
        raise Unfit
    between = subject.draw.choice(["\n", "\n\nOder besser:\n", "\n---\n", "\n```\n```json\n", ", "])
    return subject.text + between + _join(list(subject.layout.pieces(other))), None


@_harm("omission")
def _(subject: Subject) -> tuple[str, Any]:
    found = [n for n, (kind, _) in enumerate(subject.pieces) if kind in (",", "]", "}")]
    at = subject.draw.choice(found)
    forms = [", ...", ",\n  // ... alte elemente\n", ", …", ", /* etc. */", ', "..."', " ... ", ", [...]", ", {...}"]
    return _join([*subject.pieces[:at], ("gap", subject.draw.choice(forms)), *subject.pieces[at:]]), None


@_harm("valid", True)
def _(subject: Subject) -> tuple[str, Any]:
    return subject.text, subject.value


# ------------------------------------------------------------------------------------------ drawing


def told(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _strictly(text: str) -> Any:
    """What a strict parser reads; raises ValueError, also for names that come twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError
        return found

    return json.loads(text, object_pairs_hook=once)


def _is_other(text: str, truth: Any) -> bool:
    try:
        return told(_strictly(text)) != told(truth)
    except (ValueError, RecursionError):
        return False


def harm(kind: str, seed: int, number: int) -> Harm | None:
    draw = random.Random(f"{kind}|{seed}|{number}")
    recoverable, change = HARMS[kind]
    for _ in range(12):
        writer = Writer(draw)
        name = draw.choice(list(SHAPES))
        schema, make = SHAPES[name]
        value = make(writer)
        layout = draw.choice(_LAYOUTS)
        subject = Subject(draw, writer, name, value, list(layout.pieces(value)), layout)
        try:
            text, truth = change(subject)
        except (Unfit, IndexError, ValueError):
            continue
        valid = any(_is_other(each, truth) for each in (text, text.rstrip()[:-1], text.rstrip("`\n ")))
        return Harm(kind, text, truth, schema, recoverable, valid, subject.text)
    return None


def harms(seed: int, each: int) -> Iterator[Harm]:
    """``each`` of every kind."""
    for kind in HARMS:
        for number in range(each):
            found = harm(kind, seed, number)
            if found is not None:
                yield found
