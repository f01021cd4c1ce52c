"""The process's hand in the common till: slices of caps that hold over all processes, from a thread of its own.

Calls reserve from slices in memory; here the state is asked for more before they run out, what nobody uses goes back,
and what processes that were killed still hold is reckoned from their receipts. A call that is in the receipts and not
in the books is counted at what it reserved; the rest of a dead process's slice is free again.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from seedbed.crashing import point
from seedbed.engine.projects.caps import price_hint
from seedbed.engine.projects.clock import now_ms
from seedbed.engine.projects.locks import Locks
from seedbed.engine.projects.project import Project, this_host
from seedbed.errors import Pause, PriceUnknown, SeedbedError
from seedbed.policy.budget import Asking, Till
from seedbed.policy.purses import Purses
from seedbed.ports.receipts import Purchase, ReceiptStore
from seedbed.ports.state import State, TillEntry
from seedbed.ports.state.leases import Granted, Holder, Wanted
from seedbed.records import NO_USAGE, canonical_json

BEAT = 5.0
"""Seconds between two signs of life."""
EXPIRES = 60_000
"""Milliseconds after which a process that gave no sign counts as ended. Its money stays counted all the same."""
RETRY = 0.25
"""Seconds between two questions of a process that waits for another one's money."""
REST = 0.05
"""Seconds between any two questions."""
OVERHEAD = 1000
"""Bytes that a request has at most besides its messages, shape and parameters."""


class Leasing:
    """One process's leases, from :meth:`start` to :meth:`close`."""

    def __init__(
        self, project: Project, till: Till, receipts: ReceiptStore, locks: Locks, holder: str, run: str, pid: int
    ) -> None:
        self.changed: Callable[[], None] = lambda: None
        """Called on this thread when a reservation that waits may come out otherwise."""
        self._project = project
        self._till = till
        self._receipts = receipts
        self._locks = locks
        self._name = holder
        self._run = run
        self._pid = pid
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._reckoned: tuple[int, frozenset[str]] = (-1, frozenset())
        self._thread = threading.Thread(target=self._work, name="seedbed-till", daemon=True)

    def start(self, state: State) -> None:
        """Join the holders of all purses. Raises PriceUnknown when what was spent under one of them is not known."""
        price_unpriced(self._project, self._receipts, state)
        reckon(state, self._receipts, self._locks, self._till.purses, self._name)
        now = now_ms()
        joined = [_wanted(Asking(purse, 0, 0, 0, 0)) for purse in self._till.purses.all(now)]
        for found in state.lease(self._holder(), joined, joined=False) or ():
            if found.unknown:
                raise _unknown(state, found)
        self._till.low = self._wake.set
        self._thread.start()

    def close(self) -> None:
        """Give back what is free. What is reserved or not booked stays held until its receipts are read."""
        self._ending.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    # ----------------------------------------------------------------------------------- the thread

    def _work(self) -> None:
        state = None
        beat_at = time.monotonic() + BEAT
        try:
            state = self._project.state()
            while not self._ending.is_set():
                self._wake.wait(RETRY if self._till.starving else max(0.0, beat_at - time.monotonic()))
                self._wake.clear()
                if self._ending.is_set():
                    break
                beat = time.monotonic() >= beat_at
                if beat:
                    beat_at = time.monotonic() + BEAT
                self._ask(state, self._till.asks(beat=beat))
                self._ending.wait(REST)
            with suppress(SeedbedError):
                self._ask(state, self._till.asks(last=True))
                state.leave(self._name)
                self._reckon(state)
        except SeedbedError as error:
            self._till.out_of_reach(error)
            self.changed()
        finally:
            if state is not None:
                state.close()

    def _ask(self, state: State, asks: list[Asking], *, again: bool = True) -> None:
        if not asks:
            return
        try:
            granted = state.lease(self._holder(), [_wanted(ask) for ask in asks], joined=True)
            point("after a lease")
            if granted is None:
                raise Pause(
                    "A person released the money of this process, so it may not spend it any more.",
                    hint="Run the same command again.",
                )
            short = self._take(asks, granted)
            if short and again and self._reckon(state):
                self._ask(state, self._till.asks(), again=False)
        except SeedbedError as error:
            self._till.out_of_reach(error)
        self.changed()

    def _take(self, asks: Iterable[Asking], granted: Iterable[Granted]) -> bool:
        """Hand what was granted to the till; whether some was not and is held by others."""
        short = False
        for ask, found in zip(asks, granted, strict=True):
            self._till.grant(ask, found.amount, spent=found.spent, others=found.others, stuck=found.stuck)
            short = short or (found.amount < ask.need and found.others + found.stuck > 0)
        return short

    def _reckon(self, state: State) -> bool:
        """Look again at what ended processes hold, where it may be less than when this was last done."""
        ended = ended_holders(state, self._locks)
        known = (self._till.commits, frozenset(ended))
        if not ended or known == self._reckoned:
            return False
        self._reckoned = known
        reckon(state, self._receipts, self._locks, self._till.purses, self._name)
        return True

    def _holder(self) -> Holder:
        now = now_ms()
        return Holder(self._name, this_host(), self._pid, self._run, now, now + EXPIRES)


def _wanted(ask: Asking) -> Wanted:
    purse = ask.purse
    return Wanted(purse.id, purse.cap, ask.held, ask.need, ask.want, purse.stage, purse.since, purse.until)


# ------------------------------------------------------------------------- processes that were killed


def ended_holders(state: State, locks: Locks) -> set[str]:
    """Holders of this machine whose process is gone."""
    here = {lease.holder.name: lease.holder.run for lease in state.leases() if lease.holder.host == this_host()}
    return {name for name, run in here.items() if not locks.is_working(run)}


def reckon(state: State, receipts: ReceiptStore, locks: Locks, purses: Purses, own: str) -> None:
    """Write down what each process that ended still holds of each purse: the reservations of its open calls.

    A holder of another machine is left as it is, and so is one whose receipts are not here: they count in full until
    a person releases them.
    """
    open_ones = _open(state, receipts, own)
    elsewhere = {lease.holder.name for lease in state.leases() if lease.holder.host != this_host()}
    here = receipts.writers()
    ended = {name for name in ended_holders(state, locks) if name in here}
    ended |= {
        name
        for name, bought in open_ones.items()
        if name not in elsewhere and not any(locks.is_working(run) for run in {p.intent.run for p in bought})
    }
    for name in sorted(ended - {own}):
        held: dict[str, int] = defaultdict(int)
        for purchase in open_ones.get(name, ()):
            for purse in purses.of(purchase.intent.stage, purchase.intent.at):
                held[purse.id] += purchase.intent.reserved or 0
        state.reckon(name, held, this_host())
        point("after a reckoning")


def _open(state: State, receipts: ReceiptStore, own: str) -> Mapping[str, list[Purchase]]:
    """By writer, the calls that may have been paid for and that the till has not booked."""
    found: dict[str, list[Purchase]] = defaultdict(list)
    for stage in state.stages():
        bought = [p for p in receipts.purchases(state.marks(stage), stage=stage) if p.writer != own]
        booked = state.till_has([p.intent.id for p in bought])
        for purchase in bought:
            closed = purchase.ending is not None and purchase.ending.kind == "closed" and purchase.receipt is None
            if purchase.intent.id not in booked and not closed:
                found[purchase.writer].append(purchase)
    return found


# ------------------------------------------------------------------------------------ unknown prices


def price_unpriced(project: Project, receipts: ReceiptStore, state: State) -> None:
    """Book what calls came to whose price was not known then and is now."""
    while entries := state.unpriced():
        priced = [entry for one in entries if (entry := _priced(project, receipts, one)) is not None]
        state.settle((), priced)
        if len(priced) < len(entries):
            return


def _priced(project: Project, receipts: ReceiptStore, entry: TillEntry) -> TillEntry | None:
    if entry.usage != NO_USAGE:
        nano = project.prices.cost(entry.model, entry.usage)
    else:  # in doubt, or an answer that said no usage: at its worst
        nano = _worst(project, receipts.get(entry.intent))
    if nano is None:
        return None
    return TillEntry(entry.intent, "price", nano, entry.stage, entry.run, entry.model, entry.at, account=entry.account)


def _worst(project: Project, purchase: Purchase | None) -> int | None:
    if purchase is None:
        return None
    request = purchase.intent.request
    texts = [message.text for message in request.messages]
    size = len(canonical_json([texts, request.shape, dict(request.parameters)]).encode("utf-8", "replace")) + OVERHEAD
    return project.prices.worst_case(purchase.intent.model, size, request.parameters.get("max_output"))


def _unknown(state: State, found: Granted) -> PriceUnknown:
    entries = state.unpriced(1)
    model = entries[0].model if entries else "a model"
    return PriceUnknown(
        f"What was spent under the {_label(found.purse)} is unknown: {found.unknown:,} calls have no price,"
        f" one of them to {model}.",
        hint=price_hint(model),
    )


def _label(purse: str) -> str:
    return f"cap of the {purse}" if not purse.startswith("stage ") else f"cap of {purse.removeprefix('stage ')}"
