"""A small sample that shows what there is: some at random, some of each category, the ends, and what looks odd.

Who is drawn depends on the seed and on the candidates, never on their order or on chance. One pass, and memory for the
sample and its categories only, however many candidates there are.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from seedbed.policy.sampling import rank

AT_RANDOM, LONGEST, SHORTEST = "at random", "longest", "shortest"
OF_34: Mapping[str, int] = {"categories": 10, "ends": 6, "doubtful": 6}
"""How a sample of 34 is shared out; the other 12, and what a share cannot use, are drawn at random."""
MOST_VALUES = 24
"""A column with more values than this tells no categories, unless it was named."""
MOST_NAMED = 400
LONGEST_VALUE = 60
KEPT = 12
"""Candidates that are remembered of each category."""
RARE = 0.05
"""Up to this share of all, a category is a rare one."""


_BROKEN = re.compile("[\ufffd\u0000-\u0008\u200b-\u200f\u202a-\u202e]|\u00c3[\u0080-\u00bf]|\u00e2\u20ac")
"""Replacement, control and direction characters, and UTF-8 that was read as Latin-1."""
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>|\{\{|\[\[|&[a-z]+;")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item that may be drawn. ``size`` is what its inputs weigh; ``doubt`` says what is odd about it."""

    key: str
    size: int
    traits: Mapping[str, str] = field(default_factory=dict)
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    key: str
    why: str


@dataclass(frozen=True)
class Sample:
    """What was drawn from how many, and by which columns they were told apart."""

    chosen: tuple[Chosen, ...]
    population: int
    columns: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """How many were chosen how: at random, across categories, longest, shortest, doubtful, rare."""
        return counted(one.why for one in self.chosen)


def counted(reasons: Iterable[str]) -> dict[str, int]:
    """Reasons of choice by their kind, in the order in which they are told."""
    kinds = Counter(_kind(why) for why in reasons)
    order = (AT_RANDOM, "across categories", LONGEST, SHORTEST, "doubtful", "rare")
    return {kind: kinds[kind] for kind in order if kinds[kind]}


def _kind(why: str) -> str:
    if why in (AT_RANDOM, LONGEST, SHORTEST):
        return why
    head = why.partition(":")[0]
    return head if head in ("doubtful", "rare") else "across categories"


def doubt_of(inputs: Mapping[str, object]) -> str:
    """What is odd about the inputs of an item; blank for nothing. Told without a model, from their look alone."""
    texts = [value for value in inputs.values() if isinstance(value, str)]
    if any(value is None or (isinstance(value, str) and not value.strip()) for value in inputs.values()):
        return "an input is empty"
    if any(_BROKEN.search(text) for text in texts):
        return "broken or hidden characters"
    if any(_MARKUP.search(text) for text in texts):
        return "markup in the text"
    if texts and not any(character.isalpha() for text in texts for character in text):
        return "no letters"
    return ""


def draw(candidates: Iterable[Candidate], size: int, seed: int, named: Sequence[str] = ()) -> Sample:
    """``size`` candidates, or all where there are no more, each with the reason for which it was chosen.

    ``named`` are the columns whose values are categories; without them those with few values are taken.
    """
    pool = _Pool(size, seed, tuple(named))
    for candidate in candidates:
        pool.add(candidate)
    return pool.sample()


class _Lowest:
    """The few candidates with the lowest scores; scores are tuples of numbers that are never equal."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[tuple[int, ...], Candidate]] = []

    def add(self, score: tuple[int, ...], candidate: Candidate) -> None:
        entry = (tuple(-number for number in score), candidate)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        elif self._heap and entry[0] > self._heap[0][0]:
            heapq.heapreplace(self._heap, entry)

    def __iter__(self) -> Iterator[Candidate]:
        return (candidate for _, candidate in sorted(self._heap, key=lambda entry: entry[0], reverse=True))


@dataclass
class _Category:
    count: int = 0
    first: _Lowest = field(default_factory=lambda: _Lowest(KEPT))


class _Pool:
    """All that one pass over the candidates has to remember."""

    def __init__(self, size: int, seed: int, named: tuple[str, ...]) -> None:
        self.size, self.seed, self.named = size, seed, named
        self.population = 0
        self._any, self._long, self._short = _Lowest(size), _Lowest(size), _Lowest(size)
        self._doubts: dict[str, _Category] = {}
        self._columns: dict[str, dict[str, _Category]] = {name: {} for name in named}
        self._useless: set[str] = set()

    def add(self, candidate: Candidate) -> None:
        self.population += 1
        place = int.from_bytes(rank(self.seed, candidate.key))
        self._any.add((place,), candidate)
        self._long.add((-candidate.size, place), candidate)
        self._short.add((candidate.size, place), candidate)
        if candidate.doubt:
            _count(self._doubts.setdefault(candidate.doubt, _Category()), place, candidate)
        for column, value in candidate.traits.items():
            if column not in self._useless and (not self.named or column in self.named):
                self._sort_in(column, value, place, candidate)

    def _sort_in(self, column: str, value: str, place: int, candidate: Candidate) -> None:
        values = self._columns.setdefault(column, {})
        if value not in values:
            most = MOST_NAMED if self.named else MOST_VALUES
            if len(values) == most or (not self.named and len(value) > LONGEST_VALUE):
                self._useless.add(column)
                del self._columns[column]
                return
            values[value] = _Category()
        _count(values[value], place, candidate)

    # ------------------------------------------------------------------------------------ choosing

    def sample(self) -> Sample:
        columns = self._telling()
        shares = {name: self.size * of // 34 for name, of in OF_34.items()}
        chosen: dict[str, Chosen] = {}
        seen: dict[str, Candidate] = {}

        def take(candidate: Candidate, why: str) -> bool:
            if candidate.key in chosen:
                return False
            chosen[candidate.key] = Chosen(candidate.key, why)
            seen[candidate.key] = candidate
            return True

        def take_some(offers: Iterator[tuple[Candidate, str]], most: int) -> None:
            left = most
            while left > 0 and (offer := next(offers, None)) is not None:
                left -= take(*offer)

        take_some(((c, AT_RANDOM) for c in self._any), self.size - sum(shares.values()))
        take_some(self._across(columns, seen), shares["categories"])
        take_some(_in_turn(_said(self._long, LONGEST), _said(self._short, SHORTEST)), shares["ends"])
        before = len(chosen)
        take_some(self._doubtful(), shares["doubtful"])
        take_some(self._rare(columns, seen), shares["doubtful"] - (len(chosen) - before))
        take_some(((c, AT_RANDOM) for c in self._any), self.size - len(chosen))
        return Sample(tuple(chosen.values()), self.population, tuple(columns))

    def _telling(self) -> list[str]:
        """Columns that tell categories apart: two values at least, each of them twice on the average."""
        return [
            column
            for column, values in sorted(self._columns.items())
            if len(values) > 1 and (self.named or 2 * len(values) <= self.population)
        ]

    def _across(self, columns: Sequence[str], seen: Mapping[str, Candidate]) -> Iterator[tuple[Candidate, str]]:
        """Each time one of the category that fewest stand for so far; among equals of the column with fewer values,
        and there the most common one."""
        waiting = {
            (column, value): iter(category.first)
            for column in columns
            for value, category in self._columns[column].items()
        }
        while waiting:
            stand = Counter((column, seen[key].traits.get(column)) for key in seen for column in columns)
            column, value = min(waiting, key=lambda c: (stand[c], *self._weight(*c), c))
            candidate = next((one for one in waiting[column, value] if one.key not in seen), None)
            if candidate is None:
                del waiting[column, value]
            else:
                yield candidate, f"{column} = {value}"

    def _weight(self, column: str, value: str) -> tuple[int, int]:
        return len(self._columns[column]), -self._columns[column][value].count

    def _doubtful(self) -> Iterator[tuple[Candidate, str]]:
        yield from _in_turn(*(_said(of.first, f"doubtful: {doubt}") for doubt, of in sorted(self._doubts.items())))

    def _rare(self, columns: Sequence[str], seen: Mapping[str, Candidate]) -> Iterator[tuple[Candidate, str]]:
        """One of each rare category that nobody stands for yet, the rarest first."""
        rare = sorted(
            (category.count, column, value)
            for column in columns
            for value, category in self._columns[column].items()
            if category.count <= RARE * self.population
        )
        for _, column, value in rare:
            if not any(candidate.traits.get(column) == value for candidate in seen.values()):
                yield from _said(self._columns[column][value].first, f"rare: {column} = {value}", 1)


def _count(category: _Category, place: int, candidate: Candidate) -> None:
    category.count += 1
    category.first.add((place,), candidate)


def _said(candidates: Iterable[Candidate], why: str, most: int | None = None) -> Iterator[tuple[Candidate, str]]:
    for place, candidate in enumerate(candidates):
        if most is not None and place >= most:
            return
        yield candidate, why


def _in_turn(*sources: Iterator[tuple[Candidate, str]]) -> Iterator[tuple[Candidate, str]]:
    """One of each source, then the next of each, until none has any more."""
    waiting = list(sources)
    while waiting:
        still = []
        for source in waiting:
            if (offer := next(source, None)) is not None:
                yield offer
                still.append(source)
        waiting = still
