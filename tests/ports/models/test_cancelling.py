"""Calls that are given up at any moment leave no socket, no task and no handle behind."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from seedbed.ports.models import Trouble
from seedbed.ports.models.openai import OpenAI

from .conftest import hangs, says
from .test_openai_send import REQUEST, WHOLE, Start

LONGEST = 40


def handles_open() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def turns(count: int) -> None:
    """Let the loop go round so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def given_up(openai: OpenAI, target: object, after: int) -> bool:
    """Whether a call was still under way after so many turns of the loop, and was cancelled."""
    call = asyncio.ensure_future(openai.send(openai.wire(REQUEST, target), target))  # type: ignore[arg-type]
    await turns(after)
    cancelled = call.cancel()
    with suppress(asyncio.CancelledError, Trouble):
        await call
    return cancelled


async def test_a_call_can_be_given_up_at_any_turn_and_the_next_one_works(peer: Start, openai: OpenAI) -> None:
    """(fault 38)"""
    server = await peer(says(WHOLE))
    target = server.target()
    cancelled = [await given_up(openai, target, after) for after in range(LONGEST)]
    assert cancelled[0]
    answer = await openai.send(openai.wire(REQUEST, target), target)
    assert (answer.status, answer.body) == (200, WHOLE)


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.torture)])
async def test_calls_that_were_given_up_leave_nothing_open(peer: Start, openai: OpenAI, count: int) -> None:
    """(fault 39)"""
    server = await peer(hangs)
    target = server.target()
    await asyncio.gather(*(given_up(openai, target, LONGEST) for _ in range(10)))
    await turns(LONGEST)
    handles, tasks = handles_open(), len(asyncio.all_tasks())
    for _ in range(count // 20):
        await asyncio.gather(*(given_up(openai, target, 5) for _ in range(20)))
    await turns(10 * LONGEST)
    assert handles_open() <= handles + 2
    assert len(asyncio.all_tasks()) <= tasks + 2
