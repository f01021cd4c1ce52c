"""Drawing a sample that comes out the same each time: by a hash of seed and key, never by order or chance."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from hashlib import blake2b


def rank(seed: int, key: str) -> bytes:
    """Where a key stands in the draw of a seed; those that stand first are drawn."""
    return blake2b(f"sample {seed} {key}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def draw(keys: Iterable[str], size: int, seed: int) -> list[str]:
    """The ``size`` keys that stand first, in the order of the draw; a key that comes twice counts once.

    A draw of several draws equals the draw of all, and a smaller sample of a seed is the head of a larger one.
    """
    kept: list[tuple[bytes, str]] = []
    for key in keys:
        place = (rank(seed, key), key)
        if len(kept) >= size and (not kept or place >= kept[-1]):
            continue
        at = bisect_left(kept, place)
        if at == len(kept) or kept[at] != place:
            kept.insert(at, place)
            del kept[size:]
    return [key for _, key in kept]
