"""A stage that fills cells: once, again, after changes by people, under caps and refusals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from tests.engine.crashing import kill_after, stage, start
from tests.engine.projects import SHAPE, Table

from seedbed import (
    Finding,
    Item,
    Part,
    Scope,
    Spend,
    Stage,
    audit,
    fills,
    generate,
    recover,
    roll_back,
    run,
    upload,
    validate,
)
from seedbed.errors import BudgetReached, ConfigError, PriceUnknown
from seedbed.simulator import Simulator

PROMPT = "Summarise the question.\n<!-- item -->\n{{ text }}"


def summary(**more: Any) -> Stage:
    return Stage("q.summary", fills("questions", ["summary"]), prompt=PROMPT, shape=SHAPE, **more)


def test_a_run_fills_every_empty_cell_with_one_call_each(table: Table, sim: Simulator) -> None:
    report = run(table.project(summary()))

    assert report.error is None
    assert all(row[3] for row in table.rows())
    assert {item["requests"] for item in sim.summary()["by_item"].values()} == {1}


def test_a_second_run_asks_nothing(table: Table, sim: Simulator) -> None:
    """000.14"""
    run(table.project(summary()))
    sim.reset()

    report = run(table.project(summary()))

    assert (report.passes, sim.summary()["requests"]) == ((), 0)


def test_new_rows_cost_only_themselves(table: Table, sim: Simulator) -> None:
    run(table.project(summary()))
    sim.reset()
    table.change("insert into questions (id, text) values (101, 'What is Q101Z?')")

    run(table.project(summary()))

    assert sim.summary()["by_item"] == {"Q101Z": {"requests": 1, "complete": 1}}


def test_existing_values_stay(table: Table, sim: Simulator) -> None:
    table.change("update questions set summary = 'mine' where id = 4")

    run(table.project(summary()))

    assert table.rows("select summary from questions where id = 4") == [("mine",)]
    assert "Q4Z" not in sim.summary()["by_item"]


def test_the_till_equals_the_ledger_of_the_simulator(table: Table, sim: Simulator) -> None:
    report = run(table.project(summary()))

    books = sim.summary()
    assert (report.usage.input + report.usage.cached, report.usage.output) == (
        books["input_tokens"],
        books["output_tokens"],
    )
    assert report.spent == books["input_tokens"] * 1000 + books["output_tokens"] * 2000


def test_a_person_s_edit_of_the_output_cell_is_left_alone_and_listed(table: Table) -> None:
    """000.42"""
    generate(table.project(summary()))
    table.change("update questions set summary = 'edited' where id = 7")

    report = upload(table.project(summary()))

    assert table.rows("select summary from questions where id = 7") == [("edited",)]
    assert [key for key, _ in report.left] == ["[7]"]
    assert report.fates == {"applied": 19, "drifted": 1}


def test_a_changed_input_is_not_given_the_old_answer(table: Table) -> None:
    generate(table.project(summary()))
    table.change("update questions set text = 'Another question' where id = 7")

    report = upload(table.project(summary()))

    assert table.rows("select summary from questions where id = 7") == [(None,)]
    assert report.fates["drifted"] == 1


def test_uploading_twice_equals_uploading_once(table: Table) -> None:
    generate(table.project(summary()))
    upload(table.project(summary()))
    before = table.rows()

    again = upload(table.project(summary()))

    assert (again.written, table.rows()) == (0, before)


def test_a_rollback_restores_what_still_holds_the_release(table: Table, sim: Simulator) -> None:
    run(table.project(summary()))
    table.change("update questions set summary = 'better' where id = 2")

    report = roll_back(table.project(summary()))

    assert (report.restored, [key for key, _ in report.left]) == (19, ["[2]"])
    assert [row[3] for row in table.rows()] == [None, "better", *[None] * 18]


def test_withdrawn_outcomes_are_not_bought_again_and_come_back_by_name(table: Table, sim: Simulator) -> None:
    run(table.project(summary()))
    filled = table.rows()
    roll_back(table.project(summary()))
    sim.reset()

    run(table.project(summary()))
    assert sim.summary()["requests"] == 0
    assert table.rows("select count(summary) from questions") == [(0,)]

    upload(table.project(summary()), None, Scope(ids=("[3]",)))
    assert table.rows("select summary from questions where id = 3") == [(filled[2][3],)]


def test_a_cell_that_a_person_emptied_is_cleared_and_not_bought_again(table: Table, sim: Simulator) -> None:
    run(table.project(summary()))
    was = table.rows("select summary from questions where id = 5")
    table.change("update questions set summary = null where id = 5")
    sim.reset()

    run(table.project(summary()))

    assert sim.summary()["requests"] == 0
    assert audit(table.project(summary()))[0].cleared == ("[5]",)
    upload(table.project(summary()), None, Scope(ids=("[5]",)))
    assert table.rows("select summary from questions where id = 5") == was


def test_changed_stale_and_vanished_rows_are_counted_and_priced(table: Table) -> None:
    run(table.project(summary()))
    table.change("update questions set text = 'What is Q1Z now?' where id = 1")
    table.change("delete from questions where id = 2")

    report = audit(table.project(summary(version="2")))[0]

    assert (report.changed, report.vanished, report.stale) == (1, 1, 20)
    assert report.changed_cost and report.stale_cost and report.stale_cost > report.changed_cost


def test_stale_outcomes_are_redone_only_when_asked_for(table: Table, sim: Simulator) -> None:
    run(table.project(summary()))
    sim.reset()

    run(table.project(summary(version="2")))
    assert sim.summary()["requests"] == 0

    run(table.project(summary(version="2")), None, Scope(stale=True))
    assert sim.summary()["requests"] == 20


def test_a_stage_may_redo_changed_rows_by_itself(table: Table, sim: Simulator) -> None:
    stage = summary(on_change="redo", eligible="text is not empty")
    run(table.project(stage))
    table.change("update questions set text = 'What is Q1Z now?' where id = 1")
    sim.reset()

    run(table.project(stage))

    assert sim.summary()["by_item"] == {"Q1Z": {"requests": 1, "complete": 1}}


def test_limit_and_ids_bound_what_is_asked(table: Table, sim: Simulator) -> None:
    """000.36"""
    run(table.project(summary()), None, Scope(limit=6))
    assert sim.summary()["requests"] == 6

    run(table.project(summary()), None, Scope(ids=("[20]", "[3]")))
    assert set(sim.summary()["by_item"]) == {f"Q{n}Z" for n in (1, 2, 3, 4, 5, 6, 20)}


def test_where_selects_by_columns(table: Table, sim: Simulator) -> None:
    run(table.project(summary()), None, Scope(where="topic = 't1' and id < 10"))

    assert set(sim.summary()["by_item"]) == {"Q1Z", "Q4Z", "Q7Z"}


def test_three_parts_equal_one_and_share_nothing(table: Table, sim: Simulator) -> None:
    """000.49"""
    sizes = []
    for index in (1, 2, 3):
        report = run(table.project(summary()), None, Scope(part=Part(index, 3)))
        sizes.append(sum(sum(e.states.values()) for e in report.equations))

    assert sum(sizes) == 20
    assert {item["requests"] for item in sim.summary()["by_item"].values()} == {1}
    assert all(row[3] for row in table.rows())


# -------------------------------------------------------------------------- answers that are not good


def test_a_malformed_answer_is_asked_again_and_both_are_paid(table: Table, sim: Simulator) -> None:
    sim.configure(faults=[{"fault": "malformed", "item": "Q3Z", "times": 1, "text": "No."}])

    report = run(table.project(summary()))

    assert report.passes[0].generated.states == {"accepted": 20}
    assert sim.summary()["by_item"]["Q3Z"] == {"requests": 2, "complete": 2}
    assert report.usage.output == sim.summary()["output_tokens"]


def test_an_item_that_is_never_right_is_rejected_after_its_attempts(table: Table, sim: Simulator) -> None:
    """000.23"""
    sim.configure(faults=[{"fault": "malformed", "item": "Q3Z", "times": None, "text": "No."}])

    report = run(table.project(summary(attempts=2)))

    assert report.passes[0].generated.states == {"accepted": 19, "rejected": 1}
    assert sim.summary()["by_item"]["Q3Z"]["requests"] == 2


def test_recover_takes_the_rejected_again_with_fresh_attempts(table: Table, sim: Simulator) -> None:
    sim.configure(faults=[{"fault": "malformed", "item": "Q3Z", "times": 2, "text": "No."}])
    run(table.project(summary(attempts=2)))
    sim.reset()

    report = recover(table.project(summary(attempts=2)))

    assert report.states == {"accepted": 1}
    assert sim.summary()["by_item"] == {"Q3Z": {"requests": 1, "complete": 1}}


def test_a_refusal_is_an_outcome_of_its_own_and_is_not_asked_again(table: Table, sim: Simulator) -> None:
    sim.configure(faults=[{"fault": "refusal", "item": "Q3Z", "times": None}])

    report = run(table.project(summary()))

    assert report.passes[0].generated.states == {"accepted": 19, "refused": 1}
    assert sim.summary()["by_item"]["Q3Z"]["requests"] == 1


def test_an_answer_cut_at_its_maximum_is_never_done(table: Table, sim: Simulator) -> None:
    sim.configure(faults=[{"fault": "length", "item": "Q3Z", "times": None}])

    report = run(table.project(summary(attempts=2)))

    assert report.passes[0].generated.states == {"accepted": 19, "failed": 1}


def test_a_cut_body_is_in_doubt_and_asked_once_more(table: Table, sim: Simulator) -> None:
    sim.configure(faults=[{"fault": "cut", "item": "Q3Z", "times": 1}])
    project = table.project(summary())

    report = run(project)

    assert report.passes[0].generated.states == {"accepted": 20}
    spent = project.state().spending()[0]
    assert spent.doubtful > 0


def test_a_second_doubt_is_failed(table: Table, sim: Simulator) -> None:
    sim.configure(faults=[{"fault": "cut", "item": "Q3Z", "times": None}])

    report = run(table.project(summary()))

    assert report.passes[0].generated.states == {"accepted": 19, "failed": 1}
    assert sim.summary()["by_item"]["Q3Z"]["requests"] == 2


def test_rate_limits_and_server_errors_raise_no_attempts(table: Table, sim: Simulator) -> None:
    """000.75"""
    sim.configure(
        faults=[
            {"fault": "rate_limit", "item": "Q3Z", "times": 3, "seconds": 0.05},
            {"fault": "error_503", "item": "Q5Z", "times": 1},
        ]
    )

    report = run(table.project(summary(attempts=1)))

    assert report.passes[0].generated.states == {"accepted": 20}


def test_checks_decline_and_their_findings_go_back_to_the_model(table: Table, sim: Simulator) -> None:
    seen: list[str] = []

    def no_question(item: Item, output: Any) -> Iterable[Finding]:
        seen.append(item.key)
        if item.key == "[3]" and seen.count("[3]") == 1:
            yield Finding("too_short", "say more", "summary")

    report = run(table.project(summary(checks=[no_question])))

    assert report.passes[0].generated.states == {"accepted": 20}
    assert sim.summary()["by_item"]["Q3Z"]["requests"] == 2


def test_a_check_that_raises_stops_with_its_place_and_loses_nothing(table: Table, sim: Simulator) -> None:
    def broken(item: Item, output: Any) -> Iterable[Finding]:
        raise KeyError("oops")

    report = run(table.project(summary(checks=[broken])))
    assert isinstance(report.error, ConfigError)
    assert "test_fills.py" in report.error.why
    paid = {name for name, item in sim.summary()["by_item"].items() if item["complete"]}

    sim.reset()
    run(table.project(summary()))
    assert not paid & set(sim.summary()["by_item"])
    assert all(row[3] for row in table.rows())


def test_checks_tightened_later_are_seen_by_validate_without_a_call(table: Table, sim: Simulator) -> None:
    def long_enough(item: Item, output: Any) -> Iterable[Finding]:
        yield Finding("short", "too short", "summary")

    run(table.project(summary()))
    sim.reset()

    report = validate(table.project(summary(checks=[long_enough])))

    assert report.findings == {"short": 20}
    assert sim.summary()["requests"] == 0


# ---------------------------------------------------------------------------------------------- money


def test_a_cap_is_met_with_calls_in_flight(table: Table, sim: Simulator) -> None:
    table.add(range(21, 301))
    sim.configure(latency_ms=20.0)
    cap = 3_000_000

    report = run(table.project(summary(max_output=100)), None, Scope(), Spend(budget=cap, concurrency=10))

    assert isinstance(report.error, BudgetReached)
    books = sim.summary()
    assert books["peak_in_flight"] > 1
    assert cap / 2 < books["input_tokens"] * 1000 + books["output_tokens"] * 2000 <= cap


def test_a_cap_of_nothing_sends_nothing(table: Table, sim: Simulator) -> None:
    report = run(table.project(summary()), None, Scope(), Spend(budget=0))

    assert isinstance(report.error, BudgetReached)
    assert sim.summary()["requests"] == 0


def test_after_a_higher_cap_the_run_goes_on(table: Table, sim: Simulator) -> None:
    run(table.project(summary(max_output=100)), None, Scope(), Spend(budget=900_000))
    first = sim.summary()["requests"]

    report = run(table.project(summary(max_output=100)), None, Scope(), Spend(budget=10**12))

    assert report.error is None
    assert sim.summary()["requests"] == 20 > first


def test_the_cap_of_the_project_counts_earlier_runs(table: Table, sim: Simulator) -> None:
    run(table.project(summary()), None, Scope(limit=10))
    spent = table.project(summary()).state().spending()[0].nano
    sim.reset()

    report = run(table.project(summary(), budget__project=spent))

    assert isinstance(report.error, BudgetReached)
    assert sim.summary()["requests"] == 0


def test_an_unknown_price_under_a_cap_is_an_error_before_spending(table: Table, sim: Simulator) -> None:
    project = table.project(summary(), tiers__default="openai/never-heard-of")

    report = run(project, None, Scope(), Spend(budget=10**9))

    assert isinstance(report.error, PriceUnknown)
    assert sim.summary()["requests"] == 0


def test_without_a_cap_an_unknown_price_is_the_word_unknown(table: Table) -> None:
    report = run(table.project(summary(), tiers__default="openai/never-heard-of"))

    assert report.error is None
    assert report.spent is None


@pytest.mark.parametrize("fault", ["bad_key", "forbidden"])
def test_a_refused_key_stops_at_once_with_one_message(table: Table, sim: Simulator, fault: str) -> None:
    sim.configure(faults=[{"fault": fault, "times": None}])

    report = run(table.project(summary()), None, Scope(), Spend(concurrency=2))

    assert report.error is not None and report.error.exit_code == 6
    assert sim.summary()["requests"] <= 2


def test_no_credit_is_a_pause(table: Table, sim: Simulator) -> None:
    sim.configure(faults=[{"fault": "no_credit", "times": None}])

    report = run(table.project(summary()), None, Scope(), Spend(concurrency=2))

    assert report.error is not None and report.error.exit_code == 75
    assert sim.summary()["requests"] <= 2


def test_an_endpoint_that_takes_no_schema_gets_a_lesser_request(table: Table, sim: Simulator) -> None:
    sim.configure(faults=[{"fault": "schema_refused", "times": None}])

    report = run(table.project(summary()))

    assert report.error is None
    assert all(row[3] for row in table.rows())


# ------------------------------------------------------------------------------------------ once more


def test_what_the_stand_in_wrote_is_replaced_once_there_is_a_real_model(table: Table, sim: Simulator) -> None:
    offline = table.project(summary(), tiers__default="offline/standin")
    run(offline, None, Scope(), Spend(allow_stand_in=True))
    made_up = table.rows()
    table.change("update questions set summary = 'mine' where id = 2")

    run(table.project(summary()))

    assert sim.summary()["requests"] == 19
    assert table.rows("select summary from questions where id = 2") == [("mine",)]
    assert len(table.rows()) == len(made_up)
    run(table.project(summary()))
    assert sim.summary()["requests"] == 19


def test_a_stage_without_a_shape_can_be_redone_when_stale(table: Table, sim: Simulator) -> None:
    plain = Stage("q.plain", fills("questions", ["summary"]), prompt="Say: {{ text }}")
    again = Stage("q.plain", fills("questions", ["summary"]), prompt="Say again: {{ text }}")
    run(table.project(plain))
    sim.reset()

    run(table.project(again), None, Scope(stale=True))

    assert sim.summary()["requests"] == 20


def test_recover_takes_what_is_named_whatever_it_came_to(table: Table, sim: Simulator) -> None:
    sim.configure(faults=[{"fault": "refusal", "item": "Q3Z", "times": 1}])
    run(table.project(summary()))

    assert recover(table.project(summary())).states == {}
    report = recover(table.project(summary()), None, Scope(where="outcome.state = 'refused'"))

    assert report.states == {"accepted": 1}


def test_doubts_of_an_earlier_run_do_not_count_under_this_run_s_cap(table: Table, sim: Simulator) -> None:
    kill_after(start(table, "plain"), sim, 3)
    spent = table.project(summary()).state().spending()

    report = run(table.project(stage("plain")), None, Scope(), Spend(budget=10_000_000, concurrency=1))

    assert report.error is None, (report.error, spent)


def test_what_a_prompt_cache_saved_is_booked(table: Table, sim: Simulator) -> None:
    long = "Sum up the question in the light of this. " + "Read with care. " * 400
    stage = Stage(
        "q.long", fills("questions", ["summary"]), prompt=f"{long}\n<!-- item -->\n{{{{ text }}}}", shape=SHAPE
    )
    prices = {"input": 1.0, "cached_input": 0.1, "output": 2.0}

    report = run(table.project(stage, **{"prices__openai/test": prices}), None, Scope(), Spend(concurrency=1))

    books = sim.summary()
    assert report.usage.cached == books["cached_tokens"] > 0
    (row,) = table.project(stage).state().spending()
    assert row.saved == books["cached_tokens"] * 900
