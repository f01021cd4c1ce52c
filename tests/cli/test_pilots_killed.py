"""kill -9 while a pilot is bought, while a person reviews, and between the signature and the bulk."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedbed.crashing import VARIABLE
from seedbed.simulator import Simulator
from tests.cli.commands import Ended, in_shell, until
from tests.cli.piloted import ITEMS, STAGE, Command, Piloted

KILLED = -9


@pytest.fixture
def project(tmp_path: Path, sim: Simulator, seedbed: Command) -> Piloted:
    return Piloted.new(tmp_path, sim, seedbed)


def killed(project: Piloted, point: str, *words: str) -> None:
    ended: Ended = in_shell(project.root, *words, **{VARIABLE: point})
    assert ended.code == KILLED, ended.err
    until(lambda: project.sim.summary()["in_flight"] == 0)


def asked_once(project: Piloted) -> set[str]:
    """Items that were asked: each once, but for calls that were in flight at a kill and are booked as in doubt."""
    (doubts,) = project.state("select count(*) from till where kind = 'doubt'")[0]
    assert sum(project.asked.values()) - len(project.asked) <= doubts <= 2
    return set(project.asked)


@pytest.mark.parametrize("point", ["after a pilot was drawn", "after a receipt:3", "before outcomes", "after outcomes"])
def test_a_killed_pilot_goes_on_with_its_sample_and_pays_for_nothing_twice(project: Piloted, point: str) -> None:
    killed(project, point, "pilot", "--sample", "8", "--concurrency", "1")
    (drawn,) = project.state("select items from pilots")
    done = project("pilot", "--json")
    assert done.code == 0, done.err
    assert project.state("select items from pilots") == [drawn]
    assert done.json()["states"] == {"accepted": 8}
    assert asked_once(project) == {f"Q{key.strip('[]')}Z" for key, _ in done.json()["chosen"]}
    assert project("run", "--yes").code == 4


def test_what_a_killed_pilot_received_is_read_before_anything_is_signed_and_paid_once(project: Piloted) -> None:
    killed(project, "before outcomes", "pilot", "--sample", "8", "--concurrency", "1")
    assert project("run", "--yes").code == 4
    (read,) = project.state("select count(*) from outcomes")[0]
    assert read > 0
    assert project("pilot").code == 0
    assert len(asked_once(project)) == 8


@pytest.mark.parametrize(("point", "kept"), [("before a decision", 1), ("after a decision", 2)])
def test_a_decision_just_made_survives_a_kill_and_the_review_goes_on_behind_it(
    project: Piloted, point: str, kept: int
) -> None:
    project("pilot", "--sample", "4")
    (project.root / "decisions.txt").write_text("a\nx invented\na\n", "utf-8")
    killed(project, f"{point}:2", "review", STAGE, "--decisions", "decisions.txt")
    assert project.state("select verdict from decisions") == [("accept",), ("reject",)][:kept]
    assert project.state("select count(*) from outcomes where state = 'set aside'") == [(kept - 1,)]
    rest = project.decide(*["a"] * (4 - kept))
    assert "4 of 4 looked at" in rest.out


@pytest.mark.parametrize("point", ["after a decision", "after an item was taken back, before its note"])
def test_a_no_to_an_uploaded_answer_that_was_killed_half_way_is_finished_by_the_next_review(
    project: Piloted, point: str
) -> None:
    project("pilot", "--sample", "4")
    project("approve", "--as", "Ana")
    project("run", "--yes")
    first = project.drawn()[0]
    (project.root / "decisions.txt").write_text("x invented\n", "utf-8")
    killed(project, point, "review", STAGE, "--decisions", "decisions.txt")
    assert project.decide("a").code == 0
    assert project.filled == set(range(1, ITEMS + 1)) - {first}
    stage = project("audit", "--json").json()["stages"][0]
    assert stage["cleared"] == []
    assert all(equation["balanced"] for equation in stage["equations"])
    assert project("run", "--yes").code == 0
    assert first not in project.filled


def test_a_run_that_is_killed_goes_on_under_its_signature_and_its_ceiling_is_kept(project: Piloted) -> None:
    project("pilot", "--sample", "5")
    project("approve", "--as", "Ana", "--items", "20")
    killed(project, "after a receipt:7", "run", "--yes", "--concurrency", "1")
    killed(project, "after a release opens", "run", "--yes", "--concurrency", "1", "--limit", "5")
    assert project("run", "--yes").code == 4
    assert len(project.filled) == 25
    assert project.state("select items from signature_use") == [(20,)]
    assert len(asked_once(project)) == 25


def test_killed_between_the_signature_and_the_first_call(project: Piloted) -> None:
    project("pilot", "--sample", "5")
    project("approve", "--as", "Ana")
    killed(project, "before an intent", "run", "--yes")
    assert len(project.asked) == 5
    assert project("run", "--yes").code == 0
    assert project.asked == {f"Q{n}Z": 1 for n in range(1, ITEMS + 1)}
