"""The server's own books: what was asked, what was answered in full. They know no id of any client."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson


@dataclass(slots=True)
class Entry:
    """One request. `complete` says that a whole answer (status 200) was written to a socket that held."""

    seq: int
    time: float
    path: str
    model: str
    key_fingerprint: str | None
    prompt_digest: str
    item: str | None
    items: tuple[str, ...]
    in_flight: int
    status: int | None = None
    fault: str | None = None
    complete: bool = False
    open: bool = True
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


@dataclass(slots=True)
class Ledger:
    path: Path | None = None
    clock: Callable[[], float] = time.monotonic
    entries: list[Entry] = field(default_factory=list)
    in_flight: int = 0
    peak: int = 0
    _opened: int = field(init=False, default=0)
    _started: float = field(init=False)
    _file: IO[bytes] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._started = self.clock()
        if self.path is not None:
            self._file = self.path.open("ab", buffering=0)

    def open(self, path: str, model: str, key_fingerprint: str | None, digest: str, items: Sequence[str]) -> Entry:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        entry = Entry(
            seq=self._opened,
            time=round(self.clock() - self._started, 6),
            path=path,
            model=model,
            key_fingerprint=key_fingerprint,
            prompt_digest=digest,
            item=items[0] if items else None,
            items=tuple(items),
            in_flight=self.in_flight,
        )
        self._opened += 1
        self.entries.append(entry)
        return entry

    def since(self, seq: int) -> list[Entry]:
        first = self._opened - len(self.entries)
        return self.entries[max(0, seq - first) :]

    def close(self, entry: Entry) -> None:
        entry.open = False
        self.in_flight -= 1
        if self._file is not None:
            self._file.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))

    def reset(self) -> None:
        """Forgets the entries, not what is in flight; `seq` goes on, so that no answer's id comes twice."""
        self.entries = []
        self.peak = self.in_flight
        self._started = self.clock()

    def shut(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def summary(self) -> dict[str, Any]:
        whole = [entry for entry in self.entries if entry.complete]
        return {
            "requests": len(self.entries),
            "complete": len(whole),
            "by_status": _counted("none" if e.status is None else str(e.status) for e in self.entries),
            "by_fault": _counted(entry.fault for entry in self.entries if entry.fault),
            "by_item": self._by_item(),
            "input_tokens": sum(entry.input_tokens for entry in whole),
            "cached_tokens": sum(entry.cached_tokens for entry in whole),
            "output_tokens": sum(entry.output_tokens for entry in whole),
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak,
            "models": _counted(entry.model for entry in self.entries),
            "key_fingerprints": _counted(e.key_fingerprint for e in self.entries if e.key_fingerprint),
        }

    def _by_item(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for entry in self.entries:
            for item in entry.items:
                counts = found.setdefault(item, {"requests": 0, "complete": 0})
                counts["requests"] += 1
                counts["complete"] += entry.complete
        return found


def _counted(names: Any) -> dict[str, int]:
    return dict(Counter(names))
