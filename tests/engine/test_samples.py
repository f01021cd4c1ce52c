"""``--sample``: the same items each time, whatever was done, however the work is split; and ``--stale-model``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from tests.engine.projects import SHAPE, Table

from seedbed import (
    Item,
    Part,
    Row,
    Scope,
    Stage,
    audit,
    export,
    fills,
    gathers,
    generate,
    makes,
    plan,
    preview,
    recover,
    run,
    unique,
)
from seedbed.errors import UsageError
from seedbed.simulator import Simulator

PROMPT = "Summarise the question.\n<!-- item -->\n{{ text }}"


def summary(**more: Any) -> Stage:
    return Stage("q.summary", fills("questions", ["summary"]), prompt=PROMPT, shape=SHAPE, **more)


def filled(table: Table) -> set[int]:
    return {row[0] for row in table.rows("select id from questions where summary is not null")}


def asked(sim: Simulator) -> int:
    return int(sim.summary()["requests"])


def test_a_sample_is_done_once_however_often_it_is_run(table: Table, sim: Simulator) -> None:
    run(table.project(summary()), None, Scope(sample=6, seed=3))
    first = filled(table)
    run(table.project(summary()), None, Scope(sample=6, seed=3))

    assert (len(first), filled(table), asked(sim)) == (6, first, 6)


def test_another_seed_draws_another_sample(table: Table, sim: Simulator) -> None:
    drawn = [plan(table.project(summary()), None, Scope(sample=6, seed=seed))[0].sample for seed in (1, 2)]
    assert drawn[0] is not None
    assert drawn[1] is not None
    assert set(drawn[0].keys) != set(drawn[1].keys)


def test_rows_that_were_filled_before_us_are_not_drawn(table: Table, sim: Simulator) -> None:
    table.change("update questions set summary = 'by hand' where id > 5")

    run(table.project(summary()), None, Scope(sample=5))

    assert asked(sim) == 5
    assert len(table.rows("select 1 from questions where summary is null")) == 0


def test_three_parts_of_a_sample_are_the_sample(table: Table, sim: Simulator) -> None:
    whole = preview(table.project(summary()), None, Scope(sample=9, seed=4)).sample
    assert whole is not None
    for index in (1, 2, 3):
        generate(table.project(summary()), None, Scope(sample=9, seed=4, part=Part(index, 3)))

    done = run(table.project(summary()), None, Scope(sample=9, seed=4))

    assert done.calls == 0
    assert {f"[{n}]" for n in filled(table)} == set(whole.keys)
    assert asked(sim) == 9


def test_a_sample_is_drawn_within_where_and_ids_and_bounded_by_limit(table: Table, sim: Simulator) -> None:
    named = tuple(f"[{n}]" for n in range(1, 13))
    scope = Scope(where="topic = 't1'", ids=named, sample=3, limit=2)

    run(table.project(summary()), None, scope)

    drawn = preview(table.project(summary()), None, scope).sample
    assert drawn is not None
    assert filled(table) == {int(key[1:-1]) for key in drawn.keys[:2]}
    assert filled(table) < {1, 4, 7, 10}


def test_a_sample_larger_than_what_there_is_takes_all(table: Table, sim: Simulator) -> None:
    run(table.project(summary()), None, Scope(sample=500))
    assert asked(sim) == 20


def test_paging_does_not_matter(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    one = preview(table.project(summary()), None, Scope(sample=5)).sample
    monkeypatch.setattr("seedbed.engine.work.drawing.PAGE", 3)
    assert preview(table.project(summary()), None, Scope(sample=5)).sample == one


def test_the_run_keeps_how_its_sample_was_drawn(table: Table, sim: Simulator) -> None:
    project = table.project(summary())
    report = run(project, None, Scope(sample=4, seed=9))
    state = project.state()
    row = state.run(report.run)
    state.close()
    assert row is not None
    assert row.settings["selection"] == {"sample": {"size": 4, "seed": 9}}
    assert '"sample": {' in (table.root / report.page).with_suffix(".json").read_text()


def test_an_export_takes_the_sample(table: Table, sim: Simulator) -> None:
    shown = export(table.project(summary()), None, Scope(sample=4), dry_run=True)
    report = export(table.project(summary()), None, Scope(sample=4))
    assert shown.drawn == report.drawn
    assert report.drawn is not None
    assert list(report.sample) == list(report.drawn.keys)


def test_recover_draws_from_what_was_declined(table: Table, sim: Simulator) -> None:
    sim.configure(faults=[{"fault": "wrong_shape", "times": None}])
    run(table.project(summary(attempts=1)))
    sim.configure(faults=[])
    sim.reset()

    recover(table.project(summary(attempts=1)), None, Scope(sample=5))

    assert asked(sim) == 5


def test_several_stages_have_no_sample_in_common(table: Table) -> None:
    other = Stage("q.more", fills("questions", ["topic"]), prompt=PROMPT, shape={"topic": str})
    for verb in (run, plan, audit):
        with pytest.raises(UsageError, match="one stage"):
            verb(table.project(summary(), other), None, Scope(sample=2))


def test_rows_made_on_the_way_are_not_drawn(table: Table, sim: Simulator) -> None:
    """A stage that feeds its own table: the sample is that of the beginning."""

    def rows(item: Item, output: Mapping[str, Any]) -> Iterable[Row]:
        if int(item["id"]) < 1000:
            yield Row("questions", id=int(item["id"]) + 1000, text=f"What is Q{int(item['id']) + 1000}Z?")

    stage = Stage("q.more", makes("questions", rows=rows, into=["questions"], depth=2), prompt=PROMPT, shape=SHAPE)
    run(table.project(stage), None, Scope(sample=3))
    assert asked(sim) == 3


def test_a_round_that_was_exported_whole_is_bought_in_the_rows_that_are_named(table: Table, sim: Simulator) -> None:
    export(table.project(summary()))

    run(table.project(summary()), None, Scope(where="topic = 't1'"))
    assert asked(sim) == len(filled(table)) == 7
    run(table.project(summary()), None, Scope(ids=("[2]", "[3]"), where="topic = 't2'"))
    assert asked(sim) == len(filled(table)) == 8
    run(table.project(summary()), None, Scope(sample=4))
    run(table.project(summary()))
    assert asked(sim) == len(filled(table)) == 20


def digest(item: Item, output: Mapping[str, Any]) -> Iterable[Row]:
    yield Row("notions", word=f"{item['topic']}: {output['summary']}", question=len(item["members"]))


def gathered(**more: Any) -> Stage:
    return Stage(
        "q.gathered",
        gathers("questions", by=["topic"], rows=digest, into={"notions": unique("word")}),
        prompt="Sum up.\n<!-- item -->\n{{ topic }}: {% for each in members %}{{ each.text }} {% endfor %}",
        shape=SHAPE,
        **more,
    )


def test_groups_are_drawn_whole(table: Table, sim: Simulator) -> None:
    run(table.project(gathered()), None, Scope(sample=2))
    sizes = [row[0] for row in table.rows("select question from notions")]
    assert (len(sizes), asked(sim)) == (2, 2)
    assert set(sizes) <= {6, 7}


def test_groups_are_named_by_key_and_by_their_own_columns_only(table: Table, sim: Simulator) -> None:
    run(table.project(gathered()), None, Scope(ids=('["t0"]',)))
    run(table.project(gathered()), None, Scope(where="topic = 't2'"))
    assert asked(sim) == 2
    assert sorted(row[0][:2] for row in table.rows("select word from notions")) == ["t0", "t2"]
    with pytest.raises(UsageError, match="part of a group"):
        run(table.project(gathered()), None, Scope(where="id < 5"))
    assert asked(sim) == 2


def test_a_group_that_was_declined_is_asked_again_by_recover(table: Table, sim: Simulator) -> None:
    sim.configure(faults=[{"fault": "wrong_shape", "times": 1}])
    run(table.project(gathered(attempts=1)))
    assert len(table.rows("select * from notions")) == 2
    recover(table.project(gathered(attempts=1)))
    run(table.project(gathered(attempts=1)))
    assert len(table.rows("select * from notions")) == 3
    assert asked(sim) == 4


# -------------------------------------------------------------------------------- a model of before


def test_answers_of_a_model_are_made_again_by_todays(table: Table, sim: Simulator) -> None:
    run(table.project(summary()), None, Scope(limit=8))
    later = {"tiers__default": "openai/newer", "prices__openai/newer": {"input": 1.0, "output": 2.0}}
    run(table.project(summary(), **later), None, Scope(limit=5))
    sim.reset()

    report = audit(table.project(summary(), **later))[0]
    assert dict(report.other_models) == {"test": 8}
    assert report.other_models_cost
    priced = plan(table.project(summary(), **later), None, Scope(stale_model="test"))[0]
    assert (priced.items, bool(priced.cost_high)) == (8, True)

    run(table.project(summary(), **later), None, Scope(stale_model="test"))

    assert asked(sim) == 8
    assert len(filled(table)) == 13
    assert not audit(table.project(summary(), **later))[0].other_models


@pytest.mark.parametrize("name", ["test", "openai/test", "other"])
def test_a_model_may_be_called_by_any_of_its_names(table: Table, sim: Simulator, name: str) -> None:
    run(table.project(summary()), None, Scope(limit=3))
    later = {"tiers__default": "openai/newer", "prices__openai/newer": {"input": 1.0, "output": 2.0}}
    assert plan(table.project(summary(), **later), None, Scope(stale_model=name))[0].items == 3
    assert plan(table.project(summary(), **later), None, Scope(stale_model="newer"))[0].items == 0


def test_nothing_is_of_another_model_while_the_tier_stays(table: Table, sim: Simulator) -> None:
    run(table.project(summary()))
    assert plan(table.project(summary()), None, Scope(stale_model="other"))[0].items == 0


def test_todays_model_is_asked_once_more_and_not_for_ever(table: Table, sim: Simulator) -> None:
    run(table.project(summary()), None, Scope(limit=4))
    sim.reset()
    run(table.project(summary()), None, Scope(stale_model="test"))
    assert asked(sim) == 4
