"""Numbered steps of the state's schema, each inside one exclusive transaction with its number."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from seedbed.errors import StoreNewer

_V1 = """
create table runs (
  id text primary key, command text not null, target text not null, started integer not null,
  finished integer, status text not null, settings text not null, pid integer not null, host text not null,
  cap integer, exit_code integer, message text not null default '', page text not null default ''
);
create table rounds (
  number integer primary key, id text not null unique, stage text not null, part text not null,
  recipe text not null, status text not null, run text not null, opened integer not null,
  closed integer, items integer not null default 0
);
create index rounds_by_stage on rounds (stage, status);
create table outcomes (
  stage text not null, item text not null, number integer not null, round text not null, state text not null,
  fingerprint text not null, recipe text not null, output text, before text, row text, findings text,
  reason text not null default '', input integer not null, cached integer not null, answered integer not null,
  reasoning integer not null, cost integer, calls text not null, attempts integer not null, model text not null,
  served text not null, run text not null, at integer not null, made integer not null,
  fate text not null default '', release text not null default '', fate_reason text not null default '',
  primary key (stage, item, number)
) without rowid;
create index outcomes_by_round on outcomes (round, item);
create table made (
  round text not null, parent text not null, ordinal integer not null, stage text not null,
  table_name text not null, id text not null, fate text not null, release text not null, reason text not null,
  primary key (round, parent, ordinal)
) without rowid;
create index made_by_release on made (release);
create table releases (
  id text primary key, stage text not null, table_name text not null, status text not null,
  opened integer not null, closed integer, run text not null
);
create table till (
  intent text primary key, kind text not null, nano integer, stage text not null, run text not null,
  model text not null, served text not null, at integer not null, input integer not null,
  cached integer not null, answered integer not null, reasoning integer not null, saved integer not null
) without rowid;
create table marks (
  writer text not null, stage text not null, number integer not null, primary key (writer, stage)
) without rowid;
create table recipes (hash text primary key, body text not null) without rowid;
create table notes (name text primary key, value text not null) without rowid;
"""


_V2 = """
create table counts (
  stage text not null, state text not null, fate text not null, items integer not null,
  primary key (stage, state, fate)
) without rowid
--
insert into counts select o.stage, o.state, o.fate, count(*) from outcomes o where o.number =
  (select max(x.number) from outcomes x where x.stage = o.stage and x.item = o.item) group by 1, 2, 3
--
create trigger counted_in after insert on outcomes when not exists
  (select 1 from outcomes x where x.stage = new.stage and x.item = new.item and x.number > new.number)
begin
  update counts set items = items - 1 where (stage, state, fate) = (
    select o.stage, o.state, o.fate from outcomes o where o.stage = new.stage and o.item = new.item
    and o.number < new.number order by o.number desc limit 1);
  insert into counts values (new.stage, new.state, new.fate, 1)
    on conflict (stage, state, fate) do update set items = items + 1;
end
--
create trigger counted_over after update of state, fate on outcomes
when (old.state != new.state or old.fate != new.fate) and not exists
  (select 1 from outcomes x where x.stage = new.stage and x.item = new.item and x.number > new.number)
begin
  update counts set items = items - 1 where stage = old.stage and state = old.state and fate = old.fate;
  insert into counts values (new.stage, new.state, new.fate, 1)
    on conflict (stage, state, fate) do update set items = items + 1;
end
--
create table sums (
  stage text primary key, nano integer not null, doubtful integer not null, unknown integer not null,
  calls integer not null
) without rowid
--
insert into sums select stage, coalesce(sum(nano), 0), coalesce(sum(case when kind = 'doubt' then nano end), 0),
  count(*) - count(nano), count(*) from till group by stage
--
create trigger summed_in after insert on till
begin
  insert into sums values (new.stage, coalesce(new.nano, 0),
    case when new.kind = 'doubt' then coalesce(new.nano, 0) else 0 end, new.nano is null, 1)
    on conflict (stage) do update set nano = nano + excluded.nano, doubtful = doubtful + excluded.doubtful,
    unknown = unknown + excluded.unknown, calls = calls + 1;
end
--
create trigger summed_over after update on till
begin
  update sums set nano = nano - coalesce(old.nano, 0) + coalesce(new.nano, 0),
    doubtful = doubtful - case when old.kind = 'doubt' then coalesce(old.nano, 0) else 0 end
      + case when new.kind = 'doubt' then coalesce(new.nano, 0) else 0 end,
    unknown = unknown - (old.nano is null) + (new.nano is null)
    where stage = new.stage;
end
--
create index outcomes_by_time on outcomes (at, run)
"""
"""Counts that ``status`` shows, kept by the same transactions that change what they count."""


_V3 = """
create table worked (run text not null, round text not null, primary key (run, round)) without rowid
--
insert into worked select distinct run, round from outcomes
--
alter table rounds add column passed integer not null default 0
--
alter table rounds add column passed_key text not null default ''
--
drop index outcomes_by_round
--
create index outcomes_by_round on outcomes (round, item, state)
--
create index outcomes_not_accepted on outcomes (stage, state, reason) where state != 'accepted'
--
create index outcomes_made_up on outcomes (stage) where model like 'offline/%' or served = 'standin'
"""
"""What a run would otherwise look for among all outcomes; and how far a round is settled without a gap."""


_V4 = """
drop trigger counted_in
--
drop trigger counted_over
"""
"""The counts are kept for many outcomes at once (``counts.py``): a trigger costs more than the row it counts."""


_V5 = """
create table leases (
  purse text not null, holder text not null, host text not null, pid integer not null, run text not null,
  at integer not null, expires integer not null, held integer not null, primary key (purse, holder)
) without rowid
--
create index leases_by_holder on leases (holder)
--
create table prices (hash text primary key, body text not null) without rowid
--
create table quarters (quarter integer primary key, nano integer not null, unknown integer not null)
--
drop trigger summed_in
--
drop trigger summed_over
--
alter table till rename to till_before
--
create table till (
  intent text not null, kind text not null, nano integer, stage text not null, run text not null,
  model text not null, served text not null, at integer not null, input integer not null,
  cached integer not null, answered integer not null, reasoning integer not null, saved integer not null,
  account text not null, price text not null, primary key (intent, kind)
) without rowid
--
insert into till select intent, kind, nano, stage, run, model, served, at, input, cached, answered, reasoning, saved,
  '', '' from till_before
--
drop table till_before
--
insert into quarters select at / 900000, coalesce(sum(nano), 0), count(*) - count(nano) from till group by 1
--
create trigger summed_in after insert on till
begin
  insert into sums values (new.stage, coalesce(new.nano, 0),
    case when new.kind in ('doubt', 'refund') then coalesce(new.nano, 0) else 0 end,
    (new.nano is null) * (case new.kind when 'refund' then -1 else 1 end) - (new.kind = 'price'),
    case new.kind when 'refund' then -1 when 'price' then 0 else 1 end)
    on conflict (stage) do update set nano = nano + excluded.nano, doubtful = doubtful + excluded.doubtful,
    unknown = unknown + excluded.unknown, calls = calls + excluded.calls;
  insert into quarters values (new.at / 900000, coalesce(new.nano, 0),
    (new.nano is null) * (case new.kind when 'refund' then -1 else 1 end) - (new.kind = 'price'))
    on conflict (quarter) do update set nano = nano + excluded.nano, unknown = unknown + excluded.unknown;
end
"""
"""Money over all processes: leases, and a till to which entries are only added."""


_V6 = """
create table pilots (
  number integer primary key, id text not null unique, stage text not null, recipe text not null,
  seed integer not null, size integer not null, condition text not null, columns text not null, items text not null,
  population integer not null, at integer not null
)
--
create index pilots_by_stage on pilots (stage)
--
create table decisions (
  number integer primary key autoincrement, stage text not null, item text not null, round text not null,
  verdict text not null, reviewer text not null, at integer not null, reason text not null, note text not null,
  scores text not null, pilot text not null
)
--
create index decisions_by_stage on decisions (stage)
--
create trigger decisions_stay before update of stage, item, round, verdict, reviewer, at on decisions
begin
  select raise(abort, 'decisions are only added to');
end
--
create trigger decisions_remain before delete on decisions
begin
  select raise(abort, 'decisions are only added to');
end
--
create table signatures (
  number integer primary key autoincrement, stage text not null, kind text not null, name text not null,
  at integer not null, recipe text not null, selection text not null, models text not null, items integer,
  money integer, until integer, pilot text not null, note text not null, seen text not null
)
--
create index signatures_by_stage on signatures (stage)
--
create trigger signatures_stay before update of stage, kind, name, at, recipe, selection, models, items, money, until,
  pilot on signatures
begin
  select raise(abort, 'signatures are only added to');
end
--
create trigger signatures_remain before delete on signatures
begin
  select raise(abort, 'signatures are only added to');
end
--
create table signature_use (
  signature integer primary key, stage text not null, recipe text not null, items integer not null,
  spent_before integer not null
)
--
create index signature_use_by_stage on signature_use (stage, recipe)
--
create table signed_runs (
  run text not null, stage text not null, signature integer not null, primary key (run, stage, signature)
) without rowid
"""
"""What people decide. The use of a signature is counted in the transactions that use it: items that had no outcome of
the signed recipe before, and money against what the stage had cost when it was signed."""


_V7 = """
create table signature_room (
  signature integer not null, run text not null, items integer not null, primary key (signature, run)
) without rowid
"""
"""Room under a ceiling of items that runs hold for what they have begun, so that several do not take the same."""

_V8 = "drop trigger summed_in"
"""The sums are kept for many entries at once (``booking.py``)."""


_V9 = """
create table spent (
  run text not null, stage text not null, model text not null, nano integer not null, doubtful integer not null,
  unknown integer not null, calls integer not null, input integer not null, cached integer not null,
  answered integer not null, reasoning integer not null, saved integer not null, primary key (run, stage, model)
) without rowid
--
insert into spent select run, stage, model, coalesce(sum(nano), 0),
  sum(case when kind in ('doubt', 'refund') then coalesce(nano, 0) else 0 end),
  sum((nano is null) * (case kind when 'refund' then -1 else 1 end) - (kind = 'price')),
  sum(case kind when 'refund' then -1 when 'price' then 0 else 1 end),
  sum(input), sum(cached), sum(answered), sum(reasoning), sum(saved) from till group by 1, 2, 3
"""
"""What each run, stage and model came to: the till grows with every call, and runs begin and end with these sums."""


def _v1(connection: sqlite3.Connection) -> None:
    for statement in _V1.split(";\n"):
        if statement.strip():
            connection.execute(statement)


def _v2(connection: sqlite3.Connection) -> None:
    for statement in _V2.split("--\n"):
        connection.execute(statement)


def _v3(connection: sqlite3.Connection) -> None:
    for statement in _V3.split("--\n"):
        connection.execute(statement)


def _v4(connection: sqlite3.Connection) -> None:
    for statement in _V4.split("--\n"):
        connection.execute(statement)


def _v5(connection: sqlite3.Connection) -> None:
    for statement in _V5.split("--\n"):
        connection.execute(statement)


def _v6(connection: sqlite3.Connection) -> None:
    for statement in _V6.split("--\n"):
        connection.execute(statement)


def _v7(connection: sqlite3.Connection) -> None:
    connection.execute(_V7)


def _v8(connection: sqlite3.Connection) -> None:
    connection.execute(_V8)


def _v9(connection: sqlite3.Connection) -> None:
    for statement in _V9.split("--\n"):
        connection.execute(statement)


STEPS: Sequence[Callable[[sqlite3.Connection], None]] = (_v1, _v2, _v3, _v4, _v5, _v6, _v7, _v8, _v9)


def migrate(
    connection: sqlite3.Connection, place: str, steps: Sequence[Callable[[sqlite3.Connection], None]] = STEPS
) -> int:
    """Bring a store up to date, all or nothing; the number of steps taken. Raises StoreNewer."""
    if _version(connection, place, len(steps)) == len(steps):
        return 0
    connection.execute("begin exclusive")
    try:
        version = _version(connection, place, len(steps))  # another process may have been here meanwhile
        for step in steps[version:]:
            step(connection)
        connection.execute(f"pragma user_version = {len(steps)}")
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise
    return len(steps) - version


def _version(connection: sqlite3.Connection, place: str, known: int) -> int:
    version = int(connection.execute("pragma user_version").fetchone()[0])
    if version > known:
        raise StoreNewer(
            f"{place} was made by a newer seedbed (format {version}; this one knows {known})",
            hint="Upgrade seedbed, or use the version that wrote it.",
        )
    return version
