"""What a model sends back that is not as it should be, seen from the command line: lost, refused, odd, broken."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from seedbed.simulator import Simulator
from tests.cli.commands import Ended, environment
from tests.cli.corpora import Corpus

Command = Callable[..., Ended]
BOOK_OF_588 = 588
BLOCKED = {f"Q{n}Z" for n in (4, 90, 177, 300, 301, 588)}


def test_what_a_group_s_answer_left_out_is_asked_alone(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    """001.31: of twelve ten are settled by the first answer, and only the two others are asked again."""
    corpus = Corpus(tmp_path, sim.url, 12, stage={"per_call": 12})
    answered = [{"key": f"item-{n}", "summary": f"of {n}"} for n in range(1, 13) if n not in (4, 9)]
    sim.configure(faults=[{"fault": "malformed", "times": 1, "text": json.dumps({"answers": answered})}])
    ended = seedbed("run", "--json").json()
    assert ended["passes"][0]["generated"]["states"] == {"accepted": 12}
    asked = [set(entry["items"]) for entry in sim.ledger()]
    assert len(asked[0]) == 12
    assert sorted(asked[1:], key=sorted) == [{"Q4Z"}, {"Q9Z"}]
    assert [corpus.summaries()[n] for n in (1, 12)] == ["of 1", "of 12"]


def test_keys_that_answers_drop_come_back_until_none_is_missing(
    seedbed: Command, sim: Simulator, tmp_path: Path
) -> None:
    """001.30: three of five answers drop a key; nothing is lost in silence, and what came is not asked again."""
    corpus = Corpus(tmp_path, sim.url, 60, stage={"per_call": 12})
    drops = [{"fault": "missing_item", "match": name, "times": 1} for name in ("Q1Z", "Q25Z", "Q49Z")]
    sim.configure(faults=drops)
    assert seedbed("run").code == 0
    (stage,) = seedbed("status", "--json").json()["stages"]
    assert (stage["total"], stage["missing"], stage["states"]) == (60, 0, {"accepted": 60})
    assert all(corpus.summaries().values())
    again = [name for name, counts in sim.summary()["by_item"].items() if counts["requests"] > 1]
    assert len(again) == len(drops)
    assert sim.summary()["requests"] == 60 // 12 + len(again)


def test_what_the_provider_blocks_is_counted_and_not_asked_again(
    seedbed: Command, sim: Simulator, tmp_path: Path
) -> None:
    """001.36: 6 of 588; 001.37: their keys can be listed with the reason and asked again by that list."""
    Corpus(tmp_path, sim.url, BOOK_OF_588)
    blocked = [{"fault": "content_filter", "item": name, "times": None} for name in sorted(BLOCKED)]
    sim.configure(faults=blocked)
    assert seedbed("run").code == 0
    (stage,) = seedbed("status", "--json").json()["stages"]
    assert (stage["done"], stage["missing"], stage["states"]) == (588, 0, {"accepted": 582, "refused": 6})
    (reason,) = seedbed("bad", "--json").json()["groups"]
    assert (reason["state"], reason["reason"], reason["count"]) == ("refused", "refused", 6)
    assert reason["message"] == "the provider declined to answer"
    sim.reset()
    assert seedbed("run").code == 0
    assert sim.summary()["requests"] == 0
    keys = seedbed("bad", "q.summary", "--keys").out
    assert {f"Q{json.loads(key)[0]}Z" for key in keys.splitlines()} == BLOCKED
    sim.configure(faults=blocked[:2])
    again = subprocess.run(
        [sys.executable, "-m", "seedbed", "recover", "q.summary", "--ids", "-", "--json"],
        input=keys, text=True, capture_output=True, cwd=tmp_path, env=environment(), timeout=120,
    )  # fmt: skip
    assert json.loads(again.stdout)["states"] == {"accepted": 4, "refused": 2}
    assert set(sim.summary()["by_item"]) == BLOCKED


def test_a_key_that_the_shape_does_not_know_is_declined_by_name(
    seedbed: Command, sim: Simulator, tmp_path: Path
) -> None:
    """001.40"""
    corpus = Corpus(tmp_path, sim.url, 3, stage={"attempts": 1})
    text = '{"summary": "A colour is not asked for.", "colour": "red"}'
    sim.configure(faults=[{"fault": "malformed", "item": "Q2Z", "times": None, "text": text}])
    assert seedbed("run").code == 0
    (rejected,) = seedbed("records", "--state", "rejected", "--json").json()["records"]
    assert rejected["key"] == "[2]"
    assert "colour" in json.dumps(rejected["findings"])
    assert corpus.summaries()[2] is None


def test_answers_that_are_truly_broken_are_declined_with_the_reason_and_cost_no_other_item(
    seedbed: Command, sim: Simulator, tmp_path: Path
) -> None:
    """001.46: three that end in the middle of a text."""
    corpus = Corpus(tmp_path, sim.url, 10, stage={"attempts": 1})
    cut = {"fault": "malformed", "times": None, "text": '{"summary": "It ends in the mid'}
    sim.configure(faults=[{**cut, "item": f"Q{n}Z"} for n in (2, 5, 8)])
    assert seedbed("run").code == 0
    (stage,) = seedbed("status", "--json").json()["stages"]
    assert stage["states"] == {"accepted": 7, "rejected": 3}
    bad = seedbed("bad", "--json").json()
    assert sum(group["count"] for group in bad["groups"]) == 3
    assert all(group["reason"] and group["message"] for group in bad["groups"])
    assert [key for key, text in corpus.summaries().items() if text is None] == [2, 5, 8]


def test_an_answer_that_is_declined_is_asked_of_the_next_tier(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    """002.22: and what both cost is shown."""
    corpus = Corpus(tmp_path, sim.url, 5, stage={"escalate": ["mid", "high"], "attempts": 4})
    file = tmp_path / "seedbed.toml"
    tiers = '[tiers]\nmid = "openai/gpt-5-mini"\nhigh = "openai/gpt-5"\n'
    file.write_text(file.read_text("utf-8").replace("[tiers]\n", tiers), "utf-8")
    sim.configure(faults=[
        {"fault": "wrong_shape", "item": "Q2Z", "times": 1}, {"fault": "wrong_shape", "item": "Q4Z", "times": 3},
    ])  # fmt: skip
    assert seedbed("run").code == 0
    asked: dict[str, list[str]] = {}
    for entry in sim.ledger():
        asked.setdefault(entry["item"], []).append(entry["model"])
    assert asked["Q1Z"] == ["test"]
    assert asked["Q2Z"] == ["test", "gpt-5-mini"]
    assert asked["Q4Z"] == ["test", "gpt-5-mini", "gpt-5", "gpt-5"]
    assert all(corpus.summaries().values())
    by_model = {row["model"]: row for row in seedbed("cost", "--by", "model", "--json").json()["rows"]}
    assert {name: row["calls"] for name, row in by_model.items()} == {
        "openai/test": 5, "openai/gpt-5-mini": 2, "openai/gpt-5": 2,
    }  # fmt: skip
    assert all(float(row["spent"]) > 0 for row in by_model.values())
    attempts = seedbed("records", "--key", "2", "--json").json()["attempts"]
    assert [attempt["asked"] for attempt in attempts] == ["openai/test", "openai/gpt-5-mini"]


def test_stored_answers_are_never_overwritten_by_mending_or_reading_again(
    seedbed: Command, sim: Simulator, tmp_path: Path
) -> None:
    """001.44; 001.41: quotes that stand bare in a Romanian text are kept, and so is each of its characters."""
    corpus = Corpus(tmp_path, sim.url, 6)
    said = 'Copiii strigă "gata" și profesoara începe jocul "Șotron".'
    sim.configure(faults=[{"fault": "malformed", "item": "Q3Z", "times": None, "text": f'{{"summary": "{said}"}}'}])
    assert seedbed("run").code == 0

    def bodies() -> list[str]:
        found = corpus.receipts("select body from receipts order by intent_number")
        return [hashlib.sha256(body).hexdigest() for (body,) in found]

    before = bodies()
    assert len(before) == 6
    assert corpus.summaries()[3] == said
    assert sim.summary()["by_item"]["Q3Z"]["requests"] == 1
    read = seedbed("validate", "q.summary", "--reread", "--json").json()
    assert (read["receipts"], read["verdicts"]) == (6, {"same": 6})
    assert bodies() == before
    assert seedbed("receipts", "verify", "--json").json()["corrupt"] == []
    assert sim.summary()["requests"] == 6


def test_each_part_is_asked_once_however_often_it_is_run(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    """001.29"""
    Corpus(tmp_path, sim.url, 40)
    assert seedbed("run", "--part", "1/8").code == 0
    first = set(sim.summary()["by_item"])
    assert 0 < len(first) < 40
    sim.reset()
    assert seedbed("run", "--part", "1/8").code == 0
    assert sim.summary()["requests"] == 0
    for number in range(2, 9):
        assert seedbed("run", "--part", f"{number}/8").code == 0
    others = sim.summary()["by_item"]
    assert not first & set(others)
    assert len(first | set(others)) == 40
    assert {counts["requests"] for counts in others.values()} == {1}
