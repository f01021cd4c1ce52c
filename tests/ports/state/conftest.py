from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from seedbed.ports.state import State
from seedbed.ports.state.sqlite import open_state

OpenState = Callable[[], State]


@pytest.fixture(params=[open_state], ids=["sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenState]:
    """Each implementation of the port, as a function that opens one more connection to the same state."""
    with ExitStack() as closing:

        def one_more() -> State:
            state: State = request.param(tmp_path / ".seedbed" / "state.sqlite")
            closing.callback(state.close)
            return state

        yield one_more


@pytest.fixture
def state(opened: OpenState) -> State:
    return opened()
