"""The page of faults and the tests that make them happen name each other."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from tests.docs.pages import ROOT

ROW = re.compile(r"^\| (\d+) \|[^|]+\|[^|]+\| (.+) \|$", re.MULTILINE)


def cited() -> dict[int, set[str]]:
    """The tests that say in their docstring which fault they make happen."""
    found = defaultdict(set)
    for number, name in _citations():
        found[number].add(name)
    return dict(found)


def _citations() -> Iterator[tuple[int, str]]:
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for number in re.findall(r"\(fault (\d+)\)", ast.get_docstring(node) or ""):
                    yield int(number), node.name


def test_each_fault_of_the_page_names_the_tests_that_cite_it_and_no_others() -> None:
    page = (ROOT / "docs" / "explanation" / "faults.md").read_text("utf-8")
    named = {int(number): set(re.findall(r"`(\w+)`", tests)) for number, tests in ROW.findall(page)}
    assert named == cited()
