"""Decides what each call gets, before a byte is written: no sockets here."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from seedbed.simulator import refusals
from seedbed.simulator.answers import Rule, answer, load_rules
from seedbed.simulator.calls import Call, tokens
from seedbed.simulator.completions import Completion, message
from seedbed.simulator.config import Settings
from seedbed.simulator.faults import STATUS_FAULTS, STREAM_FAULTS, FaultRule, Script
from seedbed.simulator.groups import group_keys, sections
from seedbed.simulator.ledger import Entry, Ledger
from seedbed.simulator.limits import Clock, Limiter, Usage, retry_after
from seedbed.simulator.names import Names
from seedbed.simulator.prefixes import Prefixes
from seedbed.simulator.refusals import Refusal

_NOT_IN_STREAMS = frozenset({"not_json_body", "gzip_bomb"})
_LONG_WAIT = 3600.0


@dataclass(slots=True)
class Places:
    """What one answer holds of the usage windows until it is known to have arrived."""

    held: list[tuple[Usage, int]]

    def give_back(self) -> None:
        for usage, span in self.held:
            usage.give_back(span)


class Desk:
    def __init__(
        self, settings: Settings, ledger: Ledger, clock: Clock = time.monotonic, wall: Clock = time.time
    ) -> None:
        self.ledger = ledger
        self._clock = clock
        self._wall = wall
        self._fingerprints: dict[str, str] = {}
        self._last_content = ""
        self._prefixes = Prefixes()
        self.settings = Settings()
        self.configure(settings.to_json())

    def configure(self, options: Mapping[str, Any]) -> None:
        """Takes new settings; the counts and levels of those that are named start anew."""
        new = self.settings.changed(options)
        rules = tuple(rule for module in new.rules for rule in load_rules(module))
        names = Names(new.names, new.items_regex)
        self.settings = new
        self._rules: tuple[Rule, ...] = rules
        self._names = names
        if {"rpm", "tpm", "rate_style", "rate_seconds", "key_limits"} & options.keys():
            self._limiter = self._limited(new.rpm, new.tpm)
            self._of_key = {
                key: self._limited(each.get("rpm"), each.get("tpm")) for key, each in new.key_limits.items()
            }
        if "windows" in options:
            self._usages = [Usage(window, self._clock) for window in new.windows]
        if {"faults", "rates", "seed"} & options.keys():
            self._script = Script(new.faults, new.rates, new.seed)

    def _limited(self, rpm: float | None, tpm: float | None) -> Limiter:
        settings = self.settings
        return Limiter(rpm, tpm, self._clock, style=settings.rate_style, seconds=settings.rate_seconds)

    def limiter(self, authorization: str | None) -> Limiter:
        """That of the key, where it has one of its own."""
        return self._of_key.get(_key(authorization) or "", self._limiter)

    def accounts(self) -> dict[str, dict[str, float | None]]:
        """What was granted and refused by each limit: "all", and keys by their fingerprints."""
        found = {sha256(key.encode()).hexdigest()[:8]: each.account() for key, each in self._of_key.items()}
        return {"all": self._limiter.account(), **found}

    def reset_accounts(self) -> None:
        for each in (self._limiter, *self._of_key.values()):
            each.reset_account()

    def open(self, path: str, call: Call, authorization: str | None) -> Entry:
        fingerprint = self._fingerprint(authorization)
        return self.ledger.open(path, call.model, fingerprint, call.digest, self._items(call))

    def gate(self, call: Call, entry: Entry, authorization: str | None) -> Refusal | None:
        """Key, model and limits; a refused request uses up nothing of the script or of a limit."""
        settings = self.settings
        key = _key(authorization)
        if (settings.require_key and key not in settings.require_key) or key in settings.dead_keys:
            return refusals.BAD_KEY
        if key in settings.empty_keys:
            return refusals.NO_CREDIT
        if settings.models and call.model not in settings.models:
            return refusals.unknown_model(call.model)
        if settings.concurrency_limit is not None and entry.in_flight > settings.concurrency_limit:
            return refusals.slow_down(settings.retry_after)
        wait = self.limiter(authorization).admit(tokens(call.chars))
        return refusals.slow_down(wait) if wait else None

    def fault(self, call: Call, entry: Entry) -> FaultRule | None:
        unfit = (_NOT_IN_STREAMS if call.stream else STREAM_FAULTS) | (
            frozenset() if call.schema_sent else {"schema_refused"}
        )
        chosen = self._script.pick(call.prompt, entry.items, call.digest, unfit)
        entry.fault = chosen.fault if chosen else None
        return chosen

    def refusal_of(self, fault: FaultRule) -> Refusal | None:
        if fault.fault not in STATUS_FAULTS:
            return None
        if fault.fault == "rate_limit":
            return refusals.slow_down(self.settings.retry_after if fault.seconds is None else fault.seconds)
        if fault.fault == "session_limit":
            wait = _LONG_WAIT if fault.seconds is None else fault.seconds
            return refusals.usage_limit(wait, self._wall())
        return refusals.BY_FAULT[fault.fault]

    def enter_windows(self) -> Refusal | Places:
        for usage in self._usages:
            wait = usage.wait()
            if wait:
                if usage.window.kind == "insufficient_quota":
                    return refusals.NO_CREDIT
                return refusals.usage_limit(wait, self._wall())
        return Places([(usage, usage.take()) for usage in self._usages])

    def headers(self, entry: Entry, authorization: str | None, refusal: Refusal | None = None) -> dict[str, str]:
        limits = self.limiter(authorization).headers(self.settings.header_style, self._wall)
        found = {"x-request-id": f"req_{entry.seq}", **limits}
        if refusal is not None and refusal.wait is not None and self.settings.header_style != "gemini":
            found.update(retry_after(refusal.wait, self.settings.retry_after_format, self._wall))
        return found

    def words(self, refusal: Refusal) -> bytes:
        """The body of a refusal."""
        if refusal.code == "rate_limit_exceeded" and self.settings.header_style == "gemini":
            return refusals.quota(refusal)
        return refusal.body()

    def complete(self, call: Call, entry: Entry, fault: FaultRule | None, authorization: str | None) -> Completion:
        said = message(self._content(call, fault), call, fault)
        entry.input_tokens = tokens(call.chars)
        entry.cached_tokens = self._prefixes.cached(call.prompt) if self.settings.prompt_cache else 0
        entry.output_tokens = said.output_tokens()
        self.limiter(authorization).charge(entry.output_tokens)
        model = call.model or "stand-in"
        if fault is not None and fault.fault == "wrong_model":
            model = f"{model}-other"
        return Completion(entry.seq, int(self._wall()), model, said, _usage(entry))

    def _content(self, call: Call, fault: FaultRule | None) -> str:
        content = answer(call.prompt, call.shape, rules=self._rules, seed=self.settings.seed)
        if fault is not None and fault.fault == "swapped":
            return self._last_content or content
        self._last_content = content
        return content

    def _items(self, call: Call) -> list[str]:
        if not self._names:
            return []
        keys = group_keys(call.shape) if call.shape else ()
        texts = sections(call.prompt, keys).by_key.values() if keys else (call.prompt,)
        found = (self._names.find(text) for text in texts)
        return list(dict.fromkeys(name for name in found if name))

    def _fingerprint(self, authorization: str | None) -> str | None:
        key = _key(authorization)
        if key is None:
            return None
        if key not in self._fingerprints:
            self._fingerprints[key] = sha256(key.encode()).hexdigest()[:8]
        return self._fingerprints[key]


def _key(authorization: str | None) -> str | None:
    if not authorization:
        return None
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key.strip() else None


def _usage(entry: Entry) -> dict[str, object]:
    return {
        "prompt_tokens": entry.input_tokens,
        "completion_tokens": entry.output_tokens,
        "total_tokens": entry.input_tokens + entry.output_tokens,
        "prompt_tokens_details": {"cached_tokens": entry.cached_tokens},
    }
