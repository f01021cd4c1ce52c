"""A headless program that plays a model. It keeps its own books, and does what its manners say.

    fake.py --model M --home DIR [--file PROMPT | --text PROMPT] [--answer FILE] [--allowed TOOLS]

``DIR/ledger.jsonl`` has a line for each start and each answer; ``DIR/manners.json`` says how it behaves. Standard
library only: it is run as a real process, by its own first line.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def main(words: list[str]) -> None:
    given = dict(zip(words[::2], words[1::2], strict=False))
    home = Path(given["--home"])
    manners = json.loads((home / "manners.json").read_text())
    prompt = Path(given["--file"]).read_text() if "--file" in given else given["--text"]
    keys = re.findall(r"Q\d+Z", prompt)
    start = {
        "event": "start", "pid": os.getpid(), "arguments": words, "model": given["--model"], "keys": keys,
        "prompt": prompt, "environment": sorted(os.environ), "folder": str(Path.cwd()), "read": sys.stdin.read(),
    }  # fmt: skip
    with Books(home) as books:
        earlier = books.read(home, "start")
        said = _said(manners, books, keys)
        books.note({**start, "said": said is not None})
    _start_others(home, manners)
    if manners.get("meets"):  # both have started before either answers
        _wait(lambda: len(Books.read(home, "start")) >= int(manners["meets"]))
    if set(manners.get("hangs", ())) & set(keys):
        if manners.get("stubborn"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        Path(home, f"hangs-{os.getpid()}").touch()
        _wait(lambda: False)
    if manners.get("kills_guard") in keys and sum(manners["kills_guard"] in each["keys"] for each in earlier) == 0:
        os.kill(os.getppid(), signal.SIGKILL)
        _wait(lambda: False)
    if said is not None:
        sys.stderr.write(said.get("errors", ""))
        sys.stdout.write(said.get("out", ""))
        sys.exit(said.get("exit", 1))
    answer = manners.get("answer", _answer(prompt, manners)).encode("latin-1" if manners.get("binary") else "utf-8")
    if "--answer" in given or "file" in manners:
        sys.stdout.write("working ...\n429: line of a transcript\n")
        Path(given.get("--answer", manners.get("file"))).write_bytes(answer)
    else:
        sys.stdout.buffer.write(answer)
    sys.stderr.write(manners.get("chatter", ""))
    with Books(home) as books:
        books.note({"event": "answer", "pid": os.getpid(), "keys": keys})
    sys.exit(manners.get("exit", 0))


class Books:
    """The program's own ledger, under a lock: several of them run at once."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __enter__(self) -> Books:
        self.file = (self.home / "ledger.jsonl").open("a")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def note(self, line: dict[str, Any]) -> None:
        self.file.write(json.dumps({**line, "at": time.monotonic()}) + "\n")
        self.file.flush()

    @staticmethod
    def read(home: Path, event: str) -> list[dict[str, Any]]:
        """Of whole lines: another program may just be writing one."""
        path = home / "ledger.jsonl"
        whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
        lines = [json.loads(line) for line in whole.split("\n") if line]
        return [line for line in lines if line["event"] == event]


def _said(manners: dict[str, Any], books: Books, keys: list[str]) -> dict[str, Any] | None:
    """What it says in place of an answer, if anything."""
    earlier = books.read(books.home, "start")
    taken = sum(len(each["keys"]) for each in earlier if not each["said"])
    if "closes_at" in manners:
        return manners["says"] if taken + len(keys) > manners["closes_at"] else None
    if "first" in manners:
        return manners["says"] if len(earlier) < manners["first"] else None
    if "fails_for" in manners and manners["fails_for"] not in keys:
        return None
    return manners.get("says")


def _start_others(home: Path, manners: dict[str, Any]) -> None:
    """Children that would run on: one of the same group, one that has left it, and a child of that."""
    for kind in manners.get("starts", ()):
        command = ["sh", "-c", "sleep 1000 & echo $!; sleep 1000"] if kind == "family" else ["sleep", "1000"]
        child = subprocess.Popen(command, start_new_session=kind != "same group", stdout=subprocess.PIPE)
        pids = [child.pid]
        if kind == "family" and child.stdout is not None:
            pids.append(int(child.stdout.readline()))
        with Books(home) as books:
            books.note({"event": "child", "pids": pids})


def _answer(prompt: str, manners: dict[str, Any]) -> str:
    """The summary of each item, under the key that the prompt gives it."""
    parts = re.split(r"^## (item-\d+)$", prompt, flags=re.MULTILINE)
    if len(parts) == 1:
        return json.dumps(_summary(prompt, manners))
    answers = []
    for label, text in zip(parts[1::2], parts[2::2], strict=True):
        key = manners.get("keys", {}).get(label, label)
        if key is not None:
            answers.append({"key": key, **_summary(text, manners)})
    return json.dumps({"answers": answers})


def _summary(text: str, manners: dict[str, Any]) -> dict[str, str]:
    found = re.search(r"Q\d+Z", text)
    return {"summary": f"{found[0] if found else 'nothing'}{manners.get('more', '')}"}


def _wait(condition: Any) -> None:
    while not condition():
        time.sleep(0.005)


if __name__ == "__main__":
    main(sys.argv[1:])
