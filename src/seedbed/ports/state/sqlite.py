"""The state in one SQLite file. Readers never wait for the writer (WAL)."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from seedbed.errors import Corrupt
from seedbed.ports.folders import make_folder
from seedbed.ports.refusals import of_sqlite
from seedbed.ports.state import (
    MadeRow,
    ModelUse,
    Release,
    ReleaseStatus,
    RoundRow,
    RoundStatus,
    RoundSums,
    RunRow,
    RunStatus,
    Spending,
    Tally,
    TillEntry,
    Uploaded,
    Waiting,
    booking,
)
from seedbed.ports.state import leases as common
from seedbed.ports.state.counts import CURRENT, OF_KEYS, Counts, change, keeping_counts, keys_json
from seedbed.ports.state.leases import Granted, Holder, Lease, Wanted
from seedbed.ports.state.migrations import migrate
from seedbed.ports.state.sqlite_gates import SqliteGates, keeping_use
from seedbed.records import Finding, Outcome, OutcomeState, Usage, pack, unpack, unpack_all

OF_LATE = 20_000
"""Outcomes that count as newest."""
CHUNK = 500
"""Keys in one look-up by equality."""
TRIES = 1000
"""Looks, ten milliseconds apart, at a file that another process is creating."""

_OUTCOME = (
    "stage, item, number, round, state, fingerprint, recipe, output, before, row, findings, input, cached, "
    "answered, reasoning, cost, calls, attempts, model, served, run, at, made"
)
_LIGHT = _OUTCOME.replace("output, before, row,", "null, null, null,")
"""The same columns without the bodies."""
_GROUPS = {
    **{name: name for name in ("stage", "model", "served", "run", "account", "kind", "intent")},
    "day": "date(at / 1000, 'unixepoch')",
    "quarter": "at / 900000",
}
_KEPT = frozenset(("run", "stage", "model"))
"""Groups by which the sums of the till are stored; any other looks at each entry."""


def open_state(path: Path) -> SqliteState:
    """Open, and where needed create or migrate, the state file."""
    make_folder(path.parent)
    return SqliteState(path)


def no_state() -> SqliteState:
    """A state of memory only, for a look at a project in which nothing was run yet."""
    return SqliteState(Path(":memory:"))


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to WAL. Of two that open a fresh file at once, SQLite lets neither wait for the other."""
    for left in reversed(range(TRIES)):
        try:
            connection.execute("pragma journal_mode = wal")
            return
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or not left:
                raise
            time.sleep(0.01)


class SqliteState(SqliteGates):
    """See :class:`seedbed.ports.state.State`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=30.0, check_same_thread=False)
        except sqlite3.OperationalError as error:
            raise _as_seedbed(error, path) from error
        try:
            _write_ahead(self._db)
            self._db.execute("pragma synchronous = normal")
            migrate(self._db, str(path))
        except BaseException as error:
            self._db.close()
            if isinstance(error, sqlite3.OperationalError):
                raise _as_seedbed(error, path) from error
            if isinstance(error, sqlite3.DatabaseError):
                raise Corrupt(
                    f"{path} is not a state of seedbed: {error}", hint="Move it away, and keep the folder of receipts."
                ) from error
            raise

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        self._db.execute("begin")
        try:
            yield
        finally:
            if self._db.in_transaction:
                self._db.execute("rollback")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            self._db.execute("begin immediate")
            try:
                yield self._db
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise
        except sqlite3.DatabaseError as error:
            raise _as_seedbed(error, self.path) from error

    # ------------------------------------------------------------------------------------- runs

    def open_run(self, run: RunRow) -> None:
        with self._writing() as db:
            db.execute(
                "insert into runs (id, command, target, started, status, settings, pid, host, cap)"
                " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run.id,
                    run.command,
                    run.target,
                    run.started,
                    run.status,
                    pack(run.settings),
                    run.pid,
                    run.host,
                    run.cap,
                ),
            )

    def close_run(self, run: str, status: RunStatus, exit_code: int, message: str, at: int) -> None:
        with self._writing() as db:
            db.execute(
                "update runs set status = ?, exit_code = ?, message = ?, finished = ? where id = ?",
                (status, exit_code, message, at, run),
            )

    def set_page(self, run: str, page: str) -> None:
        with self._writing() as db:
            db.execute("update runs set page = ? where id = ?", (page, run))

    def runs(self, *, limit: int = 50, status: RunStatus | None = None) -> list[RunRow]:
        where, values = ("where status = ?", [status]) if status else ("", [])
        rows = self._db.execute(
            f"select {_RUN} from runs {where} order by rowid desc limit ?",  # noqa: S608
            [*values, limit],
        )
        return [_run(row) for row in rows]

    def run(self, run: str) -> RunRow | None:
        row = self._db.execute(f"select {_RUN} from runs where id = ?", (run,)).fetchone()  # noqa: S608
        return _run(row) if row else None

    # ----------------------------------------------------------------------------------- rounds

    def open_round(self, row: RoundRow) -> RoundRow:
        with self._for_good() as db:
            number = db.execute("select coalesce(max(number), 0) + 1 from rounds").fetchone()[0]
            db.execute(
                "insert into rounds (number, id, stage, part, recipe, status, run, opened, items)"
                " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (number, row.id, row.stage, row.part, row.recipe, row.status, row.run, row.opened, row.items),
            )
        return RoundRow(row.id, number, row.stage, row.part, row.recipe, row.status, row.run, row.opened, row.items)

    def count_round(self, round_id: str, items: int) -> None:
        with self._writing() as db:
            db.execute("update rounds set items = ? where id = ?", (items, round_id))

    def pass_round(self, round_id: str, place: int, key: str) -> None:
        with self._writing() as db:
            db.execute("update rounds set passed = ?, passed_key = ? where id = ?", (place, key, round_id))

    def close_round(self, round_id: str, status: RoundStatus, at: int) -> None:
        with self._writing() as db:
            db.execute("update rounds set status = ?, closed = ? where id = ?", (status, at, round_id))

    def rounds(self, *, stage: str | None = None, status: RoundStatus | None = None) -> list[RoundRow]:
        parts = [("stage = ?", stage), ("status = ?", status)]
        said = [(sql, value) for sql, value in parts if value is not None]
        where = "where " + " and ".join(sql for sql, _ in said) if said else ""
        rows = self._db.execute(
            f"select {_ROUND} from rounds {where} order by number",  # noqa: S608
            [value for _, value in said],
        )
        return [_round(row) for row in rows]

    def rounds_of_run(self, run: str) -> list[RoundRow]:
        rows = self._db.execute(
            f"select {_ROUND} from rounds where run = ? or id in (select round from worked where run = ?)"  # noqa: S608
            " order by number",
            (run, run),
        )
        return [_round(row) for row in rows]

    # --------------------------------------------------------------------------------- outcomes

    def settled(self, stage: str, keys: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for chunk in _chunks(keys):
            rows = self._db.execute(
                f"select distinct item from outcomes where stage = ? and item in ({_marks(chunk)})",  # noqa: S608
                [stage, *chunk],
            )
            found.update(row[0] for row in rows)
        return found

    def unsettled(self, stage: str, keys: Sequence[str]) -> set[str]:
        rows = self._db.execute(
            "select value from json_each(?) where not exists (select 1 from outcomes where stage = ? and item = value)",
            (keys_json(keys), stage),
        )
        return {key for (key,) in rows}

    def stand_ins(self, stage: str, keys: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for chunk in _chunks(keys):
            rows = self._db.execute(
                f"select o.item from outcomes o where o.stage = ? and o.item in ({_marks(chunk)})"  # noqa: S608
                f" and (o.model like 'offline/%' or o.served = 'standin') and {CURRENT}",
                [stage, *chunk],
            )
            found.update(row[0] for row in rows)
        return found

    def has_stand_ins(self, stage: str) -> bool:
        row = self._db.execute(
            "select 1 from outcomes indexed by outcomes_made_up where stage = ?"
            " and (model like 'offline/%' or served = 'standin') limit 1",
            (stage,),
        ).fetchone()
        return row is not None

    def settled_in_round(self, round_id: str, stage: str, keys: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for chunk in _chunks(keys):
            rows = self._db.execute(
                f"select item from outcomes where round = ? and item in ({_marks(chunk)})",  # noqa: S608
                [round_id, *chunk],
            )
            found.update(row[0] for row in rows)
        return found

    def settle(
        self,
        outcomes: Iterable[Outcome],
        entries: Iterable[TillEntry] = (),
        marks: Mapping[tuple[str, str], int] | None = None,
    ) -> None:
        with self._writing() as db:
            numbers: dict[str, int] = {}
            rows = []
            worked: set[tuple[str, str]] = set()
            items: dict[str, list[str]] = {}
            for outcome in outcomes:
                number = numbers.get(outcome.round)
                if number is None:
                    row = db.execute("select number from rounds where id = ?", (outcome.round,)).fetchone()
                    number = numbers[outcome.round] = row[0] if row else 0
                rows.append(_outcome_row(outcome, number))
                worked.add((outcome.run, outcome.round))
                items.setdefault(outcome.stage, []).append(outcome.key)
            with keeping_counts(db, items), keeping_use(db, items):
                db.executemany(
                    f"insert into outcomes ({_OUTCOME}, reason) values ({', '.join('?' * 24)}) on conflict do nothing",  # noqa: S608
                    rows,
                )
            db.executemany("insert into worked values (?, ?) on conflict do nothing", sorted(worked))
            booking.book(db, list(entries))
            db.executemany(
                "insert into marks (writer, stage, number) values (?, ?, ?)"
                " on conflict (writer, stage) do update set number = max(number, excluded.number)",
                [(writer, stage, number) for (writer, stage), number in (marks or {}).items()],
            )

    def current(self, stage: str, keys: Sequence[str]) -> dict[str, Outcome]:
        found: dict[str, Outcome] = {}
        for chunk in _chunks(keys):
            rows = self._db.execute(
                f"select {_OUTCOME} from outcomes where stage = ? and item in ({_marks(chunk)}) order by number",  # noqa: S608
                [stage, *chunk],
            )
            found.update((row[1], _outcome(row)) for row in rows)
        return found

    def outcomes(
        self,
        stage: str,
        *,
        states: Sequence[OutcomeState] | None = None,
        waiting: bool = False,
        after: str | None = None,
        limit: int = 1000,
        round_id: str | None = None,
    ) -> list[Outcome]:
        where = ["o.stage = ?", CURRENT]
        values: list[Any] = [stage]
        if after is not None:
            where.append("o.item > ?")
            values.append(after)
        if states is not None:
            where.append(f"o.state in ({_marks(states)})")
            values.extend(states)
        if waiting:
            where.append("o.state = 'accepted' and o.fate = ''")
        if round_id is not None:
            where.append("o.round = ?")
            values.append(round_id)
        rows = self._db.execute(
            f"select {_OUTCOME} from outcomes o where {' and '.join(where)} order by o.item limit ?",  # noqa: S608
            [*values, limit],
        )
        return [_outcome(row) for row in rows]

    def prints(self, stage: str, *, after: str | None = None, limit: int = 5000) -> list[tuple[str, str, str]]:
        rows = self._db.execute(
            "select item, fingerprint, fate from outcomes where stage = ? and item > ? order by item, number limit ?",
            (stage, after or "", limit),
        ).fetchall()
        newest = {row[0]: row for row in rows}  # the current outcome of an item is its last
        if len(rows) == limit:  # that of the last item may lie behind the page
            item = rows[-1][0]
            newest[item] = self._db.execute(
                "select item, fingerprint, fate from outcomes where stage = ? and item = ?"
                " order by number desc limit 1",
                (stage, item),
            ).fetchone()
        return list(newest.values())

    def waiting(self, stage: str, *, after: str | None = None, limit: int = 1000) -> list[Waiting]:
        # In one step of the database, so that other threads work meanwhile.
        (page,) = self._db.execute(
            "select json_group_array(json_array(item, round, state, fingerprint, before, output)) from ("  # noqa: S608
            "select o.item, o.round, o.state, o.fingerprint, o.before, o.output from outcomes o"
            f" where o.stage = ? and o.item > ? and o.state = 'accepted' and o.fate = '' and {CURRENT}"
            " order by o.item limit ?)",
            (stage, after or "", limit),
        ).fetchone()
        rows = orjson.loads(page)
        if not rows:
            return []
        keys, rounds, states, prints, before, output = zip(*rows, strict=True)
        cells = unpack_all([text or "{}" for text in before])
        answers = unpack_all([text or "null" for text in output])
        return list(map(Waiting._make, zip(keys, rounds, states, prints, cells, answers, strict=True)))

    def reread(self, outcomes: Iterable[Outcome]) -> None:
        read = list(outcomes)
        items: dict[str, list[str]] = {}
        for outcome in read:
            items.setdefault(outcome.stage, []).append(outcome.key)
        with self._writing() as db, keeping_counts(db, items):
            db.executemany(
                "update outcomes set state = ?, output = ?, before = ?, findings = ?, reason = ?, made = ?, fate = '',"
                " fate_reason = '' where stage = ? and item = ? and round = ?",
                [_reread_row(outcome) for outcome in read],
            )

    def set_state(self, stage: str, keys: Sequence[str], state: OutcomeState) -> int:
        with self._writing() as db, keeping_counts(db, {stage: keys}):
            return db.execute(
                f"update outcomes as o set state = ? where o.stage = ? and {OF_KEYS} and {CURRENT}"  # noqa: S608
                " and o.state != 'set aside'",
                (state, stage, keys_json(keys)),
            ).rowcount

    def tally(self, stage: str, recipe: str | None = None) -> Tally:
        rows = self._db.execute(
            "select o.state, o.recipe, o.fate, count(*), sum(o.made), sum(o.cost), count(o.cost), o.model, o.served"  # noqa: S608
            f" from outcomes o where o.stage = ? and {CURRENT} group by 1, 2, 3, o.model, o.served",
            (stage,),
        )
        states: dict[str, int] = {}
        fates: dict[str, int] = {}
        stale = made = 0
        cost: int | None = 0
        models: dict[tuple[str, str], int] = {}
        for state, of, fate, count, rows_made, nano, priced, model, served in rows:
            states[state] = states.get(state, 0) + count
            if state == "accepted":
                fates[fate or "waiting"] = fates.get(fate or "waiting", 0) + count
                made += rows_made
                models[model, served] = models.get((model, served), 0) + count
            if recipe is not None and of != recipe:
                stale += count
            cost = None if cost is None or priced < count else cost + (nano or 0)
        return Tally(states, stale, made, cost, fates, models)

    def standing(self) -> dict[str, Tally]:
        found: dict[str, Tally] = {}
        rows = self._db.execute("select stage, state, fate, items from counts where items > 0 order by stage, state")
        for stage, state, fate, items in rows:
            tally = found.get(stage, Tally(cost=None))
            states = {**tally.states, state: tally.states.get(state, 0) + items}
            fates = dict(tally.uploaded)
            if state == "accepted":
                fates[fate or "waiting"] = items
            found[stage] = Tally(states, cost=None, uploaded=fates)
        return found

    def history(self, stage: str, key: str) -> list[tuple[Outcome, Uploaded, str]]:
        rows = self._db.execute(
            f"select {_OUTCOME}, fate, fate_reason, release from outcomes where stage = ? and item = ?"  # noqa: S608
            " order by number",
            (stage, key),
        )
        return [(_outcome(row), Uploaded(row[1], row[3], *row[23:25]), row[25]) for row in rows]

    def since(
        self, at: int, *, after: tuple[int, str, str] | None = None, run: str | None = None, limit: int = 1000
    ) -> list[Outcome]:
        where = ["at >= ?"]
        values: list[Any] = [at]
        if after is not None:
            where.append("(at, stage, item) > (?, ?, ?)")
            values.extend(after)
        if run is not None:
            where.append("run = ?")
            values.append(run)
        rows = self._db.execute(
            f"select {_LIGHT} from outcomes where {' and '.join(where)} order by at, stage, item limit ?",  # noqa: S608
            [*values, limit],
        )
        return [_outcome(row) for row in rows]

    def pace(self, run: str, since: int) -> tuple[int, int]:
        row = self._db.execute("select count(*), min(at) from outcomes where at >= ? and run = ?", (since, run))
        count, first = row.fetchone()
        return int(count), int(first or 0)

    def stages(self) -> list[str]:
        rows = self._db.execute("select distinct stage from rounds union select distinct stage from till order by 1")
        return [row[0] for row in rows]

    def states_of_round(self, round_id: str) -> dict[str, int]:
        # Grouping costs more than counting, and nearly all are accepted.
        others: dict[str, int] = dict(
            self._db.execute(
                "select state, count(*) from outcomes where round = ? and state != 'accepted' group by state",
                (round_id,),
            ).fetchall()
        )
        accepted = self.count_of_round(round_id) - sum(others.values())
        return ({"accepted": accepted} if accepted else {}) | others

    def topics_of_round(self, round_id: str, *, limit: int) -> list[str]:
        rows = self._db.execute(  # a row that holds an infinity is no JSON to SQLite
            "select distinct case when json_valid(row) then json_extract(row, '$.topic') end"
            " from (select row from outcomes where round = ? limit ?) where row is not null",
            (round_id, limit),
        )
        return [topic for (topic,) in rows if isinstance(topic, str)]

    def count_of_round(self, round_id: str) -> int:
        return int(self._db.execute("select count(*) from outcomes where round = ?", (round_id,)).fetchone()[0])

    def count_of_keys(self, round_id: str, keys: Sequence[str]) -> int:
        row = self._db.execute(
            "select count(*) from json_each(?) k cross join outcomes o where o.round = ? and o.item = k.value",
            (keys_json(keys), round_id),
        ).fetchone()
        return int(row[0])

    def keys_of_round(
        self, round_id: str, *, after: str | None, up_to: str | None = None, limit: int | None = None
    ) -> list[str]:
        end, values = ("", []) if up_to is None else ("and item <= ?", [up_to])
        (found,) = self._db.execute(  # in one text: half the time of as many rows
            "select json_group_array(item) from"  # noqa: S608
            f" (select item from outcomes where round = ? and item > ? {end} order by item limit ?)",
            [round_id, after or "", *values, -1 if limit is None else limit],
        ).fetchone()
        return orjson.loads(found)  # type: ignore[no-any-return]  # a list of texts

    def reasons(self, stage: str | None = None) -> list[tuple[str, str, str, int, str]]:
        where, values = ("and o.stage = ?", [stage]) if stage else ("", [])
        rows = self._db.execute(
            "select o.stage, o.state, o.reason, count(*), min(o.item) from outcomes o"  # noqa: S608
            f" where o.state != 'accepted' {where} and {CURRENT} group by 1, 2, 3 order by 4 desc, 1, 2, 3",
            values,
        )
        return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]

    def marks(self, stage: str) -> dict[str, int]:
        return dict(self._db.execute("select writer, number from marks where stage = ?", (stage,)).fetchall())

    # ---------------------------------------------------------------------------------- uploads

    def open_release(self, release: Release) -> Release:
        with self._writing() as db:
            row = db.execute(
                "select id, stage, table_name, status, opened, run, closed from releases"
                " where stage = ? and status = 'applying' order by rowid limit 1",
                (release.stage,),
            ).fetchone()
            if row:
                return Release(*row)
            db.execute(
                "insert into releases (id, stage, table_name, status, opened, run) values (?, ?, ?, ?, ?, ?)",
                (release.id, release.stage, release.table, release.status, release.opened, release.run),
            )
        return release

    def close_release(self, release: str, status: ReleaseStatus, at: int) -> None:
        with self._writing() as db:
            db.execute("update releases set status = ?, closed = ? where id = ?", (status, at, release))

    def releases(self) -> list[Release]:
        rows = self._db.execute(
            "select id, stage, table_name, status, opened, run, closed from releases order by rowid"  # clocks go back
        )
        return [Release(*row) for row in rows]

    def release_counts(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for query in (
            "select release, fate, count(*) from outcomes where release != '' group by 1, 2",
            "select release, 'rows ' || fate, count(*) from made group by 1, 2",
        ):
            for release, fate, count in self._db.execute(query):
                found.setdefault(release, {})[fate] = count
        return found

    def uploaded(self, stage: str, release: str, fates: Iterable[Uploaded], made: Iterable[MadeRow] = ()) -> None:
        told: dict[tuple[str, str, str], list[str]] = {}
        for key, round_id, fate, reason in fates:
            told.setdefault((round_id, fate, reason), []).append(key)
        with self._writing() as db:
            for (round_id, fate, reason), keys in told.items():
                self._uploaded(db, stage, round_id, keys, (fate, reason, release))
            db.executemany(
                "insert into made (round, parent, ordinal, stage, table_name, id, fate, release, reason)"
                " values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (round, parent, ordinal) do update set"
                " fate = excluded.fate, release = excluded.release, reason = excluded.reason"
                " where made.fate = 'withdrawn'",
                [(m.round, m.parent, m.ordinal, m.stage, m.table, m.id, m.fate, m.release, m.reason) for m in made],
            )

    def _uploaded(
        self, db: sqlite3.Connection, stage: str, round_id: str, keys: Sequence[str], told: tuple[str, str, str]
    ) -> None:
        """Nearly always all of them are current and waited, which one statement finds out while it writes."""
        fate = told[0]
        mine, values = f"o.stage = ? and {OF_KEYS} and o.round = ?", (stage, keys_json(keys), round_id)
        write = f"update outcomes as o set fate = ?, fate_reason = ?, release = ? where {mine}"  # noqa: S608
        db.execute("savepoint told")
        waited = f"o.state = 'accepted' and o.fate = '' and {CURRENT}"
        if db.execute(f"{write} and {waited}", (*told, *values)).rowcount == len(keys):
            before, now = {(stage, "accepted", ""): len(keys)}, {(stage, "accepted", fate): len(keys)}
        else:
            db.execute("rollback to told")
            rows = db.execute(
                f"select o.state, o.fate, count(*) from outcomes o where {mine} and {CURRENT} group by 1, 2",  # noqa: S608
                values,
            ).fetchall()
            before = {(stage, state, earlier): count for state, earlier, count in rows}
            now = {}
            for state, _, count in rows:
                now[stage, state, fate] = now.get((stage, state, fate), 0) + count
            db.execute(write, (*told, *values))
        db.execute("release told")
        change(db, Counts(now), Counts(before))

    def upload_fate(self, stage: str, keys: Sequence[str]) -> dict[str, tuple[str, str]]:
        found: dict[str, tuple[str, str]] = {}
        for chunk in _chunks(keys):
            rows = self._db.execute(
                f"select o.item, o.fate, o.release from outcomes o where o.stage = ? and o.item in ({_marks(chunk)})"  # noqa: S608
                f" and o.fate != '' and {CURRENT}",
                [stage, *chunk],
            )
            found.update((row[0], (row[1], row[2])) for row in rows)
        return found

    def made_of_round(self, round_id: str) -> dict[str, int]:
        rows = self._db.execute("select fate, count(*) from made where round = ? group by fate", (round_id,))
        return dict(rows.fetchall())

    def sums_of_round(self, round_id: str) -> RoundSums:
        states: dict[str, int] = {}
        total = waiting = 0
        for state, waits, count, made in self._db.execute(
            "select state, fate = '', count(*), sum(made) from outcomes where round = ? group by 1, 2", (round_id,)
        ):
            states[state] = states.get(state, 0) + count
            uploaded_once = state == "set aside" and not waits  # a person's no to what had been written
            standing = made if state in ("accepted", "withdrawn") or uploaded_once else 0
            total += standing
            # Withdrawn ones too: a release that was killed before the state knew of it may be taken back.
            waiting += standing if waits else 0
        return RoundSums(states, total, waiting)

    def withdraw_made(self, release: str) -> None:
        with self._writing() as db:
            db.execute("update made set fate = 'withdrawn' where release = ? and fate = 'stored'", (release,))

    def items_of_release(self, release: str) -> list[str]:
        rows = self._db.execute("select item from outcomes where release = ? order by item", (release,))
        return [row[0] for row in rows]

    # ------------------------------------------------------------------------------------ money

    def till_has(self, intents: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for chunk in _chunks(intents):
            rows = self._db.execute(f"select intent from till where intent in ({_marks(chunk)})", list(chunk))  # noqa: S608
            found.update(row[0] for row in rows)
        return found

    def spending(
        self, by: Sequence[str] = (), *, run: str | None = None, intents: Sequence[str] | None = None
    ) -> list[Spending]:
        groups = [_GROUPS[name] for name in by]
        conditions = ["run = ?"] if run is not None else []
        conditions += [f"intent in ({', '.join('?' * len(intents))})"] if intents is not None else []
        where = f"where {' and '.join(conditions)}" if conditions else ""
        values = [*([run] if run is not None else []), *(intents or ())]
        head = "".join(f"{group}, " for group in groups)
        tail = f"group by {', '.join(groups)} order by {', '.join(groups)}" if groups else ""
        kept = _KEPT.issuperset(by)
        sums, source = (booking.SPENT_SUMS, "spent") if kept else (booking.SUMS, "till")
        rows = self._db.execute(
            f"select {head} {sums}, {booking.TOKEN_SUMS} from {source} {where} {tail}",  # noqa: S608
            values,
        )
        n = len(groups)
        return [
            Spending(
                group=tuple(str(value) for value in row[:n]),
                nano=row[n],
                doubtful=row[n + 1],
                unknown=row[n + 2],
                calls=row[n + 3],
                usage=Usage(*row[n + 4 : n + 8]),
                saved=row[n + 8],
            )
            for row in rows
        ]

    def used_between(self, start: int, end: int) -> list[ModelUse]:
        items = self._db.execute(
            "select model, count(*) from outcomes where at >= ? and at < ? and model != '' group by model", (start, end)
        )
        found = {model: ModelUse(model, items=count) for model, count in items if not model.startswith("adopted/")}
        for model, calls, tokens, nano in self._db.execute(
            "select model, count(distinct intent), sum(input + cached + answered), coalesce(sum(nano), 0) from till"
            " where at >= ? and at < ? and kind != 'adopt' group by model",
            (start, end),
        ):
            found[model] = replace(found.get(model, ModelUse(model)), calls=calls, tokens=tokens, nano=nano)
        return list(found.values())

    def cost_of_states(self) -> list[Spending]:
        rows = self._db.execute(
            "select state, coalesce(sum(cost), 0), count(*) - count(cost), count(*), coalesce(sum(input), 0),"
            " coalesce(sum(cached), 0), coalesce(sum(answered), 0), coalesce(sum(reasoning), 0)"
            " from outcomes group by state order by state"
        )
        return [Spending((row[0],), row[1], 0, row[2], row[3], Usage(*row[4:8])) for row in rows]

    def money(self) -> dict[str, Spending]:
        rows = self._db.execute("select stage, nano, doubtful, unknown, calls from sums order by stage")
        return {row[0]: Spending((row[0],), row[1], row[2], row[3], row[4], Usage()) for row in rows}

    def entries(self, intents: Sequence[str]) -> dict[str, TillEntry]:
        found: dict[str, TillEntry] = {}
        for chunk in _chunks(intents):
            rows = self._db.execute(
                f"select {booking.COLUMNS} from till where intent in ({_marks(chunk)})"  # noqa: S608
                " and kind in ('settle', 'adopt', 'doubt') order by intent, kind = 'doubt' desc",
                list(chunk),
            )
            found.update((row[0], booking.entry_of(row)) for row in rows)
        return found

    def events(self, intent: str) -> list[TillEntry]:
        rows = self._db.execute(
            f"select {booking.COLUMNS} from till where intent = ? order by kind = 'settle'",  # noqa: S608
            (intent,),
        )
        return [booking.entry_of(row) for row in rows]

    def costs(self, stage: str, recipe: str, model: str, limit: int) -> list[tuple[str, int]]:
        rows = self._db.execute(
            "select item, cost from (select stage, item, cost, recipe, model from outcomes indexed by outcomes_by_time"
            " order by at desc limit ?) where stage = ? and recipe = ? and model = ? and cost is not null limit ?",
            (OF_LATE, stage, recipe, model, limit),
        )
        return [(row[0], row[1]) for row in rows]

    def unpriced(self, limit: int = 1000) -> list[TillEntry]:
        if not self._db.execute("select 1 from sums where unknown > 0 limit 1").fetchone():
            return []
        rows = self._db.execute(
            f"select {booking.COLUMNS} from till t where nano is null and kind != 'refund' and not exists"  # noqa: S608
            " (select 1 from till x where x.intent = t.intent and (x.kind = 'price' or"
            " (t.kind = 'doubt' and x.kind = 'refund'))) limit ?",
            (limit,),
        )
        return [booking.entry_of(row) for row in rows]

    def price(self, hash: str, row: Mapping[str, Any] | None = None) -> Mapping[str, Any] | None:
        if row is not None:
            with self._writing() as db:
                db.execute("insert into prices values (?, ?) on conflict do nothing", (hash, pack(row)))
            return row
        found = self._db.execute("select body from prices where hash = ?", (hash,)).fetchone()
        return unpack(found[0]) if found else None

    # ----------------------------------------------------------------------------------- leases

    def lease(self, holder: Holder, wanted: Sequence[Wanted], *, joined: bool) -> list[Granted] | None:
        with self._writing() as db:
            return common.lease(db, holder, wanted, joined=joined)

    def leases(self, holder: str | None = None) -> list[Lease]:
        return common.leases(self._db, holder)

    def spent_of(self, one: Wanted) -> tuple[int, int]:
        return common.spent_of(self._db, one)

    def reckon(self, holder: str, held: Mapping[str, int], host: str) -> None:
        with self._writing() as db:
            common.reckon(db, holder, held, host)

    def leave(self, holder: str) -> None:
        with self._writing() as db:
            common.leave(db, holder)

    def release(self, holder: str) -> list[Lease]:
        with self._writing() as db:
            return common.release(db, holder)

    # ------------------------------------------------------------------------------------ notes

    def recipe(self, recipe: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any] | None:
        if body is not None:
            with self._writing() as db:
                db.execute("insert into recipes values (?, ?) on conflict do nothing", (recipe, pack(body)))
            return body
        row = self._db.execute("select body from recipes where hash = ?", (recipe,)).fetchone()
        return unpack(row[0]) if row else None

    def note(self, name: str, value: Any = None) -> Any:
        if value is not None:
            with self._writing() as db:
                db.execute(
                    "insert into notes values (?, ?) on conflict (name) do update set value = excluded.value",
                    (name, pack(value)),
                )
            return value
        row = self._db.execute("select value from notes where name = ?", (name,)).fetchone()
        return unpack(row[0]) if row else None


# ------------------------------------------------------------------------------------ rows and values

_RUN = "id, command, target, started, status, settings, pid, host, finished, cap, exit_code, message, page"
_ROUND = "id, number, stage, part, recipe, status, run, opened, items, closed, passed, passed_key"


def _run(row: Sequence[Any]) -> RunRow:
    return replace(RunRow(*row), settings=unpack(row[5]))


def _round(row: Sequence[Any]) -> RoundRow:
    return RoundRow(*row)


def _outcome_row(o: Outcome, number: int) -> tuple[Any, ...]:
    return (
        o.stage, o.key, number, o.round, o.state, o.fingerprint, o.recipe,
        None if o.output is None else pack(o.output),
        pack(dict(o.before)) if o.before else None,
        pack(dict(o.row)) if o.row else None,
        pack([f.as_json() for f in o.findings]) if o.findings else None,
        o.usage.input, o.usage.cached, o.usage.output, o.usage.reasoning, o.cost,
        pack(list(o.calls)) if o.calls else "[]", o.attempts, o.model, o.served, o.run, o.at, o.made,
        next((f.code for f in o.findings if f.severity == "error"), ""),
    )  # fmt: skip


def _reread_row(o: Outcome) -> tuple[Any, ...]:
    return (
        o.state,
        None if o.output is None else pack(o.output),
        pack(dict(o.before)) if o.before else None,
        pack([f.as_json() for f in o.findings]) if o.findings else None,
        next((f.code for f in o.findings if f.severity == "error"), ""),
        o.made,
        o.stage,
        o.key,
        o.round,
    )


def _outcome(row: Sequence[Any]) -> Outcome:
    return Outcome(
        stage=row[0],
        key=row[1],
        round=row[3],
        state=row[4],
        fingerprint=row[5],
        recipe=row[6],
        output=_value(row[7]),
        before=_value(row[8]) or {},
        row=_value(row[9]) or {},
        findings=tuple(Finding(f["code"], f["message"], f["field"], f["severity"]) for f in (_value(row[10]) or ())),
        usage=Usage(row[11], row[12], row[13], row[14]),
        cost=row[15],
        calls=tuple(_value(row[16])),
        attempts=row[17],
        model=row[18],
        served=row[19],
        run=row[20],
        at=row[21],
        made=row[22],
    )


def _value(text: str | None) -> Any:
    return None if text is None else unpack(text)


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


def _as_seedbed(error: sqlite3.DatabaseError, path: Path) -> BaseException:
    return of_sqlite(error, path) or error
