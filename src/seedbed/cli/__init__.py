"""The command line: each verb parses, calls one function of the engine, and shows the value.

All errors end here, at one edge. Heavy imports stay inside the commands, so that ``--help`` is quick.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from seedbed.engine.garbage import seldom_collected
from seedbed.errors import SeedbedError, Stopped, UsageError, of_the_system

GROUPS = {
    "Start": ("init", "doctor", "fill", "demo"),
    "Look": (
        "audit",
        "plan",
        "status",
        "watch",
        "records",
        "bad",
        "cost",
        "report",
        "logs",
        "config",
        "tiers",
        "receipts",
    ),
    "Sign": ("pilot", "review", "approve", "revoke"),
    "Work": ("run", "wave", "schedule", "export", "generate", "upload", "validate", "recover", "rollback"),
    "More": ("import", "repair-bad", "documents", "repair", "simulate"),
}
MODULES = (
    "starting", "filling", "running", "waving", "piloting", "looking", "tiering", "recipes", "experiments", "repairing",
)  # fmt: skip


class Verbs(TyperGroup):
    """Verbs in groups, as a person meets them."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Stopped("Stopped.", signal_number=2) from None

    def list_commands(self, ctx: Any) -> list[str]:
        ordered = [name for names in GROUPS.values() for name in names]
        return sorted(self.commands, key=lambda name: ordered.index(name) if name in ordered else len(ordered))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        grouped = {name for names in GROUPS.values() for name in names}
        rest = tuple(name for name in self.commands if name not in grouped)
        for title, names in {**GROUPS, "Others": rest}.items():
            rows = [(name, _first_sentence(self.commands[name].help)) for name in names if name in self.commands]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=12)


class Verb(TyperCommand):
    """Options under the heads that they belong to, names without their types."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        arguments = [p for p in self.get_params(ctx) if p.param_type_name == "argument"]
        return ["[OPTIONS]", *(str(p.metavar or p.name) for p in arguments)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        heads: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                head = getattr(param, "rich_help_panel", None)
                kind = "Arguments" if param.param_type_name == "argument" else "Options"
                name = str(param.metavar or param.name) if kind == "Arguments" else record[0]
                heads.setdefault(head or kind, []).append((name, record[1]))
        for head, rows in heads.items():
            with formatter.section(head):
                formatter.write_dl(rows, col_max=34)


def _first_sentence(text: str | None) -> str:
    """What a verb does, in one line."""
    return " ".join((text or "").split("\n\n")[0].split()).partition(". ")[0].rstrip(".")


class App(typer.Typer):
    """A Typer whose commands are of our kind without saying so each time."""

    def command(self, *args: Any, **more: Any) -> Any:
        more.setdefault("cls", Verb)
        return super().command(*args, **more)


def build() -> typer.Typer:
    """The app with all its verbs."""
    app = App(
        name="seedbed",
        cls=Verbs,
        help="Grow and keep a corpus with language models: find what is missing, never pay twice, check every answer.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(_root)
    for name in MODULES:
        if find_spec(f"seedbed.cli.{name}") is not None:
            import_module(f"seedbed.cli.{name}").register(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"seedbed {version('seedbed')}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    pass


# -------------------------------------------------------------------------------------- the one edge


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code."""
    with seldom_collected():
        code = run(sys.argv[1:] if argv is None else argv)
    gc.freeze()  # all that is left ends with the process: the interpreter need not look it through once more
    raise SystemExit(code)


def run(argv: Sequence[str]) -> int:
    """The exit code of a command. Errors a user may meet are told in a few lines; anything else is a bug."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = typer.main.get_command(build()).main(list(argv), prog_name="seedbed", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SeedbedError as error:
        return _failed(error, argv)
    except (KeyboardInterrupt, typer.Abort):
        _to_stderr("Stopped.\n")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as error:
        said = of_the_system(error)
        return _failed(said, argv) if said is not None else _bug(error, argv)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            return _misused(error, argv)
        return _bug(error, argv)


def _failed(error: SeedbedError, argv: Sequence[str]) -> int:
    from seedbed.cli.render import document, ending_lines, tell

    tell(ending_lines(error))
    if "--json" in argv:
        document(_verb(argv), code=error.exit_code, error=error)
    return error.exit_code


def _misused(error: Any, argv: Sequence[str]) -> int:
    """A command line that cannot be read: one line, and where the help is."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "seedbed"
    words = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":  # nothing was asked: the message is the help
        _to_stderr(f"{words}\n")
        return 2
    return _failed(UsageError(words, hint=f"See: {path} --help"), argv)


def _bug(error: BaseException, argv: Sequence[str]) -> int:
    import traceback

    from seedbed.cli.render import document

    _to_stderr("".join(traceback.format_exception(error)))
    _to_stderr("This is a bug of seedbed, not of yours. What was received is saved; please report the lines above.\n")
    if "--json" in argv:
        bug = SeedbedError(f"{type(error).__name__}: {error}", hint="This is a bug of seedbed; please report it.")
        bug.name = "bug"
        document(_verb(argv), code=1, error=bug)
    return 1


def _verb(argv: Sequence[str]) -> str:
    return next((word for word in argv if not word.startswith("-")), "seedbed")


def _to_stderr(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
