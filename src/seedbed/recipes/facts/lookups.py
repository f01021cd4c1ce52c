"""What a prompt or a check is shown beside its item. Frozen per round, outside of the fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from seedbed import Item, Lookup
from seedbed.recipes.facts.rows import levels
from seedbed.recipes.facts.texts import as_object

TITLES_SHOWN = 50


def existing_titles(lookup: Lookup, entry: Item) -> list[str]:
    """Up to 50 titles that the topic has already."""
    found = lookup.rows("facts", {"topic": entry["topic"]}, columns=["title"], order="id", limit=TITLES_SHOWN)
    return [row["title"] for row in found]


def about_topic(lookup: Lookup, entry: Item) -> dict[str, Any]:
    """The topic's name and keys, and the topics that a spin-off may belong to: its own, its sisters, its children."""
    topic = topic_or_name(lookup, entry)
    near = lookup.rows("topics", {"parent": entry["topic"]}, columns=["id"], order="id")
    if topic["parent"]:
        near += lookup.rows("topics", {"parent": topic["parent"]}, columns=["id"], order="id")
    names = dict.fromkeys([entry["topic"], *(row["id"] for row in near)])
    return {"name": topic["name"], "fact_keys": topic["fact_keys"], "topics": list(names)}


def topic_of(lookup: Lookup, item: Item) -> dict[str, Any] | None:
    """Name, typed keys and parent of the item's topic; None where it does not exist."""
    found = lookup.rows("topics", {"id": item["topic"]}, columns=["name", "parent", "fact_keys"], limit=1)
    if not found:
        return None
    return {"name": found[0]["name"], "fact_keys": as_object(found[0]["fact_keys"]), "parent": found[0]["parent"]}


def topic_or_name(lookup: Lookup, item: Item) -> dict[str, Any]:
    """The same, and for a topic that does not exist its name and no keys."""
    return topic_of(lookup, item) or {"name": item["topic"], "fact_keys": {}, "parent": None}


def name_of_entry(lookup: Lookup, fact: Item) -> str | None:
    found = entry_of(lookup, fact)
    return None if found is None else str(found["name"])


def origin_of(lookup: Lookup, entry: Item) -> dict[str, Any] | None:
    """The entry in whose explosion a spin-off was found, with what is known of it."""
    return _entry(lookup, entry["parent"])


def entry_of(lookup: Lookup, fact: Item) -> dict[str, Any] | None:
    """The entry that a fact is about, with what was known of it before any model was asked."""
    return _entry(lookup, fact["entry"])


def _entry(lookup: Lookup, entry_id: Any) -> dict[str, Any] | None:
    if entry_id is None:
        return None
    found = lookup.rows("entries", {"id": entry_id}, columns=["name", "data"], limit=1)
    return {"name": found[0]["name"], "data": as_object(found[0]["data"])} if found else None


def other_facts(lookup: Lookup, fact: Item) -> list[dict[str, Any]]:
    """The entry's other facts."""
    if fact["entry"] is None:
        return []
    columns = ["id", "title", "status", "facts"]
    found = lookup.rows("facts", {"entry": fact["entry"]}, columns=columns, order="id")
    return [{**row, "facts": as_object(row["facts"])} for row in found if row["id"] != fact["id"]]


def today(lookup: Lookup, fact: Item) -> str:
    """The day of the round, in UTC: a clock for a stage that has none."""
    return datetime.now(UTC).date().isoformat()


def facts_wanted(per_richness: Mapping[str, int]) -> Callable[[Lookup, Item], int]:
    """How many facts an entry is asked for."""
    return lambda lookup, entry: per_richness[entry["richness"]]


def challenges_wanted(styles: Sequence[str], difficulty: int) -> Callable[[Lookup, Item], list[dict[str, Any]]]:
    """Styles and levels to ask for."""

    def wanted(lookup: Lookup, fact: Item) -> list[dict[str, Any]]:
        return [{"style": style, "difficulty": level} for style, level in levels(styles, difficulty, fact).items()]

    return wanted
