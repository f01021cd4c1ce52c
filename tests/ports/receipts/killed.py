"""Buys until it is killed; prints the id of each record that was acknowledged, as it is."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

from seedbed.ports.receipts.store import open_store
from tests.ports.receipts.samples import intent_of, receipt_of


def main(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    space = threading.Semaphore(16)

    def on_commit(tokens: list[Any], error: BaseException | None) -> None:
        if error is not None:
            os._exit(3)
        os.write(1, "".join(f"{token}\n" for token in tokens).encode())
        for _ in tokens:
            space.release()

    writer = open_store(folder, clock=lambda: time.time_ns() // 1_000_000).writer(on_commit)
    os.write(1, b"started\n")
    while True:
        identity = writer.next_id()
        space.acquire()
        writer.intend(intent_of(identity), f"intent {identity}")
        space.acquire()
        body = identity.encode() * chance.randrange(1, 2000)
        writer.receive(receipt_of(identity, body), f"receipt {identity}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
