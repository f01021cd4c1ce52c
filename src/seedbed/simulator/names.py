"""Which item a prompt asks about, told from the prompt's text alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_TOKEN = re.compile(r"\w+|[^\w\s]")


class Names:
    """Finds an item by a pattern's first group, else by the longest known name in the text.

    Names are compared token by token, so a search costs the length of the text whatever the number of names.
    """

    def __init__(self, names: Sequence[str] = (), pattern: str | None = None) -> None:
        self._pattern = re.compile(pattern) if pattern else None
        self._by_tokens: dict[tuple[str, ...], str] = {}
        self._lengths: dict[str, set[int]] = {}
        for name in sorted(set(names), key=lambda each: (len(each), each)):
            tokens = tuple(_TOKEN.findall(name))
            if tokens:
                self._by_tokens[tokens] = name
                self._lengths.setdefault(tokens[0], set()).add(len(tokens))

    def __bool__(self) -> bool:
        return self._pattern is not None or bool(self._by_tokens)

    def find(self, text: str) -> str | None:
        if self._pattern is not None:
            match = self._pattern.search(text)
            if match is not None:
                return match[1] if match.re.groups else match[0]
        return max(self._named(text), key=len, default=None) if self._by_tokens else None

    def _named(self, text: str) -> Iterator[str]:
        tokens = _TOKEN.findall(text)
        for start, token in enumerate(tokens):
            for length in self._lengths.get(token, ()):
                name = self._by_tokens.get(tuple(tokens[start : start + length]))
                if name is not None:
                    yield name
