"""The archive as it was left: tables that say what there is, and files with the texts. Read only, as a stream."""

from __future__ import annotations

import csv
import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from seedbed import errors
from seedbed.recipes.experiments.moments import moment

TABLES = "7_cross_experiment"
TEXTS = "3_generation"
EVALUATIONS = "4_evaluation"
TEMPLATES = "1_raw"
SUCCESS = "success"


@dataclass(frozen=True)
class Kind:
    """One of the four tables, and where it says what. The first column of each that is there counts."""

    name: str
    stage: str
    table: str
    task: tuple[str, ...]
    template: tuple[str, ...]
    model: str
    status: str
    timestamp: str
    response: tuple[str, ...]
    roots: tuple[str, ...]
    prompts: tuple[str, ...]
    shared_prompts: tuple[str, ...] = ()
    needs_combo: bool = True


_GENERATED = ("generation_model", "generation_status", "generation_timestamp", ("response_file",), (TEXTS,))
DRAFT = Kind(
    "draft", "draft", "draft_generation_results.csv", ("draft_task_id", "link_task_id"),
    ("draft_template_id", "link_template_id", "draft_template", "link_template"), *_GENERATED, ("draft_prompts",),
)  # fmt: skip
LINK = Kind(
    "link", "draft", "link_generation_results.csv", ("link_task_id", "draft_task_id"),
    ("link_template_id", "draft_template_id", "link_template", "draft_template"), *_GENERATED, ("links_prompts",),
)  # fmt: skip
ESSAY = Kind(
    "essay", "essay", "essay_generation_results.csv", ("essay_task_id",),
    ("essay_template_id", "essay_template"), *_GENERATED, ("essay_prompts",), ("links_prompts",),
)  # fmt: skip
EVALUATION = Kind(
    "evaluation", "evaluation", "evaluation_results.csv", ("evaluation_task_id",),
    ("evaluation_template", "evaluation_template_id"), "evaluation_model", "evaluation_status",
    "evaluation_timestamp", ("eval_response_file", "evaluation_response_file"), (TEXTS, EVALUATIONS),
    ("evaluation_prompts",), needs_combo=False,
)  # fmt: skip
KINDS = (DRAFT, LINK, ESSAY, EVALUATION)
"""In the order in which they are taken: parents before children."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row of a table. ``index`` counts rows from 0, ``line`` is that of the file, where the row begins.

    ``task_id`` stands as it is written; the values that are joined on are without blanks around them.
    ``fault`` says what makes it a row that cannot be taken, blank for none. ``moment`` is in microseconds.
    """

    kind: Kind
    index: int
    line: int
    task_id: str
    combo_id: str
    template_id: str
    model_id: str
    timestamp: str
    moment: int
    response_file: str
    prompt_file: str = ""
    size: str = ""
    essay_task_id: str = ""
    generation_task_id: str = ""
    fault: str = ""

    @property
    def place(self) -> str:
        return f"{self.kind.table}:{self.line}"


@dataclass(frozen=True, slots=True)
class Missing:
    """A text that cannot be had, and why."""

    why: str


class Archive:
    """The folder ``data`` of an archive, given itself or as the folder that it lies in. Raises SourceError."""

    def __init__(self, place: Path) -> None:
        found = next((data for data in (place / "data", place) if (data / TABLES).is_dir()), None)
        if found is None:
            raise errors.SourceError(
                f"{place} is no archive of experiments: it has no folder data/{TABLES}",
                hint=f"Name the folder in which data/{TABLES}/{DRAFT.table} lies.",
            )
        self.data = found
        self.root = found.parent if found.name == "data" else found
        self._roots = {name: os.path.realpath(found / name) for name in (TEXTS, EVALUATIONS)}
        if not any((found / TABLES / kind.table).is_file() for kind in KINDS):
            raise errors.SourceError(
                f"there is no table in {found / TABLES}", hint=f"One of {', '.join(kind.table for kind in KINDS)}."
            )

    # ------------------------------------------------------------------------------------ tables

    def has(self, kind: Kind) -> bool:
        return (self.data / TABLES / kind.table).is_file()

    def rows(self, kind: Kind) -> Iterator[SourceRow]:
        """The rows of a table in its order; none where there is no such table. Raises SourceError."""
        path = self.data / TABLES / kind.table
        if not path.exists():
            return
        columns: _Columns | None = None
        for index, (line, cells) in enumerate(_records(path), -1):
            if columns is None:
                columns = _Columns(kind, cells)
            else:
                yield columns.row(index, line, cells)

    def templates(self, stage: str) -> Iterator[tuple[str, str, bool]]:
        """(id, text, wanted) of the templates that the archive lists for a stage; none where it has no list."""
        path = self.data / TEMPLATES / f"{stage}_templates.csv"
        if not path.is_file():
            return
        head: list[str] = []
        for line, cells in _records(path):
            if line == 1:
                head = [name.strip() for name in cells]
            else:
                row = dict(zip(head, cells, strict=False))
                name = row.get("template_id", "").strip()
                if name:
                    text = self._template_text(stage, name)
                    yield name, text, row.get("active", "true").strip().lower() not in ("false", "0", "no")

    def _template_text(self, stage: str, name: str) -> str:
        found = _read(os.path.realpath(self.data / TEMPLATES / f"{stage}_templates"), f"{name}.txt")
        return "" if isinstance(found, Missing) else found.decode("utf-8", "replace")

    # ------------------------------------------------------------------------------------- texts

    def text(self, row: SourceRow, file: str = "") -> bytes | Missing:
        """The bytes of the answer that a row names, or of another file below the same folders."""
        name = file or row.response_file
        if not name:
            return Missing("the row names no file")
        first: Missing | None = None
        for root in row.kind.roots:
            found = _read(self._roots[root], name)
            if not isinstance(found, Missing):
                return found
            first = first or found
        return first or Missing("there are no texts")

    def prompt(self, row: SourceRow) -> tuple[str, bytes] | None:
        """The stored prompt of a row: the one that it names, else the file of the answer's own name, or of its task's,
        in the folder of prompts. A folder that other rows' prompts share is asked by task only."""
        for root, name in self._prompt_names(row):
            found = _read(root, name)
            if not isinstance(found, Missing):
                return name, found
        return None

    def _prompt_names(self, row: SourceRow) -> Iterator[tuple[str, str]]:
        kind, own, named = row.kind, f"{row.task_id}.txt", row.response_file.rpartition("/")[2]
        for root in (self._roots[name] for name in kind.roots):
            if row.prompt_file:
                yield root, row.prompt_file
            there = self._prompt_folders(root)
            for folder in there.intersection(kind.prompts):
                if named:
                    yield root, f"{folder}/{named}"
                yield root, f"{folder}/{own}"
            for folder in there.intersection(kind.shared_prompts):
                yield root, f"{folder}/{own}"

    @cache  # noqa: B019 (an archive lives as long as its import)
    def _prompt_folders(self, root: str) -> frozenset[str]:
        """Folders of prompts that are there at all."""
        names = {name for kind in KINDS for name in (*kind.prompts, *kind.shared_prompts)}
        return frozenset(name for name in names if Path(root, name).is_dir())


_NOT_THERE = frozenset((
    errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR,
    errno.EIO, errno.EINVAL, errno.ENXIO,
))  # fmt: skip
_NOT_READ = "it is not a file below the folder of texts"


def _read(root: str, name: str) -> bytes | Missing:
    """A text file below ``root``; a name that leads out of it, or to something else than a file, is not followed."""
    if "\0" in name:
        return Missing("its name holds a NUL")
    path = os.path.normpath(f"{root}{os.sep}{name}")
    if not path.startswith(f"{root}{os.sep}"):
        return Missing(_NOT_READ)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
        return Missing(os.strerror(error.errno or 0).lower())
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return Missing(_NOT_READ)
        data = b"".join(iter(lambda: os.read(handle, 1 << 20), b""))
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
        return Missing(os.strerror(error.errno or 0).lower())
    finally:
        os.close(handle)
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return Missing(f"it is not UTF-8 text (byte {error.start})")
    return data


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line at which it begins, cells) of each record that is not empty; the first is the head."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            reader = csv.reader(source, strict=True)
            before = 0
            for cells in reader:
                line, before = before + 1, reader.line_num
                if cells:
                    yield line, cells
    except UnicodeDecodeError as error:
        raise errors.SourceError(f"{path.name} is not UTF-8 text (byte {error.start} of a block)") from error
    except csv.Error as error:
        raise errors.SourceError(f"{path.name}:{before + 1} is no CSV: {error}") from error
    except OSError as error:
        raise errors.SourceError(f"{path.name} cannot be read: {error.strerror}") from error


class _Columns:
    """Where the head of a table puts what. Raises SourceError where a column is missing or stands there twice."""

    def __init__(self, kind: Kind, head: Sequence[str]) -> None:
        names = [name.strip() for name in head]
        self._kind = kind
        self._width = len(names)
        self._at: Mapping[str, int] = {name: place for place, name in enumerate(names)}
        if len(self._at) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise errors.SourceError(f"{kind.table} has the column {twice!r} twice")
        self._task = self._first(kind.task)
        self._template = self._first(kind.template)
        self._response = self._first(kind.response)
        for name in (kind.model, kind.status, kind.timestamp, *(["combo_id"] if kind.needs_combo else [])):
            self._first((name,))
        named = (
            "combo_id", self._template, kind.model, kind.timestamp, self._response, "prompt_file",
            "response_size_bytes", "eval_response_size_bytes", "essay_task_id", "generation_task_id", kind.status,
        )  # fmt: skip
        self._places = [self._at.get(name, self._width) for name in named]

    def _first(self, names: Sequence[str]) -> str:
        found = next((name for name in names if name in self._at), None)
        if found is None:
            raise errors.SourceError(
                f"{self._kind.table} has no column {names[0]!r}", why=f"it has: {', '.join(self._at) or 'nothing'}"
            )
        return found

    def row(self, index: int, line: int, cells: Sequence[str]) -> SourceRow:
        kind, width = self._kind, len(cells)
        task = self._at[self._task]
        padded = [cell.strip() for cell in cells] + [""] * (self._width + 1 - width)
        combo, template, model, timestamp, response, prompt, size, size_too, essay, generation, status = (
            padded[place] for place in self._places
        )
        at = moment(timestamp)
        row = SourceRow(
            kind, index, line, cells[task] if task < width else "", combo, template, model, timestamp, at or 0,
            response, prompt, size or size_too, essay, generation,
        )  # fmt: skip
        fault = "" if width == self._width else f"the row has {width} cells, the head {self._width}"
        fault = fault or _fault(row, at, status)
        return replace(row, fault=fault) if fault else row


def _fault(row: SourceRow, at: int | None, status: str) -> str:
    needed = {
        "task id": row.task_id.strip(),
        "combination": row.combo_id if row.kind.needs_combo else "-",
        "template": row.template_id,
        "model": row.model_id,
    }
    empty = [name for name, value in needed.items() if not value]
    if empty:
        return f"it has no {empty[0]}"
    if at is None:
        return f"its time cannot be read: {row.timestamp!r}" if row.timestamp else "it has no time"
    if status.lower() != SUCCESS:
        return f"its status is {status!r}, not {SUCCESS!r}"
    return ""
