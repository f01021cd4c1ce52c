"""A project: its folder, settings and stages, and the only place that builds concrete things."""

from __future__ import annotations

import importlib.util
import os
import random
import secrets as entropy
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from seedbed.engine.projects.accounts import Account, account_of, check_accounts, find_keys
from seedbed.engine.projects.binding import BoundStage, bind
from seedbed.engine.projects.clock import now_ms
from seedbed.engine.projects.locks import Locks
from seedbed.engine.projects.programs import ceilings, check_endpoint, check_program, is_program, program_of, programs
from seedbed.engine.projects.prompts import Places
from seedbed.engine.projects.secrets import Secrets
from seedbed.engine.projects.settings import COMMAND_LINE, FILE, Settings, read_settings
from seedbed.engine.projects.tiers import FILE as TIERS_FILE
from seedbed.engine.projects.tiers import ChosenTiers
from seedbed.errors import ConfigError, SourceError, nearest
from seedbed.events import Event, Listener, Meter, Notice
from seedbed.ports.corpus import Corpus, Stamp
from seedbed.ports.corpus import files as file_corpus
from seedbed.ports.corpus.files import Staged
from seedbed.ports.corpus.opening import open_corpus
from seedbed.ports.corpus.stamps import stamp_of
from seedbed.ports.folders import make_folder
from seedbed.ports.models import Completer, Target
from seedbed.ports.models.prices import GenaiPrices
from seedbed.ports.models.registry import completer, provider
from seedbed.ports.receipts import ReceiptStore
from seedbed.ports.receipts.place import check_place
from seedbed.ports.receipts.store import open_store
from seedbed.ports.state import State
from seedbed.ports.state.sqlite import no_state, open_state
from seedbed.records import LogicalType, Request
from seedbed.stage import Pipeline, Selection, Stage, fills

STAND_IN = "offline/standin"
TIERS = ("default", "mid", "high", "cheap")
CHOSEN = "seedbed tiers set"
"""The origin of a tier that was chosen while working."""
RECIPES: Mapping[str, str] = {"facts": "seedbed.recipes.facts", "experiments": "seedbed.recipes.experiments"}
"""Recipes that come with seedbed, as module names."""

ALWAYS = frozenset(("openai", "offline", "adopted"))
"""Providers whose receipts can always be read, and to which a tier may be set while a run works."""

OF_REVIEW = ("gate", "scores")
"""What the project file may say of a stage that a recipe or a Python file defines."""

IGNORE = "# Made by seedbed: what was bought and how far the work is. Keep it; it is not for git.\n*\n"


_SQLITE = "sqlite:///"


@dataclass
class Project:
    """What the engine works in. Opens stores when they are needed; each thread opens its own."""

    root: Path
    settings: Settings
    pipeline: Pipeline
    listeners: list[Listener] = field(default_factory=list)
    command: str = ""
    source: FileSource | None = None
    recipe: ModuleType | None = None
    meter: Meter = field(default_factory=Meter)
    hide_logs: bool = False

    # ---------------------------------------------------------------------------------- places

    @property
    def name(self) -> str:
        return str(self.settings.get("project", "name") or self.root.name)

    @property
    def folder(self) -> Path:
        return self.root / ".seedbed"

    @property
    def logs(self) -> Path:
        """Where a page for each run goes."""
        return (self.folder if self.hide_logs else self.root) / "logs"

    @property
    def worklists(self) -> Path:
        return self.folder / "worklists"

    @property
    def places(self) -> Places:
        """Where prompts and shapes are looked for."""
        places = [self.root, self.root / "prompts"]
        if self.recipe is not None and self.recipe.__file__:
            own = Path(self.recipe.__file__).parent
            places += [own / "prompts", own / "shapes"]
        return tuple(places)

    @cached_property
    def secrets(self) -> Secrets:
        return Secrets.of(self.root)

    @property
    def demo(self) -> bool:
        return bool(self.settings.get("project", "demo"))

    def prepare(self) -> None:
        """Make the folder of the state, hidden from git."""
        make_folder(self.folder)
        ignore = self.folder / ".gitignore"
        if not ignore.exists():
            check_place(self.folder)
            ignore.write_text(IGNORE, "utf-8")

    @property
    def started(self) -> bool:
        """Whether anything was ever remembered here."""
        return (self.folder / "state.sqlite").exists()

    # ---------------------------------------------------------------------------------- stores

    def state(self) -> State:
        self.prepare()
        return open_state(self.folder / "state.sqlite")

    def remembered(self) -> State:
        """The state for a look: where nothing was run here yet an empty one, and nothing is made on the disk."""
        return self.state() if self.started else no_state()

    def receipts(self) -> ReceiptStore:
        return open_store(self.folder / "receipts", clock=now_ms)

    def corpus(self) -> Corpus:
        """The records. Files are staged first, which is a look at size and time when nothing changed."""
        if self.source is not None:
            staged = self.source.stage(self.folder)
            return open_corpus(f"sqlite:///{staged.database}")
        return open_corpus(self.corpus_url)

    def corpus_stamp(self) -> Stamp | None:
        """Tells whether the records have changed, without opening them; None where they must be opened for that."""
        if self.source is not None:
            return stamp_of(self.source.stage(self.folder).database)
        path = Path(self.corpus_url.removeprefix(_SQLITE))
        return stamp_of(path) if self.corpus_url.startswith(_SQLITE) and path.is_file() else None

    @property
    def corpus_url(self) -> str:
        url = self.secrets.expand(str(self.settings.get("project", "corpus")), "the corpus")
        place = url.removeprefix(_SQLITE)
        if place != url and not Path(place).is_absolute():
            return f"{_SQLITE}{self.root / place}"
        return url

    def corpus_place(self) -> str:
        """The corpus for people, without a password."""
        if self.source is not None:
            return str(self.source.path)
        parts = urlsplit(self.corpus_url)
        return self.corpus_url if not parts.password else self.corpus_url.replace(parts.password, "…")

    def locks(self) -> Locks:
        return Locks(self.folder / "locks", command=self.command or "seedbed", now=utc_text())

    # ---------------------------------------------------------------------------------- stages

    def stage(self, name: str | None = None) -> Stage:
        """The stage of that name; without one, the only stage there is."""
        if name is None:
            if len(self.pipeline.stages) != 1:
                raise ConfigError(
                    "Which stage?", hint=f"One of {', '.join(stage.name for stage in self.pipeline.stages)}"
                )
            return self.pipeline.stages[0]
        return self.pipeline.stage(name)

    def stages(self, target: str | None = None) -> list[Stage]:
        """A stage by its name, or all of the pipeline by its own but those that want to be named."""
        if target is None or target == self.pipeline.name:
            return [stage for stage in self.pipeline.stages if not stage.by_name]
        if target not in [s.name for s in self.pipeline.stages] and not any(
            stage.name.startswith(f"{target}.") for stage in self.pipeline.stages
        ):
            names = [self.pipeline.name, *(stage.name for stage in self.pipeline.stages)]
            raise ConfigError(f"there is no stage or pipeline {target}", hint=nearest(target, names))
        return [self.pipeline.stage(target)]

    def bound(self, stage: Stage, corpus: Corpus, state: State | None) -> BoundStage:
        """The stage checked against the corpus. With no state (a look), nothing is frozen by it."""
        outputs = frozenset(name for each in self.pipeline.stages for name in each.outputs)
        if self.source is not None:  # columns that only the staged table has: outputs of earlier fillings
            staged = self.source.stage(self.folder)
            outputs |= frozenset(corpus.table(staged.table).columns) - set(staged.columns)

        def frozen(name: str, inputs: Sequence[str]) -> Sequence[str]:
            if state is None:
                return inputs
            kept = state.note(f"inputs.{name}")
            if kept is None:
                return list(inputs)
            gone = [column for column in kept if column not in corpus.table(stage.source.table).columns]
            if gone:
                raise SourceError(
                    f"The column {gone[0]} of {stage.source.table}, an input of {name}, is gone.",
                    hint="Bring it back, or raise the stage's version and run with --stale.",
                )
            return list(kept)

        return bind(stage, corpus, self.places, outputs_of_all=outputs, frozen=frozen)

    # ---------------------------------------------------------------------------------- models

    def model_of(self, request: Request) -> str:
        """provider/name that a request goes to now."""
        return request.model or self.model_of_tier(request.role)

    def model_of_tier(self, tier: str) -> str:
        table = self.settings.values.get("tiers", {})
        if tier in TIERS:
            if (model := self.tier_now(tier)) is None:
                raise ConfigError(
                    f"the tier {tier} has no model", hint=f'Name it in the project file: [tiers] {tier} = "…".'
                )
            return str(model)
        raise ConfigError(f"there is no tier {tier}", hint=nearest(tier, [*TIERS, *table]))

    @cached_property
    def chosen(self) -> ChosenTiers:
        """What tiers were set to while working."""
        return ChosenTiers(self.folder / TIERS_FILE, lambda text: self.emit(Notice(text)))

    def tier_now(self, tier: str) -> str | None:
        """The model of a known tier: of the command line, else as it was chosen while working, else of the file."""
        if self.tier_origin(tier) == CHOSEN:
            return self.chosen.model(tier)
        if tier not in self.settings.table("tiers") and programs(self.settings):
            return None  # where a program is a model, no other is taken for granted
        found = self.settings.get("tiers", tier)
        return None if found is None else str(found)

    def tiers_now(self) -> dict[str, str]:
        """The models of the tiers that a stage may ask by name, where they have one."""
        return {tier: model for tier in ("default", "mid", "high") if (model := self.tier_now(tier)) is not None}

    def tier_origin(self, tier: str) -> str:
        said = self.settings.origin("tiers", tier)
        return CHOSEN if said != COMMAND_LINE and self.chosen.model(tier) else said

    def model_for(self, stage: Stage) -> str:
        """provider/name that a stage asks now; blank for a stage without a model."""
        return self.model_of(Request(stage.tier, (), model=stage.model)) if stage.calls_model else ""

    def models_for(self, stage: Stage) -> frozenset[str]:
        """provider/name of each model that may answer a stage now: its own and those that it escalates to, or of all
        tiers for a function that chooses."""
        if stage.ask is None:
            return frozenset({self.model_for(stage), *map(self.model_of_tier, stage.escalate)} - {""})
        return frozenset({self.model_for(stage), *self.tiers_now().values()})

    def target_for(self, model: str) -> Target:
        """Endpoint and first key of a model. Raises AuthError or ConfigError before anything is sent."""
        return self.targets_for(model)[0]

    def targets_for(self, model: str) -> Sequence[Target]:
        """The same for each key of the model's account that is set, at least one. Raises AuthError or ConfigError."""
        name, slash, model_name = model.partition("/")
        if not slash or not model_name:
            raise ConfigError(f'"{model}" is not a model', hint="Write it as provider/name, such as openai/gpt-5-mini.")
        options = self.settings.table("providers").get(name, {})
        if is_program(self.settings, name):
            check_program(program_of(self.settings, name, self.root, self.secrets), model_name)
            own = None if self.settings.origin("run", "timeout") == COMMAND_LINE else options.get("timeout")
            timeout = float(own or self.settings.get("run", "timeout"))
            return [Target(name, model_name, "", self.account(name).name, None, timeout)]
        check_endpoint(self.settings, name)
        known = provider(name)
        base = self._base_url(name, options, known.base(self._variables(known.url)))
        account = self.account(name)
        timeout = float(self.settings.get("run", "timeout"))
        return [
            Target(name, model_name, base, account.title(variable or "none"), value, timeout)
            for variable, value in self._keys(name, account, base)
        ]

    def account(self, name: str) -> Account:
        """The account of a provider."""
        check_accounts(self.settings, self.secrets)
        if is_program(self.settings, name):
            return account_of(self.settings, name, "", own=name)
        said = self.settings.table("providers").get(name, {}).get("key")
        default = provider(name).key
        if said is not None and not str(said).startswith("$"):
            raise ConfigError(
                f"[providers.{name}] key holds a key itself; it would be written down.",
                hint=f'Write key = "${default or "NAME"}" and set the variable instead.',
            )
        return account_of(self.settings, name, str(said)[1:] if said else default)

    def _variables(self, name: str) -> Mapping[str, str]:
        found = self.secrets.find(name) if name else None
        return {name: found[0]} if found else {}

    def _base_url(self, name: str, options: Mapping[str, Any], default: str) -> str:
        url = str(options.get("base_url") or default)
        url = self.secrets.expand(url, f"the endpoint of {name}")
        if url and urlsplit(url).scheme not in ("http", "https"):
            raise ConfigError(f"{url} is not an endpoint", hint="It starts with http:// or https://.")
        return url.rstrip("/")

    def _keys(self, name: str, account: Account, base: str) -> Sequence[tuple[str, str | None]]:
        """(variable, value) of each key; a server on this machine may want none."""
        found = find_keys(account, self.secrets).found
        if found:
            return found
        if not account.keys or urlsplit(base).hostname in ("127.0.0.1", "localhost", "::1"):
            return [(account.keys[0] if account.keys else "", None)]
        self.secrets.need(account.keys[0], name)
        raise AssertionError("a key that is not found is an error")

    def completer(self, name: str) -> Completer:
        """The adapter of one provider, for a look at what it would send."""
        return self.completers.get(name) or completer(name, self._options(name))

    @cached_property
    def completers(self) -> dict[str, Completer]:
        """Adapters of the providers that the tiers and stages name; what was adopted can always be read."""
        models = [model for tier in TIERS for model in (self.settings.get("tiers", tier), self.tier_now(tier))]
        names = {str(model).partition("/")[0] for model in models if model}
        names |= {stage.model.partition("/")[0] for stage in self.pipeline.stages if stage.model}
        names |= ALWAYS | set(programs(self.settings))
        return {name: completer(name, self._options(name)) for name in sorted(names)}

    def _options(self, name: str) -> dict[str, Any]:
        if is_program(self.settings, name):
            return {"program": program_of(self.settings, name, self.root, self.secrets), "now": now_ms}
        options = self.settings.table("providers").get(name, {})
        chosen = {key: options[key] for key in ("rules", "seed") if key in options}
        if name == "offline" and "rules" not in chosen and self.recipe is not None:
            rules = f"{self.recipe.__name__}.standin"
            if importlib.util.find_spec(rules) is not None:
                chosen["rules"] = [rules]
        return chosen

    @cached_property
    def prices(self) -> GenaiPrices:
        return GenaiPrices(self.settings.table("prices"), ceilings(self.settings))

    # ------------------------------------------------------------------------------ files, events

    def write_file(self) -> str:
        """Write the result file of a file corpus; its path."""
        if self.source is None:
            return ""
        return str(self.source.write(self.folder))

    def emit(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)


@dataclass
class FileSource:
    """A CSV, JSONL or Parquet file that is the corpus: staged beside the state, written to ``out`` after an upload."""

    path: Path
    out: Path
    key: str | None = None
    outputs: Sequence[str] | Mapping[str, LogicalType] = ()
    in_place: bool = False
    spreadsheet_safe: bool = False
    _staged: Staged | None = None

    def database(self, folder: Path) -> Path:
        return folder / "staged" / f"{self.path.name}.sqlite"

    def stage(self, folder: Path) -> Staged:
        if self._staged is None:
            database = self.database(folder)
            database.parent.mkdir(parents=True, exist_ok=True)
            self._staged = file_corpus.stage(
                self.path, database, key=self.key, outputs=self.outputs, out=None if self.in_place else self.out
            )
        return self._staged

    def write(self, folder: Path) -> Path:
        """Splice what was filled into the result file (or, in place, into the source, with a backup)."""
        backup = None
        if self.in_place:
            backup = folder / "backups" / f"{self.path.name}.{now_ms()}"
            backup.parent.mkdir(parents=True, exist_ok=True)
        target = self.path if self.in_place else self.out
        written = file_corpus.write_out(
            self.database(folder), self.path, target, in_place_backup=backup, spreadsheet_safe=self.spreadsheet_safe
        )
        return written.path


# ------------------------------------------------------------------------------------------- opening


def find_root(start: Path) -> Path | None:
    """The nearest folder upwards with a project file; the search ends at a repository's root or home."""
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder
        if (folder / ".git").exists() or folder == Path.home():
            return None
    return None


def open_project(
    place: Path | str | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    recipe_settings: Mapping[str, Any] | None = None,
    listeners: Sequence[Listener] = (),
    command: str = "",
) -> Project:
    """The project in a folder, or the one that the current folder lies in. Raises ConfigError.

    ``overrides`` are command-line values by dotted name; ``recipe_settings`` stand over ``[recipe]``.
    """
    start = Path(place or os.environ.get("SEEDBED_PROJECT") or ".").resolve()
    if not start.is_dir():
        raise ConfigError(f"there is no folder {start}")
    root = start if place is not None and (start / FILE).is_file() else find_root(start)
    if root is None:
        filled = _last_filling(start, command)
        if filled is not None:
            filled.listeners.extend(listeners)
            return filled
        raise ConfigError(
            f"there is no {FILE} in {start} or above it",
            hint="Start a project with: seedbed init   or fill one table with: seedbed fill FILE …",
        )
    settings = read_settings(root / FILE, overrides)
    recipe = _recipe(settings)
    chosen = {**settings.table("recipe"), **(recipe_settings or {})}
    pipeline = _pipeline(settings, root, recipe, chosen)
    return Project(
        root=root,
        settings=settings,
        pipeline=pipeline,
        listeners=list(listeners),
        command=command,
        source=_file_source(settings, root, pipeline),
        recipe=recipe,
    )


def _last_filling(root: Path, command: str) -> Project | None:
    """A folder where ``seedbed fill`` worked can be looked at without a project file."""
    if not (root / ".seedbed").is_dir():
        return None
    found: Project | None = import_module("seedbed.recipes.fill").reopened(root, command)
    return found


def project_of(
    root: Path,
    pipeline: Pipeline,
    *,
    source: FileSource | None = None,
    overrides: Mapping[str, Any] | None = None,
    listeners: Sequence[Listener] = (),
    command: str = "",
    hide_logs: bool = False,
) -> Project:
    """A project without a project file, as ``fill`` makes it: a folder, a pipeline and a corpus.

    ``hide_logs`` puts the pages of runs beside the state, out of the way of a person's own files.
    """
    path = root / FILE
    settings = read_settings(path if path.is_file() else None, overrides)
    return Project(root, settings, pipeline, list(listeners), command, source, hide_logs=hide_logs)


def _recipe(settings: Settings) -> ModuleType | None:
    name = settings.get("project", "recipe")
    if not name:
        return None
    if name not in RECIPES:
        raise ConfigError(f'there is no recipe "{name}"', hint=nearest(str(name), RECIPES))
    return import_module(RECIPES[name])


def _pipeline(settings: Settings, root: Path, recipe: ModuleType | None, chosen: Mapping[str, Any]) -> Pipeline:
    stages: list[Stage] = []
    name = root.name
    if recipe is not None:
        made: Pipeline = recipe.pipeline(chosen)
        stages.extend(made.stages)
        name = made.name
    elif chosen:
        raise ConfigError("[recipe] has settings, but [project] names no recipe", hint='Add recipe = "facts".')
    if file := settings.get("project", "python"):
        found = _from_python(root / str(file))
        stages.extend(found.stages)
        name = found.name or name
    for stage_name, table in settings.table("stages").items():
        known = next((place for place, stage in enumerate(stages) if stage.name == stage_name), None)
        if known is not None and set(table) <= set(OF_REVIEW):
            stages[known] = replace(stages[known], **table)
        else:
            stages.append(_from_table(stage_name, table))
    if not stages:
        raise ConfigError(
            f"{FILE} defines no stage",
            hint='Add [stages."q.summary"] with table, outputs, prompt; or recipe = "facts"; or python = "stages.py".',
        )
    return Pipeline(name, stages)


def _from_table(name: str, table: Mapping[str, Any]) -> Stage:
    given = dict(table)
    target = given.pop("table", None)
    outputs = given.pop("outputs", None)
    if not target or not outputs:
        raise ConfigError(f'[stages."{name}"] needs table = "…" and outputs = ["…"]')
    source = Selection(given.pop("source", target), given.pop("where", ""), tuple(given.pop("key", ())))
    if "inputs" in given:
        given["inputs"] = tuple(given["inputs"])
    return Stage(name, fills(target, outputs, source=source), **given)


def _from_python(path: Path) -> Pipeline:
    if not path.is_file():
        raise ConfigError(f"[project] python names {path.name}, which is not there")
    spec = importlib.util.spec_from_file_location(f"seedbed_project_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ConfigError(f"{path.name}:{error.lineno}: {error.msg}") from error
    except ImportError as error:
        raise ConfigError(f"{path.name} cannot be imported: {error}") from error
    finally:
        sys.path.remove(str(path.parent))
    found = getattr(module, "pipeline", None)
    if isinstance(found, Pipeline):
        return found
    listed = getattr(module, "stages", None)
    stages = listed if listed is not None else [v for v in vars(module).values() if isinstance(v, Stage)]
    if not stages:
        raise ConfigError(f"{path.name} defines no stage", hint="Define `stages = [Stage(...), ...]`.")
    return Pipeline(path.parent.name, stages)


def _file_source(settings: Settings, root: Path, pipeline: Pipeline) -> FileSource | None:
    said = str(settings.get("project", "corpus"))
    if "://" in said or said.startswith("$"):
        return None
    path = root / said
    outputs = tuple(dict.fromkeys(name for stage in pipeline.stages for name in stage.outputs))
    keys = {stage.source.key for stage in pipeline.stages if stage.source.key}
    key = next(iter(keys))[0] if len(keys) == 1 and len(next(iter(keys))) == 1 else None
    safe = bool(settings.get("project", "spreadsheet_safe"))
    return FileSource(path, filled_name(path), key, outputs, spreadsheet_safe=safe)


def filled_name(path: Path) -> Path:
    """Where the result of a file goes: ``questions.filled.csv`` beside ``questions.csv``."""
    return path.with_name(f"{path.stem}.filled{path.suffix}")


# ------------------------------------------------------------------------------- clock and randomness


def utc_text(ms: int | None = None) -> str:
    moment = datetime.fromtimestamp((now_ms() if ms is None else ms) / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def new_id(prefix: str) -> str:
    """Sortable by time and unique over machines: ``run-20261120T083000-3f9a2c``."""
    return f"{prefix}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{entropy.token_hex(3)}"


def jitter() -> float:
    return random.random()


def this_host() -> str:
    return socket.gethostname()
