"""Turns a good answer's text into a bad one."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import orjson

NESTING = 100_000
HUGE = 64 * 1024 * 1024

_LIMIT_TEXT = "You've hit your session limit · resets 3pm"


def damaged(fault: str, content: str) -> str | None:
    """The content as `fault` leaves it; None when the fault does not touch the text."""
    change = _CHANGES.get(fault)
    return None if change is None else change(content)


def _fenced(content: str) -> str:
    return f"```json\n{content}\n```"


def _prose(content: str) -> str:
    return f"Here is the answer you asked for:\n\n{content}\n\nLet me know if you need anything else."


def _malformed(content: str) -> str:
    choices: tuple[Callable[[str], str], ...] = (
        lambda text: text[:-1],
        lambda text: text.replace('"', "'"),
        lambda text: re.sub(r'"(\w+)":', r"\1:", text),
        lambda text: re.sub(r'",\s*"', '" "', text, count=1) if '","' in text else text[:-1],
        lambda text: text[:-1] + "," + text[-1:],
        lambda text: text[: len(text) // 2],
    )
    kind = int.from_bytes(blake2b(content.encode(), digest_size=2).digest()) % len(choices)
    broken = choices[kind](content)
    return broken if not _parses(broken) else content + "}"


def _wrong_shape(content: str) -> str:
    value = _parsed(content)
    other: Any = {"unexpected": [1, 2, 3]} if isinstance(value, list) else [{"unexpected": True}]
    return orjson.dumps(other).decode()


def _missing(content: str) -> str:
    value = _parsed(content)
    answers = _answers(value)
    if answers is not None:
        del answers[-1:]
    elif isinstance(value, dict) and value:
        value.popitem()
    return orjson.dumps(value).decode()


def _extra(content: str) -> str:
    value = _parsed(content)
    answers = _answers(value)
    if answers:
        answers.append({**answers[0], "key": f"{answers[0].get('key')}-extra"})
    elif isinstance(value, dict):
        value["unexpected"] = True
    return orjson.dumps(value).decode()


def _answers(value: Any) -> list[Any] | None:
    answers = value.get("answers") if isinstance(value, dict) else None
    if isinstance(answers, list) and all(isinstance(each, dict) for each in answers):
        return answers
    return None


def _parsed(content: str) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return content


def _parses(content: str) -> bool:
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    return True


_CHANGES: dict[str, Callable[[str], str]] = {
    "malformed": _malformed,
    "fenced": _fenced,
    "prose": _prose,
    "wrong_shape": _wrong_shape,
    "missing_item": _missing,
    "extra_item": _extra,
    "length": lambda content: content[: len(content) // 2],
    "deep_nesting": lambda _: "[" * NESTING + "]" * NESTING,
    "session_limit_text": lambda _: _LIMIT_TEXT,
}
