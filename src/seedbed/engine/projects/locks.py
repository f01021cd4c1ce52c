"""Locks that name their owner and are free again after ``kill -9`` (the kernel drops them).

(stage, part) to generate, with overlapping splits of a stage refused; (table) to upload. Each run holds one as long
as its process lives: a process id says nothing, since another program may have got it meanwhile.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from seedbed.errors import Locked
from seedbed.records import WHOLE, Part

_RUN = "run--"
_SPLIT = re.compile(r"^generate--(?P<stage>.+)--(?P<index>\d+)-of-(?P<count>\d+)\.lock$")

LOOK = 0.25
"""Seconds to wait for a lock: whoever looks who holds it has it for some microseconds."""


class Locks:
    """The locks of one project, as files in a folder."""

    def __init__(self, folder: Path, *, command: str, now: str) -> None:
        self.folder = folder
        self.owner = {"pid": os.getpid(), "host": socket.gethostname(), "command": command, "since": now}

    @contextmanager
    def generating(self, stage: str, part: Part = WHOLE) -> Iterator[None]:
        """Hold (stage, part). Raises Locked when another process holds it, or a split that overlaps."""
        with ExitStack() as held:
            with self._hold(f"split--{_plain(stage)}", f"the parts of {stage}", wait=10.0):
                for other in self._others(stage, part):
                    if (owner := self._owner_if_held(other)) is not None:
                        raise self._locked(f"{stage} is being generated", owner)
                name = f"generate--{_plain(stage)}--{part.index}-of-{part.count}"
                held.enter_context(self._hold(name, f"{stage}, part {part}"))
            yield

    @contextmanager
    def in_window(self, window: str) -> Iterator[None]:
        """One wave at a time uses a window."""
        with self._hold(f"window--{_plain(window)}", f"the window {window}"):
            yield

    @contextmanager
    def uploading(self, table: str) -> Iterator[None]:
        with self._hold(f"upload--{_plain(table)}", f"an upload into {table}"):
            yield

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Hold the receipts' files: nobody else merges, moves or rewrites them."""
        with self._hold("receipts", "the receipts"):
            yield

    @contextmanager
    def working(self, run: str) -> Iterator[None]:
        """Hold a run: it is under way until this ends, or its process does."""
        with self._hold(f"{_RUN}{run}", f"run {run}"):
            try:
                yield
            finally:
                with suppress(OSError):
                    self._of_run(run).unlink()

    def is_working(self, run: str) -> bool:
        """Whether the process of a run lives. What a killed one left of its lock is removed."""
        path = self._of_run(run)
        if self._owner_if_held(path) is not None:
            return True
        with suppress(OSError):
            path.unlink()
        return False

    def _of_run(self, run: str) -> Path:
        return self.folder / f"{_RUN}{run}.lock"

    def is_generating(self, stage: str, part: str) -> bool:
        """Whether some process (this one too) generates that part now."""
        index, _, count = part.partition("/")
        return self._owner_if_held(self.folder / f"generate--{_plain(stage)}--{index}-of-{count}.lock") is not None

    def held(self) -> list[dict[str, object]]:
        """Who holds what at this moment. A lock whose owner is not written down is another one's look at it."""
        return [
            {"lock": path.stem, **owner}
            for path in sorted(self.folder.glob("*.lock"))
            if not path.name.startswith(_RUN) and (owner := self._owner_if_held(path))
        ]

    def _others(self, stage: str, part: Part) -> Iterator[Path]:
        """Lock files of the stage whose part overlaps with ``part``."""
        for path in self.folder.glob(f"generate--{_plain(stage)}--*.lock"):
            found = _SPLIT.match(path.name)
            if found and found["stage"] == _plain(stage):
                other = Part(int(found["index"]), int(found["count"]))
                if other == part or other.count != part.count:
                    yield path

    def _owner_if_held(self, path: Path) -> dict[str, object] | None:
        if not path.exists():
            return None
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return _read_owner(path)
        with suppress(OSError):  # of a killed process; two who look at once must not take it for the owner
            path.with_suffix(".owner").unlink()
        lock.release()
        return None

    @contextmanager
    def _hold(self, name: str, what: str, *, wait: float = LOOK) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.lock"
        lock = FileLock(path)
        try:
            lock.acquire(timeout=wait)
        except Timeout:
            raise self._locked(f"{what} is taken", _read_owner(path)) from None
        owner = path.with_suffix(".owner")
        try:
            owner.write_text(json.dumps(self.owner), "utf-8")
            yield
        finally:
            with suppress(OSError):
                owner.unlink()
            lock.release()

    def _locked(self, what: str, owner: dict[str, object]) -> Locked:
        who = (
            f"pid {owner['pid']} on {owner['host']}: {owner['command']}, since {owner['since']}"
            if owner
            else "another process"
        )
        return Locked(f"{what[0].upper()}{what[1:]} by another run.", why=who, hint="Watch it with: seedbed watch")


def _read_owner(path: Path) -> dict[str, object]:
    with suppress(OSError, ValueError):
        owner = json.loads(path.with_suffix(".owner").read_text("utf-8"))
        if isinstance(owner, dict):
            return owner
    return {}


def _plain(name: str) -> str:
    return re.sub(r"[^\w.\-]", "_", name)
