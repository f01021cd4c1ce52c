"""The system's schedulers: the user's crontab, and the folder of the user's systemd units."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from seedbed.errors import UsageError

PATIENCE = 20.0
"""Seconds that crontab may take."""


def read_crontab() -> str:
    """The user's crontab; empty where there is none. Raises UsageError without the program ``crontab``."""
    done = _crontab("-l")
    if done.returncode and "no crontab" not in done.stderr.lower():
        raise UsageError("crontab -l failed", why=done.stderr.strip()[:200])
    return "" if done.returncode else done.stdout


def write_crontab(text: str) -> None:
    done = _crontab("-", text)
    if done.returncode:
        raise UsageError("crontab did not take the new table; the old one stands", why=done.stderr.strip()[:200])


def _crontab(option: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    program = shutil.which("crontab")
    if program is None:
        raise UsageError(
            "This machine has no crontab.",
            hint="Use --systemd, or put the lines that `seedbed schedule show` prints where your scheduler wants them.",
        )
    try:
        return subprocess.run(
            [program, option], input=text, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"crontab cannot be run: {error}") from error


def units_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where systemd looks for a user's units: ``$XDG_CONFIG_HOME/systemd/user``."""
    home = environment.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "systemd" / "user"


def read_units(name: str) -> dict[str, str]:
    """Our units of this name that are there, by file name."""
    folder = units_folder()
    found = {}
    for kind in ("service", "timer"):
        path = folder / f"{name}.{kind}"
        if path.is_file():
            found[path.name] = path.read_text("utf-8")
    return found


def write_units(units: Mapping[str, str]) -> None:
    folder = units_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in units.items():
            draft = folder / f".{name}.part"
            draft.write_text(text, "utf-8")
            draft.replace(folder / name)
    except OSError as error:
        raise UsageError(f"The units cannot be written to {folder}: {error.strerror}") from error


def remove_units(name: str) -> list[str]:
    folder = units_folder()
    gone = []
    for unit in read_units(name):
        (folder / unit).unlink(missing_ok=True)
        gone.append(unit)
    return gone
