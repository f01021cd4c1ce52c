"""A run split by hand over three folders, each with a state of its own, and joined at home."""

from __future__ import annotations

from pathlib import Path

from tests.engine.crashing import stage
from tests.engine.projects import Table

from seedbed import Part, Scope, audit, generate, run
from seedbed.engine.keeping import carrying
from seedbed.simulator import Simulator

ROWS = 30


def test_three_parts_in_three_folders_equal_one_run(tmp_path: Path, sim: Simulator) -> None:
    """(000.50): exported there, imported here, uploaded once; each item was asked once."""
    tables = {}
    for name in ("undivided", "home", "1", "2", "3"):
        (tmp_path / name).mkdir()
        tables[name] = Table(tmp_path / name, sim.url, ROWS)
    run(tables["undivided"].project(stage("plain")))
    wanted = tables["undivided"].rows()
    sim.reset()
    home = tables["home"]
    for index in (1, 2, 3):
        there = tables[str(index)].project(stage("plain"))
        generate(there, None, Scope(part=Part(index, 3)))
        carried = tmp_path / f"part-{index}.jsonl"
        assert carrying.export_file(there, carried) > 0
        carrying.import_file(home.project(stage("plain")), carried)
    assert {item["requests"] for item in sim.summary()["by_item"].values()} == {1}
    assert len(sim.summary()["by_item"]) == ROWS

    report = run(home.project(stage("plain")))

    assert report.error is None
    assert sim.summary()["requests"] == ROWS, "what came in the parts is not asked again"
    assert home.rows() == wanted
    equations = audit(home.project(stage("plain")))[0].equations
    assert all(equation.balanced for equation in equations)
    assert sum(equation.items for equation in equations) == ROWS
    assert carrying.import_file(home.project(stage("plain")), tmp_path / "part-1.jsonl").new == 0
