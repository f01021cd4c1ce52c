"""Broken JSON files of the user's own, mended by edits that keep every character of the text.

The result goes to a new file; into the file itself only with a backup of it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seedbed.engine.reports import RepairReport
from seedbed.errors import ConfigError, NotReadable, NotRepairable, SourceError, UsageError
from seedbed.policy.repair import Edit, applied, repair_json

LINES = (".jsonl", ".ndjson", ".jsonlines")


def repair_file(
    source: Path, *, schema: Path | None = None, out: Path | None = None, in_place: bool = False, dry_run: bool = False
) -> RepairReport:
    """Mend a JSON file, or a JSON Lines file line by line; lines that cannot be mended stay as they are.

    Raises NotRepairable for a JSON file that cannot be mended, SourceError for one that cannot be read.
    """
    if in_place and out is not None:
        raise UsageError("--out and --in-place cannot both be said")
    text = _read(source)
    shape = _schema(schema)
    by_line = source.suffix.lower() in LINES
    mended, edits, declined, documents = _lines(text, shape) if by_line else _whole(text, shape)
    target = source if in_place else out or source.with_name(f"{source.stem}.repaired{source.suffix}")
    backup = ""
    if not dry_run:
        if not in_place and target.exists() and target.read_bytes() != mended.encode("utf-8", "surrogatepass"):
            raise SourceError(f"{target.name} exists already", hint="Name another with --out, or move it away.")
        if in_place and edits:
            backup = str(_backed_up(source))
        if not in_place or edits:
            _write(target, mended)
    return RepairReport(str(source), str(target), documents, tuple(edits), tuple(declined), backup, dry_run)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path.name} is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error


def _schema(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        return json.loads(_read(path))
    except ValueError as error:
        raise ConfigError(f"{path.name} is not JSON: {error}") from error


Mended = tuple[str, list[tuple[int, int, str, str, str]], list[tuple[int, str]], int]


def _whole(text: str, shape: Any) -> Mended:
    repaired = _repaired(text, shape)
    return applied(text, repaired), list(_placed(text, repaired, 1)), [], 1


def _repaired(text: str, shape: Any) -> Sequence[Edit]:
    repaired = repair_json(text, shape)
    if repaired.doubtful:
        raise NotRepairable(f"it can be read, but {'; '.join(repaired.doubtful)}", code="doubtful")
    return repaired.edits


def _lines(text: str, shape: Any) -> Mended:
    out: list[str] = []
    edits: list[tuple[int, int, str, str, str]] = []
    declined: list[tuple[int, str]] = []
    documents = 0
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        body = line.rstrip("\r\n")
        if not body.strip():
            out.append(line)
            continue
        documents += 1
        try:
            found = _repaired(body, shape)
        except NotReadable as error:
            declined.append((number, f"{error.code}: {error}"))
            out.append(line)
            continue
        edits.extend(_placed(body, found, number))
        out.append(applied(body, found) + line[len(body) :])
    return "".join(out), edits, declined, documents


def _placed(text: str, edits: Sequence[Edit], first_line: int) -> Iterator[tuple[int, int, str, str, str]]:
    for edit in edits:
        line = text.count("\n", 0, edit.at)
        column = edit.at - (text.rfind("\n", 0, edit.at) + 1) + 1
        yield first_line + line, column, edit.kind, edit.removed, edit.inserted


def _backed_up(source: Path) -> Path:
    number = 1
    while (backup := source.with_name(f"{source.name}.bak{'' if number == 1 else number}")).exists():
        number += 1
    shutil.copy2(source, backup)
    return backup


def _write(target: Path, text: str) -> None:
    """Whole or not at all: a temporary file beside it, synced, then renamed."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(text.encode("utf-8", "surrogatepass"))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(target)
