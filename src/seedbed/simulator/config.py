"""All options of the simulator, and how they are read from JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeVar

from seedbed.simulator.faults import FaultRule, known
from seedbed.simulator.limits import HEADER_STYLES, RATE_STYLES, RETRY_AFTER_FORMATS, Window

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Settings:
    """How the server behaves; where it listens and writes is not part of it.

    latency_ms      median time to an answer; `latency_sigma` above 0 makes it lognormal, seeded by prompt
    rules           dotted paths of modules with RULES for the stand-in's answers
    models          the models that exist; empty: any
    require_key     the bearer tokens that are let in; empty: any, or none
    dead_keys       bearer tokens that are refused (401)
    empty_keys      bearer tokens without credit (429, insufficient_quota)
    rpm, tpm        requests and tokens a minute
    rate_style      "bucket": a burst of one second and continuous refill; "fixed": all of it in each `rate_seconds`
    key_limits      rpm and tpm of single bearer tokens, which then have limits of their own
    header_style    how limits are told: "openai", "anthropic", "gemini" (in the body), "none", "nonsense"
    windows         usage windows: so many complete answers, then 429 until the reset
    retry_after     seconds that the `rate_limit` fault states, unless its rule has its own
    items_regex     its first group, found in the prompt, names the item in the ledger; else `names` are tried
    prompt_cache    count prefixes of 1,024 tokens and more that were seen before as cached
    drain_seconds   how long a stopping server waits for the answers that are under way
    """

    seed: int = 0
    latency_ms: float = 0.0
    latency_sigma: float = 0.0
    rules: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    require_key: tuple[str, ...] = ()
    dead_keys: tuple[str, ...] = ()
    empty_keys: tuple[str, ...] = ()
    rpm: float | None = None
    tpm: float | None = None
    rate_style: str = "bucket"
    rate_seconds: float = 60.0
    key_limits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    header_style: str = "openai"
    windows: tuple[Window, ...] = ()
    concurrency_limit: int | None = None
    faults: tuple[FaultRule, ...] = ()
    rates: Mapping[str, float] = field(default_factory=dict)
    retry_after: float = 1.0
    retry_after_format: str = "both"
    items_regex: str | None = None
    names: tuple[str, ...] = ()
    prompt_cache: bool = True
    chunk_chars: int = 16
    drain_seconds: float = 2.0

    def __post_init__(self) -> None:
        for name, known_ones in (
            ("retry_after_format", RETRY_AFTER_FORMATS),
            ("rate_style", RATE_STYLES),
            ("header_style", HEADER_STYLES),
        ):
            if getattr(self, name) not in known_ones:
                raise ValueError(f"{name}: must be one of {', '.join(known_ones)}")
        for name in ("rpm", "tpm", "rate_seconds", "concurrency_limit", "chunk_chars"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name}: must be above 0")
        for fault in self.rates:
            known(fault)
        if self.items_regex is not None:
            try:
                re.compile(self.items_regex)
            except re.error as error:
                raise ValueError(f"items_regex: {self.items_regex!r} is not a pattern: {error}") from None

    @classmethod
    def from_json(cls, options: Mapping[str, Any]) -> Settings:
        return cls().changed(options)

    def changed(self, options: Mapping[str, Any]) -> Settings:
        """These settings with some replaced; an unknown name is refused."""
        _refuse_unknown(options, cls=Settings, where="settings")
        return replace(self, **{name: _READERS[name](name, value) for name, value in options.items()})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _refuse_unknown(options: Mapping[str, Any], *, cls: type[Any], where: str) -> None:
    names = [each.name for each in fields(cls)]
    unknown = [name for name in options if name not in names]
    if unknown:
        raise ValueError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(names)}")


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name}: must be a number, not {value!r}")
    return value


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name}: must be a whole number, not {value!r}")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name}: must be true or false, not {value!r}")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name}: must be text, not {value!r}")
    return value


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name}: must be a list of texts, not {value!r}")
    return tuple(_text(name, each) for each in value)


def _optional(read: Callable[[str, Any], _T]) -> Callable[[str, Any], _T | None]:
    return lambda name, value: None if value is None else read(name, value)


def _records(cls: type[_T]) -> Callable[[str, Any], tuple[_T, ...]]:
    def read(name: str, value: Any) -> tuple[_T, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{name}: must be a list, not {value!r}")
        return tuple(each if isinstance(each, cls) else _record(cls, name, each) for each in value)

    return read


def _record(cls: type[_T], name: str, value: Any) -> _T:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: each must be an object, not {value!r}")
    _refuse_unknown(value, cls=cls, where=name)
    try:
        return cls(**value)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None


def _rates(name: str, value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: must be an object of fault names and rates, not {value!r}")
    return {known(fault): _number(f"{name}.{fault}", rate) for fault, rate in value.items()}


def _key_limits(name: str, value: Any) -> dict[str, dict[str, float]]:
    if not isinstance(value, Mapping) or not all(isinstance(each, Mapping) for each in value.values()):
        raise ValueError(f"{name}: must be an object of keys, each with rpm or tpm")
    found: dict[str, dict[str, float]] = {}
    for key, limits in value.items():
        wrong = [each for each in limits if each not in ("rpm", "tpm")]
        if wrong:
            raise ValueError(f"{name}: unknown {', '.join(wrong)}; known are rpm, tpm")
        found[key] = {each: _number(f"{name}.{each}", figure) for each, figure in limits.items()}
    return found


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "seed": _integer,
    "latency_ms": _number,
    "latency_sigma": _number,
    "rules": _texts,
    "models": _texts,
    "require_key": _texts,
    "dead_keys": _texts,
    "empty_keys": _texts,
    "rate_style": _text,
    "rate_seconds": _number,
    "key_limits": _key_limits,
    "header_style": _text,
    "rpm": _optional(_number),
    "tpm": _optional(_number),
    "windows": _records(Window),
    "concurrency_limit": _optional(_integer),
    "faults": _records(FaultRule),
    "rates": _rates,
    "retry_after": _number,
    "retry_after_format": _text,
    "items_regex": _optional(_text),
    "names": _texts,
    "prompt_cache": _flag,
    "chunk_chars": _integer,
    "drain_seconds": _number,
}
