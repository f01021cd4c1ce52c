"""Lines for the system's scheduler: what they say, and how ours are told from those of others.

Formats: crontab(5) (``minute hour day month weekday command``, where ``%`` stands for a newline unless escaped) and
systemd.timer(5) with its ``OnCalendar=`` in UTC.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

MARK = "# seedbed"


@dataclass(frozen=True, slots=True)
class Fire:
    """A moment of each day, or of one day of the week (0 is Monday); ``hour`` None is each hour."""

    minute: int
    hour: int | None = None
    weekday: int | None = None

    def cron(self) -> str:
        """The five fields; cron counts the days of the week from Sunday."""
        hour = "*" if self.hour is None else str(self.hour)
        day = "*" if self.weekday is None else str((self.weekday + 1) % 7)
        return f"{self.minute} {hour} * * {day}"

    def calendar(self) -> str:
        """As ``OnCalendar`` has it, in UTC."""
        hour = "*" if self.hour is None else f"{self.hour:02}"
        day = "" if self.weekday is None else f"{('Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun')[self.weekday]} "
        return f"{day}*-*-* {hour}:{self.minute:02}:00 UTC"


def command_line(root: str, program: Sequence[str], log: str) -> str:
    """What is run, with no terminal, session, profile or environment. ``log`` lies in a folder in ``root``."""
    words = " ".join(shlex.quote(word) for word in program)
    folder = log.rpartition("/")[0] or "."
    return f"cd {shlex.quote(root)} && mkdir -p {shlex.quote(folder)} && {words} >> {shlex.quote(log)} 2>&1"


def cron_lines(fires: Sequence[Fire], command: str, tag: str) -> list[str]:
    """One line for each fire, marked as ours."""
    escaped = command.replace("%", r"\%")
    return [f"{fire.cron()} {escaped} {MARK} {tag}" for fire in fires]


def with_lines(crontab: str, tag: str, lines: Sequence[str]) -> str:
    """The crontab with our lines of this tag replaced; each other line stays as it is, in its place."""
    kept = [line for line in crontab.splitlines() if not is_ours(line, tag)]
    text = "\n".join([*kept, *lines])
    return f"{text}\n" if text else ""


def is_ours(line: str, tag: str) -> bool:
    return line.rstrip().endswith(f"{MARK} {tag}") and not line.lstrip().startswith("#")


def systemd_units(name: str, fires: Sequence[Fire], command: str, description: str) -> dict[str, str]:
    """File name → text of a service and the timer that starts it."""
    shell = command.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    head = f"[Unit]\nDescription={description}\n\n"
    service = f'{head}[Service]\nType=oneshot\nExecStart=/bin/sh -c "{shell}"\n'
    times = "".join(f"OnCalendar={fire.calendar()}\n" for fire in fires)
    timer = f"{head}[Timer]\n{times}Persistent=true\n\n[Install]\nWantedBy=timers.target\n"
    return {f"{name}.service": service, f"{name}.timer": timer}
