"""What a person's signature covers, and why it does not cover what is about to be done. Pure comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Ground = Literal["recipe", "selection", "model", "until", "money", "items"]


@dataclass(frozen=True)
class Terms:
    """What was signed. ``money`` in 10⁻⁹ USD and ``until`` in Unix milliseconds; None is no ceiling."""

    recipe: str
    selection: str
    models: tuple[str, ...]
    items: int | None = None
    money: int | None = None
    until: int | None = None


@dataclass(frozen=True)
class Doing:
    """What is about to be done, and what was used up under the signature so far."""

    recipe: str
    selection: str
    models: Sequence[str]
    items: int
    money: int
    now: int


def objection(signed: Terms, doing: Doing) -> Ground | None:
    """The first ground on which the signature does not cover it; None where it does.

    A ceiling of items is met when none is left; whether there is more to do is another question.
    """
    if signed.recipe != doing.recipe:
        return "recipe"
    if signed.selection != doing.selection:
        return "selection"
    if any(model not in signed.models for model in doing.models):
        return "model"
    if signed.until is not None and doing.now >= signed.until:
        return "until"
    if signed.money is not None and doing.money >= signed.money:
        return "money"
    if signed.items is not None and doing.items >= signed.items:
        return "items"
    return None
