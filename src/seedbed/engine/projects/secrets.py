"""Secrets by name: the process environment, then ``.env.local``, then ``.env``. Never written down."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from seedbed.errors import AuthError, ConfigError

FILES = (".env.local", ".env")


def _values(path: Path) -> Mapping[str, str | None]:
    try:
        return dotenv_values(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:  # the error itself carries the file's bytes
        raise ConfigError(f"{path} is not UTF-8 text (byte {error.start})") from None


@dataclass(frozen=True)
class Secrets:
    """Where names are looked up. Reads the files anew each time, so that a new key counts at once."""

    root: Path
    environment: Mapping[str, str]

    @classmethod
    def of(cls, root: Path) -> Secrets:
        return cls(root, os.environ)

    def find(self, name: str) -> tuple[str, str] | None:
        """(value, where it was found), or None."""
        if value := self.environment.get(name, "").strip():
            return value, "the environment"
        for file in FILES:
            path = self.root / file
            if path.is_file():
                value = (_values(path).get(name) or "").strip()
                if value:
                    return value, file
        return None

    def need(self, name: str, what: str) -> str:
        """The value. Raises AuthError that names the places searched."""
        found = self.find(name)
        if found is None:
            places = ["the environment", *(f"{file} in {self.root}" for file in FILES)]
            raise AuthError(
                f"There is no key for {what}: {name} is not set.",
                why=f"Looked in {', '.join(places)}.",
                hint=f"Set it with: export {name}=…   or write {name}=… into .env.local. Nothing was sent.",
            )
        return found[0]

    def expand(self, value: str, what: str) -> str:
        """``$NAME`` as its value; anything else as it is."""
        return self.need(value[1:], what) if value.startswith("$") else value
