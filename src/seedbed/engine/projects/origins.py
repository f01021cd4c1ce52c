"""The settings as they were loaded: where each value came from, which keys were found where. No secret is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seedbed.engine.projects.accounts import account_of, is_variable
from seedbed.engine.projects.project import Project
from seedbed.engine.projects.settings import SECTIONS
from seedbed.errors import AuthError
from seedbed.ports.models.registry import PROVIDERS

_PASSWORD = re.compile(r"(?P<head>\w[\w+.\-]*://[^\s/:@]*:)[^\s@]+(?=@)")
HIDDEN = "…"


@dataclass(frozen=True)
class Value:
    """A setting by its dotted name. ``origin`` is default, the file, or the command line."""

    name: str
    value: Any
    origin: str


@dataclass(frozen=True)
class Key:
    """A key by the name of its variable; ``found`` says where it lies, None for nowhere."""

    provider: str
    variable: str
    found: str | None


@dataclass(frozen=True)
class Configuration:
    root: str
    corpus: str
    values: Sequence[Value]
    keys: Sequence[Key]


def configuration(project: Project) -> Configuration:
    """All that is set, with its origin; keys by name and place, never by value."""
    try:
        corpus = project.corpus_place()
    except AuthError:  # its variable is not set: its name is all there is to show
        corpus = str(project.settings.get("project", "corpus"))
    return Configuration(str(project.root), hidden(corpus), list(_values(project)), list(_keys(project)))


def _values(project: Project) -> Iterator[Value]:
    settings = project.settings
    for section, known in SECTIONS.items():
        for name in known:
            if section == "tiers":
                yield Value(f"{section}.{name}", project.tier_now(name), project.tier_origin(name))
                continue
            yield Value(f"{section}.{name}", hidden(settings.get(section, name)), settings.origin(section, name))
    for section, table in settings.values.items():
        if section not in SECTIONS:
            for name, value in table.items():
                yield Value(f"{section}.{name}", _without_keys(value), settings.origin(section, name))


def _without_keys(value: Any) -> Any:
    """A table with keys that were written into it by mistake left out."""
    if not isinstance(value, Mapping):
        return hidden(value)
    return {name: _without_key(name, each) for name, each in value.items()}


def _without_key(name: str, value: Any) -> Any:
    if name == "key" and isinstance(value, str) and not value.startswith("$"):
        return HIDDEN
    if name == "keys" and isinstance(value, Sequence):
        return [each if is_variable(str(each).removeprefix("$")) else HIDDEN for each in value]
    return hidden(value)


def hidden(value: Any) -> Any:
    """A value without the password of an address in it."""
    return _PASSWORD.sub(rf"\g<head>{HIDDEN}", value) if isinstance(value, str) else value


def _keys(project: Project) -> Iterator[Key]:
    """The keys of the providers that tiers, stages and the project file name."""
    tables = project.settings.table("providers")
    models = list(project.tiers_now().values())
    models += [stage.model for stage in project.pipeline.stages if stage.model]
    for name in dict.fromkeys([*(model.partition("/")[0] for model in models), *tables]):
        known = PROVIDERS.get(name)
        said = str(tables.get(name, {}).get("key", ""))
        variable = said[1:] if said.startswith("$") else (known.key if known else "")
        for each in account_of(project.settings, name, variable).keys:
            found = project.secrets.find(each)
            yield Key(name, each, found[1] if found else None)
