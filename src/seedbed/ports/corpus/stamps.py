"""Whether the records of a database file are still what they were, told without opening it."""

from __future__ import annotations

from pathlib import Path

from seedbed.ports.corpus import Stamp

_MODE, _COUNTER = slice(18, 20), slice(24, 28)
"""Places in the head of an SQLite file: the versions of its format, and how often it was changed."""
_ROLLBACK = b"\x01\x01"


def stamp_of(database: Path) -> Stamp:
    """The stamp of an SQLite file and its log.

    With a rollback journal each transaction raises the counter in the file's head, so that equal stamps are
    enough. With a write-ahead log only the clock of the file system tells.
    """
    found = [_facts(Path(f"{database}{end}")) for end in ("", "-wal")]
    with database.open("rb") as file:
        head = file.read(28)
    exact = head[_MODE] == _ROLLBACK
    text = repr((found, head[_COUNTER].hex()))
    return Stamp(text, 0 if exact else max(changed for _, _, changed in found) // 1_000_000)


def _facts(path: Path) -> tuple[int, int, int]:
    """Identity, size and time of change of a file; zeros for none."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return 0, 0, 0
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
