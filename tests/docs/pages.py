"""Documentation pages: their fenced blocks, and how the commands in them are run and compared."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seedbed.cli import run

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_SIMULATOR = re.compile(r"^<!-- simulator: (?P<settings>\{.*\}) -->$", re.MULTILINE)
_PROGRESS = re.compile(r"^\d\d:\d\d:\d\d ")
PATIENCE = 120.0


@dataclass(frozen=True)
class Step:
    """A command as it stands on the page, and the lines that stand below it."""

    command: str
    expected: tuple[str, ...]
    exit_code: int
    line: int


@dataclass(frozen=True)
class Block:
    language: str
    body: str
    line: int
    options: Mapping[str, str] = field(default_factory=dict)

    def steps(self) -> Iterator[Step]:
        """The commands of a console block; ``exit=N`` is said of its last one."""
        found: list[tuple[int, str, list[str]]] = []
        for number, line in enumerate(self.body.splitlines(), self.line + 1):
            if line.startswith("$ "):
                found.append((number, line[2:], []))
            elif line.startswith("> ") and found and not found[-1][2]:
                found[-1] = (found[-1][0], f"{found[-1][1]}\n{line[2:]}", [])
            elif found:
                found[-1][2].append(line)
            else:
                raise AssertionError(f"line {number}: a console block begins with a command")
        for place, (number, command, expected) in enumerate(found, 1):
            code = int(self.options.get("exit", "0")) if place == len(found) else 0
            yield Step(command, tuple(expected), code, number)


def blocks(text: str) -> list[Block]:
    found = []
    for fence in _FENCE.finditer(text):
        language, *words = fence["info"].split() or [""]
        options = {name: value for name, _, value in (word.partition("=") for word in words)}
        found.append(Block(language, fence["body"], text.count("\n", 0, fence.start()) + 1, options))
    return found


def simulator_settings(text: str) -> dict[str, Any]:
    """What a page asks of the simulator, in a comment: ``<!-- simulator: {"latency_ms": 100} -->``."""
    found = _SIMULATOR.search(text)
    settings = json.loads(found["settings"]) if found else {}
    assert isinstance(settings, dict)
    return settings


# ------------------------------------------------------------------------------------------- running


@dataclass
class Shell:
    """A fresh folder in which the commands of one page are run, one after the other.

    Plain ``seedbed`` commands run in this process, by the function that the command line calls;
    with ``apart`` all of them run as a person would run them.
    """

    root: Path
    environment: Mapping[str, str]
    apart: bool = False
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.root

    def put(self, name: str, text: str) -> None:
        path = (self.root / name).resolve()
        assert path.is_relative_to(self.root.resolve()), f"{name} lies outside of the page's folder"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def run(self, command: str, *, without_key: bool = False) -> tuple[int, list[str]]:
        """Exit code and lines: what was said on stderr, apart from progress, and then what was printed."""
        environment = dict(self.environment)
        if without_key:
            del environment["OPENAI_API_KEY"], environment["OPENAI_BASE_URL"]
        if command.startswith("cd "):
            self.folder = self.folder / command[3:].strip()
            return 0, []
        if command.startswith("seedbed ") and _needs_no_shell(command) and not self.apart:
            code, out, err = self._here(shlex.split(command)[1:], environment)
        else:
            code, out, err = self._there(command, environment)
        told = [line for line in err.splitlines() if not _PROGRESS.match(line)]
        return code, [*told, *out.splitlines()]

    def _here(self, words: list[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        kept, place, argv = dict(os.environ), Path.cwd(), sys.argv
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(self.folder)
        sys.argv = ["seedbed", *words]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = run(words)
        finally:
            os.chdir(place)
            os.environ.clear()
            os.environ.update(kept)
            sys.argv = argv
        return code, out.getvalue(), err.getvalue()

    def _there(self, command: str, environment: Mapping[str, str]) -> tuple[int, str, str]:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        code = done.returncode if done.returncode >= 0 else 128 - done.returncode  # a shell says signals so
        return code, done.stdout, done.stderr


def _needs_no_shell(command: str) -> bool:
    """Whether words and quotes are all that a command is made of."""
    words = shlex.shlex(command, posix=True, punctuation_chars=True)
    return not set("$`\\*~\n") & set(command) and not any(set(word) <= set("();<>|&") for word in words)


# ----------------------------------------------------------------------------------------- comparing


def agrees(expected: tuple[str, ...], lines: list[str]) -> bool:
    """Whether lines are as a page says. ``...`` is anything: alone any lines, within a line any text.

    How many blanks stand between words does not count. A command without lines below it is not compared.
    """
    if not any(line.strip() for line in expected):
        return True
    wanted = "".join(_pattern(_plain(line)) for line in _trimmed(expected))
    return re.fullmatch(wanted, "".join(f"{_plain(line)}\n" for line in _trimmed(lines))) is not None


def _plain(line: str) -> str:
    return " ".join(line.split())


def _trimmed(lines: tuple[str, ...] | list[str]) -> list[str]:
    return "\n".join(lines).strip("\n").splitlines()


def _pattern(line: str) -> str:
    if line == "...":
        return r"(?:[^\n]*\n)*?"
    return r"[^\n]*?".join(re.escape(part) for part in line.split("...")) + r"\n"
