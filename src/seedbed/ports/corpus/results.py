# ruff: noqa: S608  -- table names are ours and column names are quoted; values are always bound
"""A result file: what we wrote into it is remembered, so that a person's edits are known and kept."""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
import zstandard

from seedbed.errors import Drift, SourceError
from seedbed.ports.corpus.layout import Layout
from seedbed.ports.corpus.reading import Content, kept, read
from seedbed.ports.corpus.spreadsheets import plain
from seedbed.ports.corpus.staging import Meta, OutFile, Staging, quoted

_CHUNK = 4 << 20


class ResultFile:
    """One result file of a staged source, under its name as seen from the source's folder: projects may be moved."""

    def __init__(self, staging: Staging, meta: Meta, source: Path, out: Path) -> None:
        self.staging = staging
        self.meta = meta
        self.source = source
        self.out = out
        self.name = os.path.relpath(out.resolve(), source.resolve().parent)
        self.known = meta.outs.get(self.name, OutFile())

    def check(self) -> Content | None:
        """The file as it is. Raises if it is not ours, or was edited after the staging."""
        if not self.out.exists():
            return None
        content = read(self.out, self.source)
        try:
            if not self.known.sha and not self.known.pending:
                raise self._not_ours()
            if content.sha not in (self._base, self.known.pending):
                raise Drift(
                    f"{self.out.name} was edited while results for it were made",
                    hint="Run the same command again: the edits are taken over.",
                )
        except BaseException:
            content.close()
            raise
        return content

    def announce(self, sha: str, pieces: Iterable[bytes], *, spreadsheet_safe: bool) -> None:
        """Remember, durably, the bytes that are about to be put in place."""
        self.known.pending_safe = spreadsheet_safe
        self._keep(sha, pieces, self.staging.keys)
        self.known.pending = sha
        self.meta.outs[self.name] = self.known
        self.staging.commit()

    def placed(self, sha: str) -> None:
        self.known = self.meta.outs[self.name] = OutFile(sha=sha, safe=self.known.pending_safe)
        self._forget(but=sha)

    def take_edits(self) -> int:
        """Take into the table what a person changed in the file since we wrote it."""
        if not self.out.exists():
            return 0
        with read(self.out, self.source) as content:
            return self._take(content)

    def _take(self, content: Content) -> int:
        sha, known = content.sha, self.known
        if sha == known.pending:
            self.placed(sha)
            return 0
        if not known.sha:
            raise self._not_ours()
        if sha == self._base:
            return 0
        written, keys = self._written(self._base)
        with written:
            before = Rows(written.layout(), self.staging, self.meta, keys, safe=known.safe)
        now = Rows(content.layout(), self.staging, self.meta, safe=known.safe)
        now.match(before)
        edits, columns = before.edits(now)
        self.staging.add_outputs(columns)
        taken = self._set(edits)
        known.taken = sha
        known.leftover = known.leftover or now.leftover
        self._keep(sha, content.pieces(), lambda: now.keys)
        self._forget(but=sha)
        return taken

    def edits_kept(self) -> int:
        """How many cells still hold what a person put into the file."""
        key, table = quoted(self.meta.key_column), quoted(self.meta.table)
        present = self.staging.table_columns()
        kept = 0
        for (name,) in self.staging.sql(
            "select distinct name from _seedbed_file_edits where out = ?", (self.name,)
        ).fetchall():
            if name in present:
                kept += self.staging.sql(
                    f"""select count(*) from _seedbed_file_edits e join {table} q on q.{key} = e.k
                    where e.out = ? and e.name = ? and q.{quoted(name)} is e.value""",
                    (self.name, name),
                ).fetchone()[0]
        return kept

    @property
    def _base(self) -> str:
        return self.known.taken or self.known.sha

    def _not_ours(self) -> SourceError:
        return SourceError(
            f"{self.out.name} exists and was not written by seedbed", hint="Name another file with --out."
        )

    def _set(self, edits: Iterable[tuple[Any, str, Any]]) -> int:
        """Put cells that a person changed into the table, and remember them."""
        key, table = quoted(self.meta.key_column), quoted(self.meta.table)
        taken = 0
        for k, name, value in edits:
            done = self.staging.sql(
                f"update {table} set {quoted(name)} = ? where {key} = ? and {quoted(name)} is not ?", (value, k, value)
            ).rowcount
            taken += done
            self.staging.sql(
                "insert or replace into _seedbed_file_edits values (?, ?, ?, ?)", (self.name, k, name, value)
            )
        return taken

    def _keep(self, sha: str, pieces: Iterable[bytes], keys: Callable[[], Sequence[Any]]) -> None:
        """The file's bytes and the keys of its rows, beside what is remembered already."""
        self.staging.sql("delete from _seedbed_file_written where out = ? and sha = ?", (self.name, sha))
        self._pack(sha, 0, _chunks(pieces))
        if self.meta.key is None:
            self._pack(sha, 1, [orjson.dumps(keys())])

    def _pack(self, sha: str, keys: int, pieces: Iterable[bytes]) -> None:
        pack = zstandard.ZstdCompressor(level=1).compress
        for n, piece in enumerate(pieces):
            row = (self.name, sha, n, keys, pack(piece))
            self.staging.sql("insert into _seedbed_file_written values (?, ?, ?, ?, ?)", row)

    def _written(self, sha: str) -> tuple[Content, list[Any] | None]:
        unpack = zstandard.ZstdDecompressor().decompress
        query = "select chunk from _seedbed_file_written where out = ? and sha = ? and keys = ? order by n"
        pieces = (unpack(chunk) for (chunk,) in self.staging.sql(query, (self.name, sha, 0)))
        content = kept(self.out, self.source, pieces)
        keys = b"".join(unpack(chunk) for (chunk,) in self.staging.sql(query, (self.name, sha, 1)))
        return content, orjson.loads(keys) if keys else None

    def _forget(self, *, but: str) -> None:
        self.staging.sql("delete from _seedbed_file_written where out = ? and sha != ?", (self.name, but))


class Rows:
    """All rows of a result file with their keys, for comparing two states of it.

    Rows that are left as they are do not count; ``safe`` cells are read as the texts that they stand for.
    """

    def __init__(
        self, layout: Layout, staging: Staging, meta: Meta, keys: list[Any] | None = None, *, safe: bool = False
    ) -> None:
        self.meta = meta
        self.columns = layout.columns
        self.raws: list[bytes] = []
        self.cells: list[list[Any]] = []
        self.contents: list[Any] = []
        self.present = staging.table_columns()
        self.leftover = False
        self.replaced = layout.replaced
        hashed = [layout.columns.index(name) for name in meta.hashed if name in layout.columns]
        convert = layout.converters([self.present.get(name, "TEXT") for name in layout.columns])
        wrong = staging.wrong_marks()
        for _, spans, raw, values in layout.rows():
            if layout.wrong(spans, raw) or (wrong and blake2b(raw, digest_size=16).digest() in wrong):
                continue
            cells = [plain(cell) if isinstance(cell, str) else cell for cell in values] if safe else values
            self.raws.append(raw)
            self.contents.append(tuple(cells[i] for i in hashed))
            for index, function in convert:
                cells[index] = function(cells[index])
            self.cells.append(cells)
        if meta.key is not None:
            if meta.key not in layout.columns:
                raise SourceError(
                    f'{layout.name} no longer has its key column "{meta.key}"',
                    hint=f"Put the column back, or move {layout.name} away.",
                )
            at = layout.columns.index(meta.key)
            keys = [cells[at] for cells in self.cells]
        self.keys: list[Any] = keys or [None] * len(self.cells)

    def match(self, before: Rows) -> None:
        """Give rows the keys that they had: by equal bytes, by equal content, else in order where all are left."""
        if self.meta.key is not None:
            self.leftover = self.keys != before.keys and set(self.keys) != set(before.keys)
            return
        free = {index for index, key in enumerate(before.keys) if key is not None}
        for mine, theirs in ((self.raws, before.raws), (self.contents, before.contents)):
            places: defaultdict[Any, deque[int]] = defaultdict(deque)
            for index in sorted(free):
                places[theirs[index]].append(index)
            for index, value in enumerate(mine):
                if self.keys[index] is None and places.get(value):
                    found = places[value].popleft()
                    free.discard(found)
                    self.keys[index] = before.keys[found]
        lost = [index for index, key in enumerate(self.keys) if key is None]
        if len(lost) == len(free):
            for index, found in zip(lost, sorted(free), strict=True):
                self.keys[index] = before.keys[found]
        else:
            self.leftover = True

    def edits(self, now: Rows) -> tuple[list[tuple[Any, str, Any]], dict[str, str]]:
        """Cells that differ ``now``, and columns that a person added."""
        old = {key: index for index, key in enumerate(self.keys) if key is not None}
        lower = {name.lower() for name in self.present}
        pairs = [
            (here, self.columns.index(name) if name in self.columns else None, name)
            for here, name in enumerate(now.columns)
            if name != self.meta.key and (name in self.present or name.lower() not in lower)
        ]
        edits: list[tuple[Any, str, Any]] = []
        for key, raw, cells in zip(now.keys, now.raws, now.cells, strict=True):
            found = old.get(key) if key is not None else None
            if found is None or (raw == self.raws[found] and now.columns == self.columns):
                continue
            was = self.cells[found]
            for here, there, name in pairs:
                if self.replaced(None if there is None else was[there], cells[here]):
                    edits.append((key, name, cells[here]))
        columns = dict.fromkeys(_names(edits), "")
        return edits, {name: kind for name, kind in columns.items() if name not in self.present}


def _names(edits: Iterable[tuple[Any, str, Any]]) -> Iterable[str]:
    return (name for _, name, _ in edits)


def _chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    kept: list[bytes] = []
    size = 0
    for piece in pieces:
        kept.append(piece)
        size += len(piece)
        if size >= _CHUNK:
            yield b"".join(kept)
            kept, size = [], 0
    if kept:
        yield b"".join(kept)
