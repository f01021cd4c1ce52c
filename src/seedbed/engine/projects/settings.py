"""The project file: one declared table of settings. CLI, docs, JSON Schema and checks read it.

Unknown keys are errors that name the nearest. Where a value came from is kept beside it.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from seedbed.errors import ConfigError, UsageError, nearest
from seedbed.records import parse_money

FILE = "seedbed.toml"
Kind = Literal["text", "whole", "count", "number", "yes/no", "money", "moneys", "texts", "table", "shape"]
"""``count`` is a whole number from 1; ``shape`` a table or a text; ``moneys`` a table of amounts by name."""


@dataclass(frozen=True)
class Setting:
    kind: Kind
    help: str
    default: Any = None


SECTIONS: Mapping[str, Mapping[str, Setting]] = {
    "project": {
        "name": Setting("text", "what the project is called"),
        "corpus": Setting(
            "text", "the records: sqlite:///corpus.db, a CSV, JSONL or Parquet file, or $NAME", "sqlite:///corpus.db"
        ),
        "recipe": Setting("text", "a recipe that comes with seedbed: facts, experiments"),
        "python": Setting("text", "a Python file that defines `pipeline` or `stages`"),
        "spreadsheet_safe": Setting(
            "yes/no", "results in CSV: cells that a spreadsheet would run begin with an apostrophe", False
        ),
        "demo": Setting("yes/no", "a demonstration: answers of the stand-in may be uploaded", False),
    },
    "tiers": {
        "default": Setting("text", "model of the tier `default`, as provider/name", "openai/gpt-5-mini"),
        "mid": Setting("text", "model of the tier `mid`", "openai/gpt-5"),
        "high": Setting("text", "model of the tier `high`", "openai/gpt-5"),
        "cheap": Setting("text", "model of the tier `cheap`, which a cap of the day may fall back to"),
    },
    "budget": {
        "run": Setting("money", "cap of each run, such as 5usd"),
        "day": Setting("money", "cap of each day, over all processes"),
        "zone": Setting("text", "the time zone whose midnight begins a day, such as Europe/Berlin", "UTC"),
        "project": Setting("money", "cap over all runs of the project, over all processes"),
        "stages": Setting("moneys", "caps of stages over all runs: [budget.stages] with a line for each"),
        "when_day_is_spent": Setting("text", "pause, or tier:cheap to ask that tier's model instead", "pause"),
    },
    "run": {
        "concurrency": Setting("count", "calls in flight at most", 20),
        "timeout": Setting("number", "seconds that an answer may take in all", 120.0),
        "grace": Setting("number", "seconds that calls in flight get after Ctrl-C", 20.0),
        "patience": Setting("number", "seconds without any answer until the provider counts as down", 60.0),
    },
}
"""Sections with fixed names. `recipe` goes to the recipe as it is; the others are below."""

PROVIDER: Mapping[str, Setting] = {
    "base_url": Setting("text", "the endpoint"),
    "key": Setting("text", "the key's variable, as $NAME"),
    "account": Setting("text", "the account in [accounts] that its models go through; without it that of its own name"),
    "rules": Setting("texts", "modules with rules of the stand-in (offline only)"),
    "seed": Setting("whole", "seed of the stand-in (offline only)"),
    "program": Setting(
        "texts",
        "a headless program as the model: its arguments as a list, with {model}, {prompt} or {prompt_file},"
        " {shape_file}, {answer}, {tools}, {project}",
    ),
    "answer": Setting("text", "where a program's answer is: stdout, {answer}, or a file in the folder it runs in"),
    "tools": Setting("texts", "the tools that a program may use, for {tools}"),
    "environment": Setting("texts", "names of variables that a program gets besides PATH, HOME and the like"),
    "timeout": Setting("number", "seconds that a program may take; without it those of [run]"),
    "ceiling": Setting("money", "what one call of a program costs at most; 0usd under a flat rate"),
    "login": Setting("text", "what a person types to log a program in"),
    "session_limit": Setting("texts", "marks of a used-up window: exit 3, or expressions on the error channel"),
    "rate_limit": Setting("texts", "marks of a rate limit, as above"),
    "login_expired": Setting("texts", "marks of a login that has expired, as above"),
    "refused": Setting("texts", "marks of a prompt that the provider's filter declines, as above"),
}
LIMITS: Mapping[str, Setting] = {
    "requests_per_minute": Setting("count", "requests a minute, for each key"),
    "tokens_per_minute": Setting("count", "tokens a minute in and out, for each key"),
    "requests_per_day": Setting("count", "requests a day (UTC), for each key"),
    "tokens_per_day": Setting("count", "tokens a day (UTC) in and out, for each key"),
    "concurrency": Setting("count", "calls in flight at most, for each key"),
}
ACCOUNT: Mapping[str, Setting] = {
    "keys": Setting("texts", "variables with the account's keys, which share the work"),
    **LIMITS,
    "shared": Setting("yes/no", "the limits hold for all keys together, not for each", False),
}
PRICE: Mapping[str, Setting] = {
    "input": Setting("number", "USD per million input tokens"),
    "cached_input": Setting("number", "USD per million cached input tokens"),
    "output": Setting("number", "USD per million output tokens, reasoning included"),
    "ceiling": Setting("money", "what one call costs at most, where neither a price nor an output maximum says it"),
}
STAGE: Mapping[str, Setting] = {
    "table": Setting("text", "table whose cells are filled"),
    "outputs": Setting("texts", "columns to fill"),
    "source": Setting("text", "view that the rows are selected from"),
    "where": Setting("text", "a condition on the rows"),
    "key": Setting("texts", "key columns, where the table declares none"),
    "eligible": Setting("text", "which rows; without it those with an empty output cell"),
    "prompt": Setting("text", "a Markdown file or the text itself"),
    "shape": Setting("shape", "a JSON Schema, or the name of a file with one"),
    "inputs": Setting("texts", "columns that count as inputs"),
    "per_call": Setting("count", "items asked in one request", 1),
    "attempts": Setting("count", "questions per item", 3),
    "tier": Setting("text", "which tier's model", "default"),
    "model": Setting("text", "a model outright, as provider/name"),
    "max_output": Setting("count", "tokens an answer may have", 2048),
    "parameters": Setting("table", "temperature, top_p, …"),
    "on_change": Setting("text", "report or redo", "report"),
    "stream": Setting("yes/no", "read the answer as a stream (long answers)", False),
    "overwrite": Setting("yes/no", "fill cells that hold something too", False),
    "version": Setting("text", "raise it to say that this is another recipe", "1"),
    "gate": Setting("text", "pilot: nothing beyond a pilot is bought before a person has signed"),
    "scores": Setting("texts", "what a reviewer gives each answer, from 1 to 5"),
    "escalate": Setting("texts", "tiers that are asked instead from the second question about an item on"),
    "by_name": Setting("yes/no", "only a command that names the stage works it or counts it", False),
}
WINDOW: Mapping[str, Setting] = {
    "account": Setting("text", "the account, or provider, whose use it bounds"),
    "capacity": Setting("text", "950 items, 2000 calls, 2M tokens or 20usd a window; learned without it"),
    "unit": Setting("text", "what is counted while the capacity is learned: items, calls, tokens, money", "items"),
    "share": Setting("text", "how much of a window a wave may use up, over all waves and runs", "100%"),
    "reset": Setting("texts", "when a new window begins: 23:00, or Mon 23:00; several are a list"),
    "period": Setting("text", "instead of a reset: a window begins with its first call and lasts so long, such as 5h"),
    "zone": Setting("text", "the time zone of reset and quiet hours", "UTC"),
    "quiet": Setting("texts", "hours in which no wave sends anything, such as 08:00-18:00"),
    "on": Setting("yes/no", "false switches its waves off", True),
}
NAMED: Mapping[str, Mapping[str, Setting]] = {
    "providers": PROVIDER,
    "accounts": ACCOUNT,
    "limits": LIMITS,
    "prices": PRICE,
    "stages": STAGE,
    "windows": WINDOW,
}
"""Sections whose tables carry names of the user's: `[providers.openai]`, `[stages."q.summary"]`."""

FREE = ("recipe",)
COMMAND_LINE = "the command line"
"""The origin of a value that an option of the command, or a caller in Python, has given."""
OF_DEFAULT = "default"
"""In an override: the provider of the tier `default`, as in ``providers.default.base_url``."""


@dataclass(frozen=True)
class Settings:
    """The values of a project, checked, with the layer each came from."""

    values: Mapping[str, Mapping[str, Any]]
    origins: Mapping[str, str] = field(default_factory=dict)

    def get(self, section: str, name: str) -> Any:
        value = self.values.get(section, {}).get(name)
        return SECTIONS[section][name].default if value is None else value

    def table(self, section: str) -> Mapping[str, Any]:
        return self.values.get(section, {})

    def origin(self, section: str, name: str) -> str:
        return self.origins.get(f"{section}.{name}", "default")


def read_settings(path: Path | None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """The project file with command-line overrides (``section.name`` → value) on top. Raises ConfigError.

    In a section of named tables an override is ``providers.openai.base_url``; the rest of the table stays.
    """
    values: dict[str, dict[str, Any]] = {}
    origins: dict[str, str] = {}
    if path is not None:
        values = check(_toml(path), str(path.name))
        origins = {f"{section}.{name}": path.name for section, table in values.items() for name in table}
    for dotted, value in (overrides or {}).items():
        section, _, name = dotted.partition(".")
        if section in NAMED and not isinstance(value, Mapping):
            entry, _, name = name.rpartition(".")
            if section == "providers" and entry == OF_DEFAULT:
                said = values.get("tiers", {}).get("default") or SECTIONS["tiers"]["default"].default
                entry = str(said).partition("/")[0]
            table = values.setdefault(section, {})
            table[entry] = {**table.get(entry, {}), name: value}
        elif (of := name.partition("."))[2] and section in SECTIONS:  # budget.stages.q.summary
            table = values.setdefault(section, {})
            table[of[0]] = {**(table.get(of[0]) or {}), of[2]: value}
        else:
            values.setdefault(section, {})[name] = value
        origins[dotted] = COMMAND_LINE
    return Settings(values, origins)


def _toml(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}", hint="Mend the place named above.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name} is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def check(raw: Mapping[str, Any], file: str) -> dict[str, dict[str, Any]]:
    """The same values, each known and of its kind. Raises ConfigError with the nearest name."""
    known = [*SECTIONS, *NAMED, *FREE]
    out: dict[str, dict[str, Any]] = {}
    for section, table in raw.items():
        if section not in known:
            raise ConfigError(f'{file}: unknown section "{section}"', hint=nearest(section, known))
        if not isinstance(table, Mapping):
            raise ConfigError(f'{file}: "{section}" must be a table: [{section}]')
        if section in SECTIONS:
            out[section] = _table(table, SECTIONS[section], section, file)
        elif section in NAMED:
            out[section] = {name: _named(section, name, entry, file) for name, entry in table.items()}
        else:
            out[section] = dict(table)
    return out


def _named(section: str, name: str, entry: Any, file: str) -> dict[str, Any]:
    if not isinstance(entry, Mapping):
        raise ConfigError(f'{file}: "{section}.{name}" must be a table: [{section}."{name}"]')
    return _table(entry, NAMED[section], f"{section}.{name}", file)


def _table(table: Mapping[str, Any], settings: Mapping[str, Setting], place: str, file: str) -> dict[str, Any]:
    out = {}
    for name, value in table.items():
        if name not in settings:
            raise ConfigError(f'{file}: unknown key "{name}" in [{place}]', hint=nearest(name, settings))
        out[name] = _value(settings[name].kind, value, f"{file}: {place}.{name}")
    return out


def _value(kind: Kind, value: Any, place: str) -> Any:
    if kind == "money":
        try:
            return parse_money(str(value))
        except UsageError as error:
            raise ConfigError(f"{place}: {error.what}", hint=error.hint) from error
    if kind == "moneys" and isinstance(value, Mapping):
        return {name: _value("money", each, f"{place}.{name}") for name, each in _flat(value).items()}
    if isinstance(value, Mapping) and kind in ("table", "shape"):
        return value
    if kind == "texts":
        if isinstance(value, str):
            return [value]
        if isinstance(value, Sequence) and all(isinstance(each, str) for each in value):
            return list(value)
    good: Mapping[str, tuple[type, ...]] = {
        "text": (str,),
        "shape": (str,),
        "whole": (int,),
        "count": (int,),
        "number": (int, float),
        "yes/no": (bool,),
    }
    if isinstance(value, good.get(kind, ())) and (kind == "yes/no" or not isinstance(value, bool)):
        if isinstance(value, int | float) and not 0 <= value < math.inf:
            raise ConfigError(f"{place} is {value}; it cannot be {'negative' if value < 0 else 'without end'}")
        if kind == "count" and value == 0:
            raise ConfigError(f"{place} is 0; it starts at 1")
        return value
    words = {"text": "a text", "whole": "a whole number", "count": "a whole number", "number": "a number",
             "yes/no": "true or false", "texts": "a list of texts", "table": "a table",
             "moneys": "a table of amounts by name", "shape": "a table or a text"}  # fmt: skip
    raise ConfigError(f"{place} must be {words[kind]}, not {value!r}")


def checked(dotted: str, value: Any) -> Any:
    """A value that a command gives for ``section.name`` (or ``stages.NAME.setting``), checked. Raises ConfigError."""
    section, _, name = dotted.partition(".")
    place = "--set"
    if section in SECTIONS:
        first, _, rest = name.partition(".")
        if rest and SECTIONS[section].get(first, Setting("text", "")).kind == "moneys":
            return _value("money", value, f"{place} {dotted}")
        return _table({name: value}, SECTIONS[section], section, place)[name]
    entry, _, name = name.rpartition(".")
    return _table({name: value}, NAMED[section], f"{section}.{entry}", place)[name]


def _flat(table: Mapping[str, Any], head: str = "") -> dict[str, Any]:
    """``facts.explode = 1`` without quotes is a table within a table to TOML, and one name to a person."""
    out: dict[str, Any] = {}
    for name, value in table.items():
        out.update(_flat(value, f"{head}{name}.") if isinstance(value, Mapping) else {f"{head}{name}": value})
    return out


def json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of the project file, for editors."""
    types: Mapping[str, Any] = {
        "text": {"type": "string"},
        "whole": {"type": "integer", "minimum": 0},
        "count": {"type": "integer", "minimum": 1},
        "number": {"type": "number", "minimum": 0},
        "yes/no": {"type": "boolean"},
        "money": {"type": ["string", "number"]},
        "moneys": {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
        "texts": {"type": ["string", "array"], "items": {"type": "string"}},
        "table": {"type": "object"},
        "shape": {"type": ["string", "object"]},
    }

    def table(settings: Mapping[str, Setting]) -> dict[str, Any]:
        properties = {}
        for name, setting in settings.items():
            properties[name] = {**types[setting.kind], "description": setting.help}
            if setting.default is not None:
                properties[name]["default"] = setting.default
        return {"type": "object", "properties": properties, "additionalProperties": False}

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": FILE,
        "type": "object",
        "properties": {
            **{section: table(settings) for section, settings in SECTIONS.items()},
            **{s: {"type": "object", "additionalProperties": table(settings)} for s, settings in NAMED.items()},
            **{section: {"type": "object"} for section in FREE},
        },
        "additionalProperties": False,
    }
