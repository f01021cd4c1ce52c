"""A run in a process of its own, to be killed: ``python -m tests.engine.crashing ROOT URL KIND``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.engine.projects import SHAPE, Table, waiting_until

from seedbed import Call, Item, Row, Spend, Stage, fills, makes, run, unique
from seedbed.simulator import Simulator


async def judge(question: Item, call: Call) -> Any:
    claims = await call("claims", "List the claims of {{ q.text }}", {"claims": [str]}, q=question)
    found = await call(
        "evidence", "Evidence on {{ q.text }} for {{ claims }}", {"found": str}, q=question, claims=claims
    )
    verdict = await call("verdict", "Judge {{ q.text }} by {{ found }}", {"sound": bool}, q=question, found=found)
    return {"summary": f"{verdict['sound']}: {found['found']}"}


def notions(question: Item, out: Any) -> Iterator[Row]:
    for word in out["words"]:
        yield Row("notions", word=word, question=question["id"])


def stage(kind: str) -> Stage:
    if kind == "makes":
        return Stage(
            "q.notions",
            makes("questions", rows=notions, into={"notions": unique("word")}),
            prompt="Name the words.\n<!-- item -->\n{{ text }}",
            shape={"words": [str]},
            round_size=25,
        )
    if kind == "ask":
        return Stage("q.judge", fills("questions", ["summary"]), ask=judge, inputs=("text",))
    more: dict[str, Any] = {"per_call": 4} if kind == "group" else {}
    return Stage(
        "q.summary", fills("questions", ["summary"]), prompt="Sum up.\n<!-- item -->\n{{ text }}", shape=SHAPE, **more
    )


def start(table: Table, kind: str) -> subprocess.Popen[str]:
    """The run as a child; it prints ``error exit-code`` at its end."""
    command = [sys.executable, "-m", "tests.engine.crashing", str(table.root), table.url, kind]
    root = Path(__file__).parents[2]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_after(child: subprocess.Popen[str], sim: Simulator, complete: int, number: int = signal.SIGKILL) -> None:
    """Kill the child when the simulator has given so many complete answers, then wait until it is quiet."""
    waiting_until(lambda: child.poll() is not None or sim.summary()["complete"] >= complete)
    if child.poll() is None:
        os.kill(child.pid, number)
    child.communicate()
    waiting_until(lambda: sim.summary()["in_flight"] == 0)


def main(root: str, url: str, kind: str) -> int:
    table = Table.there(Path(root), url)
    report = run(table.project(stage(kind)), None, spend=Spend(concurrency=8))
    print(report.error.what if report.error else "done")
    return report.error.exit_code if report.error else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
