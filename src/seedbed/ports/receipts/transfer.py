"""Receipts as JSON lines: to look at, to carry, to merge. A second import adds nothing."""

from __future__ import annotations

import hashlib
import sqlite3
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from seedbed.errors import SourceError
from seedbed.ports.folders import make_folder
from seedbed.ports.receipts import REDACTED, Ending, Intent, Purchase, Receipt
from seedbed.ports.receipts.compact import take_out
from seedbed.ports.receipts.dialect import tagged, untagged
from seedbed.ports.receipts.reader import ReceiptFile
from seedbed.ports.receipts.rows import Encoder, Rows
from seedbed.ports.receipts.schema import (
    check_version,
    create_file,
    file_of,
    is_writer,
    migrate,
    named,
    newer,
    open_adding,
    seal,
    split_id,
)
from seedbed.ports.receipts.writer import insert_new, other_is_stored
from seedbed.records import Item, Message, Request

LINE_VERSION = 1
_AT_ONCE = 500
HASHED = "[redacted sha256:"
"""How a part begins that a redaction put there."""

_INTENT_TEXTS = (
    "call", "stage", "round", "name", "recipe", "request_digest", "model", "account", "run", "lane", "batch",
)  # fmt: skip


# -------------------------------------------------------------------------------------------- export


def export_file(file: ReceiptFile) -> Iterator[dict[str, Any]]:
    """The lines of one file: intents, each with its receipt; late receipts; endings; what is damaged."""
    for page in file.pages():
        for one in page:
            yield from _purchase_lines(file.writer, one)
    for some in file.late_pages():
        for intent, receipt in some:
            yield _receipt_line(file.writer, receipt) if receipt else _corrupt_line(file.writer, intent)
    for intent, ending in file.endings():
        yield _ending_line(file.writer, ending) if ending else _corrupt_line(file.writer, intent)


def _purchase_lines(writer: str, one: Purchase) -> Iterator[dict[str, Any]]:
    if one.corrupt:
        yield _corrupt_line(writer, f"{writer}-{one.number}")
        if not one.intent.items:
            return
    yield _intent_line(writer, one.intent)
    if one.receipt:
        yield _receipt_line(writer, one.receipt)


def _head(kind: str, writer: str) -> dict[str, Any]:
    return {"v": LINE_VERSION, "kind": kind, "writer": writer}


def _intent_line(writer: str, intent: Intent) -> dict[str, Any]:
    request = intent.request
    return {
        **_head("intent", writer),
        "id": intent.id,
        **{name: tagged(getattr(intent, name)) for name in _INTENT_TEXTS},
        "attempt": intent.attempt,
        "reserved": intent.reserved,
        "at": intent.at,
        "items": [
            {
                "key": tagged(item.key),
                "row": tagged(dict(item.row)),
                "fingerprint": tagged(item.fingerprint),
                "before": tagged(dict(item.before)),
                "context": tagged(dict(item.context)),
            }
            for item in intent.items
        ],
        "request": {
            "role": tagged(request.role),
            "messages": [
                {"role": message.role, "text": tagged(message.text), "stable": message.stable}
                for message in request.messages
            ],
            "shape": None if request.shape is None else tagged(dict(request.shape)),
            "parameters": tagged(dict(request.parameters)),
            "model": tagged(request.model),
        },
    }


def _receipt_line(writer: str, receipt: Receipt) -> dict[str, Any]:
    return {
        **_head("receipt", writer),
        "intent": receipt.intent,
        "status": receipt.status,
        "headers": tagged(dict(receipt.headers)),
        "format": receipt.format,
        "body": b64encode(receipt.body).decode("ascii"),
        "sha256": receipt.sha256,
        "at": receipt.at,
    }


def _ending_line(writer: str, ending: Ending) -> dict[str, Any]:
    return {
        **_head("ending", writer),
        "intent": ending.intent,
        "ending": ending.kind,
        "reason": tagged(ending.reason),
        "at": ending.at,
    }


def _corrupt_line(writer: str, intent: str) -> dict[str, Any]:
    return {**_head("corrupt", writer), "intent": intent}


# -------------------------------------------------------------------------------------------- import


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    writer: str
    record: Intent | Receipt | Ending


def take_in(folder: Path, lines: Iterable[dict[str, Any]]) -> tuple[int, int]:
    """Import lines, some hundred in one commit a file. What was taken in before an error stays."""
    new = there = 0
    numbered = enumerate(lines, 1)
    while some := list(islice(numbered, _AT_ONCE)):
        by_writer: dict[str, list[_Line]] = {}
        for number, raw in some:
            line = _parsed(number, raw)
            if line is not None:
                by_writer.setdefault(line.writer, []).append(line)
        for writer, its_lines in by_writer.items():
            added = _take_in_file(folder, writer, its_lines)
            new, there = new + added, there + len(its_lines) - added
    return new, there


def _take_in_file(folder: Path, writer: str, lines: list[_Line]) -> int:
    path = file_of(folder, writer)
    if not path.exists() and not take_out(folder, writer):
        make_folder(folder)
        with suppress(FileExistsError):
            create_file(path)
    encoder, added = Encoder(writer), 0
    with named(path), closing(open_adding(path)) as connection:
        if not check_version(connection, path):
            migrate(connection)
        stored = ReceiptFile(path, connection)
        connection.execute("BEGIN IMMEDIATE")
        try:
            for line in lines:
                rows = Rows()
                encoder.add(line.record, rows)
                if insert_new(connection, rows):
                    added += 1
                else:
                    encoder.forget()
                    _refuse_other(stored, line)
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        if added:
            seal(connection)
    return added


def _refuse_other(stored: ReceiptFile, line: _Line) -> None:
    """Compared as values, since another version of the compressor makes other bytes of the same."""
    record = line.record
    if isinstance(record, Intent):
        place = split_id(record.id)
        one = stored.get(place[1]) if place else None
        same = one is not None and (one.intent == record or _is_redacted(one.intent, record))
        name = record.id
    elif isinstance(record, Receipt):
        place = split_id(record.intent)
        if place and place[0] == stored.writer:
            kept = stored.receipt(place[1])
        else:
            kept = stored.late([record.intent]).receipts.get(record.intent)
        same = kept == record or (kept is not None and kept.format == REDACTED and kept.sha256 == record.sha256)
        name = record.intent
    else:
        return  # an ending's key is all that it says
    if not same:
        raise other_is_stored(f"{name} (line {line.number})")


def _is_redacted(stored: Intent, other: Intent) -> bool:
    """Whether they differ in nothing but parts that were taken out here: what is redacted stays so."""
    if HASHED not in repr(stored):
        return False
    head = replace(other, items=(), request=stored.request)
    same_keys = [item.key for item in stored.items] == [item.key for item in other.items]
    return same_keys and replace(stored, items=()) == head


def _parsed(number: int, raw: Any) -> _Line | None:
    """The record of a line; None for the name of one that was damaged where it came from."""
    try:
        version = raw["v"]
        if type(version) is int and version > LINE_VERSION:
            raise newer(version, LINE_VERSION, f"Line {number} and the lines around it")
        if version != LINE_VERSION:
            raise ValueError(f"its version is {version!r}")
        writer = raw["writer"]
        if not isinstance(writer, str) or not is_writer(writer):
            raise ValueError(f"{writer!r} is not the name of a writer")
        if raw["kind"] == "corrupt":
            return None
        record = _PARSERS[raw["kind"]](raw)
        if isinstance(record, Intent):
            place = split_id(record.id)
            if place is None or place[0] != writer:
                raise ValueError(f"{record.id!r} is not an intent of {writer}")
        elif split_id(record.intent) is None:
            raise ValueError(f"{record.intent!r} is not the id of an intent")
        return _Line(number, writer, record)
    except KeyError as error:
        raise SourceError(f"Line {number} is not an exported receipt", why=f"It has no or a wrong {error}.") from error
    except (TypeError, ValueError) as error:
        raise SourceError(f"Line {number} is not an exported receipt", why=str(error)) from error


def _intent(raw: dict[str, Any]) -> Intent:
    request = raw["request"]
    model = untagged(request["model"])
    return Intent(
        id=_str(raw["id"]),
        **{name: _str(untagged(raw[name])) for name in _INTENT_TEXTS},
        attempt=_int(raw["attempt"]),
        reserved=None if raw["reserved"] is None else _int(raw["reserved"]),
        at=_int(raw["at"]),
        items=tuple(
            Item(
                _str(untagged(item["key"])),
                _dict(untagged(item["row"])),
                _str(untagged(item["fingerprint"])),
                _dict(untagged(item["before"])),
                _dict(untagged(item["context"])),
            )
            for item in raw["items"]
        ),
        request=Request(
            role=_str(untagged(request["role"])),
            messages=tuple(
                Message(
                    _one_of(one["role"], "system", "user", "assistant"),
                    _str(untagged(one["text"])),
                    bool(one["stable"]),
                )
                for one in request["messages"]
            ),
            shape=None if request["shape"] is None else _dict(untagged(request["shape"])),
            parameters=_dict(untagged(request["parameters"])),
            model=None if model is None else _str(model),
        ),
    )


def _receipt(raw: dict[str, Any]) -> Receipt:
    body = b64decode(raw["body"], validate=True)
    redacted = raw["format"] == REDACTED and not body
    if hashlib.sha256(body).hexdigest() != raw["sha256"] and not redacted:
        raise ValueError("its body does not match its sha256")
    return Receipt(
        intent=_str(raw["intent"]),
        status=_int(raw["status"]),
        headers={_str(name): _str(value) for name, value in _dict(untagged(raw["headers"])).items()},
        body=body,
        format=_one_of(raw["format"], "json", "sse", "stdout", "batch", REDACTED),
        sha256=raw["sha256"],
        at=_int(raw["at"]),
    )


def _ending(raw: dict[str, Any]) -> Ending:
    return Ending(
        intent=_str(raw["intent"]),
        kind=_one_of(raw["ending"], "closed", "doubt"),
        reason=_str(untagged(raw["reason"])),
        at=_int(raw["at"]),
    )


_PARSERS: dict[str, Callable[[dict[str, Any]], Intent | Receipt | Ending]] = {
    "intent": _intent,
    "receipt": _receipt,
    "ending": _ending,
}


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value


def _int(value: Any) -> int:
    if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"{value!r} is not a whole number")
    return value


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is not an object")
    return value


def _one_of(value: Any, *known: str) -> Any:
    if value not in known:
        raise ValueError(f"{value!r} is none of {', '.join(known)}")
    return value
