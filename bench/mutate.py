"""A small mutation test: `python -m bench.mutate FILE... -- pytest -x -q tests/...`.

Changes one thing at a time in a copy of the sources (a comparison turned, a constant changed, a condition negated, a
statement left out) and runs the tests against the copy. The score is the share of changes that a test saw.
``--sample N --seed S`` draws N of them; ``--seconds T`` ends one run.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


def places(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Each change: the number of its node in the walk, and what is done to it."""
    for number, node in enumerate(ast.walk(tree)):
        if isinstance(node, ast.Compare):
            yield number, "turn"
        elif isinstance(node, ast.BoolOp):
            yield number, "swap"
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            yield number, "sign"
        elif isinstance(node, ast.If | ast.While | ast.IfExp):
            yield number, "negate"
        elif isinstance(node, ast.Constant) and type(node.value) in (int, bool):
            yield number, "constant"
        elif (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)) or isinstance(node, ast.AugAssign):
            yield number, "leave out"


def changed(source: str, number: int, how: str) -> tuple[str, int]:
    """The source with one change, and its line."""
    tree = ast.parse(source)
    node = list(ast.walk(tree))[number]
    line = getattr(node, "lineno", 0)
    if isinstance(node, ast.Compare):
        node.ops[0] = _TURNED[type(node.ops[0])]()
    elif isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, ast.BinOp):
        node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.Constant):
        node.value = (not node.value) if isinstance(node.value, bool) else node.value + 1  # type: ignore[operator]
    elif isinstance(node, ast.Expr | ast.AugAssign):
        for parent in ast.walk(tree):
            for block in ("body", "orelse"):
                lines = getattr(parent, block, None)
                if isinstance(lines, list) and node in lines:
                    lines[lines.index(node)] = ast.Pass()
    return ast.unparse(ast.fix_missing_locations(tree)), line


def survives(root: Path, command: list[str], seconds: float) -> bool:
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+")
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    cut = sys.argv.index("--")
    given = parser.parse_args(sys.argv[1:cut])
    command = [sys.executable, "-m", *sys.argv[cut + 1 :]]
    sources = {file: Path(file).read_text("utf-8") for file in given.files}
    every = [(file, *place) for file, text in sources.items() for place in places(ast.parse(text))]
    if given.sample:
        every = random.Random(given.seed).sample(every, min(given.sample, len(every)))
    alive = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("src", "tests"):
            shutil.copytree(name, root / name)
        shutil.copy("pyproject.toml", root)
        for file, source in sources.items():
            (root / file).write_text(source, "utf-8")
        if not survives(root, command, 10 * given.seconds):
            sys.exit("the tests fail without a change")
        for file, number, how in every:
            source = sources[file]
            text, line = changed(source, number, how)
            (root / file).write_text(text, "utf-8")
            if survives(root, command, given.seconds):
                alive += 1
                print(f"not seen: {file}:{line}: {how}", flush=True)
            (root / file).write_text(source, "utf-8")
    print(f"{len(every) - alive} of {len(every)} changes seen: {100 * (1 - alive / max(1, len(every))):.1f} %")


if __name__ == "__main__":
    main()
