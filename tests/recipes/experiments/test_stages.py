"""The stages make what is missing of its parents, and what they make is a document like any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from seedbed import Item, Stage, errors
from seedbed.cli import run
from seedbed.recipes import experiments
from seedbed.recipes.experiments import checks, pipeline, standin
from seedbed.recipes.experiments.identity import document_id, logical_key
from seedbed.recipes.experiments.reading import Documents
from seedbed.recipes.experiments.writing import LEGACY, legacy_name, write_documents
from tests.recipes.experiments.trees import TABLES, TEXTS, Tree, constructed, fingerprints

HOME = Path(experiments.__file__).parent


@pytest.fixture(params=["folders", "packed"])
def project(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """A project over the constructed archive, which is hidden: only the index and its folders are left."""
    tree = constructed(tmp_path / "archive")
    monkeypatch.chdir(tree.root)
    assert run(["init", ".", "--recipe", "experiments"]) == 0
    more = ["--pack"] if request.param == "packed" else []
    assert run(["import", "experiments", ".", "--run-id", "b", "--skip-bad", *more]) == 0
    for folder in (TABLES, TEXTS):
        shutil.rmtree(tree.root / folder)
    return tree


def test_what_is_missing_is_made_of_its_parents_until_nothing_is(project: Tree) -> None:
    """(003.31) The tables and texts that the archive came from are not there any more."""
    assert run(["run"]) == 0
    assert project.ask("select stage, count(*) from documents where run_id = 'seedbed' group by stage order by 1") == [
        ("essay", 4), ("evaluation", 6),
    ]  # fmt: skip
    assert project.ask("select count(*) from essays_missing where preferred and made = 0") == [0]
    assert project.ask("select count(*) from evaluations_missing where preferred and made = 0") == [0]
    before = project.dump()
    assert run(["run"]) == 0
    assert project.dump() == before
    assert run(["records", "experiments.evaluation"]) == 0
    assert run(["audit", "--json"]) == 0


def test_what_was_made_has_the_ids_the_text_and_the_score_of_a_document(project: Tree) -> None:
    assert run(["run"]) == 0
    draft, essay = project.document("d-late"), project.document("d-late__seedbed-essay")
    assert essay["parent_doc_id"] == draft["doc_id"]
    assert essay["logical_key_id"] == logical_key("essay", draft["doc_id"], "seedbed-essay", "offline/standin")
    assert essay["doc_id"] == document_id(essay["logical_key_id"], "seedbed", "experiments.essay")
    with Documents(project.index) as documents:
        made = documents.get(essay["doc_id"])
        assert "The text of draft d-late." in documents.parsed(made)
        told = documents.latest_of_task("evaluation", "d-late__seedbed-essay__seedbed-evaluation")
        assert told is not None and documents.parsed(told).rstrip().splitlines()[-1].startswith("SCORE: ")
        parent = documents.parent(told)
        assert parent is not None and parent.doc_id == essay["doc_id"]
    (score,) = project.ask("select score from generations where doc_id = ?", told.doc_id)
    assert json.loads(project.document(told.task_id)["meta_small"])["score"] == score
    assert float(documents_score(told.task_id, project)) == score


def documents_score(task: str, project: Tree) -> str:
    with Documents(project.index) as documents:
        document = documents.latest_of_task("evaluation", task)
        assert document is not None
        return documents.parsed(document).rstrip().rpartition(" ")[2]


def test_a_rollback_takes_documents_back_that_a_stage_made(project: Tree) -> None:
    assert run(["run"]) == 0
    assert run(["rollback"]) == 0
    assert project.ask("select count(*) from documents where run_id = 'seedbed' and stage = 'evaluation'") == [0]
    assert project.ask("select count(*) from documents where run_id = 'b'") == [17]
    left = project.ask("select count(*) from document_texts join generations using (doc_id)")
    assert left == project.ask("select count(*) from generations")


def test_templates_of_the_archive_are_used_and_named_ones_for_each_parent(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        tree.put("draft", name, combo=name)
    tree.write()
    tree.file("data/1_raw/essay_templates.csv", "template_id,active\nbold,true\ncalm,true\nold,false\n")
    for name in ("bold", "calm", "old"):
        tree.file(f"data/1_raw/essay_templates/{name}.txt", f"Be {name}.")
    monkeypatch.chdir(tree.root)
    assert run(["init", ".", "--recipe", "experiments"]) == 0
    assert run(["import", "experiments", ".", "--run-id", "b"]) == 0
    assert run(["run", "experiments.essay"]) == 0
    assert tree.ask("select template_id, count(*) from generations group by 1") == [("bold", 2)]
    assert run(["run", "experiments.essay", "--set", "essay_templates=calm, bold"]) == 0
    assert tree.ask("select template_id, count(*) from generations group by 1") == [("bold", 2), ("calm", 2)]


# -------------------------------------------------------------------------------- both layouts


def test_both_layouts_are_written_where_that_is_switched_on(project: Tree) -> None:
    """(003.32) Off: no file of old. On: one for each document that a stage made, and none for imported ones."""
    assert run(["run"]) == 0
    assert run(["documents", "write", "."]) == 0
    assert not (project.root / TEXTS).exists()
    essay = project.document("d-late__seedbed-essay")
    assert (project.docs / essay["doc_dir"] / "raw.txt").is_file()
    metadata = json.loads((project.docs / essay["doc_dir"] / "metadata.json").read_text())
    assert metadata["parent"]["task_id"] == "d-late"

    assert run(["documents", "write", ".", "--legacy"]) == 0
    written = sorted(path.name for path in (project.root / "data" / LEGACY["essay"]).iterdir())
    assert "d-late__seedbed-essay_v1.txt" in written and len(written) == 4
    assert len(list((project.root / "data" / LEGACY["evaluation"]).iterdir())) == 6
    before = fingerprints(project.root / "data", but=("db",))
    assert run(["documents", "write", ".", "--legacy"]) == 0
    assert fingerprints(project.root / "data", but=("db",)) == before
    assert run(["documents", "consistency", ".", "--verify"]) == 0


def test_a_hostile_task_becomes_a_harmless_file_of_old(tree: Tree) -> None:
    names = ["../../x", "nul\0", "x" * 300, "Twin", "twin", "a b", ".hidden", "plain-1", "\u00e9", "e\u0301"]
    for number, name in enumerate(names):
        tree.put("draft", name, combo=f"c{number}")
    tree.write().take(pack=True)
    with Documents(tree.index) as documents:
        legacy = [legacy_name(documents, document) for document in documents.of_stage("draft")]
    assert "plain-1" in legacy
    assert len({name.casefold() for name in legacy}) == len(names)
    assert all(name.isascii() and len(name) < 160 and "/" not in name and name[0] != "." for name in legacy)


def test_a_file_of_old_with_another_text_is_left_alone(project: Tree) -> None:
    assert run(["run", "experiments.essay"]) == 0
    theirs = project.file(f"data/{LEGACY['essay']}/d-late__seedbed-essay_v1.txt", "theirs")
    assert write_documents(project.index, project.root / "data", legacy=True).legacy == 4
    assert theirs.read_text() == "theirs"
    assert theirs.with_name("d-late__seedbed-essay_v2.txt").exists()


# -------------------------------------------------------------------------------- parts by themselves


def test_the_stages_stand_in_their_order() -> None:
    made = pipeline({})
    assert [stage.name for stage in made.stages] == ["experiments.essay", "experiments.evaluation"]
    assert all(isinstance(stage, Stage) and stage.calls_model for stage in made.stages)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"essay_template": "x"}, "essay_templates"),
        ({"essay_templates": 3}, "list of template ids"),
        ({"essay_templates": ["a", ""]}, "list of template ids"),
        ({"score_rule": "last-three-line"}, "last-three-lines"),
    ],
)
def test_a_wrong_setting_is_told_with_what_is_right(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(errors.ConfigError, match=told):
        pipeline(settings)


def test_template_names_with_quotes_stay_text() -> None:
    assert pipeline({"essay_templates": ["it's"]}).stages[0].source.where == "template in ('it''s')"


def test_an_evaluation_without_a_score_is_asked_again() -> None:
    check = checks.there_is_a_score("last-three-lines")
    item = Item("[1]", {})
    assert [finding.code for finding in check(item, {"text": "Good."})] == ["no_score"]
    assert list(check(item, {"text": "Good.\nSCORE: 5"})) == []
    assert [finding.code for finding in checks.there_is_a_text(item, {"text": " \n"})] == ["empty_text"]


@pytest.mark.parametrize("name", ["essay", "evaluation"])
def test_the_stand_in_answers_only_a_whole_prompt(name: str) -> None:
    rule = getattr(standin, name)
    schema: dict[str, Any] = {"properties": {"text": {}}}
    text = "draft" if name == "essay" else "essay"
    prompt = f'- template: "t"\n- what the template asks: ""\n- {text}: "One. Two."\n'
    assert "text" in rule(prompt, schema)
    for line in prompt.splitlines():
        assert rule(prompt.replace(line, ""), schema) is None
    assert rule(prompt, {"properties": {"other": {}}}) is None


def test_the_stand_in_imports_nothing_of_seedbed() -> None:
    assert "seedbed" not in (HOME / "standin.py").read_text("utf-8")
