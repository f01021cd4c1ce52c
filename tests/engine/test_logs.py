"""Log pages: one for each run, at an address that can be guessed, with the facts in front."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seedbed import Pipeline, Project, Stage, fills, project_of
from seedbed.engine.logs import page_facts, page_text, write_page
from seedbed.ports.state import MadeRow, RoundRow, RunRow, State, TillEntry
from seedbed.ports.state.sqlite import open_state
from seedbed.records import Finding, Outcome, Usage

START = 1_795_161_600_000
"""2026-11-20T08:00:00Z."""
MINUTE = 60_000
FRONT = ["job_type", "topics", "mode", "started", "finished", "counts", "total_cost", "status"]
PHASES = {"export": 0.5, "generate": 12.3456}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return project_of(tmp_path, Pipeline("quiz", [Stage("q.summary", fills("questions", ["summary"]), prompt="x")]))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = open_state(tmp_path / "state.sqlite")
    yield opened
    opened.close()


def run_row(state: State, name: str = "run-1", **more: Any) -> RunRow:
    given: dict[str, Any] = {
        "command": "run", "target": "q.summary", "started": START, "status": "running", "pid": 1, "host": "h",
        "settings": {"model": "openai/gpt-5-mini", "concurrency": 20}, "cap": 5_000_000_000,
    }  # fmt: skip
    row = RunRow(**{**given, "id": name, **more})
    state.open_run(row)
    return replace(row, status="completed", exit_code=0, message="All done.", finished=START + 2 * MINUTE, **more)


def worked(state: State, run: str = "run-1", *, price: int | None = 1_234_000_000) -> None:
    """A round of four items with a rejection in it."""
    state.open_round(RoundRow("r1", 0, "q.summary", "1/1", "recipe", "open", run, START))
    short = (Finding("too_short", "3 of 10", "summary"),)
    outcomes = [
        Outcome("q.summary", f"[{n}]", "r1", "accepted", "f", "recipe", run=run, at=START, row={"topic": topic})
        for n, topic in ((1, "sea"), (2, "air"), (3, "sea"))
    ]
    outcomes.append(Outcome("q.summary", "[4]", "r1", "rejected", "f", "recipe", run=run, at=START, findings=short))
    entry = TillEntry("w-1", "settle", price, "q.summary", run, "m", START, Usage(100, 20, 30, 5))
    state.settle(outcomes, [entry])
    state.uploaded(
        "q.summary", "release", [], [MadeRow("q.summary", "r1", "[1]", 0, "facts", "x", "stored", "release")]
    )


def front_matter(page: Path) -> dict[str, Any]:
    head = page.read_text("utf-8").split("---\n")[1]
    pairs = (line.split(": ", 1) for line in head.splitlines())
    return {name: json.loads(value) for name, value in pairs}


def headings(page: Path) -> list[str]:
    return re.findall(r"^## (.+)$", page.read_text("utf-8"), re.MULTILINE)


def index_rows(project: Project) -> list[str]:
    text = (project.root / "logs" / "2026-11" / "index.md").read_text("utf-8")
    return [line for line in text.splitlines() if line.startswith("| [")]


# ---------------------------------------------------------------------------------------- addresses


def test_a_page_lies_in_its_month_under_minute_job_and_slug(project: Project, state: State) -> None:
    page = write_page(project, state, run_row(state), PHASES)
    assert str(page.relative_to(project.root)) == "logs/2026-11/2026-11-20T08-00--run--q-summary.md"


@pytest.mark.parametrize(
    ("command", "target", "name"),
    [
        ("run", "", "2026-11-20T08-00--run--all.md"),
        ("Run Fast", "Facts & Figures", "2026-11-20T08-00--run-fast--facts-figures.md"),
        ("run", "../../etc/passwd", "2026-11-20T08-00--run--etc-passwd.md"),
        ("run", "größe", "2026-11-20T08-00--run--gr-e.md"),
        ("run", "x" * 500, f"2026-11-20T08-00--run--{'x' * 60}.md"),
    ],
)
def test_no_job_or_target_leads_to_another_address(
    project: Project, state: State, command: str, target: str, name: str
) -> None:
    page = write_page(project, state, run_row(state, command=command, target=target), PHASES)
    assert page == project.root / "logs" / "2026-11" / name


def test_times_are_utc_at_the_turn_of_a_year(project: Project, state: State) -> None:
    page = write_page(project, state, run_row(state, started=1_798_761_599_999), PHASES)
    assert page.name.startswith("2026-12-31T23-59--")


def test_a_readme_says_where_pages_lie(project: Project, state: State) -> None:
    write_page(project, state, run_row(state), PHASES)
    assert "YYYY-MM/YYYY-MM-DDThh-mm--JOB--SLUG.md" in (project.root / "logs" / "README.md").read_text("utf-8")


def test_a_readme_that_a_person_changed_is_left_alone(project: Project, state: State) -> None:
    (project.root / "logs").mkdir()
    (project.root / "logs" / "README.md").write_text("mine", "utf-8")
    write_page(project, state, run_row(state), PHASES)
    assert (project.root / "logs" / "README.md").read_text("utf-8") == "mine"


def test_a_second_run_in_the_same_minute_gets_a_page_of_its_own(project: Project, state: State) -> None:
    first = write_page(project, state, run_row(state, "run-1"), PHASES)
    second = write_page(project, state, run_row(state, "run-2", started=START + 30_000), PHASES)
    assert (first.name, second.name) == (
        "2026-11-20T08-00--run--q-summary.md",
        "2026-11-20T08-00--run--q-summary-2.md",
    )


def test_the_same_run_is_written_over_its_own_page(project: Project, state: State) -> None:
    row = run_row(state)
    pages = {write_page(project, state, one, PHASES) for one in (replace(row, status="partial"), row)}
    assert [front_matter(page)["status"] for page in pages] == ["completed"]


@pytest.mark.parametrize("left", ["", "{", "[]", '{"run": '])
def test_half_a_page_that_a_kill_left_is_passed_by(project: Project, state: State, left: str) -> None:
    folder = project.root / "logs" / "2026-11"
    folder.mkdir(parents=True)
    (folder / "2026-11-20T08-00--run--q-summary.json").write_text(left, "utf-8")
    assert write_page(project, state, run_row(state), PHASES).stem.endswith("-2")


def test_a_page_of_another_hand_is_never_written_over(project: Project, state: State) -> None:
    folder = project.root / "logs" / "2026-11"
    folder.mkdir(parents=True)
    (folder / "2026-11-20T08-00--run--q-summary.md").write_text("mine", "utf-8")
    write_page(project, state, run_row(state), PHASES)
    assert (folder / "2026-11-20T08-00--run--q-summary.md").read_text("utf-8") == "mine"


def test_nothing_half_written_is_left_behind(project: Project, state: State) -> None:
    write_page(project, state, run_row(state), PHASES)
    assert sorted(path.name for path in (project.root / "logs" / "2026-11").iterdir()) == [
        "2026-11-20T08-00--run--q-summary.json",
        "2026-11-20T08-00--run--q-summary.md",
        "index.md",
    ]


# --------------------------------------------------------------------------------------- the index


def test_each_run_has_one_row_in_the_index_of_its_month(project: Project, state: State) -> None:
    row = run_row(state)
    for _ in range(3):
        write_page(project, state, row, PHASES)
    assert len(index_rows(project)) == 1


def known(state: State) -> RunRow:
    row = state.run("run-1")
    assert row is not None
    return row


def test_a_row_of_the_index_tells_the_run_and_leads_to_its_page(project: Project, state: State) -> None:
    row = run_row(state)
    worked(state)
    page = write_page(project, state, row, PHASES)
    assert index_rows(project) == [
        f"| [2026-11-20T08:00:00Z]({page.name}) | run | q.summary | completed | 1 | $1.234 |"
    ]


def test_two_runs_of_one_minute_have_two_rows(project: Project, state: State) -> None:
    for name in ("run-1", "run-2"):
        write_page(project, state, run_row(state, name), PHASES)
    assert len(index_rows(project)) == 2


def test_what_a_person_wrote_into_the_index_stays(project: Project, state: State) -> None:
    write_page(project, state, run_row(state, "run-1"), PHASES)
    index = project.root / "logs" / "2026-11" / "index.md"
    index.write_text(index.read_text("utf-8") + "A remark.\n", "utf-8")
    write_page(project, state, run_row(state, "run-2"), PHASES)
    assert "A remark." in index.read_text("utf-8")


# ----------------------------------------------------------------------------------------- the page


def test_the_front_matter_holds_the_eight_keys(project: Project, state: State) -> None:
    assert list(front_matter(write_page(project, state, run_row(state), PHASES))) == FRONT


def test_the_front_matter_tells_the_run(project: Project, state: State) -> None:
    row = run_row(state)
    worked(state)
    assert front_matter(write_page(project, state, row, PHASES)) == {
        "job_type": "run",
        "topics": ["air", "sea"],
        "mode": "q.summary",
        "started": "2026-11-20T08:00:00Z",
        "finished": "2026-11-20T08:02:00Z",
        "counts": {"q.summary": {"accepted": 3, "rejected": 1, "rows stored": 1}},
        "total_cost": "1.234",
        "status": "completed",
    }


def test_the_front_matter_equals_the_json_beside_the_page(project: Project, state: State) -> None:
    row = run_row(state)
    worked(state)
    page = write_page(project, state, row, PHASES)
    beside = json.loads(page.with_suffix(".json").read_text("utf-8"))
    assert front_matter(page) == {name: beside[name] for name in FRONT}


def test_the_json_beside_the_page_is_the_facts_of_the_run(project: Project, state: State) -> None:
    row = run_row(state)
    worked(state)
    page = write_page(project, state, row, PHASES)
    assert json.loads(page.with_suffix(".json").read_text("utf-8")) == page_facts(project, state, row, PHASES)


def test_the_page_has_its_four_headings(project: Project, state: State) -> None:
    assert headings(write_page(project, state, run_row(state), PHASES)) == [
        "Settings as they were",
        "Time per phase",
        "Errors and what was done",
        "What is left to do",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "- model: `openai/gpt-5-mini`",
        "- cap: 5",
        "- generate: 12.346 s",
        "- q.summary: 1 rejected (too_short), e.g. `[4]`",
        "- q.summary: round r1 is open",
        "1 calls, $1.234. All done.",
    ],
)
def test_the_page_is_filled(project: Project, state: State, line: str) -> None:
    row = run_row(state)
    worked(state)
    assert line in write_page(project, state, row, PHASES).read_text("utf-8").splitlines()


@pytest.mark.parametrize("line", ["- none", "- nothing in the rounds of this run", "- not known: the run was killed"])
def test_what_there_is_nothing_of_is_said(project: Project, state: State, line: str) -> None:
    assert line in write_page(project, state, run_row(state), {}).read_text("utf-8").splitlines()


def test_a_price_that_is_not_known_is_said_to_be_unknown(project: Project, state: State) -> None:
    row = run_row(state)
    worked(state, price=None)
    page = write_page(project, state, row, PHASES)
    assert front_matter(page)["total_cost"] is None and "1 calls, unknown." in page.read_text("utf-8")


def test_a_run_that_was_killed_is_partial(project: Project, state: State) -> None:
    run_row(state)
    facts = front_matter(write_page(project, state, known(state), {}))
    assert (facts["status"], facts["finished"]) == ("partial", None)


@pytest.mark.parametrize("status", ["completed", "failed", "partial"])
def test_the_status_is_one_of_three_words(project: Project, state: State, status: Any) -> None:
    row = replace(run_row(state), status=status)
    assert front_matter(write_page(project, state, row, PHASES))["status"] == status


def test_text_of_the_corpus_does_not_break_the_front_matter(project: Project, state: State) -> None:
    row = run_row(state)
    facts = page_facts(project, state, row, PHASES)
    facts["topics"] = ['a\n---\nstatus: "failed"', "b: {c}"]
    head = page_text(facts).split("\n---\n")[0]
    assert [line.split(":")[0] for line in head.splitlines()[1:]] == FRONT
