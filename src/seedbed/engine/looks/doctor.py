"""What a helper would ask first: versions, project, records, keys by name, prices, locks, disk. Sends nothing."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from seedbed.engine.projects.programs import is_program, program_of
from seedbed.engine.projects.project import Project, find_root, open_project
from seedbed.engine.projects.settings import FILE
from seedbed.errors import SeedbedError
from seedbed.records import usd

Mark = Literal["ok", "note", "bad"]
LOW_DISK = 500 * 1024 * 1024
LIBRARIES = ("aiohttp", "jiter", "jsonschema-rs", "genai-prices", "sqlalchemy", "orjson")
TIERS = ("default", "mid", "high")


@dataclass(frozen=True)
class Fact:
    """One thing that was looked at. ``bad`` is broken; a ``note`` is worth knowing."""

    name: str
    mark: Mark
    value: str
    exit_code: int = 0


@dataclass(frozen=True)
class Examination:
    facts: tuple[Fact, ...]
    next: str

    @property
    def exit_code(self) -> int:
        """0 unless something is broken: the code of the first error found."""
        return next((fact.exit_code for fact in self.facts if fact.mark == "bad"), 0)


def examine(place: Path | None = None) -> Examination:
    """Everything that can be seen from here. A broken project is a fact, not an error."""
    facts = list(_machine())
    project, found = _project(place)
    facts.append(found)
    if project is not None:
        facts.extend(_of_project(project))
    facts.append(_disk(project.root if project is not None else Path.cwd()))
    broken = any(fact.mark == "bad" for fact in facts)
    if broken:
        return Examination(tuple(facts), "mend what is marked bad, then seedbed doctor")
    return Examination(tuple(facts), "seedbed plan" if project is not None else "seedbed init")


def _machine() -> Iterator[Fact]:
    yield Fact("seedbed", "ok", _version("seedbed"))
    mark: Mark = "ok" if sys.version_info >= (3, 11) else "bad"
    yield Fact("python", mark, f"{platform.python_version()} on {platform.system()} {platform.machine()}", 2)
    libraries = ", ".join(f"{name} {_version(name)}" for name in LIBRARIES)
    yield Fact("libraries", "ok", f"{libraries}, SQLite {sqlite3.sqlite_version}")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _project(place: Path | None) -> tuple[Project | None, Fact]:
    start = Path(place or os.environ.get("SEEDBED_PROJECT") or ".").resolve()
    if place is None and find_root(start) is None:
        return None, Fact("project", "note", f"there is no {FILE} in {start} or above it; fill needs none")
    try:
        project = open_project(place)
    except SeedbedError as error:
        return None, Fact("project", "bad", _words(error), error.exit_code)
    stages = ", ".join(stage.name for stage in project.pipeline.stages)
    return project, Fact("project", "ok", f"{project.root / FILE}: {stages}")


def _of_project(project: Project) -> Iterator[Fact]:
    yield _corpus(project)
    yield from _models(project)
    yield from _kept(project)


def _corpus(project: Project) -> Fact:
    try:
        corpus = project.corpus()
    except SeedbedError as error:
        return Fact("records", "bad", _words(error), error.exit_code)
    try:
        tables = [name for name in corpus.tables() if not name.startswith("_seedbed")]
    finally:
        corpus.close()
    return Fact("records", "ok", f"{project.corpus_place()}: {', '.join(tables) or 'no table yet'}")


def _models(project: Project) -> Iterator[Fact]:
    used = {stage.tier for stage in project.pipeline.stages if stage.calls_model and not stage.model}
    for tier in TIERS:
        if tier not in used and project.tier_now(tier) is None:
            continue  # nobody asks it, and it names no model
        try:
            model = project.model_of_tier(tier)
            if is_program(project.settings, model.partition("/")[0]):
                yield _program(project, tier, model)
                continue
            names = project.account(model.partition("/")[0]).keys
        except SeedbedError as error:
            yield Fact(f"tier {tier}", "bad", _words(error), error.exit_code)
            continue
        price = project.prices.row(model)
        cost = "price unknown" if price is None else f"price known ({price['source']})"
        keys, there = _keys(project, names)
        needed = tier == "default" or tier in used
        mark: Mark = "note" if needed and (price is None or not there) else "ok"
        yield Fact(f"tier {tier}", mark, f"{model}: {cost}, {keys}")


def _program(project: Project, tier: str, model: str) -> Fact:
    """A headless program: where it is, and what bounds a call. It is not started."""
    target = project.target_for(model)
    path = program_of(project.settings, target.provider, project.root, project.secrets).arguments[0]
    ceiling = project.prices.ceiling(model)
    cost = "no ceiling of a call, so no cap" if ceiling is None else f"at most {usd(ceiling)} a call, not guaranteed"
    return Fact(f"tier {tier}", "note" if ceiling is None else "ok", f"{model}: {path}, {cost}")


def _keys(project: Project, names: Sequence[str]) -> tuple[str, bool]:
    """The keys by name and place; whether one of them is there, or none is needed."""
    found = {name: project.secrets.find(name) for name in names}
    words = [f"{name} from {place[1]}" if place else f"{name} is not set" for name, place in found.items()]
    return ", ".join(words) or "no key needed", not names or any(found.values())


def _kept(project: Project) -> Iterator[Fact]:
    if not project.started:
        yield Fact("receipts", "ok", "nothing was bought here yet")
        return
    try:
        store = project.receipts()
        summary = store.summary()
        yield Fact(
            "receipts", "ok", f"{summary.receipts:,} in {summary.files} files, {store.size_bytes() / 1e6:,.1f} MB"
        )
    except SeedbedError as error:
        yield Fact("receipts", "bad", _words(error), error.exit_code)
    yield from _last_run(project)
    yield Fact("sizes", "ok", ", ".join(f"{name} {size / 1e6:,.1f} MB" for name, size in _sizes(project).items()))
    held = project.locks().held()
    words = "; ".join(f"{lock['lock']} by pid {lock.get('pid', '?')} ({lock.get('command', '?')})" for lock in held)
    yield Fact("locks", "note" if held else "ok", words or "none held")


def _last_run(project: Project) -> Iterator[Fact]:
    """Why the last run failed, where it did: a login that expired is told here too."""
    state = project.state()
    try:
        newest = state.runs(limit=1)
    finally:
        state.close()
    if newest and newest[0].status == "failed":
        yield Fact("last run", "note", newest[0].message)


def _sizes(project: Project) -> dict[str, int]:
    """What is kept, in bytes on the disk."""
    folder = project.folder
    return {
        "receipts": _bytes(folder / "receipts"),
        "state": sum(_bytes(path) for path in folder.glob("state.sqlite*")),
        "worklists": _bytes(project.worklists),
        "logs": _bytes(project.logs),
    }


def _bytes(place: Path) -> int:
    total = 0
    for path in [place, *place.rglob("*")]:
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _disk(folder: Path) -> Fact:
    free = 0
    with suppress(OSError):
        free = shutil.disk_usage(folder).free
    return Fact("disk", "note" if free < LOW_DISK else "ok", f"{free / 1e9:,.1f} GB free at {folder}")


def _words(error: SeedbedError) -> str:
    return " ".join(part for part in (error.what, error.hint) if part)
