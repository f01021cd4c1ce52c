"""Which model a tier means today: what was chosen while working stands over the project file, in all processes.

The choice lies in a file of its own beside the state, replaced whole, so that a look at it costs a call of the system
and needs no lock. A choice that cannot be read is none: the project file's model is asked, and that is told.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

FILE = "tiers.json"
LOOKS = 1.0
"""Seconds from one look at the file to the next."""

_Stamp = tuple[int, int, int]


@dataclass
class ChosenTiers:
    """Tier → provider/name, as ``seedbed tiers set`` left it. ``tell`` hears once of a file that cannot be read."""

    path: Path
    tell: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _models: Mapping[str, str] = field(default_factory=dict, init=False)
    _stamp: _Stamp | None = field(default=None, init=False)
    _next: float = field(default=float("-inf"), init=False)

    def model(self, tier: str) -> str | None:
        now = self.clock()
        if now >= self._next:
            self._next = now + LOOKS
            self._look()
        return self._models.get(tier)

    def choose(self, tier: str, model: str | None) -> None:
        """For all processes, within a few seconds; None takes the choice back."""
        models = {name: each for name, each in {**_read(self.path), tier: model}.items() if each}
        draft = self.path.with_name(f".{FILE}.{os.getpid()}")
        draft.write_text(json.dumps(models, indent=2) + "\n", "utf-8")
        draft.replace(self.path)
        self._next = float("-inf")

    def _look(self) -> None:
        stamp = _stamp_of(self.path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._models = {} if stamp is None else _parsed(self.path)
        except (OSError, ValueError) as error:
            self._models = {}
            self.tell(f"{self.path.name} cannot be read, the tiers of the project file count: {error}")


def _stamp_of(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _parsed(path: Path) -> Mapping[str, str]:
    models = json.loads(path.read_text("utf-8"))
    if not isinstance(models, dict) or not all(isinstance(each, str) and "/" in each for each in models.values()):
        raise ValueError("it is no table of models")
    return models


def _read(path: Path) -> Mapping[str, str]:
    """What was chosen before; nothing where that cannot be read, as the new choice replaces it."""
    try:
        return _parsed(path)
    except (OSError, ValueError):
        return {}
