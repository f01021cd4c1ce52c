"""Prompts: the stable part first, the item as data, and a sandbox that nothing leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.engine.projects.prompts import MAX_PROMPT, SPLIT, Prompt, cached_prompt, find, load_prompt
from seedbed.errors import ConfigError
from seedbed.records import Item, Message

ROW = {"text": "What is H2O?", "topic": "chemistry"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of prompts beside something that is none of theirs."""
    (tmp_path / "outside.md").write_text("secret", "utf-8")
    folder = tmp_path / "prompts"
    folder.mkdir()
    return folder


def loaded(text: str, *places: Path, known: tuple[str, ...] = ("text", "topic")) -> Prompt:
    return load_prompt(text, places, known=known)


def rendered(prompt: Prompt, /, **variables: Any) -> list[tuple[str, str, bool]]:
    row = variables or ROW
    return [(one.role, one.text, one.stable) for one in prompt.messages({**row, "row": row}, row)]


def refused(prompt: str, /, *places: Path, **variables: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        rendered(loaded(prompt, *places), **(variables or ROW))
    return caught.value.what


# ------------------------------------------------------------------------------------ what is asked


def test_the_part_above_the_line_is_the_stable_one_and_comes_first() -> None:
    prompt = loaded(f"Be brief.\n{SPLIT}\nAbout: {{{{ text }}}}")
    assert rendered(prompt) == [("system", "Be brief.", True), ("user", "About: What is H2O?", False)]


def test_a_prompt_without_a_line_that_names_the_item_is_all_about_the_item() -> None:
    assert rendered(loaded("About: {{ text }}")) == [("user", "About: What is H2O?", False)]


def test_a_prompt_that_names_nothing_of_the_item_shows_it_as_json_below() -> None:
    system, user = rendered(loaded("Summarise the question.\n"))
    assert (system, json.loads(user[1])) == (("system", "Summarise the question.", True), ROW)


def test_nothing_below_the_line_shows_the_item_as_json() -> None:
    assert json.loads(rendered(loaded(f"Be brief.\n{SPLIT}\n"))[1][1]) == ROW


def test_nothing_above_the_line_is_no_message() -> None:
    assert rendered(loaded(f"{SPLIT}\n{{{{ text }}}}")) == [("user", "What is H2O?", False)]


def test_the_whole_row_can_be_named() -> None:
    assert json.loads(rendered(loaded("{{ row | tojson }}"))[0][1]) == ROW


@pytest.mark.parametrize(("text", "shows"), [("Summarise.", True), ("About {{ text }}", False), ("{{ row }}", False)])
def test_a_prompt_knows_whether_it_shows_the_row(text: str, shows: bool) -> None:
    assert loaded(text).shows_row is shows


def test_a_name_that_no_item_offers_does_not_make_a_prompt_one_about_the_item() -> None:
    assert [one.stable for one in loaded("Answer in {{ language }}.").messages({"language": "French"}, ROW)] == [
        True,
        False,
    ]


def test_whatever_the_prompt_of_an_ask_function_names_is_of_the_item() -> None:
    messages = cached_prompt("Judge {{ fact.text }}", ()).messages({"fact": ROW}, {"fact": ROW})
    assert messages == (Message("user", "Judge What is H2O?"),)


def test_the_prompt_of_an_ask_function_that_names_nothing_shows_what_it_was_given() -> None:
    given = {"fact": Item("[1]", ROW), "claims": [{"n": 1}]}
    shown = cached_prompt("Judge the fact.", ()).messages(given, given)[1]
    assert json.loads(shown.text) == {"fact": ROW, "claims": [{"n": 1}]}


def test_the_names_of_a_prompt_are_those_of_both_parts() -> None:
    assert loaded(f"{{{{ topic }}}}\n{SPLIT}\n{{% for x in list %}}{{{{ text }}}}{{% endfor %}}").names == {
        "topic",
        "text",
        "list",
    }


def test_json_keeps_letters_as_they_are() -> None:
    assert rendered(loaded("{{ text | tojson }}"), text='Größe "m"')[0][1] == '"Größe \\"m\\""'


def test_a_group_shows_each_item_under_its_label() -> None:
    prompt = loaded(f"Be brief.\n{SPLIT}\n{{{{ text }}}}")
    messages = prompt.group([("item-1", {"text": "a"}, {}), ("item-2", {"text": "b"}, {})])
    assert messages == (
        Message("system", "Be brief.", stable=True),
        Message("user", "## item-1\na\n\n## item-2\nb\n\nAnswer for each item above, under the key of its heading."),
    )


def test_a_group_is_refused_where_the_stable_part_differs_from_item_to_item() -> None:
    prompt = loaded(f"About {{{{ topic }}}}.\n{SPLIT}\n{{{{ text }}}}")
    with pytest.raises(ConfigError, match="shows something of the item above"):
        prompt.group([("item-1", {"topic": "a", "text": ""}, {}), ("item-2", {"topic": "b", "text": ""}, {})])


def test_a_group_of_one_topic_may_name_it_in_the_stable_part() -> None:
    prompt = loaded(f"About {{{{ topic }}}}.\n{SPLIT}\n{{{{ text }}}}")
    messages = prompt.group([(f"item-{n}", {"topic": "sea", "text": ""}, {}) for n in (1, 2)])
    assert messages[0] == Message("system", "About sea.", stable=True)


# --------------------------------------------------------------------------------- files and includes


def test_a_prompt_can_be_a_file(place: Path) -> None:
    (place / "q.md").write_text("About {{ text }}", "utf-8")
    assert (loaded("q.md", place).name, rendered(loaded("q.md", place))[0][1]) == ("q.md", "About What is H2O?")


def test_the_first_place_that_has_a_file_counts(place: Path, tmp_path: Path) -> None:
    (place / "q.md").write_text("theirs", "utf-8")
    (tmp_path / "q.md").write_text("mine", "utf-8")
    assert loaded("q.md", tmp_path, place).source == "mine"


def test_a_file_that_is_not_there_is_answered_with_the_nearest(place: Path) -> None:
    (place / "summary.md").write_text("x", "utf-8")
    with pytest.raises(ConfigError) as caught:
        loaded("sumary.md", place)
    assert (caught.value.what, caught.value.hint) == ("the prompt sumary.md is not there", 'did you mean "summary.md"?')


def test_a_file_that_is_no_text_is_refused(place: Path) -> None:
    (place / "q.md").write_bytes(b"ab\xff")
    assert "is not UTF-8 text (byte 2)" in refused("q.md", place)


@pytest.mark.parametrize("name", ["../outside.md", "/etc/hostname.md", "sub/../../outside.md"])
def test_a_file_outside_of_the_places_is_not_there(place: Path, name: str) -> None:
    assert refused(name, place) == f"the prompt {name} is not there"


def test_a_link_that_leads_outside_is_not_there(place: Path) -> None:
    (place / "link.md").symlink_to(place.parent / "outside.md")
    assert refused("link.md", place) == "the prompt link.md is not there"


@pytest.mark.parametrize("name", ["x" * 5000 + ".md", "a\0b.md"])
def test_a_name_that_no_file_can_have_is_not_there(place: Path, name: str) -> None:
    assert find(name, (place,)) is None


def test_an_include_is_part_of_the_prompt_and_of_its_source(place: Path) -> None:
    (place / "style.md").write_text("Style of {{ topic }}.", "utf-8")
    prompt = loaded('{% include "style.md" %} {{ text }}', place)
    assert (rendered(prompt)[0][1], set(prompt.names), "Style of" in prompt.source) == (
        "Style of chemistry. What is H2O?", {"text", "topic"}, True,
    )  # fmt: skip


def test_an_include_of_an_include_counts_too(place: Path) -> None:
    (place / "a.md").write_text('{% include "b.md" %}', "utf-8")
    (place / "b.md").write_text("deep {{ topic }}", "utf-8")
    assert "deep" in loaded('{% include "a.md" %}', place).source


def test_another_include_is_another_source(place: Path) -> None:
    sources = []
    for text in ("Be brief.", "Be long."):
        (place / "style.md").write_text(text, "utf-8")
        sources.append(loaded('{% include "style.md" %}{{ text }}', place).source)
    assert sources[0] != sources[1]


@pytest.mark.parametrize(
    "how",
    [
        '{% include "NAME" %}',
        '{% import "NAME" as x %}',
        '{% from "NAME" import x %}',
        '{% extends "NAME" %}',
    ],
)
@pytest.mark.parametrize("name", ["gone.md", "../outside.md", "/etc/hostname"])
def test_an_include_that_is_not_there_is_named(place: Path, how: str, name: str) -> None:
    assert refused(how.replace("NAME", name), place) == f"the prompt includes {name}, which is not there"


@pytest.mark.parametrize("name", ["topic", '["a.md", "b.md"]', '"a" ~ ".md"', "5"])
def test_what_an_item_holds_never_chooses_a_file(place: Path, name: str) -> None:
    (place / "a.md").write_text("a", "utf-8")
    assert "by a name that is worked out" in refused(f"{{% include {name} %}}", place, topic="a.md")


def test_an_include_that_is_no_text_is_refused(place: Path) -> None:
    (place / "style.md").write_bytes(b"ab\xff")
    assert "style.md is not UTF-8 text (byte 2)" in refused('{% include "style.md" %}', place)


def test_files_that_include_each_other_without_end_are_refused(place: Path) -> None:
    (place / "a.md").write_text('{% include "b.md" %}', "utf-8")
    (place / "b.md").write_text('{% include "a.md" %}', "utf-8")
    assert "without end" in refused('{% include "a.md" %}{{ text }}', place)


# ------------------------------------------------------------------------------- what cannot be read


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{{ text", 1),
        ("a\nb {% if %}", 2),
        ("a\n\n{% for x in text %}", 3),
        (f"a\nb\n{SPLIT}\nc\n{{{{ text", 5),
        (f"a\n{SPLIT}\n{{{{ text | nofilter }}}}", 3),
        ("\n\n{{ text is notest }}", 3),
    ],
)
def test_an_error_names_the_line_of_the_file(place: Path, text: str, line: int) -> None:
    (place / "q.md").write_text(text, "utf-8")
    assert refused("q.md", place).startswith(f"q.md:{line} cannot be read: ")


def test_an_error_in_an_include_names_that_file(place: Path) -> None:
    (place / "style.md").write_text("\n{% if %}", "utf-8")
    assert refused('a\nb\nc\n{% include "style.md" %}', place).startswith("style.md:2 cannot be read: ")


def test_a_name_that_the_item_does_not_have_is_refused() -> None:
    assert refused("{{ text }} {{ txet }}") == "the prompt cannot be rendered: 'txet' is undefined"


@pytest.mark.parametrize(
    "text",
    [
        "{{ text.nothing.more }}",
        "{{ 1 / 0 }}",
        "{{ text + 1 }}",
        "{{ text | int('x') + [] }}",
        "{{ '{} {}'.format(1) }}",
        "{{ {}['x']['y'] }}",
        "{{ text() }}",
        "{% for x in 5 %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    ],
)
def test_a_prompt_that_fails_on_an_item_is_refused_in_words(text: str) -> None:
    assert refused(text).startswith("the prompt cannot be rendered: ")


@pytest.mark.parametrize(
    "text", ["{{ " + "(" * 50_000, "{{ " + "[" * 5000 + "]" * 5000 + " }}", "{{ " + "-" * 50_000 + "1 }}"]
)
def test_a_prompt_that_is_nested_without_end_is_refused(text: str) -> None:
    assert "cannot be read" in refused(text)


# ------------------------------------------------------------------------------------------- sandbox


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ text['__class__'] }}",
        "{{ text | attr('__class__') }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ self.__init__.__globals__ }}",
        "{{ lipsum.__globals__ }}",
        "{{ '{0.__class__}'.format(text) }}",
        "{{ '{0.__class__}'.format_map({'0': text}) }}",
        "{{ (text.format).__self__.__class__ }}",
    ],
)
def test_no_attribute_leads_out_of_the_sandbox(text: str) -> None:
    assert "cannot be rendered" in refused(text)


@pytest.mark.parametrize(
    "text", ["{{ open('/etc/passwd') }}", "{{ __import__('os') }}", "{{ config }}", "{{ eval('1') }}"]
)
def test_no_function_of_python_is_known(text: str) -> None:
    assert "is undefined" in refused(text)


@pytest.mark.parametrize("text", ["{{ row.update({'text': 'x'}) }}", "{{ row.pop('text') }}", "{{ names.append(1) }}"])
def test_no_item_can_be_changed(text: str) -> None:
    row = {"text": "as it was", "names": ["x"]}
    refused(text, **row)
    assert row == {"text": "as it was", "names": ["x"]}


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a' * 10**9 }}",
        "{{ 10**9 * 'a' }}",
        "{{ [1] * 10**9 }}",
        "{{ text * number }}",
        "{{ (text * 3000) * 3000 }}",
        "{{ 9 ** 999999999 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '%*d' % (number, 1) }}",
        "{{ '%(n)999999999d' % {'n': 1} }}",
        "{{ '%999999999d' | format(1) }}",
        "{{ '{:999999999}'.format(1) }}",
        "{{ '{:{w}}'.format(1, w=number) }}",
        "{{ 'a'.ljust(number) }}",
        "{{ 'a'.center(width=number) }}",
        "{{ 'a'.zfill(10**9) }}",
        "{{ 'a' | center(number) }}",
        "{{ 'a\nb' | indent(number) }}",
        "{% for x in range(10**9) %}x{% endfor %}",
        "{% for x in range(number) %}{% endfor %}",
        "{{ range(10**12) | list }}",
        "{% for x in range(99999) %}{{ text * 99 }}{% endfor %}",
    ],
)
def test_what_would_fill_the_memory_is_refused(text: str) -> None:
    assert refused(text, text="What is H2O?", number=10**9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ 1400000000 * 100 }}", "140000000000"),
        ("{{ number * number }}", "49000000000000"),
        ("{{ 2 ** 10 }}", "1024"),
        ("{{ '-' * 10 }}", "----------"),
        ("{{ 'ab' * -1 }}", ""),
        ("{{ '%s of %05.1f' % ('a', 2) }}", "a of 002.0"),
        ("{{ '{:,}'.format(number) }}", "7,000,000"),
        ("{{ '{{{}}} of 1000000'.format(1) }}", "{1} of 1000000"),
        ("""{{ '{"a": {"b": %s}, "n": 1000000}' % 1 }}""", '{"a": {"b": 1}, "n": 1000000}'),
        ("{{ '%s of 100%%' | format(1) }}", "1 of 100%"),
        ("{{ 'a'.ljust(3) }}|", "a  |"),
        ("{{ 'a' | center(3) }}|", " a |"),
        ("{{ 7 % 4 }}", "3"),
        ("{{ range(3) | list }}", "[0, 1, 2]"),
        ("{{ text | upper | replace('H2O', 'water') }}", "WHAT IS water?"),
    ],
)
def test_what_a_prompt_needs_is_there(text: str, expected: str) -> None:
    assert rendered(loaded(text, known=("text", "number")), text="What is H2O?", number=7_000_000)[0][1] == expected


def test_a_prompt_may_be_as_long_as_is_said() -> None:
    assert len(rendered(loaded("{{ text }}"), text="x" * MAX_PROMPT)[0][1]) == MAX_PROMPT


def test_a_prompt_that_becomes_longer_is_refused() -> None:
    assert "renders to more than" in refused("{{ text }}.", text="x" * MAX_PROMPT)


# ------------------------------------------------------------------------------------- text is data


@pytest.mark.parametrize(
    "text",
    [
        "{{ 7 * 7 }}",
        "{% for x in range(10**9) %}x{% endfor %}",
        "{# gone #}",
        "{% include '../outside.md' %}",
        SPLIT,
        "<script>&amp;'\"",
        "{{",
        "%}",
        "{% raw %}",
    ],
)
def test_text_of_the_corpus_that_looks_like_a_template_is_shown_as_it_is(text: str) -> None:
    assert rendered(loaded("About: {{ text }}"), text=text) == [("user", f"About: {text}", False)]


@given(st.text())
def test_any_text_of_the_corpus_arrives_as_it_is(text: str) -> None:
    assert rendered(loaded("{{ text }}"), text=text)[0][1] == text


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), st.text() | st.integers() | st.none(), min_size=1
    )
)
def test_a_row_that_is_shown_as_json_can_be_read_again(row: dict[str, Any]) -> None:
    messages = loaded("Summarise.", known=()).messages({}, row)
    assert json.loads(messages[-1].text) == row
