"""Commands as a person types them: in a process of their own, or in this one where that is enough."""

from __future__ import annotations

import csv
import json
import os
import pty
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seedbed.cli import run

PATIENCE = 120.0
SUMMARY, TOPIC = "summary: one sentence", "topic: one of algebra, geometry"


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def told(self) -> list[str]:
        """The lines of an error, short and without a traceback."""
        assert "Traceback" not in self.err
        return self.err.splitlines()


def in_process(capsys: pytest.CaptureFixture[str], *words: object) -> Ended:
    capsys.readouterr()
    code = run([str(word) for word in words])
    captured = capsys.readouterr()
    return Ended(code, captured.out, captured.err)


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI", "SEEDBED"))}
    return {**kept, **more}


def start(folder: Path, *words: object, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "seedbed", *map(str, words)],
        cwd=folder,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def in_shell(folder: Path, *words: object, **more: str) -> Ended:
    process = start(folder, *words, **more)
    out, err = process.communicate(timeout=120)
    return Ended(process.returncode, out, err)


def until(condition: Callable[[], bool], patience: float = 120.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for did not happen"
        threading.Event().wait(0.01)


def questions(path: Path, count: int, first: int = 1) -> Path:
    """A CSV of questions, or more rows at its end."""
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(["id", "question"])
        writer.writerows([n, f"What is Q{n}Z, or so?"] for n in range(first, first + count))
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def at_terminal(folder: Path, *words: object, answer: str = "", **more: str) -> Ended:
    """A command on a pseudo-terminal; ``answer`` is typed when a question ends in ``[y/N]``."""
    command = [sys.executable, "-m", "seedbed", *map(str, words)]
    kept = environment(TERM="xterm", COLUMNS="120", LINES="40", **more)
    if "CI" not in more:
        kept.pop("CI", None)
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=folder, env=kept, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while True:
            if not select.select([ours], [], [], PATIENCE)[0]:
                process.kill()
                raise AssertionError(f"nothing was said for {PATIENCE:g} s: {seen.decode('utf-8', 'replace')}")
            try:
                part = os.read(ours, 65_536)
            except OSError:  # the other side is closed: the process has ended
                break
            if not part:
                break
            seen += part
            if answer and seen.rstrip().endswith(b"[y/N]"):
                os.write(ours, f"{answer}\n".encode())
                answer = ""
    os.close(ours)
    return Ended(process.returncode, seen.decode("utf-8", "replace"), "")


_AT_ITS_TERMINAL = """
import fcntl, runpy, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C is the terminal's to send
runpy.run_module("seedbed", run_name="__main__")
"""


def typed(folder: Path, words: Sequence[object], script: Sequence[tuple[str, str]]) -> Ended:
    """A command on a pseudo-terminal at which a person waits for a text and then types, again and again."""
    command = [sys.executable, "-c", _AT_ITS_TERMINAL, *map(str, words)]
    ours, theirs = pty.openpty()
    waiting = list(script)
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment(TERM="xterm", COLUMNS="120", LINES="40"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        seen, since = b"", 0
        while True:
            if not select.select([ours], [], [], PATIENCE)[0]:
                process.kill()
                raise AssertionError(f"nothing was said for {PATIENCE:g} s: {seen.decode('utf-8', 'replace')}")
            try:
                part = os.read(ours, 65_536)
            except OSError:  # the other side is closed: the process has ended
                break
            if not part:
                break
            seen += part
            while waiting and (place := seen.find(waiting[0][0].encode(), since)) >= 0:
                since = place + len(waiting[0][0].encode())
                os.write(ours, waiting.pop(0)[1].encode())
    os.close(ours)
    assert not waiting, (waiting, seen.decode("utf-8", "replace"))
    return Ended(process.returncode, seen.decode("utf-8", "replace"), "")
