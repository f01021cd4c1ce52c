"""Buys, merges and redacts on a recorded disk; the record says too what was acknowledged."""

from __future__ import annotations

import os
import random
import sys
import threading
from pathlib import Path
from typing import Any

from seedbed.ports.receipts import writer as appender
from seedbed.ports.receipts.compact import compact
from seedbed.ports.receipts.redact import Rule, redact
from seedbed.ports.receipts.store import open_store
from tests.disk import faulty
from tests.ports.receipts.samples import intent_of, receipt_of

NOON = 1_795_161_600_000
EACH = 24
LOG = 96 << 10
"""A log so short that it is copied into the file several times."""


def body_of(identity: str) -> bytes:
    """What was received for an intent; the same each time it is asked for, and of any size."""
    chance = random.Random(identity)
    return identity.encode() + chance.randbytes(chance.choice((10, 700, 9_000)))


def buy(folder: Path, number: int) -> None:
    told = threading.Semaphore(0)
    waiting = 0

    def on_commit(tokens: list[Any], error: BaseException | None) -> None:
        if error is not None:
            os._exit(3)
        for token in tokens:
            faulty.say(token)
        for _ in tokens:
            told.release()

    writer = open_store(folder, clock=lambda: NOON + 1000 * number).writer(on_commit)
    chance = random.Random(number)
    for _ in range(EACH):
        identity = writer.next_id()
        writer.intend(intent_of(identity, text=identity), f"intent {identity}")
        writer.receive(receipt_of(identity, body_of(identity)), f"receipt {identity}")
        waiting += 2
        while waiting > chance.choice((0, 2, 8)):
            told.acquire()
            waiting -= 1
    for _ in range(waiting):
        told.acquire()
    writer.close()


def main(root: Path, log: Path) -> None:
    faulty.watch(root, log)
    appender._LOG = LOG
    folder = root / ".seedbed" / "receipts"
    buy(folder, 0)
    buy(folder, 1)
    compact(folder)
    buy(folder, 2)
    gone = frozenset(sorted(one.intent.id for one in open_store(folder, clock=lambda: NOON).purchases())[-3:])
    faulty.say(f"redacting {' '.join(gone)}")
    redact(folder, Rule(gone, lambda text: False, lambda intent: intent))
    faulty.say("redacted")
    compact(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
