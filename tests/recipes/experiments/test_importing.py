"""Each rule of the import, seen in an archive that has a row for it."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from seedbed import errors
from seedbed.recipes.experiments.identity import document_id, logical_key
from seedbed.recipes.experiments.importing import ImportReport
from tests.recipes.experiments.trees import EXPECTED, FILES, RUN, TABLES, TEXTS, Tree, constructed, fingerprints

HASHED = set("0123456789abcdefghijklmnopqrstuvwxyz")
WRITTEN = ("data/docs", "data/db", f"{TABLES}/bad_generations.csv")


def counters(report: ImportReport) -> dict[str, int]:
    return {name: getattr(report, name) for name in EXPECTED}


@pytest.fixture
def whole(tmp_path: Path) -> Tree:
    """The constructed archive, imported."""
    tree = constructed(tmp_path / "archive")
    tree.take()
    return tree


def reasons(tree: Tree) -> dict[str, str]:
    return {row["task_id"]: row["reason"] for row in tree.bad()}


# -------------------------------------------------------------------------------------- the counts


def test_the_constructed_archive_comes_to_its_expected_counts(tmp_path: Path) -> None:
    """(003.28)"""
    report = constructed(tmp_path).take()
    assert counters(report) == EXPECTED
    taken = report.draft_ok + report.essay_parent_resolved + report.eval_resolved
    assert report.rows_read == taken + report.repaired + report.set_aside + report.bad_generations
    assert report.bad_generations == sum(sum(each.values()) for each in report.reasons.values())
    assert report.rows_read == sum(count or 0 for count in report.tables.values())


def test_a_dry_run_writes_nothing_and_says_what_the_run_will(tmp_path: Path) -> None:
    """(003.33) Evaluations too, though the essays that they name are not in any index yet."""
    tree = constructed(tmp_path)
    before = fingerprints(tmp_path)
    foreseen = tree.take(dry_run=True)
    assert fingerprints(tmp_path) == before
    assert not tree.docs.exists() and not tree.index.parent.exists()
    done = tree.take()
    assert counters(foreseen) == counters(done)
    assert (foreseen.reasons, foreseen.links, foreseen.findings) == (done.reasons, done.links, done.findings)


def test_a_dry_run_beside_an_index_leaves_no_file_there(whole: Tree) -> None:
    before = fingerprints(whole.root)
    assert counters(whole.take(dry_run=True)) == EXPECTED
    assert fingerprints(whole.root) == before


def test_inputs_are_not_written(tmp_path: Path) -> None:
    """(003.03)"""
    tree = constructed(tmp_path)
    before = fingerprints(tmp_path)
    tree.take()
    assert fingerprints(tmp_path, but=WRITTEN) == before


def test_tables_that_are_not_needed_change_nothing(tmp_path: Path) -> None:
    """(003.01)"""
    bare, full = constructed(tmp_path / "bare"), constructed(tmp_path / "full")
    for name in ("generation_results.csv", "parsed_scores.csv", "evaluation_scores_by_template_model.csv"):
        full.file(f"{TABLES}/{name}", "document,score\nd-old,7\n")
    full.file("data/2_tasks/essay_generation_tasks.csv", "essay_task_id,draft_task_id\ne-latest,d-old\n")
    assert counters(bare.take()) == counters(full.take())
    assert bare.dump() == full.dump()
    assert fingerprints(bare.docs) == fingerprints(full.docs)


def test_a_table_that_is_not_there_is_said_and_the_others_are_taken(tree: Tree) -> None:
    tree.put("draft", "d")
    report = tree.write().take()
    assert report.tables == {
        FILES["draft"]: 1, FILES["link"]: None, FILES["essay"]: None, FILES["evaluation"]: None,
    }  # fmt: skip
    assert report.draft_ok == 1


# --------------------------------------------------------------------------------- names and texts


def test_texts_are_found_by_the_column_that_names_their_file(tree: Tree) -> None:
    """(003.02) A file that was renamed without its row is missing, though it lies in the same folder."""
    tree.put("draft", "d")
    tree.write()
    (tree.root / TEXTS / "draft_responses/draft-0000.txt").rename(tree.root / TEXTS / "draft_responses/d.txt")
    report = tree.take()
    assert (report.draft_ok, report.draft_missing_response) == (0, 1)
    assert reasons(tree) == {"d": "missing_response_file"}


def test_file_names_mean_nothing(tmp_path: Path) -> None:
    """(003.05) All answers renamed at random, the tables with them: the same documents."""
    plain, renamed = constructed(tmp_path / "plain"), constructed(tmp_path / "renamed")
    chance = random.Random(3)
    for rows in renamed.rows.values():
        for row in rows:
            column = "eval_response_file" if "eval_response_file" in row else "response_file"
            there = renamed.root / TEXTS / row[column]
            row[column] = f"{row[column].split('/')[0]}/{chance.randbytes(6).hex()}__x_v9.dat"
            if there.exists():
                there.rename(renamed.root / TEXTS / row[column])
    renamed.write()
    assert counters(plain.take()) == counters(renamed.take())
    look = "select doc_id, logical_key_id, stage, task_id, parent_doc_id, content_hash from documents order by doc_id"
    assert plain.ask(look) == renamed.ask(look)


def test_task_ids_stand_as_they_were_written(tree: Tree) -> None:
    """(003.04)"""
    odd = [
        "  two  blanks ",
        "slash/../../and\\back",
        "a__b__c",
        "ünïcode ☃",
        "CASE",
        "case",
        "\u00e9",
        "e\u0301",
        "x" * 300,
    ]
    for name in odd:
        tree.put("draft", name, combo=f"combo of {name}")
    assert tree.write().take().draft_ok == len(odd)
    assert sorted(tree.ask("select task_id from documents")) == sorted(odd)


def test_hostile_names_become_no_paths(tree: Tree) -> None:
    """Names of 300 bytes, with NUL, with ``..``, twins by case and by Unicode form: folders are made of hashes."""
    names = ["../../../tmp/x", "nul\0byte", "n" * 300, "Twin", "twin", "\u00e9", "e\u0301", "/", ".", "con"]
    for name in names:
        tree.put("draft", name, combo=name.strip() or "c", template=f"t{name}", model=f"m{name}")
    report = tree.write().take()
    assert report.draft_ok == len(names)
    folders = [path.relative_to(tree.docs) for path in tree.docs.rglob("raw.txt")]
    assert len(folders) == len(names)
    assert all(len(path.parts) == 4 and path.parts[0] == "draft" for path in folders)
    assert all(set(part) <= HASHED for path in folders for part in path.parts[1:3])
    again = tree.take()
    assert (again.new, again.already) == (0, len(names))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../secret.txt", "not a file below"),
        ("draft_responses/../../secret.txt", "not a file below"),
        ("/etc/hostname", "no such file"),
        ("nul\0.txt", "NUL"),
        ("n" * 300, "name too long"),
        ("draft_responses", "not a file"),
        ("pipe", "not a file"),
        ("", "names no file"),
    ],
)
def test_a_name_that_leads_elsewhere_is_a_missing_text(tree: Tree, name: str, told: str) -> None:
    """(003.08) And nothing waits for a pipe."""
    tree.put("draft", "fine")
    tree.put("draft", "d", file=name, text=None)
    tree.write()
    tree.file("data/secret.txt", "secret")
    os.mkfifo(tree.root / TEXTS / "pipe")
    report = tree.take()
    assert (report.draft_ok, report.draft_missing_response) == (1, 1)
    assert told in report.bad[0]


def test_a_row_without_a_text_has_no_document_at_any_stage(whole: Tree) -> None:
    """(003.08, 003.09)"""
    lost = ["d-lost", "d-only-lost", "l-unreadable", "e-lost", "v-lost"]
    assert {name: reason for name, reason in reasons(whole).items() if name in lost} == dict.fromkeys(
        lost, "missing_response_file"
    )
    listed = ", ".join("?" for _ in lost)
    assert whole.ask(f"select count(*) from documents where task_id in ({listed})", *lost) == [0]
    assert len(list(whole.docs.rglob("raw.txt"))) == whole.ask("select count(*) from documents")[0]


def test_evaluations_are_found_in_either_folder(tree: Tree) -> None:
    tree.put("draft", "d")
    tree.put("evaluation", "v", generation="d", text=None, file="evaluation_responses/v.txt")
    tree.write().file("data/4_evaluation/evaluation_responses/v.txt", "SCORE: 3")
    assert tree.take().eval_resolved == 1


def test_a_text_is_kept_byte_for_byte(tree: Tree) -> None:
    """(003.19)"""
    texts = {"crlf": b"one\r\ntwo\r\n", "bom": b"\xef\xbb\xbfone\n", "none": b"", "bare": b"no end", "nul": b"a\0b"}
    for name, text in texts.items():
        tree.put("draft", name, combo=name, text=None)
        tree.file(f"{TEXTS}/draft_responses/draft-{len(tree.rows['draft']) - 1:04}.txt", text)
    assert tree.write().take().findings == {"empty_text": 1}
    for name, text in texts.items():
        folder = tree.docs / tree.document(name)["doc_dir"]
        assert (folder / "raw.txt").read_bytes() == text
        assert (folder / "parsed.txt").read_bytes() == text
        assert tree.document(name)["raw_chars"] == len(text.decode())


# -------------------------------------------------------------------------------------- parents


def test_the_latest_draft_not_later_than_the_essay_is_its_parent(whole: Tree) -> None:
    """(003.10) Of three; a link that stands at the same time as the essay counts too."""
    assert whole.parent("e-latest") == "d-new"
    assert whole.parent("e-same-time") == "d-new"


def test_on_equal_times_the_draft_table_wins(whole: Tree) -> None:
    """(003.11, 003.12) The times are written in three ways."""
    assert whole.parent("e-tie") == "d-tie"


def test_of_two_at_one_time_in_one_table_the_first_wins(tree: Tree) -> None:
    for name in ("first", "second"):
        tree.put("draft", name)
    tree.put("essay", "e")
    tree.write().take()
    assert tree.parent("e") == "first"


def test_a_later_link_beats_an_earlier_draft(tree: Tree) -> None:
    tree.put("draft", "d", at="2025-08-01T09:00:00")
    tree.put("link", "l", at="2025-08-01T09:00:00.5")
    tree.put("essay", "e", at="2025-08-01T10:00:00")
    tree.write().take()
    assert tree.parent("e") == "l"


def test_times_in_zones_are_compared_as_times(tree: Tree) -> None:
    """(003.12) As text, each of these would come out the other way."""
    tree.put("draft", "early", at="2025-08-01T23:30:00+14:00")
    tree.put("draft", "late", at="2025-08-01T09:59:59.999999Z")
    tree.put("essay", "e", at="2025-08-01T10:00:00")
    tree.write().take()
    assert tree.parent("e") == "late"


def test_an_essay_of_a_link_is_resolved_and_links_are_drafts(whole: Tree) -> None:
    """(003.06, 003.07)"""
    assert whole.parent("e-link") == "l-only"
    assert sorted(whole.ask("select distinct stage from documents")) == ["draft", "essay", "evaluation"]
    assert whole.document("l-only")["stage"] == "draft"


def test_an_essay_without_a_parent_is_listed_and_not_taken(whole: Tree) -> None:
    """(003.13) Also where the only draft has no text, did not succeed, or is another model's."""
    lone = ["e-too-early", "e-parent-lost", "e-parent-failed", "e-no-such-model"]
    assert {name: reasons(whole)[name] for name in lone} == dict.fromkeys(lone, "unresolved_parent")
    assert whole.ask("select count(*) from documents where stage = 'essay'") == [4]


def test_an_evaluation_has_its_essay_first_and_else_the_draft_that_it_names(whole: Tree) -> None:
    """(003.15)"""
    found = {name: whole.parent(name) for name in whole.ask("select task_id from documents where stage = 'evaluation'")}
    assert found == {
        "v-essay": "e-latest", "v-draft": "d-old", "v-link": "l-only", "v-both": "e-latest", "v-falls-through": "d-old",
    }  # fmt: skip
    assert (reasons(whole)["v-neither"], reasons(whole)["v-essay-not-taken"]) == ("unresolved_target",) * 2


def test_how_a_link_was_found_and_how_sure_it_is_stays_with_it(whole: Tree) -> None:
    look = "select task_id, found_by, certainty, candidates from document_links join documents using (doc_id)"
    links = {task: told for task, *told in whole.ask(look)}
    assert links["e-latest"] == ["combo_model_time", "ambiguous", 2]
    assert links["e-link"] == ["combo_model_time", "inferred", 1]
    assert links["v-falls-through"] == ["generation_task_id", "stated", 1]


def test_a_stored_prompt_confirms_a_link_or_contradicts_it(tree: Tree) -> None:
    for name, template in (("d-one", "t1"), ("d-two", "t2")):
        tree.put("draft", name, template=template, text=f"A draft of some length, namely {name}, that can be told.\n")
    tree.put("essay", "e-right", at="2025-08-01T11:00:00")
    tree.put("essay", "e-wrong", at="2025-08-01T11:00:00")
    tree.put("evaluation", "v", essay="e-right")
    tree.write()
    draft = (tree.root / TEXTS / "draft_responses/draft-0000.txt").read_text()
    other = (tree.root / TEXTS / "draft_responses/draft-0001.txt").read_text()
    tree.file(f"{TEXTS}/essay_prompts/essay-0000.txt", f"Write an essay.\r\n\r\n{draft}\r\nThank you.")
    tree.file(f"{TEXTS}/links_prompts/e-wrong.txt", f"Write an essay.\n\n{other}")
    report = tree.take()
    assert report.links == {"confirmed": 1, "contradicted": 1, "stated": 1}
    assert report.findings == {"parent_not_in_prompt": 1}
    assert tree.parent("e-wrong") == "d-one"  # the rule of the originals stands; the finding names the better one
    (message,) = tree.ask("select message from document_findings")
    assert tree.document("d-two")["doc_id"] in message
    assert tree.ask("select task_id from documents_broken_chains") == ["e-wrong"]


# -------------------------------------------------------------------------------------- the result


def test_the_table_is_that_of_the_original(whole: Tree) -> None:
    """(003.17)"""
    columns = {row[1] for row in whole.ask("pragma table_info(documents)")}
    assert {
        "doc_id", "logical_key_id", "stage", "task_id", "parent_doc_id", "template_id", "model_id", "run_id", "doc_dir",
        "raw_chars", "parsed_chars", "meta_small", "status", "created_at", "content_hash", "lineage_prev_doc_id",
    } <= columns  # fmt: skip
    assert whole.ask("pragma journal_mode") == ["wal"]


def test_each_document_has_its_folder_with_its_files(whole: Tree) -> None:
    """(003.18, 003.20)"""
    files = {str(path.relative_to(whole.docs)) for path in whole.docs.rglob("*") if path.is_file()}
    expected = set()
    for stage, logical, doc_id, task in whole.ask("select stage, logical_key_id, doc_id, task_id from documents"):
        names = ["raw.txt", "parsed.txt", "metadata.json", *(["prompt.txt"] if task == "l-only" else [])]
        expected |= {f"{stage}/{logical}/{doc_id}/{name}" for name in names}
    assert files == expected
    prompt = whole.docs / whole.document("l-only")["doc_dir"] / "prompt.txt"
    assert prompt.read_bytes() == b"Draft something about combo-link.\r\n"


def test_ids_are_made_by_the_rule_and_are_the_same_anywhere(whole: Tree, tmp_path: Path) -> None:
    """(003.16, 003.23)"""
    draft, essay = whole.document("d-new"), whole.document("e-latest")
    assert draft["logical_key_id"] == logical_key("draft", "combo-1", "draft-t2", "model-1")
    assert draft["doc_id"] == document_id(
        draft["logical_key_id"], RUN, "draft_generation_results.csv:1:2025-08-01T10:00:00Z"
    )
    assert essay["logical_key_id"] == logical_key("essay", draft["doc_id"], "essay-t1", "model-1")
    told = whole.document("v-essay")
    assert told["logical_key_id"] == logical_key("evaluation", essay["doc_id"], "evaluation-t1", "model-1")
    elsewhere = constructed(tmp_path / "another machine")
    elsewhere.take()
    assert elsewhere.ask("select doc_id from documents order by 1") == whole.ask(
        "select doc_id from documents order by 1"
    )


def test_metadata_keep_where_a_document_comes_from(whole: Tree) -> None:
    """(003.21)"""
    for doc_dir in whole.ask("select doc_dir from documents"):
        told = json.loads((whole.docs / doc_dir / "metadata.json").read_text("utf-8"))
        assert {
            "source_table", "row_index", "task_id", "response_file", "timestamp", "created_at", "raw_bytes",
            "raw_chars", "run_id", "content_hash", "parent",
        } <= set(told)  # fmt: skip
    essay = whole.document("e-tie")
    told = json.loads((whole.docs / essay["doc_dir"] / "metadata.json").read_text("utf-8"))
    assert (told["source_table"], told["row_index"]) == ("essay_generation_results.csv", 2)
    assert told["parent"] == {
        "doc_id": whole.document("d-tie")["doc_id"], "task_id": "d-tie", "found_by": "combo_model_time",
        "certainty": "ambiguous", "candidates": 2,
    }  # fmt: skip


def test_equal_drafts_are_both_taken_and_found(whole: Tree) -> None:
    (found,) = whole.ask("select task_id from document_findings join documents using (doc_id)")
    assert found == "d-twin"
    assert whole.ask("select documents, tasks from documents_duplicates") == [(2, 2)]


def test_a_size_that_the_table_tells_otherwise_is_a_finding(tree: Tree) -> None:
    tree.put("draft", "d", size="12", text="123456789012")
    tree.put("draft", "e", size="13", combo="c", text="abcdefghijkl")
    assert tree.write().take().findings == {"size_differs": 1}


# ----------------------------------------------------------------------------------------- again


def test_the_same_run_again_changes_nothing(whole: Tree) -> None:
    """(003.22, 003.26)"""
    files, rows = fingerprints(whole.root, but=("data/db",)), whole.dump()
    changed = whole.bad_list.stat().st_mtime_ns
    report = whole.take()
    assert counters(report) == EXPECTED
    assert (report.new, report.already) == (0, 17)
    assert fingerprints(whole.root, but=("data/db",)) == files
    assert whole.dump() == rows
    assert whole.bad_list.stat().st_mtime_ns == changed


def test_another_run_is_another_attempt_of_the_same_keys(whole: Tree) -> None:
    before = whole.ask("select distinct logical_key_id from documents where stage = 'draft' order by 1")
    assert whole.take(run="backfill-2").new == 17
    assert whole.ask("select distinct logical_key_id from documents where stage = 'draft' order by 1") == before
    assert whole.ask("select count(distinct doc_id), count(*) from documents") == [(34, 34)]
    assert len(whole.bad()) == 30
    assert whole.take(run="backfill-1").new == 0
    assert len(whole.bad()) == 30


def test_from_a_clean_slate_it_comes_to_the_same(whole: Tree) -> None:
    """(003.25)"""
    files, rows = fingerprints(whole.docs), whole.dump()
    shutil.rmtree(whole.docs)
    shutil.rmtree(whole.index.parent)
    whole.take()
    assert fingerprints(whole.docs) == files
    assert whole.dump() == rows


def test_rows_that_come_to_the_tables_later_are_added(whole: Tree) -> None:
    whole.put("draft", "d-lost-again", at="2025-08-01T10:59:00", template="draft-t9")
    whole.put("essay", "e-later", at="2025-08-03T10:00:00")
    whole.write()
    report = whole.take()
    assert (report.new, report.already) == (2, 17)
    assert whole.parent("e-latest") == "d-new"  # though the new draft would be the latest now


def test_a_text_that_comes_back_is_taken_and_its_row_leaves_the_list(whole: Tree) -> None:
    whole.file(f"{TEXTS}/draft_responses/draft-0003.txt", "Found in an old backup.")
    assert whole.take().new == 1
    assert "d-lost" not in reasons(whole)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("update documents set task_id = 'x'", "never changed"),
        ("delete from documents where stage = 'evaluation'", "never deleted"),
    ],
)
def test_rows_are_neither_changed_nor_deleted(whole: Tree, statement: str, told: str) -> None:
    """(003.24)"""
    with closing(sqlite3.connect(whole.index)) as db, pytest.raises(sqlite3.IntegrityError, match=told):
        db.execute(statement)


def test_the_tool_itself_changes_no_row(tmp_path: Path) -> None:
    """(003.24) A trigger of the test's own notes each change and each deletion in the index of documents."""
    tree = constructed(tmp_path)
    tree.take()
    with closing(sqlite3.connect(tree.index)) as db, db:
        db.execute("create table trace (what text)")
        for table in ("documents", "document_sources", "document_links", "document_findings", "logical_keys"):
            for verb in ("update", "delete"):
                db.execute(
                    f"create trigger trace_{verb}_{table} before {verb} on {table}"
                    f" begin insert into trace values ('{verb} {table}'); end"
                )
    tree.take()
    tree.take(run="another")
    assert tree.ask("select what from trace") == []


# ------------------------------------------------------------------------------------ the bad list


def test_the_bad_list_says_what_a_repair_needs(whole: Tree) -> None:
    """(003.26)"""
    (row,) = [row for row in whole.bad() if row["task_id"] == "e-no-such-model"]
    assert (row["source_csv"], row["row_index"], row["reason"]) == (
        "essay_generation_results.csv", "7", "unresolved_parent",
    )  # fmt: skip
    assert (row["combo_id"], row["template_id"], row["model_id"]) == ("combo-1", "essay-t1", "model-9")
    assert (row["timestamp"], row["response_file"]) == ("2025-08-02T10:00:00", "essay_responses/essay-0007.txt")
    assert row["detail"] and row["run_id"] == RUN


def test_a_list_of_the_archive_s_own_tool_is_kept_and_not_doubled(whole: Tree) -> None:
    whole.bad_list.write_text(
        "source_csv,reason,row_index,task_id,combo_id,template_id,model_id,response_file,timestamp\n"
        "draft_generation_results.csv,missing_response_file,3,d-lost,c,t,m,f,w\n"
        "an_older_table.csv,missing_response_file,0,gone,c,t,m,f,w\n"
    )
    whole.take()
    assert len(whole.bad()) == 16
    assert [row["task_id"] for row in whole.bad()].count("d-lost") == 1
    assert "gone" in reasons(whole)


def test_no_list_is_made_for_nothing(tree: Tree) -> None:
    tree.put("draft", "d")
    tree.write().take()
    assert not tree.bad_list.exists()


# ----------------------------------------------------------------------------- strict, and elsewhere


def test_strict_ends_at_the_first_bad_row_and_names_its_line(tmp_path: Path) -> None:
    """(003.34)"""
    tree = constructed(tmp_path)
    with pytest.raises(errors.QualityError) as raised:
        tree.take(strict=True)
    assert str(raised.value).startswith("draft_generation_results.csv:5: missing_response_file: ")
    assert raised.value.exit_code == 3
    assert tree.ask("select task_id from documents order by rowid") == ["d-old", "d-new", "d-late"]
    assert not tree.bad_list.exists()
    tree.file(f"{TEXTS}/draft_responses/draft-0003.txt", "mended")
    with pytest.raises(errors.QualityError, match=r"draft_generation_results.csv:8: "):
        tree.take(strict=True)


def test_the_result_may_lie_elsewhere(tmp_path: Path) -> None:
    tree = constructed(tmp_path / "archive")
    before = fingerprints(tree.root)
    report = tree.take(out=tmp_path / "result")
    assert fingerprints(tree.root) == before
    assert counters(report) == EXPECTED
    assert len(list((tmp_path / "result/data/docs").rglob("raw.txt"))) == 17
    assert Path(report.bad_list).is_relative_to(tmp_path / "result")


def test_packed_texts_lie_in_the_index(tmp_path: Path) -> None:
    tree = constructed(tmp_path)
    report = tree.take(pack=True)
    assert counters(report) == EXPECTED
    assert not tree.docs.exists()
    raw, prompt = tree.ask(
        "select raw, prompt from document_texts join documents using (doc_id) where task_id = 'l-only'"
    )[0]
    assert (raw, prompt) == (b"The text of link l-only.\n", b"Draft something about combo-link.\r\n")
    assert tree.take(pack=True).new == 0


# ------------------------------------------------------------------------------------ bad inputs


def write_table(tree: Tree, text: str | bytes) -> None:
    tree.file(f"{TABLES}/{FILES['draft']}", text)


HEAD = (
    "draft_task_id,combo_id,draft_template_id,generation_model,generation_status,generation_timestamp,response_file\n"
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("draft_task_id,combo_id\nd,c\n", "draft_generation_results.csv has no column 'draft_template_id'"),
        (HEAD.replace("combo_id", "draft_task_id") + "a\n", "has the column 'draft_task_id' twice"),
        (HEAD + 'd,"c\n', "draft_generation_results.csv:2 is no CSV"),
        (HEAD.encode() + b"\xff,c,t,m,success,2025-08-01,f\n", "is not UTF-8 text"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_clear_line(tree: Tree, text: str | bytes, told: str) -> None:
    write_table(tree, text)
    with pytest.raises(errors.SourceError) as raised:
        tree.take()
    assert told in raised.value.what and "\n" not in raised.value.what
    assert not tree.docs.exists()


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (",c,t,m,success,2025-08-01,f", "it has no task id"),
        ("d,,t,m,success,2025-08-01,f", "it has no combination"),
        ("d,c, ,m,success,2025-08-01,f", "it has no template"),
        ("d,c,t,,success,2025-08-01,f", "it has no model"),
        ("d,c,t,m,success,,f", "it has no time"),
        ("d,c,t,m,success,soon,f", "its time cannot be read: 'soon'"),
        ("d,c,t,m,failed,2025-08-01,f", "its status is 'failed', not 'success'"),
        ("d,c,t,m,success,2025-08-01", "the row has 6 cells, the head 7"),
        ("d,c,t,m,success,2025-08-01,f,g", "the row has 8 cells, the head 7"),
    ],
)
def test_a_row_that_cannot_be_taken_is_invalid_with_its_reason(tree: Tree, cells: str, told: str) -> None:
    write_table(tree, f"{HEAD}\n{cells}\n")
    report = tree.take()
    assert report.bad == (f"{FILES['draft']}:3: invalid_row: {told}",)
    assert (report.rows_read, report.bad_generations) == (1, 1)


def test_a_status_may_be_written_in_capitals_and_a_table_may_begin_with_a_mark(tree: Tree) -> None:
    write_table(tree, f"\ufeff{HEAD}d,c,t,m,SUCCESS,2025-08-01,f.txt\r\n")
    tree.file(f"{TEXTS}/f.txt", "text")
    assert tree.take().draft_ok == 1


def test_two_lists_of_names_with_one_hash_are_told_apart(tree: Tree) -> None:
    """The rule puts a bar behind each part, so that a bar within a name can make two keys one."""
    tree.put("draft", "one", combo="a|b", template="c")
    tree.put("draft", "other", combo="a", template="b|c")
    report = tree.write().take()
    assert report.draft_ok == 1
    assert reasons(tree) == {"other": "id_collision"}
    assert counters(tree.take(run="again")) == counters(report)


def test_a_database_of_something_else_is_not_written_into(tree: Tree) -> None:
    tree.put("draft", "d")
    tree.write().file("data/db/documents.sqlite", "this is no database at all, but a text of some length" * 20)
    with pytest.raises(errors.SourceError, match="is no index of documents"):
        tree.take()


@pytest.mark.parametrize("run", ["", "  ", "a\nb", "x" * 201])
def test_a_run_needs_a_name(tree: Tree, run: str) -> None:
    tree.put("draft", "d")
    with pytest.raises(errors.UsageError, match="cannot name a run"):
        tree.write().take(run=run)


def test_a_folder_without_tables_is_said(tmp_path: Path) -> None:
    with pytest.raises(errors.SourceError, match="is no archive of experiments"):
        Tree(tmp_path).take()
    (tmp_path / TABLES).mkdir(parents=True)
    with pytest.raises(errors.SourceError, match="there is no table in"):
        Tree(tmp_path).take()


def test_the_folder_of_the_data_may_be_named_itself(whole: Tree) -> None:
    assert Tree(whole.root / "data").take().already == 17


def test_a_field_beyond_what_a_table_may_hold_is_one_line(tree: Tree) -> None:
    write_table(tree, f"{HEAD}{'x' * (csv.field_size_limit() + 1)},c,t,m,success,2025-08-01,f\n")
    with pytest.raises(errors.SourceError, match=r"draft_generation_results.csv:2 is no CSV: field larger"):
        tree.take()
