"""A text, or what belongs to one item, is taken out of everything that seedbed keeps. On record, once and for all.

A hash stands in its place. Outcomes stay, so that nothing is bought again by itself; keys stay, since by them it is
known what was bought. The user's own records are not touched: they are to be changed first.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from seedbed.crashing import point
from seedbed.engine.keeping.beside import forget_backups, forget_staged
from seedbed.engine.looks.look import Look, looking
from seedbed.engine.looks.selecting import typed_key
from seedbed.engine.projects.project import Project, utc_text
from seedbed.engine.work.leftovers import unsettled
from seedbed.engine.work.reader import read_reply
from seedbed.engine.work.rounds import worklist_path
from seedbed.errors import EmptySelection, Locked, UsageError
from seedbed.ports.receipts import REDACTED, Intent, Purchase
from seedbed.ports.receipts.redact import Rule, hash_of, redact
from seedbed.ports.state.counts import count_anew
from seedbed.records import Item, Message, key_text, key_values, pack, unpack
from seedbed.stage import Gathers

RECORD = "redactions.jsonl"
SHORTEST = 3
LONG = 12
"""Characters from which a text of an item is taken for its own, wherever it stands."""
_CELLS = {
    "outcomes": ("output", "before", "row", "findings", "fate_reason"),
    "made": ("reason",),
    "runs": ("settings", "message"),
    "recipes": ("body",),
    "notes": ("value",),
    "pilots": ("condition",),
    "decisions": ("reason", "note"),
    "signatures": ("note", "seen"),
    "items": ("row", "before"),
    "blobs": ("body",),
    "facts": ("value",),
}
"""Columns of the state and of worklists that may hold what people wrote. Keys are not among them."""


@dataclass(frozen=True)
class Wanted:
    """What is to go: a text wherever it stands, or all that belongs to one item of a stage.

    ``texts`` are what an item held and what was answered for it, as far as that is known.
    """

    text: str = ""
    stage: str = ""
    key: str = ""
    texts: frozenset[str] = frozenset()
    _forms: tuple[str, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_forms", tuple(_forms(self.text)) if self.text else ())

    @cached_property
    def written(self) -> tuple[str, ...]:
        """What is looked for in pages and in files as bytes; of an item, texts that are long enough to be its own."""
        long = (text for text in self.texts if len(text) >= LONG)
        return self._forms + tuple(form for text in long for form in _forms(text))

    def holds(self, value: str) -> bool:
        return any(form in value for form in self._forms)

    def held_by(self, intent: Intent) -> bool:
        return intent.stage == self.stage and any(item.key == self.key for item in intent.items)


@dataclass(frozen=True)
class Redaction:
    """What was (or would be) taken out.

    ``unread`` are damaged records that cannot be looked at; ``left`` files in which the text still stands.
    """

    intents: int
    answers: int
    outcomes: int
    worklists: int
    logs: int
    dry_run: bool
    unread: int = 0
    left: tuple[str, ...] = ()


def _forms(text: str) -> Iterator[str]:
    """The text as it stands in plain files, in JSON, and in JSON within JSON."""
    forms = [text]
    for _ in range(2):
        escaped = [json.dumps(form, ensure_ascii=ascii)[1:-1] for form in forms for ascii in (True, False)]
        upper = [re.sub(r"\\u[0-9a-f]{4}", lambda found: "\\u" + found[0][2:].upper(), form) for form in escaped]
        forms = list(dict.fromkeys([*forms, *escaped, *upper]))
    return iter(forms)


def redact_kept(project: Project, wanted: Wanted, *, why: str = "", dry_run: bool = False) -> Redaction:
    """Take it out of receipts, state, worklists and logs. Raises Locked while a run works."""
    if bool(wanted.text) == bool(wanted.key):
        raise UsageError("Say what is to go: --text TEXT or --item STAGE KEY")
    if wanted.text and len(wanted.text.strip()) < SHORTEST:
        raise UsageError(f"A text of fewer than {SHORTEST} characters stands nearly everywhere; nothing was changed.")
    if wanted.text and wanted.holds(why):
        raise UsageError("The reason holds the text itself; it would be written down.")
    with ExitStack() as stack:
        if not dry_run:
            hold_all(project, stack)
        look = stack.enter_context(looking(project))
        wanted = _as_typed(look, wanted)
        found = list(_found(look, wanted))
        if wanted.key and not found and not look.state.history(wanted.stage, wanted.key):
            raise EmptySelection(
                f"{wanted.stage} has no item {wanted.key}.", hint=f"See some with: seedbed records {wanted.stage}"
            )
        unread = sum(purchase.corrupt for purchase in look.receipts.purchases())
        if wanted.key:
            wanted = replace(wanted, texts=_own_texts(look, wanted, [purchase for purchase, _, _ in found]))
        _refuse_unsettled(look, wanted, {purchase.intent.id for purchase, _, _ in found})
        counts = _counts(project, wanted, found, dry_run=True)
        if not dry_run:
            _write_down(project, wanted, why, counts)
            point("before receipts are redacted")
            bodies = frozenset(purchase.intent.id for purchase, _, body in found if body)
            redact(project.folder / "receipts", Rule(bodies, wanted.holds, lambda one: cleaned(one, wanted)))
            point("after receipts are redacted")
            _counts(project, wanted, found, dry_run=False)
            point("before backups are redacted")
            _forget(project, look, wanted)
    if dry_run:
        return replace(counts, unread=unread)
    return replace(counts, dry_run=False, unread=unread, left=tuple(_left(project, wanted)))


def _forget(project: Project, look: Look, wanted: Wanted) -> None:
    """What is remembered elsewhere; an item's texts are its own only where they stand in its own cells."""
    releases = {each.id for each in look.state.releases() if each.stage == wanted.stage}

    def cells(release: str, item: str, remembered: Mapping[str, Any]) -> Mapping[str, Any]:
        if wanted.key and not (release in releases and item == wanted.key):
            return remembered
        return _clean(dict(remembered), wanted.holds if wanted.text else _anything)  # type: ignore[no-any-return]

    def cell(text: Any) -> Any:
        return _cell(text, wanted.holds if wanted.text else wanted.texts.__contains__)

    forget_backups(project, cells)
    forget_staged(project, wanted.key, cell)


def _as_typed(look: Look, wanted: Wanted) -> Wanted:
    """With the key as the stage's columns hold it; a stage that is no more has keys as they were stored."""
    stage = next((one for one in look.project.pipeline.stages if one.name == wanted.stage), None)
    if stage is None or not wanted.key or isinstance(stage.relation, Gathers):
        return wanted
    return replace(wanted, key=key_text(typed_key(look.bound(stage), wanted.key)))


def hold_all(project: Project, stack: ExitStack) -> None:
    """Nothing may be generated or uploaded meanwhile."""
    locks = project.locks()
    stack.enter_context(locks.keeping())
    for stage in project.pipeline.stages:
        stack.enter_context(locks.generating(stage.name))
    for held in locks.held():
        if held.get("pid") not in (None, os.getpid()):
            raise Locked(f"{held['lock']} is held by another run", hint="Watch it with: seedbed watch")


def _own_texts(look: Look, wanted: Wanted, purchases: Sequence[Purchase]) -> frozenset[str]:
    """What an item held and what was answered for it, but its key and what other items hold too."""
    texts = set(_texts(look, wanted, purchases)) - set(_strings(key_values(wanted.key)))
    for purchase in look.receipts.purchases():
        for item in purchase.intent.items:
            if item.key != wanted.key:
                texts.difference_update(_strings([dict(item.row), dict(item.before)]))
    return frozenset(texts)


def _texts(look: Look, wanted: Wanted, purchases: Iterable[Purchase]) -> Iterator[str]:
    for purchase in purchases:
        for item in purchase.intent.items:
            if item.key == wanted.key:
                yield from _strings([dict(item.row), dict(item.before)])
        receipt = purchase.receipt
        if receipt is not None and receipt.format != REDACTED and len(purchase.intent.items) == 1:
            look.project.completer(purchase.intent.model.partition("/")[0])
            reply, _ = read_reply(look.project.completers, purchase.intent, receipt)
            yield from _strings(_parsed(reply.text) if reply else None)
    for outcome, _, _ in look.state.history(wanted.stage, wanted.key):
        yield from _strings([outcome.output, dict(outcome.before), dict(outcome.row)])


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, str) and not value.startswith("[redacted sha256:"):
        yield value


# ---------------------------------------------------------------------------------------- receipts


def _found(look: Look, wanted: Wanted) -> Iterator[tuple[Purchase, bool, bool]]:
    """Purchases that hold it: with whether the payload does, and whether the body does."""
    for purchase in look.receipts.purchases():
        payload = not purchase.corrupt and cleaned(purchase.intent, wanted) != purchase.intent
        body = _in_body(look.project, purchase, wanted)
        if payload or body or (purchase.ending and wanted.holds(purchase.ending.reason)):
            yield purchase, payload, body


def _in_body(project: Project, purchase: Purchase, wanted: Wanted) -> bool:
    receipt = purchase.receipt
    if receipt is None or receipt.format == REDACTED:
        return False
    if wanted.key:
        return wanted.held_by(purchase.intent)
    if wanted.holds(receipt.body.decode("utf-8", "replace")) or wanted.holds(json.dumps(dict(receipt.headers))):
        return True
    if receipt.format == "json":
        return False
    project.completer(purchase.intent.model.partition("/")[0])
    reply, _ = read_reply(project.completers, purchase.intent, receipt)  # a stream has it in pieces
    return reply is not None and wanted.holds(reply.text)


def cleaned(intent: Intent, wanted: Wanted) -> Intent:
    """The intent with a hash in place of each part that holds it."""
    if wanted.key and not wanted.held_by(intent):
        return intent
    request = intent.request
    messages = tuple(_clean_message(message, wanted) for message in request.messages)
    if wanted.key:
        items = tuple(_erased(item) if item.key == wanted.key else item for item in intent.items)
        return replace(intent, items=items, request=replace(request, messages=messages))
    shape = None if request.shape is None else _clean(dict(request.shape), wanted.holds)
    parameters = _clean(dict(request.parameters), wanted.holds)
    return replace(
        intent,
        items=tuple(_clean_item(item, wanted) for item in intent.items),
        request=replace(request, messages=messages, shape=shape, parameters=parameters),
    )


def _clean_message(message: Message, wanted: Wanted) -> Message:
    goes = wanted.holds(message.text) if wanted.text else not message.stable
    return replace(message, text=_marked(message.text)) if goes else message


def _clean_item(item: Item, wanted: Wanted) -> Item:
    row, before, context = (_clean(dict(each), wanted.holds) for each in (item.row, item.before, item.context))
    return replace(item, row=row, before=before, context=context)


def _erased(item: Item) -> Item:
    row, before, context = (_clean(dict(each), _anything) for each in (item.row, item.before, item.context))
    return replace(item, row=row, before=before, context=context)


def _anything(_: str) -> bool:
    return True


def _marked(text: str) -> str:
    return text if text.startswith("[redacted sha256:") else hash_of(text)


def _clean(value: Any, holds: Callable[[str], bool]) -> Any:
    """The value with a hash in place of each text or number that holds it."""
    if isinstance(value, dict):
        return {name: _clean(each, holds) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_clean(each, holds) for each in value)
    if value is None or isinstance(value, bool):
        return value
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return _marked(text) if holds(text) else value


def _refuse_unsettled(look: Look, wanted: Wanted, found: set[str]) -> None:
    """What is still to be read or asked must not be taken out: it would be bought again, or asked with a hash."""
    stages = [stage.name for stage in look.project.pipeline.stages]
    waiting = sum(one.intent.id in found for name in stages for one in unsettled(look.receipts, look.state, name))
    for round_row in look.state.rounds(status="open"):
        path = worklist_path(look.project.worklists, round_row.id)
        if path.exists():
            keys = _keys_in(path, wanted, round_row.stage)
            waiting += len(set(keys) - look.state.settled_in_round(round_row.id, round_row.stage, keys))
    if waiting:
        raise UsageError(
            f"{waiting:,} answers or items that hold it are not settled yet; nothing was changed.",
            hint="Run: seedbed run   and then the same command again",
        )


def _keys_in(path: Path, wanted: Wanted, stage: str) -> list[str]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        if wanted.key:
            query, values = "select item from items where item = ? and ? = ?", (wanted.key, stage, wanted.stage)
            return [row[0] for row in db.execute(query, values)]
        db.create_function("held", 1, lambda text: _cell(text, wanted.holds) != text)
        return [row[0] for row in db.execute("select item from items where held(row) or held(before)")]


# ------------------------------------------------------------------------ state, worklists and logs


def _counts(project: Project, wanted: Wanted, found: Sequence[Any], *, dry_run: bool) -> Redaction:
    state = project.folder / "state.sqlite"
    worklists = sorted(project.worklists.glob("*.sqlite"))
    return Redaction(
        intents=sum(payload for _, payload, _ in found),
        answers=sum(body for _, _, body in found),
        outcomes=_in_database(state, wanted, dry_run=dry_run) if state.exists() else 0,
        worklists=sum(_in_database(path, wanted, dry_run=dry_run) for path in worklists),
        logs=sum(_in_log(path, wanted, dry_run=dry_run) for path in _files(project.logs)),
        dry_run=dry_run,
    )


def _in_database(path: Path, wanted: Wanted, *, dry_run: bool) -> int:
    """The rows that hold it; cells are overwritten on the disk too."""
    holds = _anything if wanted.key else wanted.holds
    count = 0
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30.0)) as db:
        db.execute("pragma secure_delete = on")
        db.create_function("cleaned", 1, lambda text: _cell(text, holds), deterministic=True)
        known = {row[0] for row in db.execute("select name from sqlite_master where type = 'table'")}
        db.execute("begin immediate")
        for table, columns in _CELLS.items():
            if table in known and (whose := _whose(table, path, wanted)) is not None:
                count += _in_table(db, table, columns, whose, dry_run=dry_run)
        db.execute("rollback" if dry_run else "commit")
        if not dry_run:
            db.execute("vacuum")
            db.execute("pragma wal_checkpoint(truncate)").fetchall()
    return count


def _whose(table: str, path: Path, wanted: Wanted) -> tuple[str, tuple[str, ...]] | None:
    """The condition of the rows that may hold it; None where a table has nothing of an item."""
    if wanted.text:
        return ("name not like 'inputs.%'" if table == "notes" else "1"), ()
    if table == "outcomes":
        return "stage = ? and item = ?", (wanted.stage, wanted.key)
    if table == "items" and _stage_of(path) in (wanted.stage, ""):
        return "item = ?", (wanted.key,)
    return None


def _stage_of(path: Path) -> str:
    """The stage of a worklist, from the state beside it."""
    state = path.parent.parent / "state.sqlite"
    with closing(sqlite3.connect(f"{state.absolute().as_uri()}?mode=ro", uri=True)) as db:
        found = db.execute("select stage from rounds where id = ?", (path.stem,)).fetchone()
    return str(found[0]) if found else ""


def _in_table(
    db: sqlite3.Connection, table: str, columns: Sequence[str], whose: tuple[str, tuple[str, ...]], *, dry_run: bool
) -> int:
    where, values = whose
    held = " or ".join(f"cleaned({name}) is not {name}" for name in columns)
    count = int(db.execute(f"select count(*) from {table} where {where} and ({held})", values).fetchone()[0])  # noqa: S608
    if dry_run or not count:
        return count
    if table == "outcomes":  # what waits for an upload must not be written as a hash
        db.execute(
            "update outcomes set state = 'rejected', reason = 'redacted', made = 0 where "  # noqa: S608
            f"({where}) and cleaned(output) is not output"
            " and (state = 'withdrawn' or state = 'accepted' and fate = '')",
            values,
        )
        count_anew(db)
    sets = ", ".join(f"{name} = cleaned({name})" for name in columns)
    db.execute(f"update {table} set {sets} where {where} and ({held})", values)  # noqa: S608
    return count


def _cell(text: Any, holds: Callable[[str], bool]) -> Any:
    """A cell of the state: JSON, or words."""
    if not isinstance(text, str) or not text:
        return text
    try:
        value = unpack(text)
    except ValueError:
        return _marked(text) if holds(text) else text
    clean = _clean(value, holds)
    return text if clean == value else pack(clean)


def _in_log(path: Path, wanted: Wanted, *, dry_run: bool) -> int:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    clean = text
    for form in sorted(wanted.written, key=len, reverse=True):
        clean = clean.replace(form, "[redacted]")
    if clean != text and not dry_run:
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_bytes(clean.encode("utf-8", "surrogateescape"))
        draft.replace(path)
    return clean != text


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _left(project: Project, wanted: Wanted) -> Iterator[str]:
    """Files in which the text still stands, read byte by byte."""
    forms = [form.encode("utf-8", "surrogatepass") for form in wanted.written]
    for path in sorted({*_files(project.folder), *_files(project.logs)}):
        with suppress(OSError):
            data = path.read_bytes()
            if any(form in data for form in forms):
                yield str(path.relative_to(project.root))


# -------------------------------------------------------------------------------------- the record


def _write_down(project: Project, wanted: Wanted, why: str, counts: Redaction) -> None:
    """Before anything is changed: who, when, why and how many. Never the text."""
    line = {
        "at": utc_text(),
        "who": f"{getpass.getuser()}@{socket.gethostname()}",
        "why": why,
        "what": {"stage": wanted.stage, "key": wanted.key} if wanted.key else "a text",
        **{name: getattr(counts, name) for name in ("intents", "answers", "outcomes", "worklists", "logs")},
    }
    with (project.folder / RECORD).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
