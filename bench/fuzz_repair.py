"""Fuzzing of repair for a given time: `python -m bench.fuzz_repair --minutes 60 --seed 1`.

Cases of both generators, and damage done at random to their texts. Checked: the law of conservation, that mending what
was mended changes nothing, that no known truth is silently damaged, and that time stays linear. Harms that leave no
trace (a mark thrown into the middle of a text, lines lost, ends cut) are counted apart. Ends with 1 at a find.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from typing import Any

from tests.policy.harm_cases import HARMS, Harm, harm
from tests.policy.repair_cases import FAULTS, Case, case

from seedbed.errors import NotRepairable
from seedbed.policy.edits import applied, undone
from seedbed.policy.repair import repair_json

_SIGNS = "\"'{}[],:\\ \n“”„«»/#*.…`&;()<>0123456789eE+-ntu\u00a0\u200b\ufeff，："
SECONDS_PER_MEGABYTE = 4.0
START = 0.05


def same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


TRACELESS = ("thrown", "cut", "middle", "lines")


def harmed(draw: random.Random, text: str) -> str:
    """The text with a few characters changed, left out, doubled, moved or cut off."""
    for _ in range(draw.choice([1, 1, 2, 3, 8])):
        at = draw.randrange(len(text) + 1)
        end = min(len(text), at + draw.choice([0, 1, 1, 2, 5, 40]))
        choice = draw.randrange(5)
        if choice == 0:
            text = text[:at] + draw.choice(_SIGNS) + text[at:]
        elif choice == 1:
            text = text[:at] + text[end:]
        elif choice == 2:
            text = text[:at] + draw.choice(_SIGNS) + text[end:]
        elif choice == 3:
            text = text[:end] + text[at:]
        else:
            text = text[:at]
        if not text:
            break
    return text


def failure(text: str, schema: Any, one: Case | Harm | None, counts: Counter[str]) -> str | None:
    """What is wrong with the reading of a text; None if nothing is."""
    began = time.process_time()
    try:
        found = repair_json(text, schema)
    except NotRepairable as error:
        counts["refused"] += 1
        if time.process_time() - began > START + SECONDS_PER_MEGABYTE * len(text) / 1e6:
            return "too slow to refuse"
        return "edits that do not lead back" if error.code == "not_conserved" else None
    if time.process_time() - began > START + SECONDS_PER_MEGABYTE * len(text) / 1e6:
        return "too slow"
    counts["doubtful" if found.doubtful else "read"] += 1
    mended = applied(text, found.edits)
    if undone(mended, found.edits) != text:
        return "not conserved"
    if not found.doubtful:
        again = repair_json(mended, schema)
        if again.edits or not same(again.value, found.value):
            return "not idempotent"
        if one is not None and not _is_true(found.value, one):
            if isinstance(one, Harm) and (one.valid or any(word in one.kind for word in TRACELESS)):
                counts["without a trace"] += 1
                return None
            return "silent damage"
    return None


def _is_true(value: Any, one: Case | Harm) -> bool:
    return not (isinstance(one, Case) and one.sort == "refuse") and same(value, one.truth)


def drawn(draw: random.Random, seed: int, number: int) -> Case | Harm | None:
    if draw.random() < 0.5:
        return case(draw.choice(list(FAULTS)), seed, number)
    return harm(draw.choice(list(HARMS)), seed, number)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(sys.argv[1:])
    draw = random.Random(given.seed)
    end = time.monotonic() + 60 * given.minutes
    counts: Counter[str] = Counter()
    number = finds = 0
    while time.monotonic() < end:
        number += 1
        one = drawn(draw, given.seed, number)
        if one is None:
            continue
        schema = draw.choice([one.schema, None])
        intact = draw.random() < 0.4
        text = one.text if intact else harmed(draw, one.text)
        try:
            wrong = failure(text, schema, one if intact else None, counts)
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        if wrong is not None:
            finds += 1
            print(json.dumps([wrong, one.kind, schema is None, text]), flush=True)
    print(f"{number} texts, {dict(counts)}, {finds} finds, seed {given.seed}")
    return 1 if finds else 0


if __name__ == "__main__":
    sys.exit(main())
