"""Parquet as a corpus: what is not written keeps its values, types, metadata, groups and compression."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.errors import SourceError, UsageError
from seedbed.ports.corpus.files import stage
from tests.ports.corpus.test_files_contract import Desk

EXPORTS = Path(__file__).parent / "exports"
"""Files as other programs wrote them, byte for byte."""
UTC_NOON = dt.datetime(2026, 1, 31, 12, 0, 0, 250000, tzinfo=dt.UTC)

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False, metadata={b"note": b"the key"}),
        pa.field("text", pa.string()),
        pa.field("zoned", pa.timestamp("us", tz="Europe/Berlin")),
        pa.field("nano", pa.timestamp("ns")),
        pa.field("milli", pa.timestamp("ms")),
        pa.field("day", pa.date32()),
        pa.field("clock", pa.time64("us")),
        pa.field("lasting", pa.duration("s")),
        pa.field("price", pa.decimal128(12, 3)),
        pa.field("tiny", pa.int8()),
        pa.field("wide", pa.uint64()),
        pa.field("short", pa.float32()),
        pa.field("share", pa.float64()),
        pa.field("ok", pa.bool_()),
        pa.field("kind", pa.dictionary(pa.int8(), pa.string())),
        pa.field("blob", pa.binary()),
        pa.field("large", pa.large_string()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("point", pa.struct([pa.field("x", pa.float64(), nullable=False), pa.field("at", pa.timestamp("ns"))])),
        pa.field("counts", pa.map_(pa.string(), pa.int32())),
        pa.field("nothing", pa.null()),
    ],
    metadata={b"pandas": b"{}", b"made by": b"a person"},
)
FULL: dict[str, Any] = {
    "text": "é, \"quoted\"\n=1+1", "zoned": UTC_NOON, "nano": 1_700_000_000_123_456_789,
    "milli": UTC_NOON.replace(tzinfo=None),
    "day": dt.date(1999, 12, 31), "clock": dt.time(23, 59, 59, 5), "lasting": dt.timedelta(seconds=90),
    "price": Decimal("-12.500"), "tiny": -128, "wide": 2**64 - 1, "short": 0.1, "share": float("nan"), "ok": False,
    "kind": "b", "blob": b"\x00\xff", "large": "x", "tags": ["a", None, ""], "point": {"x": 1.5, "at": 5},
    "counts": [("k", 1)],
}  # fmt: skip


def table(rows: int = 7) -> Any:
    """Rows that are full and empty in turns."""
    columns = {name: [FULL.get(name) if n % 2 else None for n in range(rows)] for name in SCHEMA.names}
    columns["id"] = list(range(rows))
    return pa.table(columns, schema=SCHEMA)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, ".parquet")


def write(path: Path, value: Any, **options: Any) -> None:
    with pq.ParquetWriter(path, value.schema, **options) as writer:
        writer.write_table(value, row_group_size=3)
        writer.add_key_value_metadata({"origin": "a database"})


def groups(path: Path) -> list[tuple[int, list[str], list[bool]]]:
    meta = pq.ParquetFile(path).metadata
    found = []
    for index in range(meta.num_row_groups):
        group = meta.row_group(index)
        chunks = [group.column(n) for n in range(group.num_columns)]
        found.append((group.num_rows, [c.compression for c in chunks], ["DICT" in str(c.encodings) for c in chunks]))
    return found


def test_what_is_not_written_is_equal_in_values_schema_metadata_groups_and_compression(desk: Desk) -> None:
    codecs = {name: ("zstd", "snappy", "gzip", "none")[n % 4] for n, name in enumerate(SCHEMA.names)}
    paths = {"tags": "tags.list.element", "point": "point.x", "counts": "counts.key_value.key"}
    codecs = {paths.get(name, name): codec for name, codec in codecs.items()}
    write(desk.source, table(), compression=codecs, use_dictionary=["kind", "text"])
    desk.stage(key="id")
    desk.sql("update rows set s = 'new' where id = 4")

    desk.write()

    was, now = pq.ParquetFile(desk.source), pq.ParquetFile(desk.out)
    assert now.schema_arrow.remove(len(SCHEMA)).equals(was.schema_arrow, check_metadata=True)
    notes = {k: v for k, v in was.metadata.metadata.items() if k != b"ARROW:schema"}
    assert {k: v for k, v in now.metadata.metadata.items() if k != b"ARROW:schema"} == notes
    assert b"origin" in notes
    for name in SCHEMA.names:
        assert str(now.read().column(name).combine_chunks()) == str(was.read().column(name).combine_chunks()), name
    assert now.read().column("s").to_pylist() == [None] * 4 + ["new"] + [None] * 2
    before, after = groups(desk.source), groups(desk.out)
    assert [rows for rows, _, _ in after] == [rows for rows, _, _ in before] == [3, 3, 1]
    assert [codecs[:-1] for _, codecs, _ in after] == [codecs for _, codecs, _ in before]
    assert [kinds[:-1] for _, _, kinds in after] == [kinds for _, _, kinds in before]


def test_cells_are_shown_as_people_write_them(desk: Desk) -> None:
    write(desk.source, table(2))
    desk.stage(key="id")
    names = [name for name in SCHEMA.names if name != "id"]
    quoted = ", ".join(f'"{name}"' for name in names)
    (cells,) = desk.sql(f"select {quoted} from rows where id = 1")
    assert dict(zip(names, cells, strict=True)) == {
        "text": FULL["text"], "zoned": "2026-01-31T12:00:00.25+00:00", "nano": "2023-11-14T22:13:20.123456789",
        "milli": "2026-01-31T12:00:00.25", "day": "1999-12-31", "clock": "23:59:59.000005", "lasting": 90,
        "price": "-12.500", "tiny": -128, "wide": "18446744073709551615", "short": pytest.approx(0.1), "share": None,
        "ok": 0, "kind": "b", "blob": b"\x00\xff", "large": "x", "tags": '["a", null, ""]',
        "point": '{"x": 1.5, "at": "1970-01-01T00:00:00"}', "counts": '[["k", 1]]', "nothing": None,
    }  # fmt: skip


NEW: dict[str, tuple[Any, Any]] = {
    "text": ("later", "later"),
    "zoned": ("2026-02-01T13:00:00+01:00", dt.datetime(2026, 2, 1, 12, tzinfo=dt.UTC)),
    "milli": ("2026-02-01 10:00:00.5", dt.datetime(2026, 2, 1, 10, 0, 0, 500000)),  # noqa: DTZ001
    "day": ("2000-02-29", dt.date(2000, 2, 29)),
    "clock": ("01:02:03", dt.time(1, 2, 3)),
    "lasting": (5, dt.timedelta(seconds=5)),
    "price": ("1.25", Decimal("1.250")),
    "tiny": (127, 127),
    "wide": (7, 7),
    "short": (0.5, 0.5),
    "share": (2, 2.0),
    "ok": (1, True),
    "kind": ("another", "another"),
    "blob": (b"\x01", b"\x01"),
    "large": ("y", "y"),
    "tags": ('["z"]', ["z"]),
    "point": ('{"x": 2.5, "at": null}', {"x": 2.5, "at": None}),
    "counts": ('[["m", 2]]', [("m", 2)]),
}


@pytest.mark.parametrize("name", NEW)
def test_a_cell_of_each_type_is_written_into_the_column_as_it_is(desk: Desk, name: str) -> None:
    write(desk.source, table())
    desk.stage(key="id")
    cell, value = NEW[name]
    desk.sql(f"update rows set {name} = ? where id in (1, 4)", cell)

    assert desk.write().cells == 2

    was, now = pq.read_table(desk.source), pq.read_table(desk.out)
    assert now.schema.equals(was.schema, check_metadata=True)
    expected = was.column(name).to_pylist() if name != "point" else [None, None, None, None, None, None, None]
    found = now.column(name)
    assert [found[n].as_py() for n in (1, 4)] == [value, value]
    if name not in ("point", "share"):
        assert [each for n, each in enumerate(found.to_pylist()) if n not in (1, 4)] == [
            each for n, each in enumerate(expected) if n not in (1, 4)
        ]
    assert stage(desk.source, desk.database).changed_cells == 0


@pytest.mark.parametrize(
    ("name", "cell"),
    [("tiny", 128), ("tiny", "about 5"), ("ok", 2), ("day", "soon"), ("zoned", "now"), ("id", None), ("price", "much"),
     ("tags", "no list"), ("short", "half"), ("wide", -1), ("clock", "noon"), ("lasting", "long")],
)  # fmt: skip
def test_a_cell_that_its_column_cannot_hold_is_declined_when_it_is_uploaded(desk: Desk, name: str, cell: Any) -> None:
    import sqlite3

    write(desk.source, table())
    desk.stage()
    with pytest.raises(sqlite3.IntegrityError, match=f"{name} fits its type"):
        desk.sql(f"update rows set {name} = ? where id = 1", cell)


def test_a_cell_that_slips_through_is_one_clear_error_and_nothing_is_written(desk: Desk) -> None:
    write(desk.source, table())
    desk.stage(key="id")
    desk.sql("update rows set price = '1.23456' where id = 1")
    with pytest.raises(SourceError, match=r"rows\.parquet row 2: '1\.23456' does not fit the column \"price\""):
        desk.write()
    assert not desk.out.exists()


def test_new_columns_have_the_type_of_what_they_hold(desk: Desk) -> None:
    write(desk.source, table(2))
    outputs = {"n": "int", "x": "number", "yes": "bool", "t": "text", "j": "json"}
    stage(desk.source, desk.database, key="id", outputs=outputs)  # type: ignore[arg-type]
    stage(desk.source, desk.database, outputs=["plain", "mixed"])
    desk.sql("update rows set n = 1, x = 2, yes = 1, t = '5', j = '[1]', plain = 3, mixed = id where id = 1")
    desk.sql("update rows set mixed = 'text' where id = 0")
    desk.write()
    found = pq.read_table(desk.out)
    types = {name: str(found.schema.field(name).type) for name in (*outputs, "plain", "mixed")}
    assert types == {
        "n": "int64", "x": "double", "yes": "bool", "t": "string", "j": "string", "plain": "int64", "mixed": "string",
    }  # fmt: skip
    assert found.column("mixed").to_pylist() == ["text", "1"]


@pytest.mark.parametrize("name", sorted(p.name for p in EXPORTS.glob("*.parquet") if p.stem != "interval"))
def test_files_of_other_programs_come_back_with_all_they_had(desk: Desk, name: str) -> None:
    shutil.copy(EXPORTS / name, desk.source)
    desk.stage(key="id")
    desk.sql("update rows set summary = 'filled' where summary is null")

    assert desk.write().cells >= 2

    was, now = pq.ParquetFile(desk.source), pq.ParquetFile(desk.out)
    assert now.schema_arrow.equals(was.schema_arrow)
    for field in was.schema_arrow:
        if field.name != "summary":
            assert now.read().column(field.name).equals(was.read().column(field.name)), field
    notes = {k: v for k, v in (was.metadata.metadata or {}).items() if k != b"ARROW:schema"}
    assert {k: v for k, v in (now.metadata.metadata or {}).items() if k != b"ARROW:schema"} == notes
    assert set(now.read().column("summary").to_pylist()) <= {"filled", "there"}
    assert desk.stage(key="id").changed_cells == 0


def test_a_type_that_a_result_could_not_keep_is_refused_before_anything_is_paid(desk: Desk) -> None:
    shutil.copy(EXPORTS / "interval.parquet", desk.source)
    with pytest.raises(SourceError, match='the column "iv" is FIXED_LEN_BYTE_ARRAY Interval') as caught:
        desk.stage(key="id")
    assert "could not keep" in caught.value.what
    assert not desk.database.exists()


def test_a_column_without_any_value_takes_the_type_of_what_is_written(desk: Desk) -> None:
    write(desk.source, table(2))
    desk.stage(key="id")
    desk.sql("""update rows set "nothing" = 'something' where id = 1""")
    desk.write()
    assert pq.read_table(desk.out).column("nothing").to_pylist() == [None, "something"]


@pytest.mark.parametrize("rows", [0, 1])
def test_files_with_hardly_a_row(desk: Desk, rows: int) -> None:
    pq.write_table(table(rows), desk.source)
    assert desk.stage(key="id").rows == rows
    desk.write()
    assert pq.read_table(desk.out).equals(pq.read_table(desk.source))


def test_a_broken_file_is_one_clear_line(desk: Desk) -> None:
    write(desk.source, table())
    data = desk.source.read_bytes()
    for broken in (b"", b"PAR1", data[: len(data) // 2], data[:-3]):
        desk.source.write_bytes(broken)
        with pytest.raises(SourceError, match=r"rows\.parquet is no Parquet file") as caught:
            desk.stage()
        assert "\n" not in caught.value.what + caught.value.why


def test_without_the_extra_the_error_names_it(desk: Desk) -> None:
    """In a process in which pyarrow cannot be imported."""
    write(desk.source, table())
    script = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from seedbed.cli import run\n"
        f"sys.exit(run(['fill', {str(desk.source)!r}, 's: text', '--yes']))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert ended.returncode == UsageError.exit_code
    assert ended.stderr.splitlines()[0] == "error: Parquet files need pyarrow, which is not installed here."
    assert 'pip install "seedbed[files]"' in ended.stderr
    assert "Traceback" not in ended.stderr


MEASURED = """
import resource, sys
from pathlib import Path
from seedbed.ports.corpus.files import stage, write_out
import sqlite3, pyarrow.parquet
source = Path(sys.argv[1])
stage(source, source.with_suffix(".db"), key="id", outputs={"s": "text"})
db = sqlite3.connect(source.with_suffix(".db"))
db.execute("update big set s = 'S' where id % 3 = 0")
db.commit()
write_out(source.with_suffix(".db"), source, source.with_name("out.parquet"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.torture
def test_memory_does_not_grow_with_the_number_of_row_groups(tmp_path: Path) -> None:
    peaks = []
    for count in (20, 100):
        folder = tmp_path / str(count)
        folder.mkdir()
        schema = pa.schema([("id", pa.int64()), ("q", pa.string())])
        with pq.ParquetWriter(folder / "big.parquet", schema) as writer:
            for group in range(count):
                ids = range(group * 10_000, (group + 1) * 10_000)
                rows = {"id": list(ids), "q": [f"question {n} " * 8 for n in ids]}
                writer.write_table(pa.table(rows, schema=schema))
        ended = subprocess.run(
            [sys.executable, "-c", MEASURED, str(folder / "big.parquet")], capture_output=True, text=True, check=True
        )
        peaks.append(int(ended.stdout))
    assert peaks[1] <= 1.2 * peaks[0], peaks


VALUES = {
    "n": st.integers(-(2**63), 2**63 - 1),
    "t": st.text(max_size=6),
    "x": st.floats(allow_nan=False),
    "d": st.dates(),
    "z": st.datetimes(timezones=st.just(dt.UTC)),
    "b": st.booleans(),
}
TYPES = {
    "n": pa.int64(), "t": pa.string(), "x": pa.float64(), "d": pa.date32(), "z": pa.timestamp("us", "UTC"),
    "b": pa.bool_(),
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_written_all_else_is_equal(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    desk = Desk(tmp_path_factory.mktemp("p"), ".parquet")
    count = data.draw(st.integers(1, 7))
    columns = {
        name: data.draw(st.lists(st.none() | values, min_size=count, max_size=count)) for name, values in VALUES.items()
    }
    fields = [pa.field("id", pa.int64()), *(pa.field(name, kind) for name, kind in TYPES.items())]
    source = pa.table({"id": list(range(count)), **columns}, schema=pa.schema(fields))
    pq.write_table(source, desk.source, row_group_size=data.draw(st.integers(1, 4)))
    desk.stage(key="id")
    changes = data.draw(
        st.dictionaries(st.tuples(st.integers(0, count - 1), st.sampled_from(["t", "n", "s"])), st.integers(0, 9))
    )
    for (row, name), value in changes.items():
        desk.sql(f"update rows set {name} = ? where id = ?", value if name == "n" else f"new {value}", row)

    desk.write()

    found = pq.read_table(desk.out)
    for name in source.column_names:
        expected = source.column(name).to_pylist()
        for (row, changed), value in changes.items():
            if changed == name:
                expected[row] = value if name == "n" else f"new {value}"
        assert found.column(name).to_pylist() == expected
    assert pq.ParquetFile(desk.out).metadata.num_row_groups == pq.ParquetFile(desk.source).metadata.num_row_groups
    assert json.dumps([str(f) for f in found.schema][: len(fields)]) == json.dumps([str(f) for f in source.schema])
    assert desk.stage(key="id").changed_cells == 0
