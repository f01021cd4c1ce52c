"""Runs whose process is gone: the next command of any kind gives them their end and their page."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from seedbed.engine.logs import write_page
from seedbed.engine.projects.clock import now_ms
from seedbed.engine.projects.project import Project, this_host
from seedbed.ports.state import RunRow, State

NEWEST = 50
"""Runs that are looked at for a page that is wanting; one that was older had fifty commands to give it."""


def finish_killed_runs(project: Project, state: State) -> list[str]:
    """Runs whose process is gone get their end and their page: status partial."""
    ended = []
    for row in state.runs(limit=1000, status="running"):
        if row.host == this_host() and _alive(row.pid):
            continue
        state.close_run(row.id, "partial", 137, "The process was killed.", now_ms())
        closed = state.run(row.id)
        if closed is not None:
            _give_page(project, state, closed)
        ended.append(row.id)
    for row in state.runs(limit=NEWEST):  # killed after its end was noted, before its page was
        if row.status != "running" and not row.page and not (row.host == this_host() and _alive(row.pid)):
            _give_page(project, state, row)
    return ended


def _give_page(project: Project, state: State, row: RunRow) -> None:
    path = write_page(project, state, row, {})
    state.set_page(row.id, str(path.relative_to(project.root)))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError):  # Linux: a process that is dead and not yet buried answers signals too
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    return True
