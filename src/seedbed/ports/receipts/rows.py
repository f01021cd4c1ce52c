"""Intents, receipts and endings as rows of a receipts file, and back with every checksum read."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import zstandard

from seedbed.errors import UsageError
from seedbed.ports.receipts import REDACTED, Ending, Intent, Receipt
from seedbed.ports.receipts.dialect import dumps, loads
from seedbed.ports.receipts.schema import split_id
from seedbed.records import Item, Message, Once, Request, digest

Row = tuple[Any, ...]

INTENT_COLUMNS = (
    "number", "id", "call", "stage", "round", "name", "attempt", "keys", "recipe", "request_digest", "model",
    "account", "reserved", "run", "at", "lane", "batch", "payload", "size", "crc",
)  # fmt: skip
RECEIPT_COLUMNS = ("status", "headers", "body", "size", "format", "sha256", "at", "crc")
ENDING_COLUMNS = ("kind", "reason", "at", "crc")

_LARGE = 256
"""A context value beyond this many bytes is stored once by its hash."""
_COMPRESSIBLE = 200
_REMEMBERED = 100_000
_RECENT = 128


class Damaged(Exception):
    """A row that fails its checksum."""


# ------------------------------------------------------------------------------------------- writing


class Rows:
    """One batch, by table, in the order it came."""

    __slots__ = ("blobs", "endings", "intents", "late_endings", "late_receipts", "receipts")

    def __init__(self) -> None:
        self.intents: list[Row] = []
        self.receipts: list[Row] = []
        self.endings: list[Row] = []
        self.late_receipts: list[Row] = []
        self.late_endings: list[Row] = []
        self.blobs: list[Row] = []


class Encoder:
    """Turns records into the rows of one writer's file. Keeps its compressor and what it stored."""

    def __init__(self, writer: str) -> None:
        self.writer = writer
        self._compress = zstandard.ZstdCompressor(level=1).compress
        self._recent: dict[str | bytes, tuple[str, bytes]] = {}
        self._stored: set[str] = set()

    def forget(self) -> None:
        """After a failed commit: nothing is known to be stored."""
        self._stored.clear()

    def add(self, record: Intent | Receipt | Ending, rows: Rows) -> None:
        """Append the record's rows. Raises UsageError if it has no exact form; ``rows`` is then as before."""
        if isinstance(record, Intent):
            rows.intents.append(self._intent(record, rows))
            return
        place = split_id(record.intent)
        if place is None:
            raise UsageError(f"{record.intent!r} is not the id of an intent")
        writer, number = place
        own = writer == self.writer
        key: int | str = number if own else record.intent
        if isinstance(record, Receipt):
            (rows.receipts if own else rows.late_receipts).append(self._receipt(record, key))
        else:
            head = (key, bound(record.kind), bound(record.reason), record.at)
            (rows.endings if own else rows.late_endings).append((*head, _crc(head)))

    def _intent(self, intent: Intent, rows: Rows) -> Row:
        place = split_id(intent.id)
        if place is None or place[0] != self.writer:
            raise UsageError(f"{intent.id!r} is not an id of the writer {self.writer}")
        request = intent.request
        blobs: list[Row] = []
        payload = dumps(
            [
                [
                    [item.fingerprint, _plain(item.row), _plain(item.before), self._context(item.context, blobs)]
                    for item in intent.items
                ],
                request.role,
                [
                    [one.role, self._text(one.text, blobs), 1] if one.stable else [one.role, one.text, 0]
                    for one in request.messages
                ],
                None if request.shape is None else self._blob(_shared_json(request.shape), blobs),
                orjson.Fragment(_shared_json(request.parameters)),
                request.model,
            ]
        )
        size = len(payload)
        stored = self._squeeze(payload)
        head = (
            place[1], intent.id, bound(intent.call), bound(intent.stage), bound(intent.round), bound(intent.name),
            intent.attempt, dumps([item.key for item in intent.items]).decode(), bound(intent.recipe),
            bound(intent.request_digest), bound(intent.model), bound(intent.account), intent.reserved,
            bound(intent.run), intent.at, bound(intent.lane), bound(intent.batch),
        )  # fmt: skip
        row = (*head, stored, size, zlib.crc32(stored, _crc((*head, size))))
        if blobs:
            rows.blobs.extend(blobs)
            if len(self._stored) >= _REMEMBERED:
                self._stored.clear()
            self._stored.update(blob[0] for blob in blobs)
        return row

    def _receipt(self, receipt: Receipt, key: int | str) -> Row:
        body = receipt.body
        size = len(body)
        headers = _json(receipt.headers).decode()
        crc = _crc((key, receipt.status, headers, size, receipt.format, receipt.sha256, receipt.at))
        return (
            key, receipt.status, headers, self._squeeze(body), size, receipt.format, receipt.sha256,
            receipt.at, crc,
        )  # fmt: skip

    def _squeeze(self, data: bytes) -> bytes:
        """Compressed where that is shorter; what has its full size is as it was."""
        if len(data) < _COMPRESSIBLE:
            return data
        small = self._compress(data)
        return small if len(small) < len(data) else data

    def _context(self, context: Mapping[str, Any], blobs: list[Row]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, value in context.items():
            if isinstance(value, str):
                out[name] = self._text(value, blobs) if len(value) > _LARGE else value
            elif value is None or isinstance(value, int | float):
                out[name] = value
            else:
                data = dumps(value)
                out[name] = self._blob(data, blobs) if len(data) > _LARGE else orjson.Fragment(data)
        return out

    def _text(self, text: str, blobs: list[Row]) -> orjson.Fragment:
        known = self._recent.get(text)
        if known is None:
            data = dumps(text)
            known = self._remember(text, data)
        return self._reference(*known, blobs)

    def _blob(self, data: bytes, blobs: list[Row]) -> orjson.Fragment:
        return self._reference(*(self._recent.get(data) or self._remember(data, data)), blobs)

    def _remember(self, value: str | bytes, data: bytes) -> tuple[str, bytes]:
        if len(self._recent) >= _RECENT:
            self._recent.clear()
        known = self._recent[value] = (digest(data), data)
        return known

    def _reference(self, name: str, data: bytes, blobs: list[Row]) -> orjson.Fragment:
        if name not in self._stored:
            blobs.append((name, self._squeeze(data), len(data)))
        return orjson.Fragment(b'{"$blob":"' + name.encode() + b'"}')


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    return value if type(value) is dict else dict(value)


def _json(value: Mapping[str, Any]) -> bytes:
    return dumps(_plain(value))


_shared_json = Once(_json)


def bound(text: str) -> str | bytes:
    """Text as SQLite takes it; broken text as bytes, in the same column."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def _crc(columns: Sequence[Any]) -> int:
    return zlib.crc32(orjson.dumps(columns, default=bytes.hex))


# ------------------------------------------------------------------------------------------- reading

_decompress = zstandard.ZstdDecompressor().decompress


def unsqueezed(stored: Any, size: Any) -> bytes:
    """The decoded bytes of a stored column. Raises Damaged; never allocates more than ``size``."""
    if not isinstance(stored, bytes) or not isinstance(size, int):
        raise Damaged("not bytes")
    if len(stored) == size:
        return stored
    try:
        if zstandard.frame_content_size(stored) != size:
            raise Damaged("its length is not what it was")
        return _decompress(stored)
    except zstandard.ZstdError as error:
        raise Damaged(str(error)) from error


def read_blob(name: str, row: Row | None) -> Any:
    if row is None:
        raise Damaged("a blob is missing")
    data = unsqueezed(*row)
    if digest(data) != name:
        raise Damaged("a blob fails its hash")
    return loads(data)


def read_intent(row: Row, blob: Callable[[str], Any]) -> Intent:
    """The intent of a row of INTENT_COLUMNS. Raises Damaged."""
    *head, stored, size, crc = row
    try:
        if zlib.crc32(stored, _crc((*head, size))) != crc:
            raise Damaged("the intent fails its checksum")
        items, role, messages, shape, parameters, model = loads(unsqueezed(stored, size), blob)
        request = Request(
            role=role,
            messages=tuple(Message(speaker, text, bool(stable)) for speaker, text, stable in messages),
            shape=shape,
            parameters=parameters,
            model=model,
        )
        keys = loads(row[7].encode())
        bought = tuple(
            Item(key, inputs, fingerprint, before, context)
            for key, (fingerprint, inputs, before, context) in zip(keys, items, strict=True)
        )
    except (ValueError, TypeError) as error:
        raise Damaged(str(error)) from error
    return _intent_of(row, bought, request)


def damaged_intent(writer: str, row: Row) -> Intent:
    """What can still be said of an intent that fails its checksum: its columns, as they are."""
    number = row[0]
    columns = tuple(
        (value if isinstance(value, int) else 0) if name in _NUMBERS else (value if isinstance(value, str) else "")
        for name, value in zip(INTENT_COLUMNS, row, strict=True)
    )
    reserved = row[12] if isinstance(row[12], int) else None
    known = (*columns[:12], reserved, *columns[13:])
    return _intent_of((number, f"{writer}-{number}", *known[2:]), (), Request(role="", messages=()))


_NUMBERS = {"number", "attempt", "reserved", "at", "size", "crc"}


def _intent_of(row: Row, items: tuple[Item, ...], request: Request) -> Intent:
    return Intent(
        id=_text(row[1]), call=_text(row[2]), stage=_text(row[3]), round=_text(row[4]), name=_text(row[5]),
        attempt=row[6], items=items, recipe=_text(row[8]), request=request, request_digest=_text(row[9]),
        model=_text(row[10]), account=_text(row[11]), reserved=row[12], run=_text(row[13]), at=row[14],
        lane=_text(row[15]), batch=_text(row[16]),
    )  # fmt: skip


def read_receipt(intent: str, key: int | str, row: Row) -> Receipt:
    """The receipt of a row of RECEIPT_COLUMNS; its body is hashed. Raises Damaged."""
    status, headers, stored, size, form, sha256, at, crc = row
    try:
        if _crc((key, status, headers, size, form, sha256, at)) != crc:
            raise Damaged("the receipt fails its checksum")
        body = unsqueezed(stored, size)
        if hashlib.sha256(body).hexdigest() != sha256 and (form != REDACTED or body):
            raise Damaged("the body fails its checksum")
        return Receipt(intent, status, loads(headers.encode()), body, form, sha256, at)
    except (ValueError, TypeError, AttributeError) as error:
        raise Damaged(str(error)) from error


def read_ending(intent: str, key: int | str, row: Row) -> Ending:
    """The ending of a row of ENDING_COLUMNS. Raises Damaged."""
    *head, crc = row
    try:
        if _crc((key, *head)) != crc:
            raise Damaged("the ending fails its checksum")
    except TypeError as error:
        raise Damaged(str(error)) from error
    kind, reason, at = head
    return Ending(intent, kind, _text(reason), at)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")
