"""A stratified sample: who is in it and why, again the same, and in any order."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.policy.strata import AT_RANDOM, LONGEST, SHORTEST, Candidate, counted, doubt_of, draw


def library(count: int = 9541, english: int = 5) -> list[Candidate]:
    sizes = random.Random(1)
    return [
        Candidate(
            f"[{n}]",
            sizes.randrange(10, 4000),
            {"lang": "en" if n % english == 0 else "ro", "topic": f"t{n % 7}", "id": str(n), "text": "long " * n},
            "an input is empty" if n % 97 == 0 else "",
        )
        for n in range(count)
    ]


def test_a_sample_of_34_is_shared_out_and_says_how() -> None:
    """(001.60)"""
    sample = draw(library(), 34, 20261120)
    assert sample.counts() == {AT_RANDOM: 12, "across categories": 10, LONGEST: 3, SHORTEST: 3, "doubtful": 6}
    assert sample.columns == ("lang", "topic")
    assert sample.population == 9541
    assert len({chosen.key for chosen in sample.chosen}) == 34


def test_each_language_and_topic_stands_in_a_sample_of_34_however_rare() -> None:
    """(001.60) 32 of 9,541 are English."""
    library_ = library(english=300)
    by_key = {candidate.key: candidate for candidate in library_}
    for seed in range(20):
        chosen = [by_key[one.key].traits for one in draw(library_, 34, seed).chosen]
        assert {traits["lang"] for traits in chosen} == {"en", "ro"}
        assert {traits["topic"] for traits in chosen} == {f"t{n}" for n in range(7)}


def test_the_longest_and_the_shortest_are_in_it() -> None:
    sample = draw(library(), 34, 1)
    by_size = sorted(library(), key=lambda candidate: candidate.size)
    assert {one.key for one in sample.chosen} >= {by_size[0].key, by_size[-1].key}


def test_the_same_seed_draws_the_same_whatever_the_order_and_another_seed_others() -> None:
    shuffled = library()
    random.Random(7).shuffle(shuffled)
    sample = draw(library(), 34, 1)
    assert draw(shuffled, 34, 1) == sample
    assert {one.key for one in draw(library(), 34, 2).chosen} != {one.key for one in sample.chosen}


def test_a_rare_category_that_nobody_stands_for_is_drawn_as_rare() -> None:
    few = [Candidate(f"[{n}]", 100, {"kind": "odd" if n == 0 else f"k{n % 20}"}) for n in range(2000)]
    sample = draw(few, 34, 3, ["kind"])
    assert ("[0]", "rare: kind = odd") in {(one.key, one.why) for one in sample.chosen} or any(
        one.key == "[0]" for one in sample.chosen
    )


def test_columns_with_many_values_or_long_ones_tell_no_categories_unless_named() -> None:
    many = [Candidate(f"[{n}]", 1, {"id": str(n), "city": f"c{n % 40}"}) for n in range(400)]
    assert draw(many, 34, 1).columns == ()
    assert draw(many, 34, 1, ["city"]).columns == ("city",)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 50), st.sampled_from("abc"), st.booleans()), max_size=60),
    st.integers(1, 80),
    st.integers(0, 5),
)
def test_as_many_as_asked_for_or_all_and_nobody_twice(rows: list[tuple[int, str, bool]], size: int, seed: int) -> None:
    candidates = [Candidate(f"[{n}]", s, {"c": c}, "odd" if odd else "") for n, (s, c, odd) in enumerate(rows)]
    sample = draw(candidates, size, seed)
    keys = [one.key for one in sample.chosen]
    assert len(keys) == len(set(keys)) == min(size, len(rows))
    assert sum(sample.counts().values()) == len(keys)


def test_reasons_are_counted_by_kind() -> None:
    assert counted(["lang = en", "at random", "doubtful: no letters", "lang = ro", "rare: lang = xx"]) == {
        "at random": 1,
        "across categories": 2,
        "doubtful": 1,
        "rare": 1,
    }


def test_what_is_odd_about_inputs_is_said() -> None:
    assert doubt_of({"text": "A plain sentence.", "count": 3}) == ""
    assert doubt_of({"text": "x", "topic": " "}) == "an input is empty"
    assert doubt_of({"text": "na\u00c3\u00afve"}) == "broken or hidden characters"
    assert doubt_of({"text": "<b>bold</b>"}) == "markup in the text"
    assert doubt_of({"text": "12 + 3 = ?"}) == "no letters"
