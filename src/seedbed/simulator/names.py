"""Which item a prompt asks about, told from the prompt's text alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

_TOKEN = re.compile(r"\w+|[^\w\s]")


class Names:
    """Finds an item by a pattern's first group, else by the longest known name in the text.

    Names are compared token by token, so a search costs the length of the text whatever the number of names.
    """

    def __init__(self, names: Sequence[str] = (), pattern: str | None = None) -> None:
        self._pattern = re.compile(pattern) if pattern else None
        self._by_first: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for name in sorted(set(names), key=lambda each: (-len(each), each)):
            tokens = tuple(_TOKEN.findall(name))
            if tokens:
                self._by_first.setdefault(tokens[0], []).append((tokens, name))

    def __bool__(self) -> bool:
        return self._pattern is not None or bool(self._by_first)

    def find(self, text: str) -> str | None:
        if self._pattern is not None:
            match = self._pattern.search(text)
            if match is not None:
                return match[1] if match.re.groups else match[0]
        return self._longest(text) if self._by_first else None

    def _longest(self, text: str) -> str | None:
        tokens = _TOKEN.findall(text)
        known = self._by_first.keys() & set(tokens)
        best: str | None = None
        for start, token in enumerate(tokens) if known else ():
            if token in known:
                for wanted, name in self._by_first[token]:
                    if best is not None and len(name) <= len(best):
                        break
                    if tuple(tokens[start : start + len(wanted)]) == wanted:
                        best = name
                        break
        return best
