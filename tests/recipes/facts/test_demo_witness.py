"""The ledger against our books: each kind of lie is noticed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from seedbed.recipes.facts.witness import Moment, Ours, Witnessed, kept, name_of

TRUE = Witnessed(
    requests=12,
    answers=10,
    tokens_in=100,
    tokens_out=50,
    receipts=10,
    in_doubt=2,
    our_tokens_in=100,
    our_tokens_out=50,
    lost=0,
    twice=0,
)


def summary(**requests: int) -> Mapping[str, Any]:
    return {"by_item": {name: {"requests": count, "complete": count} for name, count in requests.items()}}


BEFORE = Moment({"a": 1, "b": 1, "c": 1}, 2, Ours({"a": 1, "b": 1}, {"c": 1}))


def test_a_kept_promise() -> None:
    found = kept(BEFORE, summary(a=1, b=1, c=2, d=1), 20)
    assert found.holds
    assert (found.received, found.in_doubt, found.asked_once_more) == (2, 1, 1)


@pytest.mark.parametrize(
    ("after", "in_flight"),
    [
        (summary(a=2, b=1, c=2), 20),  # a was received and asked again
        (summary(a=1, b=1, c=3), 20),  # c was asked twice more
        (summary(a=1, b=1, c=1, d=2), 20),  # d was asked twice
        (summary(a=1, b=1, c=2), 0),  # more in doubt than were out
    ],
)
def test_a_broken_promise_is_noticed(after: Mapping[str, Any], in_flight: int) -> None:
    assert not kept(BEFORE, after, in_flight).holds


def test_books_that_agree() -> None:
    assert TRUE.agrees
    assert replace(TRUE, answers=11, tokens_in=110, tokens_out=55, lost=1).agrees


@pytest.mark.parametrize(
    "lie",
    [
        {"tokens_in": 99},
        {"our_tokens_out": 49},
        {"receipts": 9},
        {"answers": 11},
        {"twice": 1},
        {"answers": 13, "lost": 3},
        {"answers": 11, "lost": 1, "our_tokens_in": 101},
    ],
)
def test_books_that_do_not_agree_are_noticed(lie: dict[str, int]) -> None:
    assert not replace(TRUE, **lie).agrees


def test_an_item_is_named_by_what_tells_it_apart() -> None:
    entry = 'Write.\n\n## The entry\n\n- entry: "Bern"\n- topic: "Cities"\n- keys of the topic: {}'
    fact = '## The fact\n\n- title: "Bern is old"\n- entry: "Bern"\n- topic: "Cities"'
    assert name_of(entry) == 'entry: "Bern"\n- topic: "Cities"'
    assert name_of(fact) == 'title: "Bern is old"\n- entry: "Bern"'
    assert name_of("something else") == ""
