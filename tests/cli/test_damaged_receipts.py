"""A byte of what was bought has flipped on the disk: it is seen, and costs no more than it must."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from seedbed.simulator import Simulator
from tests.cli.commands import Ended
from tests.cli.corpora import Corpus

Command = Callable[..., Ended]


def flip(corpus: Corpus, number: int) -> None:
    corpus.receipts("update receipts set body = x'00' || substr(body, 2) where intent_number = ?", number)


def forget_outcomes(corpus: Corpus) -> None:
    """As after a kill between the last receipt and its outcome."""
    for table in ("outcomes", "till", "marks"):
        corpus.state(f"delete from {table}")
    corpus.state("update rounds set status = 'open'")


def test_a_flipped_byte_of_a_receipt_is_counted_by_status(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    """001.25: done, missing, percent and corrupt; looking changes nothing."""
    corpus = Corpus(tmp_path, sim.url, 10)
    assert seedbed("run", "--limit", "8").code == 0
    flip(corpus, 3)
    assert seedbed("receipts", "verify").code != 0
    before = corpus.file.read_bytes()
    found = seedbed("status", "--json").json()
    (stage,) = found["stages"]
    assert (stage["done"], stage["missing"], stage["percent"], found["corrupt"]) == (8, 2, 80.0, 1)
    assert found["next"] == ["seedbed receipts verify"]
    assert "1 receipts are damaged" in seedbed("status").out
    assert corpus.file.read_bytes() == before
    assert sim.summary()["requests"] == 8


def test_a_damaged_answer_without_an_outcome_is_asked_again_alone(
    seedbed: Command, sim: Simulator, tmp_path: Path
) -> None:
    """001.26: and the run says why and names the price; the other answers are read from their receipts."""
    corpus = Corpus(tmp_path, sim.url, 10)
    assert seedbed("generate").code == 0
    ((keys,),) = corpus.receipts("select keys from intents where number = 3")
    (key,) = json.loads(keys)
    forget_outcomes(corpus)
    flip(corpus, 3)
    assert seedbed("status", "--json").json()["corrupt"] == 1
    sim.reset()
    ended = seedbed("run")
    assert ended.code == 0
    assert "fails its checksum" in ended.err
    assert sim.summary()["by_item"] == {f"Q{json.loads(key)[0]}Z": {"requests": 1, "complete": 1}}
    assert all(corpus.summaries().values())
