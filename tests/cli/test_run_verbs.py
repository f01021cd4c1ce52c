"""run and its phases over a project file, a real database and a model server of its own books."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seedbed.simulator import Simulator
from tests.cli.commands import Ended

Command = Callable[..., Ended]

PROJECT = """
[project]
corpus = "sqlite:///corpus.db"
[tiers]
default = "openai/test"
[prices."openai/test"]
input = 1.0
output = 2.0
[stages."q.summary"]
table = "questions"
outputs = ["summary"]
prompt = "Say briefly: {{ text }}"
shape = {summary = "text"}
"""


class Corpus:
    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)

    def all(self, sql: str) -> list[tuple[Any, ...]]:
        return self.db.execute(sql).fetchall()

    @property
    def filled(self) -> int:
        return int(self.all("select count(*) from questions where summary is not null")[0][0])


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    (tmp_path / "seedbed.toml").write_text(PROJECT.replace('{summary = "text"}', '"shape.json"'), "utf-8")
    (tmp_path / "shape.json").write_text(
        '{"type": "object", "properties": {"summary": {"type": "string"}}, "required": ["summary"]}', "utf-8"
    )
    made = Corpus(tmp_path / "corpus.db")
    made.all("create table questions (id integer primary key, text text, topic text, summary text)")
    for n in range(1, 7):
        made.all(f"insert into questions (text, topic) values ('Q{n}Z', 't{n % 2}')")
    yield made
    made.db.close()


@pytest.fixture
def ask(seedbed: Command, sim: Simulator, corpus: Corpus) -> Command:
    """A verb that may send, against the simulator."""
    return lambda *words: seedbed(*words, "--base-url", sim.url)


def test_run_does_all_phases_and_a_second_run_nothing(ask: Command, sim: Simulator, corpus: Corpus) -> None:
    ended = ask("run")
    assert ended.code == 0, ended.err
    assert "q.summary: 6 items = 6 accepted" in ended.out
    assert ended.out.splitlines()[-1] == "Next:  seedbed status"
    assert corpus.filled == 6
    again = ask("run", "q.summary")
    assert again.code == 0
    assert again.out.splitlines() == ["Nothing is left to do.", "Next:  seedbed status"]
    assert sim.summary()["requests"] == 6


def test_the_phases_one_by_one_come_to_the_same(ask: Command, seedbed: Command, sim: Simulator, corpus: Corpus) -> None:
    exported = seedbed("export", "--json").json()
    assert exported["items"] == 6
    assert sim.summary()["requests"] == 0
    assert ask("generate", "--json").json()["states"] == {"accepted": 6}
    assert corpus.filled == 0
    looked = seedbed("upload", "--dry-run")
    assert "would be 6 applied" in looked.out
    assert "Nothing was written." in looked.out
    assert corpus.filled == 0
    uploaded = seedbed("upload", "--json").json()
    assert uploaded["fates"] == {"applied": 6}
    assert corpus.filled == 6
    assert "nothing waits" in seedbed("upload").out
    checked = seedbed("validate", "--sample", "2", "--json").json()
    assert checked["checked"] == 6
    assert len(checked["sample"]) == 2
    looked = seedbed("rollback", "--dry-run")
    assert "6 rows would be restored" in looked.out
    assert corpus.filled == 6
    assert seedbed("rollback", uploaded["release"]).code == 0
    assert corpus.filled == 0
    assert sim.summary()["requests"] == 6


def test_recover_asks_again_what_was_rejected_and_nothing_else(ask: Command, sim: Simulator, corpus: Corpus) -> None:
    sim.configure(faults=[{"fault": "wrong_shape", "match": "Q2Z", "times": None}])
    first = ask("run")
    assert first.code == 0
    assert "5 accepted + 1" in first.out
    sim.configure(faults=[])
    sim.reset()
    assert "1 items would be worked" in ask("recover", "--dry-run").out
    assert sim.summary()["requests"] == 0
    assert ask("recover", "--json").json()["states"] == {"accepted": 1}
    assert list(sim.summary()["by_item"]) == ["Q2Z"]


def test_a_dry_run_sends_nothing_and_writes_nothing(
    ask: Command, seedbed: Command, sim: Simulator, corpus: Corpus, tmp_path: Path
) -> None:
    for verb in ("run", "generate", "recover"):
        assert ask(verb, "--dry-run").code == 0
    for verb in ("export", "upload", "validate"):
        assert seedbed(verb, "--dry-run").code == 0
    assert sim.summary()["requests"] == 0
    assert corpus.filled == 0
    assert not (tmp_path / "logs").exists()


def test_a_dry_run_shows_the_first_requests(ask: Command, corpus: Corpus) -> None:
    document = ask("run", "--dry-run", "--json").json()
    stage = document["stages"][0]
    assert stage["counted"] == 6
    assert "Say briefly: Q1Z" in stage["previews"][0]["request"]


def test_a_selection_bounds_the_work(ask: Command, sim: Simulator, corpus: Corpus) -> None:
    assert ask("run", "--where", "topic = 't1'", "--limit", "2").code == 0
    assert ask("generate", "--ids", "2,6").code == 0
    assert ask("run", "--part", "1/2", "--no-upload").code == 0
    asked = [entry["item"] for entry in sim.ledger()]
    assert asked[:4] == ["Q1Z", "Q3Z", "Q2Z", "Q6Z"]
    assert len(asked) == len(set(asked))


def test_a_selection_that_matches_nothing_is_5_and_one_that_is_done_is_0(ask: Command, corpus: Corpus) -> None:
    for words in (["--where", "topic = 'Gmaes'"], ["--ids", "77"], ["--where", "outcome.state = 'rejected'"]):
        assert ask("run", *words).code == 5
        assert ask("run", *words, "--allow-empty").code == 0
    assert ask("run").code == 0
    assert ask("run", "--where", "topic = 't1'").code == 0
    assert ask("run", "--ids", "1").code == 0


def test_unknown_names_say_the_nearest(ask: Command, corpus: Corpus) -> None:
    for words, hint in (
        (["run", "q.sumary"], 'did you mean "q.summary"?'),
        (["generate", "q.sumary"], 'did you mean "q.summary"?'),
        (["run", "--where", "topc = 'a'"], 'did you mean "topic"?'),
        (["run", "--set", "depth=3"], "recipe"),
        (["run", "--set", "depth"], "--set depth=3"),
    ):
        ended = ask(*words)
        assert ended.code == 2
        assert len(ended.told) <= 3
        assert hint in ended.err


def test_a_rollback_of_nothing_is_5(seedbed: Command, corpus: Corpus) -> None:
    ended = seedbed("rollback")
    assert ended.code == 5
    assert len(ended.told) <= 3


def test_settings_of_the_project_file_are_checked(seedbed: Command, corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "seedbed.toml").write_text("[limits]\nconcurency = 5\n", "utf-8")
    ended = seedbed("run")
    assert ended.code == 2
    assert "limits" in ended.told[0]
    (tmp_path / "seedbed.toml").write_text("[run\n", "utf-8")
    assert seedbed("run").code == 2


def test_a_project_elsewhere(ask: Command, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert ask("run", "--limit", "1").code == 0
    monkeypatch.chdir("/")
    assert ask("run", "--limit", "1").code == 2
    assert ask("run", "--limit", "1", "-C", str(tmp_path)).code == 0
    assert corpus.filled == 2


def test_base_url_keeps_the_other_settings_of_the_provider(
    ask: Command, corpus: Corpus, tmp_path: Path, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "seedbed.toml").write_text(
        (tmp_path / "seedbed.toml").read_text("utf-8") + '[providers.openai]\nkey = "$TEAM_KEY"\n', "utf-8"
    )
    monkeypatch.setenv("TEAM_KEY", "of-the-team")
    sim.configure(require_key=["of-the-team"])
    assert ask("run", "--limit", "1").code == 0
    assert sim.summary()["complete"] == 1


def test_checks_see_the_context_that_was_shown_also_in_validate(seedbed: Command, tmp_path: Path) -> None:
    seedbed("init", "own", "--recipe", "facts")
    assert seedbed("run", "-C", "own").code == 0
    for stage in ("facts.explode", "facts.validate", "facts.challenges"):
        ended = seedbed("validate", stage, "-C", "own", "--json")
        assert ended.code == 0, ended.err
        assert ended.json()["checked"] > 0
        assert set(ended.json()["findings"]) <= {"EX-002"}  # a warning: fewer facts than were asked for
