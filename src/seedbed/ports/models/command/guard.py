"""Runs one program and ends it with all that it has started: when it ends, at its time limit, or when nobody waits.

A process of its own, run by its path and with few imports. Its standard input is a pipe that nobody writes to: the
end of that says that whoever started it is gone, or has no use for the program any more. What became of the program
is told on another pipe, as one line: ``exit CODE WHY``, ``signal NUMBER WHY``, or ``error WORDS`` where it never ran.

    python guard.py STATUS_FD SECONDS FOLDER PROGRAM [ARGUMENT ...]

On Linux whatever the program has started is found, also what left its process group; elsewhere the group is ended.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress

GRACE = 2.0
"""Seconds between asking a program to end and making it end."""
SWEEP = 10.0
"""Seconds in which all that it has left is to be ended."""
_LINUX = sys.platform == "linux"
_PDEATHSIG, _SUBREAPER = 1, 36
_ASKED: list[int] = []
"""Signals that asked this process to end."""


def main(words: list[str]) -> None:
    status, seconds, folder, *program = words
    told = int(status)
    os.set_inheritable(told, False)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, _noted)
    _prctl(_SUBREAPER, 1)
    child, wrong = _start(program)
    said = f"error {wrong}" if wrong else _watch(child, time.monotonic() + float(seconds), woken)
    if _is_gone():  # nobody is there to clean up
        import shutil

        shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        os.write(told, said.encode())


def _noted(number: int, _frame: object) -> None:
    if number != signal.SIGCHLD:
        _ASKED.append(number)


def _start(program: list[str]) -> tuple[int, str]:
    """The program's process, in a session of its own and with nothing to read; and why it did not run."""
    failed, fails = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            _prctl(_PDEATHSIG, signal.SIGKILL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            os.execv(program[0], program)  # noqa: S606 - without a shell is what is wanted
        except OSError as error:
            os.write(fails, (error.strerror or "it does not run").encode())
        finally:
            os._exit(127)
    os.close(fails)
    with os.fdopen(failed, "rb") as said:
        wrong = said.read().decode()
    if wrong:
        os.waitpid(child, 0)
    return child, wrong


def _watch(child: int, deadline: float, woken: int) -> str:
    """How the program ended. None of what it started runs on."""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(woken, select.POLLIN)
    why = ""
    while (ended := _reaped(child)) is None:
        left = deadline - time.monotonic()
        if left <= 0 or _ASKED or _is_gone():
            why = "limit" if left <= 0 else "stopped"
            ended = _end(child)
            break
        poll.poll(left * 1000 + 1)
        while select.select([woken], [], [], 0)[0]:
            os.read(woken, 512)
    _sweep(child)
    if os.WIFSIGNALED(ended):
        return f"signal {os.WTERMSIG(ended)} {why}"
    return f"exit {os.WEXITSTATUS(ended)} {why}"


def _end(child: int) -> int:
    """Ask the program's group to end, then make it."""
    until = time.monotonic() + GRACE
    _signal_group(child, signal.SIGTERM)
    while (ended := _reaped(child)) is None:
        if time.monotonic() > until:
            _signal_group(child, signal.SIGKILL)
            return os.waitpid(child, 0)[1]
        time.sleep(0.02)
    return ended


def _reaped(child: int) -> int | None:
    pid, ended = os.waitpid(child, os.WNOHANG)
    return ended if pid else None


def _sweep(child: int) -> None:
    """End what is left of the group, then orphans that came to us, and theirs, until there are none."""
    _signal_group(child, signal.SIGKILL)
    until = time.monotonic() + SWEEP
    while time.monotonic() < until:
        for orphan in _children():
            with suppress(OSError):
                os.kill(orphan, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


def _children() -> list[int]:
    """Processes whose parent this one is: on Linux also what lost its own parent somewhere below."""
    own, found = os.getpid(), []
    with suppress(OSError), os.scandir("/proc" if _LINUX else "/nowhere") as entries:
        for entry in entries:
            if entry.name.isdecimal() and _parent(entry.name) == own:
                found.append(int(entry.name))
    return found


def _parent(process: str) -> int:
    try:
        stat = os.open(f"/proc/{process}/stat", os.O_RDONLY)
    except OSError:
        return 0
    try:
        return int(os.read(stat, 4096).rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return 0
    finally:
        os.close(stat)


def _signal_group(child: int, number: int) -> None:
    with suppress(OSError):
        os.killpg(child, number)


def _is_gone() -> bool:
    """Whether the other end of our standard input is closed."""
    return bool(select.select([0], [], [], 0)[0]) and not os.read(0, 1)


def _prctl(option: int, value: int) -> None:
    if _LINUX:
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
