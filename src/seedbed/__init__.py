"""seedbed: grow and keep a corpus with language models.

The front door. Names are loaded when first used, so that ``seedbed --help`` stays quick; no
module of the package imports from here. Recipes use these names and no others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seedbed import crashing, errors
    from seedbed.engine.keeping.adopting import adopt
    from seedbed.engine.lifecycle import (
        Spend,
        audit,
        export,
        generate,
        plan,
        preview,
        recover,
        reread,
        roll_back,
        run,
        upload,
        validate,
    )
    from seedbed.engine.looks.books import cost
    from seedbed.engine.pilot import pilot
    from seedbed.engine.projects.project import FileSource, Project, open_project, project_of
    from seedbed.engine.reviewing import review
    from seedbed.engine.signing import approve, revoke
    from seedbed.engine.waves import wave
    from seedbed.engine.work.rounds import Scope
    from seedbed.policy.repair import repair_json
    from seedbed.ports.corpus import Corpus, NewRow
    from seedbed.ports.documents import read_document
    from seedbed.records import Finding, Item, Outcome, Part, key_text, row_id
    from seedbed.stage import Call, Lookup, Pipeline, Row, Selection, Stage, fills, gathers, makes, unique

_HOMES = {
    "crashing": "seedbed.crashing",
    "errors": "seedbed.errors",
    "adopt": "seedbed.engine.keeping.adopting",
    "wave": "seedbed.engine.waves",
    "cost": "seedbed.engine.looks.books",
    "pilot": "seedbed.engine.pilot",
    "review": "seedbed.engine.reviewing",
    **dict.fromkeys(("approve", "revoke"), "seedbed.engine.signing"),
    "repair_json": "seedbed.policy.repair",
    "read_document": "seedbed.ports.documents",
    **dict.fromkeys(
        (
            "Spend",
            "audit",
            "export",
            "generate",
            "plan",
            "preview",
            "recover",
            "reread",
            "roll_back",
            "run",
            "upload",
            "validate",
        ),
        "seedbed.engine.lifecycle",
    ),
    **dict.fromkeys(("FileSource", "Project", "open_project", "project_of"), "seedbed.engine.projects.project"),
    "Scope": "seedbed.engine.work.rounds",
    **dict.fromkeys(("Corpus", "NewRow"), "seedbed.ports.corpus"),
    **dict.fromkeys(("Finding", "Item", "Outcome", "Part", "key_text", "row_id"), "seedbed.records"),
    **dict.fromkeys(
        ("Call", "Lookup", "Pipeline", "Row", "Selection", "Stage", "fills", "gathers", "makes", "unique"),
        "seedbed.stage",
    ),
}

__all__ = [
    "Call",
    "Corpus",
    "FileSource",
    "Finding",
    "Item",
    "Lookup",
    "NewRow",
    "Outcome",
    "Part",
    "Pipeline",
    "Project",
    "Row",
    "Scope",
    "Selection",
    "Spend",
    "Stage",
    "adopt",
    "approve",
    "audit",
    "cost",
    "crashing",
    "errors",
    "export",
    "fills",
    "gathers",
    "generate",
    "key_text",
    "makes",
    "open_project",
    "pilot",
    "plan",
    "preview",
    "project_of",
    "read_document",
    "recover",
    "repair_json",
    "reread",
    "review",
    "revoke",
    "roll_back",
    "row_id",
    "run",
    "unique",
    "upload",
    "validate",
    "wave",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'seedbed' has no attribute {name!r}")
    module = import_module(home)
    return module if home == f"seedbed.{name}" else getattr(module, name)
