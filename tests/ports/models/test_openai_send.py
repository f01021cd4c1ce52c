from __future__ import annotations

import asyncio
import gzip
import socket
import zlib
from collections.abc import Awaitable, Callable

import orjson
import pytest

from seedbed.errors import ConfigError
from seedbed.ports.models import Completer, Target, Trouble, Wire
from seedbed.ports.models.openai import LONGEST_BODY, OpenAI
from seedbed.records import Message, Request, Usage
from seedbed.simulator.client import Simulator
from tests.ports.models.conftest import Act, Peer, drips, hangs, resets, says, says_raw, streams

REQUEST = Request("default", (Message("user", "hi"),))
WHOLE = orjson.dumps(
    {
        "model": "m-2026",
        "choices": [{"index": 0, "message": {"content": "hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    }
)
EVENTS = (
    b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"h\xc3\xa9"}}]}\n\n'
    b': keep-alive\n\ndata: {"choices":[{"index":0,"delta":{"content":"y"},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n'
)
DONE = b"data: [DONE]\n\n"

Start = Callable[..., Awaitable[Peer]]


async def trouble(openai: OpenAI, target: Target) -> Trouble:
    with pytest.raises(Trouble) as caught:
        await openai.send(openai.wire(REQUEST, target), target)
    return caught.value


async def test_a_whole_answer_comes_back_byte_for_byte_with_the_headers_that_matter(
    peer: Start, openai: OpenAI
) -> None:
    completer: Completer = openai
    headers = (
        "Content-Type: application/json\r\nX-RateLimit-Remaining-Requests: 4\r\nRetry-After-Ms: 5\r\n"
        "Set-Cookie: a=b\r\nX-Request-Id: r1\r\nServer: x\r\nDate: Thu, 20 Nov 2026 08:00:00 GMT"
    )
    server = await peer(says(WHOLE, headers=headers))
    answer = await completer.send(completer.wire(REQUEST, server.target()), server.target())
    assert (answer.status, answer.body, answer.format) == (200, WHOLE, "json")
    assert answer.headers == {
        "content-type": "application/json",
        "x-ratelimit-remaining-requests": "4",
        "retry-after-ms": "5",
        "x-request-id": "r1",
        "date": "Thu, 20 Nov 2026 08:00:00 GMT",
    }
    reply = completer.read(answer.format, answer.status, answer.body)
    assert (reply.text, reply.usage, reply.model, reply.finish) == ("hello", Usage(3, 0, 1), "m-2026", "stop")


async def test_the_key_goes_into_the_header_and_nowhere_else(peer: Start, openai: OpenAI) -> None:
    server = await peer(says(WHOLE))
    wire = openai.wire(REQUEST, server.target())
    await openai.send(wire, server.target())
    assert b"authorization: bearer sk-secret-123" in server.requests[0].lower()
    assert "sk-secret" not in repr((wire, server.target()))
    assert server.requests[0].endswith(wire.body)
    assert server.requests[0].startswith(b"POST /v1/chat/completions HTTP/1.1")


async def test_a_stored_wire_with_other_headers_is_sent_with_them(peer: Start, openai: OpenAI) -> None:
    server = await peer(says(WHOLE))
    await openai.send(Wire("/other", b"{}", {"x-own": "1"}), server.target(key=None))
    assert b"x-own: 1" in server.requests[0].lower() and b"authorization" not in server.requests[0].lower()
    assert server.requests[0].startswith(b"POST /v1/other ")


async def test_connections_are_used_again_and_no_cookie_goes_back(peer: Start, openai: OpenAI) -> None:
    server = await peer(says(WHOLE, headers="set-cookie: a=b"))
    for _ in range(3):
        await openai.send(openai.wire(REQUEST, server.target()), server.target())
    assert server.connections == 1
    assert not any(b"cookie" in request.lower() for request in server.requests)


async def test_an_error_status_is_an_answer_too(peer: Start, openai: OpenAI) -> None:
    server = await peer(says(b'{"error":{}}', status="429 Too Many", headers="retry-after: 2"))
    answer = await openai.send(openai.wire(REQUEST, server.target()), server.target())
    assert (answer.status, answer.headers["retry-after"]) == (429, "2")


async def test_a_redirect_is_not_followed(peer: Start, openai: OpenAI) -> None:
    server = await peer(says(b"", status="307 Moved", headers="location: /elsewhere"))
    answer = await openai.send(openai.wire(REQUEST, server.target()), server.target())
    assert answer.status == 307 and len(server.requests) == 1


async def test_a_refused_connection_was_never_sent(openai: OpenAI) -> None:
    """(fault 54)"""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        found = await trouble(openai, Target("openai", "m", f"http://127.0.0.1:{port}/v1", "a"))
    assert found.kind == "connect" and not found.sent


async def test_a_name_that_does_not_resolve_was_never_sent(openai: OpenAI) -> None:
    """(fault 54)"""
    found = await trouble(openai, Target("openai", "m", "http://nowhere.invalid/v1", "a"))
    assert found.kind == "connect"


async def test_a_server_that_does_not_speak_tls_was_never_sent_anything(peer: Start, openai: OpenAI) -> None:
    """(fault 54)"""
    server = await peer(says(WHOLE))
    found = await trouble(openai, Target("openai", "m", f"https://127.0.0.1:{server.port}/v1", "a", timeout=2))
    assert found.kind == "connect" and not server.requests


async def test_a_connection_that_is_not_taken_in_time_was_never_sent(openai: OpenAI) -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        await asyncio.sleep(0.05)
        port = full.getsockname()[1]
        found = await trouble(openai, Target("openai", "m", f"http://127.0.0.1:{port}/v1", "a", timeout=0.5))
    assert found.kind == "connect"


@pytest.mark.parametrize("act", [hangs, drips])
async def test_silence_and_a_slow_drip_end_at_the_total_deadline(peer: Start, openai: OpenAI, act: Act) -> None:
    """(fault 49)"""
    server = await peer(act)
    found = await trouble(openai, server.target(timeout=0.3))
    assert found.kind == "timeout" and found.sent


async def test_a_hanging_call_does_not_hold_up_the_others(peer: Start, openai: OpenAI) -> None:
    """(fault 49)"""
    asked = asyncio.Event()

    async def notes_and_hangs(writer: asyncio.StreamWriter) -> None:
        asked.set()
        await hangs(writer)

    server = await peer(notes_and_hangs, says(WHOLE))
    slow = asyncio.ensure_future(trouble(openai, server.target(timeout=60)))
    await asked.wait()
    answer = await openai.send(openai.wire(REQUEST, server.target()), server.target())
    assert answer.status == 200 and not slow.done()
    slow.cancel()


@pytest.mark.parametrize("size", [0, 1, len(WHOLE) // 2, len(WHOLE) - 1])
async def test_an_answer_shorter_than_its_stated_length_is_cut(peer: Start, openai: OpenAI, size: int) -> None:
    server = await peer(says(WHOLE[:size], length=len(WHOLE)))
    assert (await trouble(openai, server.target())).kind == "cut"


@pytest.mark.parametrize(
    "act",
    [
        resets,
        says_raw(b""),
        says_raw(b"HTTP/1.1 200"),
        says_raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhe"),
        says_raw(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + WHOLE[:-1]),
        says_raw(b"\x00\xff nonsense\r\n\r\n"),
        says_raw(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nplain"),
    ],
    ids=["reset", "closed", "half a head", "half a chunk", "no length", "not http", "no gzip"],
)
async def test_an_answer_that_breaks_off_is_cut(peer: Start, openai: OpenAI, act: Act) -> None:
    server = await peer(act)
    assert (await trouble(openai, server.target(timeout=2))).kind == "cut"


async def test_a_body_without_length_counts_when_it_is_whole_json(peer: Start, openai: OpenAI) -> None:
    server = await peer(says_raw(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + WHOLE))
    answer = await openai.send(openai.wire(REQUEST, server.target()), server.target())
    assert answer.body == WHOLE


async def test_a_kept_connection_that_the_server_drops_is_in_doubt_and_not_sent_again(
    peer: Start, openai: OpenAI
) -> None:
    server = await peer(says(WHOLE), resets)
    await openai.send(openai.wire(REQUEST, server.target()), server.target())
    assert (await trouble(openai, server.target())).kind == "cut"
    assert len(server.requests) == 2


async def test_a_packed_answer_is_unpacked(peer: Start, openai: OpenAI) -> None:
    server = await peer(says(gzip.compress(WHOLE), headers="content-encoding: gzip"))
    assert (await openai.send(openai.wire(REQUEST, server.target()), server.target())).body == WHOLE


async def test_a_gzip_bomb_is_cut_off_at_the_longest_body(peer: Start, openai: OpenAI) -> None:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    block = b" " * (1 << 20)
    bomb = b"".join(packer.compress(block) for _ in range(3 * LONGEST_BODY >> 20)) + packer.flush()
    server = await peer(says(bomb, headers="content-encoding: gzip"))
    found = await trouble(openai, server.target(timeout=20))
    assert found.kind == "cut" and "32 MB" in str(found)


async def test_a_body_over_the_longest_is_cut_off_whatever_length_it_states(peer: Start, openai: OpenAI) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n"
    server = await peer(says_raw(head + b" " * (LONGEST_BODY + 70000)))
    assert "32 MB" in str(await trouble(openai, server.target(timeout=20)))


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
async def test_a_stream_is_kept_as_it_came_and_reads_the_same_for_every_split(
    peer: Start, openai: OpenAI, size: int
) -> None:
    """(fault 48)"""
    server = await peer(streams(EVENTS + DONE, sizes=size))
    answer = await openai.send(openai.wire(REQUEST, server.target(), stream=True), server.target())
    assert (answer.format, answer.body) == ("sse", EVENTS + DONE)
    reply = openai.read("sse", 200, answer.body)
    assert (reply.text, reply.usage, reply.finish) == ("héy", Usage(3, 0, 1), "stop")


@pytest.mark.parametrize(
    "act",
    [
        streams(EVENTS),
        streams(EVENTS, ended=False),
        streams(EVENTS + DONE, ended=False),
        streams(b""),
        streams(b'data: {"choices":[{"index":0,"delta":{"content":"data: [DONE]"}}]}\n\n'),
    ],
    ids=["no end event", "cut", "cut after the end event", "nothing", "end event in the text"],
)
async def test_a_stream_without_its_end_is_cut(peer: Start, openai: OpenAI, act: Act) -> None:
    server = await peer(act)
    assert (await trouble(openai, server.target())).kind == "cut"


async def test_an_error_inside_a_stream_is_a_cut_with_its_words(peer: Start, openai: OpenAI) -> None:
    """(fault 48)"""
    body = EVENTS + b'event: error\ndata: {"error":{"message":"over\\u0007loaded"}}\n\n' + DONE
    server = await peer(streams(body))
    found = await trouble(openai, server.target())
    assert found.kind == "cut" and "over loaded" in str(found)


@pytest.mark.parametrize("base", ["ftp://host/v1", "nothing", "", "http://", "http://me:word@host/v1"])
async def test_a_base_url_that_is_none_is_a_config_error(openai: OpenAI, base: str) -> None:
    target = Target("openai", "m", base, "a")
    with pytest.raises(ConfigError):
        await openai.send(openai.wire(REQUEST, target), target)


async def test_a_key_with_a_line_break_is_refused_without_being_shown(openai: OpenAI) -> None:
    target = Target("openai", "m", "http://127.0.0.1:1/v1", "a", "sk-secret\r\nx: y")
    with pytest.raises(ConfigError) as caught:
        await openai.send(openai.wire(REQUEST, target), target)
    assert "secret" not in str(caught.value)


async def test_the_simulator_is_understood_whole_streamed_and_when_it_refuses_a_schema() -> None:
    shape = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    request = Request("default", (Message("user", "A red fox."),), shape, {"max_output": 100})
    faults = [{"fault": "schema_refused"}, {"fault": "stream_duplicate", "nth": 2}]
    openai = OpenAI()
    await openai.open(4)
    with Simulator(faults=faults) as model:
        target = Target("openai", "m", model.url, "a", "k", 10)
        refused = await openai.send(openai.wire(request, target), target)
        assert refused.status == 400
        assert openai.learn(target, refused.status, refused.body)
        assert orjson.loads(openai.wire(request, target).body)["response_format"] == {"type": "json_object"}
        texts = []
        for stream in (False, True, True):
            answer = await openai.send(openai.wire(request, target, stream=stream), target)
            assert answer.format == ("sse" if stream else "json")
            reply = openai.read(answer.format, answer.status, answer.body)
            assert reply.finish == "stop" and reply.usage is not None and reply.usage.output > 0
            texts.append(reply.text)
    await openai.close()
    assert len(set(texts)) == 1 and "fox" in texts[0]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("hang", "timeout"), ("slow_drip", "timeout"), ("cut", "cut"), ("reset", "cut")],
)
async def test_faults_of_the_simulator_are_the_trouble_they_are(openai: OpenAI, fault: str, kind: str) -> None:
    with Simulator(faults=[{"fault": fault, "times": None}]) as model:
        found = await trouble(openai, Target("openai", "m", model.url, "a", "k", 1.0))
    assert found.kind == kind
