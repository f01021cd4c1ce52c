"""Prompts: Markdown with Jinja in a sandbox. The part above ``<!-- item -->`` is the same for many items.

A prompt that names nothing of the item gets the item's inputs as JSON below it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache, wraps
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined, Template, TemplateError, TemplateNotFound, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from seedbed.errors import ConfigError, nearest
from seedbed.records import Message

SPLIT = "<!-- item -->"
WHOLE_ROW = "row"
MAX_PROMPT = 4_000_000
"""Characters a rendered prompt may have."""
MOST_POWER = 64


Places = tuple[Path, ...]
"""Folders where prompts and shapes are looked for: the project's own first, then the recipe's."""


def find(name: str, places: Places) -> Path | None:
    """The file of that name in the first place that has it; never outside of the places."""
    for place in places:
        with suppress(OSError, ValueError):  # a text that no file system takes for a name
            path = (place / name).resolve()
            if path.is_relative_to(place.resolve()) and path.is_file():
                return path
    return None


def names_in(places: Places, suffix: str) -> list[str]:
    """Files that could have been meant, for the hint of an error."""
    found: list[str] = []
    for place in places:
        found.extend(str(path.relative_to(place)) for path in place.glob(f"**/*{suffix}") if ".venv" not in path.parts)
        if len(found) > 200:
            break
    return found


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja without reach, whose products stay small."""

    intercepted_binops = frozenset(["*", "**", "%"])

    def __init__(self, places: Places) -> None:
        self.beside = _Beside(places)
        super().__init__(loader=self.beside, undefined=StrictUndefined, keep_trailing_newline=False, autoescape=False)
        self.filters["tojson"] = _as_json
        for name in ("center", "indent"):
            self.filters[name] = _narrow(self.filters[name])
        self.filters["format"] = _formatted(self.filters["format"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        sequences = isinstance(left, _SEQUENCE) or isinstance(right, _SEQUENCE)
        if (
            (operator == "*" and sequences and _size(left) * _size(right) > MAX_PROMPT)
            or (operator == "**" and _size(right) > MOST_POWER)
            or (operator == "%" and isinstance(left, str) and _WIDE_PERCENT.search(left))
        ):
            raise SecurityError(f"{operator} makes something too large")
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, function: Any, /, *values: Any, **named: Any) -> Any:
        of = getattr(getattr(function, "__wrapped__", function), "__self__", None)  # Jinja wraps str.format
        if isinstance(of, str):
            name = getattr(function, "__name__", "")
            if name in ("format", "format_map") and _WIDE_BRACES.search(of.replace("{{", "")):
                raise SecurityError(f"{name} makes something too large")
            if name in _PADDING:
                function = _narrow(function)
        return super().call(context, function, *values, **named)


_SEQUENCE = (str, list, tuple)
_WIDE_PERCENT = re.compile(r"%(?:\([^)]*\))?[^a-zA-Z%]*(?:\d{6,}|\*)")
_WIDE_BRACES = re.compile(r"\{[^{}]*(?:\d{6,}|\{)")
"""Formats that ask for a great width, or take the width from a value."""
_PADDING = ("center", "ljust", "rjust", "zfill", "expandtabs")


def _size(value: Any) -> int:
    if isinstance(value, _SEQUENCE):
        return len(value)
    return max(0, value) if isinstance(value, int) else 1


def _narrow(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function for widths that a prompt can have."""

    @wraps(function)
    def narrow(*values: Any, **named: Any) -> Any:
        if any(isinstance(value, int) and value > MAX_PROMPT for value in (*values, *named.values())):
            raise SecurityError(f"{function.__name__} makes something too large")
        return function(*values, **named)

    return narrow


def _formatted(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def formatted(value: Any, *values: Any, **named: Any) -> Any:
        if _WIDE_PERCENT.search(str(value)):
            raise SecurityError("format makes something too large")
        return function(value, *values, **named)

    return formatted


class _Beside(BaseLoader):
    """Loads includes from the places of prompts and notes what was read, for the recipe hash."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.read: dict[str, str] = {}

    def get_source(self, environment: Environment, template: str) -> tuple[str, str | None, Callable[[], bool] | None]:
        path = find(template, self.places)
        if path is None:
            raise TemplateNotFound(template)
        source = _text(path)
        self.read[template] = source
        return source, str(path), lambda: True


@dataclass(frozen=True)
class Prompt:
    """A loaded prompt. ``source`` is its text with all includes, as it counts in the recipe hash."""

    name: str
    source: str
    names: frozenset[str]
    stable: Template | None
    item: Template | None
    stable_names: frozenset[str] = frozenset()

    @property
    def shows_row(self) -> bool:
        return self.item is None

    def messages(self, variables: Mapping[str, Any], shown: Mapping[str, Any]) -> tuple[Message, ...]:
        """The messages for one item; ``shown`` is the row that is shown where the prompt names nothing of it."""
        out = []
        if self.stable is not None:
            out.append(Message("system", self._stable_text(variables), stable=True))
        text = _as_json(shown) if self.item is None else _render(self.name, self.item, variables)
        out.append(Message("user", text))
        return tuple(out)

    def _stable_text(self, variables: Mapping[str, Any]) -> str:
        if self.stable is None:
            raise AssertionError("the prompt has no stable part")
        return _render(self.name, self.stable, variables) if self.stable_names else self._constant

    @cached_property
    def _constant(self) -> str:
        """A stable part that names nothing, which is most of them, is the same for all items."""
        return "" if self.stable is None else _render(self.name, self.stable, {})

    def group(self, members: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any]]]) -> tuple[Message, ...]:
        """The messages for several items, each under its label: (label, variables, shown)."""
        out = []
        if self.stable is not None:
            texts = [self._stable_text(variables) for _, variables, _ in members]
            if any(text != texts[0] for text in texts):
                raise ConfigError(
                    f"{self.name} shows something of the item above {SPLIT}, where it is asked once for a group",
                    hint=f"Move it below {SPLIT}, or set per_call = 1.",
                )
            out.append(Message("system", texts[0], stable=True))
        parts = [
            f"## {label}\n" + (_as_json(shown) if self.item is None else _render(self.name, self.item, variables))
            for label, variables, shown in members
        ]
        parts.append("Answer for each item above, under the key of its heading.")
        out.append(Message("user", "\n\n".join(parts)))
        return tuple(out)


def load_prompt(text: str, places: Places, *, known: Sequence[str] | None = None) -> Prompt:
    """A prompt from a file name (``….md``) or a text. ``known`` are the names that an item offers; None is any.

    Raises ConfigError with the place for a file that is missing or a template that cannot be read.
    """
    name, source = _source(text, places)
    environment = _Sandbox(places)
    above, split, below = source.partition(SPLIT)
    try:
        names_above = _names(environment, name, above)
        names = names_above | _names(environment, name, "\n" * above.count("\n") + below)
        if split:
            stable, item = above.strip(), below.strip()
        elif names if known is None else names & {WHOLE_ROW, *known}:
            stable, item = "", source.strip()
        else:
            stable, item = source.strip(), ""
        prompt = Prompt(
            name=name,
            source="\n".join([source, *(f"{n}\n{s}" for n, s in sorted(environment.beside.read.items()))]),
            names=frozenset(names),
            stable=_template(environment, stable),
            item=_template(environment, item),
            stable_names=frozenset(names_above if split else names),
        )
    except TemplateNotFound as error:
        raise ConfigError(f"{name} includes {error.name}, which is not there") from error
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        where = getattr(error, "name", None) or name
        what = (error.message or "").splitlines()[:1] or [type(error).__name__]
        raise ConfigError(f"{where}{f':{line}' if line else ''} cannot be read: {what[0]}") from error
    except RecursionError as error:
        raise ConfigError(f"{name} cannot be read: it is nested too deeply") from error
    return prompt


def _template(environment: _Sandbox, text: str) -> Template | None:
    if not text:
        return None
    template = environment.from_string(text)
    template.globals = dict(template.globals)  # rendering copies them each time, and a chain of maps is slow to copy
    return template


def _source(text: str, places: Places) -> tuple[str, str]:
    if "\n" in text or not text.endswith((".md", ".txt", ".j2")):
        return "the prompt", text
    path = find(text, places)
    if path is None:
        raise ConfigError(f"the prompt {text} is not there", hint=nearest(text, names_in(places, Path(text).suffix)))
    return text, _text(path)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"the prompt {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the prompt {path} is not UTF-8 text (byte {error.start})") from error


def _names(environment: _Sandbox, name: str, source: str, seen: frozenset[str] = frozenset()) -> set[str]:
    """Names a template needs, includes followed. Compiles it, so that an error names the line of the file."""
    environment.compile(source, name, raw=True)
    tree = environment.parse(source, name)
    names = set(meta.find_undeclared_variables(tree))
    for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        template = getattr(node, "template", None)
        if not isinstance(template, nodes.Const) or not isinstance(template.value, str):
            raise ConfigError(
                f"{name}:{node.lineno} includes a file by a name that is worked out",
                why="What an item holds must not choose a file, and the recipe must know all its texts.",
                hint='Write the name out: {% include "style.md" %}',
            )
        if template.value not in seen:
            included, _, _ = environment.beside.get_source(environment, template.value)
            names |= _names(environment, template.value, included, seen | {template.value})
    return names


def _render(name: str, template: Template, variables: Mapping[str, Any]) -> str:
    try:
        pieces: list[str] = []
        size = 0
        for piece in template.generate(variables):
            size += len(piece)
            if size > MAX_PROMPT:
                raise ConfigError(f"{name} renders to more than {MAX_PROMPT:,} characters")
            pieces.append(piece)
        return "".join(pieces)
    except RecursionError as error:
        raise ConfigError(f"{name} cannot be rendered: it calls or includes itself without end") from error
    except (TemplateError, LookupError, AttributeError, TypeError, ValueError, ArithmeticError, MemoryError) as error:
        raise ConfigError(f"{name} cannot be rendered: {error}") from error


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_in_json)


def _in_json(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


@lru_cache(maxsize=256)
def cached_prompt(text: str, places: Places) -> Prompt:
    """A prompt of an ``ask`` function: loaded once for all items; whatever it names is of the item."""
    return load_prompt(text, places)
