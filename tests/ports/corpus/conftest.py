"""A database file of the test's own, and the corpus over it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedbed.ports.corpus import Corpus
from seedbed.ports.corpus.database import open_corpus
from tests.ports.corpus.databases import MakeCorpus, url


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "corpus.db"


@pytest.fixture
def make_corpus(database: Path) -> Iterator[MakeCorpus]:
    opened: list[Corpus] = []

    def make(script: str, *, patience: float = 10.0) -> Corpus:
        connection = sqlite3.connect(database)
        connection.executescript(script)
        connection.close()
        opened.append(open_corpus(url(database), patience=patience))
        return opened[-1]

    yield make
    for corpus in opened:
        corpus.close()
