"""What was acknowledged is there, whatever the power left of the disk."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from seedbed.errors import SeedbedError
from seedbed.ports.receipts import REDACTED
from tests.disk.faulty import built, preloaded
from tests.disk.power import Disk, lay

from .conftest import sqlite_store
from .recorded import body_of

ROOT = Path(__file__).parents[3]


@dataclass
class Told:
    """What had been acknowledged when the power went."""

    intent: set[str] = field(default_factory=set)
    receipt: set[str] = field(default_factory=set)
    redacting: set[str] = field(default_factory=set)
    redacted: bool = False

    def hear(self, words: str) -> None:
        what, *names = words.split()
        if what == "redacted":
            self.redacted = True
        else:
            getattr(self, what).update(names)


@dataclass(frozen=True)
class Record:
    """Everything that a process did to its disk, and the disk before it."""

    log: Path
    before: Disk

    def steps(self) -> int:
        return sum(1 for _ in deepcopy(self.before).follow(self.log))


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    place = tmp_path_factory.mktemp("recorded")
    root = place / "project"
    root.mkdir()
    found = Record(place / "log", Disk(root))
    command = [sys.executable, "-m", "tests.ports.receipts.recorded", str(root), str(found.log)]
    subprocess.run(command, cwd=ROOT, env=preloaded(built(place)), check=True)
    return found


def replay(record: Record, room: Path, count: int, seed: int) -> None:
    """Look at so many disks, spread over the whole record."""
    chance = random.Random(seed)
    steps = record.steps()
    cuts = sorted(chance.randrange(steps) for _ in range(count))
    disk, told = deepcopy(record.before), Told()
    for number, words in enumerate(disk.follow(record.log)):
        if words:
            told.hear(words)
        while cuts and cuts[0] == number:
            cuts.pop(0)
            place = room / "disk"
            lay(disk.found(chance), place)
            look(place / ".seedbed" / "receipts", told, f"seed {seed}, step {number}")
            shutil.rmtree(place, ignore_errors=True)
    assert told.redacted
    assert len(told.receipt) == 72


def look(folder: Path, told: Told, where: str) -> None:
    store = sqlite_store(folder)
    found = {one.intent.id: one for one in store.purchases()}
    assert told.intent <= found.keys(), where
    for identity in told.receipt:
        receipt = found[identity].receipt
        assert receipt is not None, where
        if receipt.format == REDACTED:
            assert identity in told.redacting, where
        else:
            assert receipt.body == body_of(identity), where
            assert not (told.redacted and identity in told.redacting), where
    assert store.verify().corrupt == (), where


def test_a_power_cut_loses_no_receipt_that_was_acknowledged(record: Record, tmp_path: Path) -> None:
    """(fault 14) (fault 16)"""
    replay(record, tmp_path, 300, seed=1)


def test_a_disk_that_only_says_that_it_syncs_is_told_and_never_a_riddle(record: Record, tmp_path: Path) -> None:
    """(fault 17): what is lost is beyond us; what is left is read, or named as damaged."""
    chance = random.Random(3)
    disk = deepcopy(record.before)
    disk.honest = False
    for number, _ in enumerate(disk.follow(record.log)):
        if number % 40 == 7:
            place = tmp_path / "disk"
            lay(disk.found(chance), place)
            with suppress(SeedbedError):
                store = sqlite_store(place / ".seedbed" / "receipts")
                for one in store.purchases():
                    assert (
                        one.receipt is None
                        or one.receipt.format == REDACTED
                        or one.receipt.body == body_of(one.intent.id)
                    )
            shutil.rmtree(place, ignore_errors=True)


@pytest.mark.torture
def test_ten_thousand_power_cuts_lose_no_receipt_that_was_acknowledged(record: Record, tmp_path: Path) -> None:
    """(fault 14) (fault 16)"""
    replay(record, tmp_path, 10_000, seed=2)
