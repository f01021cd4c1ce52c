"""Values of the engine as text for people and as JSON for programs. Text of models is shown, never obeyed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from seedbed.errors import SeedbedError

if TYPE_CHECKING:
    from seedbed.engine.reports import (
        Drawn,
        Equation,
        ExportReport,
        Foretold,
        GenerateReport,
        PlanReport,
        RepairReport,
        RereadReport,
        RollbackReport,
        RunReport,
        UploadReport,
        ValidateReport,
        WindowReport,
        WrongRows,
    )

EXITS: Mapping[int, str] = {
    0: "ok", 1: "bug", 2: "usage", 3: "quality", 4: "gate", 5: "empty", 6: "auth", 7: "locked", 8: "drift",
    75: "paused", 130: "stopped", 143: "stopped",
}  # fmt: skip
MONEY = frozenset(
    (
        "spent",
        "cap",
        "cost_low",
        "cost_high",
        "changed_cost",
        "stale_cost",
        "other_models_cost",
        "cost",
        "forecast",
        "came_to",
        "saved",
    )
)
"""Fields that count 10⁻⁹ USD and are shown as exact decimal texts."""
WIDTH = 200
SHOWN = 5


# --------------------------------------------------------------------------------------- out of here


def safe(text: object, width: int | None = None) -> str:
    """Text that a terminal shows and does not obey: control and direction characters stand as escapes."""
    shown = "".join(c if c.isprintable() or c in " \n" else _escaped(c) for c in str(text))
    return shown if width is None or len(shown) <= width else shown[: width - 1] + "…"


def _escaped(character: str) -> str:
    code = ord(character)
    return "  " if character == "\t" else f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def line_of(value: object, width: int = 72) -> str:
    """A value on one line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return safe(" ".join(text.split()), width)


def out(lines: Iterable[str]) -> None:
    """Lines to stdout. A reader that left is no error of ours."""
    _write("".join(f"{line}\n" for line in lines))


def tell(lines: Iterable[str]) -> None:
    """Lines to stderr: progress, questions, errors."""
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.stderr.flush()


def document(
    schema: str,
    value: Any = None,
    *,
    code: int = 0,
    error: SeedbedError | None = None,
    next_: Sequence[str] = (),
    **more: Any,
) -> None:
    """The one JSON document of a command: its schema, its value, how it ended, what to do next."""
    body: dict[str, Any] = {"schema": f"seedbed/{schema}@1"}
    body["exit"] = {"code": code, "name": EXITS.get(code, "error")}
    plain = as_json(value)
    body.update(plain if isinstance(plain, dict) else {} if value is None else {"items": plain})
    body.update({name: as_json(each, name) for name, each in more.items()})
    if error is not None:
        body["error"] = as_json(error)
    if next_:
        body["next"] = list(next_)
    _write(json.dumps(body, ensure_ascii=False, indent=2) + "\n")


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # the rest goes nowhere; the work goes on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def as_json(value: Any, name: str = "") -> Any:
    """A value as plain JSON: money as decimal texts, unknown as null, errors as objects."""
    from seedbed.records import usd_exact

    if isinstance(value, SeedbedError):
        return {"name": value.name, "message": value.what, "why": value.why, "hint": value.hint}
    if is_dataclass(value) and not isinstance(value, type):
        own = {field.name: as_json(getattr(value, field.name), field.name) for field in fields(value)}
        return {key: each for key, each in own.items() if not key.startswith("_")}
    if isinstance(value, Mapping):
        return {str(key): as_json(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_json(each) for each in value]
    if name in MONEY and (value is None or (isinstance(value, int) and not isinstance(value, bool))):
        return usd_exact(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


# ------------------------------------------------------------------------------------------- errors


def error_lines(error: SeedbedError) -> list[str]:
    lines = [f"error: {safe(error.what)}"]
    if error.why:
        lines.append(f"  {safe(error.why)}")
    if error.hint:
        lines.append(f"  {safe(error.hint)}")
    return lines


def ending_lines(error: SeedbedError) -> list[str]:
    """How a run ended that did not finish; a pause and a stop are no errors."""
    from seedbed.errors import Pause, Stopped

    if not isinstance(error, Pause | Stopped):
        return error_lines(error)
    head = "paused: " if isinstance(error, Pause) else ""
    return [f"{head}{safe(error.what)}", *(f"  {safe(text)}" for text in (error.why, error.hint) if text)]


def after_error(error: SeedbedError) -> str:
    """What to do after a run that ended early."""
    from seedbed.errors import BudgetReached, GateError, Pause, Stopped

    if isinstance(error, GateError):
        return error.hint.rpartition(": ")[2]
    if isinstance(error, BudgetReached):
        return "the same command with a higher --budget goes on; nothing received is paid again"
    if isinstance(error, Pause | Stopped):
        return "the same command goes on; nothing received is paid again"
    return "mend what is said above, then the same command"


# ------------------------------------------------------------------------------------------ reports


def window_line(window: WindowReport) -> str:
    """How a usage window stands, and how long it will take."""
    words = [f"window {safe(window.name)}: {_amount(window.used, window.unit)} used"]
    if window.capacity is None:
        words.append("of a capacity that is not known yet")
    else:
        allowed = window.capacity if window.allowed is None else window.allowed
        about = "about " if window.learned else ""
        words.append(f"of {_amount(allowed)} ({window.share:.0%} of {about}{_amount(window.capacity)})")
    if window.closed:
        until = f" until {window.closed_until}" if window.closed_until else ""
        words.append(f"- {'switched off' if window.closed == 'off' else window.closed}{until}")
    if window.waves_left:
        until = f", done by {window.done_by[:10]}" if window.done_by else ""
        words.append(f"- {window.waves_left:,} more windows{until}")
    return " ".join(words)


def _amount(value: int, unit: str = "") -> str:
    from seedbed.records import usd

    return usd(value) if unit == "money" else f"{value:,} {unit}".rstrip()


def equation_lines(equations: Sequence[Equation]) -> list[str]:
    lines = []
    for equation in equations:
        lines.append(f"{equation.stage}: {equation.text()}")
        if equation.made:
            lines.append(f"{equation.stage}: {equation.made_text()}")
    return lines


def money_line(report: RunReport | GenerateReport, cap: int | None = None) -> str:
    from seedbed.records import usd

    usage = report.usage
    parts = [f"spent {usd(report.spent)}"]
    if cap is not None:
        parts.append(f"cap {usd(cap)}")
    parts.append(f"{report.calls:,} calls")
    cached = f" + {usage.cached:,} cached" if usage.cached else ""
    reasoning = f" ({usage.reasoning:,} of them reasoning)" if usage.reasoning else ""
    parts.append(f"tokens {usage.input:,}{cached} in, {usage.output:,} out{reasoning}")
    return "   ".join(parts)


def plan_line(plan: PlanReport, cap: int | None) -> str:
    """``120 items, 120 calls to openai/gpt-5-mini, $0.02 to $0.31, no cap``."""
    from seedbed.records import usd

    if plan.cost_low is None or plan.cost_high is None:
        cost = "price unknown"
    elif plan.cost_low == plan.cost_high:
        cost = usd(plan.cost_low)
    else:
        cost = f"{usd(plan.cost_low)} to {usd(plan.cost_high)}"
    calls = "" if plan.calls == plan.items else f"{plan.calls:,} calls, "
    return f"{plan.items:,} items, {calls}{plan.model}, {cost}, {f'cap {usd(cap)}' if cap is not None else 'no cap'}"


def forecast_line(told: Foretold) -> str:
    from seedbed.records import usd

    return (
        f"{told.stage}: after {told.measured:,} of {told.items:,} items {usd(told.cost_low)} to {usd(told.cost_high)}"
        f" was forecast; it came to {usd(told.came_to)}"
    )


def run_lines(report: RunReport) -> list[str]:
    """What a run came to. The same words with and without an early end."""
    lines = equation_lines(report.equations)
    for each in report.passes:
        lines.extend(upload_lines(each.uploaded, each.generated.stage))
        lines.extend(_trouble_lines(each.generated))
    if report.calls:
        lines.append(money_line(report, report.cap))
    lines += [forecast_line(each) for each in report.forecasts]
    lines += not_guaranteed(report.unbounded)
    if not lines and report.error is None:
        lines.append("Nothing is left to do.")
    return [*lines, *wrong_lines(report.wrong_rows)]


def generate_lines(report: GenerateReport) -> list[str]:
    lines = [*equation_lines(report.equations), *_trouble_lines(report)]
    if report.calls:
        lines.append(money_line(report))
    if not lines and report.error is None:
        lines.append(f"{report.stage}: nothing is left to do.")
    return lines


def _trouble_lines(report: GenerateReport) -> list[str]:
    lines = []
    if report.read_first:
        lines.append(f"{report.stage}: {report.read_first:,} answers were bought before and read now, paid once")
    if report.doubtful:
        lines.append(f"{report.stage}: {report.doubtful:,} calls of an earlier run are in doubt; asked again")
    if report.corrupt:
        lines.append(f"{report.stage}: {len(report.corrupt):,} receipts fail their checksum: {_some(report.corrupt)}")
    if report.diverged:
        lines.append(f"{report.stage}: {len(report.diverged):,} items ask otherwise now: {_some(report.diverged)}")
        lines.append("  what was bought for them is kept; ask them again with --redo-diverged")
    return lines


def not_guaranteed(models: Sequence[str]) -> list[str]:
    """What is said of models for which no cap is guaranteed."""
    return [f"not guaranteed: only a ceiling that was named bounds a call to {_some(models)}"] if models else []


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return safe(", ".join(names[:SHOWN])) + more


def upload_lines(report: UploadReport | None, stage: str) -> list[str]:
    if report is None or not (report.fates or report.made):
        return []
    counts = [f"{count:,} {fate}" for fate, count in sorted(report.fates.items())]
    made = [f"{count:,} rows {fate}" for fate, count in sorted(report.made.items())]
    verb = "would be" if report.dry_run else "uploaded"
    lines = [f"{stage}: {verb} {', '.join([*counts, *made])}" + (f"   {report.release}" if report.release else "")]
    for key, reason in report.left[:SHOWN]:
        lines.append(f"  left alone {safe(key, 40)}: {line_of(reason)}")
    if len(report.left) > SHOWN:
        lines.append(f"  and {len(report.left) - SHOWN:,} more")
    if report.dry_run:
        for key, before, after in report.examples:
            lines.append(f"  {safe(key, 60)}")
            lines.extend(f"    {safe(n)}: {line_of(before.get(n), 30)} -> {line_of(v)}" for n, v in after.items())
    if report.out:
        lines.append(f"  written to {safe(report.out)}")
    return lines


def drawn_line(sample: Drawn) -> str:
    """``a sample of 10 by seed 3: [7], [12], … ``."""
    few = "" if len(sample.keys) == sample.size else f", all there are: {len(sample.keys):,}"
    return f"  a sample of {sample.size:,} by seed {sample.seed}{few}: {_some(sample.keys) or 'none'}"


def wrong_lines(wrong: WrongRows | None) -> list[str]:
    if wrong is None:
        return []
    lines = [f"{safe(wrong.source)}: {wrong.count:,} rows cannot be read as rows of it and are left as they are"]
    lines += [f"  line {line:,}: {safe(reason)}" for line, reason in wrong.rows[:SHOWN]]
    more = wrong.count - min(SHOWN, len(wrong.rows))
    return [*lines, f"  and {more:,} more"] if more else lines


def preview_lines(report: GenerateReport, *, writes: str = "") -> list[str]:
    """A dry run: requests byte for byte (with control characters shown), and what would be written."""
    lines = [f"{report.stage}: {report.counted:,} items would be worked"]
    if report.sample is not None:
        lines.append(drawn_line(report.sample))
    lines += wrong_lines(report.wrong_rows)
    for preview in report.previews:
        lines += ["", f"{safe(preview.key, 60)} -> {safe(writes or preview.writes)}", safe(preview.request)]
    return [*lines, "", "Nothing was sent."]


def export_lines(report: ExportReport) -> list[str]:
    head = f"{report.stage}: {report.items:,} items " + ("would be exported" if report.dry_run else "exported")
    lines = [head + (f" as {report.round}" if report.round else "")]
    drawn = [drawn_line(report.drawn)] if report.drawn is not None else []
    if report.out:
        lines.append(f"  into {safe(report.out)}, a line each")
    return [*lines, *drawn, *(f"  {safe(key, 60)}" for key in report.sample[:SHOWN])]


def validate_lines(report: ValidateReport) -> list[str]:
    audit = report.audit
    lines = [
        f"{audit.stage}: {audit.rows:,} rows, {audit.missing:,} missing, {report.checked:,} accepted answers checked",
        *equation_lines(audit.equations),
    ]
    lines += [f"  {safe(code)}: {count:,}" for code, count in report.findings.items()]
    lines += [f"  {safe(code)} {safe(key, 40)}: {line_of(words)}" for code, key, words in report.examples[:SHOWN]]
    if report.sample:
        lines.append(f"A sample for you (seed {report.seed}):")
        lines += [f"  {safe(key, 40)}  {line_of(value, 100)}" for key, value in report.sample]
    return lines


def reread_lines(report: RereadReport) -> list[str]:
    if report.skipped:
        return [f"{report.stage}: an async function's calls are read again by running it; nothing was read here"]
    verb = "would change" if report.dry_run else "changed"
    count = sum(n for verdict, n in report.verdicts.items() if verdict in ("longer", "mended", "declined"))
    lines = [f"{report.stage}: {report.receipts:,} receipts read again, no call made; {count:,} outcomes {verb}"]
    if report.archived:
        lines.append(f"  {report.archived:,} answers are archived elsewhere; seedbed receipts import brings them back")
    lines += [f"  {verdict}: {n:,}" for verdict, n in sorted(report.verdicts.items(), key=lambda each: -each[1])]
    lines += [f"  {verdict} {safe(key, 40)}: {line_of(words)}" for verdict, key, words in report.examples[:SHOWN]]
    return lines


def _part(text: str) -> str:
    return line_of(text, 30) if text else "(nothing)"


def repair_lines(report: RepairReport) -> list[str]:
    verb = "would be" if report.dry_run else "were"
    lines = [f"{safe(report.source)}: {report.documents:,} documents, {len(report.edits):,} edits {verb} made"]
    lines += [
        f"  line {line} column {column} {kind}: {_part(removed)} → {_part(inserted)}"
        for line, column, kind, removed, inserted in report.edits[:SHOWN]
    ]
    lines += [f"  line {line} left as it is, {line_of(why)}" for line, why in report.declined[:SHOWN]]
    if not report.dry_run:
        lines.append(f"  written to {safe(report.out)}" + (f", backup {safe(report.backup)}" if report.backup else ""))
    return lines


def rollback_lines(report: RollbackReport) -> list[str]:
    verb = "would be" if report.dry_run else "were"
    lines = [
        f"{report.release} of {report.stage}: {report.restored:,} rows {verb} restored,"
        f" {report.deleted:,} made rows {verb} deleted"
    ]
    lines += [f"  left alone {safe(key, 40)}: {line_of(reason)}" for key, reason in report.left[:SHOWN]]
    if len(report.left) > SHOWN:
        lines.append(f"  and {len(report.left) - SHOWN:,} more")
    return lines
