"""Writes the two pages of the reference that the code knows by itself: python docs/generate.py"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from seedbed.cli import GROUPS, build
from seedbed.engine.projects.settings import NAMED, SECTIONS, Setting
from seedbed.simulator.run import parser

REFERENCE = Path(__file__).parent / "reference"
GENERATED = ("cli.md", "project-file.md")

_CLI = """# Commands and options

This page is made by `python docs/generate.py` from the commands themselves.

Each command takes `--help`. Where a command takes `--json`, it prints one JSON document on stdout: `schema`,
`exit`, the facts, and `next`; an error is the same document with `error`. Progress and errors go to stderr.
What the exit codes mean: [exit-codes.md](exit-codes.md). What a condition is: [conditions.md](conditions.md).

`[STAGE]` is the name of a stage, or of the pipeline for all of its stages; without it all of them are meant.
"""

_PROJECT_FILE = """# The project file

The tables of this page are made by `python docs/generate.py` from the settings themselves.

`seedbed.toml` lies in the project's folder. A command looks for it in the folder it is started in and then upwards,
up to the root of a repository or the home folder; `-C DIR` or the variable `SEEDBED_PROJECT` names another one. An
unknown name is an error that says the nearest known one. `seedbed config` shows each value and where it came from,
`seedbed config --schema` prints the JSON Schema for an editor.

Options of a command stand over the file: `--model` over `tiers.default`, `--base-url` over the `base_url` of that
model's provider, `--timeout` over `run.timeout`, `--concurrency` over `run.concurrency`, `--budget` over `budget.run`.

Keys never stand in the file. A provider's `key` is the name of a variable, as `"$OPENAI_API_KEY"`; it is looked up in
the environment, then in `.env.local`, then in `.env` beside the project file. `corpus` may be such a name too.
"""

_AFTER: Mapping[str, str] = {
    "recipe": "Goes to the recipe that `project.recipe` names, as it is. Those of the facts recipe:"
    " [grow a corpus](../tutorial/grow-a-corpus.md). `--set name=value` stands over it.",
    "providers": "One table for each provider: `[providers.openai]`. The providers are `openai` (any endpoint that"
    " speaks its chat completions) and `offline` (the stand-in). Without `base_url` the variable `OPENAI_BASE_URL`"
    " counts, then the provider's own address. One with a `program` has a name of your own:"
    " [use a headless program as a model](../how-to/use-a-headless-program.md).",
    "accounts": "One table for each account: `[accounts.openai]`. A provider's models go through the account of its own"
    " name, or the one that its `account` names; models of one account share its limits. Each limit holds for each key"
    " (`shared = true`: for all keys together). A key that is refused is set aside, and the others go on. Without a"
    " table the provider's key is the account. [Stay within rate limits](../how-to/stay-within-rate-limits.md).",
    "limits": 'One table for each model that has limits of its own: `[limits."openai/gpt-5-mini"]`, for each key. What'
    " an account says stands beside it. Limits that a provider states in its answers need no setting.",
    "windows": "One table for each usage window: `[windows.night]`. `account` is needed, and `reset` or `period`:"
    " [run inside a usage window](../how-to/run-inside-a-usage-window.md).",
    "prices": 'One table for each model: `[prices."openai/my-model"]`. It stands over the price list that comes with'
    " seedbed. `input` and `output` are needed; without `cached_input` cached tokens cost what input does.",
    "stages": 'One table for each stage: `[stages."q.summary"]`. A stage of the file fills cells; stages that make rows'
    " or call your functions are written in Python ([python.md](python.md)). `table` and `outputs` are needed, and a"
    " `prompt`. Without a `shape` the answer's text is the value of the one output. A prompt that names no column is"
    " followed by the row's inputs as JSON; `{{ column }}` shows one cell; what stands above a line `<!-- item -->` is"
    " the same for each item and is sent first.",
}


def page(name: str) -> str:
    return {"cli.md": cli_page, "project-file.md": project_file_page}[name]()


# ------------------------------------------------------------------------------------------ commands


def _app() -> Any:
    return typer.main.get_command(build())


def _commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name in group.list_commands(None):
        command = group.commands[name]
        yield f"{prefix}{name}", command
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix}{name} ")


def command_paths() -> list[str]:
    """Each command as it is typed, ``receipts verify`` and the like included."""
    return [path for path, _ in _commands(_app())]


def cli_page() -> str:
    app = _app()
    parts = [_CLI]
    heads = {name: head for head, names in GROUPS.items() for name in names}
    shown = ""
    for path, command in _commands(app):
        head = heads.get(path.split(" ")[0], "Others")
        if head != shown:
            parts.append(f"## {head}\n")
            shown = head
        parts.append(_command(path, command))
    return "\n".join(parts)


def _command(path: str, command: Any) -> str:
    lines = [f"### `seedbed {path}`", "", " ".join((command.help or "").split()) or "", ""]
    if path == "simulate":
        rows = [("`" + ", ".join(a.option_strings) + "`", a.help or "") for a in parser()._actions if a.help != _HIDDEN]
        return "\n".join([*lines, *_table(("option", ""), rows[1:])]) + "\n"
    context = command.make_context(path, [], resilient_parsing=True)
    rows = []
    for param in command.get_params(context):
        record = param.get_help_record(context)
        if record is None or "--help" in record[0]:
            continue
        kind = param.param_type_name
        shown = str(param.metavar or param.name) if kind == "argument" else record[0]
        rows.append((f"`{shown}`", " ".join(record[1].split())))
    return "\n".join([*lines, *(_table(("argument or option", ""), rows) if rows else [])]).rstrip() + "\n"


_HIDDEN = "==SUPPRESS=="


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    cells = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row).rstrip() + " |" for row in cells]


# ------------------------------------------------------------------------------------------ settings


def project_file_page() -> str:
    parts = [_PROJECT_FILE]
    for section, table in SECTIONS.items():
        parts.append(f"## `[{section}]`\n")
        parts.append(_settings(table))
    parts.append(f"## `[recipe]`\n\n{_AFTER['recipe']}\n")
    for section, table in NAMED.items():
        parts.append(f"## `[{section}.NAME]`\n\n{_AFTER[section]}\n")
        parts.append(_settings(table))
    return "\n".join(parts)


def _settings(table: Mapping[str, Setting]) -> str:
    rows = [(f"`{name}`", each.kind, _default(each.default), each.help) for name, each in table.items()]
    return "\n".join(_table(("setting", "kind", "default", ""), rows)) + "\n"


def _default(value: Any) -> str:
    if value is None:
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    for each in GENERATED:
        (REFERENCE / each).write_text(page(each), "utf-8")
