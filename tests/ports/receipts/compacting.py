"""Compacts a folder, and stops for ever at a named step so that it can be killed there."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from seedbed.ports.receipts import compact


def wait(*_: Any) -> None:
    os.write(1, b"here\n")
    signal.pause()


if __name__ == "__main__":
    setattr(compact, sys.argv[2], wait)
    compact.compact(Path(sys.argv[1]))
