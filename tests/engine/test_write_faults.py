"""The n-th write fails, for n = 1, 2, 3 … until none does; the same command given again ends as if undisturbed."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine.crashing import IN_FLIGHT, Nursery, act
from tests.engine.proving import Witness, everything, new_table, received, requests, undisturbed

from seedbed.errors import SeedbedError
from seedbed.simulator import Simulator

ROWS = 8
WRITES = ("commit", "insert", "update", "create", "delete")


class Fault:
    """Lets the n-th write of a kind fail, and with ``lasting`` all that follow it."""

    def __init__(self, number: int, kinds: tuple[str, ...], *, lasting: bool) -> None:
        self.number = number
        self.kinds = kinds
        self.lasting = lasting
        self.seen = 0

    def before(self, sql: str) -> None:
        if not sql.lstrip().lower().startswith(self.kinds):
            return
        self.seen += 1
        if self.seen == self.number or (self.lasting and self.seen > self.number):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            error.sqlite_errorname = "SQLITE_FULL"
            raise error

    @property
    def struck(self) -> bool:
        return self.seen >= self.number


def failing(fault: Fault) -> Callable[..., sqlite3.Connection]:
    """``sqlite3.connect`` whose connections let writes fail."""

    class Pointer(sqlite3.Cursor):
        def execute(self, sql: str, *values: Any) -> Any:
            fault.before(sql)
            return super().execute(sql, *values)

        def executemany(self, sql: str, values: Any) -> Any:
            fault.before(sql)
            return super().executemany(sql, values)

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = Pointer) -> Any:
            return super().cursor(factory)

        def execute(self, sql: str, *values: Any) -> Any:
            fault.before(sql)
            return super().execute(sql, *values)

        def executemany(self, sql: str, values: Any) -> Any:
            fault.before(sql)
            return super().executemany(sql, values)

    real = sqlite3.connect

    def connect(*values: Any, **more: Any) -> sqlite3.Connection:
        found: sqlite3.Connection = real(*values, **{**more, "factory": Connection})
        return found

    return connect


STORES = {"state": "seedbed.ports.state.sqlite", "corpus": "seedbed.ports.corpus.sqlite"}


class Together:
    """``sqlite3`` as one module sees it."""

    def __init__(self, fault: Fault) -> None:
        self.connect = failing(fault)

    def __getattr__(self, name: str) -> Any:
        return getattr(sqlite3, name)


def loop(
    root: Path, sim: Simulator, patch: pytest.MonkeyPatch, store: str, kind: str, kinds: tuple[str, ...], lasting: bool
) -> int:
    """How many writes were made to fail before a run ended untouched."""
    wanted = undisturbed(root / "undisturbed", sim, kind, ROWS)
    number = 0
    while True:
        number += 1
        sim.reset()
        table = new_table(root / str(number), sim, kind, ROWS)
        fault = Fault(number, kinds, lasting=lasting)
        with patch.context() as patched:
            patched.setattr(f"{STORES[store]}.sqlite3", Together(fault))
            try:
                act(table, kind, "run")
            except SeedbedError as error:
                assert error.exit_code == 75, f"write {number}: {error!r}"
        goes_on(table, kind, sim, wanted, f"write {number}")
        shutil.rmtree(table.root)
        if not fault.struck:
            return number - 1


def goes_on(table: Any, kind: str, sim: Simulator, wanted: Any, what: str) -> None:
    before, had = requests(sim), received(table, kind)
    witness = Witness(table, kind, sim, None)  # type: ignore[arg-type]  # nothing is killed here
    witness.go_on("run", pages=False)
    assert everything(table, kind) == wanted, what
    witness.uploaded_once()
    witness.paid_once(before, had)
    assert sim.summary()["complete"] - sum(received(table, kind).values()) <= IN_FLIGHT, what


@pytest.mark.parametrize(("store", "kind"), [("state", "plain"), ("corpus", "plain"), ("corpus", "makes")])
def test_a_commit_that_fails_loses_nothing(
    tmp_path: Path, sim: Simulator, monkeypatch: pytest.MonkeyPatch, store: str, kind: str
) -> None:
    assert loop(tmp_path, sim, monkeypatch, store, kind, ("commit",), False) >= (1 if store == "corpus" else 8)


@pytest.mark.torture
@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("kind", ["plain", "makes", "ask", "group"])
@pytest.mark.parametrize("store", ["state", "corpus"])
def test_each_write_in_turn_fails_and_nothing_is_lost(
    tmp_path: Path, sim: Simulator, monkeypatch: pytest.MonkeyPatch, store: str, kind: str, lasting: bool
) -> None:
    print(store, kind, lasting, loop(tmp_path, sim, monkeypatch, store, kind, WRITES, lasting))


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    found = Nursery()
    yield found
    found.close()


def sizes(root: Path, sim: Simulator, nursery: Nursery, kind: str, steps: range) -> int:
    """Files may grow to a limit that rises until a run ends untouched; how many limits it met."""
    wanted = undisturbed(root / "undisturbed", sim, kind, ROWS)
    begun = new_table(root / "begun", sim, kind, ROWS)
    act(begun, kind, "run", 1)  # the stores are there, and the ballast
    for met, limit in enumerate(steps):
        sim.reset()
        shutil.copytree(begun.root, root / str(limit))
        table = type(begun).there(root / str(limit), sim.url)
        code = nursery.act(table, kind, "run", file_size=limit)
        bug = table.root / "bug.txt"
        assert code in (0, 75), f"{limit} bytes: {code} {bug.read_text('utf-8') if bug.exists() else ''}"
        witness = Witness(table, kind, sim, nursery)
        before, had = requests(sim), received(table, kind)
        assert act(table, kind, "run").error is None
        assert everything(table, kind) == wanted, limit
        witness.uploaded_once()
        after = requests(sim)
        again = [name for name in had if after.get(name, 0) > before.get(name, 0)]
        assert kind == "ask" or again == [], f"{limit} bytes: {again} were paid again"
        shutil.rmtree(table.root)
        if code == 0:
            return met
    raise AssertionError("no limit was high enough")


@pytest.mark.parametrize("kind", ["plain", "file"])
def test_files_that_cannot_grow_pause_a_run_and_lose_nothing(
    tmp_path: Path, sim: Simulator, nursery: Nursery, kind: str
) -> None:
    assert sizes(tmp_path, sim, nursery, kind, range(4_000, 4_000_000, 40_000)) > 2


@pytest.mark.torture
@pytest.mark.parametrize("kind", ["plain", "file", "makes", "ask"])
def test_files_that_cannot_grow_in_small_steps(tmp_path: Path, sim: Simulator, nursery: Nursery, kind: str) -> None:
    assert sizes(tmp_path, sim, nursery, kind, range(1_000, 4_000_000, 2_000)) > 20
