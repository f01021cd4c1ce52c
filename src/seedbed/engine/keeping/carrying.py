"""Keeping what was bought: receipts verified, carried out as JSON lines, and taken in again."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from seedbed.crashing import point
from seedbed.engine.keeping.redacting import hold_all
from seedbed.engine.looks.look import Look, looking
from seedbed.engine.looks.standing import CORRUPT
from seedbed.engine.projects.project import Project, utc_text
from seedbed.engine.rereading import ARCHIVED
from seedbed.engine.work.leftovers import unsettled
from seedbed.errors import SourceError, UsageError
from seedbed.ports.folders import make_folder, sync_folder
from seedbed.ports.receipts import Purchase, Summary, Verified
from seedbed.ports.receipts.compact import Compacted, compact, remove_writers


@dataclass(frozen=True)
class Damaged:
    """A receipt (or a whole file) that fails its checksum. ``price`` is what it cost, None when unknown.

    ``accepted`` are keys whose accepted output is kept all the same: nothing needs to be bought again for them.
    """

    name: str
    stage: str = ""
    keys: tuple[str, ...] = ()
    price: int | None = None
    model: str = ""
    at: str | None = None
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    counts: Verified
    damaged: tuple[Damaged, ...] = ()


@dataclass(frozen=True)
class Size:
    bytes: int
    counts: Summary


@dataclass
class TakenIn:
    """``torn`` says that the last line had no end and was left out."""

    new: int = 0
    known: int = 0
    torn: bool = field(default=False)


def verify(project: Project) -> Checked:
    """Read every receipt and check every checksum; name what is damaged, with its stage, keys and price."""
    with looking(project) as look:
        counts = look.receipts.verify()
        if project.started:
            look.state.note(CORRUPT, list(counts.corrupt))
        return Checked(counts, tuple(_damaged(look, name) for name in counts.corrupt))


def _damaged(look: Look, name: str) -> Damaged:
    purchase = None if name.endswith(".sqlite") else look.receipts.get(name)
    if purchase is None:
        return Damaged(name)
    intent = purchase.intent
    entry = look.state.entries([name]).get(name)
    keys = tuple(item.key for item in intent.items)
    current = look.state.current(intent.stage, keys) if intent.stage else {}
    return Damaged(
        name=name,
        stage=intent.stage,
        keys=keys,
        price=entry.nano if entry else intent.reserved,
        model=intent.model,
        at=utc_text(intent.at) if intent.at else None,
        accepted=tuple(key for key in keys if key in current and current[key].state == "accepted"),
    )


def size(project: Project) -> Size:
    receipts = project.receipts()
    return Size(receipts.size_bytes(), receipts.summary())


# ------------------------------------------------------------------------------------- JSON lines


def export_lines(project: Project) -> Iterator[str]:
    """Every record of the receipts as a line of JSON, its end included."""
    for record in project.receipts().export():
        yield json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"


def export_file(project: Project, path: Path) -> int:
    """Write them to a file, which is there whole or not at all; the number of lines."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    count = 0
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            for line in export_lines(project):
                file.write(line)
                count += 1
        draft.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    return count


def import_file(project: Project, path: Path) -> TakenIn:
    """Take in a file of JSON lines, as ``export`` writes it or packed as ``archive`` does."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            return take_in(project, lines)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def take_in(project: Project, lines: Iterable[bytes]) -> TakenIn:
    """Import exported lines; a second time adds nothing.

    A last line that was torn is left out. Any other line that cannot be read refuses the rest with its number;
    what was taken in before it stays.
    """
    project.prepare()
    taken = TakenIn()
    with project.locks().keeping():
        taken.new, taken.known = project.receipts().take_in(_parsed(lines, taken))
    return taken


def _parsed(lines: Iterable[bytes], taken: TakenIn) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line)
        except ValueError as error:
            if not line.endswith(b"\n"):
                taken.torn = True
                return
            raise SourceError(f"Line {number} is not an exported receipt", why=str(error)) from error
        yield value


# ------------------------------------------------------------------------------- files over the years


def compact_files(project: Project) -> Compacted:
    """Merge the files of processes that have ended. May be done while a run works."""
    with project.locks().keeping():
        return compact(project.folder / "receipts")


@dataclass(frozen=True)
class Archived:
    """What was moved elsewhere; ``left`` are intents of before the date that stay, as not all is settled."""

    file: str = ""
    writers: int = 0
    intents: int = 0
    answers: int = 0
    left: int = 0


def archive(project: Project, before: str, folder: Path) -> Archived:
    """Move what was bought before a date (UTC) and is settled to a file that can be imported back.

    What one process bought moves as a whole or stays. The books stay. Raises Locked while a run works.
    """
    limit = _moment(before)
    with ExitStack() as stack:
        hold_all(project, stack)
        look = stack.enter_context(looking(project))
        bought: dict[str, list[Purchase]] = {}
        for purchase in look.receipts.purchases():
            bought.setdefault(purchase.writer, []).append(_light(purchase))
        stay = _staying(look, bought, limit)
        going = {writer: bought[writer] for writer in bought if writer not in stay}
        old = sum(one.intent.at < limit for writer in bought.keys() & stay for one in bought[writer])
        if not going:
            return Archived(left=old)
        path = _packed(project, folder, before, going.keys())
        counts = {writer: _answers(purchases) for writer, purchases in going.items()}
        look.state.note(ARCHIVED, {**(look.state.note(ARCHIVED) or {}), **counts})
        point("before what was archived is removed")
        remove_writers(project.folder / "receipts", going.keys())
        return Archived(
            str(path),
            len(going),
            sum(map(len, going.values())),
            sum(sum(each.values()) for each in counts.values()),
            old,
        )


def _moment(day: str) -> int:
    try:
        return int(datetime.combine(date.fromisoformat(day), time(), UTC).timestamp() * 1000)
    except ValueError as error:
        raise UsageError(f"{day} is not a date", hint="Write it as 2026-01-31.") from error


def _light(purchase: Purchase) -> Purchase:
    """Without what takes room; that there is a receipt is still seen."""
    receipt = purchase.receipt and replace(purchase.receipt, body=b"")
    intent = replace(purchase.intent, items=(), request=replace(purchase.intent.request, messages=(), shape=None))
    return replace(purchase, receipt=receipt, intent=intent)


def _staying(look: Look, bought: Mapping[str, list[Purchase]], limit: int) -> set[str]:
    """Writers of whom something is too new, damaged, not settled, or tied to what another one received."""
    stay = look.receipts.entangled()
    stages = {one.intent.stage for purchases in bought.values() for one in purchases}
    for stage in stages:
        stay |= {one.writer for one in unsettled(look.receipts, look.state, stage)}
    for writer, purchases in bought.items():
        booked = look.state.till_has([one.intent.id for one in purchases])
        if any(one.corrupt or one.intent.at >= limit or not _ended(one, booked) for one in purchases):
            stay.add(writer)
    return stay


def _ended(one: Purchase, booked: set[str]) -> bool:
    closed = one.receipt is None and one.ending is not None and one.ending.kind == "closed"
    return closed or one.intent.id in booked


def _answers(purchases: Iterable[Purchase]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in purchases:
        if one.receipt is not None:
            counts[one.intent.stage] = counts.get(one.intent.stage, 0) + 1
    return counts


def _packed(project: Project, folder: Path, before: str, writers: Collection[str]) -> Path:
    """The file elsewhere, whole and on the disk when this returns. None that is there is replaced."""
    stem, number = f"receipts-before-{before}", 1
    while (path := folder / f"{stem}{'' if number == 1 else f'-{number}'}.jsonl.gz").exists():
        number += 1
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        make_folder(folder)
        with draft.open("wb") as raw:
            with gzip.open(raw, "wt", encoding="utf-8", newline="\n") as lines:
                for record in project.receipts().export():
                    if record["writer"] in writers:
                        lines.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
            raw.flush()
            os.fsync(raw.fileno())
        point("before an archive takes its name")
        draft.replace(path)
        point("after an archive takes its name")
        sync_folder(folder)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    return path
