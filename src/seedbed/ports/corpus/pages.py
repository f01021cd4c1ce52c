"""Rows a page at a time, groups, and counts. No cursor outlives its call."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from seedbed.conditions import Condition
from seedbed.ports.corpus.connections import Session
from seedbed.ports.corpus.descriptions import Relation
from seedbed.ports.corpus.expressions import as_it_is, beyond, exact, where


def page(
    session: Session,
    relation: Relation,
    key: Sequence[str],
    condition: Condition,
    after: Sequence[Any] | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Whole rows in key order, after a key; order and comparison share the column's collation."""
    return session.dicts(_page(session, relation, key, condition, after, limit, sa.select(relation.clause)))


def keys(
    session: Session,
    relation: Relation,
    key: Sequence[str],
    condition: Condition,
    after: Sequence[Any] | None,
    limit: int,
) -> list[tuple[Any, ...]]:
    """The keys of the rows of :func:`page`."""
    chosen = sa.select(*relation.columns(key)).select_from(relation.clause)
    return session.tuples(_page(session, relation, key, condition, after, limit, chosen))


def _page(
    session: Session,
    relation: Relation,
    key: Sequence[str],
    condition: Condition,
    after: Sequence[Any] | None,
    limit: int,
    chosen: sa.Select[Any],
) -> sa.Select[Any]:
    columns = relation.columns(key)
    statement = chosen.where(_holds(session, relation, condition))
    if after is not None:
        statement = statement.where(beyond(columns, tuple(after), as_it_is))
    return statement.order_by(*columns).limit(limit)


def group_page(
    session: Session,
    relation: Relation,
    by: Sequence[str],
    key: Sequence[str],
    condition: Condition,
    after: Sequence[Any] | None,
    limit: int,
) -> list[tuple[tuple[Any, ...], list[dict[str, Any]]]]:
    """Groups in the order of their values, NULL first; text is told apart byte by byte.

    The first query finds where the page ends, the second reads the members up to there.
    """
    columns = relation.columns(by)
    order = [exact(column) for column in columns]
    chosen = [_holds(session, relation, condition)]
    if after is not None:
        chosen.append(beyond(columns, tuple(after), exact))
    ends = session.tuples(sa.select(*columns).where(*chosen).group_by(*order).order_by(*order).limit(limit))
    if not ends:
        return []
    not_later = sa.func.coalesce(beyond(columns, ends[-1], exact), 0) == 0
    members = sa.select(relation.clause).where(*chosen, not_later).order_by(*order, *relation.columns(key))

    def values(row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(row[name] for name in by)

    return [(group, list(rows)) for group, rows in groupby(session.dicts(members), key=values)]


def count(session: Session, relation: Relation, condition: Condition) -> int:
    chosen = _holds(session, relation, condition)
    return int(session.scalar(sa.select(sa.func.count()).select_from(relation.clause).where(chosen)))


def count_by(
    session: Session, relation: Relation, by: Sequence[str], condition: Condition
) -> list[tuple[tuple[Any, ...], int]]:
    columns = relation.columns(by)
    order = [exact(column) for column in columns]
    chosen = _holds(session, relation, condition)
    rows = session.tuples(sa.select(*columns, sa.func.count()).where(chosen).group_by(*order).order_by(*order))
    return [(row[:-1], row[-1]) for row in rows]


def _holds(session: Session, relation: Relation, condition: Condition) -> sa.ColumnElement[Any]:
    return where(relation, condition, text_order=session.text_order)
