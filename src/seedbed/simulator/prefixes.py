"""Which prompt prefixes the provider has seen before, in steps of 1,024 tokens."""

from __future__ import annotations

from hashlib import blake2b

from seedbed.simulator.calls import tokens

STEP = 1024
_CHARS = STEP * 4


class Prefixes:
    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def cached(self, prompt: str) -> int:
        """Tokens of the longest known prefix; all prefixes of this prompt are known from now on."""
        if tokens(len(prompt)) < STEP:
            return 0
        running, known, unbroken = blake2b(digest_size=16), 0, True
        for end in range(_CHARS, len(prompt) + 1, _CHARS):
            running.update(prompt[end - _CHARS : end].encode("utf-8", "surrogatepass"))
            digest = running.digest()
            unbroken = unbroken and digest in self._seen
            known = end // 4 if unbroken else known
            self._seen.add(digest)
        return known
