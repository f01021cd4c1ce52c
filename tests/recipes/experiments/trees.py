"""An archive of experiments made for a test, row by row, and what an import made of it."""

from __future__ import annotations

import csv
import hashlib
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seedbed.recipes.experiments.importing import ImportReport, Wanted, import_experiments

RUN = "backfill-1"
TABLES = "data/7_cross_experiment"
TEXTS = "data/3_generation"

HEADS: Mapping[str, tuple[str, ...]] = {
    "draft": ("draft_task_id", "combo_id", "draft_template_id", "generation_model", "generation_status",
              "generation_timestamp", "response_file", "response_size_bytes"),
    "link": ("link_task_id", "combo_id", "link_template_id", "generation_model", "generation_status",
             "generation_timestamp", "response_file", "response_size_bytes"),
    "essay": ("essay_task_id", "combo_id", "essay_template_id", "generation_model", "generation_status",
              "generation_timestamp", "response_file", "response_size_bytes"),
    "evaluation": ("evaluation_task_id", "essay_task_id", "generation_task_id", "combo_id", "draft_template",
                   "essay_template", "generation_model", "evaluation_template", "evaluation_model",
                   "evaluation_status", "evaluation_timestamp", "eval_response_file", "eval_response_size_bytes"),
}  # fmt: skip
FILES = {
    "draft": "draft_generation_results.csv",
    "link": "link_generation_results.csv",
    "essay": "essay_generation_results.csv",
    "evaluation": "evaluation_results.csv",
}
FOLDERS = {
    "draft": "draft_responses",
    "link": "links_responses",
    "essay": "essay_responses",
    "evaluation": "evaluation_responses",
}


@dataclass
class Tree:
    """Rows that were planted, written down by :meth:`write`. A row without ``text`` has no file."""

    root: Path
    rows: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def put(
        self, kind: str, task: str, *, text: str | bytes | None = "", at: str = "2025-08-01T10:00:00", **more: str
    ) -> str:
        """A row of a table and its text; the text names its task unless another is given. The task's id."""
        rows = self.rows.setdefault(kind, [])
        number = len(rows)
        name = more.pop("file", f"{FOLDERS[kind]}/{kind}-{number:04}.txt")
        evaluated = kind == "evaluation"
        own = {
            f"{kind}_task_id": task,
            "combo_id": "combo-1",
            ("evaluation_template" if evaluated else f"{kind}_template_id"): f"{kind}-t1",
            ("evaluation_model" if evaluated else "generation_model"): "model-1",
            ("evaluation_status" if evaluated else "generation_status"): "success",
            ("evaluation_timestamp" if evaluated else "generation_timestamp"): at,
            ("eval_response_file" if evaluated else "response_file"): name,
        }
        columns = {"combo": "combo_id", "essay": "essay_task_id", "generation": "generation_task_id"}
        columns |= {word: next(name for name in own if word in name) for word in ("template", "model", "status")}
        columns["size"] = HEADS[kind][-1]
        rows.append(own | {columns.get(key, key): value for key, value in more.items()})
        if text is not None:
            data = text if isinstance(text, bytes) else (text or f"The text of {kind} {task}.\n").encode()
            self.file(f"{TEXTS}/{name}", data)
        return task

    def file(self, name: str, data: bytes | str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def write(self) -> Tree:
        (self.root / TABLES).mkdir(parents=True, exist_ok=True)
        for kind, rows in self.rows.items():
            with (self.root / TABLES / FILES[kind]).open("w", encoding="utf-8", newline="") as file:
                extra = [name for name in ("prompt_file",) if any(name in row for row in rows)]
                writer = csv.DictWriter(file, [*HEADS[kind], *extra], restval="")
                writer.writeheader()
                writer.writerows(rows)
        return self

    # ------------------------------------------------------------------------------- an import

    def take(self, *, run: str = RUN, strict: bool = False, out: Path | None = None, **more: Any) -> ImportReport:
        return import_experiments(self.root, Wanted(run, strict, **more), out=out)

    @property
    def index(self) -> Path:
        return self.root / "data/db/documents.sqlite"

    @property
    def docs(self) -> Path:
        return self.root / "data/docs"

    @property
    def bad_list(self) -> Path:
        return self.root / TABLES / "bad_generations.csv"

    def bad(self) -> list[dict[str, str]]:
        with self.bad_list.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def ask(self, statement: str, *values: Any) -> list[Any]:
        """Rows of the index; single values where a row has one column."""
        with closing(sqlite3.connect(self.index)) as db:
            rows = db.execute(statement, values).fetchall()
        return [row[0] if len(row) == 1 else row for row in rows]

    def document(self, task: str) -> dict[str, Any]:
        with closing(sqlite3.connect(self.index)) as db:
            db.row_factory = sqlite3.Row
            (row,) = db.execute("select * from documents where task_id = ?", (task,)).fetchall()
        return dict(row)

    def parent(self, task: str) -> str | None:
        """The task of a document's parent."""
        return next(
            iter(
                self.ask(
                    "select above.task_id from documents join documents above on above.doc_id = documents.parent_doc_id"
                    " where documents.task_id = ?",
                    task,
                )
            ),
            None,
        )

    def dump(self) -> list[str]:
        with closing(sqlite3.connect(self.index)) as db:
            return list(db.iterdump())


def fingerprints(folder: Path, *, but: tuple[str, ...] = ()) -> dict[str, str]:
    """A hash of each file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not str(path.relative_to(folder)).startswith(but)
    }


def constructed(root: Path) -> Tree:
    """One row or more for each rule of the import. ``EXPECTED`` is what it comes to."""
    tree = Tree(root)
    # drafts: two templates at two times, a tie with a link, one without a text, one of another model
    tree.put("draft", "d-old", at="2025-08-01T09:00:00")
    tree.put("draft", "d-new", at="2025-08-01T10:00:00Z", template="draft-t2")
    tree.put("draft", "d-late", at="2025-08-01T12:00:00")
    tree.put("draft", "d-lost", text=None, at="2025-08-01T10:30:00")
    tree.put("draft", "d-other-model", model="model-2", at="2025-08-01T10:00:00")
    tree.put("draft", "d-tie", combo="combo-tie", at="2025-08-01T10:00:00.000")
    tree.put("draft", "d-only-lost", text=None, combo="combo-lost")
    tree.put("draft", "d-failed", combo="combo-failed", status="error")
    tree.put("draft", "d-twin", combo="combo-twin", text="The text of draft d-old.\n")
    tree.put("draft", "", combo="combo-nameless")
    tree.put("draft", "d-when", combo="combo-when", at="yesterday")
    # links: the other side of the tie, and the only parent of its combination
    tree.put("link", "l-tie", combo="combo-tie", at="2025-08-01T10:00:00Z")
    tree.put("link", "l-only", combo="combo-link", at="2025-08-01T08:00:00")
    tree.put("link", "l-unreadable", text=b"\xff\xfe not text", combo="combo-link", at="2025-08-01T08:30:00")
    tree.file(f"{TEXTS}/links_prompts/link-0001.txt", "Draft something about combo-link.\r\n")
    # essays
    tree.put("essay", "e-latest", at="2025-08-01T11:00:00")
    tree.put("essay", "e-same-time", at="2025-08-01T10:00:00.000000")
    tree.put("essay", "e-tie", combo="combo-tie", at="2025-08-01T10:00:00")
    tree.put("essay", "e-link", combo="combo-link", at="2025-08-01T08:00:00.500")
    tree.put("essay", "e-too-early", at="2025-08-01T08:59:59.999999")
    tree.put("essay", "e-parent-lost", combo="combo-lost", at="2025-08-02T10:00:00")
    tree.put("essay", "e-parent-failed", combo="combo-failed", at="2025-08-02T10:00:00")
    tree.put("essay", "e-no-such-model", model="model-9", at="2025-08-02T10:00:00")
    tree.put("essay", "e-lost", text=None, at="2025-08-01T11:00:00")
    # evaluations
    tree.put("evaluation", "v-essay", essay="e-latest", text="Fine.\nSCORE: 7\n")
    tree.put("evaluation", "v-draft", generation="d-old")
    tree.put("evaluation", "v-link", generation="l-only")
    tree.put("evaluation", "v-both", essay="e-latest", generation="d-old")
    tree.put("evaluation", "v-falls-through", essay="e-unknown", generation="d-old")
    tree.put("evaluation", "v-essay-not-taken", essay="e-too-early")
    tree.put("evaluation", "v-neither")
    tree.put("evaluation", "v-lost", essay="e-latest", text=None)
    tree.put("evaluation", "v-failed", essay="e-latest", status="failed")
    return tree.write()


EXPECTED = {
    "rows_read": 32,
    "draft_ok": 8,
    "draft_missing_response": 3,
    "essay_parent_resolved": 4,
    "essay_unresolved_parent": 4,
    "eval_resolved": 5,
    "eval_unresolved_target": 2,
    "bad_generations": 15,
    "repaired": 0,
    "set_aside": 0,
}
