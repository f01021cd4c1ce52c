"""words <- {policy, ports} <- engine <- faces: held by reading each import of the package.

The rules are functions of parsed sources, and each is shown to go red for a planted violation.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import seedbed

PACKAGE = Path(seedbed.__file__).parent
PYPROJECT = PACKAGE.parents[1] / "pyproject.toml"

WORDS = frozenset({"errors", "records", "conditions", "stage", "events", "crashing"})
ROOMS = ("policy", "ports", "simulator", "engine", "recipes", "cli", "web")
MAY_USE: Mapping[str, frozenset[str]] = {
    "words": frozenset(),
    "policy": frozenset({"words"}),
    "ports": frozenset({"words"}),
    "engine": frozenset({"words", "policy", "ports"}),
    "cli": frozenset({"words", "policy", "ports", "engine", "simulator", "recipes", "web"}),
    "web": frozenset({"words", "policy", "ports", "engine"}),
    "simulator": frozenset(),
    "recipes": frozenset(),  # the front door only: a rule of its own
    "door": frozenset({"words", "policy", "ports", "engine"}),
    "main": frozenset({"cli"}),
}
"""Rooms that a room may import from, beside itself."""

STAND_IN = "seedbed.ports.models.offline"
"""The one module of ours that asks the simulator, and only when an answer is wanted."""

HOMES: Mapping[str, tuple[str, ...]] = {
    "aiohttp": ("seedbed.ports.models.openai", "seedbed.simulator"),
    "multidict": ("seedbed.ports.models.openai",),
    "yarl": ("seedbed.ports.models.openai",),
    "genai_prices": ("seedbed.ports.models.prices",),
    "sqlalchemy": ("seedbed.ports.corpus",),
    # An answer, the body of an error and a line of a file are read by one and the same exact reader.
    "jiter": ("seedbed.policy.replies", "seedbed.policy.headers", "seedbed.ports.corpus.jsonlines"),
    "kreuzberg": ("seedbed.ports.documents",),
    "pyarrow": ("seedbed.ports.corpus.parquet.columns",),
    "jsonschema_rs": ("seedbed.policy.replies",),
    "jinja2": ("seedbed.engine.projects.prompts", "seedbed.web"),
    "filelock": ("seedbed.engine.projects.locks",),
    "dotenv": ("seedbed.engine.projects.secrets",),
    "typer": ("seedbed.cli",),
    "click": ("seedbed.cli",),
    "rich": ("seedbed.cli",),
    "ray": ("seedbed.engine.scale",),
}
"""Where a package of others may be imported: a module, or a package with all of its modules."""

DISTRIBUTIONS = {"python-dotenv": "dotenv"}
"""Distributions whose import has another name than theirs."""


@dataclass(frozen=True)
class Import:
    """One name that a module imports; ``name`` is empty for ``import target``."""

    module: str
    line: int
    target: str
    name: str
    inside: bool
    for_types: bool

    def __str__(self) -> str:
        said = f"from {self.target} import {self.name}" if self.name else f"import {self.target}"
        return f"{self.module}:{self.line}: {said}"


Sources = Mapping[str, str]
"""Module name -> text; a package under its own name."""


@cache
def sources() -> Sources:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("seedbed", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text("utf-8")
    return found


@cache
def imports_of(module: str, text: str, *, package: bool = False) -> tuple[Import, ...]:
    """Each imported name; relative ones resolved; with whether it stands in a function or is for types only.

    ``import seedbed`` counts as an import of each ``seedbed.NAME`` that the module then speaks of.
    """
    tree = ast.parse(text)

    def walk(node: ast.AST, inside: bool, for_types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    names = attributes_of(tree, alias.asname or alias.name) if alias.name == "seedbed" else []
                    for name in names or [""]:
                        yield Import(module, child.lineno, alias.name, name, inside, for_types)
            elif isinstance(child, ast.ImportFrom):
                target = child.module or ""
                if child.level:
                    above = module.split(".")[: None if package and child.level == 1 else -child.level + package]
                    target = ".".join([*above, *([target] if target else [])])
                for alias in child.names:
                    yield Import(module, child.lineno, target, alias.name, inside, for_types)
            elif isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
                for statement in child.body:
                    yield from walk(ast.Module([statement], []), inside, True)
                for statement in child.orelse:
                    yield from walk(ast.Module([statement], []), inside, for_types)
            else:
                function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from walk(child, inside or function, for_types)

    return tuple(walk(tree, False, False))


def attributes_of(tree: ast.AST, name: str) -> list[str]:
    """X, Y for a text that speaks of ``name.X`` and ``name.Y``."""
    return sorted(
        {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
        }
    )


def all_imports(modules: Sources) -> Iterator[Import]:
    for module, text in modules.items():
        package = any(other.startswith(f"{module}.") for other in modules)
        yield from imports_of(module, text, package=package)


def is_ours(name: str) -> bool:
    return name == "seedbed" or name.startswith("seedbed.")


def lies_in(module: str, home: str) -> bool:
    return module == home or module.startswith(f"{home}.")


def module_meant(one: Import, modules: Sources) -> str:
    """The module that an import loads: ``from seedbed import conditions`` means ``seedbed.conditions``."""
    whole = f"{one.target}.{one.name}"
    return whole if one.name and whole in modules else one.target


def room(module: str) -> str:
    parts = module.split(".")
    if module == "seedbed":
        return "door"
    if parts[1] == "__main__":
        return "main"
    return "words" if parts[1] in WORDS else parts[1]


# --------------------------------------------------------------------------------------- the rules


def unknown_rooms(modules: Sources) -> list[str]:
    return [module for module in modules if room(module) not in MAY_USE]


def imports_that_point_up(modules: Sources) -> list[Import]:
    """Imports from a room that the importing room stands under, or does not know."""
    found = []
    for one in all_imports(modules):
        if not is_ours(one.target) or room(one.module) == "recipes":
            continue
        target = module_meant(one, modules)
        there, here = room(target), room(one.module)
        lent = one.module == STAND_IN and there == "simulator"
        if there not in ("door", here) and there not in MAY_USE[here] and not lent:
            found.append(one)
    return found


def imports_through_the_front_door(modules: Sources, names: frozenset[str]) -> list[Import]:
    """``from seedbed import X`` inside of the house, unless X is a module, and ``import seedbed``.

    The CLI stands above all that the front door leads to: it may use its public names, when a command runs.
    """
    return [
        one
        for one in all_imports(modules)
        if one.target == "seedbed"
        and room(one.module) not in ("recipes", "door")
        and module_meant(one, modules) == "seedbed"
        and not (room(one.module) == "cli" and one.name in names and (one.inside or one.for_types))
    ]


def recipes_past_the_front_door(modules: Sources, names: frozenset[str]) -> list[Import]:
    """What a recipe imports of seedbed that is neither a public name nor its own."""
    found = []
    for one in all_imports(modules):
        if room(one.module) != "recipes" or not is_ours(one.target):
            continue
        own = ".".join(one.module.split(".")[:3])
        public = one.target == "seedbed" and one.name in names
        if not public and not (own.count(".") == 2 and lies_in(one.target, own)):
            found.append(one)
    return found


def imports_of_seedbed(modules: Sources, home: str, *, own: bool) -> list[Import]:
    """What a module or package that should stand alone imports of seedbed."""
    return [
        one
        for one in all_imports(modules)
        if lies_in(one.module, home) and is_ours(one.target) and not (own and lies_in(module_meant(one, modules), home))
    ]


def imports_inside_functions(modules: Sources) -> list[Import]:
    """Our own modules imported late, where no face or front door has a reason for it."""
    return [
        one
        for one in all_imports(modules)
        if one.inside
        and is_ours(one.target)
        and room(one.module) not in ("cli", "door")
        and not (one.module == STAND_IN and room(module_meant(one, modules)) == "simulator")
    ]


def packages_out_of_place(modules: Sources) -> list[Import]:
    found = []
    for one in all_imports(modules):
        homes = HOMES.get(one.target.split(".")[0])
        if homes is not None and not any(lies_in(one.module, home) for home in homes):
            found.append(one)
    return found


def packages_not_declared(modules: Sources, declared: frozenset[str]) -> list[Import]:
    known = declared | sys.stdlib_module_names | {"seedbed"}
    return [one for one in all_imports(modules) if one.target.split(".")[0] not in known]


def cycle(modules: Sources) -> list[str]:
    """Modules that import each other in a ring when they are loaded; empty where there is none."""
    graph: dict[str, set[str]] = {module: set() for module in modules}
    for one in all_imports(modules):
        target = module_meant(one, modules)
        if not one.inside and not one.for_types and target in modules and target != one.module:
            graph[one.module].add(target)
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module not in done:
            for target in sorted(graph[module]):
                if ring := visit(target, (*path, module)):
                    return ring
            done.add(module)
        return []

    return next((ring for module in sorted(graph) if (ring := visit(module, ()))), [])


def declared_packages(*, dev: bool) -> frozenset[str]:
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]
    wanted = list(project["dependencies"])
    for extra, names in project["optional-dependencies"].items():
        if dev or extra not in ("dev", "bench", "all"):
            wanted += names
    bare = [re.split(r"[\s\[<>=!~;]", name)[0].lower() for name in wanted]
    return frozenset(DISTRIBUTIONS.get(name, name.replace("-", "_")) for name in bare)


# ------------------------------------------------------------------------------- the house as it is


def test_each_module_lies_in_a_room_that_the_design_knows() -> None:
    assert unknown_rooms(sources()) == []


def test_imports_point_down_and_policy_and_ports_do_not_know_each_other() -> None:
    assert [str(one) for one in imports_that_point_up(sources())] == []


def test_no_modules_import_each_other_in_a_ring() -> None:
    assert cycle(sources()) == []


def test_nothing_inside_imports_from_the_front_door() -> None:
    assert [str(one) for one in imports_through_the_front_door(sources(), frozenset(seedbed.__all__))] == []


def test_recipes_use_public_names_and_their_own_package_only() -> None:
    public = frozenset(seedbed.__all__)
    assert [str(one) for one in recipes_past_the_front_door(sources(), public)] == []


def test_the_stand_in_of_a_recipe_imports_nothing_of_seedbed() -> None:
    assert imports_of_seedbed(sources(), "seedbed.recipes.facts.standin", own=False) == []


def test_the_simulator_imports_nothing_of_seedbed_but_itself() -> None:
    assert imports_of_seedbed(sources(), "seedbed.simulator", own=True) == []


def test_our_own_modules_are_imported_at_the_top_except_in_faces() -> None:
    assert [str(one) for one in imports_inside_functions(sources())] == []


def test_each_heavy_package_is_imported_in_its_own_place_only() -> None:
    assert [str(one) for one in packages_out_of_place(sources())] == []


def test_each_package_of_others_is_declared_as_a_dependency() -> None:
    assert [str(one) for one in packages_not_declared(sources(), declared_packages(dev=False))] == []


def test_no_library_that_guesses_what_broken_json_meant_is_among_the_dependencies() -> None:
    """001.43: such a library cuts text without a word; the lock names all packages that are ever installed."""
    locked = (PACKAGE.parents[1] / "requirements.lock").read_text("utf-8")
    names = {line.partition("==")[0].strip() for line in locked.splitlines() if "==" in line and line[:1].isalnum()}
    assert len(names) > 20
    assert not names & {"json-repair", "json5", "demjson", "demjson3", "dirtyjson", "partial-json-parser", "hjson"}


def test_each_place_named_by_the_rules_exists() -> None:
    later = {"seedbed.web", "seedbed.engine.scale"}
    named = {home for homes in HOMES.values() for home in homes} | {STAND_IN}
    assert named - later <= set(sources())


# ------------------------------------------------------------------------ each rule can be broken

HOUSE: Sources = {
    "seedbed": "",
    "seedbed.errors": "",
    "seedbed.conditions": "from seedbed.errors import UsageError",
    "seedbed.policy": "",
    "seedbed.policy.budget": "from seedbed.errors import Pause",
    "seedbed.ports": "",
    "seedbed.ports.state": "from seedbed import conditions",
    "seedbed.ports.models": "",
    "seedbed.ports.models.offline": "def answer():\n    from seedbed.simulator import answers",
    "seedbed.engine": "",
    "seedbed.engine.buyer": "from seedbed.policy.budget import Till\nfrom seedbed.ports import state",
    "seedbed.engine.reader": "",
    "seedbed.cli": "def main():\n    from seedbed.engine import buyer",
    "seedbed.simulator": "",
    "seedbed.simulator.answers": "from seedbed.simulator import answers",
    "seedbed.recipes": "",
    "seedbed.recipes.facts": "from seedbed import Stage\nfrom seedbed.recipes.facts.rows import rows",
    "seedbed.recipes.facts.rows": "import json",
}
"""A small house in order."""

PUBLIC = frozenset({"Stage"})


def house(module: str, text: str) -> Sources:
    return {**HOUSE, module: text}


def said(found: list[Import]) -> list[str]:
    return [str(one) for one in found]


def test_a_house_in_order_breaks_no_rule() -> None:
    broken = [
        *unknown_rooms(HOUSE), *imports_that_point_up(HOUSE), *cycle(HOUSE),
        *imports_through_the_front_door(HOUSE, PUBLIC),
        *recipes_past_the_front_door(HOUSE, PUBLIC), *imports_inside_functions(HOUSE), *packages_out_of_place(HOUSE),
        *imports_of_seedbed(HOUSE, "seedbed.simulator", own=True),
    ]  # fmt: skip
    assert broken == []


def test_a_module_in_a_room_of_its_own_is_noticed() -> None:
    assert unknown_rooms(house("seedbed.helpers", "")) == ["seedbed.helpers"]


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("seedbed.errors", "from seedbed.policy.budget import Till"),
        ("seedbed.errors", "import seedbed.ports.state"),
        ("seedbed.errors", "from seedbed import policy"),
        ("seedbed.policy.budget", "from seedbed.ports.state import State"),
        ("seedbed.policy.budget", "from seedbed.ports import state"),
        ("seedbed.policy.budget", "from ..ports import state"),
        ("seedbed.policy.budget", "def late():\n    import seedbed.engine.buyer"),
        ("seedbed.policy.budget", "class Box:\n    from seedbed.engine import buyer"),
        ("seedbed.policy.budget", "try:\n    from seedbed.engine import buyer\nexcept ImportError:\n    pass"),
        ("seedbed.ports.state", "from seedbed.policy import budget"),
        ("seedbed.ports.state", "from seedbed.engine.buyer import Buyer"),
        ("seedbed.ports.state", "from seedbed.simulator.answers import answer"),
        ("seedbed.ports.models.offline", "from seedbed.engine import buyer"),
        ("seedbed.engine.buyer", "from seedbed.cli import main"),
        ("seedbed.engine.buyer", "from seedbed.recipes.facts import pipeline"),
        ("seedbed.engine.buyer", "from seedbed.simulator import answers"),
        (
            "seedbed.engine.buyer",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from seedbed import cli",
        ),
    ],
)
def test_an_import_that_points_up_is_noticed(module: str, text: str) -> None:
    assert [one.module for one in imports_that_point_up(house(module, text))] == [module]


@pytest.mark.parametrize(
    "text", ["from seedbed import Stage", "import seedbed", "from .. import Stage", "from seedbed import *"]
)
def test_an_import_through_the_front_door_is_noticed(text: str) -> None:
    assert len(imports_through_the_front_door(house("seedbed.engine.buyer", text), PUBLIC)) == 1


def test_a_module_imported_from_the_package_is_no_use_of_the_front_door() -> None:
    assert imports_through_the_front_door(house("seedbed.engine.buyer", "from seedbed import conditions"), PUBLIC) == []


def test_a_command_may_use_public_names_of_the_front_door() -> None:
    planted = house("seedbed.cli", "def main():\n    import seedbed\n    seedbed.Stage")
    assert imports_through_the_front_door(planted, PUBLIC) == []


@pytest.mark.parametrize(
    "text",
    ["import seedbed\nseedbed.Stage", "def main():\n    import seedbed\n    seedbed.Till", "from seedbed import Stage"],
)
def test_a_face_that_loads_the_house_at_once_or_takes_what_is_private_is_noticed(text: str) -> None:
    assert len(imports_through_the_front_door(house("seedbed.cli", text), PUBLIC)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "from seedbed.stage import Stage",
        "from seedbed import Till",
        "from seedbed import conditions",
        "import seedbed",
        "import seedbed\nseedbed.engine.buyer",
        "import seedbed as s\ns.Till",
        "import seedbed.records",
        "from seedbed import *",
        "from seedbed.recipes import fill",
        "def late():\n    from seedbed.engine import buyer",
    ],
)
def test_a_recipe_that_passes_by_the_front_door_is_noticed(text: str) -> None:
    assert len(recipes_past_the_front_door(house("seedbed.recipes.facts.rows", text), PUBLIC)) == 1


@pytest.mark.parametrize(
    "text", ["from seedbed import Stage", "from seedbed.recipes.facts import rows", "import seedbed"]
)
def test_a_stand_in_that_is_not_alone_is_noticed(text: str) -> None:
    module = "seedbed.recipes.facts.standin"
    assert [one.module for one in imports_of_seedbed(house(module, text), module, own=False)] == [module]


@pytest.mark.parametrize("text", ["from seedbed import errors", "from seedbed.records import Reply", "import seedbed"])
def test_a_simulator_that_looks_outside_is_noticed(text: str) -> None:
    assert len(imports_of_seedbed(house("seedbed.simulator.answers", text), "seedbed.simulator", own=True)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "def late():\n    from seedbed.policy import budget",
        "class A:\n    async def late(self):\n        import seedbed.policy.budget",
        "def late():\n    if True:\n        from seedbed import conditions",
    ],
)
def test_an_import_inside_a_function_is_noticed(text: str) -> None:
    assert len(imports_inside_functions(house("seedbed.engine.buyer", text))) == 1


def test_only_the_simulator_may_be_imported_late_by_the_stand_in() -> None:
    planted = house(STAND_IN, "def late():\n    from seedbed import errors")
    assert len(imports_inside_functions(planted)) == 1


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("seedbed.engine.buyer", "import aiohttp"),
        ("seedbed.ports.models.prices", "from aiohttp import web"),
        ("seedbed.engine.buyer", "def late():\n    import genai_prices"),
        ("seedbed.ports.state", "import sqlalchemy.orm"),
        ("seedbed.engine.reader", "import jsonschema_rs"),
        ("seedbed.engine.reader", "from rich.console import Console"),
        ("seedbed.policy.budget", "import jinja2"),
    ],
)
def test_a_heavy_package_out_of_its_place_is_noticed(module: str, text: str) -> None:
    assert [one.module for one in packages_out_of_place(house(module, text))] == [module]


def test_a_package_that_is_not_declared_is_noticed() -> None:
    planted = house("seedbed.engine.buyer", "import requests")
    assert said(packages_not_declared(planted, frozenset({"orjson"}))) == ["seedbed.engine.buyer:1: import requests"]


def test_a_package_for_developers_is_no_dependency_of_the_product() -> None:
    assert "pytest" in declared_packages(dev=True) - declared_packages(dev=False)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("seedbed.errors", "from seedbed.conditions import parse"),
        ("seedbed.errors", "from seedbed import conditions"),
        ("seedbed.errors", "from . import conditions"),
        ("seedbed.errors", "try:\n    import seedbed.conditions\nfinally:\n    pass"),
        ("seedbed.recipes.facts.rows", "from seedbed.recipes.facts import pipeline"),
    ],
)
def test_a_ring_of_imports_is_noticed(module: str, text: str) -> None:
    assert module in cycle(house(module, text))


@pytest.mark.parametrize(
    "text", ["def late():\n    from seedbed import conditions", "if TYPE_CHECKING:\n    import seedbed.conditions"]
)
def test_an_import_that_does_not_run_at_load_makes_no_ring(text: str) -> None:
    assert cycle(house("seedbed.errors", text)) == []


@pytest.mark.parametrize(
    ("module", "package", "text", "target"),
    [
        ("seedbed.ports.state", True, "from . import sqlite", "seedbed.ports.state"),
        ("seedbed.ports.state", True, "from .sqlite import x", "seedbed.ports.state.sqlite"),
        ("seedbed.ports.state", True, "from .. import corpus", "seedbed.ports"),
        ("seedbed.ports.state.sqlite", False, "from . import x", "seedbed.ports.state"),
        ("seedbed.ports.state.sqlite", False, "from .migrations import x", "seedbed.ports.state.migrations"),
        ("seedbed.ports.state.sqlite", False, "from ..corpus import x", "seedbed.ports.corpus"),
    ],
)
def test_relative_imports_are_resolved(module: str, package: bool, text: str, target: str) -> None:
    assert [one.target for one in imports_of(module, text, package=package)] == [target]
