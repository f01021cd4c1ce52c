"""Stories of ``seedbed fill`` in processes of their own: kills, locks, endpoints that are not there."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from seedbed.ports.receipts.store import open_store
from seedbed.simulator import Simulator
from tests.cli.commands import SUMMARY, TOPIC, in_shell, questions, rows, start, until


def test_a_folder_with_one_file_is_filled_and_ten_new_rows_cost_ten_calls(sim: Simulator, tmp_path: Path) -> None:
    questions(tmp_path / "q.csv", 20)
    words = ["fill", "q.csv", SUMMARY, TOPIC, "--base-url", sim.url, "--yes"]
    first = in_shell(tmp_path, *words)
    assert first.code == 0, first.err
    assert "20 items = 20 accepted" in first.out
    assert first.err.splitlines()[-1].split()[2] == "100%"
    questions(tmp_path / "q.csv", 10, first=21)
    second = in_shell(tmp_path, *words, "--json")
    assert json.loads(second.out)["calls"] == 10
    assert sim.summary()["requests"] == 30
    assert all(row["summary"] and row["topic"] for row in rows(tmp_path / "q.filled.csv"))


def test_after_a_kill_no_received_answer_is_paid_again(sim: Simulator, tmp_path: Path) -> None:
    questions(tmp_path / "q.csv", 60)
    words = ["fill", "q.csv", SUMMARY, "--base-url", sim.url, "--yes", "--concurrency", "4"]
    sim.configure(latency_ms=20)
    process = start(tmp_path, *words)
    until(lambda: sim.summary()["complete"] >= 15 or process.poll() is not None)
    process.kill()
    process.communicate()
    received = _received(tmp_path)
    assert 0 < len(received) < 60
    sim.configure(latency_ms=0)
    ended = in_shell(tmp_path, *words)
    assert ended.code == 0, ended.err
    by_item = sim.summary()["by_item"]
    assert [name for name in received if by_item[name]["requests"] > 1] == []
    asked_twice = [name for name, counts in by_item.items() if counts["requests"] > 1]
    assert len(asked_twice) <= 4
    assert all(row["summary"] for row in rows(tmp_path / "q.filled.csv"))


def _received(folder: Path) -> set[str]:
    """The items of which an answer was stored, by the word in their row."""
    store = open_store(folder / ".seedbed" / "receipts", clock=lambda: 0)
    return {
        str(item.row["question"]).split()[2].rstrip(",")
        for purchase in store.purchases()
        if purchase.receipt is not None
        for item in purchase.intent.items
    }


def test_the_same_work_is_not_done_by_two_at_once(sim: Simulator, tmp_path: Path) -> None:
    questions(tmp_path / "q.csv", 3)
    words = ["fill", "q.csv", SUMMARY, "--base-url", sim.url, "--yes"]
    sim.configure(latency_ms=600_000)
    process = start(tmp_path, *words)
    try:
        until(lambda: sim.summary()["in_flight"] == 3)
        second = in_shell(tmp_path, *words)
        assert second.code == 7
        assert f"pid {process.pid}" in second.err
        assert len(second.told) <= 4
        assert sim.summary()["requests"] == 3
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_lets_calls_come_back_and_the_next_run_goes_on(sim: Simulator, tmp_path: Path) -> None:
    questions(tmp_path / "q.csv", 40)
    words = ["fill", "q.csv", SUMMARY, "--base-url", sim.url, "--yes", "--concurrency", "4"]
    sim.configure(latency_ms=100)
    process = start(tmp_path, *words)
    until(lambda: sim.summary()["complete"] >= 4)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "Stopped and saved." in err
    assert "missing" in out
    sim.configure(latency_ms=0)
    assert in_shell(tmp_path, *words).code == 0
    assert sim.summary()["requests"] == 40


def test_a_missing_key_ends_before_anything_is_spent(tmp_path: Path) -> None:
    questions(tmp_path / "q.csv", 3)
    ended = in_shell(tmp_path, "fill", "q.csv", SUMMARY, "--yes")
    assert ended.code == 6
    assert "OPENAI_API_KEY" in ended.told[0]
    assert len(ended.told) <= 3
    assert not (tmp_path / ".seedbed" / "receipts").exists()


def test_an_endpoint_that_is_not_there_is_a_pause_of_a_few_lines(tmp_path: Path) -> None:
    questions(tmp_path / "q.csv", 3)
    words = ["fill", "q.csv", SUMMARY, "--yes", "--base-url", "http://127.0.0.1:9/v1"]
    ended = in_shell(tmp_path, *words)
    assert ended.code == 75
    said = [line for line in ended.told if "start items" not in line]
    assert len(said) <= 3
    assert said[0].startswith("paused:")
    assert "3 items = 3 missing" in ended.out


def test_a_refused_key_is_said_once(sim: Simulator, tmp_path: Path) -> None:
    questions(tmp_path / "q.csv", 30)
    sim.configure(require_key=["right"])
    ended = in_shell(
        tmp_path, "fill", "q.csv", SUMMARY, "--yes", "--base-url", sim.url, OPENAI_API_KEY="wrong-key-1234"
    )
    assert ended.code == 6
    assert "wrong-key-1234" not in ended.out + ended.err
    assert len([line for line in ended.told if "start items" not in line]) <= 3


@pytest.mark.parametrize("reader", ["head", "closed"])
def test_a_reader_that_leaves_is_no_error(sim: Simulator, tmp_path: Path, reader: str) -> None:
    questions(tmp_path / "q.csv", 3)
    with start(tmp_path, "fill", "q.csv", SUMMARY, "--base-url", sim.url, "--dry-run") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if reader == "head":
            process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert err == ""
    assert process.returncode == 0
