"""Damage is found and named; files of other times and places are met with a clear word."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from seedbed.errors import Corrupt, Drift, StoreNewer, UsageError
from seedbed.ports.receipts import ReceiptStore
from seedbed.ports.receipts.place import check_place
from seedbed.ports.receipts.schema import VERSION, migrate, version_of

from .conftest import sqlite_store
from .samples import Listener, ending_of, intent_of, receipt_of

BODY = b"the answer of a model, long enough to be kept as it is, 12345 "


@pytest.fixture
def ids(store: ReceiptStore) -> list[str]:
    """Twenty purchases in a finished file, the last of them ended as well as received."""
    listener = Listener()
    writer = store.writer(listener)
    ids = [writer.next_id() for _ in range(20)]
    for identity in ids:
        writer.intend(intent_of(identity, text=f"question {identity}"), 0 if identity == ids[0] else identity)
        writer.receive(receipt_of(identity, BODY + identity.encode()), None)
    writer.end(ending_of(ids[-1]), "ending")
    listener.stored("ending")
    writer.close()
    return ids


def only_file(folder: Path) -> Path:
    (path,) = folder.glob("*.sqlite")
    return path


def change(folder: Path, query: str, *values: object) -> None:
    with closing(sqlite3.connect(only_file(folder))) as connection, connection:
        assert connection.execute(query, values).rowcount == 1


def flip(folder: Path, found: bytes) -> None:
    path = only_file(folder)
    data = bytearray(path.read_bytes())
    assert data.count(found) == 1
    data[data.index(found) + len(found) - 1] ^= 1
    path.write_bytes(data)


def test_a_flipped_byte_in_a_body_is_found_and_named(store: ReceiptStore, folder: Path, ids: list[str]) -> None:
    flip(folder, BODY + ids[5].encode()[:-1] + ids[5].encode()[-1:])
    found = list(store.purchases())
    assert [one.intent.id for one in found if one.corrupt] == [ids[5]]
    assert found[5].receipt is None
    assert found[5].intent == intent_of(ids[5], text=f"question {ids[5]}")
    assert sum(one.receipt is not None for one in found) == 19
    one = store.get(ids[5])
    assert one is not None
    assert one.corrupt
    verified = store.verify()
    assert verified.corrupt == (ids[5],)
    assert verified.receipts == 19


@pytest.mark.parametrize(
    "query",
    [
        "UPDATE intents SET payload = zeroblob(length(payload)) WHERE number = 6",
        "UPDATE intents SET payload = substr(payload, 1, 20) WHERE number = 6",
        "UPDATE intents SET payload = NULLIF('text', '') WHERE number = 6",
        "UPDATE intents SET call = call || 'x' WHERE number = 6",
        "UPDATE intents SET keys = cast(x'ff22' AS TEXT) WHERE number = 6",
        "UPDATE intents SET model = cast(x'ff22' AS TEXT) WHERE number = 6",
        "UPDATE intents SET reserved = 1 WHERE number = 6",
        "UPDATE intents SET at = 'then' WHERE number = 6",
        "UPDATE intents SET size = size + 1 WHERE number = 6",
        "UPDATE receipts SET body = zeroblob(length(body)) WHERE intent_number = 6",
        "UPDATE receipts SET body = x'28b52ffd' WHERE intent_number = 6",
        "UPDATE receipts SET size = 3 WHERE intent_number = 6",
        "UPDATE receipts SET status = 500 WHERE intent_number = 6",
        "UPDATE receipts SET headers = '{}' WHERE intent_number = 6",
        "UPDATE receipts SET sha256 = replace(sha256, substr(sha256, 1, 1), 'x') WHERE intent_number = 6",
    ],
)
def test_any_damaged_column_is_named_and_never_raises(
    store: ReceiptStore, folder: Path, ids: list[str], query: str
) -> None:
    change(folder, query)
    found = list(store.purchases())
    assert [one.number for one in found if one.corrupt] == [6]
    assert found[5].receipt is None
    assert found[5].intent.id == ids[5]
    assert store.verify().corrupt == (ids[5],)
    kept = [line["intent"] for line in store.export() if line["kind"] == "receipt"]
    assert kept == [identity for identity in ids if identity != ids[5]]
    assert [line["intent"] for line in store.export() if line["kind"] == "corrupt"] == [ids[5]]


def test_a_damaged_ending_is_named_and_not_believed(store: ReceiptStore, folder: Path, ids: list[str]) -> None:
    change(folder, "UPDATE endings SET kind = 'doubt'")
    assert all(one.ending is None for one in store.purchases())
    assert store.verify().corrupt == (ids[-1],)


def test_a_damaged_blob_names_each_intent_that_needs_it(store: ReceiptStore, folder: Path, ids: list[str]) -> None:
    change(folder, "UPDATE blobs SET body = zeroblob(9) WHERE rowid = 1")
    assert store.verify().corrupt == tuple(ids)
    assert all(one.corrupt for one in store.purchases())


@pytest.mark.parametrize(
    "query", ["DELETE FROM intents WHERE number = 6", "DELETE FROM receipts WHERE intent_number = 6"]
)
def test_a_row_that_vanished_is_noticed(store: ReceiptStore, folder: Path, ids: list[str], query: str) -> None:
    change(folder, query)
    assert store.verify().corrupt in ((ids[5],), (only_file(folder).name,))


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.torture)])
def test_every_flipped_byte_of_live_data_is_found(
    store: ReceiptStore, folder: Path, ids: list[str], count: int
) -> None:
    """(fault 28)"""
    path = only_file(folder)
    whole = path.read_bytes()
    sound = [(one.intent, one.receipt, one.ending) for one in store.purchases()]
    chance = random.Random(4)
    found = 0
    for _ in range(count):
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            named = bool(store.verify().corrupt)
        except (StoreNewer, Drift, UsageError):
            named = True
        found += named
        if not named:  # then it lies where nothing is: everything reads as before
            assert [(one.intent, one.receipt, one.ending) for one in store.purchases()] == sound
        for companion in folder.glob("*.sqlite-*"):
            companion.unlink()
    assert found > count // 15, "most of so small a file is unused"
    if count > 1_000:
        print(f"{found} of {count} flips lay in live data, and all of them were found")


@pytest.mark.parametrize("content", [b"this is not a database" * 300, b"SQLite format 3\0" + bytes(5000)])
def test_a_file_that_is_no_database_is_named_with_the_way_out(
    store: ReceiptStore, folder: Path, ids: list[str], content: bytes
) -> None:
    stranger = folder / "w20200101T000000-abcdef.sqlite"
    stranger.write_bytes(content)
    for ask in (lambda: list(store.purchases()), lambda: store.of_calls(["c1"]), lambda: list(store.export())):
        with pytest.raises(Corrupt, match=r"w20200101T000000-abcdef.*(?s:.*)seedbed receipts verify"):
            ask()
    verified = store.verify()
    assert verified.corrupt == (stranger.name,)
    assert verified.receipts == 20


def test_a_truncated_file_is_named(store: ReceiptStore, folder: Path, ids: list[str]) -> None:
    path = only_file(folder)
    path.write_bytes(path.read_bytes()[: 4096 * 3])
    with pytest.raises(Corrupt, match=path.name):
        list(store.purchases())
    assert path.name in store.verify().corrupt


def test_a_database_of_another_kind_is_not_taken_for_receipts(store: ReceiptStore, folder: Path) -> None:
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "other.sqlite")) as connection:
        connection.execute("CREATE TABLE things (name)")
    with pytest.raises(Corrupt, match=r"other\.sqlite is not a receipts file"):
        list(store.purchases())
    assert store.verify().corrupt == ("other.sqlite",)


@pytest.mark.parametrize("made", [lambda path: path.touch(), lambda path: sqlite3.connect(path).close()])
def test_a_file_whose_writer_was_killed_at_birth_is_empty(
    store: ReceiptStore, folder: Path, ids: list[str], made: Callable[[Path], None]
) -> None:
    made(folder / "w20200101T000000-abcdef.sqlite")
    assert len(list(store.purchases())) == 20
    assert store.verify().corrupt == ()
    assert store.summary().intents == 20
    assert len(list(store.export())) == 41


def test_a_newer_store_is_refused_before_anything_is_read(store: ReceiptStore, folder: Path, ids: list[str]) -> None:
    change_version(only_file(folder), VERSION + 1)
    for ask in (lambda: next(store.purchases()), store.verify, store.summary, lambda: store.get(ids[0])):
        with pytest.raises(StoreNewer, match="pip install --upgrade seedbed"):
            ask()


def change_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")


def test_migration_does_all_steps_or_none(tmp_path: Path) -> None:
    """(fault 62)"""

    def add_table(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE new (a)")

    def add_column(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE old ADD COLUMN b DEFAULT 7")

    def fail(connection: sqlite3.Connection) -> None:
        raise ZeroDivisionError

    path = tmp_path / "fake.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE old (a)")
        connection.execute("INSERT INTO old VALUES (1)")
        with pytest.raises(ZeroDivisionError):
            migrate(connection, [add_table, add_column, fail])
        assert version_of(connection) == 0
        assert [name for (name,) in connection.execute("SELECT name FROM sqlite_master")] == ["old"]
        assert migrate(connection, [add_table, add_column]) == 2
        assert version_of(connection) == 2
        assert connection.execute("SELECT a, b FROM old").fetchall() == [(1, 7)]
        assert migrate(connection, [fail, fail, lambda other: None]) == 3, "steps done are not done again"
        with pytest.raises(StoreNewer):
            migrate(connection, [add_table])


# --------------------------------------------------------------------------------- where it may lie


def test_a_local_folder_may_hold_receipts(tmp_path: Path) -> None:
    check_place(tmp_path / "new" / "receipts")
    assert list((tmp_path / "new" / "receipts").iterdir()) == []


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "smb3", "9p", "fuse.sshfs"])
def test_a_network_disk_may_not(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "a share"
    place.mkdir()
    mounts = tmp_path / "mounts"
    mounted = str(place).replace(" ", "\\040")
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nhost:/x {mounted} {kind} rw 0 0\nproc {tmp_path}/other proc rw 0 0\n")
    with pytest.raises(UsageError, match=rf"network file system \({kind}\)"):
        check_place(place / "receipts", mounts=mounts)
    check_place(tmp_path / "beside", mounts=mounts)


READER = """
import os, sys
from pathlib import Path
from seedbed.errors import UsageError
from seedbed.ports.receipts.store import open_store
os.setgid(65534)
os.setuid(65534)
try:
    print(len(list(open_store(Path(sys.argv[1]), clock=lambda: 0).purchases())))
except UsageError as error:
    print(error.hint)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_reader_without_write_permission_reads_finished_files_and_is_told_of_others() -> None:
    with TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)
        store, listener = sqlite_store(folder), Listener()

        def read() -> str:
            command = [sys.executable, "-c", READER, str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()

        for number in (1, 2):
            writer = store.writer(listener)
            writer.intend(intent_of(writer.next_id()), number)
            listener.stored(number)
            assert read() == str(number), "the companions of a live file can be read"
            path = folder / f"{writer.name}.sqlite"
            left = {name: (folder / name).read_bytes() for name in (path.name, f"{path.name}-wal")}
            writer.close()
            assert read() == str(number), "a finished file needs none"
        for name, content in left.items():
            (folder / name).write_bytes(content)
        assert read() == f"Run: chmod u+w {folder}"
        assert len(list(store.purchases())) == 2
