"""Which items a command takes, as a person says it: conditions, states, groups, functions that ask otherwise now."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from seedbed.simulator import Simulator
from tests.cli.commands import SUMMARY, Ended, in_shell, rows, start, until

Command = Callable[..., Ended]

ROWS = """id,question,score,topic,"odd name",note
1,What is Q1Z?,9,sea,x,
2,What is Q2Z?,10,Sea side,it's,"   "
3,What is Q3Z?,0.5,land,,full
4,What is Q4Z?,,SEE,y,full
5,What is Q5Z?,1e2,land,y,
6,What is Q6Z?,ten,STRASSE,NULL,x
"""


@pytest.fixture
def asks(seedbed: Command, sim: Simulator, tmp_path: Path) -> Callable[..., set[str]]:
    """The rows that a fill with these words asks about, by the server's own books."""
    (tmp_path / "q.csv").write_text(ROWS)

    def run(*words: str, code: int = 0) -> set[str]:
        sim.reset()
        ended = seedbed("fill", "q.csv", SUMMARY, "--key", "id", "--base-url", sim.url, "--yes", *words)
        assert ended.code == code, ended.err
        return {name[1:-1] for name in sim.summary()["by_item"]}

    return run


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("score >= 10", "25"),
        ("score < 10", "13"),
        ("score = 100", "5"),
        ("score != 9", "23456"),
        ("score is empty", "4"),
        ("note is empty", "125"),
        ("note is not empty and score is not empty", "36"),
        ("topic ~ 'sea'", "12"),
        ("topic ~ 'straße'", "6"),
        ("not topic ~ 'SEA'", "3456"),
        ("topic in ('sea', 'land')", "135"),
        ("topic not in ('sea', 'land')", "246"),
        ("id in (1, 2)", "12"),
        ("id = 1 or id = 2 and score = 9", "1"),
        ("(id = 1 or id = 2) and score = 10", "2"),
        ("\"odd name\" = 'it''s'", "2"),
        ("\"odd name\" = 'NULL'", "6"),
        ("not (topic = 'sea' or note is empty)", "346"),
        ("summary is empty", "123456"),
        ("outcome.state is empty and id > 4", "56"),
    ],
)
def test_a_condition_takes_the_rows_that_hold(asks: Callable[..., set[str]], where: str, ids: str) -> None:
    assert asks("--where", where) == set(ids)


@pytest.mark.parametrize(
    "where", ["1 = 1; drop table q", "id = 1 --", "id like '%'", "id = (select 1)", "nothing = 1", 'id = "1"', "id ="]
)
def test_what_is_no_condition_is_refused_and_nothing_is_asked(asks: Callable[..., set[str]], where: str) -> None:
    assert asks("--where", where, code=2) == set()


def test_a_condition_that_no_row_meets_is_said(asks: Callable[..., set[str]]) -> None:
    assert asks("--where", "id > 100", code=5) == set()
    assert asks("--where", "id > 100", "--allow-empty") == set()


def test_where_and_ids_both_have_to_hold(asks: Callable[..., set[str]]) -> None:
    assert asks("--ids", "1,2,3", "--where", "topic = 'land'") == {"3"}


def test_states_of_outcomes_choose_what_is_asked_again(asks: Callable[..., set[str]], sim: Simulator) -> None:
    sim.configure(
        faults=[
            {"fault": "wrong_shape", "item": "Q2Z", "times": None},
            {"fault": "length", "item": "Q3Z", "times": None},
        ]
    )
    assert asks() == set("123456")
    sim.configure(faults=[])
    assert asks("--recover", "--where", "outcome.state = 'failed' and topic = 'sea'", "--allow-empty") == set()
    assert asks("--recover", "--where", "outcome.reason = 'length'") == {"3"}
    assert asks("--recover", "--where", "outcome.attempts > 1 and not outcome.state = 'accepted'") == {"2"}


def test_what_is_declined_again_is_asked_once_a_command(asks: Callable[..., set[str]], sim: Simulator) -> None:
    """Not until it is accepted: that would be a loop that pays."""
    sim.configure(faults=[{"fault": "wrong_shape", "times": None}])
    asks()
    assert asks("--recover") == set("123456")
    assert {each["requests"] for each in sim.summary()["by_item"].values()} == {3}


PROJECT = """
[project]
corpus = "sqlite:///c.db"
python = "stages.py"
[tiers]
default = "openai/m"
[providers.openai]
base_url = "{url}"
[prices."openai/m"]
input = 1
output = 1
"""


def project(folder: Path, sim: Simulator, stages: str, count: int = 6) -> None:
    (folder / "seedbed.toml").write_text(PROJECT.format(url=sim.url))
    (folder / "stages.py").write_text(f"from seedbed import *\n{stages}")
    db = sqlite3.connect(folder / "c.db")
    with db:
        db.execute("create table q (id integer primary key, text text, topic text, summary text)")
        db.executemany(
            "insert into q values (?, ?, ?, null)", [(n, f"What is Q{n}Z?", f"t{n % 2}") for n in range(1, count + 1)]
        )
    db.close()


def filled(folder: Path) -> list[int]:
    db = sqlite3.connect(folder / "c.db")
    try:
        return [key for (key,) in db.execute("select id from q where summary is not null order by id")]
    finally:
        db.close()


GROUPS = """
stages = [Stage("q.sum", fills("q", ["summary"]), prompt="Sum up.\\n<!-- item -->\\n{{ text }}",
                shape={"summary": str}, per_call=6, attempts=2)]
"""


@pytest.mark.parametrize("fault", ["wrong_shape", "content_filter", "length", "bad_request"])
def test_one_poisonous_item_does_not_fail_its_group(
    seedbed: Command, sim: Simulator, tmp_path: Path, fault: str
) -> None:
    """Whatever goes wrong whenever the item is in the request: the others are accepted, and the calls stay few."""
    project(tmp_path, sim, GROUPS)
    sim.configure(faults=[{"fault": fault, "match": "Q4Z", "times": None}])
    ended = seedbed("run", "--yes")
    assert ended.code == 0, ended.err
    assert filled(tmp_path) == [1, 2, 3, 5, 6]
    assert sim.summary()["requests"] <= 2 + 6 * 2
    sim.configure(faults=[])
    assert seedbed("recover", "--ids", "4", "--yes").code == 0
    assert seedbed("upload").code == 0
    assert filled(tmp_path) == [1, 2, 3, 4, 5, 6]


ASKING = """
async def judge(item, call):
    first = await call("first", "FIRST {words} {{{{ q.text }}}}", {{"a": str}}, q=item)
    second = await call("second", "SECOND {{{{ a }}}} {{{{ q.text }}}}", {{"b": str}}, a=first["a"], q=item)
    return {{"summary": second["b"]}}

stages = [Stage("q.judge", fills("q", ["summary"]), ask=judge, inputs=("text",))]
"""


def test_a_function_that_asks_otherwise_is_held_until_it_is_said(sim: Simulator, tmp_path: Path) -> None:
    """Killed between its two calls; then the words of the first are others."""
    project(tmp_path, sim, ASKING.format(words="as it was"), count=2)
    sim.configure(faults=[{"fault": "hang", "match": "SECOND", "times": None}])
    process = start(tmp_path, "run", "--yes")
    until(lambda: sim.summary()["complete"] == 2 and sim.summary()["in_flight"] == 2)
    process.kill()
    process.communicate()
    sim.configure(faults=[])
    sim.reset()

    (tmp_path / "stages.py").write_text("from seedbed import *\n" + ASKING.format(words="in other words"))
    held = in_shell(tmp_path, "run", "--yes")
    assert held.code == 0, held.err
    assert "2 items ask otherwise now" in held.out
    assert "--redo-diverged" in held.out
    assert sim.summary()["requests"] == 0
    assert filled(tmp_path) == []

    one = in_shell(tmp_path, "run", "--redo-diverged", "--ids", "1", "--yes")
    assert one.code == 0, one.err
    assert filled(tmp_path) == [1]
    assert sim.summary()["requests"] == 2

    rest = in_shell(tmp_path, "run", "--redo-diverged", "--yes")
    assert rest.code == 0, rest.err
    assert filled(tmp_path) == [1, 2]
    assert sim.summary()["requests"] == 4
    assert in_shell(tmp_path, "audit").code == 0


def test_the_words_as_they_were_go_on_for_nothing(sim: Simulator, tmp_path: Path) -> None:
    project(tmp_path, sim, ASKING.format(words="as it was"), count=2)
    sim.configure(faults=[{"fault": "hang", "match": "SECOND", "times": None}])
    process = start(tmp_path, "run", "--yes")
    until(lambda: sim.summary()["complete"] == 2 and sim.summary()["in_flight"] == 2)
    process.kill()
    process.communicate()
    sim.configure(faults=[])
    sim.reset()
    (tmp_path / "stages.py").write_text("from seedbed import *\n" + ASKING.format(words="in other words"))
    in_shell(tmp_path, "run", "--yes")
    (tmp_path / "stages.py").write_text("from seedbed import *\n" + ASKING.format(words="as it was"))
    ended = in_shell(tmp_path, "run", "--yes")
    assert ended.code == 0, ended.err
    assert filled(tmp_path) == [1, 2]
    assert sim.summary()["requests"] == 2


GATHERING = """
def rows(item, output):
    yield Row("sums", topic=item["topic"], text=output["summary"], members=len(item["members"]))

stages = [Stage("q.gather", gathers("q", by=["topic"], rows=rows, into={"sums": unique("topic")}),
                prompt="Sum up {{ topic }}.\\n<!-- item -->\\n{% for each in members %}{{ each.text }} {% endfor %}",
                shape={"summary": str})]
"""


def test_groups_of_rows_are_named_tried_again_and_counted_whole(
    seedbed: Command, sim: Simulator, tmp_path: Path
) -> None:
    project(tmp_path, sim, GATHERING)
    db = sqlite3.connect(tmp_path / "c.db")
    db.execute("create table sums (id text primary key, topic text, text text, members integer)")
    sim.configure(faults=[{"fault": "wrong_shape", "match": "t1", "times": None}])
    assert seedbed("plan", "--json").json()["stages"][0]["items"] == 2
    assert seedbed("run", "--where", "topic = 't0'", "--yes").code == 0
    assert db.execute("select topic, members from sums").fetchall() == [("t0", 3)]
    part = seedbed("run", "--where", "id < 3", "--yes")
    assert part.code == 2
    assert "whole groups" in part.told[0]
    assert seedbed("run", "--yes").code == 0
    sim.configure(faults=[])
    sim.reset()
    assert seedbed("recover", "--yes").code == 0
    assert seedbed("upload").code == 0
    assert sim.summary()["requests"] == 1
    assert sorted(db.execute("select topic, members from sums")) == [("t0", 3), ("t1", 3)]
    db.close()


def test_parts_cover_everything_once(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    project(tmp_path, sim, GROUPS.replace("per_call=6", "per_call=2"), count=30)
    for part in ("1/3", "3/3", "2/3"):
        assert seedbed("run", "--part", part, "--yes").code == 0
    assert filled(tmp_path) == list(range(1, 31))
    assert {each["requests"] for each in sim.summary()["by_item"].values()} == {1}
    assert seedbed("run", "--part", "4/3", "--yes").code == 2
    assert seedbed("run", "--part", "0/3", "--yes").code == 2


def test_a_killed_run_goes_on_with_the_rows_that_are_named_only(sim: Simulator, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text(ROWS)
    words = ("fill", "q.csv", SUMMARY, "--key", "id", "--base-url", sim.url, "--yes", "--concurrency", "2")
    sim.configure(faults=[{"fault": "hang", "times": None}])
    process = start(tmp_path, *words)
    until(lambda: sim.summary()["in_flight"] == 2)
    process.kill()
    process.communicate()
    sim.configure(faults=[])
    sim.reset()
    ended = in_shell(tmp_path, *words, "--where", "topic = 'land'")
    assert ended.code == 0, ended.err
    assert set(sim.summary()["by_item"]) == {"Q3Z", "Q5Z"}
    assert [row["id"] for row in rows(tmp_path / "q.filled.csv") if row["summary"]] == ["3", "5"]
    ended = in_shell(tmp_path, *words)
    assert ended.code == 0, ended.err
    assert {each["requests"] for each in sim.summary()["by_item"].values()} == {1}
    assert all(row["summary"] for row in rows(tmp_path / "q.filled.csv"))
