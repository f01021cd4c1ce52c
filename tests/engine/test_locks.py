"""Locks: held by a real second process, named after it, and free when it is gone."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from seedbed.engine.projects.locks import Locks
from seedbed.errors import Locked
from seedbed.records import WHOLE, Part

SINCE = "2026-11-20T08:00:00Z"
STAGE = "q.summary"

HOLDER = """
import sys
from contextlib import ExitStack
from pathlib import Path
from seedbed.engine.projects.locks import Locks
from seedbed.records import Part

folder, what, name, part = sys.argv[1:]
locks = Locks(Path(folder), command="seedbed run " + name, now="2026-11-20T08:00:00Z")
with ExitStack() as held:
    if what == "generate":
        held.enter_context(locks.generating(name, Part.parse(part)))
    else:
        held.enter_context(locks.working(name) if what == "run" else locks.uploading(name))
    print("held", flush=True)
    sys.stdin.read()
print("free", flush=True)
"""

Hold = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "locks"


@pytest.fixture
def locks(folder: Path) -> Locks:
    return Locks(folder, command="seedbed generate", now=SINCE)


@pytest.fixture
def hold(folder: Path) -> Iterator[Hold]:
    """Another process that holds a lock until its input ends."""
    with ExitStack() as ending:

        def start(what: str = "generate", name: str = STAGE, part: str = "1/1") -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", HOLDER, str(folder), what, name, part],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            ending.callback(end, process)
            assert process.stdout is not None and process.stdout.readline() == "held\n"
            return process

        yield start


def end(process: subprocess.Popen[str]) -> None:
    """Let a process go as it wants to."""
    process.communicate()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def refusal(attempt: Callable[[], object]) -> Locked:
    with pytest.raises(Locked) as caught:
        attempt()
    return caught.value


def generating(locks: Locks, part: Part = WHOLE, stage: str = STAGE) -> Callable[[], None]:
    """Take and let go of a part at once."""

    def attempt() -> None:
        with locks.generating(stage, part):
            pass

    return attempt


def uploading(locks: Locks, table: str = "questions") -> Callable[[], None]:
    def attempt() -> None:
        with locks.uploading(table):
            pass

    return attempt


@contextmanager
def holding(locks: Locks, *parts: str) -> Iterator[None]:
    with ExitStack() as held:
        for part in parts:
            held.enter_context(locks.generating(STAGE, Part.parse(part)))
        yield


# ----------------------------------------------------------------------------- a second process


def test_what_another_process_holds_is_refused_with_its_pid_and_command(locks: Locks, hold: Hold) -> None:
    process = hold()
    why = refusal(generating(locks)).why
    assert why == f"pid {process.pid} on {socket.gethostname()}: seedbed run {STAGE}, since {SINCE}"


def test_what_another_process_holds_ends_with_the_exit_code_for_locks(locks: Locks, hold: Hold) -> None:
    hold()
    assert refusal(generating(locks)).exit_code == 7


def test_what_another_process_let_go_is_free(locks: Locks, hold: Hold) -> None:
    end(hold())
    generating(locks)()


def test_what_a_killed_process_held_is_free(locks: Locks, hold: Hold) -> None:
    """(fault 4)"""
    kill(hold())
    generating(locks)()


def test_a_killed_process_is_not_named_as_holding_anything(locks: Locks, hold: Hold) -> None:
    kill(hold())
    assert locks.held() == []


def test_after_a_kill_the_next_owner_is_named_and_not_the_dead_one(locks: Locks, hold: Hold) -> None:
    kill(hold())
    process = hold()
    assert f"pid {process.pid} " in refusal(generating(locks)).why


def test_a_killed_upload_is_free(locks: Locks, hold: Hold) -> None:
    kill(hold("upload", "questions"))
    uploading(locks)()


def test_an_upload_of_another_process_is_refused_with_its_pid(locks: Locks, hold: Hold) -> None:
    process = hold("upload", "questions")
    error = refusal(uploading(locks))
    assert error.what == "An upload into questions is taken by another run." and f"pid {process.pid} " in error.why


def test_another_part_of_the_same_split_is_allowed_beside_another_process(locks: Locks, hold: Hold) -> None:
    hold(part="1/3")
    generating(locks, Part(2, 3))()


def test_an_overlapping_split_of_another_process_is_refused_with_its_pid(locks: Locks, hold: Hold) -> None:
    process = hold(part="1/3")
    assert f"pid {process.pid} " in refusal(generating(locks, Part(1, 2))).why


def test_who_holds_what_is_told_over_processes(locks: Locks, hold: Hold) -> None:
    one, other = hold(part="1/2"), hold("upload", "questions")
    assert {(each["lock"], each["pid"]) for each in locks.held()} == {
        (f"generate--{STAGE}--1-of-2", one.pid),
        ("upload--questions", other.pid),
    }


# --------------------------------------------------------------------------------------- the rules


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ("1/1", "1/1"),
        ("1/3", "1/3"),
        ("1/3", "1/2"),
        ("1/3", "2/2"),
        ("1/3", "1/1"),
        ("1/1", "2/3"),
        ("2/4", "1/2"),
    ],
)
def test_splits_that_overlap_are_refused(locks: Locks, held: str, wanted: str) -> None:
    with holding(locks, held):
        refusal(generating(locks, Part.parse(wanted)))


def test_all_parts_of_one_split_can_be_held_at_once(locks: Locks) -> None:
    with holding(locks, "1/3", "2/3", "3/3"):
        assert len(locks.held()) == 3


@pytest.mark.parametrize("other", ["q.summaries", "q", "q.summary.en", "summary"])
def test_stages_of_other_names_do_not_meet(locks: Locks, other: str) -> None:
    with holding(locks, "1/1"):
        generating(locks, stage=other)()


def test_an_upload_does_not_meet_a_generate(locks: Locks) -> None:
    with holding(locks, "1/1"):
        uploading(locks, STAGE)()


def test_uploads_into_two_tables_do_not_meet(locks: Locks) -> None:
    with locks.uploading("questions"):
        uploading(locks, "answers")()


def test_a_lock_is_let_go_when_its_work_fails(locks: Locks) -> None:
    with pytest.raises(ZeroDivisionError), locks.generating(STAGE):
        1 / 0  # noqa: B018
    generating(locks)()


def test_a_refused_part_leaves_nothing_held(locks: Locks) -> None:
    with holding(locks, "1/3"):
        refusal(generating(locks, Part(1, 2)))
        assert [each["lock"] for each in locks.held()] == [f"generate--{STAGE}--1-of-3"]


def test_locks_name_their_owner(locks: Locks) -> None:
    with locks.uploading("questions"):
        assert locks.held() == [
            {
                "lock": "upload--questions",
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "command": "seedbed generate",
                "since": SINCE,
            }
        ]


@pytest.mark.parametrize("table", ["../../etc", "a/b", "a b", "*", "größe"])
def test_no_name_of_a_table_leads_out_of_the_folder(locks: Locks, folder: Path, table: str) -> None:
    with locks.uploading(table):
        assert {path.parent for path in folder.parent.rglob("*.lock")} == {folder}


@pytest.mark.parametrize(("part", "expected"), [("1/2", True), ("2/2", False), ("1/1", False)])
def test_a_part_that_is_being_generated_is_known(locks: Locks, part: str, expected: bool) -> None:
    with holding(locks, "1/2"):
        assert locks.is_generating(STAGE, part) is expected


def test_where_nothing_was_ever_locked_nothing_is_held(locks: Locks) -> None:
    assert (locks.held(), locks.is_generating(STAGE, "1/1")) == ([], False)


def test_looking_who_holds_a_lock_takes_it_from_nobody(locks: Locks, hold: Hold) -> None:
    hold()
    for _ in range(50):
        locks.held()
    refusal(generating(locks))


# ------------------------------------------------------------------------------------------- runs


def test_a_run_is_under_way_while_its_process_lives_and_is_not_afterwards(locks: Locks, hold: Hold) -> None:
    process = hold("run", "run1")
    assert locks.is_working("run1")
    kill(process)
    assert not locks.is_working("run1")


def test_a_run_that_ended_leaves_no_lock_behind(locks: Locks, folder: Path) -> None:
    with locks.working("run1"):
        assert locks.is_working("run1")
    assert not locks.is_working("run1")
    assert list(folder.iterdir()) == []


def test_a_killed_run_leaves_no_lock_once_it_was_looked_at(locks: Locks, hold: Hold, folder: Path) -> None:
    kill(hold("run", "run1"))
    locks.is_working("run1")
    assert list(folder.iterdir()) == []


def test_two_who_look_at_once_do_not_take_a_killed_process_for_the_owner(
    locks: Locks, hold: Hold, folder: Path
) -> None:
    kill(hold())
    locks.held()
    with (folder / f"generate--{STAGE}--1-of-1.lock").open() as look:
        fcntl.flock(look, fcntl.LOCK_EX)
        assert locks.held() == []
