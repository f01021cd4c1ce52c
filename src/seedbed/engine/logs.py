"""A page for each run: ``logs/YYYY-MM/YYYY-MM-DDThh-mm--JOB--SLUG.md`` with JSON beside it and a month's index.

Times are UTC. A run that was killed gets its page from the next command.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seedbed.engine.forecasting import foretold
from seedbed.engine.projects.project import Project, utc_text
from seedbed.engine.reports import Foretold
from seedbed.engine.work.gate import signature_facts
from seedbed.ports.state import RunRow, State
from seedbed.records import usd_exact

README = """# Run logs

One page for each run, in a folder for each month: `YYYY-MM/YYYY-MM-DDThh-mm--JOB--SLUG.md` (UTC).
The same facts stand beside it as JSON. `index.md` in each month has one row a run. The pages are
written by seedbed; they hold no prompt, no answer and no key.
"""
TOPICS_FROM = 5000
"""Outcomes that are looked at for the topics of a run."""


def write_page(
    project: Project, state: State, row: RunRow, phases: Mapping[str, float], refused: int | None = None
) -> Path:
    """Write (or write again) the page of a run and its row in the month's index; the page's path.

    ``refused`` counts the 429s; None where the run was killed and nobody counted.
    """
    facts = page_facts(project, state, row, phases, refused)
    started = datetime.fromtimestamp(row.started / 1000, UTC)
    folder = project.logs / f"{started:%Y-%m}"
    folder.mkdir(parents=True, exist_ok=True)
    readme = project.logs / "README.md"
    if not readme.exists():
        readme.write_text(README, "utf-8")
    path = _free_path(folder, f"{started:%Y-%m-%dT%H-%M}--{_slug(row.command)}--{_slug(row.target)}", row.id)
    _replace(path.with_suffix(".json"), json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    _replace(path, page_text(facts))
    _index(folder, path, facts)
    return path


def page_facts(
    project: Project, state: State, row: RunRow, phases: Mapping[str, float], refused: int | None = None
) -> dict[str, Any]:
    """What a page says, as plain JSON values."""
    money = state.spending(run=row.id)
    total = money[0] if money else None
    rounds = state.rounds_of_run(row.id)
    counts: dict[str, dict[str, int]] = {}
    left = []
    for round_row in rounds:
        stage = counts.setdefault(round_row.stage, {})
        for name, count in state.states_of_round(round_row.id).items():
            stage[name] = stage.get(name, 0) + count
        for fate, count in state.made_of_round(round_row.id).items():
            stage[f"rows {fate}"] = stage.get(f"rows {fate}", 0) + count
        if round_row.status == "open":
            left.append(f"{round_row.stage}: round {round_row.id} is open")
    unknown = total is not None and total.unknown > 0
    return {
        "run": row.id,
        "job_type": row.command,
        "topics": _topics(state, row),
        "mode": row.target,
        "started": utc_text(row.started),
        "finished": utc_text(row.finished) if row.finished else None,
        "counts": counts,
        "total_cost": None if unknown else usd_exact(total.nano if total else 0),
        "status": row.status if row.status != "running" else "partial",
        "exit_code": row.exit_code,
        "message": row.message,
        "settings": dict(row.settings),
        "cap": usd_exact(row.cap) if row.cap is not None else None,
        "tokens": {
            "input": total.usage.input if total else 0,
            "cached": total.usage.cached if total else 0,
            "output": total.usage.output if total else 0,
            "reasoning": total.usage.reasoning if total else 0,
        },
        "calls": total.calls if total else 0,
        "refused_for_rate": refused,
        "forecast": [_told(each) for each in foretold(state, row.id)],
        "phases": {name: round(seconds, 3) for name, seconds in phases.items()},
        "problems": [
            {"stage": stage, "state": name, "reason": reason, "count": count, "example": example}
            for stage, name, reason, count, example in state.reasons()
            if stage in counts
        ],
        "left": left,
        "signatures": [signature_facts(signature) for signature in state.worked_under(row.id)],
    }


def _told(each: Foretold) -> dict[str, Any]:
    money = ("cost_low", "cost_high", "came_to")
    return {name: usd_exact(value) if name in money else value for name, value in asdict(each).items()}


def page_text(facts: Mapping[str, Any]) -> str:
    """The Markdown page with its front matter."""
    front = ["job_type", "topics", "mode", "started", "finished", "counts", "total_cost", "status"]
    head = "\n".join(f"{name}: {json.dumps(facts[name], ensure_ascii=False)}" for name in front)
    cost = "unknown" if facts["total_cost"] is None else f"${facts['total_cost']}"
    lines = [
        f"---\n{head}\n---\n",
        f"# {facts['job_type']} {facts['mode']}: {facts['status']}\n",
        f"{facts['calls']} calls, {cost}. {facts['message']}".strip() + "\n",
        *_refused(facts["refused_for_rate"]),
        *(
            f"Forecast of {told['stage']} after {told['measured']} of {told['items']} items: ${told['cost_low']} to"
            f" ${told['cost_high']}. It came to {'unknown' if told['came_to'] is None else '$' + told['came_to']}.\n"
            for told in facts["forecast"]
        ),
        "## Settings as they were\n",
        *(f"- {name}: `{value}`" for name, value in facts["settings"].items()),
        f"- cap: {facts['cap'] or 'none'}\n",
        *(["## Signed by\n", *map(_signed, facts["signatures"]), ""] if facts.get("signatures") else []),
        "## Time per phase\n",
        *(
            [f"- {name}: {seconds} s" for name, seconds in facts["phases"].items()]
            or ["- not known: the run was killed"]
        ),
        "\n## Errors and what was done\n",
        *([_problem(problem) for problem in facts["problems"]] or ["- none"]),
        "\n## What is left to do\n",
        *([f"- {line}" for line in facts["left"]] or ["- nothing in the rounds of this run"]),
        "",
    ]
    return "\n".join(lines)


def _refused(count: int | None) -> list[str]:
    return [f"The provider said {count:,} times to slow down (429).\n"] if count else []


def _problem(problem: Mapping[str, Any]) -> str:
    reason = problem["reason"] or "no code"
    return f"- {problem['stage']}: {problem['count']} {problem['state']} ({reason}), e.g. `{problem['example']}`"


def _signed(signature: Mapping[str, Any]) -> str:
    items = "no ceiling of items" if signature["items"] is None else f"{signature['items']} items"
    money = "" if signature["cap"] is None else f", {usd_exact(signature['cap'])} USD"
    until = "" if signature["until"] is None else f", until {signature['until']}"
    models = ", ".join(signature["models"])
    return f"- {signature['stage']}: {signature['name']} at {signature['at']}, for {items}{money}{until}, {models}"


def _topics(state: State, row: RunRow) -> list[str]:
    rounds = state.rounds_of_run(row.id)
    return sorted({topic for one in rounds for topic in state.topics_of_round(one.id, limit=TOPICS_FROM)})


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "all"


def _free_path(folder: Path, stem: str, run: str) -> Path:
    """The page's own path; a second run of the same minute gets a number."""
    number = 1
    while True:
        path = folder / f"{stem}{'' if number == 1 else f'-{number}'}.md"
        beside = path.with_suffix(".json")
        if not (path.exists() or beside.exists()) or _run_of(beside) == run:
            return path
        number += 1


def _run_of(beside: Path) -> str | None:
    """The run that a page is about; None where that cannot be read."""
    try:
        facts = json.loads(beside.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return facts.get("run") if isinstance(facts, dict) else None


def _replace(path: Path, text: str) -> None:
    """The whole text or the old one: a kill leaves no half of a page."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_text(text, "utf-8")
    half.replace(path)


def _index(folder: Path, path: Path, facts: Mapping[str, Any]) -> None:
    index = folder / "index.md"
    head = "| started | job | target | status | calls | cost |\n|---|---|---|---|---|---|\n"
    text = index.read_text("utf-8") if index.exists() else f"# Runs of {folder.name}\n\n{head}"
    cost = "unknown" if facts["total_cost"] is None else f"${facts['total_cost']}"
    row = (
        f"| [{facts['started']}]({path.name}) | {facts['job_type']} | {facts['mode']} "
        f"| {facts['status']} | {facts['calls']} | {cost} |"
    )
    kept = [line for line in text.splitlines() if f"]({path.name})" not in line]
    _replace(index, "\n".join([*kept, row]) + "\n")
