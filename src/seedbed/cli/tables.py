"""What the looking verbs found, as lines for people and as plain values for ``--json``. It computes nothing.

Text of records and models goes through :func:`seedbed.cli.render.safe`: it is shown and never obeyed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seedbed.cli.render import (
    as_json,
    drawn_line,
    equation_lines,
    line_of,
    not_guaranteed,
    safe,
    window_line,
    wrong_lines,
)
from seedbed.records import usd, usd_exact

if TYPE_CHECKING:
    from seedbed.engine.keeping.carrying import Archived, Checked, Damaged, Size
    from seedbed.engine.keeping.redacting import Redaction
    from seedbed.engine.looks.audits import Audited
    from seedbed.engine.looks.books import Cost, Log, ReleaseFacts
    from seedbed.engine.looks.entries import Attempt, Bad, Entries, Entry, Record, Settlement
    from seedbed.engine.looks.following import Line
    from seedbed.engine.looks.till import HolderLine, TillReport
    from seedbed.engine.projects.origins import Configuration, Value
    from seedbed.engine.reports import AuditReport, Equation, PlanReport, StageStatus, StatusReport
    from seedbed.ports.receipts.compact import Compacted
    from seedbed.ports.state import Spending

LISTED = 10
NEVER = "Nothing was run here yet."


def table(head: Sequence[str], rows: Sequence[Sequence[object]], left: Sequence[int] = (0,)) -> list[str]:
    """Aligned columns; those whose place is not in ``left`` stand to the right."""
    cells = [[safe(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if n in left else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def data_json(value: Any) -> Any:
    """Data of the user's or of a model as plain JSON: its own names mean nothing to us."""
    return json.loads(json.dumps(value, ensure_ascii=False, default=str))


def next_lines(commands: Sequence[str]) -> list[str]:
    return [f"{'Next:  ' if n == 0 else '       '}{safe(command)}" for n, command in enumerate(commands)]


def counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {safe(name)}" for name, count in counts.items() if count) or "none"


def duration(seconds: float) -> str:
    from seedbed.cli.screen import duration as words

    return words(seconds)


def small(nano: int | None) -> str:
    """Money of a single call, which four decimals may not show."""
    return f"${usd_exact(nano)}" if nano and abs(nano) < 10_000_000 else usd(nano)


# --------------------------------------------------------------------------------------------- status


def status_json(report: StatusReport) -> dict[str, Any]:
    plain: dict[str, Any] = as_json(report)
    plain["doubtful"] = usd_exact(report.doubtful)
    plain["stages"] = [{**as_json(stage), "percent": stage.percent} for stage in report.stages]
    return plain


def pace_json(report: StatusReport | None) -> dict[str, Any] | None:
    """How fast a run went when it was last looked at; None where none was seen."""
    if report is None:
        return None
    return {"at": report.at, "per_minute": report.per_minute, "eta_seconds": report.eta_seconds}


def status_lines(report: StatusReport) -> list[str]:
    lines = table(
        ("stage", "done", "of", "%", "missing", "accepted", "not accepted", "to upload", "spent"),
        [_stage_row(stage) for stage in report.stages],
    )
    cap = f" of {usd(report.cap)}" if report.cap is not None else ""
    unknown = f", the price of {report.unknown_prices:,} calls unknown" if report.unknown_prices else ""
    lines += ["", f"spent {usd(report.spent)}{cap}{unknown}", *not_guaranteed(report.unbounded)]
    for stage in report.stages:
        lines += [f"{stage.stage}: {window_line(window)}" for window in stage.windows]
    if report.doubtful:
        lines.append(f"in doubt {usd(report.doubtful)}")
    if report.corrupt:
        lines.append(f"damaged receipts {report.corrupt:,}")
    lines += [_who_line(each) for each in report.running]
    if report.eta_seconds is not None:
        lines.append(f"about {duration(report.eta_seconds)} left at the rate of now, {report.per_minute:,.1f} a minute")
    if report.last is None:
        lines.append(NEVER)
    elif not report.running:
        lines.append(_last_line(report.last))
    lines += [_signature_line(signature) for signature in report.signatures]
    lines += [f"needs you: {safe(need)}" for need in report.needs]
    return lines


def _signature_line(signature: Mapping[str, Any]) -> str:
    items = f"{signature['used_items']:,}" + (f" of {signature['items']:,}" if signature["items"] is not None else "")
    money = usd(signature["spent"]) + (f" of {usd(signature['cap'])}" if signature["cap"] is not None else "")
    until = f", until {signature['until']}" if signature["until"] else ""
    who = f"{signature['stage']}: signed by {signature['name']} at {signature['at']}"
    return safe(f"{who}, {items} items and {money} used{until}")


def _stage_row(stage: StageStatus) -> tuple[str, ...]:
    accepted = stage.states.get("accepted", 0)
    other = sum(stage.states.values()) - accepted
    counts = (f"{n:,}" for n in (stage.missing, accepted, other, stage.waiting_upload))
    return (stage.stage, f"{stage.done:,}", f"{stage.total:,}", f"{stage.percent:.1f}", *counts, usd(stage.spent))


def _who_line(each: Mapping[str, Any]) -> str:
    what = " ".join(str(each[name]) for name in ("command", "target") if each.get(name))
    return safe(f"running: {what}, pid {each['pid']} on {each['host']}, since {each['since']}")


def _last_line(last: Mapping[str, Any]) -> str:
    message = f": {last['message']}" if last["message"] else ""
    return safe(f"last: {last['command']} {last['target']} {last['status']} {last['finished'] or ''}{message}")


def watch_line(report: StatusReport) -> str:
    """One line for a log."""
    parts = [
        f"{stage.stage} {stage.done:,}/{stage.total:,} {stage.percent:.1f}%"
        + (f" rejected={other:,}" if (other := sum(stage.states.values()) - stage.states.get("accepted", 0)) else "")
        for stage in report.stages
    ]
    eta = "" if report.eta_seconds is None else f"{_rate(report)}  left={duration(report.eta_seconds)}"
    return safe(f"{report.at}  {'  '.join(parts)}  spent={usd(report.spent)}{eta}")


def _rate(report: StatusReport) -> str:
    return "" if report.per_minute is None else f"  rate={report.per_minute:,.1f}/min"


# ----------------------------------------------------------------------------------------- audit, plan


def audit_json(found: Audited) -> dict[str, Any]:
    stages = [
        {**as_json(report), "equations": [_equation_json(equation) for equation in report.equations]}
        for report in found.reports
    ]
    for stage in stages:
        stage.pop("extra")
    return {"stages": stages, "extra": data_json(found.extra)}


def _equation_json(equation: Equation) -> dict[str, Any]:
    return {**as_json(equation), "balanced": equation.balanced, "problems": equation.problems}


def audit_lines(found: Audited) -> list[str]:
    lines: list[str] = []
    for report in found.reports:
        lines += [*_audit_lines(report), ""]
    return [*lines, *_extra_lines(found.extra)] if found.extra else lines[:-1]


def _audit_lines(report: AuditReport) -> list[str]:
    lines = [
        f"{safe(report.stage)}: {report.rows:,} rows in {safe(report.table)}, {report.eligible:,} eligible,"
        f" {report.missing:,} missing",
        f"  settled   {counted(report.settled)}",
        f"  uploaded  {counted(report.uploaded)}",
    ]
    if report.made:
        lines.append(f"  made      {report.made:,} rows")
    if report.changed or report.vanished:
        lines.append(
            f"  changed   {report.changed:,} since they were settled ({usd(report.changed_cost)} to do again),"
            f" {report.vanished:,} gone"
        )
    if report.stale:
        lines.append(f"  stale     {report.stale:,} of another recipe ({usd(report.stale_cost)} to do again)")
    if report.other_models:
        each = ", ".join(f"{count:,} by {safe(name, 60)}" for name, count in report.other_models.items())
        lines.append(
            f"  models    {each}; today it is {safe(report.model)} ({usd(report.other_models_cost)} to do again)"
        )
    if report.sample is not None:
        lines.append(drawn_line(report.sample))
    lines += [f"  {line}" for line in wrong_lines(report.wrong_rows)]
    if report.cleared:
        lines.append(f"  cleared   {', '.join(safe(key, 40) for key in report.cleared[:LISTED])}")
    lines.append(f"  spent     {usd(report.spent)}")
    if report.calls:
        lines.append(f"  to do     {report.calls:,} calls to {safe(report.model)}, {_range(report)}")
    lines += [f"  adds up   {line}" for line in equation_lines([e for e in report.equations if e.balanced])]
    for equation in report.equations:
        lines += [f"  DOES NOT ADD UP  {equation.round}: {safe(problem)}" for problem in equation.problems]
    return lines


def _range(report: AuditReport | PlanReport) -> str:
    if report.cost_low is None or report.cost_high is None:
        return "price unknown"
    same = report.cost_low == report.cost_high
    return usd(report.cost_low) if same else f"{usd(report.cost_low)} to {usd(report.cost_high)}"


def _extra_lines(extra: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, value in extra.items():
        if isinstance(value, Mapping) and isinstance(value.get("rows"), list):
            counts = {key: each for key, each in value.items() if key != "rows"}
            lines.append(f"{safe(name)}: {line_of(counts, 160)}")
            lines += [f"  {line_of(row, 160)}" for row in value["rows"][:LISTED]]
        elif isinstance(value, list):
            lines.append(f"{safe(name)}:")
            lines += [f"  {line_of(row, 160)}" for row in value]
        elif isinstance(value, Mapping) and any(isinstance(each, Mapping) for each in value.values()):
            lines.append(f"{safe(name)}:")
            lines += [f"  {safe(key)}: {line_of(each, 160)}" for key, each in value.items()]
        else:
            lines.append(f"{safe(name)}: {line_of(value, 160)}")
    return lines


def plan_json(reports: Sequence[PlanReport]) -> list[dict[str, Any]]:
    return [{**as_json(report), "price": price_json(report.price)} for report in reports]


def price_json(price: Mapping[str, Any] | None) -> Any:
    """Prices as decimal texts in USD: per million tokens, and per call."""
    if price is None:
        return None
    money = ("input", "cached_input", "output", "call")
    plain: dict[str, Any] = {n: usd_exact(each) if n in money else data_json(each) for n, each in price.items()}
    for kind, steps in price.get("tiers", {}).items():
        plain["tiers"][kind] = [[above, usd_exact(nano)] for above, nano in steps]
    return plain


def _plan_notes(report: PlanReport) -> list[str]:
    notes = []
    if report.items and report.measured:
        notes.append(f"cost measured on {report.measured:,} items of late, true in nine of ten cases")
    if report.items and report.seconds is not None:
        notes.append(f"about {duration(report.seconds)}; what decides it: {safe(report.pace)}")
    if report.windows is not None:
        notes.append(f"{report.windows:,} usage windows")
    if report.binds:
        notes.append(f"meets the {safe(report.binds)}")
    if report.model and not report.guaranteed:
        notes.append("no cap is guaranteed: nothing but a ceiling bounds a call")
    return [f"{safe(report.stage)}: {note}" for note in notes]


def plan_lines(reports: Sequence[PlanReport], cap: int | None) -> list[str]:
    rows = [
        (
            report.stage, f"{report.items:,}", f"{report.calls:,}", report.model or "no model",
            f"{report.tokens_in:,}", f"{report.tokens_out_low:,} to {report.tokens_out_high:,}", _range(report),
        )
        for report in reports
    ]  # fmt: skip
    lines = table(("stage", "to do", "calls", "model", "tokens in", "tokens out", "cost"), rows, left=(0, 3))
    lines += [line for report in reports for line in _plan_notes(report)]
    lines += [drawn_line(report.sample) for report in reports if report.sample is not None]
    return [*lines, "", "Nothing was sent.", f"cap {usd(cap)}" if cap is not None else "no cap"]


# -------------------------------------------------------------------------------------------- records


def entries_json(found: Entries) -> dict[str, Any]:
    return {"stage": found.stage, "records": [_entry_json(entry) for entry in found.entries], "more": found.more}


def _entry_json(entry: Entry) -> dict[str, Any]:
    from dataclasses import replace

    return {**as_json(replace(entry, output=None)), "output": data_json(entry.output)}


def entries_lines(found: Entries) -> list[str]:
    lines = []
    for entry in found.entries:
        fate = f"   {entry.fate}" if entry.fate else ""
        lines.append(f"{safe(entry.key, 60)}  {_state(entry)}{fate}  {_cost(entry)}".rstrip())
        lines += _value_lines(entry.output, "    ")
        lines += [f"    {safe(f.severity)} {safe(f.code)}: {line_of(f.message, 160)}" for f in entry.findings]
    if found.more:
        lines.append("… and more; see them with --limit N")
    return lines or [f"{safe(found.stage)} has no such record."]


def _state(entry: Entry) -> str:
    return f"{entry.state} ({safe(entry.reason)})" if entry.reason else entry.state


def _cost(entry: Entry) -> str:
    return "" if not entry.attempts else f"{entry.attempts} asked, {small(entry.cost)}"


def _value_lines(value: Any, indent: str) -> list[str]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [f"{indent}{safe(name)}: {line_of(each, 120)}" for name, each in value.items()]
    return [f"{indent}{line_of(value, 160)}"]


def record_json(found: Record) -> dict[str, Any]:
    return {
        "stage": found.stage,
        "key": found.key,
        "state": found.state,
        "row": data_json(dict(found.row)) if found.row is not None else None,
        "outcomes": [_settlement_json(each) for each in found.settlements],
        "attempts": [_attempt_json(each) for each in found.attempts],
    }


def _settlement_json(each: Settlement) -> dict[str, Any]:
    from dataclasses import replace

    from seedbed.engine.projects.project import utc_text

    outcome = each.outcome
    return {
        **as_json(replace(outcome, output=None, row={}, before={})),
        "output": data_json(outcome.output),
        "row": data_json(dict(outcome.row)),
        "before": data_json(dict(outcome.before)),
        "at": utc_text(outcome.at),
        "fate": each.fate,
        "fate_reason": each.fate_reason,
        "release": each.release,
        "approved": list(each.approved),
        "decision": None if each.decision is None else as_json(each.decision),
    }


def _attempt_json(each: Attempt) -> dict[str, Any]:
    plain: dict[str, Any] = as_json(each)
    plain["request"] = [{"role": role, "text": text} for role, text in each.request]
    plain["shape"] = data_json(each.shape)
    return plain


def record_lines(found: Record) -> list[str]:
    lines = [f"{safe(found.key)} of {safe(found.stage)}: {found.state}", "", "row"]
    lines += _value_lines(found.row, "  ") or ["  it is not in the corpus any more"]
    for number, attempt in enumerate(found.attempts, 1):
        lines += ["", *_attempt_lines(number, attempt)]
    for each in found.settlements:
        outcome = each.outcome
        lines += ["", f"outcome in {outcome.round}, run {outcome.run}: {outcome.state}, {small(outcome.cost)}"]
        lines += [f"  {f.severity} {safe(f.code)} {safe(f.field)}: {line_of(f.message, 200)}" for f in outcome.findings]
        lines += _value_lines(outcome.output, "  ")
        if each.approved:
            lines.append(f"  approved by {safe(', '.join(each.approved))}")
        if each.decision is not None:
            why = f": {safe(each.decision.reason)}" if each.decision.reason else ""
            lines.append(f"  {each.decision.verdict} by {safe(each.decision.reviewer)}{why}")
        if each.fate:
            lines.append(f"  {safe(each.fate)} {safe(each.fate_reason)} by {each.release}".replace("  by", " by"))
    return lines


def _attempt_lines(number: int, attempt: Attempt) -> list[str]:
    usage = attempt.usage
    tokens = f", {usage.input + usage.cached:,} in, {usage.output:,} out" if usage else ""
    shared = f", {attempt.shared} items together" if attempt.shared > 1 else ""
    served = f", served by {safe(attempt.served)}" if attempt.served else ""
    why = f" ({safe(attempt.why)})" if attempt.why else ""
    lines = [
        f"asked {number}: {attempt.at} {safe(attempt.asked)}{served}, {small(attempt.cost)}{tokens}{shared}",
        f"  {attempt.ending}{why}   intent {attempt.intent}, run {attempt.run}",
    ]
    for role, text in attempt.request:
        lines += [f"  {safe(role)}:", *(f"    {line}" for line in safe(text).split("\n"))]
    if attempt.answer is not None:
        lines += [f"  answer (status {attempt.status}):", *(f"    {line}" for line in safe(attempt.answer).split("\n"))]
    return lines


def key_line(key: str) -> str:
    """A key as one line of text that ``--ids -`` reads as the same key."""
    return key if key.isprintable() else json.dumps(json.loads(key), separators=(",", ":"))


def bad_lines(found: Bad) -> list[str]:
    if not found.groups:
        return ["Everything that was settled was accepted.", *_left_lines(found)]
    rows = [(g.stage, g.state, g.reason or "no code", f"{g.count:,}", safe(g.example, 40)) for g in found.groups]
    lines = table(("stage", "state", "reason", "items", "example"), rows, left=(0, 1, 2, 4))
    wide = [f"{line}  {line_of(g.message, 100)}".rstrip() for line, g in zip(lines[1:], found.groups, strict=True)]
    return [lines[0], *wide, *_left_lines(found)]


def _left_lines(found: Bad) -> list[str]:
    return [f"{safe(stage)}: accepted and not written: {counted(by)}" for stage, by in found.left_alone.items()]


# ---------------------------------------------------------------------------------------------- books


def spending_json(row: Spending) -> dict[str, Any]:
    usage = row.usage
    return {
        "calls": row.calls,
        "input": usage.input,
        "cached": usage.cached,
        "output": usage.output,
        "reasoning": usage.reasoning,
        "spent": usd_exact(row.nano),
        "doubtful": usd_exact(row.doubtful),
        "saved": usd_exact(row.saved),
        "unknown_prices": row.unknown,
    }


def cost_json(found: Cost) -> dict[str, Any]:
    return {
        "by": found.by,
        "rows": [{found.by: row.group[0], **spending_json(row)} for row in found.rows],
        "total": spending_json(found.total),
        "cap": usd_exact(found.cap),
        "unbounded": list(found.unbounded),
    }


def cost_lines(found: Cost) -> list[str]:
    counted_things = "items" if found.by == "state" else "calls"
    head = (
        found.by,
        counted_things,
        "input",
        "cached",
        "output",
        "reasoning",
        "spent",
        "in doubt",
        "saved",
        "price unknown",
    )
    rows = [(row.group[0] or "unknown", *_spending_row(row)) for row in found.rows]
    lines = table(head, [*rows, ("total", *_spending_row(found.total))])
    lines.append(f"cap of the project {usd(found.cap)}" if found.cap is not None else "no cap of the project")
    return [*lines, *not_guaranteed(found.unbounded)]


def _spending_row(row: Spending) -> tuple[str, ...]:
    usage = row.usage
    counts = (row.calls, usage.input, usage.cached, usage.output, usage.reasoning)
    return (*(f"{n:,}" for n in counts), usd(row.nano), usd(row.doubtful), usd(row.saved), f"{row.unknown:,}")


def till_json(found: TillReport) -> dict[str, Any]:
    caps = [
        {"name": c.name, "cap": usd_exact(c.cap), "spent": usd_exact(c.spent), "held": usd_exact(c.held),
         "left": usd_exact(c.left), "unknown_prices": c.unknown}
        for c in found.caps
    ]  # fmt: skip
    return {"caps": caps, "holders": [holder_json(each) for each in found.holders]}


def holder_json(each: HolderLine) -> dict[str, Any]:
    return {**as_json(each), "held": usd_exact(each.held)}


def till_lines(found: TillReport) -> list[str]:
    if not found.caps:
        lines = ["No cap is common to all processes. Set one in [budget]: day, project, or a stage's."]
    else:
        rows = [(safe(c.name), *map(usd, (c.cap, c.spent, c.held, c.left)), f"{c.unknown:,}") for c in found.caps]
        lines = table(("", "cap", "spent", "held", "left", "price unknown"), rows)
    return [*lines, *holder_lines(found.holders)]


def holder_lines(holders: Sequence[HolderLine]) -> list[str]:
    words: Mapping[bool | None, str] = {True: "works", False: "ended", None: "was heard of"}
    return [
        f"  {safe(each.holder)} holds {usd(each.held)}: {words[each.alive]}, pid {each.pid} on {safe(each.host)},"
        f" {safe(each.run) or 'no run'}, since {each.heard}"
        for each in holders
    ]


def page_lines(facts: Mapping[str, Any]) -> list[str]:
    """A run's page in short."""
    cost = "unknown" if facts["total_cost"] is None else f"${facts['total_cost']}"
    ended = facts["finished"] or "not ended"
    lines = [
        f"{safe(facts['job_type'])} {safe(facts['mode'])}: {facts['status']}   {safe(facts['run'])}",
        f"  {facts['started']} to {ended}   {facts['calls']:,} calls, {cost}, cap {facts['cap'] or 'none'}",
    ]
    if facts["message"]:
        lines.append(f"  {safe(facts['message'])}")
    lines += [f"  {safe(stage)}: {counted(counts)}" for stage, counts in facts["counts"].items()]
    lines += [
        f"  {safe(p['stage'])}: {p['count']:,} {safe(p['state'])} ({safe(p['reason'] or 'no code')}),"
        f" such as {safe(p['example'], 60)}"
        for p in facts["problems"]
    ]
    lines += [f"  time {safe(name)}: {seconds} s" for name, seconds in facts["phases"].items()]
    lines += [f"  left: {safe(line)}" for line in facts["left"]]
    return [*lines, f"page {safe(facts['page'])}" if facts["page"] else "it has no page yet"]


def releases_json(found: Sequence[ReleaseFacts]) -> list[dict[str, Any]]:
    from seedbed.engine.projects.project import utc_text

    return [
        {
            "id": each.release.id,
            "stage": each.release.stage,
            "table": each.release.table,
            "status": each.release.status,
            "run": each.release.run,
            "opened": utc_text(each.release.opened),
            "closed": utc_text(each.release.closed) if each.release.closed else None,
            "counts": dict(each.counts),
        }
        for each in found
    ]


def releases_lines(found: Sequence[ReleaseFacts]) -> list[str]:
    rows = [(r["id"], r["stage"], r["status"], r["opened"], counted(r["counts"])) for r in releases_json(found)]
    head = ("release", "stage", "status", "opened", "rows")
    return table(head, rows, left=range(5)) if rows else ["There is no release yet."]


def log_json(found: Log) -> dict[str, Any]:
    from seedbed.engine.projects.project import utc_text

    return {
        "index": found.index or None,
        "runs": [
            {
                "run": line.run.id,
                "command": line.run.command,
                "target": line.run.target,
                "status": line.run.status,
                "started": utc_text(line.run.started),
                "finished": utc_text(line.run.finished) if line.run.finished else None,
                "calls": line.calls,
                "spent": usd_exact(line.spent),
                "exit_code": line.run.exit_code,
                "message": line.run.message,
                "page": line.run.page or None,
            }
            for line in found.runs
        ],
    }


def log_lines(found: Log) -> list[str]:
    if not found.runs:
        return [NEVER]
    rows = [
        (r["started"], r["command"], r["target"], r["status"], f"{r['calls']:,}", usd(line.spent), r["page"] or "")
        for r, line in zip(log_json(found)["runs"], found.runs, strict=True)
    ]
    lines = table(("started", "job", "target", "status", "calls", "spent", "page"), rows, left=(0, 1, 2, 3, 6))
    return [*lines, *([f"index {safe(found.index)}"] if found.index else [])]


def followed_json(line: Line) -> dict[str, Any]:
    return {"stage": line.stage, "run": line.run, **_entry_json(line.entry)}


def followed_line(line: Line) -> str:
    entry = line.entry
    return f"{entry.at}  {safe(line.stage)}  {safe(key_line(entry.key))}  {_state(entry)}  {_cost(entry)}".rstrip()


# ------------------------------------------------------------------------------------ config, receipts


def config_lines(found: Configuration) -> list[str]:
    lines = [f"project {safe(found.root)}", f"corpus  {safe(found.corpus)}", ""]
    lines += table(
        ("setting", "value", "from"),
        [(value.name, _setting(value), value.origin) for value in found.values],
        left=(0, 1, 2),
    )
    lines.append("")
    lines += [
        f"key {safe(key.variable)} of {safe(key.provider)}: {f'in {safe(key.found)}' if key.found else 'not set'}"
        for key in found.keys
    ]
    return lines or ["no key is needed"]


def _setting(value: Value) -> str:
    if value.value is None:
        return ""
    if value.name.startswith("budget.") and isinstance(value.value, Mapping):
        return ", ".join(f"{safe(name)} {usd(cap)}" for name, cap in value.value.items())
    return usd(value.value) if _is_money(value) else line_of(value.value, 80)


def _is_money(value: Value) -> bool:
    return value.name.startswith("budget.") and isinstance(value.value, int)


def config_json(found: Configuration) -> dict[str, Any]:
    """Budgets as decimal texts, like all money."""
    plain: dict[str, Any] = as_json(found)
    for shown, value in zip(plain["values"], found.values, strict=True):
        if value.name.startswith("budget.") and isinstance(value.value, Mapping):
            shown["value"] = {name: usd_exact(cap) for name, cap in value.value.items()}
        elif _is_money(value):
            shown["value"] = usd_exact(value.value)
    return plain


def checked_json(found: Checked) -> dict[str, Any]:
    plain: dict[str, Any] = as_json(found.counts)
    plain["corrupt"] = [_damaged_json(each) for each in found.damaged]
    return plain


def _damaged_json(each: Damaged) -> dict[str, Any]:
    plain: dict[str, Any] = as_json(each)
    plain["price"] = usd_exact(each.price)
    return plain


def checked_lines(found: Checked) -> list[str]:
    counts = found.counts
    lines = [
        f"{counts.files:,} files, {counts.intents:,} intents, {counts.receipts:,} receipts of {counts.bytes:,} bytes",
        f"{counts.closed:,} closed without charge, {counts.doubtful:,} in doubt, {counts.open:,} open",
    ]
    if counts.redacted:
        lines.append(f"{counts.redacted:,} redacted")
    for each in found.damaged:
        keys = ", ".join(safe(key, 40) for key in each.keys[:LISTED]) or "keys unknown"
        kept = f", {len(each.accepted)} of its answers are kept" if each.accepted else ""
        lines.append(f"damaged: {safe(each.name)}  {safe(each.stage) or '?'}  {keys}  {small(each.price)}{kept}")
    return [*lines, f"{len(found.damaged):,} are damaged" if found.damaged else "All of them are whole."]


def size_lines(found: Size) -> list[str]:
    counts = found.counts
    return [
        f"{found.bytes:,} bytes in {counts.files:,} files, {counts.intents:,} intents, {counts.receipts:,} receipts"
    ]


def compacted_lines(found: Compacted) -> list[str]:
    if not found.merged:
        lines = ["Nothing to merge."]
    else:
        lines = [f"{found.merged:,} files merged into {safe(found.file)}, which holds {found.writers:,} writers"]
    return lines + [f"left as it is: {safe(name)} (in use, damaged or empty)" for name in found.left]


def archived_lines(found: Archived) -> list[str]:
    lines = ["Nothing to move."]
    if found.file:
        lines = [f"{found.intents:,} intents with {found.answers:,} answers moved to {safe(found.file)}"]
    if found.left:
        lines.append(f"{found.left:,} intents of before that day stay: what one process bought moves as a whole")
    return lines


def redaction_lines(found: Redaction) -> list[str]:
    verb = "would be" if found.dry_run else "were"
    lines = [
        f"{found.answers:,} answers and {found.intents:,} requests of the receipts {verb} redacted,",
        f"{found.outcomes:,} rows of the state, {found.worklists:,} of worklists, {found.logs:,} log files",
    ]
    if found.unread:
        lines.append(f"{found.unread:,} damaged records could not be looked at: seedbed receipts verify")
    return lines + [f"still holds the text: {safe(name)}" for name in found.left]
