"""An import killed at each point where it writes: the same command again comes to the tree of one that was not."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seedbed import crashing, errors
from seedbed.recipes import experiments
from seedbed.recipes.experiments.importing import BATCH
from seedbed.recipes.experiments.index import sole_writer
from tests.recipes.experiments.trees import RUN, Tree, constructed, fingerprints

HOME = Path(experiments.__file__).parent
POINTS = (
    "while documents are written",
    "before documents take their names",
    "while documents take their names",
    "after documents took their names",
    "before documents are in the index",
    "after documents are in the index",
    "before the bad list takes its name",
    "after the bad list took its name",
)
OF_FOLDERS = POINTS[:4]


def big(root: Path) -> Tree:
    """The constructed archive, and drafts for two batches more."""
    tree = constructed(root)
    for number in range(2 * BATCH):
        tree.put("draft", f"d-{number}", combo=f"combo-{number}")
    return tree.write()


def command(tree: Tree, *more: str, point: str = "") -> int:
    """The exit code of the command in a process of its own."""
    words = ["import", "experiments", str(tree.root), "--run-id", RUN, "--skip-bad", *more]
    done = subprocess.run(
        [sys.executable, "-m", "seedbed", *words],
        env={**os.environ, crashing.VARIABLE: point},
        cwd=tree.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, -9), done.stderr
    return done.returncode


def result(tree: Tree) -> tuple[dict[str, str], list[str]]:
    return fingerprints(tree.root, but=("data/db",)), tree.dump()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, str], list[str]]]:
    """What an import that nobody disturbs comes to, in folders and packed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    trees = {"folders": big(folder / "one"), "packed": big(folder / "two")}
    trees["folders"].take()
    trees["packed"].take(pack=True)
    return {name: result(tree) for name, tree in trees.items()}


@pytest.mark.parametrize(
    ("point", "way"),
    [(f"{point}:{hit}", "folders") for point in POINTS for hit in ((1,) if "bad list" in point else (1, 2))]
    + [(f"{point}:2", "packed") for point in POINTS[4:6]],
)
def test_killed_at_a_point_it_goes_on_to_the_same_result(
    tmp_path: Path, whole: dict[str, tuple[dict[str, str], list[str]]], point: str, way: str
) -> None:
    tree = big(tmp_path)
    more = ("--pack",) if way == "packed" else ()

    assert command(tree, *more, point=point) == -9, "the point was not reached"
    assert command(tree, *more) == 0

    assert result(tree) == whole[way]


def test_killed_twice_it_goes_on_all_the_same(
    tmp_path: Path, whole: dict[str, tuple[dict[str, str], list[str]]]
) -> None:
    tree = big(tmp_path)
    assert command(tree, point="while documents take their names:2") == -9
    assert command(tree, point="while documents take their names") == -9
    assert command(tree) == 0
    assert result(tree) == whole["folders"]


def test_a_document_in_the_index_has_its_folder_at_any_moment(tmp_path: Path) -> None:
    for point in POINTS[:6]:
        tree = big(tmp_path / point)
        assert command(tree, point=f"{point}:3") == -9
        there = tree.ask("select doc_dir from documents")
        assert len(there) >= BATCH
        assert [place for place in there if not (tree.docs / place / "metadata.json").exists()] == []


def test_each_point_of_the_code_is_tested_and_stands_on_the_page() -> None:
    code = []
    for path in sorted(HOME.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "point":
                code.append(str(ast.literal_eval(node.args[0])))
    assert sorted(code) == sorted(POINTS)
    page = (HOME / "README.md").read_text("utf-8")
    assert re.findall(r"^\| `([^`]+)` \| on disk", page, re.MULTILINE) == list(POINTS)


def test_two_imports_do_not_write_at_once(tmp_path: Path) -> None:
    tree = constructed(tmp_path)
    with sole_writer(tree.index), pytest.raises(errors.Locked):
        tree.take()
    assert tree.take().new == 17
