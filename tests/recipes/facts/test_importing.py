from __future__ import annotations

import json
from pathlib import Path

import pytest

from seedbed import Corpus, errors
from seedbed.recipes.facts.importing import ImportReport, import_facts, import_topics, stats
from tests.recipes.facts.helpers import HOME, all_rows, execute, new_corpus

LEGACY = """name,topic,parent,richness,population,code
Chad,countries,,high,15477751,007
Abéché,Cities,Chad,low,76492,
"Lake, Chad",Zzz,chad,,,
Moundou,towns,Chad,LOW,135167.5,x
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def take(corpus: Corpus, *files: Path, dry_run: bool = False) -> ImportReport:
    return import_facts(corpus, files, dry_run=dry_run, release="import")


def entries(corpus: Corpus) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in all_rows(corpus, "entries")}


def test_a_dry_run_counts_and_adds_nothing(corpus: Corpus, tmp_path: Path) -> None:
    """000.03"""
    report = take(corpus, write(tmp_path / "l.csv", LEGACY), dry_run=True)
    assert (report.read, report.new, report.already, report.dry_run) == (4, 4, 0, True)
    assert entries(corpus) == {}


def test_entries_stand_under_their_topics_with_their_data(corpus: Corpus, tmp_path: Path) -> None:
    """000.04"""
    report = take(corpus, write(tmp_path / "l.csv", LEGACY))
    found = entries(corpus)
    assert report.by_topic == {"": 1, "cities": 2, "countries": 1}
    assert {name: row["topic"] for name, row in found.items()} == {
        "Chad": "countries", "Abéché": "cities", "Lake, Chad": None, "Moundou": "cities",
    }  # fmt: skip
    assert {row["parent"] for name, row in found.items() if name != "Chad"} == {found["Chad"]["id"]}
    assert json.loads(str(found["Chad"]["data"])) == {"population": 15477751, "code": "007"}
    assert json.loads(str(found["Moundou"]["data"])) == {"population": 135167.5, "code": "x"}
    assert (found["Moundou"]["richness"], found["Lake, Chad"]["richness"]) == ("low", "medium")
    assert {row["source_type"] for row in found.values()} == {"file_seed"}
    assert {row["depth"] for row in found.values()} == {0}


def test_the_same_file_again_adds_nothing(corpus: Corpus, tmp_path: Path) -> None:
    """000.05"""
    file = write(tmp_path / "l.csv", LEGACY)
    take(corpus, file)
    again = take(corpus, file)
    elsewhere = take(corpus, write(tmp_path / "copy.csv", LEGACY))
    assert (again.new, again.already) == (elsewhere.new, elsewhere.already) == (0, 4)
    assert len(entries(corpus)) == 4


def test_the_topic_may_come_later_and_still_nothing_is_doubled(corpus: Corpus, tmp_path: Path) -> None:
    file = write(tmp_path / "l.csv", LEGACY)
    take(corpus, file)
    import_topics(corpus, write(tmp_path / "t.jsonl", '{"slug": "zzz"}'))
    assert (take(corpus, file).new, len(entries(corpus))) == (0, 4)


def test_an_unknown_topic_is_listed_and_its_entry_kept(corpus: Corpus, tmp_path: Path) -> None:
    """000.08"""
    report = take(corpus, write(tmp_path / "l.csv", LEGACY))
    assert report.unmapped == {"Zzz": 1}
    assert entries(corpus)["Lake, Chad"]["topic"] is None


def test_stats_add_up_to_all_entries(corpus: Corpus, tmp_path: Path) -> None:
    """000.06"""
    assert stats(corpus) == {}
    take(corpus, write(tmp_path / "l.csv", LEGACY))
    assert stats(corpus) == {"": 1, "cities": 2, "countries": 1}
    ((count,),) = execute(tmp_path / "corpus.db", "select count(*) from entries")
    assert sum(stats(corpus).values()) == count


def test_csv_and_jsonl_of_the_same_entries_are_one_import(tmp_path: Path) -> None:
    """000.07, for the two formats that are read"""
    lines: list[dict[str, object]] = [
        {"name": "Chad", "topic": "countries", "richness": "high", "population": 15477751, "code": "007"},
        {"name": "Abéché", "topic": "Cities", "parent": "Chad", "richness": "low", "population": 76492},
        {"name": "Lake, Chad", "topic": "Zzz", "parent": "chad"},
        {"name": "Moundou", "topic": "towns", "parent": "Chad", "richness": "low", "data": {"population": 135167.5}},
    ]
    lines[-1]["code"] = "x"
    csv_file = write(tmp_path / "l.csv", LEGACY)
    jsonl = write(tmp_path / "l.jsonl", "\n".join(json.dumps(line) for line in lines))
    made = []
    for file in (csv_file, jsonl):
        corpus = new_corpus(tmp_path / f"{file.suffix[1:]}.db")
        take(corpus, file)
        made.append(all_rows(corpus, "entries"))
        corpus.close()
    assert made[0] == made[1]


def test_parents_are_found_across_files_and_after_their_children(corpus: Corpus, tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "name,topic,parent\nStreet,cities,Town\nTown,cities,Land\n")
    second = write(tmp_path / "b.csv", "name,topic\nLand,countries\n")
    assert take(corpus, first, second).new == 3
    found = entries(corpus)
    assert found["Street"]["parent"] == found["Town"]["id"]
    assert found["Town"]["parent"] == found["Land"]["id"]


def test_a_parent_may_be_there_already(corpus: Corpus, tmp_path: Path) -> None:
    take(corpus, write(tmp_path / "a.csv", "name,topic\nLand,countries\n"))
    assert take(corpus, write(tmp_path / "b.csv", "name,topic,parent\nTown,cities,Land\n")).new == 1
    assert entries(corpus)["Town"]["parent"] == entries(corpus)["Land"]["id"]


def test_the_same_name_under_two_parents_is_two_entries(corpus: Corpus, tmp_path: Path) -> None:
    text = "name,topic,parent\nA,countries,\nB,countries,\nSan José,cities,A\nSan José,cities,B\nsan josé,cities,B\n"
    report = take(corpus, write(tmp_path / "l.csv", text))
    assert (report.read, report.new, report.already, report.bad) == (5, 4, 1, ())


def test_a_parent_that_came_under_another_name_of_its_topic_is_the_same(corpus: Corpus, tmp_path: Path) -> None:
    take(corpus, write(tmp_path / "a.csv", "name,topic\nLand,countries\n"))
    report = take(corpus, write(tmp_path / "b.csv", "name,topic,parent\nLand,nations,\nTown,cities,Land\n"))
    assert (report.new, report.already, report.bad) == (1, 1, ())
    assert entries(corpus)["Town"]["parent"] == entries(corpus)["Land"]["id"]


def test_bad_rows_are_listed_with_their_place_and_the_rest_is_taken(corpus: Corpus, tmp_path: Path) -> None:
    text = (
        "name,topic,parent,richness\n"
        "Good,countries,,\n"
        ",countries,,\n"
        '"Two\nlines",countries,,huge\n'
        "Few,countries\n"
        "\n"
        "Lost,cities,Nowhere,\n"
        "Ring,cities,Round,\n"
        "Round,cities,Ring,\n"
        "Self,cities,Self,\n"
    )
    file = write(tmp_path / "l.csv", text)
    report = take(corpus, file)
    assert [(bad.line, bad.reason.split(";")[0]) for bad in report.bad] == [
        (3, "the row has no name"),
        (4, "richness is 'huge'"),
        (6, "the row has 2 cells, the head 4"),
        (8, "the parent 'Nowhere' is neither in the files nor among the entries"),
        (9, "the parent 'Round' could not be taken, or is its own descendant"),
        (10, "the parent 'Ring' could not be taken, or is its own descendant"),
        (11, "the parent 'Self' is neither in the files nor among the entries"),
    ]
    assert str(report.bad[0]) == f"{file}:3: the row has no name"
    assert report.read == report.new + report.already + len(report.bad) == 8
    assert report.by_topic == {"countries": 1}


def test_bad_lines_of_jsonl_are_listed_too(corpus: Corpus, tmp_path: Path) -> None:
    file = tmp_path / "l.jsonl"
    file.write_bytes(b'{"name": "A"}\n{"name": "B"\n[1]\n\n\xff\xfe\n{"name": "C", "topic": "countries"}\n')
    report = take(corpus, file)
    assert [bad.line for bad in report.bad] == [2, 3, 5]
    assert report.read == report.new + len(report.bad) == 5


def test_a_parent_with_several_bearers_of_its_name_is_not_guessed(corpus: Corpus, tmp_path: Path) -> None:
    text = "name,topic,parent\nX,countries,\nX,cities,\nTown,cities,X\n"
    report = take(corpus, write(tmp_path / "l.csv", text))
    assert [bad.reason for bad in report.bad] == ["the parent 'X' names several entries"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("l.pdf", b"x", "neither CSV nor JSONL nor XLSX nor DOCX"),
        ("l.csv", b"title,topic\nx,y\n", "column name"),
        ("l.csv", b"name,name\nx,y\n", "no column twice"),
        ("l.csv", b"", "it has: nothing"),
        ("l.csv", b"name\n\xff\n", "UTF-8"),
        ("l.csv", b'name\n"x\n', "no CSV"),
    ],
)
def test_a_file_that_is_no_table_is_refused_whole(
    corpus: Corpus, tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(errors.SourceError) as raised:
        take(corpus, tmp_path / name)
    assert told in str(raised.value)


def test_a_file_that_is_not_there_is_named(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(errors.SourceError, match="no file"):
        take(corpus, tmp_path / "nothing.csv")


def test_an_import_can_be_rolled_back(corpus: Corpus, tmp_path: Path) -> None:
    take(corpus, write(tmp_path / "l.csv", LEGACY))
    assert corpus.roll_back("import").deleted == 4
    assert entries(corpus) == {}


def test_the_sample_is_ten_entries_without_a_fault(corpus: Corpus) -> None:
    report = take(corpus, HOME / "sample.jsonl")
    assert (report.read, report.new, report.bad, report.unmapped) == (10, 10, (), {})


def test_the_built_in_topics_are_there_once(corpus: Corpus) -> None:
    again = import_topics(corpus)
    assert (again.new, again.already, again.bad) == (0, 3, ())
    assert {row["id"]: row["parent"] for row in all_rows(corpus, "topics")} == {
        "geography": None, "countries": "geography", "cities": "geography",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{}", "no slug"),
        ('{"slug": "x", "fact_keys": []}', ""),
        ('{"slug": "x", "fact_keys": [1]}', "fact_keys is no object"),
        ('{"slug": "x", "fact_keys": {"A b": {"type": "string"}}}', "is no key"),
        ('{"slug": "x", "fact_keys": {"a": {"type": "text"}}}', "needs a type"),
        ('{"slug": "x", "fact_keys": {"a": {"type": "string", "unti": "m"}}}', 'did you mean "unit"'),
        ('{"slug": "x", "parent": "nobody"}', "FOREIGN KEY"),
        ("{", "no JSON"),
    ],
)
def test_a_topic_that_cannot_be_used_is_told(corpus: Corpus, tmp_path: Path, line: str, told: str) -> None:
    report = import_topics(corpus, write(tmp_path / "t.jsonl", line))
    assert (told in str(report.bad[0])) if told else not report.bad
    assert report.read == report.new + len(report.bad) == 1


def test_a_dry_run_of_topics_adds_nothing(corpus: Corpus, tmp_path: Path) -> None:
    file = write(tmp_path / "t.jsonl", '{"slug": "films", "aliases": ["movies"]}')
    assert import_topics(corpus, file, dry_run=True).new == 1
    assert len(all_rows(corpus, "topics")) == 3
    import_topics(corpus, file)
    assert take(corpus, write(tmp_path / "l.csv", "name,topic\nM,Movies\n")).by_topic == {"films": 1}
