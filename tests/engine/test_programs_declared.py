"""What a project file may say of a program: each mistake is one clear line before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.engine.projects import Table
from tests.programs.playing import MODEL, Robot, project, summary

from seedbed import recover, run
from seedbed.engine.projects.settings import check
from seedbed.errors import ConfigError, ProviderDown


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path, "http://127.0.0.1:9/v1", 12)


NAMED = ["--model", "{model}", "{prompt_file}"]
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"program": ["no-such-robot", *NAMED]}, "no-such-robot is not found"),
    ({"program": ["no-such-robot --model {model} {prompt}"]}, "Write it as a list"),
    ({"program": ["./no-such-robot", *NAMED]}, "no-such-robot is not there"),
    ({"program": ["./corpus.db", *NAMED]}, "is not executable"),
    ({"program": []}, "program is empty"),
    ({"program": ["sh", "{prompt_file}"]}, "which model to ask"),
    ({"program": ["sh", "{model}"]}, "never gets the prompt"),
    ({"program": ["sh", *NAMED, "{modle}"]}, 'did you mean "model"'),
    ({"program": ["sh", *NAMED, "{tools}"]}, "an argument with {tools}, but no tools"),
    ({"program": ["sh", *NAMED], "tools": ["Read"]}, "no argument speaks of {tools}"),
    ({"program": ["sh", *NAMED], "answer": "{answer}"}, "does not fit the arguments"),
    ({"program": ["sh", *NAMED, "{answer}"], "answer": "stdout"}, "does not fit the arguments"),
    ({"program": ["sh", *NAMED], "answer": "../answer"}, "has to lie in the folder"),
    ({"program": ["sh", *NAMED], "answer": "/etc/passwd"}, "has to lie in the folder"),
    ({"program": ["sh", *NAMED], "environment": ["KEY=sk-1"]}, "not the name of a variable"),
    ({"program": ["sh", *NAMED], "key": "$KEY"}, "which is for endpoints"),
    ({"program": ["sh", *NAMED], "session_limit": ["("]}, "no regular expression"),
]


@pytest.mark.parametrize(("said", "words"), WRONG, ids=[words for _, words in WRONG])
def test_what_is_wrong_with_a_program_is_said_before_it_is_started(
    table: Table, robot: Robot, said: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError) as error:
        run(project(table, robot, provider=said))
    assert words in str(error.value)
    assert error.value.exit_code == 2


def test_an_endpoint_cannot_become_a_program(table: Table, robot: Robot) -> None:
    found = project(table, robot, **{"providers.openai": {"program": ["sh", *NAMED]}})
    with pytest.raises(ConfigError, match="openai is an endpoint"):
        run(found)


def test_what_is_said_of_a_program_needs_one(table: Table, robot: Robot) -> None:
    found = table.project(summary(), **{"providers.openai": {"base_url": table.url, "tools": ["Read"]}})
    with pytest.raises(ConfigError, match="has tools, but no program"):
        run(found)


def test_what_the_providers_filter_declines_is_refused_and_not_asked_again(table: Table, robot: Robot) -> None:
    """(001.36)"""
    robot.behave(fails_for="Q5Z", says={"errors": "blocked by the content filter\n", "exit": 1})

    report = run(project(table, robot))
    assert report.error is None
    assert report.passes[0].generated.states == {"accepted": 11, "refused": 1}
    starts = len(robot.starts)
    assert run(project(table, robot)).error is None
    assert len(robot.starts) == starts == 12


def test_a_price_by_tokens_is_refused_where_none_are_counted(table: Table, robot: Robot) -> None:
    with pytest.raises(ConfigError, match="which a program does not count"):
        run(project(table, robot, **{f"prices.{MODEL}": {"input": 1, "output": 2}}))


def test_a_ceiling_is_money() -> None:
    with pytest.raises(ConfigError, match="not an amount of money"):
        check({"providers": {"robot": {"ceiling": "much"}}}, "seedbed.toml")


def test_secrets_of_others_are_not_given_to_a_program(
    table: Table, robot: Robot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("ROBOT_COLOUR", "red")
    robot.behave(chatter="my key is robot-key-1, in red\n")
    (table.root / ".env.local").write_text("ROBOT_KEY=robot-key-1\nOTHER_KEY=o-1\n", "utf-8")

    found = project(table, robot, provider={"environment": ["ROBOT_COLOUR", "ROBOT_KEY", "NOT_SET"]})
    assert run(found).error is None
    got = set(robot.starts[0]["environment"])
    assert {"ROBOT_COLOUR", "ROBOT_KEY", "PATH"} <= got
    assert not got & {"OPENAI_API_KEY", "OTHER_KEY", "NOT_SET"}
    for purchase in found.receipts().purchases():
        assert purchase.receipt is not None
        assert purchase.receipt.headers["stderr"] == "my key is …, in red"


def test_a_program_that_never_works_ends_the_run_with_what_it_says(table: Table, robot: Robot) -> None:
    robot.behave(says={"errors": "unknown flag --file\n", "exit": 2})

    report = run(project(table, robot))
    assert isinstance(report.error, ConfigError)
    assert "unknown flag --file" in report.error.what and "session_limit" in report.error.hint
    assert len(robot.starts) <= 20
    assert all(row[3] is None for row in table.rows())


def test_a_program_that_stops_working_pauses_the_run(table: Table, robot: Robot) -> None:
    robot.behave(closes_at=6, says={"errors": "words that nobody knows\n", "exit": 1})

    report = run(project(table, robot))
    assert isinstance(report.error, ProviderDown) and report.error.exit_code == 75
    assert "words that nobody knows" in report.error.what
    failed = report.passes[0].generated.states.get("failed", 0)
    assert failed <= 2
    robot.behave()
    assert run(project(table, robot)).error is None
    assert [row[3] for row in table.rows()].count(None) == failed
    assert recover(project(table, robot)).states == ({"accepted": failed} if failed else {})


def test_a_program_that_fails_for_one_item_costs_that_item_alone(table: Table, robot: Robot) -> None:
    robot.behave(fails_for="Q5Z", says={"errors": "cannot say\n", "exit": 1})

    report = run(project(table, robot))
    assert report.error is None
    assert [row[0] for row in table.rows() if row[3] is None] == [5]
    assert robot.asked.count("Q5Z") == 2


@pytest.mark.parametrize(
    ("manners", "reason"),
    [
        ({"answer": ""}, "empty"),
        ({"answer": "\xff\xfe", "binary": True}, "not_text"),
        ({"answer": "Error: the model is overloaded"}, "not_json"),
        ({"says": {"out": "sorry", "exit": 1, "errors": ""}, "fails_for": "Q1Z"}, "in_doubt_twice"),
    ],
)
def test_an_odd_answer_is_declined_with_its_reason(
    table: Table, robot: Robot, manners: dict[str, Any], reason: str
) -> None:
    table.change("delete from questions where id > 1")
    robot.behave(**manners)
    found = project(table, robot)

    run(found)
    outcome = next(iter(found.state().current("q.summary", ["[1]"]).values()))
    assert [finding.code for finding in outcome.findings] == [reason]
