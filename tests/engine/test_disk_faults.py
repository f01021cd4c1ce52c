"""The n-th operation of the disk fails, for each n; the same command given again ends as if undisturbed."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.disk.faulty import CHANGES, CUT, KILL, NAME, READ, SHORT, SYNC, WRITE, Fault, built
from tests.engine.crashing import IN_FLIGHT, Nursery, act, counted
from tests.engine.proving import Witness, everything, new_table, received, undisturbed
from tests.engine.projects import Table, waiting_until

from seedbed.simulator import Simulator

ROWS = 6


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    found = Nursery(built(tmp_path_factory.mktemp("library")))
    yield found
    found.close()


@pytest.fixture
def begun(tmp_path: Path, sim: Simulator) -> Table:
    return new_table(tmp_path / "begun", sim, "plain", ROWS)


def loop(
    root: Path, sim: Simulator, nursery: Nursery, kind: str, kinds: int, error: int, *,
    step: int = 1, lasting: bool = False, codes: tuple[int, ...] = (0, 75), ready: bool = True,
) -> int:  # fmt: skip
    """How many operations were made to fail before a run ended untouched.

    ``ready``: the project has run before, so that its stores are there.
    """
    wanted = undisturbed(root / "undisturbed", sim, kind, ROWS)
    begun = new_table(root / "begun", sim, kind, ROWS)
    if ready:
        act(begun, kind, "run", 1)
    number = 1
    while True:
        sim.reset()
        table = Table.there(root / str(number), sim.url)
        shutil.copytree(begun.root, table.root)
        witness = Witness(table, kind, sim, nursery)
        code = nursery.act(table, kind, "run", fault=Fault(kinds, number, error, lasting))
        waiting_until(lambda: sim.summary()["in_flight"] == 0)
        if error != KILL:
            passed = int(counted(table.root).read_text("utf-8"))
            assert code in codes, f"operation {number} of {passed}: {code} {witness.bug()}"
        witness.go_on("run", pages=False)
        assert everything(table, kind) == wanted, f"operation {number}"
        witness.uploaded_once()
        assert sim.summary()["complete"] - sum(received(table, kind).values()) <= IN_FLIGHT
        shutil.rmtree(table.root)
        if code != -9 if error == KILL else passed < number:
            return number
        number += step


@pytest.mark.parametrize("case", [(WRITE,errno.ENOSPC,False),(WRITE,errno.ENOSPC,True),(SYNC,errno.EIO,False),(SYNC,errno.EIO,True),(WRITE,SHORT,False),(NAME,errno.ENOSPC,False),(CHANGES,errno.EROFS,True),(CHANGES,errno.EDQUOT,True),(CHANGES,KILL,False),(READ,errno.EIO,False)])
@pytest.mark.parametrize("kind", ["plain", "file","makes"])
def test_try(tmp_path: Path, sim: Simulator, nursery: Nursery, kind, case) -> None:
    print(kind, case, loop(tmp_path, sim, nursery, kind, case[0], case[1], lasting=case[2], step=23))
