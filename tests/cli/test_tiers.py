"""Which model a tier means, what one may choose, and choosing while a run works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from seedbed.simulator import Simulator
from tests.cli.commands import Ended, start, until
from tests.cli.corpora import Corpus

Command = Callable[..., Ended]


def test_a_key_is_all_that_is_needed(seedbed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """000.18: each tier that a stage may name has a model, with a price, though the project file names none."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    Corpus(tmp_path, "https://models.example", 1)
    file = tmp_path / "seedbed.toml"
    file.write_text(file.read_text("utf-8").replace('[tiers]\ndefault = "openai/test"\n', ""), "utf-8")
    found = {line["tier"]: line for line in seedbed("tiers", "--json").json()["tiers"]}
    assert found["default"]["model"] == "openai/gpt-5-mini"
    assert found["default"]["stages"] == ["q.summary"]
    for tier in ("default", "mid", "high"):
        assert found[tier]["model"].startswith("openai/")
        assert float(found[tier]["price"]["input"]) > 0
    assert seedbed("doctor").code == 0


def test_models_that_can_be_chosen_are_listed(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    """000.81: provider, name, price, what the adapter never sends."""
    Corpus(tmp_path, sim.url, 1)
    found = {
        (line["provider"], line["model"]): line for line in seedbed("tiers", "--models", "--json").json()["models"]
    }
    assert (found["openai", "test"]["price"]["input"], found["openai", "test"]["price"]["output"]) == ("1", "2")
    assert found["openai", "test"]["price"]["source"] == "project file"
    assert found["offline", "standin"]["price"]["output"] == "0"
    assert found["openai", "gpt-5-mini"]["forbids"] == ["max_tokens"]
    assert "a schema (it stands in the prompt)" in found["openai", "gpt-4"]["forbids"]
    assert len(found) > 50
    shown = seedbed("tiers", "--models").out
    assert "openai/gpt-5-mini" in shown and "is never sent" in shown
    assert sim.summary()["requests"] == 0


def test_a_tier_is_set_while_a_run_works(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    """000.79: in force without a restart, within the minute; what is in flight comes back from the old model."""
    corpus = Corpus(tmp_path, sim.url, 2000)
    sim.configure(latency_ms=50.0)
    file = tmp_path / "seedbed.toml"
    file.write_text(file.read_text("utf-8") + '[prices."openai/other"]\ninput = 1.0\noutput = 2.0\n', "utf-8")
    process = start(tmp_path, "run", "--concurrency", "2")
    try:
        until(lambda: sim.summary()["complete"] >= 5 or process.poll() is not None)
        assert seedbed("tiers", "set", "default", "openai/other", "--dry-run").code == 0
        assert "openai/other" not in seedbed("tiers").out
        assert "openai/other" in seedbed("tiers", "set", "default", "openai/other").out
        until(lambda: sim.summary()["models"].get("other", 0) >= 20 or process.poll() is not None)
        asked = [entry["model"] for entry in sim.ledger()]
    finally:
        process.kill()
        process.communicate()
    after = asked[asked.index("other") :]
    assert after.count("test") <= 2
    assert {model for (model,) in corpus.receipts("select distinct model from intents")} == {
        "openai/test", "openai/other",
    }  # fmt: skip
    found = {value["name"]: value for value in seedbed("config", "--json").json()["values"]}
    assert (found["tiers.default"]["value"], found["tiers.default"]["origin"]) == ("openai/other", "seedbed tiers set")


def test_what_a_command_says_stands_over_it_and_it_can_be_taken_back(
    seedbed: Command, sim: Simulator, tmp_path: Path
) -> None:
    Corpus(tmp_path, sim.url, 3)
    assert seedbed("tiers", "set", "default", "openai/other").code == 0
    assert seedbed("run", "--limit", "1").code == 0
    assert seedbed("run", "--limit", "1", "--model", "openai/third").code == 0
    assert seedbed("tiers", "unset", "default").code == 0
    assert seedbed("run").code == 0
    assert [entry["model"] for entry in sim.ledger()] == ["other", "third", "test"]


def test_a_program_of_one_s_own_can_be_chosen(seedbed: Command, tmp_path: Path) -> None:
    Corpus(tmp_path, "http://127.0.0.1:9", 1)
    file = tmp_path / "seedbed.toml"
    file.write_text(file.read_text("utf-8") + '[providers.mine]\nprogram = ["true"]\n', "utf-8")
    assert seedbed("tiers", "set", "high", "mine/fast").code == 0
    found = {line["tier"]: line for line in seedbed("tiers", "--json").json()["tiers"]}
    assert (found["high"]["model"], found["high"]["origin"]) == ("mine/fast", "seedbed tiers set")
    assert seedbed("tiers", "--models").code == 0


def test_a_choice_that_cannot_be_read_is_told_and_the_project_file_counts(
    seedbed: Command, sim: Simulator, tmp_path: Path
) -> None:
    """000.82"""
    Corpus(tmp_path, sim.url, 2)
    assert seedbed("tiers", "set", "default", "openai/other").code == 0
    (tmp_path / ".seedbed" / "tiers.json").write_text('{"default": ', "utf-8")
    ended = seedbed("run")
    assert ended.code == 0
    assert "tiers.json cannot be read, the tiers of the project file count" in ended.err
    assert sim.summary()["models"] == {"test": 2}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("set", "defalt", "openai/x"), 'did you mean "default"?'),
        (("set", "default", "gpt-5-mini"), "provider/name"),
        (("set", "default", "opneai/x"), 'did you mean "openai"?'),
        (("set", "default"), "seedbed tiers set default"),
    ],
)
def test_a_wrong_choice_is_said_and_nothing_is_set(
    seedbed: Command, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    Corpus(tmp_path, "http://127.0.0.1:9", 1)
    ended = seedbed("tiers", *words)
    assert (ended.code, told in ended.err) == (2, True)
    assert not (tmp_path / ".seedbed" / "tiers.json").exists()
