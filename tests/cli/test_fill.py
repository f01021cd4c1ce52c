"""``seedbed fill`` over real files, a real database and a model server of its own books."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from seedbed.simulator import Simulator
from tests.cli.commands import SUMMARY, TOPIC, Ended, questions, rows

Command = Callable[..., Ended]


@pytest.fixture
def fill(seedbed: Command, sim: Simulator, tmp_path: Path) -> Command:
    """``fill questions.csv …`` of five rows against the simulator, allowed to spend."""
    questions(tmp_path / "questions.csv", 5)
    return lambda *words: seedbed("fill", "questions.csv", *words, "--base-url", sim.url, "--yes")


def test_every_row_is_filled_in_a_new_file_beside_the_source(fill: Command, sim: Simulator, tmp_path: Path) -> None:
    before = (tmp_path / "questions.csv").read_bytes()
    ended = fill(SUMMARY, TOPIC)
    assert ended.code == 0, ended.err
    filled = rows(tmp_path / "questions.filled.csv")
    assert [row["id"] for row in filled] == ["1", "2", "3", "4", "5"]
    assert all(row["summary"] and row["topic"] in ("algebra", "geometry") for row in filled)
    assert (tmp_path / "questions.csv").read_bytes() == before
    assert sim.summary()["requests"] == 5
    assert "5 items = 5 accepted" in ended.out
    assert "Next:" in ended.out.splitlines()[-1]


def test_a_second_run_has_nothing_left_to_do(fill: Command, sim: Simulator, tmp_path: Path) -> None:
    fill(SUMMARY)
    first = (tmp_path / "questions.filled.csv").read_bytes()
    ended = fill(SUMMARY)
    assert ended.code == 0
    assert "Nothing is left to do." in ended.out
    assert sim.summary()["requests"] == 5
    assert (tmp_path / "questions.filled.csv").read_bytes() == first


def test_new_rows_cost_only_themselves(fill: Command, sim: Simulator, tmp_path: Path) -> None:
    fill(SUMMARY)
    questions(tmp_path / "questions.csv", 10, first=6)
    assert fill(SUMMARY).code == 0
    assert sim.summary()["requests"] == 15
    assert all(row["summary"] for row in rows(tmp_path / "questions.filled.csv"))


def test_a_removed_result_is_written_again_for_nothing(fill: Command, sim: Simulator, tmp_path: Path) -> None:
    fill(SUMMARY)
    (tmp_path / "questions.filled.csv").rename(tmp_path / "kept.csv")
    assert fill(SUMMARY).code == 0
    assert fill(SUMMARY, "--out", "sub/other.csv").code == 0
    kept = (tmp_path / "kept.csv").read_bytes()
    assert (tmp_path / "questions.filled.csv").read_bytes() == kept
    assert (tmp_path / "sub" / "other.csv").read_bytes() == kept
    assert sim.summary()["requests"] == 5


def test_existing_values_stay_also_where_another_cell_of_the_row_is_filled(
    seedbed: Command, sim: Simulator, tmp_path: Path
) -> None:
    (tmp_path / "q.csv").write_text("id,text,summary,topic\n1,Q1Z,mine,\n2,Q2Z,mine,algebra\n3,Q3Z,,\n", "utf-8")
    ended = seedbed("fill", "q.csv", SUMMARY, TOPIC, "--base-url", sim.url, "--yes", "--key", "id")
    assert ended.code == 0, ended.err
    one, two, three = rows(tmp_path / "q.filled.csv")
    assert one["summary"] == "mine"
    assert one["topic"]
    assert two == {"id": "2", "text": "Q2Z", "summary": "mine", "topic": "algebra"}
    assert three["summary"]
    assert sim.summary()["requests"] == 2


def test_overwrite_fills_cells_that_hold_something(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("id,text,summary\n1,Q1Z,mine\n2,Q2Z,\n", "utf-8")
    assert seedbed("fill", "q.csv", SUMMARY, "--base-url", sim.url, "--yes", "--overwrite").code == 0
    assert sim.summary()["requests"] == 2
    assert all(row["summary"] not in ("", "mine") for row in rows(tmp_path / "q.filled.csv"))


def test_in_place_writes_the_file_itself_and_keeps_a_backup(fill: Command, sim: Simulator, tmp_path: Path) -> None:
    before = (tmp_path / "questions.csv").read_bytes()
    assert fill(SUMMARY, "--in-place").code == 0
    assert all(row["summary"] for row in rows(tmp_path / "questions.csv"))
    assert not (tmp_path / "questions.filled.csv").exists()
    assert [path.read_bytes() for path in (tmp_path / ".seedbed" / "backups").iterdir()] == [before]
    assert fill(SUMMARY, "--in-place").code == 0
    assert sim.summary()["requests"] == 5


def test_no_upload_keeps_the_answers_and_a_later_run_writes_them(fill: Command, sim: Simulator, tmp_path: Path) -> None:
    assert fill(SUMMARY, "--no-upload").code == 0
    assert not (tmp_path / "questions.filled.csv").exists()
    assert fill(SUMMARY).code == 0
    assert all(row["summary"] for row in rows(tmp_path / "questions.filled.csv"))
    assert sim.summary()["requests"] == 5


def test_json_lines_hold_values_of_their_types(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    lines = [{"id": n, "text": f"Q{n}Z"} for n in range(3)]
    (tmp_path / "q.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    fields = [
        "year (int): when",
        "share (number): how much",
        "real (bool): is it",
        "tags (list): words",
        "day (date): x",
    ]
    ended = seedbed("fill", "q.jsonl", *fields, "--base-url", sim.url, "--yes")
    assert ended.code == 0, ended.err
    for line in (tmp_path / "q.filled.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        kinds = {name: type(row[name]) for name in ("year", "share", "real", "day")}
        assert kinds["year"] is int
        assert kinds["share"] in (int, float)
        assert kinds["real"] is bool
        assert len(row["day"]) == 10
        tags = row["tags"] if isinstance(row["tags"], list) else json.loads(row["tags"])
        assert all(isinstance(tag, str) for tag in tags)


def test_files_of_one_name_and_two_kinds_do_not_share_what_is_done(
    seedbed: Command, sim: Simulator, tmp_path: Path
) -> None:
    (tmp_path / "q.csv").write_text("id,text\n1,Q1Z\n", "utf-8")
    (tmp_path / "q.jsonl").write_text('{"id": "1", "text": "Q2Z"}\n', "utf-8")
    for name in ("q.csv", "q.jsonl"):
        assert seedbed("fill", name, SUMMARY, "--key", "id", "--base-url", sim.url, "--yes").code == 0
    assert sim.summary()["requests"] == 2


def test_a_table_of_a_database_is_filled_itself(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x.db") as db:
        db.execute("create table questions (id integer primary key, text text)")
        db.executemany("insert into questions (text) values (?)", [(f"Q{n}Z",) for n in range(4)])
    words = ["fill", "sqlite:///x.db", SUMMARY, "year (int): when", "--table", "questions", "--base-url", sim.url]
    looked = seedbed(*words, "--dry-run")
    assert looked.code == 0, looked.err
    assert "4 items would be worked" in looked.out
    asked = seedbed(*words)
    assert asked.code == 2
    assert "new columns" in asked.err
    assert [c[1] for c in db.execute("pragma table_info(questions)")] == ["id", "text"]
    ended = seedbed(*words, "--yes")
    assert ended.code == 0, ended.err
    assert all(s and isinstance(y, int) for s, y in db.execute("select summary, year from questions"))
    assert "Nothing is left to do." in seedbed(*words, "--yes").out
    assert sim.summary()["requests"] == 4
    db.close()


def test_where_limit_and_ids_bound_what_is_asked(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    questions(tmp_path / "q.csv", 9)
    words = ["fill", "q.csv", SUMMARY, "--key", "id", "--base-url", sim.url, "--yes"]
    assert seedbed(*words, "--where", "question ~ 'Q3Z'").code == 0
    assert seedbed(*words, "--limit", "2").code == 0
    (tmp_path / "keys").write_text("7\n8\n", "utf-8")
    assert seedbed(*words, "--ids", "@keys").code == 0
    assert sim.summary()["requests"] == 5
    asked = {entry["item"] for entry in sim.ledger()}
    assert {"Q3Z", "Q7Z", "Q8Z"} <= asked


def test_the_prompt_shows_the_row_or_the_columns_that_it_names(fill: Command, tmp_path: Path) -> None:
    (tmp_path / "own.md").write_text("Be brief about: {{ question }}", "utf-8")
    own = fill(SUMMARY, "--prompt", "@own.md", "--dry-run").out
    assert "Be brief about: What is Q1Z, or so?" in own
    assert "summary: one sentence" in own
    plain = fill(SUMMARY, "--prompt", "Be very brief.", "--dry-run").out
    assert "Be very brief." in plain
    assert r"\"question\": \"What is Q1Z, or so?\"" in plain
    braces = fill("summary: like {{ question }} {% if %} <!-- item -->", "--dry-run")
    assert "like {{ question }} {% if %} <!-- item -->" in braces.out


def test_a_dry_run_sends_nothing_and_writes_no_result(fill: Command, sim: Simulator, tmp_path: Path) -> None:
    ended = fill(SUMMARY, "--dry-run")
    assert ended.code == 0
    assert "5 items would be worked" in ended.out
    assert '"model":"gpt-5-mini"' in ended.out
    assert sim.summary()["requests"] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [".seedbed", "questions.csv"]


def test_json_is_one_document_with_money_as_text(fill: Command) -> None:
    ended = fill(SUMMARY, "--json")
    document = ended.json()
    assert document["schema"] == "seedbed/fill@1"
    assert document["exit"] == {"code": 0, "name": "ok"}
    assert float(document["spent"]) > 0
    assert isinstance(document["spent"], str)
    assert document["cap"] is None
    assert document["equations"][0]["states"] == {"accepted": 5}
    assert document["next"]


def test_the_cap_holds_and_a_higher_one_goes_on(fill: Command, sim: Simulator, tmp_path: Path) -> None:
    (tmp_path / "seedbed.toml").write_text('[prices."openai/gpt-5-mini"]\ninput = 10\noutput = 10\n', "utf-8")
    nothing = fill(SUMMARY, "--budget", "0")
    assert nothing.code == 75
    assert sim.summary()["requests"] == 0
    worst = float(nothing.err.rpartition("may cost up to $")[2].split(".\n")[0])
    cap = worst + 0.001
    paused = fill(SUMMARY, "--budget", f"{cap}usd", "--concurrency", "1", "--json")
    assert paused.code == 75
    document = paused.json()
    assert document["exit"] == {"code": 75, "name": "paused"}
    assert document["error"]["name"] == "budget"
    assert 0 < float(document["spent"]) <= cap
    assert 0 < sim.summary()["requests"] < 5
    assert fill(SUMMARY, "--budget", "5usd").code == 0
    assert sim.summary()["requests"] == 5


def test_answers_of_the_stand_in_are_not_written_unasked(seedbed: Command, tmp_path: Path) -> None:
    questions(tmp_path / "q.csv", 2)
    words = ["fill", "q.csv", SUMMARY, "--model", "offline/standin"]
    ended = seedbed(*words)
    assert ended.code == 2
    assert "--allow-stand-in" in ended.err
    assert seedbed(*words, "--allow-stand-in").code == 0
    assert all(row["summary"] for row in rows(tmp_path / "q.filled.csv"))


def test_off_a_terminal_spending_needs_a_yes_and_says_the_figures(
    seedbed: Command, sim: Simulator, tmp_path: Path
) -> None:
    questions(tmp_path / "q.csv", 3)
    ended = seedbed("fill", "q.csv", SUMMARY, "--base-url", sim.url, "--budget", "2usd")
    assert ended.code == 2
    assert "--yes" in ended.told[0]
    assert "3 items, openai/gpt-5-mini, $0.0" in ended.told[1]
    assert "cap $2.00" in ended.told[1]
    assert sim.summary()["requests"] == 0


def test_text_of_the_model_is_shown_and_not_obeyed(seedbed: Command, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("id,text\n1,[red]\x1b[31mQ1Z\x1b]0;own\x07\n", "utf-8")
    ended = seedbed("fill", "q.csv", SUMMARY, "--model", "offline/standin", "--dry-run")
    assert "[red]" in ended.out
    assert "\x1b" not in ended.out
    assert "\x07" not in ended.out


def test_what_was_rejected_is_asked_again_only_by_name(fill: Command, sim: Simulator, tmp_path: Path) -> None:
    sim.configure(faults=[{"fault": "wrong_shape", "match": "Q2Z", "times": None}])
    first = fill(SUMMARY)
    assert first.code == 0
    assert "4 accepted + 1 rejected" in first.out
    assert "--recover" in first.out.splitlines()[-1]
    sim.configure(faults=[])
    sim.reset()
    assert "Nothing is left to do." in fill(SUMMARY).out
    assert fill(SUMMARY, "--recover").code == 0
    assert list(sim.summary()["by_item"]) == ["Q2Z"]
    assert all(row["summary"] for row in rows(tmp_path / "questions.filled.csv"))


def test_another_prompt_redoes_only_what_is_asked_for_and_not_a_person_s_cells(
    fill: Command, sim: Simulator, tmp_path: Path
) -> None:
    fill(SUMMARY)
    path = tmp_path / "questions.filled.csv"
    first = rows(path)
    path.write_text(path.read_text("utf-8").replace(first[1]["summary"], "by hand"), "utf-8")
    other = ["--prompt", "In other words, and in verse: {{ question }}"]
    assert "Nothing is left to do." in fill(SUMMARY, *other).out
    assert fill(SUMMARY, *other, "--stale").code == 0
    second = rows(path)
    assert second[1]["summary"] == "by hand"
    assert all(a["summary"] != b["summary"] for a, b in zip(first, second, strict=True))
    assert sim.summary()["requests"] == 9


def test_columns_of_another_filling_are_no_inputs_unless_the_prompt_names_them(fill: Command) -> None:
    fill(TOPIC)
    assert "topic" not in fill(SUMMARY, "--dry-run", "--json").json()["previews"][0]["request"]
    named = fill("title: short", "--prompt", "{{ question }} is of {{ topic }}", "--dry-run", "--json").json()
    assert "is of algebra" in named["previews"][0]["request"] or "is of geometry" in named["previews"][0]["request"]


def test_answers_of_the_stand_in_count_as_missing_for_a_real_model(
    seedbed: Command, sim: Simulator, tmp_path: Path
) -> None:
    questions(tmp_path / "q.csv", 2)
    kept = seedbed("fill", "q.csv", SUMMARY, "--model", "offline/standin", "--no-upload")
    assert kept.code == 0
    assert "--no-upload" in kept.out.splitlines()[-1]
    assert not (tmp_path / "q.filled.csv").exists()
    assert seedbed("fill", "q.csv", SUMMARY, "--base-url", sim.url, "--yes").code == 0
    assert sim.summary()["requests"] == 2


def test_keys_may_come_from_a_pipe(
    seedbed: Command, sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions(tmp_path / "q.csv", 5)
    monkeypatch.setattr("sys.stdin", io.StringIO("2\n\n4\n"))
    words = ["fill", "q.csv", SUMMARY, "--key", "id", "--base-url", sim.url, "--yes", "--ids", "-"]
    assert seedbed(*words).code == 0
    assert {entry["item"] for entry in sim.ledger()} == {"Q2Z", "Q4Z"}


def test_a_parquet_file_is_filled_beside_it_and_in_place(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = pa.table({"id": [1, 2, 3], "question": [f"What is Q{n}Z?" for n in (1, 2, 3)], "year": [None, 5, None]})
    pq.write_table(source.cast(pa.schema([("id", pa.int64()), ("question", "string"), ("year", "int16")])), "q.parquet")
    before = Path("q.parquet").read_bytes()
    words = ("fill", "q.parquet", SUMMARY, "year (int): when", "--key", "id", "--base-url", sim.url, "--yes")

    ended = seedbed(*words)
    assert ended.code == 0, ended.err
    result = pq.read_table("q.filled.parquet")
    assert [str(kind) for kind in result.schema.types] == ["int64", "string", "int16", "string"]
    assert all(result.column("summary").to_pylist())
    assert result.column("year").to_pylist()[1] == 5
    assert Path("q.parquet").read_bytes() == before

    ended = seedbed(*words, "--in-place")
    assert ended.code == 0, ended.err
    assert sim.summary()["requests"] == 3
    assert pq.read_table("q.parquet").equals(result)
    (backup,) = Path(".seedbed/backups").iterdir()
    assert backup.read_bytes() == before


def test_rows_that_cannot_be_read_are_named_and_left(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    data = b"id,question\n1,What is Q1Z?\n2,What is Q2Z, or so?\n"
    Path("q.csv").write_bytes(data)
    words = ("fill", "q.csv", SUMMARY, "--key", "id", "--base-url", sim.url, "--yes")
    for more in (["--dry-run"], []):
        ended = seedbed(*words, *more)
        assert ended.code == 0, ended.err
        assert "q.csv: 1 rows cannot be read as rows of it" in ended.out
        assert "line 3: it has 3 cells, the header 2" in ended.out
    assert seedbed(*words, "--json").json()["wrong_rows"]["rows"] == [[3, "it has 3 cells, the header 2"]]
    assert sim.summary()["requests"] == 1
    assert Path("q.filled.csv").read_bytes().endswith(b"\n2,What is Q2Z, or so?\n")


def test_what_a_spreadsheet_would_run_is_written_inert(seedbed: Command, sim: Simulator, tmp_path: Path) -> None:
    Path("q.csv").write_text("id,question\n1,What is Q1Z?\n")
    words = ("fill", "q.csv", "summary: one of =1+1, @x", "--key", "id", "--base-url", sim.url, "--yes")
    assert seedbed(*words, "--spreadsheet-safe").code == 0
    safe = Path("q.filled.csv").read_text()
    assert safe.endswith(("?,'=1+1\n", "?,'@x\n"))
    assert seedbed(*words).code == 0
    assert Path("q.filled.csv").read_text() == safe.replace("'", "")
    Path("q.jsonl").write_text('{"question": "What is Q1Z?"}\n')
    refused = seedbed("fill", "q.jsonl", SUMMARY, "--base-url", sim.url, "--yes", "--spreadsheet-safe")
    assert (refused.code, sim.summary()["requests"]) == (2, 1)
    assert "for CSV results" in refused.told[0]
