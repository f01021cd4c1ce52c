"""Money at size, with the simulator's own ledger as witness: caps in flight and over processes, kills, forecasts.

Each story prints what was asked, what the ledger says, and what our books say. ``python -m bench.money [STORY ...]``.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from seedbed import Part, Pipeline, Project, Scope, Spend, Stage, fills, plan, project_of, run
from seedbed.ports.state import State
from seedbed.records import usd
from seedbed.simulator import Settings, Simulator

INPUT, OUTPUT = 250, 2000
"""10⁻⁹ USD a token."""
STAGE = "q.summary"


def new_corpus(root: Path, rows: int) -> None:
    """Questions of uneven length, in an order that has nothing to do with it."""
    chance = random.Random(5)
    with closing(sqlite3.connect(root / "corpus.db")) as db, db:
        db.execute("create table questions (id integer primary key, text text, summary text)")
        texts = [(n, f"What is Q{n}Z? {'why ' * int(chance.lognormvariate(4.5, 0.8))}") for n in range(1, rows + 1)]
        db.executemany("insert into questions (id, text) values (?, ?)", texts)


def project(root: Path, url: str, **more: Any) -> Project:
    stage = Stage(
        STAGE,
        fills("questions", ["summary"]),
        prompt="Sum up.\n<!-- item -->\n{{ text }}",
        shape={"summary": str},
        max_output=100,
    )
    overrides: dict[str, Any] = {
        "project.corpus": "sqlite:///corpus.db",
        "tiers.default": "openai/bench",
        "providers.openai": {"base_url": url},
        "prices.openai/bench": {"input": INPUT / 1000, "output": OUTPUT / 1000},
    }
    return project_of(root, Pipeline("bench", [stage]), overrides={**overrides, **more})


def billed(sim: Simulator) -> int:
    books = sim.summary()
    return int(books["input_tokens"] * INPUT + books["output_tokens"] * OUTPUT)


def told(name: str, root: Path, sim: Simulator, cap: int | None, began: float) -> None:
    """The ledger beside our books; ends the bench where a promise is broken."""
    books = sim.summary()
    with closing(_state(root, sim)) as state:
        (total,) = state.spending()
        held = sum(lease.held for lease in state.leases())
    ours = total.nano - total.doubtful
    tokens = (total.usage.input + total.usage.cached, total.usage.output)
    ledger = (books["input_tokens"], books["output_tokens"])
    print(
        f"{name}: cap {usd(cap)}  ledger {usd(billed(sim))}  books {usd(ours)} + in doubt {usd(total.doubtful)}"
        f"  calls {books['complete']:,} / {total.calls:,}  tokens {ledger} / {tokens}"
        f"  peak in flight {books['peak_in_flight']}  still held {usd(held)}  {time.perf_counter() - began:.1f} s"
    )
    if cap is not None and (billed(sim) > cap or total.nano > cap):
        raise SystemExit(f"{name}: the cap was passed")
    if not total.doubtful and (tokens != ledger or ours != billed(sim)):
        raise SystemExit(f"{name}: the books differ from the ledger")
    if not ours <= billed(sim) <= total.nano:
        raise SystemExit(f"{name}: what is in doubt does not explain the difference")


def _state(root: Path, sim: Simulator) -> State:
    return project(root, sim.url).state()


# ------------------------------------------------------------------------------------------ stories


def met_in_flight(root: Path, sim: Simulator) -> None:
    """A cap of the project, met with 200 calls in flight."""
    new_corpus(root, 6000)
    sim.configure(latency_ms=100.0)
    began = time.perf_counter()
    cap = 200_000_000
    report = run(project(root, sim.url, **{"budget.project": cap}), None, Scope(), Spend(concurrency=200))
    print(f"  ended with: {report.error and report.error.what}")
    told("cap met with 200 in flight", root, sim, cap, began)


def nothing(root: Path, sim: Simulator) -> None:
    """Caps of 0, and a model without a price."""
    new_corpus(root, 50)
    for more in ({"budget.run": 0}, {"budget.day": 0}, {"budget.project": 0}, {"budget.stages": {STAGE: 0}}):
        run(project(root, sim.url, **more))
    unknown = {"tiers.default": "openai/never-heard-of", "budget.project": 10**9}
    report = run(project(root, sim.url, **unknown))
    print(f"  unknown price: {report.error and report.error.what}")
    print(f"caps of 0 and an unknown price: {sim.summary()['requests']} requests")
    if sim.summary()["requests"]:
        raise SystemExit("something was sent")


def child(root: Path, url: str, part: str, concurrency: int, cap: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.money", "--child", str(root), url, part, str(concurrency), str(cap)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE)


def shared(root: Path, sim: Simulator) -> None:
    """Two processes share a cap; one is killed, started again, and killed again, until the cap is met."""
    new_corpus(root, 6000)
    sim.configure(latency_ms=100.0, latency_sigma=0.5)
    began = time.perf_counter()
    cap = 200_000_000
    other = child(root, sim.url, "2/2", 50, cap)
    kills = 0
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        one = child(root, sim.url, "1/2", 50, cap)
        while one.poll() is None and billed(sim) < share * cap:
            time.sleep(0.02)
        if one.poll() is None:
            os.kill(one.pid, signal.SIGKILL)
            kills += 1
        one.communicate()
        if billed(sim) > cap:
            raise SystemExit("the cap was passed after a kill")
    other.communicate()
    child(root, sim.url, "1/2", 50, cap).communicate()
    print(f"  kills {kills}, the other one ended with {other.returncode}")
    told("two processes, one killed again and again", root, sim, cap, began)


def foretold(root: Path, sim: Simulator) -> None:
    """The forecast of a pilot of 34 against what 5,000 uneven items cost."""
    new_corpus(root, 5000)
    began = time.perf_counter()
    here = project(root, sim.url)
    before = plan(here)[0]
    run(here, None, Scope(sample=34), Spend(concurrency=34))
    pilot = billed(sim)
    after = plan(here)[0]
    report = run(here, None, Scope(), Spend(concurrency=100))
    rest = billed(sim) - pilot
    print(f"  range before            {usd(before.cost_low)} to {usd(before.cost_high)}")
    print(f"  after a pilot of {after.measured}     {usd(after.cost_low)} to {usd(after.cost_high)}")
    print(f"  {after.items:,} items came to  {usd(rest)}")
    for one in report.forecasts:
        print(
            f"  the run itself, after {one.measured}: {usd(one.cost_low)} to {usd(one.cost_high)}; {usd(one.came_to)}"
        )
    told("forecast", root, sim, None, began)


STORIES: dict[str, Callable[[Path, Simulator], None]] = {
    "met": met_in_flight,
    "nothing": nothing,
    "shared": shared,
    "forecast": foretold,
}


def one_child(root: str, url: str, part: str, concurrency: str, cap: str) -> int:
    here = project(Path(root), url, **{"budget.project": int(cap)})
    report = run(here, None, Scope(part=Part.parse(part)), Spend(concurrency=int(concurrency)), with_upload=False)
    print(json.dumps({"error": report.error.what if report.error else None}))
    return report.error.exit_code if report.error else 0


def main(arguments: list[str] | None = None) -> int:
    said = sys.argv[1:] if arguments is None else arguments
    if said and said[0] == "--child":
        return one_child(*said[1:])
    for name in said or list(STORIES):
        with tempfile.TemporaryDirectory() as folder, Simulator() as sim:
            sim.configure(Settings(items_regex=r"(Q\d+Z)"))
            sim.reset()
            STORIES[name](Path(folder), sim)
    return 0


if __name__ == "__main__":
    sys.exit(main())
