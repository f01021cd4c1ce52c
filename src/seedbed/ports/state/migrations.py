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


def _v1(connection: sqlite3.Connection) -> None:
    for statement in _V1.split(";\n"):
        if statement.strip():
            connection.execute(statement)


STEPS: Sequence[Callable[[sqlite3.Connection], None]] = (_v1,)


def migrate(
    connection: sqlite3.Connection, place: str, steps: Sequence[Callable[[sqlite3.Connection], None]] = STEPS
) -> int:
    """Bring a store up to date, all or nothing; the number of steps taken. Raises StoreNewer."""
    version = connection.execute("pragma user_version").fetchone()[0]
    if version > len(steps):
        raise StoreNewer(
            f"{place} was made by a newer seedbed (format {version}; this one knows {len(steps)})",
            hint="Upgrade seedbed, or use the version that wrote it.",
        )
    if version == len(steps):
        return 0
    connection.execute("begin exclusive")
    try:
        version = connection.execute("pragma user_version").fetchone()[0]
        for step in steps[version:]:
            step(connection)
        connection.execute(f"pragma user_version = {len(steps)}")
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return len(steps) - int(version)
