"""Waves of headless programs under a usage window, and what a person is told of a login (001.14, 001.16)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.commands import in_process
from tests.engine.projects import Table
from tests.programs.playing import Robot, project, summary

from seedbed import Project, Spend
from seedbed.engine.projects.clock import VARIABLE
from seedbed.engine.waves import wave
from seedbed.errors import AuthError, ConfigError, WindowUsed

NIGHT = {"account": "robot", "reset": ["23:00"]}
CLOSED = {"errors": "Session limit reached. Resets 11pm (UTC)\n", "exit": 1}
LOGGED_OUT = {"errors": "Error: OAuth token has expired, please log in\n", "exit": 1}


@pytest.fixture(autouse=True)
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the clock; it is evening."""
    monkeypatch.setenv(VARIABLE, "2026-11-20T20:00:00Z")
    return lambda text: monkeypatch.setenv(VARIABLE, text)


def of_the_night(table: Table, robot: Robot, **more: Any) -> Project:
    window = {"windows.night": {**NIGHT, **more.pop("window", {})}}
    return project(table, robot, stage=summary(per_call=12), provider={"login": "robot login"}, **window, **more)


def test_a_window_that_closes_ends_the_wave_harmlessly_and_its_keys_are_asked_at_the_next_fire(
    tmp_path: Path, robot: Robot, at: Any
) -> None:
    """(001.14)"""
    table = Table(tmp_path, "http://127.0.0.1:9/v1", 700)
    robot.behave(closes_at=300, says=CLOSED)

    report = wave(of_the_night(table, robot), spend=Spend(concurrency=6))

    assert isinstance(report.error, WindowUsed) and report.error.exit_code == 75
    assert (report.settled, report.left) == (300, 400)
    assert [each.states for each in report.generated] == [{"accepted": 300}]
    assert report.windows[0].closed_until == "2026-11-20T23:00:00Z"
    assert report.next_wave == "2026-11-20T23:20:00Z"

    starts = len(robot.starts)
    assert isinstance(wave(of_the_night(table, robot)).error, WindowUsed)  # a fire into the closed window
    assert len(robot.starts) == starts

    robot.behave()
    at("2026-11-20T23:20:00Z")
    again = wave(of_the_night(table, robot))
    assert (again.error, again.state, again.left) == (None, "complete", 0)
    assert [row[3] for row in table.rows()] == [f"Q{n}Z" for n in range(1, 701)]


def test_a_login_that_expired_at_night_is_told_by_wave_status_and_doctor(
    tmp_path: Path, robot: Robot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """(001.16)"""
    table = Table(tmp_path, "http://127.0.0.1:9/v1", 24)
    (tmp_path / "seedbed.toml").write_text(
        f"""
[project]
corpus = "sqlite:///corpus.db"
[tiers]
default = "robot/fast-1"
[providers.robot]
program = {json.dumps(robot.arguments())}
login = "robot login"
[windows.night]
account = "robot"
reset = "23:00"
[stages."q.summary"]
table = "questions"
outputs = ["summary"]
prompt = "Sum up: {{{{ text }}}}"
""",
        "utf-8",
    )
    monkeypatch.chdir(tmp_path)
    robot.behave(says=LOGGED_OUT)

    night = in_process(capsys, "wave")
    assert night.code == 6
    assert "log in with: robot login" in night.err
    assert "log in with: robot login" in in_process(capsys, "status").out
    assert "log in with: robot login" in in_process(capsys, "doctor").out
    assert in_process(capsys, "status", "--json").json()["stages"][0]["states"] == {}

    robot.behave()
    assert in_process(capsys, "wave").code == 0
    assert "log in" not in in_process(capsys, "status").out + in_process(capsys, "doctor").out
    assert None not in [row[3] for row in table.rows()]


def test_a_window_in_tokens_is_refused_where_none_are_counted(tmp_path: Path, robot: Robot) -> None:
    table = Table(tmp_path, "http://127.0.0.1:9/v1", 12)
    with pytest.raises(ConfigError, match="counts no tokens"):
        wave(of_the_night(table, robot, window={"capacity": "2M tokens"}))
    assert robot.starts == []


def test_a_wave_keeps_to_its_share_in_items(tmp_path: Path, robot: Robot) -> None:
    table = Table(tmp_path, "http://127.0.0.1:9/v1", 48)
    report = wave(of_the_night(table, robot, window={"capacity": "48 items"}), share="50%")
    assert (report.settled, len(robot.starts)) == (24, 2)
    assert isinstance(report.error, WindowUsed)
    assert not isinstance(report.error, AuthError)
