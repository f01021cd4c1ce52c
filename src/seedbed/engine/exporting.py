"""A worklist as JSON lines, for people and other programs to look at."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from seedbed.engine.projects.binding import BoundStage
from seedbed.engine.work.worklist import Worklist
from seedbed.errors import SourceError
from seedbed.records import canonical_json


def write_lines(stage: BoundStage, worklists: Iterable[Worklist], path: Path) -> int:
    """A line for each item: its key, the inputs of the stage, and the output cells as they were. How many there are.

    Read and written in pages. The file appears whole or not at all, over one of the same name.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    count = 0
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            for worklist in worklists:
                for page in worklist.pages():
                    for _, _, item in page:
                        line = {"key": item.key, "inputs": stage.shown(item), "before": dict(item.before)}
                        file.write(f"{canonical_json(line)}\n")
                    count += len(page)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise SourceError(f"{path} cannot be written: {error.strerror}") from error
    return count
