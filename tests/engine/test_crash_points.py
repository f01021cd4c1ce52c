"""Each named crash point: a process is killed there, the command is given again, and nothing is lost or paid twice."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from tests.engine.crashing import Nursery
from tests.engine.proving import Rows, Witness, everything, new_table, requests, undisturbed

import seedbed
from seedbed.crashing import VARIABLE
from seedbed.simulator import Simulator

ROOT = Path(__file__).parents[2]
ROWS = 12
MODEL = ("plain", "ask", "makes", "file")


@dataclass(frozen=True)
class Way:
    """How a command comes by a point. ``prepared``: commands before, of which ``verb point`` is killed there."""

    verb: str = "run"
    kinds: tuple[str, ...] = MODEL
    hit: int = 1
    prepared: tuple[str, ...] = ()

    def place(self, name: str) -> str:
        return f"{name}:{self.hit}"


CELLS = ("plain", "file")
RUN = Way()
FIFTH = Way(hit=5)
BACK = Way("rollback", ("plain", "makes", "file"), prepared=("run",))
WAYS: dict[str, Way] = {
    "after a page of the worklist": RUN,
    "before a round opens": RUN,
    "after a round opens": RUN,
    "while a file of receipts is made": RUN,
    "before an intent": FIFTH,
    "before records commit": Way(hit=2),
    "after an intent": FIFTH,
    "after an answer began": FIFTH,
    "after a whole answer": FIFTH,
    "after a receipt": FIFTH,
    "before outcomes": RUN,
    "after outcomes": RUN,
    "while settling first": Way(kinds=("plain", "makes", "file"), prepared=("run after a receipt:5",)),
    "while bought calls are replayed": Way(kinds=("ask",), prepared=("run after a receipt:5",)),
    "before a round closes": RUN,
    "after a release opens": RUN,
    "before cells commit": Way(kinds=CELLS),
    "before rows commit": Way(kinds=("makes",)),
    "after cells, before their note": Way(kinds=CELLS),
    "after rows, before their note": Way(kinds=("makes",)),
    "before a release closes": RUN,
    "after a release closes": RUN,
    "before a file is staged": Way(kinds=("file",)),
    "before a file takes its name": Way(kinds=("file",)),
    "after a file takes its name": Way(kinds=("file",)),
    "before what was undone commits": BACK,
    "after what was undone, before its note": BACK,
    "before a release ends": BACK,
    "before the log page": RUN,
    "after the log page": RUN,
}
ELSEWHERE: dict[str, str] = {
    "after a lease": "tests/engine/test_money.py",
    "after a reckoning": "tests/engine/test_money.py",
    "after adopted receipts": "tests/engine/test_adopting.py",
    "between adopted receipts and outcomes": "tests/engine/test_adopting.py",
    "after a pilot was drawn": "tests/cli/test_pilots_killed.py",
    "before a decision": "tests/cli/test_pilots_killed.py",
    "after a decision": "tests/cli/test_pilots_killed.py",
    "after an item was taken back, before its note": "tests/cli/test_pilots_killed.py",
    "before a file of receipts takes its name": "tests/engine/test_keeping_kills.py",
    "after a file of receipts takes its name": "tests/engine/test_keeping_kills.py",
    "while files of receipts are removed": "tests/engine/test_keeping_kills.py",
    "before receipts are redacted": "tests/engine/test_keeping_kills.py",
    "before a redaction commits": "tests/engine/test_keeping_kills.py",
    "before a redacted file is packed": "tests/engine/test_keeping_kills.py",
    "after receipts are redacted": "tests/engine/test_keeping_kills.py",
    "before backups are redacted": "tests/engine/test_keeping_kills.py",
    "before an archive takes its name": "tests/engine/test_keeping_kills.py",
    "after an archive takes its name": "tests/engine/test_keeping_kills.py",
    "before what was archived is removed": "tests/engine/test_keeping_kills.py",
}
"""Points of commands with another story than run and rollback, and the file that kills a process there."""


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    found = Nursery()
    yield found
    found.close()


@pytest.fixture(scope="module")
def ends() -> dict[str, Rows]:
    """The records as an undisturbed run leaves them, by kind."""
    return {}


def story(root: Path, sim: Simulator, nursery: Nursery, ends: dict[str, Rows], kind: str, *kills: str) -> bool:
    """Killed at each of the points, one after the other; then the commands are given to their end.

    A second point is come by at the first time, if the first one has left anything to do.
    """
    if kind not in ends:
        ends[kind] = undisturbed(root / "undisturbed", sim, kind, ROWS)
    sim.reset()
    table = new_table(root / "killed", sim, kind, ROWS)
    witness = Witness(table, kind, sim, nursery)
    first = kills[0]
    for command in WAYS[first].prepared:
        verb, _, point = command.partition(" ")
        if point:
            witness.kill(verb, point)
        else:
            witness.go_on(verb)
    witness.kill(WAYS[first].verb, WAYS[first].place(first))
    reached = [witness.kill(WAYS[name].verb, name, must=False) for name in kills[1:]]

    witness.go_on("run")

    witness.in_order(kills=len(kills) + len(WAYS[first].prepared))
    taken_back = any(WAYS[name].verb == "rollback" for name in kills)
    if not taken_back:
        assert everything(table, kind) == ends[kind]
        witness.uploaded_once()
    asked = requests(sim)
    if not emptied(everything(table, kind), ends[kind]):  # a second kill may have met no release to take back
        witness.go_on("rollback")
    assert emptied(everything(table, kind), ends[kind]), "the rollback left something"
    witness.go_on("run")
    assert requests(sim) == asked, "what was rolled back is bought again"
    return all(reached)


def emptied(now: Rows, filled: Rows) -> bool:
    """Whether the records are as they were before anything was filled or made."""
    if isinstance(filled[0][0], bytes):
        return [line.rpartition(b",")[0] for (line,) in now if isinstance(line, bytes)][1:] == [
            line.rpartition(b",")[0] for (line,) in filled if isinstance(line, bytes)
        ][1:] and all(isinstance(line, bytes) and line.endswith(b",") for (line,) in now[1:])
    return len(now) == ROWS and all(row[3] is None for row in now)


CASES = [(name, kind) for name, way in WAYS.items() for kind in way.kinds]
QUICK = [(name, way.kinds[number % len(way.kinds)]) for number, (name, way) in enumerate(WAYS.items())]
"""Each point once, the kinds in turn."""


def said(case: tuple[str, str]) -> str:
    return ", ".join(case)


@pytest.mark.parametrize("case", QUICK, ids=said)
def test_a_process_killed_at_a_named_point_goes_on_without_loss(
    tmp_path: Path, sim: Simulator, nursery: Nursery, ends: dict[str, Rows], case: tuple[str, str]
) -> None:
    """(fault 2)"""
    name, kind = case
    story(tmp_path, sim, nursery, ends, kind, name)


@pytest.mark.torture
@pytest.mark.parametrize("case", [case for case in CASES if case not in QUICK], ids=said)
def test_a_process_killed_at_a_named_point_goes_on_for_each_other_kind(
    tmp_path: Path, sim: Simulator, nursery: Nursery, ends: dict[str, Rows], case: tuple[str, str]
) -> None:
    name, kind = case
    story(tmp_path, sim, nursery, ends, kind, name)


def test_what_a_person_emptied_after_a_killed_upload_stays_empty(
    tmp_path: Path, sim: Simulator, nursery: Nursery
) -> None:
    table = new_table(tmp_path, sim, "plain", ROWS)
    witness = Witness(table, "plain", sim, nursery)
    witness.kill("run", "after cells, before their note")
    assert table.rows("select count(summary) from questions") == [(ROWS,)]
    table.change("update questions set summary = null where id = 3")

    witness.go_on("run")

    assert table.rows("select id from questions where summary is null") == [(3,)]
    witness.go_on("rollback")
    assert table.rows("select count(summary) from questions") == [(0,)]


def test_what_a_person_deleted_after_a_killed_upload_is_not_made_again(
    tmp_path: Path, sim: Simulator, nursery: Nursery
) -> None:
    table = new_table(tmp_path, sim, "makes", ROWS)
    witness = Witness(table, "makes", sim, nursery)
    witness.kill("run", "after rows, before their note")
    made = table.rows("select id from notions order by id")
    table.change("delete from notions where id = ?", *made[0])

    witness.go_on("run")

    assert table.rows("select id from notions order by id") == made[1:]
    witness.go_on("rollback")
    assert table.rows("select * from notions") == []


@pytest.mark.torture
@pytest.mark.parametrize("kind", MODEL)
def test_each_pair_of_points(
    tmp_path: Path, sim: Simulator, nursery: Nursery, ends: dict[str, Rows], kind: str
) -> None:
    """(fault 3)"""
    names = [name for name, way in WAYS.items() if kind in way.kinds]
    reached: set[str] = set()
    for number, (first, second) in enumerate(product(names, names)):
        if story(tmp_path / str(number), sim, nursery, ends, kind, first, second):
            reached.add(second)
    assert reached == set(names)


def points_in_the_code() -> list[str]:
    found = []
    for path in sorted(Path(seedbed.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "point":
                found.append(str(ast.literal_eval(node.args[0])))
    return found


def test_each_point_has_one_place_in_the_code_and_a_way_to_reach_it() -> None:
    assert sorted(points_in_the_code()) == sorted([*WAYS, *ELSEWHERE])
    assert [name for name, file in ELSEWHERE.items() if f'"{name}"' not in (ROOT / file).read_text("utf-8")] == []


def test_the_page_lists_the_points_of_the_code() -> None:
    page = (ROOT / "docs" / "crash-points.md").read_text("utf-8")
    assert re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE) == [*WAYS, *ELSEWHERE]


def test_the_environment_names_the_point_and_the_time() -> None:
    code = "from seedbed.crashing import point\nfor n in range(5): point('here'); point('there'); print(n, flush=True)"
    said = {}
    for where in ("", "here", "here:3", "elsewhere"):
        child = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, VARIABLE: where},
            capture_output=True,
            text=True,
            check=False,
        )
        said[where] = (child.returncode, len(child.stdout.split()))
    assert said == {"": (0, 5), "here": (-9, 0), "here:3": (-9, 2), "elsewhere": (0, 5)}
