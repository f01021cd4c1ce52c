"""``wave`` and ``schedule`` as they are typed: times, lines that run with no environment, and lines of others."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seedbed.simulator import Simulator
from tests.cli.commands import Ended

CRONTAB = """#!/bin/sh
table="$(dirname "$0")/table"
if [ "$1" = -l ]; then
  [ -f "$table" ] && exec cat "$table"
  echo "no crontab for nobody" >&2; exit 1
fi
exec cat > "$table"
"""
OTHERS = "# my own\n0 5 * * * backup --all 50\\% # seedbed is not mine\n"

SeedbedCommand = Callable[..., Ended]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in Bucharest, at a fixed time."""
    monkeypatch.setenv("SEEDBED_NOW", "2026-11-20T23:20:00Z")
    with monkeypatch.context() as there:
        there.setenv("TZ", "Europe/Bucharest")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def corpus(tmp_path: Path, sim: Simulator, machine: None) -> Path:
    rows = "".join(f"{n},What is Q{n}Z?\n" for n in range(1, 31))
    (tmp_path / "questions.csv").write_text(f"id,question\n{rows}")
    (tmp_path / "seedbed.toml").write_text(
        f"""[project]
corpus = "questions.csv"
[tiers]
default = "openai/test"
[providers.openai]
base_url = "{sim.url}"
[windows.night]
account = "openai"
capacity = "20 items"
reset = "23:00"
[stages."q.summary"]
table = "questions"
key = ["id"]
outputs = ["summary"]
prompt = "Sum up."
"""
    )
    return tmp_path


@pytest.fixture
def crontab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A crontab program of our own first in the path; the file that it keeps."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "crontab").write_text(CRONTAB)
    (folder / "crontab").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder / "table"


def test_a_wave_ends_with_75_and_the_last_one_with_0(corpus: Path, seedbed: SeedbedCommand, sim: Simulator) -> None:
    """(001.21, 001.22, 001.27)"""
    tried = json.loads(seedbed("wave", "--window", "75%", "--dry-run", "--json").out)
    assert (tried["state"], tried["items"], tried["batches"]) == ("prepared", 15, 15)
    assert sim.summary()["requests"] == 0

    first = seedbed("wave", "--window", "75%")
    assert first.code == 75
    assert "15 items in this wave, 15 left" in first.out
    assert "next wave from 2026-11-21T23:20:00Z" in first.out
    assert len(list((corpus / "logs").glob("*/*wave*.md"))) == 1

    last = seedbed("wave", "--limit", "15", "--window", "100%")
    assert last.code == 75  # 5 fit into the window
    assert "5 items in this wave, 10 left" in last.out


def test_status_says_how_many_windows_are_left_and_the_day(corpus: Path, seedbed: SeedbedCommand) -> None:
    """(001.20)"""
    seedbed("wave", "--window", "50%")

    status = json.loads(seedbed("status", "--json").out)

    (stage,) = status["stages"]
    (window,) = stage["windows"]
    assert (window["name"], window["used"], window["waves_left"]) == ("night", 10, 2)
    assert window["done_by"] == "2026-11-21T23:20:00Z"
    assert "window night: 10 items used of 20" in seedbed("status").out


def test_plan_says_how_many_windows_it_takes(corpus: Path, seedbed: SeedbedCommand) -> None:
    """(001.32)"""
    (plan,) = json.loads(seedbed("plan", "--json").out)["stages"]

    assert plan["windows"] == 2


def test_two_fires_follow_the_reset_in_the_zone_of_the_machine(corpus: Path, seedbed: SeedbedCommand) -> None:
    """(001.01)"""
    shown = json.loads(seedbed("schedule", "show", "--json").out)

    assert shown["utc"] == ["23:20", "00:50"]
    assert shown["local"] == ["01:20", "02:50"]
    assert [line.split(" cd ")[0] for line in shown["lines"]] == ["20 1 * * *", "50 2 * * *"]
    assert shown["fires"][0] == "2026-11-21T00:50:00Z"


def test_a_stage_without_a_window_runs_at_three_utc(corpus: Path, seedbed: SeedbedCommand) -> None:
    """(002.01)"""
    text = (corpus / "seedbed.toml").read_text()
    (corpus / "seedbed.toml").write_text(re.sub(r"\[windows.*?\[stages", "[stages", text, flags=re.DOTALL))

    shown = json.loads(seedbed("schedule", "show", "--json").out)

    assert shown["utc"] == ["03:00"]
    assert "run q.summary --yes" in shown["command"]


def test_the_line_runs_with_no_environment_and_writes_its_log(
    corpus: Path, seedbed: SeedbedCommand, sim: Simulator
) -> None:
    """(001.02)"""
    (line, _) = json.loads(seedbed("schedule", "show", "--json").out)["lines"]

    done = subprocess.run(
        ["env", "-i", "sh", "-c", line.split(" * * * ", 1)[1].replace("\\%", "%")], cwd="/", check=False
    )

    assert done.returncode == 75, (corpus / ".seedbed" / "schedule.log").read_text()
    assert sim.summary()["requests"] == 20
    assert "20 items in this wave, 10 left" in (corpus / ".seedbed" / "schedule.log").read_text()


def test_install_retimes_and_remove_touches_only_our_own_lines(
    corpus: Path, seedbed: SeedbedCommand, crontab: Path
) -> None:
    """(001.03)"""
    crontab.write_text(OTHERS)

    assert "installed" in seedbed("schedule", "install").out
    assert crontab.read_text().startswith(OTHERS)
    assert len(crontab.read_text().splitlines()) == 4
    seedbed("schedule", "install", "--at", "04:00")
    ours = [line for line in crontab.read_text().splitlines() if line not in OTHERS.splitlines()]
    assert [line.split(" cd ")[0] for line in ours] == ["0 6 * * *"]

    tried = seedbed("schedule", "remove", "--dry-run")
    assert "1 line would be removed" in tried.out
    assert "1 line removed" in seedbed("schedule", "remove").out
    assert crontab.read_text() == OTHERS


def test_install_shows_what_it_would_do_and_says_where_there_is_no_crontab(
    corpus: Path, seedbed: SeedbedCommand, crontab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "not installed" in seedbed("schedule", "install", "--dry-run").out
    assert not crontab.exists()
    monkeypatch.setenv("PATH", "/nowhere")
    ended = seedbed("schedule", "install")
    assert ended.code == 2
    assert "no crontab" in ended.err


def test_systemd_units_are_written_and_removed(
    corpus: Path, seedbed: SeedbedCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(corpus / "config"))
    folder = corpus / "config" / "systemd" / "user"

    seedbed("schedule", "install", "--systemd")

    timer, service = (next(folder.glob(f"*.{kind}")).read_text("utf-8") for kind in ("timer", "service"))
    assert "OnCalendar=*-*-* 23:20:00 UTC\nOnCalendar=*-*-* 00:50:00 UTC\n" in timer
    assert "wave q.summary" in service
    seedbed("schedule", "remove", "--systemd")
    assert list(folder.iterdir()) == []


def test_a_key_that_is_only_in_the_shell_is_told_before_the_night(
    corpus: Path, seedbed: SeedbedCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(000.72)"""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-only-here")
    assert "OPENAI_API_KEY is only in this shell" in seedbed("schedule", "show").out
    (corpus / ".env.local").write_text("OPENAI_API_KEY=sk-only-here\n")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert "note" not in seedbed("schedule", "show").out
