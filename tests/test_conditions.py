"""The language of ``--where``: what it reads, what it means, and what it says when it cannot be read."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.conditions import (
    ALWAYS,
    DEEPEST,
    All,
    Compare,
    Condition,
    Contains,
    Either,
    Empty,
    In,
    Not,
    columns,
    conjunction,
    holds,
    is_empty,
    parse,
)
from seedbed.errors import UsageError

A, B, C = Compare("a", "=", 1), Compare("b", "=", 2), Compare("c", "=", 3)
DOCSTRING = "topic is empty and (status = 'new' or score >= 0.5) and name ~ 'sea' and kind in ('a', 'b')"
KEYWORDS = ("and", "or", "not", "in", "is", "empty", "null", "true", "false")

# ----------------------------------------------------------------------------------------- a printer

column_name = st.from_regex(r"[a-z_][a-z0-9_.]{0,8}", fullmatch=True) | st.text(min_size=1, max_size=6)
literal = (
    st.text(max_size=8)
    | st.integers(-(10**20), 10**20)
    | st.decimals(-(10**6), 10**6, places=3).map(float)
    | st.booleans()
)
leaf = (
    st.builds(Compare, column_name, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), literal)
    | st.builds(In, column_name, st.lists(literal, min_size=1, max_size=4).map(tuple))
    | st.builds(Empty, column_name)
    | st.builds(Contains, column_name, st.text(max_size=8))
)


def nested(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.builds(Not, inner) | st.builds(All, parts) | st.builds(Either, parts)


condition: st.SearchStrategy[Condition] = st.recursive(leaf, nested, max_leaves=8)


def printed(what: Condition) -> str:
    """The condition in its own language, each part in parentheses."""
    match what:
        case All(parts):
            return " and ".join(f"({printed(part)})" for part in parts)
        case Either(parts):
            return " or ".join(f"({printed(part)})" for part in parts)
        case Not(part):
            return f"not ({printed(part)})"
        case Empty(column):
            return f"{quoted(column)} is empty"
        case Contains(column, text):
            return f"{quoted(column)} ~ {written(text)}"
        case In(column, values):
            return f"{quoted(column)} in ({', '.join(map(written, values))})"
        case Compare(column, op, value):
            return f"{quoted(column)} {op} {written(value)}"


def quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


@given(condition)
def test_a_condition_comes_back_from_its_text(what: Condition) -> None:
    assert parse(printed(what)) == what


@given(condition, st.dictionaries(column_name, st.none() | literal | st.binary(max_size=3), max_size=4))
def test_each_condition_holds_or_does_not_for_each_row(what: Condition, row: dict[str, Any]) -> None:
    assert holds(Not(what), row) is not holds(what, row)


@given(condition)
def test_the_columns_of_a_condition_are_all_that_decide_it(what: Condition) -> None:
    row = dict.fromkeys(columns(what), "x")
    assert holds(what, {**row, "another column": 1}) == holds(what, row)


# ------------------------------------------------------------------------------------ what is read


def test_the_example_of_the_docstring_is_read_as_it_is_meant() -> None:
    assert parse(DOCSTRING) == All(
        (
            Empty("topic"),
            Either((Compare("status", "=", "new"), Compare("score", ">=", 0.5))),
            Contains("name", "sea"),
            In("kind", ("a", "b")),
        )
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1", A),
        ("a != 1", Compare("a", "!=", 1)),
        ("a <> 1", Compare("a", "!=", 1)),
        ("a < 1", Compare("a", "<", 1)),
        ("a <= 1", Compare("a", "<=", 1)),
        ("a > 1", Compare("a", ">", 1)),
        ("a >= 1", Compare("a", ">=", 1)),
        ("a=1", A),
        ("  a\n=\t1  ", A),
        ("a = -7", Compare("a", "=", -7)),
        ("a = -0.25", Compare("a", "=", -0.25)),
        ("a=-1", Compare("a", "=", -1)),
        ("a = 'x'", Compare("a", "=", "x")),
        ("a = ''", Compare("a", "=", "")),
        ("a = 'it''s'", Compare("a", "=", "it's")),
        ("a = ''''", Compare("a", "=", "'")),
        ("a = 'x and \"y\" or 1'", Compare("a", "=", 'x and "y" or 1')),
        ("a = '; drop table a --'", Compare("a", "=", "; drop table a --")),
        ("a = true", Compare("a", "=", True)),
        ("a = false", Compare("a", "=", False)),
        ("a ~ 'sea'", Contains("a", "sea")),
        ("a ~ 12", Contains("a", "12")),
        ("a not ~ 'sea'", Not(Contains("a", "sea"))),
        ("a in (1)", In("a", (1,))),
        ("a in ('x', 2, 3.5, true)", In("a", ("x", 2, 3.5, True))),
        ("a not in (1, 2)", Not(In("a", (1, 2)))),
        ("a is empty", Empty("a")),
        ("a is null", Empty("a")),
        ("a is not empty", Not(Empty("a"))),
        ("a is not null", Not(Empty("a"))),
        ("not a = 1", Not(A)),
        ("not not a = 1", Not(Not(A))),
        ("((a = 1))", A),
        ("outcome.state = 'rejected'", Compare("outcome.state", "=", "rejected")),
        ("outcome.attempts > 1", Compare("outcome.attempts", ">", 1)),
        ("größe = 1", Compare("größe", "=", 1)),
        ('"a column" = 1', Compare("a column", "=", 1)),
        ('"in" = 1', Compare("in", "=", 1)),
        ('"5" = 1', Compare("5", "=", 1)),
        ('"say ""hello""" = 1', Compare('say "hello"', "=", 1)),
        ('"it\'s" = 1', Compare("it's", "=", 1)),
        ("nothing = 1", Compare("nothing", "=", 1)),
    ],
)
def test_each_construct_is_read_as_what_it_stands_for(text: str, expected: Condition) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1 or b = 2 and c = 3", Either((A, All((B, C))))),
        ("a = 1 and b = 2 or c = 3", Either((All((A, B)), C))),
        ("(a = 1 or b = 2) and c = 3", All((Either((A, B)), C))),
        ("not a = 1 and b = 2", All((Not(A), B))),
        ("not a = 1 or b = 2", Either((Not(A), B))),
        ("not (a = 1 or b = 2)", Not(Either((A, B)))),
        ("a = 1 and b = 2 and c = 3", All((A, B, C))),
        ("a = 1 or b = 2 or c = 3", Either((A, B, C))),
        ("a = 1 and not b = 2", All((A, Not(B)))),
    ],
)
def test_not_binds_closer_than_and_and_closer_than_or(text: str, expected: Condition) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("word", KEYWORDS)
@pytest.mark.parametrize("change", [str.upper, str.title])
def test_keywords_are_read_in_any_case(word: str, change: Any) -> None:
    text = "not a in (1) and b is not empty or c is null and d = true and e = false"
    assert parse(text.replace(word, change(word))) == parse(text)


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_a_blank_text_holds_always(text: str) -> None:
    assert parse(text) == ALWAYS


# ------------------------------------------------------------------------------- what is not read


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a", "the end"),
        ("a =", "the end"),
        ("a = 1 and", "the end"),
        ("(a = 1", "the end"),
        ("a in (1", "the end"),
        ("a is", "the end"),
        ("a is not", "the end"),
        ("not", "the end"),
        ("a = 1)", ")"),
        ("a = 1 b = 2", "b = 2"),
        ("= 1", "= 1"),
        ("a == 1", "= 1"),
        ("a = b", "b"),
        ("a = null", "null"),
        ("a = 1.", "1."),
        ("a = 12abc", "12abc"),
        ("a = 1e5", "1e5"),
        ("a = 'open", "'open"),
        ('"" = 1', '"" = 1'),
        ('a = "text"', '"text"'),
        ("a in ()", ")"),
        ("a in 1", "1"),
        ("a in (1,)", ")"),
        ("a is 1", "1"),
        ("a like 'x'", "like 'x'"),
        ("a ( 1", "( 1"),
        ("a , 1", ", 1"),
        ("a = 1; drop table a", "; drop table a"),
        ("a = 1 -- b", "-- b"),
        ("and = 1", "and = 1"),
        ("a not = 1", "= 1"),
        ("a not 1", "1"),
        ("a = 1 or or b = 2", "or b = 2"),
        ("\x00", "\\x00"),
    ],
)
def test_an_error_names_the_place(text: str, place: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.what.endswith((f"at '{place}'", f'at "{place}"'))


def test_an_error_shows_how_to_write_it() -> None:
    with pytest.raises(UsageError) as caught:
        parse("a like 'x'")
    assert parse(caught.value.hint.removeprefix("Write it as: ")) != ALWAYS


@pytest.mark.parametrize("text", ["a not = 1", "a not != 1", "a not <> 1", "a not < 1", "a not >= 1"])
def test_a_negation_that_could_be_overlooked_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


@given(st.text())
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    with suppress(UsageError):
        parse(text)


TOKENS = [
    *KEYWORDS,
    "a",
    '"b c"',
    "'x'",
    "''",
    "1",
    "-2.5",
    "=",
    "!=",
    "<>",
    "<",
    ">=",
    "~",
    "(",
    ")",
    ",",
    "'",
    '"',
    ";",
]


@given(st.lists(st.sampled_from(TOKENS), max_size=12))
def test_any_row_of_words_is_read_or_refused_in_words(words: list[str]) -> None:
    with suppress(UsageError):
        parse(" ".join(words))


@pytest.mark.parametrize("text", ["(" * 100_000, "not " * 100_000 + "a = 1", "(" * 2000 + "a = 1" + ")" * 2000])
def test_a_text_that_is_nested_without_end_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


def test_conditions_may_be_nested_as_deeply_as_is_said() -> None:
    assert parse("(" * DEEPEST + "a = 1" + ")" * DEEPEST) == A


@pytest.mark.parametrize("digits", ["9" * 5000, "9" * 5000 + ".0", "9" * 400 + ".5"])
def test_a_number_of_endless_digits_is_refused(digits: str) -> None:
    with pytest.raises(UsageError):
        parse(f"a = {digits}")


# --------------------------------------------------------------------------------- what it means


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("a = 1", {"a": 1}, True),
        ("a = 1", {"a": 1.0}, True),
        ("a = 1", {"a": "1"}, True),
        ("a = 1", {"a": "1.0"}, True),
        ("a = 1", {"a": "one"}, False),
        ("a != 1", {"a": "one"}, True),
        ("a > 1", {"a": "one"}, False),
        ("a = '1'", {"a": 1}, True),
        ("a = 'x'", {"a": "X"}, False),
        ("a = true", {"a": 1}, True),
        ("a = true", {"a": True}, True),
        ("a = false", {"a": 0}, True),
        ("a < 2", {"a": "10"}, False),
        ("a < '2'", {"a": "10"}, True),
        ("a > -1", {"a": 0}, True),
        ("a > 1", {"a": b"x"}, False),
        ("a ~ 'SEA'", {"a": "the Sea"}, True),
        ("a ~ 'sea'", {"a": "the land"}, False),
        ("a ~ '1'", {"a": 212}, True),
        ("a ~ ''", {"a": ""}, True),
        ("a in (1, 'x')", {"a": "x"}, True),
        ("a in (1, 'x')", {"a": "1"}, True),
        ("a in (1, 'x')", {"a": 2}, False),
        ("a is empty", {"a": None}, True),
        ("a is empty", {"a": " \t\n"}, True),
        ("a is empty", {"a": 0}, False),
        ("a is empty", {"a": False}, False),
        ("a is empty", {"a": b""}, False),
        ("a is empty", {}, True),
        ("a is not empty", {"a": "x"}, True),
        ("not a = 1", {"a": None}, True),
        ("a not in (1)", {"a": None}, True),
        ("a not ~ 'x'", {"a": None}, True),
        ("a = 1 or b = 2", {"a": 0, "b": 2}, True),
        ("a = 1 and b = 2", {"a": 0, "b": 2}, False),
        ("outcome.state = 'rejected'", {"outcome.state": "rejected"}, True),
    ],
)
def test_a_condition_means_what_it_says(text: str, row: dict[str, Any], expected: bool) -> None:
    assert holds(parse(text), row) is expected


@pytest.mark.parametrize(
    "text", ["a = 1", "a != 1", "a < 1", "a >= 1", "a = ''", "a ~ ''", "a in (1, '')", "a = false"]
)
def test_a_comparison_with_null_never_holds(text: str) -> None:
    assert not holds(parse(text), {"a": None})


@pytest.mark.parametrize(("value", "expected"), [(None, True), ("", True), ("\u00a0", True), ("x", False), (0, False)])
def test_empty_is_null_and_text_of_blanks_only(value: Any, expected: bool) -> None:
    assert is_empty(value) is expected


def test_what_holds_always_holds_for_an_empty_row() -> None:
    assert holds(ALWAYS, {})


def test_a_condition_names_all_its_columns() -> None:
    assert columns(parse(f"{DOCSTRING} or not (outcome.cost > 1)")) == {
        "topic",
        "status",
        "score",
        "name",
        "kind",
        "outcome.cost",
    }


@given(st.lists(condition, max_size=4), st.dictionaries(column_name, literal, max_size=4))
def test_a_conjunction_holds_where_all_its_parts_do(parts: list[Condition], row: dict[str, Any]) -> None:
    assert holds(conjunction(*parts), row) == all(holds(part, row) for part in parts)


def test_a_conjunction_is_not_nested_without_need() -> None:
    assert conjunction(ALWAYS, A, All((B, C))) == All((A, B, C))


def test_a_conjunction_of_one_is_that_one() -> None:
    assert conjunction(ALWAYS, A) == A
