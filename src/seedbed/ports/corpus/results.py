# ruff: noqa: S608  -- table names are ours and column names are quoted; values are always bound
"""A result file: what we wrote into it is remembered, so that a person's edits are known and kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import zstandard

from seedbed.errors import Drift, SourceError
from seedbed.ports.corpus.comparing import Comparison
from seedbed.ports.corpus.reading import Content, kept, read
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
        with Comparison(self.staging, self.meta, safe=known.safe) as compared:
            with self._written(self._base) as written:
                compared.before(written.layout(), self._keys_written(self._base))
            compared.now(content.layout())
            self.staging.add_outputs(compared.added())
            taken = self._set(compared.edits())
            known.taken = sha
            known.leftover = known.leftover or compared.leftover
            self._keep(sha, content.pieces(), compared.keys)
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

    def _keep(self, sha: str, pieces: Iterable[bytes], keys: Callable[[], Iterable[Sequence[Any]]]) -> None:
        """The file's bytes and the keys of its rows, beside what is remembered already."""
        self.staging.sql("delete from _seedbed_file_written where out = ? and sha = ?", (self.name, sha))
        self._pack(sha, 0, _chunks(pieces))
        if self.meta.key is None:
            self._pack(sha, 1, (orjson.dumps(page) for page in keys()))

    def _pack(self, sha: str, keys: int, pieces: Iterable[bytes]) -> None:
        pack = zstandard.ZstdCompressor(level=1).compress
        for n, piece in enumerate(pieces):
            row = (self.name, sha, n, keys, pack(piece))
            self.staging.sql("insert into _seedbed_file_written values (?, ?, ?, ?, ?)", row)

    def _written(self, sha: str) -> Content:
        return kept(self.out, self.source, self._packed(sha, 0))

    def _keys_written(self, sha: str) -> Iterator[Any]:
        for page in self._packed(sha, 1):
            yield from orjson.loads(page)

    def _packed(self, sha: str, keys: int) -> Iterator[bytes]:
        unpack = zstandard.ZstdDecompressor().decompress
        query = "select chunk from _seedbed_file_written where out = ? and sha = ? and keys = ? order by n"
        return (unpack(chunk) for (chunk,) in self.staging.sql(query, (self.name, sha, keys)))

    def _forget(self, *, but: str) -> None:
        self.staging.sql("delete from _seedbed_file_written where out = ? and sha != ?", (self.name, but))


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
