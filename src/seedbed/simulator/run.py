"""Starts the server from a command line and stops it when told to."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from seedbed.simulator.config import Settings
from seedbed.simulator.ledger import Ledger
from seedbed.simulator.limits import HEADER_STYLES, RATE_STYLES, RETRY_AFTER_FORMATS, Window
from seedbed.simulator.server import ModelServer

_BACKLOG = 4096


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="seedbed simulate", description="A model server with faults on demand and its own ledger."
    )
    add = made.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0: any free one")
    add("--port-file", type=Path, help="write the URL here once it listens")
    add("--ledger", type=Path, help="append each finished request here as a JSON line")
    add("--tether", action="store_true", help="stop when standard input closes")
    add("--settings", type=Path, help="a JSON object of settings; the options here go before it")
    add("--seed", type=int)
    add("--latency", type=float, dest="latency_ms", metavar="MS", help="median time to an answer")
    add("--sigma", type=float, dest="latency_sigma", help="above 0: lognormal latency")
    add("--rules", action="append", metavar="MODULE", help="a module with RULES; may be repeated")
    add("--model", action="append", dest="models", help="a model that exists; default: any")
    add("--require-key", action="append", metavar="KEY", help="an accepted key; default: any")
    add("--rpm", type=float, help="requests a minute")
    add("--tpm", type=float, help="tokens a minute")
    add("--rate-style", choices=RATE_STYLES, help="one second of burst and continuous refill, or fixed windows")
    add("--rate-seconds", type=float, metavar="SECONDS", help="how long a fixed window is")
    add("--header-style", choices=HEADER_STYLES, help="how limits are told")
    add("--dead-key", action="append", dest="dead_keys", metavar="KEY", help="a key that is refused")
    add("--window", action="append", dest="windows", type=_window, metavar="N/SECONDS[/KIND]")
    add("--concurrency-limit", type=int, help="requests in flight")
    add("--faults", type=Path, help="a JSON list of fault rules, or a settings object")
    add("--rate", action="append", dest="rates", type=_rate, metavar="FAULT=SHARE", help="error_500=0.02")
    add("--retry-after", type=float, metavar="SECONDS", help="what the rate_limit fault states")
    add("--retry-after-format", choices=RETRY_AFTER_FORMATS)
    add("--items-regex", help="its first group names the item of a prompt")
    add("--names", type=Path, help="item names, one a line; the longest in the prompt wins")
    add("--no-prompt-cache", action="store_const", const=False, dest="prompt_cache")
    add("--chunk-chars", type=int, help="characters in a streamed chunk")
    add("--drain", type=float, dest="drain_seconds", metavar="SECONDS", help="time to finish on SIGTERM")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    try:
        settings = read_settings(options)
        ledger = Ledger(options.ledger)
        try:
            asyncio.run(serve(settings, ledger, options))
        finally:
            ledger.shut()
    except (ValueError, OSError, ImportError) as error:
        print(f"seedbed simulate: {error}", file=sys.stderr)  # noqa: T201 - this is its face
        return 2
    return 0


def read_settings(options: argparse.Namespace) -> Settings:
    settings = Settings()
    if options.settings is not None:
        settings = settings.changed(_json(options.settings))
    if options.faults is not None:
        found = _json(options.faults)
        settings = settings.changed({"faults": found} if isinstance(found, list) else found)
    given = {name: value for name, value in vars(options).items() if value is not None}
    if options.rates is not None:
        given["rates"] = dict(options.rates)
    if options.names is not None:
        lines = options.names.read_text(encoding="utf-8").splitlines()
        given["names"] = [line.strip() for line in lines if line.strip()]
    for apart in ("host", "port", "port_file", "ledger", "tether", "settings", "faults"):
        given.pop(apart, None)
    return settings.changed(given)


async def serve(settings: Settings, ledger: Ledger, options: argparse.Namespace) -> None:
    model = ModelServer(settings, ledger)
    stop = _stop_event(tethered=options.tether)
    server = web.Server(model.handle, handler_cancellation=True, access_log=None, keepalive_timeout=3600.0)
    runner = web.ServerRunner(server, shutdown_timeout=settings.drain_seconds)
    await runner.setup()
    try:
        await web.TCPSite(runner, options.host, options.port, backlog=_BACKLOG).start()
        _announce(_url(runner.addresses[0]), options.port_file)
        await stop.wait()
    finally:
        model.stopping.set()
        await runner.cleanup()


def _stop_event(*, tethered: bool) -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if tethered:
        stdin = sys.stdin.fileno()

        def read() -> None:
            if not os.read(stdin, 1024):
                loop.remove_reader(stdin)
                stop.set()

        loop.add_reader(stdin, read)
    return stop


def _url(address: Sequence[Any]) -> str:
    host, port = address[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _announce(url: str, port_file: Path | None) -> None:
    if port_file is not None:
        draft = port_file.with_name(f"{port_file.name}.{os.getpid()}")
        draft.write_text(url, encoding="utf-8")
        draft.replace(port_file)
    print(f"listening on {url}", flush=True)  # noqa: T201 - this is its face


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None


def _window(text: str) -> Window:
    capacity, _, rest = text.partition("/")
    seconds, _, kind = rest.partition("/")
    try:
        return Window(int(capacity), float(seconds), *([kind] if kind else []))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not N/SECONDS[/KIND]: {error}") from None


def _rate(text: str) -> tuple[str, float]:
    fault, _, share = text.partition("=")
    try:
        return fault, float(share)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not FAULT=SHARE, as error_500=0.02") from None
