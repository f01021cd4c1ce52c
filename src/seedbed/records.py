"""The values that everything passes around, and their identity.

What is hashed here is stored for years. A change of any encoding below is a change of
``IDENTITY_VERSION`` and needs a migration; ``tests/test_identity.py`` holds golden values.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Generic, Literal, TypeVar

import orjson

from seedbed.errors import SourceError, UsageError

IDENTITY_VERSION = 1

Made = TypeVar("Made")
Scalar = str | int | float | bool | None
LogicalType = Literal["text", "int", "number", "bool", "date", "datetime", "json"]
OutcomeState = Literal["accepted", "rejected", "refused", "failed", "set aside", "withdrawn"]
Severity = Literal["error", "warning", "info"]
OUTCOME_STATES: tuple[OutcomeState, ...] = (
    "accepted", "rejected", "refused", "failed", "set aside", "withdrawn",
)  # fmt: skip

NANO = 1_000_000_000
"""Money is an integer count of 10⁻⁹ USD."""
MOST_MONEY = 1_000_000_000
"""USD; what a database's 64 bits hold is nine times that."""


# ---------------------------------------------------------------------------- canonical encodings


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no blanks, non-ASCII as it is. NaN and infinities are refused."""
    return _canonical(value)


_canonical = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def digest(*parts: bytes | str) -> str:
    """BLAKE2b-128 over length-prefixed parts, as 32 hex digits."""
    sized: list[bytes] = []
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        sized += (len(data).to_bytes(8, "big"), data)
    return blake2b(b"".join(sized), digest_size=16).hexdigest()


class Once(Generic[Made]):
    """A pure function of values that many requests share, such as a stage's shape: worked out once for each.

    A value is known again by being the same object; it is kept with what was made of it, and nobody changes it.
    """

    def __init__(self, make: Callable[[Any], Made]) -> None:
        self._make = make
        self._known: dict[int, tuple[Any, Made]] = {}

    def __call__(self, value: Any) -> Made:
        known = self._known.get(id(value))
        if known is None:
            if len(self._known) >= _SHARED:
                self._known.clear()
            known = self._known[id(value)] = (value, self._make(value))
        return known[1]


_SHARED = 64


def key_text(values: Sequence[Any]) -> str:
    """The key as canonical JSON array of its typed values, text as stored.

    >>> key_text([12, "a"])
    '[12,"a"]'

    Raises SourceError for NULL, NaN and types that have no stable text.
    """
    if len(values) == 1:  # most keys: one whole number or text
        value = values[0]
        if type(value) is int:
            return f"[{value}]"
        if type(value) is str:
            return f"[{_text_json(value)}]"
    out: list[Any] = []
    for value in values:
        if value is None:
            raise SourceError("a key value is NULL")
        if isinstance(value, float):
            if not math.isfinite(value):
                raise SourceError(f"a key value is {value!r}")
            out.append(value)
        elif isinstance(value, bool | int | str):
            out.append(value)
        elif isinstance(value, Decimal) and not value.is_finite():
            raise SourceError(f"a key value is {value}")
        elif isinstance(value, Decimal | date) or (hasattr(value, "hex") and hasattr(value, "int")):
            out.append(str(value))
        else:
            raise SourceError(f"a key value has type {type(value).__name__}, which has no stable text")
    return _key_json(out)


_key_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_text_json = json.encoder.encode_basestring


def key_values(key: str) -> tuple[Any, ...]:
    """The typed values of a key text; inverse of :func:`key_text`. Raises UsageError."""
    if _INT_KEY.fullmatch(key):  # most keys
        return (int(key[1:-1]),)
    try:
        values = json.loads(key)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, list):
        raise UsageError(f"not a key: {key}", hint='A key is a JSON array, such as ["act-1"] or [12].')
    return tuple(values)


_INT_KEY = re.compile(r"\[-?[1-9][0-9]{0,17}\]")


def parse_key(text: str) -> str:
    """A key as a person types it: a JSON array, or the bare value of a one-column key."""
    text = text.strip()
    if text.startswith("["):
        return key_text(key_values(text))
    try:
        return key_text([int(text)]) if str(int(text)) == text else key_text([text])
    except ValueError:
        return key_text([text])


# ----------------------------------------------------------------------------------- fingerprints


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool):
        return Decimal(int(value))
    if isinstance(value, int | Decimal):
        return Decimal(value)
    try:
        number = Decimal(repr(value) if isinstance(value, float) else str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _normal(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


_PLAIN_INT = 10**18
"""Below, a whole number's own text is its plain text."""


def _plain(number: Decimal) -> str:
    """Decimal text without exponent or trailing zeros: 1, 1.0 and 1.00 are one text.

    Numbers beyond any database's own keep an exponent: written out, ``1e999999999`` fills the memory.
    """
    if number and abs(number.adjusted()) > _WRITTEN_OUT:
        sign, digits, exponent = number.as_tuple()
        written = "".join(map(str, digits)).lstrip("0")
        kept = written.rstrip("0")
        return f"{'-' * sign}{kept}E{int(exponent) + len(written) - len(kept)}"
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


_WRITTEN_OUT = 400
"""Powers of ten up to which a number is written out."""

_BOOLS = {
    "1": True,
    "true": True,
    "t": True,
    "yes": True,
    "0": False,
    "false": False,
    "f": False,
    "no": False,
}


def _tagged(value: Any, logical: LogicalType) -> tuple[bytes, str]:
    """Type tag and normal text of one value. A value that does not fit its type keeps its own."""
    if value is None:
        return b"N", ""
    if type(value) is str and logical == "text":
        return b"T", _normal(value)
    if logical in ("int", "number"):
        if type(value) is int and -_PLAIN_INT < value < _PLAIN_INT:
            return b"D", str(value)
        number = _number(value)
        if number is not None:
            return b"D", _plain(number)
    elif logical == "bool":
        truth = _BOOLS.get(str(value).strip().lower())
        if truth is not None:
            return b"B", "1" if truth else "0"
    elif logical in ("date", "datetime"):
        moment = _moment(value, logical)
        if moment is not None:
            return b"M", moment
    elif logical == "json":
        try:
            return b"J", _json_text(json.loads(value) if isinstance(value, str | bytes) else value)
        except (ValueError, RecursionError):
            pass
    return _by_own_type(value)


def _by_own_type(value: Any) -> tuple[bytes, str]:
    if isinstance(value, bool):
        return b"B", "1" if value else "0"
    if isinstance(value, int | float | Decimal):
        number = _number(value)
        return (b"D", _plain(number)) if number is not None else (b"T", str(value))
    if isinstance(value, bytes):
        return b"X", value.hex()
    if isinstance(value, datetime | date):
        return b"M", _moment(value, "datetime" if isinstance(value, datetime) else "date") or str(value)
    if isinstance(value, str):
        return b"T", _normal(value)
    if isinstance(value, dict | list | tuple):
        return b"J", _json_text(value)
    return b"T", unicodedata.normalize("NFC", str(value))


def _json_text(value: Any) -> str:
    """Canonical JSON in NFC, names in the order that they have in NFC."""
    text = canonical_json(value)
    if unicodedata.is_normalized("NFC", text):
        return text
    ordered = json.loads(text, object_pairs_hook=_in_order)
    return unicodedata.normalize("NFC", json.dumps(ordered, ensure_ascii=False, separators=(",", ":")))


def _in_order(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(sorted(pairs, key=lambda pair: (unicodedata.normalize("NFC", pair[0]), pair[0])))


def _moment(value: Any, logical: LogicalType) -> str | None:
    """ISO 8601 text: a date as it is; a time in UTC with microseconds; naive times stay naive."""
    try:
        if isinstance(value, str):
            text = value.strip()
            moment: date = datetime.fromisoformat(text) if len(text) > 10 else date.fromisoformat(text)
        elif isinstance(value, date):
            moment = value
        else:
            return None
    except ValueError:
        return None
    if isinstance(moment, datetime):
        if logical == "date" and moment.time() == time():
            return moment.date().isoformat()
        if moment.tzinfo is not None:
            try:
                moment = moment.astimezone(UTC)
            except OverflowError:  # the first and the last day there is
                return None
        return moment.isoformat(timespec="microseconds")
    return moment.isoformat()


def fingerprint(inputs: Mapping[str, Any], types: Mapping[str, LogicalType] | None = None) -> str:
    """Identity of an item's inputs: 32 hex digits, the same on every back end.

    BLAKE2b-128 over a version byte and, in the order of the names, name, type tag and normal
    text of each value, each length-prefixed. Undeclared columns count by their own type.
    """
    return Fingerprinter(inputs, types or {})(inputs)


class Fingerprinter:
    """:func:`fingerprint` over the same inputs of many rows; what rows share is made once."""

    def __init__(self, names: Iterable[str], types: Mapping[str, LogicalType]) -> None:
        self._columns = [
            (name, types.get(name), _sized(name), _sized(name) + _TEXT, _sized(name) + _WHOLE) for name in sorted(names)
        ]

    def __call__(self, row: Mapping[str, Any]) -> str:
        """A column that the row does not have counts as NULL."""
        parts = [_VERSION]
        for name, logical, sized, as_text, as_whole in self._columns:
            value = row.get(name)
            if logical == "text" and type(value) is str and value.isascii():  # most inputs
                data = value.encode()
                parts += (as_text, len(data).to_bytes(8, "big"), data)
            elif logical == "int" and type(value) is int and -_PLAIN_INT < value < _PLAIN_INT:
                data = b"%d" % value
                parts += (as_whole, len(data).to_bytes(8, "big"), data)
            else:
                parts += _part(value, logical, sized)
        return blake2b(b"".join(parts), digest_size=16).hexdigest()


def _part(value: Any, logical: LogicalType | None, sized: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    tag, text = _tagged(value, logical) if logical else _own(value)
    data = text.encode("utf-8", "surrogatepass")
    return sized, _TAGS[tag], len(data).to_bytes(8, "big"), data


@lru_cache(maxsize=4096)
def _sized(name: str) -> bytes:
    data = name.encode()
    return len(data).to_bytes(8, "big") + data


_TAGS = {tag: len(tag).to_bytes(8, "big") + tag for tag in (b"N", b"D", b"B", b"M", b"J", b"X", b"T")}
_TEXT, _WHOLE = _TAGS[b"T"], _TAGS[b"D"]
_VERSION = bytes([IDENTITY_VERSION])


def cell(value: Any) -> Any:
    """A value as a database cell holds it: lists and mappings become JSON text, in their own order."""
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False)
    return value


def same_cell(left: Any, right: Any, logical: LogicalType | None = None) -> bool:
    """Whether two cells hold the same value under a column's logical type (1 and true, 1.0 and 1.00)."""
    if left is None or right is None:
        return left is right
    if logical is None:
        return _by_own_type(cell(left)) == _by_own_type(cell(right))
    return _tagged(cell(left), logical) == _tagged(cell(right), logical)


PLAINLY = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS
_SCALARS = frozenset({str, int, bool, type(None), orjson.Fragment})


def is_plain(value: Any) -> bool:
    """Whether orjson keeps the value as it is, or raises TypeError; False where it would change it in silence.

    It raises for broken text, an integer beyond 64 bits and a key that is not text.
    """
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind is float:
        return math.isfinite(value)
    if kind is dict:
        if len(value) == 1 and str(next(iter(value)))[:1] == "$":
            return False
        value = value.values()
    elif kind is not list:
        return False
    for one in value:  # noqa: SIM110  (a generator costs twice as much, in a writer's hottest loop)
        if type(one) not in _SCALARS and not is_plain(one):
            return False
    return True


_LOOKS_PACKED = re.compile(r"\$+bytes")


def pack(value: Any) -> str:
    """JSON in ASCII of values that came from a database: bytes are kept, other strangers become text.

    Bytes are an object with the one name ``$bytes``; an object of the user's that looks like one gets
    another ``$`` before it.
    """
    try:
        if is_plain(value):  # nearly all, in a fifth of the time
            text = orjson.dumps(value, option=PLAINLY).decode()
            if text.isascii():
                return text
    except (TypeError, RecursionError):
        pass
    text = _pack(value)
    return text if '$bytes"' not in text else _pack(_escaped(value))


def unpack(text: str) -> Any:
    """Inverse of :func:`pack`."""
    if '$bytes"' in text:
        return json.loads(text, object_hook=_unpacked)
    try:
        value, end = _value_at(text)
    except ValueError:
        end = -1
    return value if end == len(text) else json.loads(text)  # which says what is wrong with it


def unpack_all(texts: Sequence[str]) -> list[Any]:
    """:func:`unpack` of many texts in one go, which takes a quarter of the time."""
    text = f"[{','.join(texts)}]"
    if '$bytes"' in text:
        return [unpack(each) for each in texts]
    values: list[Any] = json.loads(text)
    return values


def _packed(value: Any) -> Any:
    return {"$bytes": bytes(value).hex()} if isinstance(value, bytes | bytearray | memoryview) else str(value)


_pack = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=_packed).encode
_value_at = json.JSONDecoder().raw_decode


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        looks_packed = len(value) == 1 and _LOOKS_PACKED.fullmatch(str(next(iter(value))))
        return {f"${name}" if looks_packed else name: _escaped(each) for name, each in value.items()}
    return [_escaped(each) for each in value] if isinstance(value, list | tuple) else value


def _unpacked(value: dict[str, Any]) -> Any:
    if len(value) == 1:
        name, content = next(iter(value.items()))
        if name == "$bytes":
            return bytes.fromhex(content)
        if _LOOKS_PACKED.fullmatch(name):
            return {name[1:]: content}
    return value


def _own(value: Any) -> tuple[bytes, str]:
    return (b"N", "") if value is None else _by_own_type(value)


# --------------------------------------------------------------------------------- rounds and calls


def call_id(round_id: str, keys: Sequence[str], name: str, attempt: int) -> str:
    """Identity of a call: the same question of the same round, whatever is re-rendered."""
    return digest("call", bytes([IDENTITY_VERSION]), round_id, *sorted(keys), name, str(attempt))


def row_id(parent: str, stage: str, natural: Sequence[Any] | None, ordinal: int, content: Mapping[str, Any]) -> str:
    """Id of a row that a stage makes: 32 hex digits.

    With a natural key the id depends on parent, stage and that key alone, so a re-asked item
    makes the same rows; without one, on the row's place and content.
    """
    if natural is not None:
        return digest("row", bytes([IDENTITY_VERSION]), parent, stage, canonical_json(list(natural)))
    return digest("row", bytes([IDENTITY_VERSION]), parent, stage, str(ordinal), canonical_json(dict(content)))


@dataclass(frozen=True, slots=True)
class Part:
    """Part ``index`` of ``count`` (1-based): a stable split by hash of the key."""

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise UsageError(
                f"--part {self.index}/{self.count} is not a part",
                hint="Write it as 2/3: the second of three.",
            )

    @classmethod
    def parse(cls, text: str) -> Part:
        index, slash, count = text.partition("/")
        if not slash or not index.strip().isdecimal() or not count.strip().isdecimal():
            raise UsageError(f"--part {text} cannot be read", hint="Write it as 2/3: the second of three.")
        return cls(int(index), int(count))

    def holds(self, key: str) -> bool:
        if self.count == 1:
            return True
        return int(digest("part", key)[:15], 16) % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


WHOLE = Part()


# ---------------------------------------------------------------------------------------- the values


@dataclass(frozen=True, slots=True)
class Item(Mapping[str, Any]):
    """A unit of a stage's work. Reads as a mapping over ``row``; ``context`` holds the look-ups.

    ``before`` holds the stage's output cells as they were at export. ``model`` is the one that was asked, as
    provider/name, where rows are made of its answer; else it is blank.
    """

    key: str
    row: Mapping[str, Any]
    fingerprint: str = ""
    before: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""

    def __getitem__(self, name: str) -> Any:
        return self.row[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.row)

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True)
class Message:
    """``stable`` text is the same for many items: it is stored once and sent first."""

    role: Literal["system", "user", "assistant"]
    text: str
    stable: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, apart from endpoint and key. ``model`` is set only where it is named outright."""

    role: str
    messages: tuple[Message, ...]
    shape: Mapping[str, Any] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None

    def digest(self) -> str:
        """Identity of the question; endpoint, key and headers never count."""
        return digest(
            "request",
            bytes([IDENTITY_VERSION]),
            self.model or f"role:{self.role}",
            f"[{','.join([f'[{_text_json(m.role)},{_text_json(m.text)}]' for m in self.messages])}]",
            _shared_json(self.shape),
            _shared_json(self.parameters),
        )


def _canonical_shared(value: Mapping[str, Any] | None) -> str:
    return canonical_json(value if value is None else dict(value))


_shared_json = Once(_canonical_shared)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. ``input`` excludes ``cached``; ``output`` includes ``reasoning``."""

    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input + other.input,
            self.cached + other.cached,
            self.output + other.output,
            self.reasoning + other.reasoning,
        )


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Reply:
    """What reading a body found, before the text itself is parsed."""

    text: str
    usage: Usage | None
    model: str
    finish: Literal["stop", "length", "refusal", "empty", "other"]
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a check saw. An ``error`` declines the answer; a ``warning`` travels with it."""

    code: str
    message: str
    field: str = ""
    severity: Severity = "error"

    def as_json(self) -> dict[str, str]:
        return {"code": self.code, "severity": self.severity, "field": self.field, "message": self.message}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one item in one round; the only authority on what an item came to.

    ``cost`` is in 10⁻⁹ USD over all calls of the item, None when a price is unknown.
    ``at`` is Unix time in milliseconds. ``made`` counts the rows that the output stands for.
    """

    stage: str
    key: str
    round: str
    state: OutcomeState
    fingerprint: str
    recipe: str
    output: Any = None
    before: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    usage: Usage = NO_USAGE
    cost: int | None = 0
    calls: tuple[str, ...] = ()
    attempts: int = 0
    model: str = ""
    served: str = ""
    run: str = ""
    at: int = 0
    made: int = 0
    row: Mapping[str, Any] = field(default_factory=dict)


def usd(nano: int | None) -> str:
    """Money for people: two decimals from a dollar up, four below, and the word for what is not known."""
    if nano is None:
        return "unknown"
    amount = Decimal(nano) / NANO
    if amount == 0:
        return "$0.00"
    return f"${amount:,.2f}" if abs(amount) >= 1 else f"${amount:.4f}"


def usd_exact(nano: int | None) -> str | None:
    """Money for ``--json``: an exact decimal string; None when unknown."""
    return None if nano is None else _plain(Decimal(nano) / NANO)


def parse_money(text: str) -> int:
    """``5usd``, ``$5``, ``0.25`` as 10⁻⁹ USD, up to a thousand million USD. Raises UsageError."""
    bare = text.strip().lower().removesuffix("usd").strip().removeprefix("$").strip()
    try:
        amount = Decimal(bare)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= MOST_MONEY:
        raise UsageError(f"{text!r} is not an amount of money", hint="Write it as 5usd or 0.25usd.")
    return int((amount * NANO).to_integral_value())
