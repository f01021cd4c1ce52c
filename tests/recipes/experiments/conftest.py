from __future__ import annotations

from pathlib import Path

import pytest

from tests.recipes.experiments.trees import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An archive without rows."""
    return Tree(tmp_path / "archive")
