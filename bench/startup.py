"""How long `seedbed --help` and `seedbed status` take, beside a bare interpreter."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench import compile_as_installed

TRIES = 7


def best(command: list[str], folder: Path | None = None) -> float:
    """Seconds of the quickest of several tries."""
    taken = []
    for _ in range(TRIES):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=folder)
        taken.append(time.perf_counter() - began)
    return min(taken)


def main() -> None:
    compile_as_installed()
    bare = best([sys.executable, "-c", "pass"])
    shown = best([str(Path(sys.executable).with_name("seedbed")), "--help"])
    print(f"--help {shown * 1000:.0f} ms, a bare interpreter {bare * 1000:.0f} ms ({shown / bare:.1f} x)")


if __name__ == "__main__":
    main()
