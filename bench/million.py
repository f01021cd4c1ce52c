"""The engine at a million items: what grows with them, and what must not.

A corpus is filled, settled by a stage through the real engine (``compute``), uploaded, audited. For a model
stage a round is exported by the engine, nine tenths of it are settled through the state, and its run is left
as a kill leaves it; then the time to the first request is taken. Each figure is that of a fresh process,
start of the interpreter included. The peaks of memory are set beside those of a hundredth of the items.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

ITEMS = 1_000_000
SHARE_SETTLED = 10
"""One of so many items is still missing in the round that goes on."""
PAGE = 5_000
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "OPENAI_API_KEY": "none"}
"""Modules stay compiled from one process to the next, as they do for a user."""


def project(root: Path, url: str = "http://127.0.0.1:9") -> Any:
    """A stage without a model that fills a cell, and one that asks a model."""
    from seedbed import Pipeline, Stage, fills, project_of

    length = Stage("q.length", fills("questions", ["length"]), compute=lambda item: {"length": len(item.row["text"])})
    summary = Stage(
        "q.summary",
        fills("questions", ["summary"]),
        prompt="Summarise the question in one sentence.\n<!-- item -->\n{{ text }}",
        shape={"summary": str},
        inputs=("text",),
    )
    overrides: dict[str, Any] = {
        "providers.openai": {"base_url": url},
        "tiers.default": "openai/bench",
        "prices.openai/bench": {"input": 1.0, "output": 2.0},
    }
    return project_of(root, Pipeline("bench", [length, summary]), overrides=overrides)


def corpus(root: Path, items: int) -> None:
    db = sqlite3.connect(root / "corpus.db")
    db.execute("pragma synchronous = off")
    with db:
        db.execute("create table questions (id integer primary key, text text, length integer, summary text)")
        db.executemany(
            "insert into questions (id, text) values (?, ?)",
            ((n, f"Question {n}: what is Q{n}Z plus {n * 7}?") for n in range(items)),
        )
    db.close()


# ------------------------------------------------------------------------- what a fresh process does


def generate(root: Path) -> dict[str, float]:
    from seedbed.engine import lifecycle

    report = lifecycle.generate(project(root), "q.length")
    return {"items": sum(report.states.values()), "seconds": report.seconds}


def run_settled(root: Path) -> dict[str, float]:
    from seedbed import run

    return {"items": len(run(project(root), "q.length", with_upload=False).passes)}


def upload(root: Path) -> dict[str, float]:
    from seedbed.engine import lifecycle

    with locks_of_the_corpus() as held:
        began = time.perf_counter()
        report = lifecycle.upload(project(root), "q.length")
        seconds = time.perf_counter() - began
    return {"items": report.fates.get("applied", 0), "seconds": seconds, "lock": max(held)}


@contextmanager
def locks_of_the_corpus() -> Iterator[list[float]]:
    """Seconds that each transaction kept the records locked, its commit included."""
    from seedbed.ports.corpus.connections import Session

    held: list[float] = []
    plain = Session.transaction

    @contextmanager
    def timed(session: Session) -> Iterator[None]:
        with plain(session):
            began = time.perf_counter()
            yield
        held.append(time.perf_counter() - began)

    with patch.object(Session, "transaction", timed):
        yield held


def run_uploaded(root: Path) -> dict[str, float]:
    from seedbed import run

    return {"items": len(run(project(root), "q.length").passes)}


def audit(root: Path) -> dict[str, float]:
    from seedbed.engine import lifecycle

    (report,) = lifecycle.audit(project(root), "q.length")
    return {"items": sum(report.settled.values())}


def status(root: Path) -> dict[str, float]:
    from seedbed.engine.looks.standing import status

    report = status(project(root), "q.length")
    return {"items": report.stages[0].done}


def write(root: Path) -> dict[str, float]:
    """The corpus' own part of an upload: compare, back up, write. What hands it the writes is not counted."""
    from seedbed.engine.work.rounds import Derivation, Scope
    from seedbed.ports.corpus import CellWrite

    own = project(root)
    done, seconds = 0, 0.0
    with closing(own.corpus()) as opened, closing(own.corpus()) as read, closing(own.state()) as state:
        stage = own.bound(own.stage("q.length"), opened, state)
        for found in Derivation(read, state, stage, Scope()).pages():
            writes = [
                CellWrite(i.key, i.fingerprint, dict(i.before), {"length": len(i.row["text"])}) for i in found.items
            ]
            began = time.perf_counter()
            fates = list(opened.write("bench", "questions", stage.key, writes, fingerprint=stage.fingerprint))
            seconds += time.perf_counter() - began
            done += sum(written.fate == "applied" for written in fates)
    return {"items": done, "seconds": seconds}


def killed(root: Path) -> dict[str, float]:
    """A round of all items whose run was killed when nine of ten had an outcome."""
    from seedbed.engine import lifecycle
    from seedbed.engine.work.rounds import worklist_path
    from seedbed.engine.work.worklist import Worklist
    from seedbed.ports.state import RunRow, TillEntry
    from seedbed.records import Outcome, Usage

    own = project(root)
    report = lifecycle.export(own, "q.summary")
    state = own.state()
    row = next(row for row in state.rounds(stage="q.summary") if row.id == report.round)
    last = report.items - report.items // SHARE_SETTLED
    run = "run-killed"
    at = time.time_ns() // 1_000_000
    state.open_run(RunRow(run, "run", "q.summary", at, "running", {}, 2**22 + 1, socket.gethostname()))
    worklist = Worklist(worklist_path(own.worklists, row.id))
    for page in worklist.pages(size=PAGE):
        done = [(seq, item) for seq, _, item in page if seq <= last]
        outcomes, entries = [], []
        for seq, item in done:
            outcomes.append(
                Outcome(
                    stage="q.summary", key=item.key, round=row.id, state="rejected" if seq % 1000 == 0 else "accepted",
                    fingerprint=item.fingerprint, recipe=row.recipe, output={"summary": "a sum"}, before=item.before,
                    usage=Usage(60, 0, 9), cost=78_000, calls=(f"{seq:032x}",), attempts=1, model="openai/bench",
                    served="bench", run=run, at=at,
                )
            )  # fmt: skip
            entries.append(
                TillEntry(f"w-{seq}", "settle", 78_000, "q.summary", run, "openai/bench", at, Usage(60, 0, 9), "bench")
            )
        state.settle(outcomes, entries)
    worklist.close()
    state.close()
    return {"items": last}


def resume(root: Path, url: str) -> dict[str, float]:
    from seedbed import Spend, run

    run(project(root, url), "q.summary", spend=Spend(budget=10**12, concurrency=8))
    return {}


ACTS: dict[str, Callable[..., dict[str, float]]] = {
    act.__name__: act for act in (generate, run_settled, upload, run_uploaded, audit, status, write, killed, resume)
}


def one(name: str, *arguments: str) -> None:
    """Do one thing in this process and print what it took."""
    facts = ACTS[name](Path(arguments[0]), *arguments[1:])
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    print(json.dumps({**facts, "cpu": cpu, "rss": own.ru_maxrss / 1024}))


# ------------------------------------------------------------------------------------- the measuring


def fresh(name: str, *arguments: str) -> dict[str, float]:
    began = time.perf_counter()
    command = [sys.executable, "-m", "bench.million", "--one", name, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    return {"wall": time.perf_counter() - began, **json.loads(done.stdout.splitlines()[-1])}


def first_request(root: Path) -> dict[str, float]:
    """Seconds from the start of a process to its first request; the process is killed then."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(600)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        began = time.perf_counter()
        command = [sys.executable, "-m", "bench.million", "--one", "resume", str(root), url]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
        connection, _ = server.accept()
        with connection:
            connection.recv(1)
            wall = time.perf_counter() - began
            os.kill(process.pid, signal.SIGKILL)
            _, _, usage = os.wait4(process.pid, 0)
            process.returncode = -signal.SIGKILL
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "rss": usage.ru_maxrss / 1024}


def series(items: int, folder: Path) -> dict[str, dict[str, float]]:
    """All measurements with so many items."""
    took: dict[str, dict[str, float]] = {}
    root = folder / f"filled-{items}"
    root.mkdir()
    corpus(root, items)
    bare = folder / f"bare-{items}"
    shutil.copytree(root, bare)
    took["write"] = fresh("write", str(bare))
    shutil.rmtree(bare)
    took["generate"] = fresh("generate", str(root))
    took["run, settled"] = fresh("run_settled", str(root))
    took["audit, settled"] = fresh("audit", str(root))
    time.sleep(2.1)  # a corpus that changed just now is not remembered by status
    took["status, first"] = fresh("status", str(root))
    took["status, again"] = fresh("status", str(root))
    took["upload"] = fresh("upload", str(root))
    took["run, uploaded"] = fresh("run_uploaded", str(root))
    took["audit, uploaded"] = fresh("audit", str(root))
    time.sleep(2.1)
    took["status, uploaded"] = fresh("status", str(root))
    took["(a round for a kill)"] = fresh("killed", str(root))
    took["resume, no mark"] = first_request(root)
    took["resume"] = first_request(root)
    shutil.rmtree(root)
    return took


TARGETS: Mapping[str, float] = {
    "run, settled": 3, "audit, settled": 10, "status, first": 0.4, "status, again": 0.4, "run, uploaded": 3,
    "audit, uploaded": 10, "status, uploaded": 0.4, "resume, no mark": 2, "resume": 2,
}  # fmt: skip
RATES: Mapping[str, float] = {"write": 80_000, "upload": 80_000}
MEMORY = 1.2
LOCK = 0.05


def show(few: Mapping[str, Mapping[str, float]], many: Mapping[str, Mapping[str, float]], items: int) -> None:
    print(f"{items:,} items; memory beside that of {items // 100:,} items (to reach: {MEMORY} x)")
    for name, row in many.items():
        line = f"{name:<22} wall {row['wall']:7.2f} s"
        line += f"  of {TARGETS[name]:4.1f} s" if name in TARGETS else " " * 12
        line += f"  CPU {row['cpu']:7.2f} s" if "cpu" in row else " " * 16
        base = few[name]["rss"]
        line += f"  {row['rss']:6.0f} MB {row['rss'] / base if base else 0:5.2f} x"
        if "seconds" in row:
            line += f"  {row['items'] / row['seconds']:10,.0f} rows/s"
            line += f" of {RATES[name]:,.0f}" if name in RATES else ""
        if "lock" in row:
            line += f", longest lock {row['lock'] * 1000:.0f} ms of {LOCK * 1000:.0f}"
        print(line)
    peaks = [max(row["rss"] for row in series.values()) for series in (few, many)]
    print(f"peak memory {peaks[1]:.0f} MB against {peaks[0]:.0f} MB: {peaks[1] / peaks[0]:.2f} x of {MEMORY} x")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--one", nargs="+")
    said = parser.parse_args(arguments)
    if said.one:
        one(*said.one)
        return
    with tempfile.TemporaryDirectory() as folder:
        few = series(said.items // 100, Path(folder))
        show(few, series(said.items, Path(folder)), said.items)


if __name__ == "__main__":
    main()
