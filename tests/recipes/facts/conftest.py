from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from seedbed import Corpus
from tests.recipes.facts.helpers import new_corpus


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    """A corpus with the recipe's tables and the built-in topics."""
    opened = new_corpus(tmp_path / "corpus.db")
    yield opened
    opened.close()
