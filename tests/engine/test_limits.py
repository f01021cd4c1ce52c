"""Limits over a real socket: the simulator's ledger says what it granted, what it refused, and on which key."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from tests.engine.crashing import start
from tests.engine.projects import SHAPE, Table, waiting_until

from seedbed import Call, Item, Scope, Spend, Stage, fills, plan, run
from seedbed.engine.projects.origins import _values, configuration
from seedbed.errors import AuthError, ConfigError, LimitReached
from seedbed.events import KeyClosed, Waiting
from seedbed.simulator import Simulator

FEW = 8
"""Refusals that a machine under load may cause: what it lets out late comes to the server at once."""
PROMPT = "Sum up.\n<!-- item -->\n{{ text }}"


def summary(**more: Any) -> Stage:
    return Stage("q.summary", fills("questions", ["summary"]), prompt=PROMPT, **{"shape": SHAPE, **more})


def closings(project: Any) -> list[KeyClosed]:
    told: list[KeyClosed] = []
    project.listeners.append(lambda event: told.append(event) if isinstance(event, KeyClosed) else None)
    return told


def fingerprint(key: str) -> str:
    return sha256(key.encode()).hexdigest()[:8]


@pytest.fixture
def two_keys(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("KEY_ONE", "sk-one")
    monkeypatch.setenv("KEY_TWO", "sk-two")
    return {"accounts__openai": {"keys": ["KEY_ONE", "KEY_TWO"]}}


# ------------------------------------------------------------------------------------------- rates


def test_a_limit_of_the_project_file_is_used_and_never_overrun(table: Table, sim: Simulator) -> None:
    """(004.06)"""
    table.add(range(21, 101))
    sim.configure(latency_ms=20.0, rpm=1800)
    project = table.project(summary(), accounts__openai={"requests_per_minute": 1800})

    report = run(project, None, Scope(), Spend(concurrency=64))

    books = sim.summary()["limits"]["all"]
    assert report.passes[0].generated.states == {"accepted": 100}
    assert (books["granted"], books["refused"]) == (100, report.passes[0].generated.refused)
    assert books["refused"] <= FEW
    assert books["use_of_requests"] > 0.6


def test_a_tight_token_limit_fails_no_item(table: Table, sim: Simulator) -> None:
    """(000.74)"""
    table.change("update questions set text = text || printf('%.*c', id * 37 % 400, 'x')")
    sim.configure(latency_ms=20.0, tpm=60_000)
    project = table.project(summary(max_output=200), accounts__openai={"tokens_per_minute": 60_000})

    report = run(project, None, Scope(), Spend(concurrency=32))

    assert report.passes[0].generated.states == {"accepted": 20}
    assert sim.summary()["limits"]["all"]["refused"] <= FEW


@pytest.mark.parametrize("style", ["openai", "anthropic", "gemini", "none", "nonsense"])
def test_a_limit_that_nobody_told_costs_no_attempt(table: Table, sim: Simulator, style: str) -> None:
    """(000.75): whatever the provider says of its limit, and however."""
    table.add(range(21, 61))
    sim.configure(latency_ms=5.0, rpm=1200, header_style=style)

    report = run(table.project(summary(attempts=1)), None, Scope(), Spend(concurrency=64))

    books = sim.summary()["limits"]["all"]
    assert report.passes[0].generated.states == {"accepted": 60}
    assert books["granted"] == 60
    assert report.passes[0].generated.refused == books["refused"]


def test_a_refusal_with_a_time_is_obeyed_by_all_that_share_the_limit(table: Table, sim: Simulator) -> None:
    sim.configure(latency_ms=50.0, faults=[{"fault": "rate_limit", "item": "Q3Z", "times": 1, "seconds": 2.0}])
    table.add(range(21, 61))
    project = table.project(summary())
    told: list[Waiting] = []
    project.listeners.append(lambda event: told.append(event) if isinstance(event, Waiting) else None)

    report = run(project, None, Scope(), Spend(concurrency=4))

    entries = sim.ledger()
    refused = next(entry["time"] for entry in entries if entry["status"] == 429)
    between = [entry for entry in entries if refused + 0.8 < entry["time"] < refused + 1.95]
    assert (between, report.passes[0].generated.states) == ([], {"accepted": 60})


def test_a_signal_ends_a_wait_of_ten_minutes_and_no_attempt_is_raised(table: Table, sim: Simulator) -> None:
    sim.configure(latency_ms=5.0, rates={"rate_limit": 1.0}, retry_after=600.0)
    child = start(table, "plain")
    waiting_until(lambda: "429" in sim.summary()["by_status"])

    child.terminate()
    assert child.wait(60) == 143
    child.communicate()

    sim.configure(rates={})
    report = run(table.project(summary(attempts=1)))
    assert report.passes[-1].generated.states == {"accepted": 20}


def test_calls_at_once_are_bound_by_the_account(table: Table, sim: Simulator) -> None:
    sim.configure(latency_ms=10.0)
    project = table.project(summary(), accounts__openai={"concurrency": 3})
    run(project, None, Scope(), Spend(concurrency=16))
    assert sim.summary()["peak_in_flight"] == 3


def test_large_items_do_not_starve_small_ones_of_another_model(table: Table, sim: Simulator) -> None:
    """Both models draw on one account. First come, first served would let in a large one for each small one."""
    sim.configure(latency_ms=5.0)
    words = "words and words " * 200

    async def ask(item: Item, call: Call) -> Any:
        if item["id"] % 2:
            return await call("large", "{{ words }} {{ q.text }}", SHAPE, tier="mid", q=item, words=words)
        return await call("small", "{{ q.text }}", SHAPE, q=item)

    stage = Stage("q.mixed", fills("questions", ["summary"]), ask=ask, inputs=("id", "text"))
    project = table.project(stage, accounts__openai={"tokens_per_minute": 240_000})

    report = run(project, None, Scope(), Spend(concurrency=20))

    assert report.error is None, report.error
    models = [entry["model"] for entry in sim.ledger()]
    last_small = max(at for at, model in enumerate(models) if model == "test")
    assert report.passes[0].generated.states == {"accepted": 20}
    assert models[:last_small].count("test-mid") <= 5


# -------------------------------------------------------------------------------------------- keys


def test_two_keys_share_the_work_each_under_its_own_limit(
    table: Table, sim: Simulator, two_keys: dict[str, Any]
) -> None:
    """(000.20)"""
    table.add(range(21, 81))
    sim.configure(latency_ms=10.0, key_limits={"sk-one": {"rpm": 1200}, "sk-two": {"rpm": 1200}})
    two_keys["accounts__openai"]["requests_per_minute"] = 1200

    report = run(table.project(summary(), **two_keys), None, Scope(), Spend(concurrency=32))

    limits = sim.summary()["limits"]
    assert report.passes[0].generated.states == {"accepted": 80}
    assert all(limits[fingerprint(key)]["refused"] <= FEW for key in ("sk-one", "sk-two"))
    assert all(limits[fingerprint(key)]["granted"] >= 30 for key in ("sk-one", "sk-two"))


@pytest.mark.parametrize("kind", ["dead_keys", "empty_keys"])
def test_a_dead_key_is_set_aside_with_one_message_and_the_others_go_on(
    table: Table, sim: Simulator, two_keys: dict[str, Any], kind: str
) -> None:
    sim.configure({"latency_ms": 10.0, kind: ["sk-two"]})
    project = table.project(summary(attempts=1), **two_keys)
    told = closings(project)

    report = run(project, None, Scope(), Spend(concurrency=8))

    assert report.passes[0].generated.states == {"accepted": 20}
    (closed,) = told
    assert (closed.account, closed.key, closed.others) == ("openai", "openai/KEY_TWO", ("openai/KEY_ONE",))
    assert closed.why == ("key refused" if kind == "dead_keys" else "no credit")
    assert sim.summary()["by_status"]["200"] == 20


@pytest.mark.parametrize(("kind", "error"), [("dead_keys", AuthError), ("empty_keys", LimitReached)])
def test_when_no_key_is_left_the_run_ends_at_once(
    table: Table, sim: Simulator, two_keys: dict[str, Any], kind: str, error: type[Exception]
) -> None:
    sim.configure({"latency_ms": 10.0, kind: ["sk-one", "sk-two"]})
    project = table.project(summary(), **two_keys)

    report = run(project, None, Scope(), Spend(concurrency=4))

    assert isinstance(report.error, error)
    assert report.error.exit_code == (6 if kind == "dead_keys" else 75)
    assert sim.summary()["requests"] <= 8


def test_one_of_two_keys_may_be_missing_and_none_of_them_appears_anywhere(
    table: Table, sim: Simulator, two_keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KEY_TWO")
    report = run(table.project(summary(), **two_keys), None, Scope(), Spend(concurrency=4))
    assert report.passes[0].generated.states == {"accepted": 20}
    written = b"".join(path.read_bytes() for path in table.root.rglob("*") if path.is_file())
    assert b"sk-one" not in written and b"openai/KEY_ONE" in written


def test_one_key_in_two_accounts_is_refused(
    table: Table, two_keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_THREE", "sk-one")
    for keys, words in ((["KEY_ONE"], "KEY_ONE is in"), (["KEY_THREE"], "The key of KEY_THREE is in")):
        with pytest.raises(ConfigError, match=words):
            run(table.project(summary(), **two_keys, accounts__other={"keys": keys}))


def test_a_key_in_place_of_its_name_is_refused_and_not_shown(table: Table) -> None:
    for key in ("sk-live-0123456789", "AIzaSyD0123456789abcdef"):
        project = table.project(summary(), accounts__openai={"keys": [key]})
        with pytest.raises(ConfigError, match="not the name of a variable") as raised:
            run(project)
        assert key not in str(raised.value)
        shown = [value for value in _values(project) if value.name == "accounts.openai"]
        assert [value.value for value in shown] == [{"keys": ["…"]}]


def test_the_configuration_names_each_key_of_an_account(table: Table, two_keys: dict[str, Any]) -> None:
    found = configuration(table.project(summary(), **two_keys)).keys
    assert [(key.variable, key.found) for key in found][:2] == [
        ("KEY_ONE", "the environment"),
        ("KEY_TWO", "the environment"),
    ]


def test_a_plan_counts_the_keys_that_are_set(
    table: Table, two_keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(table.project(summary(), **two_keys), None, Scope(limit=3))
    two_keys["accounts__openai"]["requests_per_minute"] = 10

    (both,) = plan(table.project(summary(), **two_keys))
    monkeypatch.delenv("KEY_TWO")
    (one,) = plan(table.project(summary(), **two_keys))

    assert (both.calls, both.pace, both.seconds) == (17, "20 requests a minute", 51.0)
    assert (one.calls, one.pace, one.seconds) == (17, "10 requests a minute", 102.0)


def test_two_variables_with_one_key_are_one_key(
    table: Table, sim: Simulator, two_keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_TWO", "sk-one")
    sim.configure(dead_keys=["sk-one"])
    report = run(table.project(summary(), **two_keys), None, Scope(), Spend(concurrency=1))
    assert isinstance(report.error, AuthError)
    assert sim.summary()["requests"] == 1
