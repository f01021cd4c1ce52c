"""Patterns that are compiled when they are first used: a program whose answers are well starts without them."""

from __future__ import annotations

import re
from typing import Any, cast

_METHODS = ("match", "fullmatch", "search", "finditer", "findall", "sub", "pattern")


class _Late:
    def __init__(self, words: str, flags: int) -> None:
        self._words, self._flags = words, flags

    def __getattr__(self, name: str) -> Any:
        if name not in _METHODS:
            raise AttributeError(name)
        compiled = re.compile(self._words, self._flags)
        self.__dict__.update({each: getattr(compiled, each) for each in _METHODS})
        return self.__dict__[name]


def late(words: str, flags: int = 0) -> re.Pattern[str]:
    """A pattern for its methods alone: what a match has as ``re`` is another."""
    return cast("re.Pattern[str]", _Late(words, flags))
