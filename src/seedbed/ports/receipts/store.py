"""All receipts of a project, over the files of all its writers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from seedbed.errors import Corrupt
from seedbed.ports.receipts import Mark, OnCommit, Purchase, ReceiptStore, Summary, Verified
from seedbed.ports.receipts.ballast import Ballast
from seedbed.ports.receipts.reader import ReceiptFile, reading
from seedbed.ports.receipts.schema import companions, file_of, files_in, split_id, sync_folder, writer_name
from seedbed.ports.receipts.transfer import export_file, take_in
from seedbed.ports.receipts.writer import SqliteWriter

_NAMES_TRIED = 8


def open_store(folder: Path, *, clock: Callable[[], int], random: Callable[[int], bytes] = os.urandom) -> ReceiptStore:
    """The receipts in ``folder``, usually ``.seedbed/receipts``. ``clock`` tells Unix milliseconds."""
    return SqliteStore(folder, clock=clock, random=random)


class SqliteStore:
    """One file a writer; nothing is open between two questions, so files may come and go."""

    def __init__(self, folder: Path, *, clock: Callable[[], int], random: Callable[[int], bytes] = os.urandom) -> None:
        self.folder = folder
        self._clock = clock
        self._random = random

    def writer(self, on_commit: OnCommit) -> SqliteWriter:
        """A new file and its appender. Raises DiskFull if not even the ballast fits."""
        if not self.folder.exists():
            self.folder.mkdir(parents=True)
            sync_folder(self.folder.parent)
        ballast = Ballast(self.folder)
        ballast.prepare(self._random)
        for left in reversed(range(_NAMES_TRIED)):
            try:
                return SqliteWriter(
                    self.folder, writer_name(self._clock(), self._random(3)), on_commit, ballast=ballast
                )
            except FileExistsError:
                if not left:
                    raise
        raise AssertionError

    def purchases(self, after: Mark | None = None, *, stage: str | None = None) -> Iterator[Purchase]:
        """In the order of writer and number. A page is read at once and closed before it is handed out.

        Numbers of a writer that is still at work may appear out of order; a mark of it must lie
        below its lowest open number.
        """
        late = self._late_files()
        for path in files_in(self.folder):
            with suppress(FileNotFoundError), reading(path) as file:
                for page in file.pages((after or {}).get(file.writer, 0), stage):
                    yield from self._with_late(page, late)

    def of_calls(self, calls: Sequence[str]) -> list[Purchase]:
        out: list[Purchase] = []
        wanted = list(dict.fromkeys(calls))
        for path in files_in(self.folder) if wanted else ():
            with suppress(FileNotFoundError), reading(path) as file:
                out.extend(file.of_calls(wanted))
        return self._with_late(out, None)

    def get(self, intent: str) -> Purchase | None:
        place = split_id(intent)
        if place is None or not file_of(self.folder, place[0]).exists():
            return None
        with suppress(FileNotFoundError), reading(file_of(self.folder, place[0])) as file:
            found = file.get(place[1])
            return self._with_late([found], None)[0] if found else None
        return None

    def _late_files(self) -> list[Path]:
        """The files that hold something for intents of others. Opens each, so a bad one is met here."""
        out = []
        for path in files_in(self.folder):
            with suppress(FileNotFoundError), reading(path) as file:
                if file.has_late():
                    out.append(path)
        return out

    def _with_late(self, purchases: list[Purchase], late: list[Path] | None) -> list[Purchase]:
        """Purchases completed by what other writers received. Of two receipts, the first writer's counts."""
        open_ids = {one.intent.id: at for at, one in enumerate(purchases) if not (one.receipt or one.corrupt)}
        if not open_ids:
            return purchases
        for path in self._late_files() if late is None else late:
            with suppress(FileNotFoundError), reading(path) as file:
                found = file.late(list(open_ids))
                for intent, ending in found.endings.items():
                    at = open_ids[intent]
                    purchases[at] = replace(purchases[at], ending=ending)
                for intent, receipt in found.receipts.items():
                    at = open_ids[intent]
                    purchases[at] = replace(purchases[at], receipt=receipt, corrupt=receipt is None)
                    if receipt is not None:
                        del open_ids[intent]
        return purchases

    # --------------------------------------------------------------------------------- the whole of it

    def summary(self) -> Summary:
        """Counts without reading a body."""
        files = intents = receipts = 0
        ended: dict[str, str] = {}
        for path in files_in(self.folder):
            with suppress(FileNotFoundError), reading(path) as file:
                some_intents, some_receipts, _ = file.tally()
                files, intents, receipts = files + 1, intents + some_intents, receipts + some_receipts
                ended |= file.ended()
        if ended:
            for path in self._late_files():
                with suppress(FileNotFoundError), reading(path) as file:
                    for intent in file.late(list(ended)).receipts:
                        del ended[intent]
        kinds = list(ended.values())
        closed, doubtful = kinds.count("closed"), kinds.count("doubt")
        return Summary(files, intents, receipts, closed, doubtful, max(0, intents - receipts - closed - doubtful))

    def size_bytes(self) -> int:
        """What the receipts take on the disk, the ballast apart."""
        total = 0
        for path in files_in(self.folder):
            for part in (path, companions(path)[0]):
                with suppress(FileNotFoundError):
                    total += part.stat().st_size
        return total

    def verify(self) -> Verified:
        """Read everything and check every checksum. Names what is damaged: an intent, or a whole file."""
        count = dict.fromkeys(("files", "intents", "receipts", "closed", "doubtful", "open", "bytes"), 0)
        corrupt: dict[str, None] = {}
        late: list[Path] = []
        paths = files_in(self.folder)
        for path in paths:
            try:
                with suppress(FileNotFoundError), reading(path) as file:
                    count["files"] += 1
                    if not file.sound():
                        corrupt[path.name] = None
                    if file.has_late():
                        late.append(path)
            except Corrupt:
                corrupt[path.name] = None
        for path in paths:
            try:
                with suppress(FileNotFoundError), reading(path) as file:
                    self._verify_file(file, late, count, corrupt)
            except Corrupt:
                corrupt[path.name] = None
        return Verified(**count, corrupt=tuple(corrupt))

    def _verify_file(
        self, file: ReceiptFile, late: list[Path], count: dict[str, int], corrupt: dict[str, None]
    ) -> None:
        expected = file.tally()
        known_before = len(corrupt)
        intents = receipts = size = 0
        for page in file.pages():
            intents += len(page)
            own = [one.receipt for one in page if one.receipt is not None]
            receipts += len(own)
            size += sum(len(receipt.body) for receipt in own)
            for one in self._with_late(page, late):
                if one.corrupt:
                    corrupt[f"{file.writer}-{one.number}"] = None
                elif one.receipt is not None:
                    count["receipts"] += 1
                    count["bytes"] += len(one.receipt.body)
                elif one.ending is None:
                    count["open"] += 1
                else:
                    count["closed" if one.ending.kind == "closed" else "doubtful"] += 1
        count["intents"] += intents
        for some in file.late_pages():
            for intent, receipt in some:
                receipts += 1
                if receipt is None:
                    corrupt[intent] = None
                else:
                    size += len(receipt.body)
        corrupt |= {intent: None for intent, ending in file.endings() if ending is None}
        corrupt |= dict.fromkeys(file.orphans())
        # Counted again: rows that vanished fail no checksum. A live writer may have added some since.
        counted = (intents, receipts, size)
        if len(corrupt) == known_before and any(seen < told for seen, told in zip(counted, expected, strict=True)):
            corrupt[file.path.name] = None

    def export(self) -> Iterator[dict[str, Any]]:
        """Every record as a JSON object, file by file. What is damaged is named by a line of its own."""
        for path in files_in(self.folder):
            with suppress(FileNotFoundError), reading(path) as file:
                yield from export_file(file)

    def take_in(self, lines: Iterable[dict[str, Any]]) -> tuple[int, int]:
        """Import exported lines under their original writers: (new, already there)."""
        return take_in(self.folder, lines)
