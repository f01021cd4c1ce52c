"""Commands in processes of their own, to be killed.

``python -m tests.engine.crashing ROOT URL KIND [SETTINGS [PART]]`` is one run; settings are JSON by dotted name.
``python -m tests.engine.crashing nursery`` has all
modules loaded and forks a process for each line of its input, so that a kill costs a tenth of a second.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tests.disk import faulty
from tests.disk.faulty import Fault, preloaded
from tests.engine.projects import SHAPE, Table, waiting_until

from seedbed import (
    Call,
    FileSource,
    Item,
    Part,
    Project,
    Row,
    Scope,
    Spend,
    Stage,
    audit,
    crashing,
    export,
    fills,
    generate,
    makes,
    recover,
    roll_back,
    run,
    unique,
    upload,
)  # fmt: skip
from seedbed.engine import lifecycle
from seedbed.engine.keeping import carrying
from seedbed.engine.keeping.redacting import Wanted, redact_kept
from seedbed.engine.projects import project
from seedbed.errors import SeedbedError
from seedbed.ports.models import openai
from seedbed.simulator import Simulator

LOADED = (lifecycle, project, openai)
"""What a forked process should find loaded."""
IN_FLIGHT = 8
SECRET = "Person of Q3Z"
"""A text that is to be taken out again."""
HANGS = 60.0
"""Seconds after which a command counts as one that never ends."""
NO_FAULT = Fault(0, 0, 0)


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
    if kind == "file":
        more["inputs"] = ("text", "topic")
    return Stage(
        "q.summary", fills("questions", ["summary"]), prompt="Sum up.\n<!-- item -->\n{{ text }}", shape=SHAPE, **more
    )


def project_for(table: Table, kind: str) -> Project:
    """The project over the table; for a file corpus over ``questions.csv`` in the same folder."""
    found = table.project(stage(kind))
    if kind == "file":
        path = table.root / "questions.csv"
        found.source = FileSource(path, path.with_name("questions.filled.csv"), "id", ("summary",))
    return found


def act(table: Table, kind: str, verb: str, limit: int | None = None) -> Any:
    """One command of a person's."""
    found, spend, scope = project_for(table, kind), Spend(concurrency=IN_FLIGHT), Scope(limit=limit)
    if verb == "run":
        return run(found, None, scope, spend)
    if verb == "generate":
        return generate(found, None, scope, spend)
    if verb == "recover":
        return recover(found, None, scope, spend)
    if verb == "export":
        return export(found, None, scope)
    if verb == "upload":
        return upload(found)
    if verb == "rollback":
        return roll_back(found)
    if verb == "compact":
        return carrying.compact_files(found)
    if verb == "redact":
        return redact_kept(found, Wanted(text=SECRET))
    if verb == "archive":
        return carrying.archive(found, "2099-01-01", table.root / "away")
    return audit(found)


@dataclass(frozen=True)
class Order:
    """One command of a process, and what befalls it.

    ``file_size`` bounds the files that it writes. ``fault`` strikes its disk; ``log`` is where its disk is recorded.
    """

    root: str
    url: str
    kind: str
    verb: str
    limit: int | None = None
    point: str = ""
    file_size: int = 0
    fault: Fault | None = None
    log: str = ""

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def of(cls, line: str) -> Order:
        found = cls(**json.loads(line))
        return replace(found, fault=Fault(**found.fault)) if isinstance(found.fault, dict) else found


class Nursery:
    """Starts processes that may be killed, one after the other; with ``library`` their disk may fail."""

    def __init__(self, library: Path | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.crashing", "nursery"],
            cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=preloaded(library) if library else None,
        )  # fmt: skip

    def act(self, table: Table, kind: str, verb: str, **more: Any) -> int:
        """The exit code of one command, negative for a signal; ``more`` is what else an order may say."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(Order(str(table.root), table.url, kind, verb, **more).line())
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def nursery() -> int:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            faulthandler.dump_traceback_later(HANGS, exit=True)
            os._exit(_child(Order.of(line)))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return 0


def _child(order: Order) -> int:
    """A bug's traceback is left in the folder of the project, an error's words too."""
    root, code = Path(order.root), 1
    crashing.arm(order.point)
    if order.file_size:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (order.file_size, resource.RLIM_INFINITY))
    if order.log or order.fault:
        faulty.watch(root, Path(order.log) if order.log else None)
        faulty.arm(order.fault or NO_FAULT)
    said = ""
    try:
        report = act(Table.there(root, order.url), order.kind, order.verb, order.limit)
        error = getattr(report, "error", None)
        code, said = (error.exit_code, str(error)) if error else (0, "")
    except SeedbedError as error:
        code, said = error.exit_code, str(error)
    except BaseException:
        said = traceback.format_exc()
    if order.file_size:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    if order.log or order.fault:
        passed = faulty.passed()
        faulty.arm(NO_FAULT)
        counted(root).write_text(str(passed), "utf-8")
    (root / ("bug.txt" if code == 1 else "said.txt")).write_text(said, "utf-8")
    return code


def counted(root: Path) -> Path:
    """Where a child notes how many operations of its disk came by."""
    return root.with_name(f"{root.name}.passed")


def start(table: Table, kind: str, settings: dict[str, Any] | None = None, part: str = "1/1") -> subprocess.Popen[str]:
    """The run as a child; it prints what ended it, or ``done``."""
    more = [json.dumps(settings or {}), part]
    command = [sys.executable, "-m", "tests.engine.crashing", str(table.root), table.url, kind, *more]
    root = Path(__file__).parents[2]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_after(child: subprocess.Popen[str], sim: Simulator, complete: int, number: int = signal.SIGKILL) -> None:
    """Kill the child when the simulator has given so many complete answers, then wait until it is quiet."""
    kill_when(child, sim, lambda: sim.summary()["complete"] >= complete, number)


def kill_when(
    child: subprocess.Popen[str], sim: Simulator, due: Callable[[], bool], number: int = signal.SIGKILL
) -> None:
    """Kill the child when something came about, then wait until the simulator is quiet."""
    waiting_until(lambda: child.poll() is not None or due())
    if child.poll() is None:
        os.kill(child.pid, number)
    child.communicate()
    waiting_until(lambda: sim.summary()["in_flight"] == 0)


def receipts_on_disk(root: Path) -> int:
    """What a running process has stored for good so far: its ledger may be ahead of that."""
    count = 0
    for path in (root / ".seedbed" / "receipts").glob("*.sqlite"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store, suppress(sqlite3.OperationalError):
            count += store.execute("select count(*) from receipts").fetchone()[0]
    return count


def main(root: str, url: str, kind: str, settings: str = "{}", part: str = "1/1") -> int:
    table = Table.there(Path(root), url)
    project = table.project(stage(kind), **json.loads(settings))
    report = run(project, None, Scope(part=Part.parse(part)), Spend(concurrency=IN_FLIGHT))
    print(report.error.what if report.error else "done")
    return report.error.exit_code if report.error else 0


if __name__ == "__main__":
    sys.exit(nursery() if sys.argv[1:] == ["nursery"] else main(*sys.argv[1:]))
