"""A run that is under way, seen from other terminals: how fast it is, how much is left, and what looking costs."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from seedbed.simulator import Simulator
from tests.cli.commands import Ended, start, until
from tests.cli.corpora import Corpus

Command = Callable[..., Ended]
HANGS = {"fault": "hang", "times": None}


def stopped(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_as_many_calls_are_in_flight_as_are_allowed_and_no_more(sim: Simulator, tmp_path: Path) -> None:
    """000.19: ten processes of ten jobs, in one."""
    Corpus(tmp_path, sim.url, 150)
    sim.configure(faults=[HANGS])
    process = start(tmp_path, "run", "--concurrency", "100")
    try:
        until(lambda: sim.summary()["in_flight"] == 100 or process.poll() is not None)
        assert sim.summary()["peak_in_flight"] == sim.summary()["requests"] == 100
    finally:
        stopped(process)


def test_rate_and_rest_are_those_of_the_run_that_goes_on(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    """001.28: right within a tenth after a resume, whatever was settled before it."""
    corpus = Corpus(tmp_path, sim.url, 100)
    assert seedbed("run", "--limit", "30").code == 0
    sim.configure(faults=[{**HANGS, "nth": 40}])
    process = start(tmp_path, "run", "--concurrency", "1")
    try:
        until(lambda: len(settled(corpus)) == 70 or process.poll() is not None)
        (run,) = [name for (name,) in corpus.state("select id from runs where status = 'running'")]
        now, every = int(time.time() * 1000), 12_000
        mine = corpus.state("select item from outcomes where run = ? order by at, item", run)
        for place, (item,) in enumerate(mine):  # one each 12 s, the last one now: eight minutes of work
            at = now - every * (len(mine) - 1 - place)
            corpus.state("update outcomes set at = ? where item = ?", at, item)
        found = seedbed("status", "--json").json()
        assert found["stages"][0]["missing"] == 30
        assert abs(found["per_minute"] - 60_000 / every) < 0.1 * 60_000 / every
        assert abs(found["eta_seconds"] - 30 * every / 1000) < 0.1 * 30 * every / 1000
        watching = looking_once(corpus)
    finally:
        stopped(process)
    out, err = watching.communicate(timeout=60)
    assert watching.returncode == 0, err
    ended = json.loads(out)
    assert (ended["running"], ended["per_minute"], ended["eta_seconds"]) == ([], None, None)
    assert abs(ended["while_running"]["per_minute"] - found["per_minute"]) < 0.1 * found["per_minute"]
    assert ended["while_running"]["eta_seconds"] > 0


def test_watching_sends_nothing(sim: Simulator, tmp_path: Path) -> None:
    """001.33: and ends by itself when the run does."""
    corpus = Corpus(tmp_path, sim.url, 20)
    sim.configure(faults=[{**HANGS, "nth": 5}])
    process = start(tmp_path, "run", "--concurrency", "1")
    try:
        until(lambda: len(settled(corpus)) == 5 or process.poll() is not None)
        requests = sim.summary()["requests"]
        watching = start(tmp_path, "watch")
        assert watching.stdout is not None
        first = watching.stdout.readline()
        assert "q.summary 5/20 25.0%" in first
        assert " rate=" in first and " left=" in first
        assert sim.summary()["requests"] == requests == 6
    finally:
        stopped(process)
    out, _ = watching.communicate(timeout=60)
    assert watching.returncode == 0
    assert "Nothing runs any more." in out
    assert sim.summary()["requests"] == requests


def looking_once(corpus: Corpus) -> subprocess.Popen[str]:
    """A ``watch`` that has looked: it leaves a note of what it counted over a corpus that nobody changes."""
    for file in corpus.folder.glob("corpus.db*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    corpus.state("delete from notes where name = 'missing.q.summary'")
    watching = start(corpus.folder, "watch", "--json")
    until(lambda: bool(corpus.state("select 1 from notes where name = 'missing.q.summary'")))
    return watching


def settled(corpus: Corpus) -> list[str]:
    if not (corpus.folder / ".seedbed" / "state.sqlite").exists():
        return []
    try:
        return [item for (item,) in corpus.state("select item from outcomes")]
    except sqlite3.OperationalError:  # its tables are being made
        return []
