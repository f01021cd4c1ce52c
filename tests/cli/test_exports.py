"""The worklist: derived in pages, to be looked at as JSON lines."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from seedbed.simulator import Simulator
from tests.cli.commands import Ended, environment
from tests.cli.corpora import Corpus

Command = Callable[..., Ended]


def test_the_worklist_is_a_line_for_each_eligible_row(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    """000.33"""
    corpus = Corpus(tmp_path, sim.url, 1200)
    corpus.change("update questions set summary = 'there' where id > 1100")
    found = seedbed("export", "q.summary", "--out", "work.jsonl", "--json").json()
    assert (found["items"], found["out"]) == (1100, "work.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "work.jsonl").read_text("utf-8").splitlines()]
    assert [line["key"] for line in lines] == [f"[{n}]" for n in range(1, 1101)]
    assert lines[6] == {"key": "[7]", "inputs": {"text": "What is Q7Z?"}, "before": {"summary": None}}
    assert sim.summary()["requests"] == 0
    assert seedbed("generate", "q.summary", "--limit", "3").code == 0
    assert seedbed("export", "q.summary", "--out", "nowhere/work.jsonl").code == 2


def test_a_dry_run_writes_no_file(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    Corpus(tmp_path, sim.url, 5)
    assert seedbed("export", "--out", "work.jsonl", "--dry-run", "--json").json()["items"] == 5
    assert not (tmp_path / "work.jsonl").exists()


def peak(folder: Path, *words: str) -> int:
    """The most memory that a command had, in kB."""
    pid = os.posix_spawn(
        sys.executable, [sys.executable, "-m", "seedbed", *words, "-C", str(folder)], environment(),
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )  # fmt: skip
    _, status, usage = os.wait4(pid, 0)
    assert status == 0
    return usage.ru_maxrss


def test_memory_does_not_grow_with_the_rows_that_are_handed_over(tmp_path: Path) -> None:
    """000.15: fifty thousand rows against five thousand."""
    peaks = []
    for count in (5_000, 50_000):
        (folder := tmp_path / str(count)).mkdir()
        Corpus(folder, "http://127.0.0.1:9", count)
        peaks.append(peak(folder, "export", "--out", str(folder / "work.jsonl")))
        with (folder / "work.jsonl").open("rb") as file:
            assert sum(1 for _ in file) == count
    assert peaks[1] <= 1.2 * peaks[0], peaks
