"""Identity is stored for years: literal values that no change of the code may move, and the laws behind them."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import is_dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from seedbed import records
from seedbed.errors import SourceError, UsageError
from seedbed.policy.budget import share
from seedbed.records import (
    IDENTITY_VERSION,
    LogicalType,
    Message,
    Part,
    Request,
    Usage,
    call_id,
    canonical_json,
    cell,
    digest,
    fingerprint,
    key_text,
    key_values,
    pack,
    parse_key,
    parse_money,
    row_id,
    same_cell,
    unpack,
    usd,
    usd_exact,
)

NAME = "Caf\u00e9"
NAME_IN_PARTS = "Cafe\u0301"

RECIPE_BODY = {
    "prompt": "Summarise {{ text }}\n",
    "shape": {"type": "object", "properties": {"summary": {"type": "string"}}, "required": ["summary"]},
    "parameters": {"temperature": 0.2},
    "max_output": 2048,
    "inputs": ["text", "topic"],
    "role": "tier:default",
    "version": "1",
    "prompts": [],
    "shapes": [],
    "relation": "fills",
}

NAIVE = datetime(2026, 11, 20, 8, 30, tzinfo=UTC).replace(tzinfo=None)
"""A time without a zone, as most databases hold it."""

text = st.text(st.characters(exclude_categories=["Cs"]))
finite = st.floats(allow_nan=False, allow_infinity=False)
key_value = text | st.integers(-(10**30), 10**30) | st.booleans() | finite
scalar = st.none() | st.booleans() | st.integers() | finite | text
json_value = st.recursive(
    scalar,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text | st.just("$bytes"), inner, max_size=3),
    max_leaves=8,
)


def golden_request(**change: Any) -> Request:
    return Request(
        **{
            "role": "default",
            "messages": (Message("system", "Be brief.", stable=True), Message("user", NAME)),
            "shape": {"type": "object", "properties": {"summary": {"type": "string"}}},
            "parameters": {"temperature": 0.5, "max_output": 2048},
            **change,
        }
    )


# ----------------------------------------------------------------------------------- golden values


def test_the_version_of_the_encodings_is_the_one_that_the_golden_values_were_taken_with() -> None:
    assert IDENTITY_VERSION == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([12, "a"], '[12,"a"]'),
        (["12"], '["12"]'),
        ([1.5, True, -7], "[1.5,true,-7]"),
        ([NAME, NAME_IN_PARTS], f'["{NAME}","{NAME_IN_PARTS}"]'),
        (['a"b\\c\n'], '["a\\"b\\\\c\\n"]'),
        ([Decimal("1.50")], '["1.50"]'),
        ([date(2026, 11, 20)], '["2026-11-20"]'),
        ([datetime(2026, 11, 20, 8, 30, tzinfo=UTC)], '["2026-11-20 08:30:00+00:00"]'),
        ([UUID("8f14e45f-ceea-467f-a0e6-1d7f9a3c2b10")], '["8f14e45f-ceea-467f-a0e6-1d7f9a3c2b10"]'),
        ([], "[]"),
    ],
)
def test_key_texts_are_what_they_were(values: list[Any], expected: str) -> None:
    assert key_text(values) == expected


@pytest.mark.parametrize(
    ("inputs", "types", "expected"),
    [
        ({}, {}, "4a9e6f9b8d43f6ad008f8c291929dee2"),
        ({"text": "What is H2O?"}, {}, "41b2519e5657d26fec51246d21130219"),
        ({"text": NAME}, {"text": "text"}, "7d307e8631eb98772a385eb9703b0535"),
        ({"n": 1}, {"n": "int"}, "491d8a29d154b131a927637d7f9b380d"),
        ({"n": Decimal("0.25")}, {"n": "number"}, "0173a89e8aadc1c14fc0a0d4ee727b2d"),
        ({"b": True}, {"b": "bool"}, "51c766712f1141153047a65e47439807"),
        ({"d": "2026-11-20"}, {"d": "date"}, "abb3cee5e825fdd193436d1acc01eb61"),
        ({"t": datetime(2026, 11, 20, 8, 30, tzinfo=UTC)}, {"t": "datetime"}, "a2a668cf3ff1a9efc3201790718ae68d"),
        ({"j": '{"b": 1, "a": [true, null]}'}, {"j": "json"}, "3dac06d9a71242abc7d061adf8bb4b4d"),
        ({"x": b"\x00\xff"}, {}, "b32a7ee9c1ba4d4df90af0581b3414e7"),
        ({"none": None}, {}, "65dd30f40984b93d6753a9d04aa2034e"),
        ({"b": 2, "a": "one", "c": None}, {"b": "int"}, "662fe42cb0150ef11047ae749f6510ba"),
    ],
)
def test_fingerprints_are_what_they_were(inputs: dict[str, Any], types: dict[str, LogicalType], expected: str) -> None:
    assert fingerprint(inputs, types) == expected


@pytest.mark.parametrize(
    ("round_id", "keys", "name", "attempt", "expected"),
    [
        ("round-1", ['["a"]'], "ask", 1, "335d6fae174cada0e96538f3dc5fce96"),
        ("round-1", ["[1]", "[2]", "[10]"], "ask", 2, "521b2cfa9552326c006809640cca73c2"),
        ("round-20261120T083000-3f9a2c", [f'["{NAME}"]'], "verdict", 3, "382a6ee1b8b13f2d543580789bd7f945"),
    ],
)
def test_call_ids_are_what_they_were(round_id: str, keys: list[str], name: str, attempt: int, expected: str) -> None:
    assert call_id(round_id, keys, name, attempt) == expected


@pytest.mark.parametrize(
    ("natural", "ordinal", "content", "expected"),
    [
        (("chemistry", NAME), 0, {}, "43ffa9ee89a713776e15a18b6f008b69"),
        (("chemistry", None, 3), 4, {"left": "out"}, "9655a49bf8b96b49864c0f1d436e27cb"),
        (None, 2, {"title": "Water", "n": 1}, "2b61b6b2a5cee7741171a26c6d51ecc8"),
    ],
)
def test_row_ids_are_what_they_were(
    natural: tuple[Any, ...] | None, ordinal: int, content: dict[str, Any], expected: str
) -> None:
    assert row_id('["e-1"]', "facts.explode", natural, ordinal, content) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "d8f0c10a264fdfbec602db058dec8d54"),
        ({"model": "openai/gpt-5-mini"}, "3b98995e56e5be7f25191ab40d872d61"),
        ({"shape": None, "parameters": {}}, "913377b8a484419025e15af6cef42100"),
    ],
)
def test_request_digests_are_what_they_were(change: dict[str, Any], expected: str) -> None:
    assert golden_request(**change).digest() == expected


def test_the_hash_of_a_recipe_is_what_it_was() -> None:
    assert digest("recipe", canonical_json(RECIPE_BODY)) == "d4833025a95084cb14dbf5c587187aa9"


def test_keys_lie_in_the_parts_that_they_lay_in() -> None:
    keys = [key_text([n]) for n in range(10)] + [key_text([f"act-{n}"]) for n in range(10)]
    held = [next(index for index in (1, 2, 3) if Part(index, 3).holds(key)) for key in keys]
    assert held == [1, 2, 1, 3, 1, 1, 1, 2, 3, 2, 1, 3, 3, 3, 1, 1, 2, 2, 1, 3]  # fmt: skip


# ---------------------------------------------------------------------------------------- the digest


def test_a_digest_knows_where_its_parts_end() -> None:
    assert digest("ab", "c") != digest("a", "bc")


@given(st.lists(text | st.binary()), st.lists(text | st.binary()))
def test_digests_of_different_parts_differ(one: list[str | bytes], other: list[str | bytes]) -> None:
    def plain(parts: list[str | bytes]) -> list[bytes]:
        return [part.encode() if isinstance(part, str) else part for part in parts]

    assert (digest(*one) == digest(*other)) == (plain(one) == plain(other))


def test_a_digest_takes_broken_text() -> None:
    assert digest("\ud800") != digest("\ud801")


@given(json_value)
def test_canonical_json_does_not_depend_on_the_order_of_names(value: Any) -> None:
    def turned(one: Any) -> Any:
        if isinstance(one, dict):
            return {name: turned(one[name]) for name in reversed(one)}
        return [turned(each) for each in one] if isinstance(one, list) else one

    assert canonical_json(turned(value)) == canonical_json(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, [-math.inf]])
def test_canonical_json_refuses_what_json_does_not_know(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(value)


# ---------------------------------------------------------------------------------------------- keys


@given(st.lists(key_value))
def test_a_key_comes_back_from_its_text(values: list[Any]) -> None:
    assert key_values(key_text(values)) == tuple(values)


@given(st.lists(key_value))
def test_a_key_keeps_the_types_of_its_values(values: list[Any]) -> None:
    assert [type(value) for value in key_values(key_text(values))] == [type(value) for value in values]


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, Decimal("NaN"), Decimal("Infinity"), b"x", [1]])
def test_a_key_of_what_has_no_stable_text_is_refused(value: Any) -> None:
    with pytest.raises(SourceError, match="a key value"):
        key_text(["a", value])


@pytest.mark.parametrize("key", ["", "12", '{"a": 1}', "[1", "x", "[" * 100_000])
def test_a_text_that_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match="not a key"):
        key_values(key)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("12", "[12]"),
        ("-3", "[-3]"),
        ("012", '["012"]'),
        ("1_000", '["1_000"]'),
        (" act-1 ", '["act-1"]'),
        ('["a", 1]', '["a",1]'),
        ("1.50", '["1.50"]'),
        ("9" * 5000, f'["{"9" * 5000}"]'),
    ],
)
def test_a_key_can_be_typed_by_a_person(typed: str, expected: str) -> None:
    assert parse_key(typed) == expected


@pytest.mark.parametrize("typed", ["[act-1]", '["a"', "[null]", "[NaN]"])
def test_a_key_that_was_typed_wrongly_is_refused_in_words(typed: str) -> None:
    with pytest.raises(UsageError):
        parse_key(typed)


@given(st.lists(key_value, min_size=1))
def test_a_key_text_that_is_typed_is_that_key(values: list[Any]) -> None:
    assert parse_key(key_text(values)) == key_text(values)


# -------------------------------------------------------------------------------------- fingerprints

EQUAL: list[tuple[LogicalType, list[Any]]] = [
    ("bool", [True, 1, "1", "true", "TRUE", "t", "yes", " True "]),
    ("bool", [False, 0, "0", "false", "f", "no"]),
    ("int", [1, 1.0, "1", "1.0", "1.00", Decimal("1"), Decimal("1.00"), "1e0", True]),
    ("int", [0, -0.0, "0", "-0", "0.00", Decimal("-0.0"), "0e9"]),
    ("number", [0.5, "0.5", "0.50", "5e-1", Decimal("0.5"), " 0.5 "]),
    ("number", [100, 1e2, "100", "1e2", "100.", Decimal("1E+2")]),
    ("number", ["1e500", "10e499", "1.0e500", Decimal("1E+500")]),
    ("date", [date(2026, 11, 20), "2026-11-20", " 2026-11-20 ", "20261120"]),
    ("date", ["2026-11-20", NAIVE.replace(hour=0, minute=0), "2026-11-20 00:00:00"]),
    ("datetime", [NAIVE, "2026-11-20 08:30:00", "2026-11-20T08:30", "2026-11-20T08:30:00.000"]),
    (
        "datetime",
        [
            datetime(2026, 11, 20, 8, 30, tzinfo=UTC),
            "2026-11-20T08:30:00Z",
            "2026-11-20 09:30:00+01:00",
            datetime(2026, 11, 20, 3, 30, tzinfo=timezone(timedelta(hours=-5))),
        ],
    ),
    ("text", [NAME, NAME_IN_PARTS]),
    ("json", ['{"a": 1, "b": [1, 2]}', '{"b":[1,2],"a":1}', {"b": [1, 2], "a": 1}, b'{"a":1,"b":[1,2]}']),
    ("json", [f'{{"{NAME}": 1, "Caff": 2}}', f'{{"Caff": 2, "{NAME_IN_PARTS}": 1}}']),
]  # fmt: skip


@pytest.mark.parametrize(
    ("logical", "one", "other"), [(logical, values[0], other) for logical, values in EQUAL for other in values[1:]]
)
def test_values_that_are_one_under_their_type_have_one_fingerprint(logical: LogicalType, one: Any, other: Any) -> None:
    assert fingerprint({"x": one}, {"x": logical}) == fingerprint({"x": other}, {"x": logical})


@pytest.mark.parametrize(
    ("logical", "one", "other"),
    [(logical, values[0], other) for logical, values in EQUAL for other in values[1:] if not isinstance(other, bytes)],
)
def test_values_that_are_one_under_their_type_are_the_same_cell(logical: LogicalType, one: Any, other: Any) -> None:
    assert same_cell(one, other, logical)


@pytest.mark.parametrize(
    ("logical", "one", "other"),
    [
        (None, "1", 1),
        (None, None, ""),
        (None, b"a", "a"),
        (None, True, 1),
        (None, "a", "A"),
        (None, "a", "a "),
        ("text", "1", "1.0"),
        ("text", "\ufb01", "fi"),
        ("int", 1, None),
        ("int", 1, -1),
        ("int", "12", "12 apples"),
        ("number", "1e500", "1e501"),
        ("number", "1e500", "-1e500"),
        ("number", "1e-500", "1e-501"),
        ("number", "nan", "inf"),
        ("number", 2**53, 2**53 + 1),
        ("bool", 1, 0),
        ("bool", "yes", "perhaps"),
        ("date", "2026-11-20", "2026-11-21"),
        ("date", "2026-11-20", NAIVE),
        ("datetime", "2026-11-20T08:30:00", "2026-11-20T08:30:00Z"),
        ("datetime", "2026-11-20T08:30:00", "2026-11-20T08:30:00.000001"),
        ("json", "[1, 2]", "[2, 1]"),
        ("json", "{}", "[]"),
        ("json", f'{{"{NAME}": 1, "{NAME_IN_PARTS}": 2}}', f'{{"{NAME}": 2, "{NAME_IN_PARTS}": 1}}'),
    ],
)
def test_values_that_differ_have_different_fingerprints(logical: LogicalType | None, one: Any, other: Any) -> None:
    types: dict[str, LogicalType] = {"x": logical} if logical else {}
    assert fingerprint({"x": one}, types) != fingerprint({"x": other}, types)


@pytest.mark.parametrize("digits", ["1e999999999", "-1e999999999", "1e-999999999"])
def test_a_number_with_a_great_exponent_is_not_written_out(digits: str) -> None:
    assert len(fingerprint({"x": digits}, {"x": "number"})) == 32


@pytest.mark.parametrize(
    ("logical", "value"),
    [
        ("datetime", "0001-01-01T00:00:00+14:00"),
        ("datetime", "9999-12-31T23:59:59-14:00"),
        ("date", "2026-02-30"),
        ("json", "[" * 100_000),
        ("json", "NaN"),
        ("json", b"\xff"),
        ("int", "twelve"),
    ],
)
def test_a_text_that_does_not_fit_its_type_counts_as_it_is(logical: LogicalType, value: str) -> None:
    assert fingerprint({"x": value}, {"x": logical}) == fingerprint({"x": value})


def test_a_value_without_a_type_of_ours_counts_by_its_text() -> None:
    one = UUID("8f14e45f-ceea-467f-a0e6-1d7f9a3c2b10")
    assert fingerprint({"x": one}) == fingerprint({"x": str(one)})


@given(st.dictionaries(text, scalar))
def test_the_order_of_the_columns_does_not_matter(inputs: dict[str, Any]) -> None:
    assert fingerprint(dict(reversed(inputs.items()))) == fingerprint(inputs)


@given(st.dictionaries(text, text), st.dictionaries(text, text))
def test_different_inputs_have_different_fingerprints(one: dict[str, str], other: dict[str, str]) -> None:
    def normal(inputs: dict[str, str]) -> dict[str, str]:
        return {name: unicodedata.normalize("NFC", value) for name, value in inputs.items()}

    assert (fingerprint(one) == fingerprint(other)) == (normal(one) == normal(other))


def test_a_value_does_not_slip_into_the_next_column() -> None:
    assert fingerprint({"a": "x", "b": "yz"}) != fingerprint({"a": "xy", "b": "z"})


@given(text, st.sampled_from(["NFC", "NFD"]))
def test_text_counts_in_its_composed_form(value: str, form: Any) -> None:
    assert fingerprint({"x": unicodedata.normalize(form, value)}) == fingerprint({"x": value})


@given(st.integers(), st.integers(0, 5))
def test_zeros_behind_the_point_do_not_count(number: int, zeros: int) -> None:
    written = f"{number}.{'0' * zeros}"
    assert fingerprint({"x": written}, {"x": "number"}) == fingerprint({"x": number}, {"x": "number"})


# ----------------------------------------------------------------------------------- calls, requests


@given(st.lists(text, unique=True), st.randoms(use_true_random=False))
def test_a_call_is_the_same_whatever_the_order_of_its_items(keys: list[str], random: Any) -> None:
    shuffled = random.sample(keys, len(keys))
    assert call_id("r", shuffled, "ask", 1) == call_id("r", keys, "ask", 1)


@pytest.mark.parametrize(
    "other",
    [
        ("r2", ["a", "b"], "ask", 1),
        ("r", ["a"], "ask", 1),
        ("r", ["ab"], "ask", 1),
        ("r", ["a", "b"], "judge", 1),
        ("r", ["a", "b"], "ask", 2),
        ("r", ["a"], "b", 1),
    ],
)
def test_another_round_item_name_or_attempt_is_another_call(other: tuple[str, list[str], str, int]) -> None:
    assert call_id(*other) != call_id("r", ["a", "b"], "ask", 1)


@pytest.mark.parametrize(
    "change",
    [
        {"role": "high"},
        {"model": "openai/gpt-5"},
        {"messages": (Message("system", "Be brief."), Message("user", NAME_IN_PARTS))},
        {"messages": (Message("system", f"Be brief.{NAME}"),)},
        {"messages": (Message("user", "Be brief."), Message("system", NAME))},
        {"shape": {"type": "object"}},
        {"shape": None},
        {"parameters": {"temperature": 0.5, "max_output": 4096}},
    ],
)
def test_another_question_has_another_digest(change: dict[str, Any]) -> None:
    assert golden_request(**change).digest() != golden_request().digest()


@pytest.mark.parametrize(
    "change",
    [
        {"messages": (Message("system", "Be brief."), Message("user", NAME, stable=True))},
        {"parameters": {"max_output": 2048, "temperature": 0.5}},
    ],
)
def test_what_is_no_part_of_the_question_does_not_count(change: dict[str, Any]) -> None:
    assert golden_request(**change).digest() == golden_request().digest()


def test_the_tier_does_not_count_where_the_model_is_named() -> None:
    one, other = golden_request(model="a/b", role="default"), golden_request(model="a/b", role="high")
    assert one.digest() == other.digest()


def test_a_row_with_a_natural_key_has_one_id_wherever_it_stands_in_the_answer() -> None:
    assert row_id("p", "s", ("x",), 0, {"a": 1}) == row_id("p", "s", ("x",), 7, {"b": 2})


@pytest.mark.parametrize(
    "other",
    [("p2", "s", ("x",), 0, {}), ("p", "s2", ("x",), 0, {}), ("p", "s", ("y",), 0, {}), ("p", "s", None, 0, {})],
)
def test_rows_of_another_parent_stage_or_key_have_other_ids(other: Any) -> None:
    assert row_id(*other) != row_id("p", "s", ("x",), 0, {})


@pytest.mark.parametrize("other", [(1, {"a": 1}), (0, {"a": 2}), (0, {"a": 1, "b": None})])
def test_a_row_without_a_natural_key_is_its_place_and_content(other: tuple[int, dict[str, Any]]) -> None:
    assert row_id("p", "s", None, *other) != row_id("p", "s", None, 0, {"a": 1})


# --------------------------------------------------------------------------------------------- parts


@given(text, st.integers(1, 50))
def test_each_key_lies_in_exactly_one_part(key: str, count: int) -> None:
    assert sum(Part(index, count).holds(key) for index in range(1, count + 1)) == 1


def test_the_whole_holds_every_key() -> None:
    assert all(Part(1, 1).holds(key_text([n])) for n in range(100))


def test_parts_share_the_keys_about_evenly() -> None:
    held = [sum(Part(index, 4).holds(key_text([n])) for n in range(4000)) for index in range(1, 5)]
    assert all(900 < count < 1100 for count in held)


@given(st.integers(1, 99), st.integers(1, 99))
def test_a_part_comes_back_from_its_text(index: int, count: int) -> None:
    assume(index <= count)
    assert Part.parse(str(Part(index, count))) == Part(index, count)


@pytest.mark.parametrize("said", ["", "1", "0/3", "4/3", "1/0", "a/b", "1/2/3", "-1/3", "1.5/3", "²/3", "/", "1/"])
def test_a_part_that_is_none_is_refused(said: str) -> None:
    with pytest.raises(UsageError, match="--part"):
        Part.parse(said)


# ------------------------------------------------------------------------------- cells and their text


@given(json_value)
def test_json_comes_back_from_its_packed_form(value: Any) -> None:
    assert unpack(pack(value)) == value


@given(st.dictionaries(text, st.binary() | scalar))
def test_bytes_come_back_from_their_packed_form(row: dict[str, Any]) -> None:
    assert unpack(pack(row)) == row


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_an_object_that_looks_like_packed_bytes_comes_back_as_the_object(depth: int) -> None:
    value = {f"{'$' * depth}bytes": "zz", "more": 1}
    assert unpack(pack([{f"{'$' * depth}bytes": "zz"}, value, b"\x00"])) == [
        {f"{'$' * depth}bytes": "zz"},
        value,
        b"\x00",
    ]


def test_bytes_are_packed_as_they_always_were() -> None:
    assert pack({"a": b"\x00\xff"}) == '{"a":{"$bytes":"00ff"}}'


@pytest.mark.parametrize("value", [bytearray(b"ab"), memoryview(b"ab")])
def test_other_kinds_of_bytes_become_bytes(value: Any) -> None:
    assert unpack(pack(value)) == b"ab"


@pytest.mark.parametrize("value", [date(2026, 11, 20), Decimal("1.50"), UUID(int=1)])
def test_strangers_become_their_text(value: Any) -> None:
    assert unpack(pack([value])) == [str(value)]


def test_packed_text_is_ascii_so_that_any_database_takes_it() -> None:
    assert pack("\ud800é").isascii()
    assert pack({"a": "é"}).isascii()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1, "é"], '[1, "é"]'),
        ({"b": 1, "a": 2}, '{"b": 1, "a": 2}'),
        ((1,), "[1]"),
        ("x", "x"),
        (None, None),
        (1.5, 1.5),
    ],
)
def test_a_cell_holds_lists_and_mappings_as_json_in_their_own_order(value: Any, expected: Any) -> None:
    assert cell(value) == expected


@pytest.mark.parametrize("other", ["", 0, False, "NULL"])
def test_null_is_the_same_cell_as_null_only(other: Any) -> None:
    assert not same_cell(None, other) and same_cell(None, None)


# --------------------------------------------------------------------------------------------- money


@pytest.mark.parametrize(
    ("nano", "expected"),
    [
        (None, "unknown"),
        (0, "$0.00"),
        (1_234_567_890_000, "$1,234.57"),
        (1_000_000_000, "$1.00"),
        (12_345_678, "$0.0123"),
        (-2_500_000_000, "$-2.50"),
    ],
)
def test_money_for_people(nano: int | None, expected: str) -> None:
    assert usd(nano) == expected


@pytest.mark.parametrize(("nano", "expected"), [(None, None), (0, "0"), (1, "0.000000001"), (2_500_000_000, "2.5")])
def test_money_for_programs_is_exact(nano: int | None, expected: str | None) -> None:
    assert usd_exact(nano) == expected


@pytest.mark.parametrize(
    ("said", "nano"),
    [
        ("5usd", 5_000_000_000),
        ("$5", 5_000_000_000),
        ("0.25", 250_000_000),
        (" 5 USD ", 5_000_000_000),
        ("$ 0.000000001", 1),
        ("1e3", 1_000_000_000_000),
        ("0", 0),
    ],
)
def test_money_can_be_typed_by_a_person(said: str, nano: int) -> None:
    assert parse_money(said) == nano


@pytest.mark.parametrize("said", ["", "usd", "-1", "five", "nan", "inf", "5eur", "1e999999", "2000000000", "1,5"])
def test_what_is_no_money_is_refused(said: str) -> None:
    with pytest.raises(UsageError, match="is not an amount of money"):
        parse_money(said)


@given(st.integers(0, 10**18))
def test_exact_money_can_be_read_again(nano: int) -> None:
    assert parse_money(str(usd_exact(nano))) == nano


@given(st.integers(0, 10**15), st.integers(1, 200))
def test_the_shares_of_an_amount_add_up(total: int, parts: int) -> None:
    assert sum(share(total, parts)) == total


@given(st.integers(0, 10**15), st.integers(1, 200))
def test_the_shares_of_an_amount_differ_by_one_at_most_the_larger_first(total: int, parts: int) -> None:
    shares = share(total, parts)
    assert shares == sorted(shares, reverse=True) and shares[0] - shares[-1] <= 1


def test_nothing_is_shared_among_nobody() -> None:
    assert share(10, 0) == []


@given(*[st.builds(Usage, *[st.integers(0, 10**9)] * 4)] * 2)
def test_tokens_add_up_each_kind_apart(one: Usage, other: Usage) -> None:
    both = one + other
    assert (both.input, both.cached, both.output, both.reasoning) == (
        one.input + other.input, one.cached + other.cached, one.output + other.output, one.reasoning + other.reasoning,
    )  # fmt: skip


# ------------------------------------------------------------------------------------ values as such


VALUES = [each for each in vars(records).values() if isinstance(each, type) and is_dataclass(each)]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_a_value_is_frozen_and_takes_no_other_name(value: Any) -> None:
    assert value.__dataclass_params__.frozen
    assert "__slots__" in vars(value)


def test_what_is_not_said_counts_for_nothing() -> None:
    usage = records.Usage()
    assert (usage.input, usage.cached, usage.output, usage.reasoning) == (0, 0, 0, 0)
    assert records.Message("user", "text").stable is False
    assert (records.Part().index, records.Part().count) == (1, 1)


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (True, False),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), datetime(2026, 1, 2, 4, tzinfo=UTC)),
        (date(2026, 1, 2), date(2026, 1, 3)),
    ],
)
def test_values_without_a_declared_type_differ_where_they_do(value: Any, other: Any) -> None:
    assert records.fingerprint({"a": value}) != records.fingerprint({"a": other})
    assert not records.same_cell(value, other)
    assert records.same_cell(value, value)


def test_a_moment_counts_as_its_text_does() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert records.same_cell(moment, "2026-01-02T03:04:05+00:00", "datetime")
    assert records.fingerprint({"a": moment}) == records.fingerprint({"a": "2026-01-02T03:04:05Z"}, {"a": "datetime"})
    assert records.same_cell("2026-01-02", date(2026, 1, 2), "date")
    assert not records.same_cell("2026-01-02", "2026-01-02T00:00:00", "datetime")


def test_a_json_cell_that_is_followed_by_more_is_refused() -> None:
    with pytest.raises(ValueError):
        records.unpack('{"a": 1} x')
