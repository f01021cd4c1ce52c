"""Signals, closed terminals and pipes, stopped processes, too few handles: a run ends in order, or safely."""

from __future__ import annotations

import os
import pty
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.engine.crashing import stage, start
from tests.engine.projects import Table, waiting_until
from tests.engine.test_kills import in_doubt, received

from seedbed import run
from seedbed.errors import Locked
from seedbed.simulator import Simulator

ROOT = Path(__file__).parents[2]
SETTINGS = """
[project]
corpus = "sqlite:///corpus.db"
[tiers]
default = "openai/test"
[providers.openai]
base_url = "{url}"
[stages."q.summary"]
table = "questions"
outputs = ["summary"]
prompt = "Sum up.\\n<!-- item -->\\n{{{{ text }}}}"
"""
CONTROLLED = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
MANY = """
import sys
from pathlib import Path
from seedbed import Spend, run
from tests.engine.crashing import stage
from tests.engine.projects import Table
project = Table.there(Path(sys.argv[1]), sys.argv[2]).project(stage("plain"))
error = run(project, None, spend=Spend(concurrency=200)).error
sys.exit(error.exit_code if error else 0)
"""


def each_was_asked_once(table: Table, sim: Simulator) -> None:
    """Goes on to the end; then nobody was asked twice and every cell is filled."""
    assert run(table.project(stage("plain"))).error is None
    assert {item["complete"] for item in sim.summary()["by_item"].values()} == {1}
    assert all(row[3] for row in table.rows())


def test_a_signal_while_a_rate_limit_is_waited_out_ends_at_once_and_uses_up_no_attempt(
    tmp_path: Path, sim: Simulator
) -> None:
    """(fault 8)"""
    sim.configure(faults=[{"fault": "rate_limit", "times": None, "seconds": 600.0}])
    table = Table(tmp_path, sim.url, 20)
    child = start(table, "plain")
    waiting_until(lambda: sim.summary()["requests"] >= 1 and sim.summary()["in_flight"] == 0)
    asked = sim.summary()["requests"]
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=15)

    assert child.returncode == 143
    assert asked <= 8, "one for each place, not one for each item"
    assert in_doubt(table, "plain") == 0
    sim.configure(faults=[])
    sim.reset()
    each_was_asked_once(table, sim)
    outcomes = table.project(stage("plain")).state().outcomes("q.summary")
    assert {outcome.attempts for outcome in outcomes} == {1}


def test_a_terminal_that_is_closed_drains_the_run_as_a_signal_does(tmp_path: Path, sim: Simulator) -> None:
    """(fault 9)"""
    sim.configure(latency_ms=40.0)
    table = Table(tmp_path, sim.url, 60)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tests.engine.crashing", str(table.root), table.url, "plain"]
    child = subprocess.Popen(
        [sys.executable, "-c", CONTROLLED, *command], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    waiting_until(lambda: sim.summary()["complete"] >= 5)
    os.close(ours)
    child.wait(timeout=20)

    waiting_until(lambda: sim.summary()["in_flight"] == 0)
    assert sim.summary()["complete"] == len(received(table, "plain"))
    assert in_doubt(table, "plain") == 0
    each_was_asked_once(table, sim)


def test_a_reader_that_leaves_the_pipe_costs_no_answer(tmp_path: Path, sim: Simulator) -> None:
    """(fault 10)"""
    sim.configure(latency_ms=20.0)
    table = Table(tmp_path, sim.url, 60)
    (tmp_path / "seedbed.toml").write_text(SETTINGS.format(url=sim.url), "utf-8")
    command = f'"{sys.executable}" -m seedbed run --yes --events -C "{tmp_path}" | head -1'
    ended = subprocess.run(
        ["/bin/sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert "Traceback" not in ended.stderr, ended.stderr
    waiting_until(lambda: sim.summary()["in_flight"] == 0)
    again = subprocess.run(
        [sys.executable, "-m", "seedbed", "run", "--yes", "-C", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert {item["complete"] for item in sim.summary()["by_item"].values()} == {1}
    assert all(row[3] for row in table.rows())


def test_a_run_that_is_stopped_keeps_its_lock_and_goes_on_when_it_is_woken(tmp_path: Path, sim: Simulator) -> None:
    """(fault 11) (fault 42)"""
    sim.configure(latency_ms=20.0)
    table = Table(tmp_path, sim.url, 40)
    child = start(table, "plain")
    waiting_until(lambda: sim.summary()["complete"] >= 5)
    child.send_signal(signal.SIGSTOP)
    waiting_until(lambda: sim.summary()["in_flight"] == 0)

    with pytest.raises(Locked, match="by another run"):
        raise run(table.project(stage("plain"))).error or AssertionError("it was let in")
    child.send_signal(signal.SIGCONT)
    child.communicate(timeout=60)

    assert child.returncode == 0
    each_was_asked_once(table, sim)


def test_too_few_handles_are_said_or_made_do_with(tmp_path: Path, sim: Simulator) -> None:
    """(fault 25)"""
    sim.configure(latency_ms=20.0)
    table = Table(tmp_path, sim.url, 80)

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

    child = subprocess.run(
        [sys.executable, "-c", MANY, str(table.root), table.url],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, preexec_fn=few,
    )  # fmt: skip
    assert child.returncode in (0, 75), child.stdout + child.stderr
    assert "Traceback" not in child.stderr
    waiting_until(lambda: sim.summary()["in_flight"] == 0)
    each_was_asked_once(table, sim)


RACER = """
import sys
from pathlib import Path
from tests.engine.crashing import act
from tests.engine.projects import Table
table = Table.there(Path(sys.argv[1]), sys.argv[2])
print("ready", flush=True)
for line in sys.stdin:
    try:
        error = act(table, "plain", "run").error
        print(error.exit_code if error else 0, flush=True)
    except Exception as error:
        print(getattr(error, "exit_code", repr(error)), flush=True)
"""


def race(tmp_path: Path, sim: Simulator, times: int) -> None:
    table = Table(tmp_path, sim.url, 4)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(table.root), table.url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for _ in range(2)
    ]
    said: Callable[[subprocess.Popen[str]], str] = lambda racer: racer.stdout.readline().strip()  # type: ignore[union-attr]  # noqa: E731
    assert [said(racer) for racer in racers] == ["ready", "ready"]
    for number in range(times):
        table.add(range(10 + 3 * number, 13 + 3 * number))
        for racer in racers:
            racer.stdin.write("go\n")  # type: ignore[union-attr]
        codes = sorted(said(racer) for racer in racers)
        assert codes in (["0", "0"], ["0", "7"]), codes
    for racer in racers:
        racer.communicate()
    each_was_asked_once(table, sim)


def test_two_that_start_at_the_same_moment_ask_nothing_twice(tmp_path: Path, sim: Simulator) -> None:
    """(fault 34)"""
    race(tmp_path, sim, 8)


@pytest.mark.torture
def test_two_that_start_at_the_same_moment_five_hundred_times(tmp_path: Path, sim: Simulator) -> None:
    """(fault 34)"""
    race(tmp_path, sim, 500)
