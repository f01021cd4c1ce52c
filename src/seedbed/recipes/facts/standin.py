"""The stand-in's answers for this recipe, made from the text of the prompt and from nothing else.

A rule gets the prompt and a schema; it answers with a value, or with None for what it does not know. A prompt that
lost a line is not answered, so that the loss shows. What is known of an entry is used as it is; where nothing is
known, values are made up and say so ("sample 4821").
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

SPINOFFS = 3
_COUNTRIES = ("Portugal", "Norway", "Peru", "Vietnam", "Ghana")
_TOWNS = ("Lisbon", "Oslo", "Lima", "Hanoi", "Accra")
_POOLS: Mapping[str, Sequence[str]] = {
    "continent": ("Africa", "Asia", "Europe", "North America", "Oceania", "South America"),
    "currency": ("Franc", "Dollar", "Yen", "Peso", "Krone"),
    "languages": ("Latin", "Esperanto", "Norse", "Sanskrit", "Aramaic"),
    "timezone": ("Europe/Lisbon", "Asia/Kathmandu", "America/Lima", "Africa/Cairo", "Australia/Darwin"),
    "country": _COUNTRIES,
    "capital_of": _COUNTRIES,
    "capital": _TOWNS,
    "largest_city": _TOWNS,
}
"""Wrong options that are of the same kind as the right one."""
_ANY = ("Avalon", "Brigadoon", "Cockaigne", "Lyonesse", "Shangri-La")
_TITLES: Mapping[str, str] = {
    "population": "{name} has a population of {value}",
    "continent": "{name} lies on the continent {value}",
    "area_km2": "{name} has an area of {value}",
    "country": "{name} is a city in {value}",
    "capital_of": "{name} is the capital of {value}",
    "timezone": "Clocks in {name} follow the time zone {value}",
    "latitude": "{name} lies at a latitude of {value}",
}


def explode(prompt: str, schema: Mapping[str, Any]) -> object | None:
    """Facts from the values that are known of the entry, spin-offs from the places that they name."""
    if set(schema.get("properties", ())) != {"facts", "spinoffs"}:
        return None
    item = _item(
        prompt, "entry", "topic", "keys of the topic", "topics for spin-offs", "known already",
        "found while writing about", "facts wanted", "titles that exist",
    )  # fmt: skip
    if item is None:
        return None
    name, known, taken = item["entry"], _object(item["known already"]), set(item["titles that exist"])
    facts = []
    for key, spec, value in _values(item, name, known):
        fact = _fact(name, item["topic"], key, spec, value)
        if fact["title"] not in taken:
            facts.append(fact)
    return {"facts": facts[: item["facts wanted"]], "spinoffs": _spinoffs(name, known, item["topics for spin-offs"])}


def challenges(prompt: str, schema: Mapping[str, Any]) -> object | None:
    """One challenge for each style that is wanted, about the fact's first value."""
    if set(schema.get("properties", ())) != {"challenges"}:
        return None
    item = _item(prompt, "title", "entry", "topic", "values", "context", "challenges wanted")
    if item is None:
        return None
    return {"challenges": [_challenge(item, each["style"], each["difficulty"]) for each in item["challenges wanted"]]}


def rewrite(prompt: str, schema: Mapping[str, Any]) -> object | None:
    """New texts about the fact's first value."""
    if set(schema.get("properties", ())) != {
        "title", "challenge_title", "context", "notability_score", "notability_reason",
    }:  # fmt: skip
        return None
    item = _item(prompt, "entry", "topic", "keys of the topic", "values", "known already", "title until now")
    if item is None:
        return None
    key, value = next(iter(_object(item["values"]).items()), ("", None))
    name = str(item["entry"] or item["title until now"])
    fact = _fact(name, item["topic"], key, item["keys of the topic"].get(key, {}), value)
    return {name: text for name, text in fact.items() if name != "facts"}


RULES: Sequence[Callable[[str, Mapping[str, Any]], object | None]] = (explode, challenges, rewrite)


# --------------------------------------------------------------------------- reading the prompt


def _item(prompt: str, *labels: str) -> dict[str, Any] | None:
    """The lines ``- label: JSON`` of the item; None when one is missing or is no JSON."""
    found: dict[str, Any] = {}
    for label in labels:
        lines = re.findall(rf"^- {re.escape(label)}: (.*)$", prompt, re.MULTILINE)
        if not lines:
            return None
        try:
            found[label] = json.loads(lines[-1])
        except ValueError:
            return None
    return found


def _object(value: Any) -> dict[str, Any]:
    """JSON in JSON is read too: some tables hold their objects as text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return dict(value) if isinstance(value, Mapping) else {}


def _draw(*parts: Any) -> int:
    return int.from_bytes(blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=6).digest())


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


# ---------------------------------------------------------------------------------------- facts


def _values(
    item: Mapping[str, Any], name: str, known: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    """What can be told: known values of the topic's keys, then what the origin tells, else samples."""
    keys: Mapping[str, Any] = item["keys of the topic"]
    told = {key: known[key] for key in keys if key in known and _fits(known[key], keys[key])}
    origin = item["found while writing about"] or {}
    above = _object(origin.get("data"))
    if above.get("capital") and above.get("population"):
        if "country" in keys:
            told.setdefault("country", origin["name"])
        if "capital_of" in keys and above["capital"] == name:
            told["capital_of"] = origin["name"]
    if not told:
        told = {key: _sample(name, key, spec) for key, spec in keys.items()}
    for key, value in told.items():
        yield key, keys[key], value
    if not told:
        yield "", {}, None


def _fits(value: Any, spec: Mapping[str, Any]) -> bool:
    kind = spec.get("type", "string")
    if kind in ("integer", "number"):
        whole = isinstance(value, int) or (isinstance(value, float) and (kind == "number" or value.is_integer()))
        return whole and not isinstance(value, bool)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "array":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    return isinstance(value, str) and bool(value.strip())


def _sample(name: str, key: str, spec: Mapping[str, Any]) -> Any:
    draw, kind = _draw("sample", name, key), spec.get("type", "string")
    if spec.get("enum"):
        return spec["enum"][draw % len(spec["enum"])]
    if kind in ("integer", "number"):
        low, high = int(spec.get("minimum", 1)), int(spec.get("maximum", spec.get("minimum", 1) + 8999))
        return low + draw % (high - low + 1)
    if kind == "boolean":
        return draw % 2 == 0
    if kind == "date":
        return f"{1900 + draw % 120}-{draw % 12 + 1:02}-{draw % 28 + 1:02}"
    return [f"sample {draw % 9000 + 1000}"] if kind == "array" else f"sample {draw % 9000 + 1000}"


def _fact(name: str, topic: str, key: str, spec: Mapping[str, Any], value: Any) -> dict[str, Any]:
    label = str(spec.get("label") or key.replace("_", " ")) or "name"
    told = f"{_said(value)} {spec['unit']}" if spec.get("unit") else _said(value)
    draw = _draw("fact", name, key)
    if key:
        pattern = _TITLES.get(key, f"The {label} of {{name}} {_be(label)} {{value}}")
        title = pattern.replace("{name}", name).replace("{value}", told)
        statement = f"Its {label} {_be(label)} {told}."
    else:
        title = f"{name} has an entry under the topic {topic}"
        statement = "More is not known of it so far."
    hooks = (
        f"What would you guess for the {label} of {name}?",
        f"One question about {name} that few people get right: its {label}",
        f"How well do you know the {label} of {name}?",
    )
    context = (
        f"Many people have heard of {name} and stop there. "
        f"{statement} "
        f"It stands in the topic {topic} beside many others, and can be compared with them. "
        "Whoever has looked it up once tends to remember it. "
        f"The next time that {name} is in the news, the {label} is a good place to begin."
    )
    return {
        "title": title[:200],
        "challenge_title": hooks[draw % len(hooks)][:200],
        "facts": [{"key": key, "value": value}] if key else [],
        "context": context,
        "notability_score": round(0.55 + draw % 40 / 100, 2),
        "notability_reason": f"The {label} is among the first things that are asked about an entry of this kind.",
    }


def _be(label: str) -> str:
    return "are" if label.endswith("s") else "is"


def _spinoffs(name: str, known: Mapping[str, Any], topics: Sequence[str]) -> list[dict[str, str]]:
    """Of a country: its capital, and cities that the entry names."""
    named = [str(known.get("capital") or "")] if known.get("capital") else []
    named += [part.strip() for part in str(known.get("notable_cities") or "").split(",")]
    places = [place for place in dict.fromkeys(named) if place and place != name]
    topic = "cities" if "cities" in topics else ""
    return [{"name": place, "topic": topic} for place in places[:SPINOFFS]]


# ----------------------------------------------------------------------------------- challenges


def _holds(text: str, phrase: str) -> bool:
    words, wanted = (" ".join(re.findall(r"[^\W_]+", each.casefold())) for each in (text, phrase))
    return f" {wanted} " in f" {words} "


def _challenge(item: Mapping[str, Any], style: str, difficulty: int) -> dict[str, Any]:
    values = _object(item["values"])
    key, value = next(iter(values.items()), ("", None))
    name = str(item["entry"] or item["title"])
    label = re.sub(r"\d", "", key.replace("_", " ")).strip() or "name"
    reverse = style == "reverse_lookup"
    answer = _said(value) if key and not reverse else name
    shown = name if key and not _holds(name, answer) else "this entry"
    hints = ("A good first guess may well be right.", "A little reading helps here.", "Few get it at the first try.")
    scene = (
        "Something is described here by one detail alone, and its own name is kept back."
        if reverse
        else f"People keep asking about {shown} and then get one detail wrong."
    )
    told = f"whose {label} {_be(label)} {_said(value)}" if reverse and key else f"and it belongs to {name}"
    return {
        "style": style,
        "setup_text": f"{scene} {hints[(difficulty - 1) // 2]}",
        "challenge_text": _task(style, label, shown, _clue(label, _said(value), name, item["title"]) if key else ""),
        "reveal_correct": f"Well done, that is it: few remember the {label} of {name} so well.",
        "reveal_wrong": f"Not this time, but it is easy to remember: the answer is {answer}.",
        "correct_answer": (
            f"The answer that was looked for is {answer}, {told}. "
            f"It is part of what is told about the {label} in this place. "
            "Whoever keeps it in mind can place many other things of the same kind beside it."
        ),
        "style_data": {
            "answer": answer,
            "options": _options(item, key, value, answer) if style == "multiple_choice" else [],
        },
    }


def _clue(label: str, value: str, name: str, title: str) -> str:
    """What a reverse look-up may tell; nothing where the value itself names what is to be found."""
    clue = f"when you hear that its {label} {_be(label)} {value}"
    return "" if _holds(clue, name) or _holds(clue, title) else clue


def _task(style: str, label: str, shown: str, clue: str) -> str:
    be = _be(label)
    return {
        "multiple_choice": f"Which of the four options do you take for the {label} of {shown}?",
        "direct_question": f"Can you say without looking it up what the {label} of {shown} {be}?",
        "fill_the_gap": f"Fill the gap as you remember it: ___ {be} the {label} of {shown}.",
        "statement_blank": f"Complete the statement as you remember it: the {label} of {shown} {be} ___.",
        "reverse_lookup": f"What do you think of {clue or f'when only its {label} is left for you to guess from'}?",
        "free_text": f"Tell in a few words of your own what you know about the {label} of {shown}.",
    }[style]


def _options(item: Mapping[str, Any], key: str, value: Any, answer: str) -> list[dict[str, Any]]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        near: list[Any] = [value * 3 // 4, value * 5 // 4, value * 3 // 2, value + 1, value + 2, value + 3]
        others = [_said(int(each)) for each in near]
    else:
        others = [*_POOLS.get(key, ()), *_ANY]
    wrong = [each for each in dict.fromkeys(others) if not _holds(each, answer) and not _holds(answer, each)][:3]
    made = [{"text": text, "correct": False} for text in wrong]
    made.insert(_draw("place", item["title"], key) % 4, {"text": answer, "correct": True})
    return made
