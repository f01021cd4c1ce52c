"""A project over a real SQLite file, and one simulator for all engine tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.projects import Table
from tests.programs.playing import Robot

from seedbed.simulator import Settings, Simulator


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture
def sim(simulator: Simulator) -> Simulator:
    """The simulator with default manners and an empty ledger; items are named Q1Z, Q2Z, …"""
    simulator.configure(Settings(items_regex=r"(Q\d+Z)"))
    simulator.reset()
    return simulator


@pytest.fixture
def table(tmp_path: Path, sim: Simulator) -> Table:
    return Table(tmp_path, sim.url)


@pytest.fixture
def robot(tmp_path: Path) -> Iterator[Robot]:
    """A headless program. Whatever a test that fails leaves of it is ended."""
    robot = Robot(tmp_path)
    yield robot
    for pid in robot.left:
        os.kill(pid, signal.SIGKILL)
