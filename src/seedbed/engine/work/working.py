"""One stage at work: feeder, buyer and reader, each on a thread of its own, from open rounds to outcomes."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property

from seedbed import conditions
from seedbed.crashing import point
from seedbed.engine.forecasting import Foretelling
from seedbed.engine.projects.accounts import find_keys, limits_of_model
from seedbed.engine.projects.binding import BoundStage
from seedbed.engine.projects.clock import now_ms
from seedbed.engine.projects.locks import Locks
from seedbed.engine.projects.project import Project, jitter, new_id
from seedbed.engine.work.asking import AskLoop, Session
from seedbed.engine.work.buyer import Buyer, Market, on_commit
from seedbed.engine.work.gate import Gate
from seedbed.engine.work.leasing import Leasing
from seedbed.engine.work.leftovers import Leftovers, settle_first, settled_marks, unsettled
from seedbed.engine.work.orders import Flow, Intake, Marks, Order, Spent, order_for
from seedbed.engine.work.places import Lanes, Places
from seedbed.engine.work.reader import Desk, Reader, UserCodeError, check, outcome_of
from seedbed.engine.work.rounds import (
    Derivation,
    OpenRound,
    Scope,
    continued,
    export_pages,
    missing_of_round,
    passed,
    worklist_path,
)
from seedbed.engine.work.sharing import Sharing
from seedbed.engine.work.worklist import Worklist
from seedbed.errors import GateError, SeedbedError, Stopped, UsageError
from seedbed.events import Meter, Notice, RoundOpened
from seedbed.policy.budget import Till
from seedbed.policy.limits import Breaker
from seedbed.ports.models import Target
from seedbed.ports.receipts import ReceiptStore, ReceiptWriter
from seedbed.ports.state import RoundRow, State, Tally
from seedbed.records import WHOLE, Item, Outcome, Part, Request, usd
from seedbed.stage import Gathers

Targets = Callable[[Request], Target]


@dataclass
class Shift:
    """What the stages of one run share: the stores, the till, the writer, the meter."""

    project: Project
    run: str
    state: State
    receipts: ReceiptStore
    till: Till
    meter: Meter
    locks: Locks
    concurrency: int
    cheaper: str = ""
    leasing: Leasing | None = field(default=None, init=False)
    _open: ExitStack = field(default_factory=ExitStack, init=False)
    _writer: ReceiptWriter | None = field(default=None, init=False)
    _sharing: Sharing | None = field(default=None, init=False)
    _marks: Marks | None = field(default=None, init=False)

    @property
    def writer(self) -> ReceiptWriter:
        if self._writer is None:
            self._writer = self.receipts.writer(on_commit)
            name = self._writer.name
            self._open.callback(self._writer.close)
            if self.till.purses:
                leasing = Leasing(self.project, self.till, self.receipts, self.locks, name, self.run, os.getpid())
                leasing.start(self.state)
                self._open.callback(leasing.close)
                self.leasing = leasing
        return self._writer

    @property
    def marks(self) -> Marks:
        if self._marks is None:
            self._marks = Marks(self.writer.name)
        return self._marks

    @cached_property
    def lanes(self) -> Lanes:
        """What binds each model's calls; a model's endpoint and keys are looked up once."""
        project = self.project
        return Lanes(
            project.account,
            project.targets_for,
            lambda model: limits_of_model(project.settings, model),
            time.monotonic,
            self.concurrency,
        )

    def share_limits(self) -> Sharing:
        """Take part in the limits that other processes may use too."""
        if self._sharing is None:
            self._sharing = Sharing(self.project, self.lanes, self.locks, self.run, os.getpid())
            self._sharing.start(self.state)
            self._open.callback(self._sharing.close)
            self.lanes.share = 0.0
        self._sharing.look()
        return self._sharing

    def targets(self, gate: Gate | None = None) -> Targets:
        """Where requests go, on the first of the account's keys. A gate may not know the model."""

        def target(request: Request) -> Target:
            model = self.project.model_of(request)
            if gate is not None:
                gate.allow(model)
            return self.lanes.offers(model)[0].target

        return target

    def close(self) -> None:
        self._open.close()
        self._writer = None


@dataclass
class Result:
    """What working on a stage came to. ``error`` is what ended it early."""

    rounds: list[OpenRound] = field(default_factory=list)
    leftovers: Leftovers = field(default_factory=Leftovers)
    diverged: list[str] = field(default_factory=list)
    error: BaseException | None = None


def work(shift: Shift, stage: BoundStage, scope: Scope, gate: Gate | None = None) -> Result:
    """Settle first, go on with open rounds, then one new round over what is missing, as far as the gate lets.

    The caller holds the lock of (stage, part). Errors that end the run early are in the result, so
    that what was done is reported all the same.
    """
    shift.state.recipe(stage.recipe, stage.recipe_body)
    if not stage.stage.inputs:
        shift.state.note(f"inputs.{stage.name}", list(stage.inputs))
    kind = _Computing if stage.stage.compute is not None else _Buying
    job = kind(shift, stage, scope, gate)
    result = job.run()
    if gate is not None and result.error is None:
        result.error = gate.full
    return result


def export_only(shift: Shift, stage: BoundStage, scope: Scope) -> list[OpenRound]:
    """Open (or go on with) the round of what is missing, without asking for anything."""
    job = _Job(shift, stage, scope)
    for opened in job.rounds(shift.state):
        for page in job.pages(opened, shift.state):
            job.handled += len(page)
    return job.result.rounds


# ------------------------------------------------------------------------------------ both kinds


@dataclass
class _Job:
    shift: Shift
    stage: BoundStage
    scope: Scope
    gate: Gate | None = None
    result: Result = field(default_factory=Result)
    handled: int = 0

    def run(self) -> Result:
        raise AssertionError("a kind of job says how it runs")

    @property
    def room(self) -> int | None:
        return None if self.scope.limit is None else self.scope.limit - self.handled

    def _derivation(self, state: State) -> Derivation:
        project = self.shift.project
        return Derivation.of(project, self.stage, project.corpus(), state, self.scope)

    def _my_rounds(self, state: State) -> list[RoundRow]:
        """Open rounds of this part; the whole takes those of all parts."""
        found = []
        for row in state.rounds(stage=self.stage.name, status="open"):
            other = Part.parse(row.part)
            if other == self.scope.part or self.scope.part == WHOLE:
                found.append(row)
            elif other.count != self.scope.part.count:
                raise UsageError(
                    f"A round of part {row.part} of {self.stage.name} is open; part {self.scope.part} overlaps it.",
                    hint=f"Finish it first: seedbed run {self.stage.name}"
                    + ("" if other == WHOLE else f" --part {row.part}"),
                )
        return found

    def rounds(self, state: State) -> Iterator[OpenRound]:
        """Rounds to go on with, then a new one; a round of another recipe only ends."""
        derivation = self._derivation(state)
        for row in self._my_rounds(state):
            if row.recipe == self.stage.recipe:
                work = continued(row, self.shift.project.worklists, derivation)
                if work.worklist is not None:
                    self._tell(work, state)
                    self.result.rounds.append(work)
                    yield work
                    continue
            state.close_round(row.id, "superseded", now_ms())
            self.shift.project.emit(Notice(f"Round {row.id} ends here; what it had left is derived again."))
        if self._gate_full:
            return
        if (self.room is None or self.room > 0) and self._earlier_done():
            derivation.held = self._held()
            new = self._new_round(state, derivation)
            if new is not None:
                self._tell(new, state)
                self.result.rounds.append(new)
                yield new

    @property
    def _gate_full(self) -> bool:
        return self.gate is not None and self.gate.full is not None

    def _held(self) -> frozenset[str]:
        """Items of earlier rounds that wait for a person's word and are not to be asked in a new round."""
        return frozenset()

    def _earlier_done(self) -> bool:
        """Waits until no item of an earlier round is on its way: it must not count as missing once more."""
        return True

    def _new_round(self, state: State, derivation: Derivation) -> OpenRound | None:
        """A round over what is missing now, or None. Its worklist is durable before the state knows of it."""
        whole = self.scope.again or self.scope.ids is not None
        limit = self._limit()
        row = RoundRow(
            new_id("round"), 0, self.stage.name, str(self.scope.part), self.stage.recipe, "open",
            self.shift.run, now_ms(),
        )  # fmt: skip
        path = worklist_path(self.shift.project.worklists, row.id)
        worklist: Worklist | None = None
        for found in derivation.pages():
            room = None if limit is None else limit - (worklist.count() if worklist else 0)
            items = found.items if room is None else found.items[:room]
            if items:
                worklist = worklist or Worklist(path)
                worklist.add(items, per_call=self.stage.stage.per_call, cursor=found.cursor)
                if room is not None and len(items) >= room:
                    worklist.finish()
                    break
                if not whole:
                    break
        if worklist is None:
            return None
        if whole:
            worklist.finish()
        point("before a round opens")
        opened = OpenRound(state.open_round(row), worklist, derivation)
        point("after a round opens")
        return opened

    def _limit(self) -> int | None:
        return _least(self.room, self.stage.stage.round_size if self.stage.stage.bounded_rounds else None)

    def pages(self, work: OpenRound, state: State) -> Iterator[list[tuple[int, Item]]]:
        """Pages of (group, item) that have no outcome yet, exported on the way."""
        if work.worklist is None:
            return
        low = seq = passed(state, work)
        begun: list[tuple[int, int, Item]] = []
        export = export_pages(work, limit=self._export_limit(work), per_call=self.stage.stage.per_call)
        while True:
            for found in work.worklist.pages(after=seq):
                seq = found[-1][0]
                page, begun = _whole_groups([*begun, *found], self.stage.stage.per_call)
                yield self._open(work, state, page)
                if self._gate_full:
                    return
                low = passed(state, work, low)
            if next(export, None) is None:
                break
            self._counted()
        if begun:
            yield self._open(work, state, begun)
        state.count_round(work.id, work.worklist.count())
        self.shift.meter.items = self._exported()

    def _export_limit(self, work: OpenRound) -> int | None:
        if work.worklist is None:
            return None
        size = self.stage.stage.round_size if self.stage.stage.bounded_rounds else None
        return _least(size, None if self.room is None else work.worklist.count() + self.room)

    def _open(self, work: OpenRound, state: State, page: list[tuple[int, int, Item]]) -> list[tuple[int, Item]]:
        settled = state.settled_in_round(work.id, self.stage.name, [item.key for _, _, item in page])
        items = [(group, item) for _, group, item in page if item.key not in settled and self._meant(item)]
        if self.room is not None:
            items = items[: self.room]
        if self.gate is not None:
            taken = {item.key for item in self.gate.admit(state, [item for _, item in items])}
            items = [(group, item) for group, item in items if item.key in taken]
        return items

    def _meant(self, item: Item) -> bool:
        """Whether an item of a round that an earlier run has opened is one that this run speaks of."""
        if self._named is not None and item.key not in self._named:
            return False
        return conditions.holds(self._where, item.row)

    @cached_property
    def _named(self) -> frozenset[str] | None:
        return None if self.scope.ids is None else frozenset(self.scope.ids)

    @cached_property
    def _where(self) -> conditions.Condition:
        return conditions.ALWAYS if self.scope.speaks_of_outcomes else self.scope.condition()

    def _exported(self) -> int:
        return sum(r.worklist.count() for r in self.result.rounds if r.worklist)

    def _counted(self) -> None:
        """What was expected of an export that is under way is at least what it has."""
        self.shift.meter.items = max(self.shift.meter.items, self._exported())

    def _tell(self, work: OpenRound, state: State) -> None:
        settled = state.count_of_round(work.id)
        items = self._expected(work, state, settled)
        meter = self.shift.meter
        if not self.result.rounds:  # the first round of the stage: what an earlier stage did is not its progress
            meter.stage, meter.items, meter.settled = self.stage.name, 0, 0
        meter.items += items
        meter.settled += settled
        self.shift.project.emit(RoundOpened(self.stage.name, work.id, items, settled))

    def _expected(self, work: OpenRound, state: State, settled: int) -> int:
        """How many items the round will have: counted where its export is done, else told by the table.

        The table's count is a guess where settled rows stay eligible; the export's end puts it right.
        """
        worklist, derivation = work.worklist, work.derivation
        if worklist is None:
            return 0
        known = worklist.count()
        if worklist.complete or derivation is None or isinstance(self.stage.stage.relation, Gathers):
            return known
        tally = state.standing().get(self.stage.name, Tally())
        condition = conditions.conjunction(self.stage.stage.condition(), derivation.pushed())
        eligible = derivation.corpus.count(self.stage.source.name, condition)
        done = tally.settled - tally.uploaded.get("applied", 0) if self.stage.stage.outputs else tally.settled
        missing = max(0, eligible - done) // self.scope.part.count
        return max(known, _least(settled + missing, self._limit(), self._export_limit(work)) or 0)

    def _anything(self, state: State) -> bool:
        """Whether there is anything to read or to do; with nothing, no key is needed and no file made."""
        if self._my_rounds(state) or unsettled(self.shift.receipts, state, self.stage.name):
            return True
        return any(found.items for found in self._derivation(state).pages())

    def _close_rounds(self, state: State) -> None:
        for work in self.result.rounds:
            if work.worklist is None:
                continue
            state.count_round(work.id, work.worklist.count())
            if work.worklist.complete and not missing_of_round(state, work):
                point("before a round closes")
                state.close_round(work.id, "closed", now_ms())

    def _desk(self, state: State) -> Desk:
        project = self.shift.project
        return Desk(
            state=state,
            completers=project.completers,
            prices=project.prices,
            till=self.shift.till,
            meter=self.shift.meter,
            emit=project.emit,
            now=now_ms,
            run=self.shift.run,
            settled=self._still_signed,
            foretell=Foretelling(project, state, self.shift.run, self.shift.meter).note,
        )

    def _still_signed(self, state: State) -> None:
        """Asked after each batch of answers. Raises GateError."""
        if self.gate is not None:
            self.gate.still(state)


# -------------------------------------------------------------------------------- without a model


class _Computing(_Job):
    """A stage without model calls: each item through a pure function, a page in a transaction."""

    def run(self) -> Result:
        state = self.shift.state
        flow = Flow(lambda: None)
        with _signals(flow):
            try:
                if self.gate is not None and self._anything(state):
                    self.gate.check(state)
                for work in self.rounds(state):
                    for page in self.pages(work, state):
                        self._page(work, page, state)
                        if flow.stopping.is_set():
                            break
                    if flow.stopping.is_set():
                        break
            except SeedbedError as error:
                flow.stop(error)
        self.result.error = flow.error
        self._close_rounds(state)
        return self.result

    def _page(self, work: OpenRound, page: list[tuple[int, Item]], state: State) -> None:
        desk = self._desk(state)
        reader = Reader(self.stage, desk, Flow(lambda: None), Marks(""), lambda _: None, lambda: None, 1)
        outcomes = [self._outcome(work, item, desk) for _, item in page]
        state.settle(outcomes)
        reader.tell(outcomes)
        self.handled += len(page)

    def _outcome(self, work: OpenRound, item: Item, desk: Desk) -> Outcome:
        compute = self.stage.stage.compute
        if compute is None:
            raise AssertionError("a computing job has a function")
        try:
            output = compute(item)
        except Exception as error:
            raise UserCodeError.at(error, f"the function of stage {self.stage.name}", item.key) from error
        reading = check(self.stage, item, output)
        return outcome_of(
            self.stage, item, work.id, reading, "accepted" if reading.accepted else "rejected", Spent(), 0, desk
        )


# ------------------------------------------------------------------------------------ with a model


@dataclass
class _Buying(_Job):
    """A stage that asks a model."""

    flow: Flow | None = None
    _asking: AskLoop | None = None

    def run(self) -> Result:
        _raise_open_files()
        targets = self.shift.targets(self.gate)
        if not self._anything(self.shift.state):
            return self.result
        shut = self._shut()
        if shut is None:
            self._check_models(targets)
        elif not unsettled(self.shift.receipts, self.shift.state, self.stage.name):
            self.result.error = shut
            return self.result
        asyncio.run(self._work(targets))
        own = self.shift.writer.name
        self.shift.state.settle((), (), self._foreign_marks(own))
        self._close_rounds(self.shift.state)
        return self.result

    def _shut(self) -> GateError | None:
        """Why the gate lets nothing through. What was received before is read all the same: it is paid for."""
        try:
            if self.gate is not None:
                self.gate.check(self.shift.state)
        except GateError as error:
            return error
        return None

    def _foreign_marks(self, own: str) -> Mapping[tuple[str, str], int]:
        marks = settled_marks(self.shift.receipts, self.shift.state, self.stage.name, own)
        return {(writer, self.stage.name): number for writer, number in marks.items()}

    def _check_models(self, targets: Targets) -> None:
        """Key, endpoint and price, before any spending."""
        stage = self.stage.stage
        request = Request(stage.tier, (), model=stage.model)
        for each in (request, *(Request(tier, ()) for tier in stage.escalate)):
            targets(each)
        project = self.shift.project
        account = project.account(project.model_of(request).partition("/")[0])
        keys = find_keys(account, project.secrets)
        if keys.found and (keys.missing or keys.same):
            project.emit(Notice(keys.text(account)))

    async def _work(self, targets: Targets) -> None:
        loop = asyncio.get_running_loop()
        shift, project = self.shift, self.shift.project
        high = max(64, shift.concurrency * 2)
        intake = Intake(loop, high)
        flow = self.flow = Flow(intake.finish)
        sharing = shift.share_limits()
        places = Places(shift.lanes, shift.meter, project.emit, flow.stop, sharing.waits)
        sharing.changed = lambda: _hop(loop, lambda: places.spread(sharing.shares))
        places.spread(sharing.shares)
        market = Market(
            completers=project.completers,
            target=targets,
            prices=project.prices,
            till=shift.till,
            writer=shift.writer,
            clock=time.monotonic,
            now=now_ms,
            random=jitter,
            run=shift.run,
            meter=shift.meter,
            emit=project.emit,
            places=places,
            breaker=Breaker(patience=float(project.settings.get("run", "patience"))),
            grace=float(project.settings.get("run", "grace")),
            cheaper=shift.cheaper,
        )
        reader = Reader(
            self.stage,
            replace(self._desk(project.state()), used=places.used),
            flow,
            shift.marks,
            ask_again=lambda orders: intake.offer(orders, first=True),
            freed=lambda: _hop(loop, buyer.freed),
            capacity=max(256, shift.concurrency * 4),
        )
        buyer = Buyer(market, intake, flow, shift.marks, reader.deliver, reader.has_room)
        if shift.leasing is not None:
            shift.leasing.changed = lambda: _hop(loop, buyer.freed)
        feeder = threading.Thread(target=self._feed, args=(reader, intake, flow), name="seedbed-feeder")
        reading = threading.Thread(target=self._read, args=(reader, flow), name="seedbed-reader")
        with _signals(flow):
            self.result.leftovers = self._settle_first(reader)
            feeder.start()
            reading.start()
            try:
                await buyer.run(shift.concurrency)
            finally:
                flow.finish_early()
                await asyncio.to_thread(feeder.join)
                reader.close()
                await asyncio.to_thread(reading.join)
                reader.desk.state.close()
        self.result.error = flow.error

    def _settle_first(self, reader: Reader) -> Leftovers:
        state = self.shift.state
        mine = {row.id for row in self._my_rounds(state)}
        rounds = {row.id: row.status for row in state.rounds(stage=self.stage.name)}
        known = rounds.keys()
        purchases = [
            p
            for p in unsettled(self.shift.receipts, state, self.stage.name)
            if p.writer != self.shift.writer.name
            and (p.intent.round in mine or rounds.get(p.intent.round, "superseded") == "superseded")
        ]
        for round_id in sorted({p.intent.round for p in purchases} - known):
            row = RoundRow(
                round_id, 0, self.stage.name, str(self.scope.part), self.stage.recipe, "superseded",
                self.shift.run, now_ms(),
            )  # fmt: skip
            state.open_round(row)
        left = settle_first(self.stage, purchases, reader, state)
        for purchase in purchases:
            if purchase.corrupt:
                self.shift.project.emit(
                    Notice(
                        f"The receipt {purchase.intent.id} fails its checksum. It is kept aside; its item counts as"
                        f" missing and may cost up to {usd(purchase.intent.reserved)} once more."
                    )
                )
        return left

    def _read(self, reader: Reader, flow: Flow) -> None:
        try:
            reader.work()
        finally:
            flow.reader_gone.set()

    # the feeder's thread

    def _held(self) -> frozenset[str]:
        return frozenset(self._asking.diverged) if self._asking is not None else frozenset()

    def _earlier_done(self) -> bool:
        return self.flow is None or self.flow.wait_until_empty()

    def _feed(self, reader: Reader, intake: Intake, flow: Flow) -> None:
        state = asking = None
        if self.stage.stage.ask is not None:
            asking = self._asking = AskLoop(flow, reader.deliver, max(1, self.shift.concurrency))
        try:
            state = self.shift.project.state()
            if self.gate is not None:
                self.gate.check(state)
            for work in self.rounds(state):
                self._leftover_orders(work, intake, flow)
                for page in self.pages(work, state):
                    if not self._offer(work, page, state, reader, intake, flow, asking):
                        return
        except BaseException as error:
            flow.stop(error)
        finally:
            flow.fed()
            if state is not None:
                state.close()
            if asking is not None:
                flow.wait_until_done()
                asking.close()
                self.result.diverged = asking.diverged

    def _leftover_orders(self, work: OpenRound, intake: Intake, flow: Flow) -> None:
        left = self.result.leftovers.orders.get(work.id, [])
        orders = [order for order in left if any(self._meant(item) for item in order.items)]
        for order in orders:
            flow.enter(len(order.items))
            self.handled += len(order.items)
        if orders:
            intake.offer(orders)

    def _offer(
        self,
        work: OpenRound,
        page: list[tuple[int, Item]],
        state: State,
        reader: Reader,
        intake: Intake,
        flow: Flow,
        asking: AskLoop | None,
    ) -> bool:
        held = self.result.leftovers.held.get(work.id, set())
        page = [(group, item) for group, item in page if item.key not in held]
        self.handled += len(page)
        if asking is not None:
            return all(self._ask(work, item, reader, intake, flow, asking) for _, item in page)
        orders = list(self._orders(work, page))
        size = max(1, min(64, self.shift.concurrency))
        for start in range(0, len(orders), size):
            if not intake.wait_for_room(flow.stopping):
                return False
            if self.gate is not None:
                self.gate.check(state)
            chunk = orders[start : start + size]
            flow.enter(sum(len(order.items) for order in chunk))
            intake.offer(chunk)
        return not flow.stopping.is_set()

    def _orders(self, work: OpenRound, page: list[tuple[int, Item]]) -> Iterator[Order]:
        if not self.stage.grouped:
            for _, item in page:
                yield order_for(self.stage, work.id, [item])
            return
        groups: dict[int, list[Item]] = {}
        for group, item in page:
            groups.setdefault(group, []).append(item)
        for items in groups.values():
            yield order_for(self.stage, work.id, items)

    def _ask(self, work: OpenRound, item: Item, reader: Reader, intake: Intake, flow: Flow, asking: AskLoop) -> bool:
        flow.enter(1)
        session = Session(
            stage=self.stage,
            round=work.id,
            item=item,
            intake=intake,
            flow=flow,
            desk=reader.desk,
            replay=self.result.leftovers.replay,
            redo_diverged=self.scope.redo_diverged,
        )
        return asking.start(session)


# ------------------------------------------------------------------------------------------ the world


def _hop(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has closed: nobody waits any more
        loop.call_soon_threadsafe(function)


@contextmanager
def _signals(flow: Flow) -> Iterator[None]:
    """First Ctrl-C, SIGTERM or closed terminal drains; the second leaves at once and is as safe as ``kill -9``."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: object) -> None:
        if flow.stopping.is_set() and isinstance(flow.error, Stopped):
            os._exit(128 + number)
        flow.stop(
            Stopped(
                "Stopped and saved.",
                signal_number=number,
                hint="Go on with the same command. A second Ctrl-C leaves at once; calls in flight may be paid for.",
            )
        )

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup wants it to go on
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _whole_groups(
    page: list[tuple[int, int, Item]], per_call: int
) -> tuple[list[tuple[int, int, Item]], list[tuple[int, int, Item]]]:
    """The items whose groups are whole, and those of the last one, which the next page goes on with."""
    last = page[-1][1]
    begun = [each for each in page[-per_call:] if each[1] == last]
    if len(begun) == per_call:
        return page, []
    return page[: -len(begun)], begun


def _least(*bounds: int | None) -> int | None:
    said = [bound for bound in bounds if bound is not None]
    return min(said) if said else None


def _raise_open_files() -> None:
    """A thousand calls in flight need a thousand sockets; take what the system allows."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = min(hard, 16_384) if hard != resource.RLIM_INFINITY else 16_384
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
