from __future__ import annotations

from typing import Any

import pytest

from seedbed import errors
from seedbed.recipes.facts import pipeline
from seedbed.recipes.facts.settings import Settings


def test_the_stages_stand_in_their_order() -> None:
    assert [stage.name for stage in pipeline({}).stages] == [
        "facts.inherit",
        "facts.explode",
        "facts.notability",
        "facts.rewrite",
        "facts.recover",
        "facts.validate",
        "facts.challenges",
    ]


def test_of_what_is_worked_unasked_only_two_stages_call_a_model() -> None:
    """000.26"""
    unasked = [stage for stage in pipeline({}).stages if not stage.by_name]
    assert [stage.calls_model for stage in unasked] == [False, True, False, False, True]
    assert [stage.name for stage in pipeline({}).stages if stage.by_name] == ["facts.rewrite", "facts.recover"]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "facts.challenges"),
        ({"difficulty": 1, "styles": ["ft", "rl", "sb", "ftg", "dq", "mc"]}, "facts.challenges"),
        ({"difficulty": 2}, "facts.challenges.d2"),
        ({"difficulty": 0}, "facts.challenges.d0"),
        ({"styles": "ft,mc"}, "facts.challenges.mc-ft"),
        ({"difficulty": 3, "styles": ["dq"]}, "facts.challenges.d3.dq"),
    ],
)
def test_other_levels_and_styles_have_outcomes_of_their_own(settings: dict[str, Any], name: str) -> None:
    """000.53, 000.55"""
    made = pipeline(settings)
    assert made.stages[-1].name == name
    assert made.stage("facts.challenges").name == name


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"deepth": 3}, 'did you mean "depth"'),
        ({"difficulty": 6}, "from 0 to 5"),
        ({"difficulty": True}, "from 0 to 5"),
        ({"depth": "2"}, "whole number"),
        ({"styles": ["mc", "xx"]}, "mc (multiple_choice), dq (direct_question)"),
        ({"styles": []}, "list of codes"),
        ({"styles": 3}, "list of codes"),
        ({"facts_per_entry": {"hihg": 4}}, 'did you mean "high"'),
        ({"facts_per_entry": 4}, "table"),
        ({"facts_per_entry": {"low": 0}}, "from 1 to 100"),
        ({"topics": {"cities": {"enable": False}}}, 'did you mean "enabled"'),
        ({"topics": {"cities": {"enabled": "no"}}}, "true or false"),
        ({"topics": ["cities"]}, "table"),
    ],
)
def test_a_wrong_setting_is_told_with_what_is_right(settings: dict[str, Any], told: str) -> None:
    """000.53, 000.55: exit 2"""
    with pytest.raises(errors.ConfigError) as raised:
        pipeline(settings)
    assert told in str(raised.value)
    assert raised.value.exit_code == 2


def test_settings_that_are_left_out_keep_their_defaults() -> None:
    chosen = Settings.read({"facts_per_entry": {"high": 12}})
    assert chosen.facts_per_entry == {"low": 3, "medium": 5, "high": 12}
    assert (chosen.depth, chosen.difficulty, chosen.styles) == (2, 1, ("mc", "dq", "ftg", "sb", "rl", "ft"))


def test_a_topic_name_with_quotes_stays_text() -> None:
    condition = pipeline({"topics": {"it's": {"enabled": False}}}).stage("facts.explode").source.where
    assert condition.endswith("and topic not in ('it''s')")


def test_n_stays_out_of_the_fingerprint() -> None:
    stage = pipeline({"difficulty": 0}).stage("facts.challenges")
    assert "n" not in stage.inputs
    assert stage.inputs
