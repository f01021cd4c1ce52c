"""The second pass: rows leave the list by a heuristic or by a person's word, and it is recorded by which."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from seedbed import errors
from seedbed.recipes.experiments.identity import logical_key
from seedbed.recipes.experiments.repairing import RepairReport, repair_bad
from tests.recipes.experiments.trees import FILES, RUN, TEXTS, Tree, constructed, fingerprints


def repair(tree: Tree, *decisions: dict[str, str], **more: Any) -> RepairReport:
    file = None
    if decisions:
        file = tree.root / "decisions.csv"
        with file.open("w", encoding="utf-8", newline="") as opened:
            head = ["source_csv", "row_index", "task_id", "decision", "value", "note"]
            writer = csv.DictWriter(opened, head, restval="")
            writer.writeheader()
            writer.writerows(decisions)
    return repair_bad(tree.root, decisions=file, **more)


def said(kind: str, task: str, decision: str, value: str = "", note: str = "") -> dict[str, str]:
    return {"source_csv": FILES[kind], "task_id": task, "decision": decision, "value": value, "note": note}


def link(tree: Tree, task: str) -> tuple[str, str]:
    (found,) = tree.ask(
        "select found_by, certainty from document_links join documents using (doc_id) where task_id = ?", task
    )
    return found[0], found[1]


def listed(tree: Tree) -> list[str]:
    return [row["task_id"] for row in tree.bad()]


# ------------------------------------------------------------------------------------- heuristics


def test_a_model_under_another_name_is_found_where_there_is_one_draft(tree: Tree) -> None:
    """(003.27)"""
    tree.put("draft", "d", model="google/gemini-2.5-flash")
    tree.put("essay", "e", model="gemini_2.5_flash", at="2025-08-01T11:00:00")
    tree.write().take()
    assert listed(tree) == ["e"]
    report = repair(tree)
    assert (report.listed, report.taken, report.left, report.rules) == (1, 1, 0, {"model_name": 1})
    assert tree.parent("e") == "d"
    assert link(tree, "e") == ("heuristic:model_name", "guessed")
    assert tree.ask("select origin, rule, decision, reason from repairs") == [
        ("heuristic", "model_name", "taken", "unresolved_parent")
    ]
    assert listed(tree) == []


def test_what_two_drafts_could_answer_is_left(tree: Tree) -> None:
    for name in ("google/gemini-2.5", "gemini.2.5"):
        tree.put("draft", name, model=name)
    tree.put("essay", "e", model="gemini_2_5", at="2025-08-01T11:00:00")
    tree.write().take()
    report = repair(tree)
    assert (report.taken, report.left) == (0, 1)
    assert listed(tree) == ["e"]


def test_the_draft_whose_text_stands_in_the_prompt_is_the_parent(tree: Tree) -> None:
    for name in ("one", "two"):
        tree.put("draft", name, model=name, text=f"A draft that is long enough to be told apart: {name}.")
    tree.put("essay", "e", model="three", at="2025-08-01T11:00:00")
    tree.write().file(
        f"{TEXTS}/essay_prompts/essay-0000.txt", "Do.\n\nA draft that is long  enough\nto be told apart: two.\n"
    )
    tree.take()
    assert repair(tree).rules == {"prompt": 1}
    assert tree.parent("e") == "two"


def test_an_only_draft_that_seems_later_is_taken_as_the_times_are_those_of_the_tables(tree: Tree) -> None:
    tree.put("draft", "d", at="2025-08-01T12:00:00")
    tree.put("essay", "e", at="2025-08-01T11:00:00")
    tree.write().take()
    assert repair(tree).rules == {"later": 1}


def test_a_text_is_found_under_another_spelling_of_its_name(tree: Tree) -> None:
    tree.put("draft", "prefixed", combo="a", file="data/3_generation/draft_responses/a.txt", text=None)
    tree.put("draft", "capitals", combo="b", file="draft_responses/B.TXT", text=None)
    tree.put("draft", "form", combo="c", file="draft_responses/e\u0301.txt", text=None)
    tree.put("draft", "gone", combo="d", file="draft_responses/d.txt", text=None)
    tree.put("draft", "outside", combo="e", file="../../x.txt", text=None)
    tree.write()
    for name in ("a.txt", "b.txt", "\u00e9.txt"):
        tree.file(f"{TEXTS}/draft_responses/{name}", name)
    tree.take()
    report = repair(tree)
    assert report.rules == {"file_name": 3}
    assert listed(tree) == ["gone", "outside"]
    assert tree.ask("select response_file from document_sources order by 1")[0] == "draft_responses/a.txt"


def test_a_target_is_found_whose_name_is_written_otherwise(tree: Tree) -> None:
    tree.put("draft", "Draft  One")
    tree.put("evaluation", "v", generation="draft one")
    tree.write().take()
    assert repair(tree).rules == {"task_name": 1}
    assert link(tree, "v") == ("heuristic:task_name", "guessed")


def test_what_hangs_on_a_repaired_row_follows_it_in_the_same_pass(tree: Tree) -> None:
    tree.put("draft", "d", model="a/m")
    tree.put("essay", "e", model="m", at="2025-08-01T11:00:00")
    tree.put("evaluation", "v", essay="e")
    tree.write().take()
    assert listed(tree) == ["e", "v"]
    assert repair(tree).rules == {"join": 1, "model_name": 1}
    assert (tree.parent("e"), tree.parent("v")) == ("d", "e")


def test_a_row_that_is_invalid_is_not_guessed_at(tree: Tree) -> None:
    tree.put("draft", "d", status="error")
    tree.write().take()
    assert repair(tree).left == 1


# ------------------------------------------------------------------------------------ a person's word


def test_an_essay_taken_without_a_parent_has_the_key_of_its_combination(tmp_path: Path) -> None:
    """(003.14, 003.27)"""
    ids = []
    for place in ("here", "on another machine"):
        tree = constructed(tmp_path / place)
        tree.take()
        report = repair(tree, said("essay", "e-too-early", "parentless", note="the draft is lost"))
        assert (report.taken, report.left) == (1, 14)
        essay = tree.document("e-too-early")
        assert essay["logical_key_id"] == logical_key("essay", "combo-1", "essay-t1", "model-1")
        assert essay["parent_doc_id"] is None
        assert link(tree, "e-too-early") == ("person", "none")
        assert tree.ask("select origin, rule, note from repairs") == [("person", "parentless", "the draft is lost")]
        assert "e-too-early" not in listed(tree)
        assert (tree.docs / essay["doc_dir"] / "raw.txt").is_file()
        ids.append(essay["doc_id"])
    assert len(set(ids)) == 1


def test_a_person_names_a_parent_a_file_or_sets_aside(tmp_path: Path) -> None:
    """(003.27)"""
    tree = constructed(tmp_path)
    tree.take()
    tree.file(f"{TEXTS}/draft_responses/found.txt", "found again")
    report = repair(
        tree,
        said("essay", "e-no-such-model", "parent", "d-other-model"),
        said("draft", "d-lost", "file", "draft_responses/found.txt"),
        said("draft", "d-failed", "set_aside", note="it failed, and nobody misses it"),
        said("evaluation", "v-neither", "parent", tree.document("e-tie")["doc_id"]),
        said("evaluation", "v-lost", ""),
    )
    assert (report.taken, report.set_aside, report.left) == (3, 1, 11)
    assert (tree.parent("e-no-such-model"), tree.parent("v-neither")) == ("d-other-model", "e-tie")
    assert link(tree, "e-no-such-model") == ("person", "decided")
    assert tree.document("d-lost")["raw_chars"] == len("found again")


def test_after_a_repair_the_import_adds_nothing_and_its_books_balance(tmp_path: Path) -> None:
    """(003.22, 003.28) Rows that were repaired or set aside are counted apart, and an evaluation finds its essay."""
    tree = constructed(tmp_path)
    tree.take()
    repair(tree, said("essay", "e-too-early", "parentless"), said("draft", "d-failed", "set_aside"))
    report = tree.take()
    assert (report.repaired, report.set_aside, report.bad_generations) == (1, 1, 12)
    assert tree.parent("v-essay-not-taken") == "e-too-early"
    again = tree.take()
    assert (again.new, again.already, again.bad_generations) == (0, 19, 12)


def test_a_repair_given_twice_is_done_once(tmp_path: Path) -> None:
    tree = constructed(tmp_path)
    tree.take()
    decisions = [said("essay", "e-too-early", "parentless"), said("draft", "d-failed", "set_aside")]
    repair(tree, *decisions)
    files, rows = fingerprints(tree.root, but=("data/db",)), tree.dump()
    assert (again := repair(tree, *decisions)).taken == 0 and again.left == 13
    assert fingerprints(tree.root, but=("data/db",)) == files
    assert tree.dump() == rows


def test_a_row_that_was_taken_before_a_kill_leaves_the_list(tmp_path: Path) -> None:
    tree = constructed(tmp_path)
    tree.take()
    before = tree.bad_list.read_bytes()
    repair(tree, said("essay", "e-too-early", "parentless"))
    tree.bad_list.write_bytes(before)  # as after a kill between the index and the list
    assert repair(tree, said("essay", "e-too-early", "parentless")).left == 14
    assert "e-too-early" not in listed(tree)


def test_a_dry_run_says_what_would_be_and_changes_nothing(tmp_path: Path) -> None:
    tree = constructed(tmp_path)
    tree.take()
    before = fingerprints(tmp_path)
    foreseen = repair_bad(tmp_path, dry_run=True)
    assert fingerprints(tmp_path) == before
    assert repair_bad(tmp_path).rules == foreseen.rules


@pytest.mark.parametrize(
    ("decision", "told"),
    [
        (said("essay", "e-too-early", "perhaps"), "decisions.csv:3: there is no decision 'perhaps'"),
        (said("essay", "e-latest-of-all", "parentless"), "row e-latest-of-all is not on the bad list"),
        (said("essay", "e-too-early", "parent", "nobody"), "there is no document 'nobody'"),
        (said("essay", "e-too-early", "parent", "e-latest"), "there is no document 'e-latest'"),
        (said("evaluation", "v-neither", "parentless"), "only an essay can be taken without a parent"),
        (said("draft", "d-lost", "file", "nowhere.txt"), "nowhere.txt: no such file"),
        (said("draft", "d-lost", "file", "../../../x"), "not a file below"),
        (said("draft", "d-lost", "parent", "d-old"), "no such file"),
        (said("draft", "d-failed", "file", "x"), "it can only be set aside"),
        (said("evaluation", "v-neither", "file", "evaluation_responses/evaluation-0006.txt"), "say `parent`"),
    ],
)
def test_a_decision_that_cannot_be_carried_out_changes_nothing(
    tmp_path: Path, decision: dict[str, str], told: str
) -> None:
    tree = constructed(tmp_path)
    tree.take()
    rows, bad = tree.dump(), tree.bad_list.read_bytes()
    with pytest.raises(errors.UsageError) as raised:
        repair(tree, said("draft", "d-only-lost", "set_aside"), decision)
    assert told in str(raised.value)
    assert (tree.dump(), tree.bad_list.read_bytes()) == (rows, bad)


def test_without_an_index_nothing_is_repaired_and_none_is_made(tmp_path: Path) -> None:
    constructed(tmp_path)
    with pytest.raises(errors.SourceError, match="there is no index"):
        repair_bad(tmp_path)
    assert not (tmp_path / "data/db").exists()


def test_a_list_without_rows_is_said(tree: Tree) -> None:
    tree.put("draft", "d")
    tree.write().take()
    with pytest.raises(errors.EmptySelection, match="lists no bad row"):
        repair_bad(tree.root)


def test_a_list_of_several_runs_needs_the_name_of_one(tmp_path: Path) -> None:
    tree = constructed(tmp_path)
    tree.take()
    tree.take(run="backfill-2")
    with pytest.raises(errors.UsageError, match="several runs"):
        repair_bad(tmp_path)
    assert repair_bad(tmp_path, RUN).run_id == RUN
    assert len([row for row in tree.bad() if row["run_id"] == "backfill-2"]) == 15


def test_packed_documents_are_repaired_into_the_index(tmp_path: Path) -> None:
    tree = constructed(tmp_path)
    tree.take(pack=True)
    repair(tree, said("essay", "e-too-early", "parentless"))
    assert not tree.docs.exists()
    assert tree.ask("select count(*) from document_texts") == tree.ask("select count(*) from documents")
