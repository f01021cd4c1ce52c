"""A headless program as a model: one process a call, its answer on standard output or in a file.

Each program runs in an empty folder of its own, with nothing to read, with the environment that is named and no more,
and under a guard that ends it with all that it has started. Arguments are a list; no shell sees them.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from shutil import rmtree
from typing import Any

from seedbed.errors import NotReadable
from seedbed.ports.models import Answer, Target, Trouble, Wire
from seedbed.ports.models.command.program import ANSWER, STDOUT, Means, Program, filled, names_in
from seedbed.ports.models.command.resets import seconds_until
from seedbed.records import Reply, Request

GUARD = str(Path(__file__).with_name("guard.py"))
LONGEST_ANSWER = 32 * 1024 * 1024
LONGEST_ARGUMENT = 128 * 1024 - 1
"""Bytes that Linux takes as one argument of a program."""
READ_OF_ERRORS = 16 * 1024
"""Bytes of the error channel, the last ones, in which marks are looked for."""
KEPT_OF_ERRORS = 2000
"""Characters of it that stay with a receipt."""
AFTER_ITS_END = 30.0
"""Seconds that a guard may take to end a program and to say so, on a machine that is busy."""

_ASKED = "Answer with one JSON document that fits this JSON Schema, and with nothing else:\n"
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_LIMITS: tuple[Means, ...] = ("session_limit", "rate_limit")


@dataclass(frozen=True, slots=True)
class _Ended:
    """What became of a program. ``error``: it was never started. ``why``: its limit, or it was stopped."""

    code: int | None
    words: str
    out: bytes
    errors: str
    why: str = ""
    error: str = ""


class Command:
    """``Completer`` for a program. ``now`` is Unix time in milliseconds."""

    bounded = False
    """Nothing says how many tokens a program uses: only a ceiling of money bounds a call."""

    def __init__(self, program: Program, now: Callable[[], int]) -> None:
        self.program = program
        self._now = now

    # ---- pure

    def wire(self, request: Request, target: Target, *, stream: bool = False) -> Wire:
        """The program's arguments, the prompt and the shape, as JSON. Files get their names when it starts."""
        body: dict[str, Any] = {"program": self.program.for_model(target.model), "prompt": prompt_of(request)}
        if request.shape is not None:
            body["shape"] = request.shape
        return Wire("", json.dumps(body, ensure_ascii=False, default=dict).encode("utf-8", "surrogatepass"), {})

    def read(self, answer_format: str, status: int, body: bytes) -> Reply:
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            raise NotReadable(f"the program's answer is not UTF-8 text (byte {error.start})", code="not_text") from None
        # as a shell takes it: the line's end is the terminal's, not the answer's
        return Reply(text.rstrip("\r\n"), None, "", "stop" if text.strip() else "empty")

    def learn(self, target: Target, status: int, body: bytes) -> bool:
        return False

    # ---- the world

    async def open(self, concurrency: int) -> None:
        pass

    async def close(self) -> None:
        pass

    async def send(self, wire: Wire, target: Target) -> Answer:
        """Raises Trouble where no answer came. Cancelled, it ends the program first."""
        asked = json.loads(wire.body.decode("utf-8", "surrogatepass"))
        folder = Path(tempfile.mkdtemp(prefix="seedbed-"))
        try:
            arguments, wrong = self._prepared(asked, folder)
            if wrong is not None:
                return wrong
            ended = await _run(arguments, folder, self.program.environment, target.timeout)
            return self._answer(replace(ended, errors=self.program.hidden(ended.errors)), folder, target)
        finally:
            rmtree(folder, ignore_errors=True)

    def _prepared(self, asked: Mapping[str, Any], folder: Path) -> tuple[tuple[str, ...], Answer | None]:
        """The arguments with the files that they speak of; or why this prompt cannot be given to a program."""
        try:
            prompt = asked["prompt"].encode()
        except UnicodeEncodeError:
            return (), self._declined(400, "bad_request", "the prompt holds half of a surrogate pair")
        names = names_in(asked["program"])
        if "prompt" in names and len(prompt) > LONGEST_ARGUMENT:
            words = f"the prompt has {len(prompt):,} bytes, more than an argument may have; use {{prompt_file}}"
            return (), self._declined(400, "context_length", words)
        if "prompt" in names and b"\0" in prompt:
            words = "the prompt holds a NUL character, which no argument may; use {prompt_file}"
            return (), self._declined(400, "bad_request", words)
        values = {"prompt": _no_option(asked["prompt"])}
        files = {"prompt_file": ("prompt.txt", prompt), "shape_file": ("shape.json", _json(asked.get("shape", {})))}
        for name, (file, content) in files.items():
            if name in names:
                (folder / file).write_bytes(content)
                values[name] = str(folder / file)
        values["answer"] = str(folder / "answer")
        return filled(asked["program"], values.get), None

    def _answer(self, ended: _Ended, folder: Path, target: Target) -> Answer:
        """What counts, in this order: a whole answer of a program that ended well; marks; trouble."""
        name = self.program.name
        if ended.error:
            raise Trouble("connect", f"{name} cannot be started: {ended.error}")
        if ended.why == "limit":
            raise Trouble("timeout", f"{name} gave no answer within {target.timeout:g} s and was ended")
        if ended.why:
            raise Trouble("cut", f"{name} was ended")
        body, lacks = self._body(ended, folder) if ended.code == 0 else (b"", ended.words)
        if body.strip() and not lacks:
            return Answer(200, self._headers(ended), body, "stdout")
        means = self.program.meaning(ended.code, ended.errors)
        if means is not None:
            return self._refused(*means)
        if not lacks:  # it ended well, and has nothing to say
            return Answer(200, self._headers(ended), body, "stdout")
        last = " ".join(ended.errors.split())[-200:]
        raise Trouble("failed", f"{name}: {lacks}{last and ': '}{last}")

    def _body(self, ended: _Ended, folder: Path) -> tuple[bytes, str]:
        """The answer; or what is wrong with the file that should hold it."""
        if self.program.answer == STDOUT:
            return ended.out, ""
        file = "answer" if self.program.answer == ANSWER else self.program.answer
        try:
            return _content(folder / file), ""
        except OSError as error:
            return b"", f"it ended well but left no answer file ({error.strerror})"

    def _headers(self, ended: _Ended) -> dict[str, str]:
        headers = {"exit-code": str(ended.code)}
        if kept := ended.errors.strip()[-KEPT_OF_ERRORS:]:
            headers["stderr"] = kept
        return headers

    def _refused(self, means: Means, words: str) -> Answer:
        """A limit, a login or a filter, as an endpoint's refusal of the request would say it."""
        now = datetime.fromtimestamp(self._now() / 1000, UTC)
        shown = " ".join(words.split())[:160]
        if means == "login_expired":
            said = f' ("{shown[:80]}")' if shown else ""
            how = f"; log in with: {self.program.login}" if self.program.login else ""
            return self._declined(401, means, f"{self.program.name} is not logged in{said}{how}")
        if means not in _LIMITS:
            return self._declined(400, "content_filter", shown)
        return self._declined(429, means, shown, now, seconds_until(words, now.astimezone()))

    def _declined(
        self, status: int, code: str, message: str, now: datetime | None = None, wait: float | None = None
    ) -> Answer:
        error: dict[str, Any] = {"code": code, "message": message}
        if wait is not None:
            error["resets_in_seconds"] = wait
        headers = {} if now is None else {"date": format_datetime(now, usegmt=True)}
        return Answer(status, headers, json.dumps({"error": error}).encode(), "stdout")


def prompt_of(request: Request) -> str:
    """All messages as one text, and the shape that is asked for."""
    parts = [message.text for message in request.messages]
    if request.shape is not None:
        parts.append(_ASKED + json.dumps(request.shape, ensure_ascii=False, default=dict))
    return "\n\n".join(parts)


def _no_option(prompt: str) -> str:
    """A prompt that begins with a dash would be an option of the program; a line break keeps it a text."""
    return f"\n{prompt}" if prompt.startswith("-") else prompt


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _content(path: Path) -> bytes:
    """A plain file of the program's own: never what a link points to, nor a pipe. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "it is no plain file")
        if found.st_size > LONGEST_ANSWER:
            raise OSError(0, f"it is longer than {LONGEST_ANSWER // 1024 // 1024} MB")
        return file.read(LONGEST_ANSWER)


# ------------------------------------------------------------------------------------ the process


async def _run(arguments: tuple[str, ...], folder: Path, environment: Mapping[str, str], seconds: float) -> _Ended:
    """Start the program under its guard and wait until nothing of it runs any more."""
    told, tells = os.pipe()
    guard = None
    try:
        guard = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-B", GUARD, str(tells), str(seconds), str(folder), *arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            cwd=folder, env=dict(environment), start_new_session=True, pass_fds=(tells,),
        )  # fmt: skip
    except OSError as error:
        return _Ended(None, "", b"", "", error=error.strerror or str(error))
    finally:
        os.close(tells)
        if guard is None:
            os.close(told)
    try:
        async with asyncio.timeout(seconds + AFTER_ITS_END):
            out, errors, _ = await asyncio.gather(_whole(guard), _tail(guard), guard.wait())
    except TimeoutError:
        out, errors = b"", b""
    finally:
        await _end(guard)
        with os.fdopen(told, "rb") as status:
            how, _, said = status.read(4096).decode("utf-8", "replace").partition(" ")
    words = _CONTROLS.sub("", errors.decode("utf-8", "replace"))
    if how == "error":
        return _Ended(None, "", b"", "", error=said)
    if len(out) > LONGEST_ANSWER:
        return _Ended(None, f"its answer is longer than {LONGEST_ANSWER // 1024 // 1024} MB", b"", words)
    number, _, why = said.partition(" ")
    if how == "exit":
        return _Ended(int(number), f"exit code {number}", out, words, why)
    return _Ended(None, f"ended by signal {number}", b"", words, why if how else "stopped")


async def _whole(guard: asyncio.subprocess.Process) -> bytes:
    """Standard output to its end; one that is too long ends the program."""
    if guard.stdout is None:
        raise AssertionError("the output is a pipe")
    parts, size = [], 0
    while part := await guard.stdout.read(65_536):
        if size <= LONGEST_ANSWER:
            parts.append(part)
            size += len(part)
        else:
            _let_go(guard)
    return b"".join(parts)


async def _tail(guard: asyncio.subprocess.Process) -> bytes:
    """The last of the error channel."""
    if guard.stderr is None:
        raise AssertionError("the error channel is a pipe")
    kept = b""
    while part := await guard.stderr.read(65_536):
        kept = (kept + part)[-READ_OF_ERRORS:]
    return kept


def _let_go(guard: asyncio.subprocess.Process) -> None:
    """The guard sees the end of its input, and ends the program with all that it has started."""
    if guard.stdin is not None:
        guard.stdin.close()


async def _end(guard: asyncio.subprocess.Process) -> None:
    """Whatever happens, the program does not outlive the call."""
    _let_go(guard)
    if guard.returncode is not None:
        return
    # a pipe that nobody reads would keep its process waiting
    ending = [asyncio.ensure_future(each) for each in (guard.wait(), _whole(guard), _tail(guard))]
    await asyncio.wait(ending, timeout=AFTER_ITS_END)
    if guard.returncode is None:
        with suppress(OSError):
            guard.kill()
        await asyncio.wait(ending[:1], timeout=AFTER_ITS_END)
    for each in ending:
        each.cancel()
