"""Legacy files into entries, and topics with their keys. Importing a file twice adds nothing."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seedbed import Corpus, Lookup, NewRow, Selection, errors, read_document, row_id, unique
from seedbed.recipes.facts.settings import RICHNESS
from seedbed.recipes.facts.validation import TYPES

BUILT_IN_TOPICS = Path(__file__).with_name("topics.jsonl")
DOCUMENTS = (".xlsx", ".docx")
_OWN = ("name", "topic", "parent", "richness")
_NO_TOPIC = ""


@dataclass(frozen=True)
class BadRow:
    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass(frozen=True)
class ImportReport:
    """What became of each row: ``read`` = ``new`` + ``already`` + bad rows.

    ``unmapped`` counts the rows of each topic name that is not known here; they are kept without a topic.
    ``by_topic`` counts the new rows and those already there; "" are those without a topic.
    """

    read: int
    new: int
    already: int
    unmapped: Mapping[str, int] = field(default_factory=dict)
    bad: Sequence[BadRow] = ()
    by_topic: Mapping[str, int] = field(default_factory=dict)
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class _Line:
    file: str
    line: int
    cells: Mapping[str, Any]

    def bad(self, reason: str) -> BadRow:
        return BadRow(self.file, self.line, reason)


@dataclass(frozen=True, slots=True)
class _Entry:
    line: _Line
    id: str
    name: str
    topic: str | None
    topic_name: str
    parent: str
    richness: str
    data: Mapping[str, Any]


# -------------------------------------------------------------------------------------- entries


def import_facts(
    corpus: Corpus, files: Sequence[Path], *, dry_run: bool, release: str, source_type: str = "file_seed"
) -> ImportReport:
    """Entries from CSV, JSONL, XLSX and DOCX files: name, topic, parent, richness; all other columns become ``data``.

    Of XLSX each sheet is read, of DOCX each table, and the paragraphs under a heading that names a topic are entries
    of it. Raises SourceError for a file that cannot be read as a table; single rows that cannot are in the report.
    """
    bad: list[BadRow] = []
    topics = _topics_by_name(corpus.lookup())
    lines = list(_read(files, topics, bad))
    read = len(lines) + len(bad)
    entries = list(_entries(lines, topics, bad))
    once = {entry.id: entry for entry in reversed(entries)}
    first = [entry for entry in entries if once[entry.id] is entry]
    ordered = list(_parents_first(first, corpus.lookup(), bad))
    unplaced = {entry.id for entry in first} - {entry.id for entry, _ in ordered}
    rows = [_new_row(entry, parent, source_type) for entry, parent in ordered]
    fates = Counter(_insert(corpus, rows, release, dry_run, {entry.id: entry.line for entry, _ in ordered}, bad))
    again = [entry for entry in entries if once[entry.id] is not entry]
    for entry in again:
        if entry.id in unplaced:
            bad.append(entry.line.bad("the same entry as a row that could not be taken"))
    repeated = [entry for entry in again if entry.id not in unplaced]
    lost = {(each.file, each.line) for each in bad}
    kept = [entry for entry in entries if (entry.line.file, entry.line.line) not in lost]
    unmapped = Counter(entry.topic_name for entry in kept if entry.topic is None and entry.topic_name)
    return ImportReport(
        read=read,
        new=fates["stored"],
        already=fates["already"] + fates["duplicate"] + len(repeated),
        unmapped=dict(sorted(unmapped.items())),
        bad=tuple(sorted(bad, key=lambda each: (each.file, each.line))),
        by_topic=dict(sorted(Counter(entry.topic or _NO_TOPIC for entry in kept).items())),
        dry_run=dry_run,
    )


def stats(corpus: Corpus) -> dict[str, int]:
    """Entries by topic; "" are those without one."""
    counted = corpus.count_by("entries", ["topic"], Selection("entries").condition())
    return {str(topic or _NO_TOPIC): count for (topic,), count in counted}


def _entries(lines: Iterable[_Line], topics: Mapping[str, str], bad: list[BadRow]) -> Iterator[_Entry]:
    for line in lines:
        texts = {name: _text(line.cells.get(name)) for name in _OWN}
        richness = texts["richness"].casefold() or "medium"
        if not texts["name"]:
            bad.append(line.bad("the row has no name"))
        elif len(texts["name"]) > 200:
            bad.append(line.bad(f"the name has {len(texts['name'])} characters; at most 200"))
        elif richness not in RICHNESS:
            bad.append(line.bad(f"richness is {texts['richness']!r}; known: {', '.join(RICHNESS)}"))
        else:
            given = line.cells.get("data")
            data = dict(given) if isinstance(given, Mapping) else {}
            data |= {
                name: value
                for name, value in line.cells.items()
                if name not in _OWN and value not in (None, "") and not (name == "data" and isinstance(value, Mapping))
            }
            yield _Entry(
                line,
                row_id("", "facts.import", [_folded(texts[name]) for name in ("name", "topic", "parent")], 0, {}),
                texts["name"],
                topics.get(_folded(texts["topic"])),
                texts["topic"],
                texts["parent"],
                richness,
                data,
            )


def _parents_first(entries: Sequence[_Entry], lookup: Lookup, bad: list[BadRow]) -> Iterator[tuple[_Entry, str | None]]:
    """Each entry with its parent's id, after its parent: found by name in the files, else in the corpus."""
    by_name: dict[str, list[_Entry]] = {}
    for entry in entries:
        by_name.setdefault(_folded(entry.name), []).append(entry)
    waiting: dict[str, list[_Entry]] = {}
    ready: list[tuple[_Entry, str | None]] = []
    for entry in entries:
        if not entry.parent:
            ready.append((entry, None))
            continue
        named = [each for each in by_name.get(_folded(entry.parent), []) if each is not entry]
        above = [each for each in named if not each.parent] or named
        if len(above) == 1:
            waiting.setdefault(above[0].id, []).append(entry)
            continue
        known = [] if above else lookup.rows("entries", {"name": entry.parent}, columns=["id"], limit=2)
        if len(known) == 1:
            ready.append((entry, known[0]["id"]))
        else:
            several = bool(above or known)
            what = "names several entries" if several else "is neither in the files nor among the entries"
            bad.append(entry.line.bad(f"the parent {entry.parent!r} {what}"))
    placed = 0
    while placed < len(ready):
        entry, parent = ready[placed]
        yield entry, parent
        children = waiting.pop(entry.id, [])
        own = _held_as(entry, parent, lookup) if children else entry.id
        ready += [(child, own) for child in children]
        placed += 1
    for children in waiting.values():
        bad += [
            child.line.bad(f"the parent {child.parent!r} could not be taken, or is its own descendant")
            for child in children
        ]


def _held_as(entry: _Entry, parent: str | None, lookup: Lookup) -> str:
    """The id under which the entry is there already, by whatever name of its topic it came; else its own."""
    where = {"name": entry.name, "topic": entry.topic, "parent": parent}
    held = [str(row["id"]) for row in lookup.rows("entries", where, columns=["id"], order="id")]
    return held[0] if held and entry.id not in held else entry.id


def _new_row(entry: _Entry, parent: str | None, source_type: str) -> NewRow:
    values = {
        "name": entry.name,
        "topic": entry.topic,
        "parent": parent,
        "richness": entry.richness,
        "source_type": source_type,
        "depth": 0,
        "data": dict(entry.data) or None,
    }
    return NewRow(entry.id, "entries", values, (unique("topic", "name", "parent"),), parent or "", 0)


def _insert(
    corpus: Corpus, rows: Sequence[NewRow], release: str, dry_run: bool, lines: Mapping[str, _Line], bad: list[BadRow]
) -> Iterator[str]:
    for done in corpus.preview_insert(rows) if dry_run else corpus.insert(release, rows):
        if done.fate == "rejected":
            bad.append(lines[done.row.id].bad(done.reason))
        yield done.fate


def _text(value: Any) -> str:
    return " ".join(unicodedata.normalize("NFC", str(value)).split()) if value is not None else ""


def _folded(text: str) -> str:
    return _text(text).casefold()


# --------------------------------------------------------------------------------------- topics


def import_topics(
    corpus: Corpus, file: Path = BUILT_IN_TOPICS, *, dry_run: bool = False, release: str = "topics"
) -> ImportReport:
    """Topics from JSON lines: slug, name, parent (a slug), aliases, fact_keys; parents before their children.

    A topic's id is the slug that it had when it was first imported.
    """
    bad: list[BadRow] = []
    lines = list(_json_lines(file, bad))
    read = len(lines) + len(bad)
    rows: list[NewRow] = []
    aliases: list[NewRow] = []
    places: dict[str, _Line] = {}
    for line in lines:
        slug, wrong = _text(line.cells.get("slug")), _wrong_topic(line.cells)
        if wrong or slug in places:
            bad.append(line.bad(wrong or f"the topic {slug!r} stands in the file twice"))
            continue
        places[slug] = line
        values = {
            "slug": slug,
            "name": _text(line.cells.get("name")) or slug,
            "parent": line.cells.get("parent") or None,
            "fact_keys": line.cells.get("fact_keys") or {},
        }
        rows.append(NewRow(slug, "topics", values, (unique("slug"),), "", 0))
        aliases += [
            NewRow(_folded(alias), "topic_aliases", {"topic": slug}, (), slug, place)
            for place, alias in enumerate(line.cells.get("aliases") or ())
        ]
    fates = Counter(_insert(corpus, rows, release, dry_run, places, bad))
    if not dry_run:
        taken = {place for place in places if _known_topic(corpus.lookup(), place)}
        for done in corpus.insert(release, [alias for alias in aliases if alias.values["topic"] in taken]):
            if done.fate == "rejected":
                bad.append(places[str(done.row.values["topic"])].bad(f"alias {done.row.id!r}: {done.reason}"))
    return ImportReport(
        read=read,
        new=fates["stored"],
        already=fates["already"] + fates["duplicate"],
        bad=tuple(sorted(bad, key=lambda each: (each.file, each.line))),
        by_topic=dict.fromkeys(places, 1),
        dry_run=dry_run,
    )


def _known_topic(lookup: Lookup, topic: str) -> bool:
    return bool(lookup.rows("topics", {"id": topic}, columns=["id"], limit=1))


_KEY = re.compile(r"[a-z][a-z0-9_]{0,59}")
_SPEC = ("type", "label", "unit", "many", "enum", "minimum", "maximum", "required")


def _wrong_topic(cells: Mapping[str, Any]) -> str:
    if not _text(cells.get("slug")):
        return "the topic has no slug"
    keys = cells.get("fact_keys") or {}
    if not isinstance(keys, Mapping):
        return "fact_keys is no object"
    for key, spec in keys.items():
        if not _KEY.fullmatch(str(key)):
            return f"{key!r} is no key: lower-case letters, digits, underlines"
        if not isinstance(spec, Mapping) or spec.get("type") not in TYPES:
            return f"the key {key} needs a type: {', '.join(TYPES)}"
        unknown = [name for name in spec if name not in _SPEC]
        if unknown:
            return f"the key {key} has an unknown setting {unknown[0]!r}; {errors.nearest(unknown[0], _SPEC)}"
    return ""


def _topics_by_name(lookup: Lookup) -> dict[str, str]:
    """Topic ids by what a file may call them: alias, name, slug; the slug wins."""
    topics = lookup.rows("topics", columns=["id", "slug", "name"], order="id")
    names = {_folded(row["alias"]): str(row["topic"]) for row in lookup.rows("topic_aliases", order="alias")}
    names |= {_folded(row["name"]): str(row["id"]) for row in topics}
    return names | {_folded(row["slug"]): str(row["id"]) for row in topics}


# ---------------------------------------------------------------------------------------- files


def _read(files: Sequence[Path], topics: Mapping[str, str], bad: list[BadRow]) -> Iterator[_Line]:
    readers = {".csv": _csv_lines, ".jsonl": _json_lines, ".ndjson": _json_lines}
    for file in files:
        suffix = file.suffix.lower()
        if suffix not in (*readers, *DOCUMENTS):
            raise errors.SourceError(
                f"{file.name} is neither CSV nor JSONL nor XLSX nor DOCX",
                hint="Save it as CSV with a head line, or as JSON lines.",
            )
        if not file.is_file():
            raise errors.SourceError(f"there is no file {file}")
        yield from _document_lines(file, topics, bad) if suffix in DOCUMENTS else readers[suffix](file, bad)


def _document_lines(file: Path, topics: Mapping[str, str], bad: list[BadRow]) -> Iterator[_Line]:
    """Rows of the tables that have a head, and paragraphs that stand under a topic."""
    document = read_document(file)
    found = 0
    for table in document.tables:
        place = f"{file} [{table.name}]"
        head = next((n for n, row in enumerate(table.rows) if "name" in map(_folded, row)), None)
        if head is None:
            full = next((n for n, row in enumerate(table.rows) if any(map(_text, row))), None)
            if full is not None:
                bad.append(BadRow(place, table.first + full, "no row of this table is a head with the column name"))
            continue
        found += 1
        yield from _table_lines(place, table.first + head, table.rows[head], table.rows[head + 1 :])
    for paragraph in document.paragraphs:
        if _folded(paragraph.heading) in topics:
            found += 1
            yield _Line(str(file), paragraph.number, {"name": paragraph.text, "topic": paragraph.heading})
        else:
            bad.append(BadRow(str(file), paragraph.number, "the paragraph stands under no heading that names a topic"))
    if not found:
        raise errors.SourceError(
            f"{file.name} has no table with a head row with the column name, and no paragraph under a topic"
        )


def _table_lines(place: str, line: int, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[_Line]:
    names = [_folded(name) for name in head]
    given = [name for name in names if name]
    if len(set(given)) < len(given):
        raise errors.SourceError(f"{place} has a column twice in its head: {', '.join(given)}")
    for number, row in enumerate(rows, line + 1):
        cells = {name: cell for name, cell in zip(names, row, strict=False) if name}
        if any(map(_text, row)):
            yield _Line(place, number, {n: cell if n in _OWN else _typed(cell) for n, cell in cells.items()})


def _csv_lines(file: Path, bad: list[BadRow]) -> Iterator[_Line]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as source:
            reader = csv.reader(source, strict=True)
            head = [_folded(name) for name in next(reader, [])]
            if "name" not in head or len(set(head)) < len(head):
                raise errors.SourceError(
                    f"{file.name} needs a head line with the column name, and no column twice",
                    why=f"it has: {', '.join(head) or 'nothing'}",
                )
            before = reader.line_num
            for cells in reader:
                place, before = before + 1, reader.line_num
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(head):
                    bad.append(BadRow(str(file), place, f"the row has {len(cells)} cells, the head {len(head)}"))
                    continue
                own = dict(zip(head, cells, strict=True))
                typed = {name: cell if name in _OWN else _typed(cell) for name, cell in own.items()}
                yield _Line(str(file), place, typed)
    except (UnicodeDecodeError, csv.Error) as error:
        raise errors.SourceError(f"{file.name} is no CSV in UTF-8", why=str(error)) from error


def _json_lines(file: Path, bad: list[BadRow]) -> Iterator[_Line]:
    with file.open("rb") as source:
        for place, raw in enumerate(source, 1):
            if not raw.strip():
                continue
            try:
                cells = json.loads(raw.decode("utf-8-sig" if place == 1 else "utf-8"))
            except (UnicodeDecodeError, ValueError) as error:
                bad.append(BadRow(str(file), place, f"no JSON: {error}"))
                continue
            if not isinstance(cells, dict):
                bad.append(BadRow(str(file), place, "no JSON object"))
                continue
            yield _Line(str(file), place, cells)


_WHOLE = re.compile(r"-?(?:0|[1-9]\d{0,17})")
_POINT = re.compile(r"-?(?:0|[1-9]\d{0,11})\.\d{1,12}")


def _typed(cell: str) -> Any:
    """Numbers that are written as numbers are; all else is the text as it stands (007 stays 007)."""
    text = cell.strip()
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _POINT.fullmatch(text) else text
