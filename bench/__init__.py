"""Speed, as ratios in one run: `make bench`."""

from __future__ import annotations

import compileall
from pathlib import Path

import seedbed


def compile_as_installed() -> None:
    """Bytecode of the package, as pip makes it where it installs: some environments forbid Python to keep its own."""
    compileall.compile_dir(Path(seedbed.__file__).parent, quiet=1)
