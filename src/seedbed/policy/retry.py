"""What to do when a request did not end in an answer: ask again, give the item up, or stop the run.

    connect                  never sent            back off, up to ``max_tries``
    timeout, cut             perhaps paid          once more, in doubt; then failed
    408 409 5xx              not paid              back off, or as the provider says, up to ``max_tries``
    429                      slow down             as the provider says; never counts as a try
    429 402 403 400          no credit             stop: a pause
    401 403 407, 404, 3xx    key, model, address   stop: an error that a person mends
    400 413 422 …            the request itself    failed, or refused by policy

Pure: the only randomness comes in, and instants are read against the response's own Date header.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple

import jiter

from seedbed.errors import AuthError, ConfigError, LimitReached, SeedbedError
from seedbed.records import Finding

READ_OF_BODY = 2048


@dataclass(frozen=True, slots=True)
class Ended:
    """How a request ended: a trouble (``connect``, ``timeout``, ``cut``) with its words, or a status with its answer.

    Header names are lower case. Only the first 2 KB of ``body`` are read.
    """

    trouble: Literal["connect", "timeout", "cut"] | None = None
    message: str = ""
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Again:
    """Ask the same question after so many seconds. ``charged``: this request may have cost money.

    ``counts``: it was one of ``max_tries``. ``limited``: the provider said slow down; all that share the limit wait.
    """

    after: float
    reason: str
    charged: bool = False
    doubt: bool = False
    counts: bool = True
    limited: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The item ends in this state. ``charged``: this request may have cost money."""

    state: Literal["failed", "refused"]
    finding: Finding
    charged: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """The run ends here, all of it. ``after``: seconds until it may go on, where that is known."""

    error: SeedbedError
    after: float | None = None


Decision = Again | GiveUp | Stop


@dataclass(frozen=True, slots=True)
class History:
    """What happened to this call before."""

    tries: int = 0
    doubts: int = 0
    limited: int = 0

    def then(self, again: Again) -> History:
        if again.limited:
            return replace(self, limited=self.limited + 1)
        return replace(self, tries=self.tries + again.counts, doubts=self.doubts + again.doubt)


@dataclass(frozen=True, slots=True)
class Patience:
    max_tries: int = 6
    longest_wait: float = 900.0
    doubts: int = 1
    base: float = 0.5
    cap: float = 30.0


PATIENCE = Patience()


def back_off(number: int, random: Callable[[], float], patience: Patience = PATIENCE) -> float:
    """Full jitter: anything from 0 to ``base`` · 2ⁿ, at most ``cap``."""
    return random() * min(patience.cap, patience.base * 2.0 ** min(number, 32))


def decide(event: Ended, history: History, *, random: Callable[[], float], patience: Patience = PATIENCE) -> Decision:
    """Total: never raises."""
    if event.trouble == "connect":
        return _once_more(event.message or "no connection", "connect", None, history, random, patience)
    if event.trouble is not None:
        return _in_doubt(event.trouble, event.message, history, random, patience)
    said = _read(event.body)
    if event.status < 300:  # an answer that reading turned down is no case for this
        return GiveUp("failed", Finding("bad_request", f"status {event.status} is no end of a request"))
    if event.status < 400:
        return Stop(ConfigError(f"the endpoint answers with a redirect ({event.status})", hint="Check the base URL."))
    if said.no_credit(event.status):
        wait = retry_after(event.headers, event.body)
        return Stop(_paused("the account's credit is used up", said.shown(), event.headers, wait), wait)
    if event.status == 429:
        return _slow_down(event, said, history, random, patience)
    if event.status in (408, 409) or event.status >= 500:
        wait = retry_after(event.headers, event.body)
        return _once_more(f"status {event.status}", f"status_{event.status}", wait, history, random, patience, event)
    return _declined(event, said)


def _once_more(
    words: str,
    code: str,
    wait: float | None,
    history: History,
    random: Callable[[], float],
    patience: Patience,
    event: Ended | None = None,
) -> Decision:
    if history.tries + 1 >= patience.max_tries:
        shown = _read(event.body).shown() if event is not None else ""
        return GiveUp("failed", Finding(code, f"{words} {patience.max_tries} times{shown and ': '}{shown}"))
    if wait is not None and wait > patience.longest_wait:
        headers = event.headers if event is not None else {}
        return Stop(_paused("the provider asks for a long wait", words, headers, wait), wait)
    if wait is None:
        wait = back_off(history.tries, random, patience)
    return Again(wait, words)


def _in_doubt(kind: str, message: str, history: History, random: Callable[[], float], patience: Patience) -> Decision:
    words = message or ("no answer in time" if kind == "timeout" else "the answer was cut off")
    if history.doubts >= patience.doubts:
        finding = Finding("in_doubt_twice", f"twice no complete answer, each may have been paid: {_clean(words)}")
        return GiveUp("failed", finding, charged=True)
    return Again(back_off(history.tries, random, patience), words, charged=True, doubt=True, counts=False)


def _slow_down(
    event: Ended, said: _Said, history: History, random: Callable[[], float], patience: Patience
) -> Decision:
    wait = retry_after(event.headers, event.body)
    if said.too_long():  # one request over a limit by itself is never let in
        return GiveUp("failed", Finding("too_long", said.shown() or "the request is over the limit by itself"))
    if said.window():
        return Stop(_paused("the usage limit is reached", said.shown(), event.headers, wait), wait)
    if wait is not None and wait > patience.longest_wait:
        return Stop(_paused("the rate limit asks for a long wait", said.shown(), event.headers, wait), wait)
    if wait is None:
        wait = back_off(history.limited, random, patience)
    return Again(wait, "rate limit", counts=False, limited=True)


def _declined(event: Ended, said: _Said) -> Decision:
    words = said.shown()
    status = event.status
    if said.policy():
        return GiveUp("refused", Finding("refused", words or "the provider's filter declines the request"))
    if status in (401, 403, 407):
        what = "the proxy asks for a login" if status == 407 else f"the provider does not take the key ({status})"
        return Stop(AuthError(what, why=words, hint="Check the key with: seedbed doctor"))
    if status == 404:
        return Stop(ConfigError("the model or the endpoint is not found (404)", why=words, hint="Check both names."))
    if said.too_long():
        return GiveUp("failed", Finding("too_long", words or "the request is too long for the model"))
    return GiveUp("failed", Finding("bad_request", words or f"status {status}"))


def _paused(what: str, why: str, headers: Mapping[str, str], wait: float | None) -> LimitReached:
    if wait is None:
        return LimitReached(what, why=why, hint="The same command goes on when there is room again.")
    return LimitReached(f"{what}; it opens {_when(headers, wait)}", why=why, hint="The same command goes on then.")


def _when(headers: Mapping[str, str], wait: float) -> str:
    sent = _date(headers.get("date", ""))
    try:
        if sent is not None:
            return f"at {sent + timedelta(seconds=math.ceil(wait)):%Y-%m-%d %H:%M:%S} UTC"
    except OverflowError:
        pass
    if wait < 120:
        return f"in {math.ceil(wait)} s"
    minutes = math.ceil(wait / 60)
    return f"in {minutes} min" if minutes < 120 else f"in {minutes // 60} h {minutes % 60} min"


# ----------------------------------------------------------------------------- what the body says

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_KEY = re.compile(r"(?i)\b(?:sk|pk|rk|gsk|xai|key)[-_][\w*.-]{6,}|\bbearer\s+\S+|[\w*.-]*\*{3,}[\w*.-]*|\b[\w-]{28,}\b")
_CREDIT_CODES = re.compile(
    r"insufficient_quota|billing_hard_limit|billing_not_active|insufficient_(?:credit|balance|funds)|out_of_credit"
    r"|credit_balance|no_credit|payment_required",
    re.IGNORECASE,
)
_CREDIT_WORDS = re.compile(
    r"credit balance is too low|insufficient (?:credit|balance|funds|quota)|out of credits?|no credits?\b"
    r"|requires more credits|billing hard limit",
    re.IGNORECASE,
)
_WINDOW_CODES = re.compile(r"(?:usage|session|weekly|five_hour|plan|window)_limit", re.IGNORECASE)
_WINDOW_WORDS = re.compile(r"\b(?:usage|session|weekly|5-hour) limit\b", re.IGNORECASE)
_LONG = re.compile(
    r"context_length|context length|context window|string_above_max_length|prompt is too long|input is too long"
    r"|too many (?:input )?tokens|request too large for|maximum (?:input|prompt) length",
    re.IGNORECASE,
)
_POLICY = re.compile(r"content_policy|content_filter|content management policy|moderation|flagged", re.IGNORECASE)


class _Said(NamedTuple):
    """The provider's words: message, and the codes that stand around it."""

    message: str
    codes: str

    def shown(self) -> str:
        return _clean(self.message or self.codes)

    def no_credit(self, status: int) -> bool:
        if status == 402:
            return True
        if status not in (400, 403, 429):
            return False
        return bool(_CREDIT_CODES.search(self.codes) or _CREDIT_WORDS.search(self.message))

    def window(self) -> bool:
        return bool(_WINDOW_CODES.search(self.codes) or _WINDOW_WORDS.search(self.message))

    def too_long(self) -> bool:
        return bool(_LONG.search(self.codes) or _LONG.search(self.message))

    def policy(self) -> bool:
        return bool(_POLICY.search(self.codes) or _POLICY.search(self.message))


def _clean(text: str) -> str:
    """At most 200 characters, no control characters, nothing that looks like a key."""
    return _KEY.sub("…", _CONTROLS.sub(" ", text)).strip()[:200]


def _body(body: bytes) -> Any:
    try:
        return jiter.from_json(body[:READ_OF_BODY], partial_mode="trailing-strings")
    except ValueError:
        return None


def _error(found: Any) -> Any:
    if isinstance(found, list):
        found = found[0] if found else None
    return found.get("error", found) if isinstance(found, dict) else found


def _read(body: bytes) -> _Said:
    found = _body(body)
    error = _error(found)
    if isinstance(error, str):
        code = found.get("code") if isinstance(found, dict) else None
        return _Said(error, code if isinstance(code, str) else "")
    if isinstance(error, dict):
        message = error.get("message") or error.get("detail") or ""
        codes = " ".join(str(error[name]) for name in ("code", "type", "status") if isinstance(error.get(name), str))
        return _Said(message if isinstance(message, str) else str(message), codes)
    return _Said(body[:READ_OF_BODY].decode("utf-8", "replace"), "")


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
    sent = _date(headers.get("date", ""))
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
    return _positive(number) if number is not None else _duration(text) or _until(_date(text), sent)


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


def _date(text: str) -> datetime | None:
    """An HTTP date or an RFC 3339 instant, in UTC."""
    text = text.strip()
    if not 8 <= len(text) <= 64:
        return None
    try:
        moment = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
        return None


def _until(moment: datetime | None, sent: datetime | None) -> float | None:
    return None if moment is None or sent is None else _positive((moment - sent).total_seconds())


def _in_body(body: bytes, sent: datetime | None) -> float | None:
    if not body:
        return None
    error = _error(_body(body))
    if isinstance(error, dict):
        for name in ("resets_in_seconds", "retry_after", "retry_after_seconds"):
            wait = _figure(error.get(name), sent)
            if wait is not None:
                return wait
        for name in ("resets_at", "reset_at"):
            wait = _figure(error.get(name), sent, instant=True)
            if wait is not None:
                return wait
    found = _TRY_AGAIN.search(_worded(_read(body).message))
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
