"""The demo: a small project of real places whose answers come from the stand-in. Makes it, and tells what came of it.

All of it can be repeated: what is there stays, so a demo that was killed anywhere goes on.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from seedbed import Corpus, Project, Selection, audit, cost, errors, open_project
from seedbed.recipes.facts.auditing import audit_facts
from seedbed.recipes.facts.geography import legacy_file
from seedbed.recipes.facts.importing import import_facts, import_topics
from seedbed.recipes.facts.settings import Settings
from seedbed.recipes.facts.witness import ITEMS

COUNTRIES, CITIES = 12, 4
CONCURRENCY = 20
MODEL = "openai/standin"
REAL_MODEL = "openai/gpt-5-mini"
"""What the same tokens would cost is told at this model's price."""
RULES = "seedbed.recipes.facts.standin"
ITEMS_REGEX = ITEMS.pattern
PLACES = "places.csv"
LEDGER = "simulator.jsonl"
PROJECT = "seedbed.toml"
_DATABASE = "corpus.db"
_DRAFT = ".part"
_MADE = (f"{_DATABASE}-wal", f"{_DATABASE}-shm", _DATABASE, PLACES, LEDGER, _DRAFT, ".gitignore", "logs", ".seedbed")
"""All that a demo's folder gets, beside the project file."""

_MARK = "# Made by `seedbed demo`; `seedbed demo --fresh` removes it and starts over."
_CLEARING = f"{_MARK}\n# It is being removed.\n"
_TOML = f"""{_MARK}

[project]
recipe = "facts"
corpus = "sqlite:///{_DATABASE}"
demo = true                         # answers of the stand-in may be written

[tiers]                             # no model: the stand-in. `seedbed demo` reaches it through a socket.
default = "offline/standin"         # for real work "{REAL_MODEL}" and OPENAI_API_KEY
mid = "offline/standin"
high = "offline/standin"

[budget]
run = "1usd"

[run]
concurrency = {CONCURRENCY}

[prices."{MODEL}"]
input = 0
output = 0
"""


# ----------------------------------------------------------------------------------------- making


@dataclass(frozen=True)
class Made:
    """``new`` entries came from the file now, ``entries`` are all of the file."""

    folder: str
    entries: int
    new: int


def make(folder: Path, countries: int | None = None, cities: int | None = None) -> Made:
    """The folder with its project, its tables, and the entries of real places. Raises UsageError where it is not ours.

    Without a number of countries or cities the file of places stays as it is.
    """
    if (folder / PROJECT).is_file() and _text(folder) == _CLEARING:
        clear(folder)
    _begin(folder)
    places = folder / PLACES
    if not places.exists() or countries is not None or cities is not None:
        draft = folder / _DRAFT
        legacy_file(draft, COUNTRIES if countries is None else countries, CITIES if cities is None else cities)
        draft.replace(places)
    sqlite3.connect(folder / _DATABASE).close()
    with _corpus(open_project(folder)) as corpus:
        corpus.create(resources.files("seedbed.recipes.facts").joinpath("tables.sql").read_text("utf-8"))
        import_topics(corpus)
        report = import_facts(corpus, [places], dry_run=False, release="demo")
    return Made(str(folder), report.read, report.new)


def is_there(folder: Path) -> bool:
    return (folder / PROJECT).exists()


def clear(folder: Path) -> None:
    """Remove what a demo made in its folder, and nothing else. Raises UsageError, Locked."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    _require_ours(folder)
    if _text(folder) != _CLEARING:
        project = open_project(folder)
        if held := project.locks().held():
            raise errors.Locked(f"A demo is running in {folder}.", why=f"process {held[0].get('pid')}")
        total = cost(project).total
        if total.nano or total.unknown:
            raise errors.UsageError(
                f"{folder} holds answers that were paid for; nothing was removed.",
                hint="Start elsewhere: seedbed demo DIR",
            )
        _write(folder, PROJECT, _CLEARING)  # a removal that is killed goes on
    for name in _MADE:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    (folder / PROJECT).unlink()


def _begin(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise errors.UsageError(f"{folder} is a file, not a folder")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / PROJECT).exists():
        if any(path.name not in (_DRAFT, ".gitignore") for path in folder.iterdir()):
            raise _not_ours(folder)
        _write(folder, ".gitignore", "*\n")
        _write(folder, PROJECT, _TOML)
    _require_ours(folder)


def _require_ours(folder: Path) -> None:
    if not (folder / PROJECT).is_file() or not _text(folder).startswith(_MARK):
        raise _not_ours(folder)


def _not_ours(folder: Path) -> errors.UsageError:
    return errors.UsageError(
        f"{folder} holds something else than a demo; nothing was written.", hint="Name another folder: seedbed demo DIR"
    )


def _text(folder: Path) -> str:
    return (folder / PROJECT).read_text("utf-8")


def _write(folder: Path, name: str, text: str) -> None:
    """The whole text or none: a kill leaves no half of a file."""
    (folder / _DRAFT).write_text(text, "utf-8")
    (folder / _DRAFT).replace(folder / name)


# ---------------------------------------------------------------------------------------- working


def opened(folder: Path, url: str = "", command: str = "") -> Project:
    """The project, asking the simulator at ``url``; without one, for a look. No key of the user's goes there."""
    overrides = {"tiers.default": MODEL}
    if url:
        overrides |= {"providers.openai.base_url": url, "providers.openai.key": "$SEEDBED_DEMO_KEY"}
    return open_project(folder, overrides=overrides, command=command)


def expected_answers(project: Project) -> int:
    """About how many answers the entries of the file come to: one each, and one for each fact asked for."""
    wanted = Settings().facts_per_entry
    with _corpus(project) as corpus:
        counted = corpus.count_by("entries", ["richness"], _where("entries", "depth = 0"))
    return sum(count * (1 + wanted[str(richness)]) for (richness,), count in counted)


@contextmanager
def _corpus(project: Project) -> Iterator[Corpus]:
    corpus = project.corpus()
    try:
        yield corpus
    finally:
        corpus.close()


def _where(table: str, condition: str = "") -> Any:
    return Selection(table, condition).condition()


# ---------------------------------------------------------------------------------------- telling


@dataclass(frozen=True)
class Priced:
    """What the same tokens cost with a real model; None where its price is not known."""

    model: str
    cost: int | None


@dataclass(frozen=True)
class Result:
    """What stands in the corpus and the books now. Money is a count of 10⁻⁹ USD.

    ``complete``: nothing is missing or waiting in any stage. ``few_styles`` counts valid facts without all six styles.
    """

    complete: bool
    equations: Sequence[Any]
    entries: int
    spinoffs: int
    facts: Mapping[str, int]
    challenges: int
    few_styles: int
    rule_breakers: int
    calls: int
    tokens_in: int
    tokens_out: int
    spent: int | None
    real: Priced
    facts_to_read: Sequence[Mapping[str, Any]]
    challenges_to_read: Sequence[Mapping[str, Any]]
    corpus: str


def is_complete(project: Project) -> bool:
    return _complete(audit(project))


def _complete(stages: Sequence[Any]) -> bool:
    return all(
        not stage.missing and not stage.uploaded.get("waiting") and all(each.closed for each in stage.equations)
        for stage in stages
    ) and any(stage.settled for stage in stages)


def result(project: Project) -> Result:
    """Counted from the tables, the state and the till."""
    stages = audit(project)
    total = cost(project).total
    with _corpus(project) as corpus:
        found = audit_facts(corpus)
        by_status = {str(status): count for (status,), count in corpus.count_by("facts", ["status"], _where("facts"))}
        facts = facts_to_read(corpus)
        return Result(
            complete=_complete(stages),
            equations=[equation for stage in stages for equation in stage.equations],
            entries=corpus.count("entries", _where("entries")),
            spinoffs=corpus.count("entries", _where("entries", "depth > 0")),
            facts=by_status,
            challenges=corpus.count("challenges", _where("challenges")),
            few_styles=sum(count for styles, count in found["coverage"].items() if int(styles) < 6),
            rule_breakers=found["challenges"]["failing"],
            calls=total.calls,
            tokens_in=total.usage.input + total.usage.cached,
            tokens_out=total.usage.output,
            spent=None if total.unknown else total.nano,
            real=Priced(REAL_MODEL, project.prices.cost(REAL_MODEL, total.usage)),
            facts_to_read=facts,
            challenges_to_read=challenges_to_read(corpus, facts),
            corpus=str(project.root / _DATABASE),
        )


def facts_to_read(corpus: Corpus, count: int = 5) -> list[dict[str, Any]]:
    """Facts of different kinds (topic and key) in turn, of different entries; the same ones each time."""
    names = {row["id"]: row["name"] for row in _all(corpus, "entries")}
    rows = _all(corpus, "facts", "status = 'validated'")
    rows.sort(key=lambda row: (-(row["notability_score"] or 0), row["id"]))
    taken = _varied(rows, count, lambda row: (row["topic"], tuple(_object(row["facts"]))), lambda row: row["entry"])
    return [
        {
            "id": row["id"],
            "topic": row["topic"],
            "entry": names.get(row["entry"], ""),
            "title": row["title"],
            "hook": row["challenge_title"],
            "context": row["context"],
        }
        for row in taken
    ]


def challenges_to_read(corpus: Corpus, facts: Sequence[Mapping[str, Any]], count: int = 3) -> list[dict[str, Any]]:
    """Challenges of different styles about different ones of these facts."""
    lookup = corpus.lookup()
    rows = [
        row
        for style in ("multiple_choice", "reverse_lookup", "fill_the_gap")
        for fact in facts
        for row in lookup.rows("challenges", {"fact": fact["id"], "style": style}, order="id")
    ]
    taken = _varied(rows, count, lambda row: row["style"], lambda row: row["fact"])
    return [
        {
            "style": row["style"],
            "setup": row["setup_text"],
            "challenge": row["challenge_text"],
            "options": [option["text"] for option in data.get("options", ())],
            "answer": data.get("answer", ""),
        }
        for row in taken
        for data in (_object(row["style_data"]),)
    ]


def _varied(
    rows: Sequence[dict[str, Any]],
    count: int,
    kind: Callable[[Mapping[str, Any]], Any],
    about: Callable[[Mapping[str, Any]], Any],
) -> list[dict[str, Any]]:
    """The first rows of new kinds about new things; where these run out, of new kinds, then any."""
    taken: list[dict[str, Any]] = []
    for strict in (2, 1, 0):
        for row in rows:
            if len(taken) >= count:
                return taken
            if row in taken:
                continue
            new_kind = all(kind(row) != kind(other) for other in taken)
            new_thing = all(about(row) != about(other) for other in taken)
            if (new_kind or strict < 1) and (new_thing or strict < 2):
                taken.append(row)
    return taken


def _object(cell: Any) -> Mapping[str, Any]:
    """A cell of JSON, which SQLite hands out as text."""
    found = json.loads(cell) if isinstance(cell, str) else cell
    return found if isinstance(found, Mapping) else {}


def _all(corpus: Corpus, table: str, condition: str = "") -> list[dict[str, Any]]:
    return corpus.page(table, ["id"], _where(table, condition), limit=100_000)
