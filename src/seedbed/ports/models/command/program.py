"""What a program is told, and what its end and its error channel mean. Pure: nothing is started here.

{model}        the model's name                {answer}        the file that the answer is read from
{prompt}       the prompt itself               {tools}         the allowed tools, with commas
{prompt_file}  a file with the prompt          {project}       the project's folder
{shape_file}   a file with the JSON Schema that the answer has to fit
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

PLACEHOLDERS = ("model", "prompt", "prompt_file", "shape_file", "answer", "tools", "project")
STDOUT = "stdout"
ANSWER = "{answer}"

Means = Literal["session_limit", "rate_limit", "login_expired", "refused"]

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_EXIT = re.compile(r"exit (\d{1,3})")

USUAL: Mapping[Means, tuple[str, ...]] = {
    "login_expired": (
        r"(?:please|must|need to|to) (?:first )?(?:run \S+ )?(?:log|sign)[ -]?in\b",
        r"not (?:logged|signed) in",
        r"(?:login|token|credentials?|authentication)\b.{0,20}\bexpired",
        r"expired (?:login|token|credentials?)",
        r"invalid (?:api key|authentication|credentials)",
        r"unauthori[sz]ed",
    ),
    "session_limit": (
        r"(?:usage|session|weekly|daily|monthly|5-hour|plan|message) (?:limit|cap|quota)",
        r"(?<!rate )limit (?:has been )?(?:reached|exceeded|hit)",
        r"quota (?:exceeded|exhausted|used up)",
        r"out of (?:credits|messages|quota)",
    ),
    "rate_limit": (r"rate.?limit", r"too many requests", r"\boverloaded\b"),
    "refused": (r"content.?(?:filter|policy)", r"(?:blocked|flagged) by .{0,40}(?:filter|policy|moderation)"),
}
"""What programs of this kind say in their own words, where a project says nothing else."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Exit codes, and expressions that are looked for on the error channel, letter case aside."""

    codes: frozenset[int] = frozenset()
    words: tuple[re.Pattern[str], ...] = ()

    @classmethod
    def of(cls, said: Sequence[str]) -> Marks:
        """``exit 3`` is an exit code; anything else an expression. Raises re.error."""
        codes = frozenset(int(code[1]) for each in said if (code := _EXIT.fullmatch(each.strip())))
        words = tuple(re.compile(each, re.IGNORECASE) for each in said if not _EXIT.fullmatch(each.strip()))
        return cls(codes, words)

    def found(self, code: int | None, errors: str) -> str | None:
        """What the program says from the mark on, at most three lines; None without a mark.

        The last mark counts: what was said earlier may have been over by then.
        """
        ends = [match.start() for pattern in self.words for match in pattern.finditer(errors)]
        if ends:
            begin = errors.rfind("\n", 0, max(ends)) + 1
            return "\n".join(errors[begin:].splitlines()[:3])
        return errors if code in self.codes else None


@dataclass(frozen=True)
class Program:
    """A headless program as a project declares it. ``arguments`` begin with the program's path.

    ``answer`` is ``stdout``, ``{answer}``, or the name of a file in the folder in which the program runs.
    ``environment`` is all that the program gets, and ``secrets`` those of its values that are never shown or stored;
    ``login`` is what a person types to log in.
    """

    name: str
    arguments: tuple[str, ...]
    answer: str = STDOUT
    tools: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    project: str = ""
    login: str = ""
    marks: Mapping[Means, Marks] = field(default_factory=dict)

    def for_model(self, model: str) -> tuple[str, ...]:
        """The arguments, with what is the same for each call filled in."""
        return filled(self.arguments, {"model": model, "tools": ",".join(self.tools), "project": self.project}.get)

    def names_model(self, model: str) -> bool:
        """Whether the program is told which model to ask: it must never choose that by itself."""
        words = self.arguments[1:]
        return "model" in names_in(words) or any(word == model or word.endswith(f"={model}") for word in words)

    def hidden(self, errors: str) -> str:
        """What the program says of errors, without the keys that it was given."""
        for secret in self.secrets:
            errors = errors.replace(secret, "…")
        return errors

    def meaning(self, code: int | None, errors: str) -> tuple[Means, str] | None:
        """What an end without an answer means, and the program's own words for it."""
        for means in USUAL:
            words = self.marks[means].found(code, errors)
            if words is not None:
                return means, words
        return None


def names_in(words: Sequence[str]) -> set[str]:
    """The placeholders that arguments speak of."""
    return {name for word in words for name in _PLACEHOLDER.findall(word)}


def filled(words: Sequence[str], value: Callable[[str], str | None]) -> tuple[str, ...]:
    """Arguments with values in place of placeholders; one without a value stays. Values are never read again."""

    def put(found: re.Match[str]) -> str:
        known = value(found[1])
        return found[0] if known is None else known

    return tuple(_PLACEHOLDER.sub(put, word) for word in words)
