"""Opening a file of rows: its bytes as one moment saw them, and the layout that its name and start speak of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seedbed.errors import Drift
from seedbed.ports.corpus.delimited import Delimited
from seedbed.ports.corpus.jsonlines import JsonLines
from seedbed.ports.corpus.layout import Layout

_CSV = {".csv": b",", ".tsv": b"\t", ".tab": b"\t", ".psv": b"|", ".txt": b","}
_JSONL = (".jsonl", ".ndjson", ".jsonlines")


def is_file_corpus(path: Path) -> bool:
    """Whether a name looks like a file that can be staged."""
    return path.suffix.lower() in (*_CSV, *_JSONL)


def stat(source: Path) -> list[int]:
    found = source.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def read(source: Path) -> tuple[bytes, list[int]]:
    """Bytes that no other program was writing meanwhile."""
    before = stat(source)
    data = source.read_bytes()
    if stat(source) != before or len(data) != before[0]:
        raise Drift(f"{source.name} is being written by another program", hint="Run the same command again.")
    return data, before


def parse(source: Path, data: bytes, columns: Sequence[str] = ()) -> Layout:
    suffix = source.suffix.lower()
    jsonl = suffix in _JSONL or (suffix not in _CSV and data.lstrip()[:1] in (b"{", b"["))
    if jsonl:
        return JsonLines(data, source.name, columns=columns)
    return Delimited(data, source.name, default_delimiter=_CSV.get(suffix, b","))
