"""Where a text differs from its source."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seedbed.policy.differences import marked, nearest_source

SOURCE = "One player is blindfolded and guides the group with a whistle."
POLISHED = "One player is blindfolded and leads the group with a whistle. No talking."


def test_words_that_were_added_and_removed_are_marked() -> None:
    parts = marked(SOURCE, POLISHED)
    assert parts is not None
    assert [text.strip() for mark, text in parts if mark == "removed"] == ["guides"]
    assert [text.strip() for mark, text in parts if mark == "added"] == ["leads", "No talking."]


def test_two_texts_that_are_no_versions_of_each_other_have_no_marks() -> None:
    assert marked(SOURCE, "Un jucător este legat la ochi.") is None


def test_the_source_that_a_text_comes_from_is_found_among_several() -> None:
    found = nearest_source(POLISHED, {"name": "Whistle", "description": SOURCE, "rules": ""})
    assert found is not None
    assert found[0] == "description"


@given(st.text(max_size=80), st.text(max_size=80))
def test_what_is_not_removed_is_the_result_and_what_is_not_added_the_source(before: str, after: str) -> None:
    parts = marked(before, after)
    if parts is not None:
        assert "".join(text for mark, text in parts if mark != "removed") == after
        assert len("".join(text for mark, text in parts if mark != "added")) == len(before)
