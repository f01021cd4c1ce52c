"""How long an answer takes."""

from __future__ import annotations

import math

from seedbed.simulator.config import Settings
from seedbed.simulator.faults import fraction


def latency(settings: Settings, digest: str) -> float:
    """Seconds; the same for the same request."""
    median = settings.latency_ms / 1000
    if median <= 0 or settings.latency_sigma <= 0:
        return max(0.0, median)
    radius = math.sqrt(-2 * math.log(1 - fraction(settings.seed, digest, "radius")))
    normal = radius * math.cos(2 * math.pi * fraction(settings.seed, digest, "angle"))
    return median * math.exp(settings.latency_sigma * normal)
