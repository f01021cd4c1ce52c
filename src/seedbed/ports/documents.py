"""Tables and paragraphs of office documents: XLSX and DOCX, as text.

Cells are what a person sees: merged cells hold their value in each of their rows, days have no time beside them. Broken
files and archives that unpack to more than they should are refused before anything is parsed. Needs kreuzberg, the
extra ``documents``.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from seedbed.errors import SourceError, UsageError

ENDINGS = (".xlsx", ".docx")
MOST_BYTES = 256 << 20
"""Unpacked size up to which a document is read."""
MOST_PARTS = 10_000
_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_LINK = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_CELL = re.compile(r"([A-Z]+)(\d+)")
_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d) 00:00:00")


@dataclass(frozen=True)
class TextTable:
    """A sheet, or a table of a text. ``first`` is the number of its first row as people count them."""

    name: str
    first: int
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of a text that is no heading; ``number`` counts all that are not blank, headings too."""

    number: int
    heading: str
    text: str


@dataclass(frozen=True)
class Document:
    tables: Sequence[TextTable]
    paragraphs: Sequence[Paragraph]


def read_document(path: Path) -> Document:
    """Raises SourceError for a file that is broken, locked or too large, UsageError without the extra."""
    kreuzberg = _library()
    _require_sound(path)
    try:
        config = kreuzberg.ExtractionConfig(output_format="markdown", use_cache=False)
        found = kreuzberg.extract_file_sync(str(path), config=config)
    except kreuzberg.KreuzbergError as error:
        raise _broken(path, str(error)) from error
    if path.suffix.lower() == ".xlsx":
        return Document(_sheets(path, found), ())
    tables = [TextTable(f"table {n}", 1, _shown(table.cells)) for n, table in enumerate(found.tables, 1)]
    return Document(tables, list(_paragraphs(found.content)))


def _library() -> Any:
    try:
        import kreuzberg
    except ImportError as error:
        raise UsageError(
            "XLSX and DOCX need kreuzberg, which is not installed here.",
            hint='Install it: pip install "seedbed[documents]"   or save the file as CSV.',
        ) from error
    return kreuzberg


def _broken(path: Path, why: str) -> SourceError:
    return SourceError(f"{path.name} is no {path.suffix[1:].upper()} file that can be read", why=why.splitlines()[0])


def _require_sound(path: Path) -> None:
    """Unpack everything once, to nowhere: sizes that an archive states may lie."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            left = MOST_BYTES
            if len(parts) > MOST_PARTS:
                raise SourceError(f"{path.name} has {len(parts):,} parts, more than {MOST_PARTS:,}; it is not read")
            for part in parts:
                left -= part.file_size
                if left < 0:
                    raise SourceError(
                        f"{path.name} unpacks to more than {MOST_BYTES >> 20} MB and is not read",
                        hint="If it is what it seems, save it as CSV.",
                    )
                with archive.open(part) as member:
                    head = member.read(1024)
                    if b"<!DOCTYPE" in head or b"<!ENTITY" in head:
                        raise _broken(path, f"{part.filename} declares entities, which no office program writes")
                    while member.read(1 << 20):
                        pass
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise _broken(path, str(error) or type(error).__name__) from error
    except Exception as error:
        if type(error).__module__ != "zlib":
            raise
        raise _broken(path, str(error)) from error


def _shown(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[_MIDNIGHT.sub(r"\1", cell) if _MIDNIGHT.fullmatch(cell) else cell for cell in row] for row in rows]


# ------------------------------------------------------------------------------------------- sheets


def _sheets(path: Path, found: Any) -> list[TextTable]:
    names = list((found.metadata or {}).get("sheet_names", ()))
    tables = []
    with zipfile.ZipFile(path) as archive:
        parts = _parts_of_sheets(archive)
        for table in found.tables:
            place = table.page_number - 1
            rows = _shown(table.cells)
            first = 1
            if place < len(parts):
                first = _merge(archive.read(parts[place]), rows)
            tables.append(TextTable(names[place] if place < len(names) else f"sheet {place + 1}", first, rows))
    return tables


def _parts_of_sheets(archive: zipfile.ZipFile) -> list[str]:
    """The parts of the sheets in their order."""
    links = {
        link.get("Id"): str(link.get("Target"))
        for link in ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))  # noqa: S314  -- no entities
    }
    book = ElementTree.fromstring(archive.read("xl/workbook.xml"))  # noqa: S314
    targets = [links.get(sheet.get(_LINK), "") for sheet in book.iter(f"{_SHEET}sheet")]
    return [target.lstrip("/") if target.startswith("/") else f"xl/{target}" for target in targets]


def _merge(part: bytes, rows: list[list[str]]) -> int:
    """Put the value of merged cells into each of their rows; the number of the first row that is used."""
    sheet = ElementTree.fromstring(part)  # noqa: S314
    used = [_place(str(cell.get("r"))) for cell in sheet.iter(f"{_SHEET}c") if len(cell) and cell.get("r") is not None]
    top, left = min((row for row, _ in used), default=1), min((column for _, column in used), default=1)
    for merged in sheet.iter(f"{_SHEET}mergeCell"):
        start, _, end = str(merged.get("ref")).partition(":")
        (row, column), (last, _) = _place(start), _place(end or start)
        if row < top or row - top >= len(rows) or not 0 <= column - left < len(rows[row - top]):
            continue
        for below in rows[row - top + 1 : last - top + 1]:
            below[column - left] = rows[row - top][column - left]
    return top


def _place(name: str) -> tuple[int, int]:
    """(row, column) of a cell's name, both from 1."""
    found = _CELL.fullmatch(name)
    if found is None:
        return 1, 1
    column = 0
    for letter in found[1]:
        column = column * 26 + ord(letter) - 64
    return int(found[2]), column


# --------------------------------------------------------------------------------------- paragraphs


def _paragraphs(markdown: str) -> Iterator[Paragraph]:
    heading = ""
    number = 0
    for block in re.split(r"\n\s*\n", markdown):
        text = block.strip()
        if not text or text.startswith("|"):
            continue
        number += 1
        if found := re.match(r"#{1,6}\s+(.*)", text):
            heading = _unmarked(found[1])
            continue
        for line in text.splitlines():
            yield Paragraph(number, heading, _unmarked(re.sub(r"^\s*(?:[-*+]|\d+[.)])\s+", "", line)))


def _unmarked(text: str) -> str:
    """Without what Markdown adds to a text: escapes and emphasis around the whole of it."""
    plain = re.sub(r"\\([\\`*_{}\[\]()#+\-.!|>~])", r"\1", text.strip())
    found = re.fullmatch(r"(\*\*|\*|__|_)(.+)\1", plain)
    return found[2] if found else plain
