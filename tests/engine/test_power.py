"""The power goes away during a whole run: whatever is left of the disk, the same command ends as if undisturbed."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
from tests.disk.faulty import built
from tests.disk.power import Disk, lay
from tests.engine.crashing import Nursery, act
from tests.engine.projects import Table
from tests.engine.proving import Witness, everything, new_table, received, undisturbed

from seedbed.simulator import Simulator

ROWS = 8


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    found = Nursery(built(tmp_path_factory.mktemp("library")))
    yield found
    found.close()


def replay(root: Path, sim: Simulator, nursery: Nursery, kind: str, count: int) -> None:
    wanted = undisturbed(root / "undisturbed", sim, kind, ROWS)
    sim.reset()
    table = new_table(root / "recorded", sim, kind, ROWS)
    disk = Disk(table.root)
    log = root / "log"
    assert nursery.act(table, kind, "run", log=str(log)) == 0
    chance = random.Random(len(kind))
    steps = sum(1 for _ in deepcopy(disk).follow(log))
    cuts = sorted(chance.randrange(steps) for _ in range(count))
    for number, _ in enumerate(disk.follow(log)):
        while cuts and cuts[0] == number:
            cuts.pop(0)
            found = Table.there(root / "found", sim.url)
            lay(disk.found(chance), found.root)
            goes_on(Witness(found, kind, sim, nursery), wanted, f"{kind}: operation {number}")
            shutil.rmtree(found.root)


def goes_on(witness: Witness, wanted: object, where: str) -> None:
    """What the disk has of results is whole, and of answers is not asked for again."""
    table, kind = witness.table, witness.kind
    for path in table.root.glob("questions.filled.csv"):
        assert path.read_bytes().count(b"\n") == ROWS + 1, where
    had = received(table, kind)
    witness.sim.reset()
    assert act(table, kind, "run").error is None, where
    witness.paid_once({}, had)
    witness.balanced(pages=False)
    assert everything(table, kind) == wanted, where


@pytest.mark.parametrize("kind", ["plain", "file", "makes"])
def test_a_power_cut_during_a_run_is_gone_on_from(tmp_path: Path, sim: Simulator, nursery: Nursery, kind: str) -> None:
    """(fault 15) (fault 16)"""
    replay(tmp_path, sim, nursery, kind, 8)


@pytest.mark.torture
@pytest.mark.parametrize("kind", ["plain", "file", "makes", "ask", "group"])
def test_many_power_cuts_during_a_run_are_gone_on_from(
    tmp_path: Path, sim: Simulator, nursery: Nursery, kind: str
) -> None:
    """(fault 15) (fault 16)"""
    replay(tmp_path, sim, nursery, kind, 400)
