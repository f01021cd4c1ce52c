"""A new project: a few small files that run at once with the stand-in. Nothing is ever overwritten."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module, resources
from pathlib import Path

from seedbed.engine.projects.project import RECIPES
from seedbed.engine.projects.settings import FILE, json_schema
from seedbed.errors import ConfigError, SourceError, UsageError, nearest
from seedbed.ports.corpus.opening import open_corpus

SCHEMA = ".seedbed/seedbed.schema.json"
IGNORE = ".gitignore"
IGNORED = ".seedbed/\n.env*\n!.env.example\n"


@dataclass(frozen=True)
class Made:
    """A file of a new project and what it is."""

    path: str
    what: str


@dataclass(frozen=True)
class Started:
    folder: str
    recipe: str
    files: tuple[Made, ...]
    next: tuple[str, ...]


def start_project(folder: Path, recipe: str = "") -> Started:
    """Write the files of a new project. Raises UsageError where one of them is there already."""
    if recipe and recipe not in RECIPES:
        raise ConfigError(f'there is no recipe "{recipe}"', hint=nearest(recipe, RECIPES))
    files = _FILES[recipe](folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, not a folder")
    if (folder / IGNORE).exists():
        files = {name: made for name, made in files.items() if name != IGNORE}  # the user's own stays as it is
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise UsageError(
            f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} there already in {folder.resolve()};"
            " nothing was written.",
            hint="Start in another folder: seedbed init DIR",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, (_, text) in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="") as file:
                file.write(text)
        (folder / SCHEMA).parent.mkdir(exist_ok=True)
        (folder / SCHEMA).write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", "utf-8")
        if recipe:
            _fill_corpus(folder, recipe)
    except OSError as error:
        raise SourceError(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    begin = "" if folder.resolve() == Path.cwd() else f"cd {folder} && "
    follow = begin + _FIRST[recipe]
    made = tuple(Made(name, what) for name, (what, _) in files.items())
    return Started(str(folder), recipe, made, (follow,))


_FACTS_PROMPTS = {
    "explode.md": "what the model is told to make facts of an entry",
    "challenges.md": "what the model is told to make quiz challenges of a fact",
    "rewrite.md": "what the model is told to rewrite a fact",
    "recover.md": "what the model is told to make more of a fact of little note",
    "how-a-fact-reads.md": "what both of them say of a fact's texts",
}
_EXPERIMENTS_PROMPTS = {
    "essay.md": "what the model is told to make an essay of a draft",
    "evaluation.md": "what the model is told to evaluate an essay",
}
EXPERIMENTS = "data/db/documents.sqlite"

Files = Mapping[str, tuple[str, str]]


def _plain(folder: Path) -> Files:
    name = folder.resolve().name
    return {
        FILE: ("source, stages, limits            <- start here", _PLAIN_TOML.format(name=json.dumps(name))),
        "prompts/summary.md": ("what the model is told", _PROMPT),
        "shapes/summary.json": ("what an answer must look like", _SHAPE),
        "questions.csv": ("24 sample records, replace with yours", _questions()),
        IGNORE: ("keeps state and keys out of git", IGNORED),
    }


def _facts(folder: Path) -> Files:
    name = folder.resolve().name
    sample = _of_recipe("sample.jsonl")
    return {
        FILE: ("recipe, models, limits            <- start here", _FACTS_TOML.format(name=json.dumps(name))),
        "entries.jsonl": ("ten entries to begin with, replace with yours", sample),
        "topics.jsonl": ("the topics and what may be said of them", _of_recipe("topics.jsonl")),
        **_prompts("facts", _FACTS_PROMPTS),
        ".env.example": ("names of the keys that may be read", _KEYS),
        IGNORE: ("keeps state and keys out of git", IGNORED + "corpus.db*\n"),
    }


def _experiments(folder: Path) -> Files:
    return {
        FILE: (
            "recipe, models, limits            <- start here",
            _EXPERIMENTS_TOML.format(name=json.dumps(folder.resolve().name)),
        ),
        **_prompts("experiments", _EXPERIMENTS_PROMPTS),
        ".env.example": ("names of the keys that may be read", _KEYS),
        IGNORE: ("keeps state and keys out of git", IGNORED),
    }


_FILES: Mapping[str, Callable[[Path], Files]] = {"": _plain, "facts": _facts, "experiments": _experiments}
_FIRST: Mapping[str, str] = {
    "": "seedbed run --limit 5",
    "facts": "seedbed run",
    "experiments": "seedbed import experiments . --run-id backfill-1 --dry-run",
}


def _of_recipe(name: str, recipe: str = "facts") -> str:
    return resources.files(RECIPES[recipe]).joinpath(name).read_text("utf-8")


def _prompts(recipe: str, prompts: Mapping[str, str]) -> Files:
    """Copied, so that they can be changed; a project's own prompts stand before the recipe's."""
    return {f"prompts/{name}": (what, _of_recipe(f"prompts/{name}", recipe)) for name, what in prompts.items()}


def _fill_corpus(folder: Path, recipe: str) -> None:
    """The tables of the recipe; of facts also the topics and the sample entries."""
    if recipe == "experiments":
        import_module(f"{RECIPES[recipe]}.index").Index(folder / EXPERIMENTS, writes=True).close()
        return
    importing = import_module(f"{RECIPES[recipe]}.importing")
    database = folder / "corpus.db"
    if database.exists():
        return
    sqlite3.connect(database).close()
    corpus = open_corpus(f"sqlite:///{database}")
    try:
        corpus.create(_of_recipe("tables.sql"))
        importing.import_topics(corpus, folder / "topics.jsonl")
        importing.import_facts(corpus, [folder / "entries.jsonl"], dry_run=False, release="init")
    finally:
        corpus.close()


def _questions() -> str:
    """Two dozen questions, each with an answer and nothing else."""
    facts = [
        ("Switzerland", "Bern"), ("France", "Paris"), ("Japan", "Tokyo"), ("Kenya", "Nairobi"),
        ("Peru", "Lima"), ("Canada", "Ottawa"), ("Norway", "Oslo"), ("Egypt", "Cairo"),
        ("Chile", "Santiago"), ("Ghana", "Accra"), ("Nepal", "Kathmandu"), ("Cuba", "Havana"),
        ("Austria", "Vienna"), ("Poland", "Warsaw"), ("Greece", "Athens"), ("Finland", "Helsinki"),
        ("Portugal", "Lisbon"), ("Ireland", "Dublin"), ("Hungary", "Budapest"), ("Romania", "Bucharest"),
        ("Vietnam", "Hanoi"), ("Qatar", "Doha"), ("Jordan", "Amman"), ("Iceland", "Reykjavík"),
    ]  # fmt: skip
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "question", "answer"])
    for number, (country, city) in enumerate(facts, 1):
        writer.writerow([f"q-{number:02}", f"Which city is the capital of {country}?", city])
    return text.getvalue()


_HEAD = f"""#:schema ./{SCHEMA}
# Every key is described by: seedbed config
"""

_PLAIN_TOML = (
    _HEAD
    + """
[project]
name = {name}
corpus = "questions.csv"            # or sqlite:///corpus.db; results of a file go to questions.filled.csv
demo = true                         # answers of the stand-in may be written; take it out for real work

[tiers]
default = "offline/standin"         # no key, no cost; for real work "openai/gpt-5-mini" and OPENAI_API_KEY

[budget]
run = "5usd"                        # a cap of each run; it holds

[stages."questions.summary"]
table = "questions"
outputs = ["summary", "topic"]
prompt = "summary.md"
shape = "shapes/summary.json"
"""
)

_FACTS_TOML = (
    _HEAD
    + """
[project]
name = {name}
recipe = "facts"
corpus = "sqlite:///corpus.db"      # made from entries.jsonl; more with: seedbed import facts FILES
demo = true                         # answers of the stand-in may be written; take it out for real work

[tiers]                             # no key, no cost; for real work "openai/gpt-5-mini" and OPENAI_API_KEY
default = "offline/standin"
mid = "offline/standin"
high = "offline/standin"

[budget]
run = "5usd"                        # a cap of each run; it holds

[recipe]
depth = 1                           # how far from an entry its spin-offs are worked
"""
)

_EXPERIMENTS_TOML = (
    _HEAD
    + """
[project]
name = {name}
recipe = "experiments"
corpus = "sqlite:///data/db/documents.sqlite"   # filled by: seedbed import experiments . --run-id R
demo = true                         # answers of the stand-in may be written; take it out for real work

[tiers]                             # no key, no cost; for real work "openai/gpt-5-mini" and OPENAI_API_KEY
default = "offline/standin"
mid = "offline/standin"
high = "offline/standin"

[budget]
run = "5usd"                        # a cap of each run; it holds

[recipe]
score_rule = "last-three-lines"     # 0 to 9; how a score is read out of an evaluation
"""
)

_PROMPT = """You summarise quiz questions for an index.

Say in one sentence what the question asks for, without giving the answer away, and name its topic.

<!-- item -->

Question: {{ question }}
Answer: {{ answer }}
"""

_SHAPE = (
    json.dumps(
        {
            "type": "object",
            "properties": {
                "summary": {"type": "string", "description": "one sentence, the answer not given away"},
                "topic": {"enum": ["geography", "history", "nature", "art"]},
            },
            "required": ["summary", "topic"],
            "additionalProperties": False,
        },
        indent=2,
    )
    + "\n"
)

_KEYS = """# Copy to .env.local and fill in. Keys are read from the environment first; they are never written anywhere.
OPENAI_API_KEY=
"""
