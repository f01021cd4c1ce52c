"""Accounts: sets of keys with limits in common, as the project file tells of them. Keys stand here by name only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seedbed.engine.projects.secrets import Secrets
from seedbed.engine.projects.settings import LIMITS, Settings
from seedbed.errors import ConfigError, nearest
from seedbed.policy.limits import Limits


@dataclass(frozen=True, slots=True)
class Account:
    """``keys`` are names of variables. The limits hold for each key, or with ``shared`` for all keys together."""

    name: str
    keys: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)
    shared: bool = False

    def title(self, key: str) -> str:
        """What stands in receipts and on screens for one key of the account."""
        return key if self.name == key else f"{self.name}/{key}"


def account_of(settings: Settings, provider: str, key: str, own: str = "none") -> Account:
    """The account that a provider's models go through; one of its own where none is declared.

    ``key`` is the variable that the provider's own settings name, blank for none; ``own`` names its account then.
    """
    options = settings.table("providers").get(provider, {})
    accounts = settings.table("accounts")
    named = options.get("account")
    if named is not None and named not in accounts:
        raise ConfigError(f'[providers.{provider}] names the account "{named}"', hint=nearest(str(named), accounts))
    table = accounts.get(named or provider)
    if table is None:
        return Account(key or own, (key,) if key else ())
    if "key" in options and "keys" in table:
        raise ConfigError(
            f"[providers.{provider}] has a key, and its account [accounts.{named or provider}] has keys",
            hint="Name all of them in the account.",
        )
    keys = tuple(_variable(name, str(named or provider)) for name in table.get("keys", ())) or ((key,) if key else ())
    return Account(str(named or provider), keys, limits_in(table), bool(table.get("shared", False)))


def limits_in(table: Mapping[str, Any]) -> Limits:
    return Limits(**{name: table[name] for name in LIMITS if name in table})


def limits_of_model(settings: Settings, model: str) -> Limits:
    """What `[limits."provider/name"]` says, for each key."""
    return limits_in(settings.table("limits").get(model, {}))


_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


def is_variable(name: str) -> bool:
    """Whether it looks like the name of a variable. Keys have small letters in them."""
    return _NAME.fullmatch(name) is not None


def _variable(name: str, account: str) -> str:
    plain = name.removeprefix("$")
    if not is_variable(plain):
        raise ConfigError(
            f"[accounts.{account}] keys holds something that is not the name of a variable; it would be written down.",
            hint='Write keys = ["OPENAI_API_KEY"] and set the variable instead.',
        )
    return plain


def check_accounts(settings: Settings, secrets: Secrets) -> None:
    """One key has one set of limits: a key in two accounts is refused. Raises ConfigError."""
    names: dict[str, str] = {}
    values: dict[str, tuple[str, str]] = {}
    for account, table in settings.table("accounts").items():
        for name in table.get("keys", ()):
            variable = _variable(name, account)
            value = secrets.find(variable)
            other, its = names.setdefault(variable, account), variable
            if other == account and value is not None:
                other, its = values.setdefault(value[0], (account, variable))
            if other != account:
                what = variable if its == variable else f"The key of {variable}"
                raise ConfigError(
                    f"{what} is in [accounts.{other}] and in [accounts.{account}]; a key has one set of limits.",
                    hint="Let both providers name one account: [providers.NAME] account = …",
                )


@dataclass(frozen=True, slots=True)
class FoundKeys:
    """The keys of an account that are set, as (variable, value). ``missing`` are set nowhere.

    ``same`` are variables whose value another one of the account has: together they are one key.
    """

    found: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    same: tuple[str, ...]

    def text(self, account: Account) -> str:
        """What is not used, for people."""
        parts = [f"{', '.join(self.missing)} is not set"] if self.missing else []
        parts += [f"{', '.join(self.same)} holds a key that the account has already"] if self.same else []
        return f"{account.name} works with {len(self.found)} of {len(account.keys)} keys: {'; '.join(parts)}."

    def __repr__(self) -> str:  # values never reach a log or a traceback
        return f"FoundKeys({', '.join(name for name, _ in self.found)})"


def find_keys(account: Account, secrets: Secrets) -> FoundKeys:
    found: dict[str, str] = {}
    missing, same = [], []
    for name in account.keys:
        value = secrets.find(name)
        if value is None:
            missing.append(name)
        elif value[0] in found.values():
            same.append(name)
        else:
            found[name] = value[0]
    return FoundKeys(tuple(found.items()), tuple(missing), tuple(same))
