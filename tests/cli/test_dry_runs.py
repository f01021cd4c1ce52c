"""What a command would do, shown before it does it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from seedbed.simulator import Simulator
from tests.cli.commands import Ended
from tests.cli.corpora import Corpus

Command = Callable[..., Ended]


def hash_of(corpus: Corpus) -> str:
    return hashlib.sha256(corpus.file.read_bytes()).hexdigest()


def test_a_dry_run_of_the_paid_phase_previews_three_items_and_counts_all(
    seedbed: Command, sim: Simulator, tmp_path: Path
) -> None:
    """000.35: prompt and what would be written; nothing is sent, nothing changes."""
    corpus = Corpus(tmp_path, sim.url, 40)
    before = hash_of(corpus)
    document = seedbed("generate", "q.summary", "--dry-run", "--limit", "20", "--json").json()
    (stage,) = document["stages"]
    assert (document["dry_run"], stage["counted"]) == (True, 20)
    assert [preview["key"] for preview in stage["previews"]] == ["[1]", "[2]", "[3]"]
    for number, preview in enumerate(stage["previews"], start=1):
        assert f"What is Q{number}Z?" in preview["request"]
        assert preview["writes"] == "summary of questions"
    shown = seedbed("generate", "q.summary", "--dry-run", "--limit", "20").out
    assert [f"What is Q{number}Z?" in shown for number in (1, 2, 3, 4)] == [True, True, True, False]
    assert sim.summary()["requests"] == 0
    assert hash_of(corpus) == before


def test_the_exact_request_of_an_item_can_be_read_before_it_is_sent(
    seedbed: Command, sim: Simulator, tmp_path: Path
) -> None:
    """001.38: byte for byte what is stored with the receipt later."""
    Corpus(tmp_path, sim.url, 12)
    before = seedbed("generate", "--ids", "7", "--dry-run", "--json").json()["stages"][0]["previews"]
    assert seedbed("generate", "--ids", "7").code == 0
    (attempt,) = seedbed("records", "--key", "7", "--json").json()["attempts"]
    sent = json.loads(before[0]["request"])
    assert [message["content"] for message in sent["messages"]] == [part["text"] for part in attempt["request"]]
    assert [entry["item"] for entry in sim.ledger()] == ["Q7Z"]


def test_a_preview_says_that_items_will_share_a_request(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    Corpus(tmp_path, sim.url, 5, stage={"per_call": 4})
    (stage,) = seedbed("generate", "--dry-run", "--json").json()["stages"]
    assert [preview["writes"] for preview in stage["previews"]] == [
        "summary of questions; asked alone here, up to 4 in one request when it is sent"
    ] * 3


def test_an_upload_is_shown_with_counts_and_differences_first(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    """000.40: the corpus file is the same byte for byte afterwards."""
    corpus = Corpus(tmp_path, sim.url, 6)
    corpus.change("update questions set summary = 'by hand' where id = 6")
    assert seedbed("generate").code == 0
    corpus.change("update questions set summary = 'meanwhile' where id = 5")
    before = hash_of(corpus)
    looked = seedbed("upload", "q.summary", "--dry-run", "--json").json()
    assert looked["fates"] == {"applied": 4, "drifted": 1}
    key, old, new = looked["examples"][0]
    assert (key, old) == ("[1]", {"summary": None})
    assert new["summary"]
    assert hash_of(corpus) == before
    assert new["summary"] in seedbed("upload", "q.summary", "--dry-run").out
    assert seedbed("upload", "q.summary").code == 0
    assert corpus.summaries()[1] == new["summary"]
    assert (corpus.summaries()[5], corpus.summaries()[6]) == ("meanwhile", "by hand")


def test_an_upload_changes_the_output_cells_and_no_other(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    corpus = Corpus(tmp_path, sim.url, 30)
    others = "select id, text, topic, note from questions order by id"
    before = corpus.rows(others)
    assert seedbed("run").code == 0
    assert all(corpus.summaries().values())
    assert corpus.rows(others) == before
    assert [name for (name,) in corpus.rows("select name from pragma_table_info('questions')")] == [
        "id", "text", "topic", "note", "summary",
    ]  # fmt: skip


def test_validate_is_the_audit_of_the_records_as_they_are_now(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    """000.43"""
    corpus = Corpus(tmp_path, sim.url, 8)
    (before,) = seedbed("audit", "--json").json()["stages"]
    assert (before["eligible"], before["missing"], before["settled"]) == (8, 8, {})
    assert seedbed("run").code == 0
    corpus.change("update questions set text = 'What else is Q3Z?' where id = 3")
    corpus.change("update questions set summary = null where id = 4")
    corpus.change("insert into questions (id, text) values (9, 'What is Q9Z?')")
    found = seedbed("validate", "q.summary", "--json").json()["audit"]
    assert set(found) >= set(before) - {"extra"}
    assert (found["rows"], found["missing"], found["settled"]) == (9, 1, {"accepted": 8})
    assert (found["changed"], found["cleared"]) == (1, ["[4]"])
    assert sim.summary()["requests"] == 8


def test_validate_draws_twenty_for_a_person_and_the_same_ones_by_seed(
    seedbed: Command, sim: Simulator, tmp_path: Path
) -> None:
    """000.44"""
    corpus = Corpus(tmp_path, sim.url, 60)
    assert seedbed("run").code == 0

    def drawn(*words: str) -> list[str]:
        sample = seedbed("validate", "q.summary", "--json", *words).json()["sample"]
        assert len(sample) == 20
        for key, output in sample:
            assert output["summary"] == corpus.summaries()[json.loads(key)[0]]
        return [key for key, _ in sample]

    assert drawn() == drawn()
    assert len(set(drawn("--seed", "7"))) == 20
    assert drawn("--seed", "7") == drawn("--seed", "7") != drawn()


def test_the_cost_of_a_stage_is_what_the_server_counted_times_the_price(
    seedbed: Command, sim: Simulator, tmp_path: Path
) -> None:
    """000.45"""
    Corpus(tmp_path, sim.url, 25, stage={"per_call": 4})
    assert seedbed("run").code == 0
    found = seedbed("cost", "--json").json()
    books = sim.summary()
    nano = books["input_tokens"] * 1000 + books["output_tokens"] * 2000
    (row,) = found["rows"]
    assert row["stage"] == "q.summary"
    assert round(float(row["spent"]) * 10**9) == nano > 0
    assert found["total"]["spent"] == row["spent"]
