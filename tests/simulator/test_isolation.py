"""The witness knows nothing of what it bears witness to."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import seedbed.simulator

FILES = sorted(Path(seedbed.simulator.__file__).parent.glob("**/*.py"))
ALLOWED = {"aiohttp", "orjson", *sys.stdlib_module_names}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports by a relative name"
            assert node.module is not None
            yield node.module


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_imports_only_itself_and_its_few_libraries(path: Path) -> None:
    for name in imports(path):
        assert f"{name}.".startswith("seedbed.simulator.") or name.split(".")[0] in ALLOWED, name


@pytest.mark.parametrize("name", ["Simulator", "Settings", "answer", "load_rules", "Rule"])
def test_the_front_names_do_not_pull_in_aiohttp(name: str) -> None:
    code = (
        "import sys; before = 'aiohttp' in sys.modules; "
        f"from seedbed.simulator import {name}; "
        "assert ('aiohttp' in sys.modules) == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
