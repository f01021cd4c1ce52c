"""The commands about money: cost by state and key, the till, and settings that are said with --set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

import seedbed
from seedbed.engine.projects.clock import now_ms
from seedbed.ports.state.leases import Holder, Wanted
from seedbed.simulator import Simulator
from tests.cli.looked import Looked, new_project, run_once

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looked]:
    with Simulator() as model:
        found = new_project(tmp_path_factory.mktemp("money"), model)
        run_once(found)
        yield found


@pytest.fixture
def fresh(tmp_path: Path, looked: Looked) -> Looked:
    return new_project(tmp_path, looked.model)


def test_cost_by_state_adds_up_to_all_that_was_spent(looked: Looked, capsys: Capture) -> None:
    found = looked.document(capsys, "cost", "--by", "state")
    states = {row["state"]: row for row in found["rows"]}
    assert set(states) == {"accepted", "rejected", "refused"}
    assert states["rejected"]["calls"] == 2
    assert sum(Decimal(row["spent"]) for row in found["rows"]) == Decimal(found["total"]["spent"])


@pytest.mark.parametrize(("by", "names"), [("key", ["OPENAI_API_KEY"]), ("kind", ["settle"])])
def test_cost_by_key_and_by_kind_of_entry(looked: Looked, capsys: Capture, by: str, names: list[str]) -> None:
    found = looked.document(capsys, "cost", "--by", by)
    assert [row[by] for row in found["rows"]] == names
    assert found["rows"][0]["spent"] == found["total"]["spent"]


def test_the_till_shows_each_common_cap(looked: Looked, capsys: Capture) -> None:
    found = looked.document(capsys, "till")
    (cap,) = found["caps"]
    spent = looked.document(capsys, "cost")["total"]["spent"]
    assert (cap["name"], cap["cap"], cap["spent"], cap["held"]) == ("cap of the project", "5", spent, "0")
    assert found["holders"] == []
    assert "cap of the project" in looked.see(capsys, "till")


def held_elsewhere(looked: Looked, expires: int) -> None:
    with closing(seedbed.open_project(looked.root).state()) as state:
        gone = Holder("w-gone", "another-machine", 7, "run-gone", now_ms(), expires)
        state.lease(gone, [Wanted("project", 5_000_000_000, 0, 10**9, 10**9)], joined=False)


def test_what_an_ended_process_holds_is_given_free_by_name(fresh: Looked, capsys: Capture) -> None:
    held_elsewhere(fresh, expires=1)
    shown = fresh.document(capsys, "till")["holders"]
    assert [(one["holder"], one["held"], one["alive"]) for one in shown] == [("w-gone", "1", False)]
    fresh.see(capsys, "till", "--release", "w-gone", code=2)
    fresh.see(capsys, "till", "--release", "w-gone", "--dry-run")
    assert fresh.document(capsys, "till")["caps"][0]["held"] == "1"
    fresh.see(capsys, "till", "--release", "w-gone", "--yes")
    assert fresh.document(capsys, "till")["caps"][0]["held"] == "0"
    fresh.see(capsys, "till", "--release", "w-gone", "--yes", code=2)


def test_what_a_living_process_holds_is_not_given_free(fresh: Looked, capsys: Capture) -> None:
    held_elsewhere(fresh, expires=now_ms() + 60_000)
    fresh.see(capsys, "till", "--release", "w-gone", "--yes", code=7)


def test_a_setting_of_the_file_can_be_said_to_the_looking_verbs(fresh: Looked, capsys: Capture) -> None:
    found = fresh.document(capsys, "plan", "--set", "budget.run=0.0001usd", "--set", "stages.q.summary.max_output=100")
    assert found["cap"] == "0.0001"
    assert found["stages"][0]["tokens_out_high"] == 40 * 100
    assert found["stages"][0]["binds"].startswith("cap of each run")
    assert fresh.document(capsys, "plan", "--set", "budget.stages.q.summary=1usd")["stages"][0]["binds"] == ""
    assert fresh.document(capsys, "status", "--set", "budget.project=7usd")["cap"] == "7"
    fresh.see(capsys, "audit", "--set", "tiers.default=openai/other")


@pytest.mark.parametrize(
    "said", ["budget.run=five", "budget.rum=5", "prices.openai/test.input=-1", "budget.zone=Mars", "nonsense"]
)
def test_a_setting_that_cannot_be_is_one_clear_line(fresh: Looked, capsys: Capture, said: str) -> None:
    fresh.see(capsys, "plan", "--set", said, code=2)


def test_a_cap_of_calls_is_a_pause(fresh: Looked, capsys: Capture) -> None:
    fresh.model.reset()
    fresh.see(capsys, "run", "q.summary", "--max-calls", "3", "--yes", code=75)
    assert fresh.model.summary()["complete"] <= 3
