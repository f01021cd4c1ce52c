"""How well limits are used: 6,000 requests a minute with one second of burst, tokens, fixed windows, keys, processes.

Each case runs against a simulator of its own, whose ledger is the witness: what it granted, what it refused, and
which share of its limit that is by its own clock. No figure here comes from seedbed's books.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from seedbed.simulator import Simulator

ITEMS = 3_000
RPM = 6_000
CONCURRENCY = 500
LATENCY_MS = 100.0


def make(root: Path, items: int, *, uneven: bool = False, stages: int = 1) -> None:
    """A table of questions; uneven ones are from 40 to 4,000 characters long."""
    db = sqlite3.connect(root / "corpus.db")
    with db:
        for stage in range(stages):
            db.execute(f"create table questions{stage} (id integer primary key, text text, summary text)")
            rows = [(n, f"Question {n}: what is Q{n}Z? " + "word " * _words(n, uneven)) for n in range(items)]
            db.executemany(f"insert into questions{stage} (id, text) values (?, ?)", rows)
    db.close()


def _words(number: int, uneven: bool) -> int:
    return number * 7919 % 13 * number % 800 if uneven else 0


def work(root: Path, url: str, concurrency: int, stage: int, overrides: Mapping[str, Any]) -> None:
    """One run over the table, in this process."""
    from seedbed import Pipeline, Spend, Stage, fills, project_of, run

    stages = [
        Stage(
            f"q.summary{stage}",
            fills(f"questions{stage}", ["summary"]),
            prompt="Summarise the question in one sentence.\n<!-- item -->\n{{ text }}",
            shape={"summary": str},
            max_output=200,
        )
    ]
    settings: dict[str, Any] = {
        "providers.openai": {"base_url": url},
        "tiers.default": "openai/bench",
        "prices.openai/bench": {"input": 1.0, "output": 2.0},
        **overrides,
    }
    report = run(
        project_of(root, Pipeline("bench", stages), overrides=settings), None, spend=Spend(concurrency=concurrency)
    )
    if report.error is not None:
        raise report.error


def start(
    root: Path, url: str, *, stage: int = 0, concurrency: int = CONCURRENCY, **overrides: Any
) -> subprocess.Popen[bytes]:
    """The same in a process of its own. Names in ``overrides`` have ``__`` for a dot."""
    said = json.dumps({name.replace("__", "."): value for name, value in overrides.items()})
    keys = {f"BENCH_KEY_{n}": f"sk-bench-{n}" for n in (1, 2)}
    return subprocess.Popen(
        [sys.executable, "-m", "bench.limits", "--work", str(root), url, str(concurrency), str(stage), said],
        env={**os.environ, **keys},
        start_new_session=True,
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    if process.wait(timeout=600):
        raise SystemExit(f"a run ended with {process.returncode}")


def steady(model: Simulator, after: float = 2.0) -> tuple[int, float]:
    """(429s, share of the requests granted) from ``after`` seconds behind the first request to the last one."""
    entries = model.ledger()
    first = min(entry["time"] for entry in entries) + after
    later = [entry for entry in entries if entry["time"] >= first]
    granted = [entry for entry in later if entry["status"] == 200]
    seconds = max(entry["time"] for entry in granted) - first
    return sum(entry["status"] == 429 for entry in later), len(granted) / (seconds * RPM / 60)


def show(name: str, model: Simulator, wall: float, ideal: float, items: int) -> dict[str, Any]:
    books = model.summary()
    limits = books["limits"]
    if books["complete"] < items:
        raise SystemExit(f"{name}: {books['complete']} answers for {items} items")
    refused = sum(account["refused"] for account in limits.values())
    print(name)
    print(f"  wall {wall:6.2f} s  {wall / ideal:5.3f} x ideal   requests {books['requests']:,}  429s {refused}")
    for key, account in limits.items():
        if account["granted"]:
            use = f"use of requests {account['use_of_requests']}  of tokens {account['use_of_tokens']}"
            print(f"  {key:<9} granted {account['granted']:,} in {account['seconds']} s  {use}")
    return {"name": name, "wall": wall, "ideal": ideal, "books": books}


def case(
    name: str, ideal: float, *, items: int = ITEMS, uneven: bool = False, concurrency: int = CONCURRENCY,
    server: Mapping[str, Any], **overrides: Any,
) -> dict[str, Any]:  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, Simulator(latency_ms=LATENCY_MS, **server) as model:
        make(Path(folder), items, uneven=uneven)
        began = time.perf_counter()
        finish(start(Path(folder), model.url, concurrency=concurrency, **overrides))
        row = show(name, model, time.perf_counter() - began, ideal, items)
        if "tpm" not in server:
            refused, use = steady(model)
            print(f"  after the first 2 s: 429s {refused}, use {use:.4f} of {RPM:,} a minute")
        return row


def told() -> None:
    """The limit stands in the project file."""
    case("limit in the project file, one second of burst", ITEMS / RPM * 60, server={"rpm": RPM},
         accounts__openai={"requests_per_minute": RPM})  # fmt: skip


def learned() -> None:
    """Nothing is told: the limit is read from the answers' headers."""
    case("limit from the headers alone", ITEMS / RPM * 60, server={"rpm": RPM})


def unknown() -> None:
    """Neither told nor stated: only the refusals say it."""
    case("no limit told and none stated, only 429s", ITEMS / RPM * 60, server={"rpm": RPM, "header_style": "none"})


def fixed() -> None:
    """Two windows of 10 s and a part of a third."""
    case("fixed windows of 10 s", ITEMS / RPM * 60, server={"rpm": RPM, "rate_style": "fixed", "rate_seconds": 10.0},
         accounts__openai={"requests_per_minute": RPM})  # fmt: skip


def tokens() -> None:
    """A tight token limit and items from 40 to 4,000 characters."""
    tpm = 300_000
    with tempfile.TemporaryDirectory() as folder, Simulator(latency_ms=LATENCY_MS) as model:
        make(Path(folder), 600, uneven=True)
        finish(start(Path(folder), model.url))
        books = model.summary()
        whole = books["input_tokens"] + books["output_tokens"]
    case(f"{tpm:,} tokens a minute, uneven items", whole / tpm * 60, items=600, uneven=True, server={"tpm": tpm},
         accounts__openai={"tokens_per_minute": tpm})  # fmt: skip


def keys() -> None:
    """Two keys, each with a limit of its own."""
    each = {"rpm": RPM / 2}
    server = {"key_limits": {"sk-bench-1": each, "sk-bench-2": each}}
    case("two keys with half of it each", ITEMS / RPM * 60, server=server,
         accounts__openai={"keys": ["BENCH_KEY_1", "BENCH_KEY_2"], "requests_per_minute": RPM // 2})  # fmt: skip


def processes() -> None:
    """Two processes on one state under one limit; then again, and one of them is killed on the way."""
    for kill in (False, True):
        with tempfile.TemporaryDirectory() as folder, Simulator(latency_ms=LATENCY_MS, rpm=RPM) as model:
            root = Path(folder)
            make(root, ITEMS // 2 if not kill else ITEMS, stages=2)
            began = time.perf_counter()
            limit = {"accounts__openai": {"requests_per_minute": RPM}}
            runs = [start(root, model.url, stage=stage, concurrency=CONCURRENCY // 2, **limit) for stage in range(2)]
            if kill:
                while model.summary()["complete"] < ITEMS // 2:
                    time.sleep(0.1)
                with suppress(ProcessLookupError):
                    os.killpg(runs[0].pid, signal.SIGKILL)
                runs[0].wait()
                at = model.summary()["limits"]["all"]["granted"]
                finish(runs[1])
                print(f"  one of two was killed after {at:,} requests")
            else:
                for each in runs:
                    finish(each)
            wall = time.perf_counter() - began
            granted = model.summary()["limits"]["all"]["granted"]
            show(
                "two processes, one limit" + (", one killed" if kill else ""),
                model,
                wall,
                granted / RPM * 60,
                ITEMS // 2,
            )
            refused, use = steady(model, 3.0)
            print(f"  after the first 3 s: 429s {refused}, use {use:.4f} of {RPM:,} a minute")


CASES: Mapping[str, Callable[[], None]] = {
    each.__name__: each for each in (told, learned, unknown, fixed, tokens, keys, processes)
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", nargs=5)
    parser.add_argument("cases", nargs="*", help=", ".join(CASES))
    said = parser.parse_args(arguments)
    if said.work:
        root, url, concurrency, stage, overrides = said.work
        work(Path(root), url, int(concurrency), int(stage), json.loads(overrides))
        return
    for name in said.cases or CASES:
        CASES[name]()


if __name__ == "__main__":
    main()
