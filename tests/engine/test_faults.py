"""What breaks beside the answers: slow checks, full disks, flipped bytes, unreachable endpoints, wrong books."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from tests.engine.crashing import kill_when, receipts_on_disk, stage, start
from tests.engine.projects import SHAPE, Table

from seedbed import Finding, Item, Scope, Spend, Stage, audit, fills, generate, run, upload
from seedbed.errors import ProviderDown, StoreNewer, Unbalanced, UsageError
from seedbed.events import Notice
from seedbed.simulator import Simulator

PROMPT = "Sum up.\n<!-- item -->\n{{ text }}"


def summary(**more: Any) -> Stage:
    return Stage("q.summary", fills("questions", ["summary"]), prompt=PROMPT, **{"shape": SHAPE, **more})


def test_a_check_that_takes_longer_than_a_call_may_times_out_no_call(table: Table, sim: Simulator) -> None:
    table.add(range(21, 61))
    sim.configure(latency_ms=100.0)
    slow = threading.Event()

    def sleepy(item: Item, output: Any) -> Iterable[Finding]:
        if not slow.is_set():
            slow.wait(5.0)
            slow.set()
        return ()

    report = run(table.project(summary(checks=[sleepy]), run__timeout=2.0), None, Scope(), Spend(concurrency=8))

    assert report.passes[0].generated.states == {"accepted": 60}
    assert (report.passes[0].generated.retries, sim.summary()["requests"]) == (0, 60)


def test_an_unreachable_endpoint_is_a_pause_and_fails_no_item(table: Table) -> None:
    project = table.project(summary(), providers__openai={"base_url": "http://127.0.0.1:9/v1"})

    report = run(project, None, Scope(), Spend(concurrency=4))

    assert isinstance(report.error, ProviderDown)
    assert audit(table.project(summary()))[0].missing == 20


def test_a_flipped_receipt_is_named_and_its_item_counts_as_missing(table: Table, sim: Simulator) -> None:
    sim.configure(latency_ms=15.0)
    kill_when(start(table, "plain"), sim, lambda: receipts_on_disk(table.root) >= 8)
    with sqlite3.connect(table.root / ".seedbed" / "state.sqlite") as state:
        for name in ("outcomes", "till", "marks"):
            state.execute(f"delete from {name}")
    state.close()
    (path,) = (table.root / ".seedbed" / "receipts").glob("*.sqlite")
    receipts = sqlite3.connect(path)
    with receipts:
        found = receipts.execute("select intent_number, body from receipts order by 1 limit 1").fetchone()
        number, body = found
        receipts.execute("update receipts set body = ? where intent_number = ?", (body[:-1] + b"\x00", number))
    receipts.close()
    project = table.project(stage("plain"))
    told: list[str] = []
    project.listeners.append(lambda event: told.append(event.text) if isinstance(event, Notice) else None)

    report = run(project)

    assert report.error is None
    assert any("fails its checksum" in text and f"-{number} " in text and "$0.0" in text for text in told)
    assert all(row[3] for row in table.rows())


def test_a_newer_state_is_refused(table: Table) -> None:
    run(table.project(summary()))
    state = sqlite3.connect(table.root / ".seedbed" / "state.sqlite")
    state.execute("pragma user_version = 99")
    state.close()

    with pytest.raises(StoreNewer, match="newer seedbed"):
        audit(table.project(summary()))


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("delete from outcomes where item = '[3]'", "closed and 1 of its items"),
        (
            "insert into outcomes select stage, '[999]', number, round, state, fingerprint, recipe, output, before,"
            " row, findings, reason, input, cached, answered, reasoning, cost, calls, attempts, model, served, run,"
            " at, made, fate, release, fate_reason from outcomes where item = '[3]'",
            "20 items, but 21 outcomes",
        ),
    ],
)
def test_books_that_do_not_add_up_go_red(table: Table, sql: str, words: str) -> None:
    run(table.project(summary()))
    with sqlite3.connect(table.root / ".seedbed" / "state.sqlite") as state:
        state.execute(sql)
    state.close()

    (equation,) = audit(table.project(summary()))[0].equations

    assert words in "; ".join(equation.problems)
    with pytest.raises(Unbalanced):
        equation.require()


def test_answers_of_the_stand_in_are_not_written_and_count_as_missing_for_a_real_model(
    table: Table, sim: Simulator
) -> None:
    offline = table.project(summary(), tiers__default="offline/standin")
    generate(offline)
    with pytest.raises(UsageError, match="stand-in"):
        upload(offline)
    assert table.rows("select count(summary) from questions") == [(0,)]

    report = run(table.project(summary()))

    assert report.calls == 20
    assert table.rows("select count(summary) from questions") == [(20,)]


def test_stand_in_answers_are_written_when_that_is_allowed(table: Table) -> None:
    report = run(table.project(summary(), tiers__default="offline/standin"), None, Scope(), Spend(allow_stand_in=True))

    assert (report.error, report.spent) == (None, 0)
    assert table.rows("select count(summary) from questions") == [(20,)]


class Summary(BaseModel):
    summary: str


def test_a_shape_may_be_a_pydantic_class(table: Table) -> None:
    run(table.project(summary(shape=Summary)))

    assert all(row[3] for row in table.rows())


def test_long_answers_may_be_streamed(table: Table, sim: Simulator) -> None:
    report = run(table.project(summary(stream=True)))

    assert report.error is None
    assert {p.receipt.format for p in table.project(summary()).receipts().purchases() if p.receipt} == {"sse"}
    assert report.usage.output == sim.summary()["output_tokens"]


def test_a_stream_without_its_end_is_in_doubt(table: Table, sim: Simulator) -> None:
    """(fault 48)"""
    sim.configure(faults=[{"fault": "stream_no_end", "item": "Q3Z", "times": 1}])

    report = run(table.project(summary(stream=True)))

    assert report.passes[0].generated.states == {"accepted": 20}
    assert table.project(summary()).state().spending()[0].doubtful > 0


def test_a_full_disk_pauses_and_loses_nothing(table: Table, sim: Simulator) -> None:
    """(fault 21) The files of a child may grow to 12 MB only; its ballast is freed and what is in flight stored."""
    table.add(range(21, 2001))
    sim.configure(faults=[{"fault": "malformed", "times": None, "text": '{"summary": "' + _noise(30_000) + '"}'}])
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (12_000_000, 12_000_000));"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from tests.engine.crashing import main; sys.exit(main(*sys.argv[1:]))"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, str(table.root), table.url, "plain"],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (child.returncode, "disk" in child.stdout.lower() or "grow" in child.stdout.lower()) == (75, True), child

    report = run(table.project(stage("plain")), None, Scope(), Spend(concurrency=8))

    assert report.error is None
    # What the ledger counts beyond one answer an item is at most what was in flight when the disk was full.
    books = sim.summary()
    assert books["complete"] <= 2000 + 8
    assert table.rows("select count(summary) from questions") == [(2000,)]


def _noise(size: int) -> str:
    """Text that does not compress well, so that the file grows."""
    import random

    chooser = random.Random(7)
    return "".join(chooser.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(size))


def test_a_prompt_that_changed_after_a_kill_keeps_what_was_received_and_asks_the_rest_anew(
    table: Table, sim: Simulator
) -> None:
    """(fault 63)"""
    sim.configure(latency_ms=15.0)
    table.add(range(21, 201))
    kill_when(start(table, "plain"), sim, lambda: receipts_on_disk(table.root) >= 8)
    had = {
        item.key
        for purchase in table.project(stage("plain")).receipts().purchases()
        for item in purchase.intent.items
        if purchase.receipt is not None
    }
    before = {name: item["requests"] for name, item in sim.summary()["by_item"].items()}
    changed = replace(stage("plain"), prompt="Another question.\n<!-- item -->\n{{ text }}")

    assert run(table.project(changed)).error is None

    after = sim.summary()["by_item"]
    assert [key for key in had if after[f"Q{key[1:-1]}Z"]["requests"] > before[f"Q{key[1:-1]}Z"]] == []
    assert all(row[3] for row in table.rows())
    assert 8 <= audit(table.project(changed))[0].stale == len(had) < 200, "those of the prompt before are counted"


@pytest.mark.parametrize("first", [200, 9_000, 60_000])
def test_memory_that_runs_out_at_some_allocation_loses_nothing(table: Table, sim: Simulator, first: int) -> None:
    """(fault 13)"""
    pytest.importorskip("_testcapi")
    code = (
        "import _testcapi, sys; from pathlib import Path; from tests.engine.crashing import act; "
        "from tests.engine.projects import Table; table = Table.there(Path(sys.argv[1]), sys.argv[2]); "
        "act(table, 'plain', 'audit'); _testcapi.set_nomemory(int(sys.argv[3]), int(sys.argv[3]) + 3); "
        "act(table, 'plain', 'run')"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(table.root), table.url, str(first)],
        cwd=Path(__file__).parents[2], capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    asked = {name: item["complete"] for name, item in sim.summary()["by_item"].items()}

    assert run(table.project(stage("plain"))).error is None

    assert all(row[3] for row in table.rows())
    again = [name for name, count in asked.items() if sim.summary()["by_item"][name]["complete"] > count]
    assert len(again) <= 8, "no more than were in flight"
