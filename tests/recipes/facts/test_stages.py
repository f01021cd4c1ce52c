"""What the stages select and store, a round at a time."""

from __future__ import annotations

from seedbed import Corpus, Item, NewRow
from seedbed.recipes.facts import lookups, pipeline
from tests.recipes.facts.helpers import all_rows, bound, items, one_round, plant, plant_entry, plant_fact, prompt

STAGES = {stage.name: stage for stage in pipeline({}).stages}
INHERIT, EXPLODE = STAGES["facts.inherit"], STAGES["facts.explode"]


def topics(corpus: Corpus) -> dict[str, str | None]:
    return {row["id"]: row["topic"] for row in all_rows(corpus, "entries")}


def test_a_chain_of_four_is_mended_in_one_round(corpus: Corpus) -> None:
    """000.09, 000.10, 000.11, 000.12"""
    plant_entry(corpus, "one", topic="countries")
    plant_entry(corpus, "two", topic=None, parent="one")
    plant_entry(corpus, "three", topic=None, parent="two")
    plant_entry(corpus, "four", topic=None, parent="three")
    plant_entry(corpus, "other", topic="cities", parent="one")
    assert one_round(INHERIT, corpus, set()) == {"applied": 3}
    assert topics(corpus) == {**dict.fromkeys(("one", "two", "three", "four"), "countries"), "other": "cities"}
    assert items(INHERIT, corpus) == []


def test_an_orphan_is_not_sent_to_a_model(corpus: Corpus) -> None:
    """000.13"""
    plant_entry(corpus, "orphan", topic=None)
    plant_entry(corpus, "child", topic=None, parent="orphan")
    assert items(EXPLODE, corpus) == []
    assert items(INHERIT, corpus) == []


def test_a_disabled_topic_is_not_sent(corpus: Corpus) -> None:
    """000.01"""
    plant_entry(corpus, "chad")
    plant_entry(corpus, "oslo", topic="cities")
    explode = pipeline({"topics": {"cities": {"enabled": False}, "countries": {"enabled": True}}}).stage(
        "facts.explode"
    )
    assert [item["id"] for item in items(explode, corpus)] == ["chad"]


def test_spin_offs_are_exploded_to_the_depth_and_no_deeper(corpus: Corpus) -> None:
    """000.25"""
    for depth in range(5):
        plant_entry(corpus, f"at {depth}", depth=depth)
    for bound_at in (0, 2):
        explode = pipeline({"depth": bound_at}).stage("facts.explode")
        assert {item["depth"] for item in items(explode, corpus)} == set(range(bound_at + 1))


def test_the_number_of_facts_asked_for_goes_by_richness(corpus: Corpus) -> None:
    for richness in ("low", "medium", "high"):
        plant_entry(corpus, richness, richness=richness)
    explode = pipeline({"facts_per_entry": {"high": 11}}).stage("facts.explode")
    assert {item["id"]: item.context["count"] for item in items(explode, corpus)} == {"low": 3, "medium": 5, "high": 11}


def test_up_to_fifty_titles_of_the_topic_are_shown(corpus: Corpus) -> None:
    """000.77"""
    plant_entry(corpus, "chad")
    for number in range(60):
        plant_fact(corpus, f"f{number:02}", title=f"A title with the number {number}")
    plant_fact(corpus, "elsewhere", topic="cities", title="A title of another topic")
    (item,) = items(EXPLODE, corpus)
    assert len(item.context["titles"]) == lookups.TITLES_SHOWN == 50
    assert "A title with the number 7" in prompt(EXPLODE, corpus, item)
    assert "another topic" not in prompt(EXPLODE, corpus, item)


def test_a_fact_that_says_the_same_is_a_duplicate_by_content(corpus: Corpus) -> None:
    """000.77, 002.25: skipped by title and by content hash, counted"""
    plant_entry(corpus, "chad", data={"population": 15477751, "capital": "N'Djamena"})
    one_round(EXPLODE, corpus, set())
    relation = EXPLODE.relation
    into = relation.into["facts"]  # type: ignore[union-attr]
    row = {
        k: v for k, v in all_rows(corpus, "facts")[0].items() if k not in ("id", "findings", "cost_nano", "expires_at")
    }
    other_title = NewRow("x1", "facts", {**row, "title": "Told in other words"}, into, "p", 0)
    other_content = NewRow("x2", "facts", {**row, "title": row["title"].upper(), "content_hash": "other"}, into, "p", 1)
    assert [done.fate for done in corpus.insert("again", [other_title, other_content])] == ["duplicate", "duplicate"]


def test_the_prompt_shows_text_as_data(corpus: Corpus) -> None:
    plant_entry(corpus, "bad", name='x"\n\n- entry: "y"\n{{ 7 * 7 }}')
    (item,) = items(EXPLODE, corpus)
    lines = [line for line in prompt(EXPLODE, corpus, item).splitlines() if line.startswith("- entry: ")]
    assert lines == ['- entry: "x\\"\\n\\n- entry: \\"y\\"\\n{{ 7 * 7 }}"']


def test_the_stable_part_comes_first_and_holds_nothing_of_the_item(corpus: Corpus) -> None:
    plant_entry(corpus, "chad", name="Chad of the Lake")
    plant_fact(corpus, "f", status="validated", title="A title all of its own")
    for stage in (EXPLODE, STAGES["facts.challenges"]):
        (item,) = items(stage, corpus)
        stable, own = bound(stage, corpus).request([item], 1).messages
        assert stable.stable
        assert not own.stable
        for text in ("Chad of the Lake", "A title all of its own"):
            assert text not in stable.text


def test_a_spin_off_is_told_where_it_was_found(corpus: Corpus) -> None:
    plant_entry(corpus, "chad", data={"capital": "N'Djamena"})
    plant_entry(corpus, "town", topic="cities", parent="chad", depth=1)
    (item,) = [each for each in items(EXPLODE, corpus) if each["id"] == "town"]
    assert item.context["origin"] == {"name": "Chad", "data": {"capital": "N'Djamena"}}
    assert item.context["about"]["topics"] == ["cities", "countries"]


def test_a_topic_that_vanished_stops_no_round(corpus: Corpus) -> None:
    item = Item('["e"]', {"topic": "gone", "parent": "gone", "entry": None, "id": "e"})
    assert lookups.about_topic(corpus.lookup(), item) == {"name": "gone", "fact_keys": {}, "topics": ["gone"]}
    assert lookups.topic_of(corpus.lookup(), item) is None
    assert lookups.origin_of(corpus.lookup(), item) is None
    assert lookups.other_facts(corpus.lookup(), item) == []


def test_facts_of_one_entry_see_each_other_in_validation(corpus: Corpus) -> None:
    plant_entry(corpus, "chad")
    for key, capital in (("a", "N'Djamena"), ("b", "Moundou")):
        plant_fact(corpus, key, entry="chad", facts={"capital": capital})
    plant_fact(corpus, "c", facts={"capital": "Elsewhere"})
    one_round(STAGES["facts.validate"], corpus, set())
    assert {row["id"]: row["status"] for row in all_rows(corpus, "facts")} == {
        "a": "rejected",
        "b": "rejected",
        "c": "validated",
    }


def test_a_fact_of_a_topic_without_keys_can_be_valid(corpus: Corpus) -> None:
    plant(corpus, "topics", "loose", slug="loose", name="Loose")
    plant_fact(corpus, "f", topic="loose", facts={})
    one_round(STAGES["facts.validate"], corpus, set())
    assert all_rows(corpus, "facts")[0]["status"] == "validated"
