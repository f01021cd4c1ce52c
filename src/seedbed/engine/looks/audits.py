"""Audit and plan as they are shown: the figures of each stage, the recipe's own, and books that do not balance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from seedbed.engine import lifecycle
from seedbed.engine.looks.look import looking
from seedbed.engine.projects.project import Project
from seedbed.engine.reports import AuditReport
from seedbed.engine.work.rounds import Scope
from seedbed.errors import Unbalanced


@dataclass(frozen=True)
class Audited:
    """``extra`` are figures of the recipe over the whole corpus; ``error`` the first round that does not add up."""

    reports: Sequence[AuditReport]
    extra: Mapping[str, Any] = field(default_factory=dict)
    error: Unbalanced | None = None


def audit(project: Project, target: str | None = None, scope: Scope = lifecycle.EVERYTHING) -> Audited:
    """How the stages stand, counted from the records themselves (000.27 to 000.31)."""
    reports = lifecycle.audit(project, target, scope)
    whole = target is None or target == project.pipeline.name
    return Audited(reports, _extra(project) if whole else {}, _unbalanced(reports))


def _unbalanced(reports: Sequence[AuditReport]) -> Unbalanced | None:
    try:
        for report in reports:
            for equation in report.equations:
                equation.require()
    except Unbalanced as error:
        return error
    return None


def _extra(project: Project) -> dict[str, Any]:
    """What ``audit_RECIPE(corpus)`` of the recipe's module ``auditing`` counts; nothing where it has none."""
    if project.recipe is None:
        return {}
    module = f"{project.recipe.__name__}.auditing"
    if find_spec(module) is None:
        return {}
    count = getattr(import_module(module), f"audit_{project.recipe.__name__.rpartition('.')[2]}", None)
    if count is None:
        return {}
    with looking(project) as look:
        return dict(count(look.corpus))
