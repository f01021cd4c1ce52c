"""Chat completions as OpenAI speaks them, and every endpoint that is compatible with it.

What a model takes (a schema, which name of the output maximum) stands in ``CAPABILITIES``; what an
endpoint turns down is learned from its refusals, per base URL and model, for the life of the process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, NamedTuple
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson
from multidict import CIMultiDict
from yarl import URL

from seedbed.crashing import point
from seedbed.errors import ConfigError, NotReadable
from seedbed.ports.models import Answer, Target, Trouble, Wire
from seedbed.records import Message, Once, Reply, Request, Usage

PATH = "/chat/completions"
LONGEST_BODY = 32 * 1024 * 1024
"""Decoded bytes of one answer that are read at most."""
CONNECT_SECONDS = 30.0

Form = Literal["strict", "schema", "json_object", "none"]
MaxName = Literal["max_tokens", "max_completion_tokens"]

_JSON: Mapping[str, str] = MappingProxyType({"content-type": "application/json"})
_ASKED = "Answer with one JSON document that fits this JSON Schema:\n"
_DROPPABLE = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "stream_options")
_KEPT = frozenset(
    ("date", "x-request-id", "request-id", "content-type", "openai-processing-ms", "openai-model"),
)
_KEPT_PREFIXES = ("retry-after", "x-ratelimit-")


# ------------------------------------------------------------------------------- what a model takes


@dataclass(frozen=True, slots=True)
class Capabilities:
    form: Form = "strict"
    maximum: MaxName = "max_tokens"
    dropped: frozenset[str] = frozenset()
    swapped: bool = False  # the name of the maximum was learned; it is not changed a second time


CAPABILITIES: tuple[tuple[str, str, Capabilities], ...] = (
    # provider, model, what it takes; the first that fits counts
    ("openai", "gpt-5*", Capabilities(maximum="max_completion_tokens")),
    ("openai", "o[1-9]*", Capabilities(maximum="max_completion_tokens")),
    ("openai", "gpt-3.5*", Capabilities("json_object")),
    ("openai", "gpt-4", Capabilities("json_object")),
    ("openai", "gpt-4-*", Capabilities("json_object")),
    ("*", "*", Capabilities()),
)


@lru_cache(maxsize=256)
def capabilities(provider: str, model: str) -> Capabilities:
    """What the table says, before anything was learned."""
    for a_provider, a_model, found in CAPABILITIES:
        if fnmatchcase(provider, a_provider) and fnmatchcase(model, a_model):
            return found
    return Capabilities()


def forbids(provider: str, model: str) -> list[str]:
    """What is never sent to a model, as far as it is known before it has turned something down."""
    has = capabilities(provider, model)
    forms: Mapping[Form, str] = {"json_object": "a schema (it stands in the prompt)", "none": "a form for the answer"}
    named = "max_tokens" if has.maximum == "max_completion_tokens" else "max_completion_tokens"
    return [*([forms[has.form]] if has.form in forms else []), named, *sorted(has.dropped)]


_UNSUPPORTED = re.compile(
    r"unsupported|not (?:be )?support|not allowed|not permitted|unrecogni[sz]ed|unknown|unexpected"
    r"|extra (?:field|input)|instead|only the default",
    re.IGNORECASE,
)
_INVALID_SCHEMA = re.compile(r"invalid schema|strict", re.IGNORECASE)
_MAX_NAME = re.compile(r"max_(?:completion_)?tokens")


def learned(has: Capabilities, words: str) -> Capabilities | None:
    """What is left after a refusal in these words; None when they speak of no capability.

    Equal to ``has`` when the refusal is of something that is no longer sent: another call learned it first.
    """
    turned_down = _UNSUPPORTED.search(words) is not None
    if turned_down:
        name = _MAX_NAME.search(words)
        if name is not None:
            if name[0] != has.maximum:
                return has
            other: MaxName = "max_tokens" if has.maximum == "max_completion_tokens" else "max_completion_tokens"
            return None if has.swapped else replace(has, maximum=other, swapped=True)
        for parameter in _DROPPABLE:
            if re.search(rf"\b{parameter}\b", words):
                return replace(has, dropped=has.dropped | {parameter})
    form = _lesser_form(has.form, words)
    return None if form is None else replace(has, form=form)


def _lesser_form(form: Form, words: str) -> Form | None:
    of_object = "json_object" in words
    of_schema = "json_schema" in words
    if not of_object and not of_schema and "response_format" not in words:
        return None
    if form == "strict" and _INVALID_SCHEMA.search(words):
        return "schema"
    if form in ("strict", "schema"):
        return "json_object"
    if form == "json_object":
        return "none" if of_object or not of_schema else form
    return form


# ---------------------------------------------------------------------------------------- the shape

_NOTES = frozenset(("$schema", "$id", "$comment", "default", "examples", "deprecated", "readOnly", "writeOnly"))
# fmt: off
_TAKEN = frozenset({
    "type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "const", "$ref",
    "$defs", "definitions", "title", "description", "pattern", "format", "minLength", "maxLength", "minimum",
    "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems",
})
# fmt: on


class _Loose(Exception):
    """The schema has no strict form of the same meaning."""


def strict_form(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema as strict mode wants it: all properties required, no others; None where that changes its meaning.

    Each answer to the strict form is an answer to the schema. An optional property becomes required
    only where it may be null; open objects and keywords that strict mode does not know have no strict form.
    """
    try:
        strict = _strict(schema, schema)
    except (_Loose, RecursionError):
        return None
    return strict if strict.get("type") == "object" else None


def _strict(schema: Any, root: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(schema, Mapping):
        raise _Loose
    out = {name: value for name, value in schema.items() if name not in _NOTES}
    if not out.keys() <= _TAKEN or not out.keys() & {"type", "$ref", "anyOf", "enum", "const"}:
        raise _Loose
    for name in ("$defs", "definitions"):
        if name in out:
            out[name] = {key: _strict(each, root) for key, each in out[name].items()}
    if "anyOf" in out:
        out["anyOf"] = [_strict(each, root) for each in out["anyOf"]]
    kinds = out.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if "array" in kinds:
        out["items"] = _strict(out.get("items"), root)
    if "object" in kinds:
        _close(out, root)
    elif "properties" in out:
        raise _Loose
    return out


def _close(out: dict[str, Any], root: Mapping[str, Any]) -> None:
    properties = out.get("properties")
    if not properties or out.get("additionalProperties", False) is not False:
        raise _Loose
    required = out.get("required", ())
    for name, each in properties.items():
        if name not in required and not _nullable(each, root, 0):
            raise _Loose
    if not set(required) <= properties.keys():
        raise _Loose
    out["properties"] = {name: _strict(each, root) for name, each in properties.items()}
    out["required"] = list(properties)
    out["additionalProperties"] = False


def _nullable(schema: Any, root: Mapping[str, Any], depth: int) -> bool:
    if not isinstance(schema, Mapping) or depth > 16:
        return False
    if "$ref" in schema:
        return _nullable(_pointed(root, schema["$ref"]), root, depth + 1)
    if "anyOf" in schema:
        return any(_nullable(each, root, depth + 1) for each in schema["anyOf"])
    kinds = schema.get("type")
    typed = kinds is None or kinds == "null" or (isinstance(kinds, list) and "null" in kinds)
    listed = "enum" not in schema or None in schema["enum"]
    constant = "const" not in schema or schema["const"] is None
    return typed and listed and constant


def _pointed(root: Mapping[str, Any], reference: Any) -> Any:
    current: Any = root
    for step in str(reference).removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        current = current.get(name) if isinstance(current, Mapping) else None
    return current


# ------------------------------------------------------------------------------- request → wire


def _dumps(value: Any) -> bytes:
    """JSON; text that is no Unicode and whole numbers over 64 bits go out in the only way JSON has for them."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), default=_plain_value).encode("ascii")


def _plain_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a request holds a {type(value).__name__}, which has no JSON")


def _dumps_with(body: dict[str, Any], name: str, value: bytes) -> bytes:
    """The body with one more member, which is JSON already."""
    try:
        return orjson.dumps({**body, name: orjson.Fragment(value)})
    except TypeError:
        return _dumps({**body, name: json.loads(value)})


class _Asked(NamedTuple):
    """A shape, ready to be sent in each form."""

    text: str
    strict: bytes
    schema: bytes


_OBJECT = b'{"type":"json_object"}'


def _asked(shape: Mapping[str, Any]) -> _Asked:
    plain = _dumps(shape if isinstance(shape, dict) else dict(shape))
    strict = strict_form(shape)
    return _Asked(
        plain.decode(),
        _named(plain if strict is None else _dumps(strict), strict is not None),
        _named(plain, False),
    )


def _named(schema: bytes, strict: bool) -> bytes:
    ending = b',"strict":true}}' if strict else b',"strict":false}}'
    return b'{"type":"json_schema","json_schema":{"name":"answer","schema":' + schema + ending


def _messages(messages: Sequence[Message], shape_text: str | None) -> list[dict[str, str]]:
    out = [{"role": message.role, "content": message.text} for message in messages]
    if shape_text is not None:
        last = next((each for each in reversed(out) if each["role"] == "user"), None)
        if last is None:
            out.append({"role": "user", "content": _ASKED + shape_text})
        else:
            last["content"] = f"{last['content']}\n\n{_ASKED}{shape_text}"
    return out


# ------------------------------------------------------------------------------- body → reply

_STOPS = frozenset(("stop", "eos", "end_turn", "eos_token", "stop_sequence", "complete"))
_FINISHES: Mapping[str, Literal["length", "refusal"]] = {
    "length": "length",
    "max_tokens": "length",
    "content_filter": "refusal",
    "refusal": "refusal",
    "safety": "refusal",
}


def read_usage(found: Any) -> Usage | None:
    """Cached tokens are taken out of the input; reasoning is part of the output, also where it is counted apart."""
    if not isinstance(found, dict):
        return None
    asked = _count(found.get("prompt_tokens", found.get("input_tokens")))
    made = _count(found.get("completion_tokens", found.get("output_tokens")))
    if asked is None or made is None:
        return None
    cached = _detail(found, ("prompt_tokens_details", "input_tokens_details"), "cached_tokens")
    cached = min(asked, cached or _count(found.get("prompt_cache_hit_tokens")) or 0)
    reasoning = _detail(found, ("completion_tokens_details", "output_tokens_details"), "reasoning_tokens") or 0
    if reasoning and _count(found.get("total_tokens")) == asked + made + reasoning:
        made += reasoning
    return Usage(asked - cached, cached, made, min(reasoning, made))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _detail(found: Mapping[str, Any], groups: Sequence[str], name: str) -> int | None:
    for group in groups:
        details = found.get(group)
        if isinstance(details, dict):
            return _count(details.get(name))
    return None


def _loads(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            return json.loads(data)  # lone surrogates and numbers of any size, which the text's own reader names
        except (ValueError, RecursionError):
            raise NotReadable("the provider's answer is not JSON", code="not_json") from None


def _text(content: Any) -> str:
    """The text of a message: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (each.get("text") for each in content if isinstance(each, dict))
    return "".join(part for part in parts if isinstance(part, str))


def _reply(text: str, refusal: str, finish: Any, otherwise: Literal["stop", "other"], usage: Any, model: Any) -> Reply:
    ended: Literal["stop", "length", "refusal", "empty", "other"]
    word = finish.lower() if isinstance(finish, str) else ""
    if refusal:
        ended = "refusal"
    elif word in _FINISHES:
        ended = _FINISHES[word]
    elif not text.strip():
        ended = "empty"
    elif word in _STOPS:
        ended = "stop"
    else:
        ended = "other" if word else otherwise
    return Reply(text, read_usage(usage), model if isinstance(model, str) else "", ended, refusal)


def _first_choice(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    choices = body.get("choices")
    if not isinstance(choices, list):
        return None
    for choice in choices:
        if isinstance(choice, dict) and choice.get("index", 0) in (0, None):
            return choice
    return None


def read_json_body(body: bytes) -> Reply:
    found = _loads(body)
    if not isinstance(found, dict):
        raise NotReadable("the provider's answer is not a chat completion", code="not_json")
    choice = _first_choice(found)
    if choice is None:
        if "choices" not in found:
            raise NotReadable(f"the provider's answer is not a chat completion{_words(found)}", code="empty")
        choice = {}
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    return _reply(
        _text(message.get("content")) or _text(choice.get("text")),
        _text(message.get("refusal")),
        choice.get("finish_reason"),
        "stop",
        found.get("usage"),
        found.get("model"),
    )


def read_sse_body(body: bytes) -> Reply:
    texts: list[str] = []
    refusals: list[str] = []
    finish: Any = None
    usage: Any = None
    model: Any = None
    seen = False
    for data in _events_once(body):
        found = _loads(data)
        if not isinstance(found, dict):
            raise NotReadable("an event of the provider's stream is not an object", code="not_json")
        if found.get("error"):
            raise NotReadable(f"the provider's stream holds an error{_words(found)}", code="not_json")
        seen = True
        usage = found.get("usage") or usage
        model = model or found.get("model")
        choice = _first_choice(found)
        if choice is None:
            continue
        delta = choice.get("delta")
        if isinstance(delta, dict):
            texts.append(_text(delta.get("content")))
            refusals.append(_text(delta.get("refusal")))
        finish = choice.get("finish_reason") or finish
    if not seen:
        raise NotReadable("the provider's stream holds no event", code="empty")
    return _reply("".join(texts), "".join(refusals), finish, "other", usage, model)


def _events_once(body: bytes) -> list[bytes]:
    """The events before the end marker; of a stream in which each came twice, one of each."""
    found: list[bytes] = []
    for data in events(body):
        if data.strip() == b"[DONE]":
            break
        found.append(data)
    half = range(0, len(found), 2)
    doubled = len(found) >= 4 and len(found) % 2 == 0 and all(found[at] == found[at + 1] for at in half)
    return found[::2] if doubled else found


_LINE_END = re.compile(rb"\r\n|\r|\n")


def events(body: bytes) -> Iterator[bytes]:
    """The data of each server-sent event."""
    lines: list[bytes] = []
    for line in _LINE_END.split(body.removeprefix(b"\xef\xbb\xbf")):
        if not line:
            if lines:
                yield b"\n".join(lines)
                lines = []
        elif line.startswith(b"data:"):
            lines.append(line[5:].removeprefix(b" "))
    if lines:
        yield b"\n".join(lines)


_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


def _error_text(found: Any) -> str:
    """Message, parameter and code of an error body, whatever its build."""
    if isinstance(found, list):
        found = found[0] if found else None
    error = found.get("error", found) if isinstance(found, dict) else found
    if isinstance(error, dict):
        words = [error.get(name) for name in ("message", "param", "code", "type", "detail")]
        error = " ".join(each if isinstance(each, str) else json.dumps(each) for each in words if each)
    return _CONTROLS.sub(" ", error) if isinstance(error, str) else ""


def _words(found: Any) -> str:
    text = _error_text(found)[:200].strip()
    return f": {text}" if text else ""


# ----------------------------------------------------------------------------------- the adapter


class _Route(NamedTuple):
    """What is the same for all requests to a target."""

    url: URL
    headers: CIMultiDict[str]
    timeout: aiohttp.ClientTimeout
    proxy: str | None


def _route(target: Target, path: str, extra: Mapping[str, str]) -> _Route:
    try:
        url = URL(target.base_url.rstrip("/") + path)
        host, user = url.host, url.user
    except ValueError:
        host, user, url = None, None, URL()
    if url.scheme not in ("http", "https") or not host:
        raise ConfigError(f'the base URL "{target.base_url}" is none', hint="Write it as https://host/v1.")
    if user is not None or url.password is not None:
        raise ConfigError("a base URL holds no name or password", hint="Put the key into its environment variable.")
    headers: CIMultiDict[str] = CIMultiDict(extra)
    if target.key:
        if not target.key.isascii() or not target.key.isprintable():
            raise ConfigError(f"the key of account {target.account} has characters that no key has")
        headers["authorization"] = f"Bearer {target.key}"
    near = host in ("localhost", "127.0.0.1", "::1") or proxy_bypass(host)
    proxy = None if near else getproxies().get(url.scheme)
    # the connection's own limit ends before the total: only so it is known that nothing was sent
    connect = min(CONNECT_SECONDS, target.timeout * 0.8)
    return _Route(url, headers, aiohttp.ClientTimeout(total=target.timeout, connect=connect), proxy)


class OpenAI:
    """``Completer`` for any endpoint with chat completions."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._routes: dict[Target, _Route] = {}
        self._learned: dict[tuple[str, str], Capabilities] = {}
        self._shape = Once(_asked)

    # ---- pure

    def capabilities(self, target: Target) -> Capabilities:
        found = self._learned.get((target.base_url, target.model))
        return found if found is not None else capabilities(target.provider, target.model)

    def wire(self, request: Request, target: Target, *, stream: bool = False) -> Wire:
        has = self.capabilities(target)
        asked = None if request.shape is None else self._shape(request.shape)
        in_text = asked is not None and has.form in ("json_object", "none")
        body: dict[str, Any] = {
            "model": target.model,
            "messages": _messages(request.messages, asked.text if asked is not None and in_text else None),
        }
        for name, value in request.parameters.items():
            if name == "max_output":
                if value is not None:
                    body[has.maximum] = value
            elif name not in has.dropped:
                body[name] = value
        if stream:
            body["stream"] = True
            if "stream_options" not in has.dropped:
                body["stream_options"] = {"include_usage": True}
        if asked is None or has.form == "none":
            return Wire(PATH, _dumps(body), _JSON)
        sent = _OBJECT if has.form == "json_object" else asked.schema if has.form == "schema" else asked.strict
        return Wire(PATH, _dumps_with(body, "response_format", sent), _JSON)

    def read(self, answer_format: str, status: int, body: bytes) -> Reply:
        try:
            if not 200 <= status < 300:
                raise NotReadable(f"the answer is an error, status {status}", code="empty")
            return read_sse_body(body) if answer_format == "sse" else read_json_body(body)
        except RecursionError:
            raise NotReadable("the provider's answer is nested too deeply", code="not_json") from None

    def learn(self, target: Target, status: int, body: bytes) -> bool:
        """True also when another call learned it first.

        Re-make the request only when its wire differs from what was sent.
        """
        if status not in (400, 422):
            return False
        try:
            words = _error_text(_loads(body[:65536]))
        except NotReadable:
            words = body[:2048].decode("utf-8", "replace")
        has = self.capabilities(target)
        now = learned(has, words)
        if now is None:
            return False
        if now != has:
            self._learned[target.base_url, target.model] = now
        return True

    # ---- the world

    async def open(self, concurrency: int) -> None:
        """The connector has no limit of its own: ``concurrency`` is kept by who calls ``send``."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"user-agent": "seedbed"},
            )

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _routed(self, wire: Wire, target: Target) -> _Route:
        if wire.headers is not _JSON or wire.path is not PATH:  # a wire that was stored and read again
            return _route(target, wire.path, wire.headers)
        route = self._routes.get(target)
        if route is None:
            route = self._routes[target] = _route(target, PATH, _JSON)
        return route

    async def send(self, wire: Wire, target: Target) -> Answer:
        session = self._session
        if session is None:
            raise RuntimeError("open() comes before send()")
        route = self._routed(wire, target)
        try:
            response = await session.post(
                route.url,
                data=wire.body,
                headers=route.headers,
                timeout=route.timeout,
                proxy=route.proxy,
                allow_redirects=False,
            )
            try:
                point("after an answer began")
                body = await _whole(response)
            except BaseException:
                response.close()
                raise
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.ConnectionTimeoutError) as error:
            raise Trouble("connect", _said(error)) from None
        except (aiohttp.InvalidURL, aiohttp.ServerFingerprintMismatch) as error:
            raise Trouble("connect", _said(error)) from None
        except TimeoutError:
            raise Trouble("timeout", f"no complete answer within {target.timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Trouble("cut", _said(error)) from None
        headers = {}
        for name, value in response.headers.items():
            low = name.lower()
            if low in _KEPT or low.startswith(_KEPT_PREFIXES):
                headers[low] = value
        if body.startswith(b"data:") or headers.get("content-type", "").startswith("text/event-stream"):
            if response.status == 200:
                _check_stream(body)
            return Answer(response.status, headers, body, "sse")
        return Answer(response.status, headers, body, "json")


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """The decoded body, when all of it came and it is not too long."""
    headers = response.headers
    length = response.content_length
    if length is not None and length <= LONGEST_BODY and "content-encoding" not in headers:
        return await response.read()
    parts: list[bytes] = []
    size = 0
    content = response.content
    while part := await content.readany():
        size += len(part)
        if size > LONGEST_BODY:
            raise Trouble("cut", f"the answer is longer than {LONGEST_BODY // 1024 // 1024} MB")
        parts.append(part)
    response.release()
    body = b"".join(parts)
    if length is None and "transfer-encoding" not in headers and body and not _ends_well(body):
        raise Trouble("cut", "the connection closed before the answer's end")
    return body


def _ends_well(body: bytes) -> bool:
    """Whether a body whose length nobody stated is whole: one JSON document, or a stream (checked later)."""
    if body.startswith(b"data:"):
        return True
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


_DONE = re.compile(rb"^data: ?\[DONE\]\s*$", re.MULTILINE)


def _check_stream(body: bytes) -> None:
    """Raises Trouble for a stream that holds an error or has no end."""
    if b'"error"' in body:
        for data in events(body):
            try:
                found = orjson.loads(data)
            except orjson.JSONDecodeError:
                continue
            if isinstance(found, dict) and found.get("error"):
                raise Trouble("cut", f"the stream ended in an error{_words(found)}")
    if b"[DONE]" not in body or not _DONE.search(body.replace(b"\r", b"\n")):
        raise Trouble("cut", "the stream ended before its end marker")


def _said(error: BaseException) -> str:
    return _CONTROLS.sub(" ", str(error))[:200] or type(error).__name__
