"""What an answer has to keep: the rules CC and CQ for challenges, and the sanity of an explosion.

The rules are data: a code, a sentence for people, and a function that says what is wrong with a challenge.
CC-002, CC-003, CQ-002 are the house rules of old; numbers from CQ-101 on are this recipe's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seedbed import Finding, Item
from seedbed.recipes.facts.rows import values_of
from seedbed.recipes.facts.texts import as_object, mentions, normal, sentences
from seedbed.recipes.facts.validation import examine, foreign

STYLES: Mapping[str, str] = {
    "mc": "multiple_choice",
    "dq": "direct_question",
    "ftg": "fill_the_gap",
    "sb": "statement_blank",
    "rl": "reverse_lookup",
    "ft": "free_text",
}
"""The six styles by the codes that ``--styles`` takes."""
TEXTS = ("setup_text", "challenge_text", "reveal_correct", "reveal_wrong", "correct_answer")
FEWEST_STYLES = 3

_BLANK = re.compile(r"_{2,}")
_YOU = re.compile(r"\b(?:you|your|yours|yourself|yourselves)\b", re.IGNORECASE)
_SOURCE = re.compile(
    r"\b(?:the|this|given|above) (?:fact|text|passage|context|article) (?:above|says|states|given|tells|mentions)\b"
    r"|\baccording to (?:the|this) (?:fact|text|passage|context|article)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge beside the fact that it is about, as the rules see it."""

    style: str
    setup_text: str
    challenge_text: str
    reveal_correct: str
    reveal_wrong: str
    correct_answer: str
    answer: str
    options: Sequence[Mapping[str, Any]]
    title: str
    entry: str

    @property
    def texts(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in TEXTS}

    @property
    def asked(self) -> str:
        """What a reader sees before answering."""
        return f"{self.setup_text}\n{self.challenge_text}"


def challenge(row: Mapping[str, Any], fact: Mapping[str, Any]) -> Challenge:
    """From an answer or a stored row, and its fact (``title`` and ``entry_name``)."""
    data = as_object(row.get("style_data"))
    options = data.get("options")
    return Challenge(
        style=str(row.get("style") or ""),
        **{name: str(row.get(name) or "").strip() for name in TEXTS},
        answer=str(data.get("answer") or "").strip(),
        options=[each for each in options if isinstance(each, Mapping)] if isinstance(options, list) else [],
        title=str(fact.get("title") or ""),
        entry=str(fact.get("entry_name") or ""),
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """``broken`` says what is wrong, or nothing; ``field`` is where a reader has to look."""

    code: str
    says: str
    field: str
    broken: Callable[[Challenge], str | None]


def _shorter(name: str, least: int) -> Callable[[Challenge], str | None]:
    def broken(it: Challenge) -> str | None:
        length = len(it.texts[name])
        return f"{name} has {length} characters; at least {least} are wanted" if length < least else None

    return broken


def _sentences(name: str, least: int, most: int) -> Callable[[Challenge], str | None]:
    def broken(it: Challenge) -> str | None:
        count = sentences(it.texts[name])
        return None if least <= count <= most else f"{name} has {count} sentences; {least} to {most} are wanted"

    return broken


def _holds_answer(name: str) -> Callable[[Challenge], str | None]:
    def broken(it: Challenge) -> str | None:
        return f"{name} does not give the answer" if it.answer and not mentions(it.texts[name], it.answer) else None

    return broken


def _when(condition: bool, message: str) -> str | None:
    return message if condition else None


def _empty(it: Challenge) -> str | None:
    empty = [name for name, text in it.texts.items() if not text]
    return _when(bool(empty), f"{', '.join(empty)} is empty")


def _options(it: Challenge) -> str | None:
    wanted = 4 if it.style == "multiple_choice" else 0
    return _when(len(it.options) != wanted, f"there are {len(it.options)} options; {wanted} are wanted")


def _right(it: Challenge) -> list[str]:
    return [str(each.get("text") or "") for each in it.options if each.get("correct") is True]


def _one_right(it: Challenge) -> str | None:
    count = len(_right(it))
    return _when(bool(it.options) and count != 1, f"{count} options are right; exactly one is wanted")


def _distinct(it: Challenge) -> str | None:
    said = [normal(str(each.get("text") or "")) for each in it.options]
    return _when(len(set(said)) < len(said) or "" in said, "the options are not all different")


def _right_is_answer(it: Challenge) -> str | None:
    right = _right(it)
    return _when(
        len(right) == 1 and normal(right[0]) != normal(it.answer),
        f"the right option is {right[0] if right else ''!r}, the answer {it.answer!r}",
    )


def _gaps(it: Challenge) -> str | None:
    count = len(_BLANK.findall(it.challenge_text))
    wanted = 1 if it.style in ("fill_the_gap", "statement_blank") else 0
    return _when(count != wanted, f"the challenge has {count} gaps; {wanted} is wanted")


def _gap_ends(it: Challenge) -> str | None:
    blank = _BLANK.search(it.challenge_text)
    rest = normal(it.challenge_text[blank.end() :]) if blank else ""
    return _when(it.style == "statement_blank" and bool(rest), "the statement goes on after its gap")


def _names_title(it: Challenge) -> str | None:
    named = [name for name in (it.title, it.entry) if mentions(it.asked, name)]
    return _when(it.style == "reverse_lookup" and bool(named), f"what is to be found is named: {', '.join(named)}")


def _marked(it: Challenge) -> str | None:
    texts = {**it.texts, "answer": it.answer, "options": "\n".join(str(each.get("text") or "") for each in it.options)}
    marked = {name: foreign(text) for name, text in texts.items()}
    return next((f"{name} holds {what}" for name, what in marked.items() if what), None)


def _repeated(it: Challenge) -> str | None:
    said = [normal(text) for text in it.texts.values() if text]
    return _when(len(set(said)) < len(said), "two of the five texts are the same")


RULES: Sequence[Rule] = (
    Rule("CC-002", "all five texts are there", "", _empty),
    Rule("CC-003", "the style is one of the six", "style",
         lambda it: _when(it.style not in STYLES.values(), f"{it.style!r} is not one of the six styles")),
    Rule("CQ-002", "the challenge speaks to the reader as you", "challenge_text",
         lambda it: _when(not _YOU.search(it.challenge_text), "the challenge does not address the reader")),
    Rule("CQ-101", "setup: at least 50 characters", "setup_text", _shorter("setup_text", 50)),
    Rule("CQ-102", "setup: 2 to 4 sentences", "setup_text", _sentences("setup_text", 2, 4)),
    Rule("CQ-103", "challenge: at least 30 characters", "challenge_text", _shorter("challenge_text", 30)),
    Rule("CQ-104", "reveal when right: at least 30 characters", "reveal_correct", _shorter("reveal_correct", 30)),
    Rule("CQ-105", "reveal when right: 1 to 3 sentences", "reveal_correct", _sentences("reveal_correct", 1, 3)),
    Rule("CQ-106", "reveal when wrong: at least 30 characters", "reveal_wrong", _shorter("reveal_wrong", 30)),
    Rule("CQ-107", "reveal when wrong: 1 to 3 sentences", "reveal_wrong", _sentences("reveal_wrong", 1, 3)),
    Rule("CQ-108", "reveal when wrong: gives the answer", "reveal_wrong", _holds_answer("reveal_wrong")),
    Rule("CQ-109", "correct answer: at least 100 characters", "correct_answer", _shorter("correct_answer", 100)),
    Rule("CQ-110", "correct answer: 3 to 6 sentences", "correct_answer", _sentences("correct_answer", 3, 6)),
    Rule("CQ-111", "correct answer: gives the answer", "correct_answer", _holds_answer("correct_answer")),
    Rule("CQ-112", "there is a short answer", "style_data",
         lambda it: _when(not normal(it.answer), "the short answer is missing")),
    Rule("CQ-113", "setup and challenge do not give the answer away", "challenge_text",
         lambda it: _when(mentions(it.asked, it.answer), f"the answer {it.answer!r} stands in what is asked")),
    Rule("CQ-114", "multiple choice has 4 options, other styles none", "style_data", _options),
    Rule("CQ-115", "exactly one option is right", "style_data", _one_right),
    Rule("CQ-116", "the options differ", "style_data", _distinct),
    Rule("CQ-117", "the right option is the answer", "style_data", _right_is_answer),
    Rule("CQ-118", "gap and blank have exactly one gap, other styles none", "challenge_text", _gaps),
    Rule("CQ-119", "a statement with a blank ends in it", "challenge_text", _gap_ends),
    Rule("CQ-120", "a direct question ends with a question mark", "challenge_text",
         lambda it: _when(it.style == "direct_question" and not it.challenge_text.endswith(("?", "？")),
                          "the question has no question mark at its end")),
    Rule("CQ-121", "a reverse look-up names neither the title nor the entry", "challenge_text", _names_title),
    Rule("CQ-122", "no instructions, markup, scripts, template marks or links", "", _marked),
    Rule("CQ-123", "no two of the five texts are the same", "", _repeated),
    Rule("CQ-124", "no text speaks of the text that it was made from", "",
         lambda it: _when(bool(_SOURCE.search("\n".join(it.texts.values()))), "a text speaks of its own source")),
)  # fmt: skip


def broken_rules(row: Mapping[str, Any], fact: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong with one challenge, as it is in an answer or in the table."""
    it = challenge(row, fact)
    for rule in RULES:
        message = rule.broken(it)
        if message:
            yield Finding(rule.code, message, ".".join(part for part in (it.style, rule.field) if part))


def challenges_keep_the_rules(fact: Item, answer: Mapping[str, Any]) -> Iterator[Finding]:
    """Check of ``facts.challenges``: each style that was asked for once, none other, each by the rules."""
    wanted = [each["style"] for each in fact.context["wanted"]]
    made = [each["style"] for each in answer["challenges"]]
    for style in dict.fromkeys([*wanted, *made]):
        asked, came = wanted.count(style), made.count(style)
        if asked != came:
            yield Finding("CC-012", f"{style} was asked for {asked} times and came {came} times", style)
    for each in answer["challenges"]:
        yield from broken_rules(each, fact)


# ------------------------------------------------------------------------------------ rewriting


def rewriting_is_sound(fact: Item, answer: Mapping[str, Any]) -> Iterator[Finding]:
    """Check of ``facts.rewrite`` and ``facts.recover``: what validation would reject for its new texts is declined.

    What was wrong with the values before is no fault of the texts, and stays for validation to find.
    """
    values = {"topic": fact["topic"], "facts": as_object(fact["facts"])}
    for finding in examine({**values, **answer}, topic=fact.context["about"], entry=fact.context["source"]):
        if not finding.field.startswith("facts"):
            yield finding


# ------------------------------------------------------------------------------------ explosions


def explosion_is_sound(entry: Item, answer: Mapping[str, Any]) -> Iterator[Finding]:
    """Check of ``facts.explode``. A bad fact among good ones is a warning, as validation will reject it by itself;
    an answer of which most facts would be rejected is asked again."""
    facts = [{**fact, "facts": values_of(fact["facts"])} for fact in answer["facts"]]
    wanted = entry.context["count"]
    if not facts:
        yield Finding("EX-001", "the answer holds no fact", "facts")
    elif len(facts) < wanted:
        yield Finding("EX-002", f"{len(facts)} facts came; {wanted} were wanted", "facts", "warning")
    bad = 0
    for place, fact in enumerate(facts):
        others = [{**other, "status": "pending_validation"} for other in facts if other is not fact]
        found = list(_examined(entry, fact, others))
        bad += any(finding.severity == "error" for finding in found)
        for finding in found:
            yield replace(finding, field=f"facts[{place}].{finding.field}", severity="warning")
    if bad * 2 > len(facts):
        yield Finding("EX-003", f"{bad} of {len(facts)} facts would be rejected", "facts")
    for place, spinoff in enumerate(answer["spinoffs"]):
        name = str(spinoff["name"])
        if foreign(name) or not 1 <= len(name.strip()) <= 200:
            yield Finding("EX-004", "the name of a spin-off is no name", f"spinoffs[{place}].name")
        if spinoff["topic"].strip() not in ("", *entry.context["about"]["topics"]):
            told = f"{spinoff['topic']!r} is none of the topics for spin-offs"
            yield Finding("EX-005", told, f"spinoffs[{place}].topic", "warning")


def _examined(entry: Item, fact: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    source = {"name": entry["name"], "data": entry["data"]}
    yield from examine(fact, topic=entry.context["about"], entry=source, others=others)
