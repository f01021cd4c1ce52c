"""The looking verbs over a project that was run once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from seedbed.simulator import Simulator
from tests.cli.looked import ATTEMPTS, ITEMS, REFUSED, REJECTED, Looked, new_project, run_once

SUMMARY_CALLS = ITEMS - len(REJECTED) + len(REJECTED) * ATTEMPTS
REFUSED_CALLS = ATTEMPTS - 1


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looked]:
    with Simulator() as model:
        made = new_project(tmp_path_factory.mktemp("looked"), model)
        run_once(made)
        yield made


@pytest.fixture(autouse=True)
def _nothing_is_sent_or_written(looked: Looked, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """000.32: looking needs no key, sends no request, and leaves the corpus as it is."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    requests, before = looked.model.summary()["requests"], looked.corpus_hash()
    yield
    assert looked.model.summary()["requests"] == requests
    assert looked.corpus_hash() == before


def test_status_counts_equal_the_outcomes(looked: Looked, capsys: pytest.CaptureFixture[str]) -> None:
    """000.22"""
    found = looked.document(capsys, "status")
    assert found["schema"] == "seedbed/status@1"
    stages = {stage["stage"]: stage for stage in found["stages"]}
    for name, stage in stages.items():
        counted = dict(looked.state("select state, count(*) from outcomes where stage = ? group by state", name))
        assert stage["states"] == counted
        assert stage["done"] == sum(counted.values()) == ITEMS
        assert (stage["total"], stage["missing"], stage["percent"], stage["waiting_upload"]) == (ITEMS, 0, 100.0, 0)
    assert stages["q.summary"]["states"] == {"accepted": ITEMS - 3, "rejected": 2, "refused": 1}
    nano = looked.state("select sum(nano) from till")[0][0]
    assert Decimal(found["spent"]) * 10**9 == nano
    assert (found["cap"], found["corrupt"], found["running"], found["eta_seconds"]) == ("5", 0, [], None)
    assert found["next"] == ["seedbed bad"]
    assert found["last"]["status"] == "completed"


def test_status_in_words_ends_with_the_next_command(looked: Looked, capsys: pytest.CaptureFixture[str]) -> None:
    shown = looked.see(capsys, "status", "q.summary")
    assert shown.splitlines()[-1] == "Next:  seedbed bad q.summary"
    assert "q.topic" not in shown


def test_watch_ends_at_once_where_nothing_runs(looked: Looked, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Nothing is running." in looked.see(capsys, "watch")


def test_audit_adds_up(looked: Looked, capsys: pytest.CaptureFixture[str]) -> None:
    """000.31"""
    found = looked.document(capsys, "audit")
    for stage in found["stages"]:
        assert stage["rows"] == ITEMS
        assert [equation["balanced"] for equation in stage["equations"]] == [True]
        assert sum(stage["settled"].values()) == ITEMS
    assert "40 items = 37 accepted + 2 rejected + 1 refused" in looked.see(capsys, "audit", "q.summary")


def test_audit_of_books_that_do_not_add_up_ends_with_8(looked: Looked, capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3

    state = looked.root / ".seedbed" / "state.sqlite"
    kept = state.read_bytes()
    db = sqlite3.connect(state)
    db.execute("delete from outcomes where stage = 'q.summary' and item = '[9]'")
    db.commit()
    db.execute("pragma wal_checkpoint(truncate)")
    db.close()
    try:
        assert "DOES NOT ADD UP" in looked.see(capsys, "audit", code=8)
        found = looked.document(capsys, "audit", code=8)
        assert (found["error"]["name"], found["exit"]["code"]) == ("unbalanced", 8)
    finally:
        state.write_bytes(kept)


def test_a_plan_of_nothing_costs_nothing(looked: Looked, capsys: pytest.CaptureFixture[str]) -> None:
    found = looked.document(capsys, "plan")
    assert [(stage["items"], stage["calls"], stage["cost_high"]) for stage in found["stages"]] == [(0, 0, "0")] * 2
    assert (found["stages"][0]["price"]["input"], found["stages"][0]["price"]["output"]) == ("1", "2")
    assert "Nothing was sent." in looked.see(capsys, "plan", "q.topic", "--where", "id > 3", "--part", "1/2")


def test_records_are_selected_by_state_and_condition(looked: Looked, capsys: pytest.CaptureFixture[str]) -> None:
    found = looked.document(capsys, "records", "q.summary", "--state", "rejected")
    assert {record["key"] for record in found["records"]} == {"[3]", "[11]"}
    assert all(record["findings"] and record["output"] is None for record in found["records"])
    where = looked.document(capsys, "records", "q.summary", "--where", "id <= 4 and outcome.state = 'accepted'")
    assert {record["key"] for record in where["records"]} == {"[1]", "[2]", "[4]"}
    assert looked.document(capsys, "records", "q.topic", "--limit", "5")["more"]
    assert looked.document(capsys, "records", "q.topic", "--state", "missing")["records"] == []
    looked.see(capsys, "records", "q.topic", "--state", "rejcted", code=2)


def test_one_record_is_shown_whole(looked: Looked, capsys: pytest.CaptureFixture[str]) -> None:
    found = looked.document(capsys, "records", "q.summary", "--key", "3")
    assert found["row"]["text"] == "What is Q3Z?"
    assert [outcome["state"] for outcome in found["outcomes"]] == ["rejected"]
    assert len(found["attempts"]) == ATTEMPTS == found["outcomes"][0]["attempts"]
    for attempt in found["attempts"]:
        assert attempt["ending"] == "received"
        assert "Q3Z" in attempt["request"][-1]["text"]
        assert json.loads(attempt["answer"])["choices"]
        assert attempt["usage"]["output"] > 0
        assert (attempt["asked"], attempt["shared"]) == ("openai/test", 1)
    costs = sum(Decimal(attempt["cost"]) for attempt in found["attempts"])
    assert costs == Decimal(found["outcomes"][0]["cost"])
    accepted = looked.document(capsys, "records", "q.topic", "--key", "[1]")
    assert (accepted["outcomes"][0]["fate"], accepted["attempts"][0]["shared"]) == ("applied", 4)
    assert accepted["outcomes"][0]["release"]
    looked.see(capsys, "records", "q.summary", "--key", "nobody", code=5)


def test_text_of_the_corpus_does_not_steer_the_terminal(looked: Looked, capsys: pytest.CaptureFixture[str]) -> None:
    shown = looked.see(capsys, "records", "q.summary", "--key", "7")
    assert "\x1b" not in shown and "\u202e" not in shown
    assert "[bold red]no[/]" in shown


def test_bad_groups_by_reason_the_biggest_first(looked: Looked, capsys: pytest.CaptureFixture[str]) -> None:
    found = looked.document(capsys, "bad")
    counted = looked.state(
        "select state, reason, count(*) from outcomes where state != 'accepted' group by 1, 2 order by 3 desc"
    )
    assert [(g["state"], g["reason"], g["count"]) for g in found["groups"]] == counted
    assert found["total"] == len(REJECTED) + 1
    assert found["groups"][0]["example"] == "[11]" and found["groups"][0]["message"]
    assert "refused" in looked.see(capsys, "bad", "q.summary")


def test_keys_of_bad_items_select_the_same_items_again(looked: Looked, capsys: pytest.CaptureFixture[str]) -> None:
    from seedbed.cli.options import keys_of

    shown = looked.see(capsys, "bad", "q.summary", "--keys", "--state", "rejected")
    assert sorted(shown.splitlines()) == ["[11]", "[3]"]
    listed = looked.root / "keys"
    listed.write_text(shown, "utf-8")
    assert set(keys_of(f"@{listed}")) == {"[3]", "[11]"}
    assert looked.see(capsys, "bad", "--keys", "--reason", "no such").strip() == ""


@pytest.mark.parametrize("by", ["stage", "model", "served", "key", "run", "day", "kind"])
def test_cost_adds_up_and_agrees_with_the_server(looked: Looked, capsys: pytest.CaptureFixture[str], by: str) -> None:
    found = looked.document(capsys, "cost", "--by", by)
    books = looked.model.summary()
    total = found["total"]
    assert total["calls"] == books["complete"] == sum(row["calls"] for row in found["rows"])
    assert total["input"] + total["cached"] == books["input_tokens"]
    assert total["output"] == books["output_tokens"]
    assert sum(Decimal(row["spent"]) for row in found["rows"]) == Decimal(total["spent"]) > 0
    assert (total["doubtful"], total["unknown_prices"], found["cap"]) == ("0", 0, "5")
    assert "total" in looked.see(capsys, "cost", "--by", by)


def test_cost_by_a_field_that_is_none_names_those_there_are(looked: Looked, capsys: pytest.CaptureFixture[str]) -> None:
    looked.see(capsys, "cost", "--by", "topic", code=2)


def test_a_report_equals_the_page(looked: Looked, capsys: pytest.CaptureFixture[str]) -> None:
    """000.67, 000.68, 000.69, 000.70"""
    found = looked.document(capsys, "report")
    page = (looked.root / found["page"]).read_text("utf-8")
    front = dict(line.split(": ", 1) for line in page.split("---\n")[1].strip().splitlines())
    assert len(front) == 8
    assert {name: found[name] for name in front} == {name: json.loads(value) for name, value in front.items()}
    assert found["counts"]["q.summary"] == {"accepted": ITEMS - 3, "rejected": 2, "refused": 1}
    assert looked.document(capsys, "report", found["run"])["run"] == found["run"]
    assert "completed" in looked.see(capsys, "report")
    looked.see(capsys, "report", "run-none", code=2)


def test_releases_tell_what_they_wrote(looked: Looked, capsys: pytest.CaptureFixture[str]) -> None:
    found = looked.document(capsys, "report", "--releases")["releases"]
    assert {release["stage"]: release["counts"] for release in found} == {
        "q.summary": {"applied": ITEMS - 3},
        "q.topic": {"applied": ITEMS},
    }
    assert looked.corpus("select count(*) from questions where summary is not null") == [(ITEMS - 3,)]
    assert "applied" in looked.see(capsys, "report", "--releases")


def test_the_log_has_a_row_for_the_run(looked: Looked, capsys: pytest.CaptureFixture[str]) -> None:
    """000.67"""
    found = looked.document(capsys, "logs")
    assert [run["command"] for run in found["runs"]] == ["run"]
    assert found["runs"][0]["calls"] == looked.model.summary()["complete"]
    assert (looked.root / found["index"]).is_file()
    assert looked.document(capsys, "logs", "--limit", "0")["runs"] == []
    assert "Nothing is running." in looked.see(capsys, "logs", "--follow")


def test_config_tells_origins_and_no_secret(
    looked: Looked, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    found = looked.document(capsys, "config")
    values = {value["name"]: (value["value"], value["origin"]) for value in found["values"]}
    assert values["tiers.default"] == ("openai/test", "seedbed.toml")
    assert values["run.concurrency"] == (20, "default")
    assert values["budget.project"] == ("5", "seedbed.toml")
    assert found["keys"] == [{"provider": "openai", "variable": "OPENAI_API_KEY", "found": "the environment"}]
    assert "sk-very" not in looked.see(capsys, "config", "--origin") + json.dumps(found)
    assert json.loads(looked.see(capsys, "config", "--schema"))["properties"]["budget"]


def test_receipts_are_whole_and_travel(looked: Looked, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = looked.document(capsys, "receipts", "verify")
    assert found["receipts"] == looked.model.summary()["complete"]
    assert (found["corrupt"], found["open"]) == ([], 0)
    assert looked.document(capsys, "receipts", "size")["bytes"] > 0
    file = tmp_path / "receipts.jsonl"
    lines = looked.document(capsys, "receipts", "export", str(file))["lines"]
    assert looked.see(capsys, "receipts", "export", "-") == file.read_text("utf-8")
    again = looked.document(capsys, "receipts", "import", str(file))
    assert (again["new"], again["known"], again["torn"]) == (0, lines, False)
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    torn = looked.document(capsys, "receipts", "import", str(file))
    assert (torn["known"], torn["torn"]) == (lines - 1, True)
    broken = whole.splitlines(keepends=True)
    file.write_bytes(b"".join([*broken[:4], b"{nonsense\n", *broken[4:]]))
    refused = looked.document(capsys, "receipts", "import", str(file), code=2)
    assert refused["error"]["message"].startswith("Line 5 ")


def test_the_item_that_was_refused_is_named(looked: Looked, capsys: pytest.CaptureFixture[str]) -> None:
    found = looked.document(capsys, "records", "q.summary", "--state", "refused")
    assert [record["key"] for record in found["records"]] == ["[5]"]
    assert REFUSED == "Q5Z" and looked.model.summary()["by_item"][REFUSED]["complete"] >= 1
