"""Headless programs as models: real processes of a real script, whose own books are the witness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.engine.projects import SHAPE, Table
from tests.programs.playing import MODEL, Robot, forget_tiers, project, summary

from seedbed import Call, Item, Spend, Stage, fills, plan, run
from seedbed.engine.looks.books import cost
from seedbed.engine.looks.standing import status
from seedbed.engine.projects.project import Project
from seedbed.errors import AuthError, BudgetReached, ConfigError, LimitReached, PriceUnknown
from seedbed.ports.receipts import Purchase


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path, "http://127.0.0.1:9/v1", 12)


def purchases(found: Project) -> list[Purchase]:
    return list(found.receipts().purchases())


def summaries(table: Table) -> list[str | None]:
    return [row[3] for row in table.rows()]


def test_one_program_runs_for_each_group_and_so_many_at_once(tmp_path: Path, robot: Robot) -> None:
    """(001.08)"""
    table = Table(tmp_path, "http://127.0.0.1:9/v1", 700)
    robot.behave(meets=6)

    report = run(project(table, robot, stage=summary(per_call=12)), None, spend=Spend(concurrency=6))

    assert report.error is None
    assert summaries(table) == [f"Q{n}Z" for n in range(1, 701)]
    assert (len(robot.starts), robot.at_once) == (59, 6)
    assert len(robot.asked) == len(set(robot.asked)) == 700


def test_the_program_gets_the_arguments_of_the_project_file_and_only_the_named_tools(
    table: Table, robot: Robot
) -> None:
    """(001.09)"""
    found = project(table, robot, "--allowed", "{tools}", provider={"tools": ["Read", "Bash(python3:*)"]})

    assert run(found).error is None
    start = robot.starts[0]
    file = start["arguments"][5]
    assert start["arguments"] == [
        "--model", "fast-1", "--home", str(robot.home), "--file", file, "--allowed", "Read,Bash(python3:*)"
    ]  # fmt: skip
    assert Path(file).parent == Path(start["folder"])
    assert not Path(file).exists()


@pytest.mark.parametrize("where", ["stdout", "{answer}", "out/answer.json"])
def test_the_answer_comes_on_standard_output_or_in_a_file(table: Table, robot: Robot, where: str) -> None:
    """(001.11)"""
    file = where == "out/answer.json"
    robot.behave(**({"file": "answer.json"} if file else {}))
    arguments = ("--answer", "{answer}") if where == "{answer}" else ()
    provider = {"answer": "answer.json" if file else where}

    assert run(project(table, robot, *arguments, provider=provider)).error is None
    assert summaries(table) == [f"Q{n}Z" for n in range(1, 13)]
    assert len(robot.starts) == 12


def test_an_answer_under_another_key_is_refused_and_stored_nowhere(table: Table, robot: Robot) -> None:
    """(001.12)"""
    robot.behave(keys={"item-1": "item-7", "item-2": "Q1Z"})

    report = run(project(table, robot, stage=summary(per_call=4, attempts=1)))

    assert report.error is None
    assert summaries(table) == [None, None, "Q3Z", "Q4Z", None, None, "Q7Z", "Q8Z", None, None, "Q11Z", "Q12Z"]


def test_keys_that_come_in_another_order_stay_with_their_items(table: Table, robot: Robot) -> None:
    """(001.12)"""
    robot.behave(answer='{"answers": [{"key": "item-2", "summary": "two"}, {"key": "item-1", "summary": "one"}]}')

    assert run(project(table, robot, stage=summary(per_call=2))).error is None
    assert summaries(table) == ["one", "two"] * 6


def test_the_model_is_named_to_the_program_and_on_each_receipt(table: Table, robot: Robot) -> None:
    """(001.13)"""
    found = project(table, robot)

    assert run(found).error is None
    assert {start["model"] for start in robot.starts} == {"fast-1"}
    assert {(each.intent.model, each.intent.account) for each in purchases(found)} == {(MODEL, "robot")}


@pytest.mark.parametrize("model", ["robot", "robot/", ""])
def test_without_a_model_nothing_is_started(table: Table, robot: Robot, model: str) -> None:
    """(001.13)"""
    found = project(table, robot, model=model)
    if not model:
        forget_tiers(found, "default")

    with pytest.raises(ConfigError) as error:
        run(found)
    assert error.value.exit_code == 2
    assert robot.starts == []


def test_a_program_that_is_not_told_its_model_is_not_started(table: Table, robot: Robot) -> None:
    """(001.13)"""
    words = [word for word in robot.arguments() if word not in ("--model", "{model}")]

    with pytest.raises(ConfigError, match="which model to ask"):
        run(project(table, robot, provider={"program": words}))
    assert robot.starts == []


def test_a_used_up_window_ends_the_run_harmlessly_and_the_rest_is_asked_at_the_next_fire(
    table: Table, robot: Robot
) -> None:
    """(001.14)"""
    robot.behave(closes_at=5, says={"errors": "Session limit reached. Resets in 2h 5m.\n", "exit": 1})
    found = project(table, robot)

    report = run(found, None, spend=Spend(concurrency=1))

    error = report.error
    assert isinstance(error, LimitReached) and error.window and error.exit_code == 75
    assert error.after == 7500
    assert summaries(table).count(None) == 7
    states = [each.generated.states for each in report.passes]
    assert states == [{"accepted": 5}]
    robot.behave()
    before = len(robot.asked)
    assert run(found).error is None
    assert None not in summaries(table)
    assert len(robot.asked) - before == 7


def test_words_of_limits_in_an_answer_are_an_answer(table: Table, robot: Robot) -> None:
    """(001.15)"""
    robot.behave(more=" 429 session limit, please log in", chatter="warning: rate limit is near, 429\n")

    assert run(project(table, robot)).error is None
    assert summaries(table) == [f"Q{n}Z 429 session limit, please log in" for n in range(1, 13)]
    assert len(robot.starts) == 12


def test_a_login_that_expired_is_no_empty_window(table: Table, robot: Robot) -> None:
    """(001.16)"""
    robot.behave(says={"errors": "Error: please log in\n", "exit": 1})
    found = project(table, robot, provider={"login": "robot login"})

    error = run(found, None, spend=Spend(concurrency=1)).error
    assert isinstance(error, AuthError) and error.exit_code == 6
    assert "log in with: robot login" in error.what
    assert len(robot.starts) == 1
    robot.behave()
    assert run(found).error is None
    assert len(robot.asked) == 13


def test_without_a_ceiling_a_call_a_cap_is_refused_before_anything_is_started(table: Table, robot: Robot) -> None:
    found = project(table, robot, provider={"ceiling": None}, budget__run=1_000_000_000)

    error = run(found).error
    assert isinstance(error, PriceUnknown) and error.exit_code == 2
    assert "ceiling" in error.hint
    assert robot.starts == []


def test_an_async_function_asks_the_program_call_by_call(table: Table, robot: Robot) -> None:
    async def twice(question: Item, call: Call) -> Any:
        first = await call("first", "What is {{ q.text }}", SHAPE, q=question)
        second = await call("second", "Again {{ q.text }} {{ first }}", SHAPE, q=question, first=first["summary"])
        return {"summary": f"{first['summary']} {second['summary']}"}

    stage = Stage("q.twice", fills("questions", ["summary"]), ask=twice, inputs=("text",))

    assert run(project(table, robot, stage=stage)).error is None
    assert summaries(table) == [f"Q{n}Z Q{n}Z" for n in range(1, 13)]
    assert len(robot.starts) == 24


def test_a_text_without_a_shape_is_stored_without_the_line_end_of_the_terminal(table: Table, robot: Robot) -> None:
    robot.behave(answer="a summary\n")
    stage = Stage("q.summary", fills("questions", ["summary"]), prompt="Sum up: {{ text }}")

    assert run(project(table, robot, stage=stage)).error is None
    assert summaries(table) == ["a summary"] * 12


def test_a_receipt_keeps_the_whole_answer_its_exit_code_and_the_end_of_the_error_channel(
    table: Table, robot: Robot
) -> None:
    robot.behave(answer='{"summary": "yes"}\n', chatter="warning: nearly full\n")
    found = project(table, robot)

    assert run(found).error is None
    for purchase in purchases(found):
        receipt = purchase.receipt
        assert receipt is not None
        assert (receipt.body, receipt.format) == (b'{"summary": "yes"}\n', "stdout")
        assert receipt.headers == {"exit-code": "0", "stderr": "warning: nearly full"}


def test_money_of_programs_is_kept_by_their_ceiling_and_said_to_be_not_guaranteed(table: Table, robot: Robot) -> None:
    found = project(table, robot, provider={"ceiling": 10_000_000}, budget__run=50_000_000)

    planned = plan(found)[0]
    assert (planned.cost_high, planned.guaranteed) == (120_000_000, False)
    report = run(found)
    assert isinstance(report.error, BudgetReached)
    assert (report.spent, len(robot.starts)) == (50_000_000, 5)
    assert report.unbounded == status(found).unbounded == cost(found).unbounded == (MODEL,)
