"""When a record counts as stored, and what a writer does with its file and its disk."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seedbed.errors import Corrupt, DiskFull, Pause, UsageError
from seedbed.ports.receipts import ReceiptStore
from seedbed.ports.receipts.ballast import SIZE, Ballast
from seedbed.ports.receipts.schema import open_writing
from seedbed.ports.receipts.store import open_store
from seedbed.ports.receipts.writer import SqliteWriter

from .conftest import sqlite_store
from .samples import Listener, ending_of, intent_of, receipt_of

NAME = "w20261120T080000-abcdef"


def opened_by_hand(
    folder: Path,
    listener: Callable[[list[Any], BaseException | None], None],
    *,
    ballast: Ballast | None = None,
    connect: Callable[[Path], sqlite3.Connection] = open_writing,
) -> SqliteWriter:
    folder.mkdir(parents=True, exist_ok=True)
    return SqliteWriter(folder, NAME, listener, ballast=ballast or Ballast(folder), connect=connect)


def test_tokens_come_once_and_only_when_another_connection_can_read_the_record(folder: Path) -> None:
    unseen: list[Any] = []
    listener = Listener()

    def on_commit(tokens: list[Any], error: BaseException | None) -> None:
        path = folder / f"{NAME}.sqlite"
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as other:
            stored = {number for (number,) in other.execute("SELECT number FROM intents")}
        unseen.extend(token for token in tokens if token not in stored)
        listener(tokens, error)

    writer = opened_by_hand(folder, on_commit)

    def append(count: int) -> None:
        for _ in range(count):
            identity = writer.next_id()
            writer.intend(intent_of(identity), int(identity.rpartition("-")[2]))

    threads = [threading.Thread(target=append, args=(150,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    listener.stored(*range(1, 601))
    writer.close()
    assert unseen == []
    assert sorted(token for tokens in listener.commits for token in tokens) == list(range(1, 601))


def test_what_waits_while_a_commit_runs_is_stored_in_one(folder: Path) -> None:
    listener, held, released = Listener(), threading.Event(), threading.Event()

    def on_commit(tokens: list[Any], error: BaseException | None) -> None:
        listener(tokens, error)
        held.set()
        assert released.wait(20)

    writer = opened_by_hand(folder, on_commit)
    writer.intend(intent_of(writer.next_id()), 0)
    assert held.wait(20)
    for number in range(1, 100):
        writer.intend(intent_of(writer.next_id()), number)
    released.set()
    listener.stored(*range(100))
    writer.close()
    assert listener.commits == [[0], list(range(1, 100))]


def test_a_lone_record_is_stored_without_waiting_for_others(folder: Path) -> None:
    listener = Listener()
    writer = opened_by_hand(folder, listener)
    for number in range(5):
        writer.intend(intent_of(writer.next_id()), number)
        listener.stored(number)
    writer.close()
    assert listener.commits == [[0], [1], [2], [3], [4]]


def test_closing_stores_what_waits(folder: Path) -> None:
    listener = Listener()
    writer = opened_by_hand(folder, listener)
    for number in range(300):
        writer.intend(intent_of(writer.next_id()), number)
    writer.close()
    writer.close()
    assert len(listener.told) == 300
    with pytest.raises(UsageError, match="closed"):
        writer.intend(intent_of(writer.next_id()), 300)


def test_a_finished_file_is_one_plain_file(store: ReceiptStore, folder: Path) -> None:
    listener = Listener()
    writer = store.writer(listener)
    writer.intend(intent_of(writer.next_id()), 1)
    writer.close()
    assert sorted(path.name for path in folder.iterdir()) == ["ballast", f"{writer.name}.sqlite"]
    assert len(list(store.purchases())) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["ballast", f"{writer.name}.sqlite"]


def test_a_writer_that_wrote_nothing_leaves_nothing(store: ReceiptStore, folder: Path) -> None:
    writer = store.writer(Listener())
    assert list(store.purchases()) == []
    writer.close()
    assert [path.name for path in folder.iterdir()] == ["ballast"]


def test_names_sort_by_time_and_a_taken_name_is_left_alone(folder: Path) -> None:
    draws = iter([b"\x01\x02\x03", b"\x01\x02\x03", b"\x0a\x0b\x0c"])

    def random(count: int) -> bytes:
        return next(draws) if count == 3 else os.urandom(count)

    store = open_store(folder, clock=lambda: 1_795_161_600_000, random=random)
    first, second = store.writer(Listener()), store.writer(Listener())
    assert (first.name, second.name) == ("w20261120T080000-010203", "w20261120T080000-0a0b0c")
    first.close()
    second.close()


def test_a_fault_of_the_listener_stops_nobody_and_is_raised_at_the_close(folder: Path) -> None:
    listener = Listener()

    def on_commit(tokens: list[Any], error: BaseException | None) -> None:
        listener(tokens, error)
        if tokens == [1]:
            raise ZeroDivisionError("the listener's own")

    writer = opened_by_hand(folder, on_commit)
    for number in (1, 2):
        writer.intend(intent_of(writer.next_id()), number)
        listener.stored(number)
    with pytest.raises(ZeroDivisionError):
        writer.close()
    assert len(list(sqlite_store(folder).purchases())) == 2


def test_a_long_log_is_copied_into_the_file_while_the_writer_works(folder: Path) -> None:
    listener = Listener()
    writer = opened_by_hand(folder, listener)
    for number in range(300):
        identity = writer.next_id()
        writer.intend(intent_of(identity), ("intent", number))
        writer.receive(receipt_of(identity, os.urandom(200_000)), number)
        listener.stored(number)
    assert (folder / f"{NAME}.sqlite-wal").stat().st_size < 32 << 20
    assert (folder / f"{NAME}.sqlite").stat().st_size > 30 << 20
    writer.close()
    assert sqlite_store(folder).verify().corrupt == ()


def test_a_file_that_is_removed_under_its_writer_stops_it(folder: Path) -> None:
    """(fault 32)"""
    listener = Listener()
    writer = opened_by_hand(folder, listener)
    writer.intend(intent_of(writer.next_id()), 1)
    listener.stored(1)
    for path in folder.glob("*.sqlite*"):
        path.unlink()
    writer.intend(intent_of(writer.next_id()), 2)
    writer.intend(intent_of(writer.next_id()), 3)
    assert all(isinstance(error, Corrupt) for error in listener.wait(2, 3))
    writer.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_writer_refuses_to_work_in_a_forked_process(folder: Path) -> None:
    listener = Listener()
    writer = opened_by_hand(folder, listener)
    child = os.fork()
    if child == 0:
        try:
            writer.close()
            writer.intend(intent_of(f"{NAME}-1"), 1)
        except UsageError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    writer.intend(intent_of(writer.next_id()), 1)
    listener.stored(1)
    writer.close()


def test_a_forgotten_writer_stores_what_waits_when_its_process_ends(folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from tests.ports.receipts.conftest import sqlite_store\n"
        "from tests.ports.receipts.samples import intent_of\n"
        "writer = sqlite_store(Path(sys.argv[1])).writer(lambda tokens, error: None)\n"
        "for n in range(50): writer.intend(intent_of(writer.next_id()), n)\n"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True, cwd=root, timeout=60)
    assert len(list(sqlite_store(folder).purchases())) == 50
    assert not list(folder.glob("*-wal"))


# ------------------------------------------------------------------------------------ a bad disk


@dataclass
class Disk:
    """Connections that fail to commit: ``fails`` says when, ``lands`` whether the data got there."""

    fails: Callable[[], bool]
    code: int
    lands: bool = False
    opened: int = 0

    def connect(self, path: Path) -> sqlite3.Connection:
        self.opened += 1
        disk = self

        class Failing(sqlite3.Connection):
            def execute(self, query: str, *values: Any) -> sqlite3.Cursor:
                if query == "COMMIT" and disk.fails():
                    if disk.lands:
                        super().execute(query)
                    error = sqlite3.OperationalError("disk trouble")
                    error.sqlite_errorcode = disk.code
                    raise error
                return super().execute(query, *values)

        with closing(open_writing(path)):
            pass
        connection = sqlite3.connect(path, isolation_level=None, factory=Failing)
        connection.execute("PRAGMA journal_mode = WAL")
        return connection


def times(count: int) -> Callable[[], bool]:
    left = iter([True] * count)
    return lambda: next(left, False)


def test_on_a_full_disk_the_ballast_is_given_up_and_the_batch_stored_once(folder: Path) -> None:
    """(fault 21)"""
    folder.mkdir(parents=True)
    ballast = Ballast(folder)
    ballast.prepare(os.urandom)
    disk = Disk(ballast.path.exists, sqlite3.SQLITE_FULL)
    listener = Listener()
    writer = opened_by_hand(folder, listener, ballast=ballast, connect=disk.connect)
    identity = writer.next_id()
    writer.intend(intent_of(identity), 1)
    listener.stored(1)
    assert writer.low_on_space
    assert not ballast.path.exists()
    writer.receive(receipt_of(identity), 2)
    listener.stored(2)
    writer.close()
    assert disk.opened == 2
    (one,) = sqlite_store(folder).purchases()
    assert one.receipt == receipt_of(identity)


def test_a_disk_that_stays_full_is_told_and_room_made_later_is_used(folder: Path) -> None:
    full = [True]
    disk = Disk(lambda: full[0], sqlite3.SQLITE_FULL)
    listener = Listener()
    writer = opened_by_hand(folder, listener, connect=disk.connect)
    writer.intend(intent_of(writer.next_id()), 1)
    (error,) = listener.wait(1)
    assert isinstance(error, DiskFull)
    assert writer.low_on_space
    full[0] = False
    writer.intend(intent_of(writer.next_id()), 2)
    listener.stored(2)
    writer.close()
    assert [one.number for one in sqlite_store(folder).purchases()] == [2]


@pytest.mark.parametrize("lands", [False, True], ids=["and the data is lost", "and the data is there"])
def test_after_a_failed_sync_the_batch_is_replayed_on_a_new_connection(folder: Path, lands: bool) -> None:
    disk = Disk(times(1), sqlite3.SQLITE_IOERR_FSYNC, lands=lands)
    listener = Listener()
    writer = opened_by_hand(folder, listener, connect=disk.connect)
    ids = [writer.next_id() for _ in range(3)]
    for identity in ids:
        writer.intend(intent_of(identity), identity)
    listener.stored(*ids)
    writer.close()
    assert disk.opened == 2
    assert not writer.low_on_space
    assert [one.intent.id for one in sqlite_store(folder).purchases()] == ids
    assert sqlite_store(folder).verify().corrupt == ()


def test_a_second_failed_sync_ends_the_writer(folder: Path) -> None:
    disk = Disk(times(2), sqlite3.SQLITE_IOERR_FSYNC)
    listener = Listener()
    writer = opened_by_hand(folder, listener, connect=disk.connect)
    writer.intend(intent_of(writer.next_id()), 1)
    (first,) = listener.wait(1)
    writer.intend(intent_of(writer.next_id()), 2)
    (second,) = listener.wait(2)
    assert isinstance(first, Pause)
    assert second is first
    writer.close()


LIMITED = """
import os, resource, sys
from pathlib import Path
from seedbed.ports.receipts.ballast import Ballast
from seedbed.ports.receipts.writer import SqliteWriter
from seedbed.ports.receipts.store import open_store
from tests.ports.receipts.samples import Listener, intent_of, receipt_of

class Room(Ballast):
    def release(self):
        if sys.argv[2] == "frees":
            resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, 64 << 20))
        return super().release()

folder = Path(sys.argv[1]); folder.mkdir(parents=True)
ballast = Room(folder); ballast.prepare(os.urandom)
listener = Listener()
writer = SqliteWriter(folder, "w20261120T080000-abcdef", listener, ballast=ballast)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_003, 64 << 20))
told = []
for number in range(40):
    identity = writer.next_id()
    writer.intend(intent_of(identity), (number, "intent"))
    writer.receive(receipt_of(identity, os.urandom(60_000)), number)
    (error,) = listener.wait(number)
    told.append(type(error).__name__ if error else "stored")
    if error is None:
        print(identity)
print(*sorted(set(told)), writer.low_on_space, ballast.path.exists())
writer.close()
"""


@pytest.mark.parametrize(
    ("room", "end"), [("frees", "stored True False"), ("frees nothing", "DiskFull stored True False")]
)
def test_at_a_limit_of_file_size_nothing_acknowledged_is_lost(folder: Path, room: str, end: str) -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(folder), room], capture_output=True, text=True, cwd=root, timeout=120
    )
    assert done.returncode == 0, done.stderr
    *acknowledged, last = done.stdout.split("\n")[:-1]
    assert last == end
    store = sqlite_store(folder)
    assert set(acknowledged) <= {one.intent.id for one in store.purchases() if one.receipt}
    assert store.verify().corrupt == ()


FULL = """
import os, sys
from pathlib import Path
from seedbed.ports.receipts.store import open_store
from tests.ports.receipts.samples import Listener, intent_of, receipt_of

folder = Path(sys.argv[1])
store, listener = open_store(folder, clock=lambda: 1_795_161_600_000), Listener()
writer = store.writer(listener)
with (folder / "filler").open("wb", buffering=0) as filler:
    for size in (1 << 16, 1 << 12):
        try:
            while True:
                filler.write(bytes(size))
        except OSError:
            pass
stored = first_low = 0
for number in range(400):
    identity = writer.next_id()
    writer.intend(intent_of(identity), (number, "intent"))
    writer.receive(receipt_of(identity, os.urandom(40_000)), number)
    (error,) = listener.wait(number)
    if error is not None:
        break
    stored += 1
    first_low = first_low or (writer.low_on_space and stored)
verified_before = len([one for one in store.purchases() if one.receipt])
(folder / "filler").unlink()
writer.close()
verified = store.verify()
print(type(error).__name__, writer.low_on_space, stored >= 50, verified_before >= stored, verified.receipts >= stored,
      verified.corrupt)
"""


def test_a_disk_that_is_really_full_takes_what_is_in_flight_and_then_says_so(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    place = tmp_path / "small"
    place.mkdir()
    shell = 'mount -t tmpfs -o size=24m tmpfs "$1" || exit 77; exec "$0" -c "$2" "$1"'
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", shell, sys.executable, str(place), FULL],
        capture_output=True, text=True, cwd=root, timeout=120,
    )  # fmt: skip
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no mount namespaces here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "DiskFull True True True True ()"


def test_the_ballast_is_whole_and_really_written(store: ReceiptStore, folder: Path) -> None:
    store.writer(Listener()).close()
    stat = (folder / "ballast").stat()
    assert stat.st_size == SIZE
    assert stat.st_blocks * 512 >= SIZE
    store.writer(Listener()).close()
    assert (folder / "ballast").stat().st_mtime_ns == stat.st_mtime_ns


def test_an_ending_nobody_waits_for_is_stored_and_told_to_nobody(folder: Path) -> None:
    listener = Listener()
    writer = opened_by_hand(folder, listener)
    identity = writer.next_id()
    writer.intend(intent_of(identity), 1)
    listener.stored(1)
    writer.end(ending_of(identity))
    writer.close()
    assert listener.commits == [[1]]
    (one,) = sqlite_store(folder).purchases()
    assert one.ending == ending_of(identity)
