"""The n-th operation of the disk fails, for each n; the same command given again ends as if undisturbed."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.disk.faulty import CHANGES, CUT, KILL, NAME, READ, SHORT, SYNC, WRITE, Fault, built
from tests.engine.crashing import IN_FLIGHT, Nursery, act, counted
from tests.engine.projects import Table, waiting_until
from tests.engine.proving import Rows, Witness, everything, new_table, received, undisturbed

from seedbed.simulator import Simulator

ROWS = 6
SAVED = (0, 75)
FOR_EACH_KIND = [
    "plain",
    *(pytest.param(kind, marks=pytest.mark.torture) for kind in ("file", "makes", "group", "ask")),
]
HERE_AND_THERE = 97
"""In the quick form each so manieth operation fails, which one first depends on the test."""


class Trial:
    """A project whose stores are there and a round begun; copies of it are run on a disk that fails."""

    def __init__(self, root: Path, sim: Simulator, nursery: Nursery, every: bool) -> None:
        self.root = root
        self.sim = sim
        self.nursery = nursery
        self.every = every

    def __call__(
        self, kind: str, kinds: int, error: int, *,
        lasting: bool = False, codes: tuple[int, ...] = SAVED, first: int = 1, step: int = HERE_AND_THERE,
    ) -> None:  # fmt: skip
        wanted = undisturbed(self.root / "undisturbed", self.sim, kind, ROWS)
        begun = new_table(self.root / "begun", self.sim, kind, ROWS)
        act(begun, kind, "export", 2)
        number = 1 if self.every else first
        count = 0
        while self.one(begun.root, kind, Fault(kinds, number, error, lasting), codes, wanted):
            number += 1 if self.every else step
            count += 1
        if self.every:
            print(f"{kind}: {count} operations failed, one in each run", flush=True)
        assert count > 1

    def one(self, begun: Path, kind: str, fault: Fault, codes: tuple[int, ...], wanted: Rows) -> bool:
        """One run with a fault, and one to its end; whether the fault struck."""
        self.sim.reset()
        table = Table.there(self.root / str(fault.at), self.sim.url)
        shutil.copytree(begun, table.root)
        witness = Witness(table, kind, self.sim, self.nursery)
        code = self.nursery.act(table, kind, "run", fault=fault)
        waiting_until(lambda: self.sim.summary()["in_flight"] == 0)
        passed = fault.at if code == -9 else int(counted(table.root).read_text("utf-8"))
        assert code in codes, f"operation {fault.at} of {passed}: {code} {witness.bug()}"
        witness.go_on("run", pages=False)
        assert everything(table, kind) == wanted, f"operation {fault.at}"
        witness.uploaded_once()
        assert self.sim.summary()["complete"] - sum(received(table, kind).values()) <= IN_FLIGHT
        shutil.rmtree(table.root)
        return passed >= fault.at


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    found = Nursery(built(tmp_path_factory.mktemp("library")))
    yield found
    found.close()


@pytest.fixture(params=["here and there", pytest.param("every", marks=pytest.mark.torture)])
def trial(tmp_path: Path, sim: Simulator, nursery: Nursery, request: pytest.FixtureRequest) -> Trial:
    return Trial(tmp_path, sim, nursery, request.param == "every")


@pytest.mark.parametrize("kind", FOR_EACH_KIND)
def test_a_kill_at_any_change_of_the_disk_loses_nothing(trial: Trial, kind: str) -> None:
    """(fault 5)"""
    trial(kind, CHANGES, KILL, codes=(0, -9), first=37)


@pytest.mark.parametrize("kind", FOR_EACH_KIND)
def test_a_sync_that_fails_once_is_not_taken_for_one_that_worked(trial: Trial, kind: str) -> None:
    """(fault 18)"""
    trial(kind, SYNC, errno.EIO, first=3, step=17)


@pytest.mark.parametrize("kind", FOR_EACH_KIND)
def test_a_write_that_is_cut_short_leaves_no_torn_record(trial: Trial, kind: str) -> None:
    """(fault 19)"""
    trial(kind, WRITE, SHORT, first=11)


@pytest.mark.parametrize("kind", FOR_EACH_KIND)
def test_a_disk_that_is_full_for_one_write_loses_nothing(trial: Trial, kind: str) -> None:
    """(fault 20)"""
    trial(kind, WRITE | CUT, errno.ENOSPC, first=23)


@pytest.mark.parametrize("kind", FOR_EACH_KIND)
def test_a_disk_that_is_full_from_some_write_on_pauses_the_run(trial: Trial, kind: str) -> None:
    """(fault 20) (fault 22)"""
    trial(kind, WRITE | CUT, errno.ENOSPC, lasting=True, first=41)


@pytest.mark.parametrize("kind", FOR_EACH_KIND)
def test_a_quota_that_is_used_up_is_a_full_disk(trial: Trial, kind: str) -> None:
    """(fault 23)"""
    trial(kind, CHANGES, errno.EDQUOT, lasting=True, first=53)


@pytest.mark.parametrize("kind", FOR_EACH_KIND)
def test_a_disk_without_room_for_another_name_pauses_the_run(trial: Trial, kind: str) -> None:
    """(fault 24)"""
    trial(kind, NAME, errno.ENOSPC, lasting=True, first=2, step=9)


@pytest.mark.parametrize("kind", FOR_EACH_KIND)
def test_a_disk_that_may_not_be_written_any_more_stops_the_run(trial: Trial, kind: str) -> None:
    """(fault 26)"""
    trial(kind, CHANGES, errno.EROFS, lasting=True, codes=(*SAVED, 2), first=71)


@pytest.mark.parametrize("kind", FOR_EACH_KIND)
def test_a_page_that_cannot_be_read_is_told_and_nothing_is_bought_again(trial: Trial, kind: str) -> None:
    """(fault 27)"""
    trial(kind, READ, errno.EIO, codes=(*SAVED, 2, 8), first=5, step=19)
