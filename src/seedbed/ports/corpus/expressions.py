"""Conditions as SQL. Each row must be judged as ``conditions.holds`` judges it, whatever its cells hold.

Our conditions are two-valued where SQL's are three-valued, and a SQLite column may hold any
type: so each comparison asks for the cell's own type first, compares without affinity and
collation, and leaves to ``holds`` itself, as a function, what SQL would judge otherwise.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.operators import custom_op
from sqlalchemy.types import NullType

from seedbed.conditions import All, Compare, Condition, Contains, Either, Empty, In, Not
from seedbed.ports.corpus.descriptions import Relation
from seedbed.ports.corpus.functions import written

Expression = sa.ColumnElement[Any]

_BLANKS = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
"""All there are: none stands beyond U+3000."""
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def value(of: Any) -> sa.ColumnElement[Any]:
    """A bound value that takes no type from SQLAlchemy."""
    return sa.literal(of, NullType())


def where(relation: Relation, condition: Condition, *, text_order: bool = True) -> Expression:
    """A condition over a relation's rows. Unknown columns raise SourceError.

    ``text_order`` says that the database sorts text by code point, as Python does.
    """
    match condition:
        case All(parts):
            return sa.and_(sa.true(), *(where(relation, part, text_order=text_order) for part in parts))
        case Either(parts):
            return sa.or_(sa.false(), *(where(relation, part, text_order=text_order) for part in parts))
        case Not(part):
            return sa.func.coalesce(where(relation, part, text_order=text_order), 0) == 0
        case Empty(name):
            return _empty(relation.column(name))
        case Contains(name):
            return _judged(relation.column(name), condition)
        case In(name):
            return _one_of(relation, name, condition)
        case Compare(name):
            return _compared(relation, name, condition, text_order)


def _judged(column: sa.ColumnClause[Any], condition: Compare | Contains | In) -> Expression:
    return sa.func.seedbed_holds(column, value(written(condition))) == 1


def _typed(column: sa.ColumnClause[Any], kinds: dict[str, Expression], otherwise: Expression) -> Expression:
    return sa.case(kinds, value=sa.func.typeof(column), else_=otherwise)


def _empty(column: sa.ColumnClause[Any]) -> Expression:
    blank = sa.func.trim(column, value(_BLANKS)) == value("")
    return sa.or_(column.is_(None), sa.and_(sa.func.typeof(column) == value("text"), blank))


def _compared(relation: Relation, name: str, condition: Compare, text_order: bool) -> Expression:
    column, compare = relation.column(name), _OPERATORS[condition.op]
    if isinstance(condition.value, str):
        if condition.op == "=" and _always_text(relation, name, condition.value):
            return _exact(column) == value(condition.value)
        if not text_order and condition.op not in ("=", "!="):
            return _judged(column, condition)
        kinds = {
            "null": sa.false(),
            "text": compare(_exact(_bare(column)), value(condition.value)),
            "integer": compare(sa.cast(column, sa.Text), value(condition.value)),
        }
        return _typed(column, kinds, _judged(column, condition))
    if not _fits(condition.value):
        return _judged(column, condition)
    compared = compare(_bare(column), value(condition.value))
    return _typed(column, {"null": sa.false(), "integer": compared, "real": compared}, _judged(column, condition))


def _one_of(relation: Relation, name: str, condition: In) -> Expression:
    """``in`` by SQL's own sets where all values are of one kind; a mixed list is judged value by value."""
    column, values = relation.column(name), condition.values
    if not values:
        return sa.false()
    bound = sa.bindparam(None, list(values), expanding=True, type_=NullType())
    if all(isinstance(member, str) for member in values):
        if all(_always_text(relation, name, str(member)) for member in values):
            return _exact(column).in_(bound)
        kinds = {
            "null": sa.false(),
            "text": _exact(_bare(column)).in_(bound),
            "integer": sa.cast(column, sa.Text).in_(bound),
        }
        return _typed(column, kinds, _judged(column, condition))
    if any(isinstance(member, str) or not _fits(member) for member in values):
        return _judged(column, condition)
    found = _bare(column).in_(bound)
    return _typed(column, {"null": sa.false(), "integer": found, "real": found}, _judged(column, condition))


def _always_text(relation: Relation, name: str, literal: str) -> bool:
    """Whether a plain ``=``, which an index can serve, judges each cell of the column rightly.

    A text column holds text, NULL and bytes; bytes read as ``b'…'`` in a comparison.
    """
    return not relation.table.view and relation.affinities[name] == "text" and not literal.startswith(("b'", 'b"'))


def _fits(number: Any) -> bool:
    return not isinstance(number, int) or -(2**63) <= number < 2**63


def _bare(column: Expression) -> Expression:
    """The value without its column's affinity."""
    return UnaryExpression(column, operator=custom_op("+"), type_=NullType())


def _exact(column: Expression) -> Expression:
    return sa.collate(column, "BINARY")


def beyond(columns: list[sa.ColumnClause[Any]], after: tuple[Any, ...], wrap: Callable[[Any], Any]) -> Expression:
    """Rows after a place in the order of ``columns``, NULL first. ``wrap`` gives the collation of that order."""
    if len(columns) == 1 and after[0] is not None:
        later: Expression = wrap(columns[0]) > value(after[0])
        return later
    if None not in after:
        return sa.tuple_(*map(wrap, columns)) > sa.tuple_(*map(value, after))
    ways = []
    for place, column in enumerate(columns):
        same = [wrap(other).is_not_distinct_from(value(after[at])) for at, other in enumerate(columns[:place])]
        later = column.is_not(None) if after[place] is None else wrap(column) > value(after[place])
        ways.append(sa.and_(*same, later))
    return sa.or_(*ways)


def exact(column: Expression) -> Expression:
    """Compared and sorted byte by byte, whatever collation the column declares."""
    return _exact(column)


def as_it_is(column: Expression) -> Expression:
    return column
