"""The script of faults: which request goes wrong, and how."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from seedbed.simulator.refusals import BY_FAULT

STATUS_FAULTS = frozenset({*BY_FAULT, "rate_limit", "session_limit"})
SOCKET_FAULTS = frozenset({"hang", "slow_drip", "cut", "reset"})
STREAM_FAULTS = frozenset({"stream_error", "stream_no_end", "stream_split", "stream_duplicate"})
BODY_FAULTS = frozenset({"empty_choices", "not_json_body", "gzip_bomb", "wrong_model"})
CONTENT_FAULTS = frozenset(
    {
        "length",
        "refusal",
        "content_filter",
        "malformed",
        "fenced",
        "prose",
        "wrong_shape",
        "huge",
        "deep_nesting",
        "missing_item",
        "extra_item",
        "session_limit_text",
        "swapped",
        "late",
    }
)
FAULTS = STATUS_FAULTS | SOCKET_FAULTS | STREAM_FAULTS | BODY_FAULTS | CONTENT_FAULTS


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One line of the script; `match` (a pattern on the prompt) and `item` (a name) narrow it down.

    Of the requests that it fits, the first `nth` go free and the next `times` (None: all) are hit; with
    `each` these are counted for every prompt on its own. `seconds` is the wait that a limit states, the
    pause between two bytes of a slow drip, or the delay of a late answer; `size` is where a cut happens
    or how large a huge answer is; `text` replaces a malformed answer's text.
    """

    fault: str
    match: str | None = None
    item: str | None = None
    times: int | None = 1
    nth: int = 0
    each: bool = False
    seconds: float | None = None
    size: int | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        known(self.fault)
        if self.match is not None:
            try:
                re.compile(self.match)
            except re.error as error:
                raise ValueError(f"faults: match {self.match!r} is not a pattern: {error}") from None


def known(fault: str) -> str:
    if fault not in FAULTS:
        raise ValueError(f"faults: unknown fault {fault!r}; known are {', '.join(sorted(FAULTS))}")
    return fault


class Script:
    """Picks the fault of each request: the rules first, in order, then the rates."""

    def __init__(self, rules: Sequence[FaultRule], rates: Mapping[str, float], seed: int) -> None:
        self._rules = [(rule, re.compile(rule.match) if rule.match else None) for rule in rules]
        self._rates = [(FaultRule(fault, times=None), rate) for fault, rate in sorted(rates.items())]
        self._seed = seed
        self._hits: Counter[tuple[int, str]] = Counter()
        self._attempts: Counter[str] = Counter()

    def pick(self, prompt: str, items: Sequence[str], digest: str, unfit: Collection[str] = ()) -> FaultRule | None:
        """`unfit` names the faults that cannot happen to this kind of request; they are not counted."""
        for number, (rule, pattern) in enumerate(self._rules):
            if rule.fault in unfit:
                continue
            if rule.item is not None and rule.item not in items:
                continue
            if pattern is not None and not pattern.search(prompt):
                continue
            if self._due(number, rule, digest):
                return rule
        chosen = self._by_rate(digest) if self._rates else None
        return None if chosen is None or chosen.fault in unfit else chosen

    def _due(self, number: int, rule: FaultRule, digest: str) -> bool:
        place = (number, digest if rule.each else "")
        turn = self._hits[place] - rule.nth
        self._hits[place] += 1
        return turn >= 0 and (rule.times is None or turn < rule.times)

    def _by_rate(self, digest: str) -> FaultRule | None:
        attempt = self._attempts[digest]
        self._attempts[digest] += 1
        left = fraction(self._seed, digest, str(attempt))
        for rule, rate in self._rates:
            if left < rate:
                return rule
            left -= rate
        return None


def fraction(seed: int, *parts: str) -> float:
    """A number in [0, 1) that is the same for the same words."""
    text = "\0".join((str(seed), *parts)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest()) / 2**64
