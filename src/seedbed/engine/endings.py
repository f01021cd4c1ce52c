"""Runs whose process is gone: the next command of any kind gives them their end and their page."""

from __future__ import annotations

from seedbed.engine.logs import write_page
from seedbed.engine.projects.clock import now_ms
from seedbed.engine.projects.project import Project
from seedbed.ports.state import RunRow, State

NEWEST = 50
"""Runs that are looked at for a page that is wanting; one that was older had fifty commands to give it."""


def finish_killed_runs(project: Project, state: State) -> list[str]:
    """Runs whose process is gone get their end and their page: status partial."""
    ended = []
    locks = project.locks()
    for row in state.runs(limit=1000, status="running"):
        if locks.is_working(row.id):
            continue
        state.close_run(row.id, "partial", 137, "The process was killed.", now_ms())
        closed = state.run(row.id)
        if closed is not None:
            _give_page(project, state, closed)
        ended.append(row.id)
    for row in state.runs(limit=NEWEST):  # killed after its end was noted, before its page was
        if row.status != "running" and not row.page and not locks.is_working(row.id):
            _give_page(project, state, row)
    return ended


def _give_page(project: Project, state: State, row: RunRow) -> None:
    path = write_page(project, state, row, {})
    state.set_page(row.id, str(path.relative_to(project.root)))
