"""Providers by name. An adapter is imported when it is first used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from seedbed.errors import ConfigError, nearest
from seedbed.ports.models import Completer


@dataclass(frozen=True, slots=True)
class Provider:
    """``key`` and ``url`` name environment variables; empty: there is none."""

    adapter: str
    base_url: str = ""
    key: str = ""
    url: str = ""

    def base(self, environment: Mapping[str, str]) -> str:
        """The endpoint: of the environment, else the provider's own."""
        return (environment.get(self.url, "").strip() if self.url else "") or self.base_url


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider(
        "seedbed.ports.models.openai:OpenAI", "https://api.openai.com/v1", "OPENAI_API_KEY", "OPENAI_BASE_URL"
    ),
    "offline": Provider("seedbed.ports.models.offline:Offline"),
    "adopted": Provider("seedbed.ports.models.adopted:Adopted"),
}

COMMAND = Provider("seedbed.ports.models.command:Command")
"""A program of the user's own; it has a name of the user's own too."""


def provider(name: str) -> Provider:
    found = PROVIDERS.get(name)
    if found is None:
        raise ConfigError(f'there is no provider "{name}"', hint=nearest(name, PROVIDERS))
    return found


def forbidden(name: str, model: str) -> Sequence[str]:
    """What the provider's adapter never sends to a model, in words."""
    words = getattr(import_module(provider(name).adapter.partition(":")[0]), "forbids", None)
    return list(words(name, model)) if words else []


def completer(name: str, options: Mapping[str, Any] | None = None) -> Completer:
    """The provider's adapter, made with its options; with a ``program`` one that runs it."""
    kind = COMMAND if options and "program" in options else provider(name)
    module, _, attribute = kind.adapter.partition(":")
    try:
        return cast(Completer, getattr(import_module(module), attribute)(**(options or {})))
    except TypeError as error:
        raise ConfigError(f'provider "{name}" cannot be made with these options', why=str(error)) from None
