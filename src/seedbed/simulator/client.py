"""The simulator in a process of its own, for tests, the demo and benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from seedbed.simulator.config import Settings

_OPENER = build_opener(ProxyHandler({}))
_START_SECONDS = 30.0
_POLL_SECONDS = 0.01


class Simulator:
    """Runs while the `with` block does, and no longer than this process.

    >>> with Simulator(latency_ms=50, faults=[{"fault": "error_500"}]) as model:
    ...     model.url, model.summary()["requests"]
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        ledger: Path | None = None,
        port: int = 0,
        **options: Any,
    ) -> None:
        self.settings = (settings or Settings()).changed(options)
        self._ledger = ledger
        self._port = port
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._root = ""

    @property
    def url(self) -> str:
        """The address for an OpenAI client: it ends in /v1."""
        return f"{self._root}/v1"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the simulator is not running"
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="seedbed-simulator-")
        folder = Path(self._folder.name)
        (folder / "settings.json").write_text(json.dumps(self.settings.to_json()), encoding="utf-8")
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command(folder),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for this process, which has answers to wait for
            )
        try:
            self._root = self._await_url(folder)
        except BaseException:
            self.stop()
            raise

    def stop(self, patience: float = 10.0) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def ledger(self, since: int = 0) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self._ask("GET", f"/ledger?since={since}")
        return entries

    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = self._ask("GET", "/ledger/summary")
        return summary

    def reset(self) -> None:
        self._ask("POST", "/ledger/reset")

    def configure(self, settings: Settings | Mapping[str, Any] | None = None, **options: Any) -> None:
        """Changes the running server: all of it, or the named options only; what is named starts anew."""
        given = settings.to_json() if isinstance(settings, Settings) else dict(settings or {})
        changes = {**given, **options}
        self.settings = self.settings.changed(changes)
        whole = self.settings.to_json()
        self._ask("POST", "/settings", {name: whole[name] for name in changes})

    def _command(self, folder: Path) -> list[str]:
        command = [sys.executable, "-m", "seedbed.simulator", "--tether", "--port", str(self._port)]
        command += ["--port-file", str(folder / "url"), "--settings", str(folder / "settings.json")]
        return command if self._ledger is None else [*command, "--ledger", str(self._ledger)]

    def _await_url(self, folder: Path) -> str:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if (folder / "url").exists():
                return (folder / "url").read_text(encoding="utf-8")
            if self._process.poll() is not None:
                break
            time.sleep(_POLL_SECONDS)
        log = (folder / "log").read_text(encoding="utf-8", errors="replace")
        raise RuntimeError(f"the simulator did not start: {log.strip()[-2000:]}")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._root + path, data=data, method=method)  # noqa: S310 - our own http address
        try:
            with _OPENER.open(request, timeout=30) as response:
                return json.load(response)
        except HTTPError as error:
            with error:
                raise ValueError(json.load(error)["error"]["message"]) from None
