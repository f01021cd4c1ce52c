"""Stages that make rows, gather rows, compute without a model, ask in groups, or call several times."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
from tests.engine.projects import SHAPE, Table

from seedbed import (
    Call,
    Item,
    Lookup,
    Row,
    Scope,
    Selection,
    Spend,
    Stage,
    cost,
    fills,
    gathers,
    generate,
    makes,
    roll_back,
    run,
    unique,
    upload,
)
from seedbed.errors import ConfigError, SourceError
from seedbed.simulator import Simulator

TABLES = """
create table entries (id text primary key, name text not null, topic text, parent text references entries);
create table facts (
  id text primary key, topic text, entry text references entries, title text not null, cost integer
);
"""
EXPLODE = "Name facts and spin-offs.\n<!-- item -->\nEntry: {{ name }} ({{ topic }})\nKnown: {{ titles | tojson }}"
EXPLODE_SHAPE: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "facts": {"type": "array", "items": {"type": "string", "minLength": 3}, "minItems": 2, "maxItems": 2},
        "spinoffs": {"type": "array", "items": {"type": "string", "minLength": 3}, "minItems": 1, "maxItems": 1},
    },
    "required": ["facts", "spinoffs"],
    "additionalProperties": False,
}


def existing_titles(lookup: Lookup, entry: Item) -> list[str]:
    return [row["title"] for row in lookup.rows("facts", {"topic": entry["topic"]}, columns=["title"], order="title")]


def rows(entry: Item, out: Any) -> Iterator[Row]:
    for n, title in enumerate(out["facts"]):
        yield Row("facts", topic=entry["topic"], entry=entry.key, title=f"{entry['name']} {n}: {title}")
    for name in out["spinoffs"]:
        yield Row("entries", topic=entry["topic"], parent=entry.key, name=f"{entry['name']}/{name[:3]}")


def explode(where: str = "topic is not empty and parent is empty") -> Stage:
    return Stage(
        "facts.explode",
        makes(
            Selection("entries", where),
            rows=rows,
            into={"facts": unique("topic", "title"), "entries": unique("topic", "name")},
            cost={"facts": "cost"},
        ),
        prompt=EXPLODE,
        shape=EXPLODE_SHAPE,
        context={"titles": existing_titles},
    )


@pytest.fixture
def entries(table: Table) -> Table:
    for statement in TABLES.strip().split(";\n"):
        table.change(statement)
    for n in range(1, 6):
        table.change("insert into entries values (?, ?, ?, null)", f"e{n}", f"Q{n}Z", f"t{n % 2}")
    table.change("insert into entries values ('orphan', 'Q99Z', null, null)")
    return table


def test_rows_are_made_once_and_the_equation_balances(entries: Table, sim: Simulator) -> None:
    report = run(entries.project(explode()))

    assert entries.rows("select count(*) from facts") == [(10,)]
    assert entries.rows("select count(*) from entries where parent is not null") == [(5,)]
    (equation,) = report.equations
    assert equation.balanced
    assert (equation.items, equation.made, dict(equation.fates)) == (5, 15, {"stored": 15})
    assert "Q99Z" not in sim.summary()["by_item"]


def test_made_rows_refer_to_their_item_and_carry_its_cost(entries: Table, sim: Simulator) -> None:
    """002.29: the shares of a call's cost add up, to 10⁻⁹ USD, to what the till and the server say."""
    project = entries.project(explode())
    report = run(project)

    assert entries.rows("select count(*) from facts f join entries e on e.id = f.entry") == [(10,)]
    assert entries.rows("select sum(cost) from facts") == [(report.spent,)]
    assert report.spent == sim.summary()["input_tokens"] * 1000 + sim.summary()["output_tokens"] * 2000


def test_rows_made_in_a_round_belong_to_the_next_one(entries: Table, sim: Simulator) -> None:
    """000.24"""
    stage = explode("topic is not empty and (parent is empty or parent in ('e1', 'e2'))")

    report = run(entries.project(stage))

    assert len(report.equations) == 2
    assert [equation.items for equation in report.equations] == [5, 2]


def test_duplicates_are_counted_and_not_stored(entries: Table, sim: Simulator) -> None:
    """000.77"""

    def same(entry: Item, out: Any) -> Iterable[Row]:
        yield Row("facts", topic="t", title="Always the same")

    stage = Stage(
        "facts.same",
        makes(Selection("entries", "topic is not empty"), rows=same, into={"facts": unique("topic", "title")}),
        prompt=EXPLODE,
        shape=EXPLODE_SHAPE,
        context={"titles": existing_titles},
    )

    report = run(entries.project(stage))

    assert entries.rows("select count(*) from facts") == [(1,)]
    assert dict(report.equations[0].fates) == {"stored": 1, "duplicate": 4}


def test_the_context_shows_what_is_there_already(entries: Table, sim: Simulator) -> None:
    entries.change("insert into facts (id, topic, title) values ('f', 't1', 'Already known')")
    project = entries.project(explode())

    generate(project)

    asked = {p.intent.items[0].row["name"]: p.intent.request.messages[-1].text for p in project.receipts().purchases()}
    assert "Already known" in asked["Q1Z"]
    assert "Already known" not in asked["Q2Z"]


def test_made_rows_are_taken_back_unless_a_person_changed_them(entries: Table) -> None:
    project = entries.project(explode())
    run(project)
    entries.change("update facts set title = 'kept' where rowid = (select min(rowid) from facts)")

    report = roll_back(project)

    assert entries.rows("select title from facts") == [("kept",)]
    assert len(report.left) == 1


def test_a_row_for_a_table_that_is_not_declared_is_an_error(entries: Table) -> None:
    def wrong(entry: Item, out: Any) -> Iterable[Row]:
        yield Row("topics", name="x")

    stage = Stage(
        "facts.wrong", makes("entries", rows=wrong, into=["facts"]), prompt=EXPLODE, shape=EXPLODE_SHAPE,
        context={"titles": existing_titles},
    )  # fmt: skip
    project = entries.project(stage)
    generate(project)

    with pytest.raises(SourceError, match="does not declare"):
        upload(project)


# ------------------------------------------------------------------------------- other kinds of stage


def test_a_group_of_rows_becomes_rows(entries: Table, sim: Simulator) -> None:
    entries.change("create table digests (id text primary key, topic text, text text)")

    def digest(group: Item, out: Any) -> Iterable[Row]:
        yield Row("digests", topic=group["topic"], text=f"{len(group['members'])}: {out['summary']}")

    stage = Stage(
        "q.digest",
        gathers("questions", by=["topic"], rows=digest, into={"digests": unique("topic")}),
        prompt="Sum up.\n<!-- item -->\n{% for q in members %}{{ q.text }} {% endfor %}",
        shape=SHAPE,
    )

    run(entries.project(stage))

    assert [text.split(":")[0] for (text,) in entries.rows("select text from digests order by topic")] == [
        "6",
        "7",
        "7",
    ]
    assert sim.summary()["requests"] == 3


def test_a_stage_without_a_model_costs_nothing_and_needs_no_key(table: Table, sim: Simulator) -> None:
    stage = Stage("q.upper", fills("questions", ["summary"]), compute=lambda q: {"summary": q["text"].upper()})

    report = run(table.project(stage))

    assert table.rows("select summary from questions where id = 1") == [("WHAT IS Q1Z?",)]
    assert (report.calls, report.spent, sim.summary()["requests"]) == (0, 0, 0)


def test_a_view_may_say_what_is_missing_in_a_table(table: Table) -> None:
    table.change("create view hints as select id, text || ' (hint)' as hint from questions where summary is null")
    stage = Stage("q.hint", fills("questions", ["summary"], source="hints"), compute=lambda q: {"summary": q["hint"]})

    run(table.project(stage))

    assert table.rows("select summary from questions where id = 2") == [("What is Q2Z? (hint)",)]


def test_several_items_share_a_call(table: Table, sim: Simulator) -> None:
    """000.37"""
    stage = Stage("q.summary", fills("questions", ["summary"]), prompt="Sum up.\n<!-- item -->\n{{ text }}",
                  shape=SHAPE, per_call=8)  # fmt: skip

    report = run(table.project(stage))

    assert sim.summary()["requests"] == 3
    assert all(row[3] for row in table.rows())
    assert report.usage.output == sim.summary()["output_tokens"]


def test_what_a_group_s_answer_lacks_is_asked_alone(table: Table, sim: Simulator) -> None:
    sim.configure(faults=[{"fault": "missing_item", "times": 1}])
    stage = Stage("q.summary", fills("questions", ["summary"]), prompt="Sum up.\n<!-- item -->\n{{ text }}",
                  shape=SHAPE, per_call=20)  # fmt: skip

    report = run(table.project(stage))

    assert report.passes[0].generated.states == {"accepted": 20}
    assert sim.summary()["requests"] == 2


def judged(**more: Any) -> Stage:
    async def judge(question: Item, call: Call) -> Any:
        claims = await call("claims", "List the claims of {{ q.text }}", {"claims": [str]}, q=question)
        found = await call("evidence", "Evidence for {{ claims }}", {"found": str}, claims=claims["claims"], tier="mid")
        verdict = await call("verdict", "Judge {{ q.text }} by {{ found }}", {"sound": bool}, q=question, found=found)
        return {"summary": f"{verdict['sound']}: {found['found']}"}

    return Stage("q.judge", fills("questions", ["summary"]), ask=judge, inputs=("text",), **more)


def test_a_function_of_three_calls_settles_each_item(table: Table, sim: Simulator) -> None:
    report = run(table.project(judged()))

    assert report.passes[0].generated.states == {"accepted": 20}
    assert sim.summary()["requests"] == 60
    assert sim.summary()["models"] == {"test": 40, "test-mid": 20}
    assert report.usage.output == sim.summary()["output_tokens"]


def test_what_each_call_of_a_function_cost_is_told_apart(table: Table, sim: Simulator) -> None:
    """002.38: cost by step, of a stage with three calls beside one without a model, which stands there with 0."""
    free = Stage("q.topic", fills("questions", ["topic"]), eligible="id > 0", compute=lambda item: {"topic": "t"})
    report = run(table.project(free, judged()))

    found = cost(table.project(free, judged()), "step")

    steps = {row.group[0]: row for row in found.rows}
    assert {name: row.calls for name, row in steps.items()} == {
        "q.judge: claims": 20, "q.judge: evidence": 20, "q.judge: verdict": 20, "q.topic: no model": 0,
    }  # fmt: skip
    assert (steps["q.topic: no model"].nano, steps["q.topic: no model"].unknown) == (0, 0)
    assert sum(row.nano for row in steps.values()) == found.total.nano == report.spent
    evidence = [entry for entry in sim.ledger() if entry["model"] == "test-mid"]
    tokens = sum(entry["input_tokens"] for entry in evidence), sum(entry["output_tokens"] for entry in evidence)
    assert steps["q.judge: evidence"].nano == tokens[0] * 1000 + tokens[1] * 2000


def test_a_cap_never_deadlocks_items_of_several_calls(table: Table, sim: Simulator) -> None:
    report = run(table.project(judged(max_output=100)), None, Scope(), Spend(budget=1_000_000, concurrency=20))

    assert report.error is not None and report.error.exit_code == 75
    books = sim.summary()
    assert books["input_tokens"] * 1000 + books["output_tokens"] * 2000 <= 1_000_000


def test_a_run_that_stops_lets_every_function_of_the_user_s_end(
    table: Table, sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Each has begun and ended; none is left in the middle, as the interpreter would say of it."""
    begun: list[str] = []
    ended: list[str] = []

    async def judge(question: Item, call: Call) -> Any:
        begun.append(question.key)
        try:
            return await call("a", "Say of {{ q.text }}", SHAPE, q=question)
        finally:
            ended.append(question.key)

    stage = Stage("q.judge", fills("questions", ["summary"]), ask=judge, inputs=("text",), max_output=100)
    report = run(table.project(stage), None, Scope(), Spend(budget=500_000, concurrency=20))
    gc.collect()

    assert report.error is not None and report.error.exit_code == 75
    assert sorted(ended) == sorted(begun)
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


def test_two_calls_of_one_name_are_an_error(table: Table) -> None:
    async def twice(question: Item, call: Call) -> Any:
        await call("a", "one", SHAPE)
        return await call("a", "two", SHAPE)

    report = run(table.project(Stage("q.twice", fills("questions", ["summary"]), ask=twice)))

    assert isinstance(report.error, ConfigError)
    assert "two calls named a" in report.error.what


def test_a_context_may_not_hide_a_column(table: Table) -> None:
    stage = Stage("q.c", fills("questions", ["summary"]), prompt="{{ text }}", context={"text": lambda *_: 1})

    with pytest.raises(ConfigError, match="name of a column"):
        run(table.project(stage))
