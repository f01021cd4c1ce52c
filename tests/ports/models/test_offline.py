from __future__ import annotations

import orjson
import pytest

from seedbed.errors import ConfigError
from seedbed.ports.models import Target
from seedbed.ports.models.offline import Offline
from seedbed.ports.models.openai import OpenAI
from seedbed.ports.models.registry import completer, provider
from seedbed.records import Message, Request
from seedbed.simulator.client import Simulator

SHAPE = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
TARGET = Target("offline", "standin", "", "offline")
REQUEST = Request("default", (Message("system", "Name it."), Message("user", "A red fox.")), SHAPE)


async def test_the_stand_in_answers_the_shape_from_the_prompts_words() -> None:
    offline = completer("offline")
    await offline.open(1)
    answer = await offline.send(offline.wire(REQUEST, TARGET), TARGET)
    reply = offline.read(answer.format, answer.status, answer.body)
    assert (reply.model, reply.finish) == ("standin", "stop")
    assert "fox" in orjson.loads(reply.text)["a"]
    assert reply.usage is not None and reply.usage.input == 5 and reply.usage.output > 0
    assert answer == await offline.send(offline.wire(REQUEST, TARGET), TARGET)
    await offline.close()


async def test_the_stand_in_says_the_same_here_and_over_the_simulators_socket() -> None:
    offline, openai = Offline(), OpenAI()
    await openai.open(1)
    with Simulator() as model:
        target = Target("openai", "m", model.url, "a")
        there = await openai.send(openai.wire(REQUEST, target), target)
    await openai.close()
    here = await offline.send(offline.wire(REQUEST, TARGET), TARGET)
    assert openai.read("json", 200, there.body).text == offline.read("json", 200, here.body).text


async def test_the_stand_in_keeps_to_the_output_maximum() -> None:
    offline = Offline()
    request = Request("default", REQUEST.messages, None, {"max_output": 1})
    answer = await offline.send(offline.wire(request, TARGET, stream=True), TARGET)
    reply = offline.read(answer.format, answer.status, answer.body)
    assert reply.finish == "length" and len(reply.text) == 4


async def test_rules_that_are_not_there_are_a_config_error() -> None:
    with pytest.raises(ConfigError):
        await Offline(["seedbed.nowhere"]).open(1)


def test_an_unknown_provider_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match='did you mean "openai"'):
        completer("opennai")


def test_an_unknown_option_is_a_config_error() -> None:
    with pytest.raises(ConfigError):
        completer("openai", {"nothing": 1})


def test_the_environment_may_name_the_endpoint() -> None:
    openai = provider("openai")
    assert openai.base({}) == "https://api.openai.com/v1"
    assert openai.base({"OPENAI_BASE_URL": "http://here/v1"}) == "http://here/v1"
    assert openai.key == "OPENAI_API_KEY" and provider("offline").base({}) == ""
