"""Repair beside other libraries, on cases whose truth is known: right, silently wrong, refused, and speed.

    python -m bench.repair --seed 1 --each 20

The others are installed into an environment of their own in a temporary folder, which is removed again; they are no
dependencies of ours and stand in no lock.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.policy.repair_cases import Case, cases

from seedbed.errors import NotRepairable
from seedbed.policy.repair import repair_json

OTHERS = ("json_repair[schema]", "dirtyjson", "demjson3", "json5", "hjson", "fast_json_repair", "partial-json-parser")
_WORKER = """
import importlib, json, sys, time
CALLS = {
    "json_repair": lambda m, t, s: m.loads(t),
    "json_repair + schema": lambda m, t, s: m.loads(t, schema=s),
    "dirtyjson": lambda m, t, s: m.loads(t),
    "demjson3": lambda m, t, s: m.decode(t),
    "json5": lambda m, t, s: m.loads(t),
    "hjson": lambda m, t, s: m.loads(t),
    "fast_json_repair": lambda m, t, s: m.loads(t),
    "partial-json-parser": lambda m, t, s: m.loads(t),
    "json": lambda m, t, s: m.loads(t),
}
name = sys.argv[1]
module = importlib.import_module(name.split(" ")[0].replace("-", "_"))
call = CALLS[name]
for line in sys.stdin:
    text, schema = json.loads(line)
    began = time.process_time()
    try:
        value = call(module, text, schema)
        # What is no object and no list counts as a refusal, in their favour.
        found = [json.loads(json.dumps(value))] if isinstance(value, (dict, list)) else []
    except Exception:
        found = []
    took = time.process_time() - began
    print(json.dumps([found, took]), flush=True)
"""


def same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def verdict(one: Case, found: Sequence[Any]) -> str:
    if not found:
        return "refused"
    return "right" if one.sort != "refuse" and same(found[0], one.truth) else "wrong"


Results = Iterator[tuple[str, float]]


def ours(chosen: Sequence[Case], *, blind: bool) -> Results:
    for one in chosen:
        began = time.process_time()
        try:
            found = repair_json(one.text, None if blind else one.schema)
        except NotRepairable:
            yield "refused", time.process_time() - began
            continue
        took = time.process_time() - began
        yield "doubtful" if found.doubtful else verdict(one, [found.value]), took


def theirs(chosen: Sequence[Case], python: Path, name: str) -> Results:
    lines = "".join(json.dumps([one.text, one.schema]) + "\n" for one in chosen)
    done = subprocess.run([str(python), "-c", _WORKER, name], input=lines, capture_output=True, text=True, check=False)
    answers = done.stdout.splitlines()
    if len(answers) != len(chosen):
        raise RuntimeError(f"{name} ended early: {done.stderr[-300:]}")
    for one, answer in zip(chosen, answers, strict=True):
        found, took = json.loads(answer)
        yield verdict(one, found), took


def line(name: str, chosen: Sequence[Case], run: Callable[[], Results]) -> str:
    counts: Counter[tuple[str, str]] = Counter()
    seconds = 0.0
    for one, (result, took) in zip(chosen, run(), strict=True):
        counts[one.sort, result] += 1
        seconds += took
    size = sum(len(one.text.encode("utf-8", "replace")) for one in chosen)
    truth = sum(number for (sort, _), number in counts.items() if sort == "truth")
    must = sum(number for (sort, _), number in counts.items() if sort == "refuse")

    def of(result: str) -> float:
        return 100 * sum(number for (_, what), number in counts.items() if what == result) / len(chosen)

    exact = 100 * counts["truth", "right"] / truth
    answered = 100 * counts["refuse", "wrong"] / must
    shares = f"{exact:.1f} | {of('refused'):.1f} | {of('doubtful'):.1f} | {of('wrong'):.2f} | {answered:.1f}"
    return f"| {name} | {shares} | {size / seconds / 1e6:.2f} |"


def table(seed: int, each: int, *, others: bool = True) -> Iterator[str]:
    chosen = [one for one in cases(seed, each) if "\ud800" not in one.text]
    yield f"{len(chosen)} cases, seed {seed}"
    yield "| tool | exact, of what is all there | refused | doubtful | silent damage | answered what cannot be | MB/s |"
    yield "|---|---|---|---|---|---|---|"
    yield line("seedbed, with schema", chosen, lambda: ours(chosen, blind=False))
    yield line("seedbed, blind", chosen, lambda: ours(chosen, blind=True))
    if not others:
        return
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for name in OTHERS:
            if subprocess.run([*install, name], check=False, stderr=subprocess.DEVNULL).returncode:
                yield f"| {name} | could not be installed | | | | | |"
                continue
            bare = name.partition("[")[0]
            for each_name in (bare, *(["json_repair + schema"] if bare == "json_repair" else [])):
                try:
                    yield line(each_name, chosen, lambda n=each_name: theirs(chosen, python, n))  # type: ignore[misc]
                except RuntimeError as error:
                    yield f"| {each_name} | {error} | | | | | |"
        yield line("json", chosen, lambda: theirs(chosen, python, "json"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--alone", action="store_true", help="without the other libraries")
    given = parser.parse_args(sys.argv[1:])
    for each in table(given.seed, given.each, others=not given.alone):
        print(each, flush=True)


if __name__ == "__main__":
    main()
