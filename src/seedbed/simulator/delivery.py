"""Puts bodies on the socket, well or badly, and says whether the whole of one got there."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple, NoReturn

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter


class Delivered(NamedTuple):
    response: web.StreamResponse
    whole: bool


async def send(request: web.BaseRequest, status: int, headers: Mapping[str, str], body: bytes) -> Delivered:
    response = web.Response(status=status, headers=headers, body=body)
    try:
        writer = await response.prepare(request)
        await response.write_eof()
        return Delivered(response, await _flushed(request, writer))
    except ConnectionError:
        return Delivered(response, False)


async def send_parts(request: web.BaseRequest, headers: Mapping[str, str], parts: Iterable[bytes]) -> Delivered:
    """A chunked body, each part written by itself."""
    response = web.StreamResponse(headers=headers)
    response.enable_chunked_encoding()
    try:
        writer = await response.prepare(request)
        for part in parts:
            await response.write(part)
        await response.write_eof()
        return Delivered(response, await _flushed(request, writer))
    except ConnectionError:
        return Delivered(response, False)


async def drip(
    request: web.BaseRequest, headers: Mapping[str, str], body: bytes, pause: float, stopping: asyncio.Event
) -> Delivered:
    """One byte, a pause, the next byte."""
    response = web.StreamResponse(headers=headers)
    response.content_length = len(body)
    try:
        writer = await response.prepare(request)
        for place in range(len(body)):
            if place and await happened(stopping, pause):
                return Delivered(response, False)
            await response.write(body[place : place + 1])
        await response.write_eof()
        return Delivered(response, await _flushed(request, writer))
    except ConnectionError:
        return Delivered(response, False)


async def cut(request: web.BaseRequest, headers: Mapping[str, str], body: bytes, size: int, *, chunked: bool) -> bool:
    """The first `size` bytes of a longer body, then a reset; True when that was all of it."""
    response = web.StreamResponse(headers=headers)
    if chunked:
        response.enable_chunked_encoding()
    else:
        response.content_length = len(body)
    try:
        writer = await response.prepare(request)
        await response.write(body[:size])
        flushed = await _flushed(request, writer)
    except ConnectionError:
        flushed = False
    return flushed and size >= len(body) and not chunked


async def reset(request: web.BaseRequest) -> NoReturn:
    """Ends the connection so that the client sees a reset, and this task with it."""
    transport = request.transport
    if transport is not None:
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    raise asyncio.CancelledError


async def happened(event: asyncio.Event, within: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), within)
    except TimeoutError:
        return False
    return True


async def _flushed(request: web.BaseRequest, writer: AbstractStreamWriter | None) -> bool:
    """Waits until the kernel has every byte."""
    transport = request.transport
    if writer is None or transport is None or transport.is_closing():
        return False
    if transport.get_write_buffer_size():
        transport.set_write_buffer_limits(high=0)
        await writer.drain()
        transport.set_write_buffer_limits()
    return not transport.is_closing()
