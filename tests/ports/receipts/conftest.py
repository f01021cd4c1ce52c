from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from seedbed.ports.receipts import ReceiptStore
from seedbed.ports.receipts.store import open_store

NOON = 1_795_161_600_000
"""2026-11-20T08:00:00Z."""

OpenStore = Callable[[Path], ReceiptStore]


def sqlite_store(folder: Path) -> ReceiptStore:
    return open_store(folder, clock=lambda: NOON)


@pytest.fixture(params=[sqlite_store], ids=["sqlite"])
def opened(request: pytest.FixtureRequest) -> OpenStore:
    """Each implementation of the port, as a function of a folder."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".seedbed" / "receipts"


@pytest.fixture
def store(opened: OpenStore, folder: Path) -> ReceiptStore:
    return opened(folder)
