"""Programs do not outlive what they were started for: a limit, Ctrl-C, ``kill -9``, their own end (001.10)."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from tests.cli.commands import in_shell, start
from tests.engine.crashing import receipts_on_disk
from tests.engine.projects import Table, waiting_until
from tests.programs.playing import Robot, project

from seedbed import Spend, run

FAMILY = ["same group", "left the group", "family"]
"""Children that a program starts: in its group, in a group of their own, and one with a child of its own."""
HANG = ["Q3Z", "Q7Z", "Q8Z"]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path, "http://127.0.0.1:9/v1", 12)


@pytest.fixture
def folder(table: Table, robot: Robot) -> Path:
    """A project on the disk, for commands in processes of their own."""
    settings = f"""
[project]
corpus = "sqlite:///corpus.db"
[tiers]
default = "robot/fast-1"
[run]
grace = 0
[providers.robot]
program = {json.dumps(robot.arguments())}
[stages."q.summary"]
table = "questions"
outputs = ["summary"]
prompt = "Sum up.\\n<!-- item -->\\n{{{{ text }}}}"
"""
    (table.root / "seedbed.toml").write_text(settings, "utf-8")
    return table.root


def gone(robot: Robot) -> bool:
    """Neither a process nor a folder of it is left."""
    return not robot.left and not any(Path(start["folder"]).exists() for start in robot.starts)


def under_way(folder: Path, robot: Robot) -> subprocess.Popen[str]:
    """A run of which three programs hang, while all others have answered and their receipts are stored."""
    robot.behave(hangs=HANG, stubborn=True, starts=FAMILY)
    child = start(folder, "run", "--concurrency", "4")
    waiting_until(lambda: child.poll() is not None or (receipts_on_disk(folder) == 9 and robot.hangs(3)), 120)
    assert child.poll() is None, child.communicate()
    return child


def only_these_were_asked_again(folder: Path, robot: Robot) -> None:
    robot.behave()
    ended = in_shell(folder, "run")
    assert ended.code == 0, ended.err
    assert sorted(robot.asked) == sorted([f"Q{n}Z" for n in range(1, 13)] + HANG)


def test_a_program_has_nothing_to_read(table: Table, robot: Robot) -> None:
    assert run(project(table, robot)).error is None
    assert {start["read"] for start in robot.starts} == {""}


def test_a_program_is_ended_at_its_limit_with_all_that_it_has_started(table: Table, robot: Robot) -> None:
    robot.behave(hangs=["Q1Z"], stubborn=True, starts=FAMILY)
    for limit in (1, 4, 16, 64):  # on a slow machine it has to get as far as hanging first
        report = run(project(table, robot, provider={"timeout": limit}), None, spend=Spend(concurrency=3))
        if robot.hangs(1):
            break
        table.change("update questions set summary = null")

    assert report.error is None
    assert [row[3] is None for row in table.rows()] == [True] + [False] * 11
    assert robot.asked.count("Q1Z") == 2
    assert gone(robot)


def test_what_a_program_leaves_running_is_ended_with_it(table: Table, robot: Robot) -> None:
    robot.behave(starts=FAMILY)

    assert run(project(table, robot)).error is None
    assert len(robot.children) == 12 * 4
    assert gone(robot)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_ends_its_programs_first(folder: Path, robot: Robot, number: signal.Signals) -> None:
    child = under_way(folder, robot)

    child.send_signal(number)
    child.communicate(timeout=60)

    assert child.returncode == 128 + number
    assert gone(robot)
    only_these_were_asked_again(folder, robot)


def test_after_kill_9_nothing_runs_on_and_only_what_was_in_doubt_is_asked_again(folder: Path, robot: Robot) -> None:
    child = under_way(folder, robot)

    child.kill()
    child.communicate(timeout=60)

    waiting_until(lambda: gone(robot), 120)
    only_these_were_asked_again(folder, robot)


def test_a_guard_that_is_killed_takes_its_program_with_it(table: Table, robot: Robot) -> None:
    robot.behave(kills_guard="Q1Z")

    report = run(project(table, robot), None, spend=Spend(concurrency=3))

    assert report.error is None
    assert None not in [row[3] for row in table.rows()]
    assert robot.asked.count("Q1Z") == 2
    waiting_until(lambda: not robot.left)
