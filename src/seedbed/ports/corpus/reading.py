"""Opening a file of rows: its bytes as one moment saw them, and the layout that its name and start speak of."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from seedbed.errors import Drift
from seedbed.ports.corpus.delimited import Delimited
from seedbed.ports.corpus.jsonlines import JsonLines
from seedbed.ports.corpus.layout import Layout
from seedbed.ports.corpus.parquet import ENDINGS as PARQUET
from seedbed.ports.corpus.parquet import Parquet

_CSV = {".csv": b",", ".tsv": b"\t", ".tab": b"\t", ".psv": b"|", ".txt": b","}
_JSONL = (".jsonl", ".ndjson", ".jsonlines")
_CHUNK = 4 << 20


def is_file_corpus(path: Path) -> bool:
    """Whether a name looks like a file that can be staged."""
    return path.suffix.lower() in (*_CSV, *_JSONL, *PARQUET)


def is_delimited(path: Path) -> bool:
    return path.suffix.lower() in _CSV


def is_parquet(path: Path) -> bool:
    return path.suffix.lower() in PARQUET


def stat(source: Path) -> list[int]:
    found = source.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


@dataclass
class Content:
    """What a file held at one moment. Text is in memory; Parquet stays on the disk, open, and is read a part at a time.

    ``kind`` is the file whose name says what it is: a result is read as its source is.
    """

    path: Path
    kind: Path
    sha: str
    stat: list[int]
    _held: bytes | BinaryIO = field(repr=False)

    def __enter__(self) -> Content:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if not isinstance(self._held, bytes):
            self._held.close()

    def layout(self, columns: Sequence[str] = (), *, spreadsheet_safe: bool = False) -> Layout:
        """``columns`` are given for bytes that were read before, to splice them only."""
        if not isinstance(self._held, bytes):
            self._held.seek(0)
            return Parquet(self._held, self.path.name)
        suffix = self.kind.suffix.lower()
        jsonl = suffix in _JSONL or (suffix not in _CSV and self._held.lstrip()[:1] in (b"{", b"["))
        if jsonl:
            return JsonLines(self._held, self.path.name, columns=columns)
        return Delimited(
            self._held, self.path.name, default_delimiter=_CSV.get(suffix, b","), spreadsheet_safe=spreadsheet_safe
        )

    def pieces(self) -> Iterator[bytes]:
        if isinstance(self._held, bytes):
            yield self._held
            return
        self._held.seek(0)
        while piece := self._held.read(_CHUNK):
            yield piece

    def require_unchanged(self) -> None:
        """Raises Drift where the file is not what it was when it was opened."""
        found: list[int] = []
        with suppress(FileNotFoundError):
            found = stat(self.path)
        if found != self.stat:
            raise Drift(f"{self.path.name} was changed a moment ago", hint="Run the same command again.")


def read(path: Path, kind: Path | None = None) -> Content:
    """Bytes that no other program was writing meanwhile."""
    before = stat(path)
    if is_parquet(kind or path):
        file = path.open("rb")
        content = Content(path, kind or path, _sha_of(file), before, file)
        size = os.fstat(file.fileno()).st_size
    else:
        data = path.read_bytes()
        content, size = Content(path, kind or path, sha256(data).hexdigest(), before, data), len(data)
    if stat(path) != before or size != before[0]:
        raise Drift(f"{path.name} is being written by another program", hint="Run the same command again.")
    return content


def kept(path: Path, kind: Path, pieces: Iterable[bytes]) -> Content:
    """Bytes that were kept of a file, as if it were read."""
    if not is_parquet(kind):
        data = b"".join(pieces)
        return Content(path, kind, sha256(data).hexdigest(), [], data)
    file = tempfile.TemporaryFile()  # noqa: SIM115  -- it lives as long as the content
    for piece in pieces:
        file.write(piece)
    return Content(path, kind, _sha_of(file), [], file)


def _sha_of(file: BinaryIO) -> str:
    file.seek(0)
    state = sha256()
    while piece := file.read(_CHUNK):
        state.update(piece)
    return state.hexdigest()
