"""A model server over real HTTP with faults on demand and its own ledger. It knows nothing of seedbed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seedbed.simulator.answers import Rule, answer, load_rules
    from seedbed.simulator.client import Simulator
    from seedbed.simulator.config import Settings

__all__ = ["Rule", "Settings", "Simulator", "answer", "load_rules"]

_HOMES = {"Simulator": "client", "Settings": "config"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'answers')}"), name)
