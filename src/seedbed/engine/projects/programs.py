"""Headless programs that the project file declares as models, checked before the first of them is started."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from seedbed.engine.projects.secrets import Secrets
from seedbed.engine.projects.settings import Settings
from seedbed.errors import ConfigError, nearest
from seedbed.ports.models.command.program import ANSWER, PLACEHOLDERS, STDOUT, USUAL, Marks, Program, names_in
from seedbed.ports.models.registry import PROVIDERS

PROGRAM = "program"
ALWAYS = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
"""Variables that each program gets, where they are set."""
SECRET = 8
"""Characters from which the value of a variable that is named counts as one that is not to be shown."""
OF_PROGRAMS = ("answer", "tools", "environment", "timeout", "ceiling", "login", *USUAL)
OF_ENDPOINTS = ("base_url", "key", "rules", "seed")


def is_program(settings: Settings, provider: str) -> bool:
    return PROGRAM in settings.table("providers").get(provider, {})


def programs(settings: Settings) -> list[str]:
    """The providers that are programs."""
    return [name for name in settings.table("providers") if is_program(settings, name)]


def ceilings(settings: Settings) -> Mapping[str, int | None]:
    """What one call of each program costs at most, in 10⁻⁹ USD."""
    tables = settings.table("providers")
    return {name: tables[name].get("ceiling") for name in programs(settings)}


def program_of(settings: Settings, provider: str, root: Path, secrets: Secrets) -> Program:
    """The program of a provider; whether it is there is for :func:`check_program`. Raises ConfigError."""
    table = settings.table("providers")[provider]
    place = f"[providers.{provider}]"
    _check_table(provider, table)
    words = tuple(table[PROGRAM])
    tools = tuple(table.get("tools", ()))
    names = names_in(words)
    answer = str(table.get("answer") or (ANSWER if "answer" in names else STDOUT))
    _check_placeholders(place, names, answer, tools)
    environment = _environment(place, table.get("environment", ()), secrets)
    return Program(
        name=provider,
        arguments=(_path(words[0], root), *words[1:]),
        answer=answer,
        tools=tools,
        environment=environment,
        secrets=tuple(value for name, value in environment.items() if name not in ALWAYS and len(value) >= SECRET),
        project=str(root),
        login=str(table.get("login", "")),
        marks={means: _marks(place, means, table.get(means, USUAL[means])) for means in USUAL},
    )


def check_program(program: Program, model: str) -> None:
    """That it can be started, and is told which model to ask. Raises ConfigError."""
    place = f"[providers.{program.name}]"
    path = Path(program.arguments[0])
    if not path.is_absolute():
        hint = "Install it, or write its path; it is looked for in PATH."
        if " " in program.arguments[0]:
            hint = 'Write it as a list: program = ["NAME", "ARGUMENT", …]. No shell reads it.'
        raise ConfigError(f"{place} program: {program.arguments[0]} is not found.", hint=hint)
    if not path.is_file():
        raise ConfigError(f"{place} program: {path} is not there.", hint="A path is taken from the project's folder.")
    if not os.access(path, os.X_OK):
        raise ConfigError(f"{place} program: {path} is not executable.", hint=f"Make it so with: chmod +x {path}")
    if not program.names_model(model):
        raise ConfigError(
            f"{place} program does not say which model to ask; it would ask one of its own choice.",
            hint=f'Name it in an argument, such as "--model", "{{model}}"; it becomes {model}.',
        )


def check_endpoint(settings: Settings, provider: str) -> None:
    """That nothing is said of it that only a program knows. Raises ConfigError."""
    wrong = [name for name in OF_PROGRAMS if name in settings.table("providers").get(provider, {})]
    if wrong:
        raise ConfigError(
            f"[providers.{provider}] has {wrong[0]}, but no program.", hint='Add program = ["NAME", "ARGUMENT", …].'
        )


def _check_table(provider: str, table: Mapping[str, Any]) -> None:
    place = f"[providers.{provider}]"
    if provider in PROVIDERS:
        raise ConfigError(
            f"{place} has a program, but {provider} is an endpoint.",
            hint="Give the program a name of its own, such as [providers.mine].",
        )
    wrong = [name for name in OF_ENDPOINTS if name in table]
    if wrong:
        raise ConfigError(
            f"{place} has a program and {wrong[0]}, which is for endpoints.",
            hint="A program gets the variables that environment names.",
        )
    if not table[PROGRAM] or not table[PROGRAM][0].strip():
        raise ConfigError(f"{place} program is empty.", hint='Write program = ["NAME", "ARGUMENT", …].')


def _check_placeholders(place: str, names: set[str], answer: str, tools: tuple[str, ...]) -> None:
    for name in sorted(names - set(PLACEHOLDERS)):
        raise ConfigError(f"{place} program: {{{name}}} is no placeholder", hint=nearest(name, PLACEHOLDERS))
    if not names & {"prompt", "prompt_file"}:
        raise ConfigError(
            f"{place} program never gets the prompt.", hint="Name it in an argument: {prompt_file}, or {prompt}."
        )
    if ("tools" in names) != bool(tools):
        lack = "tools, but no argument speaks of {tools}" if tools else "an argument with {tools}, but no tools"
        raise ConfigError(f"{place} has {lack}.", hint='Such as "--allowedTools", "{tools}" and tools = ["Read"].')
    if (answer == ANSWER) != ("answer" in names):
        raise ConfigError(
            f"{place} answer is {answer}, which does not fit the arguments.",
            hint="With {answer} in an argument the answer is read from that file, without it from stdout.",
        )
    if answer not in (STDOUT, ANSWER) and (PurePosixPath(answer).is_absolute() or ".." in PurePosixPath(answer).parts):
        raise ConfigError(f"{place} answer is {answer}; it has to lie in the folder in which the program runs.")


def _path(word: str, root: Path) -> str:
    """Where the program is; a name that is not found stays a name."""
    if "/" in word:
        return str((root / Path(word).expanduser()).absolute())
    return shutil.which(word) or word


def _environment(place: str, names: list[str], secrets: Secrets) -> Mapping[str, str]:
    for name in names:
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise ConfigError(
                f"{place} environment holds something that is not the name of a variable; it would be written down.",
                hint='Write the name alone, such as environment = ["MY_KEY"], and set the variable.',
            )
    found = {name: os.environ[name] for name in ALWAYS if name in os.environ}
    found |= {name: known[0] for name in names if (known := secrets.find(name)) is not None}
    return found


def _marks(place: str, means: str, said: Any) -> Marks:
    try:
        return Marks.of(said)
    except re.error as error:
        raise ConfigError(f"{place} {means}: {error.pattern!r} is no regular expression: {error}") from None
