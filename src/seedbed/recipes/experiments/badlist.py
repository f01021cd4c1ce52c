"""``bad_generations.csv``: rows that could not be taken, each once, with what a repair needs to know of them."""

from __future__ import annotations

import csv
import filecmp
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from seedbed import crashing, errors
from seedbed.recipes.experiments.archive import EVALUATION, SourceRow
from seedbed.recipes.experiments.folders import replace_file

FILE = "bad_generations.csv"
COLUMNS = (
    "source_csv", "row_index", "task_id", "reason", "combo_id", "template_id", "model_id", "timestamp",
    "response_file", "essay_task_id", "generation_task_id", "detail", "run_id",
)  # fmt: skip

MISSING_FILE = "missing_response_file"
NO_PARENT = "unresolved_parent"
NO_TARGET = "unresolved_target"
INVALID = "invalid_row"
CLASH = "id_collision"
REASONS = (MISSING_FILE, NO_PARENT, NO_TARGET, INVALID, CLASH)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was not taken. ``detail`` says in words what ``reason`` names."""

    row: SourceRow
    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.row.place}: {self.reason}: {self.detail}"

    def cells(self, run: str) -> dict[str, str]:
        row = self.row
        return {
            "source_csv": row.kind.table,
            "row_index": str(row.index),
            "task_id": row.task_id,
            "reason": self.reason,
            "combo_id": row.combo_id,
            "template_id": row.template_id,
            "model_id": row.model_id,
            "timestamp": row.timestamp,
            "response_file": row.response_file,
            "essay_task_id": row.essay_task_id if row.kind is EVALUATION else "",
            "generation_task_id": row.generation_task_id,
            "detail": self.detail,
            "run_id": run,
        }


def line_of(cells: Mapping[str, str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([cells.get(name) or "" for name in COLUMNS])
    return text.getvalue()


def read(path: Path) -> Iterator[dict[str, str]]:
    """The lines of a bad list, also of one that the archive's own tools wrote; none where there is no list."""
    if not path.is_file():
        return
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if not {"source_csv", "row_index", "reason"} <= set(reader.fieldnames or ()):
                raise errors.SourceError(
                    f"{path} is no list of bad rows: it has no columns source_csv, row_index and reason",
                    hint="Move it away; the next import writes a list of its own.",
                )
            for cells in reader:
                yield {name: cells.get(name) or "" for name in COLUMNS}
    except (UnicodeDecodeError, csv.Error) as error:
        raise errors.SourceError(f"{path} cannot be read as a list of bad rows: {error}") from error


def write(path: Path, run: str, lines: Iterable[str], names: Iterable[tuple[str, str]]) -> None:
    """The list with the lines of this run in place of those that it had; other runs' lines stay as they are.

    ``names`` are (source_csv, row_index) of the new lines: a line without a run that names one of them is replaced.
    A list that would stay as it is is not touched, and none is made for nothing.
    """
    mine = set(names)
    kept = [
        cells
        for cells in read(path)
        if cells["run_id"] != run and (cells["run_id"] or (cells["source_csv"], cells["row_index"]) not in mine)
    ]
    if not path.exists() and not mine:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{FILE}.new")
    try:
        with beside.open("w", encoding="utf-8", newline="") as file:
            file.writelines(chain([",".join(COLUMNS) + "\n"], map(line_of, kept), lines))
        if not path.exists() or not filecmp.cmp(beside, path, shallow=False):
            crashing.point("before the bad list takes its name")
            with beside.open("rb") as new:
                replace_file(path, new)
            crashing.point("after the bad list took its name")
    finally:
        beside.unlink(missing_ok=True)
