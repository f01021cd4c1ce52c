"""The records by their url. What opens them is imported when it is first needed: many looks do without."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from seedbed.ports.corpus import Corpus


def open_corpus(url: str) -> Corpus:
    """The tables of an existing database, such as ``sqlite:///corpus.db``. Raises SourceError."""
    return cast(Corpus, import_module("seedbed.ports.corpus.database").open_corpus(url))
