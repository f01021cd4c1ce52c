"""Parts of one limit, claimed in rounds by several processes. The state grants; here a dictionary does."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.policy.sharing import LEAST, WHOLE, Member, claim


def turn(held: dict[str, int], who: str, hungry: set[str], use: dict[str, float]) -> None:
    others = [Member(parts, name in hungry) for name, parts in held.items() if name != who]
    wish = claim(held.get(who, 0), hungry=who in hungry, use=use.get(who, 0.0), others=others)
    free = WHOLE - sum(other.held for other in others) - wish.keep
    held[who] = wish.keep + (wish.more if wish.more <= free else 0)


def settle(held: dict[str, int], hungry: set[str], use: dict[str, float] | None = None, turns: int = 6) -> None:
    for _ in range(turns):
        for who in list(held):
            turn(held, who, hungry, use or {})


def test_one_alone_has_all() -> None:
    held = {"a": 0}
    settle(held, {"a"}, turns=1)
    assert held == {"a": WHOLE}


def test_a_newcomer_gets_half_within_two_turns() -> None:
    held = {"a": WHOLE, "b": 0}
    settle(held, {"a", "b"}, turns=2)
    assert held == {"a": WHOLE // 2, "b": WHOLE // 2}


def test_one_that_needs_little_leaves_the_rest_to_those_who_wait() -> None:
    held = {"a": 5000, "b": 5000}
    settle(held, {"a"}, {"b": 0.1})
    assert held == {"a": 8750, "b": 1250}


def test_one_that_was_content_and_waits_again_gets_its_half_back() -> None:
    held = {"a": 8750, "b": 1250}
    settle(held, {"a", "b"})
    assert held == {"a": 5000, "b": 5000}


def test_what_one_leaves_is_taken_by_the_others() -> None:
    held = {"a": 5000}
    settle(held, {"a"}, turns=1)
    assert held == {"a": WHOLE}


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sets(st.integers(0, 5)), st.floats(0, 1)), max_size=60),
    st.integers(1, 6),
)
@settings(max_examples=100)
def test_parts_never_add_up_to_more_than_the_whole(steps: list[tuple[int, set[int], float]], count: int) -> None:
    held = {str(number): 0 for number in range(count)}
    for who, hungry, use in steps:
        turn(held, str(who % count), {str(each) for each in hungry}, {str(who % count): use})
        assert sum(held.values()) <= WHOLE and min(held.values()) >= 0


@given(st.integers(2, 8))
def test_all_who_wait_have_the_same_in_the_end(count: int) -> None:
    held = {str(number): 0 for number in range(count)}
    settle(held, set(held), turns=count + 2)
    assert max(held.values()) - min(held.values()) <= 1 and sum(held.values()) > WHOLE - count
    assert min(held.values()) >= LEAST
