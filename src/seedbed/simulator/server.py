"""The HTTP face: reads a request, asks the desk, puts the answer or the fault on the socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

import orjson
from aiohttp import web

from seedbed.simulator import delivery, refusals
from seedbed.simulator.calls import Call, read_call, unreadable
from seedbed.simulator.completions import DONE, NOT_JSON, Completion, bomb, error_event, split
from seedbed.simulator.config import Settings
from seedbed.simulator.damage import HUGE
from seedbed.simulator.delivery import Delivered
from seedbed.simulator.desk import Desk
from seedbed.simulator.faults import FaultRule
from seedbed.simulator.latency import latency
from seedbed.simulator.ledger import Entry, Ledger
from seedbed.simulator.refusals import Refusal

JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
HTML = {"content-type": "text/html; charset=utf-8"}
_DRIP_SECONDS = 1.0
_LATE_SECONDS = 5.0

_Route = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class ModelServer:
    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self.ledger = ledger
        self.desk = Desk(settings, ledger)
        self.stopping = asyncio.Event()
        self._routes: dict[tuple[str, str], _Route] = {
            ("POST", "/v1/chat/completions"): self._chat,
            ("GET", "/v1/models"): self._models,
            ("GET", "/ledger"): self._entries,
            ("GET", "/ledger/summary"): self._summary,
            ("POST", "/ledger/reset"): self._reset,
            ("GET", "/settings"): self._settings,
            ("POST", "/settings"): self._configure,
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        route = self._routes.get((request.method, request.path))
        if route is None:
            return _json({"error": {"message": f"Unknown request: {request.method} {request.path}"}}, 404)
        return await route(request)

    async def _chat(self, request: web.BaseRequest) -> web.StreamResponse:
        raw = await request.content.read()
        try:
            call = read_call(raw)
        except ValueError as error:
            return await self._unreadable(request, raw, str(error))
        authorization = request.headers.get("authorization")
        entry = self.desk.open(request.path, call, authorization)
        try:
            refusal = self.desk.gate(call, entry, authorization)
            if refusal is not None:
                return await self._refuse(request, entry, refusal)
            return await self._serve(request, call, entry)
        finally:
            self.ledger.close(entry)

    async def _unreadable(self, request: web.BaseRequest, raw: bytes, why: str) -> web.StreamResponse:
        call = unreadable(raw)
        entry = self.desk.open(request.path, call, request.headers.get("authorization"))
        try:
            return await self._refuse(request, entry, refusals.bad_request(why))
        finally:
            self.ledger.close(entry)

    async def _refuse(self, request: web.BaseRequest, entry: Entry, refusal: Refusal) -> web.StreamResponse:
        entry.status = refusal.status
        headers = {**JSON, **self.desk.headers(entry, request.headers.get("authorization"), refusal)}
        return (await delivery.send(request, refusal.status, headers, self.desk.words(refusal))).response

    async def _serve(self, request: web.BaseRequest, call: Call, entry: Entry) -> web.StreamResponse:
        fault = self.desk.fault(call, entry)
        refusal = self.desk.refusal_of(fault) if fault else None
        if refusal is not None:
            return await self._refuse(request, entry, refusal)
        places = self.desk.enter_windows()
        if isinstance(places, Refusal):
            return await self._refuse(request, entry, places)
        try:
            return await self._answer(request, call, entry, fault)
        finally:
            if not entry.complete:
                places.give_back()

    async def _answer(
        self, request: web.BaseRequest, call: Call, entry: Entry, fault: FaultRule | None
    ) -> web.StreamResponse:
        name = fault.fault if fault else None
        if name == "reset":
            await delivery.reset(request)
        if name == "hang":
            await self.stopping.wait()
            await delivery.reset(request)
        completion = self.desk.complete(call, entry, fault, request.headers.get("authorization"))
        wait = latency(self.desk.settings, call.digest) + _delay(fault)
        if wait > 0:
            await asyncio.sleep(wait)
        entry.status = 200
        if fault is not None and name in ("cut", "slow_drip"):
            return await self._break(request, call, entry, completion, fault)
        delivered = await self._deliver(request, call, entry, completion, fault)
        entry.complete = delivered.whole and name not in ("stream_error", "stream_no_end")
        return delivered.response

    async def _deliver(
        self,
        request: web.BaseRequest,
        call: Call,
        entry: Entry,
        completion: Completion,
        fault: FaultRule | None,
    ) -> Delivered:
        name = fault.fault if fault else None
        headers = self.desk.headers(entry, request.headers.get("authorization"))
        if call.stream:
            parts = self._events(call, completion, name)
            return await delivery.send_parts(request, {**EVENTS, **headers}, parts)
        if name == "huge":
            return await delivery.send_parts(request, {**JSON, **headers}, completion.flood())
        if name == "not_json_body":
            return await delivery.send(request, 200, {**HTML, **headers}, NOT_JSON)
        if name == "gzip_bomb":
            packed = bomb(HUGE if fault is None or fault.size is None else fault.size)
            return await delivery.send(request, 200, {**JSON, **headers, "content-encoding": "gzip"}, packed)
        body = completion.whole(choices=name != "empty_choices")
        return await delivery.send(request, 200, {**JSON, **headers}, body)

    async def _break(
        self, request: web.BaseRequest, call: Call, entry: Entry, completion: Completion, fault: FaultRule
    ) -> web.StreamResponse:
        """The faults that the socket sees: `cut` and `slow_drip`."""
        kind = EVENTS if call.stream else JSON
        headers = {**kind, **self.desk.headers(entry, request.headers.get("authorization"))}
        body = b"".join(self._events(call, completion, None)) if call.stream else completion.whole()
        if fault.fault == "cut":
            size = len(body) // 2 if fault.size is None else fault.size
            entry.complete = await delivery.cut(request, headers, body, size, chunked=call.stream)
            await delivery.reset(request)
        pause = _DRIP_SECONDS if fault.seconds is None else fault.seconds
        response, entry.complete = await delivery.drip(request, headers, body, pause, self.stopping)
        if not entry.complete:
            await delivery.reset(request)
        return response

    def _events(self, call: Call, completion: Completion, fault: str | None) -> Iterable[bytes]:
        events = completion.events(
            self.desk.settings.chunk_chars,
            include_usage=call.include_usage,
            choices=fault != "empty_choices",
        )
        if fault == "stream_no_end":
            return (event for event in events if event != DONE and b'"finish_reason":"' not in event)
        if fault == "stream_error":
            sent = list(events)
            return [*sent[: len(sent) // 2], error_event()]
        if fault == "stream_duplicate":
            return (event for event in events for _ in range(1 if event == DONE else 2))
        return split(events) if fault == "stream_split" else events

    async def _models(self, _: web.BaseRequest) -> web.StreamResponse:
        names = self.desk.settings.models or ("stand-in",)
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "seedbed"} for name in names]
        return _json({"object": "list", "data": data})

    async def _entries(self, request: web.BaseRequest) -> web.StreamResponse:
        since = request.query.get("since", "0")
        return _json(self.ledger.since(int(since) if since.isdecimal() else 0))

    async def _summary(self, _: web.BaseRequest) -> web.StreamResponse:
        return _json({**self.ledger.summary(), "limits": self.desk.accounts()})

    async def _reset(self, _: web.BaseRequest) -> web.StreamResponse:
        self.ledger.reset()
        self.desk.reset_accounts()
        return _json({})

    async def _settings(self, _: web.BaseRequest) -> web.StreamResponse:
        shown = self.desk.settings.to_json()
        secret = ("require_key", "dead_keys", "empty_keys", "key_limits")
        return _json({**shown, **{name: len(shown[name]) for name in secret}})

    async def _configure(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            options = orjson.loads(await request.content.read())
            if not isinstance(options, Mapping):
                raise ValueError("settings: must be an object")
            self.desk.configure(options)
        except (ValueError, ImportError) as error:
            return _json({"error": {"message": str(error)}}, 400)
        return _json({})


def _delay(fault: FaultRule | None) -> float:
    if fault is None or fault.fault != "late":
        return 0.0
    return _LATE_SECONDS if fault.seconds is None else fault.seconds


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, headers=JSON)
