"""pilot, review, approve, revoke: the way to the bulk, with the simulator's ledger as the witness."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from seedbed.simulator import Simulator
from tests.cli.commands import at_terminal, environment, in_shell, start, typed, until
from tests.cli.piloted import ITEMS, STAGE, Command, Piloted


@pytest.fixture
def project(tmp_path: Path, sim: Simulator, seedbed: Command) -> Piloted:
    return Piloted.new(tmp_path, sim, seedbed)


# -------------------------------------------------------------------------------------------- the gate


def test_a_gate_stops_the_bulk_until_a_person_signs_and_nothing_signs_by_itself(project: Piloted) -> None:
    """(001.61)"""
    for words in (["run"], ["run", "--yes"], ["generate", "--yes"], ["recover", "--yes", "--where", "lang = 'ro'"]):
        ended = project(*words)
        assert ended.code == (4 if words[0] != "recover" else 0), words  # nothing is rejected: nothing to recover
    assert project("run", "--yes").told == [
        "error: q.summary waits for a person's signature.",
        "  Next: seedbed pilot q.summary",
    ]
    assert project.asked == {}
    assert project.filled == set()


def test_the_gate_shuts_before_a_key_is_looked_for(project: Piloted, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write()
    text = (project.root / "seedbed.toml").read_text("utf-8")
    (project.root / "seedbed.toml").write_text(text.replace(f'base_url = "{project.sim.url}"', ""), "utf-8")
    assert project("run", "--yes").code == 4


def test_pilot_review_approve_run(project: Piloted) -> None:
    """(001.60, 001.61, 001.64)"""
    piloted = project("pilot", "--sample", "10", "--json")
    assert piloted.code == 0, piloted.err
    found = piloted.json()
    assert len(found["chosen"]) == 10
    assert found["next"] == [f"seedbed review {STAGE}"]
    assert sum(project.asked.values()) == 10
    assert project("run", "--yes").code == 4
    assert project.filled == set(), "nothing is written before somebody has signed"

    reviewed = project.decide(*["a"] * 8, "x 1: not in the source", "x style")
    assert reviewed.code == 0, reviewed.err
    assert "10 of 10 looked at: 8 yes, 2 no. 80 %; with 10 seen, likely 49 to 94 %" in reviewed.out
    declined = {int(key.strip("[]")) for (key,) in project.state("select item from decisions where verdict = 'reject'")}

    signed = project("approve", "--as", "Ana", "--json")
    assert signed.code == 0, signed.err
    assert signed.json()["signature"]["items"] == ITEMS - 10
    ran = project("run", "--yes")
    assert ran.code == 0, ran.err
    assert project.asked == {f"Q{n}Z": 1 for n in range(1, ITEMS + 1)}
    assert project.filled == set(range(1, ITEMS + 1)) - declined
    page = json.loads(next((project.root / "logs").rglob("*--run--*.json")).read_text("utf-8"))
    assert page["run"]
    pages = [json.loads(path.read_text("utf-8")) for path in (project.root / "logs").rglob("*--run--*.json")]
    assert [[s["name"] for s in page["signatures"]] for page in pages if page["signatures"]] == [["Ana"]]
    status = project("status", "--json").json()
    assert status["signatures"][0]["name"] == "Ana"
    assert status["signatures"][0]["used_items"] == ITEMS - 10


def test_34_items_over_both_languages_and_the_same_again(project: Piloted) -> None:
    """(001.60)"""
    first = project("pilot", "--dry-run", "--json").json()
    assert project.asked == {}
    assert len(first["chosen"]) == 34
    ids = [int(key.strip("[]")) for key, _ in first["chosen"]]
    langs = dict(project.corpus("select id, lang from questions"))
    assert {langs[n] for n in ids} == {"en", "ro"}
    assert first["columns"] == ["lang"]
    assert first["counts"]["at random"] >= 12
    assert project("pilot", "--dry-run", "--json").json()["chosen"] == first["chosen"]
    assert project("pilot", "--dry-run", "--seed", "2", "--json").json()["chosen"] != first["chosen"]
    assert project("pilot", "--yes", "--json").json()["chosen"] == first["chosen"]


def test_a_pilot_can_be_confined_to_one_source(project: Piloted) -> None:
    """(001.63)"""
    found = project("pilot", "--sample", "4", "--where", "text ~ 'word word' and lang = 'en'", "--json").json()
    langs = dict(project.corpus("select id, lang from questions"))
    assert [langs[int(key.strip("[]"))] for key, _ in found["chosen"]] == ["en"] * 4


def test_a_pilot_again_shows_it_and_buys_nothing(project: Piloted) -> None:
    project("pilot", "--sample", "6")
    again = project("pilot")
    assert again.code == 0
    assert "drawn before" in again.out
    assert "nothing was sent" in again.out
    assert sum(project.asked.values()) == 6
    other = project("pilot", "--seed", "9", "--json").json()
    assert len(other["chosen"]) == 6
    assert sum(project.asked.values()) == 12


def test_a_pilot_that_is_larger_than_what_is_missing_takes_all_and_says_so(project: Piloted) -> None:
    ended = project("pilot", "--sample", "100")
    assert ended.code == 0
    assert "100 were asked for; there are no more, so all of them are in it" in ended.out
    assert sum(project.asked.values()) == ITEMS
    assert "the rest: nothing is missing" in ended.out


def test_a_pilot_has_a_cap_and_goes_on_with_the_same_sample(project: Piloted) -> None:
    paused = project("pilot", "--sample", "8", "--budget", "0.0007usd", "--concurrency", "1", "--json")
    assert paused.code == 75, paused.err
    done = project("pilot", "--json")
    assert done.code == 0
    assert done.json()["chosen"] == paused.json()["chosen"]
    assert set(project.asked.values()) == {1}
    assert len(project.asked) == 8


def test_the_forecast_of_the_rest_is_measured(project: Piloted) -> None:
    found = project("pilot", "--sample", "12", "--json").json()
    low, middle, high = (float(found["bulk"][name]) for name in ("cost_low", "cost", "cost_high"))
    project("approve", "--as", "Ana")
    ran = project("run", "--json").json()
    assert low <= middle <= high
    assert float(ran["spent"]) == pytest.approx(middle, rel=0.1)


# ------------------------------------------------------------------------------------------ the review


def test_a_declined_answer_is_set_aside_with_its_reason_and_not_asked_again(project: Piloted) -> None:
    project("pilot", "--sample", "5")
    project.decide("x lost_text: the second rule", "x 2", "x too long")
    bad = project("bad", "--json").json()
    assert {(group["state"], group["reason"], group["count"]) for group in bad["groups"]} == {
        ("set aside", "lost_text", 2),
        ("set aside", "too long", 1),
    }
    project("approve", "--as", "Ana")
    assert project("run", "--yes").code == 0
    assert project("recover", "--yes").code == 0
    assert set(project.asked.values()) == {1}
    assert len(project.filled) == ITEMS - 3


def test_what_was_uploaded_of_a_declined_answer_is_taken_back(project: Piloted) -> None:
    project("pilot", "--sample", "5")
    project("approve", "--as", "Ana")
    project("run", "--yes")
    assert len(project.filled) == ITEMS
    reviewed = project.decide("x invented")
    assert "1 rows taken back" in reviewed.err
    (key,) = project.state("select item from decisions")[0]
    gone = int(key.strip("[]"))
    assert project.filled == set(range(1, ITEMS + 1)) - {gone}
    audit = project("audit", "--json").json()["stages"][0]
    assert audit["cleared"] == []
    assert all(equation["balanced"] for equation in audit["equations"])
    assert project("run", "--yes").code == 0
    assert gone not in project.filled
    # another thought: it is uploaded again by its name only
    assert project.decide(json.dumps({"key": key, "decision": "undo"})).code == 0
    project("run", "--yes")
    assert gone not in project.filled
    assert project("upload", "--ids", str(gone)).code == 0
    assert gone in project.filled
    assert set(project.asked.values()) == {1}


def test_a_rollback_after_a_no_leaves_what_was_set_aside(project: Piloted) -> None:
    project("pilot", "--sample", "5")
    project("approve", "--as", "Ana")
    project("run", "--yes")
    project.decide("x invented")
    assert project("rollback").code == 0
    assert project.filled == set()
    states = dict(project.state("select state, count(*) from outcomes group by state"))
    assert states == {"set aside": 1, "withdrawn": ITEMS - 1}
    audit = project("audit", "--json").json()["stages"][0]
    assert all(equation["balanced"] for equation in audit["equations"])


def test_a_cell_that_a_person_changed_since_is_left_alone_by_a_no(project: Piloted) -> None:
    project("pilot", "--sample", "5")
    project("approve", "--as", "Ana")
    project("run", "--yes")
    first = project.drawn()[0]
    project.corpus("update questions set summary = 'mine' where id = ?", first)
    reviewed = project.decide("x style")
    assert f"left alone [{first}]" in reviewed.err
    assert project.corpus("select summary from questions where id = ?", first) == [("mine",)]


def test_a_review_goes_on_where_it_was_left_and_a_decision_can_be_undone(project: Piloted) -> None:
    project("pilot", "--sample", "5")
    assert "3 are still to be looked at" in project.decide("a", "x style", "q").out
    assert "2 of 5 looked at: 2 yes, 0 no" in project.decide("u", "a", "q").out
    assert "5 of 5 looked at: 4 yes, 1 no" in project.decide("a", "a", "x other: dull").out
    told = [row[0] for row in project.state("select verdict from decisions order by number")]
    assert told == ["accept", "reject", "undo", "accept", "accept", "accept", "reject"]
    assert project.state("select count(*) from outcomes where state = 'set aside'") == [(1,)]


def test_decisions_as_json_lines_with_scores(project: Piloted) -> None:
    """(001.62)"""
    project.write(more='scores = ["translation", "estimation", "fidelity"]')
    project("pilot", "--sample", "3")
    keys = project.drawn()
    lines = [
        {"key": [keys[2]], "decision": "accept", "scores": {"translation": 5, "estimation": 4, "fidelity": 5}},
        {"key": f"[{keys[0]}]", "decision": "reject", "reason": "invented", "note": "a hat", "scores": {"fidelity": 1}},
    ]
    ended = project.decide(*map(json.dumps, lines), more=["--json"])
    assert ended.code == 0, ended.err
    found = ended.json()
    assert found["decided"] == 2
    assert found["card"]["scores"] == {"translation": 5.0, "estimation": 4.0, "fidelity": 3.0}
    assert found["card"]["reasons"] == [["invented", 1, f"[{keys[0]}]"]]
    by_key = {item["key"]: item for item in found["items"]}
    assert by_key[f"[{keys[0]}]"]["decision"]["note"] == "a hat"
    assert by_key[f"[{keys[1]}]"]["decision"] is None
    assert by_key[f"[{keys[1]}]"]["source"]["text"].startswith("What is Q")


def test_what_differs_from_the_source_is_marked(project: Piloted) -> None:
    project("pilot", "--sample", "8")
    found = project.decide("s", more=["--json"]).json()
    marked = [item for item in found["items"] if item["differences"]]
    for item in marked:
        parts = item["differences"]["summary"]["parts"]
        assert "".join(text for mark, text in parts if mark != "removed") == item["result"]["summary"]


def test_lines_that_are_no_decisions_are_told_and_those_before_them_are_kept(project: Piloted) -> None:
    project("pilot", "--sample", "4")
    for line, said in (
        ("maybe", "is no decision"),
        ("x", "a no needs its reason"),
        ('{"key": "[1]"', "is not JSON"),
        ('{"key": "[999]", "decision": "accept"}', "is none of the answers"),
        ('{"decision": "accept", "scores": {"style": 9}}', "no score style"),
        ('{"decison": "accept"}', 'did you mean "decision"?'),
    ):
        ended = project.decide(line)
        assert ended.code == 2, line
        assert len(ended.told) <= 8
        assert said in ended.err
    ended = project.decide("a", "maybe")
    assert ended.code == 2
    assert "decisions.txt:2" in ended.err
    assert project.state("select count(*) from decisions") == [(1,)]


def test_a_sample_of_the_bulk_can_be_looked_at_later(project: Piloted) -> None:
    project("pilot", "--sample", "3")
    project("approve", "--as", "Ana")
    project("run", "--yes")
    first = project("review", STAGE, "--sample", "6", "--decisions", "/dev/null", "--json").json()
    again = project("review", STAGE, "--sample", "6", "--decisions", "/dev/null", "--json").json()
    assert [item["key"] for item in first["items"]] == [item["key"] for item in again["items"]]
    assert len(first["items"]) == 6
    assert project.decide("x invented", more=["--sample", "6"]).code == 0
    assert len(project.filled) == ITEMS - 1


def test_one_key_one_decision_at_a_terminal(project: Piloted) -> None:
    project("pilot", "--sample", "4")
    keys, why, note = "? help", "any other: back", "(Enter for none): "
    ended = typed(
        project.root,
        ["review", STAGE, "--as", "Ana"],
        [(keys, "a"), (keys, "x"), (why, "2"), (note, "the second rule\n"), (keys, "u"), (keys, "x"), (why, "0"),
         (keys, "s"), (keys, "q")],
    )  # fmt: skip
    assert ended.code == 0, ended.out
    assert "SOURCE" in ended.out
    assert "RESULT" in ended.out
    told = project.state("select verdict, reason, note, reviewer from decisions order by number")
    assert told == [
        ("accept", "", "", "Ana"),
        ("reject", "lost_text", "the second rule", "Ana"),
        ("undo", "", "", "Ana"),
    ]


def test_a_key_that_is_held_down_decides_one_answer(project: Piloted) -> None:
    project("pilot", "--sample", "4")
    ended = typed(project.root, ["review", STAGE], [("? help", "a" * 30), ("2 of 4", ""), ("? help", "q")])
    assert ended.code == 0, ended.out
    assert project.state("select count(*) from decisions") == [(1,)]


def test_ctrl_c_leaves_a_review_with_what_was_decided(project: Piloted) -> None:
    project("pilot", "--sample", "4")
    ended = typed(project.root, ["review", STAGE], [("? help", "a"), ("2 of 4", ""), ("? help", "\x03")])
    assert ended.code == 130
    assert "Traceback" not in ended.out
    assert project.state("select count(*) from decisions") == [(1,)]


def test_a_review_in_a_plain_pipe(project: Piloted) -> None:
    project("pilot", "--sample", "3")
    ended = in_shell(project.root, "review", STAGE, "--as", "Ana")  # with nothing on its stdin
    assert ended.code == 0
    assert "0 of 3 looked at" in ended.out
    command = [sys.executable, "-m", "seedbed", "review", STAGE]
    piped = subprocess.run(
        command, cwd=project.root, env=environment(), input="a\nx style\n", capture_output=True, text=True, timeout=60
    )
    assert piped.returncode == 0, piped.stderr
    assert "2 of 3 looked at: 1 yes, 1 no" in piped.stdout
    assert "SOURCE" in piped.stderr


# --------------------------------------------------------------------------------------- the signature


def test_new_rows_under_the_ceiling_need_no_new_signature_and_more_than_that_does(project: Piloted) -> None:
    project("pilot", "--sample", "5")
    project("approve", "--as", "Ana", "--items", str(ITEMS))
    assert project("run", "--yes").code == 0
    project.corpus("insert into questions (text, lang) select 'What is Q9' || id || 'Z?', 'ro' from questions")
    ended = project("run", "--yes")
    assert ended.code == 4
    assert f"Ana signed {ITEMS} items of q.summary; they are worked, and there are more." in ended.err
    assert sum(project.asked.values()) == 5 + ITEMS
    assert len(project.filled) == 5 + ITEMS, "what was worked under the signature is uploaded"
    project("approve", "--as", "Ana")
    assert project("run", "--yes").code == 0
    assert len(project.filled) == 2 * ITEMS
    assert set(project.asked.values()) == {1}


def test_money_that_was_signed_for_is_a_cap(project: Piloted) -> None:
    project("pilot", "--sample", "5")
    project("approve", "--as", "Ana", "--money", "0.001usd")
    ended = project("run", "--yes", "--concurrency", "2")
    assert ended.code == 4, ended.err
    assert "Ana signed" in ended.err
    (spent,) = project.state("select sum(nano) from till where run in (select id from runs where command = 'run')")[0]
    assert 0 < spent <= 1_000_000
    assert 5 < sum(project.asked.values()) < ITEMS


def test_a_changed_recipe_or_model_or_selection_needs_a_new_signature(project: Piloted) -> None:
    project("pilot", "--sample", "5")
    project("approve", "--as", "Ana")
    ended = project("run", "--yes", "--model", "openai/other")
    assert ended.code == 4
    assert "did not sign q.summary for openai/other" in ended.err
    project.write(more="where = \"lang = 'ro'\"")
    ended = project("run", "--yes")
    assert ended.code == 4
    assert "The selection of q.summary has changed" in ended.err
    project.write("Say briefly")
    ended = project("run", "--yes")
    assert ended.code == 4
    assert ended.told == [
        "error: The recipe of q.summary has changed since Ana signed it.",
        "  Next: seedbed pilot q.summary",
    ]
    assert sum(project.asked.values()) == 5
    project.write()
    assert project("run", "--yes").code == 0, "with the signed recipe back its signature holds again"


def test_a_signature_for_two_models_holds_for_both(project: Piloted) -> None:
    project("pilot", "--sample", "5")
    project("approve", "--as", "Ana", "--models", "openai/test, openai/other")
    assert project("run", "--yes", "--model", "openai/other", "--limit", "3").code == 0
    assert project("run", "--yes").code == 0


def test_a_corrected_prompt_asks_the_pilot_again_and_nothing_else(project: Piloted) -> None:
    first = project("pilot", "--sample", "6", "--json").json()
    project.decide("a", "x invented", "a")
    project.write("Say briefly")
    assert project("review", STAGE, "--decisions", "/dev/null").code == 2
    second = project("pilot", "--json")
    assert second.code == 0, second.err
    assert [key for key, _ in second.json()["chosen"]] == [key for key, _ in first["chosen"]]
    assert second.json()["asked"] == 6
    assert sorted(project.asked.values()) == [2] * 6
    assert second.json()["card"]["open"] == 6, "what was said of the old answers says nothing of the new ones"
    project.decide(*["a"] * 6)
    project("approve", "--as", "Ana")
    assert project("run", "--yes").code == 0
    assert sorted(project.asked.values()) == [1] * (ITEMS - 6) + [2] * 6
    assert project.filled == set(range(1, ITEMS + 1))


def test_after_the_bulk_a_new_prompt_is_piloted_over_what_the_old_one_made(project: Piloted) -> None:
    project("pilot", "--sample", "4")
    project("approve", "--as", "Ana")
    project("run", "--yes")
    project.write("Say briefly")
    found = project("pilot", "--json").json()
    assert (found["asked"], found["stale"]["items"]) == (4, ITEMS - 4)
    assert project("run", "--yes", "--stale").code == 4
    assert project("approve", "--as", "Ana", "--json").json()["signature"]["items"] == ITEMS - 4
    assert project("run", "--yes", "--stale").code == 0
    assert set(project.asked.values()) == {2}


def test_a_signature_that_is_revoked_in_the_middle_stops_the_run_with_everything_saved(
    project: Piloted, seedbed: Command
) -> None:
    project.corpus(
        "insert into questions (text, lang) with recursive n(i) as (select 1000 union all select i + 1 from n"
        " where i < 1999) select 'What is Q' || i || 'Z?', 'ro' from n"
    )
    project("pilot", "--sample", "5")
    project("approve", "--as", "Ana")
    project.sim.configure(latency_ms=20)
    child = start(project.root, "run", "--yes", "--concurrency", "4")
    until(lambda: sum(project.asked.values()) >= 40)
    assert project("revoke", "--as", "Ion", "--note", "too dear").code == 0
    at_revocation = sum(project.asked.values())
    _, err = child.communicate(timeout=60)
    assert child.returncode == 4, err
    assert "Ion revoked it" in err
    asked = sum(project.asked.values())
    assert asked <= at_revocation + 4 + 64, "in flight, and one batch"
    assert asked < 1000
    assert project.state("select count(*) from outcomes") == [(asked,)], "what was received is kept"
    project("approve", "--as", "Ana")
    assert project("run", "--yes").code == 0
    assert set(project.asked.values()) == {1}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["approve", "q.summry", "--as", "Ana"], 2, 'did you mean "q.summary"?'),
        (["approve", STAGE], 2, "needs the name of the person"),
        (["approve", STAGE, "--as", "  "], 2, "needs the name of the person"),
        (["approve", STAGE, "--as", "Ana"], 2, "seedbed pilot q.summary"),
        (["approve", STAGE, "--as", "Ana", "--until", "soon"], 2, "is not a date"),
        (["approve", STAGE, "--as", "Ana", "--until", "2001-01-01"], 2, "is past"),
        (["approve", STAGE, "--as", "Ana", "--money", "much"], 2, "is not an amount of money"),
        (["approve", STAGE, "--as", "Ana", "--items", "0"], 2, "A ceiling of 0"),
        (["approve", STAGE, "--as", "Ana", "--models", "gpt"], 2, "is not a model"),
        (["revoke", STAGE, "--as", "Ana"], 2, "no signature that could be revoked"),
        (["revoke", STAGE], 2, "needs the name of the person"),
        (["review", STAGE], 2, "seedbed pilot q.summary"),
        (["pilot", STAGE, "--sample", "0"], 2, "from 1 to 1,000 items"),
        (["pilot", STAGE, "--sample", "5000"], 2, "from 1 to 1,000 items"),
        (["pilot", STAGE, "--across", "langue"], 2, "no column langue"),
        (["pilot", STAGE, "--where", "lang = 'xx'"], 5, "matches 0"),
    ],
)
def test_each_misuse_is_told_in_a_line_or_two(project: Piloted, words: list[str], code: int, said: str) -> None:
    ended = project(*words)
    assert ended.code == code, ended.err
    assert len(ended.told) <= 3
    assert said in ended.err
    assert project.asked == {}
    assert "state.sqlite" not in str(list((project.root / ".seedbed").glob("*"))) or project.state(
        "select count(*) from signatures"
    ) == [(0,)]


def test_a_gate_of_another_kind_is_told(project: Piloted) -> None:
    text = (project.root / "seedbed.toml").read_text("utf-8")
    (project.root / "seedbed.toml").write_text(text.replace('gate = "pilot"', 'gate = "boss"'), "utf-8")
    ended = project("run")
    assert ended.code == 2
    assert 'gate = "pilot"' in ended.err


def test_a_dry_run_signs_nothing(project: Piloted) -> None:
    project("pilot", "--sample", "3")
    ended = project("approve", "--as", "Ana", "--dry-run")
    assert ended.code == 0
    assert "would be signed by Ana" in ended.out
    assert project("run", "--yes").code == 4
    project("approve", "--as", "Ana")
    assert project("revoke", "--as", "Ana", "--dry-run").code == 0
    assert project("run", "--yes").code == 0


def test_a_stage_of_a_recipe_gets_its_gate_from_the_project_file(tmp_path: Path, seedbed: Command) -> None:
    seedbed("init", "own", "--recipe", "facts")
    path = tmp_path / "own" / "seedbed.toml"
    path.write_text(path.read_text("utf-8") + '\n[stages."facts.explode"]\ngate = "pilot"\n', "utf-8")
    ended = seedbed("run", "-C", "own", "--yes")
    assert ended.code == 4, ended.err
    assert seedbed("pilot", "facts.explode", "-C", "own", "--yes", "--sample", "2").code == 0
    assert seedbed("approve", "facts.explode", "--as", "Ana", "--items", "50", "-C", "own").code == 0
    assert seedbed("run", "-C", "own", "--yes").code == 0


def test_a_record_says_who_approved_it_and_who_looked_at_it(project: Piloted) -> None:
    project("pilot", "--sample", "3")
    project.decide("a")
    project("approve", "--as", "Ana Pop")
    project("run", "--yes")
    looked_at = project.drawn()[0]
    first = project("records", STAGE, "--key", str(looked_at), "--json").json()["outcomes"][-1]
    assert first["approved"] == ["Ana Pop"], "bought by the pilot, uploaded under the signature"
    assert (first["decision"]["verdict"], first["decision"]["reviewer"]) == ("accept", "Ana")
    other = min(set(range(1, ITEMS + 1)) - set(project.drawn()))
    assert "approved by Ana Pop" in project("records", STAGE, "--key", str(other)).out


def test_what_a_reviewer_wrote_can_be_redacted(project: Piloted) -> None:
    project("pilot", "--sample", "3")
    project.decide("x invented: names Mrs Smith of Oak Lane")
    assert project("receipts", "redact", "--text", "Mrs Smith of Oak Lane", "--yes").code == 0
    assert "Smith" not in str(project.state("select * from decisions"))
    assert "Smith" not in str(project.state("select findings from outcomes"))
    assert project.state("select verdict, reviewer from decisions") == [("reject", "Ana")]


def test_at_a_terminal_no_price_is_asked_about_where_the_gate_is_shut(project: Piloted) -> None:
    ended = at_terminal(project.root, "run", answer="y")
    assert ended.code == 4
    assert "Start?" not in ended.out


def test_an_async_stage_is_signed_for_the_models_that_its_pilot_asked(project: Piloted) -> None:
    (project.root / "stages.py").write_text(
        """
from seedbed import Stage, fills

async def judge(item, call):
    first = await call("first", "Sum up {{ q.text }}", {"summary": str}, q=item)
    tier = "high" if item["id"] > 30 else "mid"
    return await call("second", "Again {{ q.text }}: {{ f }}", {"summary": str}, tier=tier, q=item, f=first)

stages = [Stage("q.judge", fills("questions", ["summary"]), ask=judge, inputs=("text",), gate="pilot")]
""",
        "utf-8",
    )
    text = (project.root / "seedbed.toml").read_text("utf-8").partition("[stages.")[0]
    text = text.replace('corpus = "', 'python = "stages.py"\ncorpus = "')
    text = text.replace(
        'default = "openai/test"', 'default = "openai/test"\nmid = "openai/other"\nhigh = "openai/dear"'
    )
    (project.root / "seedbed.toml").write_text(text + '[prices."openai/dear"]\ninput = 9\noutput = 9\n', "utf-8")
    assert project("pilot", "--sample", "5", "--where", "id <= 30").code == 0
    signed = project("approve", "--as", "Ana", "--json").json()
    assert signed["signature"]["models"] == ["openai/test", "openai/other"]
    ended = project("run", "--yes")
    assert ended.code == 4
    assert "was signed for openai/test, openai/other, not for openai/dear" in ended.err
    assert {entry["model"] for entry in project.sim.ledger()} == {"test", "other"}


def test_a_stage_that_gathers_or_makes_rows_has_a_pilot_too(project: Piloted) -> None:
    project.corpus("create table notions (id text primary key, word text, lang text)")
    (project.root / "stages.py").write_text(
        """
from seedbed import Row, Stage, fills, gathers, makes, unique

def rows(item, out):
    for word in out["words"]:
        yield Row("notions", word=word, lang=item["lang"])

SHAPE = {"words": [str]}
stages = [
    Stage("q.makes", makes("questions", rows=rows, into={"notions": ()}),
          prompt="{{ text }}", shape=SHAPE, gate="pilot"),
    Stage("q.gathers", gathers("questions", by=["lang"], rows=rows, into={"notions": ()}),
          prompt="{{ lang }}", shape=SHAPE, inputs=("text",), gate="pilot"),
]
""",
        "utf-8",
    )
    text = (project.root / "seedbed.toml").read_text("utf-8").partition("[stages.")[0]
    (project.root / "seedbed.toml").write_text(text.replace('corpus = "', 'python = "stages.py"\ncorpus = "'), "utf-8")
    for stage, sample, items in (("q.makes", 4, ITEMS), ("q.gathers", 1, 2)):
        assert project("run", stage, "--yes").code == 4
        assert project("pilot", stage, "--sample", str(sample)).code == 0
        assert project("pilot", stage).code == 0
        assert project("approve", stage, "--as", "Ana").code == 0
        assert project("run", stage, "--yes").code == 0
        before = project.corpus("select count(*) from notions")[0][0]
        assert before > 0
        declined = project.decide("x invented", stage=stage)
        assert declined.code == 0, declined.err
        assert "rows taken back" in declined.err
        assert project.corpus("select count(*) from notions")[0][0] < before
        (report,) = [each for each in project("audit", "--json").json()["stages"] if each["stage"] == stage]
        assert all(equation["balanced"] for equation in report["equations"])
        assert project("status", stage, "--json").json()["stages"][0]["missing"] == 0
        assert sum(report["settled"].values()) == items
        (key,) = project.state("select item from decisions order by number desc limit 1")[0]
        assert project.decide("u", stage=stage).code == 0
        assert project("upload", stage, "--ids", key).code == 0
        assert project.corpus("select count(*) from notions")[0][0] == before
        (report,) = [each for each in project("audit", "--json").json()["stages"] if each["stage"] == stage]
        assert all(equation["balanced"] for equation in report["equations"])


def test_two_parts_at_once_share_the_ceiling_of_items(project: Piloted) -> None:
    project("pilot", "--sample", "5")
    project("approve", "--as", "Ana", "--items", "12")
    project.sim.configure(latency_ms=50)
    children = [
        start(project.root, "run", "--yes", "--part", f"{n}/2", "--no-upload", "--concurrency", "3") for n in (1, 2)
    ]
    ended = [child.communicate(timeout=60) for child in children]
    assert 4 in [child.returncode for child in children], ended
    assert sum(project.asked.values()) <= 5 + 12
    project.sim.configure(latency_ms=0)
    for n in (1, 2):
        project("run", "--yes", "--part", f"{n}/2")
    assert sum(project.asked.values()) == 5 + 12
    assert set(project.asked.values()) == {1}


def test_a_pilot_works_within_a_round_that_an_export_opened(project: Piloted) -> None:
    assert project("export", STAGE).code == 0
    piloted = project("pilot", "--sample", "5", "--json")
    assert piloted.code == 0, piloted.err
    assert piloted.json()["states"] == {"accepted": 5}
    assert project("run", "--yes").code == 4
    assert sum(project.asked.values()) == 5
    project("approve", "--as", "Ana")
    assert project("run", "--yes").code == 0
    assert set(project.asked.values()) == {1}
    assert len(project.filled) == ITEMS


def test_a_ceiling_of_money_is_shared_by_two_parts_at_once(project: Piloted) -> None:
    project("pilot", "--sample", "5")
    project("approve", "--as", "Ana", "--money", "0.0012usd")
    project.sim.configure(latency_ms=30)
    children = [
        start(project.root, "run", "--yes", "--part", f"{n}/2", "--no-upload", "--concurrency", "2") for n in (1, 2)
    ]
    ended = [child.communicate(timeout=60) for child in children]
    assert 4 in [child.returncode for child in children], ended
    (spent,) = project.state("select sum(nano) from till where run in (select id from runs where command = 'run')")[0]
    assert 0 < spent <= 1_200_000
