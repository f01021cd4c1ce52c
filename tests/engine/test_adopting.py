"""Answers that were paid for elsewhere: receipts of a stage, checked like any other, never asked, never paid twice."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.engine.projects import SHAPE, Table

from seedbed import Call, Finding, Item, Stage, adopt, fills, recover, roll_back, run, upload
from seedbed.crashing import VARIABLE
from seedbed.engine.keeping.adopting import PAGE, AdoptReport, Form
from seedbed.engine.keeping.carrying import verify
from seedbed.engine.looks.books import cost
from seedbed.errors import UsageError
from seedbed.simulator import Simulator


def summary(**more: Any) -> Stage:
    return Stage("q.summary", fills("questions", ["summary"]), prompt="Sum up: {{ text }}", shape=SHAPE, **more)


def answer(number: int) -> dict[str, Any]:
    return {"summary": f"From elsewhere: Q{number}Z."}


def plain(number: int, **more: Any) -> dict[str, Any]:
    return {"key": number, "answer": json.dumps(answer(number)), **more}


def openai_line(number: int, text: str | None = None, status: int = 200) -> dict[str, Any]:
    """A line as the provider's batch output has it."""
    body: dict[str, Any] = {
        "object": "chat.completion",
        "model": "gpt-4o-mini",
        "choices": [
            {"message": {"role": "assistant", "content": text or json.dumps(answer(number))}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 30, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 10}},
    }
    if status != 200:
        body = {"error": {"message": "the model was overloaded"}}
    return {
        "id": f"batch_req_{number}", "custom_id": f"task-{number}",
        "response": {"status_code": status, "request_id": "r", "body": body}, "error": None,
    }  # fmt: skip


def written(path: Path, lines: Iterable[Any]) -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path.write_text(text, "utf-8")
    return path


def balanced(report: AdoptReport) -> bool:
    return report.lines == report.adopted + report.already + len(report.not_joined) and report.adopted == sum(
        report.states.values()
    )


def summaries(table: Table) -> dict[int, str | None]:
    return dict(table.rows("select id, summary from questions"))


def test_answers_from_elsewhere_are_uploaded_and_only_the_rest_is_asked(
    table: Table, sim: Simulator, tmp_path: Path
) -> None:
    file = written(tmp_path / "paid.jsonl", (plain(n, model="gpt-4o") for n in range(1, 13)))

    report = adopt(table.project(summary()), None, file)

    assert (report.lines, report.adopted, report.states) == (12, 12, {"accepted": 12})
    assert balanced(report)
    assert sim.summary()["requests"] == 0
    run(table.project(summary()))
    assert set(sim.summary()["by_item"]) == {f"Q{n}Z" for n in range(13, 21)}
    assert {n: summaries(table)[n] for n in range(1, 13)} == {n: f"From elsewhere: Q{n}Z." for n in range(1, 13)}


def test_a_batch_output_is_joined_by_its_custom_id_and_its_tokens_are_in_the_books_at_no_price(
    table: Table, sim: Simulator, tmp_path: Path
) -> None:
    file = written(tmp_path / "batch.jsonl", (openai_line(n) for n in range(1, 6)))

    report = adopt(table.project(summary()), None, file, Form(prefix="task-"))

    assert (report.adopted, report.states) == (5, {"accepted": 5})
    project = table.project(summary())
    entries = project.state().entries([p.intent.id for p in project.receipts().purchases()])
    assert {(e.kind, e.nano, e.usage.input, e.usage.cached, e.usage.output) for e in entries.values()} == {
        ("adopt", 0, 20, 10, 7)
    }
    outcomes = project.state().current("q.summary", ["[1]"])
    assert [(o.cost, o.model, o.served) for o in outcomes.values()] == [(0, "adopted/gpt-4o-mini", "gpt-4o-mini")]
    assert [row.nano for row in cost(project).rows] == [0]


def test_lines_of_other_batch_forms_are_read(table: Table, tmp_path: Path) -> None:
    claude = {
        "custom_id": "1",
        "result": {
            "type": "succeeded",
            "message": {
                "model": "claude",
                "content": [{"type": "text", "text": json.dumps(answer(1))}],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": 9, "output_tokens": 4},
            },
        },
    }
    responses = {
        "custom_id": "2",
        "response": {
            "status_code": 200,
            "body": {
                "model": "gpt-5",
                "status": "completed",
                "output": [
                    {"type": "reasoning"},
                    {"type": "message", "content": [{"type": "output_text", "text": json.dumps(answer(2))}]},
                ],
                "usage": {"input_tokens": 9, "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 2}},
            },
        },
    }
    file = written(tmp_path / "batch.jsonl", [claude, responses])

    adopt(table.project(summary()), None, file)

    current = table.project(summary()).state().current("q.summary", ["[1]", "[2]"])
    assert {(key, o.state, o.served, o.usage.reasoning) for key, o in current.items()} == {
        ("[1]", "accepted", "claude", 0),
        ("[2]", "accepted", "gpt-5", 2),
    }


def test_importing_a_file_twice_adds_nothing(table: Table, sim: Simulator, tmp_path: Path) -> None:
    file = written(tmp_path / "paid.jsonl", map(plain, range(1, 13)))
    adopt(table.project(summary()), None, file)
    before = verify(table.project(summary())).counts

    again = adopt(table.project(summary()), None, file)

    assert (again.adopted, again.already, again.not_joined) == (0, 12, [])
    assert verify(table.project(summary())).counts == before


def test_what_is_declined_is_rejected_with_its_reason_and_only_recover_asks_it(
    table: Table, sim: Simulator, tmp_path: Path
) -> None:
    def known(item: Item, output: Any) -> Iterable[Finding]:
        if "Q4Z" in output["summary"]:
            yield Finding("not_this", "not as it should be", "summary")

    lines = [plain(n) for n in range(1, 21)]
    lines[1]["answer"] = '{"summary": 12}'
    lines[2]["answer"] = "I cannot say."
    file = written(tmp_path / "paid.jsonl", lines)

    report = adopt(table.project(summary(checks=[known])), None, file)

    assert (report.adopted, report.states) == (20, {"accepted": 17, "rejected": 3})
    assert [key for key, _ in report.declined] == ["[2]", "[3]", "[4]"]
    run(table.project(summary()))
    assert sim.summary()["requests"] == 0
    recover(table.project(summary()))
    assert set(sim.summary()["by_item"]) == {"Q2Z", "Q3Z", "Q4Z"}
    upload(table.project(summary()))
    assert None not in summaries(table).values()


def test_a_broken_answer_is_mended_as_any_other(table: Table, tmp_path: Path) -> None:
    broken = '```json\n{"summary": "Ana a spus „da" și a plecat",}\n```'
    adopt(table.project(summary()), None, written(tmp_path / "paid.jsonl", [{"id": "7", "output": broken}]))

    upload(table.project(summary()))

    assert summaries(table)[7] == 'Ana a spus „da" și a plecat'


def test_each_line_that_cannot_be_joined_is_listed_with_its_reason(table: Table, tmp_path: Path) -> None:
    table.change("update questions set summary = 'mine' where id = 5")
    lines: list[Any] = [
        plain(1),
        plain(1),
        plain(99),
        plain(5),
        {"answer": "of nothing"},
        {"key": 2},
        "{not json",
        "[1, 2]",
        {"key": "two", "answer": "x"},
        {"key": [1, 2], "answer": "x"},
        openai_line(3, status=500) | {"custom_id": "3"},
        {"key": None, "answer": "x"},
    ]
    file = written(tmp_path / "paid.jsonl", lines)

    report = adopt(table.project(summary()), None, file)

    assert balanced(report)
    assert report.adopted == 1
    said = {one.line: one.reason for one in report.not_joined}
    assert sorted(said) == list(range(2, 13))
    assert "line 1 holds an answer" in said[2]
    assert "no such row" in said[3]
    assert "its cells are full" in said[4]
    assert said[5].startswith("no key")
    assert said[6].startswith("no answer")
    assert said[7].startswith("not JSON")
    assert said[8] == "not a JSON object"
    assert said[9].startswith("no key")
    assert said[10].startswith("no key")
    assert "overloaded" in said[11]
    assert said[12].startswith("no key")


def test_a_dry_run_says_the_same_and_writes_nothing(table: Table, tmp_path: Path) -> None:
    lines = [plain(1), {"key": 2, "answer": "no JSON"}, plain(99)]
    file = written(tmp_path / "paid.jsonl", lines)

    tried = adopt(table.project(summary()), None, file, dry_run=True)

    assert verify(table.project(summary())).counts.intents == 0
    done = adopt(table.project(summary()), None, file)
    assert (tried.adopted, tried.states, tried.declined, tried.not_joined) == (
        done.adopted, done.states, done.declined, done.not_joined,
    )  # fmt: skip


def test_the_fields_can_be_named_and_the_file_packed(table: Table, tmp_path: Path) -> None:
    file = tmp_path / "paid.jsonl.gz"
    file.write_bytes(gzip.compress(json.dumps({"ref": "q/3", "completion": answer(3)}).encode()))

    report = adopt(table.project(summary()), None, file, Form(key="ref", answer="completion", prefix="q/"))

    assert (report.adopted, report.states) == (1, {"accepted": 1})


def test_an_adopted_release_is_taken_back_as_any_other(table: Table, sim: Simulator, tmp_path: Path) -> None:
    adopt(table.project(summary()), None, written(tmp_path / "paid.jsonl", map(plain, range(1, 21))))
    upload(table.project(summary()))
    assert None not in summaries(table).values()

    roll_back(table.project(summary()))

    assert set(summaries(table).values()) == {None}
    run(table.project(summary()))
    assert sim.summary()["requests"] == 0


def test_a_stage_of_several_calls_and_a_file_that_is_not_there_are_refused(table: Table, tmp_path: Path) -> None:
    async def several(question: Item, call: Call) -> Any:
        return await call("one", "What is {{ q.text }}", SHAPE, q=question)

    asks = Stage("q.asks", fills("questions", ["summary"]), ask=several, inputs=("text",))
    with pytest.raises(UsageError, match="takes no answers"):
        adopt(table.project(asks), None, tmp_path / "paid.jsonl")
    with pytest.raises(UsageError, match="cannot be read"):
        adopt(table.project(summary()), None, tmp_path / "paid.jsonl")


KILLED = """
import sys
from pathlib import Path
from tests.engine.test_adopting import summary
from tests.engine.projects import Table
from seedbed import adopt
adopt(Table.there(Path(sys.argv[1]), sys.argv[2]).project(summary()), None, Path(sys.argv[3]))
"""


@pytest.mark.parametrize("point", ["after adopted receipts", "between adopted receipts and outcomes"])
@pytest.mark.parametrize("then", ["run", "adopt"])
def test_after_a_kill_nothing_that_was_read_is_asked(tmp_path: Path, sim: Simulator, point: str, then: str) -> None:
    table = Table(tmp_path, sim.url, PAGE + 20)
    file = written(tmp_path / "paid.jsonl", map(plain, range(1, PAGE + 11)))
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), sim.url, str(file)],
        env={**os.environ, VARIABLE: f"{point}:2"}, cwd=Path(__file__).parents[2], check=False,
    )  # fmt: skip
    assert child.returncode == -9

    if then == "adopt":
        report = adopt(table.project(summary()), None, file)
        assert (report.adopted, report.already, report.not_joined) == (0, PAGE + 10, [])
    run(table.project(summary()))

    assert set(sim.summary()["by_item"]) == {f"Q{n}Z" for n in range(PAGE + 11, PAGE + 21)}
    assert summaries(table)[PAGE + 10] == f"From elsewhere: Q{PAGE + 10}Z."
    assert verify(table.project(summary())).counts.receipts == PAGE + 20
