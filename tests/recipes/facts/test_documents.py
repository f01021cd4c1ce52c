"""Entries from office documents. ``legacy/entries.xlsx`` was written by LibreOffice, the DOCX files by python-docx."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from seedbed import Corpus, errors
from seedbed.ports import documents
from seedbed.recipes.facts.importing import ImportReport, import_facts
from tests.recipes.facts.helpers import all_rows, new_corpus

LEGACY = Path(__file__).parent / "legacy"


def take(corpus: Corpus, *files: Path) -> ImportReport:
    return import_facts(corpus, files, dry_run=False, release="import")


def test_the_same_entries_in_four_formats_are_four_equal_imports(tmp_path: Path) -> None:
    """000.07: two sheets with merged topics, formatted days, codes kept as text, a title above the head."""
    imports: list[tuple[Any, ...]] = []
    for suffix in ("csv", "jsonl", "xlsx", "docx"):
        corpus = new_corpus(tmp_path / f"{suffix}.db")
        report = take(corpus, LEGACY / f"entries.{suffix}")
        assert (report.read, report.new, report.bad) == (20, 20, ())
        rows = [{n: v for n, v in row.items() if n != "created_at"} for row in all_rows(corpus, "entries")]
        imports.append((dict(report.by_topic), sorted(rows, key=lambda row: str(row["id"]))))
        again = take(corpus, *(LEGACY / f"entries.{other}" for other in ("csv", "jsonl", "xlsx", "docx")))
        assert (again.new, again.already) == (0, 80)
        corpus.close()
    assert all(each == imports[0] for each in imports[1:])


def test_paragraphs_under_a_topic_are_entries_and_others_are_listed(corpus: Corpus) -> None:
    report = take(corpus, LEGACY / "notes.docx")
    found = {row["name"]: row["topic"] for row in all_rows(corpus, "entries")}
    assert found == {"Ghana": "countries", "Burkina Faso": "countries", "Kumasi": "cities", "Bobo-Dioulasso": "cities"}
    assert [(bad.line, bad.reason) for bad in report.bad] == [
        (2, "the paragraph stands under no heading that names a topic")
    ]
    assert report.read == report.new + len(report.bad) == 5


def test_bad_rows_are_named_by_sheet_and_row(corpus: Corpus, tmp_path: Path) -> None:
    """The richness of one row of the second sheet, whose head stands in row 3, is changed in the file itself."""
    file = tmp_path / "entries.xlsx"
    with zipfile.ZipFile(LEGACY / "entries.xlsx") as old, zipfile.ZipFile(file, "w") as new:
        for part in old.infolist():
            data = old.read(part)
            if part.filename == "xl/sharedStrings.xml":
                data = data.replace(b"Cotonou</t>", b"</t>")
            new.writestr(part, data)
    report = take(corpus, file)
    assert report.new == 19
    assert [(Path(bad.file).name, bad.line, bad.reason) for bad in report.bad] == [
        ("entries.xlsx [Cities]", 18, "the row has no name")
    ]


def packed(path: Path, **parts: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def refused(corpus: Corpus, file: Path) -> str:
    with pytest.raises(errors.SourceError) as raised:
        take(corpus, file)
    assert "\n" not in raised.value.what + raised.value.why
    assert not all_rows(corpus, "entries")
    return f"{raised.value.what} {raised.value.why}"


@pytest.mark.parametrize("suffix", ["xlsx", "docx"])
def test_broken_files_are_refused_with_one_line(corpus: Corpus, tmp_path: Path, suffix: str) -> None:
    data = (LEGACY / f"entries.{suffix}").read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 3] ^= 0xFF
    file = tmp_path / f"l.{suffix}"
    for broken in (b"", b"PK\x03\x04", b"no archive", data[: len(data) // 2], bytes(flipped)):
        file.write_bytes(broken)
        assert f"l.{suffix} is no {suffix.upper()} file that can be read" in refused(corpus, file)
    packed(file, **{"hello.txt": b"an archive of another kind"})
    assert f"l.{suffix} is no {suffix.upper()} file that can be read" in refused(corpus, file)


def test_a_bomb_is_refused_before_it_is_parsed(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST_BYTES", 1 << 20)
    told = refused(corpus, packed(tmp_path / "b.xlsx", **{"xl/worksheets/sheet1.xml": b" " * (2 << 20)}))
    assert "b.xlsx unpacks to more than 1 MB" in told
    monkeypatch.setattr(documents, "MOST_PARTS", 3)
    assert "has 5 parts" in refused(corpus, packed(tmp_path / "p.docx", **{f"{n}.xml": b"" for n in range(5)}))


def test_a_size_that_lies_is_found_by_unpacking(corpus: Corpus, tmp_path: Path) -> None:
    file = packed(tmp_path / "l.xlsx", **{"xl/workbook.xml": b"x" * 100_000})
    data = file.read_bytes().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    file.write_bytes(data)
    assert "l.xlsx is no XLSX file that can be read" in refused(corpus, file)


def test_entities_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'
    assert "declares entities" in refused(corpus, packed(tmp_path / "e.xlsx", **{"xl/workbook.xml": bomb}))


def test_a_document_without_a_table_of_entries_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    file = tmp_path / "entries.docx"
    with zipfile.ZipFile(LEGACY / "entries.docx") as old, zipfile.ZipFile(file, "w") as new:
        for part in old.infolist():
            data = old.read(part)
            new.writestr(part, data.replace(b">name<", b">title<") if part.filename == "word/document.xml" else data)
    assert "no table with a head row with the column name" in refused(corpus, file)


def test_without_the_extra_the_error_names_it(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['kreuzberg'] = None\n"
        "from pathlib import Path\n"
        "from seedbed import errors, read_document\n"
        "try:\n"
        f"    read_document(Path({str(LEGACY / 'entries.xlsx')!r}))\n"
        "except errors.UsageError as error:\n"
        "    print(error.what, error.hint)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.startswith("XLSX and DOCX need kreuzberg, which is not installed here.")
    assert 'pip install "seedbed[documents]"' in ended.stdout
