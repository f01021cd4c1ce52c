"""The settings of the recipe, as they stand in the project file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from seedbed import errors
from seedbed.recipes.facts.checks import STYLES

RICHNESS = ("low", "medium", "high")


@dataclass(frozen=True)
class Settings:
    """depth: how far from a seeded entry spin-offs are exploded. difficulty: 1 to 5; 0 spreads over all.
    styles: codes. facts_per_entry: by richness. topics: a disabled one is not sent to a model.
    """

    depth: int = 2
    difficulty: int = 1
    styles: tuple[str, ...] = tuple(STYLES)
    facts_per_entry: Mapping[str, int] = field(default_factory=lambda: {"low": 3, "medium": 5, "high": 8})
    topics: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Settings:
        """Raises ConfigError with the nearest name, or with what is allowed."""
        known = [each.name for each in fields(cls)]
        _all_known("setting", given, known)
        default = cls()
        return cls(
            depth=_whole("depth", given.get("depth", default.depth), 0, 20),
            difficulty=_whole("difficulty", given.get("difficulty", default.difficulty), 0, 5),
            styles=_styles(given.get("styles", default.styles)),
            facts_per_entry=_per_entry(given.get("facts_per_entry", {}), default.facts_per_entry),
            topics=_topics(given.get("topics", {})),
        )

    @property
    def disabled(self) -> list[str]:
        return sorted(slug for slug, topic in self.topics.items() if not topic.get("enabled", True))

    @property
    def style_names(self) -> list[str]:
        return [STYLES[code] for code in self.styles]

    @property
    def challenges_stage(self) -> str:
        """Outcomes are kept per stage name, so that other levels and styles have a name of their own."""
        level = "" if self.difficulty == 1 else f".d{self.difficulty}"
        chosen = "" if self.styles == tuple(STYLES) else f".{'-'.join(self.styles)}"
        return f"facts.challenges{level}{chosen}"


def _all_known(what: str, given: Mapping[str, Any], known: list[str]) -> None:
    for name in given:
        if name not in known:
            raise errors.ConfigError(f"the facts recipe has no {what} {name!r}", hint=errors.nearest(str(name), known))


def _table(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise errors.ConfigError(f"{name} is a table of settings; {value!r} is none")
    return value


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise errors.ConfigError(f"{name} is a whole number from {low} to {high}; it is {value!r}")
    return value


def _styles(value: Any) -> tuple[str, ...]:
    codes = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(codes, list | tuple) or not codes:
        raise errors.ConfigError(f"styles is a list of codes; it is {value!r}", hint=f"known: {', '.join(STYLES)}")
    for code in codes:
        if code not in STYLES:
            named = ", ".join(f"{each} ({name})" for each, name in STYLES.items())
            raise errors.ConfigError(f"there is no style {code!r}", hint=f"known: {named}")
    return tuple(code for code in STYLES if code in codes)


def _per_entry(value: Any, default: Mapping[str, int]) -> dict[str, int]:
    given = _table("facts_per_entry", value)
    _all_known("richness", given, list(RICHNESS))
    return {name: _whole(f"facts_per_entry.{name}", given.get(name, default[name]), 1, 100) for name in RICHNESS}


def _topics(value: Any) -> dict[str, Mapping[str, bool]]:
    topics: dict[str, Mapping[str, bool]] = {}
    for slug, given in _table("topics", value).items():
        topic = _table(f"topics.{slug}", given)
        _all_known(f"setting of topic {slug}:", topic, ["enabled"])
        if not isinstance(topic.get("enabled", True), bool):
            raise errors.ConfigError(f"topics.{slug}.enabled is true or false; it is {topic['enabled']!r}")
        topics[str(slug)] = topic
    return topics
