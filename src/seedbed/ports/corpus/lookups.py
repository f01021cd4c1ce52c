"""The read-only view that context functions get: equality, an order, a limit; no SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from seedbed.ports.corpus.cells import stored
from seedbed.ports.corpus.connections import Declined, Session
from seedbed.ports.corpus.descriptions import Catalogue, Relation
from seedbed.ports.corpus.expressions import exact, value


class DatabaseLookup:
    """``Lookup`` over one database."""

    def __init__(self, session: Session, catalogue: Catalogue) -> None:
        self._session = session
        self._catalogue = catalogue

    def rows(
        self,
        table: str,
        where: Mapping[str, Any] | None = None,
        *,
        columns: Sequence[str] | None = None,
        order: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Rows whose columns equal ``where``; ties and rows without ``order`` come in key order."""
        relation = self._catalogue.relation(table)
        chosen = relation.columns(columns if columns is not None else list(relation.table.columns))
        statement = sa.select(*chosen).select_from(relation.clause).limit(limit)
        statement = statement.order_by(*_order(relation, order))
        try:
            equal = [_equal(relation, name, wanted) for name, wanted in (where or {}).items()]
            return self._session.dicts(statement.where(*equal))
        except Declined:  # no row can hold such a value
            return []


def _equal(relation: Relation, name: str, wanted: Any) -> sa.ColumnElement[bool]:
    column = relation.column(name)
    if wanted is None:
        return column.is_(None)
    bound = value(stored(wanted, relation.affinities[name]))
    return sa.and_(column == bound, exact(column) == bound)


def _order(relation: Relation, order: str | None) -> list[sa.ColumnElement[Any]]:
    keys: list[sa.ColumnElement[Any]] = list(relation.columns(relation.table.key))
    if order is None:
        return keys
    column = relation.column(order.removeprefix("-"))
    return [column.desc() if order.startswith("-") else column.asc(), *keys]
