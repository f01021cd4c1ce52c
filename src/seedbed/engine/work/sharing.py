"""This process's part of limits that several processes share: leases in the state, from a thread of its own.

Calls are let in from the part in memory; once a second the state is told that the process lives, whether its calls
wait, and what it wants. A process that was killed is known by its lock, one that stands still by its lease: what it
held is then free for the others. Where no limit is known nothing is written.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from seedbed.engine.projects.clock import now_ms
from seedbed.engine.projects.locks import Locks
from seedbed.engine.projects.project import Project, this_host, utc_text
from seedbed.engine.work.places import Lanes
from seedbed.errors import SeedbedError
from seedbed.policy.limits import Lane, Quota
from seedbed.policy.sharing import WHOLE, Member, claim
from seedbed.ports.state import State
from seedbed.ports.state.leases import RATE, Holder, Lease, Wanted

BEAT = 1.0
"""Seconds between two signs of life."""
SOON = 0.2
"""The same for a process that holds nothing and wants something."""
EXPIRES = 10_000
"""Milliseconds after which a process that gave no sign has lost its part."""
_TODAY = f"{RATE}of a day: "
_PARTS = f"{RATE}parts of "
_WAITS = f"{RATE}waits for "
_MANY = 2**31


@dataclass
class _Drawn:
    """What this process holds of a day's limit: ``before`` is what the quota had counted when it began."""

    quota: Quota
    before: float
    held: int = 0


class Sharing:
    """One process's parts of all its limits, from :meth:`start` to :meth:`close`."""

    def __init__(self, project: Project, lanes: Lanes, locks: Locks, run: str, pid: int) -> None:
        self.changed: Callable[[], None] = lambda: None
        """Called on this thread when the process holds more or less than before."""
        self.shares: Mapping[str, float] = {}
        self._project = project
        self._lanes = lanes
        self._locks = locks
        self._run = run
        self._pid = pid
        self._name = f"limits of {run}"
        self._starved: set[str] = set()
        self._held: dict[str, int] = {}
        self._quotas: dict[str, _Drawn] = {}
        self._sent: dict[str, tuple[float, tuple[float, ...]]] = {}
        self._beaten = time.monotonic()
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="seedbed-limits", daemon=True)

    def start(self, state: State) -> None:
        """Take a part of each limit that is known, before the first call."""
        self._forget_days(state)
        self._beat(state)
        self._thread.start()

    def look(self) -> None:
        """A limit has become known, or somebody begins to wait with no part."""
        self._wake.set()

    def waits(self, name: str, dry: bool) -> None:
        """Calls wait for that limit; ``dry``: for more of the day's. A limit that was unknown is looked at at once."""
        self._starved.add(name)
        if dry or name not in self._held:
            self._wake.set()

    def close(self) -> None:
        """Give everything back."""
        self._ending.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    # ----------------------------------------------------------------------------------- the thread

    def _work(self) -> None:
        state = None
        try:
            while not self._ending.is_set():
                empty = any(not share for share in self.shares.values())
                self._wake.wait(SOON if empty else BEAT)
                self._wake.clear()
                if self._ending.is_set():
                    break
                with suppress(SeedbedError):  # the state is busy: the part is kept until the lease has run out
                    state = state or self._project.state()
                    self._beat(state)
                self._ending.wait(SOON / 2)
            with suppress(SeedbedError):
                if self._held:
                    state = state or self._project.state()
                    state.reckon(self._name, {}, this_host())
                if self._quotas:
                    state = state or self._project.state()
                    self._end_day(state)
        finally:
            if state is not None:
                state.close()

    def _beat(self, state: State) -> None:
        if self._draw(state):
            self.changed()
        shared = {name: lanes for name, lanes in self._lanes.widest().items() if any(lane.limited for lane in lanes)}
        if not shared:
            return
        if time.monotonic() - self._beaten > EXPIRES / 1000:
            self._held.clear()  # somebody else may have it by now
        starved, self._starved = self._starved, set()
        leases = self._others(state)
        wanted = []
        for name, lanes in shared.items():
            hungry = name in starved or name not in self._held
            wanted += self._wants(name, hungry, self._use(name, lanes[0]), leases)
        now = now_ms()
        holder = Holder(self._name, this_host(), self._pid, self._run, now, now + EXPIRES)
        granted = state.lease(holder, wanted, joined=False) or ()
        for one, found in zip(wanted, granted, strict=True):
            if one.purse.startswith(_PARTS):
                self._held[one.purse.removeprefix(_PARTS)] = one.held + found.amount
        self._beaten = time.monotonic()
        shares = {name: held / WHOLE for name, held in self._held.items()}
        if shares != self.shares:
            self.shares = shares
            self.changed()

    def _wants(self, name: str, hungry: bool, use: float, leases: list[Lease]) -> list[Wanted]:
        waiting = {lease.holder.name for lease in leases if lease.purse == _WAITS + name and lease.held}
        others = [Member(lease.held, lease.holder.name in waiting) for lease in leases if lease.purse == _PARTS + name]
        wish = claim(self._held.get(name, 0), hungry=hungry, use=use, others=others)
        return [
            Wanted(_PARTS + name, WHOLE, wish.keep, wish.more, wish.more, counted=False, lapses=True),
            Wanted(_WAITS + name, _MANY, int(hungry), counted=False, lapses=True),
        ]

    def _others(self, state: State) -> list[Lease]:
        """Leases on limits of processes that live; those of killed ones are given back."""
        now, here = now_ms(), this_host()
        leases = [
            each
            for each in state.leases()
            if each.purse.startswith((_PARTS, _WAITS)) and each.holder.name != self._name
        ]
        gone = {
            each.holder.name
            for each in leases
            if each.holder.host == here and not self._locks.is_working(each.holder.run)
        }
        for name in gone:
            state.reckon(name, {}, here)
        return [each for each in leases if each.holder.name not in gone and each.holder.expires > now]

    def _use(self, name: str, lane: Lane) -> float:
        """The share of the whole limit that this process used since the last beat."""
        now = time.monotonic()
        before, counts = self._sent.get(name, (now, lane.sent))
        self._sent[name] = (now, lane.sent)
        return lane.used(counts, now - before)

    # ------------------------------------------------------------------------------- limits of a day

    def _draw(self, state: State) -> bool:
        """Get more of each day's limit before it runs out; whether anything has changed."""
        today = utc_text()[:10]
        wanted: list[tuple[_Drawn, Wanted]] = []
        for lane in {lane.name: lane for offer in self._lanes.all() for lane in offer.lanes}.values():
            for _, quota in lane.quotas:
                purse = f"{_TODAY}{quota.what} of {lane.name} on {today}"
                drawn = self._quotas.get(purse)
                if drawn is None:
                    drawn = self._quotas[purse] = _Drawn(quota, quota.taken)
                    quota.granted, quota.over = quota.taken, False
                if not quota.over and quota.left < quota.ahead / 2:
                    need = 1 if quota.what == "requests" else max(1, quota.ahead // 10)
                    asked = Wanted(purse, quota.most, drawn.held, need, quota.ahead, counted=False)
                    wanted.append((drawn, asked))
        over = any(drawn.quota.over for drawn in self._quotas.values())
        if not wanted:
            return over
        granted = state.lease(self._of_day(), [asked for _, asked in wanted], joined=False) or ()
        for (drawn, asked), found in zip(wanted, granted, strict=True):
            drawn.held += found.amount
            drawn.quota.granted += found.amount
            drawn.quota.over = found.amount < asked.need
        return True

    def _of_day(self) -> Holder:
        now = now_ms()
        return Holder(f"days of {self._run}", this_host(), self._pid, self._run, now, now + EXPIRES)

    def _end_day(self, state: State) -> None:
        """What was used stays in the day's books; what was got ahead goes back."""
        state.lease(
            self._of_day(),
            [
                Wanted(purse, drawn.quota.most, math.ceil(max(0.0, drawn.quota.taken - drawn.before)), counted=False)
                for purse, drawn in self._quotas.items()
            ],
            joined=False,
        )
        state.leave(f"days of {self._run}")

    def _forget_days(self, state: State) -> None:
        """Books of days that are over."""
        today = utc_text()[:10]
        old = [each for each in state.leases() if each.purse.startswith(_TODAY)]
        for name in {each.holder.name for each in old if not each.purse.endswith(today)}:
            kept = {each.purse: each.held for each in old if each.holder.name == name and each.purse.endswith(today)}
            state.reckon(name, kept, this_host())
