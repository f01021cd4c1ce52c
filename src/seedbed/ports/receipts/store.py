"""All receipts of a project, over the files of all its writers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from seedbed.errors import Corrupt
from seedbed.ports.folders import make_folder
from seedbed.ports.receipts import REDACTED, Mark, OnCommit, Purchase, ReceiptStore, Summary, Verified
from seedbed.ports.receipts.ballast import Ballast
from seedbed.ports.receipts.reader import Late, ReceiptFile, reading
from seedbed.ports.receipts.schema import archives_in, companions, file_of, files_in, split_id, writer_name
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
        make_folder(self.folder)
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

    def writers(self) -> set[str]:
        return {part.writer for part in self._parts()}

    def purchases(self, after: Mark | None = None, *, stage: str | None = None) -> Iterator[Purchase]:
        """In the order of writer and number. A page is read at once before it is handed out.

        Numbers of a writer that is still at work may appear out of order; a mark of it must lie
        below its lowest open number.
        """
        late = self._late_writers()
        for part in self._parts():
            for page in part.pages((after or {}).get(part.writer, 0), stage):
                yield from self._with_late(page, late)

    def names(self) -> Iterator[list[tuple[str, str, str]]]:
        for part in self._parts():
            yield from part.names()

    def of_calls(self, calls: Sequence[str]) -> list[Purchase]:
        out: dict[str, Purchase] = {}
        wanted = list(dict.fromkeys(calls))
        with ExitStack() as stack:
            for path in files_in(self.folder) if wanted else ():
                with suppress(FileNotFoundError), reading(path) as file:
                    out.update((one.intent.id, one) for one in file.of_calls(wanted))
            for file in self._archives(stack) if wanted else ():
                for one in file.of_calls(wanted):
                    out.setdefault(one.intent.id, one)
        return self._with_late(sorted(out.values(), key=lambda one: (one.writer, one.number)), None)

    def get(self, intent: str) -> Purchase | None:
        place = split_id(intent)
        if place is None:
            return None
        with self._part_of(place[0]) as part:
            found = part.get(place[1]) if part else None
        return self._with_late([found], None)[0] if found else None

    # ------------------------------------------------------------------------------- where it lies

    def _parts(self, broken: dict[str, None] | None = None) -> Iterator[ReceiptFile]:
        """What each writer wrote, by name: from its own file, else from a compacted one.

        A file that was compacted while this goes on is found in its new place. ``broken`` takes the names of files
        that cannot be read, which are an error otherwise.
        """
        with ExitStack() as stack:
            files = {path.stem: path for path in files_in(self.folder)}
            kept: dict[str, ReceiptFile] = {}
            for file in self._archives(stack, broken):
                for part in file.parts():
                    kept.setdefault(part.writer, part)
            for writer in sorted(files.keys() | kept.keys()):
                if writer in files:
                    with self._part_of(writer, broken) as found:
                        if found is not None:
                            yield found
                else:
                    yield kept[writer]

    @contextmanager
    def _part_of(self, writer: str, broken: dict[str, None] | None = None) -> Iterator[ReceiptFile | None]:
        """What one writer wrote; None where nothing is left of it."""
        with ExitStack() as stack:
            found = None
            path = file_of(self.folder, writer)
            try:
                found = stack.enter_context(reading(path))
            except FileNotFoundError:
                parts = (part for file in self._archives(stack, broken) for part in file.parts())
                found = next((part for part in parts if part.writer == writer), None)
            except Corrupt:
                if broken is None:
                    raise
                broken[path.name] = None
            yield found

    def _archives(self, stack: ExitStack, broken: dict[str, None] | None = None) -> list[ReceiptFile]:
        """The compacted files, newest first. One that was replaced meanwhile is in a newer one, so look again."""
        while True:
            paths = archives_in(self.folder)
            out = []
            for path in paths:
                try:
                    out.append(stack.enter_context(reading(path)))
                except FileNotFoundError:
                    break
                except Corrupt:
                    if broken is None:
                        raise
                    broken[path.name] = None
            else:
                return out

    def _late_writers(self, broken: dict[str, None] | None = None) -> list[str]:
        """Those that hold something for intents of others. Opens each file, so a bad one is met here."""
        return [part.writer for part in self._parts(broken) if part.has_late()]

    def _with_late(self, purchases: list[Purchase], late: list[str] | None) -> list[Purchase]:
        """Purchases completed by what other writers received. Of two receipts, the first writer's counts."""
        open_ids = {one.intent.id: at for at, one in enumerate(purchases) if not (one.receipt or one.corrupt)}
        if not open_ids:
            return purchases
        for writer in self._late_writers() if late is None else late:
            with self._part_of(writer) as part:
                found = part.late(list(open_ids)) if part else Late({}, {})
                for intent, ending in found.endings.items():
                    at = open_ids[intent]
                    purchases[at] = replace(purchases[at], ending=ending)
                for intent, receipt in found.receipts.items():
                    at = open_ids[intent]
                    purchases[at] = replace(purchases[at], receipt=receipt, corrupt=receipt is None)
                    if receipt is not None:
                        del open_ids[intent]
        return purchases

    def entangled(self) -> set[str]:
        out: set[str] = set()
        for part in self._parts():
            if part.has_late():
                late = [intent for page in part.late_pages() for intent, _ in page]
                late += [intent for intent, _ in part.endings()]
                out |= {part.writer, *(place[0] for intent in late if (place := split_id(intent)))}
        return out

    # --------------------------------------------------------------------------------- the whole of it

    def summary(self) -> Summary:
        """Counts without reading a body."""
        intents = receipts = 0
        ended: dict[str, str] = {}
        late = []
        for part in self._parts():
            some_intents, some_receipts, _ = part.tally()
            intents, receipts = intents + some_intents, receipts + some_receipts
            ended |= part.ended()
            if part.has_late():
                late.append(part.writer)
        for writer in late if ended else ():
            with self._part_of(writer) as found:
                for intent in found.late(list(ended)).receipts if found else ():
                    del ended[intent]
        kinds = list(ended.values())
        closed, doubtful = kinds.count("closed"), kinds.count("doubt")
        open_ones = max(0, intents - receipts - closed - doubtful)
        return Summary(len(self._files()), intents, receipts, closed, doubtful, open_ones)

    def _files(self) -> list[Path]:
        return [*files_in(self.folder), *archives_in(self.folder)]

    def size_bytes(self) -> int:
        """What the receipts take on the disk, the ballast apart."""
        total = 0
        for path in self._files():
            for part in (path, companions(path)[0]):
                with suppress(FileNotFoundError):
                    total += part.stat().st_size
        return total

    def verify(self) -> Verified:
        """Read everything and check every checksum. Names what is damaged: an intent, or a whole file."""
        names = ("files", "intents", "receipts", "closed", "doubtful", "open", "bytes", "redacted")
        count = dict.fromkeys(names, 0)
        corrupt: dict[str, None] = {}
        for path in self._files():
            with suppress(FileNotFoundError, Corrupt), reading(path) as file:  # one that is damaged is named below
                count["files"] += 1
                if not file.sound():
                    corrupt[path.name] = None
        late = []
        for part in self._parts(corrupt):
            with self._naming(part, corrupt):
                if part.has_late():
                    late.append(part.writer)
        for part in self._parts(corrupt):
            with self._naming(part, corrupt):
                self._verify_file(part, late, count, corrupt)
        return Verified(**count, corrupt=tuple(corrupt))

    @contextmanager
    def _naming(self, part: ReceiptFile, corrupt: dict[str, None]) -> Iterator[None]:
        try:
            yield
        except Corrupt:
            corrupt[part.path.name] = None

    def _verify_file(self, file: ReceiptFile, late: list[str], count: dict[str, int], corrupt: dict[str, None]) -> None:
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
                    count["redacted"] += one.receipt.format == REDACTED
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
        for part in self._parts():
            yield from export_file(part)

    def take_in(self, lines: Iterable[dict[str, Any]]) -> tuple[int, int]:
        """Import exported lines under their original writers: (new, already there)."""
        return take_in(self.folder, lines)
