"""Stages, selections and pipelines as values: what they refuse, and what they say is missing."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from seedbed import conditions
from seedbed.errors import ConfigError, UsageError
from seedbed.records import Item
from seedbed.stage import (
    Call,
    Fills,
    Gathers,
    Lookup,
    Makes,
    Pipeline,
    Row,
    Selection,
    Stage,
    Unique,
    fills,
    gathers,
    makes,
    unique,
)

FILLS = fills("questions", ["summary"])


def no_rows(item: Item, out: Any) -> list[Row]:
    return []


def stage(name: str = "q.summary", relation: Any = FILLS, **more: Any) -> Stage:
    return Stage(name, relation, **{"prompt": "Summarise.", **more})


def compute(item: Item) -> Any:
    return {}


async def ask(item: Item, call: Call) -> Any:
    return {}


# ------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("name", ["a", "q.summary", "2024-x", "a_b", "facts.fill.en", "x" * 80])
def test_a_plain_name_is_a_stage_name(name: str) -> None:
    assert stage(name).name == name


@pytest.mark.parametrize("name", ["", "Q", "q summary", ".q", "-q", "q/x", "../q", "é", "q\n", "x" * 81, "q:1"])
def test_a_name_that_could_not_be_a_file_or_a_word_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is not a stage name"):
        stage(name)


@pytest.mark.parametrize(
    ("ways", "said"),
    [
        ({}, "none of them"),
        ({"prompt": "p", "ask": ask}, "prompt and ask"),
        ({"prompt": "p", "compute": compute}, "prompt and compute"),
        ({"ask": ask, "compute": compute}, "ask and compute"),
        ({"prompt": "p", "ask": ask, "compute": compute}, "prompt and ask and compute"),
    ],
)
def test_a_stage_has_exactly_one_way_to_work_an_item(ways: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=f"exactly one of prompt, ask, compute; it has {said}$"):
        Stage("s", FILLS, **ways)


@pytest.mark.parametrize("ways", [{"prompt": "p"}, {"ask": ask}, {"compute": compute}])
def test_each_of_the_three_ways_alone_is_enough(ways: dict[str, Any]) -> None:
    assert Stage("s", FILLS, **ways).calls_model is ("compute" not in ways)


@pytest.mark.parametrize("name", ["per_call", "attempts", "max_output", "round_size"])
@pytest.mark.parametrize("number", [0, -1])
def test_a_bound_below_one_is_refused(name: str, number: int) -> None:
    bound: dict[str, Any] = {name: number}
    with pytest.raises(ConfigError, match="start at 1"):
        stage(**bound)


def test_a_condition_that_cannot_be_read_is_refused_when_the_stage_is_made() -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        stage(eligible="status is new")


@pytest.mark.parametrize("outputs", [[], (), "summary"])
def test_a_stage_that_fills_needs_a_list_of_columns(outputs: Any) -> None:
    with pytest.raises(ConfigError, match="at least one output column"):
        fills("questions", outputs)


def test_a_stage_is_a_value_that_nobody_changes() -> None:
    one = stage()
    with pytest.raises(FrozenInstanceError):
        one.attempts = 5  # type: ignore[misc]  # that is the point


# --------------------------------------------------------------------------------------- eligibility


def said(one: Stage) -> conditions.Condition:
    return one.condition()


def test_without_a_condition_an_empty_output_cell_makes_a_row_eligible() -> None:
    assert said(stage()) == conditions.parse("summary is empty")


def test_with_several_outputs_any_empty_one_makes_a_row_eligible() -> None:
    assert said(stage(relation=fills("q", ["a", "b"]))) == conditions.parse("a is empty or b is empty")


def test_a_condition_of_its_own_takes_the_place_of_the_empty_cell() -> None:
    assert said(stage(eligible="status = 'new'")) == conditions.parse("status = 'new'")


def test_a_stage_that_overwrites_takes_all_rows() -> None:
    assert said(stage(overwrite=True)) == conditions.ALWAYS


def test_a_selection_holds_beside_the_empty_cell() -> None:
    relation = fills("q", ["a"], source=Selection("q", "topic = 't'"))
    assert said(stage(relation=relation)) == conditions.parse("topic = 't' and a is empty")


def test_a_view_says_itself_which_rows_it_shows() -> None:
    assert said(stage(relation=fills("q", ["a"], source="unsolved"))) == conditions.ALWAYS


def test_a_stage_that_makes_rows_takes_its_selection() -> None:
    relation = makes(Selection("entries", "topic is not empty"), rows=no_rows, into=["facts"])
    assert said(stage(relation=relation, eligible="n > 1")) == conditions.parse("topic is not empty and n > 1")


def test_a_stage_names_the_columns_that_it_speaks_of() -> None:
    relation = gathers(Selection("facts", "kind = 'x'"), by=["topic"], rows=no_rows, into=["digests"])
    one = stage(relation=relation, inputs=("title",), eligible="outcome.state = 'failed' and n > 1")
    assert one.columns() == {"kind", "topic", "title", "n"}


# ----------------------------------------------------------------------------------------- relations


def test_what_a_stage_fills_is_its_output() -> None:
    assert stage(relation=fills("q", ["a", "b"])).outputs == ("a", "b")


def test_a_stage_that_makes_rows_has_no_output_cells() -> None:
    assert stage(relation=makes("q", rows=no_rows, into=["r"])).outputs == ()


@pytest.mark.parametrize(
    ("relation", "bounded"),
    [
        (FILLS, False),
        (makes("q", rows=no_rows, into=["r"]), True),
        (gathers("q", by="t", rows=no_rows, into=["r"]), True),
    ],
)
def test_only_rounds_of_stages_that_fill_are_unlimited(relation: Any, bounded: bool) -> None:
    assert stage(relation=relation).bounded_rounds is bounded


@pytest.mark.parametrize(
    ("into", "expected"),
    [
        (["facts"], {"facts": ()}),
        ({"facts": None}, {"facts": ()}),
        ({"facts": unique("t", "n")}, {"facts": (Unique(("t", "n")),)}),
        ({"facts": [unique("t"), unique("n")]}, {"facts": (Unique(("t",)), Unique(("n",)))}),
    ],
)
def test_tables_to_make_rows_in_are_named_with_any_number_of_natural_keys(into: Any, expected: Any) -> None:
    assert makes("q", rows=no_rows, into=into).into == expected


@pytest.mark.parametrize("by", ["topic", ["topic"]])
def test_rows_are_gathered_by_one_column_or_several(by: Any) -> None:
    assert gathers("q", by=by, rows=no_rows, into=["r"]).by == ("topic",)


@pytest.mark.parametrize("source", ["entries", Selection("entries")])
def test_a_table_alone_is_a_selection_of_all_its_rows(source: Any) -> None:
    assert makes(source, rows=no_rows, into=["r"]).source == Selection("entries")


def test_a_row_knows_its_table_and_may_have_columns_of_any_name() -> None:
    row = Row("facts", table="x", self="y", title="z")
    assert (row.table, row) == ("facts", {"table": "x", "self": "y", "title": "z"})


# ------------------------------------------------------------------------------------------ pipelines


def test_a_pipeline_keeps_the_order_of_its_stages() -> None:
    assert [s.name for s in Pipeline("p", iter([stage("b"), stage("a")])).stages] == ["b", "a"]


def test_two_stages_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="pipeline p has two stages named a"):
        Pipeline("p", [stage("a"), stage("b"), stage("a")])


def test_a_stage_is_found_by_its_name_before_any_variant_of_it() -> None:
    assert Pipeline("p", [stage("a.en"), stage("a")]).stage("a").name == "a"


def test_the_only_variant_of_a_name_is_meant_by_that_name() -> None:
    assert Pipeline("p", [stage("a.en"), stage("ab")]).stage("a").name == "a.en"


def test_a_name_with_several_variants_is_not_guessed() -> None:
    with pytest.raises(ConfigError, match="there is no stage a"):
        Pipeline("p", [stage("a.en"), stage("a.de")]).stage("a")


def test_a_misspelt_stage_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        Pipeline("p", [stage("facts.explode"), stage("facts.judge")]).stage("facts.exploed")
    assert caught.value.hint == 'did you mean "facts.explode"?'


# ---------------------------------------------------------------- what the design says must be sayable

CLAIMS: dict[str, Any] = {"type": "object"}
FOUND: dict[str, Any] = {"type": "object"}
VERDICT: dict[str, Any] = {"type": "object"}


def sound(verdict: Any) -> bool:
    return bool(verdict)


def existing_titles(lookup: Lookup, entry: Item) -> list[Any]:
    return [row["title"] for row in lookup.rows("facts", {"topic": entry["topic"]})]


def as_in_the_design() -> Pipeline:
    """The code of DESIGN section 6, as it is written there."""
    summary = Stage(
        "q.summary", fills("questions", ["summary"]), prompt="summary.md", shape={"summary": str}, per_call=12
    )

    def rows(entry, out):  # type: ignore[no-untyped-def]
        for f in out["facts"]:
            yield Row("facts", topic=entry["topic"], entry=entry.key, **f)
        for n in out["spinoffs"]:
            yield Row("entries", topic=entry["topic"], parent=entry.key, name=n)

    explode = Stage(
        "facts.explode",
        makes(
            Selection("entries", "topic is not empty"),
            rows=rows,
            depth=2,
            into={"facts": unique("topic", "title"), "entries": unique("topic", "name")},
        ),
        prompt="explode.md",
        shape="explode.json",
        context={"titles": existing_titles},
    )

    async def judge(fact, call):  # type: ignore[no-untyped-def]
        claims = await call("claims", "claims.md", CLAIMS, fact=fact)
        found = await call("evidence", "evidence.md", FOUND, claims=claims, tier="mid")
        verdict = await call("verdict", "verdict.md", VERDICT, fact=fact, found=found, tier="high")
        return {"status": "validated" if sound(verdict) else "rejected", "verdicts": [claims, found, verdict]}

    judged = Stage(
        "facts.judge", fills("facts", ["status", "verdicts"]), eligible="status = 'pending_validation'", ask=judge
    )
    return Pipeline("design", [summary, explode, judged])


def test_the_stages_of_the_design_can_be_written_as_they_stand_there() -> None:
    kinds = [type(one.relation) for one in as_in_the_design().stages]
    assert kinds == [Fills, Makes, Fills]


def test_the_rows_of_the_design_are_made_from_an_item_and_its_output() -> None:
    relation = as_in_the_design().stage("facts.explode").relation
    assert isinstance(relation, Makes)
    made = list(relation.rows(Item('["e"]', {"topic": "sea"}), {"facts": [{"title": "Salt"}], "spinoffs": ["Tide"]}))
    assert [(row.table, row) for row in made] == [
        ("facts", {"topic": "sea", "entry": '["e"]', "title": "Salt"}),
        ("entries", {"topic": "sea", "parent": '["e"]', "name": "Tide"}),
    ]


async def test_the_judge_of_the_design_is_replayed_by_the_names_of_its_calls() -> None:
    asked = []

    async def call(name: str, prompt: str, shape: Any = None, *, tier: str | None = None, **variables: Any) -> Any:
        asked.append((name, tier))
        return {"name": name}

    judge = as_in_the_design().stage("facts.judge").ask
    assert judge is not None
    out = await judge(Item("[1]", {}), call)
    assert (asked, out["status"]) == ([("claims", None), ("evidence", "mid"), ("verdict", "high")], "validated")


def test_a_stage_that_gathers_can_be_written_the_same_way() -> None:
    one = stage(relation=gathers("facts", by=["topic"], rows=no_rows, into={"digests": unique("topic")}))
    assert isinstance(one.relation, Gathers)
