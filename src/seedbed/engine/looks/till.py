"""The till from outside: each common cap with what is spent and held under it, and by whom."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from seedbed.engine.looks.look import looking
from seedbed.engine.projects.caps import purses_of
from seedbed.engine.projects.clock import now_ms
from seedbed.engine.projects.project import Project, this_host, utc_text
from seedbed.errors import Locked, UsageError, nearest
from seedbed.ports.state import State
from seedbed.ports.state.leases import RATE, Lease, Wanted


@dataclass(frozen=True)
class CapLine:
    """A cap over all processes. ``held`` is what processes may still spend of it, ``left`` what nobody has."""

    name: str
    cap: int
    spent: int
    held: int
    unknown: int

    @property
    def left(self) -> int:
        return self.cap - self.spent - self.held


@dataclass(frozen=True)
class HolderLine:
    """A process that holds money. ``alive`` is None where it works on another machine and was heard of lately."""

    holder: str
    host: str
    pid: int
    run: str
    heard: str
    held: int
    alive: bool | None


@dataclass(frozen=True)
class TillReport:
    caps: Sequence[CapLine]
    holders: Sequence[HolderLine]


def till(project: Project) -> TillReport:
    """How the common caps stand. Writes nothing."""
    with looking(project) as look:
        leases = [lease for lease in look.state.leases() if not lease.purse.startswith(RATE)]
        caps = []
        for purse in purses_of(project).all(now_ms()):
            spent, unknown = look.state.spent_of(
                Wanted(purse.id, purse.cap, 0, 0, 0, purse.stage, purse.since, purse.until)
            )
            held = sum(lease.held for lease in leases if lease.purse == purse.id)
            caps.append(CapLine(purse.label, purse.cap, spent, held, unknown))
        return TillReport(caps, _holders(project, leases))


def _holders(project: Project, leases: Sequence[Lease]) -> list[HolderLine]:
    locks, now = project.locks(), now_ms()
    lines = []
    for name in dict.fromkeys(lease.holder.name for lease in leases):
        own = [lease for lease in leases if lease.holder.name == name]
        holder = own[0].holder
        expires = max(lease.holder.expires for lease in own)
        alive: bool | None = None if expires > now else False
        if holder.host == this_host():
            alive = locks.is_working(holder.run)
        held = max(lease.held for lease in own)
        lines.append(
            HolderLine(name, holder.host, holder.pid, holder.run, utc_text(max(expires, holder.at)), held, alive)
        )
    return lines


def release(project: Project, holder: str, *, dry_run: bool = False) -> HolderLine:
    """Give free what a process that ended holds. Raises Locked for one that lives, UsageError for one unknown."""
    with closing(project.state()) as state:
        line = _line(project, state, holder)
        if line.alive is not False:
            raise Locked(
                f"The process {holder} works; its money is its own.",
                why=f"pid {line.pid} on {line.host}, {line.run}",
                hint="Stop it first, or wait until it was not heard of for a minute.",
            )
        if not dry_run:
            released = state.release(holder)
            held = {lease.purse: lease.held for lease in released}
            state.note(f"released.{holder}", {"at": utc_text(), "host": line.host, "run": line.run, "held": held})
        return line


def _line(project: Project, state: State, holder: str) -> HolderLine:
    lines = _holders(project, state.leases())
    for line in lines:
        if line.holder == holder:
            return line
    raise UsageError(f"No process {holder} holds money.", hint=nearest(holder, [line.holder for line in lines]))
