"""What the server says when it does not answer: status and body in the provider's own words."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    kind: str
    code: str | None
    message: str
    wait: float | None = None
    extra: dict[str, float] = field(default_factory=dict)

    def body(self) -> bytes:
        error = {"message": self.message, "type": self.kind, "param": None, "code": self.code, **self.extra}
        return orjson.dumps({"error": error})


_QUOTA = "You exceeded your current quota, please check your plan and billing details."

BY_FAULT: dict[str, Refusal] = {
    "error_500": Refusal(500, "server_error", None, "The server had an error while processing your request."),
    "error_502": Refusal(502, "server_error", None, "Bad gateway."),
    "error_503": Refusal(503, "server_error", None, "The engine is currently overloaded, try again later."),
    "error_529": Refusal(529, "overloaded_error", None, "Overloaded"),
    "no_credit": Refusal(429, "insufficient_quota", "insufficient_quota", _QUOTA),
    "bad_key": Refusal(401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "forbidden": Refusal(403, "permission_error", "forbidden", "You are not allowed to use this model."),
    "not_found": Refusal(404, "invalid_request_error", "model_not_found", "The model does not exist."),
    "bad_request": Refusal(400, "invalid_request_error", None, "The request could not be understood."),
    "timeout_408": Refusal(408, "timeout", None, "Request timed out."),
    "conflict_409": Refusal(409, "conflict", None, "The request conflicts with another one."),
    "schema_refused": Refusal(
        400,
        "invalid_request_error",
        None,
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
    ),
}

BAD_KEY = BY_FAULT["bad_key"]
NO_CREDIT = BY_FAULT["no_credit"]


def slow_down(wait: float) -> Refusal:
    text = f"Rate limit reached. Please try again in {wait:.3f}s."
    return Refusal(429, "requests", "rate_limit_exceeded", text, wait)


def quota(refusal: Refusal) -> bytes:
    """The body of a refusal as Google words it: all that it says of the limit stands here and in no header."""
    wait = 0.0 if refusal.wait is None else refusal.wait
    violation = {"quotaMetric": "generate_requests", "quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait:.9f}s"},
    ]
    text = "You exceeded your current quota, please check your plan and billing details."
    error = {"code": 429, "message": text, "status": "RESOURCE_EXHAUSTED", "details": details}
    return orjson.dumps([{"error": error}])


def usage_limit(wait: float, wall: float) -> Refusal:
    extra = {"resets_at": int(wall + wait), "resets_in_seconds": round(wait, 3)}
    code = "usage_limit_reached"
    return Refusal(429, code, code, "The usage limit has been reached", wait, extra)


def bad_request(message: str) -> Refusal:
    return Refusal(400, "invalid_request_error", None, message)


def unknown_model(model: str) -> Refusal:
    return Refusal(404, "invalid_request_error", "model_not_found", f"The model '{model}' does not exist.")
