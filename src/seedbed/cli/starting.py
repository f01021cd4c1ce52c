"""The verbs to start with: init, doctor, simulate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from seedbed.cli import options
from seedbed.cli.render import document, out, safe


def register(app: typer.Typer) -> None:
    app.command("init")(init)
    app.command("doctor")(doctor)
    app.command(
        "simulate", add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_extra_args": True}
    )(simulate)


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where; here without it.")] = Path(),
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="NAME", help="A recipe that comes with seedbed: facts, experiments.")
    ] = "",
    json: options.Json = False,
) -> int:
    """Start a project that runs at once: a few small files, and nothing is ever overwritten."""
    from seedbed.engine.projects.starting import start_project

    report = start_project(folder, recipe)
    if json:
        document("init", report, next_=report.next)
        return 0
    width = max((len(made.path) for made in report.files), default=0)
    lines = [f"Created {safe(report.folder)} ({len(report.files)} files; nothing else was touched)", ""]
    lines += [f"  {made.path:<{width}}  {made.what}" for made in report.files]
    lines += ["", "It starts on the stand-in: no key, no network, no cost. No usage data is ever sent to us."]
    out([*lines, *(f"Next:  {safe(command)}" for command in report.next)])
    return 0


def doctor(json: options.Json = False, place: options.Place = None) -> int:
    """Versions, project, records, keys by name, prices, receipts, locks, disk. Sends nothing."""
    from seedbed.engine.looks.doctor import examine

    report = examine(place)
    code = report.exit_code
    if json:
        document("doctor", report, code=code, next_=[report.next])
        return code
    width = max(len(fact.name) for fact in report.facts)
    lines = [f"{fact.mark:<4}{fact.name:<{width}}  {safe(fact.value)}" for fact in report.facts]
    out([*lines, f"Next:  {safe(report.next)}"])
    return code


def simulate(context: typer.Context) -> int:
    """A model server over real HTTP with limits, faults on demand and a ledger of its own."""
    from seedbed.simulator.run import main

    try:
        return main(context.args)
    except SystemExit as end:
        return int(end.code or 0) if not isinstance(end.code, str) else _said(end.code)


def _said(words: str) -> int:
    sys.stderr.write(words + "\n")
    return 2
