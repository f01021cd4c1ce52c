"""Reading from the index alone, and what the reports say of it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from seedbed import errors
from seedbed.recipes.experiments.looking import REPORTS, consistency, report, scores
from seedbed.recipes.experiments.reading import Documents
from seedbed.recipes.experiments.scores import scored
from seedbed.recipes.experiments.writing import write_documents
from tests.recipes.experiments.trees import TABLES, TEXTS, Tree, constructed, fingerprints


@pytest.fixture(params=[False, True], ids=["folders", "packed"])
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    """The constructed archive, imported; the tables and texts that it came from are gone."""
    tree = constructed(tmp_path / "archive")
    tree.take(pack=request.param)
    for folder in (TABLES, TEXTS):
        shutil.rmtree(tree.root / folder)
    return tree


@pytest.fixture
def documents(whole: Tree) -> Iterator[Documents]:
    with Documents(whole.index) as opened:
        yield opened


# ----------------------------------------------------------------------------------------- reading


def test_texts_prompts_and_metadata_are_read_without_the_archive(documents: Documents) -> None:
    """(003.31)"""
    link = documents.latest_of_task("draft", "l-only")
    assert link is not None
    assert documents.raw(link) == b"The text of link l-only.\n"
    assert documents.parsed(link) == "The text of link l-only.\n"
    assert documents.prompt(link) == "Draft something about combo-link.\r\n"
    assert documents.metadata(link)["task_id"] == "l-only"
    draft = documents.latest_of_task("draft", "d-old")
    assert draft is not None and documents.prompt(draft) is None


def test_a_parent_is_the_one_that_was_pinned_not_the_latest(documents: Documents) -> None:
    evaluation = documents.latest_of_task("evaluation", "v-draft")
    assert evaluation is not None
    parent = documents.parent(evaluation)
    assert parent is not None and parent.task_id == "d-old"
    newer = documents.latest(parent.logical_key_id)
    assert newer is not None and newer.task_id == "d-late"
    assert "v-draft" in {child.task_id for child in documents.children(parent)}
    assert documents.parent(parent) is None


def test_the_latest_good_attempt_is_the_later_one(documents: Documents) -> None:
    """(003.29)"""
    (row,) = [row for row in REPORTS["latest"].rows(documents) if row["task_id"] == "d-late"]
    assert row["attempts"] == 2
    assert "d-old" not in {row["task_id"] for row in REPORTS["latest"].rows(documents)}


def test_at_one_time_the_attempt_that_was_added_last_is_the_latest(tree: Tree) -> None:
    for name in ("first", "second"):
        tree.put("draft", name)
    tree.write().take()
    assert tree.ask("select task_id from documents_latest") == ["second"]


def test_a_parent_that_is_gone_is_an_error_not_another_parent(tmp_path: Path) -> None:
    tree = constructed(tmp_path)
    tree.take()
    with closing(sqlite3.connect(tree.index)) as db, db:
        db.execute("drop trigger imported_documents_are_kept")
        db.execute("delete from documents where task_id = 'd-old'")
    with Documents(tree.index) as documents:
        evaluation = documents.latest_of_task("evaluation", "v-draft")
        assert evaluation is not None
        with pytest.raises(errors.Drift, match="is not in the index"):
            documents.parent(evaluation)
        assert [row["task_id"] for row in REPORTS["chains"].rows(documents)] == ["v-draft", "v-falls-through"]


def test_an_index_that_was_moved_with_its_folders_is_read_there(tmp_path: Path) -> None:
    constructed(tmp_path / "here").take()
    shutil.move(tmp_path / "here/data", tmp_path / "there")
    with Documents(tmp_path / "there/db/documents.sqlite") as documents:
        found = documents.latest_of_task("draft", "d-old")
        assert found is not None and documents.raw(found) == b"The text of draft d-old.\n"


def test_a_text_that_is_gone_is_said_with_its_name(tmp_path: Path) -> None:
    tree = constructed(tmp_path)
    tree.take()
    shutil.rmtree(tree.docs)
    with Documents(tree.index) as documents, pytest.raises(errors.Drift, match=r"raw.txt of the document"):
        found = documents.latest_of_task("draft", "d-old")
        assert found is not None
        documents.raw(found)


def test_no_index_and_no_document_are_said(tmp_path: Path) -> None:
    with pytest.raises(errors.SourceError, match="there is no index"):
        Documents(tmp_path / "documents.sqlite")
    tree = constructed(tmp_path)
    tree.take()
    with Documents(tree.index) as documents, pytest.raises(errors.EmptySelection):
        documents.get("nobody")


# ----------------------------------------------------------------------------------------- reports


def test_what_is_missing_is_found(tmp_path: Path) -> None:
    """(003.30) One raw text, one parsed text, one prompt and one folder."""
    tree = constructed(tmp_path)
    tree.take()
    with Documents(tree.index) as documents:
        assert list(consistency(documents)) == []
    (tree.docs / tree.document("d-old")["doc_dir"] / "raw.txt").unlink()
    (tree.docs / tree.document("d-new")["doc_dir"] / "parsed.txt").unlink()
    (tree.docs / tree.document("l-only")["doc_dir"] / "prompt.txt").unlink()
    shutil.rmtree(tree.docs / tree.document("e-tie")["doc_dir"])
    with Documents(tree.index) as documents:
        found = {
            row["task_id"]: {name for name, value in row.items() if value is True} for row in consistency(documents)
        }
    assert found == {
        "d-old": {"dir_exists", "missing_raw"},
        "d-new": {"dir_exists", "missing_parsed"},
        "l-only": {"dir_exists", "missing_prompt"},
        "e-tie": {"missing_raw", "missing_parsed", "missing_metadata"},
    }


def test_a_text_that_was_changed_and_a_folder_of_nobody_are_found(tmp_path: Path) -> None:
    tree = constructed(tmp_path)
    tree.take()
    (tree.docs / tree.document("d-old")["doc_dir"] / "raw.txt").write_text("changed")
    (tree.docs / "draft/0000000000000000/stranger").mkdir(parents=True)
    with Documents(tree.index) as documents:
        assert [row["doc_dir"] for row in consistency(documents)] == ["draft/0000000000000000/stranger"]
        found = list(consistency(documents, verify=True))
    assert [row["task_id"] for row in found if row["changed_raw"]] == ["d-old"]


def test_templates_that_nobody_used_are_listed(tree: Tree) -> None:
    tree.put("draft", "d", template="used")
    tree.write()
    tree.file("data/1_raw/draft_templates.csv", "template_id,active\nused,true\nidle,false\n")
    tree.file("data/1_raw/essay_templates.csv", "template_id,title\ncalm,Calm\n")
    tree.file("data/1_raw/essay_templates/calm.txt", "Write calmly.")
    tree.take()
    with Documents(tree.index) as documents:
        found = [(row["stage"], row["template_id"]) for row in REPORTS["templates"].rows(documents)]
    assert found == [("draft", "idle"), ("essay", "calm")]
    assert tree.ask("select text, wanted from templates where stage = 'essay'") == [("Write calmly.", 1)]


def test_a_report_that_is_not_known_is_said_with_the_nearest() -> None:
    with pytest.raises(errors.UsageError, match="consistency"):
        report("consistencies")


@pytest.mark.parametrize(
    ("text", "nine", "ten"),
    [
        ("Fine.\nSCORE: 7", 7, 7),
        ("**SCORE: 6.5**\n", 6.5, 6.5),
        ("Total Score: 456", 5, None),
        ("score 4, 5, 6", 5, 4),
        ("SCORE: 3\nFinal score 8\n", 3, 8),
        ("SCORE: 10", None, 10),
        ("Score: 8/10", None, 8),
        ("Final score: 4/5", None, 8),
        ("SCORE: 7\na\nb\nc\n", None, 7),
        ("SCORE: 7\n" + "x\n" * 30, None, None),
        ("no number here", None, None),
        ("", None, None),
    ],
)
def test_scores_are_parsed_by_the_rule_that_is_named(text: str, nine: float | None, ten: float | None) -> None:
    assert scored(text, "last-three-lines") == nine
    assert scored(text, "last-thirty-lines") == ten


def test_a_rule_that_is_not_known_is_said() -> None:
    with pytest.raises(errors.UsageError, match="last-three-lines"):
        scored("", "last-three-line")


def test_scores_of_the_archive_are_told_with_their_parents(documents: Documents) -> None:
    found = {row["task_id"]: row["score"] for row in scores(documents)}
    assert found["v-essay"] == 7
    assert found["v-draft"] is None


# ----------------------------------------------------------------------------------------- writing


def test_packed_documents_are_written_into_the_folders_of_an_import(tmp_path: Path) -> None:
    packed, folders = constructed(tmp_path / "packed"), constructed(tmp_path / "folders")
    packed.take(pack=True)
    folders.take()
    assert write_documents(packed.index, packed.root / "data", dry_run=True).folders == 17
    assert not packed.docs.exists()
    assert write_documents(packed.index, packed.root / "data").folders == 17
    assert fingerprints(packed.docs) == fingerprints(folders.docs)
    again = write_documents(packed.index, packed.root / "data")
    assert (again.folders, again.there) == (0, 17)
