"""What a provider says of its limits: when to come back, and what is left; in headers and in error bodies.

    x-ratelimit-limit-requests: 6000            OpenAI and those like it: durations ("6m0s", "20ms")
    x-ratelimit-remaining-tokens-minute: 912    others name the span too
    anthropic-ratelimit-input-tokens-reset      RFC 3339 instants
    retry-after, retry-after-ms                 seconds, a date, milliseconds
    {"error": {"details": [RetryInfo, QuotaFailure]}}    Gemini, in the body

Total: whatever comes, nothing is raised, and what makes no sense says nothing. Instants are read against
the response's own Date header, never against the clock of this machine. Header names are lower case.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import jiter

READ_OF_BODY = 2048

What = Literal["requests", "tokens", "input", "output"]
"""What a limit counts; ``input`` and ``output`` are tokens of one direction."""
Period = Literal["minute", "day"]


@dataclass(frozen=True, slots=True)
class Stated:
    """One limit as a provider states it; None is what it does not say.

    ``limit`` above 0, ``remaining`` from 0, ``reset`` in seconds after the response. ``period`` only where its
    name says so.
    """

    what: What
    period: Period | None = None
    limit: float | None = None
    remaining: float | None = None
    reset: float | None = None


def words_of(body: bytes) -> tuple[str, str]:
    """(message, the codes that stand around it) of an error body."""
    found = _json(body)
    error = _error(found)
    if isinstance(error, str):
        code = found.get("code") if isinstance(found, dict) else None
        return error, code if isinstance(code, str) else ""
    if isinstance(error, dict):
        message = error.get("message") or error.get("detail") or ""
        codes = " ".join(str(error[name]) for name in ("code", "type", "status") if isinstance(error.get(name), str))
        return message if isinstance(message, str) else str(message), codes
    return body[:READ_OF_BODY].decode("utf-8", "replace"), ""


def _json(body: bytes) -> Any:
    try:
        return jiter.from_json(body[:READ_OF_BODY], partial_mode="trailing-strings")
    except ValueError:
        return None


def _error(found: Any) -> Any:
    if isinstance(found, list):
        found = found[0] if found else None
    return found.get("error", found) if isinstance(found, dict) else found


# ------------------------------------------------------------------------------------ when to ask

_SECONDS = re.compile(r"\d{1,15}(?:\.\d{1,15})?", re.ASCII)
_UNIT = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(ms|us|µs|ns|s|m|h|d)", re.ASCII)
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TRY_AGAIN = re.compile(r"(?:try|retry)(?:ing)?(?: again)? (?:in|after) ([\dhmsdn.µu ]{1,40})", re.IGNORECASE)
_WORDED = (("minutes", "m"), ("minute", "m"), ("seconds", "s"), ("second", "s"), ("hours", "h"), ("hour", "h"))
_EPOCH = 1e9
_EPOCH_MS = 1e12


def retry_after(headers: Mapping[str, str], body: bytes = b"") -> float | None:
    """Seconds to wait as the provider states them; None when it says nothing that makes sense. Never raises.

    The most exact statement counts: ``retry-after-ms``, ``retry-after``, the body, then the reset of the
    limits that are used up. Instants count from the response's Date header; without one they say nothing.
    """
    sent = moment(headers.get("date", ""))
    for wait in (
        _milliseconds(headers.get("retry-after-ms", "")),
        _stated(headers.get("retry-after", ""), sent),
        _in_body(body, sent),
        _resets(headers, sent),
    ):
        if wait is not None:
            return wait
    return None


def _positive(seconds: float) -> float | None:
    return seconds if 0 < seconds < math.inf else None


def _number(text: str) -> float | None:
    return float(text) if _SECONDS.fullmatch(text) else None


def _milliseconds(text: str) -> float | None:
    number = _number(text.strip())
    return None if number is None else _positive(number / 1000)


def _stated(text: str, sent: datetime | None) -> float | None:
    """Seconds, a duration or a date."""
    number = _number(text.strip())
    return _positive(number) if number is not None else _duration(text) or _until(moment(text), sent)


def _reset(text: str, sent: datetime | None) -> float | None:
    """As ``_stated``; here a large number is an instant."""
    number = _number(text.strip())
    if number is None or number < _EPOCH:
        return _stated(text, sent)
    if sent is None:
        return None
    return _positive((number / 1000 if number >= _EPOCH_MS else number) - sent.timestamp())


def _duration(text: str) -> float | None:
    """``6m0s``, ``20ms``, ``1h2m3.5s``."""
    text = text.strip().replace(" ", "")
    total, at = 0.0, 0
    for part in _UNIT.finditer(text):
        if part.start() != at:
            return None
        total += float(part[1]) * _UNITS[part[2]]
        at = part.end()
    return _positive(total) if at and at == len(text) else None


def moment(text: str) -> datetime | None:
    """An HTTP date or an RFC 3339 instant, in UTC."""
    text = text.strip()
    if not 8 <= len(text) <= 64:
        return None
    try:
        found = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
        return None


def _until(then: datetime | None, sent: datetime | None) -> float | None:
    return None if then is None or sent is None else _positive((then - sent).total_seconds())


def _in_body(body: bytes, sent: datetime | None) -> float | None:
    if not body:
        return None
    error = _error(_json(body))
    if isinstance(error, dict):
        for name in ("resets_in_seconds", "retry_after", "retry_after_seconds"):
            wait = _figure(error.get(name), sent)
            if wait is not None:
                return wait
        for name in ("resets_at", "reset_at"):
            wait = _figure(error.get(name), sent, instant=True)
            if wait is not None:
                return wait
        for detail in _details(body):
            wait = _figure(detail.get("retryDelay"), sent)
            if wait is not None:
                return wait
    found = _TRY_AGAIN.search(_worded(words_of(body)[0]))
    if found is None:
        return None
    text = found[1].strip().rstrip(". ")
    duration = _duration(text)
    return duration if duration is not None else None


def _worded(text: str) -> str:
    for word, unit in _WORDED:
        text = re.sub(rf"(?<=\d) ?{word}\b", unit, text)
    return text


def _figure(value: Any, sent: datetime | None, *, instant: bool = False) -> float | None:
    if isinstance(value, str):
        return _reset(value, sent) if instant else _stated(value, sent)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e15:
        return None
    return _reset(f"{value:.3f}", sent) if instant else float(value)


_RESET = re.compile(r"x-ratelimit-reset(-[\w-]+)?|anthropic-ratelimit(-[\w-]+)-reset")


def _resets(headers: Mapping[str, str], sent: datetime | None) -> float | None:
    """The longest of the limits that are used up; of all, where none is said to be."""
    used_up: list[float] = []
    others: list[float] = []
    for name, value in headers.items():
        match = _RESET.fullmatch(name)
        if match is None:
            continue
        wait = _reset(value, sent)
        if wait is None:
            continue
        left = headers.get(name.replace("reset", "remaining"), "").strip()
        (used_up if left == "0" else others).append(wait)
    return max(used_up or others, default=None)


# ------------------------------------------------------------------------------------ what is left

_WHAT: Mapping[str, What] = {
    "": "requests",
    "requests": "requests",
    "tokens": "tokens",
    "input-tokens": "input",
    "output-tokens": "output",
}
_PERIOD: Mapping[str | None, Period] = {"minute": "minute", "day": "day"}
_OPENAI = re.compile(
    r"x-ratelimit-(?P<part>limit|remaining|reset)(?:-(?P<what>requests|tokens|input-tokens|output-tokens))?"
    r"(?:-(?P<period>minute|day))?"
)
_ANTHROPIC = re.compile(
    r"anthropic-ratelimit-(?P<what>requests|tokens|input-tokens|output-tokens)-(?P<part>limit|remaining|reset)"
)
_MOST = 1e12


def stated_limits(headers: Mapping[str, str], body: bytes = b"") -> list[Stated]:
    """Each limit of which the provider says anything. ``body`` only of an answer that declines the request."""
    found: dict[tuple[What, Period | None], dict[str, float]] = {}
    sent: datetime | None = None
    for name, value in headers.items():
        if "ratelimit" not in name:
            continue
        match = _OPENAI.fullmatch(name) or _ANTHROPIC.fullmatch(name)
        if match is None:
            continue
        groups = match.groupdict()
        place = _WHAT[groups["what"] or ""], _PERIOD.get(groups.get("period"))
        if groups["part"] == "reset":
            sent = sent or moment(headers.get("date", ""))
            figure = _reset(value, sent)
        else:
            figure = _figure_of(value, least=0 if groups["part"] == "remaining" else 1)
        if figure is not None:
            found.setdefault(place, {})[groups["part"]] = figure
    stated = [Stated(what, period, **said) for (what, period), said in found.items()]
    return stated + _quotas(body) if body else stated


def _figure_of(text: str, least: float) -> float | None:
    number = _number(text.strip())
    return number if number is not None and least <= number <= _MOST else None


def _quotas(body: bytes) -> list[Stated]:
    """The quotas that an error of Google's kind names: all of them are used up."""
    found = []
    for detail in _details(body):
        violations = detail.get("violations")
        for violation in violations if isinstance(violations, list) else ():
            if not isinstance(violation, dict):
                continue
            name = f"{violation.get('quotaId', '')} {violation.get('quotaMetric', '')}"
            low = name.lower()
            what: What = "requests" if "token" not in low else "input" if "input" in low else "tokens"
            period: Period | None = "day" if "PerDay" in name else "minute" if "PerMinute" in name else None
            value = violation.get("quotaValue")
            limit = _figure_of(value, least=1) if isinstance(value, str) else None
            found.append(Stated(what, period, limit, 0.0))
    return found


def _details(body: bytes) -> list[dict[str, Any]]:
    error = _error(_json(body))
    details = error.get("details") if isinstance(error, dict) else None
    return [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []
