"""What was acknowledged is there, whenever the process was killed."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import sqlite_store
from .samples import Listener, intent_of, receipt_of

ROOT = Path(__file__).parents[3]


def start(folder: Path, seed: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ports.receipts.killed", str(folder), str(seed)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def kill(process: subprocess.Popen[str], after: int) -> list[str]:
    """The acknowledged records of a process that is killed after some of them. A line that the kill cut is none."""
    assert process.stdout is not None
    heard = [process.stdout.readline().rstrip("\n") for _ in range(after)]
    process.kill()
    out, _ = process.communicate(timeout=30)
    assert process.returncode == -9
    return heard + out.split("\n")[:-1]


def check_kills(folder: Path, count: int, seed: int) -> None:
    chance = random.Random(seed)
    total = 0
    mark: dict[str, int] = {}
    store = sqlite_store(folder)
    for number in range(count):
        process = start(folder, number)
        acknowledged = kill(process, chance.randrange(400))
        total += len(acknowledged)
        if chance.random() < 0.5:
            for shm in folder.glob("*-shm"):
                shm.unlink()
        intents, receipts = set(), set()
        for one in store.purchases(mark):
            intents.add(f"intent {one.intent.id}")
            if one.receipt is not None:
                receipts.add(f"receipt {one.intent.id}")
                assert one.receipt.body.startswith(one.intent.id.encode())
        assert [name for name in acknowledged if name not in intents and name not in receipts] == []
        mark = {path.stem: 1 << 40 for path in folder.glob("*.sqlite")}
    kept = sum(1 if one.receipt is None else 2 for one in store.purchases())
    assert kept >= total, "and nothing is lost by what comes later"
    verified = store.verify()
    assert verified.corrupt == ()
    assert verified.files == count
    assert verified.open <= 16 * count, "no more than were in flight"
    assert total > 20 * count


def test_nothing_acknowledged_is_lost_to_kills_at_random_moments(folder: Path) -> None:
    check_kills(folder, 12, seed=1)


@pytest.mark.torture
def test_nothing_acknowledged_is_lost_to_many_kills(folder: Path) -> None:
    check_kills(folder, 100, seed=2)


def test_a_killed_processs_file_is_read_while_a_new_writer_writes(folder: Path) -> None:
    process = start(folder, 3)
    store, listener = sqlite_store(folder), Listener()
    alive = sum(1 for _ in store.purchases())
    acknowledged = kill(process, 100)
    writer = store.writer(listener)
    for number in range(50):
        intent = intent_of(writer.next_id(), call="new")
        writer.intend(intent, intent.id)
        writer.receive(receipt_of(intent.id), number)
        listener.stored(number)
        if number % 10 == 0:
            seen = {one.intent.id for one in store.purchases()}
            assert {line.split()[1] for line in acknowledged} <= seen
            assert intent.id in seen
    assert len(store.of_calls(["new"])) == 50
    assert sum(1 for _ in store.purchases()) >= alive + 50
    writer.close()
    assert store.verify().corrupt == ()
