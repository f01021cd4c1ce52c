"""Parquet as rows of cells; results written a row group at a time, with all that the file says of itself.

What is not written keeps its values, types, metadata, order and row groups, each column its compression. The bytes
are others: a Parquet file cannot be spliced. Needs pyarrow, the extra ``files``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from hashlib import blake2b
from typing import Any, BinaryIO

import orjson

from seedbed.errors import SourceError
from seedbed.ports.corpus.layout import Added, ScannedRow, Splice, distinct_names
from seedbed.ports.corpus.parquet.columns import Column, library, typed

ENDINGS = (".parquet", ".pq")
_BATCH = 2000
_SCHEMA_NOTE = b"ARROW:schema"


class Parquet:
    """One Parquet file. ``columns`` are the names of its top-level fields, in order."""

    kind = "parquet"
    unit = "row"
    typed = True

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        with self._explained():
            self._file = library().parquet.ParquetFile(file)
            self._schema = self._file.schema_arrow
        self._columns = [Column(field) for field in self._schema]
        self.columns = tuple(column.name for column in self._columns)
        if not self.columns:
            raise SourceError(f"{name} has no column")
        distinct_names(self.columns, name, "")
        self._types = {column.name: column.declared for column in self._columns}
        self._given: dict[int, Column] = {}

    @property
    def signature(self) -> str:
        return blake2b(str(self._schema).encode(), digest_size=16).hexdigest()

    def types(self) -> dict[str, str]:
        return dict(self._types)

    @property
    def untyped(self) -> tuple[str, ...]:
        """Columns of the type null, as programs write them that saw no value."""
        return tuple(column.name for column in self._columns if column.untyped)

    def give_type(self, added: Added) -> None:
        """What an untyped column has come to hold."""
        self._given[self.columns.index(added.name)] = typed(added.name, added.declared, added.held)

    def check(self, name: str, cell: str) -> str:
        return next((column.check(cell) for column in self._columns if column.name == name), "")

    def number(self, start: int) -> int:
        return start + 1

    def rows(self) -> Iterator[ScannedRow]:
        """(number from 0, nothing, a text of the cells, cells) of each row."""
        at = 0
        with self._explained():
            for batch in self._file.iter_batches(batch_size=_BATCH, use_threads=False):
                cells = [column.cells(values) for column, values in zip(self._columns, batch.columns, strict=True)]
                for row in zip(*cells, strict=True):
                    yield at, b"", orjson.dumps(row, default=_hex), list(row)
                    at += 1

    def wrong(self, spans: bytes, raw: bytes) -> str:
        return ""

    def splice(self, rows: Iterable[Splice], added: Sequence[Added]) -> Iterator[bytes]:
        """The file written again, a row group at a time, with cells replaced and columns put after the last."""
        pa, sink = library(), Sink()
        new = [typed(each.name, each.declared, each.held) for each in added]
        schema = self._schema
        for index, column in self._given.items():
            schema = schema.set(index, column.field)
        for column in new:
            schema = schema.append(column.field)
        waiting = iter(rows)
        ahead = next(waiting, None)
        first = 0
        with self._explained():
            writer = pa.parquet.ParquetWriter(sink, schema, **self._manner)
            for group in range(self._file.num_row_groups):
                table = self._file.read_row_group(group, use_threads=False)
                changes: dict[int, dict[int, Any]] = {}
                while ahead is not None and ahead.start < first + table.num_rows:
                    for index, cell in ahead.cells.items():
                        changes.setdefault(index, {})[ahead.start - first] = cell
                    ahead = next(waiting, None)
                arrays = self._arrays(table, new, changes, first)
                table = pa.Table.from_arrays(arrays, schema=schema)
                writer.write_table(table, row_group_size=max(1, table.num_rows))
                first += table.num_rows
                yield sink.take()
            carried = (schema.metadata or {}) if self._manner["store_schema"] else {}
            notes = {name: text for name, text in self._notes.items() if name not in carried}
            if notes:
                writer.add_key_value_metadata(notes)
            writer.close()
        yield sink.take()

    def _arrays(
        self, table: Any, new: Sequence[Column], changes: Mapping[int, Mapping[int, Any]], first: int
    ) -> list[Any]:
        pa = library()

        def place(row: int) -> str:
            return f"{self.name} row {first + row + 1}"

        arrays = []
        for index, own in enumerate((*self._columns, *new)):
            column = self._given.get(index, own)
            if index >= len(self._columns) or index in self._given:
                old = pa.nulls(table.num_rows, column.field.type)
            elif index in changes:
                old = table.column(index).combine_chunks()
                old = old.chunk(0) if hasattr(old, "num_chunks") else old
            else:
                arrays.append(table.column(index))
                continue
            arrays.append(column.written(old, changes[index], place) if index in changes else old)
        return arrays

    def text(self, value: Any, declared: str) -> Any:
        return value

    def converters(self, declared: Sequence[str]) -> list[tuple[int, Callable[[Any], Any]]]:
        return []

    def replaced(self, old: Any, new: Any) -> bool:
        return bool(old != new)  # 5 and 5.0 are one value: a program that a person uses may have widened the column

    # -------------------------------------------------------------------------------- how it is written

    @property
    def _notes(self) -> dict[bytes, bytes]:
        """What the file says about itself under names, but for the note that pyarrow makes."""
        return {k: v for k, v in (self._file.metadata.metadata or {}).items() if k != _SCHEMA_NOTE}

    @cached_property
    def _manner(self) -> dict[str, Any]:
        """How the file was written, as far as it shows: compression, dictionaries and statistics of each column."""
        meta = self._file.metadata
        manner: dict[str, Any] = {
            "store_schema": _SCHEMA_NOTE in (meta.metadata or {}),
            "use_deprecated_int96_timestamps": any(
                self._file.schema.column(i).physical_type == "INT96" for i in range(len(self._file.schema))
            ),
            "use_compliant_nested_type": not any(
                self._file.schema.column(i).path.endswith(".list.item") for i in range(len(self._file.schema))
            ),
        }
        if meta.num_row_groups:
            group = meta.row_group(0)
            chunks = [group.column(index) for index in range(group.num_columns)]
            manner["compression"] = {chunk.path_in_schema: _codec(chunk.compression) for chunk in chunks}
            manner["use_dictionary"] = [c.path_in_schema for c in chunks if "DICTIONARY" in str(c.encodings)]
            manner["write_statistics"] = [chunk.path_in_schema for chunk in chunks if chunk.is_stats_set]
        return manner

    def require_writable(self) -> None:
        """Raises SourceError for a column whose type a result could not keep. Writes no row, and only to memory."""
        pa = library()
        with self._explained():
            probe = io.BytesIO()
            with pa.parquet.ParquetWriter(probe, self._schema, **self._manner) as writer:
                writer.write_table(self._schema.empty_table())
            again = pa.parquet.ParquetFile(io.BytesIO(probe.getvalue()))
        for was, now in zip(_leaves(self._file.schema), _leaves(again.schema), strict=True):
            if was != now:
                raise SourceError(
                    f'{self.name}: the column "{was[0]}" is {was[1]}, which a result could not keep',
                    why=f"It would be written as {now[1]}.",
                    hint="Change its type, or leave the column out and join it again afterwards.",
                )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (library().ArrowException, OSError) as error:
            raise SourceError(
                f"{self.name} is no Parquet file that can be read or written", why=str(error).splitlines()[0]
            ) from error


class Sink(io.RawIOBase):
    """Takes what a writer writes and hands it on in pieces."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        data = bytes(piece)
        self._pieces.append(data)
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size

    def take(self) -> bytes:
        found, self._pieces = b"".join(self._pieces), []
        return found


def _hex(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _codec(name: str) -> str:
    return "none" if name == "UNCOMPRESSED" else name.lower()


def _leaves(schema: Any) -> list[tuple[str, str, int, int]]:
    """Each leaf: its top-level column, physical and logical type, and how deep it may be null and repeated.

    Left out is what has no meaning: a width that the logical type says again, and the names within lists.
    """
    found = []
    for index in range(len(schema)):
        leaf = schema.column(index)
        logical = str(leaf.logical_type)
        if logical.startswith("Int(") and "isSigned=true" in logical and leaf.physical_type[3:] in logical:
            logical = "None"
        physical = "decimal" if logical.startswith("Decimal") else leaf.physical_type
        words = f"{physical} {logical}" if logical != "None" else physical
        found.append((leaf.path.split(".")[0], words, leaf.max_definition_level, leaf.max_repetition_level))
    return found
