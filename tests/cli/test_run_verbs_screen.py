"""On a terminal one question and one live screen; off it plain lines."""

from __future__ import annotations

import re
from pathlib import Path

from seedbed.cli.screen import Pace, duration
from seedbed.engine.projects.project import project_of
from seedbed.events import ItemsSettled, Notice, RoundOpened, Waiting
from seedbed.records import Finding, Outcome
from seedbed.simulator import Simulator
from seedbed.stage import Pipeline
from tests.cli.commands import SUMMARY, at_terminal, in_shell, questions, rows

ESCAPE = "\x1b"


def test_a_terminal_is_asked_once_and_no_sends_nothing(sim: Simulator, tmp_path: Path) -> None:
    questions(tmp_path / "q.csv", 4)
    ended = at_terminal(tmp_path, "fill", "q.csv", SUMMARY, "--base-url", sim.url, "--budget", "3usd", answer="n")
    assert ended.code == 130
    assert "4 items, openai/gpt-5-mini, $0.0" in ended.out
    assert "cap $3.00" in ended.out
    assert "Nothing was sent." in ended.out
    assert sim.summary()["requests"] == 0


def test_a_terminal_shows_one_screen_and_leaves_the_report(sim: Simulator, tmp_path: Path) -> None:
    questions(tmp_path / "q.csv", 40)
    sim.configure(latency_ms=100)
    words = ["fill", "q.csv", SUMMARY, "--base-url", sim.url, "--concurrency", "4"]
    ended = at_terminal(tmp_path, *words, answer="y")
    assert ended.code == 0
    assert ended.out.count("[y/N]") == 1
    drawn = re.findall(r"(\d+) / 40", ended.out)
    assert len(drawn) >= 2
    assert f"{ESCAPE}[?25h" in ended.out  # the cursor is given back
    assert "40 items = 40 accepted" in ended.out
    assert all(row["summary"] for row in rows(tmp_path / "q.filled.csv"))
    again = at_terminal(tmp_path, *words)
    assert again.code == 0
    assert "[y/N]" not in again.out
    assert "Nothing is left to do." in again.out


def test_dumb_terminals_and_ci_get_plain_lines(sim: Simulator, tmp_path: Path) -> None:
    questions(tmp_path / "q.csv", 4)
    words = ["fill", "q.csv", SUMMARY, "--base-url", sim.url, "--yes"]
    ended = at_terminal(tmp_path, *words, CI="true")
    assert ended.code == 0
    assert ESCAPE not in ended.out
    assert "100%" in ended.out


def test_a_run_on_a_terminal_asks_with_the_figures_of_each_stage(sim: Simulator, tmp_path: Path) -> None:
    in_shell(tmp_path, "init", ".")
    toml = tmp_path / "seedbed.toml"
    toml.write_text(toml.read_text("utf-8").replace("offline/standin", "openai/gpt-5-mini"), "utf-8")
    ended = at_terminal(tmp_path, "run", "--base-url", sim.url, "--limit", "2", answer="n")
    assert ended.code == 130
    assert "questions.summary: 2 items, openai/gpt-5-mini" in ended.out
    assert sim.summary()["requests"] == 0
    assert at_terminal(tmp_path, "run", "--base-url", sim.url, "--limit", "2", "--yes").code == 0
    assert in_shell(tmp_path, "run", "--base-url", sim.url, "--limit", "2").code == 0
    assert sim.summary()["requests"] == 4


def test_plain_lines_come_at_each_5_percent_and_go_to_stderr(sim: Simulator, tmp_path: Path) -> None:
    questions(tmp_path / "q.csv", 200)
    sim.configure(latency_ms=5)
    words = ["fill", "q.csv", SUMMARY, "--base-url", sim.url, "--yes", "--concurrency", "2"]
    ended = in_shell(tmp_path, *words)
    shares = [int(found) for found in re.findall(r" (\d+)% settled=", ended.err)]
    assert shares[-1] == 100
    assert shares == sorted(shares)
    assert 5 <= len(shares) <= 21
    assert "%" not in ended.out


# ------------------------------------------------------------------------------------ figures


def _outcome(state: str, code: str = "") -> Outcome:
    findings = (Finding(code, "words"),) if code else ()
    return Outcome("s", "[1]", "r", state, "", "", findings=findings)  # type: ignore[arg-type]


def test_after_a_resume_rate_forecast_and_rest_speak_of_this_process_alone(tmp_path: Path) -> None:
    project = project_of(tmp_path, Pipeline("p", []))
    pace = Pace(project)
    meter = project.meter
    meter.open_stage("s")
    meter.open_round(items=1000, settled=900)
    pace.hear(RoundOpened("s", "r", 1000, 900))
    assert pace.figures()["rest"] == ""
    assert meter.forecast() is None
    meter.settled, meter.spent = 910, 50
    pace.hear(ItemsSettled("s", [_outcome("accepted")] * 8 + [_outcome("rejected", "shape")] * 2))
    assert meter.forecast() == 500  # 10 for 50, and 90 more at the same price
    figures = pace.figures()
    assert figures["settled"] == "910 / 1,000"
    assert figures["states"] == "accepted 8   rejected 2"
    assert figures["problems"] == "shape x 2"
    assert figures["rest"]


def test_a_wait_is_shown_until_items_come_again_and_notices_are_neutralised(tmp_path: Path) -> None:
    pace = Pace(project_of(tmp_path, Pipeline("p", [])))
    pace.hear(RoundOpened("s", "r", 10))
    pace.hear(Waiting("rate limit\x1b[2J", 20.0))
    assert pace.notice.startswith("waiting 20 s, until ") and pace.notice.endswith(": rate limit\\x1b[2J")
    pace.hear(ItemsSettled("s", [_outcome("accepted")]))
    assert pace.notice == ""
    pace.hear(Notice("a sentence"))
    pace.hear(ItemsSettled("s", [_outcome("accepted")]))
    assert pace.notice == "a sentence"


def test_durations_read_as_people_say_them() -> None:
    assert [duration(s) for s in (0.4, 40, 89, 91, 720, 5400, 12_000)] == [
        "0 s", "40 s", "89 s", "2 min", "12 min", "1 h 30 min", "3 h 20 min",
    ]  # fmt: skip
