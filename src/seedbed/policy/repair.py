"""The front door of mending: ``repair_json(text, schema)``.

Valid JSON is read as it is. Anything else is mended by edits alone, each of which keeps what it takes off, so that the
text can be had back; where a text ends in two ways, or something is missing, nothing is guessed.
"""

from __future__ import annotations

import pickle
from typing import Any

import orjson

from seedbed.errors import NotReadable, NotRepairable
from seedbed.policy.edits import Edit, Repaired, applied, undone
from seedbed.policy.outline import Outline
from seedbed.policy.replies import ShapeReader, repaired_as

__all__ = ["Edit", "Repaired", "applied", "repair_json", "undone"]


def repair_json(text: str, schema: Any = None) -> Repaired:
    """The value of a text that should be JSON, with the edits that it took and the reasons to doubt it.

    ``schema`` is a JSON Schema or any other shape; with it more can be mended, and the value fits it.
    Raises NotRepairable, whose ``code`` names the reason; NotReadable with ``shape`` for JSON of another shape
    is one too.
    """
    try:
        if schema is None:
            return repaired_as(text, _BLIND, _any)
        return _reader(schema).repaired(text)
    except NotRepairable:
        raise
    except NotReadable as error:
        raise NotRepairable(error.what, code=error.code, field=error.field) from None


_BLIND = Outline()


def _any(value: Any) -> Any:
    return value


_MOST = 64
_kept: dict[int, tuple[Any, bytes, ShapeReader]] = {}


def _reader(schema: Any) -> ShapeReader:
    """A reader of the schema; those of the last few are kept, each with an image that shows whether it was changed."""
    try:
        image = orjson.dumps(schema)
    except TypeError:
        try:
            image = pickle.dumps(schema)
        except (pickle.PicklingError, AttributeError, TypeError):
            return ShapeReader(schema)
    found = _kept.get(id(schema))
    if found is not None and found[0] is schema and found[1] == image:
        return found[2]
    reader = ShapeReader(schema)
    if len(_kept) >= _MOST:
        _kept.clear()
    _kept[id(schema)] = (schema, image, reader)
    return reader
