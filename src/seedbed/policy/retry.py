"""What to do when a request did not end in an answer: ask again, give the item up, or stop the run.

    connect                  never sent            back off, up to ``max_tries``
    timeout, cut, failed     perhaps paid          once more, in doubt; then failed
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
from datetime import timedelta
from typing import Literal, NamedTuple

from seedbed.errors import AuthError, ConfigError, LimitReached, SeedbedError
from seedbed.policy.headers import moment, retry_after, stated_limits, words_of
from seedbed.records import Finding


@dataclass(frozen=True, slots=True)
class Ended:
    """How a request ended: a trouble (``connect``, ``timeout``, …) with its words, or a status with its answer.

    Header names are lower case. Only the first 2 KB of ``body`` are read.
    """

    trouble: Literal["connect", "timeout", "cut", "failed"] | None = None
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


Closes = Literal["key refused", "no credit", "usage limit", "long wait"]


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more can be asked. ``after``: seconds until it may go on, where that is known.

    ``closes`` says that the key is at an end, and why: where the account has other keys, those go on. Without it
    the run ends, all of it.
    """

    error: SeedbedError
    after: float | None = None
    closes: Closes | None = None


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
        what = "the account's credit is used up"
        return Stop(_paused(what, said.shown(), event.headers, wait, window=False), wait, "no credit")
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
        return Stop(_paused("the provider asks for a long wait", words, headers, wait), wait, "long wait")
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
        return Stop(_paused("the usage limit is reached", said.shown(), event.headers, wait), wait, "usage limit")
    for each in stated_limits(event.headers, event.body):
        if each.period == "day" and each.remaining == 0:
            # the wait of such an answer is often that of a minute's limit: only the day's own reset counts
            what = "the day's quota is used up"
            return Stop(_paused(what, said.shown(), event.headers, each.reset), each.reset, "usage limit")
    if wait is not None and wait > patience.longest_wait:
        what = "the rate limit asks for a long wait"
        return Stop(_paused(what, said.shown(), event.headers, wait), wait, "long wait")
    if wait is None:
        wait = back_off(history.limited, random, patience)
    return Again(wait, "rate limit", counts=False, limited=True)


def _declined(event: Ended, said: _Said) -> Decision:
    words = said.shown()
    status = event.status
    if said.policy():
        return GiveUp("refused", Finding("refused", words or "the provider's filter declines the request"))
    if "login_expired" in said.codes:
        hint = "Then run the same command again; nothing was charged."
        return Stop(AuthError(f"{words}.", hint=hint), closes="key refused")
    if status in (401, 403, 407):
        what = "the proxy asks for a login" if status == 407 else f"the provider does not take the key ({status})"
        error = AuthError(what, why=words, hint="Check the key with: seedbed doctor")
        return Stop(error, closes="key refused" if status != 407 else None)
    if status == 404:
        return Stop(ConfigError("the model or the endpoint is not found (404)", why=words, hint="Check both names."))
    if said.too_long():
        return GiveUp("failed", Finding("too_long", words or "the request is too long for the model"))
    return GiveUp("failed", Finding("bad_request", words or f"status {status}"))


def _paused(
    what: str, why: str, headers: Mapping[str, str], wait: float | None, *, window: bool = True
) -> LimitReached:
    if wait is None:
        return LimitReached(what, why=why, hint="The same command goes on when there is room again.", window=window)
    what = f"{what}; it opens {_when(headers, wait)}"
    return LimitReached(what, why=why, hint="The same command goes on then.", window=window, after=wait)


def _when(headers: Mapping[str, str], wait: float) -> str:
    sent = moment(headers.get("date", ""))
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


def _read(body: bytes) -> _Said:
    return _Said(*words_of(body))
