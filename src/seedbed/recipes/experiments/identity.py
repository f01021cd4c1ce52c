"""Ids of documents, by the rule of the archive's own authors, so that theirs and ours agree on any machine."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]
LENGTH = 16


def hashed(*parts: str) -> str:
    """SHA-256 over the parts, each with a bar behind it; its first 12 bytes as a number in base 36; 16 characters.

    Two lists of parts that differ in where a bar stands have one hash: who stores a hash keeps its parts beside it.
    """
    number = int.from_bytes(sha256("".join(f"{part}|" for part in parts).encode()).digest()[:12])
    pairs = []
    while number:
        number, pair = divmod(number, 36 * 36)
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs)).lstrip("0").rjust(LENGTH, "0")[:LENGTH]


def key_parts(stage: str, above: str, template: str, model: str) -> Sequence[str]:
    """What a logical key is made of. ``above`` is the parent's document id, or the combination where there is none."""
    return (stage, above, template, model)


def logical_key(stage: str, above: str, template: str, model: str) -> str:
    """All attempts at one product have it in common: H(stage, above, template, model)."""
    return hashed(*key_parts(stage, above, template, model))


def document_id(logical: str, run: str, attempt: str) -> str:
    """One attempt: H(logical key, run, attempt)."""
    return hashed(logical, run, attempt)


def attempt_of_row(table: str, index: int, timestamp: str) -> str:
    """The attempt that stands in row ``index`` (from 0) of a table; ``timestamp`` as it is written there."""
    return f"{table}:{index}:{timestamp}"
