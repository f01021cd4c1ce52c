"""One simulator for all command-line tests, and fresh folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seedbed.simulator import Settings, Simulator
from tests.cli.commands import Ended, in_process


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture
def sim(simulator: Simulator) -> Simulator:
    """Default manners and an empty ledger; items are named by the word Q1Z, Q2Z, … of their row."""
    simulator.configure(Settings(items_regex=r"(Q\d+Z)"))
    simulator.reset()
    return simulator


@pytest.fixture
def seedbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """A command run in this process, in an empty folder, without keys."""
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "SEEDBED_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words: in_process(capsys, *words)
