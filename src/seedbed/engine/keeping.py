"""Keeping what was bought: receipts verified, carried out as JSON lines, and taken in again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seedbed.engine.looking import Look, looking
from seedbed.engine.project import Project, utc_text
from seedbed.engine.standing import CORRUPT
from seedbed.errors import SourceError, UsageError
from seedbed.ports.receipts import Summary, Verified


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
    try:
        with path.open("rb") as lines:
            return take_in(project, lines)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def take_in(project: Project, lines: Iterable[bytes]) -> TakenIn:
    """Import exported lines; a second time adds nothing.

    A last line that was torn is left out. Any other line that cannot be read refuses the rest with its number;
    what was taken in before it stays.
    """
    project.prepare()
    taken = TakenIn()
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
