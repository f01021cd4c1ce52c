"""A server on a real socket that says byte for byte what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET

import pytest

from seedbed.ports.models import Target
from seedbed.ports.models.openai import OpenAI

Act = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Peer:
    """``acts`` are used one after the other, the last for all requests that follow."""

    acts: list[Act]
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    def target(self, *, timeout: float = 5.0, key: str | None = "sk-secret-123", model: str = "m") -> Target:
        return Target("openai", model, f"http://127.0.0.1:{self.port}/v1", "acct", key, timeout)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
            self.requests.append(head + await reader.readexactly(length))
            act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
            await act(writer)


def says(
    body: bytes, *, status: str = "200 OK", headers: str = "content-type: application/json", length: int | None = None
) -> Act:
    """A whole answer; with a larger ``length`` one that is cut."""

    async def act(writer: asyncio.StreamWriter) -> None:
        size = len(body) if length is None else length
        writer.write(f"HTTP/1.1 {status}\r\n{headers}\r\ncontent-length: {size}\r\n\r\n".encode() + body)
        await writer.drain()
        if length is not None:
            writer.close()

    return act


def says_raw(data: bytes, *, close: bool = True) -> Act:
    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if close:
            writer.close()

    return act


def streams(body: bytes, *, sizes: int = 7, ended: bool = True) -> Act:
    """A chunked event stream in small pieces."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for start in range(0, len(body), sizes):
            part = body[start : start + sizes]
            writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            await writer.drain()
        if ended:
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        else:
            writer.close()

    return act


async def hangs(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def drips(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def resets(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.fixture
async def peer() -> AsyncIterator[Callable[..., Awaitable[Peer]]]:
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[None]] = set()

    async def start(*acts: Act) -> Peer:
        made = Peer(list(acts))

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.ensure_future(made.serve(reader, writer)))

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        servers.append(server)
        made.port = server.sockets[0].getsockname()[1]
        return made

    yield start
    for server in servers:
        server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def openai() -> AsyncIterator[OpenAI]:
    adapter = OpenAI()
    await adapter.open(4)
    yield adapter
    await adapter.close()
