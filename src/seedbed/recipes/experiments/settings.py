"""The settings of the recipe, as they stand in the project file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from seedbed import errors
from seedbed.recipes.experiments.scores import RULES


@dataclass(frozen=True)
class Settings:
    """essay_templates, evaluation_templates: those to make documents with; without any, the first of the archive for
    parents that have none yet. score_rule: how a score is read out of an evaluation.
    """

    essay_templates: tuple[str, ...] = ()
    evaluation_templates: tuple[str, ...] = ()
    score_rule: str = "last-three-lines"

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Settings:
        """Raises ConfigError with the nearest name, or with what is allowed."""
        known = [each.name for each in fields(cls)]
        for name in given:
            if name not in known:
                hint = errors.nearest(str(name), known)
                raise errors.ConfigError(f"the experiments recipe has no setting {name!r}", hint=hint)
        rule = given.get("score_rule", cls.score_rule)
        if rule not in RULES:
            raise errors.ConfigError(f"there is no score_rule {rule!r}", hint=errors.nearest(str(rule), RULES))
        return cls(
            _names("essay_templates", given.get("essay_templates", ())),
            _names("evaluation_templates", given.get("evaluation_templates", ())),
            str(rule),
        )


def _names(name: str, value: Any) -> tuple[str, ...]:
    names = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(each, str) and each for each in names):
        raise errors.ConfigError(f"{name} is a list of template ids; it is {value!r}")
    return tuple(names)
