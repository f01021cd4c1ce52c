"""Pilots, decisions and signatures in the SQLite state."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from seedbed.ports.state.counts import OF_KEYS, keeping_counts, keys_json
from seedbed.ports.state.gates import DecisionRow, PilotRow, SignatureRow
from seedbed.records import Outcome, pack, unpack

_PILOT = "id, stage, recipe, seed, size, condition, columns, items, population, at"
_DECISION = "stage, item, round, verdict, reviewer, at, reason, note, scores, pilot"
_SIGNATURE = "stage, kind, name, at, recipe, selection, models, items, money, until, pilot, note, seen"
_USED = (
    "select g.stage, g.kind, g.name, g.at, g.recipe, g.selection, g.models, g.items, g.money, g.until, g.pilot, g.note,"
    " g.seen, g.number, coalesce(u.items, 0), coalesce(s.nano, 0) - coalesce(u.spent_before, 0)"
    " from signatures g left join signature_use u on u.signature = g.number left join sums s on s.stage = g.stage"
)
CHUNK = 500


class SqliteGates:
    """See :class:`seedbed.ports.state.gates.Gates`."""

    _db: sqlite3.Connection

    def _writing(self) -> AbstractContextManager[sqlite3.Connection]:
        raise NotImplementedError

    @contextmanager
    def _for_good(self) -> Iterator[sqlite3.Connection]:
        """A transaction that survives the power too: for what nothing else on the disk can tell again."""
        self._db.execute("pragma synchronous = full")
        try:
            with self._writing() as db:
                yield db
        finally:
            self._db.execute("pragma synchronous = normal")

    def add_pilot(self, pilot: PilotRow) -> None:
        values = (
            pilot.id, pilot.stage, pilot.recipe, pilot.seed, pilot.size, pilot.where, pack(list(pilot.columns)),
            pack([list(item) for item in pilot.items]), pilot.population, pilot.at,
        )  # fmt: skip
        with self._for_good() as db:
            db.execute(f"insert into pilots ({_PILOT}) values ({_marks(values)})", values)  # noqa: S608

    def pilot(self, stage: str) -> PilotRow | None:
        row = self._db.execute(
            f"select {_PILOT} from pilots where stage = ? order by number desc limit 1",  # noqa: S608
            (stage,),
        ).fetchone()
        if row is None:
            return None
        id, of, recipe, seed, size, where, columns, items, population, at = row
        chosen = tuple((key, why) for key, why in unpack(items))
        return PilotRow(id, of, recipe, seed, size, where, tuple(unpack(columns)), chosen, population, at)

    def decide(self, decision: DecisionRow, before: Outcome, after: Outcome) -> bool:
        d = decision
        values = (
            d.stage, d.key, d.round, d.verdict, d.reviewer, d.at, d.reason, d.note, pack(dict(d.scores)), d.pilot
        )  # fmt: skip
        findings = pack([f.as_json() for f in after.findings]) if after.findings else None
        reason = next((f.code for f in after.findings if f.severity == "error"), "")
        with self._for_good() as db, keeping_counts(db, {d.stage: [d.key]}):
            changed = db.execute(
                "update outcomes as o set state = ?, findings = ?, reason = ? where stage = ? and item = ?"
                " and round = ? and state = ? and number ="
                " (select max(x.number) from outcomes x where x.stage = o.stage and x.item = o.item)",
                (after.state, findings, reason, d.stage, d.key, d.round, before.state),
            ).rowcount
            if changed:
                db.execute(f"insert into decisions ({_DECISION}) values ({_marks(values)})", values)  # noqa: S608
        return bool(changed)

    def decisions(self, stage: str) -> list[DecisionRow]:
        rows = self._db.execute(
            f"select {_DECISION}, number from decisions where stage = ? order by number",  # noqa: S608
            (stage,),
        )
        return [replace(DecisionRow(*row[:8]), scores=unpack(row[8]), pilot=row[9], number=row[10]) for row in rows]

    def take_back(self, stage: str, key: str, round_id: str) -> None:
        with self._writing() as db, keeping_counts(db, {stage: [key]}):
            db.execute(
                "update outcomes set fate = 'withdrawn' where stage = ? and item = ? and round = ? and fate != ''",
                (stage, key, round_id),
            )
            db.execute(
                "update made set fate = 'withdrawn' where round = ? and parent = ? and fate = 'stored'", (round_id, key)
            )

    def sign(self, signature: SignatureRow) -> SignatureRow:
        s = signature
        values = (
            s.stage, s.kind, s.name, s.at, s.recipe, s.selection, pack(list(s.models)), s.items, s.money, s.until,
            s.pilot, s.note, pack(dict(s.seen)),
        )  # fmt: skip
        with self._for_good() as db:
            made = db.execute(f"insert into signatures ({_SIGNATURE}) values ({_marks(values)})", values)  # noqa: S608
            number = int(made.lastrowid or 0)
            if s.kind == "approve":
                db.execute(
                    "insert into signature_use select ?, ?, ?, 0, coalesce((select nano from sums where stage = ?), 0)",
                    (number, s.stage, s.recipe, s.stage),
                )
        return replace(signature, number=number)

    def signature(self, stage: str) -> SignatureRow | None:
        row = self._db.execute(f"{_USED} where g.stage = ? order by g.number desc limit 1", (stage,)).fetchone()
        return None if row is None else _signature(row)

    def signatures(self, stage: str | None = None) -> list[SignatureRow]:
        where, values = ("where g.stage = ?", [stage]) if stage is not None else ("", [])
        return [_signature(row) for row in self._db.execute(f"{_USED} {where} order by g.number", values)]

    def work_under(self, run: str, stage: str, signature: int) -> None:
        with self._writing() as db:
            db.execute("insert into signed_runs values (?, ?, ?) on conflict do nothing", (run, stage, signature))

    def worked_under(self, run: str) -> list[SignatureRow]:
        rows = self._db.execute(
            f"{_USED} where g.number in (select signature from signed_runs where run = ?) order by g.number",  # noqa: S608
            (run,),
        )
        return [_signature(row) for row in rows]

    def holders(self, signature: int) -> list[str]:
        rows = self._db.execute("select run from signature_room where signature = ?", (signature,))
        return [row[0] for row in rows]

    def take_room(self, signature: int, run: str, *, wanted: int, outstanding: int, gone: Sequence[str]) -> int:
        with self._writing() as db:
            db.executemany(
                "delete from signature_room where signature = ? and run = ?", [(signature, each) for each in gone]
            )
            ceiling, used, others = db.execute(
                "select g.items, coalesce(u.items, 0), (select coalesce(sum(items), 0) from signature_room"
                " where signature = g.number and run != ?)"
                " from signatures g left join signature_use u on u.signature = g.number where g.number = ?",
                (run, signature),
            ).fetchone()
            granted = wanted if ceiling is None else max(0, min(wanted, ceiling - used - others - outstanding))
            db.execute(
                "insert into signature_room values (?, ?, ?)"
                " on conflict (signature, run) do update set items = excluded.items",
                (signature, run, outstanding + granted),
            )
        return int(granted)

    def of_recipe(self, stage: str, recipe: str, keys: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for start in range(0, len(keys), CHUNK):
            chunk = keys[start : start + CHUNK]
            rows = self._db.execute(
                f"select distinct item from outcomes where stage = ? and item in ({_marks(chunk)}) and recipe = ?",  # noqa: S608
                [stage, *chunk, recipe],
            )
            found.update(row[0] for row in rows)
        return found


@contextmanager
def keeping_use(db: sqlite3.Connection, items: Mapping[str, Iterable[str]]) -> Iterator[None]:
    """Around new outcomes of these items (keys by stage): what they use of signatures is counted with them.

    An item counts with its first outcome of the signed recipe.
    """
    signed = [
        (stage, recipe, keys_json(keys))
        for stage, keys in items.items()
        for (recipe,) in db.execute("select distinct recipe from signature_use where stage = ?", (stage,)).fetchall()
    ]
    before = [_worked(db, *each) for each in signed]
    yield
    for (stage, recipe, keys), worked in zip(signed, before, strict=True):
        db.execute(
            "update signature_use set items = items + ? where stage = ? and recipe = ?",
            (_worked(db, stage, recipe, keys) - worked, stage, recipe),
        )


def _worked(db: sqlite3.Connection, stage: str, recipe: str, keys: str) -> int:
    found = db.execute(
        f"select count(distinct o.item) from outcomes o where o.stage = ? and o.recipe = ? and {OF_KEYS}",  # noqa: S608
        (stage, recipe, keys),
    )
    return int(found.fetchone()[0])


def _signature(row: Sequence[Any]) -> SignatureRow:
    stage, kind, name, at, recipe, selection, models, items, money, until, pilot, note, seen, number, used, spent = row
    return SignatureRow(
        stage,
        kind,
        name,
        at,
        recipe,
        selection,
        models=tuple(unpack(models)),
        items=items,
        money=money,
        until=until,
        pilot=pilot,
        note=note,
        seen=unpack(seen),
        number=number,
        used_items=used,
        used_money=spent,
    )


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
