"""What holds for a file of any kind that is the corpus: CSV, JSON Lines, Parquet."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seedbed.conditions import Compare
from seedbed.errors import Drift, SourceError, UsageError
from seedbed.ports.corpus import CellWrite, durable
from seedbed.ports.corpus.database import open_corpus
from seedbed.ports.corpus.files import Staged, WrittenFile, stage, write_out

Rows = Sequence[dict[str, Any]]
SUFFIXES = (".csv", ".jsonl", ".parquet")
THREE: Rows = [{"id": f"k{n}", "q": text} for n, text in enumerate(["one", "two, or so", "=three"])]


def put(path: Path, rows: Rows) -> None:
    """Write a file with these rows, as a person's program does."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names, restval="")
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
        pq.write_table(pa.table(columns), path, row_group_size=2)


def got(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, with '' for what is empty."""
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    if path.suffix == ".jsonl":
        return [
            {k: "" if v is None else v for k, v in json.loads(line).items()} for line in path.read_text().splitlines()
        ]
    return [{k: "" if v is None else v for k, v in row.items()} for row in pq.read_table(path).to_pylist()]


class Desk:
    def __init__(self, folder: Path, suffix: str) -> None:
        self.source = folder / f"rows{suffix}"
        self.out = folder / f"rows.filled{suffix}"
        self.database = folder / ".seedbed" / "rows.db"
        self.backup = folder / "backup"

    def put(self, rows: Rows) -> Desk:
        put(self.source, rows)
        return self

    def stage(self, *, key: str | None = None, out: bool = False) -> Staged:
        return stage(self.source, self.database, key=key, outputs={"s": "text"}, out=self.out if out else None)

    def sql(self, statement: str, *values: Any) -> list[Any]:
        connection = sqlite3.connect(self.database)
        try:
            found = connection.execute(statement, values).fetchall()
            connection.commit()
            return found
        finally:
            connection.close()

    def write(self) -> WrittenFile:
        return write_out(self.database, self.source, self.out)

    def in_place(self) -> WrittenFile:
        return write_out(self.database, self.source, self.source, in_place_backup=self.backup)


@pytest.fixture(params=SUFFIXES)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    return Desk(tmp_path, request.param)


@pytest.fixture(params=["id", None], ids=["keyed", "by content"])
def key(request: pytest.FixtureRequest) -> str | None:
    return request.param  # type: ignore[no-any-return]


def filled(rows: Rows, **cells: str) -> list[dict[str, Any]]:
    """The rows with a cell of ``s`` each, by id; others are empty."""
    return [{**row, "s": cells.get(row["id"], "")} for row in rows]


def test_a_result_has_the_rows_in_their_order_with_what_was_filled(desk: Desk, key: str | None) -> None:
    staged = desk.put(THREE).stage(key=key)
    assert (staged.rows, staged.new_rows, staged.columns) == (3, 3, ("id", "q"))
    desk.sql("update rows set s = 'S1' where id = 'k1'")
    assert desk.write().cells == 1
    read = [{"id": row["id"], "q": row["q"], "s": row.get("s", "")} for row in got(desk.out)]
    assert read == filled(THREE, k1="S1")


def test_staging_again_changes_nothing(desk: Desk, key: str | None) -> None:
    before = desk.put(THREE).stage(key=key)
    again = desk.stage(key=key)
    assert (again.rows, again.new_rows, again.gone_rows, again.changed_cells) == (3, 0, 0, 0)
    assert again.key == before.key


def test_a_program_that_writes_the_same_rows_again_changes_nothing(desk: Desk, key: str | None) -> None:
    desk.put(THREE).stage(key=key)
    keys = desk.sql("select * from rows")
    staged = desk.put(list(reversed(THREE))).stage(key=key)
    assert (staged.new_rows, staged.gone_rows, staged.changed_cells) == (0, 0, 0)
    assert sorted(desk.sql("select * from rows")) == sorted(keys)


def test_new_rows_come_and_old_ones_go_and_return_with_their_values(desk: Desk, key: str | None) -> None:
    desk.put(THREE).stage(key=key)
    desk.sql("update rows set s = 'S' || id")
    new = {"id": "k9", "q": "nine"}
    staged = desk.put([*THREE[1:], new]).stage(key=key)
    assert (staged.rows, staged.new_rows, staged.gone_rows) == (3, 1, 1)
    desk.put([*THREE, new]).stage(key=key)
    assert dict(desk.sql("select id, s from rows")) == {"k0": "Sk0", "k1": "Sk1", "k2": "Sk2", "k9": None}


def test_a_changed_cell_is_taken_over_and_the_results_stay(desk: Desk) -> None:
    desk.put(THREE).stage(key="id")
    desk.sql("update rows set s = 'S' || id")
    staged = desk.put([THREE[0] | {"q": "ONE"}, *THREE[1:]]).stage(key="id")
    assert staged.changed_cells == 1
    assert desk.sql("select q, s from rows where id = 'k0'") == [("ONE", "Sk0")]


def test_doubled_and_empty_keys_are_named_by_their_place(desk: Desk) -> None:
    first = 1 if desk.source.suffix != ".csv" else 2
    with pytest.raises(SourceError) as caught:
        desk.put([*THREE, THREE[0]]).stage(key="id")
    assert f"s {first}, {first + 3}" in caught.value.why
    with pytest.raises(SourceError, match=f"{first + 1}"):
        desk.put([THREE[0], {"id": "", "q": "x"}]).stage(key="id")


def test_a_persons_edits_in_the_result_are_kept(desk: Desk, key: str | None) -> None:
    desk.put(THREE).stage(key=key, out=True)
    desk.sql("update rows set s = 'S' || id")
    desk.write()
    rows = got(desk.out)
    rows[1]["s"] = "mine"
    put(desk.out, rows)
    assert desk.stage(key=key, out=True).changed_cells == 1
    assert desk.stage(key=key, out=True).changed_cells == 0
    desk.sql("update rows set s = 'later' where id = 'k0'")
    assert desk.write().edits == 1
    assert got(desk.out) == filled(THREE, k0="later", k1="mine", k2="Sk2")


def test_an_unedited_result_is_no_edit_whatever_program_wrote_it_again(desk: Desk, key: str | None) -> None:
    desk.put(THREE).stage(key=key, out=True)
    desk.sql("update rows set s = 'S' || id")
    desk.write()
    put(desk.out, got(desk.out))
    assert desk.stage(key=key, out=True).changed_cells == 0


def test_a_result_that_is_not_ours_is_never_overwritten(desk: Desk) -> None:
    desk.put(THREE).stage()
    put(desk.out, THREE)
    with pytest.raises(SourceError, match="was not written by seedbed"):
        desk.write()
    assert got(desk.out) == list(THREE)


def test_a_source_or_result_that_changed_meanwhile_is_not_written(desk: Desk) -> None:
    desk.put(THREE).stage(out=True)
    desk.sql("update rows set s = 'S'")
    desk.write()
    put(desk.out, THREE[:1])
    with pytest.raises(Drift, match="was edited while"):
        desk.write()
    desk.put(THREE[:2])
    with pytest.raises(Drift, match="was changed while"):
        desk.write()


def test_in_place_keeps_a_backup_and_is_stable(desk: Desk, key: str | None) -> None:
    desk.put(THREE).stage(key=key)
    data = desk.source.read_bytes()
    desk.sql("update rows set s = 'S' || id")
    written = desk.in_place()
    assert written.backup == desk.backup
    assert desk.backup.read_bytes() == data
    assert got(desk.source) == filled(THREE, k0="Sk0", k1="Sk1", k2="Sk2")
    staged = desk.stage(key=key)
    assert (staged.columns, staged.new_rows, staged.gone_rows, staged.changed_cells) == (("id", "q", "s"), 0, 0, 0)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [False, True], ids=["before the replace", "after the replace"])
@pytest.mark.parametrize("in_place", [False, True], ids=["beside", "in place"])
def test_a_kill_while_a_file_is_written_heals(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, after: bool, in_place: bool
) -> None:
    desk.put(THREE).stage(out=not in_place)
    desk.sql("update rows set s = 'S' || id")
    place: Callable[[durable.NewFile], None] = durable.NewFile.place

    def killed(new: durable.NewFile) -> None:
        if new.target == desk.backup:
            place(new)
            return
        if after:
            place(new)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(durable.NewFile, "place", killed)
        desk.in_place() if in_place else desk.write()

    staged = desk.stage(out=not in_place)
    assert (staged.new_rows, staged.gone_rows, staged.changed_cells) == (0, 0, 0)
    desk.in_place() if in_place else desk.write()
    assert got(desk.source if in_place else desk.out) == filled(THREE, k0="Sk0", k1="Sk1", k2="Sk2")


def test_an_upload_selects_compares_and_writes_in_the_staged_file(desk: Desk) -> None:
    staged = desk.put(THREE).stage(key="id")
    corpus = open_corpus(f"sqlite:///{desk.database}")
    try:
        (row,) = corpus.page(staged.table, staged.key, Compare("q", "=", "=three"))
        write = CellWrite(json.dumps([row["id"]]), "f", {"s": None}, {"s": "=S"})
        fates = [
            done.fate
            for release in ("r1", "r2")
            for done in corpus.write(release, staged.table, staged.key, [write], fingerprint=lambda _: "f")
        ]
        assert fates == ["applied", "already"]
    finally:
        corpus.close()
    desk.write()
    assert [row.get("s", "") for row in got(desk.out)] == ["", "", "=S"]


def test_a_result_cannot_be_of_another_kind(desk: Desk, tmp_path: Path) -> None:
    desk.put(THREE).stage()
    other = tmp_path / ("out.csv" if desk.source.suffix == ".parquet" else "out.parquet")
    with pytest.raises(UsageError, match="has the format of its source"):
        write_out(desk.database, desk.source, other)


def test_a_file_that_is_not_what_its_name_says_is_one_clear_line(desk: Desk) -> None:
    data = b'PAR1 and so on "' if desk.source.suffix != ".parquet" else b"id,q\n1,one\n"
    desk.source.write_bytes(data)
    with pytest.raises(SourceError) as caught:
        desk.stage()
    assert "Parquet" in caught.value.what
    assert "\n" not in caught.value.what
    assert not desk.database.exists()
