"""The gate of a stage that asks for a person's signature: held against what is about to be done, again and again.

A run asks before anything is sent, before each page and each chunk of calls, and after each batch of answers, so a
signature that is revoked stops it within the calls that are in flight or read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seedbed.engine.projects.binding import BoundStage
from seedbed.engine.projects.project import utc_text
from seedbed.errors import CeilingReached, GateError, NotSigned
from seedbed.policy.signatures import Doing, Ground, Terms, objection
from seedbed.ports.state import State
from seedbed.ports.state.gates import SignatureRow
from seedbed.records import Item, canonical_json, usd
from seedbed.stage import Fills

CEILINGS: frozenset[Ground] = frozenset(("until", "money", "items"))


def selection_of(stage: BoundStage) -> str:
    """The selection's text and columns, as a signature keeps them."""
    source, relation = stage.stage.source, stage.stage.relation
    into = [relation.table, *relation.outputs] if isinstance(relation, Fills) else sorted(relation.into)
    said: Mapping[str, object] = {
        "table": source.table,
        "where": source.where,
        "eligible": stage.stage.eligible,
        "key": list(stage.key),
        "inputs": list(stage.inputs),
        "into": into,
    }
    return canonical_json(said)


@dataclass(frozen=True)
class Standing:
    """How a stage stands with its signature at one moment. ``ground`` says why it is not covered."""

    signature: SignatureRow | None
    ground: Ground | None = None

    @property
    def open(self) -> bool:
        return self.signature is not None and self.ground is None


def standing(state: State, stage: BoundStage, models: Sequence[str], now: int) -> Standing:
    """The signature in force, if there is one, and what it does not cover of a run of now."""
    row = state.signature(stage.name)
    if row is None or row.kind == "revoke":
        return Standing(None)
    terms = Terms(row.recipe, row.selection, row.models, row.items, row.money, row.until)
    doing = Doing(stage.recipe, selection_of(stage), models, row.used_items, row.used_money, now)
    return Standing(row, objection(terms, doing))


def next_step(state: State, stage: BoundStage) -> str:
    """The command that leads to a signature from where things stand."""
    pilot = state.pilot(stage.name)
    if pilot is None or pilot.recipe != stage.recipe:
        return f"seedbed pilot {stage.name}"
    keys = {key for key, _ in pilot.items}
    seen = any(decision.key in keys and decision.pilot == pilot.id for decision in state.decisions(stage.name))
    return f"seedbed approve {stage.name} --as NAME" if seen else f"seedbed review {stage.name}"


def words(stage: str, found: Standing, revoked: SignatureRow | None, models: Sequence[str]) -> str:
    """Why the gate is shut, in one sentence."""
    row = found.signature
    if row is None:
        if revoked is not None:
            return f"{stage} waits for a signature: {revoked.name} revoked it at {utc_text(revoked.at)}."
        return f"{stage} waits for a person's signature."
    other = next((model for model in models if model not in row.models), "")
    grounds: Mapping[Ground, str] = {
        "recipe": f"The recipe of {stage} has changed since {row.name} signed it.",
        "selection": f"The selection of {stage} has changed since {row.name} signed it.",
        "model": f"{row.name} did not sign {stage} for {other}, but for {', '.join(row.models)}.",
        "until": f"The signature of {row.name} for {stage} ended at {utc_text(row.until)}.",
        "money": f"{row.name} signed {usd(row.money)} for {stage}; {usd(row.used_money)} are spent.",
        "items": f"{row.name} signed {row.items or 0:,} items of {stage}; they are worked, and there are more.",
    }
    return grounds[found.ground or "items"]


def shut(state: State, stage: BoundStage, found: Standing, models: Sequence[str]) -> GateError:
    """The error of a gate that is shut; it names the next command."""
    if found.ground in CEILINGS:
        hint = f"Sign for more with: seedbed approve {stage.name} --as NAME"
        return CeilingReached(words(stage.name, found, None, models), hint=hint)
    last = state.signature(stage.name)
    return NotSigned(words(stage.name, found, last, models), hint=f"Next: {next_step(state, stage)}")


@dataclass(frozen=True)
class GateStatus:
    """How a gated stage stands: ``open`` for a run, or why it is shut and which command comes next."""

    stage: str
    open: bool
    why: str
    next: str
    signature: SignatureRow | None


def gate_status(stage: BoundStage, model: str, state: State, now: int) -> GateStatus:
    """How a stage stands with its gate; ``model`` is blank for a stage without one."""
    models = [model] if model else []
    found = standing(state, stage, models, now)
    if found.open:
        return GateStatus(stage.name, True, "", f"seedbed run {stage.name}", found.signature)
    why = words(stage.name, found, state.signature(stage.name), models)
    again = f"seedbed approve {stage.name} --as NAME"
    following = again if found.ground in CEILINGS else next_step(state, stage)
    return GateStatus(stage.name, False, why, following, found.signature)


def signature_facts(row: SignatureRow) -> dict[str, Any]:
    """A signature as plain values, for pages and documents; times in UTC."""
    return {
        "stage": row.stage,
        "kind": row.kind,
        "name": row.name,
        "at": utc_text(row.at),
        "recipe": row.recipe,
        "selection": row.selection,
        "models": list(row.models),
        "items": row.items,
        "used_items": row.used_items,
        "cap": row.money,
        "spent": row.used_money,
        "until": utc_text(row.until) if row.until is not None else None,
        "pilot": row.pilot,
        "note": row.note,
        "seen": dict(row.seen),
    }


class Gate:
    """What a run of a gated stage asks. The state is an argument: each thread brings its own.

    ``working`` says of a run whether its process lives.
    """

    def __init__(
        self, stage: BoundStage, model: str, now: Callable[[], int], run: str, working: Callable[[str], bool]
    ) -> None:
        self.stage = stage
        self.full: GateError | None = None
        self._models = [model] if model else []
        self._allowed: tuple[str, ...] | None = None
        self._now = now
        self._run = run
        self._working = working
        self._begun: set[str] = set()

    def check(self, state: State) -> SignatureRow:
        """The signature in force. Raises NotSigned or CeilingReached; a ceiling of items is :meth:`admit`'s."""
        found = standing(state, self.stage, self._models, self._now())
        if found.signature is None or found.ground not in (None, "items"):
            raise shut(state, self.stage, found, self._models)
        self._allowed = found.signature.models
        return found.signature

    def still(self, state: State) -> None:
        """Raises NotSigned where what was signed no longer holds. Ceilings are met before a call, not after it."""
        found = standing(state, self.stage, self._models, self._now())
        if found.signature is None or found.ground not in (None, *CEILINGS):
            raise shut(state, self.stage, found, self._models)

    def admit(self, state: State, items: list[Item]) -> list[Item]:
        """Those that the ceiling has room for, over all runs; ``full`` is set where one had to be left out.

        Items that have an outcome of this recipe are covered already: asking them again takes no room.
        """
        row = self.check(state)
        if row.items is None or not items:
            return items
        name, recipe = self.stage.name, self.stage.recipe
        covered = state.of_recipe(name, recipe, [item.key for item in items])
        new = [item.key for item in items if item.key not in covered]
        self._begun -= state.of_recipe(name, recipe, sorted(self._begun))
        gone = [run for run in state.holders(row.number) if run != self._run and not self._working(run)]
        room = state.take_room(
            row.number, self._run, wanted=len(new), outstanding=len(self._begun - set(new)), gone=gone
        )
        if room < len(new):
            self.full = shut(state, self.stage, Standing(row, "items"), self._models)
        taken = set(new[:room])
        self._begun |= taken
        return [item for item in items if item.key in taken or item.key in covered]

    def allow(self, model: str) -> None:
        """Raises NotSigned for a model that the signature does not name. Called for each request."""
        if self._allowed is not None and model not in self._allowed:
            raise NotSigned(
                f"{self.stage.name} was signed for {', '.join(self._allowed)}, not for {model}.",
                hint=f"Sign for it with: seedbed approve {self.stage.name} --as NAME --models {model}",
            )
