"""A corpus of facts, and one round of a stage done by hand: select, ask the stand-in, check, store."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from seedbed import Corpus, Finding, Item, NewRow, Stage, key_text, row_id
from seedbed.conditions import parse
from seedbed.engine.projects.binding import BoundStage, bind
from seedbed.ports.corpus import CellWrite
from seedbed.ports.corpus.database import open_corpus
from seedbed.recipes import facts
from seedbed.recipes.facts import standin
from seedbed.recipes.facts.importing import import_topics
from seedbed.simulator import answer
from seedbed.stage import Fills, Makes

HOME = Path(facts.__file__).parent
DDL = (HOME / "tables.sql").read_text("utf-8")


def new_corpus(path: Path) -> Corpus:
    sqlite3.connect(path).close()
    corpus = open_corpus(f"sqlite:///{path}")
    corpus.create(DDL)
    import_topics(corpus)
    return corpus


def execute(path: Path, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """SQL as another program would send it."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("pragma foreign_keys = on")
        return database.execute(statement, values).fetchall()


def plant(corpus: Corpus, table: str, row_key: str, **values: Any) -> str:
    """A row as if it had always been there."""
    (done,) = corpus.insert("planted", [NewRow(row_key, table, values, (), "", 0)])
    assert done.fate == "stored", done
    return row_key


def plant_entry(corpus: Corpus, row_key: str, **values: Any) -> str:
    return plant(corpus, "entries", row_key, **{"name": row_key.title(), "topic": "countries", "depth": 0, **values})


def plant_fact(corpus: Corpus, row_key: str, **values: Any) -> str:
    return plant(corpus, "facts", row_key, **{**good_fact(), "title": f"A title of fact {row_key}", **values})


def plant_challenge(corpus: Corpus, row_key: str, fact: str, **values: Any) -> str:
    return plant(corpus, "challenges", row_key, **{"fact": fact, "difficulty": 1, **good_challenge(), **values})


def all_rows(corpus: Corpus, table: str, where: str = "") -> list[dict[str, Any]]:
    key = corpus.table(table).key or ("id",)
    return corpus.page(table, key, parse(where), limit=100_000)


# ------------------------------------------------------------------------------- what is faultless

CONTEXT = (
    "Ask a traveller for the smallest thing about Bern, and the river comes up first. "
    "The town grew in a bend of the Aare from 1191 on. "
    "It has been the seat of the government since 1848. "
    "Whoever takes a train through the country will pass it."
)


def good_fact() -> dict[str, Any]:
    return {
        "topic": "countries",
        "title": "The capital of Switzerland is Bern",
        "challenge_title": "Which town would you look for the government in?",
        "facts": {"capital": "Bern"},
        "context": CONTEXT,
        "notability_score": 0.8,
        "notability_reason": "It is the first thing that is asked about a country.",
        "source_type": "file_seed",
        "status": "pending_validation",
    }


def good_challenge(style: str = "direct_question") -> dict[str, Any]:
    task = {
        "multiple_choice": "Which of these four towns do you take for the seat of the government?",
        "direct_question": "Which town do you look for the seat of the government in?",
        "fill_the_gap": "Fill the gap as you know it: ___ is the seat of the government.",
        "statement_blank": "Complete what you know: the seat of the government is ___.",
        "reverse_lookup": "Which town do you think of when you hear of the seat of the government?",
        "free_text": "Tell in your own words where the government has its seat.",
    }[style]
    towns = [
        {"text": "Bern", "correct": True},
        *({"text": each, "correct": False} for each in ("Zug", "Chur", "Basel")),
    ]
    return {
        "style": style,
        "setup_text": "Four languages share one small country. Its government sits in none of the biggest towns.",
        "challenge_text": task,
        "reveal_correct": "Right you are, and it has been so since 1848.",
        "reveal_wrong": "Not quite: the government sits in Bern, by the Aare.",
        "correct_answer": (
            "The answer is Bern, a town in a bend of the Aare. The government has had its seat there since 1848. "
            "It is the fifth biggest town of the country only."
        ),
        "style_data": {"answer": "Bern", "options": towns if style == "multiple_choice" else []},
    }


def good_row() -> dict[str, Any]:
    """What the challenge above is about."""
    return {"title": "The capital of Switzerland", "entry_name": "Switzerland"}


def codes(findings: Sequence[Finding] | Iterator[Finding]) -> set[str]:
    return {finding.code for finding in findings}


# ------------------------------------------------------------------------------------ by hand


def bound(stage: Stage, corpus: Corpus) -> BoundStage:
    return bind(
        stage,
        corpus,
        (HOME / "prompts", HOME / "shapes"),
        outputs_of_all=frozenset(),
        frozen=lambda name, columns: columns,
    )


def items(stage: Stage, corpus: Corpus) -> list[Item]:
    """What the stage selects now, with its context."""
    key = bound(stage, corpus).key
    found = []
    for row in corpus.page(stage.source.table, key, stage.condition(), limit=100_000):
        bare = Item(key_text([row[name] for name in key]), row)
        context = {name: make(corpus.lookup(), bare) for name, make in stage.context.items()}
        found.append(Item(bare.key, row, context=context))
    return found


def prompt(stage: Stage, corpus: Corpus, item: Item) -> str:
    return "\n\n".join(message.text for message in bound(stage, corpus).request([item], 1).messages)


def ask(stage: Stage, corpus: Corpus, item: Item) -> Any:
    """The stand-in's answer, read by the shape."""
    ready = bound(stage, corpus)
    assert ready.reader is not None
    return ready.reader.read(answer(prompt(stage, corpus, item), ready.reader.schema, rules=standin.RULES))


def findings_of(stage: Stage, item: Item, output: Any) -> list[Finding]:
    return [finding for check in stage.checks for finding in check(item, output)]


def one_round(stage: Stage, corpus: Corpus, settled: set[str]) -> Counter[str]:
    """One round of a stage, the settled items left out: what came of it, by fate."""
    fates: Counter[str] = Counter()
    new: list[NewRow] = []
    missing = [item for item in items(stage, corpus) if item.key not in settled]
    for item in missing:
        settled.add(item.key)
        if isinstance(stage.relation, Fills):
            assert stage.compute is not None
            fates[_filled(stage, corpus, item, stage.compute(item))] += 1
            continue
        output = ask(stage, corpus, item)
        found = findings_of(stage, item, output)
        assert not [finding for finding in found if finding.severity == "error"], (item.row, output, found)
        new += _rows(stage, item, output)
    fates.update(f"{done.row.table} {done.fate}" for done in corpus.insert(stage.name, new))
    return fates


def _rows(stage: Stage, item: Item, output: Any) -> Iterator[NewRow]:
    assert isinstance(stage.relation, Makes)
    bare = Item(item.key, item.row)  # rows are made again at upload, where nothing is looked up
    for place, row in enumerate(stage.relation.rows(bare, output)):
        natural = stage.relation.into[row.table]
        made = row_id(item.key, stage.name, [row[name] for name in natural[0].columns], place, row)
        yield NewRow(made, row.table, dict(row), natural, item.key, place)


def _filled(stage: Stage, corpus: Corpus, item: Item, output: Mapping[str, Any]) -> str:
    assert isinstance(stage.relation, Fills)
    before = {name: item[name] for name in stage.outputs if name in item.row}
    after = {name: json.dumps(value) if isinstance(value, list) else value for name, value in output.items()}
    source = None if stage.source.table == stage.relation.table else stage.source.table
    ready = bound(stage, corpus)
    write = CellWrite(item.key, ready.fingerprint(item.row), before, after)
    (done,) = corpus.write(
        stage.name, stage.relation.table, ("id",), [write], fingerprint=ready.fingerprint, source=source
    )
    return done.fate
