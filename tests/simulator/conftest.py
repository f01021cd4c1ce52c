from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from seedbed.simulator import Settings, Simulator

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"fact": {"type": "string"}, "year": {"type": "integer"}},
    "required": ["fact", "year"],
}


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def content(self) -> Any:
        return self.json()["choices"][0]["message"]["content"]


@dataclass
class Caller:
    """A plain client of one simulator: a connection for each request, no retries."""

    model: Simulator

    def connection(self) -> HTTPConnection:
        address = urlsplit(self.model.url)
        return HTTPConnection(str(address.hostname), address.port, timeout=20)

    def request(self, prompt: str = "Say a fact.\n\nParis on the Seine", **options: Any) -> HTTPConnection:
        """The connection after the request was sent."""
        key = options.pop("key", None)
        form = {"type": "json_schema", "json_schema": {"name": "fact", "schema": SCHEMA}}
        body = {"model": "m", "messages": [{"role": "user", "content": prompt}], "response_format": form}
        body |= options
        body = {name: value for name, value in body.items() if value is not None}
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        connection = self.connection()
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        return connection

    def ask(self, prompt: str = "Say a fact.\n\nParis on the Seine", **options: Any) -> Answer:
        connection = self.request(prompt, **options)
        try:
            return read(connection)
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        connection = self.connection()
        try:
            connection.request("GET", path)
            return read(connection)
        finally:
            connection.close()


def read(connection: HTTPConnection) -> Answer:
    with connection.getresponse() as response:
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())


@pytest.fixture(scope="session")
def process() -> Iterator[Simulator]:
    with Simulator() as model:
        yield model


@pytest.fixture
def model(process: Simulator) -> Simulator:
    """A server in its first state; the process is shared."""
    process.configure(Settings())
    process.reset()
    return process


@pytest.fixture
def caller(model: Simulator) -> Caller:
    return Caller(model)


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, "the condition never came true"
            time.sleep(0.005)

    return wait
