"""The one question before money is spent."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from seedbed.cli.render import tell
from seedbed.errors import Stopped


def on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def agreed(lines: Sequence[str], question: str) -> None:
    """Ask on the terminal. Raises Stopped where the answer is not yes."""
    tell(lines)
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if answer.strip().lower() not in ("y", "yes"):
        raise Stopped("Not started. Nothing was sent.", signal_number=2)
