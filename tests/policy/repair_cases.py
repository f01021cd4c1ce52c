"""Broken answers of which the truth is known: ten languages, seven shapes, the ways in which models break JSON.

``cases(seed, count)`` draws them.
``sort`` says what is right: ``truth`` (all that is needed is in the text), ``either``
(the truth or a refusal), ``refuse`` (text is gone, or two readings compete).
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

Sort = Literal["truth", "either", "refuse"]


@dataclass(frozen=True)
class Case:
    kind: str
    sort: Sort
    text: str
    truth: Any
    schema: dict[str, Any]


# --------------------------------------------------------------------------------- what is written

_SENTENCES: dict[str, list[str]] = {
    "ro": [
        "Copiii au strigat {q}gata{p} și au plecat acasă",
        "Ea a citit {q}Luceafărul{p}, apoi a tăcut",
        "Un joc numit {q}șotron{p}: sari într-un picior",
        "Poți spune {q}da{p} sau {q}nu{p}, cum vrei",
    ],
    "de": [
        "Er rief {q}Halt!{p} und blieb stehen",
        "Das Buch {q}Der Prozess{p}, ein Fragment, ist kurz",
        "Sie fragte: {q}Wohin gehst du?{p}",
    ],
    "en": [
        "He said {q}no{p} and left",
        "The film {q}Up{p}, a comedy, is short; don't miss it",
        "Choose {q}yes{p}, {q}no{p} or {q}maybe{p} now",
        "It's the dog's bowl, isn't it",
    ],
    "fr": [
        "L'eau s'appelle {q}eau vive{p} aujourd'hui",
        "Il dit {q}d'accord{p}, puis il part",
        "Qu'est-ce que {q}l'amour{p} ?",
    ],
    "it": [
        "Disse {q}va bene{p} e uscì",
        "La parola {q}città{p}, con l'accento, resta uguale\nE così finisce",
    ],
    "es": [
        "Gritó {q}¡basta!{p} y salió",
        "¿Qué significa {q}ojalá{p}? Nadie lo sabe",
    ],
    "pl": [
        "Powiedział {q}dość{p} i wyszedł",
        "Książka {q}Lalka{p}, powieść Prusa, jest długa",
    ],
    "ru": [
        "Он сказал {q}нет{p} и ушёл",
        "Слово {q}да{p}, или {q}нет{p}, решает всё",
    ],
    "zh": [
        "他说{q}你好{p}，然后离开了",
        "书名：{q}红楼梦{p}。很长",
    ],
    "ja": [
        "彼は{q}はい{p}と言った",
        "題名は{q}雪国{p}です",
    ],
}
_WORDS = [
    "casă",
    "drum",
    "mic",
    "Haus",
    "Weg",
    "river",
    "stone",
    "l'eau",
    "città",
    "świat",
    "мир",
    "世界",
    "雪",
    "don't",
    "a/b",
    "C++",
    "100%",
    "e-mail",
    "x,y",
    "(sic)",
    "#1",
    "50/50",
]


@dataclass
class _Writer:
    """A value as text, piece by piece: (kind, text), so that a fault can be put at a place that is known."""

    draw: random.Random
    indent: int | None

    def pieces(self, value: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            yield from self._several("{", "}", list(value.items()), depth)
        elif isinstance(value, list):
            yield from self._several("[", "]", value, depth)
        elif isinstance(value, str):
            yield "text", json.dumps(value, ensure_ascii=False)
        else:
            yield "bare", json.dumps(value)

    def _several(self, begin: str, end: str, values: list[Any], depth: int) -> Iterator[tuple[str, str]]:
        yield begin, begin
        for number, each in enumerate(values):
            if number:
                yield ",", ","
            yield "space", self._space(depth + 1, number)
            if begin == "{":
                yield "key", json.dumps(each[0], ensure_ascii=False)
                yield ":", ":"
                yield "space", " "
                each = each[1]  # noqa: PLW2901
            yield from self.pieces(each, depth + 1)
        if values:
            yield "space", self._space(depth, 0)
        yield end, end

    def _space(self, depth: int, number: int) -> str:
        if self.indent is None:
            return " " if number else ""
        return "\n" + " " * (self.indent * depth)


def _object(fields: dict[str, Any], optional: tuple[str, ...] = (), closed: bool = True) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": fields,
        "required": [n for n in fields if n not in optional],
    }
    return {**schema, "additionalProperties": False} if closed else schema


_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_INT = {"type": "integer"}
_NUM = {"type": "number"}
_FACT = _object({"title": _TEXT, "note": _TEXT, "year": _INT}, ("note",))
_TREE = {
    "$defs": {"node": _object({"name": _TEXT, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}})},
    "$ref": "#/$defs/node",
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "article": _object(
        {"summary": _TEXT, "tags": _TEXTS, "year": _INT, "ok": {"type": "boolean"}, "kind": {"enum": ["a", "b c"]}}
    ),
    "facts": _object({"facts": {"type": "array", "items": _FACT}, "source": _TEXT}),
    "quiz": _object(
        {"question": _TEXT, "options": {**_TEXTS, "minItems": 4, "maxItems": 4}, "score": _NUM, "why": _TEXT}
    ),
    "list": {"type": "array", "items": _FACT},
    "open": _object({"name": _TEXT, "about": {"anyOf": [_TEXT, {"type": "null"}]}, "steps": _TEXTS}, ("about",), False),
    "tree": _TREE,
    "group": _object({"answers": {"type": "array", "items": _object({"key": _TEXT, "text": _TEXT})}}),
}


class _Maker:
    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.language = draw.choice(list(_SENTENCES))

    def sentence(self, quoted: bool | None = None) -> str:
        """A sentence; ``{q}`` and ``{p}`` stand for a pair of quotes."""
        text = self.draw.choice(_SENTENCES[self.language])
        if quoted and "{q}" not in text:
            return self.sentence(quoted)
        if quoted is False:
            return re.sub(r"\{[qp]\}", "", text)
        if self.draw.random() < 0.3:
            text += f" {self.draw.choice(_WORDS)} {self.draw.randrange(100)}"
        return text

    def text(self) -> str:
        marks = self.draw.choice(["", "", "", "“”", "„”", "«»"])
        first, last = marks[:1], marks[1:]
        return self.sentence().replace("{q}", first).replace("{p}", last)

    def short(self) -> str:
        return self.draw.choice(_WORDS)

    def value(self, name: str) -> Any:
        draw = self.draw
        if name == "article":
            tags = [draw.choice([self.short, self.text])() for _ in range(draw.randrange(1, 5))]
            return {
                "summary": self.text(),
                "tags": tags,
                "year": draw.randrange(-50, 2030),
                "ok": draw.random() < 0.5,
                "kind": draw.choice(["a", "b c"]),
            }
        if name == "facts":
            return {"facts": [self.fact() for _ in range(draw.randrange(1, 4))], "source": self.text()}
        if name == "quiz":
            return {
                "question": self.text(),
                "options": [self.text() for _ in range(4)],
                "score": draw.choice([1.5, 0.25, 12.0, -3.5]),
                "why": self.text(),
            }
        if name == "list":
            return [self.fact() for _ in range(draw.randrange(1, 4))]
        if name == "open":
            about: dict[str, Any] = {"about": draw.choice([None, self.text()])} if draw.random() < 0.7 else {}
            return {"name": self.short(), **about, "steps": [self.text() for _ in range(draw.randrange(1, 4))]}
        if name == "group":
            return {"answers": [{"key": f"k{n}", "text": self.text()} for n in range(draw.randrange(1, 4))]}
        return self.node(2)

    def node(self, depth: int) -> dict[str, Any]:
        count = self.draw.randrange(0, 3) if depth else 0
        return {"name": self.text(), "children": [self.node(depth - 1) for _ in range(count)]}

    def fact(self) -> dict[str, Any]:
        note = {"note": self.text()} if self.draw.random() < 0.6 else {}
        return {"title": self.text(), **note, "year": self.draw.randrange(1900, 2030)}


# ---------------------------------------------------------------------------------------- the faults


@dataclass
class _Draft:
    """What a fault works on."""

    draw: random.Random
    maker: _Maker
    value: Any
    schema: dict[str, Any]
    pieces: list[tuple[str, str]]

    def text(self, change: Callable[[str, str], str] | None = None) -> str:
        return "".join(change(kind, text) if change else text for kind, text in self.pieces)

    def places(self, *kinds: str) -> list[int]:
        return [n for n, (kind, _) in enumerate(self.pieces) if kind in kinds]

    def pick(self, *kinds: str) -> int:
        found = self.places(*kinds)
        if not found:
            raise _Unfit
        return self.draw.choice(found)

    def with_piece(self, at: int, text: str) -> str:
        return "".join(text if n == at else each for n, (_, each) in enumerate(self.pieces))


class _Unfit(Exception):
    """The fault finds no place in this value."""


Fault = Callable[[_Draft], tuple[str, Any]]
FAULTS: dict[str, tuple[Sort, Fault]] = {}


def _fault(name: str, sort: Sort = "truth") -> Callable[[Fault], Fault]:
    def keep(function: Fault) -> Fault:
        FAULTS[name] = (sort, function)
        return function

    return keep


def _strings(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _strings(each, (*at, name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _strings(each, (*at, number))


_CHOSEN = ("key", "kind")


def _set(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    copy = json.loads(json.dumps(value))
    inside = copy
    for step in at[:-1]:
        inside = inside[step]
    inside[at[-1]] = new
    return copy


def _rewritten(draft: _Draft, make: Callable[[str], str], *, array: bool | None = None, every: bool = False) -> Any:
    """The value with a text made anew: one, or each."""
    found = [at for at, _ in _strings(draft.value) if at[-1] not in _CHOSEN]
    found = [at for at in found if array is None or isinstance(at[-1], int) is array]
    if not found:
        raise _Unfit
    value = draft.value
    for at in found if every else [draft.draw.choice(found)]:
        value = _set(value, at, make(draft.maker.language))
    return value


def _written(draft: _Draft, value: Any) -> str:
    indent = draft.draw.choice([None, 2])
    return "".join(text for _, text in _Writer(draft.draw, indent).pieces(value))


_HIDDEN = "\ue000"


def _bare_quotes(text: str) -> str:
    return text.replace(_HIDDEN, '"')


def _stray(draft: _Draft, first: str, last: str, *, array: bool | None = None, every: bool = False) -> tuple[str, Any]:
    """Quotes as a model writes them without a backslash; a hidden mark becomes an ASCII quote in both."""

    def make(_: str) -> str:
        return draft.maker.sentence(True).replace("{q}", first).replace("{p}", last)

    value = _rewritten(draft, make, array=array, every=every)
    return _bare_quotes(_written(draft, value)), json.loads(json.dumps(value).replace("\\ue000", '\\"'))


@_fault("stray pair")
def _(draft: _Draft) -> tuple[str, Any]:
    return _stray(draft, _HIDDEN, _HIDDEN, array=False)


@_fault("stray pair everywhere")
def _(draft: _Draft) -> tuple[str, Any]:
    return _stray(draft, _HIDDEN, _HIDDEN, every=True)


@_fault("stray closing")
def _(draft: _Draft) -> tuple[str, Any]:
    return _stray(draft, draft.draw.choice("„“«"), _HIDDEN)


@_fault("stray closing everywhere")
def _(draft: _Draft) -> tuple[str, Any]:
    return _stray(draft, "„", _HIDDEN, every=True)


@_fault("stray in list")
def _(draft: _Draft) -> tuple[str, Any]:
    return _stray(draft, _HIDDEN, _HIDDEN, array=True)


@_fault("stray at the edge")
def _(draft: _Draft) -> tuple[str, Any]:
    word = draft.maker.short()
    forms = [f"{_HIDDEN}{word}{_HIDDEN} a b", f"a b {_HIDDEN}{word}{_HIDDEN}", f"{_HIDDEN}{word}, x{_HIDDEN}"]
    form = draft.draw.choice(forms)
    value = _rewritten(draft, lambda _: form)
    return _bare_quotes(_written(draft, value)), json.loads(json.dumps(value).replace("\\ue000", '\\"'))


def _formed(draft: _Draft, forms: list[str], array: bool | None = False) -> tuple[str, Any]:
    form = draft.draw.choice(forms).replace("'", _HIDDEN)
    value = _rewritten(draft, lambda _: form, array=array)
    return _bare_quotes(_written(draft, value)), json.loads(json.dumps(value).replace("\\ue000", '\\"'))


@_fault("stray before signs")
def _(draft: _Draft) -> tuple[str, Any]:
    forms = [
        "see 'x': it's 'y', 'z'; and 'w'".replace("it's", "it is"),
        "set {'a': 1} or ['b'] here",
        "the 'x', or 'y': both",
        "print('a', 'b') and 'c'} end",
    ]
    return _formed(draft, forms)


@_fault("key-like text", "either")
def _(draft: _Draft) -> tuple[str, Any]:
    return _formed(
        draft,
        ["He wrote 'x', 'word': 'y' in it", "it says 'a', 'note': 'b' here", "'x', 'title': 'y'", "a 'b', 'name': 5 c"],
    )


@_fault("inch", "either")
def _(draft: _Draft) -> tuple[str, Any]:
    return _formed(draft, ["a 5' disc", "a 3.5' and a 5' disc", "width 7'"], None)


@_fault("lists in a text of a list", "either")
def _(draft: _Draft) -> tuple[str, Any]:
    return _formed(
        draft,
        [
            "He said 'hello', 'goodbye' and left",
            "x 'a', 'b' y",
            "'a', 'b', 'c' are",
            "the 'x', 'y', 'z'",
            "a' b, 'c' d",
        ],
        True,
    )


@_fault("fence")
def _(draft: _Draft) -> tuple[str, Any]:
    text, draw = draft.text(), draft.draw
    forms = [
        f"```json\n{text}\n```",
        f"```\n{text}\n```\n",
        f"Here:\n```json\n{text}\n```\nDone.",
        f"```json\n{text}",
        f"{text}\n```",
        f"~~~json\n{text}\n~~~",
        f"```json {text}```",
    ]
    return draw.choice(forms), draft.value


@_fault("prose")
def _(draft: _Draft) -> tuple[str, Any]:
    text, draw = draft.text(), draft.draw
    forms = [
        f"Sure! Here is the JSON:\n\n{text}\n\nLet me know.",
        f"Iată răspunsul: {text}",
        f"{text}\nI hope that helps!",
        f"<think>maybe {{x}} or so</think>\n{text}",
        f"<answer>{text}</answer>",
        f"Result = {text};",
        f'As "asked" by you, here:\n{text}\nBest, "me".',
    ]
    return draw.choice(forms), draft.value


@_fault("prose with brackets")
def _(draft: _Draft) -> tuple[str, Any]:
    text, draw = draft.text(), draft.draw
    forms = [
        f"I fill {{title}} and {{note}} [1]:\n{text}",
        f'<think>Like {{"example": 1}}? No.</think>{text}',
        f"See [the docs](http://x.y/z) and {{braces}}.\n\n{text}\n\nUse {{it}} well.",
        f'Format: {{"field": "value"}}\n\n{text}',
    ]
    return draw.choice(forms), draft.value


@_fault("raw newline")
def _(draft: _Draft) -> tuple[str, Any]:
    value = _rewritten(
        draft, lambda _: draft.draw.choice(["one\ntwo", "a, b,\nc", "- x\n- y\n", "\tq\n\nw", "a\r\nb", "x:\n  y"])
    )
    return re.sub(r"\\([nrt])", lambda m: {"n": "\n", "r": "\r", "t": "\t"}[str(m[1])], _written(draft, value)), value


@_fault("control characters")
def _(draft: _Draft) -> tuple[str, Any]:
    value = _rewritten(draft, lambda _: "a\x01b\x1fc\x0be")
    return re.sub(r"\\u00([01].)", lambda m: chr(int(m[1], 16)), _written(draft, value)), value


@_fault("odd spaces")
def _(draft: _Draft) -> tuple[str, Any]:
    odd = draft.draw.choice("\xa0\u200b\u3000\ufeff\u2003\x00\x0b")
    return draft.text(lambda kind, text: text + odd if kind in ",:{" else text), draft.value


def _requoted(text: str, opener: str, closer: str) -> str:
    inner: str = json.loads(text)
    for mark, escape in (("\\", "\\\\"), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r")):
        inner = inner.replace(mark, escape)
    return opener + inner + closer


@_fault("single quotes")
def _(draft: _Draft) -> tuple[str, Any]:
    escape = draft.draw.random() < 0.5

    def change(kind: str, text: str) -> str:
        if kind not in ("text", "key"):
            return text
        new = _requoted(text, "'", "'")
        return "'" + new[1:-1].replace("'", "\\'") + "'" if escape else new

    return draft.text(change), draft.value


@_fault("python")
def _(draft: _Draft) -> tuple[str, Any]:
    return repr(draft.value), draft.value


@_fault("words of python")
def _(draft: _Draft) -> tuple[str, Any]:
    words = draft.draw.choice(
        [{"true": "True", "false": "False", "null": "None"}, {"true": "TRUE", "false": "FALSE", "null": "NULL"}]
    )
    text = draft.text(lambda kind, text: words.get(text, text) if kind == "bare" else text)
    if text == draft.text():
        raise _Unfit
    return text, draft.value


@_fault("typographic quotes")
def _(draft: _Draft) -> tuple[str, Any]:
    pair = draft.draw.choice(["“”", "„“", "«»", "„”", "＂＂"])
    opener, closer = pair[0], pair[1]
    return draft.text(
        lambda kind, text: _requoted(text, opener, closer) if kind in ("text", "key") else text
    ), draft.value


@_fault("typographic names")
def _(draft: _Draft) -> tuple[str, Any]:
    return draft.text(lambda kind, text: _requoted(text, "“", "”") if kind == "key" else text), draft.value


@_fault("mixed delimiters", "either")
def _(draft: _Draft) -> tuple[str, Any]:
    def change(kind: str, text: str) -> str:
        if kind != "text" or draft.draw.random() < 0.5:
            return text
        return _requoted(text, draft.draw.choice('"“„«'), draft.draw.choice('"”“»'))

    text = draft.text(change)
    if _loads(text) is not None:
        raise _Unfit
    return text, draft.value


@_fault("full width")
def _(draft: _Draft) -> tuple[str, Any]:
    signs = draft.draw.choice(
        [{",": "，", ":": "："}, {",": "，"}, {":": "："}, {"{": "｛", "}": "｝", "[": "［", "]": "］"}]
    )
    return draft.text(signs.get), draft.value


@_fault("trailing comma")
def _(draft: _Draft) -> tuple[str, Any]:
    pieces = list(draft.pieces)
    at = draft.draw.choice(
        [n for n, (kind, _) in enumerate(pieces) if kind in "}]" and pieces[n - 1][0] not in "{["] or [0]
    )
    if not at:
        raise _Unfit
    at -= pieces[at - 1][0] == "space"
    return "".join(text for _, text in pieces[:at]) + "," + "".join(text for _, text in pieces[at:]), draft.value


@_fault("missing comma")
def _(draft: _Draft) -> tuple[str, Any]:
    return draft.with_piece(draft.pick(","), ""), draft.value


@_fault("names without quotes")
def _(draft: _Draft) -> tuple[str, Any]:
    return draft.text(lambda kind, text: text[1:-1] if kind == "key" else text), draft.value


@_fault("texts without quotes", "either")
def _(draft: _Draft) -> tuple[str, Any]:
    at = draft.pick("text")
    return draft.with_piece(at, draft.pieces[at][1][1:-1]), draft.value


@_fault("closing quote lost", "either")
def _(draft: _Draft) -> tuple[str, Any]:
    at = draft.pick("text")
    return draft.with_piece(at, draft.pieces[at][1][:-1]), draft.value


@_fault("opening quote lost", "either")
def _(draft: _Draft) -> tuple[str, Any]:
    at = draft.pick("text")
    return draft.with_piece(at, draft.pieces[at][1][1:]), draft.value


@_fault("quote of a name lost")
def _(draft: _Draft) -> tuple[str, Any]:
    at = draft.pick("key")
    text = draft.pieces[at][1]
    return draft.with_piece(at, draft.draw.choice([text[1:], text[:-1]])), draft.value


@_fault("remarks")
def _(draft: _Draft) -> tuple[str, Any]:
    remark = draft.draw.choice(['// the "title"\n', "/* it's {a} */", "# see, x\n", '// http://x.y, "a": 1\n'])
    at = draft.pick(",", "{", "[")
    return draft.with_piece(at, draft.pieces[at][1] + " " + remark), draft.value


@_fault("closer of the wrong kind", "either")
def _(draft: _Draft) -> tuple[str, Any]:
    at = draft.pick("}", "]")
    return draft.with_piece(at, {"}": "]", "]": "}"}[draft.pieces[at][1]]), draft.value


@_fault("inner closer missing", "either")
def _(draft: _Draft) -> tuple[str, Any]:
    found = draft.places("}", "]")[:-1]
    if not found:
        raise _Unfit
    return draft.with_piece(draft.draw.choice(found), ""), draft.value


@_fault("closer too many")
def _(draft: _Draft) -> tuple[str, Any]:
    return draft.text() + draft.draw.choice(["}", "]", "\n}"]), draft.value


@_fault("last closer missing", "either")
def _(draft: _Draft) -> tuple[str, Any]:
    return draft.text()[:-1].rstrip(), draft.value


@_fault("cut", "refuse")
def _(draft: _Draft) -> tuple[str, Any]:
    text = draft.text()
    if len(text) < 8:
        raise _Unfit
    wrap = draft.draw.choice(["", "", "```json\n", "Here it is:\n"])
    cut = text[: draft.draw.randrange(1, len(text) - 1)]
    if not cut.rstrip("]}\n "):
        raise _Unfit
    if json.dumps(draft.value, sort_keys=True) == json.dumps(_loads(cut), sort_keys=True):
        raise _Unfit
    return wrap + cut, draft.value


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


@_fault("cut and broken", "refuse")
def _(draft: _Draft) -> tuple[str, Any]:
    text, _ = _stray(draft, _HIDDEN, _HIDDEN, every=True)
    return text[: draft.draw.randrange(len(text) // 3, len(text) - 2)].rstrip("]} \n"), draft.value


@_fault("cut in single quotes", "refuse")
def _(draft: _Draft) -> tuple[str, Any]:
    text = repr(draft.value)
    return text[: draft.draw.randrange(len(text) // 3, len(text) - 1)].rstrip("]} \n"), draft.value


@_fault("unknown escapes")
def _(draft: _Draft) -> tuple[str, Any]:
    forms = [
        "C:\\Users\\ana",
        "$\\alpha + \\gamma$",
        "\\d+\\s*\\w",
        "D:\\Games\\x\\y",
        "a\\_b \\* c",
        "\\alpha \\theta \\frac",
        "C:\\Users\\temp\\new",
    ]
    form = draft.draw.choice(forms)
    value = _rewritten(draft, lambda _: form)
    return _written(draft, value).replace("\\\\", "\\"), value


@_fault("escaped apostrophes")
def _(draft: _Draft) -> tuple[str, Any]:
    value = _rewritten(draft, lambda _: "l'eau d'or")
    return _written(draft, value).replace("'", "\\'"), value


@_fault("escapes that mean another", "either")
def _(draft: _Draft) -> tuple[str, Any]:
    forms = [
        "$\\theta + \\beta$",
        "\\frac{1}{2}",
        "C:\\temp\\new",
        "x \\times y",
        "$\\nu$ and \\neq",
        "D:\\files\\bin",
        "E:\\reports",
    ]
    form = draft.draw.choice(forms)
    value = _rewritten(draft, lambda _: form)
    return _written(draft, value).replace("\\\\", "\\"), value


@_fault("other escapes")
def _(draft: _Draft) -> tuple[str, Any]:
    value = _rewritten(draft, lambda _: "A smile 😀 é")
    text = _written(draft, value)
    return text.replace("😀", draft.draw.choice(["\\u{1F600}", "\\U0001F600"])).replace("é", "\\xe9"), value


@_fault("half a surrogate", "refuse")
def _(draft: _Draft) -> tuple[str, Any]:
    value = _rewritten(draft, lambda _: "A X B")
    return _written(draft, value).replace(
        "A X", "A " + draft.draw.choice(["\\ud83d", "\\udc00", "\\u02", "\ud800", "\\u{d83d}"])
    ), value


@_fault("escaped as a whole")
def _(draft: _Draft) -> tuple[str, Any]:
    text = json.dumps(draft.text())
    form = draft.draw.choice(["string", "inner", "fenced"])
    return text if form == "string" else text[1:-1] if form == "inner" else f"```json\n{text[1:-1]}\n```", draft.value


@_fault("entities")
def _(draft: _Draft) -> tuple[str, Any]:
    text = (
        draft.text()
        .replace("&", "&amp;")
        .replace('"', "&quot;")
        .replace("<", "&lt;")
        .replace("'", draft.draw.choice(["'", "&#39;"]))
    )
    return text, draft.value


@_fault("drafts alike")
def _(draft: _Draft) -> tuple[str, Any]:
    return f"{draft.text()}\n\n{_written(draft, draft.value)}", draft.value


@_fault("drafts that differ", "refuse")
def _(draft: _Draft) -> tuple[str, Any]:
    other = _rewritten(draft, lambda _: "something else")
    between = draft.draw.choice(["\n", "\nWait, corrected:\n", "\n```\n\nFinal:\n```json\n"])
    return draft.text() + between + _written(draft, other), draft.value


@_fault("draft with a correction", "refuse")
def _(draft: _Draft) -> tuple[str, Any]:
    if not isinstance(draft.value, dict):
        raise _Unfit
    name = draft.draw.choice([n for n, each in draft.value.items() if not isinstance(each, list)] or [""])
    if not name:
        raise _Unfit
    return f'{draft.text()}\nCorrection: {{"{name}": "other"}}', draft.value


def _doubled(draft: _Draft, again: Any) -> str:
    if not isinstance(draft.value, dict):
        raise _Unfit
    name = draft.draw.choice(list(draft.value))
    second = draft.value[name] if again is None else again
    return f'{draft.text().rstrip()[:-1].rstrip()}, "{name}": {json.dumps(second, ensure_ascii=False)}}}'


@_fault("doubled keys alike")
def _(draft: _Draft) -> tuple[str, Any]:
    if isinstance(draft.value, dict) and None in draft.value.values():
        raise _Unfit
    return _doubled(draft, None), draft.value


@_fault("doubled keys that differ", "refuse")
def _(draft: _Draft) -> tuple[str, Any]:
    return _doubled(draft, "other"), draft.value


@_fault("omission", "refuse")
def _(draft: _Draft) -> tuple[str, Any]:
    at = draft.pick(",", "]", "}")
    kind, text = draft.pieces[at]
    if kind == ",":
        return draft.with_piece(at, draft.draw.choice([", ...,", ", // ... rest unchanged\n", ", …,"])), draft.value
    return draft.with_piece(
        at, draft.draw.choice([", ...", "...", ", /* remaining items omitted */"]) + text
    ), draft.value


@_fault("omission in a text", "refuse")
def _(draft: _Draft) -> tuple[str, Any]:
    form = draft.draw.choice(["...", "…", "[...]", "... (continued)", "// rest unchanged", "(continued)"])
    value = _rewritten(draft, lambda _: form)
    return _written(draft, value), draft.value


@_fault("no number", "refuse")
def _(draft: _Draft) -> tuple[str, Any]:
    at = _number(draft)
    return draft.with_piece(
        at, draft.draw.choice(["NaN", "Infinity", "-Infinity", "N/A", "8/10", "~5", "1,234", "5 km", "??", "1.2.3"])
    ), None


def _number(draft: _Draft) -> int:
    found = [n for n in draft.places("bare") if re.fullmatch(r"-?[0-9.]+", draft.pieces[n][1])]
    if not found:
        raise _Unfit
    return draft.draw.choice(found)


@_fault("forms of numbers")
def _(draft: _Draft) -> tuple[str, Any]:
    at = _number(draft)
    number = draft.pieces[at][1]
    if number.startswith("0."):
        return draft.with_piece(at, number[1:]), draft.value
    if number.endswith(".0"):
        return draft.with_piece(at, number[:-1]), draft.value
    if number.startswith("-"):
        raise _Unfit
    return draft.with_piece(at, "+" + number), draft.value


@_fault("several")
def _(draft: _Draft) -> tuple[str, Any]:
    text, value = _stray(draft, draft.draw.choice(["„", _HIDDEN]), _HIDDEN)
    if draft.draw.random() < 0.5:
        text = text[:-1].rstrip() + ",\n" + text[-1]
    if draft.draw.random() < 0.5:
        text = re.sub(r'"(title|name|summary|question|note|steps|tags)":', r"\1:", text)
    if draft.draw.random() < 0.5:
        text = f"Here is the answer:\n```json\n{text}\n```"
    return text, value


@_fault("valid")
def _(draft: _Draft) -> tuple[str, Any]:
    return draft.text(), draft.value


def case(kind: str, seed: int, number: int) -> Case | None:
    draw = random.Random(f"{kind}/{seed}/{number}")
    sort, fault = FAULTS[kind]
    for _ in range(8):
        name = draw.choice(list(SCHEMAS))
        maker = _Maker(draw)
        value = maker.value(name)
        pieces = list(_Writer(draw, draw.choice([None, None, 2, 4])).pieces(value))
        try:
            text, truth = fault(_Draft(draw, maker, value, SCHEMAS[name], pieces))
        except _Unfit:
            continue
        return Case(kind, sort, text, truth, SCHEMAS[name])
    return None


def cases(seed: int, each: int) -> Iterator[Case]:
    """``each`` cases of every kind."""
    for kind in FAULTS:
        for number in range(each):
            found = case(kind, seed, number)
            if found is not None:
                yield found
