"""What the engine counts on, whatever stands behind a model: an endpoint over a socket, a program, the stand-in."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from seedbed.errors import AuthError, LimitReached, NotReadable
from seedbed.policy.retry import Again, Ended, GiveUp, History, Stop, decide
from seedbed.ports.models import Answer, Completer, Target, Trouble
from seedbed.ports.models.command import Command
from seedbed.ports.models.command.program import USUAL, Marks, Program
from seedbed.ports.models.offline import Offline
from seedbed.ports.models.openai import OpenAI
from seedbed.records import Message, Request

from .conftest import Peer, hangs, says
from .test_openai_send import Start

SHAPE = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
REQUEST = Request("default", (Message("system", "Sum up.", stable=True), Message("user", "A red fox.")), SHAPE)
TEXT = '{"a": "429: session limit, please log in"}'


@dataclass
class Model:
    """A model of one kind. ``meet`` makes it behave so from now on."""

    completer: Completer
    meet: Callable[[str], Target]

    async def answer(self, meeting: str) -> Answer:
        target = self.meet(meeting)
        return await self.completer.send(self.completer.wire(REQUEST, target), target)


def _completion(text: str) -> bytes:
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
    return json.dumps(body).encode()


def _refusal(code: str, words: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": words}}).encode()


OVER_A_SOCKET = {
    "answers": says(_completion(TEXT)),
    "is empty": says(_completion("")),
    "hangs": hangs,
    "breaks off": says(_completion(TEXT), length=4096),
    "window": says(_refusal("session_limit", "session limit, try again in 2h"), status="429 Too Many Requests"),
    "rate limit": says(_refusal("rate_limit", "slow down, rate limit"), status="429 Too Many Requests"),
    "login": says(_refusal("invalid_api_key", "expired"), status="401 Unauthorized"),
}
AS_A_PROGRAM = {
    "answers": f"printf %s '{TEXT}'",
    "is empty": "true",
    "hangs": "sleep 1000",
    "breaks off": "kill -KILL $$",
    "window": "echo 'session limit, try again in 2h' >&2; exit 1",
    "rate limit": "echo 'slow down, rate limit' >&2; exit 1",
    "login": "echo 'please log in' >&2; exit 1",
}


@pytest.fixture(params=["endpoint", "program", "stand-in"])
async def model(request: pytest.FixtureRequest, peer: Start, tmp_path: Path) -> AsyncIterator[Model]:
    completer: Completer
    meet: Callable[[str], Target]
    if request.param == "endpoint":
        completer = OpenAI()
        server: Peer = await peer(says(b""))

        def meet(meeting: str) -> Target:
            if meeting == "is not there":
                return Target("openai", "m", "http://127.0.0.1:1/v1", "a", "sk-secret", 60.0)
            server.acts[:] = [OVER_A_SOCKET[meeting]]
            return server.target(timeout=0.3 if meeting == "hangs" else 60.0)

    elif request.param == "program":
        path = tmp_path / "robot"
        marks = {means: Marks.of(words) for means, words in USUAL.items()}
        environment = {"PATH": os.environ["PATH"], "ROBOT_KEY": "sk-secret"}
        completer = Command(
            Program("robot", (str(path), "{model}", "{prompt_file}"), environment=environment, marks=marks), lambda: 0
        )

        def meet(meeting: str) -> Target:
            path.unlink(missing_ok=True)
            if meeting != "is not there":
                path.write_text(f"#!/bin/sh\n{AS_A_PROGRAM[meeting]}\n", "utf-8")
                path.chmod(0o755)
            return Target("robot", "m", "", "robot", None, 0.3 if meeting == "hangs" else 60.0)

    else:
        completer = Offline()

        def meet(meeting: str) -> Target:
            if meeting != "answers":
                pytest.skip("the stand-in always answers")
            return Target("offline", "standin", "", "offline")

    await completer.open(4)
    yield Model(completer, meet)
    await completer.close()


async def decision(model: Model, meeting: str) -> Again | GiveUp | Stop:
    """What is done about it when it is met for the first time."""
    try:
        answer = await model.answer(meeting)
        ended = Ended(status=answer.status, headers=answer.headers, body=answer.body)
    except Trouble as trouble:
        ended = Ended(trouble=trouble.kind, message=str(trouble))
    return decide(ended, History(), random=lambda: 0.5)


async def test_an_answer_is_200_and_reads_the_same_as_often_as_it_is_read(model: Model) -> None:
    answer = await model.answer("answers")
    assert answer.status == 200
    first = model.completer.read(answer.format, answer.status, answer.body)
    assert first == model.completer.read(answer.format, answer.status, answer.body)
    assert first.finish == "stop"
    assert set(json.loads(first.text)) == {"a"}


async def test_words_of_limits_in_an_answer_mean_nothing(model: Model) -> None:
    """(001.15)"""
    if isinstance(model.completer, Offline):
        pytest.skip("the stand-in says what it was asked")
    answer = await model.answer("answers")
    assert model.completer.read(answer.format, answer.status, answer.body).text == TEXT


async def test_the_same_request_is_the_same_wire_and_holds_no_secret(model: Model) -> None:
    target = model.meet("answers")
    wire = model.completer.wire(REQUEST, target)
    assert wire == model.completer.wire(REQUEST, target)
    assert b"sk-secret" not in wire.body and "sk-secret" not in str(wire.headers)
    assert b"A red fox." in wire.body and target.model.encode() in wire.body


async def test_an_empty_answer_is_a_whole_answer_that_is_empty(model: Model) -> None:
    answer = await model.answer("is empty")
    assert model.completer.read(answer.format, answer.status, answer.body).finish == "empty"


async def test_bytes_that_are_no_text_are_not_readable(model: Model) -> None:
    answer = await model.answer("answers")
    with pytest.raises(NotReadable):
        model.completer.read(answer.format, answer.status, b"\xff\xfe")


async def test_what_was_never_sent_is_asked_again_and_not_charged(model: Model) -> None:
    found = await decision(model, "is not there")
    assert isinstance(found, Again) and not found.charged and not found.doubt


@pytest.mark.parametrize("meeting", ["hangs", "breaks off"])
async def test_what_may_have_been_paid_is_in_doubt(model: Model, meeting: str) -> None:
    found = await decision(model, meeting)
    assert isinstance(found, Again) and found.charged and found.doubt


async def test_a_used_up_window_stops_the_run_with_the_time_at_which_it_opens(model: Model) -> None:
    """(001.14)"""
    found = await decision(model, "window")
    assert isinstance(found, Stop) and isinstance(found.error, LimitReached)
    assert found.error.window and found.after == 7200


async def test_a_rate_limit_is_waited_for_by_all_and_counts_as_no_try(model: Model) -> None:
    found = await decision(model, "rate limit")
    assert isinstance(found, Again) and found.limited and not found.counts


async def test_a_login_that_expired_is_no_empty_window(model: Model) -> None:
    """(001.16)"""
    found = await decision(model, "login")
    assert isinstance(found, Stop) and isinstance(found.error, AuthError)


async def test_a_call_that_is_given_up_leaves_the_next_one_alone(model: Model) -> None:
    target = model.meet("answers")
    wire = model.completer.wire(REQUEST, target)
    for turns in (0, 1, 3, 9, 27):
        call = asyncio.ensure_future(model.completer.send(wire, target))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        with suppress(asyncio.CancelledError, Trouble):
            await call
    assert (await model.completer.send(wire, target)).status == 200
