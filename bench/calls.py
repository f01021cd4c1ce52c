"""5,000 calls at 100 ms, concurrency 200: a bare aiohttp loop, plain httpx, and seedbed with everything on.

One server for all, in a process of its own; each contender in a fresh process; CPU is that of the
contender and its children.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import compile_as_installed
from seedbed.simulator import Simulator

CALLS = 5_000
CONCURRENCY = 200
LATENCY_MS = 100.0
WALL, CPU_MS = 1.15, 0.5
"""What seedbed is to reach: times the bare loop's wall of the same run; milliseconds of CPU a call."""
SCHEMA = {
    "type": "object",
    "properties": {"summary": {"type": "string"}},
    "required": ["summary"],
    "additionalProperties": False,
}


def body(number: int) -> bytes:
    return json.dumps(
        {
            "model": "bench",
            "messages": [
                {"role": "system", "content": "Summarise the question in one sentence."},
                {"role": "user", "content": f"Question {number}: what is Q{number}Z plus {number * 7}?"},
            ],
            "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}},
            "max_completion_tokens": 2048,
        }
    ).encode()


async def bare_aiohttp(url: str, calls: int, concurrency: int) -> None:
    import aiohttp

    numbers = iter(range(calls))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def worker() -> None:
            for number in numbers:
                async with session.post(
                    f"{url}/chat/completions", data=body(number), headers={"content-type": "application/json"}
                ) as response:
                    json.loads(await response.read())

        await asyncio.gather(*(worker() for _ in range(concurrency)))


async def plain_httpx(url: str, calls: int, concurrency: int) -> None:
    import httpx

    numbers = iter(range(calls))
    limits = httpx.Limits(max_connections=concurrency)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:

        async def worker() -> None:
            for number in numbers:
                response = await client.post(
                    f"{url}/chat/completions", content=body(number), headers={"content-type": "application/json"}
                )
                response.json()

        await asyncio.gather(*(worker() for _ in range(concurrency)))


def table(root: Path, calls: int) -> None:
    """The corpus, as a user has it before a run."""
    db = sqlite3.connect(root / "corpus.db")
    with db:
        db.execute("create table questions (id integer primary key, text text, summary text)")
        rows = [(n, f"Question {n}: what is Q{n}Z plus {n * 7}?") for n in range(calls)]
        db.executemany("insert into questions (id, text) values (?, ?)", rows)
    db.close()


def seedbed_run(url: str, calls: int, concurrency: int) -> None:
    """In the folder that it is started in, over the table there."""
    from seedbed import Pipeline, Spend, Stage, fills, project_of, run

    stage = Stage(
        "q.summary",
        fills("questions", ["summary"]),
        prompt="Summarise the question in one sentence.\n<!-- item -->\n{{ text }}",
        shape=SCHEMA,
    )
    overrides: dict[str, Any] = {
        "providers.openai": {"base_url": url},
        "tiers.default": "openai/bench",
        "prices.openai/bench": {"input": 1.0, "output": 2.0},
    }
    project = project_of(Path.cwd(), Pipeline("bench", [stage]), overrides=overrides)
    began = time.perf_counter()
    report = run(project, None, spend=Spend(budget=10**12, concurrency=concurrency))
    if report.error is not None:
        raise report.error
    print(json.dumps({"generate": report.phases["generate"], "upload": report.phases["upload"],
                      "whole": time.perf_counter() - began}), file=sys.stderr)  # fmt: skip


CONTENDERS: dict[str, Callable[[str, int, int], Any]] = {
    "aiohttp": bare_aiohttp,
    "httpx": plain_httpx,
    "seedbed": seedbed_run,
}


def one(name: str, url: str, calls: int, concurrency: int) -> None:
    """Run one contender in this process and print its wall and CPU seconds."""
    contender = CONTENDERS[name]
    with tempfile.TemporaryDirectory() as folder:
        table(Path(folder), calls)
        os.chdir(folder)
        began = time.perf_counter()
        cpu = _cpu()
        result = contender(url, calls, concurrency)
        if asyncio.iscoroutine(result):
            asyncio.run(result)
        print(json.dumps({"wall": time.perf_counter() - began, "cpu": _cpu() - cpu, "rss_mb": _rss()}))


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _rss() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(calls: int = CALLS, concurrency: int = CONCURRENCY, latency: float = LATENCY_MS) -> list[dict[str, Any]]:
    """All contenders against one server, in turn; the ledger says that each asked as often."""
    compile_as_installed()
    rows = []
    for name in CONTENDERS:
        with Simulator(latency_ms=latency) as simulator:
            command = [sys.executable, "-m", "bench.calls", "--one", name, simulator.url, str(calls), str(concurrency)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            row = {"name": name, **json.loads(done.stdout)}
            books = simulator.summary()
            if books["complete"] != calls:
                raise SystemExit(f"{name}: {books['complete']} answers for {calls} calls")
            rows.append(row)
    return rows


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--one", nargs=4)
    said = parser.parse_args(arguments)
    if said.one:
        name, url, calls, concurrency = said.one
        one(name, url, int(calls), int(concurrency))
        return
    report(measure())


def report(rows: list[dict[str, Any]]) -> None:
    """The figures, and each as a ratio to the bare loop of the same run."""
    base = rows[0]
    ideal = CALLS / CONCURRENCY * LATENCY_MS / 1000
    print(f"{CALLS:,} calls at {LATENCY_MS:.0f} ms, concurrency {CONCURRENCY} (ideal {ideal:.2f} s)")
    for row in rows:
        wall = f"wall {row['wall']:6.2f} s  {row['wall'] / base['wall']:5.2f} x"
        cpu = f"CPU {row['cpu'] / CALLS * 1000:6.3f} ms a call  {row['cpu'] / base['cpu']:5.2f} x"
        print(f"{row['name']:<8} {wall}   {cpu}   {row['rss_mb']:5.0f} MB")
    print(f"to reach: wall {WALL:.2f} x, CPU {CPU_MS:.3f} ms a call over all processes")


if __name__ == "__main__":
    main()
